//! `goldsmith lock`

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;

use super::{images, load_recipe, print_json};
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
use crate::mirror::{Mirror, Options, Place};
use crate::progress::{Progress, Total};
use crate::recipe::file::Purpose;
use crate::recipe::project::Project;
use crate::recipe::{self, Recipe};
use crate::store::Store;

/// Resolve recipes against the archive, and write images/NAME.lock.
///
/// The archive's signature is verified, its packages are chosen, and each is written down with its version and digest. What
/// is locked and still satisfies the recipe stays as it is, unless --update asks for what the archive has now. Nothing is
/// built without a lock.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  goldsmith lock api            # writes images/api.lock\n  goldsmith lock --update       # moves all locks forward"
)]
pub struct Lock {
    /// Which images; default: all, and the toolbox's.
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
    /// Keep nothing of the locks that are there: take the newest versions that the archives have.
    #[arg(long)]
    update: bool,
    /// Accept Release files that are no longer valid: of a mirror that lags behind.
    #[arg(long, env = "GOLDSMITH_ALLOW_STALE", value_parser = clap::builder::BoolishValueParser::new())]
    allow_stale: bool,
    /// Take Debian's archives from here instead (`debian` and `debian-security` are looked for below it).
    #[arg(long, value_name = "URL", env = "GOLDSMITH_MIRROR")]
    mirror: Option<String>,
    /// Print what was locked as JSON.
    #[arg(long)]
    json: bool,
}

impl Lock {
    pub fn run(self, project: &Project, progress: &Progress, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut names = images(project, &self.images)?;
        if self.images.is_empty() {
            names.extend(project.names(Purpose::Toolbox)?);
        }
        let recipes = names.iter().map(|name| load_recipe(project, name));
        let recipes: Vec<Recipe> = recipes.collect::<Result<_, _>>()?;
        let store = Store::open_default()?.reporting(progress);
        let mirror = Mirror::discover(&Options::from_environment(self.mirror.clone()), &store, progress)?;
        // One look at each suite: all images of one run are locked against the same state of the archive.
        let mut seen: BTreeMap<Asked, Offer> = BTreeMap::new();
        for asked in recipes.iter().flat_map(|recipe| recipe.archives.iter().map(|one| Asked::of(recipe, one))) {
            if let Entry::Vacant(vacant) = seen.entry(asked) {
                let step = progress.step("verify", Total::Unknown);
                let offer = vacant.insert(self.offer(project, &mirror, asked)?);
                step.done(&format!("{}, signed by {}", asked.suite, offer.release.signers.join(", ")));
            }
        }
        let mut locks = Vec::new();
        for recipe in &recipes {
            let previous = previous(project, recipe)?;
            let mut offers = Vec::new();
            for archive in &recipe.archives {
                let offer = &seen[&Asked::of(recipe, archive)];
                let known = previous.iter().flat_map(|lock| &lock.archives);
                if let Some(known) = known.into_iter().find(|known| known.name == archive.name) {
                    let date = known.date.parse::<jiff::Timestamp>().map_err(|_| {
                        let (image, name, date) = (&recipe.name, &known.name, &known.date);
                        anyhow::anyhow!(
                            "images/{image}.lock is damaged: `{date}`, the date of the archive `{name}`, is not one\n\
                             help: restore the lock from version control"
                        )
                    })?;
                    let old = offer.release.check_not_older_than(Epoch(date.as_second()));
                    old.map_err(|error| anyhow::anyhow!("InRelease of {}: {error}", archive.suite))?;
                }
                offers.push((archive, offer));
            }
            let step = progress.step("resolve", Total::Unknown);
            let keep = previous.as_ref().filter(|_| !self.update).map(file::Lock::keep).unwrap_or_default();
            let mut lock = answer(recipe, &offers, keep)?;
            // Nothing changed: then what the lock is known to give still holds, and so does the moment of the build.
            if let Some(same) = previous.filter(|old| old.packages == lock.packages && old.wish == lock.wish) {
                lock = same;
            }
            step.done(&format!("{}: {} packages", recipe.name, lock.packages.len()));
            locks.push((project.lock(&recipe.name), lock));
        }
        for (path, lock) in &locks {
            lock.save(path)?;
        }
        if self.json {
            return print_json(out, &locks.iter().map(|(_, lock)| lock).collect::<Vec<_>>());
        }
        for (path, lock) in &locks {
            let path = path.strip_prefix(project.root()).unwrap_or(path);
            let size = lock.packages.iter().map(|package| package.size).sum();
            let (count, size) = (lock.packages.len(), crate::progress::bytes(size));
            writeln!(out, "{}: {count} packages, {size}, as of {}", path.display(), lock.epoch.rfc3339())?;
        }
        Ok(())
    }

    /// What a suite offers, its signature verified.
    fn offer(&self, project: &Project, mirror: &Mirror, asked: Asked) -> anyhow::Result<Offer> {
        let place = Place { uri: asked.uri, suite: asked.suite };
        let keyring = match asked.keyring {
            None => Keyring::debian(),
            Some(path) => {
                let bytes = std::fs::read(project.root().join(path));
                let bytes = bytes.map_err(|error| anyhow::anyhow!("cannot read the keyring {path}: {error}"))?;
                Keyring::parse(&bytes).map_err(|error| anyhow::anyhow!("the keyring {path}: {error}"))?
            }
        };
        let inrelease = mirror.inrelease(place)?;
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
            let index = mirror.index(place, &release, &path)?;
            let wrong = |error| anyhow::anyhow!("{} of {}: {error}", index.path, asked.suite);
            packages.extend(parse_packages(&index.text).map_err(wrong)?);
            indices.push(IndexFile { path: index.path.clone(), sha256: index.blob.digest, size: index.blob.size });
        }
        Ok(Offer { inrelease: crate::digest::Digest::of(&inrelease), release, packages, indices })
    }
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
