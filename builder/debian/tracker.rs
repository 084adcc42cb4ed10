//! The data of Debian's security tracker, as it publishes it in JSON: which vulnerabilities a source package has, and in which
//! release each is open.
//!
//! ```text
//! { "openssl": { "CVE-2026-1234": { "releases": { "trixie": { "status": "open", "urgency": "medium" } } } } }
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;

use super::version::Version;

/// All of it: source package to vulnerability to what is known of it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Tracker(BTreeMap<String, BTreeMap<String, Vulnerability>>);

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
struct Vulnerability {
    #[serde(default)]
    releases: BTreeMap<String, State>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct State {
    status: String,
    #[serde(default)]
    urgency: Option<String>,
    #[serde(default)]
    fixed_version: Option<String>,
}

/// A vulnerability that a version of a source package has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Open {
    /// `CVE-2026-1234`.
    pub name: String,
    /// `low`, `medium`, `high`, `unimportant`, `not yet assigned`; as the tracker says.
    pub urgency: String,
    /// The version that mends it, if there is one.
    pub fixed: Option<String>,
}

impl Tracker {
    /// Reads it.
    ///
    /// # Errors
    /// It is not JSON of this shape.
    pub fn parse(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// What is open in `version` of `source` in the release of this codename, by name.
    pub fn open(&self, source: &str, version: &Version, codename: &str) -> Vec<Open> {
        let known = self.0.get(source).into_iter().flatten();
        let open = known.filter_map(|(name, vulnerability)| {
            let state = vulnerability.releases.get(codename)?;
            let fixed = state.fixed_version.clone().filter(|fixed| fixed != "0");
            let is_open = match state.status.as_str() {
                "resolved" => fixed.as_ref()?.parse::<Version>().ok()? > *version,
                _ => true,
            };
            let urgency = state.urgency.clone().unwrap_or_else(|| "not yet assigned".to_owned());
            is_open.then(|| Open { name: name.clone(), urgency, fixed })
        });
        open.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATA: &str = r#"{ "openssl": {
        "CVE-2026-0001": { "description": "a", "releases": { "trixie": { "status": "open", "urgency": "medium" } } },
        "CVE-2026-0002": { "releases": { "trixie": { "status": "resolved", "fixed_version": "3.5.2-1", "urgency": "high" } } },
        "CVE-2026-0003": { "releases": { "trixie": { "status": "resolved", "fixed_version": "0" } } },
        "CVE-2026-0004": { "releases": { "bookworm": { "status": "open" } } } } }"#;

    #[test]
    fn what_is_open_depends_on_the_version_and_the_release() {
        let tracker = Tracker::parse(DATA.as_bytes()).unwrap();
        let open = |source: &str, version: &str, codename: &str| {
            let open = tracker.open(source, &version.parse().unwrap(), codename);
            open.into_iter().map(|open| open.name).collect::<Vec<_>>()
        };
        assert_eq!(open("openssl", "3.5.1-1", "trixie"), ["CVE-2026-0001", "CVE-2026-0002"]);
        assert_eq!(open("openssl", "3.5.2-1", "trixie"), ["CVE-2026-0001"]);
        assert_eq!(open("openssl", "3.5.2-1", "bookworm"), ["CVE-2026-0004"]);
        assert_eq!(open("curl", "1.0", "trixie"), [""; 0]);
    }

    #[test]
    fn what_is_no_tracker_is_said_to_be_none() {
        assert!(Tracker::parse(b"[]").is_err() && Tracker::parse(b"<html>").is_err());
    }
}
