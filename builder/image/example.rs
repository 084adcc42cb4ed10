//! A small root file system that has one of everything, for the tests of this folder.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::digest::Digest;
use crate::epoch::Epoch;
use crate::rootfs::Rootfs;
use crate::rootfs::entry::{Content, Entry, Kind, Origin};

pub const EPOCH: Epoch = Epoch(1_757_663_741);

pub fn package(source: &str) -> Origin {
    Origin::Package(source.into())
}

pub fn entry(kind: Kind, origin: Origin) -> Entry {
    let mode = match kind {
        Kind::Directory => 0o755,
        Kind::Symlink(_) => 0o777,
        _ => 0o644,
    };
    Entry { kind, mode, uid: 0, gid: 0, mtime: EPOCH.0, xattrs: BTreeMap::new(), origin }
}

pub fn file(bytes: impl Into<Arc<[u8]>>, origin: Origin) -> Entry {
    let bytes = bytes.into();
    entry(Kind::File { size: bytes.len() as u64, digest: Digest::of(&bytes), content: Content::Bytes(bytes) }, origin)
}

pub fn directory(source: &str) -> Entry {
    entry(Kind::Directory, package(source))
}

fn link(target: &str, source: &str) -> Entry {
    entry(Kind::Symlink(target.to_owned()), package(source))
}

/// Every kind of entry, and every name that a format could stumble over.
pub fn rootfs() -> Rootfs {
    let capability = vec![1, 0, 0, 2, 0, 0x20, b'\n', b'=', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let perl = file(*b"#!perl", package("perl"));
    let mut entries = BTreeMap::from(
        [
            ("", directory("base-files")),
            ("bin", link("usr/bin", "base-files")),
            ("etc", directory("base-files")),
            ("etc/a file with spaces", file(*b"1", package("odd"))),
            ("etc/fail2ban.local", file(*b"[sshd]\n", Origin::Overlay("base".into()))),
            ("etc/machine-id", file(*b"", Origin::Generated)),
            ("etc/new\nline", file(*b"2", package("odd"))),
            ("etc/shadow", Entry { mode: 0o640, gid: 42, ..file(*b"root:*:\n", Origin::Generated) }),
            ("root", Entry { mode: 0o700, ..directory("base-files") }),
            ("run", directory("base-files")),
            ("run/initctl", Entry { mode: 0o600, ..entry(Kind::Fifo, package("odd")) }),
            ("tmp", Entry { mode: 0o1777, ..directory("base-files") }),
            ("usr", directory("base-files")),
            ("usr/bin", directory("base-files")),
            ("usr/bin/perl", perl.clone()),
            ("usr/bin/perl5.40.1", Entry { kind: Kind::Hardlink("usr/bin/perl".to_owned()), ..perl }),
            (
                "usr/bin/ping",
                Entry {
                    mode: 0o755,
                    xattrs: BTreeMap::from([("security.capability".to_owned(), capability)]),
                    ..file(*b"ELF", package("iputils"))
                },
            ),
            ("usr/bin/su", Entry { mode: 0o4755, mtime: 1, ..file([7; 100_000], package("util-linux")) }),
            ("usr/share", directory("base-files")),
            ("usr/share/Főtanúsítvány.crt", file(*b"PEM", package("ca-certificates"))),
            ("usr/share/empty", Entry { uid: 3_000_000, gid: 4_000_000_000, ..directory("odd") }),
            ("var", directory("base-files")),
            ("var/lib", directory("base-files")),
            ("var/lib/dpkg", directory("dpkg")),
            ("var/lib/dpkg/status", file(*b"Package: perl\n", Origin::State)),
            ("var/before-1970", Entry { mtime: -1, ..file(*b"old", package("odd")) }),
        ]
        .map(|(path, entry)| (path.to_owned(), entry)),
    );
    let long = "long-name-".repeat(20);
    entries.insert(format!("usr/share/{long}"), file(*b"long", package("odd")));
    entries.insert("usr/share/link".to_owned(), link(&long, "odd"));
    // One hundred bytes fit the header, one hundred and one don't.
    entries.insert(format!("usr/share/{}", "x".repeat(90)), file(*b"100", package("odd")));
    entries.insert(format!("usr/share/{}", "y".repeat(91)), file(*b"101", package("odd")));
    Rootfs::new(entries, EPOCH)
}

/// The same, with one more file of these bytes, said to be found there.
pub fn with_file(path: &str, bytes: &[u8], content: Content) -> Rootfs {
    let mut entries = rootfs().entries().clone();
    let kind = Kind::File { size: bytes.len() as u64, digest: Digest::of(bytes), content };
    entries.insert(path.to_owned(), entry(kind, package("odd")));
    Rootfs::new(entries, EPOCH)
}
