//! A session on a full screen of text: the verdict, what was found, lead and age of the last seconds,
//! cadences, the last events. State in, buffer out; nothing here knows a terminal.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Borders, Chart, Dataset, GraphType, Paragraph, Wrap};

use crate::lag::DEFAULT_STALE_THRESHOLD_S;
use crate::report::Analysis;
use crate::report::page::{LiveEvent, LiveTail};
use crate::report::text::{Figure, OneLine, headline, opening};

/// Smallest terminal that shows everything, in columns and rows.
pub const SMALLEST: (u16, u16) = (60, 20);
/// Findings that are shown; more are counted.
const MOST_FINDINGS: usize = 3;

/// What there is to see.
#[derive(Debug, Default)]
pub struct ScreenView<'a> {
    /// Which of how many sessions it is, from 1 on.
    pub place: (usize, usize),
    pub is_live: bool,
    /// `None` while there is no session.
    pub session: Option<(&'a Analysis, &'a LiveTail)>,
    /// Where the page is, and what else is worth a line.
    pub hint: &'a str,
}

/// Draws it.
pub fn draw(frame: &mut Frame<'_>, view: &ScreenView<'_>) {
    let area = frame.area();
    let (columns, rows) = SMALLEST;
    if area.width < columns || area.height < rows {
        let sentence = format!(
            "The terminal has {} × {} cells, and this view needs {columns} × {rows}. q leaves.",
            area.width, area.height
        );
        return frame.render_widget(Paragraph::new(sentence).wrap(Wrap { trim: true }), area);
    }
    let rows = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(8),
        Constraint::Fill(3),
        Constraint::Fill(2),
        Constraint::Length(1),
        Constraint::Length(4),
        Constraint::Length(1),
    ]);
    let [title, answer, lead, age, cadence, events, foot] = rows.areas(area);
    let keys = "q leaves · Tab next session · + − more or less time";
    frame.render_widget(Paragraph::new(format!("{keys} · {}", view.hint)).dim(), foot);
    let Some((analysis, tail)) = view.session else {
        let waiting = "Waiting for a session.";
        return frame.render_widget(Paragraph::new(waiting), answer);
    };
    frame.render_widget(title_of(view, analysis), title);
    frame.render_widget(Paragraph::new(answer_of(analysis)).wrap(Wrap { trim: false }), answer);
    lead_chart(frame, tail, lead);
    age_chart(frame, tail, age);
    frame.render_widget(Paragraph::new(cadence_of(tail)), cadence);
    let last = tail.events.iter().take(events.height.into()).rev().map(event_line);
    frame.render_widget(Paragraph::new(last.collect::<Vec<_>>()), events);
}

fn title_of(view: &ScreenView<'_>, analysis: &Analysis) -> Paragraph<'static> {
    let (place, count) = view.place;
    let state = if view.is_live { "live" } else { "over" };
    let of = if count > 1 { format!("  session {place} of {count}") } else { String::new() };
    let name = OneLine(&analysis.capture).to_string();
    let covers = format!("  {} s", Figure(analysis.report_at_s));
    Paragraph::new(format!("{name}{covers}  {state}{of}")).style(Modifier::REVERSED)
}

/// The verdict, and the worst findings.
fn answer_of(analysis: &Analysis) -> Vec<Line<'static>> {
    let colour = match analysis.verdict.lag {
        Some(true) => Style::new().fg(Color::Red).bold(),
        Some(false) => Style::new().fg(Color::Green).bold(),
        None => Style::new().bold(),
    };
    let mut lines: Vec<Line<'static>> = opening(analysis)
        .lines()
        .take(3)
        .map(|line| Line::styled(OneLine(line).to_string(), colour))
        .collect();
    let findings = &analysis.diagnosis.findings;
    for finding in findings.iter().take(MOST_FINDINGS) {
        lines.push(Line::raw(OneLine(&headline(finding)).to_string()));
    }
    if findings.len() > MOST_FINDINGS {
        lines.push(Line::raw(format!("and {} more", findings.len() - MOST_FINDINGS)));
    }
    lines
}

fn lead_chart(frame: &mut Frame<'_>, tail: &LiveTail, area: Rect) {
    let (behind, ahead): (Vec<_>, Vec<_>) = tail.leads.iter().partition(|(_, lead)| *lead < 0.0);
    let values = tail.leads.iter().map(|(_, lead)| *lead);
    let (low, high) =
        values.fold((-0.1, 0.3), |(low, high), it| (f64::min(low, it), f64::max(high, it)));
    let zero = [(tail.from_s, 0.0), (tail.to_s, 0.0)];
    let sets = vec![
        Dataset::default().marker(Marker::Dot).graph_type(GraphType::Line).data(&zero).dim(),
        Dataset::default().marker(Marker::Braille).data(&ahead).fg(Color::Cyan),
        // What is behind has a form of its own, too.
        Dataset::default().marker(Marker::Block).data(&behind).fg(Color::Red),
    ];
    let newest =
        tail.leads.first().map_or("none yet".to_owned(), |(_, it)| format!("{} s", Figure(*it)));
    chart(frame, sets, tail, (low, high), &format!("lead, newest {newest}"), area);
}

