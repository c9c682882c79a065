//! The files of tables: written in a folder beside their places while the work goes on, and put there when
//! all are whole. A run that was ended can be gone on with from the last time that everything was safe.

use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::columnar::{self, Batches};
use super::{Sums, TablesVerb};
use crate::edge::lock::LockedFile;
use crate::edge::{files, output};
use crate::parse::Misuse;
use crate::report::table::{
    BatchBuilder, Column, TableForm, TableName, TabledCapture, csv_head, csv_line, json_line,
};

/// After so many captures everything is safe, …
const SAFE_AFTER: usize = 64;
/// … and after so many rows a batch is over.
const BATCH_ROWS: usize = 1 << 16;
/// Where the work goes on, in the folder of the tables.
const UNFINISHED: &str = ".lagtape-unfinished";
const PROGRESS: &str = "progress.json";
const LOCK: &str = "lock";
/// Longest file that says how far a run came.
const MAX_PROGRESS_LEN: usize = 64 << 20;

/// Which tables are written, in which form, and where to.
#[derive(Debug, Clone)]
pub struct TableTarget {
    pub form: TableForm,
    /// A folder that gets a file for each table; or, of one table, the file itself where its name has the
    /// form's ending.
    pub out: PathBuf,
    pub tables: Vec<TableName>,
    /// Replace existing files.
    pub force: bool,
    /// Go on with a run that was ended.
    pub resume: bool,
}

impl TableTarget {
    fn is_file(&self) -> bool {
        self.out.extension().is_some_and(|ending| ending == self.form.ending())
            && !self.out.is_dir()
    }

    /// The name of the folder in which the files are until they are whole.
    fn unfinished(&self) -> String {
        match self.is_file() {
            true => format!("{UNFINISHED}-{}", self.out.file_name().unwrap_or_default().display()),
            false => UNFINISHED.to_owned(),
        }
    }

    /// The folder, and the file of each table.
    fn places(&self) -> Result<(PathBuf, Vec<PathBuf>)> {
        if !self.is_file() {
            let name = |table: &TableName| format!("{}.{}", table.name(), self.form.ending());
            let files = self.tables.iter().map(|table| self.out.join(name(table)));
            return Ok((self.out.clone(), files.collect()));
        }
        ensure!(
            self.tables.len() == 1,
            Misuse(format!(
                "{} is one file, and these are {} tables; name a folder, or one table with --tables",
                self.out.display(),
                self.tables.len()
            ))
        );
        let folder = self.out.parent().filter(|folder| !folder.as_os_str().is_empty());
        Ok((folder.unwrap_or(Path::new(".")).to_owned(), vec![self.out.clone()]))
    }
}

/// The files of tables under way.
pub struct TableFiles {
    unfinished: PathBuf,
    files: Vec<TableFile>,
    progress: Progress,
    /// Held while this run writes.
    _lock: LockedFile,
    since_safe: usize,
}

struct TableFile {
    table: TableName,
    form: TableForm,
    /// Where it goes once it is whole.
    place: PathBuf,
    path: PathBuf,
    file: BufWriter<File>,
    rows: Rows,
    state: FileState,
}

