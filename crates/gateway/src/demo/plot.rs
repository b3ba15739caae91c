//! The picture of the demo: what a document costs against how often its answer is right.

use std::path::Path;

use anyhow::Context;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

/// One way of answering: its cost in US dollars per 1,000 documents, and its accuracy, 0 to 1.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub(super) name: String,
    pub(super) usd_per_thousand: f64,
    pub(super) accuracy: f64,
}

/// What the picture shows.
#[derive(Debug)]
pub(super) struct CostQuality {
    pub(super) title: String,
    /// The cascade at every share sent to the frontier, from all to none.
    pub(super) curve: Vec<(f64, f64)>,
    /// All-local, all-frontier, and the cascade as it ran.
    pub(super) points: Vec<Point>,
}

const SIZE: (u32, u32) = (840, 520);
const INK: RGBColor = RGBColor(38, 50, 56);
const CURVE: RGBColor = RGBColor(0, 121, 140);
const POINTS: [RGBColor; 3] = [
    RGBColor(120, 144, 156),
    RGBColor(209, 73, 91),
    RGBColor(0, 121, 140),
];

/// Writes the picture as SVG.
pub(super) fn write(path: &Path, plot: &CostQuality) -> anyhow::Result<()> {
    draw(path, plot).with_context(|| format!("the plot {} can't be written", path.display()))
}

fn draw(path: &Path, plot: &CostQuality) -> anyhow::Result<()> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let costs = plot.points.iter().map(|p| p.usd_per_thousand);
    let costs = costs.chain(plot.curve.iter().map(|p| p.0));
    let cost_max = costs.fold(0.0_f64, f64::max).max(1e-6) * 1.18;
    let accuracies = plot.points.iter().map(|p| p.accuracy);
    let (low, high) = accuracies
        .chain(plot.curve.iter().map(|p| p.1))
        .fold((1.0_f64, 0.0_f64), |(low, high), a| {
            (low.min(a), high.max(a))
        });
    let margin = ((high - low) * 0.25).max(0.01);
    let mut chart = ChartBuilder::on(&root)
        .caption(&plot.title, ("sans-serif", 20).into_font().color(&INK))
        .margin(18)
        .x_label_area_size(46)
        .y_label_area_size(64)
        .build_cartesian_2d(
            -cost_max * 0.02..cost_max,
            (low - margin) * 100.0..((high + margin) * 100.0).min(100.5),
        )?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.08))
        .axis_style(INK.mix(0.4))
        .label_style(("sans-serif", 14).into_font().color(&INK))
        .x_desc("frontier cost, US dollars per 1,000 documents")
        .y_desc("answers that are right, %")
        .x_label_formatter(&|usd| format!("{usd:.2}"))
        .y_label_formatter(&|percent| format!("{percent:.0}"))
        .draw()?;
    let curve = plot
        .curve
        .iter()
        .map(|&(usd, accuracy)| (usd, accuracy * 100.0));
    chart.draw_series(LineSeries::new(curve, CURVE.mix(0.55).stroke_width(2)))?;
    for (point, color) in plot.points.iter().zip(POINTS) {
        let at = (point.usd_per_thousand, point.accuracy * 100.0);
        let right_half = point.usd_per_thousand > cost_max * 0.6;
        let anchor = if right_half { HPos::Right } else { HPos::Left };
        // Right of a point the curve rises, left of one it comes down from above.
        let (side, offset) = if right_half {
            (VPos::Top, (-10, 10))
        } else {
            (VPos::Bottom, (10, -8))
        };
        let style = ("sans-serif", 15)
            .into_font()
            .color(&color)
            .pos(Pos::new(anchor, side));
        let text = format!("{} · {:.1} %", point.name, at.1);
        chart.draw_series(std::iter::once(
            EmptyElement::at(at)
                + Circle::new((0, 0), 6, color.filled())
                + Text::new(text, offset, style),
        ))?;
    }
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_is_an_svg_that_names_each_point() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plot.svg");
        let point = |name: &str, usd_per_thousand, accuracy| Point {
            name: name.into(),
            usd_per_thousand,
            accuracy,
        };
        let plot = CostQuality {
            title: "Cost against quality".into(),
            curve: vec![(0.0, 0.9), (0.1, 0.95), (0.4, 0.96)],
            points: vec![
                point("all local", 0.0, 0.9),
                point("all frontier", 0.4, 0.96),
                point("cascade", 0.1, 0.95),
            ],
        };
        write(&path, &plot).unwrap();
        let svg = std::fs::read_to_string(&path).unwrap();
        assert!(svg.starts_with("<svg"));
        for name in [
            "all local · 90.0 %",
            "all frontier · 96.0 %",
            "cascade · 95.0 %",
        ] {
            assert!(svg.contains(name), "{name}");
        }
    }
}
