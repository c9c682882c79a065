//! The link: slices that were made in time and came late, or not at all.

use super::clock::{BEFORE_STEPS, LINK_SHARE, falls, longest_report_gap_s};
use super::generation::ends_in_backlog;
use super::load::LateSpell;
use super::pace::{PaceSum, Step, waited_s};
use crate::diagnosis::class::Class;
use crate::diagnosis::suspect::Suspect;
use crate::diagnosis::view::{Stretch, View};

/// Slices were shed when generation kept this share of its rate, …
const GENERATED: f64 = 0.8;
/// … and slices did not.
const CAME: f64 = 0.8;
/// Stretches this close to one another are one, in seconds.
const JOIN_S: f64 = 2.0;
/// A deficit lasts so long at least, in seconds: the queue that a server fills before it sheds is
/// 256 KiB, half a second of a usual stream.
const LASTS_S: f64 = 1.5;
/// What begins with the session and lasts less is its start, in seconds.
const START_LASTS_S: f64 = 5.0;
/// Slices are shed for so long, in seconds, before the server's reading is to blame: a hiccup of a busy
/// machine lasts less.
const SHED_FOR_S: f64 = 3.0;
/// Share of a stretch without a report from which on the client is at fault.
const UNREPORTED: f64 = 0.4;
/// What a server lets be on its way before it sheds, in bytes, and the time within which a link that is
/// slower has so much in its queue, in seconds.
const ROOM_BYTES: f64 = 262_144.0;
const FILLS_S: f64 = 8.0;

pub fn suspects(
    view: &View,
    paces: &[Step],
    spells: &[LateSpell],
    found: &[Suspect],
    client: &[Suspect],
    content: &[Suspect],
) -> Vec<Suspect> {
    let others = || found.iter().chain(client).chain(content).filter(|it| explains_lack(it.class));
    let mut stretches: Vec<Stretch> = Vec::new();
    let late = spells
        .iter()
        .filter(|it| !it.is_work && (!it.is_gap() || it.is_made || ends_in_backlog(view, it)));
    stretches.extend(late.map(|spell| spell.stretch));
    stretches.extend(shed(view, paces));
    let linked = falls(view, paces).into_iter().filter(|it| it.is_link(view) && !it.is_work(view));
    stretches.extend(linked.map(|fall| fall.stretch));
    stretches.retain(|it| {
        let shared = |other: &Suspect| other.stretch.overlap_s(it) > 0.5 * it.len_s();
        let is_start = it.from_s <= view.from_s + 1.0 && it.len_s() < START_LASTS_S;
        let is_known = !view.is_idle(*it) && !is_start;
        !others().any(shared) && is_known
    });
    let joined = joined(stretches);
    joined.into_iter().filter_map(|stretch| judged(view, paces, stretch)).collect()
}

/// Classes that explain slices that did not come.
fn explains_lack(class: Class) -> bool {
    matches!(
        class,
        Class::ClientBacklog
            | Class::StalePlayhead
            | Class::SeekLeadRunaway
            | Class::SlowGeneration
            | Class::VramPaging
            | Class::GpuContention
            | Class::BurstProduction
            | Class::RefitStorm
            | Class::RebuildStall
            | Class::SwapHeadOfLine
            | Class::RawSourceNeverCovered
    )
}

/// Steps in which generation went on and slices were left out.
fn shed(view: &View, paces: &[Step]) -> Vec<Stretch> {
    let is_shed = |pair: &[Step]| {
        let sum = PaceSum::of(pair);
        let is_known = view.usual.generations_per_s > 0.0 && sum.elapsed_s > 0.6;
        is_known
            && !pair.iter().any(|it| it.is_reused)
            && sum.generation_share(view) >= GENERATED
            && sum.slice_share(view) <= CAME
    };
    let pairs = paces.windows(2).filter(|pair| is_shed(pair));
    pairs.map(|pair| Stretch { from_s: pair[0].at.from_s, to_s: pair[1].at.to_s }).collect()
}

fn joined(mut stretches: Vec<Stretch>) -> Vec<Stretch> {
    stretches.sort_by(|one, two| one.from_s.total_cmp(&two.from_s));
    let mut joined: Vec<Stretch> = Vec::new();
    for stretch in stretches {
        match joined.last_mut() {
            Some(last) if stretch.from_s - last.to_s <= JOIN_S => {
                last.to_s = last.to_s.max(stretch.to_s);
            }
            _ => joined.push(stretch),
        }
    }
    joined
}