/// How rows get into a file.
enum Rows {
    Csv(Vec<&'static Column>),
    Jsonl(Vec<&'static Column>),
    /// Batch after batch as a stream, of which the file is made in the end.
    Batches(Box<Batches>),
}

/// How far a run came.
#[derive(Serialize, Deserialize)]
struct Progress {
    /// What it is made of and how; another run must not go on with it.
    of: u64,
    files: Vec<FileState>,
    sums: Sums,
    /// All rows are written, and files are put into their places.
    finished: bool,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct FileState {
    bytes: u64,
    rows: u64,
}

impl TableFiles {
    /// Begins to write, or goes on with an earlier run, whose captures come back too.
    pub(super) fn open(
        target: &TableTarget,
        captures: &[PathBuf],
        verb: &TablesVerb,
    ) -> Result<(TableFiles, Option<Sums>)> {
        let (folder, places) = target.places()?;
        let writing = || format!("cannot write into {}", folder.display());
        fs::create_dir_all(&folder).with_context(writing)?;
        let unfinished = folder.join(target.unfinished());
        let was_there = unfinished.is_dir();
        fs::create_dir_all(&unfinished).with_context(writing)?;
        let lock = locked(&unfinished, &target.out)?;
        let of = fingerprint(captures, target, verb);
        let before = if was_there { earlier_run(target, &unfinished, of)? } else { None };
        let is_placing = before.as_ref().is_some_and(|before| before.finished);
        if let Err(taken) = refuse_taken(&places, target.force || is_placing) {
            if !was_there {
                let _ = fs::remove_dir_all(&unfinished);
            }
            return Err(taken);
        }
        let states = before.as_ref().map_or_else(
            || vec![FileState::default(); places.len()],
            |before| before.files.clone(),
        );
        let mut files = Vec::new();
        for ((table, place), state) in target.tables.iter().zip(places).zip(states) {
            let is_placed = !unfinished.join(place.file_name().unwrap_or_default()).exists();
            if is_placing && is_placed {
                continue;
            }
            files.push(TableFile::open(*table, target.form, (place, &unfinished), state)?);
        }
        let sums = before.as_ref().map(|before| before.sums.clone());
        let progress = before.unwrap_or_else(|| Progress {
            of,
            files: Vec::new(),
            sums: Sums::new(verb.by.clone()),
            finished: false,
        });
        let mut all = TableFiles { unfinished, files, progress, _lock: lock, since_safe: 0 };
        if sums.is_none() {
            all.make_safe(&Sums::new(verb.by.clone()))?;
        }
        Ok((all, sums))
    }

    /// Writes the rows of a capture. `sums` has all captures so far, this one too.
    pub(super) fn add(&mut self, of: &TabledCapture, sums: &Sums) -> Result<()> {
        for file in &mut self.files {
            file.add(of).with_context(|| file.failed(&self.unfinished))?;
        }
        self.since_safe += 1;
        if self.since_safe == SAFE_AFTER {
            self.make_safe(sums)?;
        }
        Ok(())
    }

    /// Writes everything down, and how far that is.
    fn make_safe(&mut self, sums: &Sums) -> Result<()> {
        self.since_safe = 0;
        for file in &mut self.files {
            file.make_safe().with_context(|| file.failed(&self.unfinished))?;
        }
        self.progress.files = self.files.iter().map(|file| file.state.clone()).collect();
        self.progress.sums = sums.clone();
        let path = self.unfinished.join(PROGRESS);
        output::write(&path, &serde_json::to_vec(&self.progress)?, true)
            .with_context(|| kept(&path, &self.unfinished))
    }

    /// Puts all files into their places; returns these with their rows.
    pub(super) fn finish(mut self, sums: &Sums) -> Result<Vec<(PathBuf, u64)>> {
        if !self.progress.finished {
            self.make_safe(sums)?;
            self.progress.finished = true;
            self.make_safe(sums)?;
        }
        let mut written = Vec::new();
        for file in self.files {
            let failed = file.failed(&self.unfinished);
            written.push(file.finish().context(failed)?);
        }
        let _ = fs::remove_dir_all(&self.unfinished);
        Ok(written)
    }
}

impl TableFile {
    fn open(
        table: TableName,
        form: TableForm,
        (place, unfinished): (PathBuf, &Path),
        state: FileState,
    ) -> Result<TableFile> {
        let path = unfinished.join(place.file_name().unwrap_or_default());
        let context = || format!("cannot write {}", path.display());
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&path)
            .with_context(context)?;
        // What was written after everything was safe is written again.
        file.set_len(state.bytes).with_context(context)?;
        file.seek(SeekFrom::Start(state.bytes)).with_context(context)?;
        let columns: Vec<_> = table.columns_of_many().collect();
        let (rows, head) = match form {
            TableForm::Csv => (Rows::Csv(columns.clone()), csv_head(&columns).into_bytes()),
            TableForm::Jsonl => (Rows::Jsonl(columns), Vec::new()),
            TableForm::Arrow | TableForm::Parquet => {
                let (batches, head) = Batches::begin(BatchBuilder::new(table, columns))?;
                (Rows::Batches(Box::new(batches)), head)
            }
        };
        let file = BufWriter::new(file);
        let mut opened = TableFile { table, form, place, path, file, rows, state };
        if opened.state.bytes == 0 {
            opened.write(&head).with_context(|| opened.failed(unfinished))?;
        }
        Ok(opened)
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.state.bytes += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    fn add(&mut self, of: &TabledCapture) -> Result<()> {
        let rows = of.count(self.table);
        self.state.rows += rows as u64;
        let cell = |row| move |column: &&'static Column| column.cell(of, row);
        let mut lines = String::new();
        match &mut self.rows {
            Rows::Csv(columns) => {
                (0..rows).for_each(|row| lines += &csv_line(columns.iter().map(cell(row))));
            }
            Rows::Jsonl(columns) => {
                (0..rows)
                    .for_each(|row| lines += &json_line(columns, columns.iter().map(cell(row))));
            }
            Rows::Batches(batches) => {
                batches.rows.add(of, |_| true);
                return if batches.rows.rows() >= BATCH_ROWS { self.end_batch() } else { Ok(()) };
            }
        }
        Ok(self.write(lines.as_bytes())?)
    }

    fn end_batch(&mut self) -> Result<()> {
        let Rows::Batches(batches) = &mut self.rows else { return Ok(()) };
        if batches.rows.rows() > 0 {
            let bytes = batches.end()?;
            self.write(&bytes)?;
        }
        Ok(())
    }

    fn make_safe(&mut self) -> Result<()> {
        self.end_batch()?;
        self.file.flush()?;
        Ok(self.file.get_ref().sync_data()?)
    }

    /// Puts it into its place; returns that and its rows.
    fn finish(mut self) -> Result<(PathBuf, u64)> {
        self.file.flush()?;
        self.file.get_ref().sync_data()?;
        drop(self.file);
        match self.rows {
            Rows::Batches(_) => columnar::place(&self.path, self.form, &self.place)?,
            Rows::Csv(_) | Rows::Jsonl(_) => fs::rename(&self.path, &self.place)?,
        }
        Ok((self.place, self.state.rows))
    }

    fn failed(&self, unfinished: &Path) -> String {
        kept(&self.place, unfinished)
    }
}

/// What is said when a file cannot be written.
fn kept(file: &Path, unfinished: &Path) -> String {
    format!(
        "cannot write {}; what was done is kept in {}, and --resume goes on with it",
        file.display(),
        unfinished.display()
    )
}

/// Locks the folder, as two runs would write into one another.
fn locked(unfinished: &Path, out: &Path) -> Result<LockedFile> {
    let path = unfinished.join(LOCK);
    let cannot = || format!("cannot write {}", path.display());
    let lock = OpenOptions::new().create(true).append(true).open(&path).with_context(cannot)?;
    LockedFile::new(lock).with_context(|| {
        format!("another run is writing into {}; wait for it, or name another one", out.display())
    })
}

/// How far an earlier run came; `None` where it did not come so far as to say so.
fn progress(unfinished: &Path) -> Result<Option<Progress>> {
    let path = unfinished.join(PROGRESS);
    if !path.exists() {
        return Ok(None);
    }
    let text = files::read_text(&path, MAX_PROGRESS_LEN)?;
    let broken = || format!("{} is not what a run wrote; --force begins anew", path.display());
    serde_json::from_str(&text).with_context(broken).map(Some)
}

/// The run that was ended before it was done, where this one goes on with it.
fn earlier_run(target: &TableTarget, unfinished: &Path, of: u64) -> Result<Option<Progress>> {
    let out = target.out.display();
    match progress(unfinished)? {
        Some(before) if target.resume => {
            ensure!(
                before.of == of,
                "the run that was ended in {out} had other captures or other options; give the same \
                 again, or --force without --resume to begin anew"
            );
            Ok(Some(before))
        }
        Some(_) if !target.force => bail!(
            "a run into {out} was ended before it was done; --resume goes on with it, --force begins anew"
        ),
        _ => Ok(None),
    }
}

/// Fails where files cannot be put, because of what is there.
fn refuse_taken(places: &[PathBuf], may_replace: bool) -> Result<()> {
    if let Some(odd) = places.iter().find(|place| place.exists() && !place.is_file()) {
        bail!("{} is not a plain file; name another place to write to", odd.display());
    }
    match places.iter().find(|place| place.exists() && !may_replace) {
        Some(there) => bail!("{} exists already; use --force to replace it", there.display()),
        None => Ok(()),
    }
}

/// A number that tells runs apart: by their captures with lengths and times, and by how they are read.
fn fingerprint(captures: &[PathBuf], target: &TableTarget, verb: &TablesVerb) -> u64 {
    let mut hasher = DefaultHasher::new();
    for capture in captures {
        capture.hash(&mut hasher);
        let about = fs::metadata(capture).ok();
        about.map(|about| (about.len(), about.modified().ok())).hash(&mut hasher);
    }
    let TablesVerb { options, by, fail_if, .. } = verb;
    let how = format!("{options:?} {by:?} {fail_if:?} {:?} {:?}", target.form, target.tables);
    (env!("CARGO_PKG_VERSION"), how).hash(&mut hasher);
    hasher.finish()
}
