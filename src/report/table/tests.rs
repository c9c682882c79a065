use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::*;

/// All tables, the one that answers what somebody asks too.
fn all() -> impl Iterator<Item = TableName> {
    TableName::ALL.into_iter().chain([TableName::WhatIfs])
}

#[test]
fn docs_have_every_column() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/FLEET.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, _) = text.split_once("writes it anew -->\n").unwrap();
    let mut expected = format!("{before}writes it anew -->\n");
    for table in all() {
        expected += &format!("\n`{}` has a row for {}.\n\n", table.name(), table.about());
        expected += "| column | holds | unit | meaning |\n|---|---|---|---|\n";
        for column in table.columns_of_many() {
            let holds = match column.kind {
                ColumnKind::Whole => "whole number",
                ColumnKind::Number => "number",
                ColumnKind::Truth => "truth",
                ColumnKind::Word => "word",
                ColumnKind::Wholes => "whole numbers",
            };
            let Column { name, unit, about, .. } = column;
            expected += &format!("| `{name}` | {holds} | {unit} | {about} |\n");
        }
    }
    if std::env::var_os("LAGTAPE_BLESS").is_some() {
        fs::write(&path, &expected).unwrap();
    }
    let is_same = fs::read_to_string(&path).unwrap() == expected;
    assert!(is_same, "docs/FLEET.md has other columns; LAGTAPE_BLESS=1 writes them anew");
}

#[test]
fn columns_have_names_of_their_own_that_end_in_their_units() {
    for table in all() {
        let names: BTreeSet<_> = table.columns_of_many().map(|column| column.name).collect();
        assert_eq!(names.len(), table.columns_of_many().count(), "{}", table.name());
        for Column { name, unit, .. } in table.columns() {
            let is_named = match *unit {
                "s" => name.ends_with("_s"),
                "ms" => name.ends_with("_ms"),
                "bytes/s" => name.ends_with("_bytes_per_s"),
                _ => true,
            };
            assert!(is_named, "{}.{name} is in {unit}", table.name());
        }
    }
}

#[test]
fn a_cell_is_what_its_column_says() {
    let of = TabledCapture::unreadable("x".to_owned(), Some(3), "why".to_owned());
    for table in all() {
        let columns: Vec<_> = table.columns_of_many().collect();
        let mut batch = Batch::empty(&columns);
        batch.add(&of, table, &columns, |_| true);
        assert_eq!(batch.rows, of.count(table));
    }
    let cell = |name: &str| TableName::Captures.chosen(&[name.to_owned()]).unwrap()[0].cell(&of, 0);
    assert_eq!(cell("verdict"), Cell::Word("unreadable".to_owned()));
    assert_eq!((cell("file_bytes"), cell("bad_s")), (Cell::Whole(3), Cell::Unknown));
    let unknown = TableName::Ticks.chosen(&["lead_s".to_owned()]).unwrap_err().to_string();
    assert!(unknown.contains("its columns are capture, t_s, seq"), "{unknown}");
}

#[test]
fn an_arrow_file_says_where_its_batches_are() {
    let of = TabledCapture::unreadable("x".to_owned(), None, "why".to_owned());
    let columns: Vec<_> = TableName::Captures.columns_of_many().collect();
    let file = ArrowFile::new(TableName::Captures, &columns);
    let (mut bytes, mut blocks) = (file.begin(), Vec::new());
    for _ in 0..3 {
        let mut batch = Batch::empty(&columns);
        batch.add(&of, TableName::Captures, &columns, |_| true);
        let (more, block) = file.batch(bytes.len() as u64, &batch);
        assert_eq!(more.len() as u64, block.head + block.body);
        bytes.extend(more);
        blocks.push(block);
    }
    for block in &blocks {
        assert!(block.offset.is_multiple_of(64) && block.head.is_multiple_of(64));
        let at = block.offset as usize;
        assert_eq!(bytes[at..at + 4], [0xFF; 4]);
        let described = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap());
        assert_eq!(u64::from(described) + 8, block.head);
    }
    let end = file.end(&blocks);
    let tail = end.len() - 10;
    let footer = u32::from_le_bytes(end[tail..tail + 4].try_into().unwrap()) as usize;
    assert_eq!((footer + 18, &end[tail + 4..]), (end.len(), &b"ARROW1"[..]));
}

#[test]
fn groups_keep_the_worst_and_make_room_for_others() {
    let mut groups = GroupedCaptures::new("capture,verdict".parse().unwrap_or_default());
    assert!("nothing".parse::<GroupKeys>().is_err());
    for number in 0..7 {
        groups.add(&TabledCapture::unreadable(format!("{number}"), None, "why".to_owned()));
    }
    assert_eq!((groups.captures(), groups.worst_captures().len()), (7, 5));
    assert_eq!(groups.worst_captures()[0].capture, "0");
    assert!(grouped_text(&groups).starts_with("7 captures: 7 unreadable"));
}
