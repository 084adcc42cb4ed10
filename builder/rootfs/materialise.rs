//! A root file system as files again: what differs from a tree that is on disk is written over a copy of it.
//!
//! No link of the tree is followed on the way: see [`Inside`].

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags};

use super::Rootfs;
use super::entry::{Entry, Kind};
use super::inside::Inside;

/// A path could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the root file system: {path}: {cause}")]
pub struct MaterialiseError {
    /// Below the root.
    pub path: String,
    /// What the system said.
    pub cause: io::Error,
}

/// Makes of the directory `root`, a copy of the tree with the entries `before`, what `rootfs` says. (The times of what is
/// otherwise the same stay as they are.)
///
/// # Errors
/// Names the path that cannot be written or removed.
pub fn materialise(rootfs: &Rootfs, before: &BTreeMap<String, Entry>, root: &Path) -> Result<(), MaterialiseError> {
    let wrong = |path: &str| {
        let path = path.to_owned();
        move |cause: io::Error| MaterialiseError { path, cause }
    };
    let copy = Copy { inside: Inside::open(root).map_err(wrong(""))?, rootfs };
    let replaced = |path: &str, entry: &Entry| {
        rootfs
            .entries()
            .get(path)
            .is_none_or(|new| file_type(&new.kind) != file_type(&entry.kind) || !is_directory(new))
    };
    let same = |path: &str, entry: &Entry| before.get(path).is_some_and(|old| is_same(old, entry));
    // What is in a directory goes before the directory.
    for (path, entry) in before.iter().rev() {
        if replaced(path, entry) && !rootfs.entries().get(path).is_some_and(|new| same(path, new)) {
            copy.remove(path, entry).map_err(wrong(path))?;
        }
    }
    for (path, entry) in rootfs.entries().iter().filter(|(path, entry)| !same(path, entry)) {
        copy.write(path, entry).map_err(wrong(path))?;
    }
    Ok(())
}

/// Whether there is nothing to do to make one of the other.
fn is_same(old: &Entry, new: &Entry) -> bool {
    let kind = match (&old.kind, &new.kind) {
        (Kind::File { size, digest, .. }, Kind::File { size: other_size, digest: other, .. }) => {
            (size, digest) == (other_size, other)
        }
        (old, new) => old == new,
    };
    kind && (old.mode, old.uid, old.gid) == (new.mode, new.uid, new.gid) && old.xattrs == new.xattrs
}

fn is_directory(entry: &Entry) -> bool {
    entry.kind == Kind::Directory
}

fn file_type(kind: &Kind) -> FileType {
    match kind {
        Kind::Directory => FileType::Directory,
        Kind::File { .. } | Kind::Hardlink(_) => FileType::RegularFile,
        Kind::Symlink(_) => FileType::Symlink,
        Kind::Fifo => FileType::Fifo,
    }
}

/// The directory that is written to.
struct Copy<'r> {
    inside: Inside,
    rootfs: &'r Rootfs,
}

impl Copy<'_> {
    fn remove(&self, path: &str, entry: &Entry) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        let flags = if is_directory(entry) { AtFlags::REMOVEDIR } else { AtFlags::empty() };
        Ok(rustix::fs::unlinkat(parent, name, flags)?)
    }

    fn write(&self, path: &str, entry: &Entry) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
        match &entry.kind {
            Kind::Hardlink(target) => {
                let (there, target) = self.parent(target)?;
                return Ok(rustix::fs::linkat(there, target, parent, name, AtFlags::empty())?);
            }
            Kind::Symlink(target) => rustix::fs::symlinkat(target.as_str(), &parent, name)?,
            Kind::Fifo => {
                rustix::fs::mknodat(&parent, name, FileType::Fifo, Mode::from_raw_mode(entry.mode), 0)?;
                rustix::fs::chmodat(&parent, name, Mode::from_raw_mode(entry.mode), AtFlags::empty())?;
            }
            Kind::Directory => {
                match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o700)) {
                    Err(rustix::io::Errno::EXIST) => {}
                    other => other?,
                }
                let directory = self.inside.handle(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
                return finish(&directory, entry);
            }
            Kind::File { .. } => {
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
                let mut file = File::from(self.inside.handle(path, flags)?);
                io::copy(&mut self.rootfs.open(path)?, &mut file)?;
                return finish(file.as_fd(), entry);
            }
        }
        rustix::fs::chownat(&parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(rustix::fs::utimensat(parent, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// A handle of the directory that `path` is in, and the last name.
    fn parent<'p>(&self, path: &'p str) -> io::Result<(OwnedFd, &'p str)> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let name = if name.is_empty() { "." } else { name };
        Ok((self.inside.handle(parent, OFlags::PATH | OFlags::DIRECTORY)?, name))
    }
}

/// Owner before mode (a change of owner takes the setuid bit away), and both before attributes (it takes capabilities too).
fn finish(file: impl AsFd, entry: &Entry) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
    rustix::fs::fchown(&file, Some(uid), Some(gid))?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(entry.mode))?;
    for (name, value) in &entry.xattrs {
        rustix::fs::fsetxattr(&file, name.as_str(), value, XattrFlags::empty())?;
    }
    Ok(rustix::fs::futimens(&file, &times(entry))?)
}

