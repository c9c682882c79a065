//! One capture by itself: its report, its audio, its picture.

use std::path::PathBuf;

use lagtape::app::{self, AnalyzeOptions, AudioOptions, PlotForm, PlotVerb, SessionPart};
use lagtape::report::{json_text, text};
use lagtape::time::Offset;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::{about, raised};

/// A capture.
#[pyclass(frozen, module = "lagtape")]
pub struct Capture {
    #[pyo3(get)]
    path: PathBuf,
    json: String,
    text: String,
}

#[pymethods]
impl Capture {
    #[new]
    #[pyo3(signature = (path, *, strict = false, headers_only = false))]
    fn new(py: Python<'_>, path: PathBuf, strict: bool, headers_only: bool) -> PyResult<Capture> {
        let options = AnalyzeOptions { headers_only, ..AnalyzeOptions::default() };
        let analysis = py.detach(|| app::analyze(&path, &options));
        let analysis = analysis.map_err(|error| raised(py, &error, Some(&path)))?;
        py.check_signals()?;
        if let (true, Some(damage)) = (strict, &analysis.damage) {
            let said = format!("{}: {}", path.display(), damage.reason);
            return Err(about(py, &path, Some(damage.offset), said));
        }
        let (json, text) = (json_text(&analysis), text::analysis(&analysis, &[]));
        Ok(Capture { path, json, text })
    }

    /// The report as JSON, as `lagtape analyze --json` prints it.
    #[getter]
    fn json(&self) -> &str {
        &self.json
    }

    /// The report as text, as `lagtape analyze` prints it.
    #[getter]
    fn text(&self) -> &str {
        &self.text
    }

    /// A picture of it in this form, `png` or `svg`.
    #[pyo3(signature = (form = "svg"))]
    fn picture(&self, py: Python<'_>, form: &str) -> PyResult<Vec<u8>> {
        let form = if form == "png" { PlotForm::Png } else { PlotForm::Svg };
        let drawn = py.detach(|| app::plot_bytes(&self.path, form, &PlotVerb::default()));
        drawn.map(|(bytes, _)| bytes).map_err(|error| raised(py, &error, Some(&self.path)))
    }

    /// What the listener heard, or the buffer at the end.
    #[pyo3(signature = (*, buffer = false, from_s = None, to_s = None))]
    fn audio(
        &self,
        py: Python<'_>,
        buffer: bool,
        from_s: Option<f64>,
        to_s: Option<f64>,
    ) -> PyResult<Audio> {
        let moment = |s: f64| Offset((s * 1e9) as i64);
        let part = SessionPart { from: from_s.map(moment), to: to_s.map(moment), episode: None };
        let options = AudioOptions { buffer, part, ..AudioOptions::default() };
        let samples = py.detach(|| app::audio_samples(&self.path, &options));
        let samples = samples.map_err(|error| raised(py, &error, Some(&self.path)))?;
        let (samples, channels, sample_rate) = samples;
        Ok(Audio { samples, channels, sample_rate })
    }
}

/// Audio: 32-bit samples, frame after frame. `numpy.asarray(x)` has a row for each frame, without a copy.
#[pyclass(frozen, module = "lagtape")]
pub struct Audio {
    samples: Vec<f32>,
    /// Channels.
    #[pyo3(get)]
    channels: u16,
    /// Frames per second.
    #[pyo3(get)]
    sample_rate: u32,
}

#[pymethods]
impl Audio {
    /// Frames and channels.
    #[getter]
    fn shape(&self) -> (usize, usize) {
        let channels = usize::from(self.channels.max(1));
        (self.samples.len() / channels, channels)
    }

    /// NumPy's array interface: where the samples are. They live as long as this object, which an array
    /// keeps, and nothing changes them.
    #[getter]
    fn __array_interface__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let about = PyDict::new(py);
        about.set_item("version", 3)?;
        about.set_item("shape", self.shape())?;
        about.set_item("typestr", if cfg!(target_endian = "little") { "<f4" } else { ">f4" })?;
        about.set_item("data", (self.samples.as_ptr() as usize, true))?;
        Ok(about)
    }

    fn __len__(&self) -> usize {
        self.shape().0
    }

    fn __repr__(&self) -> String {
        let (frames, channels) = self.shape();
        let s = frames as f64 / f64::from(self.sample_rate.max(1));
        format!("<lagtape audio: {s:.3} s, {channels} channels, {} Hz>", self.sample_rate)
    }
}
