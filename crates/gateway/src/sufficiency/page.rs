//! The report as a page of HTML that needs nothing else: no script, no font, no other file.

use anyhow::Context as _;
use minijinja::value::Serde;
use minijinja::{Environment, context};

use super::findings::Report;
use super::words::{dollars, points};
use crate::terminal::{count, percent, percent_short};

/// The page.
///
/// # Errors
/// When it can't be rendered.
pub(super) fn render(report: &Report) -> anyhow::Result<String> {
    let mut page = Environment::new();
    page.add_filter("percent", percent);
    page.add_filter("short", percent_short);
    page.add_filter("count", count);
    page.add_filter("points", points);
    page.add_filter("dollars", dollars);
    // The name's ending makes values be escaped.
    page.add_template("sufficiency.html", include_str!("sufficiency.html"))
        .context("the report's template is wrong")?;
    let lowest = report.ways.iter().map(|way| way.right_interval_95.0);
    let axis = lowest.fold(1.0, f64::min);
    let values = context! {
        report => Serde(report),
        title => report.title(),
        sentences => report.sentences(),
        // The picture's left end, a little below the lowest interval.
        axis => (axis - 0.1 * (1.0 - axis)).max(0.0),
        usd => report.ways.iter().map(super::findings::Way::usd_per_thousand).collect::<Vec<_>>(),
        version => env!("CARGO_PKG_VERSION"),
    };
    let template = page.get_template("sufficiency.html")?;
    template
        .render(values)
        .context("the report can't be rendered")
}
