//! A unit as systemd sees it: its file, its drop-ins, its links (systemd.unit(5)).

use std::collections::{BTreeMap, BTreeSet};

use super::super::audited::Audited;
use super::dropins;
use super::ini::{self, Dialect, Setting};
use crate::rootfs::entry::Kind;

/// Where units lie; the first hides the others.
const FOLDERS: [&str; 4] =
    ["etc/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"];

/// A unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its settings and those of its drop-ins, in order.
    pub settings: Vec<Setting>,
    /// Whether it is a link to /dev/null, or empty: nothing starts it.
    pub masked: bool,
}

impl Unit {
    /// The unit `name` of `image`; none if there is no file of it.
    pub fn of(image: &Audited<'_>, name: &str) -> Option<Self> {
        let path = FOLDERS.iter().map(|folder| format!("{folder}/{name}")).find(|path| {
            let (folder, file) = path.rsplit_once('/').unwrap_or_default();
            image.names(folder).contains(file)
        })?;
        let masked = match image.entries().find(|(known, _)| *known == path).map(|(_, entry)| &entry.kind) {
            Some(Kind::Symlink(target)) => target == "/dev/null",
            Some(Kind::File { size, .. }) => *size == 0,
            _ => false,
        };
        let mut settings = ini::parse(&image.text(&path).unwrap_or_default(), Dialect::Systemd);
        for (_, text) in dropins::files(image, &format!("systemd/system/{name}.d"), ".conf") {
            settings.extend(ini::parse(&text, Dialect::Systemd));
        }
        Some(Self { settings, masked })
    }

    /// The words of a setting that is a list; an empty value empties it.
    pub fn list(&self, section: &str, key: &str) -> Vec<&str> {
        let mut words = Vec::new();
        for setting in self.settings.iter().filter(|setting| setting.section == section && setting.key == key) {
            match setting.value.as_deref() {
                None | Some("") => words.clear(),
                Some(value) => words.extend(value.split_whitespace()),
            }
        }
        words
    }

    /// The lines of a setting that may come several times, as `ExecStart`; an empty value empties them.
    pub fn lines(&self, section: &str, key: &str) -> Vec<&str> {
        let mut lines = Vec::new();
        for setting in self.settings.iter().filter(|setting| setting.section == section && setting.key == key) {
            match setting.value.as_deref() {
                None | Some("") => lines.clear(),
                Some(value) => lines.push(value),
            }
        }
        lines
    }

    /// The last value of a setting.
    pub fn value(&self, section: &str, key: &str) -> Option<&str> {
        ini::last(&self.settings, &[section], key)
    }
}

/// Which units are pulled in by links: `WANTER.wants/UNIT` and `WANTER.requires/UNIT` of every folder, masked ones left out.
/// Each with who pulls it in.
pub fn pulled(image: &Audited<'_>) -> BTreeMap<String, BTreeSet<String>> {
    let mut pulled = BTreeMap::<String, BTreeSet<String>>::new();
    for folder in &FOLDERS[..3] {
        for directory in image.names(folder) {
            let Some(wanter) = directory.strip_suffix(".wants").or_else(|| directory.strip_suffix(".requires")) else {
                continue;
            };
            for unit in image.names(&format!("{folder}/{directory}")) {
                let template = unit
                    .split_once('@')
                    .map(|(name, rest)| format!("{name}@.{}", rest.rsplit('.').next().unwrap_or_default()));
                let masked = |name: &str| Unit::of(image, name).is_some_and(|unit| unit.masked);
                if !masked(unit) && !template.is_some_and(|name| masked(&name)) {
                    pulled.entry(unit.to_owned()).or_default().insert(wanter.to_owned());
                }
            }
        }
    }
    pulled
}

/// What the presets say of the unit `name`: the first line that fits counts; without one, it is enabled
/// (systemd.preset(5)).
pub fn preset(image: &Audited<'_>, name: &str) -> bool {
    for (_, text) in dropins::files(image, "systemd/system-preset", ".preset") {
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
            let mut words = line.split_whitespace();
            let (Some(verb), Some(pattern)) = (words.next(), words.next()) else { continue };
            let fits = match pattern.split_once('*') {
                Some((start, end)) => {
                    name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
                }
                None => name == pattern,
            };
            if fits {
                return verb == "enable";
            }
        }
    }
    true
}
