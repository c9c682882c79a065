//! A table's Arrow file as a Parquet file.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context, Result};
use arrow_ipc::reader::FileReader;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

/// Writes the Arrow file at `path` anew as a Parquet file, compressed with zstd.
pub(super) fn convert(path: &Path) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".converted");
    let converted = path.with_file_name(name);
    let reader = FileReader::try_new(BufReader::new(File::open(path)?), None)?;
    let compression = Compression::ZSTD(Default::default());
    let properties = WriterProperties::builder().set_compression(compression).build();
    let out = File::create(&converted)?;
    let mut writer = ArrowWriter::try_new(out, reader.schema(), Some(properties))?;
    for batch in reader {
        writer.write(&batch?)?;
    }
    writer.into_inner()?.sync_data()?;
    fs::rename(&converted, path).context("the Parquet file could not be put into its place")
}
