//! What can be wrong with the store, as sentences.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::Blob;
use crate::progress::bytes;

/// Something that the store can't do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The environment names no place for a cache.
    #[error(
        "there is no place for the cache: none of GOLDSMITH_CACHE, XDG_CACHE_HOME and HOME is set; let GOLDSMITH_CACHE name a directory"
    )]
    Nowhere,

    /// The bytes are others than were promised. They have been thrown away.
    #[error("expected {} bytes with {}, but got {} bytes with {}", .expected.size, .expected.digest, .found.size, .found.digest)]
    Mismatch {
        /// What was promised.
        expected: Blob,
        /// What came.
        found: Blob,
    },

    /// More bytes than were promised. They have been thrown away.
    #[error("more came than the {limit} bytes that were promised")]
    TooLong {
        /// How many were promised.
        limit: u64,
    },

    /// The file system below `path` has no room (or this user's quota has none).
    #[error(
        "the disk is full: no room for {} at {} ({} free there); free some space, or let GOLDSMITH_CACHE name a directory on a larger disk",
        amount(*.needed), .path.display(), free(.path)
    )]
    Full {
        /// What was to be written.
        path: PathBuf,
        /// How many bytes were to be written there; 0 if not known.
        needed: u64,
    },

    /// To be removed, but somebody works with it.
    #[error("{} is in use{}; wait until that is done", .path.display(), by(.holder))]
    InUse {
        /// The store.
        path: PathBuf,
        /// The number of the process, if it is known.
        holder: String,
    },

    /// To be removed, but it may be somebody else's.
    #[error("{} is not a store of Goldsmith's: its CACHEDIR.TAG is another one; remove it by hand, if you mean it", .path.display())]
    NotOurs {
        /// The directory.
        path: PathBuf,
    },

    /// This user may not write where the store is, or nobody may.
    #[error("cannot {verb} {}: {source}; let GOLDSMITH_CACHE name a directory that you may write to", .path.display())]
    Forbidden {
        /// What was tried.
        verb: &'static str,
        /// With what.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },

    /// Anything else that a file system can say.
    #[error("cannot {verb} {}: {source}", .path.display())]
    Io {
        /// What was tried: `make`, `open`, `read`…
        verb: &'static str,
        /// With what.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl StoreError {
    /// From an error while writing `needed` bytes to `path`. (EFBIG is `ulimit -f`: no room either, for this process.)
    pub(super) fn writing(path: &Path, needed: u64, source: io::Error) -> Self {
        let full = [Errno::NOSPC, Errno::DQUOT, Errno::FBIG].map(Errno::raw_os_error);
        match source.raw_os_error() {
            Some(errno) if full.contains(&errno) => Self::Full { path: path.to_owned(), needed },
            _ => Self::Io { verb: "write", path: path.to_owned(), source },
        }
    }

    /// Whether the disk is full: trying the next file is of no use then.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }

    /// The error of the store inside `error`, if a writer of the store gave it; else that it happened at `path`.
    pub(super) fn from_io(error: io::Error, path: &Path) -> Self {
        match error.downcast::<Self>() {
            Ok(error) => error,
            Err(source) => Self::Io { verb: "write", path: path.to_owned(), source },
        }
    }
}

/// For [`Write`](io::Write), whose errors are of this type; the sentence stays.
impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::Full { .. } => io::ErrorKind::StorageFull,
            StoreError::Nowhere => io::ErrorKind::NotFound,
            StoreError::Mismatch { .. } | StoreError::TooLong { .. } => io::ErrorKind::InvalidData,
            StoreError::InUse { .. } => io::ErrorKind::ResourceBusy,
            StoreError::NotOurs { .. } => io::ErrorKind::PermissionDenied,
            StoreError::Io { source, .. } | StoreError::Forbidden { source, .. } => source.kind(),
        };
        Self::new(kind, error)
    }
}

fn by(holder: &str) -> String {
    if holder.is_empty() { String::new() } else { format!(" by process {holder}") }
}

fn amount(needed: u64) -> String {
    if needed == 0 { "anything more".to_owned() } else { bytes(needed) }
}

/// How much room the file system of `path` has for this user.
fn free(path: &Path) -> String {
    let statvfs = path.ancestors().find_map(|path| rustix::fs::statvfs(path).ok());
    statvfs.map_or_else(|| "an unknown amount".to_owned(), |s| bytes(s.f_bavail.saturating_mul(s.f_frsize)))
}

/// `result.at(path, "read")`: what was tried, with what.
pub(super) trait At<T> {
    fn at(self, path: &Path, verb: &'static str) -> Result<T, StoreError>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, path: &Path, verb: &'static str) -> Result<T, StoreError> {
        self.map_err(|error| {
            let source = error.into();
            match source.raw_os_error() {
                Some(errno) if errno == Errno::NOSPC.raw_os_error() => StoreError::writing(path, 0, source),
                Some(errno) if [Errno::ACCESS, Errno::PERM, Errno::ROFS].map(Errno::raw_os_error).contains(&errno) => {
                    StoreError::Forbidden { verb, path: path.to_owned(), source }
                }
                _ => StoreError::Io { verb, path: path.to_owned(), source },
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_a_sentence_with_the_path_and_the_size() {
        let error = StoreError::writing(Path::new("/tmp/store/parts/ab"), 131_000_000, Errno::NOSPC.into());
        let text = error.to_string();
        assert!(text.starts_with("the disk is full: no room for 131.0 MB at /tmp/store/parts/ab ("), "{text}");
        assert!(text.contains("GOLDSMITH_CACHE"), "{text}");
        assert!(!text.contains("unknown amount"), "{text}");
    }

    #[test]
    fn the_sentence_survives_the_way_through_a_writer() {
        let there = io::Error::from(StoreError::TooLong { limit: 3 });
        assert_eq!(there.to_string(), "more came than the 3 bytes that were promised");
        assert!(matches!(StoreError::from_io(there, Path::new("/x")), StoreError::TooLong { limit: 3 }));
    }
}
