//! What one lock has that another has not.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::file::{Lock, Locked};
use crate::debian::version::Version;

/// A package that is not in both as it is in one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Change {
    /// Its name.
    pub package: String,
    /// Its source package.
    pub source: String,
    /// The version before; none: it is new.
    #[schemars(with = "Option<String>")]
    pub from: Option<Version>,
    /// The version now; none: it is gone.
    #[schemars(with = "Option<String>")]
    pub to: Option<Version>,
    /// Of the source package before, if it was there: what its changelog is read from.
    #[serde(skip)]
    pub source_from: Option<Version>,
    /// The archive that it comes from now: `trixie-security`.
    pub archive: Option<String>,
    /// Who asks for it now: `recipe base`, `apache2 Depends`.
    pub because: Vec<String>,
    /// What is to be fetched for it, in bytes.
    pub bytes: u64,
}

impl Change {
    /// Whether it goes back.
    pub fn is_downgrade(&self) -> bool {
        matches!((&self.from, &self.to), (Some(from), Some(to)) if to < from)
    }
}

/// From `old` to `new`, by name. A package of the same version with other bytes is changed too.
pub fn changes(old: &Lock, new: &Lock) -> Vec<Change> {
    let by_name = |lock: &Lock| -> BTreeMap<String, Locked> {
        lock.packages.iter().map(|package| (package.name.clone(), package.clone())).collect()
    };
    let (old, new) = (by_name(old), by_name(new));
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let change = |name: &String| {
        let (before, now) = (old.get(name), new.get(name));
        if before.map(|package| package.sha256) == now.map(|package| package.sha256) {
            return None;
        }
        let source_version =
            |package: &Locked| package.source_version.clone().unwrap_or_else(|| package.version.clone());
        Some(Change {
            package: name.clone(),
            source: now.or(before)?.source.clone(),
            from: before.map(|package| package.version.clone()),
            to: now.map(|package| package.version.clone()),
            source_from: before.map(source_version),
            archive: now.map(|package| package.archive.clone()),
            because: now.map(|package| package.because.clone()).unwrap_or_default(),
            bytes: now.map_or(0, |package| package.size),
        })
    };
    names.into_iter().filter_map(change).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arch::Arch;
    use crate::digest::Digest;
    use crate::epoch::Epoch;

    fn lock(packages: &[(&str, &str)]) -> Lock {
        let locked = |(name, version): &(&str, &str)| Locked {
            name: (*name).to_owned(),
            version: version.parse().unwrap(),
            arch: "amd64".to_owned(),
            source: "source".to_owned(),
            source_version: None,
            archive: "trixie".to_owned(),
            path: format!("pool/{name}.deb"),
            size: 10,
            sha256: Digest::of(format!("{name}{version}").as_bytes()),
            because: vec!["recipe hello".to_owned()],
        };
        Lock {
            version: 1,
            image: "hello".to_owned(),
            arch: Arch::Amd64,
            epoch: Epoch(0),
            wish: Digest::of(b""),
            archives: Vec::new(),
            packages: packages.iter().map(locked).collect(),
            gives: BTreeMap::new(),
        }
    }

    #[test]
    fn what_came_went_and_moved() {
        let old = lock(&[("a", "1.0"), ("b", "1.0"), ("c", "2.0")]);
        let new = lock(&[("a", "1.0"), ("b", "1.1"), ("c", "1.0"), ("d", "1.0")]);
        let found = changes(&old, &new);
        let names: Vec<_> = found.iter().map(|change| (change.package.as_str(), change.is_downgrade())).collect();
        assert_eq!(names, [("b", false), ("c", true), ("d", false)]);
        assert_eq!(found.iter().map(|change| change.bytes).sum::<u64>(), 30);
        assert_eq!(changes(&new, &old).last().map(|change| (change.from.is_some(), change.bytes)), Some((true, 0)));
        assert_eq!(changes(&old, &old), []);
    }
}
