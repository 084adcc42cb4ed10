//! The end of a store: everything that Goldsmith put there goes, and nothing else.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::PoisonError;

use super::error::At;
use super::{Store, StoreError, TAG};

/// What a store consists of; the tag is last, so that a removal that was interrupted can be begun again.
const PARTS: [&str; 8] = ["scratch", "trees", "kept", "parts", "records", "blobs", "locks", "CACHEDIR.TAG"];

impl Store {
    /// Whether it holds trees: their files belong to many users, so only root of a namespace with all of them can remove them.
    pub fn has_trees(&self) -> bool {
        let any = |name: &&str| fs::read_dir(self.root().join(name)).is_ok_and(|mut entries| entries.next().is_some());
        ["scratch", "trees", "kept"].iter().any(any)
    }

    /// Removes the store, trees that were kept included, and says how many bytes of the disk that gives back. The directory
    /// itself goes too, unless something is in it that is not the store's.
    ///
    /// # Errors
    /// It is in use, or not tagged as a store of Goldsmith's; or something can't be removed.
    pub fn remove(self) -> Result<u64, StoreError> {
        let tag = self.root().join("CACHEDIR.TAG");
        if fs::read_to_string(&tag).at(&tag, "read")? != TAG {
            return Err(StoreError::NotOurs { path: self.root().to_owned() });
        }
        drop(self.shared.bench.lock().unwrap_or_else(PoisonError::into_inner).take());
        // Held until the end: whoever comes now waits, and finds an empty store.
        let _idle = self.idle()?;
        let mut freed = 0;
        for path in PARTS.map(|name| self.root().join(name)) {
            freed += size(&path);
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            match removed {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).at(&path, "remove"),
                _ => {}
            }
        }
        match fs::remove_dir(self.root()) {
            Err(error) if ![ErrorKind::DirectoryNotEmpty, ErrorKind::ResourceBusy].contains(&error.kind()) => {
                Err(error).at(self.root(), "remove")
            }
            _ => Ok(freed),
        }
    }

    /// All locks of the store, if nobody has one.
    fn idle(&self) -> Result<Vec<File>, StoreError> {
        let mut held = Vec::new();
        for name in ["locks", "scratch"] {
            let directory = self.root().join(name);
            for entry in fs::read_dir(&directory).at(&directory, "list")? {
                let path = entry.at(&directory, "list")?.path();
                let mut lock = File::open(&path).at(&path, "open")?;
                match lock.try_lock() {
                    Ok(()) => held.push(lock),
                    Err(TryLockError::WouldBlock) => {
                        let mut holder = String::new();
                        if path.is_file() {
                            let _ = lock.read_to_string(&mut holder);
                        }
                        return Err(StoreError::InUse { path: self.root().to_owned(), holder });
                    }
                    Err(TryLockError::Error(error)) => return Err(error).at(&path, "lock"),
                }
            }
        }
        Ok(held)
    }
}

/// What a path and all below it occupy on the disk, as far as that can be seen.
fn size(path: &Path) -> u64 {
    let Ok(stat) = fs::symlink_metadata(path) else { return 0 };
    let below: io::Result<u64> = match stat.is_dir() {
        true => fs::read_dir(path).map(|entries| entries.flatten().map(|entry| size(&entry.path())).sum()),
        false => Ok(0),
    };
    // A file with several names is counted by the part that goes with each.
    stat.blocks() * 512 / if stat.is_dir() { 1 } else { stat.nlink().max(1) } + below.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path().join("cache")).unwrap();
        store.put(b"bytes").unwrap();
        store.clone().scratch().unwrap().keep().unwrap();
        let root = store.root().to_owned();
        drop(store); // and with it the directory that it writes in
        (directory, Store::open(root).unwrap())
    }

    #[test]
    fn nothing_is_left_of_a_store_and_it_can_be_begun_anew() {
        let (directory, store) = store();
        let root = store.root().to_owned();
        assert!(store.has_trees());
        assert!(store.remove().unwrap() >= 4096);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        Store::open(root).unwrap().put(b"bytes").unwrap();
    }

    #[test]
    fn what_somebody_else_put_there_stays() {
        let (_directory, store) = store();
        let letter = store.root().join("letter.txt");
        fs::write(&letter, "Dear Ann").unwrap();
        store.remove().unwrap();
        assert_eq!(fs::read_dir(letter.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_without_our_tag_is_not_touched() {
        let (_directory, store) = store();
        fs::write(store.root().join("CACHEDIR.TAG"), "Signature: 8a477f597d28d172789f06886806bc55\n").unwrap();
        let error = store.clone().remove().unwrap_err().to_string();
        assert!(error.contains("is not a store of Goldsmith's"), "{error}");
        assert!(store.root().join("blobs").exists());
    }

    #[test]
    fn one_that_is_in_use_stays_whole() {
        let (_directory, store) = store();
        let guard = store.lock("the build of api").unwrap();
        let error = Store::open(store.root()).unwrap().remove().unwrap_err().to_string();
        assert!(error.contains(&format!("process {};", std::process::id())), "{error}");
        drop(guard);
        let scratch = store.scratch().unwrap();
        assert!(Store::open(store.root()).unwrap().remove().is_err());
        assert!(store.root().join("blobs").exists());
        drop(scratch);
        store.remove().unwrap();
    }
}
