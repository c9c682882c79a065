//! Draws the panels on any backend of plotters.

use std::sync::LazyLock;

use ab_glyph::FontRef;
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use super::letters::Lettered;
use super::{Extents, Plot, PlotError};

/// Height of the image in pixels.
pub const HEIGHT: u32 = 820;

/// The family under which the bundled font is known; SVG viewers put their own for it.
const FONT: &str = "sans-serif";
const TITLE_HEIGHT: u32 = 52;
/// Heights of the four panels, in parts of what is left below the title.
const PANELS: [u32; 4] = [27, 22, 30, 21];
/// Height of the bar of a cause, which is read when the picture is a thumbnail, and of its name.
const CAUSE_HEIGHT: u32 = 26;
const CAUSE_TEXT: i32 = 19;
/// From the top of a bar to that of its name, whose letters then stand in the middle.
const CAUSE_DROP: i32 = 4;
/// Pixels that a letter of such a name takes, about.
const CAUSE_LETTER: i32 = 11;
/// Pixels left and right of the time axis.
const LEFT: i32 = 52;
const RIGHT: i32 = 18;
/// Room between the highest value and the edge of a panel, as a share of its range.
const HEADROOM: f64 = 0.08;

/// Pixels of a panel that one label of the time axis, or of a mark, takes.
const LABEL_WIDTH: u32 = 70;

const GOOD: RGBColor = RGBColor(31, 119, 180);
const BAD: RGBColor = RGBColor(214, 39, 40);
const OTHER: RGBColor = RGBColor(255, 127, 14);

/// The colours that follow the background.
struct Paper {
    ground: RGBColor,
    ink: RGBColor,
    faint: RGBColor,
    lag: RGBColor,
    rest: RGBColor,
    grey: RGBColor,
}

const LIGHT: Paper = Paper {
    ground: WHITE,
    ink: RGBColor(40, 44, 52),
    faint: RGBColor(222, 225, 230),
    lag: RGBColor(255, 226, 222),
    rest: RGBColor(238, 240, 243),
    grey: RGBColor(150, 155, 165),
};

const DARK: Paper = Paper {
    ground: RGBColor(24, 26, 31),
    ink: RGBColor(222, 225, 230),
    faint: RGBColor(58, 62, 70),
    lag: RGBColor(84, 36, 36),
    rest: RGBColor(40, 43, 50),
    grey: RGBColor(130, 135, 145),
};

fn paper(plot: &Plot) -> &'static Paper {
    if plot.style.dark { &DARK } else { &LIGHT }
}

const FONT_FILE: &[u8] = include_bytes!("../../../assets/DejaVuSans-subset.ttf");

/// Whether plotters knows the font, which it asks for the room that labels take.
static REGISTERED: LazyLock<bool> =
    LazyLock::new(|| register_font(FONT, FontStyle::Normal, FONT_FILE).is_ok());

/// The font of all text in pixels.
pub(super) fn font() -> Result<FontRef<'static>, PlotError> {
    FontRef::try_from_slice(FONT_FILE).map_err(failed)
}

type Area<'a, B> = DrawingArea<B, Shift>;
type Panel<'a, 'b, B> = ChartContext<'a, B, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Drawn = Result<(), PlotError>;

/// Draws into RGB pixels.
pub fn pixels(plot: &Plot) -> Result<Vec<u8>, PlotError> {
    let width = plot.style.width;
    let mut rgb = vec![255; width as usize * HEIGHT as usize * 3];
    let backend = BitMapBackend::with_buffer(&mut rgb, (width, HEIGHT));
    draw(plot, &Lettered::new(backend, font()?).into_drawing_area())?;
    Ok(rgb)
}

/// Draws as SVG.
pub fn svg(plot: &Plot) -> Result<String, PlotError> {
    let mut text = String::new();
    draw(
        plot,
        &SVGBackend::with_string(&mut text, (plot.style.width, HEIGHT)).into_drawing_area(),
    )?;
    Ok(text)
}

