//! Regions that a client asks for by position, and whether they come.

use super::pace::{PaceSum, Step};
use crate::diagnosis::class::Class;
use crate::diagnosis::suspect::Suspect;
use crate::diagnosis::view::{AskedRow, SliceRow, Stretch, View, folded};

/// A region that was asked for begins this close to where it was asked for, in seconds: half a step of the
/// grid on which servers decode.
const PLACED_WITHIN_S: f64 = 0.021;
/// One that lies so far from where slices usually land did not come there by itself, in seconds.
const ELSEWHERE_S: f64 = 0.3;
/// A region that has not come by then does not come, in seconds: 256 KiB on a link of 100 KB/s take 2.6 s,
/// and a server sheds what has waited for 2 s.
const COMES_WITHIN_S: f64 = 5.0;
/// On a link with room it comes within this time, in seconds: a tick or two, and a way each.
const PROMPT_S: f64 = 0.35;
/// So many did not come, at least, and this share of all.
const LOST: usize = 3;
const LOST_SHARE: f64 = 0.1;
/// Slices are shed where fewer come than this share of the usual.
const CAME: f64 = 0.95;

/// A client asks, some of it comes, and some never does, while slices are shed.
pub fn suspect(view: &View, paces: &[Step]) -> Option<Suspect> {
    let asked = requests(view);
    let came: Vec<Option<&SliceRow>> = asked.iter().map(|it| answer(view, it)).collect();
    // What comes in its order says of all before it that they will not.
    let mut answered = asked.iter().zip(&came).filter(|(_, came)| came.is_some());
    let answered_to_s = answered.next_back().map_or(0.0, |(asked, _)| asked.t_s);
    let is_over = |it: &AskedRow| it.t_s < answered_to_s || it.t_s + COMES_WITHIN_S <= view.to_s;
    let over = || asked.iter().zip(&came).filter(|(asked, _)| is_over(asked));
    let lost: Vec<&AskedRow> =
        over().filter(|(_, came)| came.is_none()).map(|(asked, _)| asked).collect();
    // A server that knows nothing of such requests answers none.
    let is_known = came.iter().flatten().any(|slice| is_elsewhere(view, slice));
    let count = over().count();
    if !is_known || lost.len() < LOST || (lost.len() as f64) < LOST_SHARE * count as f64 {
        return None;
    }
    let (first, last) = (lost.first()?, lost.last()?);
    // Before it sheds, what is asked for comes later and later.
    let is_prompt = |asked: &AskedRow, came: &Option<&SliceRow>| {
        came.is_some_and(|slice| slice.t_s - asked.t_s < PROMPT_S)
    };
    let before = asked.iter().zip(&came).rev().skip_while(|(asked, _)| asked.t_s >= first.t_s);
    let waits = before.take_while(|(asked, came)| !is_prompt(asked, came));
    let stretch = Stretch {
        from_s: waits.last().map_or(first.t_s, |(asked, _)| asked.t_s),
        to_s: (last.t_s + COMES_WITHIN_S).min(view.to_s).max(answered_to_s),
    };
    let within: Vec<Step> =
        paces.iter().copied().filter(|it| it.at.overlap_s(&stretch) > 0.25).collect();
    let sum = PaceSum::of(&within);
    let share = sum.slice_share(view);
    if share > CAME {
        return None;
    }
    let sentence = format!(
        "{} of {count} regions that the client asked for by position never came, the first at {:.1} s, \
         while {:.0} % of the usual slices did: the server sheds them like any other slice.",
        lost.len(),
        first.start_s,
        share * 100.0
    );
    let figures = [("asked", count as f64), ("lost", lost.len() as f64)];
    let shed = [("came_share", share), ("generated_share", sum.generation_share(view))];
    Some(
        Suspect::new(Class::AnchoredShed, stretch, 0.95, sentence)
            .link("The link is slower than the stream", &[("bytes_per_s", sum.bytes_per_s())], [])
            .link("The server sheds slices", &shed, [])
            .link(
                "Regions that were asked for are among them",
                &figures,
                lost.iter().map(|it| it.seq),
            )
            .apart(Class::BandwidthDeficit, "what is missing was asked for, and is not sent again")
            .apart(Class::RawSourceNeverCovered, "other regions of the same buffer came"),
    )
}

/// What was asked for, without what is asked for again before it came.
fn requests(view: &View) -> Vec<AskedRow> {
    let mut requests: Vec<AskedRow> = Vec::new();
    for &asked in &view.asked {
        let is_pending = |it: &&AskedRow| {
            it.start_s == asked.start_s
                && answer(view, it).is_none_or(|slice| slice.t_s > asked.t_s)
        };
        let recent = requests.iter().rev().take_while(|it| it.t_s + COMES_WITHIN_S > asked.t_s);
        if recent.into_iter().find(is_pending).is_none() {
            requests.push(asked);
        }
    }
    requests
}

/// The slice that brings what was asked for.
fn answer<'a>(view: &'a View, asked: &AskedRow) -> Option<&'a SliceRow> {
    let loop_s = view.loop_s(asked.t_s);
    let start_s = asked.start_s.rem_euclid(loop_s.max(f64::MIN_POSITIVE));
    let while_s = Stretch { from_s: asked.t_s, to_s: asked.t_s + COMES_WITHIN_S };
    view.slices_in(while_s).iter().find(|slice| {
        // A window that would reach beyond the loop's end is put in front of it.
        let at_s = start_s.min((loop_s - slice.window_s).max(0.0));
        folded(slice.start_s - at_s, loop_s).abs() <= PLACED_WITHIN_S
    })
}

/// Whether a slice lies elsewhere than the server places by itself.
fn is_elsewhere(view: &View, slice: &SliceRow) -> bool {
    (slice.lead_s - view.usual.lead_s).abs() > ELSEWHERE_S
}
