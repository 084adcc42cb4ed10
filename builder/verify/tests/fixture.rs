//! A small image, in memory, that every check passes: as little of Debian as they look at, written out.

mod files;
mod services;
mod texts;

use std::collections::BTreeMap;

use crate::digest::Digest;
use crate::epoch::Epoch;
use crate::rootfs::Rootfs;
use crate::rootfs::entry::{Content, Entry, Kind, Origin};
use crate::verify::claims::{Claims, Opening, Whom};
use files::{FILES, LINKS};

/// What is done to the healthy image.
#[derive(Debug)]
pub enum Change {
    /// A file has this text.
    Write(&'static str, &'static str),
    /// A file has this line more.
    Append(&'static str, &'static str),
    /// In a file, the first text becomes the second.
    Swap(&'static str, &'static str, &'static str),
    /// There is nothing here any more.
    Remove(&'static str),
    /// Permissions.
    Mode(&'static str, u32),
    /// Owner and group.
    Owner(&'static str, u32, u32),
    /// A link.
    Link(&'static str, &'static str),
    /// A time.
    Time(&'static str, i64),
    /// A capability.
    Capability(&'static str),
}

/// Everything is from then.
const EPOCH: i64 = 1_757_663_741;

/// What the image claims: the web to the world, sshd to a network and to a peer, in both families; and out of it, names of
/// everybody's, a network's ports, and a store that only the instance knows.
pub fn claims() -> Claims {
    let tcp = |port, to| Opening { udp: false, ports: (port, port), to };
    Claims {
        image: "api".to_owned(),
        open: vec![
            tcp(22, Whom::Network("203.0.113.0/24".parse().unwrap())),
            tcp(80, Whom::World),
            tcp(443, Whom::World),
            tcp(3306, Whom::Peer("app".to_owned())),
        ],
        reaches: Some(vec![
            Opening { udp: true, ports: (53, 53), to: Whom::World },
            tcp(5432, Whom::Peer("store".to_owned())),
            Opening { udp: false, ports: (8000, 8010), to: Whom::Network("203.0.113.0/24".parse().unwrap()) },
        ]),
        exceptions: Vec::new(),
        ..Claims::default()
    }
}

/// The text of a file of the healthy image.
pub fn text(path: &str) -> &'static str {
    FILES.iter().find(|(name, ..)| *name == path).map(|(_, _, text)| *text).unwrap()
}

/// The image, changed.
pub fn healthy(changes: &[Change]) -> Rootfs {
    let mut entries = BTreeMap::new();
    let entry = |kind, mode| Entry {
        kind,
        mode,
        uid: 0,
        gid: 0,
        mtime: EPOCH,
        xattrs: BTreeMap::new(),
        origin: Origin::Generated,
    };
    let mut put = |path: &str, kind: Kind, mode: u32| {
        for (at, _) in path.match_indices('/') {
            entries.entry(path[..at].to_owned()).or_insert_with(|| entry(Kind::Directory, 0o755));
        }
        entries.insert(path.to_owned(), entry(kind, mode));
    };
    put("", Kind::Directory, 0o755);
    for (path, mode, text) in FILES {
        put(path, file(text), *mode);
    }
    for (path, target) in LINKS {
        put(path, Kind::Symlink((*target).to_owned()), 0o777);
    }
    put("tmp", Kind::Directory, 0o1777);
    put("var/tmp", Kind::Directory, 0o1777);
    put("root", Kind::Directory, 0o700);
    put("var/lib/mysql", Kind::Directory, 0o700);
    put("var/lib/mysql-files", Kind::Directory, 0o700);
    for path in ["var/lib/mysql", "var/lib/mysql-files"] {
        let entry = entries.get_mut(path).unwrap();
        (entry.uid, entry.gid) = (907, 907);
    }
    for change in changes {
        apply(&mut entries, change);
    }
    Rootfs::new(entries, Epoch(EPOCH))
}

fn file(text: &str) -> Kind {
    let bytes = text.as_bytes();
    Kind::File { size: bytes.len() as u64, digest: Digest::of(bytes), content: Content::Bytes(bytes.into()) }
}

fn apply(entries: &mut BTreeMap<String, Entry>, change: &Change) {
    let new = |kind| Entry {
        kind,
        mode: 0o644,
        uid: 0,
        gid: 0,
        mtime: EPOCH,
        xattrs: BTreeMap::new(),
        origin: Origin::Generated,
    };
    let old = |entries: &BTreeMap<String, Entry>, path: &str| match &entries[path].kind {
        Kind::File { content: Content::Bytes(bytes), .. } => String::from_utf8(bytes.to_vec()).unwrap(),
        other => panic!("{path} is {other:?}"),
    };
    if let Change::Write(path, _) | Change::Link(path, _) | Change::Mode(path, _) = *change {
        for (at, _) in path.match_indices('/') {
            entries.entry(path[..at].to_owned()).or_insert_with(|| Entry { mode: 0o755, ..new(Kind::Directory) });
        }
    }
    match *change {
        Change::Write(path, text) => match entries.get_mut(path) {
            Some(entry) => entry.kind = file(text),
            None => drop(entries.insert(path.to_owned(), new(file(text)))),
        },
        Change::Append(path, line) => {
            let text = format!("{}{line}\n", old(entries, path));
            entries.get_mut(path).unwrap().kind = file(&text);
        }
        Change::Swap(path, from, to) => {
            let text = old(entries, path);
            assert!(text.contains(from), "{path} has no {from:?}: the mutant would be no mutant");
            entries.get_mut(path).unwrap().kind = file(&text.replace(from, to));
        }
        Change::Remove(path) => assert!(entries.remove(path).is_some(), "there is no {path}"),
        Change::Mode(path, mode) => match entries.get_mut(path) {
            Some(entry) => entry.mode = mode,
            None => drop(entries.insert(path.to_owned(), Entry { mode, ..new(file("x")) })),
        },
        Change::Owner(path, uid, gid) => {
            let entry = entries.get_mut(path).unwrap();
            (entry.uid, entry.gid) = (uid, gid);
        }
        Change::Link(path, target) => drop(entries.insert(path.to_owned(), new(Kind::Symlink(target.to_owned())))),
        Change::Time(path, seconds) => entries.get_mut(path).unwrap().mtime = seconds,
        Change::Capability(path) => {
            entries.get_mut(path).unwrap().xattrs.insert("security.capability".to_owned(), vec![1, 0, 0, 2]);
        }
    }
}