fn draw<B: DrawingBackend>(plot: &Plot, root: &Area<'_, B>) -> Drawn {
    if !*REGISTERED {
        return Err(PlotError("the bundled font is damaged".to_owned()));
    }
    root.fill(&paper(plot).ground).map_err(failed)?;
    let (head, body) = root.split_vertically(TITLE_HEIGHT);
    title(plot, &head)?;
    let causes_height = CAUSE_HEIGHT * plot.causes.len() as u32;
    let (strip, body) = body.split_vertically(causes_height);
    causes(plot, &strip)?;
    let parts: u32 = PANELS.iter().sum();
    let height = HEIGHT - TITLE_HEIGHT - causes_height;
    let mut breaks = Vec::new();
    let mut below = 0;
    for part in &PANELS[..3] {
        below += height * part / parts;
        breaks.push(below as i32);
    }
    let areas = body.split_by_breakpoints([] as [i32; 0], breaks);
    lead(plot, &areas[0])?;
    staleness(plot, &areas[1])?;
    positions(plot, &areas[2])?;
    cadence(plot, &areas[3])?;
    root.present().map_err(failed)
}

fn title<B: DrawingBackend>(plot: &Plot, head: &Area<'_, B>) -> Drawn {
    let ink = &paper(plot).ink;
    let color = if plot.lag { &BAD } else { ink };
    head.draw_text(&plot.title, &text(14, ink), (14, 8)).map_err(failed)?;
    let axis = "times count from the initial buffer";
    let right = plot.style.width as i32 - 236;
    head.draw_text(axis, &text(12, ink), (right, 8)).map_err(failed)?;
    head.draw_text(&plot.verdict, &text(18, color), (14, 27)).map_err(failed)
}

/// A bar for each cause over the time at which it was at work, with its name in it or beside it.
fn causes<B: DrawingBackend>(plot: &Plot, strip: &Area<'_, B>) -> Drawn {
    let paper = paper(plot);
    for (row, cause) in (0..).zip(&plot.causes) {
        let place = place(plot, cause.from_s, cause.to_s, cause.name.chars().count() as i32);
        let (top, bottom) = (row * CAUSE_HEIGHT as i32 + 2, (row + 1) * CAUSE_HEIGHT as i32 - 2);
        let color = if cause.audible { &BAD } else { &paper.grey };
        let bar = Rectangle::new([(place.from, top), (place.to, bottom)], color.filled());
        strip.draw(&bar).map_err(failed)?;
        let ink = if place.is_inside { &WHITE } else { &paper.ink };
        strip
            .draw_text(&cause.name, &text(CAUSE_TEXT, ink), (place.name, top + CAUSE_DROP))
            .map_err(failed)?;
    }
    Ok(())
}

/// Where the bar of a cause lies, and its name, in pixels.
#[derive(Debug, PartialEq, Eq)]
struct CausePlace {
    from: i32,
    to: i32,
    name: i32,
    is_inside: bool,
}

/// The name stands in the bar if it fits, else behind it, and at the end of the picture before it.
fn place(plot: &Plot, from_s: f64, to_s: f64, letters: i32) -> CausePlace {
    const GAP: i32 = 6;
    let right = plot.style.width as i32 - RIGHT;
    let x = |t_s: f64| {
        let share = (t_s - plot.begins_s) / (plot.ends_s - plot.begins_s);
        LEFT + (share.clamp(0.0, 1.0) * f64::from(right - LEFT)).round() as i32
    };
    let from = x(from_s).min(right - 3);
    let to = x(to_s).max(from + 3);
    let width = letters * CAUSE_LETTER;
    let is_inside = from + GAP + width <= to;
    let behind = to + GAP;
    let name = match (is_inside, behind + width <= right) {
        (true, _) => from + GAP,
        (false, true) => behind,
        (false, false) => (from - GAP - width).max(LEFT),
    };
    CausePlace { from, to, name, is_inside }
}

fn lead<B: DrawingBackend>(plot: &Plot, area: &Area<'_, B>) -> Drawn {
    let lows = plot.ahead.0.iter().chain(&plot.behind.0).map(|(_, low, _)| *low);
    let highs = plot.ahead.0.iter().chain(&plot.behind.0).map(|(_, _, high)| *high);
    let range = with_headroom(lows.fold(0.0, f64::min), highs.fold(0.25, f64::max));
    let mut panel = panel(plot, area, "lead of slices, s  (below 0: behind the listener)", range)?;
    level(&mut panel, plot, 0.0, &paper(plot).ink)?;
    labels(plot, area, &panel)?;
    extents(&mut panel, &plot.ahead, &GOOD)?;
    extents(&mut panel, &plot.behind, &BAD)
}

