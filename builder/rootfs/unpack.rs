//! From packages to a tree: every data member laid below one directory, and dpkg's database beside it.
//!
//! ```text
//! .deb ─┐                       ┌─ files, links             threads, the largest package first
//! .deb ─┼─ Deb::read ─▶ data ──▶┤
//! .deb ─┘       │               └─ directories' modes       at the end, in the order of the packages: the first to bring
//!               └─ control ─▶ var/lib/dpkg                  a directory decides, as with dpkg
//! ```
//!
//! What results is what `dpkg --unpack` of all of them at once would leave: conffiles wait as `PATH.dpkg-new`, every package is
//! `unpacked`, no script has run. dpkg itself takes over from there (see `configure`). Files are made relative to directory
//! handles that no symbolic link was followed to reach (openat2(2) `RESOLVE_NO_SYMLINKS`), so a package cannot write through
//! another's link; the links of the merged /usr are the one exception, and are resolved by name.

mod database;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, Uid};

use super::inside::Inside;

use crate::debian::deb::{Deb, DebError};
use crate::debian::filter::PathFilter;
use crate::debian::status::Conffiles;
use crate::sandbox::Namespace;

/// Directories of the root that are links into /usr (the merged /usr of Debian 12 and later, file-hierarchy(7)).
const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// A package could not be unpacked.
#[derive(Debug, thiserror::Error)]
#[error("cannot unpack {package}: {cause}")]
pub struct UnpackError {
    /// Name, with version where it is known.
    pub package: String,
    /// Why.
    pub cause: Cause,
}

/// Why a package could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The package is broken.
    #[error("{0}")]
    Deb(#[from] DebError),
    /// The file system refused, or the package ended too early.
    #[error("{path}: {cause}")]
    Io {
        /// Inside the tree.
        path: String,
        /// What the system said.
        cause: io::Error,
    },
    /// A path that leads out of the tree.
    #[error("it holds `{0}`, a path that leads out of the root file system")]
    Escapes(String),
    /// A path through a symbolic link.
    #[error("it holds `{0}`, a path through a symbolic link: it could write anywhere")]
    ThroughLink(String),
    /// A device, or worse.
    #[error("it holds `{0}`, {1}: an image has no place for it")]
    Special(String, &'static str),
    /// Two packages bring one file.
    #[error("it brings `{path}`, which {other} brings too")]
    Overlap {
        /// Inside the tree.
        path: String,
        /// The other package.
        other: String,
    },
}

/// What one package laid into the tree.
struct Laid {
    /// The paths as its archive writes them, for `info/NAME.list`.
    list: Vec<String>,
    /// Where in the tree its files really are.
    places: Vec<String>,
    directories: Vec<(String, Metadata)>,
}

#[derive(Clone, Copy)]
struct Metadata {
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: i64,
}

/// What to unpack.
#[derive(Clone, Copy, Debug)]
pub struct Packed<'a> {
    /// Sorted as their files of metadata shall win.
    pub debs: &'a [Deb],
    /// What of them is left out.
    pub filter: &'a PathFilter,
}

/// Where dpkg is told what was left out, so that a later run of it leaves out the same.
const FILTER: &str = "etc/dpkg/dpkg.cfg.d/goldsmith";

/// Unpacks what is `packed` into the empty directory `root`, on `jobs` threads.
///
/// # Errors
/// Names the package and the path. The tree is then of no use.
pub fn unpack(_: Namespace, packed: Packed<'_>, root: &Path, jobs: usize) -> Result<(), UnpackError> {
    let Packed { debs, filter } = packed;
    let tree =
        Tree::open(root, filter).map_err(|cause| UnpackError { package: "into an empty tree".to_owned(), cause })?;
    let mut queue: Vec<usize> = (0..debs.len()).collect();
    queue.sort_by_key(|&index| std::cmp::Reverse(debs[index].fields().installed_size));
    let next = AtomicUsize::new(0);
    let results: Mutex<BTreeMap<usize, Result<Laid, Cause>>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while let Some(&index) = queue.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let laid = tree.lay(&debs[index]);
                    if laid.is_err() {
                        next.store(queue.len(), Ordering::Relaxed);
                    }
                    results.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(index, laid);
                }
            });
        }
    });
    let results = results.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut laid = BTreeMap::new();
    let mut failed = Vec::new();
    for (index, result) in results {
        match result {
            Ok(done) => drop(laid.insert(index, done)),
            Err(cause) => failed.push((index, cause)),
        }
    }
    let error = |index: usize, cause| {
        let fields = debs[index].fields();
        UnpackError { package: format!("{} {}", fields.name, fields.version), cause }
    };
    if let Some((index, cause)) = failed.into_iter().next() {
        return Err(error(index, name_the_other(cause, &laid, debs)));
    }
    tree.finish_directories(laid.values()).map_err(|cause| error(0, cause))?;
    write_filter(filter, &tree.root).map_err(|cause| error(0, cause))?;
    database::write(debs, &laid, &tree.root).map_err(|(index, cause)| error(index, cause))
}

