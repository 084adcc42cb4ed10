//! sshd's configuration as sshd reads it: sshd_config(5).
//!
//! For each keyword the first value counts; `Include` reads other files in its place, in the order of their names. After
//! `Match`, everything up to the next `Match` or the end of that file holds for some connections only.

use std::collections::{BTreeMap, BTreeSet};

use super::super::audited::Audited;

/// Keywords that may come several times, each adding to those before.
const LISTS: [&str; 10] = [
    "acceptenv",
    "allowgroups",
    "allowusers",
    "denygroups",
    "denyusers",
    "hostkey",
    "listenaddress",
    "permitlisten",
    "permitopen",
    "port",
];

/// How deep files may include each other (`SERVCONF_MAX_DEPTH`).
const DEPTH: usize = 16;

/// What counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sshd {
    /// Keywords in lower case, each with its value; of lists, all values, spaces between.
    pub global: BTreeMap<String, String>,
    /// What holds for some connections only: criteria, keyword, value.
    pub matched: Vec<(String, String, String)>,
    /// Files that were read, in order.
    pub files: Vec<String>,
    /// Lines without a value, at which sshd would not start.
    pub unreadable: Vec<String>,
}

/// What sshd does where nothing is set, of the keywords that are checked (sshd_config(5), OpenSSH 10).
const DEFAULTS: [(&str, &str); 12] = [
    ("gatewayports", "no"),
    ("gssapiauthentication", "no"),
    ("hostbasedauthentication", "no"),
    ("kerberosauthentication", "no"),
    ("permitemptypasswords", "no"),
    ("permittunnel", "no"),
    ("permituserenvironment", "no"),
    ("ignorerhosts", "yes"),
    ("strictmodes", "yes"),
    ("usepam", "no"),
    ("clientalivecountmax", "3"),
    ("maxsessions", "10"),
];

impl Sshd {
    /// As `image` has it; none if there is no sshd_config.
    pub fn of(image: &Audited<'_>) -> Option<Self> {
        let mut sshd = Self::default();
        sshd.read(image, "etc/ssh/sshd_config", 0)?;
        Some(sshd)
    }

    /// The value of a keyword (in lower case), or what sshd does without one, if that is known.
    pub fn value(&self, keyword: &str) -> Option<&str> {
        let default = || DEFAULTS.iter().find(|(name, _)| *name == keyword).map(|(_, value)| *value);
        self.global.get(keyword).map(String::as_str).or_else(default)
    }

    fn read(&mut self, image: &Audited<'_>, path: &str, depth: usize) -> Option<()> {
        let text = image.text(path)?;
        self.files.push(path.to_owned());
        let mut criteria: Option<String> = None;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((keyword, value)) = line.split_once(|letter: char| letter.is_whitespace() || letter == '=') else {
                self.unreadable.push(format!("{path}:{}: {line}", number + 1));
                continue;
            };
            let keyword = match keyword.to_ascii_lowercase().as_str() {
                // Its name before OpenSSH 8.5, which later ones still know.
                "pubkeyacceptedkeytypes" => "pubkeyacceptedalgorithms".to_owned(),
                other => other.to_owned(),
            };
            let value = value.trim_start_matches([' ', '\t', '=']).trim().trim_matches('"').to_owned();
            match keyword.as_str() {
                "include" if criteria.is_none() && depth < DEPTH => {
                    for pattern in value.split_whitespace() {
                        for path in included(image, pattern) {
                            self.read(image, &path, depth + 1);
                        }
                    }
                }
                "match" if value.eq_ignore_ascii_case("all") => criteria = None,
                "match" => criteria = Some(value),
                _ => match &criteria {
                    Some(criteria) => self.matched.push((criteria.clone(), keyword, value)),
                    None if LISTS.contains(&keyword.as_str()) => {
                        let list = self.global.entry(keyword).or_default();
                        *list = format!("{list} {value}").trim().to_owned();
                    }
                    None => drop(self.global.entry(keyword).or_insert(value)),
                },
            }
        }
        Some(())
    }
}

/// The files that `Include PATTERN` reads: one `*` in the last part of a path, as in Debian's own.
fn included(image: &Audited<'_>, pattern: &str) -> BTreeSet<String> {
    let pattern = if pattern.starts_with('/') { pattern.to_owned() } else { format!("/etc/ssh/{pattern}") };
    let Some((folder, name)) = pattern.trim_start_matches('/').rsplit_once('/') else { return BTreeSet::new() };
    let Some((start, end)) = name.split_once('*') else { return BTreeSet::from([format!("{folder}/{name}")]) };
    let names = image.names(folder).into_iter();
    let fits = |name: &&str| {
        name.len() >= start.len() + end.len()
            && name.starts_with(start)
            && name.ends_with(end)
            && !name.starts_with('.')
    };
    names.filter(fits).map(|name| format!("{folder}/{name}")).collect()
}
