//! What makes a root file system the same everywhere, and nobody's in particular.
//!
//! One table: what is removed, emptied or put in order, and why. After it every time is at most the epoch of the lock.
//! Directories, and what maintainer scripts made, all have one constant time: one that moved with the lock would change every
//! layer of an image with every patch, since each holds the directories that its files are in, and 8 MB of Python's bytecode
//! and of CA certificates would be pulled again although no byte of them is another. Files that people write, and browsers
//! cache, have the epoch, and dpkg's state too, which is another one each time. Sources: systemd's «Building Images Safely», virt-sysprep(1), debuerreotype's
//! and mmdebstrap's lists, and what two builds of one lock were seen to differ in.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use super::Rootfs;
use super::entry::{Content, Entry, Kind, Origin};
use crate::digest::Digest;
use crate::epoch::Epoch;

/// What happens to a path.
#[derive(Clone, Copy)]
enum Action {
    /// It goes, with what is below it.
    Remove,
    /// What is below it goes, if it is a file of any kind; directories stay.
    RemoveFilesBelow,
    /// It stays, with nothing in it.
    Empty,
    /// Its lines are sorted: they stand in the order in which packages were configured, and that is nobody's concern.
    SortLines,
}

use Action::{Empty, Remove, RemoveFilesBelow, SortLines};

/// The table. `*` stands for a part of one name.
const SEAL: &[(&str, Action, &str)] = &[
    // Identity: made on the machine, at its first boot, or it would be everybody's.
    ("etc/machine-id", Empty, "an empty one is filled at boot, without running presets again (machine-id(5))"),
    ("var/lib/dbus/machine-id", Remove, "a second machine-id"),
    ("etc/ssh/ssh_host_*", Remove, "a host key that every instance shares identifies none of them"),
    ("etc/hostname", Remove, "the instance's name comes with its bundle"),
    ("etc/ssl/private/ssl-cert-snakeoil.key", Remove, "a private key that every instance shares is public"),
    ("etc/ssl/certs/ssl-cert-snakeoil.pem", Remove, "the certificate of that key"),
    ("var/lib/systemd/random-seed", Remove, "a seed that every instance shares is none"),
    ("var/lib/systemd/credential.secret", Remove, "seals credentials of one machine"),
    (
        "var/lib/mysql",
        RemoveFilesBelow,
        "the data directory is made at first boot: it holds ids, times, and a root account",
    ),
    // Logs and leftovers of the build.
    ("var/log", RemoveFilesBelow, "what happened while building is no event of the instance"),
    ("run", RemoveFilesBelow, "in memory on a running system"),
    ("tmp", RemoveFilesBelow, "in memory on a running system"),
    ("var/tmp", RemoveFilesBelow, "leftovers"),
    ("root/.bash_history", Remove, "what the builder typed"),
    ("root/.cache", Remove, "what the builder's tools remember"),
    ("root/.wget-hsts", Remove, "where the builder was"),
    ("dev", RemoveFilesBelow, "devtmpfs on a running system"),
    // Back-ups of files that stand beside them.
    ("etc/passwd-", Remove, "the accounts as they were in the middle of the build"),
    ("etc/group-", Remove, "the same"),
    ("etc/shadow-", Remove, "the same"),
    ("etc/gshadow-", Remove, "the same"),
    ("etc/subuid-", Remove, "the same"),
    ("etc/subgid-", Remove, "the same"),
    ("etc/.pwd.lock", Remove, "a lock of the build"),
    ("etc/.resolv.conf.systemd-resolved.bak", Remove, "the resolver of the build"),
    ("var/lib/dpkg/*-old", Remove, "dpkg's database as it was one step before"),
    ("var/lib/ucf/*.[0-9]", Remove, "ucf's database as it was some steps before"),
    ("var/cache/debconf/*-old", Remove, "debconf's database as it was one step before"),
    // Caches that hold times, inode numbers or the state of the archive.
    ("var/cache/ldconfig/aux-cache", Remove, "holds inode numbers and times; only makes ldconfig faster"),
    ("var/cache/apt", RemoveFilesBelow, "indices and packages; rebuilt by apt"),
    ("var/lib/apt/lists", RemoveFilesBelow, "indices; an image is rebuilt, not upgraded"),
    ("var/cache/man", RemoveFilesBelow, "an index that man(1) makes again"),
    ("var/lib/dpkg/available", Empty, "what dselect knows of the archive"),
    ("var/lib/dpkg/lock", Remove, "a lock of the build"),
    ("var/lib/dpkg/lock-frontend", Remove, "a lock of the build"),
    ("var/lib/dpkg/triggers/Lock", Remove, "a lock of the build"),
    // Order in which packages happened to be configured.
    ("var/lib/dpkg/triggers/File", SortLines, "one interest a line"),
    ("var/lib/ucf/hashfile", SortLines, "one file a line"),
    ("var/lib/ucf/registry", SortLines, "one file a line"),
];

