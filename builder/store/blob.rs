//! Blobs: verified on the way in, and again on the way out.

use std::fs::{self, File, Permissions};
use std::io::{self, BufWriter, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::error::At;
use super::{Store, StoreError};
use crate::digest::{Digest, Hashing};

/// Bytes by name: what was promised, or what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Blob {
    /// Of the bytes.
    pub digest: Digest,
    /// How many there are.
    pub size: u64,
}

/// What stat(2) says of a file whose bytes are known: if any of it changes, they are not known any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(file: &File) -> io::Result<Self> {
        let stat = file.metadata()?;
        Ok(Self {
            device: stat.dev(),
            inode: stat.ino(),
            size: stat.size(),
            modified: (stat.mtime(), stat.mtime_nsec()),
            changed: (stat.ctime(), stat.ctime_nsec()),
        })
    }

    /// Whether `path` still names the same file.
    fn is_at(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|stat| (stat.dev(), stat.ino()) == (self.device, self.inode))
    }
}

impl Store {
    /// Where the blob is, if it is there. For those who need a path (a mount, a hard link) and verified it with
    /// [`get`](Store::get).
    pub fn path(&self, digest: Digest) -> PathBuf {
        let hex = digest.hex();
        self.root().join("blobs/sha256").join(&hex[..2]).join(hex)
    }

    /// Whether a blob of that name is there, without verifying it.
    pub fn contains(&self, digest: Digest) -> bool {
        self.path(digest).is_file()
    }

    /// Whether a blob of that name and size is there, without verifying it: enough to decide what to fetch.
    pub fn holds(&self, blob: Blob) -> bool {
        fs::metadata(self.path(blob.digest)).is_ok_and(|stat| stat.is_file() && stat.len() == blob.size)
    }

    /// The blob, at its start, all of it verified; `None` if it is not there. A damaged one is removed, reported, and not
    /// there.
    ///
    /// # Errors
    /// If it can't be opened or read.
    pub fn get(&self, digest: Digest) -> Result<Option<File>, StoreError> {
        let path = self.path(digest);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).at(&path, "open"),
        };
        let stamp = Stamp::of(&file).at(&path, "stat")?;
        if self.verified().contains(&(digest, stamp)) {
            return Ok(Some(file));
        }
        let (found, _) = Digest::of_reader(&mut file).at(&path, "read")?;
        if found != digest {
            self.remove_damaged(&path, stamp)?;
            self.progress.message(&format!("the cached {digest} was damaged (its bytes have {found}), and is removed"));
            return Ok(None);
        }
        // Remember only if nothing happened to it while it was read.
        if Stamp::of(&file).at(&path, "stat")? == stamp {
            self.verified().insert((digest, stamp));
        }
        file.rewind().at(&path, "read")?;
        Ok(Some(file))
    }

    /// All bytes of a blob that is small enough to hold; as [`get`](Store::get).
    ///
    /// # Errors
    /// As [`get`](Store::get).
    pub fn read(&self, digest: Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(mut file) = self.get(digest)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).at(&self.path(digest), "read")?;
        Ok(Some(bytes))
    }

    /// Keeps `bytes`, and says what they are called.
    ///
    /// # Errors
    /// If they can't be written.
    pub fn put(&self, bytes: &[u8]) -> Result<Blob, StoreError> {
        let mut writer = self.writer(bytes.len() as u64)?;
        let written = writer.write_all(bytes);
        writer.checked(written)?;
        writer.finish()
    }

    /// Keeps what `reader` gives, if that is exactly the blob promised.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`] or [`StoreError::TooLong`] if it is not, and nothing is kept; or if it can't be written.
    pub fn put_reader(&self, mut reader: impl Read, promised: Blob) -> Result<(), StoreError> {
        let mut writer = self.writer(promised.size)?;
        let copied = io::copy(&mut reader, &mut writer).map(drop);
        writer.checked(copied)?;
        writer.finish_as(promised)
    }

    /// A writer of a blob of at most `limit` bytes (`u64::MAX` if nothing is known), which hashes what it writes.
    ///
    /// # Errors
    /// If the temporary file can't be made.
    pub fn writer(&self, limit: u64) -> Result<BlobWriter, StoreError> {
        let (temporary, file) = self.temporary()?;
        let out = Hashing::new(BufWriter::with_capacity(1 << 17, file));
        Ok(BlobWriter { store: self.clone(), temporary, out, written: 0, limit })
    }

    /// Gives the file at `from`, which holds just these bytes and has them on the disk, its name; whoever was first stays.
    pub(super) fn publish(&self, from: &Path, file: &File, digest: Digest) -> Result<(), StoreError> {
        let path = self.path(digest);
        let parent = path.parent().unwrap_or(&path);
        fs::create_dir_all(parent).at(parent, "make")?;
        file.set_permissions(Permissions::from_mode(0o444)).at(from, "seal")?;
        loop {
            match renameat_with(CWD, from, CWD, &path, RenameFlags::NOREPLACE) {
                Ok(()) => break,
                // Another was faster. If theirs turns out damaged, `get` has removed it, and ours can go there.
                Err(Errno::EXIST) if self.get(digest)?.is_some() => {
                    return fs::remove_file(from).at(from, "remove");
                }
                Err(Errno::EXIST) => {}
                // A file system without RENAME_NOREPLACE: what it replaces has the same name, so the same bytes.
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                    fs::rename(from, &path).at(&path, "write")?;
                    break;
                }
                Err(error) => return Err(error).at(&path, "write"),
            }
        }
        let stamp = Stamp::of(file).at(&path, "stat")?;
        self.verified().insert((digest, stamp));
        Ok(())
    }

    /// A new file on the bench, with nothing in it.
    fn temporary(&self) -> Result<(Temporary, File), StoreError> {
        let mut bench = self.shared.bench.lock().unwrap_or_else(PoisonError::into_inner);
        let scratch = match bench.take() {
            Some(scratch) => scratch,
            None => self.scratch()?,
        };
        let directory = bench.insert(scratch).path();
        // Never the same name twice: whoever had renamed a file of this name would remove this one when it is dropped.
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let path = directory.join(NUMBER.fetch_add(1, Ordering::Relaxed).to_string());
        let file = File::options().read(true).write(true).create_new(true).open(&path).at(&path, "make")?;
        Ok((Temporary { path }, file))
    }

    /// A file on the bench with these bytes, on the disk.
    pub(super) fn write_temporary(&self, bytes: &[u8]) -> Result<Temporary, StoreError> {
        let (temporary, mut file) = self.temporary()?;
        let written = file.write_all(bytes).and_then(|()| file.sync_data());
        written.map_err(|error| StoreError::writing(&temporary.path, bytes.len() as u64, error))?;
        Ok(temporary)
    }

    /// Takes the damaged file away, but not a good one that another process has put there meanwhile.
    fn remove_damaged(&self, path: &Path, damaged: Stamp) -> Result<(), StoreError> {
        let (aside, _) = self.temporary()?;
        match fs::rename(path, &aside.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Ok(()) if !damaged.is_at(&aside.path) => {
                match renameat_with(CWD, &aside.path, CWD, path, RenameFlags::NOREPLACE) {
                    Ok(()) | Err(Errno::EXIST) => Ok(()),
                    Err(error) => Err(error).at(path, "put back"),
                }
            }
            moved => moved.at(path, "remove"),
        }
    }

    fn verified(&self) -> std::sync::MutexGuard<'_, std::collections::BTreeSet<(Digest, Stamp)>> {
        self.shared.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that is removed unless it was renamed.
