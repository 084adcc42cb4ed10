//! What the archives answer to recipes now: verified, resolved, proved, and put together as locks.
//!
//! ```text
//! recipes ─▶ each suite once: InRelease, indices ─▶ Offer ┐
//! locks that are there ─▶ what of them is kept (Keep) ────┴▶ resolve ─▶ prove ─▶ Answer
//! ```

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::arch::Arch;
use crate::debian::index::{Index, Source};
use crate::debian::package::{Package, parse_packages};
use crate::debian::relation::Relation;
use crate::debian::release::{Keyring, Release};
use crate::debian::version::Version;
use crate::epoch::Epoch;
use crate::lock::check::prove;
use crate::lock::file::{self, Archive, IndexFile, Locked};
use crate::lock::resolve::resolve;
use crate::lock::wish::Wish;
use crate::mirror::{Mirror, Place};
use crate::progress::{Progress, Total};
use crate::recipe::project::Project;
use crate::recipe::{self, Recipe};

/// How archives are asked.
pub(in super::super) struct Ask<'a> {
    /// Where locks and keyrings are.
    pub project: &'a Project,
    /// Where archives are.
    pub mirror: &'a Mirror,
    /// Whether a Release file may be past its date.
    pub allow_stale: bool,
    /// Told what is under way.
    pub progress: &'a Progress,
}

/// What stays of a lock that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Keep<'a> {
    /// All that still satisfies.
    Satisfying,
    /// The same, but for packages of which an archive with security updates has newer ones, and for these.
    AllButSecurity(&'a BTreeSet<String>),
    /// Nothing.
    Nothing,
}

/// A recipe's lock, before and now.
pub(in super::super) struct Answer {
    /// The lock that was there.
    pub previous: Option<file::Lock>,
    /// The answer; the same as before, if no package is another one.
    pub lock: file::Lock,
}

impl Ask<'_> {
    /// To each recipe. One look at each suite: all are answered from the same state of the archive.
    pub(in super::super) fn answers(&self, recipes: &[Recipe], keep: Keep<'_>) -> anyhow::Result<Vec<Answer>> {
        let mut seen: BTreeMap<Asked, Offer> = BTreeMap::new();
        for asked in recipes.iter().flat_map(|recipe| recipe.archives.iter().map(|one| Asked::of(recipe, one))) {
            if let Entry::Vacant(vacant) = seen.entry(asked) {
                let step = self.progress.step("verify", Total::Unknown);
                let offer = vacant.insert(self.offer(asked)?);
                step.done(&format!("{}, signed by {}", asked.suite, offer.release.signers.join(", ")));
            }
        }
        let mut answers = Vec::new();
        for recipe in recipes {
            let previous = previous(self.project, recipe)?;
            let mut offers = Vec::new();
            for archive in &recipe.archives {
                let offer = &seen[&Asked::of(recipe, archive)];
                not_older(recipe, archive, (offer, previous.as_ref()))?;
                offers.push((archive, offer));
            }
            let step = self.progress.step("resolve", Total::Unknown);
            let kept = previous.as_ref().map(|lock| kept(lock, &offers, keep)).unwrap_or_default();
            let mut lock = answer(recipe, &offers, kept)?;
            // Nothing changed: then what the lock is known to give still holds, and so does the moment of the build.
            if let Some(same) = previous.as_ref().filter(|old| old.packages == lock.packages && old.wish == lock.wish) {
                lock = same.clone();
            }
            step.done(&format!("{}: {} packages", recipe.name, lock.packages.len()));
            answers.push(Answer { previous, lock });
        }
        Ok(answers)
    }

    /// What a suite offers, its signature verified.
    fn offer(&self, asked: Asked) -> anyhow::Result<Offer> {
        let place = Place { uri: asked.uri, suite: asked.suite };
        let keyring = match asked.keyring {
            None => Keyring::debian(),
            Some(path) => {
                let bytes = std::fs::read(self.project.root().join(path));
                let bytes = bytes.map_err(|error| anyhow::anyhow!("cannot read the keyring {path}: {error}"))?;
                Keyring::parse(&bytes).map_err(|error| anyhow::anyhow!("the keyring {path}: {error}"))?
            }
        };
        let inrelease = self.mirror.inrelease(place)?;
        let now = now();
        let wrong = |error| anyhow::anyhow!("InRelease of {}: {error}", asked.suite);
        let release = Release::verify(&inrelease, &keyring, Some(now)).map_err(wrong)?;
        if !release.is_suite(asked.suite) {
            let (suite, codename) = (release.suite.as_deref(), release.codename.as_deref());
            anyhow::bail!(
                "InRelease of {}: it is that of another suite ({}): somebody serves one archive in the place of another",
                asked.suite,
                codename.or(suite).unwrap_or("unnamed")
            );
        }
        if !self.allow_stale {
            release.check_fresh(now).map_err(wrong)?;
        }
        let (mut packages, mut indices) = (Vec::new(), Vec::new());
        for component in asked.components {
            let path = format!("{component}/binary-{}/Packages", asked.arch.debian());
            let index = self.mirror.index(place, &release, &path)?;
            let wrong = |error| anyhow::anyhow!("{} of {}: {error}", index.path, asked.suite);
            packages.extend(parse_packages(&index.text).map_err(wrong)?);
            indices.push(IndexFile { path: index.path.clone(), sha256: index.blob.digest, size: index.blob.size });
        }
        Ok(Offer { inrelease: self.mirror.keep(&inrelease)?, release, packages, indices })
    }
}

