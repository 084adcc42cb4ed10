//! Directories for what is under way: gone when dropped, and gone at the next start if their process was killed.
//!
//! ```text
//!   make:   mkdir scratch/N ─ open ─ flock ─ is scratch/N still what is locked? ─ yes: ours
//!                                                                                └ no: swept in between; next N
//!   sweep:  open scratch/N ─ flock ─ held: someone lives ─ leave it
//!                                  └ free: nobody's      ─ remove it, then let go
//! ```
//!
//! The lock is on the directory itself, so it lives exactly as long as somebody has it open, and a process that was forked
//! from the owner (a sandbox that still works in the tree) keeps it too.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::error::At;
use super::{Store, StoreError};

/// A directory below the store, on the same file system, for this process alone; removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    lock: File,
}

impl Scratch {
    /// Where it is, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves the directory to where nothing removes it, for inspection (`--keep`), and says where that is.
    ///
    /// # Errors
    /// If it can't be moved; it is removed then as ever.
    pub fn keep(self) -> Result<PathBuf, StoreError> {
        let kept = self.path.ancestors().nth(2).unwrap_or(&self.path).join("kept");
        let mut number = 0_u64;
        loop {
            let target = kept.join(number.to_string());
            // rename(2) replaces an empty directory, and no other: one that was just made is ours to replace.
            match fs::create_dir(&target) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(error).at(&target, "make"),
                Ok(()) => {
                    fs::rename(&self.path, &target).at(&target, "move the tree to")?;
                    return Ok(target);
                }
            }
        }
    }

    /// Locks the directory at `path`, unless another has it or it is gone.
    fn claim(path: PathBuf) -> Option<Self> {
        let lock = File::open(&path).ok()?;
        lock.try_lock().ok()?;
        // Locked; but what is at the path may have been removed, or made anew, before it was.
        let (held, there) = (lock.metadata().ok()?, fs::symlink_metadata(&path).ok()?);
        let is_ours = (held.dev(), held.ino()) == (there.dev(), there.ino()) && there.is_dir();
        // Not `then_some`: a value that is made and thrown away would remove the directory of whoever has it.
        if is_ours { Some(Self { path, lock }) } else { None }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What can't be removed now (a tree of other users' files) is found by `stale` later.
        let _ = fs::remove_dir_all(&self.path);
        let _ = self.lock.unlock();
    }
}

impl Store {
    /// A new empty directory for this process, on the file system of the blobs. Its path is the first free one, so that
    /// the same build alone on a machine happens at the same path.
    ///
    /// # Errors
    /// If it can't be made.
    pub fn scratch(&self) -> Result<Scratch, StoreError> {
        let mut number = 0_u64;
        loop {
            let path = self.root().join("scratch").join(number.to_string());
            match fs::create_dir(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).at(&path, "make"),
                Ok(()) => {
                    if let Some(scratch) = Scratch::claim(path) {
                        return Ok(scratch);
                    }
                }
            }
            number += 1;
        }
    }

    /// What dead processes left in `scratch/`, now ours: dropping removes it. [`Store::open`] has done that already, as
    /// far as this user alone can; what is still here holds files of subordinate users, and has to be emptied as those.
    ///
    /// # Errors
    /// If `scratch/` can't be listed.
    pub fn stale(&self) -> Result<Vec<Scratch>, StoreError> {
        let directory = self.root().join("scratch");
        let mut found = Vec::new();
        for entry in fs::read_dir(&directory).at(&directory, "list")? {
            found.extend(Scratch::claim(entry.at(&directory, "list")?.path()));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scratch_directory_goes_with_its_owner() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let scratch = store.scratch().unwrap();
        let path = scratch.path().to_owned();
        fs::write(path.join("file"), "half").unwrap();
        Store::open(root.path()).unwrap();
        assert!(path.join("file").exists(), "a living process's scratch directory was swept");
        drop(scratch);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_dead_process_left_is_swept_at_the_next_start() {
        let root = tempfile::tempdir().unwrap();
        Store::open(root.path()).unwrap();
        let left = root.path().join("scratch/7/usr/bin");
        fs::create_dir_all(&left).unwrap();
        Store::open(root.path()).unwrap();
        assert!(!root.path().join("scratch/7").exists());
    }

    #[test]
    fn many_make_and_sweep_at_once_and_none_loses_its_directory() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        std::thread::scope(|threads| {
            for _ in 0..6 {
                threads.spawn(|| {
                    for _ in 0..100 {
                        let scratch = store.scratch().unwrap();
                        fs::write(scratch.path().join("mine"), "x").unwrap();
                        drop(store.stale().unwrap());
                        assert!(scratch.path().join("mine").exists());
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(root.path().join("scratch")).unwrap().count(), 0);
    }

    #[test]
    fn a_kept_tree_survives_the_next_start() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let scratch = store.scratch().unwrap();
        fs::write(scratch.path().join("evidence"), "x").unwrap();
        let kept = scratch.keep().unwrap();
        let second = store.scratch().unwrap().keep().unwrap();
        drop(store);
        Store::open(root.path()).unwrap();
        assert!(kept.join("evidence").exists());
        assert_ne!(kept, second);
    }
}
