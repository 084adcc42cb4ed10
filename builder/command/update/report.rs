//! What an update changes, as a person, a pull request and a program read it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;

use crate::lock::changes::Change;
use crate::progress::bytes;

/// One image.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "UpdateReport")]
pub(super) struct Report {
    /// The image.
    pub image: String,
    /// Whether the archives were asked what they have.
    pub asked: bool,
    /// Its packages that change, by name.
    pub packages: Vec<Change>,
    /// What is to be fetched, in bytes.
    pub bytes: u64,
    /// What the changelogs of the new versions say that they mend, by source package; `null`: it is not known.
    pub fixed: BTreeMap<String, Option<BTreeSet<String>>>,
    /// What is still open after it; `null`: nobody gave the tracker's data.
    pub open: Option<Vec<Vulnerability>>,
}

/// A vulnerability that the image has after the update.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub(super) struct Vulnerability {
    /// `CVE-2026-1234`.
    pub name: String,
    /// The source package.
    pub source: String,
    /// As the tracker says.
    pub urgency: String,
    /// The version that mends it, if there is one.
    pub fixed: Option<String>,
}

/// The JSON schema of `goldsmith update --json`.
pub(in super::super) fn schema() -> schemars::Schema {
    schemars::schema_for!(Vec<Report>)
}

/// Packages of one source that change in the same way, and are shown together.
struct Group<'a> {
    first: &'a Change,
    packages: Vec<&'a str>,
}

impl Group<'_> {
    /// `glibc: libc-bin, libc6`; the package alone, if it is one.
    fn names(&self) -> String {
        match self.packages[..] {
            [only] => only.to_owned(),
            _ => format!("{}: {}", self.first.source, self.packages.join(", ")),
        }
    }
}

/// `1.0 → 1.1`, `new, 1.0`, `gone, 1.0`.
fn versions(change: &Change) -> String {
    match (&change.from, &change.to) {
        (Some(from), Some(to)) => format!("{from} → {to}"),
        (None, Some(to)) => format!("new, {to}"),
        (Some(from), None) => format!("gone, {from}"),
        (None, None) => String::new(),
    }
}

impl Report {
    /// The changes, those of one source together.
    fn groups(&self) -> Vec<Group<'_>> {
        let mut groups: BTreeMap<_, Group<'_>> = BTreeMap::new();
        for change in &self.packages {
            let key = (&change.source, versions(change), &change.archive);
            let group = groups.entry(key).or_insert_with(|| Group { first: change, packages: Vec::new() });
            group.packages.push(&change.package);
        }
        groups.into_values().collect()
    }

    /// What the new version of a package mends: the names, `none named`, or `unknown`.
    fn mends(&self, change: &Change) -> String {
        match self.fixed.get(&change.source) {
            Some(Some(names)) if names.is_empty() => "its changelog names no CVE".to_owned(),
            Some(Some(names)) => names.iter().cloned().collect::<Vec<_>>().join(", "),
            _ if change.from.is_none() || change.to.is_none() => String::new(),
            _ => "unknown".to_owned(),
        }
    }

    /// What is said where no package changes.
    fn nothing(&self) -> &'static str {
        if self.asked { "nothing to update" } else { "the archives were not asked" }
    }

    /// What is said of what is still open.
    fn open_line(&self) -> String {
        match &self.open {
            None => "unknown: there is no data of a security tracker (--tracker)".to_owned(),
            Some(open) if open.is_empty() => "none".to_owned(),
            Some(open) => {
                let mut by_urgency: BTreeMap<&str, usize> = BTreeMap::new();
                open.iter().for_each(|one| *by_urgency.entry(&one.urgency).or_default() += 1);
                let counts: Vec<String> =
                    by_urgency.iter().map(|(urgency, count)| format!("{count} {urgency}")).collect();
                format!("{} ({})", open.len(), counts.join(", "))
            }
        }
    }

    /// For people.
    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        if self.packages.is_empty() {
            writeln!(out, "{}: {}", self.image, self.nothing())?;
        } else {
            writeln!(out, "{}: {} packages, {} to fetch", self.image, self.packages.len(), bytes(self.bytes))?;
        }
        for group in self.groups() {
            let (archive, mends) = (group.first.archive.as_deref().unwrap_or("-"), self.mends(group.first));
            writeln!(out, "  {}  {}  ({archive})", group.names(), versions(group.first))?;
            if !mends.is_empty() {
                writeln!(out, "    mends: {mends}")?;
            }
        }
        writeln!(out, "  still open: {}", self.open_line())
    }

    /// For a pull request: Markdown, as GitHub and GitLab show it.
    pub(super) fn markdown(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "### {}\n", self.image)?;
        if self.packages.is_empty() {
            writeln!(out, "{}.", self.nothing())?;
        } else {
            writeln!(out, "{} packages, {} to fetch.\n", self.packages.len(), bytes(self.bytes))?;
            writeln!(out, "| packages | version | from | mends | asked for by |\n|---|---|---|---|---|")?;
        }
        for group in self.groups() {
            let archive = group.first.archive.as_deref().unwrap_or("");
            let because = group.first.because.first().map_or("", String::as_str);
            let (names, versions, mends) = (group.names(), versions(group.first), self.mends(group.first));
            writeln!(out, "| {names} | {versions} | {archive} | {mends} | {because} |")?;
        }
        writeln!(out, "\nStill open: {}.\n", self.open_line())?;
        for one in self.open.iter().flatten() {
            let fixed = one.fixed.as_ref().map_or_else(String::new, |fixed| format!(", mended in {fixed}"));
            writeln!(out, "- {} ({}, {}{fixed})", one.name, one.source, one.urgency)?;
        }
        Ok(())
    }
}
