//! Errors as exceptions that name the file, and where it is damaged the byte.

use std::path::Path;

use lagtape::capture::ReadError;
use lagtape::review::ReviewError;
use pyo3::exceptions::{PyException, PyOSError, PyValueError};
use pyo3::prelude::*;

pyo3::create_exception!(
    lagtape,
    CaptureError,
    PyException,
    "A capture cannot be used. `path` is its file, and `offset` the byte at which it is damaged, or None."
);

/// The exception for an error, about a file where one is named.
pub fn raised(py: Python<'_>, error: &anyhow::Error, path: Option<&Path>) -> PyErr {
    let said = format!("{error:#}");
    let is_misuse = lagtape::app::Outcome::of_error(error) == lagtape::app::Outcome::Usage;
    if is_misuse {
        return PyValueError::new_err(said);
    }
    if let Some(io) = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>())
        && let Some(code) = io.raw_os_error()
    {
        let file = path.map(|path| path.display().to_string());
        return PyOSError::new_err((code, said, file));
    }
    let Some(path) = path else { return CaptureError::new_err(said) };
    let offset = match error.chain().find_map(read_error) {
        Some(ReadError::Damaged { offset, .. }) => Some(*offset),
        Some(ReadError::NotACapture { .. } | ReadError::ForeignVersion { .. }) => Some(0),
        _ => None,
    };
    about(py, path, offset, said)
}

/// The error of reading a capture that a cause is, or that a replay stopped at.
fn read_error<'a>(cause: &'a (dyn std::error::Error + 'static)) -> Option<&'a ReadError> {
    match cause.downcast_ref::<ReviewError>() {
        Some(ReviewError::Read(error)) => Some(error),
        _ => cause.downcast_ref::<ReadError>(),
    }
}

/// The exception about a place in a capture.
pub fn about(py: Python<'_>, path: &Path, offset: Option<u64>, said: String) -> PyErr {
    let error = CaptureError::new_err(said);
    let value = error.value(py);
    // An exception takes any attribute.
    let _ = value.setattr("path", path);
    let _ = value.setattr("offset", offset);
    error
}
