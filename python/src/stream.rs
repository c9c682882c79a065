//! Tables of many captures as Arrow streams, through the PyCapsule interface.
//!
//! Nothing is read before the first batch is wanted, each stream begins anew, and captures are read on
//! threads of their own, a few ahead of who takes the batches.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::ffi_stream::FFI_ArrowArrayStream;
use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::ffi::FFI_ArrowSchema;
use arrow_schema::{ArrowError, SchemaRef};
use lagtape::Scenario;
use lagtape::app::{AnalyzeOptions, SessionPart, tabled_all, what_if_rows};
use lagtape::report::table::{BatchBuilder, Column, TableName, TabledCapture, arrow_schema};
use lagtape::sweep::in_order::InOrder;
use lagtape::time::Offset;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;

/// A batch has the rows of so many captures at most, …
const BATCH_CAPTURES: usize = 64;
/// … and is over with the capture that brings it to so many rows.
const BATCH_ROWS: usize = 8192;

/// A table by its name.
pub fn table(name: &str) -> PyResult<TableName> {
    let what_ifs = TableName::WhatIfs;
    if name == what_ifs.name() {
        return Ok(what_ifs);
    }
    name.parse().map_err(|error: lagtape::report::table::TableError| {
        PyValueError::new_err(error.to_string())
    })
}

/// A table of captures that an Arrow consumer reads: `pyarrow.table(x)`, `polars.DataFrame(x)`, DuckDB's
/// `from x`. Nothing is read before that, and it can be read again.
#[pyclass(frozen, module = "lagtape")]
pub struct Table {
    paths: Vec<PathBuf>,
    table: TableName,
    columns: Vec<&'static Column>,
    options: AnalyzeOptions,
    scenarios: Arc<Vec<(String, Scenario)>>,
    range_s: (f64, f64),
    threads: usize,
    progress: Option<Py<PyAny>>,
}

#[pymethods]
impl Table {
    #[new]
    #[pyo3(signature = (table, paths, columns, from_s, to_s, quick, headers_only, threads, progress, scenarios))]
    #[expect(clippy::too_many_arguments, reason = "the functions of the package give them names")]
    fn new(
        table: &str,
        paths: Vec<PathBuf>,
        columns: Vec<String>,
        from_s: Option<f64>,
        to_s: Option<f64>,
        quick: bool,
        headers_only: bool,
        threads: usize,
        progress: Option<Py<PyAny>>,
        scenarios: Vec<(String, String)>,
    ) -> PyResult<Table> {
        let table = self::table(table)?;
        let columns = table.chosen(&columns);
        let columns = columns.map_err(|error| PyValueError::new_err(error.to_string()))?;
        let read = |(name, json): (String, String)| {
            let value = serde_json::from_str(&json).map_err(|error| error.to_string());
            let scenario = value
                .and_then(|value| Scenario::from_value(&value).map_err(|error| error.to_string()));
            let wrong = |error| PyValueError::new_err(format!("scenario {name}: {error}"));
            let scenario = scenario.map_err(wrong)?;
            Ok((name, scenario))
        };
        let scenarios = scenarios.into_iter().map(read).collect::<PyResult<_>>()?;
        // Of what would have been a range is the part that is asked, of all else the rows that are wanted.
        let part = match table {
            TableName::WhatIfs => part(from_s, to_s)?,
            _ => SessionPart::default(),
        };
        Ok(Table {
            paths,
            table,
            columns,
            options: AnalyzeOptions { quick, headers_only, part, ..AnalyzeOptions::default() },
            scenarios: Arc::new(scenarios),
            range_s: (from_s.unwrap_or(f64::NEG_INFINITY), to_s.unwrap_or(f64::INFINITY)),
            threads,
            progress,
        })
    }

    /// The columns: name, unit and meaning of each.
    #[getter]
    fn columns(&self) -> Vec<(&'static str, &'static str, &'static str)> {
        self.columns.iter().map(|column| (column.name, column.unit, column.about)).collect()
    }

    /// The captures.
    #[getter]
    fn paths(&self) -> Vec<PathBuf> {
        self.paths.clone()
    }

    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        // A consumer casts what it does not get.
        drop(requested_schema);
        let batches = Box::new(self.batches(py));
        let stream = FFI_ArrowArrayStream::new(batches);
        PyCapsule::new_with_value(py, stream, c"arrow_array_stream")
    }

    fn __arrow_c_schema__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyCapsule>> {
        let schema = arrow_schema(self.table, &self.columns);
        let schema = FFI_ArrowSchema::try_from(schema.as_ref());
        let schema = schema.map_err(|error| PyValueError::new_err(error.to_string()))?;
        PyCapsule::new_with_value(py, schema, c"arrow_schema")
    }

    fn __repr__(&self) -> String {
        let columns = self.columns.len();
        format!(
            "<lagtape table {}: {} captures, {columns} columns>",
            self.table.name(),
            self.paths.len()
        )
    }
}

