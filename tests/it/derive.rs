//! Counterfactual sessions as captures and as audio: what they say is what the answer said.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use lagtape::app::{
    self, AnalyzeOptions, AudioOptions, CatFilter, CutOptions, SimulateVerb, WhatIfVerb, what_if,
};
use lagtape::capture::{
    Body, ClientKind, Direction, Gap, Kind, Message, Opcode, Record, Records, Salvage, SyncMarker,
    Writer,
};
use lagtape::lag::ReportArgs;
use lagtape::peer::client::Dialect;
use lagtape::peer::client_model::ClientModel;
use lagtape::scenario::advice::Wording;
use lagtape::scenario::{Scenario, Tier, parse};
use lagtape::time::Span;
use lagtape::wire::slice::HEADER_LEN;
use tempfile::TempDir;

use crate::golden;

const BUNDLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/captures/stall.lagtape");

struct Bench {
    folder: TempDir,
}

impl Bench {
    fn new() -> Self {
        Bench { folder: TempDir::new().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn simulated(&self, incident: &str, ops: &[&str]) -> PathBuf {
        let out = self.path(&format!("{incident}.lagtape"));
        let verb = SimulateVerb {
            trouble: incident.parse().unwrap(),
            seed: 3,
            run_for: Span(12_000_000_000),
            family: lagtape::family::Family::Acestep,
            loop_s: 10.0,
            channels: 2,
            client: ClientModel::Lagtape,
            params_hz: None,
            dialect: Some(Dialect::Modern),
            rate: None,
            script: ops.iter().map(|op| op.parse().unwrap()).collect(),
            out: out.clone(),
            force: true,
        };
        app::simulate(&verb).unwrap();
        out
    }

    /// The capture with other records.
    fn rewritten(
        &self,
        capture: &Path,
        change: impl Fn(Record<'_>, &mut dyn FnMut(Record<'_>)),
    ) -> PathBuf {
        let out = self.path("rewritten.lagtape");
        let mut writer = Writer::new(SyncMarker([7; 8]));
        let mut bytes = Vec::new();
        writer.begin(&mut bytes);
        let mut records = Records::new(File::open(capture).unwrap());
        while let Some(record) = records.next_record().unwrap() {
            change(record, &mut |record| writer.write(&record, &mut bytes));
        }
        fs::write(&out, bytes).unwrap();
        out
    }
}

/// A scenario from words as they are typed: `rate=1.01`, or an op.
fn verb(said: &[&str]) -> WhatIfVerb {
    let mut verb = WhatIfVerb { members: 8, force: true, ..WhatIfVerb::default() };
    for word in said {
        match word.split_once('=') {
            _ if *word == "open-loop" => verb.open_loop = true,
            Some((key, value)) if !key.contains(':') => {
                parse::assign(&mut verb.scenario, key, value).unwrap();
            }
            _ => parse::add_op(&mut verb.scenario, word).unwrap(),
        }
    }
    verb
}

/// The capture of a counterfactual is analysed to the report and the verdict of the answer.
#[track_caller]
fn check(bench: &Bench, capture: &Path, said: &[&str], tier: Tier) {
    let reports = [
        ReportArgs::default(),
        ReportArgs { window_s: Some(4.0), stale_threshold_s: 0.5, timeline_step_s: None },
    ];
    for report in reports {
        let out = bench.path("derived.lagtape");
        let verb = WhatIfVerb { report, capture: Some(out.clone()), ..verb(said) };
        let answer = what_if(capture, &verb).unwrap();
        assert_eq!(answer.tier, tier, "{said:?}: {}", answer.reason);
        let options = AnalyzeOptions { report, ..AnalyzeOptions::default() };
        let analysis = app::analyze(&out, &options).unwrap();
        let lag = |lag| serde_json::to_string(lag).unwrap();
        assert_eq!(lag(&answer.counterfactual.lag), lag(&analysis.lag.unwrap()), "{said:?}");
        assert_eq!(answer.counterfactual.heard, analysis.heard, "{said:?}");
        assert_eq!(answer.counterfactual.verdict, Some(analysis.verdict), "{said:?}");
        assert!(analysis.complete && analysis.damage.is_none(), "{said:?}");
        assert_eq!(analysis.decode_errors, 0, "{said:?}");
        app::cat(&out, &CatFilter { records: true, ..CatFilter::default() }, &mut Vec::new())
            .unwrap();
    }
}

const MOVES: [&[&str]; 5] = [
    &["6s:seek=2s"],
    &["rate=1.02", "skew-ppm=400", "start-offset=1s"],
    &["3s:pause", "5s:resume", "7s:rate=0.97"],
    &["replace-ops=on", "2s:seek=9s", "2100ms:seek=1s"],
    &["6500ms:seek=1s", "4s:seek=3s"],
];

#[test]
fn moved_listeners_are_told_in_the_open_loop() {
    let bench = Bench::new();
    let recorded = bench.simulated("seek-lead-runaway", &["4s:pause", "4500ms:resume"]);
    for capture in [&recorded, Path::new(BUNDLED)] {
        check(&bench, capture, &[], Tier::Exact);
        for said in MOVES {
            let tier = Tier::Horizon;
            check(&bench, capture, &[said, &["open-loop"]].concat(), tier);
        }
    }
}

/// What begins in the middle of a session is told from there, on top of the state that it begins with.
#[test]
fn captures_from_the_middle_are_told() {
    let bench = Bench::new();
    let recorded = bench.simulated("stall", &["2s:seek=5s", "3s:rate=0.9", "4s:pause"]);
    let capture = bench.path("from-the-middle.lagtape");
    let options = CutOptions { from: Some("4.2s".parse().unwrap()), ..CutOptions::default() };
    app::cut(&recorded, &capture, &options).unwrap();
    check(&bench, &capture, &[], Tier::Exact);
    let moves: [&[&str]; 3] = [
        &["5s:resume", "6s:seek=2s"],
        &["skew-ppm=400", "start-offset=1s", "4300ms:resume"],
        &["rate=1.02", "4200ms:seek=9s", "5s:resume"],
    ];
    for said in moves {
        check(&bench, &capture, &[said, &["open-loop"]].concat(), Tier::Horizon);
    }
    let healthy = bench.simulated("healthy", &["2s:seek=5s", "3s:rate=1.01"]);
    let part = bench.path("healthy-from-the-middle.lagtape");
    app::cut(&healthy, &part, &options).unwrap();
    let modelled: [&[&str]; 3] =
        [&["5s:seek=2s", "6s:pause"], &["lead-floor=0.6", "skew-ppm=300"], &["5s:down=250KB/s"]];
    for said in modelled {
        check(&bench, &part, said, Tier::Model);
    }
    let error = what_if(&capture, &verb(&["2s:seek=1s"])).unwrap_err();
    let told = format!("{error:#}");
    assert!(told.contains("begins 4.20 s") && told.contains("nothing can happen at 2 s"), "{told}");
}

#[test]
fn runs_of_the_model_are_told() {
    let bench = Bench::new();
    let recorded = bench.simulated("healthy", &["2s:seek=5s", "3s:rate=1.01"]);
    for said in MOVES {
        check(&bench, &recorded, said, Tier::Model);
    }
    let closed: [&[&str]; 5] = [
        &["lead-floor=0.6"],
        &["params-hz=13", "acks=off", "5s:seek=1s"],
        &["down=150KB/s", "latency=40ms"],
        &["tick-factor=2", "handles-every=0.5"],
        &["apply-delay=50ms", "3s:down=300KB/s"],
    ];
    for said in closed {
        check(&bench, &recorded, said, Tier::Model);
    }
}

/// A foreign client's playhead is known from its reports alone, so they have to be told anew.
#[test]
fn foreign_clients_are_told_by_their_reports() {
    let bench = Bench::new();
    let recorded = bench.simulated("healthy", &[]);
    let foreign = bench.rewritten(&recorded, |mut record, put| {
        if let Body::Header(header) = &mut record.body {
            header.client = ClientKind::Foreign;
        }
        put(record);
    });
    check(&bench, &foreign, &[], Tier::Exact);
    for said in
        [&["6s:seek=2s"][..], &["3s:pause", "5s:resume"], &["rate=1.02"], &["lead-floor=0.6"]]
    {
        check(&bench, &foreign, said, Tier::Model);
    }
    let again = bench.path("again.lagtape");
    fs::rename(bench.path("derived.lagtape"), &again).unwrap();
    check(&bench, &again, &[], Tier::Exact);
}

/// Where only lengths and headers of slices were kept, the story has headers too.
#[test]
fn gaps_stand_for_the_numbers_that_are_missing() {
    let bench = Bench::new();
    let recorded = bench.simulated("healthy", &[]);
    let before = std::cell::Cell::new(0);
    let with_gap = bench.rewritten(&recorded, |mut record, put| {
        if record.kind() == Kind::Checkpoint {
            return;
        }
        if before.get() == 0 && record.t.seconds() > 8.0 {
            before.set(record.seq);
            let gap = Gap { first_seq: record.seq, count: 5, ..Gap::default() };
            put(Record { seq: record.seq + 5, body: Body::Gap(gap), ..record });
        }
        record.seq += if before.get() > 0 { 6 } else { 0 };
        put(record);
    });
    let out = bench.path("derived.lagtape");
    what_if(&with_gap, &WhatIfVerb { capture: Some(out.clone()), ..verb(&["2s:seek=5s"]) })
        .unwrap();
    let mut records = Salvage::new(File::open(&out).unwrap());
    let (mut last, mut gaps) = (0, 0);
    while let Some(record) = records.next_record().unwrap() {
        if let Body::Gap(gap) = &record.body {
            gaps += 1;
            assert!(record.seq > before.get() + 5, "an op stands before it");
            assert_eq!((gap.first_seq, gap.count, record.seq), (last + 1, 5, last + 6));
        }
        last = record.seq;
    }
    assert_eq!(gaps, 1);
    assert!(records.losses().is_empty(), "{:?}", records.losses());
}

#[test]
fn captures_without_payloads_are_told_without_audio() {
    let bench = Bench::new();
    let recorded = bench.simulated("healthy", &[]);
    let bare = bench.rewritten(&recorded, |mut record, put| {
        if let Body::Message(message) = &mut record.body
            && message.opcode == Opcode::Binary
            && message.direction == Direction::ServerToClient
        {
            let kept = HEADER_LEN.min(message.payload.len());
            let (payload, whole_len) = (&message.payload[..kept], Some(message.len()));
            *message = Message { payload, whole_len, ..*message };
        }
        put(record);
    });
    check(&bench, &bare, &["lead-floor=0.5"], Tier::Model);
    check(&bench, &bare, &["6s:seek=2s", "open-loop"], Tier::Horizon);
    let audio = bench.path("heard.wav");
    let verb = WhatIfVerb { audio: Some(audio.clone()), ..verb(&["lead-floor=0.5"]) };
    let error = format!("{:#}", what_if(&bare, &verb).unwrap_err());
    assert!(error.contains("its payloads were left out"), "{error}");
    assert!(!audio.exists());
}

#[test]
fn golden_pairs_are_told() {
    let bench = Bench::new();
    let is_session = |path: &Path| {
        let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
        path.ends_with("session.json") && folder.to_string_lossy().starts_with("factual")
    };
    for session in golden::files("pairs", is_session) {
        let capture = bench.path("pair.lagtape");
        app::import(session.parent().unwrap(), &capture, true).unwrap();
        check(&bench, &capture, &["6s:seek=16s"], Tier::Model);
        check(&bench, &capture, &["6s:seek=16s", "open-loop"], Tier::Horizon);
    }
}

fn header(capture: &Path) -> (lagtape::capture::Header, Option<SyncMarker>) {
    let mut records = Records::new(File::open(capture).unwrap());
    let Some(Record { body: Body::Header(header), .. }) = records.next_record().unwrap() else {
        panic!("no header");
    };
    (header, records.reader().marker())
}

#[test]
fn the_header_says_what_it_is_and_the_bytes_are_always_the_same() {
    let bench = Bench::new();
    let recorded = bench.simulated("healthy", &[]);
    let derived = |name: &str, said: &[&str]| {
        let out = bench.path(name);
        what_if(&recorded, &WhatIfVerb { capture: Some(out.clone()), ..verb(said) }).unwrap();
        out
    };
    let said = ["5s:seek=2s", "lead-floor=0.4", "seed=9"];
    let (one, two) = (derived("1.lagtape", &said), derived("2.lagtape", &said));
    assert_eq!(fs::read(&one).unwrap(), fs::read(&two).unwrap());
    let (told, marker) = header(&one);
    let metadata = |key: &str| told.metadata[key].as_str();
    assert_eq!(metadata("derived_from"), "healthy.lagtape");
    assert_eq!(metadata("simulated"), "healthy");
    assert_eq!((metadata("tier"), metadata("members")), ("model", "8"));
    assert!(metadata("content").starts_with("an approximation"));
    let scenario: Scenario = serde_json::from_str(metadata("scenario")).unwrap();
    assert_eq!(scenario, verb(&said).scenario);
    let other = derived("3.lagtape", &["5s:seek=2s", "lead-floor=0.4"]);
    assert_ne!(header(&other).1, marker);
    assert_ne!(header(&recorded).1, marker);
}

#[test]
fn audio_is_that_of_the_told_capture() {
    let bench = Bench::new();
    let recorded = bench.simulated("healthy", &[]);
    let heard = |capture: &Path| {
        let out = bench.path("heard.wav");
        let options = AudioOptions { force: true, ..AudioOptions::default() };
        app::audio(capture, &out, &options).unwrap();
        fs::read(out).unwrap()
    };
    let would_be = |said: &[&str]| {
        let (audio, capture) = (bench.path("would.wav"), bench.path("would.lagtape"));
        // One run of the model has reports just when they were.
        let outputs = WhatIfVerb {
            members: 1,
            audio: Some(audio.clone()),
            capture: Some(capture.clone()),
            ..verb(said)
        };
        what_if(&recorded, &outputs).unwrap();
        let audio = fs::read(audio).unwrap();
        assert_eq!(audio, heard(&capture), "{said:?}");
        audio
    };
    let factual = heard(&recorded);
    assert_eq!(would_be(&[]), factual);
    // A generation that takes as long as it took.
    assert_eq!(would_be(&["tick-factor=1"]), factual, "the model repeats this recording");
    let paused = would_be(&["3s:pause", "5s:resume", "open-loop"]);
    // A pause is silence, and has a label of its own.
    assert!(factual.len().abs_diff(paused.len()) < 1_000, "{} {}", factual.len(), paused.len());
    // Nothing moves before the seek.
    let sought = would_be(&["6s:seek=2s"]);
    let until_seek = 5 * 48_000 * 2 * size_of::<f32>();
    assert_eq!(sought[100..until_seek], factual[100..until_seek]);
    assert_ne!(sought[until_seek..], factual[until_seek..]);
}

#[test]
fn what_cannot_be_told() {
    let bench = Bench::new();
    let out = bench.path("out.lagtape");
    let asked = WhatIfVerb { capture: Some(out.clone()), ..verb(&["quantum=4096", "open-loop"]) };
    let error = what_if(Path::new(BUNDLED), &asked).unwrap_err();
    let error = app::worded(&error, Wording::default());
    assert!(error.contains("leave quantum out"), "{error}");
    assert!(!out.exists());
    let twice = WhatIfVerb { audio: Some(out.clone()), capture: Some(out.clone()), ..verb(&[]) };
    assert!(what_if(Path::new(BUNDLED), &twice).is_err());
    fs::write(&out, "here already").unwrap();
    let kept = WhatIfVerb { capture: Some(out.clone()), force: false, ..verb(&[]) };
    let error = format!("{:#}", what_if(Path::new(BUNDLED), &kept).unwrap_err());
    assert!(error.contains("--force"), "{error}");
    assert_eq!(fs::read(&out).unwrap(), b"here already");
}
