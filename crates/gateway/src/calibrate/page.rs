//! The report as a page of HTML that needs nothing else: no script, no font, no other file.

use anyhow::Context as _;
use minijinja::value::Serde;
use minijinja::{Environment, context};

use super::plot;
use super::report::{Report, TierReport};
use super::words::{dollars, repeated};
use crate::terminal::{count, percent, percent_short};

/// The page.
///
/// # Errors
/// When a picture can't be drawn.
pub(super) fn render(report: &Report) -> anyhow::Result<String> {
    let mut page = Environment::new();
    page.add_filter("percent", percent);
    page.add_filter("short", percent_short);
    page.add_filter("count", count);
    page.add_filter("four", |x: f64| format!("{x:.4}"));
    page.add_filter("dollars", dollars);
    page.add_filter("sentence", sentence);
    // The name's ending makes values be escaped.
    page.add_template("report.html", include_str!("report.html"))
        .context("the report's template is wrong")?;
    let plots = report
        .tiers
        .iter()
        .map(|tier| {
            Ok(context! {
                risk => plot::risk(tier, report.max_error)?,
                reliability => plot::reliability(tier)?,
            })
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let template = page.get_template("report.html")?;
    let values = context! {
        report => Serde(report),
        plots => plots,
        cost_quality => plot::cost_quality(report)?,
        advice => report.advice(),
        drawn => report.drawn(),
        kept_in_house => report.kept_in_house(),
        weighs => report.tiers.iter().any(TierReport::weighs),
        repeated => (report.records_repeated > 0).then(|| repeated(report.records_repeated)),
        version => env!("CARGO_PKG_VERSION"),
    };
    template
        .render(values)
        .context("the report can't be rendered")
}

/// Words with a capital at their beginning.
fn sentence(words: String) -> String {
    let mut letters = words.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}
