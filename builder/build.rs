//! The whole product on one screen.
//!
//! Offline by signature: nothing here can ask an archive for anything. Whoever has the plan and its packages has the image.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::image::disk::{DiskError, Disks, Draft, Identity, Toolbox};
use crate::image::oci::{self, WriteError};
use crate::image::press::Effort;
use crate::overlay::{self, OverlayError};
use crate::plan::Plan;
use crate::progress::{Progress, Total, bytes};
use crate::rootfs::Rootfs;
use crate::rootfs::accounts::{Accounts, AccountsError};
use crate::rootfs::diff::{Difference, diff};
use crate::rootfs::listing::Listing;
use crate::rootfs::seal::seal;
use crate::rootfs::tree::{Tree, TreeError, Workshop};
use crate::store::{Store, StoreError};
use crate::verify::proof::{self, ProofError, Subject};

/// Builds what `plan` says into the directory `out`, and holds it to what its lock is known to give.
///
/// # Errors
/// A package is missing or broken, a script failed, an overlay does not fit, the disk is full; or the result is another
/// than the one that the lock names. What was in `out` before is still there then, whole.
pub fn build(plan: &Plan, workshop: &Workshop, out: &Path) -> Result<Built, BuildError> {
    if let Some(built) = Built::still_there(plan, out) {
        return Ok(built);
    }
    let tree = workshop.tree(&plan.ingredients())?;
    let bare = Listing::of(&bare(plan, &tree)?).digest();
    let rootfs = sealed(plan, tree.clone(), &workshop.progress)?;
    let listing = Listing::of(&rootfs);
    hold(plan, "rootfs", listing.digest(), || changes(plan, &listing, &workshop.store))?;
    let (image, fail2ban) = (plan.recipe.name.as_str(), &plan.recipe.fail2ban);
    proof::prove(&Subject { image, rootfs: &rootfs, digest: listing.digest(), tree: &tree, fail2ban }, workshop)?;

    let step = workshop.progress.step("image", Total::Unknown);
    let jobs = NonZeroUsize::new(workshop.jobs).unwrap_or(NonZeroUsize::MIN);
    let draft = oci::write(&rootfs, &plan.definition(), out, Effort { jobs, cache: &workshop.store })?;
    hold(plan, "oci", draft.artifact().manifest, || Ok(Vec::new()))?;
    step.done(&format!("{} layers, {}", draft.artifact().layers.len(), bytes(draft.artifact().size)));
    let disk = disk(plan, workshop, &rootfs, out)?;
    let image = draft.publish()?;
    let disks = disk.map(Draft::publish).transpose()?.unwrap_or_default();

    let built = Built {
        made_by: made_by(plan),
        tree: bare,
        rootfs: workshop.store.put(listing.to_string().as_bytes())?.digest,
        oci: image.manifest,
        disks: disks.into_iter().map(|(name, digest)| (name.to_owned(), digest)).collect(),
        paths: rootfs.entries().len(),
        size: image.size,
        fresh: true,
        files: BTreeMap::new(),
    };
    built.save(out, &listing)
}

/// The disk of `plan`, in all formats that its targets take, beside its place in `out`; none, if it has no target.
fn disk(plan: &Plan, workshop: &Workshop, rootfs: &Rootfs, out: &Path) -> Result<Option<Draft>, BuildError> {
    let Some(definition) = plan.disk() else { return Ok(None) };
    let ingredients = plan.toolbox.as_ref().ok_or_else(|| BuildError::NoToolbox(plan.recipe.name.clone()))?;
    let toolbox = Toolbox::new(workshop.namespace, workshop.tree(ingredients)?);
    let disks = Disks { toolbox: &toolbox, rootfs, definition: &definition, identity: Identity::new(plan.digest()) };
    let draft = disks.write(out, &workshop.progress)?;
    for (&name, &digest) in &draft.files {
        hold(plan, name, digest, || Ok(Vec::new()))?;
    }
    Ok(Some(draft))
}

