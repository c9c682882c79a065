//! Peers in Python: a child process that does what it is told and reports its own time.
//!
//! `LAGTAPE_PYTHON` names the interpreter, otherwise it is `python3`. The child answers each line
//! `NAME TIMES` with the seconds of CPU time that its thread took.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use lagtape::lag::{Figures, LagReport};
use serde_json::Value;

use crate::harness::Row;

/// A peer that is there, or why it is not.
#[derive(Clone)]
pub struct Peer(Result<Rc<RefCell<Running>>, String>);

struct Running {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    ready: Value,
}

impl Peer {
    /// Starts `peers/SCRIPT` with the arguments, and waits until it is ready.
    pub fn start(script: &str, arguments: &[&OsStr]) -> Peer {
        Peer(
            Running::start(script, arguments)
                .map(|running| Rc::new(RefCell::new(running)))
                .map_err(|error| {
                    format!("{error:#} (LAGTAPE_PYTHON names an interpreter with numpy, zstandard)")
                }),
        )
    }

    /// What the peer said when it was ready: its own results, to be compared with ours.
    pub fn ready(&self) -> Option<Value> {
        self.0.as_ref().ok().map(|running| running.borrow().ready.clone())
    }

    /// A row that the peer calls `call`.
    pub fn row<'a>(&self, name: &str, units: usize, call: &'static str) -> Row<'a> {
        match &self.0 {
            Err(reason) => Row::missing(name, reason),
            Ok(running) => {
                let running = Rc::clone(running);
                Row::child(name, units, move |times| running.borrow_mut().run(call, times))
            }
        }
    }
}

impl Running {
    fn start(script: &str, arguments: &[&OsStr]) -> Result<Running> {
        let interpreter = std::env::var_os("LAGTAPE_PYTHON").unwrap_or_else(|| "python3".into());
        let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/lagtape/peers");
        let mut child = Command::new(&interpreter)
            .arg(peers.join(script))
            .args(arguments)
            // Vectorised code is compared by the core.
            .envs(["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"].map(|name| (name, "1")))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", interpreter.display()))?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the child has no pipes");
        };
        let mut running = Running { child, to, from: BufReader::new(from), ready: Value::Null };
        running.ready = running.answer()?;
        if let Some(missing) = running.ready.get("missing") {
            bail!("{} has no {missing}", interpreter.display());
        }
        Ok(running)
    }

    fn run(&mut self, call: &str, times: u64) -> Result<f64> {
        writeln!(self.to, "{call} {times}").context("the peer is gone")?;
        self.answer()?.as_f64().context("the peer said no time")
    }

    fn answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("the peer said {line:?}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Nobody is left to hear that it was gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a peer found what we did, to the four decimals of our report.
pub fn agree(ours: &LagReport, theirs: &Value) -> bool {
    let near = |ours: Option<Figures>, key: &str| {
        let Some(Figures { min, p5, p50, p95, max, mean }) = ours else { return false };
        let theirs = |i: usize| theirs[key][i].as_f64().unwrap_or(f64::NAN);
        let figures = [min, p5, p50, p95, max, mean].into_iter().enumerate();
        figures.into_iter().all(|(i, ours)| (ours - theirs(i)).abs() < 1e-4)
    };
    near(ours.slices.lead_s, "lead_s")
        && near(ours.ticks.staleness_s, "staleness_s")
        && theirs["behind"] == ours.slices.behind_playhead
        && theirs["stale"] == ours.ticks.stale_ticks
}