/// Tells dpkg what is left out.
fn write_filter(filter: &PathFilter, root: &Inside) -> Result<(), Cause> {
    if filter.is_empty() {
        return Ok(());
    }
    let failed = |cause| io_cause(FILTER, cause);
    let lines: String = filter.lines().map(|line| line + "\n").collect();
    root.make_directories("etc/dpkg/dpkg.cfg.d").map_err(failed)?;
    root.write(FILTER, format!("# What the recipe leaves out of packages.\n{lines}").as_bytes(), 0o644).map_err(failed)
}

/// Fills in which package it was that had brought a path first.
fn name_the_other(cause: Cause, laid: &BTreeMap<usize, Laid>, debs: &[Deb]) -> Cause {
    let Cause::Overlap { path, .. } = cause else { return cause };
    let owner = laid.iter().find(|(_, laid)| laid.places.contains(&path));
    let other = owner.map_or_else(|| "another package".to_owned(), |(&index, _)| debs[index].fields().name.clone());
    Cause::Overlap { path, other }
}

/// The tree that is being filled.
struct Tree<'a> {
    root: Inside,
    filter: &'a PathFilter,
}

/// The directory that the last path was in: archives are sorted, so the next one mostly is there too.
struct Here {
    path: String,
    handle: OwnedFd,
}

impl<'a> Tree<'a> {
    fn open(root: &Path, filter: &'a PathFilter) -> Result<Self, Cause> {
        Ok(Self { root: Inside::open(root).map_err(|cause| io_cause(".", cause))?, filter })
    }

