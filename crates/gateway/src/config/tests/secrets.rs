//! Secrets come by reference, are trimmed, and never appear in a message.

use secrecy::ExposeSecret as _;

use super::{load_elsewhere, load_in};

const SECRET: &str = "sk-7f3a9c21";

fn with_key(key: &str) -> String {
    format!("[server]\nkeys = [{key}]\n")
}

#[test]
fn a_reference_leads_to_the_trimmed_secret() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), format!("  {SECRET}\n")).unwrap();
    let text = with_key("\"file:key\", \"env:OPENAI_API_KEY\"");
    let config = load_in(folder.path(), &text).unwrap();
    let keys: Vec<&str> = config
        .server
        .keys
        .iter()
        .map(|key| key.expose_secret())
        .collect();
    assert_eq!(keys, [SECRET, "key-of-the-vendor"]);
    assert!(!format!("{config:?}").contains(SECRET));
    assert!(load_elsewhere(&text).unwrap().server.keys.is_empty());
}

#[cfg(unix)]
#[test]
fn a_secret_file_that_everybody_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    std::fs::write(&file, SECRET).unwrap();
    for (mode, warnings) in [(0o600, 0), (0o640, 0), (0o644, 1)] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let config = load_in(folder.path(), &with_key("\"file:key\"")).unwrap();
        assert_eq!(config.warnings.len(), warnings, "{mode:o}");
        for warning in config.warnings {
            assert!(warning.contains("server.keys[0]: ") && warning.contains("chmod 600"));
            assert!(!warning.contains(SECRET));
        }
    }
}

#[test]
fn what_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (reference, named) in [
        ("env:NOT_SET", "environment variable NOT_SET is not set"),
        (
            "env:TWO_WORDS",
            "environment variable TWO_WORDS holds no key",
        ),
        ("env:EMPTY", "environment variable EMPTY holds no key"),
        ("file:no-such-file", "no-such-file: No such file"),
        ("file:", "names no file"),
        ("env:", "names no environment variable"),
        ("env:A B", "names no environment variable"),
    ] {
        let report = load_in(folder.path(), &with_key(&format!("{reference:?}"))).unwrap_err();
        let report = report.to_string();
        assert!(
            report.contains("tiergate.toml:2: server.keys[0]: "),
            "{report}"
        );
        assert!(
            report.contains(named) && !report.contains("hush"),
            "{report}"
        );
    }
}

#[test]
fn no_report_shows_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let tier = "[tiers.t]\nkind = \"frontier\"\n";
    for text in [
        with_key(&format!("\"{SECRET}\"")),
        with_key(&format!("{{ key = \"{SECRET}\" }}")),
        with_key(&format!("[\"{SECRET}\"]")),
        format!("[server]\nkeys = \"{SECRET}\""),
        format!("[server]\nkey = \"{SECRET}\""),
        format!("{tier}key = \"{SECRET}\""),
        format!("{tier}key = \"env:{SECRET}\""),
        format!("{tier}keys = \"{SECRET}\""),
        format!("{tier}key = [\"{SECRET}\"]"),
        format!("{tier}key = {SECRET}"),
        format!("{tier}key = \"{SECRET}"),
        format!("{tier}key = \"\"{SECRET}"),
        format!("{tier}key = \"a\"\nkey = \"{SECRET}\""),
        format!("{tier}key = \"\\q{SECRET}\""),
        format!("{tier}url = \"https://user:{SECRET}@example.com/v1\""),
        format!("{tier}url = \"https://example.com/v1?key={SECRET}\""),
        format!("{tier}url = \"?{SECRET}\""),
    ] {
        let report = load_in(folder.path(), &text).unwrap_err().to_string();
        assert!(!report.contains(SECRET), "{text}\n{report}");
    }
}
