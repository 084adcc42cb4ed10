//! `goldsmith diff`
//!
//! ```text
//! A, B: a lock, an image that was built here, an OCI layout or archive from anywhere, a report of `verify`
//!   two locks    ─▶ packages
//!   two images   ─▶ packages (dpkg's own list) ▸ files, with the lines of those that are text ▸ settings in force ▸ layers to pull
//!   two reports  ─▶ who reaches what
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use serde::{Deserialize, Serialize};
use similar::TextDiff;

use super::build::{TOOLBOX, plan, processors};
use super::registry::Registry;
use super::shell::Ended;
use super::{Usage, images, print_json};
use crate::debian::deb822;
use crate::image::read::{self, Pulled};
use crate::lock::changes::changes;
use crate::lock::file::Lock;
use crate::progress::{Progress, bytes};
use crate::recipe::project::Project;
use crate::rootfs::Rootfs;
use crate::rootfs::diff::{Change, diff};
use crate::rootfs::listing::{Listing, shown};
use crate::rootfs::materialise::materialise;
use crate::rootfs::tree::Workshop;
use crate::sandbox::{Namespace, Sandbox};
use crate::store::Store;
use crate::verify::configured::configured;

/// Show what changes from one lock or image to another.
///
/// A and B are locks (`old.lock`), images that were built here (`api`), OCI layouts and archives of them (by their path),
/// images in registries (`docker://registry.example/api:1`), or reports of `verify --json` (`old.json`). Of locks, the packages;
/// of images, the packages, the files, the lines of files that are text, the settings in force as the image's own programs print
/// them in a sandbox, and what a host that has A pulls to have B; of reports, who reaches what.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  git show HEAD~:images/api.lock > old.lock; goldsmith diff old.lock images/api.lock\n  \
                        goldsmith diff shipped/api.oci.tar api --exit-code\n  \
                        goldsmith diff docker://registry.example/api:2026-10 api"
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
    /// Run no program of the images: without the settings in force.
    #[arg(long)]
    no_run: bool,
    /// End with the exit code 3 if they differ.
    #[arg(long)]
    exit_code: bool,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

/// The exit code of `--exit-code` if they differ.
const DIFFER: u8 = 3;

/// How an image in a registry is named, as containers-transports(5) has it.
const REMOTE: &str = "docker://";

/// Of files that are longer no lines are shown: they were not written by a person.
const LONGEST: u64 = 128 << 10;

/// What changes.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// By name: the versions before and now.
    packages: BTreeMap<String, (Option<String>, Option<String>)>,
    /// Of files: what differs, a sentence each.
    files: Vec<File>,
    /// Of what is in force, by the name of what has it: a unified diff.
    settings: BTreeMap<String, String>,
    /// Of reports, by image, host and address: what is reached, before and now.
    exposure: BTreeMap<String, (Option<String>, Option<String>)>,
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
    /// How many layers B has.
    layers: usize,
    /// Of those that A does not have: what is in them, and their bytes.
    new: Vec<(String, u64)>,
    /// The bytes of all layers of A.
    before: u64,
    /// The bytes of all layers of B.
    now: u64,
}

/// One of the two.
enum Side {
    Lock(Box<Lock>),
    Image(Box<Image>),
    /// What is reached, by image, host and address.
    Exposure(BTreeMap<String, String>),
}

struct Image {
    rootfs: Rootfs,
    layers: Vec<Pulled>,
}

impl Diff {
    pub fn run(self, project: &Project, progress: &Progress, out: &mut dyn Write) -> anyhow::Result<()> {
        // Before any thread is started, and only if there are programs to run: user namespaces may be forbidden here.
        let named = [&self.a, &self.b];
        let runs = !self.no_run && named.iter().all(|named| is_image(named));
        let is_remote = named.iter().any(|named| named.starts_with(REMOTE));
        let namespace = if runs || is_remote { Some(Namespace::enter()?) } else { None };
        let sides = Sides { project, progress, namespace };
        let report = match (sides.side(&self.a)?, sides.side(&self.b)?) {
            (Side::Lock(a), Side::Lock(b)) => Report { packages: locked(&a, &b), ..Report::default() },
            (Side::Exposure(a), Side::Exposure(b)) => Report { exposure: moved(&a, &b), ..Report::default() },
            (Side::Image(a), Side::Image(b)) => {
                let mut report = built(&a, &b, self.names)?;
                if let Some(namespace) = namespace.filter(|_| runs) {
                    let store = Store::open_default()?.reporting(progress);
                    let (a, b) = (settings(namespace, &a, &store)?, settings(namespace, &b, &store)?);
                    report.settings = changed_settings(&a, &b);
                }
                report
            }
            _ => {
                let message = format!("{} and {} cannot be compared: they are not of one kind", self.a, self.b);
                let help = "give two locks, two images, or two reports".to_owned();
                return Err(Usage { message, help: Some(help) }.into());
            }
        };
        match self.json {
            true => print_json(out, &report)?,
            false => write!(out, "{}", text(&report))?,
        }
        let same = report.packages.is_empty() && report.files.is_empty() && report.settings.is_empty();
        let same = same && report.exposure.is_empty();
        if self.exit_code && !same { Err(Ended(DIFFER).into()) } else { Ok(()) }
    }
}