/// Slices come without having waited for as long as a link takes for what a server lets be on its way: they
/// tell of generations just finished.
fn come_fresh(view: &View, paces: &[Step], stretch: Stretch, bytes_per_s: f64) -> bool {
    let from = paces.partition_point(|it| it.at.to_s <= stretch.from_s);
    let to = paces.partition_point(|it| it.at.from_s < stretch.to_s.min(stretch.from_s + FILLS_S));
    let before = PaceSum::of(&paces[from.saturating_sub(BEFORE_STEPS)..from]);
    let is_known = (0.8..1.2).contains(&before.generation_share(view)) && before.elapsed_s > 3.0;
    let usual = view.usual.generations_per_s;
    let per_s = if is_known { before.generations / before.elapsed_s } else { usual };
    let full_s = ROOM_BYTES / bytes_per_s.max(1.0);
    // The queue of a link that is thin from the start filled before it showed.
    let is_early = stretch.from_s < view.from_s + FILLS_S;
    let filling = &paces[from.saturating_sub(if is_early { BEFORE_STEPS } else { 1 })..to];
    per_s > 0.0 && waited_s(filling, per_s) < LINK_SHARE * full_s
}

/// A stretch in which slices were missing although they were made: the link held them up, or the server
/// believed that it did.
fn judged(view: &View, paces: &[Step], stretch: Stretch) -> Option<Suspect> {
    let stretch = Stretch { to_s: stretch.to_s.min(view.to_s), ..stretch };
    if stretch.len_s() < LASTS_S {
        return None;
    }
    let within: Vec<Step> =
        paces.iter().copied().filter(|it| it.at.overlap_s(&stretch) > 0.25).collect();
    let sum = PaceSum::of(&within);
    let (share, generated) = (sum.slice_share(view), sum.generation_share(view));
    let lowest_s = within.iter().map(|it| it.lead_s).fold(f64::INFINITY, f64::min);
    let fell_s = view.usual.lead_s - lowest_s;
    let per_s = view.reports_in(stretch).len() as f64 / stretch.len_s();
    let unreported_s = longest_report_gap_s(view, stretch);
    // Whoever does not report acknowledges nothing either, and the server waits for him.
    if !view.reports.is_empty() && unreported_s >= UNREPORTED * stretch.len_s() {
        return None;
    }
    let has_reports = unreported_s < 0.5;
    let rate = sum.bytes_per_s();
    let records = view.slices_in(stretch);
    let records = [records.first(), records.last()].into_iter().flatten().map(|it| it.seq);
    let acknowledges = view.reports.iter().any(|it| it.acknowledged.is_some());
    let fresh = come_fresh(view, paces, stretch, rate);
    let has_room = fresh && acknowledges && has_reports && generated >= GENERATED;
    if has_room && stretch.len_s() < SHED_FOR_S {
        return None;
    }
    // Of a link that was thin all along nothing tells what waits for it: its own rate is the usual one. But who
    // sheds leaves out slices of all the stretch, and not of moments of it.
    let is_usual = share > CAME && stretch.from_s < view.from_s + FILLS_S;
    if has_room && !is_usual {
        let sentence = format!(
            "The server left out {:.0} % of the slices for {:.1} s although the client acknowledged them \
             {per_s:.0} times a second and none waited on its way: it reads acknowledgements late.",
            (1.0 - share) * 100.0,
            stretch.len_s()
        );
        return Some(
            Suspect::new(Class::StalePlayhead, stretch, 0.75, sentence)
                .link("Reports wait in the server's intake", &[("reports_per_s", per_s)], [])
                .link(
                    "It takes slices for unacknowledged and sheds",
                    &[("came_share", share)],
                    records,
                )
                .apart(Class::BandwidthDeficit, "no slice waited on its way")
                .apart(Class::SlowGeneration, "generations went on at their usual rate"),
        );
    }
    let confidence = if fell_s > 0.3 || generated >= GENERATED { 0.9 } else { 0.6 };
    let sentence = format!(
        "The link carried {:.0} KB/s and the stream needs more: {:.0} % of the usual slices came, leads \
         fell by {fell_s:.2} s, and ticks took their usual {:.0} ms.",
        rate / 1e3,
        share * 100.0,
        view.usual.work_s * 1e3
    );
    Some(
        Suspect::new(Class::BandwidthDeficit, stretch, confidence, sentence)
            .link("The link is slower than the stream", &[("bytes_per_s", rate)], [])
            .link(
                "Slices wait in its queue, or are shed",
                &[("came_share", share), ("generated_share", generated)],
                records,
            )
            .link("They come too late", &[("lowest_lead_s", lowest_s)], [])
            .apart(Class::SlowGeneration, "ticks and decoding took their usual time")
            .apart(Class::StalePlayhead, "fewer slices came, in step with the fall of the leads")
            .apart(Class::ClientBacklog, "the client reported at its usual cadence"),
    )
}
