//! What tables of many captures cost, beside reading and decoding what they are made of, and beside pandas.

use std::fs::{self, File};
use std::io::BufWriter;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use lagtape::app::{self, AnalyzeOptions, CatFilter, TableTarget, TablesVerb, tabled};
use lagtape::capture::{Records, Salvage, whole_index};
use lagtape::report::table::{GroupKeys, TableForm, TableName};

use crate::clock;
use crate::decode::Floor;
use crate::fleet::{captures, scan};
use crate::harness::{Aim, Bench, Ratio, Row, Table};
use crate::python::Peer;
use crate::recorded::{self, Woven};

/// Captures, and how many of them differ; the others are further names of the same files.
const CAPTURES: usize = 1000;
const DIFFERENT: u64 = 5;
/// Captures of a sample; each costs the same.
const OF_A_SAMPLE: usize = 20;
const SECONDS: u64 = 60;

/// The tables of this group.
pub fn run(bench: &mut Bench) -> Result<()> {
    bench.doing(&format!("simulating {DIFFERENT} captures of a minute"));
    let folder = bench.folder.path().join("tables");
    fs::create_dir(&folder)?;
    let paths = captures(&folder, CAPTURES, DIFFERENT, SECONDS)?;
    // The others are names of the same files, and get theirs with them.
    paths[..DIFFERENT as usize].iter().try_for_each(|path| add_checkpoints(path))?;
    let some = &paths[..OF_A_SAMPLE];
    let mut floors = Vec::new();
    for path in &paths[..DIFFERENT as usize] {
        floors.push(Floor::new(recorded::binaries(&fs::read(path)?)?)?);
    }
    let peer = pandas(bench, &paths[..DIFFERENT as usize])?;
    let quick = AnalyzeOptions { quick: true, ..AnalyzeOptions::default() };
    let full = AnalyzeOptions::default();
    let rows_of = |options: &AnalyzeOptions| {
        let tables = [TableName::Captures, TableName::Episodes, TableName::Findings];
        some.iter()
            .map(|path| tabled(path, options, &tables).count(TableName::Captures))
            .sum::<usize>()
    };
    let rows = vec![
        Row::cpu("reading the checkpoints", OF_A_SAMPLE, || {
            some.iter().map(|path| checkpoint_rows(path)).sum::<u64>()
        }),
        Row::cpu("tables from the checkpoints", OF_A_SAMPLE, || rows_of(&quick)),
        Row::cpu("verified scan", OF_A_SAMPLE, || some.iter().map(|path| scan(path)).sum::<u64>()),
        Row::cpu("decoding", OF_A_SAMPLE, || {
            (0..OF_A_SAMPLE).for_each(|number| floors[number % DIFFERENT as usize].decode());
        }),
        Row::cpu("tables with audio", OF_A_SAMPLE, || rows_of(&full)),
        peer.row("pandas", OF_A_SAMPLE, "table"),
    ];
    let ratios = vec![
        Ratio::new("tables from the checkpoints", "reading the checkpoints", Aim::AtMost(1.5)),
        Ratio::new("tables with audio", "decoding", Aim::AtMost(1.5)),
        Ratio::new("pandas", "tables from the checkpoints", Aim::Shown),
        Ratio::new("pandas", "tables with audio", Aim::Shown),
    ];
    let title = "captures of a minute".to_owned();
    bench.measure(Table { title, unit: "capture", rows, ratios })?;
    if let Some(megabytes) = peak_of_child(&folder) {
        bench.note(&format!(
            "memory: {megabytes:.0} MB at most for the tables of {CAPTURES} captures of a minute"
        ));
    }
    Ok(())
}

/// Hands the lines of `cat --json` to pandas and compares what it makes of them with our columns.
fn pandas(bench: &Bench, paths: &[PathBuf]) -> Result<Peer> {
    let folder = bench.folder.path().join("lines");
    fs::create_dir_all(&folder)?;
    for (number, path) in paths.iter().enumerate() {
        let filter = CatFilter { json: true, ..CatFilter::default() };
        let mut out = BufWriter::new(File::create(folder.join(format!("{number}.jsonl")))?);
        app::cat(path, &filter, &mut out)?;
    }
    let times = (OF_A_SAMPLE / paths.len()).to_string();
    let peer = Peer::start("tables.py", &[folder.as_os_str(), times.as_ref()]);
    let Some(ready) = peer.ready() else { return Ok(peer) };
    for (path, theirs) in paths.iter().zip(ready["rows"].as_array().context("no rows")?) {
        let of = tabled(path, &AnalyzeOptions::default(), &[TableName::Captures]);
        for name in ["slices", "ticks", "down_bytes", "up_bytes", "slice_gap_s"] {
            let column = TableName::Captures.chosen(&[name.to_owned()])?[0];
            let (ours, theirs) = (column.cell(&of, 0), theirs[name].as_f64());
            let is_same = ours.number().zip(theirs).is_some_and(|(a, b)| (a - b).abs() < 1e-6);
            ensure!(
                is_same,
                "pandas has {theirs:?} for {name} of {}, and we {ours}",
                path.display()
            );
        }
    }
    Ok(peer)
}

/// Writes a capture as a live recording would have written it.
fn add_checkpoints(path: &Path) -> Result<()> {
    let bytes = fs::read(path)?;
    let (mut records, mut woven) = (Records::new(&bytes[..]), Woven::new());
    let mut out = Vec::new();
    while let Some(record) = records.next_record()? {
        woven.write(&record, &mut out);
    }
    Ok(fs::write(path, out)?)
}

/// Rows of the checkpoints of a file, read and inflated and nothing else.
fn checkpoint_rows(path: &Path) -> u64 {
    let mut file = File::open(path).expect("a capture that was just written");
    let mut records = Salvage::new(&file);
    records.next_record().expect("a sound capture");
    let marker = records.marker().expect("a marker");
    drop(records);
    let index = whole_index(&mut file, marker).expect("a sound file").expect("checkpoints");
    let mut count = 0;
    assert!(index.visit(&mut |_| count += 1), "rows of all checkpoints");
    count
}

/// What a process of its own needs at most, in megabytes, for the tables of all captures of a folder.
fn peak_of_child(folder: &Path) -> Option<f64> {
    let mut child = Command::new(std::env::current_exe().ok()?);
    child.arg("--tables-of").arg(folder);
    String::from_utf8(child.output().ok()?.stdout).ok()?.trim().parse().ok()
}

/// The child's part: writes tables and prints the most memory that was resident.
pub fn write_and_tell(folder: &Path) -> Result<()> {
    let files = app::with_folders(&[folder.to_owned()])?;
    let tables = TableName::ALL.to_vec();
    let target = TableTarget {
        form: TableForm::Arrow,
        out: folder.join("tables"),
        tables,
        force: true,
        resume: false,
    };
    let verb = TablesVerb {
        options: AnalyzeOptions::default(),
        threads: 0,
        files: Some(target),
        by: GroupKeys::default(),
        fail_if: None,
    };
    app::tables(&files, &verb, &mut |_| (), &mut |_, _| ControlFlow::Continue(()))?;
    println!("{}", clock::peak_megabytes().context("this system does not tell")?);
    Ok(())
}