/// The sealed root file system of `plan`.
///
/// # Errors
/// As [`build`].
pub fn rootfs(plan: &Plan, workshop: &Workshop) -> Result<Rootfs, BuildError> {
    sealed(plan, workshop.tree(&plan.ingredients())?, &workshop.progress)
}

/// `tree`, which is the configured tree of `plan`, with the overlays laid over it, sealed.
///
/// # Errors
/// An overlay does not fit; a file of the tree cannot be read.
pub fn sealed(plan: &Plan, tree: Tree, progress: &Progress) -> Result<Rootfs, BuildError> {
    let step = progress.step("seal", Total::Unknown);
    let accounts = Accounts::load(&tree.root)?;
    let mut entries = tree.entries;
    for overlay in &plan.overlays {
        overlay::apply(&mut entries, overlay, &accounts)?;
    }
    let rootfs = seal(entries, plan.lock.epoch).map_err(|cause| BuildError::Seal { cause })?;
    step.done(&format!("{} paths", rootfs.entries().len()));
    Ok(rootfs)
}

/// What the packages of `plan` give, sealed, without its overlays.
///
/// # Errors
/// A file of the tree cannot be read.
pub fn bare(plan: &Plan, tree: &Tree) -> Result<Rootfs, BuildError> {
    seal(tree.entries.clone(), plan.lock.epoch).map_err(|cause| BuildError::Seal { cause })
}

/// What a build gave. Written beside it, so that the next one sees that there is nothing to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    /// Of the plan, of the code that built it, and of what was proved.
    made_by: Digest,
    /// Of the listing of what its packages give, sealed, before any overlay: by it a tree from elsewhere is known.
    pub tree: Digest,
    /// Of the listing: the identity of the root file system.
    pub rootfs: Digest,
    /// Of the manifest: the name of the image in a registry.
    pub oci: Digest,
    /// Of each file with the disk, by its name: `disk.raw` …
    #[serde(default)]
    pub disks: BTreeMap<String, Digest>,
    /// How many paths the root file system has.
    pub paths: usize,
    /// What a machine that has none of it must pull, in bytes.
    pub size: u64,
    /// Whether it was built just now; `false` if it was there already.
    #[serde(skip)]
    pub fresh: bool,
    /// The files of the build below its directory, and their sizes in bytes.
    files: BTreeMap<PathBuf, u64>,
}

impl Built {
    /// What this lock is known to give from now on (`[gives]`).
    pub fn gives(&self, plan: &Plan) -> BTreeMap<String, Digest> {
        let all = [("plan", plan.digest()), ("tree", self.tree), ("rootfs", self.rootfs), ("oci", self.oci)];
        let all = all.map(|(name, digest)| (name.to_owned(), digest));
        all.into_iter().chain(self.disks.clone()).collect()
    }

    /// What an earlier build of the same plan by the same code left in `out`, if all of it is still there.
    pub fn still_there(plan: &Plan, out: &Path) -> Option<Self> {
        let built: Self = serde_json::from_slice(&fs::read(out.join(RECORD)).ok()?).ok()?;
        let there =
            |(path, size): (&PathBuf, &u64)| fs::metadata(out.join(path)).is_ok_and(|metadata| metadata.len() == *size);
        (built.made_by == made_by(plan) && built.files.iter().all(there)).then_some(built)
    }

    /// Whether any build left an image in `out`.
    pub fn is_in(out: &Path) -> bool {
        out.join(RECORD).is_file()
    }

    /// Writes the listing and the record into `out`.
    fn save(mut self, out: &Path, listing: &Listing) -> Result<Self, BuildError> {
        let failed = |cause| BuildError::Out { path: out.to_owned(), cause };
        fs::write(out.join(LISTING), listing.to_string()).map_err(failed)?;
        self.files = files_below(out, Path::new("")).map_err(failed)?;
        self.files.remove(Path::new(RECORD));
        let record = serde_json::to_vec_pretty(&self).map_err(|error| failed(error.into()))?;
        fs::write(out.join(RECORD), record).map_err(failed)?;
        Ok(self)
    }
}

