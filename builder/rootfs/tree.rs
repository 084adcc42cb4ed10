//! A configured tree: made once from a set of packages, kept in the store, and only read from then on.
//!
//! ```text
//! .debs, ids, epoch ──key──▶ store/trees/KEY/        there, and as its listing says? take it
//!                            └─ else: unpack ▸ configure ▸ fix ids ▸ scan, in scratch; rename; remember the listing
//! ```
//!
//! What changes with a recipe's overlays, names or shapes comes after it, so that such a change does neither unpack nor
//! configure again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::Rootfs;
use super::accounts::{Accounts, AccountsError};
use super::configure::{ConfigureError, Unconfigured, configure};
use super::entry::{Entry, Kind};
use super::listing::{Listing, Node};
use super::scan::{self, ScanError};
use super::unpack::{Packed, UnpackError, unpack};
use crate::debian::deb::{Deb, DebError};
use crate::debian::filter::PathFilter;
use crate::digest::Digest;
use crate::epoch::Epoch;
use crate::progress::{Progress, Total};
use crate::sandbox::Namespace;
use crate::store::{Blob, Store, StoreError};

/// Everything that decides a tree.
#[derive(Clone, Debug)]
pub struct Ingredients {
    /// Its packages: name and version with a space between, and the `.deb`. In the order in which their directories' modes count.
    pub packages: Vec<(String, Blob)>,
    /// What of them is left out.
    pub filter: PathFilter,
    /// Which number each account has.
    pub accounts: Accounts,
    /// The moment of the build.
    pub epoch: Epoch,
}

/// Where and how a tree is made; decides none of its bytes.
#[derive(Clone, Debug)]
pub struct Workshop {
    /// Proof that trees can be made here.
    pub namespace: Namespace,
    /// Packages come from it, trees and layers go into it.
    pub store: Store,
    /// Told what is under way.
    pub progress: Progress,
    /// How many threads.
    pub jobs: usize,
    /// Whether the tree of a failed build stays for a look into it.
    pub keep: bool,
}

/// A configured tree on disk, and what is in it.
#[derive(Clone, Debug)]
pub struct Tree {
    /// Its directory. To be read only.
    pub root: PathBuf,
    /// What is in it.
    pub entries: BTreeMap<String, Entry>,
}

/// Why there is no tree.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// A package is not in the store.
    #[error("{} of {all} packages are not in the store ({})\nhelp: fetch them with `goldsmith fetch`", .missing.len(), some(.missing))]
    NotFetched {
        /// Their names.
        missing: Vec<String>,
        /// How many there are.
        all: usize,
    },
    /// A package cannot be read.
    #[error("cannot unpack {package}: {cause}")]
    Deb {
        /// Which.
        package: String,
        /// Why.
        cause: DebError,
    },
    /// A package is not the one that the lock means.
    #[error("cannot unpack {package}: the package with the digest that the lock gives it is {is}")]
    Another {
        /// Name and version in the lock.
        package: String,
        /// Name and version in its control file.
        is: String,
    },
    /// A package cannot be unpacked.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// A script failed.
    #[error("{0}\nhelp: `goldsmith build --keep` leaves the tree as it is then, for a look into it")]
    Configure(#[from] ConfigureError),
    /// A script failed, and the tree was kept.
    #[error("{cause}\nhelp: the tree is kept in {}; look into it with `goldsmith shell --tree {}`", kept.display(), kept.display())]
    Kept {
        /// Why.
        cause: Box<ConfigureError>,
        /// Where.
        kept: PathBuf,
    },
    /// Accounts without a number.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// The tree cannot be read back.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn some(names: &[String]) -> String {
    let more = if names.len() > 3 { ", …" } else { "" };
    format!("{}{more}", names[..names.len().min(3)].join(", "))
}

/// The sources that decide what a tree is like: another version of them makes another tree.
const MADE_BY: [&str; 12] = [
    include_str!("unpack.rs"),
    include_str!("unpack/database.rs"),
    include_str!("../debian/filter.rs"),
    include_str!("configure.rs"),
    include_str!("py3compile-all.py"),
    include_str!("bytecode.sh"),
    include_str!("accounts.rs"),
    include_str!("scan.rs"),
    include_str!("../sandbox.rs"),
    include_str!("../sandbox/filter.rs"),
    include_str!("../sandbox/mounts.rs"),
    include_str!("../sandbox/namespace.rs"),
];

impl Ingredients {
    /// The name of the tree in the store: what it is made of, and by which code.
    pub fn key(&self) -> Digest {
        Digest::of(format!("{} made by {}", self.digest(), Digest::of(MADE_BY.concat().as_bytes())).as_bytes())
    }

    /// Of what the tree is made of.
    pub fn digest(&self) -> Digest {
        let mut text = format!("epoch {}\n", self.epoch);
        for (table, ids) in [("user", &self.accounts.users), ("group", &self.accounts.groups)] {
            text.extend(ids.iter().map(|(name, id)| format!("{table} {name} {id}\n")));
        }
        text.extend(self.filter.lines().map(|line| line + "\n"));
        text.extend(self.packages.iter().map(|(_, blob)| format!("package {}\n", blob.digest)));
        Digest::of(text.as_bytes())
    }
}

