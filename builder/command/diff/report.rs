//! What changes from one to the other, and how it is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::Read;

use anyhow::Context;
use serde::Serialize;
use similar::TextDiff;

use super::side::Image;
use crate::debian::deb822;
use crate::image::read::Pulled;
use crate::lock::changes::changes;
use crate::lock::file::Lock;
use crate::progress::bytes;
use crate::rootfs::Rootfs;
use crate::rootfs::diff::{Change, diff};
use crate::rootfs::listing::{Listing, shown};
use crate::rootfs::materialise::materialise;
use crate::sandbox::{Namespace, Sandbox};
use crate::store::Store;
use crate::verify::configured::configured;

/// Of files that are longer no lines are shown: they were not written by a person.
const LONGEST: u64 = 128 << 10;

/// What changes.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// By name: the versions before and now.
    pub packages: BTreeMap<String, (Option<String>, Option<String>)>,
    /// Of files: what differs, a sentence each.
    pub files: Vec<File>,
    /// Of what is in force, by the name of what has it: a unified diff. None: no program was run to say it.
    pub settings: Option<BTreeMap<String, String>>,
    /// Of reports, by image, host and address: what is reached, before and now.
    pub exposure: BTreeMap<String, (Option<String>, Option<String>)>,
    /// Layers of B, how many of them A does not have, and the bytes of those and of all.
    pub pull: Option<Pull>,
}

#[derive(Debug, Serialize)]
pub(super) struct File {
    path: String,
    change: String,
    /// A unified diff, if both are text.
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct Pull {
    /// How many layers B has.
    layers: usize,
    /// Of those that A does not have: what is in them, and their bytes.
    new: Vec<(String, u64)>,
    /// The bytes of all layers of A.
    before: u64,
    /// The bytes of all layers of B.
    now: u64,
}

pub(super) fn locked(a: &Lock, b: &Lock) -> BTreeMap<String, (Option<String>, Option<String>)> {
    let text = |version: Option<crate::debian::version::Version>| version.map(|version| version.to_string());
    changes(a, b).into_iter().map(|change| (change.package, (text(change.from), text(change.to)))).collect()
}

/// What is not the same in both, by name.
pub(super) fn moved(
    a: &BTreeMap<String, String>,
    b: &BTreeMap<String, String>,
) -> BTreeMap<String, (Option<String>, Option<String>)> {
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let pairs = names.into_iter().map(|name| (name.clone(), (a.get(name).cloned(), b.get(name).cloned())));
    pairs.filter(|(_, (from, to))| from != to).collect()
}

/// The settings in force in an image, in a copy of it that is thrown away.
pub(super) fn settings(
    namespace: Namespace,
    image: &Image,
    store: &Store,
) -> anyhow::Result<BTreeMap<&'static str, String>> {
    let scratch = store.scratch()?;
    let root = scratch.path().join("root");
    fs::create_dir(&root).with_context(|| format!("cannot make {}", root.display()))?;
    materialise(&image.rootfs, &BTreeMap::new(), &root)?;
    Ok(configured(&image.rootfs, &Sandbox::new(namespace, &root))?)
}

/// What is otherwise, as unified diffs without context: settings stand by themselves.
pub(super) fn changed_settings(
    a: &BTreeMap<&'static str, String>,
    b: &BTreeMap<&'static str, String>,
) -> BTreeMap<String, String> {
    let names: BTreeSet<&&str> = a.keys().chain(b.keys()).collect();
    let nothing = String::new();
    let mut changed = BTreeMap::new();
    for name in names {
        let (from, to) = (a.get(*name).unwrap_or(&nothing), b.get(*name).unwrap_or(&nothing));
        if from != to {
            let lines = TextDiff::from_lines(from, to).unified_diff().context_radius(0).to_string();
            changed.insert((*name).to_string(), lines);
        }
    }
    changed
}

