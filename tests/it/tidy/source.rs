//! What Rust source says of its modules: which paths a file names, what its imports stand for, which
//! types it makes public. Paths are names from the crate's root, without `crate`.

use std::collections::{BTreeMap, BTreeSet};

use super::tokens::{Token, cut_tests, is_name, tokens};

/// Files of a crate, read together.
#[derive(Default)]
pub struct Sources {
    pub named: Vec<NamedPath>,
    pub public_types: Vec<PublicType>,
    modules: BTreeSet<Vec<String>>,
    /// What each module's imports stand for, by module and name.
    imports: BTreeMap<(Vec<String>, String), Vec<String>>,
}

/// A path that a module names, as it is written there.
#[derive(Clone)]
pub struct NamedPath {
    pub module: Vec<String>,
    pub path: Vec<String>,
    /// File and line.
    pub place: String,
}

pub struct PublicType {
    pub name: String,
    /// File and line.
    pub place: String,
}

#[derive(Clone, Copy, PartialEq)]
pub enum UnitTests {
    Included,
    LeftOut,
}

impl Sources {
    /// Reads files, given by their names below `src` and their text.
    pub fn read(files: &[(&str, &str)], tests: UnitTests) -> Self {
        let mut sources = Self::default();
        let mut left_out = Vec::new();
        for (file, text) in files {
            let mut tokens = tokens(text);
            if tests == UnitTests::LeftOut {
                let names = cut_tests(&mut tokens);
                left_out
                    .extend(names.into_iter().map(|name| [module_of(file), vec![name]].concat()));
            }
            Parser { tokens: &tokens, file, sources: &mut sources }.parse(module_of(file));
        }
        let is_kept = |module: &[String]| !left_out.iter().any(|out| module.starts_with(out));
        sources.named.retain(|named| is_kept(&named.module));
        sources.modules.retain(|module| is_kept(module));
        sources
    }

    /// The path from the root without imports in it, or `None` when it leads to another crate.
    pub fn resolve(&self, module: &[String], path: &[String]) -> Option<Vec<String>> {
        self.resolve_within(module, path, 16)
    }

    /// The innermost module on a resolved path.
    pub fn module_on(&self, path: &[String]) -> Vec<String> {
        let len = (0..=path.len()).rev().find(|&len| self.modules.contains(&path[..len]));
        path[..len.unwrap_or(0)].to_vec()
    }

    pub fn is_module(&self, path: &[String]) -> bool {
        self.modules.contains(path)
    }

    fn resolve_within(
        &self,
        module: &[String],
        path: &[String],
        imports_left: usize,
    ) -> Option<Vec<String>> {
        let mut at = module.to_vec();
        let mut rest = path;
        match rest.first()?.as_str() {
            "crate" => (at, rest) = (Vec::new(), &rest[1..]),
            "self" => rest = &rest[1..],
            "super" => {
                while rest.first().is_some_and(|name| name == "super") {
                    at.pop()?;
                    rest = &rest[1..];
                }
            }
            // A relative path begins with a module or an import of this module, or it is of another
            // crate.
            first => {
                let key = (at.clone(), first.to_owned());
                if !self.modules.contains(&[&at[..], &rest[..1]].concat())
                    && !self.imports.contains_key(&key)
                {
                    return None;
                }
            }
        }
        while let Some(name) = rest.first() {
            let child = [&at[..], &rest[..1]].concat();
            if !self.modules.contains(&child)
                && let Some(import) = self.imports.get(&(at.clone(), name.clone()))
            {
                let whole = [import, &rest[1..]].concat();
                return self.resolve_within(&at, &whole, imports_left.checked_sub(1)?);
            }
            (at, rest) = (child, &rest[1..]);
        }
        Some(at)
    }
}

/// The module that a file below `src` is.
pub fn module_of(file: &str) -> Vec<String> {
    let names = file.trim_end_matches(".rs").split('/');
    names.filter(|name| !["mod", "lib", "main"].contains(name)).map(str::to_owned).collect()
}

struct Parser<'a> {
    tokens: &'a [Token],
    file: &'a str,
    sources: &'a mut Sources,
}

impl Parser<'_> {
    fn parse(mut self, mut module: Vec<String>) {
        self.sources.modules.insert(module.clone());
        // Depths at which the inline modules around this place end.
        let mut inline = Vec::new();
        let mut depth = 0;
        let mut i = 0;
        while let Some(token) = self.tokens.get(i) {
            match token.text.as_str() {
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    if inline.last() == Some(&depth) {
                        inline.pop();
                        module.pop();
                    }
                }
                "mod" if self.text(i + 2) == "{" => {
                    module.push(self.text(i + 1).to_owned());
                    self.sources.modules.insert(module.clone());
                    inline.push(depth);
                    i += 1;
                }
                "use" if self.text(i + 1) != "<" => {
                    i = self.import(i + 1, &module, &[]);
                    continue;
                }
                "crate" | "super" | "self" | "std" if self.text(i + 1) == "::" => {
                    let (path, next) = self.path(i);
                    let place = self.place(i);
                    self.sources.named.push(NamedPath { module: module.clone(), path, place });
                    i = next;
                    continue;
                }
                "pub"
                    if ["struct", "enum", "trait", "type", "union"].contains(&self.text(i + 1)) =>
                {
                    let (name, place) = (self.text(i + 2).to_owned(), self.place(i));
                    self.sources.public_types.push(PublicType { name, place });
                }
                _ => {}
            }
            i += 1;
        }
    }

    /// Takes in one tree of a `use` and returns where it ends.
    fn import(&mut self, start: usize, module: &[String], prefix: &[String]) -> usize {
        let (names, mut i) = self.path(start);
        let mut path = [prefix, &names].concat();
        if self.text(i) == "{" {
            i += 1;
            while self.text(i) != "}" {
                i = self.import(i, module, &path);
                i += usize::from(self.text(i) == ",");
            }
            return i + 1;
        }
        if path.len() > 1 && path.last().is_some_and(|name| name == "self") {
            path.pop();
        }
        let mut name = path.last().cloned().unwrap_or_default();
        match self.text(i) {
            "as" => {
                name = self.text(i + 1).to_owned();
                i += 2;
            }
            "*" => {
                name = "*".to_owned();
                path.push("*".to_owned());
                i += 1;
            }
            _ => {}
        }
        let place = self.place(start);
        self.sources.imports.insert((module.to_vec(), name), path.clone());
        self.sources.named.push(NamedPath { module: module.to_vec(), path, place });
        i
    }

    /// The names with `::` after and between them from `i` on, and where they end.
    fn path(&self, mut i: usize) -> (Vec<String>, usize) {
        let mut names = Vec::new();
        while is_name(self.text(i)) {
            names.push(self.text(i).to_owned());
            i += 1;
            if self.text(i) != "::" {
                break;
            }
            i += 1;
        }
        (names, i)
    }

    /// A token's text; past the end what ends every list.
    fn text(&self, i: usize) -> &str {
        self.tokens.get(i).map_or("}", |token| &token.text)
    }

    fn place(&self, i: usize) -> String {
        format!("{}:{}", self.file, self.tokens[i].line)
    }
}
