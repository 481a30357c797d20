//! Completes a config file, around what a person has written there.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use toml::de::{DeTable, DeValue};

/// What the config is to say in the end.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// `node.id`
    pub id: &'a str,
    /// `broker.url`
    pub url: &'a str,
    /// `broker.client_cert_file`
    pub cert: &'a Path,
    /// `broker.client_key_file`
    pub key: &'a Path,
    /// `broker.ca_file`; `None` leaves it as it is.
    pub ca: Option<&'a Path>,
}

/// The text with these settings, and every other line as it was.
///
/// # Errors
/// [`CompleteError`].
pub fn completed(text: &str, to: Settings<'_>) -> Result<String, CompleteError> {
    let path = |path: &Path| path.to_str().map(quoted).ok_or(CompleteError::Path);
    let mut text = text.to_owned();
    // One of its own would be used in place of AWS's.
    if value_of(&text, "broker", "embedded")?.is_some() {
        text = set(&text, "broker", "embedded", "false")?;
    }
    // New ones are written below the section's name: the last first.
    if let Some(ca) = to.ca {
        text = set(&text, "broker", "ca_file", &path(ca)?)?;
    }
    text = set(&text, "broker", "client_key_file", &path(to.key)?)?;
    text = set(&text, "broker", "client_cert_file", &path(to.cert)?)?;
    text = set(&text, "broker", "url", &quoted(to.url))?;
    text = set(&text, "broker", "profile", &quoted("aws-iot"))?;
    set(&text, "node", "id", &quoted(to.id))
}

/// Why a text cannot be completed.
#[derive(Debug, thiserror::Error)]
pub enum CompleteError {
    /// It is no TOML.
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
    /// Written in another way than a section's.
    #[error("`{0}` must be a section of its own to be completed: write its keys below a line [{0}]")]
    NoSection(&'static str),
    /// TOML is UTF-8.
    #[error("a path that is not UTF-8 cannot stand in a config")]
    Path,
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// Exchanges a value for another, or writes a new key below the section's name; a section that is not there comes last.
fn set(text: &str, section: &'static str, key: &str, value: &str) -> Result<String, CompleteError> {
    if let Some(place) = value_of(text, section, key)? {
        return Ok([&text[..place.start], value, &text[place.end..]].concat());
    }
    let line = format!("{key} = {value}\n");
    let root = DeTable::parse(text)?;
    if !root.get_ref().contains_key(section) {
        let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        return Ok(format!("{text}{gap}\n[{section}]\n{line}"));
    }
    let mut end = 0;
    for written in text.split_inclusive('\n') {
        end += written.len();
        let name = written.split(']').next().unwrap_or_default().replace([' ', '\t'], "");
        if name == format!("[{section}") && written.contains(']') {
            let gap = if written.ends_with('\n') { "" } else { "\n" };
            return Ok([&text[..end], gap, &line, &text[end..]].concat());
        }
    }
    Err(CompleteError::NoSection(section))
}

/// Where the value of a key stands.
fn value_of(text: &str, section: &'static str, key: &str) -> Result<Option<Range<usize>>, CompleteError> {
    let root = DeTable::parse(text)?;
    let Some(found) = root.get_ref().get(section) else { return Ok(None) };
    let DeValue::Table(table) = found.get_ref() else { return Err(CompleteError::NoSection(section)) };
    Ok(table.get(key).map(|value| value.span()))
}

/// Puts `text` in the place of the file, with its mode and owner: whenever the power goes, the old text is there or the new
/// one.
///
/// # Errors
/// It cannot be written.
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    // A link to the file stays one.
    let path = path.canonicalize()?;
    let about = fs::metadata(&path)?;
    let mut beside = path.clone().into_os_string();
    beside.push(".new");
    // Of an earlier power cut.
    if let Err(error) = fs::remove_file(&beside)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    let written = || {
        let ours = file.metadata()?;
        if (ours.uid(), ours.gid()) != (about.uid(), about.gid()) {
            fchown(&file, Some(about.uid()), Some(about.gid()))?;
        }
        file.set_permissions(fs::Permissions::from_mode(about.mode() & 0o7777))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &path)
    };
    let mut written = written;
    written().inspect_err(|_| _ = fs::remove_file(&beside))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn settings() -> Settings<'static> {
        Settings {
            id: "porch",
            url: "mqtts://x-ats.iot.eu-central-1.amazonaws.com:8883",
            cert: Path::new("/s/porch.pem"),
            key: Path::new("/s/porch.key"),
            ca: None,
        }
    }

    fn check(text: &str) -> Config {
        let config = Config::from_text("c", text, []).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(config.node.id().as_str(), "porch", "{text}");
        assert_eq!(config.broker.url.to_string(), "mqtts://x-ats.iot.eu-central-1.amazonaws.com:8883", "{text}");
        assert_eq!(config.broker.client_key_file.as_deref(), Some(settings().key), "{text}");
        assert!(!config.broker.embedded, "{text}");
        config
    }

    #[test]
    fn the_packages_config_keeps_each_line_but_one_and_a_second_time_changes_nothing() {
        let before = include_str!("../../../deploy/package/camera-node.toml");
        let after = completed(before, settings()).expect("it is TOML");
        check(&after);
        let mut lines = after.lines();
        for line in before.lines().filter(|line| *line != "embedded = true") {
            assert!(lines.any(|kept| kept == line), "gone, or elsewhere: {line}\n{after}");
        }
        assert_eq!(after.lines().count(), before.lines().count() + 5, "{after}");
        assert_eq!(completed(&after, settings()).expect("it is TOML"), after);
    }

    #[test]
    fn sections_are_found_however_they_are_written() {
        let open = "[access]\ni_trust_the_broker = true\n";
        for text in [
            open.to_owned(),
            format!("{open}[broker] # mine\nurl = 'mqtt://old' # old\n"),
            format!("{open}[[camera]]\nname = 'x'\n[camera.video]\nsource = 'still'\n"),
            format!("{open}# the end"),
        ] {
            let after = completed(&text, settings()).expect("it is TOML");
            check(&after);
            for remark in ["# old", "# mine", "# the end"] {
                assert_eq!(after.contains(remark), text.contains(remark), "{after}");
            }
        }
        for other in ["broker = 1", "broker.retain = false", "broker = { url = 'mqtt://old' }"] {
            assert!(matches!(completed(other, settings()), Err(CompleteError::NoSection("broker"))), "{other}");
        }
        assert!(matches!(completed("[broker", settings()), Err(CompleteError::Toml(_))));
    }

    #[test]
    fn a_file_keeps_its_mode_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().expect("there is room");
        let path = folder.path().join("node.toml");
        let link = folder.path().join("link.toml");
        fs::write(&path, "old").expect("there is room");
        fs::write(folder.path().join("node.toml.new"), "half").expect("there is room");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("ours");
        std::os::unix::fs::symlink(&path, &link).expect("ours");
        replace(&link, "new").expect("there is room");
        assert_eq!(fs::read_to_string(&path).expect("there"), "new");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2);
    }
}