    /// Lays the data member of `deb`.
    fn lay(&self, deb: &Deb) -> Result<Laid, Cause> {
        let conffiles = Conffiles::parse(&database::text(deb, "conffiles")).brought;
        let data = deb.data().map_err(|cause| io_cause("data.tar", cause))?;
        let mut laid = Laid { list: Vec::new(), places: Vec::new(), directories: Vec::new() };
        let mut archive = tar::Archive::new(data);
        let mut here = None;
        let mut buffer = vec![0; 256 << 10];
        for entry in archive.entries().map_err(|cause| io_cause("data.tar", cause))? {
            let mut entry = entry.map_err(|cause| io_cause("data.tar", cause))?;
            let Some(path) = inside(&entry.path_bytes())? else {
                laid.list.push("/.".to_owned());
                continue;
            };
            laid.list.push(format!("/{path}"));
            let place = merged(&path);
            let header = entry.header();
            let number = |result: io::Result<u64>| result.map_err(|cause| io_cause(&path, cause));
            let metadata = Metadata {
                mode: header.mode().map_err(|cause| io_cause(&path, cause))? & 0o7777,
                uid: number(header.uid())? as u32,
                gid: number(header.gid())? as u32,
                mtime: number(header.mtime())? as i64,
            };
            let kind = header.entry_type();
            if !self.filter.keeps(&format!("/{path}"), kind.is_dir() || kind.is_symlink()) {
                continue;
            }
            if kind.is_dir() {
                if !MERGED.contains(&path.as_str()) {
                    self.make_directory(&mut here, &place)?;
                    laid.directories.push((place, metadata));
                }
                continue;
            }
            let place = if conffiles.contains(&path) { format!("{place}.dpkg-new") } else { place };
            let link = |bytes: Option<std::borrow::Cow<'_, [u8]>>| -> Result<String, Cause> {
                Ok(utf8(&bytes.unwrap_or_default(), &path)?.to_owned())
            };
            let (directory, name) = self.directory_of(&mut here, &place)?;
            let exists = |error: rustix::io::Errno| match error {
                rustix::io::Errno::EXIST => Cause::Overlap { path: place.clone(), other: String::new() },
                error => io_cause(&path, error.into()),
            };
            match kind {
                tar::EntryType::Regular | tar::EntryType::Continuous | tar::EntryType::GNUSparse => {
                    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    let file =
                        rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(0o600)).map_err(exists)?;
                    let mut file = File::from(file);
                    copy(&mut entry, &mut file, &mut buffer).map_err(|cause| io_cause(&path, cause))?;
                    set_metadata(&file, metadata).map_err(|cause| io_cause(&path, cause))?;
                }
                tar::EntryType::Symlink => {
                    let target = link(entry.link_name_bytes())?;
                    rustix::fs::symlinkat(&target, directory, name).map_err(exists)?;
                    set_link_metadata(directory, name, metadata).map_err(|cause| io_cause(&path, cause))?;
                }
                tar::EntryType::Link => {
                    let target = link(entry.link_name_bytes())?;
                    let target = inside(target.as_bytes())?.ok_or_else(|| Cause::Escapes(target.clone()))?;
                    self.hard_link(&merged(&target), &place)?;
                }
                tar::EntryType::Fifo => return Err(Cause::Special(path, "a named pipe")),
                tar::EntryType::Char => return Err(Cause::Special(path, "a character device")),
                tar::EntryType::Block => return Err(Cause::Special(path, "a block device")),
                _ => return Err(Cause::Special(path, "of a kind that a package cannot hold")),
            }
            laid.places.push(place);
        }
        Ok(laid)
    }

    /// A handle of the directory that `path` is in, and its last name. Missing parents are made: an archive need not hold them.
    fn directory_of<'h, 'p>(&self, here: &'h mut Option<Here>, path: &'p str) -> Result<(&'h OwnedFd, &'p str), Cause> {
        let (parent, name) = path.rsplit_once('/').unwrap_or((".", path));
        if here.as_ref().is_none_or(|here| here.path != parent) {
            let handle = match self.open_directory(parent) {
                Err(rustix::io::Errno::NOENT) => {
                    self.make_directory(&mut None, parent)?;
                    self.open_directory(parent)
                }
                other => other,
            };
            let handle = handle.map_err(|error| through_link(path, error))?;
            *here = Some(Here { path: parent.to_owned(), handle });
        }
        match here {
            Some(here) => Ok((&here.handle, name)),
            None => Err(io_cause(path, io::ErrorKind::NotFound.into())),
        }
    }

    fn open_directory(&self, path: &str) -> rustix::io::Result<OwnedFd> {
        self.root.handle(path, OFlags::PATH | OFlags::DIRECTORY)
    }

    fn make_directory(&self, here: &mut Option<Here>, path: &str) -> Result<(), Cause> {
        if path == "." {
            return Ok(());
        }
        let (parent, name) = self.directory_of(here, path)?;
        match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::EXIST) => {
                // Another package's directory is this one's too; another's file or link is not.
                self.open_directory(path).map_err(|error| through_link(path, error)).map(drop)
            }
            Err(error) => Err(io_cause(path, error.into())),
        }
    }

    fn hard_link(&self, target: &str, path: &str) -> Result<(), Cause> {
        let (mut from, mut to) = (None, None);
        let (from, old) = self.directory_of(&mut from, target)?;
        let (to, new) = self.directory_of(&mut to, path)?;
        rustix::fs::linkat(from, old, to, new, AtFlags::empty()).map_err(|error| io_cause(path, error.into()))
    }

    /// Modes, owners and times of directories, once nothing is laid into them any more. The first to bring one decides.
    fn finish_directories<'l>(&self, laid: impl Iterator<Item = &'l Laid>) -> Result<(), Cause> {
        let mut decided = BTreeMap::new();
        for (path, metadata) in laid.flat_map(|laid| &laid.directories) {
            decided.entry(path).or_insert(*metadata);
        }
        for (path, metadata) in decided {
            let set = |handle: OwnedFd| set_metadata(&File::from(handle), metadata);
            let opened = self.root.handle(path, OFlags::RDONLY | OFlags::DIRECTORY);
            opened.map_err(io::Error::from).and_then(set).map_err(|cause| io_cause(path, cause))?;
        }
        for name in MERGED {
            // Debian 11 and older leave these to the bootstrapping tool.
            match self.open_directory("").and_then(|root| rustix::fs::symlinkat(format!("usr/{name}"), root, name)) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(io_cause(name, error.into())),
            }
        }
        Ok(())
    }
}