/// Seals `entries`: the table, then times.
///
/// # Errors
/// A file whose lines are to be sorted cannot be read.
pub fn seal(mut entries: BTreeMap<String, Entry>, epoch: Epoch) -> io::Result<Rootfs> {
    for (pattern, action, _) in SEAL {
        match action {
            Remove => entries.retain(|path, _| !matches(pattern, path) && !below(pattern, path)),
            RemoveFilesBelow => entries.retain(|path, entry| !below(pattern, path) || entry.kind == Kind::Directory),
            Empty => rewrite(&mut entries, pattern, |_| Ok(Vec::new()))?,
            SortLines => rewrite(&mut entries, pattern, sorted_lines)?,
        }
    }
    for (path, entry) in &mut entries {
        let is_constant = match entry.origin {
            Origin::Overlay(_) | Origin::State => false,
            Origin::Package(_) => entry.mtime > epoch.0 || is_dpkgs_own(path),
            Origin::Generated => true,
        };
        let is_constant = is_constant || entry.kind == Kind::Directory;
        entry.mtime = if is_constant { CONSTANT } else { epoch.clamp(entry.mtime) };
    }
    Ok(Rootfs::new(entries, epoch))
}

/// 2000-01-01 00:00:00 UTC: representable in every file system and archive format.
const CONSTANT: i64 = 946_684_800;

/// Whether it is what dpkg writes of a package when that is unpacked, some of it now and some with the package's times.
fn is_dpkgs_own(path: &str) -> bool {
    path.starts_with("var/lib/dpkg/info/")
}

/// Each line of the table as (path, why), for people.
pub fn reasons() -> impl Iterator<Item = (&'static str, &'static str)> {
    SEAL.iter().map(|(pattern, _, why)| (*pattern, *why))
}

fn rewrite(
    entries: &mut BTreeMap<String, Entry>,
    pattern: &str,
    change: impl Fn(&Content) -> io::Result<Vec<u8>>,
) -> io::Result<()> {
    for (path, entry) in entries.iter_mut().filter(|(path, _)| matches(pattern, path)) {
        if let Kind::File { size, digest, content } = &mut entry.kind {
            let bytes = change(content).map_err(|cause| io::Error::new(cause.kind(), format!("{path}: {cause}")))?;
            (*size, *digest) = (bytes.len() as u64, Digest::of(&bytes));
            *content = Content::Bytes(Arc::from(bytes));
        }
    }
    Ok(())
}

fn sorted_lines(content: &Content) -> io::Result<Vec<u8>> {
    let bytes = match content {
        Content::OnDisk(path) => std::fs::read(path)?,
        Content::Bytes(bytes) => bytes.to_vec(),
    };
    let mut lines: Vec<&[u8]> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
    lines.sort_unstable();
    Ok(lines.concat())
}

