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
use super::lock::{Archives, recipes};
use super::shell::Ended;
use super::{NoLock, fetch, print_json};
use crate::debian::changelog;
use crate::debian::deb::Deb;
use crate::debian::tracker::Tracker;
use crate::debian::version::Version;
use crate::lock::changes::{Change, changes};
use crate::lock::file::{Lock, Locked};
use crate::mirror::{Mirror, MirrorError, Options};
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
    /// Move only what mends something, and what that forces: packages of which an archive with security updates (a suite
    /// NAME-security) has newer ones, or whose locked versions have a vulnerability that the tracker knows to be mended.
    #[arg(long)]
    security: bool,
    /// Write nothing and fetch no package: say what would change.
    #[arg(long)]
    check: bool,
    /// Ask nobody: of the locks as they are, say what the tracker's data that was fetched last knows to be open.
    #[arg(long, conflicts_with_all = ["security", "check"])]
    offline: bool,
    /// Write the report as Markdown too, for a pull request.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Data of Debian's security tracker, JSON: what is still open after the update is read from it. Default: the tracker's
    /// own, unless a mirror is named. It is kept for when the tracker is not reached.
    #[arg(long, value_name = "FILE|URL", env = "GOLDSMITH_TRACKER")]
    tracker: Option<String>,
    /// Let packages go back to older versions, where the archive has only those.
    #[arg(long)]
    allow_downgrade: bool,
    #[command(flatten)]
    archives: Archives,
    /// Print the report as JSON: `goldsmith schema update` describes it.
    #[arg(long)]
    json: bool,
}

impl Update {
    pub fn run(self, project: &Project, progress: &Progress, out: &mut dyn Write) -> anyhow::Result<()> {
        let recipes = recipes(project, &self.images)?;
        let store = Store::open_default()?.reporting(progress);
        let options = Options::from_environment(self.archives.mirror.clone());
        let mirror = Mirror::discover(&options, &store, progress)?;
        let tracker = self.tracker(&mirror, options.mirror.is_none(), progress)?;
        let answers = if self.offline {
            recipes.iter().map(|recipe| as_it_is(project, recipe)).collect::<anyhow::Result<Vec<_>>>()?
        } else {
            let vulnerable = vulnerable(project, &recipes, tracker.as_ref())?;
            let keep = if self.security { Keep::AllButSecurity(&vulnerable) } else { Keep::Nothing };
            Ask { project, mirror: &mirror, allow_stale: self.archives.allow_stale, progress }
                .answers(&recipes, keep)?
        };
        let mut reports = Vec::new();
        for (recipe, answer) in recipes.iter().zip(&answers) {
            let changes = self.changes(answer)?;
            let fixed = if self.check || changes.is_empty() {
                BTreeMap::new()
            } else {
                let new = changed(&answer.lock, &changes);
                mirror.fetch(&fetch::of_lock(recipe, &Lock { packages: new.clone(), ..answer.lock.clone() })?)?;
                fixed(&changes, &new, &store)?
            };
            let open = tracker.as_ref().map(|tracker| open(tracker, recipe, &answer.lock));
            let bytes = changes.iter().map(|change| change.bytes).sum();
            let (image, asked) = (recipe.name.clone(), !self.offline);
            reports.push(Report { image, asked, packages: changes, bytes, fixed, open });
        }
        if let Some(path) = &self.markdown {
            let mut text = Vec::new();
            reports.iter().try_for_each(|report| report.markdown(&mut text))?;
            fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        if !self.check && !self.offline {
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

    /// The tracker's data, if there is any: from where it was said to be, else from where it is published (`by_default`), else
    /// what was fetched last.
    fn tracker(&self, mirror: &Mirror, by_default: bool, progress: &Progress) -> anyhow::Result<Option<Tracker>> {
        let Some(source) = self.tracker.as_deref().or(by_default.then_some(TRACKER)) else { return Ok(None) };
        let bytes = if !source.contains("://") {
            fs::read(source).with_context(|| format!("cannot read {source}"))?
        } else {
            let asked = if self.offline { None } else { Some(mirror.document("the security tracker's data", source)) };
            match (asked, mirror.kept(source)?) {
                (Some(Ok(bytes)), _) => bytes,
                (Some(Err(why @ MirrorError::Unsafe(_))), _) => return Err(why.into()),
                (why, Some(kept)) => {
                    let why = why.and_then(Result::err).map_or_else(String::new, |why| format!(" ({why})"));
                    progress.message(&format!("the security tracker's data is what was fetched last{why}"));
                    kept
                }
                (Some(Err(why)), None) if self.tracker.is_some() => return Err(why.into()),
                (Some(Err(why)), None) => {
                    progress.message(&format!("what is still open is not known: {why}"));
                    return Ok(None);
                }
                (None, None) => return Ok(None),
            }
        };
        let tracker = Tracker::parse(&bytes);
        Ok(Some(tracker.with_context(|| format!("{source} is no data of the security tracker"))?))
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

/// Where Debian's security tracker publishes all that it knows.
const TRACKER: &str = "https://security-tracker.debian.org/tracker/data/json";

/// A lock that nobody asks an archive for.
fn as_it_is(project: &Project, recipe: &Recipe) -> anyhow::Result<Answer> {
    let lock = NoLock::or_load(project, &recipe.name)?;
    Ok(Answer { previous: Some(lock.clone()), lock })
}

/// The packages of the locks that have a vulnerability which a newer version mends.
fn vulnerable(project: &Project, recipes: &[Recipe], tracker: Option<&Tracker>) -> anyhow::Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    for recipe in recipes.iter().filter(|recipe| project.lock(&recipe.name).exists()) {
        let Some(tracker) = tracker else { break };
        let lock = Lock::load(&project.lock(&recipe.name))?;
        let mended: BTreeSet<String> =
            open(tracker, recipe, &lock).into_iter().filter(|one| one.fixed.is_some()).map(|one| one.source).collect();
        let packages = lock.packages.into_iter().filter(|package| mended.contains(&package.source));
        all.extend(packages.map(|package| package.name));
    }
    Ok(all)
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