fn age_chart(frame: &mut Frame<'_>, tail: &LiveTail, area: Rect) {
    let limit_s = DEFAULT_STALE_THRESHOLD_S;
    let (stale, fresh): (Vec<_>, Vec<_>) = tail.ages.iter().partition(|(_, age)| *age > limit_s);
    let high = tail.ages.iter().map(|(_, age)| *age).fold(limit_s * 1.15, f64::max);
    let limit = [(tail.from_s, limit_s), (tail.to_s, limit_s)];
    let sets = vec![
        Dataset::default().marker(Marker::Dot).graph_type(GraphType::Line).data(&limit).dim(),
        Dataset::default().marker(Marker::Braille).data(&fresh).fg(Color::Cyan),
        Dataset::default().marker(Marker::Block).data(&stale).fg(Color::Magenta),
    ];
    let newest =
        tail.ages.first().map_or("none yet".to_owned(), |(_, it)| format!("{} s", Figure(*it)));
    let title =
        format!("age of what was heard, newest {newest}, stale above {} s", Figure(limit_s));
    chart(frame, sets, tail, (0.0, high), &title, area);
}

fn chart(
    frame: &mut Frame<'_>,
    sets: Vec<Dataset<'_>>,
    tail: &LiveTail,
    (low, high): (f64, f64),
    title: &str,
    area: Rect,
) {
    let label = |value: f64| Span::raw(format!("{} s", Figure(value)));
    let times = [label(tail.from_s), label(tail.to_s)];
    let marks: Vec<_> = match low < 0.0 {
        true => vec![label(low), label(high)],
        false => vec![label(0.0), label(high)],
    };
    let chart = Chart::new(sets)
        .block(Block::new().borders(Borders::TOP).title(title.to_owned()))
        .x_axis(Axis::default().bounds([tail.from_s, tail.to_s]).labels(times))
        .y_axis(Axis::default().bounds([low, high]).labels(marks));
    frame.render_widget(chart, area);
}

fn cadence_of(tail: &LiveTail) -> String {
    let told = |name: &str, intervals_s: &[f64]| {
        let mut sorted: Vec<f64> = intervals_s.iter().copied().filter(|it| *it > 0.0).collect();
        sorted.sort_by(f64::total_cmp);
        match (sorted.get(sorted.len() / 2), sorted.last()) {
            (Some(middle), Some(most)) => {
                format!("{name} every {:.0} ms, {:.0} at most", middle * 1e3, most * 1e3)
            }
            _ => format!("no {name}"),
        }
    };
    let slices = told("slices", &tail.slice_intervals_s);
    format!("{slices} · {}", told("reports", &tail.report_intervals_s))
}

fn event_line(event: &LiveEvent) -> Line<'static> {
    let who = ["client", "server", "recorder"].get(usize::from(event.side)).unwrap_or(&"");
    let what = format!("{} {}", event.kind, event.text);
    Line::raw(format!("{:>9.2} s  {who:<8}  {}", event.t_s, OneLine(&what)))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::app::{AnalyzeOptions, analyze};

    /// What the terminal shows, line by line.
    fn shown(size: (u16, u16), view: &ScreenView<'_>) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
        terminal.draw(|frame| draw(frame, view)).unwrap();
        let buffer = terminal.backend().buffer();
        let line = |y| (0..size.0).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..size.1).map(line).collect()
    }

    #[track_caller]
    fn check(lines: &[String], parts: &[&str]) {
        let all = lines.join("\n");
        for part in parts {
            assert!(all.contains(part), "{part} is not in\n{all}");
        }
    }

    fn tail() -> LiveTail {
        let steps = |value: fn(f64) -> f64| {
            (0..100).map(|i| (f64::from(i) / 10.0, value(f64::from(i)))).collect()
        };
        let event = LiveEvent {
            t_s: 9.5,
            side: 1,
            kind: "prompt_ack".to_owned(),
            text: "{\"type\":\"\u{1b}[31m\"}".to_owned(),
        };
        LiveTail {
            from_s: 0.0,
            to_s: 10.0,
            leads: steps(|i| 0.5 - i / 100.0),
            ages: steps(|i| i / 20.0),
            slice_intervals_s: vec![0.05, 0.05, 1.2],
            report_intervals_s: vec![0.033],
            events: vec![event],
        }
    }

    #[test]
    fn a_session_is_told_from_above_to_below() {
        let capture = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/stall.lagtape");
        let analysis = analyze(&capture, &AnalyzeOptions::default()).unwrap();
        let tail = tail();
        let session = Some((&analysis, &tail));
        let view = ScreenView { place: (2, 3), is_live: true, session, hint: "http://x/" };
        for size in [(100, 40), SMALLEST] {
            let lines = shown(size, &view);
            assert!(lines[1].starts_with("LAG"), "{lines:#?}");
            check(
                &lines,
                &["lead, newest", "age of what was heard", "slices every 50 ms, 1200 at most"],
            );
            check(&lines, &["reports every 33 ms", "server    prompt_ack", "q leaves"]);
            assert!(
                !lines.concat().contains('\u{1b}'),
                "texts of peers do not act on the terminal"
            );
        }
        let lines = shown((100, 40), &view);
        check(&lines, &["live  session 2 of 3", "http://x/", "generation-stall"]);
        // Both charts have what is fine and what is not, in forms of their own.
        let braille = |line: &String| line.chars().any(|c| ('\u{2801}'..='\u{28ff}').contains(&c));
        assert!(lines.iter().any(braille) && lines.iter().any(|line| line.contains('█')));
    }

    #[test]
    fn what_is_too_small_or_empty_says_so() {
        let lines = shown((40, 10), &ScreenView::default());
        check(&[lines.concat()], &["40 × 10", "60 × 20"]);
        let lines = shown((80, 24), &ScreenView::default());
        check(&lines, &["Waiting for a session.", "q leaves"]);
        let _ = shown((1, 1), &ScreenView::default());
    }
}
