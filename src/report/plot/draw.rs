//! Draws the panels on any backend of plotters.

use std::sync::LazyLock;

use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use super::{Extents, Plot, PlotError};

/// Size of the image in pixels.
pub const WIDTH: u32 = 900;
/// See [`WIDTH`].
pub const HEIGHT: u32 = 820;

/// The family under which the bundled font is known; SVG viewers put their own for it.
const FONT: &str = "sans-serif";
const TITLE_HEIGHT: u32 = 52;
/// Heights of the four panels, in parts of what is left below the title.
const PANELS: [u32; 4] = [27, 22, 30, 21];
/// Room between the highest value and the edge of a panel, as a share of its range.
const HEADROOM: f64 = 0.08;

const INK: RGBColor = RGBColor(40, 44, 52);
const FAINT: RGBColor = RGBColor(222, 225, 230);
const LAG: RGBColor = RGBColor(255, 226, 222);
const GOOD: RGBColor = RGBColor(31, 119, 180);
const BAD: RGBColor = RGBColor(214, 39, 40);
const OTHER: RGBColor = RGBColor(255, 127, 14);

static REGISTERED: LazyLock<bool> = LazyLock::new(|| {
    let font = include_bytes!("../../../assets/DejaVuSans-subset.ttf");
    register_font(FONT, FontStyle::Normal, font).is_ok()
});

type Area<'a, B> = DrawingArea<B, Shift>;
type Panel<'a, 'b, B> = ChartContext<'a, B, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Drawn = Result<(), PlotError>;

/// Draws into RGB pixels.
pub fn pixels(plot: &Plot) -> Result<Vec<u8>, PlotError> {
    let mut rgb = vec![255; WIDTH as usize * HEIGHT as usize * 3];
    let backend = BitMapBackend::with_buffer(&mut rgb, (WIDTH, HEIGHT));
    draw(plot, &backend.into_drawing_area())?;
    Ok(rgb)
}

/// Draws as SVG.
pub fn svg(plot: &Plot) -> Result<String, PlotError> {
    let mut text = String::new();
    draw(plot, &SVGBackend::with_string(&mut text, (WIDTH, HEIGHT)).into_drawing_area())?;
    Ok(text)
}

fn draw<B: DrawingBackend>(plot: &Plot, root: &Area<'_, B>) -> Drawn {
    if !*REGISTERED {
        return Err(PlotError("the bundled font is damaged".to_owned()));
    }
    root.fill(&WHITE).map_err(failed)?;
    let (head, body) = root.split_vertically(TITLE_HEIGHT);
    title(plot, &head)?;
    let parts: u32 = PANELS.iter().sum();
    let height = HEIGHT - TITLE_HEIGHT;
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
    let color = if plot.lag { &BAD } else { &INK };
    head.draw_text(&plot.title, &text(14, &INK), (14, 8)).map_err(failed)?;
    let axis = "times are seconds from the initial buffer";
    head.draw_text(axis, &text(12, &INK), (WIDTH as i32 - 272, 32)).map_err(failed)?;
    head.draw_text(&plot.verdict, &text(18, color), (14, 27)).map_err(failed)
}

fn lead<B: DrawingBackend>(plot: &Plot, area: &Area<'_, B>) -> Drawn {
    let lows = plot.ahead.0.iter().chain(&plot.behind.0).map(|(_, low, _)| *low);
    let highs = plot.ahead.0.iter().chain(&plot.behind.0).map(|(_, _, high)| *high);
    let range = with_headroom(lows.fold(0.0, f64::min), highs.fold(0.25, f64::max));
    let mut panel = panel(plot, area, "lead of slices, s  (below 0: behind the listener)", range)?;
    level(&mut panel, plot, 0.0, &INK)?;
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
    panel.draw_series(written).map_err(failed)?;
    extents(&mut panel, &plot.playhead, &OTHER)
}

fn cadence<B: DrawingBackend>(plot: &Plot, area: &Area<'_, B>) -> Drawn {
    let highest = plot.slice_rate.iter().chain(&plot.tick_rate).map(|(_, rate)| *rate);
    let range = (0.0, with_headroom(0.0, highest.fold(1.0, f64::max)).1);
    let caption = "a second  (blue: slices, grey: reports of the playhead)";
    let mut panel = panel(plot, area, caption, range)?;
    let grey = RGBColor(150, 155, 165);
    panel.draw_series(LineSeries::new(plot.tick_rate.clone(), &grey)).map_err(failed)?;
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
        .build_cartesian_2d(0.0..plot.length_s, low..high)
        .map_err(failed)?;
    let spans = plot.episodes.iter().map(|&(from_s, to_s)| {
        let to_s = to_s.max(from_s + plot.length_s / 400.0);
        Rectangle::new([(from_s, low), (to_s, high)], LAG.filled())
    });
    panel.draw_series(spans).map_err(failed)?;
    panel
        .configure_mesh()
        .max_light_lines(0)
        .bold_line_style(FAINT)
        .axis_style(FAINT)
        .x_labels(12)
        .y_labels(5)
        .label_style(text(12, &INK))
        .draw()
        .map_err(failed)?;
    area.draw_text(caption, &text(13, &INK), (52, 4)).map_err(failed)?;
    Ok(panel)
}

/// A horizontal line.
fn level<B: DrawingBackend>(
    panel: &mut Panel<'_, '_, B>,
    plot: &Plot,
    at: f64,
    color: &RGBColor,
) -> Drawn {
    let line = [(0.0, at), (plot.length_s, at)];
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

fn text(size: i32, color: &RGBColor) -> TextStyle<'static> {
    (FONT, size).into_font().color(color)
}

fn failed(error: impl std::fmt::Display) -> PlotError {
    PlotError(error.to_string())
}