/// The part of a session between two moments, in seconds from its initial buffer.
fn part(from_s: Option<f64>, to_s: Option<f64>) -> PyResult<SessionPart> {
    let moment = |s: f64| match s.is_finite() {
        true => Ok(Offset((s * 1e9).round() as i64)),
        false => Err(PyValueError::new_err(format!("{s} is no moment; give seconds"))),
    };
    let (from, to) = (from_s.map(moment).transpose()?, to_s.map(moment).transpose()?);
    Ok(SessionPart { from, to, episode: None })
}

impl Table {
    fn batches(&self, py: Python<'_>) -> Batches {
        Batches {
            table: self.table,
            rows: BatchBuilder::new(self.table, self.columns.clone()),
            range_s: self.range_s,
            total: self.paths.len(),
            done: 0,
            progress: self.progress.as_ref().map(|progress| progress.clone_ref(py)),
            begun: None,
            begin: Some(Begin {
                paths: self.paths.clone(),
                options: self.options.clone(),
                scenarios: Arc::clone(&self.scenarios),
                threads: self.threads,
            }),
        }
    }
}

/// What a stream needs to begin.
struct Begin {
    paths: Vec<PathBuf>,
    options: AnalyzeOptions,
    scenarios: Arc<Vec<(String, Scenario)>>,
    threads: usize,
}

/// A stream under way.
struct Batches {
    table: TableName,
    rows: BatchBuilder,
    range_s: (f64, f64),
    total: usize,
    done: usize,
    progress: Option<Py<PyAny>>,
    begin: Option<Begin>,
    begun: Option<InOrder<TabledCapture>>,
}

impl Batches {
    fn captures(&mut self) -> Result<&mut InOrder<TabledCapture>, ArrowError> {
        if let Some(Begin { paths, options, scenarios, threads }) = self.begin.take() {
            let begun = match self.table {
                TableName::WhatIfs => {
                    let rows = move |path: &PathBuf| what_if_rows(path, options.part, &scenarios);
                    InOrder::new(paths, threads, rows)
                }
                table => tabled_all(paths, &options, &[table], threads),
            };
            self.begun = Some(begun.map_err(|error| failed(&error))?);
        }
        self.begun.as_mut().ok_or_else(|| ArrowError::CDataInterface("the stream is over".into()))
    }

    /// Tells how far it is, and hears Ctrl-C.
    fn heard(&self) -> Result<ControlFlow<()>, ArrowError> {
        let heard = Python::attach(|py| {
            py.check_signals()?;
            match &self.progress {
                Some(progress) => {
                    let goes_on = progress.call1(py, (self.done, self.total))?;
                    Ok(goes_on.bind(py).is(false.into_pyobject(py)?.as_any()))
                }
                None => PyResult::Ok(false),
            }
        });
        let is_over = heard.map_err(|error| failed(&error))?;
        Ok(if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn batch(&mut self) -> Result<Option<RecordBatch>, ArrowError> {
        let (from_s, to_s) = self.range_s;
        let mut captures = 0;
        while captures < BATCH_CAPTURES || self.rows.rows() == 0 {
            let Some(of) = self.captures()?.next() else { break };
            captures += 1;
            self.done += 1;
            self.rows.add(&of, |t_s| t_s >= from_s && t_s <= to_s);
            if self.heard()?.is_break() {
                return Err(ArrowError::ExternalError("the progress callback ended it".into()));
            }
            if self.rows.rows() >= BATCH_ROWS {
                break;
            }
        }
        match self.rows.rows() {
            0 => Ok(None),
            _ => self.rows.take().map(Some),
        }
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.batch().transpose();
        if matches!(next, None | Some(Err(_))) {
            // Whoever reads ends with an error; threads end now.
            self.done = self.total;
            self.begun = None;
            self.begin = None;
        }
        next
    }
}

impl RecordBatchReader for Batches {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.rows.schema())
    }
}

fn failed(error: &impl std::fmt::Display) -> ArrowError {
    ArrowError::ExternalError(error.to_string().into())
}