fn below(directory: &str, path: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

/// Whether `path` is what `pattern` means: `*` any characters of one name, `[0-9]` a digit.
fn matches(pattern: &str, path: &str) -> bool {
    match pattern.find(['*', '[']) {
        None => pattern == path,
        Some(at) => {
            let Some(rest) = path.strip_prefix(&pattern[..at]) else { return false };
            match pattern[at..].strip_prefix("[0-9]") {
                Some(pattern) => rest.starts_with(|c: char| c.is_ascii_digit()) && matches(pattern, &rest[1..]),
                None => {
                    let name = rest.find('/').unwrap_or(rest.len());
                    let ends = (0..=name).filter(|end| rest.is_char_boundary(*end));
                    ends.rev().any(|end| matches(&pattern[at + 1..], &rest[end..]))
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str, mtime: i64) -> Entry {
        let content = Content::Bytes(Arc::from(text.as_bytes()));
        let kind = Kind::File { size: text.len() as u64, digest: Digest::of(text.as_bytes()), content };
        Entry { kind, mode: 0o644, uid: 0, gid: 0, mtime, xattrs: BTreeMap::new(), origin: Origin::Generated }
    }

    fn sealed(files: &[(&str, &str)]) -> Rootfs {
        let mut entries: BTreeMap<_, _> =
            files.iter().map(|(path, text)| ((*path).to_owned(), file(text, 2_000))).collect();
        entries.insert("var/log".to_owned(), Entry { kind: Kind::Directory, ..file("", 5) });
        seal(entries, Epoch(1_000)).unwrap()
    }

    #[test]
    fn what_identifies_a_machine_goes() {
        let rootfs =
            sealed(&[("etc/ssh/ssh_host_rsa_key.pub", "k"), ("etc/ssh/sshd_config", "c"), ("etc/machine-id", "x")]);
        assert!(!rootfs.entries().contains_key("etc/ssh/ssh_host_rsa_key.pub"));
        assert!(rootfs.entries().contains_key("etc/ssh/sshd_config"));
        assert!(matches!(rootfs.entries()["etc/machine-id"].kind, Kind::File { size: 0, .. }));
    }

    #[test]
    fn files_below_a_directory_go_and_the_directory_stays_with_a_time_that_never_moves() {
        let rootfs = sealed(&[("var/log/dpkg.log", "x"), ("var/logs", "y")]);
        assert_eq!(rootfs.entries().keys().collect::<Vec<_>>(), ["var/log", "var/logs"]);
        assert_eq!(rootfs.entries()["var/log"].mtime, CONSTANT);
    }

    #[test]
    fn only_what_overlays_bring_has_a_time_that_moves_with_the_lock() {
        let entry = |mtime, origin| Entry { origin, ..file("x", mtime) };
        let entries = BTreeMap::from([
            ("etc/ld.so.cache".to_owned(), entry(2_000, Origin::Generated)),
            ("etc/copied".to_owned(), entry(400, Origin::Generated)),
            ("usr/bin/x".to_owned(), entry(500, Origin::Package("x".into()))),
            ("etc/edited".to_owned(), entry(2_000, Origin::Package("x".into()))),
            ("var/lib/dpkg/info/x.md5sums".to_owned(), entry(500, Origin::Package("x".into()))),
            ("var/lib/dpkg/status".to_owned(), entry(2_000, Origin::State)),
            ("var/www/index.html".to_owned(), entry(2_000, Origin::Overlay("api".into()))),
        ]);
        let rootfs = seal(entries, Epoch(1_000)).unwrap();
        let times: Vec<i64> = rootfs.entries().values().map(|entry| entry.mtime).collect();
        // By path: copied, edited, ld.so.cache, usr/bin/x, dpkg's of x, dpkg's own, the overlay's.
        assert_eq!(times, [CONSTANT, CONSTANT, CONSTANT, 500, CONSTANT, 1_000, 1_000]);
    }

    #[test]
    fn lines_that_stand_in_no_order_are_sorted() {
        let rootfs = sealed(&[("var/lib/ucf/registry", "b\na\n"), ("var/lib/ucf/registry.3", "old")]);
        let mut text = String::new();
        io::Read::read_to_string(&mut rootfs.open("var/lib/ucf/registry").unwrap(), &mut text).unwrap();
        assert_eq!(text, "a\nb\n");
        assert!(!rootfs.entries().contains_key("var/lib/ucf/registry.3"));
    }

    #[test]
    fn a_star_stays_within_a_name() {
        assert!(matches("a/*-old", "a/x-old"));
        assert!(!matches("a/*-old", "a/b/x-old"));
        assert!(matches("u/*.[0-9]", "u/registry.0"));
        assert!(!matches("u/*.[0-9]", "u/registry"));
    }
}
