//! The only cache: a directory of bytes named by their SHA-256.
//!
//! ```text
//!   ~/.cache/goldsmith/
//!     CACHEDIR.TAG                  backup programs pass by (bford.info/cachedir)
//!     blobs/sha256/ab/abcd…         whole, verified, 0444; named as an OCI layout names them
//!     parts/abcd…                   a download that has not ended; goes on where it stopped
//!     records/KIND/ab/abcd…         small answers: digest of the question → bytes
//!     locks/1234…                   who does what, so that another waits
//!     scratch/0/  scratch/1/ …      trees and files under way; each locked by the process that uses it
//!     kept/0/ …                     trees that someone asked to keep
//! ```
//!
//! Three rules hold it together, whatever is killed, whenever, and however many processes share it:
//!
//! 1. *Nothing has a name before it is whole.* Bytes are written in `scratch/` (or `parts/`), hashed on the way, synced,
//!    and then renamed to where they are looked for, never over something that is there.
//! 2. *Nothing is believed.* [`get`](Store::get) hashes a blob before it hands it out; a damaged one is removed, reported
//!    and absent. What was verified is remembered in this process only, by device, inode, size, mtime and ctime, so that a
//!    second `get` is cheap. Nothing on disk says "verified", for that could lie.
//! 3. *A dead process holds no lock.* Everything unfinished is under an flock(2), which the kernel drops with its owner.
//!    Whatever in `scratch/` can be locked is nobody's any more, and [`Store::open`] removes it. No ages, no process ids.

mod blob;
mod error;
mod lock;
mod part;
mod record;
mod remove;
mod scratch;

pub use blob::{Blob, BlobWriter};
pub use error::StoreError;
pub use lock::LockGuard;
pub use part::Part;
pub use scratch::Scratch;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::digest::Digest;
use crate::progress::Progress;
use blob::Stamp;
use error::At;

/// A directory of blobs named by their SHA-256, safe under concurrent use and `kill -9`. Clones share what they verified.
#[derive(Clone, Debug)]
pub struct Store {
    shared: Arc<Shared>,
    progress: Progress,
}

/// What the clones of a [`Store`] share.
#[derive(Debug)]
struct Shared {
    root: PathBuf,
    /// Blobs whose bytes this process has hashed, as they were then.
    verified: Mutex<BTreeSet<(Digest, Stamp)>>,
    /// Where this process writes what has no name yet; made when first needed.
    bench: Mutex<Option<Scratch>>,
}

impl Store {
    /// The store where the environment says: `$GOLDSMITH_CACHE`, else `$XDG_CACHE_HOME/goldsmith`, else
    /// `~/.cache/goldsmith`; made if absent.
    ///
    /// # Errors
    /// If none of the three is set, or as [`Store::open`].
    pub fn open_default() -> Result<Self, StoreError> {
        Self::open(here()?)
    }

    /// As [`Store::open_default`], but nothing is made: `None` if there is no store.
    ///
    /// # Errors
    /// As [`Store::open_default`].
    pub fn find_default() -> Result<Option<Self>, StoreError> {
        let root = here()?;
        if root.join("CACHEDIR.TAG").is_file() { Self::open(root).map(Some) } else { Ok(None) }
    }

    /// The store below `root`, made if absent. Removes what dead processes left unfinished in it.
    ///
    /// # Errors
    /// If the directories can't be made or listed.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let root = root.into();
        let root = std::path::absolute(&root).at(&root, "find")?;
        // Trees under way hold set-user-ID programs: nobody else may reach into them.
        for (directory, mode) in [
            ("blobs/sha256", 0o777),
            ("parts", 0o777),
            ("records", 0o777),
            ("locks", 0o777),
            ("scratch", 0o700),
            ("kept", 0o700),
        ] {
            let path = root.join(directory);
            fs::create_dir_all(path.parent().unwrap_or(&path)).at(&path, "make")?;
            match fs::DirBuilder::new().mode(mode).create(&path) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error).at(&path, "make"),
                _ => {}
            }
        }
        let shared = Shared { root, verified: Mutex::default(), bench: Mutex::default() };
        let store = Self { shared: Arc::new(shared), progress: Progress::silent() };
        store.tag()?;
        drop(store.stale()?);
        Ok(store)
    }

    /// The same store, which tells `progress` what it waits for and what it found damaged.
    #[must_use]
    pub fn reporting(mut self, progress: &Progress) -> Self {
        self.progress = progress.clone();
        self
    }

    /// Its directory, absolute.
    pub fn root(&self) -> &Path {
        &self.shared.root
    }

    /// Marks the directory as one that needs no backup.
    fn tag(&self) -> Result<(), StoreError> {
        let path = self.root().join("CACHEDIR.TAG");
        if path.exists() { Ok(()) } else { fs::write(&path, TAG).at(&path, "write") }
    }
}

/// Says to backup programs that the directory is a cache, and to [`Store::remove`] whose.
const TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
                   # Goldsmith's cache: everything in it can be fetched or built again.\n";

/// Where the cache of whoever runs this is.
#[expect(clippy::disallowed_methods, reason = "where the cache is; never a byte of an artifact")]
fn here() -> Result<PathBuf, StoreError> {
    location(|name| std::env::var_os(name)).ok_or(StoreError::Nowhere)
}

/// Where the cache is, by the environment; nowhere if there is no home either.
fn location(environment: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name| environment(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The XDG base directory specification: a relative path is invalid, and to be ignored.
    let xdg = || set("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    set("GOLDSMITH_CACHE")
        .or_else(|| xdg().map(|cache| cache.join("goldsmith")))
        .or_else(|| set("HOME").map(|home| home.join(".cache/goldsmith")))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_environment_says_where_the_cache_is() {
        let with = |pairs: &[(&str, &str)]| {
            location(|name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value)))
        };
        let all = [("GOLDSMITH_CACHE", "/big"), ("XDG_CACHE_HOME", "/xdg"), ("HOME", "/home/ann")];
        assert_eq!(with(&all), Some("/big".into()));
        assert_eq!(with(&all[1..]), Some("/xdg/goldsmith".into()));
        assert_eq!(with(&all[2..]), Some("/home/ann/.cache/goldsmith".into()));
        assert_eq!(with(&[]), None);
        assert_eq!(
            with(&[("GOLDSMITH_CACHE", ""), ("XDG_CACHE_HOME", "relative"), ("HOME", "/h")]),
            Some("/h/.cache/goldsmith".into())
        );
    }

    #[test]
    fn a_store_can_be_opened_twice_and_is_tagged_as_a_cache() {
        let directory = tempfile::tempdir().unwrap();
        let first = Store::open(directory.path().join("made/on/the/way")).unwrap();
        Store::open(first.root()).unwrap();
        let tag = fs::read_to_string(first.root().join("CACHEDIR.TAG")).unwrap();
        assert!(tag.starts_with("Signature: 8a477f597d28d172789f06886806bc55"));
        let mode = |name| fs::metadata(first.root().join(name)).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode("scratch"), mode("kept")), (0o700, 0o700), "others can reach trees under way");
    }

    #[test]
    fn a_root_that_is_a_file_is_named_in_the_error() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Store::open(file.path()).unwrap_err().to_string();
        assert!(error.starts_with("cannot make ") && error.contains(file.path().to_str().unwrap()), "{error}");
    }
}