/// Of the plan, the code that builds it, and what is proved of it: if all are the same, there is nothing to do.
fn made_by(plan: &Plan) -> Digest {
    Digest::of(format!("{} {}", plan.made_by(), proof::claims(&plan.recipe.fail2ban)).as_bytes())
}

/// What was built, for the next build.
const RECORD: &str = "built.json";

/// The root file system as text.
const LISTING: &str = "rootfs.list";

fn files_below(root: &Path, below: &Path) -> io::Result<BTreeMap<PathBuf, u64>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        // What begins with a dot is another build's, not in its place yet.
        let passing = entry.file_name().as_encoded_bytes().starts_with(b".");
        match entry.file_type()?.is_dir() {
            _ if passing => {}
            true => files.extend(files_below(root, &path)?),
            false => drop(files.insert(path, entry.metadata()?.len())),
        }
    }
    Ok(files)
}

/// Compares with what the lock is known to give from this very plan.
fn hold(
    plan: &Plan,
    artifact: &'static str,
    found: Digest,
    changes: impl FnOnce() -> Result<Vec<Difference>, BuildError>,
) -> Result<(), BuildError> {
    let gives = &plan.lock.gives;
    match gives.get(artifact) {
        Some(&known) if known != found && gives.get("plan") == Some(&plan.digest()) => {
            let image = plan.recipe.name.clone();
            Err(Box::new(Different { image, artifact, known, found, changes: changes()? }).into())
        }
        _ => Ok(()),
    }
}

/// What differs from the root file system that the lock names, if this machine has its listing.
fn changes(plan: &Plan, listing: &Listing, store: &Store) -> Result<Vec<Difference>, BuildError> {
    let known = plan.lock.gives.get("rootfs").map(|digest| store.read(*digest)).transpose()?.flatten();
    let known = known.and_then(|text| Listing::parse(&String::from_utf8_lossy(&text)).ok());
    Ok(known.map_or_else(Vec::new, |known| diff(&known, listing)))
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// No tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// An overlay does not fit.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    /// The tree has no accounts.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// A file could not be brought into order.
    #[error("cannot seal the root file system: {cause}")]
    Seal {
        /// Which, and why.
        cause: io::Error,
    },
    /// The image's own programs say otherwise than its recipe.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The image could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The disk could not be made.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// There is a target, and nothing to make its disk with.
    #[error(
        "{0} has targets in [image], and a disk for them is made by the tools of recipes/toolbox.toml, which this project lacks"
    )]
    NoToolbox(String),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The directory of the image cannot be written.
    #[error("cannot write to {}: {cause}", path.display())]
    Out {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// Not reproducible.
    #[error(transparent)]
    Differs(#[from] Box<Different>),
}

/// The same plan gave something else than before.
#[derive(Debug, thiserror::Error)]
#[error(
    "{image} is not what its lock is known to give: {artifact} is {found}, and images/{image}.lock says {known}\n\
     {}help: the packages, the recipe and the overlays are the same, so something else reached the bytes; if the lock is \
     wrong, remove its [gives] table and build again",
    lines(changes)
)]
pub struct Different {
    /// The recipe's name.
    pub image: String,
    /// `rootfs`, `oci`, `disk.raw` …
    pub artifact: &'static str,
    /// What the lock says.
    pub known: Digest,
    /// What was built.
    pub found: Digest,
    /// Path by path, if this machine knows what was built before.
    pub changes: Vec<Difference>,
}

fn lines(changes: &[Difference]) -> String {
    const SHOWN: usize = 40;
    let mut text: String = changes.iter().take(SHOWN).map(|change| format!("    {change}\n")).collect();
    if changes.len() > SHOWN {
        text.push_str(&format!("    … and {} more\n", changes.len() - SHOWN));
    }
    text
}
