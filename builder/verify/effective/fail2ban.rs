//! Jails as fail2ban reads them (jail.conf(5)): `jail.conf`, then `jail.d/*.conf`, `jail.local`, `jail.d/*.local`, each over
//! the ones before; what a jail does not say, `[DEFAULT]` says. `%(name)s` stands for another setting of the same jail.

use std::collections::BTreeMap;

use super::super::audited::Audited;
use super::ini::{self, Dialect, Setting};

/// Settings by section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fail2ban {
    sections: BTreeMap<String, BTreeMap<String, String>>,
}

/// How deep settings may stand for each other.
const DEPTH: usize = 10;

impl Fail2ban {
    /// The jails of `image`: `NAME` is `jail`; its own settings: `fail2ban`.
    pub fn of(image: &Audited<'_>, name: &str) -> Option<Self> {
        let folder = "etc/fail2ban";
        let mut texts: Vec<String> = vec![image.text(&format!("{folder}/{name}.conf"))?];
        let drop_ins = |suffix| image.texts(&format!("{folder}/{name}.d"), suffix).into_iter().map(|(_, text)| text);
        texts.extend(drop_ins(".conf"));
        texts.extend(image.text(&format!("{folder}/{name}.local")));
        texts.extend(drop_ins(".local"));
        let mut read = Self::default();
        for Setting { section, key, value } in texts.iter().flat_map(|text| ini::parse(text, Dialect::Fail2ban)) {
            read.sections.entry(section).or_default().insert(key, value.unwrap_or_default());
        }
        Some(read)
    }

    /// The sections that are jails and are on, in the order of their names.
    pub fn enabled(&self) -> Vec<&str> {
        let jails = self.sections.keys().filter(|name| !matches!(name.as_str(), "DEFAULT" | "INCLUDES" | ""));
        let on = |name: &&String| matches!(self.value(name, "enabled").as_deref(), Some("true" | "yes" | "1" | "on"));
        jails.filter(on).map(String::as_str).collect()
    }

    /// What counts for `key` in `section`, other settings put in where it names them.
    pub fn value(&self, section: &str, key: &str) -> Option<String> {
        self.expanded(section, key, 0)
    }

    fn expanded(&self, section: &str, key: &str, depth: usize) -> Option<String> {
        let own = self.sections.get(section).and_then(|settings| settings.get(key));
        let raw = own.or_else(|| self.sections.get("DEFAULT")?.get(key))?;
        let (mut text, mut rest) = (String::new(), raw.as_str());
        while let Some((before, after)) = rest.split_once("%(") {
            text.push_str(before);
            let Some((name, after)) = after.split_once(")s") else { break };
            match name {
                "__name__" => text.push_str(section),
                _ if depth < DEPTH => text.push_str(&self.expanded(section, name, depth + 1).unwrap_or_default()),
                _ => {}
            }
            rest = after;
        }
        text.push_str(rest);
        Some(text)
    }
}
