//! One at a time: locks by name, so that two builds of the same thing wait for each other.
//!
//! flock(2) on a file below `locks/`. The file stays (removing it would let two hold "the same" lock); who holds it, and
//! for what, is written in it for whoever waits, and means nothing otherwise.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};

use super::error::At;
use super::{Store, StoreError};
use crate::digest::Digest;

/// Held until dropped, or until the process ends, however that may be.
#[derive(Debug)]
#[must_use = "the lock is let go when this is dropped"]
pub struct LockGuard {
    file: File,
}

impl Drop for LockGuard {
    fn drop(&mut self) {
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
    }
}

impl Store {
    /// Waits until nobody else, in this process or another, holds the lock called `name`, then holds it. If there is
    /// something to wait for, says so in a sentence; `name` should read well in it: `the build of api`.
    ///
    /// # Errors
    /// If the lock's file can't be opened or locked.
    pub fn lock(&self, name: &str) -> Result<LockGuard, StoreError> {
        let path = self.root().join("locks").join(Digest::of(name.as_bytes()).hex());
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path).at(&path, "open")?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = (&file).take(32).read_to_string(&mut holder);
                let holder = if holder.is_empty() { "another process".to_owned() } else { format!("process {holder}") };
                self.progress.message(&format!("waiting for {holder}, which is at {name} too"));
                file.lock().at(&path, "lock")?;
            }
            Err(TryLockError::Error(error)) => return Err(error).at(&path, "lock"),
        }
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id()));
        Ok(LockGuard { file })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::progress::{Progress, Verbosity};

    #[test]
    fn two_builds_of_the_same_thing_wait_for_each_other() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let inside = AtomicU32::new(0);
        std::thread::scope(|threads| {
            for _ in 0..8 {
                threads.spawn(|| {
                    for _ in 0..20 {
                        let _guard = store.lock("the build of api").unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "two held the lock");
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
    }

    #[test]
    fn builds_of_different_things_do_not_wait() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path()).unwrap();
        let _api = store.lock("the build of api").unwrap();
        let _db = store.lock("the build of db").unwrap();
    }

    #[test]
    fn who_waits_is_told_for_whom() {
        /// Sends each line away.
        struct Sender(mpsc::Sender<String>);
        impl Write for Sender {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                let _ = self.0.send(String::from_utf8_lossy(bytes).into_owned());
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let root = tempfile::tempdir().unwrap();
        let (sender, said) = mpsc::channel();
        let store = Store::open(root.path()).unwrap().reporting(&Progress::lines(Sender(sender), Verbosity::Normal));
        let guard = store.lock("the build of api").unwrap();
        std::thread::scope(|threads| {
            threads.spawn(|| drop(store.lock("the build of api").unwrap()));
            let line = said.recv_timeout(Duration::from_secs(20)).unwrap();
            drop(guard);
            assert!(line.contains(&format!("waiting for process {}", std::process::id())), "{line}");
        });
    }
}