impl Workshop {
    /// The tree of `ingredients`: the one in the store, or a new one.
    ///
    /// # Errors
    /// A package is missing, or broken; a maintainer script failed; the disk is full. Nothing is kept then, unless
    /// [`Workshop::keep`] is set and a script failed.
    pub fn tree(&self, ingredients: &Ingredients) -> Result<Tree, TreeError> {
        let key = ingredients.key();
        let _only_one = self.store.lock(&format!("tree-{}", key.hex()))?;
        let root = self.store.root().join("trees").join(key.hex());
        if let Some(tree) = self.stored(key, &root)? {
            self.progress.verbose(&format!("tree: {} is in the store", &key.hex()[..12]));
            return Ok(tree);
        }
        let debs = self.open(ingredients)?;
        let scratch = self.store.scratch()?;
        match self.make(ingredients, &debs, scratch.path()) {
            Ok(()) => {}
            Err(TreeError::Configure(cause)) if self.keep => {
                let kept = scratch.keep()?.join("root");
                return Err(TreeError::Kept { cause: Box::new(cause), kept });
            }
            Err(error) => return Err(error),
        }
        self.kept(key, &scratch.path().join("root"), root)
    }

    /// Whether the tree of `ingredients` is in the store.
    ///
    /// # Errors
    /// The store or the tree cannot be read.
    pub fn has_tree(&self, ingredients: &Ingredients) -> Result<bool, TreeError> {
        let key = ingredients.key();
        let _only_one = self.store.lock(&format!("tree-{}", key.hex()))?;
        Ok(self.stored(key, &self.store.root().join("trees").join(key.hex()))?.is_some())
    }

    /// Takes the directory `made`, which lies in the store's scratch, for the tree of `ingredients`. Whoever calls this has
    /// seen that it is.
    ///
    /// # Errors
    /// It cannot be moved or read.
    pub fn keep_tree(&self, ingredients: &Ingredients, made: &Path) -> Result<Tree, TreeError> {
        let key = ingredients.key();
        let _only_one = self.store.lock(&format!("tree-{}", key.hex()))?;
        self.kept(key, made, self.store.root().join("trees").join(key.hex()))
    }

    /// Moves `made` to its place in the store, and remembers its listing.
    fn kept(&self, key: Digest, made: &Path, root: PathBuf) -> Result<Tree, TreeError> {
        let place = |cause, path: &Path| TreeError::Scan(ScanError { path: path.display().to_string(), cause });
        let parent = self.store.root().join("trees");
        fs::create_dir_all(&parent).map_err(|cause| place(cause, &parent))?;
        if root.exists() {
            fs::remove_dir_all(&root).map_err(|cause| place(cause, &root))?;
        }
        fs::rename(made, &root).map_err(|cause| place(cause, &root))?;
        let entries = scan::scan(&root, self.jobs)?;
        let listing = Listing::of(&Rootfs::new(entries.clone(), Epoch(0))).to_string();
        let blob = self.store.put(listing.as_bytes())?;
        self.store.set_record("tree", key, blob.digest.to_string().as_bytes())?;
        Ok(Tree { root, entries })
    }

    /// The tree at `root`, if it is what its listing says in everything but the bytes of its files, whose digests are the
    /// listing's. (That the bytes are still these is seen when they are read: layers and the root file system have names.)
    fn stored(&self, key: Digest, root: &Path) -> Result<Option<Tree>, TreeError> {
        let Some(record) = self.store.record("tree", key)? else { return Ok(None) };
        let listing = String::from_utf8_lossy(&record).parse().ok();
        let Some(text) = listing.map(|digest| self.store.read(digest)).transpose()?.flatten() else { return Ok(None) };
        let Ok(listing) = Listing::parse(&String::from_utf8_lossy(&text)) else { return Ok(None) };
        if !root.is_dir() {
            return Ok(None);
        }
        let mut entries = scan::walk(root)?;
        for (path, entry) in &mut entries {
            if let Kind::File { digest, size, .. } = &mut entry.kind {
                match listing.lines().get(path).map(|line| &line.node) {
                    Some(Node::File { digest: known, size: same }) if same == size => *digest = *known,
                    _ => return Ok(None),
                }
            }
        }
        let found = Rootfs::new(entries, Epoch(0));
        if Listing::of(&found) != listing {
            self.progress.message("a tree in the store was changed by somebody: it is made anew");
            return Ok(None);
        }
        Ok(Some(Tree { root: root.to_owned(), entries: found.entries().clone() }))
    }

    fn open(&self, ingredients: &Ingredients) -> Result<Vec<Deb>, TreeError> {
        let mut missing = Vec::new();
        let mut files: Vec<(&String, File)> = Vec::new();
        for (name, blob) in &ingredients.packages {
            match self.store.get(blob.digest)? {
                Some(file) => files.push((name, file)),
                None => missing.push(name.clone()),
            }
        }
        if !missing.is_empty() {
            return Err(TreeError::NotFetched { missing, all: ingredients.packages.len() });
        }
        let read = |(name, file): (&String, File)| {
            let deb = Deb::read(file).map_err(|cause| TreeError::Deb { package: name.clone(), cause })?;
            let is = format!("{} {}", deb.fields().name, deb.fields().version);
            if is == *name { Ok(deb) } else { Err(TreeError::Another { package: name.clone(), is }) }
        };
        files.into_iter().map(read).collect()
    }

    fn make(&self, ingredients: &Ingredients, debs: &[Deb], scratch: &Path) -> Result<(), TreeError> {
        let root = scratch.join("root");
        fs::create_dir(&root).map_err(|cause| ScanError { path: root.display().to_string(), cause })?;
        let count = format!("{} packages", debs.len());
        let step = self.progress.step("unpack", Total::Unknown);
        unpack(self.namespace, Packed { debs, filter: &ingredients.filter }, &root, self.jobs)?;
        step.done(&count);
        let step = self.progress.step("configure", Total::Unknown);
        configure(self.namespace, &Unconfigured { root: &root, debs, epoch: ingredients.epoch }, scratch)?;
        step.done(&count);
        ingredients.accounts.fix(&root)?;
        Ok(())
    }
}
