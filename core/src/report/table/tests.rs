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
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/FLEET.md");
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
    #[cfg(feature = "arrow")]
    for table in all() {
        let mut rows = BatchBuilder::new(table, table.columns_of_many().collect());
        rows.add(&of, |_| true);
        let batch = rows.take().unwrap();
        assert_eq!((batch.num_rows(), rows.rows()), (of.count(table), 0));
        assert_eq!(batch.schema(), *rows.schema());
    }
    let cell = |name: &str| TableName::Captures.chosen(&[name.to_owned()]).unwrap()[0].cell(&of, 0);
    assert_eq!(cell("verdict"), Cell::Word("unreadable".to_owned()));
    assert_eq!((cell("file_bytes"), cell("bad_s")), (Cell::Whole(3), Cell::Unknown));
    let unknown = TableName::Ticks.chosen(&["lead_s".to_owned()]).unwrap_err().to_string();
    assert!(unknown.contains("its columns are capture, t_s, seq"), "{unknown}");
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
