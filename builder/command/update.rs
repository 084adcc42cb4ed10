//! `goldsmith update`
//!
//! ```text
//! locks, archives as they are now ─▶ new locks ─▶ what changed ─▶ the new packages' changelogs ─▶ what that mends
//!                                                              └─▶ the security tracker's data ─▶ what is still open
//! ```

pub(super) mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use flate2::read::GzDecoder;

use super::lock::answers::{Answer, Ask, Keep};
use super::lock::recipes;
use super::shell::Ended;
use super::{fetch, print_json};
use crate::debian::changelog;
use crate::debian::deb::Deb;
use crate::debian::tracker::Tracker;
use crate::debian::version::Version;
use crate::lock::changes::{Change, changes};
use crate::lock::file::{Lock, Locked};
use crate::mirror::{Mirror, Options};
use crate::progress::Progress;
use crate::recipe::Recipe;
use crate::recipe::project::Project;
use crate::store::Store;
use report::{Report, Vulnerability};

/// Move locks to what the archives have now, and say what that changes.
///
/// Each package that changes is shown with its versions, the archive that it comes from, and the vulnerabilities that the new
/// version's own changelog names. Nothing goes back to an older version unless it is allowed to. The exit code of --check is 3
/// if there is something to update.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  goldsmith update --security --markdown patch.md && goldsmith build\n  \
                        goldsmith update --check || echo \"there are updates, or it failed\"")]
pub struct Update {
    /// Which images; default: all, and the toolbox.
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
    /// Move only what an archive with security updates (a suite NAME-security) has newer, and what that forces.
    #[arg(long)]
    security: bool,
    /// Write nothing and fetch no package: say what would change.
    #[arg(long)]
    check: bool,
    /// Write the report as Markdown too, for a pull request.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Data of Debian's security tracker, a JSON file: what is still open after the update is read from it.
    #[arg(long, value_name = "FILE", env = "GOLDSMITH_TRACKER")]
    tracker: Option<PathBuf>,
    /// Let packages go back to older versions, where the archive has only those.
    #[arg(long)]
    allow_downgrade: bool,
    /// Accept Release files that are no longer valid: of a mirror that lags behind.
    #[arg(long, env = "GOLDSMITH_ALLOW_STALE", value_parser = clap::builder::BoolishValueParser::new())]
    allow_stale: bool,
    /// Take Debian's archives from here instead (`debian` and `debian-security` are looked for below it).
    #[arg(long, value_name = "URL", env = "GOLDSMITH_MIRROR")]
    mirror: Option<String>,
    /// Print the report as JSON: `goldsmith schema update` describes it.
    #[arg(long)]
    json: bool,
}