/// What of `lock` stays.
fn kept(lock: &file::Lock, offers: &[(&recipe::Archive, &Offer)], keep: Keep<'_>) -> BTreeMap<String, Version> {
    let (mut kept, vulnerable) = match keep {
        Keep::Nothing => return BTreeMap::new(),
        Keep::Satisfying => return lock.keep(),
        Keep::AllButSecurity(vulnerable) => (lock.keep(), vulnerable),
    };
    // Debian's archives with security updates are suites of that name (trixie-security).
    for (archive, offer) in offers {
        for package in &offer.packages {
            let mends = archive.suite.ends_with("-security") || vulnerable.contains(&package.name);
            if mends && kept.get(&package.name).is_some_and(|locked| package.version > *locked) {
                kept.remove(&package.name);
            }
        }
    }
    kept
}

/// That nobody serves an older state of `archive` than the lock has seen.
fn not_older(
    recipe: &Recipe,
    archive: &recipe::Archive,
    (offer, previous): (&Offer, Option<&file::Lock>),
) -> anyhow::Result<()> {
    let mut known = previous.into_iter().flat_map(|lock| &lock.archives);
    let Some(known) = known.find(|known| known.name == archive.name) else { return Ok(()) };
    let date = previous.and_then(|lock| lock.date(&known.name)).ok_or_else(|| {
        let (image, name, date) = (&recipe.name, &known.name, &known.date);
        anyhow::anyhow!(
            "images/{image}.lock is damaged: `{date}`, the date of the archive `{name}`, is not one\n\
             help: restore the lock from version control"
        )
    })?;
    let old = offer.release.check_not_older_than(date);
    old.map_err(|error| anyhow::anyhow!("InRelease of {}: {error}", archive.suite))
}

/// What a recipe asks of a suite. Two that ask the same are given the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Asked<'a> {
    uri: &'a str,
    suite: &'a str,
    components: &'a [String],
    keyring: Option<&'a str>,
    arch: Arch,
}

impl<'a> Asked<'a> {
    fn of(recipe: &Recipe, archive: &'a recipe::Archive) -> Self {
        let recipe::Archive { uri, suite, components, keyring, .. } = archive;
        Self { uri, suite, components, keyring: keyring.as_deref(), arch: recipe.arch }
    }
}

/// A suite as it is now.
struct Offer {
    inrelease: crate::digest::Digest,
    release: Release,
    packages: Vec<Package>,
    indices: Vec<IndexFile>,
}

/// The lock that is there, if one is.
fn previous(project: &Project, recipe: &Recipe) -> anyhow::Result<Option<file::Lock>> {
    let path = project.lock(&recipe.name);
    Ok(if path.exists() { Some(file::Lock::load(&path)?) } else { None })
}

/// Resolves, proves, and puts the lock together. The versions in `keep` stay where they still satisfy.
fn answer(
    recipe: &Recipe,
    offers: &[(&recipe::Archive, &Offer)],
    keep: BTreeMap<String, Version>,
) -> anyhow::Result<file::Lock> {
    let sources = offers.iter().map(|(archive, offer)| Source {
        name: archive.name.clone(),
        priority: archive.priority,
        only: archive.only.clone(),
        packages: offer.packages.clone(),
    });
    let index = Index::new(sources.collect());
    let wanted = recipe.packages.iter().map(|wanted| {
        let alternatives: Result<Vec<Relation>, _> = wanted.relation.split('|').map(|one| one.trim().parse()).collect();
        Ok((alternatives?, format!("recipe {}", wanted.by)))
    });
    let wish = Wish {
        packages: wanted.collect::<anyhow::Result<_>>()?,
        base: true,
        recommends: recipe.recommends,
        keep,
        arch: recipe.arch,
    };
    let solution = resolve(&wish, &index).map_err(|why| anyhow::anyhow!("{}: {why}", recipe.name))?;
    prove(&solution, &wish, &index).map_err(|disproofs| {
        let lines: String = disproofs.iter().map(|disproof| format!("\n    {disproof}")).collect();
        anyhow::anyhow!("the solution for {} does not hold; this is a mistake of Goldsmith's:{lines}", recipe.name)
    })?;
    let archives = offers.iter().map(|(archive, offer)| Archive {
        name: archive.name.clone(),
        suite: archive.suite.clone(),
        inrelease: offer.inrelease,
        signed_by: offer.release.signers.clone(),
        date: offer.release.date.rfc3339(),
        valid_until: offer.release.valid_until.map(Epoch::rfc3339),
        indices: offer.indices.clone(),
    });
    Ok(file::Lock {
        version: file::FORMAT,
        image: recipe.name.clone(),
        arch: recipe.arch,
        epoch: offers.iter().map(|(_, offer)| offer.release.date).max().unwrap_or(Epoch(0)),
        wish: recipe.wish_digest(),
        archives: archives.collect(),
        packages: Locked::of(&solution, &index),
        gives: BTreeMap::new(),
    })
}

/// The one place where locking looks at the clock: a Release file is valid until some moment.
#[expect(clippy::disallowed_methods, reason = "a Release file is valid until some moment")]
fn now() -> Epoch {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Epoch(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