fn staleness<B: DrawingBackend>(plot: &Plot, area: &Area<'_, B>) -> Drawn {
    let highest = plot.staleness.0.iter().map(|(_, _, high)| *high).fold(0.0, f64::max);
    let top = highest.max(plot.stale_threshold_s);
    let range = (0.0, with_headroom(0.0, top).1);
    let mut panel = panel(plot, area, "age of the audio heard, s", range)?;
    level(&mut panel, plot, plot.stale_threshold_s, &BAD)?;
    extents(&mut panel, &plot.staleness, &OTHER)
}

fn positions<B: DrawingBackend>(plot: &Plot, area: &Area<'_, B>) -> Drawn {
    let caption = "loop position, s  (blue: written by slices, orange: heard)";
    let mut panel = panel(plot, area, caption, (0.0, plot.loop_s))?;
    let written = plot.written.iter().map(|&(t_s, from_s, to_s)| {
        // One that wraps around the end of the loop is drawn up to the end.
        PathElement::new([(t_s, from_s), (t_s, to_s.min(plot.loop_s))], GOOD.mix(0.45).filled())
    });
    // The slices lie above the line of what is heard, which would hide those that come too late.
    extents(&mut panel, &plot.playhead, &OTHER)?;
    panel.draw_series(written).map_err(failed)?;
    Ok(())
}

fn cadence<B: DrawingBackend>(plot: &Plot, area: &Area<'_, B>) -> Drawn {
    let highest = plot.slice_rate.iter().chain(&plot.tick_rate).map(|(_, rate)| *rate);
    let range = (0.0, with_headroom(0.0, highest.fold(1.0, f64::max)).1);
    let caption = "a second  (blue: slices, grey: reports of the playhead)";
    let mut panel = panel(plot, area, caption, range)?;
    let grey = &paper(plot).grey;
    panel.draw_series(LineSeries::new(plot.tick_rate.clone(), grey)).map_err(failed)?;
    panel.draw_series(LineSeries::new(plot.slice_rate.clone(), &GOOD)).map_err(failed)?;
    Ok(())
}

/// Axes, grid, the spells of lag behind them, and a caption.
fn panel<'a, 'b, B: DrawingBackend>(
    plot: &Plot,
    area: &'b Area<'a, B>,
    caption: &str,
    (low, high): (f64, f64),
) -> Result<Panel<'b, 'a, B>, PlotError> {
    let mut panel = ChartBuilder::on(area)
        .margin_left(6)
        .margin_right(18)
        .margin_top(22)
        .x_label_area_size(22)
        .y_label_area_size(46)
        .build_cartesian_2d(plot.begins_s..plot.ends_s, low..high)
        .map_err(failed)?;
    let paper = paper(plot);
    let length_s = plot.ends_s - plot.begins_s;
    let span = |from_s: f64, to_s: f64, color: RGBColor| {
        let (from_s, to_s) = (from_s.max(plot.begins_s), to_s.max(from_s + length_s / 400.0));
        Rectangle::new([(from_s, low), (to_s.min(plot.ends_s), high)], color.filled())
    };
    let rests = plot.rests.iter().map(|&(from_s, to_s, _)| span(from_s, to_s, paper.rest));
    panel.draw_series(rests).map_err(failed)?;
    let episodes = plot.episodes.iter().map(|&(from_s, to_s)| span(from_s, to_s, paper.lag));
    panel.draw_series(episodes).map_err(failed)?;
    panel
        .configure_mesh()
        .max_light_lines(0)
        .bold_line_style(paper.faint)
        .axis_style(paper.faint)
        .x_labels((plot.style.width / LABEL_WIDTH) as usize)
        .x_label_formatter(&|t_s| clock(*t_s, length_s))
        .y_labels(5)
        .label_style(text(12, &paper.ink))
        .draw()
        .map_err(failed)?;
    let shown = plot.marks.iter().filter(|(t_s, _)| is_shown(plot, *t_s));
    let marks = shown
        .map(|(t_s, _)| PathElement::new([(*t_s, low), (*t_s, high)], paper.grey.stroke_width(1)));
    panel.draw_series(marks).map_err(failed)?;
    area.draw_text(caption, &text(13, &paper.ink), (52, 4)).map_err(failed)?;
    Ok(panel)
}

