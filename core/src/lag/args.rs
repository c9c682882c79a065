//! What a lag report should cover, checked before it is made.

/// Staleness above which a tick counts as stale, unless a caller says otherwise.
pub const DEFAULT_STALE_THRESHOLD_S: f64 = 3.0;

/// Most rows of a timeline; at one a second more than a day.
pub const MAX_TIMELINE_ROWS: usize = 100_000;

/// What a report covers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReportArgs {
    /// How far back from the time of asking, inclusive; `None` is everything recorded.
    pub window_s: Option<f64>,
    /// A tick is stale when its staleness is above this, strictly.
    pub stale_threshold_s: f64,
    /// Length of a timeline row; `None` leaves the timeline out.
    pub timeline_step_s: Option<f64>,
}

impl Default for ReportArgs {
    fn default() -> Self {
        Self { window_s: None, stale_threshold_s: DEFAULT_STALE_THRESHOLD_S, timeline_step_s: None }
    }
}

/// Why a report cannot be asked for like this.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReportArgsError {
    /// A number of seconds is infinite or not a number.
    #[error("the {name} is {value}; give a finite number of seconds")]
    NotFinite {
        /// Which one, as a person calls it.
        name: &'static str,
        value: f64,
    },
    /// A timeline cannot go on in steps of nothing or backwards.
    #[error("the timeline step is {step_s} s; give more than 0 s")]
    StepNotPositive { step_s: f64 },
    /// The timeline would be longer than [`MAX_TIMELINE_ROWS`].
    #[error(
        "{span_s} s in steps of {step_s} s make more than {MAX_TIMELINE_ROWS} timeline rows; \
         take longer steps or a shorter window"
    )]
    TooManyRows {
        /// Seconds that the timeline would cover.
        span_s: f64,
        /// Seconds in a row.
        step_s: f64,
    },
}

impl ReportArgs {
    /// Whether this can be asked of records that reach back `span_s` seconds (0 where that is not
    /// known yet). Callers check before they report. A report that was not checked does not fail,
    /// but its timeline ends at [`MAX_TIMELINE_ROWS`] with all the rest in the last row.
    pub fn check(&self, span_s: f64) -> Result<(), ReportArgsError> {
        let seconds = [
            ("window", self.window_s),
            ("stale threshold", Some(self.stale_threshold_s)),
            ("timeline step", self.timeline_step_s),
        ];
        for (name, value) in seconds {
            if let Some(value) = value.filter(|value| !value.is_finite()) {
                return Err(ReportArgsError::NotFinite { name, value });
            }
        }
        let Some(step_s) = self.timeline_step_s else { return Ok(()) };
        if step_s <= 0.0 {
            return Err(ReportArgsError::StepNotPositive { step_s });
        }
        let span_s = self.window_s.map_or(span_s, |window_s| window_s.min(span_s));
        if span_s / step_s > MAX_TIMELINE_ROWS as f64 {
            return Err(ReportArgsError::TooManyRows { span_s, step_s });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_args(args: ReportArgs, span_s: f64, expected: Option<&str>) {
        let error = args.check(span_s).err().map(|error| error.to_string());
        assert_eq!(error.as_deref(), expected, "{args:?}");
    }

    #[test]
    fn what_may_be_asked() {
        let all = ReportArgs::default();
        let steps = |step_s| ReportArgs { timeline_step_s: Some(step_s), ..all };
        let window = |window_s| ReportArgs { window_s: Some(window_s), ..steps(0.1) };
        check_args(all, 1e9, None);
        check_args(steps(1.0), 3600.0, None);
        check_args(window(30.0), 1e9, None);
        check_args(
            ReportArgs { stale_threshold_s: f64::NAN, ..all },
            0.0,
            Some("the stale threshold is NaN; give a finite number of seconds"),
        );
        check_args(
            window(f64::INFINITY),
            0.0,
            Some("the window is inf; give a finite number of seconds"),
        );
        check_args(
            steps(f64::NAN),
            0.0,
            Some("the timeline step is NaN; give a finite number of seconds"),
        );
        check_args(steps(0.0), 0.0, Some("the timeline step is 0 s; give more than 0 s"));
        check_args(
            steps(0.001),
            3600.0,
            Some(
                "3600 s in steps of 0.001 s make more than 100000 timeline rows; \
                 take longer steps or a shorter window",
            ),
        );
    }
}
