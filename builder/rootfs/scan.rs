//! From a tree on disk to entries: every path, what it is, its bytes' digest, and who brought it.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::entry::{Content, Entry, Kind, Origin};
use super::inside::Inside;
use super::unpack::merged;
use crate::digest::Digest;

/// A path of the tree could not be read, or has no place in an image.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the tree: {path}: {cause}")]
pub struct ScanError {
    /// Below the root.
    pub path: String,
    /// What the system said.
    pub cause: io::Error,
}

/// Where dpkg, apt, debconf and ucf remember what they did: changes with every package, so it has a layer of its own.
const STATE: [&str; 6] = [
    "var/lib/dpkg/",
    "var/lib/apt/",
    "var/cache/debconf/",
    "var/lib/ucf/",
    "var/lib/systemd/deb-systemd-",
    "var/lib/pam/",
];

/// Reads everything below `root`, hashing on `jobs` threads.
///
/// # Errors
/// Names the path: unreadable, not UTF-8, or a device or socket.
pub fn scan(root: &Path, jobs: usize) -> Result<BTreeMap<String, Entry>, ScanError> {
    let mut entries = walk(root)?;
    hash(&mut entries, jobs)?;
    Ok(entries)
}

/// As [`scan`], but reads no file: the digests are all zeros, for the caller to fill in.
///
/// # Errors
/// As [`scan`].
pub fn walk(root: &Path) -> Result<BTreeMap<String, Entry>, ScanError> {
    let owners = Owners::read(root)?;
    let mut walk = Walk { root, owners, entries: BTreeMap::new(), links: HashMap::new() };
    walk.directory("")?;
    put_first(&mut walk.entries);
    Ok(walk.entries)
}

/// What dpkg knows of each package (its list of files, its scripts) is below this, as NAME.list or NAME:ARCH.list. It changes
/// when its package does, and only then, so it goes with that.
const INFO: &str = "var/lib/dpkg/info/";

/// Which source package brought a path, from dpkg's lists.
struct Owners {
    paths: HashMap<String, Arc<str>>,
    /// By the stem of a package's files below [`INFO`].
    stems: HashMap<String, Arc<str>>,
}

impl Owners {
    fn read(root: &Path) -> Result<Self, ScanError> {
        let inside = Inside::open(root).map_err(error(""))?;
        let status = inside.text("var/lib/dpkg/status").map_err(error("var/lib/dpkg/status"))?;
        let (mut paths, mut stems) = (HashMap::new(), HashMap::new());
        for paragraph in crate::debian::deb822::paragraphs(&status) {
            let wrong =
                |problem: String| error("var/lib/dpkg/status")(io::Error::new(io::ErrorKind::InvalidData, problem));
            let table = paragraph.table().map_err(|problem| wrong(problem.to_string()))?;
            let name = table.get("Package").unwrap_or_default();
            let source = table.get("Source").and_then(|source| source.split_whitespace().next()).unwrap_or(name);
            let source: Arc<str> = source.into();
            let architecture = table.get("Architecture").unwrap_or_default();
            let side_by_side = table.get("Multi-Arch") == Some("same");
            let stem = if side_by_side { format!("{name}:{architecture}") } else { name.to_owned() };
            let Ok(list) = inside.text(&format!("var/lib/dpkg/info/{stem}.list")) else { continue };
            for path in list.lines() {
                paths.entry(merged(path.trim_start_matches('/'))).or_insert_with(|| source.clone());
            }
            stems.insert(stem, source);
        }
        Ok(Self { paths, stems })
    }

    fn origin(&self, path: &str) -> Origin {
        let stem = path.strip_prefix(INFO).and_then(|name| Some(name.rsplit_once('.')?.0));
        if let Some(source) = stem.and_then(|stem| self.stems.get(stem)) {
            return Origin::Package(source.clone());
        }
        if STATE.iter().any(|state| path.starts_with(state)) {
            return Origin::State;
        }
        self.paths.get(path).map_or(Origin::Generated, |source| Origin::Package(source.clone()))
    }
}

struct Walk<'t> {
    root: &'t Path,
    owners: Owners,
    entries: BTreeMap<String, Entry>,
    /// First path of each inode that has several names.
    links: HashMap<u64, String>,
}

