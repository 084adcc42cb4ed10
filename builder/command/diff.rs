//! `goldsmith diff`
//!
//! ```text
//! A, B: a lock, an image that was built here, or an OCI layout or archive from anywhere
//!   two locks    ─▶ packages
//!   two images   ─▶ packages (dpkg's own list) ▸ files, with the lines of those that are text ▸ layers to pull
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::Context;
use clap::Args;
use serde::Serialize;
use similar::TextDiff;

use super::shell::Ended;
use super::{Usage, images, print_json};
use crate::debian::deb822;
use crate::digest::Digest;
use crate::image::read;
use crate::lock::changes::changes;
use crate::lock::file::Lock;
use crate::progress::{Progress, bytes};
use crate::recipe::project::Project;
use crate::rootfs::Rootfs;
use crate::rootfs::diff::{Change, diff};
use crate::rootfs::listing::{Listing, shown};
use crate::store::Store;

/// Show what changes from one lock or image to another.
///
/// A and B are locks (`old.lock`), images that were built here (`api`), or OCI layouts and archives of them (by their path).
/// Of locks, the packages; of images, the packages, the files, the lines of files that are text, and what a host that has A
/// pulls to have B.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  git show HEAD~:images/api.lock > old.lock; goldsmith diff old.lock images/api.lock\n  \
                        goldsmith diff shipped/api.oci.tar api --exit-code"
)]
pub struct Diff {
    /// The one before.
    #[arg(value_name = "A")]
    a: String,
    /// The one after.
    #[arg(value_name = "B")]
    b: String,
    /// Without the lines of files.
    #[arg(long)]
    names: bool,
    /// End with the exit code 3 if they differ.
    #[arg(long)]
    exit_code: bool,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

/// The exit code of `--exit-code` if they differ.
const DIFFER: u8 = 3;

/// Of files that are longer no lines are shown: they were not written by a person.
const LONGEST: u64 = 128 << 10;

/// What changes.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// By name: the versions before and now.
    packages: BTreeMap<String, (Option<String>, Option<String>)>,
    /// Of files: what differs, a sentence each.
    files: Vec<File>,
    /// Layers of B, how many of them A does not have, and the bytes of those and of all.
    pull: Option<Pull>,
}

#[derive(Debug, Serialize)]
struct File {
    path: String,
    change: String,
    /// A unified diff, if both are text.
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<String>,
}

#[derive(Debug, Serialize)]
struct Pull {
    layers: usize,
    new: usize,
    bytes: u64,
    of: u64,
}

/// One of the two.
enum Side {
    Lock(Box<Lock>),
    Image(Box<Image>),
}

struct Image {
    rootfs: Rootfs,
    layers: BTreeMap<Digest, u64>,
}

impl Diff {
    pub fn run(self, project: &Project, progress: &Progress, out: &mut dyn Write) -> anyhow::Result<()> {
        let report = match (side(project, &self.a, progress)?, side(project, &self.b, progress)?) {
            (Side::Lock(a), Side::Lock(b)) => Report { packages: locked(&a, &b), ..Report::default() },
            (Side::Image(a), Side::Image(b)) => built(&a, &b, self.names)?,
            _ => {
                let message =
                    format!("{} and {} cannot be compared: one is a lock, the other an image", self.a, self.b);
                let help = "give two locks, or two images".to_owned();
                return Err(Usage { message, help: Some(help) }.into());
            }
        };
        match self.json {
            true => print_json(out, &report)?,
            false => write!(out, "{}", text(&report))?,
        }
        let same = report.packages.is_empty() && report.files.is_empty();
        if self.exit_code && !same { Err(Ended(DIFFER).into()) } else { Ok(()) }
    }
}

/// What a person named.
fn side(project: &Project, named: &str, progress: &Progress) -> anyhow::Result<Side> {
    let path = Path::new(named);
    if path.extension().is_some_and(|end| end == "lock") {
        return Ok(Side::Lock(Box::new(Lock::load(path)?)));
    }
    let cannot = || format!("cannot read {named}");
    let scratch;
    let layout = if named.ends_with(".tar") {
        scratch = Store::open_default()?.reporting(progress).scratch()?;
        read::lay_out(path, scratch.path()).with_context(cannot)?;
        scratch.path().to_owned()
    } else if named.contains('/') {
        path.to_owned()
    } else {
        let name = images(project, &[named.to_owned()])?.remove(0);
        let layout = project.image(&name).join("oci");
        anyhow::ensure!(
            layout.join("index.json").exists(),
            "there is no image {}\nhelp: `goldsmith build {name}` makes it",
            layout.display()
        );
        layout
    };
    let rootfs = read::rootfs(&layout).with_context(cannot)?;
    Ok(Side::Image(Box::new(Image { rootfs, layers: read::pulled(&layout).with_context(cannot)? })))
}

fn locked(a: &Lock, b: &Lock) -> BTreeMap<String, (Option<String>, Option<String>)> {
    let text = |version: Option<crate::debian::version::Version>| version.map(|version| version.to_string());
    changes(a, b).into_iter().map(|change| (change.package, (text(change.from), text(change.to)))).collect()
}

fn built(a: &Image, b: &Image, names: bool) -> anyhow::Result<Report> {
    let (before, now) = (installed(&a.rootfs)?, installed(&b.rootfs)?);
    let mut packages = BTreeMap::new();
    for name in before.keys().chain(now.keys()) {
        let (from, to) = (before.get(name).cloned(), now.get(name).cloned());
        if from != to {
            packages.insert(name.clone(), (from, to));
        }
    }
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
    let new = b.layers.iter().filter(|(digest, _)| !a.layers.contains_key(digest));
    let (new, missing) = new.fold((0, 0), |(count, sum), (_, size)| (count + 1, sum + size));
    let pull = Pull { layers: b.layers.len(), new, bytes: missing, of: b.layers.values().sum() };
    Ok(Report { packages, files, pull: Some(pull) })
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

fn text(report: &Report) -> String {
    let mut text = String::new();
    let absent = || "-".to_owned();
    // Writing to a string does not fail.
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
        let (new, of) = (bytes(pull.bytes), bytes(pull.of));
        let _ = writeln!(text, "to pull: {} of {} layers, {new} of {of}", pull.new, pull.layers);
    }
    text
}
