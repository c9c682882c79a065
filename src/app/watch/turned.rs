//! The wind tunnel of a live page: any combination of knobs, asked of a session that is over.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use crate::app::recording;
use crate::parse::Misuse;
use crate::report::json_text;
use crate::report::page::tunnel::Setting;
use crate::review::{PageRequest, ask_options, curve_step_s};
use crate::scenario::Scenario;
use crate::scenario::answer::Recording;
use crate::scenario::knobs::Knob;
use crate::sweep::answer_all;
use crate::sweep::axis::{Axis, points};

/// Answers what knobs would have done together.
pub(super) struct Turned {
    verb: PageRequest,
    /// The session that was asked last, which is read once while somebody drags a slider.
    last: Mutex<Option<(u64, Recording)>>,
}

impl Turned {
    /// As `verb` computes the wind tunnel.
    pub fn new(verb: PageRequest) -> Turned {
        Turned { verb, last: Mutex::default() }
    }

    /// What these knobs with their values, in their units, would have done to the session of that
    /// number: a [`Setting`] in JSON.
    pub fn turn(&self, number: u64, path: &Path, knobs: &Map<String, Value>) -> Result<String> {
        let axes = knobs.iter().map(|(name, value)| {
            let knob = Knob::named(name)?;
            let is_none = || Misuse(format!("the value of {name} is no number"));
            let value = value.as_f64().with_context(is_none)?;
            anyhow::Ok(Axis { knob, values: vec![value], step: None })
        });
        let axes = axes.collect::<Result<Vec<_>>>()?;
        let points = points(&Scenario::default(), &axes)?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_none_or(|(known, _)| *known != number) {
            *last = Some((number, recording::read(path, true)?));
        }
        let (_, recording) = last.as_ref().context("the session was not read")?;
        let columns = recording.columns();
        let at_s = columns.report_at.seconds_since(columns.origin);
        let runs = self.verb.tunnel.of(at_s).unwrap_or(1);
        let options = ask_options(&self.verb, runs, curve_step_s(at_s));
        options.report.check(at_s)?;
        let prepared = [(0, recording.prepare(options))];
        let go_on = |_, _| ControlFlow::Continue(());
        let rows = answer_all(&prepared, &points, self.verb.threads, &go_on)?;
        let row = rows.iter().flatten().next().context("there is no answer")?;
        Ok(json_text(&Setting::given("", row, at_s)))
    }
}
