//! `tiergate eval monitor`: how often the monitor revokes without cause, and how soon with cause.
//!
//! A simulation: every request is kept, some are audited, and each audited one is wrong by chance.

use anyhow::ensure;
use routing::certificate::Goal;
use routing::monitor::{Audit, Monitor};
use routing::random::Random;
use serde_json::{Value, json};

use super::output;
use crate::terminal::table;

/// What to simulate.
#[derive(clap::Args, Debug)]
pub(crate) struct MonitorArgs {
    /// Largest risk that the certificate allows
    #[arg(long, default_value_t = 0.02)]
    alpha: f64,
    /// Probability with which it may be revoked without cause
    #[arg(long, default_value_t = 0.05)]
    delta: f64,
    /// Share of requests that are audited
    #[arg(long, default_value_t = 0.02)]
    audits: f64,
    /// Requests in each run at a risk of exactly alpha
    #[arg(long, default_value_t = 1_000_000)]
    requests: u64,
    /// The risk that shall be noticed
    #[arg(long, default_value_t = 0.06)]
    risk: f64,
    /// Audits at a risk of alpha before it rises, for the late case
    #[arg(long, default_value_t = 2_000)]
    quiet_audits: u64,
    /// Runs of each kind
    #[arg(long, default_value_t = 1000)]
    runs: u64,
    /// Seed of everything that is drawn by chance
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What the runs showed.
struct Findings {
    false_revocations: u64,
    /// Audits from the rise of the risk to the revocation, ascending; runs revoked before the
    /// rise are left out.
    at_once: Vec<u64>,
    late: Vec<u64>,
}

/// Audits after which a run is given up.
const AUDITS_MAX: u64 = 100_000;

pub(crate) fn run(args: &MonitorArgs) -> anyhow::Result<()> {
    let goal = Goal::new(args.alpha, args.delta)?;
    ensure!(
        args.risk > args.alpha && args.risk <= 1.0,
        "--risk: take a risk above --alpha"
    );
    ensure!(args.runs > 0, "--runs: take 1 or more");
    let findings = simulate(args, goal)?;
    output::print(&if args.json {
        output::Report::Machine(findings.to_json(args))
    } else {
        output::Report::People(findings.to_text(args))
    });
    Ok(())
}

fn simulate(args: &MonitorArgs, goal: Goal) -> anyhow::Result<Findings> {
    let mut random = Random::new(args.seed);
    let mut findings = Findings {
        false_revocations: 0,
        at_once: Vec::new(),
        late: Vec::new(),
    };
    for _ in 0..args.runs {
        let mut monitor = Monitor::new(goal, args.audits)?;
        for _ in 0..args.requests {
            if random.unit() < args.audits && audit(&mut monitor, args.alpha, &mut random)? {
                findings.false_revocations += 1;
                break;
            }
        }
        findings
            .at_once
            .extend(delay(Monitor::new(goal, args.audits)?, args, &mut random)?);
        let mut monitor = Monitor::new(goal, args.audits)?;
        let mut revoked = false;
        for _ in 0..args.quiet_audits {
            revoked |= audit(&mut monitor, args.alpha, &mut random)?;
        }
        if !revoked {
            findings.late.extend(delay(monitor, args, &mut random)?);
        }
    }
    findings.at_once.sort_unstable();
    findings.late.sort_unstable();
    Ok(findings)
}

fn audit(monitor: &mut Monitor, risk: f64, random: &mut Random) -> anyhow::Result<bool> {
    let probability = monitor.probability_min();
    Ok(monitor.observe(Audit {
        probability,
        wrong: random.unit() < risk,
    })?)
}

fn delay(
    mut monitor: Monitor,
    args: &MonitorArgs,
    random: &mut Random,
) -> anyhow::Result<Option<u64>> {
    for count in 1..=AUDITS_MAX {
        if audit(&mut monitor, args.risk, random)? {
            return Ok(Some(count));
        }
    }
    Ok(None)
}

fn quantile(sorted: &[u64], at: f64) -> Option<u64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((at * last as f64).round() as usize).copied()
}

impl Findings {
    fn to_json(&self, args: &MonitorArgs) -> Value {
        let quantiles = |sorted: &[u64]| {
            json!({
                "median": quantile(sorted, 0.5),
                "p10": quantile(sorted, 0.1),
                "p90": quantile(sorted, 0.9),
                "runs": sorted.len(),
            })
        };
        json!({
            "false_revocation_rate": self.false_revocations as f64 / args.runs as f64,
            "audits_to_revoke": quantiles(&self.at_once),
            "audits_to_revoke_late": quantiles(&self.late),
            "alpha": args.alpha, "delta": args.delta, "risk": args.risk,
            "audit_share": args.audits, "requests": args.requests,
            "quiet_audits": args.quiet_audits, "runs": args.runs,
        })
    }

    fn to_text(&self, args: &MonitorArgs) -> Vec<String> {
        let mut rows = table(&["", "median", "10 %", "90 %"]);
        for (name, sorted) in [
            (
                "audits to revoke, risk high from the start".to_owned(),
                &self.at_once,
            ),
            (
                format!("the same after {} quiet audits", args.quiet_audits),
                &self.late,
            ),
        ] {
            let cell = |at| quantile(sorted, at).map_or("–".to_owned(), |x| x.to_string());
            rows.add_row(vec![name, cell(0.5), cell(0.1), cell(0.9)]);
        }
        vec![
            format!(
                "revoked without cause in {:.1} % of {} runs of {} requests",
                self.false_revocations as f64 / args.runs as f64 * 100.0,
                args.runs,
                args.requests
            ),
            rows.to_string(),
        ]
    }
}
