//! Directories whose files are read together: `*.d` of systemd, and of those that do as it does.
//!
//! Files of all directories are read in the order of their names; of two with one name, that of the directory named first
//! hides the other (systemd.unit(5), sysctl.d(5), modprobe.d(5)). A link to /dev/null hides without putting anything in place.

use std::collections::BTreeMap;

use super::super::audited::Audited;
use super::ini::{self, Dialect, Setting};

/// Path and text of each file `*SUFFIX` of the directories `/etc/NAME`, `/usr/local/lib/NAME`, `/usr/lib/NAME`, as read.
pub fn files(image: &Audited<'_>, name: &str, suffix: &str) -> Vec<(String, String)> {
    let mut chosen = BTreeMap::new();
    for folder in ["etc", "usr/local/lib", "usr/lib"] {
        for file in image.names(&format!("{folder}/{name}")) {
            if file.ends_with(suffix) {
                chosen.entry(file).or_insert_with(|| format!("{folder}/{name}/{file}"));
            }
        }
    }
    chosen.into_values().filter_map(|path| Some((path.clone(), image.text(&path)?))).collect()
}

/// The kernel parameters that systemd-sysctl sets, by dotted name: the last value of each. (/etc/sysctl.conf is not read
/// any more since Debian 13.)
pub fn sysctl(image: &Audited<'_>) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    for (_, text) in files(image, "sysctl.d", ".conf") {
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
            if let Some((key, value)) = line.split_once('=') {
                // Where the first separator is a slash, slashes separate and dots are parts of names.
                let key = key.trim().trim_start_matches('-');
                let slashes = key.find(['/', '.']).is_some_and(|at| key[at..].starts_with('/'));
                let key = if slashes { key.replace('/', ".") } else { key.to_owned() };
                values.insert(key, value.trim().to_owned());
            }
        }
    }
    values
}

/// What `modprobe.d` says of modules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Modprobe {
    /// `install MODULE COMMAND`: the last for each, `-` in names as `_`.
    pub install: BTreeMap<String, String>,
    /// `blacklist MODULE`: not loaded by an alias; still by name.
    pub blacklist: Vec<String>,
}

/// As modprobe(8) reads it.
pub fn modprobe(image: &Audited<'_>) -> Modprobe {
    let mut read = Modprobe::default();
    for (_, text) in files(image, "modprobe.d", ".conf") {
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("install"), Some(module)) => {
                    read.install.insert(module.replace('-', "_"), words.collect::<Vec<_>>().join(" "));
                }
                (Some("blacklist"), Some(module)) => read.blacklist.push(module.replace('-', "_")),
                _ => {}
            }
        }
    }
    read
}

/// The settings of a daemon of systemd: `journald.conf`, `resolved.conf`, and their `.d`; the last value of a key counts.
pub fn systemd(image: &Audited<'_>, name: &str) -> Vec<Setting> {
    let main = ["etc", "usr/lib"].iter().find_map(|folder| image.text(&format!("{folder}/systemd/{name}")));
    let mut settings = ini::parse(&main.unwrap_or_default(), Dialect::Systemd);
    for (_, text) in files(image, &format!("systemd/{name}.d"), ".conf") {
        settings.extend(ini::parse(&text, Dialect::Systemd));
    }
    settings
}