impl Walk<'_> {
    fn directory(&mut self, path: &str) -> Result<(), ScanError> {
        let full = self.root.join(path);
        let metadata = fs::symlink_metadata(&full).map_err(error(path))?;
        self.add(path, &metadata, Kind::Directory)?;
        let mut names = Vec::new();
        for entry in fs::read_dir(&full).map_err(error(path))? {
            let name = entry.map_err(error(path))?.file_name();
            names.push(name.into_string().map_err(|_| {
                error(path)(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a name in it is not UTF-8, and an image needs that",
                ))
            })?);
        }
        names.sort_unstable();
        for name in names {
            let path = if path.is_empty() { name } else { format!("{path}/{name}") };
            self.path(path)?;
        }
        Ok(())
    }

    fn path(&mut self, path: String) -> Result<(), ScanError> {
        let full = self.root.join(&path);
        let metadata = fs::symlink_metadata(&full).map_err(error(&path))?;
        let file_type = metadata.file_type();
        if file_type.is_dir() {
            return self.directory(&path);
        }
        let kind = if file_type.is_symlink() {
            let target = fs::read_link(&full).map_err(error(&path))?;
            Kind::Symlink(target.to_string_lossy().into_owned())
        } else if file_type.is_file() {
            // Depth first is not the order of whole paths (`a-b` stands before `a/b`): `put_first` mends that at the end.
            match self.links.get(&metadata.ino()) {
                Some(first) if metadata.nlink() > 1 => Kind::Hardlink(first.clone()),
                _ => {
                    if metadata.nlink() > 1 {
                        self.links.insert(metadata.ino(), path.clone());
                    }
                    let content = Content::OnDisk(full);
                    Kind::File { size: metadata.len(), digest: Digest::from_bytes([0; 32]), content }
                }
            }
        } else if std::os::unix::fs::FileTypeExt::is_fifo(&file_type) {
            Kind::Fifo
        } else {
            let what = "it is a device or a socket, and an image has no place for it";
            return Err(error(&path)(io::Error::new(io::ErrorKind::InvalidData, what)));
        };
        self.add(&path, &metadata, kind)
    }

    fn add(&mut self, path: &str, metadata: &fs::Metadata, kind: Kind) -> Result<(), ScanError> {
        let xattrs = match kind {
            Kind::File { .. } | Kind::Directory => xattrs(&self.root.join(path)).map_err(error(path))?,
            _ => BTreeMap::new(),
        };
        let mode = if matches!(kind, Kind::Symlink(_)) { 0o777 } else { metadata.mode() & 0o7777 };
        let (uid, gid, mtime) = (metadata.uid(), metadata.gid(), metadata.mtime());
        let origin = self.owners.origin(path);
        self.entries.insert(path.to_owned(), Entry { kind, mode, uid, gid, mtime, xattrs, origin });
        Ok(())
    }
}

/// Of the names of one file, the first in the order of paths is the file and the others are its hard links.
fn put_first(entries: &mut BTreeMap<String, Entry>) {
    let links: Vec<(String, String)> = entries
        .iter()
        .filter_map(|(path, entry)| match &entry.kind {
            Kind::Hardlink(target) if target > path => Some((path.clone(), target.clone())),
            _ => None,
        })
        .collect();
    let mut moved: BTreeMap<String, String> = BTreeMap::new();
    for (path, target) in links {
        // The first such link in the order of paths takes the place of its target, and the rest follow.
        if moved.contains_key(&target) {
            continue;
        }
        if let Some(file) = entries.get(&target).map(|entry| entry.kind.clone()) {
            if let Some(entry) = entries.get_mut(&path) {
                entry.kind = file;
            }
            moved.insert(target, path);
        }
    }
    for (target, first) in moved {
        for (path, entry) in entries.iter_mut() {
            let was_link = matches!(&entry.kind, Kind::Hardlink(to) if *to == target);
            if was_link || *path == target {
                entry.kind = Kind::Hardlink(first.clone());
            }
        }
    }
}

/// Extended attributes that a root file system carries: not those that only this machine's kernel understands.
fn xattrs(path: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut names = vec![0; 4096];
    let length = match rustix::fs::llistxattr(path, &mut names) {
        Ok(0) | Err(rustix::io::Errno::NOTSUP) => return Ok(BTreeMap::new()),
        other => other?,
    };
    let mut found = BTreeMap::new();
    for name in names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        let name = String::from_utf8_lossy(name).into_owned();
        if name.starts_with("security.selinux") || name.starts_with("trusted.") || name.starts_with("user.overlay.") {
            continue;
        }
        let mut value = vec![0; 64 << 10];
        let length = rustix::fs::lgetxattr(path, name.as_str(), &mut value)?;
        value.truncate(length);
        found.insert(name, value);
    }
    Ok(found)
}

/// Fills in the digests of all files, on `jobs` threads.
fn hash(entries: &mut BTreeMap<String, Entry>, jobs: usize) -> Result<(), ScanError> {
    let files: Vec<(&String, PathBuf)> = entries
        .iter()
        .filter_map(|(path, entry)| match &entry.kind {
            Kind::File { content: Content::OnDisk(full), .. } => Some((path, full.clone())),
            _ => None,
        })
        .collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        while let Some((path, full)) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let digest = File::open(full).and_then(Digest::of_reader).map_err(error(path))?.0;
            done.push(((*path).clone(), digest));
        }
        Ok(done)
    };
    let done = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..jobs.max(1)).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect::<Result<Vec<_>, ScanError>>()
    })?;
    for (path, found) in done.into_iter().flatten() {
        if let Some(Entry { kind: Kind::File { digest, .. }, .. }) = entries.get_mut(&path) {
            *digest = found;
        }
    }
    Ok(())
}

fn error(path: &str) -> impl Fn(io::Error) -> ScanError {
    move |cause| ScanError { path: path.to_owned(), cause }
}