fn is_shown(plot: &Plot, t_s: f64) -> bool {
    (plot.begins_s..=plot.ends_s).contains(&t_s)
}

/// What the marks and the spans of rest are, where there is room between them.
fn labels<B: DrawingBackend>(plot: &Plot, area: &Area<'_, B>, panel: &Panel<'_, '_, B>) -> Drawn {
    let paper = paper(plot);
    let rests = plot.rests.iter().map(|(from_s, _, what)| (from_s.max(plot.begins_s), *what));
    let marks = plot.marks.iter().map(|(t_s, what)| (*t_s, what.as_str()));
    let mut named: Vec<_> = rests.chain(marks).collect();
    named.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (origin, _) = area.get_base_pixel();
    let last = area.dim_in_pixel().0 as i32;
    let mut free = i32::MIN;
    for (t_s, what) in named {
        let width = 7 * what.chars().count() as i32;
        let (x, y) = panel.backend_coord(&(t_s, panel.y_range().end));
        let (x, y) = ((x - origin + 3).min(last - width), y - area.get_base_pixel().1 + 2);
        if x < free || !is_shown(plot, t_s) {
            continue;
        }
        area.draw_text(what, &text(11, &paper.ink), (x, y)).map_err(failed)?;
        free = x + width;
    }
    Ok(())
}

/// A time on the axis of a session of this length: in seconds, from ten minutes on with minutes, and from
/// two hours on with hours.
fn clock(t_s: f64, length_s: f64) -> String {
    if length_s < 600.0 {
        let digits = usize::from(length_s < 10.0);
        return format!("{t_s:.digits$}").replace('-', "−");
    }
    let (sign, whole) = (if t_s < 0.0 { "−" } else { "" }, t_s.abs().round() as u64);
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    match length_s < 7200.0 {
        true => format!("{sign}{}:{seconds:02}", hours * 60 + minutes),
        false => format!("{sign}{hours}:{minutes:02} h"),
    }
}

/// A horizontal line.
fn level<B: DrawingBackend>(
    panel: &mut Panel<'_, '_, B>,
    plot: &Plot,
    at: f64,
    color: &RGBColor,
) -> Drawn {
    let line = [(plot.begins_s, at), (plot.ends_s, at)];
    panel.draw_series(LineSeries::new(line, color)).map_err(failed)?;
    Ok(())
}

/// Each column's values as a small bar.
fn extents<B: DrawingBackend>(
    panel: &mut Panel<'_, '_, B>,
    extents: &Extents,
    color: &RGBColor,
) -> Drawn {
    let (_, pixels) = panel.plotting_area().dim_in_pixel();
    let range = panel.y_range();
    let least = (range.end - range.start) / f64::from(pixels.max(1));
    let bars = extents.0.iter().map(|&(t_s, low, high)| {
        let high = high.max(low + 1.5 * least);
        PathElement::new([(t_s, low), (t_s, high)], color.stroke_width(2))
    });
    panel.draw_series(bars).map_err(failed)?;
    Ok(())
}

fn with_headroom(low: f64, high: f64) -> (f64, f64) {
    let room = (high - low).max(0.1) * HEADROOM;
    (if low < 0.0 { low - room } else { low }, high + room)
}

pub(super) fn text(size: i32, color: &RGBColor) -> TextStyle<'static> {
    (FONT, size).into_font().color(color)
}

fn failed(error: impl std::fmt::Display) -> PlotError {
    PlotError(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_long_as_the_session_is() {
        let check = |t_s, length_s, expected| assert_eq!(clock(t_s, length_s), expected);
        check(2.5, 7.0, "2.5");
        check(-1.0, 60.0, "−1");
        check(125.0, 300.0, "125");
        check(125.0, 1200.0, "2:05");
        check(5400.0, 7000.0, "90:00");
        check(5400.0, 30_000.0, "1:30 h");
    }
}