#[derive(Debug)]
pub(super) struct Temporary {
    path: PathBuf,
}

impl Temporary {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Writes a blob that has no name yet. Dropped, nothing is kept.
pub struct BlobWriter {
    store: Store,
    temporary: Temporary,
    out: Hashing<BufWriter<File>>,
    written: u64,
    limit: u64,
}

impl BlobWriter {
    /// Keeps what was written, and says what it is called.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn finish(self) -> Result<Blob, StoreError> {
        self.seal(None)
    }

    /// Keeps what was written, if it is exactly what was promised.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`] if it is not, and nothing is kept; or if it can't be written.
    pub fn finish_as(self, promised: Blob) -> Result<(), StoreError> {
        self.seal(Some(promised)).map(drop)
    }

    fn seal(self, promised: Option<Blob>) -> Result<Blob, StoreError> {
        let needed = self.written;
        let (out, digest, size) = self.out.finish();
        let found = Blob { digest, size };
        if let Some(expected) = promised.filter(|&expected| expected != found) {
            return Err(StoreError::Mismatch { expected, found });
        }
        let full = |error| StoreError::writing(&self.temporary.path, needed, error);
        let file = out.into_inner().map_err(|error| full(error.into_error()))?;
        file.sync_data().map_err(full)?;
        self.store.publish(&self.temporary.path, &file, digest)?;
        Ok(found)
    }

    /// The store's own error behind a [`Write`] to this writer, for those who want to match on it.
    ///
    /// # Errors
    /// If `result` is one.
    pub fn checked(&self, result: io::Result<()>) -> Result<(), StoreError> {
        result.map_err(|error| StoreError::from_io(error, &self.temporary.path))
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let after = self.written.saturating_add(bytes.len() as u64);
        if after > self.limit {
            return Err(StoreError::TooLong { limit: self.limit }.into());
        }
        let needed = if self.limit == u64::MAX { after } else { self.limit };
        let written =
            self.out.write(bytes).map_err(|error| StoreError::writing(&self.temporary.path, needed, error))?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush().map_err(|error| StoreError::writing(&self.temporary.path, self.written, error).into())
    }
}

#[cfg(test)]
mod tests;