fn times(entry: &Entry) -> Timestamps {
    let time = Timespec { tv_sec: entry.mtime, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::digest::Digest;
    use crate::epoch::Epoch;
    use crate::rootfs::entry::{Content, Origin};

    /// Of whoever runs this.
    fn entry(kind: Kind) -> Entry {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        Entry { kind, mode: 0o755, uid, gid, mtime: 1_000, xattrs: BTreeMap::new(), origin: Origin::Generated }
    }

    fn file(text: &str) -> Entry {
        let content = Content::Bytes(text.as_bytes().into());
        entry(Kind::File { size: text.len() as u64, digest: Digest::of(text.as_bytes()), content })
    }

    fn tree(paths: &[(&str, Entry)]) -> BTreeMap<String, Entry> {
        let root = (String::new(), entry(Kind::Directory));
        paths.iter().map(|(path, entry)| ((*path).to_owned(), entry.clone())).chain([root]).collect()
    }

    #[test]
    fn a_tree_becomes_what_the_root_file_system_says() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let before = tree(&[
            ("etc", entry(Kind::Directory)),
            ("etc/gone", entry(Kind::Directory)),
            ("etc/gone/too", file("gone")),
            ("etc/kept", file("kept")),
            ("etc/other", file("one")),
            ("link", entry(Kind::Symlink("nowhere".to_owned()))),
        ]);
        let after = tree(&[
            ("etc", Entry { mode: 0o700, ..entry(Kind::Directory) }),
            ("etc/kept", file("kept")),
            ("etc/other", Entry { mode: 0o640, ..file("two") }),
            ("etc/same", entry(Kind::Hardlink("etc/other".to_owned()))),
            ("link", entry(Kind::Directory)),
            ("link/pipe", entry(Kind::Fifo)),
        ]);
        let write = |entries: &BTreeMap<String, Entry>, before: &BTreeMap<String, Entry>| {
            materialise(&Rootfs::new(entries.clone(), Epoch(1)), before, root).unwrap();
        };
        write(&before, &tree(&[]));
        let kept = std::fs::metadata(root.join("etc/kept")).unwrap().ino();
        write(&after, &before);
        assert!(!root.join("etc/gone").exists());
        assert_eq!(std::fs::metadata(root.join("etc/kept")).unwrap().ino(), kept, "what is the same was written again");
        let other = std::fs::metadata(root.join("etc/other")).unwrap();
        assert_eq!((other.mode() & 0o7777, other.mtime(), other.nlink()), (0o640, 1_000, 2));
        assert_eq!(std::fs::read_to_string(root.join("etc/same")).unwrap(), "two");
        assert_eq!(std::fs::metadata(root.join("etc")).unwrap().mode() & 0o7777, 0o700);
        assert!(root.join("link/pipe").exists());
    }

    #[test]
    fn a_link_in_the_copy_does_not_lead_out_of_it() {
        let machine = tempfile::tempdir().unwrap();
        let copy = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(machine.path(), copy.path().join("etc")).unwrap();
        let rootfs = Rootfs::new(tree(&[("etc/passwd", file("ours"))]), Epoch(1));
        let error = materialise(&rootfs, &tree(&[]), copy.path()).unwrap_err();
        assert_eq!(error.path, "etc/passwd");
        assert!(!machine.path().join("passwd").exists());
    }
}
