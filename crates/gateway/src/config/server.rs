//! Checks of the section `[server]`.

use std::net::{Ipv4Addr, SocketAddr};

use domain::{Sensitivity, TaskName};

use super::check::Checks;
use super::checked::{Keeping, Server};
use super::path::Path;
use super::raw::RawServer;
use super::secret;

/// The port of the default address.
const PORT: u16 = 8080;

/// The server's settings; where a fault was booked, a default stands in.
pub(super) fn check(checks: &mut Checks<'_, '_>, raw: &RawServer) -> Server {
    let path = Path::top("server");
    let keys = check_keys(checks, raw, &path.key("keys"));
    Server {
        listen: check_listen(checks, raw, &path.key("listen")),
        keys,
        body_bytes_max: checks.count(&path.key("body_bytes_max"), raw.body_bytes_max, 4 << 20),
        requests_max: checks.count(&path.key("requests_max"), raw.requests_max, 256),
        header_timeout: checks.seconds(&path.key("header_seconds"), raw.header_seconds, 10),
        body_timeout: checks.seconds(&path.key("body_seconds"), raw.body_seconds, 30),
        drain: checks.seconds(&path.key("drain_seconds"), raw.drain_seconds, 25),
        auto: check_auto(checks, raw, &path.key("auto")),
        direct_sensitivity: check_direct_sensitivity(checks, raw, &path.key("direct_sensitivity")),
        keeping: check_keeping(checks, raw, &path),
        batch_concurrency: checks.count(&path.key("batch_concurrency"), raw.batch_concurrency, 8),
    }
}

/// Nothing is kept unless somebody says so.
fn check_keeping(checks: &mut Checks<'_, '_>, raw: &RawServer, path: &Path) -> Option<Keeping> {
    let days = checks.count(&path.key("keep_days"), raw.keep_days, 0);
    let bytes_max = checks.count(&path.key("keep_bytes_max"), raw.keep_bytes_max, 1 << 30);
    (days > 0).then_some(Keeping {
        days: i64::try_from(days).unwrap_or(i64::MAX),
        bytes_max: bytes_max as u64,
    })
}

fn check_listen(checks: &mut Checks<'_, '_>, raw: &RawServer, path: &Path) -> SocketAddr {
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
    let Some(text) = checks.text(path, raw.listen.as_ref()) else {
        return default;
    };
    let Ok(listen) = text.parse::<SocketAddr>() else {
        checks
            .faults
            .add_value(path, "is no IP address with a port");
        return default;
    };
    let keys = Path::top("server").key("keys");
    let keyless = raw.keys.as_ref().is_none_or(Vec::is_empty) && checks.faults.none_within(&keys);
    if !listen.ip().is_loopback() && keyless {
        checks.faults.add(
            path,
            format!(
                "{text:?} can be reached from other machines and there are no `server.keys`; \
                 add one, for example keys = [\"env:TIERGATE_KEY\"], or listen on 127.0.0.1"
            ),
        );
    }
    listen
}

fn check_keys(
    checks: &mut Checks<'_, '_>,
    raw: &RawServer,
    path: &Path,
) -> Vec<secrecy::SecretString> {
    let keys = raw.keys.as_deref().unwrap_or_default().iter().enumerate();
    keys.filter_map(|(index, text)| secret::resolve(checks, &path.index(index), text))
        .collect()
}

/// A text of unknown sensitivity stays inside.
fn check_direct_sensitivity(
    checks: &mut Checks<'_, '_>,
    raw: &RawServer,
    path: &Path,
) -> Sensitivity {
    let stated = checks.word(
        path,
        raw.direct_sensitivity.as_ref(),
        Sensitivity::from_name,
    );
    stated.unwrap_or(Sensitivity::Confidential)
}

fn check_auto(checks: &mut Checks<'_, '_>, raw: &RawServer, path: &Path) -> Option<TaskName> {
    let name = checks.text(path, raw.auto.as_ref())?;
    if !checks.faults.source().has(&Path::top("tasks").key(&name)) {
        checks.add_unknown_name(path, &name, "tasks");
        return None;
    }
    TaskName::new(&name).ok()
}
