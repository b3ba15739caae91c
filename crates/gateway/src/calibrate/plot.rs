//! The report's pictures, as SVG.

use anyhow::anyhow;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::curves::CostPoint;
use super::report::{Report, TierReport};

const SIZE: (u32, u32) = (560, 380);
const INK: RGBColor = RGBColor(38, 50, 56);
const SEEN: RGBColor = RGBColor(0, 121, 140);
const BOUND: RGBColor = RGBColor(209, 73, 91);
const QUIET: RGBColor = RGBColor(120, 144, 156);

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// What the axes say, and how far they go.
struct Axes {
    x: (&'static str, std::ops::Range<f64>),
    y: (&'static str, std::ops::Range<f64>),
}

/// Draws on axes; the picture as SVG.
fn drawn(
    axes: Axes,
    draw: impl FnOnce(&mut Chart<'_, '_>) -> anyhow::Result<()>,
) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE).map_err(fault)?;
        let mut chart = ChartBuilder::on(&root)
            .margin(14)
            .x_label_area_size(42)
            .y_label_area_size(54)
            .build_cartesian_2d(axes.x.1, axes.y.1)
            .map_err(fault)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(INK.mix(0.08))
            .axis_style(INK.mix(0.4))
            .label_style(("sans-serif", 13).into_font().color(&INK))
            .x_desc(axes.x.0)
            .y_desc(axes.y.0)
            .draw()
            .map_err(fault)?;
        draw(&mut chart)?;
        root.present().map_err(fault)?;
    }
    Ok(svg)
}

fn fault(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("a picture can't be drawn: {error}")
}

fn line(
    chart: &mut Chart<'_, '_>,
    points: impl Iterator<Item = (f64, f64)>,
    style: impl Into<ShapeStyle>,
) -> anyhow::Result<()> {
    let series = LineSeries::new(points, style.into());
    chart.draw_series(series).map_err(fault)?;
    Ok(())
}

fn words(
    chart: &mut Chart<'_, '_>,
    (x, y): (f64, f64),
    text: &str,
    color: RGBColor,
) -> anyhow::Result<()> {
    let style = ("sans-serif", 13).into_font().color(&color);
    let text = EmptyElement::at((x, y)) + Text::new(text.to_owned(), (6, -16), style);
    chart.draw_series(std::iter::once(text)).map_err(fault)?;
    Ok(())
}

fn dot(chart: &mut Chart<'_, '_>, at: (f64, f64), color: RGBColor) -> anyhow::Result<()> {
    let dot = Circle::new(at, 6, color.filled());
    chart.draw_series(std::iter::once(dot)).map_err(fault)?;
    Ok(())
}

/// Risk against share kept, with the bound and what is allowed.
pub(super) fn risk(tier: &TierReport, max_error: f64) -> anyhow::Result<String> {
    let bounds = tier.risk.iter().map(|point| point.bound);
    // Where the surest few have a high bound, the part of interest would be squeezed flat.
    let top = bounds
        .fold(0.0, f64::max)
        .min(4.0 * max_error)
        .max(2.0 * max_error)
        * 100.0;
    let axes = Axes {
        x: ("share of its records that is kept, %", 0.0..100.0),
        y: ("wrong among the kept, %", 0.0..top),
    };
    drawn(axes, |chart| {
        let cut = |share: f64| (share * 100.0).min(top);
        let allowed = max_error * 100.0;
        let at = |share: f64| share * 100.0;
        line(
            chart,
            [(0.0, allowed), (100.0, allowed)].into_iter(),
            INK.mix(0.5),
        )?;
        words(chart, (0.0, allowed), "allowed", INK)?;
        let points = tier.risk.iter();
        line(
            chart,
            points.clone().map(|p| (at(p.share_kept), cut(p.bound))),
            BOUND.stroke_width(2),
        )?;
        line(
            chart,
            points.map(|p| (at(p.share_kept), cut(p.risk))),
            SEEN.stroke_width(2),
        )?;
        if tier.threshold.is_some() {
            dot(chart, (at(tier.share_kept), cut(tier.share_wrong)), SEEN)?;
            dot(chart, (at(tier.share_kept), cut(tier.bound)), BOUND)?;
        }
        Ok(())
    })
}

/// How often answers are right, against how sure the tier was.
pub(super) fn reliability(tier: &TierReport) -> anyhow::Result<String> {
    let axes = Axes {
        x: ("how sure it was, %", 0.0..100.0),
        y: ("how often it was right, %", 0.0..105.0),
    };
    drawn(axes, |chart| {
        line(
            chart,
            [(0.0, 0.0), (100.0, 100.0)].into_iter(),
            INK.mix(0.4),
        )?;
        let most = tier
            .reliability
            .iter()
            .map(|bin| bin.answers)
            .max()
            .unwrap_or(1);
        let circles = tier.reliability.iter().map(|bin| {
            let size = 3.0 + 9.0 * (bin.answers as f64 / most as f64).sqrt();
            let at = (bin.confidence * 100.0, bin.right * 100.0);
            Circle::new(at, size as i32, SEEN.mix(0.8).filled())
        });
        chart.draw_series(circles).map_err(fault)?;
        Ok(())
    })
}

/// Quality of what is kept against what is passed on, in dollars or as a share.
pub(super) fn cost_quality(report: &Report) -> anyhow::Result<String> {
    let priced = report.cost.as_ref();
    let all = priced.map_or(100.0, |cost| cost.all_frontier_usd_per_thousand);
    let x = |point: &CostPoint| {
        point
            .usd_per_thousand
            .unwrap_or((1.0 - point.share_kept) * 100.0)
    };
    let points = &report.cost_quality;
    let allowed = (1.0 - report.max_error) * 100.0;
    let low = points
        .iter()
        .map(|point| point.right * 100.0)
        .fold(allowed, f64::min);
    let low = (low - 0.1 * (100.0 - low)).max(0.0);
    let x_words = match priced {
        Some(_) => "frontier cost, US dollars per 1,000 documents",
        None => "documents that are passed on, %",
    };
    let axes = Axes {
        x: (x_words, 0.0..all.max(1e-6) * 1.05),
        y: ("kept answers that are right, %", low..100.2),
    };
    drawn(axes, |chart| {
        let ends = [(0.0, allowed), (all, allowed)];
        line(chart, ends.into_iter(), INK.mix(0.5))?;
        words(chart, (0.0, allowed), "asked for", INK)?;
        let curve = points.iter().map(|point| (x(point), point.right * 100.0));
        line(chart, curve, SEEN.stroke_width(2))?;
        let here = |cost: f64| (cost, (1.0 - report.share_wrong) * 100.0);
        if report.kept > 0 {
            let cost = priced.map_or((1.0 - report.share_kept) * 100.0, |cost| {
                cost.cascade_usd_per_thousand
            });
            dot(chart, here(cost), SEEN)?;
            words(chart, here(cost), "certified", SEEN)?;
        }
        line(
            chart,
            [(all, low), (all, 100.2)].into_iter(),
            QUIET.stroke_width(1),
        )
    })
}
