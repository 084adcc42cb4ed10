//! `goldsmith build`

mod cache;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::registry::Registry;
use super::{NoLock, images, load_recipe, print_json};
use crate::build;
use crate::digest::Digest;
use crate::mirror::{Mirror, Options};
use crate::overlay::Overlay;
use crate::plan::Plan;
use crate::progress::{Progress, bytes};
use crate::recipe::Compression;
use crate::recipe::project::{Mistakes, Project};
use crate::rootfs::tree::Workshop;
use crate::sandbox::Namespace;
use crate::store::Store;
use cache::Cache;

/// Build images from their locks, into images/NAME/.
///
/// The same lock, overlays and version of Goldsmith give the same bytes, whoever builds, where and when. The first build
/// writes the digests of what it gives into the lock; a later one that gives anything else fails, and lists what differs.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  goldsmith build api --offline   # images/api/, without a network\n  \
                        goldsmith build --plan          # for a matrix of CI jobs")]
pub struct Build {
    /// Which images; default: all.
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
    /// Never use the network: what is not in the store is an error.
    #[arg(long)]
    offline: bool,
    /// Take Debian's archives from here instead (`debian` and `debian-security` are looked for below it).
    #[arg(long, value_name = "URL", env = "GOLDSMITH_MIRROR")]
    mirror: Option<String>,
    /// Refuse to change the lock: it must answer the recipe, and know what it gives. For CI.
    #[arg(long)]
    locked: bool,
    /// Keep the tree of a build that failed, and say where it is.
    #[arg(long)]
    keep: bool,
    /// How many threads; default: one a processor. The result does not depend on it.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// How the layers are compressed, instead of what the recipe says.
    #[arg(long, value_name = "HOW", value_parser = compression)]
    compression: Option<Compression>,
    /// Where to write; default: images/.
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Print what was built as JSON.
    #[arg(long)]
    json: bool,
    /// Take configured trees from this repository of a registry, if it has those that the locks name; each is verified.
    #[arg(long, value_name = "REPOSITORY", conflicts_with = "offline")]
    cache_from: Option<String>,
    /// Bring configured trees to this repository of a registry, for machines that build the same.
    #[arg(long, value_name = "REPOSITORY", conflicts_with = "offline")]
    cache_to: Option<String>,
    /// Build nothing: print the images that would be built as one line of JSON, a matrix for a CI system, one job each.
    #[arg(long, conflicts_with_all = ["offline", "locked", "keep", "json"])]
    plan: bool,
}

/// `gzip` or `zstd`.
fn compression(text: &str) -> Result<Compression, String> {
    match text {
        "gzip" => Ok(Compression::Gzip),
        "zstd" => Ok(Compression::Zstd),
        _ => Err("it is `gzip` or `zstd`".to_owned()),
    }
}

impl Build {
    pub fn run(self, project: &Project, progress: &Progress, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut plans = Vec::new();
        for image in images(project, &self.images)? {
            plans.push(self.plan(project, &image)?);
        }
        let root = self.output.clone().unwrap_or_else(|| project.root().join("images"));
        if self.plan {
            let include: Vec<Job> = plans.iter().map(|plan| Job::of(plan, &root)).collect();
            serde_json::to_writer(&mut *out, &BTreeMap::from([("include", include)])).map_err(std::io::Error::from)?;
            return Ok(writeln!(out)?);
        }
        let is_there = |plan: &Plan| build::Built::still_there(plan, &root.join(&plan.recipe.name)).is_some();
        let missing = self.cache_to.is_some() || !plans.iter().all(is_there);
        // Before any thread is started, and only if there is something to build: user namespaces may be forbidden here.
        let namespace = if missing { Some(Namespace::enter()?) } else { None };
        if missing {
            plans.iter().try_for_each(|plan| writable(&root.join(&plan.recipe.name)))?;
        }
        let store = Store::open_default()?.reporting(progress);
        if missing && !self.offline {
            let mut downloads = Vec::new();
            for plan in &plans {
                downloads.extend(super::fetch::of_lock(&plan.recipe, &plan.lock)?);
            }
            if plans.iter().any(|plan| plan.toolbox.is_some()) || self.cache_from.is_some() || self.cache_to.is_some() {
                let toolbox = self::plan(project, TOOLBOX)?;
                downloads.extend(super::fetch::of_lock(&toolbox.recipe, &toolbox.lock)?);
            }
            downloads.retain(|download| !store.holds(download.blob));
            if !downloads.is_empty() {
                let options = Options::from_environment(self.mirror.clone());
                Mirror::discover(&options, &store, progress)?.fetch(&downloads)?;
            }
        }
        let jobs = self.jobs.map_or_else(processors, usize::from);
        let workshop = namespace.map(|namespace| {
            let (store, progress) = (store.clone(), progress.clone());
            Workshop { namespace, store, progress, jobs, keep: self.keep }
        });
        let mut results = BTreeMap::new();
        for plan in &plans {
            let name = &plan.recipe.name;
            let out = root.join(name);
            let built = match (build::Built::still_there(plan, &out), &workshop) {
                (Some(built), _) => built,
                (None, Some(workshop)) => {
                    if let Some(repository) = &self.cache_from {
                        cached(project, repository, workshop, |cache| cache.pull(plan))?;
                    }
                    build::build(plan, workshop, &out)?
                }
                (None, None) => anyhow::bail!("{} was removed while it was looked at; build again", out.display()),
            };
            self.remember(project, plan, &built)?;
            if let (Some(repository), Some(workshop)) = (&self.cache_to, &workshop) {
                cached(project, repository, workshop, |cache| cache.push(plan))?;
            }
            results.insert(name.clone(), built);
        }
        if self.json {
            return print_json(out, &results);
        }
        for (name, built) in &results {
            let (fresh, size) = (if built.fresh { "" } else { " (unchanged)" }, bytes(built.size));
            writeln!(out, "{name}: {}{fresh}", root.join(name).display())?;
            writeln!(out, "  rootfs  {}  {} paths", built.rootfs, built.paths)?;
            writeln!(out, "  oci     {}  {size}", built.oci)?;
            for (file, digest) in &built.disks {
                writeln!(out, "  {file}  {digest}")?;
            }
        }
        Ok(())
    }

