//! Secrets by reference. No message here repeats a value that might be one.

use std::path::Path as FilePath;

use secrecy::SecretString;

use super::check::Checks;
use super::path::Path;

/// A reference as it is written in the config.
enum Reference<'a> {
    Variable(&'a str),
    File(&'a str),
}

/// The secret behind a reference; `None` after a fault, or where secrets are not to be read.
pub(super) fn resolve(
    checks: &mut Checks<'_, '_>,
    path: &Path,
    text: &str,
) -> Option<SecretString> {
    let (found, name) = read(checks, path, text)?;
    let value = found.trim();
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        let rule = "a key is one line of visible ASCII characters without space inside";
        checks
            .faults
            .add(path, format!("{name} holds no key; {rule}"));
        return None;
    }
    Some(SecretString::from(value))
}

/// The text behind a reference, whatever it is, and what to call its place; `None` as with
/// [`resolve`].
pub(super) fn read(
    checks: &mut Checks<'_, '_>,
    path: &Path,
    text: &str,
) -> Option<(String, String)> {
    let reference = match parse(text) {
        Ok(reference) => reference,
        Err(complaint) => {
            checks.faults.add_value(path, complaint);
            return None;
        }
    };
    let variable = checks.machine?;
    match reference {
        Reference::Variable(name) => {
            let Some(value) = variable(name) else {
                let advice = "set it, or name one that is set";
                checks.faults.add(
                    path,
                    format!("environment variable {name} is not set; {advice}"),
                );
                return None;
            };
            Some((value, format!("environment variable {name}")))
        }
        Reference::File(file) => {
            let file = checks.folder.join(file);
            let name = format!("file {}", file.display());
            match std::fs::read_to_string(&file) {
                Ok(text) => {
                    warn_if_open(checks, path, &file);
                    Some((text, name))
                }
                Err(error) => {
                    let advice = "name a text file that this user can read";
                    checks
                        .faults
                        .add(path, format!("{name}: {error}; {advice}"));
                    None
                }
            }
        }
    }
}

fn parse(text: &str) -> Result<Reference<'_>, &'static str> {
    if let Some(name) = text.strip_prefix("env:") {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let begins_well = name
            .bytes()
            .next()
            .is_some_and(|byte| !byte.is_ascii_digit());
        if begins_well && name.bytes().all(plain) {
            return Ok(Reference::Variable(name));
        }
        return Err("names no environment variable; a name has letters, digits and `_`");
    }
    match text.strip_prefix("file:") {
        Some("") => Err("names no file"),
        Some(file) => Ok(Reference::File(file)),
        None => Err("is no reference; write `env:NAME` or `file:PATH`, never the secret itself"),
    }
}

/// Notes a file whose content every user of this machine can read.
#[cfg(unix)]
fn warn_if_open(checks: &mut Checks<'_, '_>, path: &Path, file: &FilePath) {
    use std::os::unix::fs::PermissionsExt as _;
    let others = std::fs::metadata(file).map(|data| data.permissions().mode() & 0o007);
    if matches!(others, Ok(mode) if mode != 0) {
        let name = file.display();
        checks.warnings.push(format!(
            "{path}: every user of this machine can reach {name}; run `chmod 600 {name}`"
        ));
    }
}

/// Other systems have no such permissions to look at.
#[cfg(not(unix))]
fn warn_if_open(_: &mut Checks<'_, '_>, _: &Path, _: &FilePath) {}
