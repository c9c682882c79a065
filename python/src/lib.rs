//! The Python module: captures as Arrow streams, one capture by itself, and the command line.
//!
//! What a table holds is said in `lagtape::report::table` and nowhere here.

mod capture;
mod error;
mod stream;

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::anyhow;
use lagtape::app;
use lagtape::report::table::{HistogramOf, TableName, edges as edges_of};
use pyo3::prelude::*;

use crate::error::raised;

/// The command line, whose first word is the name of the program; returns the exit code.
#[pyfunction]
fn main(py: Python<'_>, words: Vec<OsString>) -> u8 {
    py.detach(|| lagtape::cli::run(words).code())
}

/// The captures that names of files and folders stand for, folders below them too.
#[pyfunction]
fn captures(py: Python<'_>, paths: Vec<PathBuf>) -> PyResult<Vec<PathBuf>> {
    let found = py.detach(|| {
        let found = app::with_folders(&paths)?;
        match found.iter().find(|path| path.is_dir()) {
            Some(folder) => Err(anyhow!("there is no capture in {}", folder.display())),
            None => Ok(found),
        }
    });
    found.map_err(|error| raised(py, &error, None))
}

/// Edges of the buckets of `lead_histogram` or `staleness_histogram`, in seconds.
#[pyfunction]
fn edges(column: &str) -> PyResult<Vec<f64>> {
    match column {
        "lead_histogram" => Ok(edges_of(HistogramOf::Leads).to_vec()),
        "staleness_histogram" => Ok(edges_of(HistogramOf::Staleness).to_vec()),
        _ => Err(pyo3::exceptions::PyValueError::new_err(format!("{column} is no histogram"))),
    }
}

/// Columns of a table: name, type, unit and meaning.
#[pyfunction]
fn schema(table: &str) -> PyResult<Vec<(&'static str, String, &'static str, &'static str)>> {
    let table = stream::table(table)?;
    let about = |column: &'static lagtape::report::table::Column| {
        (column.name, format!("{:?}", column.kind).to_lowercase(), column.unit, column.about)
    };
    Ok(table.columns_of_many().map(about).collect())
}

#[pymodule]
fn _lagtape(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("TABLES", TableName::ALL.map(TableName::name).to_vec())?;
    module.add("CaptureError", module.py().get_type::<error::CaptureError>())?;
    module.add_class::<stream::Table>()?;
    module.add_class::<capture::Capture>()?;
    module.add_class::<capture::Audio>()?;
    module.add_function(wrap_pyfunction!(main, module)?)?;
    module.add_function(wrap_pyfunction!(captures, module)?)?;
    module.add_function(wrap_pyfunction!(edges, module)?)?;
    module.add_function(wrap_pyfunction!(schema, module)?)
}
