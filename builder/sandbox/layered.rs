//! A throw-away copy of a tree: an overlayfs that keeps what is written to it in a directory beside.
//!
//! ```text
//! SCRATCH/root  ◀─ overlayfs ─┬─ SCRATCH/upper   what is written and removed
//!                             └─ TREE            only read
//! ```
//!
//! Sources: Linux's Documentation/filesystems/overlayfs.rst (`userxattr`: whiteouts that need no right over `trusted.*`).

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags};

use super::Namespace;

/// A mounted copy. Dropping it takes the mount away; what was written stays in the scratch directory, and goes with that.
#[derive(Debug)]
pub struct Layered {
    root: PathBuf,
}

impl Layered {
    /// Lays a copy of the directory `tree` over it, in `scratch`, a directory that is empty.
    ///
    /// # Errors
    /// The kernel, or the file system that `scratch` is on, knows no such mounts in a user namespace (Linux before 5.11).
    pub fn over(_: Namespace, tree: &Path, scratch: &Path) -> io::Result<Self> {
        for directory in ["root", "upper", "work"] {
            fs::create_dir(scratch.join(directory))?;
        }
        // By open handles: a path may hold what separates options from each other.
        let (lower, beside) = (File::open(tree)?, File::open(scratch)?);
        let (lower, beside) = (lower.as_raw_fd(), beside.as_raw_fd());
        let options = format!(
            "lowerdir=/proc/self/fd/{lower},upperdir=/proc/self/fd/{beside}/upper,workdir=/proc/self/fd/{beside}/work,userxattr"
        );
        let root = scratch.join("root");
        rustix::mount::mount("overlay", &root, "overlay", MountFlags::empty(), CString::new(options)?.as_c_str())?;
        Ok(Self { root })
    }

    /// The copy's root directory.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

impl Drop for Layered {
    fn drop(&mut self) {
        // If it cannot be taken away now, it goes with the namespace. What removes the scratch directory before that only
        // ever removes what is in the upper layer.
        let _ = rustix::mount::unmount(&self.root, UnmountFlags::DETACH);
    }
}
