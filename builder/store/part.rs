//! Downloads that have not ended: they go on where they stopped, also after `kill -9`.
//!
//! A part is a file of its own below `parts/`, named by the digest that it will have, so a later run finds it. Nothing in it is
//! believed: what is there is hashed again when it is opened, and the whole must match before it becomes a blob; if it
//! does not, the part starts from zero. Its flock(2) keeps two processes from fetching the same.

use std::fs::{self, File, TryLockError};
use std::io::{self, Seek, Sink, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::error::At;
use super::{Blob, Store, StoreError};
use crate::digest::Hashing;

/// The beginning of a blob, as far as it came.
pub struct Part {
    store: Store,
    promised: Blob,
    path: PathBuf,
    file: File,
    hash: Hashing<Sink>,
    len: u64,
}

impl Store {
    /// What there is of `promised` so far, to be continued; `None` if all of it has become a blob already. Waits for
    /// another process that is fetching the same.
    ///
    /// # Errors
    /// If it can't be opened, locked or read.
    pub fn part(&self, promised: Blob) -> Result<Option<Part>, StoreError> {
        let path = self.root().join("parts").join(promised.digest.hex());
        loop {
            if self.holds(promised) {
                return Ok(None);
            }
            let file =
                File::options().read(true).write(true).create(true).truncate(false).open(&path).at(&path, "open")?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    self.progress.verbose(&format!("waiting for another process that fetches {}", promised.digest));
                    file.lock().at(&path, "lock")?;
                }
                Err(TryLockError::Error(error)) => return Err(error).at(&path, "lock"),
            }
            // While we waited, its owner may have renamed it to be the blob; then it is not a part any more.
            let held = file.metadata().at(&path, "stat")?;
            match fs::symlink_metadata(&path) {
                Ok(there) if (there.dev(), there.ino()) == (held.dev(), held.ino()) => {}
                _ => continue,
            }
            let mut part =
                Part { store: self.clone(), promised, path, file, hash: Hashing::new(io::sink()), len: held.len() };
            part.rehash()?;
            return Ok(Some(part));
        }
    }
}

impl Part {
    /// How many bytes are there: where to go on.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is nothing yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether there are as many bytes as promised.
    pub fn is_full(&self) -> bool {
        self.len == self.promised.size
    }

    /// Forgets what is there.
    ///
    /// # Errors
    /// If the file can't be truncated.
    pub fn restart(&mut self) -> Result<(), StoreError> {
        self.file.set_len(0).and_then(|()| self.file.rewind()).at(&self.path, "truncate")?;
        self.hash = Hashing::new(io::sink());
        self.len = 0;
        Ok(())
    }

    /// Makes it a blob, if it is exactly what was promised; if it is not, forgets what is there.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`] if it is not what was promised; or if it can't be written.
    pub fn complete(&mut self) -> Result<(), StoreError> {
        let (_, digest, size) = std::mem::replace(&mut self.hash, Hashing::new(io::sink())).finish();
        let (expected, found) = (self.promised, Blob { digest, size });
        if expected != found {
            self.restart()?;
            return Err(StoreError::Mismatch { expected, found });
        }
        self.file.sync_data().map_err(|error| StoreError::writing(&self.path, size, error))?;
        self.store.publish(&self.path, &self.file, digest)
    }

    /// Hashes what an earlier run left; more than was promised can't be its beginning.
    fn rehash(&mut self) -> Result<(), StoreError> {
        if self.len > self.promised.size {
            return self.restart();
        }
        self.len = io::copy(&mut self.file, &mut self.hash).at(&self.path, "read")?;
        Ok(())
    }
}

impl Write for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.len.saturating_add(bytes.len() as u64) > self.promised.size {
            return Err(StoreError::TooLong { limit: self.promised.size }.into());
        }
        let written =
            self.file.write(bytes).map_err(|error| StoreError::writing(&self.path, self.promised.size, error))?;
        self.hash.write_all(&bytes[..written])?;
        self.len += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    const WHOLE: &[u8] = b"the whole package";

    fn promised() -> Blob {
        Blob { digest: Digest::of(WHOLE), size: WHOLE.len() as u64 }
    }

    #[test]
    fn a_download_goes_on_where_a_killed_process_stopped() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("parts").join(promised().digest.hex());
        let store = Store::open(root.path()).unwrap();
        fs::write(&path, &WHOLE[..5]).unwrap();
        let mut part = store.part(promised()).unwrap().unwrap();
        assert_eq!(part.len(), 5);
        part.write_all(&WHOLE[5..]).unwrap();
        part.complete().unwrap();
        assert_eq!(store.read(promised().digest).unwrap().as_deref(), Some(WHOLE));
        assert!(!path.exists());
        assert!(store.part(promised()).unwrap().is_none());
    }

    #[test]
    fn a_beginning_of_something_else_starts_from_zero() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        fs::write(root.path().join("parts").join(promised().digest.hex()), b"THE W").unwrap();
        let mut part = store.part(promised()).unwrap().unwrap();
        part.write_all(&WHOLE[5..]).unwrap();
        assert!(matches!(part.complete(), Err(StoreError::Mismatch { .. })));
        assert!(part.is_empty());
        part.write_all(WHOLE).unwrap();
        part.complete().unwrap();
        assert!(store.holds(promised()));
    }

    #[test]
    fn more_than_was_promised_is_refused_before_it_is_written() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let path = root.path().join("parts").join(promised().digest.hex());
        fs::write(&path, [WHOLE, b" and more"].concat()).unwrap();
        let mut part = store.part(promised()).unwrap().unwrap();
        assert!(part.is_empty(), "a part longer than the whole was continued");
        part.write_all(WHOLE).unwrap();
        let error = part.write_all(b"!").unwrap_err();
        assert_eq!(error.to_string(), "more came than the 17 bytes that were promised");
        assert_eq!(fs::metadata(&path).unwrap().len(), 17);
    }

    #[test]
    fn two_that_fetch_the_same_do_it_once() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let first = store.part(promised()).unwrap();
        std::thread::scope(|threads| {
            let second = threads.spawn(|| store.part(promised()).unwrap().is_none());
            std::thread::sleep(std::time::Duration::from_millis(50));
            let mut first = first.unwrap();
            first.write_all(WHOLE).unwrap();
            first.complete().unwrap();
            drop(first);
            assert!(second.join().unwrap(), "the second fetched what the first had completed");
        });
    }
}