    /// Recipe, lock and overlays of an image, as the options have them.
    fn plan(&self, project: &Project, image: &str) -> anyhow::Result<Plan> {
        let mut plan = plan(project, image)?;
        if let Some(compression) = self.compression {
            plan.recipe.image.compression = compression;
        }
        if self.locked && self.compression.is_none() && plan.lock.gives.get("plan") != Some(&plan.digest()) {
            anyhow::bail!(
                "images/{image}.lock does not say what the recipe and the overlays give as they are now, and --locked forbids \
                 to write it\nhelp: build once without --locked, and commit the lock"
            );
        }
        Ok(plan)
    }

    /// Writes into the lock what it gives, if it does not say so yet. (Not of another compression than the recipe's.)
    fn remember(&self, project: &Project, plan: &Plan, built: &build::Built) -> anyhow::Result<()> {
        let gives = built.gives(plan);
        if self.compression.is_none() && plan.lock.gives != gives {
            let lock = crate::lock::file::Lock { gives, ..plan.lock.clone() };
            lock.save(&project.lock(&plan.recipe.name))?;
        }
        Ok(())
    }
}

/// Does something with the trees of a registry.
fn cached(
    project: &Project,
    repository: &str,
    workshop: &Workshop,
    work: impl FnOnce(&Cache<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let toolbox = workshop.tree(&plan(project, TOOLBOX)?.ingredients())?;
    let registry = Registry { namespace: workshop.namespace, toolbox: &toolbox };
    work(&Cache { registry, repository, workshop })
}

/// One job of a matrix, as GitHub's `include` and others take it.
#[derive(Debug, Serialize)]
struct Job {
    /// The name of the image.
    image: String,
    /// Where its lock is, in the project.
    lock: String,
    /// What decides all its bytes: the same, and there is nothing to do.
    plan: Digest,
    /// Whether it has disks, and so can be verified.
    disk: bool,
    /// What is to be fetched for it, in bytes, where nothing is there.
    bytes: u64,
    /// Whether it is built here already.
    built: bool,
}

impl Job {
    fn of(plan: &Plan, root: &Path) -> Self {
        let image = plan.recipe.name.clone();
        let tools = plan.toolbox.iter().flat_map(|toolbox| &toolbox.packages).map(|(_, blob)| blob.size);
        Self {
            lock: format!("images/{image}.lock"),
            plan: plan.digest(),
            disk: plan.toolbox.is_some(),
            bytes: plan.lock.packages.iter().map(|package| package.size).chain(tools).sum(),
            built: build::Built::still_there(plan, &root.join(&image)).is_some(),
            image,
        }
    }
}

/// Recipe, lock and overlays of an image.
pub(super) fn plan(project: &Project, image: &str) -> anyhow::Result<Plan> {
    let recipe = load_recipe(project, image)?;
    let lock = NoLock::or_load(project, image)?;
    let overlays = recipe.overlays.iter().map(|name| Overlay::load(&project.overlay(name)).map_err(Mistakes));
    let overlays = overlays.collect::<Result<Vec<_>, _>>()?;
    let plan = Plan::new(recipe, lock, overlays)?;
    match plan.disk() {
        Some(_) if image != TOOLBOX => Ok(plan.with_toolbox(&self::plan(project, TOOLBOX)?)),
        _ => Ok(plan),
    }
}

/// The recipe of the tools that make disks and boot them.
pub(super) const TOOLBOX: &str = "toolbox";

/// How many threads, if nobody says.
pub(super) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Nobody waits a minute for an image to hear that there is no place for it.
fn writable(out: &Path) -> anyhow::Result<()> {
    let there = out.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let tried = tempfile::tempfile_in(there).map(drop);
    tried.map_err(|why| {
        anyhow::anyhow!("cannot write to {}: {why}\nhelp: `--output DIR` writes elsewhere", there.display())
    })
}
