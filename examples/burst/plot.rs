//! The picture: objects that wait, over time, a line for each run.

use std::fmt::Write;

use crate::report::Report;
use crate::scenario::Shape;
use crate::words::{duration, number};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 380.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 56.0;

/// A line has at most so many points: more cannot be seen.
const POINTS: usize = 300;

/// Colours that colour-blind readers can distinguish, for a light and a dark page.
const STYLE: &str = "\
text { font: 13px system-ui, sans-serif; fill: #24292f } .title { font-weight: 600; font-size: 14px }
.grid { stroke: #8c959f; stroke-opacity: .35 } .axis { stroke: #57606a } .line { fill: none; stroke-width: 2.2 }
.Direct { stroke: #b35900 } .Queue { stroke: #0550ae } .EventBridge { stroke: #116329; stroke-dasharray: 7 5 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .axis { stroke: #9198a1 }
.Direct { stroke: #ffa657 } .Queue { stroke: #79c0ff } .EventBridge { stroke: #7ee787 } }";

/// Draws the runs as SVG.
pub fn svg(runs: &[Report]) -> String {
    let longest = runs.iter().map(|run| run.drained_seconds).fold(1.0, f64::max);
    let most = runs.iter().flat_map(|run| &run.waiting_over_time).map(|(_, waiting)| *waiting).max().unwrap_or(1);
    let (unit, seconds) = if longest > 7_200.0 { ("hours", 3_600.0) } else { ("minutes", 60.0) };
    let across = Axis::new(longest / seconds, LEFT, WIDTH - RIGHT);
    let up = Axis::new(most as f64, HEIGHT - BOTTOM, TOP);
    let mut svg = String::new();
    let title = runs.first().map_or_else(String::new, |run| {
        format!(
            "{} uploads in {}, a plan of {} requests a minute",
            number(u64::from(run.scenario.objects)),
            duration(run.scenario.upload().as_secs_f64()),
            number(u64::from(run.scenario.rpm.get()))
        )
    });
    let _ = writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="Objects that wait over time: {title}">"#
    );
    let _ = writeln!(svg, "<style>{STYLE}</style>");
    let _ = writeln!(svg, r#"<text class="title" x="{LEFT}" y="20">{title}</text>"#);
    axes(&mut svg, &across, &up, unit);
    for (place, run) in runs.iter().enumerate() {
        legend(&mut svg, place, run.scenario.shape);
        let points: Vec<String> = thinned(&run.waiting_over_time, run.drained_seconds)
            .map(|(time, waiting)| format!("{:.1},{:.1}", across.place(time / seconds), up.place(waiting as f64)))
            .collect();
        let class = run.scenario.shape.name();
        let _ = writeln!(svg, r#"<polyline class="line {class}" points="{}"/>"#, points.join(" "));
    }
    svg.push_str("</svg>\n");
    svg
}

fn axes(svg: &mut String, across: &Axis, up: &Axis, unit: &str) {
    let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
    for tick in up.ticks() {
        let y = up.place(tick);
        let _ = writeln!(svg, r#"<line class="grid" x1="{LEFT}" y1="{y:.1}" x2="{right}" y2="{y:.1}"/>"#);
        let (x, y, label) = (LEFT - 8.0, y + 4.0, number(tick as u64));
        let _ = writeln!(svg, r#"<text x="{x}" y="{y:.1}" text-anchor="end">{label}</text>"#);
    }
    for tick in across.ticks() {
        let (x, y) = (across.place(tick), bottom + 18.0);
        let _ = writeln!(svg, r#"<line class="axis" x1="{x:.1}" y1="{bottom}" x2="{x:.1}" y2="{}"/>"#, bottom + 4.0);
        let _ = writeln!(svg, r#"<text x="{x:.1}" y="{y}" text-anchor="middle">{tick}</text>"#);
    }
    let _ = writeln!(svg, r#"<path class="axis" fill="none" d="M{LEFT} {TOP}V{bottom}H{right}"/>"#);
    let (middle, low) = ((LEFT + right) / 2.0, HEIGHT - 14.0);
    let _ = writeln!(svg, r#"<text x="{middle}" y="{low}" text-anchor="middle">{unit} since the first upload</text>"#);
    let _ = writeln!(svg, r#"<text x="{LEFT}" y="{}">objects that wait</text>"#, TOP - 14.0);
}

fn legend(svg: &mut String, place: usize, shape: Shape) {
    let (name, y) = (shape.name(), TOP + 20.0 + 20.0 * place as f64);
    let x = WIDTH - RIGHT - 130.0;
    let _ = writeln!(svg, r#"<line class="line {name}" x1="{x}" y1="{y}" x2="{}" y2="{y}"/>"#, x + 28.0);
    let _ = writeln!(svg, r#"<text x="{}" y="{}">{name}</text>"#, x + 36.0, y + 4.0);
}

/// Every so many points, and the first of those at the end where all is done.
fn thinned(points: &[(f64, usize)], end: f64) -> impl Iterator<Item = (f64, usize)> + '_ {
    let shown = points.iter().take_while(|(time, _)| *time <= end).count() + 1;
    let shown = shown.min(points.len());
    let step = shown.div_ceil(POINTS).max(1);
    points[..shown]
        .iter()
        .enumerate()
        .filter(move |(place, _)| place % step == 0 || place + 1 == shown)
        .map(|(_, point)| *point)
}

/// An axis from zero.
struct Axis {
    step: f64,
    end: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn new(most: f64, from: f64, to: f64) -> Self {
        let rough = most.max(f64::MIN_POSITIVE) / 6.0;
        let power = 10_f64.powf(rough.log10().floor()).max(1.0);
        let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| rough <= factor * power).unwrap_or(10.0);
        let step = factor * power;
        Self { step, end: (most / step).ceil().max(1.0) * step, from, to }
    }

    fn place(&self, value: f64) -> f64 {
        self.from + (self.to - self.from) * value / self.end
    }

    fn ticks(&self) -> impl Iterator<Item = f64> + '_ {
        (0..=(self.end / self.step).round() as u32).map(|tick| f64::from(tick) * self.step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_a_few_round_ticks_and_holds_the_largest_value() {
        for most in [1.0, 7.0, 19.3, 98_765.0, 1e6] {
            let axis = Axis::new(most, 0.0, 100.0);
            let ticks: Vec<f64> = axis.ticks().collect();
            assert!((2..=8).contains(&ticks.len()), "{most}: {ticks:?}");
            assert!(axis.place(most) <= 100.0, "{most}");
        }
    }

    #[test]
    fn thinning_keeps_the_first_point_and_the_end() {
        let points: Vec<_> = (0..10_000).map(|second| (f64::from(second), 10_000 - second as usize)).collect();
        let thin: Vec<_> = thinned(&points, 9_999.0).collect();
        assert!(thin.len() <= POINTS + 1);
        assert_eq!((thin.first(), thin.last()), (points.first(), points.last()));
    }
}
