//! Tables as files of columns, Arrow's and Parquet's. Batches are written as a stream of Arrow's, which can
//! be gone on with, and become the file when all of them are there: both formats end with the places of
//! all batches, and their writers cannot go on with a file that another run began.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

use anyhow::{Error, Result};
use arrow_array::RecordBatchReader;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::{FileWriter, StreamWriter};
use arrow_schema::ArrowError;

use crate::report::table::{BatchBuilder, TableForm};

/// The batches of a table on their way into a stream.
pub(super) struct Batches {
    pub rows: BatchBuilder,
    stream: StreamWriter<Vec<u8>>,
}

impl Batches {
    /// Begins a stream; returns the bytes at its beginning too.
    pub fn begin(rows: BatchBuilder) -> Result<(Batches, Vec<u8>)> {
        let mut stream = StreamWriter::try_new(Vec::new(), rows.schema())?;
        let head = std::mem::take(stream.get_mut());
        Ok((Batches { rows, stream }, head))
    }

    /// The rows so far as a batch of the stream.
    pub fn end(&mut self) -> Result<Vec<u8>> {
        self.stream.write(&self.rows.take()?)?;
        Ok(std::mem::take(self.stream.get_mut()))
    }
}

/// Makes the file of the stream at `path` and puts it into its place.
pub(super) fn place(path: &Path, form: TableForm, place: &Path) -> Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".whole");
    let whole = path.with_file_name(name);
    if let Err(error) = write(path, form, &whole) {
        // It would take room that the next try needs.
        let _ = fs::remove_file(&whole);
        return Err(error);
    }
    fs::rename(&whole, place)?;
    Ok(fs::remove_file(path)?)
}

fn write(path: &Path, form: TableForm, whole: &Path) -> Result<()> {
    let stream = StreamReader::try_new(BufReader::new(File::open(path)?), None)?;
    let out = BufWriter::new(File::create(whole)?);
    let out = match form {
        TableForm::Parquet => parquet(stream, out)?,
        _ => arrow(stream, out).map_err(cause)?,
    };
    Ok(out.into_inner().map_err(|error| error.into_error())?.sync_data()?)
}

/// Arrow's file format, also called Feather.
fn arrow<W: Write>(stream: impl RecordBatchReader, out: W) -> Result<W, ArrowError> {
    let mut writer = FileWriter::try_new(out, &stream.schema())?;
    for batch in stream {
        writer.write(&batch?)?;
    }
    writer.into_inner()
}

#[cfg(feature = "parquet")]
fn parquet<W: Write + Send>(stream: impl RecordBatchReader, out: W) -> Result<W> {
    use parquet::arrow::ArrowWriter;
    use parquet::basic::Compression;
    use parquet::file::properties::WriterProperties;

    let compression = Compression::ZSTD(Default::default());
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut writer = ArrowWriter::try_new(out, stream.schema(), Some(properties))?;
    for batch in stream {
        writer.write(&batch.map_err(cause)?)?;
    }
    Ok(writer.into_inner()?)
}

#[cfg(not(feature = "parquet"))]
fn parquet<W: Write>(_: impl RecordBatchReader, _: W) -> Result<W> {
    anyhow::bail!(crate::parse::Misuse::new("this lagtape was built without the feature parquet"))
}

/// What the system says, where it is the system that does not go along.
fn cause(error: ArrowError) -> Error {
    match error {
        ArrowError::IoError(_, error) => error.into(),
        error => error.into(),
    }
}