impl Update {
    pub fn run(self, project: &Project, progress: &Progress, out: &mut dyn Write) -> anyhow::Result<()> {
        let recipes = recipes(project, &self.images)?;
        let tracker = self.tracker.as_ref().map(|path| {
            let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
            Tracker::parse(&bytes).with_context(|| format!("{} is no data of the security tracker", path.display()))
        });
        let tracker = tracker.transpose()?;
        let store = Store::open_default()?.reporting(progress);
        let mirror = Mirror::discover(&Options::from_environment(self.mirror.clone()), &store, progress)?;
        let ask = Ask { project, mirror: &mirror, allow_stale: self.allow_stale, progress };
        let keep = if self.security { Keep::AllButSecurity } else { Keep::Nothing };
        let answers = ask.answers(&recipes, keep)?;
        let mut reports = Vec::new();
        for (recipe, answer) in recipes.iter().zip(&answers) {
            let changes = self.changes(answer)?;
            let fixed = match self.check {
                true => BTreeMap::new(),
                false => {
                    let new = changed(&answer.lock, &changes);
                    mirror.fetch(&fetch::of_lock(recipe, &Lock { packages: new.clone(), ..answer.lock.clone() })?)?;
                    fixed(&changes, &new, &store)?
                }
            };
            let open = tracker.as_ref().map(|tracker| open(tracker, recipe, &answer.lock));
            let bytes = changes.iter().map(|change| change.bytes).sum();
            reports.push(Report { image: recipe.name.clone(), packages: changes, bytes, fixed, open });
        }
        if let Some(path) = &self.markdown {
            let mut text = Vec::new();
            reports.iter().try_for_each(|report| report.markdown(&mut text))?;
            fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        if !self.check {
            for answer in &answers {
                answer.lock.save(&project.lock(&answer.lock.image))?;
            }
        }
        match self.json {
            true => print_json(out, &reports)?,
            false => reports.iter().try_for_each(|report| report.write(out))?,
        }
        let anything = reports.iter().any(|report| !report.packages.is_empty());
        if self.check && anything { Err(Ended(UPDATES).into()) } else { Ok(()) }
    }

    /// What changes, none of which goes back unless it may.
    fn changes(&self, answer: &Answer) -> anyhow::Result<Vec<Change>> {
        let nothing = Lock { packages: Vec::new(), ..answer.lock.clone() };
        let changes = changes(answer.previous.as_ref().unwrap_or(&nothing), &answer.lock);
        let back: Vec<String> = changes
            .iter()
            .filter(|change| change.is_downgrade() && !self.allow_downgrade)
            .filter_map(|change| {
                Some(format!("{} {} → {}", change.package, change.from.as_ref()?, change.to.as_ref()?))
            })
            .collect();
        anyhow::ensure!(
            back.is_empty(),
            "{}: the archives have only older versions than the lock: {}\n\
             help: a mirror that lags behind catches up; if they were withdrawn, --allow-downgrade takes the older ones",
            answer.lock.image,
            back.join(", ")
        );
        Ok(changes)
    }
}

/// The exit code of `--check` if there are updates.
const UPDATES: u8 = 3;

/// A changelog that is longer was not meant to be read.
const LONGEST: u64 = 32 << 20;

/// The packages of `lock` that are new to it, or others than before.
fn changed(lock: &Lock, changes: &[Change]) -> Vec<Locked> {
    let names: BTreeSet<&str> = changes.iter().map(|change| change.package.as_str()).collect();
    lock.packages.iter().filter(|package| names.contains(package.name.as_str())).cloned().collect()
}

/// What the changelogs say that the new versions mend, by source package: of each that was there before.
fn fixed(
    changes: &[Change],
    new: &[Locked],
    store: &Store,
) -> anyhow::Result<BTreeMap<String, Option<BTreeSet<String>>>> {
    let mut fixed: BTreeMap<String, Option<BTreeSet<String>>> = BTreeMap::new();
    for change in changes {
        let (Some(from), Some(_)) = (&change.source_from, &change.to) else { continue };
        let known = fixed.entry(change.source.clone()).or_default();
        // Packages of one source have one changelog; some have a link to that of another.
        if known.is_none()
            && let Some(package) = new.iter().find(|package| package.name == change.package)
        {
            *known = mended(package, from, store)?;
        }
    }
    Ok(fixed)
}

/// The vulnerabilities that the changelog of `package` names since the version `from`; none if it holds no changelog.
fn mended(package: &Locked, from: &Version, store: &Store) -> anyhow::Result<Option<BTreeSet<String>>> {
    let wrong = || format!("{} {}", package.name, package.version);
    let Some(file) = store.get(package.sha256)? else { return Ok(None) };
    let data = Deb::read(file).with_context(wrong)?.data().with_context(wrong)?;
    let mut archive = tar::Archive::new(data);
    for entry in archive.entries().with_context(wrong)? {
        let entry = entry.with_context(wrong)?;
        let path = entry.path().with_context(wrong)?;
        let is_debian = |name: &str| name.starts_with("changelog.Debian.") && name.ends_with(".gz");
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let in_doc = path.starts_with("./usr/share/doc") || path.starts_with("usr/share/doc");
        // A native package has but one (Debian Policy §12.7).
        if in_doc && entry.header().entry_type().is_file() && (is_debian(&name) || name == "changelog.gz") {
            let mut bytes = Vec::new();
            GzDecoder::new(entry).take(LONGEST).read_to_end(&mut bytes).with_context(wrong)?;
            let entries = changelog::since(&String::from_utf8_lossy(&bytes), from);
            if !changelog::entries(&String::from_utf8_lossy(&bytes)).is_empty() {
                return Ok(Some(entries.iter().flat_map(changelog::Entry::cves).collect()));
            }
        }
    }
    Ok(None)
}

/// What the tracker knows to be open in `lock`.
fn open(tracker: &Tracker, recipe: &Recipe, lock: &Lock) -> Vec<Vulnerability> {
    // `trixie` of `trixie-security`: the tracker names releases by their codenames.
    let codename = recipe.archives.first().map_or("", |archive| archive.suite.split('-').next().unwrap_or_default());
    let version = |package: &Locked| package.source_version.clone().unwrap_or_else(|| package.version.clone());
    let sources: BTreeMap<&str, Version> =
        lock.packages.iter().map(|package| (package.source.as_str(), version(package))).collect();
    let mut all: Vec<Vulnerability> = sources
        .iter()
        .flat_map(|(source, version)| {
            tracker.open(source, version, codename).into_iter().map(|open| Vulnerability {
                name: open.name,
                source: (*source).to_owned(),
                urgency: open.urgency,
                fixed: open.fixed,
            })
        })
        .collect();
    all.sort();
    all
}