pub(super) fn built(a: &Image, b: &Image, names: bool) -> anyhow::Result<Report> {
    let (before, now) = (installed(&a.rootfs)?, installed(&b.rootfs)?);
    let packages = moved(&before, &now);
    let mut files = Vec::new();
    for difference in diff(&Listing::of(&a.rootfs), &Listing::of(&b.rootfs)) {
        // The moment of the build is in every path, and says nothing.
        if matches!(difference.change, Change::Mtime(..)) {
            continue;
        }
        let lines = match difference.change {
            Change::Content(..) if !names => lines(a, b, &difference.path),
            _ => None,
        };
        files.push(File { path: shown(&difference.path), change: difference.change.to_string(), lines });
    }
    let has = |layer: &&Pulled| a.layers.iter().any(|known| known.digest == layer.digest);
    let new = b.layers.iter().filter(|layer| !has(layer));
    let sum = |layers: &[Pulled]| layers.iter().map(|layer| layer.size).sum();
    let pull = Pull {
        layers: b.layers.len(),
        new: new.map(|layer| (layer.made_by.trim_start_matches("goldsmith: ").to_owned(), layer.size)).collect(),
        before: sum(&a.layers),
        now: sum(&b.layers),
    };
    Ok(Report { packages, files, pull: Some(pull), ..Report::default() })
}

/// Packages and versions, as dpkg's list has them.
fn installed(rootfs: &Rootfs) -> anyhow::Result<BTreeMap<String, String>> {
    const STATUS: &str = "var/lib/dpkg/status";
    if !rootfs.entries().contains_key(STATUS) {
        return Ok(BTreeMap::new());
    }
    let mut text = String::new();
    rootfs.open(STATUS)?.read_to_string(&mut text).with_context(|| format!("cannot read {STATUS}"))?;
    let mut packages = BTreeMap::new();
    for paragraph in deb822::paragraphs(&text) {
        let fields = paragraph.table().with_context(|| format!("{STATUS} is damaged"))?;
        let (name, version) = (fields.require("Package")?, fields.require("Version")?);
        packages.insert(name.to_owned(), version.to_owned());
    }
    Ok(packages)
}

/// A unified diff of a file, if it is text in both.
fn lines(a: &Image, b: &Image, path: &str) -> Option<String> {
    let read = |image: &Image| {
        let mut text = String::new();
        let length = image.rootfs.open(path).ok()?.take(LONGEST + 1).read_to_string(&mut text).ok()?;
        (u64::try_from(length).ok()? <= LONGEST && !text.contains('\0')).then_some(text)
    };
    let (before, now) = (read(a)?, read(b)?);
    Some(TextDiff::from_lines(&before, &now).unified_diff().context_radius(1).to_string())
}

pub(super) fn text(report: &Report) -> String {
    let mut text = String::new();
    let absent = || "-".to_owned();
    // Writing to a string does not fail.
    if !report.exposure.is_empty() {
        let _ = writeln!(text, "exposure: {} differ", report.exposure.len());
        for (name, (from, to)) in &report.exposure {
            let (from, to) = (from.clone().unwrap_or_else(absent), to.clone().unwrap_or_else(absent));
            let _ = writeln!(text, "  {name}\n    - {from}\n    + {to}");
        }
        return text;
    }
    let _ = writeln!(text, "packages: {} differ", report.packages.len());
    for (name, (from, to)) in &report.packages {
        let (from, to) = (from.clone().unwrap_or_else(absent), to.clone().unwrap_or_else(absent));
        let _ = writeln!(text, "  {name}  {from} → {to}");
    }
    if let Some(pull) = &report.pull {
        let _ = writeln!(text, "files: {} differ", report.files.len());
        for file in &report.files {
            let _ = writeln!(text, "  {}: {}", file.path, file.change);
            for line in file.lines.iter().flat_map(|lines| lines.lines()) {
                let _ = writeln!(text, "    {line}");
            }
        }
        let _ = match &report.settings {
            Some(settings) => writeln!(text, "settings in force: {} differ", settings.len()),
            None => writeln!(text, "settings in force: nobody asked the images' programs (--no-run)"),
        };
        for (name, lines) in report.settings.iter().flatten() {
            let _ = writeln!(text, "  {name}");
            for line in lines.lines().filter(|line| !line.starts_with("@@")) {
                let _ = writeln!(text, "    {line}");
            }
        }
        let (before, now) = (bytes(pull.before), bytes(pull.now));
        let new = bytes(pull.new.iter().map(|(_, size)| size).sum());
        let _ = writeln!(text, "size: {before} → {now}");
        let _ = writeln!(text, "to pull: {} of {} layers, {new} of {now}", pull.new.len(), pull.layers);
        for (name, size) in &pull.new {
            let _ = writeln!(text, "  {:>9}  {name}", bytes(*size));
        }
    }
    text
}
