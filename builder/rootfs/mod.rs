//! From packages to a sealed root file system.
//!
//! ```text
//! .deb … ──unpack──▶ a tree on disk ──configure──▶ the same, configured ──Accounts::fix──▶ numbers as the recipe says
//!          └──────────────────────────── tree: done once, kept in the store ───────────────────────┘    │
//!                     Rootfs ◀──seal── entries ◀──overlay::apply── entries ◀──scan──────────────────────┘
//! ```
//!
//! A tree is a directory that can still change; [`Rootfs`] is a value that cannot. Only the first three steps write to disk;
//! what follows works on entries, and is done again in a moment.

pub mod accounts;
pub mod configure;
pub mod copy;
pub mod diff;
pub mod entry;
pub mod inside;
pub mod listing;
pub mod materialise;
pub mod scan;
pub mod seal;
pub mod tree;
pub mod unpack;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Cursor, Read};

use crate::epoch::Epoch;
use entry::{Content, Entry, Kind};

/// A sealed root file system: every path with what it is. A value; nothing can change it any more.
#[derive(Clone, Debug)]
pub struct Rootfs {
    entries: BTreeMap<String, Entry>,
    epoch: Epoch,
}

impl Rootfs {
    /// From entries that are known; [`seal::seal`] makes one of a tree's.
    pub fn new(entries: BTreeMap<String, Entry>, epoch: Epoch) -> Self {
        Self { entries, epoch }
    }

    /// Every path (relative, no leading or trailing slash; the root itself is `""`), sorted by bytes, with what is there.
    pub fn entries(&self) -> &BTreeMap<String, Entry> {
        &self.entries
    }

    /// The moment to which all times are clamped.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The bytes of the regular file at `path`; of a hard link, those of its target.
    ///
    /// # Errors
    /// There is no regular file at `path`, or it cannot be read.
    pub fn open(&self, path: &str) -> io::Result<Box<dyn Read + Send>> {
        match self.entries.get(path).map(|entry| &entry.kind) {
            Some(Kind::File { content: Content::OnDisk(place), .. }) => Ok(Box::new(File::open(place)?)),
            Some(Kind::File { content: Content::Bytes(bytes), .. }) => Ok(Box::new(Cursor::new(bytes.clone()))),
            Some(Kind::Hardlink(target)) if target != path => self.open(target),
            _ => Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("{path} is not a regular file of the root file system"),
            )),
        }
    }
}
