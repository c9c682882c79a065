//! The files that a what-if writes beside its answer: the audio that would have been heard, and the
//! counterfactual session as a capture.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::WhatIfVerb;
use crate::app::audio::{AudioForm, Sound};
use crate::app::part::SessionPart;
use crate::app::peek::sync_marker_of;
use crate::capture::{Body, Header, Record, SyncMarker, Writer};
use crate::edge::output::{self, OutputFile};
use crate::engine::{Engine, Options};
use crate::parse::Misuse;
use crate::review::SessionFollower;
use crate::scenario::Tier;
use crate::scenario::answer::ScenarioAnswer;
use crate::scenario::derive::{Counterfactual, Deriver};
use crate::time::{Nanos, Offset};

/// Files that will be written.
pub(super) struct Derived {
    audio: Option<(PathBuf, OutputFile)>,
    capture: Option<(PathBuf, OutputFile)>,
}

/// The metadata that mark a capture as derived.
pub(super) struct Marks {
    metadata: Vec<(&'static str, String)>,
}

impl Marks {
    /// The marks of an answer from the capture at `path`.
    pub fn of(
        path: &Path,
        part: SessionPart,
        verb: &WhatIfVerb,
        answer: &ScenarioAnswer,
    ) -> Result<Marks> {
        let source = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let mut metadata = vec![
            ("derived_from", source),
            ("scenario", verb.scenario.brief().to_string()),
            ("tier", serde_json::to_string(&answer.tier)?.trim_matches('"').to_owned()),
            ("seed", verb.scenario.seed.to_string()),
        ];
        if !part.is_whole() {
            let moment = |at: Option<Offset>| at.map_or(String::new(), |at| at.to_string());
            metadata.push(("part", format!("{}..{}", moment(part.from), moment(part.to))));
        }
        if answer.tier == Tier::Model {
            metadata.push(("members", verb.members.max(1).to_string()));
            metadata.push((
                "content",
                "an approximation: the recorded loop's audio where the model puts slices"
                    .to_owned(),
            ));
        }
        Ok(Marks { metadata })
    }

    fn mark(&self, header: &mut Header, source: SyncMarker) {
        header.software = concat!("lagtape ", env!("CARGO_PKG_VERSION")).to_owned();
        let marks = self.metadata.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
        header.metadata.extend(marks);
        header.metadata.insert("source_sync".to_owned(), hex(source));
    }

    /// The marker of the derived capture: the same question to the same capture gives the same.
    fn sync_marker(&self, source: SyncMarker) -> SyncMarker {
        let marks = self.metadata.iter().map(|(key, value)| format!("{key}={value}\n"));
        SyncMarker::derive(format!("{}\n{}", hex(source), marks.collect::<String>()).as_bytes())
    }
}

fn hex(marker: SyncMarker) -> String {
    marker.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Derived {
    /// Creates the files that were asked for before any work begins; `None` when there are none.
    pub fn create(path: &Path, verb: &WhatIfVerb) -> Result<Option<Derived>> {
        let outputs = verb.audio.iter().chain(&verb.capture);
        outputs.into_iter().try_for_each(|out| output::refuse_input(path, out))?;
        let output = |path: &Option<PathBuf>| match path {
            Some(path) => OutputFile::create(path, verb.force).map(|out| Some((path.clone(), out))),
            None => Ok(None),
        };
        verb.audio.iter().try_for_each(|audio| AudioForm::of(audio).map(drop))?;
        if verb.audio.is_some() && verb.audio == verb.capture {
            bail!(Misuse::new("audio and capture cannot be the same file; name two"));
        }
        let derived = Derived { audio: output(&verb.audio)?, capture: output(&verb.capture)? };
        Ok((derived.audio.is_some() || derived.capture.is_some()).then_some(derived))
    }

    /// Tells `story` of a part of the capture at `path`, up to `end`.
    pub fn write(
        self,
        path: &Path,
        part: SessionPart,
        story: &Counterfactual,
        end: Nanos,
        marks: &Marks,
    ) -> Result<()> {
        let source = sync_marker_of(path)?;
        let sync_marker = marks.sync_marker(source);
        let mut sink = self.capture.map(|(name, output)| Sink::new(name, output, sync_marker));
        let mark = |header: &mut Header| marks.mark(header, source);
        let mut put = |record: &Record<'_>| sink.iter_mut().for_each(|sink| sink.put(record));
        let (next_seq, sound) =
            tell((path, part), story, end, self.audio.is_some(), &mark, &mut put)?;
        // The audio may be unknown; then no file is written at all.
        if let (Some((name, output)), Some(sound)) = (self.audio, sound) {
            sound?.write(output, &name, AudioForm::of(&name)?)?;
        }
        sink.map_or(Ok(()), |sink| sink.finish(next_seq, end))
    }
}

/// What is heard in `story` of a part of the capture at `path`, up to `end`.
pub(super) fn sound_of(
    path: &Path,
    part: SessionPart,
    story: &Counterfactual,
    end: Nanos,
) -> Result<Sound> {
    let (_, sound) = tell((path, part), story, end, true, &|_| (), &mut |_| ())?;
    sound.expect("it was asked for")
}

/// Tells a story, record by record, and listens to it if it is to be heard. Leaves the number of the
/// next record.
fn tell(
    (path, part): (&Path, SessionPart),
    story: &Counterfactual,
    end: Nanos,
    is_heard: bool,
    mark: &dyn Fn(&mut Header),
    put: &mut dyn FnMut(&Record<'_>),
) -> Result<(u64, Option<Result<Sound>>)> {
    let mut engine = Engine::new(Options {
        headers_only: !is_heard,
        tracker_bound: Some(1),
        ..Options::default()
    });
    let mut follower = is_heard.then(|| SessionFollower::new(None));
    let mut out = |record: &Record<'_>| {
        if let Some(follower) = &mut follower {
            follower.before(&engine, record);
            engine.handle(record);
        }
        put(record);
    };
    let mut deriver = Deriver::new(story, mark, &mut out)?;
    part.each_record(path, |record| deriver.handle(record))?;
    let next_seq = deriver.finish(end);
    let sound = follower.map(|follower| match follower.end(&engine, end) {
        Some(heard) => Sound::by_clock(path, &engine, heard, None),
        None => Sound::of(path, &engine, None),
    });
    Ok((next_seq, sound))
}

/// A capture that is being written; its first error is kept until the end.
struct Sink {
    name: PathBuf,
    output: OutputFile,
    writer: Writer,
    bytes: Vec<u8>,
    written: io::Result<()>,
}

impl Sink {
    fn new(name: PathBuf, mut output: OutputFile, marker: SyncMarker) -> Sink {
        let writer = Writer::new(marker);
        let mut bytes = Vec::new();
        writer.begin(&mut bytes);
        let written = output.writer().write_all(&bytes);
        bytes.clear();
        Sink { name, output, writer, bytes, written }
    }

    fn put(&mut self, record: &Record<'_>) {
        self.writer.write(record, &mut self.bytes);
        if self.written.is_ok() {
            self.written = self.output.writer().write_all(&self.bytes);
        }
        self.bytes.clear();
    }

    fn finish(mut self, seq: u64, end: Nanos) -> Result<()> {
        let body = Body::End(self.writer.end(Some("what-if".to_owned())));
        self.put(&Record { seq, t: end, conn: 0, body });
        self.written.with_context(|| format!("cannot write {}", self.name.display()))?;
        self.output.finish()
    }
}
