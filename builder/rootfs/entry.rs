//! One path of a root file system.
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::digest::Digest;

/// What is at a path, as a tar header would say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky: `0o7777` at most.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since the Unix epoch.
    pub mtime: i64,
    /// Extended attributes by full name (`security.capability`, …), as read inside the user namespace (capabilities: VFS_CAP v2).
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// Where it comes from: what decides the OCI layer.
    pub origin: Origin,
}

/// File types that a root file system may hold. (Device nodes and sockets have no place in an image.)
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// Bytes.
        size: u64,
        /// Of the bytes.
        digest: Digest,
        /// Where the bytes are while building.
        content: Content,
    },
    /// A symbolic link, its target as written.
    Symlink(String),
    /// Another name of the regular file at this path, which sorts before.
    Hardlink(String),
    /// A named pipe.
    Fifo,
}

/// Where the bytes of a file are while building.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// In this file, on this machine.
    OnDisk(PathBuf),
    /// Here.
    Bytes(Arc<[u8]>),
}

/// Who brought a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Origin {
    /// A package's file list: the name of its *source* package.
    Package(Arc<str>),
    /// The maintainer scripts, while configuring: owned by no package.
    Generated,
    /// dpkg's and apt's own database, debconf's, ucf's: changes with every patch.
    State,
    /// The overlay of this name.
    Overlay(Arc<str>),
}