/// Whether a person named an image.
fn is_image(named: &str) -> bool {
    !named.ends_with(".lock") && !named.ends_with(".json")
}

/// Where what a person names is looked for.
struct Sides<'a> {
    project: &'a Project,
    progress: &'a Progress,
    /// Only if there is a program to run.
    namespace: Option<Namespace>,
}

impl Sides<'_> {
    /// Brings an image from a registry below `folder`.
    fn pulled(&self, reference: &str, folder: &Path) -> anyhow::Result<PathBuf> {
        let namespace = self.namespace.context("a registry is asked by a program")?;
        let store = Store::open_default()?.reporting(self.progress);
        let progress = self.progress.clone();
        let workshop = Workshop { namespace, store, progress, jobs: processors(), keep: false };
        let toolbox = workshop.tree(&plan(self.project, TOOLBOX)?.ingredients())?;
        Ok(Registry { namespace, toolbox: &toolbox }.pull(reference, folder)?)
    }

    /// What a person named.
    fn side(&self, named: &str) -> anyhow::Result<Side> {
        let path = Path::new(named);
        if named.ends_with(".lock") {
            return Ok(Side::Lock(Box::new(Lock::load(path)?)));
        }
        let cannot = || format!("cannot read {named}");
        if named.ends_with(".json") {
            let reports: Vec<Exposed> = serde_json::from_slice(&fs::read(path).with_context(cannot)?)
                .with_context(|| format!("{named} is no report of `goldsmith verify --json`"))?;
            return Ok(Side::Exposure(reports.iter().flat_map(Exposed::lines).collect()));
        }
        let scratch;
        let layout = if let Some(reference) = named.strip_prefix(REMOTE) {
            scratch = Store::open_default()?.reporting(self.progress).scratch()?;
            self.pulled(reference, scratch.path())?
        } else if named.ends_with(".tar") {
            scratch = Store::open_default()?.reporting(self.progress).scratch()?;
            read::lay_out(path, scratch.path()).with_context(cannot)?;
            scratch.path().to_owned()
        } else if named.contains('/') {
            path.to_owned()
        } else {
            let name = images(self.project, &[named.to_owned()])?.remove(0);
            let layout = self.project.image(&name).join("oci");
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
}

fn locked(a: &Lock, b: &Lock) -> BTreeMap<String, (Option<String>, Option<String>)> {
    let text = |version: Option<crate::debian::version::Version>| version.map(|version| version.to_string());
    changes(a, b).into_iter().map(|change| (change.package, (text(change.from), text(change.to)))).collect()
}

/// A report of `goldsmith verify`, as far as it says who reaches what.
#[derive(Debug, Deserialize)]
struct Exposed {
    image: String,
    exposure: Vec<Reached>,
}

#[derive(Debug, Deserialize)]
struct Reached {
    host: String,
    at: String,
    tcp: Vec<u16>,
    udp: Vec<u16>,
    ping: bool,
}

impl Exposed {
    /// `db, peer api, ipv4` and what that reaches.
    fn lines(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.exposure.iter().map(|one| {
            let ports = |ports: &[u16]| ports.iter().map(|port| format!(" {port}")).collect::<String>();
            let ping = if one.ping { "ping" } else { "no ping" };
            let reached = format!("tcp{}; udp{}; {ping}", ports(&one.tcp), ports(&one.udp));
            (format!("{}, {}, {}", self.image, one.host, one.at), reached)
        })
    }
}

/// What is not the same in both, by name.
fn moved(
    a: &BTreeMap<String, String>,
    b: &BTreeMap<String, String>,
) -> BTreeMap<String, (Option<String>, Option<String>)> {
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let pairs = names.into_iter().map(|name| (name.clone(), (a.get(name).cloned(), b.get(name).cloned())));
    pairs.filter(|(_, (from, to))| from != to).collect()
}

/// The settings in force in an image, in a copy of it that is thrown away.
fn settings(namespace: Namespace, image: &Image, store: &Store) -> anyhow::Result<BTreeMap<&'static str, String>> {
    let scratch = store.scratch()?;
    let root = scratch.path().join("root");
    fs::create_dir(&root).with_context(|| format!("cannot make {}", root.display()))?;
    materialise(&image.rootfs, &BTreeMap::new(), &root)?;
    Ok(configured(&image.rootfs, &Sandbox::new(namespace, &root))?)
}

/// What is otherwise, as unified diffs without context: settings stand by themselves.
fn changed_settings(
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

fn built(a: &Image, b: &Image, names: bool) -> anyhow::Result<Report> {
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

fn text(report: &Report) -> String {
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
        let _ = writeln!(text, "settings in force: {} differ", report.settings.len());
        for (name, lines) in &report.settings {
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
