//! A throw-away copy of a root file system, to look around and run programs in: nothing that is written to it stays.

use std::io;
use std::path::{Path, PathBuf};

use super::Rootfs;
use super::entry::{Entry, Kind};
use super::materialise::{MaterialiseError, materialise};
use super::scan::{self, ScanError};
use super::tree::Tree;
use crate::epoch::Epoch;
use crate::sandbox::{Layered, Namespace};

/// What may be changed.
#[derive(Debug)]
pub enum Copy {
    /// An overlayfs: made in no time.
    Layered(Layered),
    /// File by file, where there is no overlayfs.
    Copied(PathBuf),
}

/// There is no copy.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// No place for it.
    #[error("cannot make {}: {cause}", path.display())]
    Make {
        /// Where.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A path could not be written.
    #[error(transparent)]
    Materialise(#[from] MaterialiseError),
    /// The tree cannot be read.
    #[error(transparent)]
    Scan(#[from] ScanError),
}

impl Copy {
    /// Of the directory `tree`, in the empty directory `scratch`; of a root file system, with what sealing and overlays made
    /// of the tree.
    ///
    /// # Errors
    /// The tree cannot be read, or the copy not be written.
    pub fn of(
        namespace: Namespace,
        tree: &Path,
        scratch: &Path,
        rootfs: Option<(&Tree, &Rootfs)>,
    ) -> Result<Self, CopyError> {
        if let Ok(layered) = Layered::over(namespace, tree, scratch) {
            if let Some((tree, rootfs)) = rootfs {
                materialise(rootfs, &tree.entries, layered.root())?;
            }
            return Ok(Self::Layered(layered));
        }
        let root = scratch.join("copy");
        std::fs::create_dir(&root).map_err(|cause| CopyError::Make { path: root.clone(), cause })?;
        let walked;
        let rootfs = match rootfs {
            Some((_, rootfs)) => rootfs,
            None => {
                walked = Rootfs::new(scan::walk(tree)?, Epoch(0));
                &walked
            }
        };
        let nothing = rootfs.entries().get("").filter(|entry| entry.kind == Kind::Directory).cloned();
        let nothing = nothing.map(|entry| (String::new(), Entry { mode: 0o700, ..entry }));
        materialise(rootfs, &nothing.into_iter().collect(), &root)?;
        Ok(Self::Copied(root))
    }

    /// Its directory.
    pub fn root(&self) -> &Path {
        match self {
            Self::Layered(layered) => layered.root(),
            Self::Copied(root) => root,
        }
    }
}