/// The path of a tar entry below the root, without `./` and trailing slashes; `None` for the root itself.
fn inside(bytes: &[u8]) -> Result<Option<String>, Cause> {
    let text = utf8(bytes, "data.tar")?;
    let mut parts = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." if !parts.is_empty() || !text.starts_with('/') => {}
            "" | ".." => return Err(Cause::Escapes(text.to_owned())),
            part => parts.push(part),
        }
    }
    Ok((!parts.is_empty()).then(|| parts.join("/")))
}

fn utf8<'b>(bytes: &'b [u8], path: &str) -> Result<&'b str, Cause> {
    std::str::from_utf8(bytes)
        .map_err(|_| io_cause(path, io::Error::new(io::ErrorKind::InvalidData, "a name in it is not UTF-8")))
}

/// `lib/x` is `usr/lib/x` where /usr is merged.
pub(super) fn merged(path: &str) -> String {
    match path.split_once('/') {
        Some((first, _)) if MERGED.contains(&first) => format!("usr/{path}"),
        _ => path.to_owned(),
    }
}

fn io_cause(path: &str, cause: io::Error) -> Cause {
    // `Limited` and decoders speak of the package, not of a path.
    if cause.kind() == io::ErrorKind::Other {
        Cause::Deb(DebError::Read(cause))
    } else {
        Cause::Io { path: path.to_owned(), cause }
    }
}

fn through_link(path: &str, error: rustix::io::Errno) -> Cause {
    match error {
        rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR => Cause::ThroughLink(path.to_owned()),
        error => io_cause(path, error.into()),
    }
}

fn copy(from: &mut impl Read, to: &mut File, buffer: &mut [u8]) -> io::Result<()> {
    use std::io::Write;
    loop {
        match from.read(buffer)? {
            0 => return Ok(()),
            read => to.write_all(&buffer[..read])?,
        }
    }
}

fn set_metadata(file: &File, metadata: Metadata) -> io::Result<()> {
    if (metadata.uid, metadata.gid) != (0, 0) {
        rustix::fs::fchown(file, Some(Uid::from_raw(metadata.uid)), Some(Gid::from_raw(metadata.gid)))?;
    }
    rustix::fs::fchmod(file, Mode::from_raw_mode(metadata.mode))?;
    rustix::fs::futimens(file, &times(metadata.mtime))?;
    Ok(())
}

fn set_link_metadata(directory: &OwnedFd, name: &str, metadata: Metadata) -> io::Result<()> {
    if (metadata.uid, metadata.gid) != (0, 0) {
        let (uid, gid) = (Some(Uid::from_raw(metadata.uid)), Some(Gid::from_raw(metadata.gid)));
        rustix::fs::chownat(directory, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
    }
    rustix::fs::utimensat(directory, name, &times(metadata.mtime), AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(())
}

fn times(seconds: i64) -> Timestamps {
    let moment = Timespec { tv_sec: seconds, tv_nsec: 0 };
    Timestamps { last_access: moment, last_modification: moment }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_the_root_or_is_refused() {
        assert_eq!(inside(b"./usr/bin/x").unwrap().unwrap(), "usr/bin/x");
        assert_eq!(inside(b"./").unwrap(), None);
        assert_eq!(inside(b"usr//bin/./x/").unwrap().unwrap(), "usr/bin/x");
        for path in ["../x", "./usr/../../x", "/etc/passwd", "//etc"] {
            assert!(matches!(inside(path.as_bytes()), Err(Cause::Escapes(_))), "{path}");
        }
    }

    #[test]
    fn the_merged_directories_lead_into_usr() {
        assert_eq!(merged("lib/x"), "usr/lib/x");
        assert_eq!(merged("lib"), "lib");
        assert_eq!(merged("library/x"), "library/x");
    }
}
