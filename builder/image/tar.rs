//! Root file systems as tar archives: POSIX.1-2001 (`pax`), numeric owners, nothing that the entries don't say.
//!
//! The same entries give the same bytes, whoever writes them, where and when:
//!
//! ```text
//! ┌──────────────┬─────────────┬──────────────┬──────────────────────┬─────┬────────────────┐
//! │ x  pax header│ its records │ ustar header │ the file's bytes     │  …  │ two zero blocks│
//! └──────────────┴─────────────┴──────────────┴──────────────────────┴─────┴────────────────┘
//!   only where the ustar header can't      verified against the sealed
//!   hold something: see `records`          size and digest on their way
//! ```
//!
//! - Sorted by path, so a directory comes before what it holds, and a file before its other names.
//! - Paths are relative; a directory's ends in `/`; the root is `./`.
//! - Names of user and group are empty: a number means the same on every machine.
//! - Extended attributes are `SCHILY.xattr.NAME` records, which is what GNU tar, libarchive, Go and mke2fs read.
//! - A name that is too long or not ASCII is a `path` or `linkpath` record; so are numbers too large for octal.

mod pax;
mod read;

pub use read::{read_contents, read_listing};

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};

use tar::{Builder, EntryType, Header};

use crate::digest::{Digest, Hashing};
use crate::rootfs::Rootfs;
use crate::rootfs::entry::{Content, Entry, Kind};

/// The ustar header's room for a name.
const NAME_BYTES: usize = 100;

/// Largest numbers that the ustar header can say in octal: seven digits for owners, eleven for size and time.
const OWNER_MAX: u32 = 0o777_7777;
const NUMBER_MAX: u64 = 0o777_7777_7777;

/// Writes what `rootfs` holds at `paths`, in the order of the paths.
///
/// # Errors
/// Whatever writing gives; a path that `rootfs` lacks; a hard link whose target is not among `paths`; a file whose bytes
/// are not the sealed ones any more. The message names the path.
pub fn write<'a>(rootfs: &Rootfs, paths: impl IntoIterator<Item = &'a str>, out: impl Write) -> io::Result<()> {
    let paths: BTreeSet<&str> = paths.into_iter().collect();
    let mut archive = Builder::new(out);
    for &path in &paths {
        let about = |error: io::Error| io::Error::new(error.kind(), format!("cannot archive `{path}`: {error}"));
        let entry =
            rootfs.entries().get(path).ok_or_else(|| about(invalid("the root file system has no such path")))?;
        let inode = match &entry.kind {
            Kind::Hardlink(target) if paths.contains(target.as_str()) && target.as_str() < path => {
                rootfs.entries().get(target).unwrap_or(entry)
            }
            Kind::Hardlink(target) => {
                let what = format!("it is another name of `{target}`, which is not archived before it");
                return Err(about(invalid(what)));
            }
            _ => entry,
        };
        append(&mut archive, path, &entry.kind, inode).map_err(about)?;
    }
    archive.finish()
}

/// One entry: its name and kind, with the metadata and, if it is a file, the bytes of `inode`.
fn append(archive: &mut Builder<impl Write>, path: &str, kind: &Kind, inode: &Entry) -> io::Result<()> {
    let (name, link) = (name_of(path, kind), link_of(kind));
    if name.contains('\0') || link.contains('\0') {
        return Err(invalid("a name with a NUL byte can't be archived"));
    }
    let mut records = pax::Records::default();
    let mut header = Header::new_ustar();
    header.set_entry_type(type_of(kind));
    header.set_mode(inode.mode & 0o7777);

    for (key, id) in [("uid", inode.uid), ("gid", inode.gid)] {
        if id > OWNER_MAX {
            records.add(key, id.to_string().as_bytes())?;
        }
    }
    header.set_uid(inode.uid.into());
    header.set_gid(inode.gid.into());

    if let Some(ustar) = header.as_ustar_mut() {
        for (key, text, field) in [("path", &*name, &mut ustar.name), ("linkpath", link, &mut ustar.linkname)] {
            if text.len() > NAME_BYTES || !text.is_ascii() {
                records.add(key, text.as_bytes())?;
            }
            let short = text.bytes().map(|byte| if byte.is_ascii() { byte } else { b'_' });
            field.iter_mut().zip(short).for_each(|(to, byte)| *to = byte);
        }
    }

    let mtime = u64::try_from(inode.mtime).ok().filter(|&seconds| seconds <= NUMBER_MAX);
    if mtime.is_none() {
        records.add("mtime", inode.mtime.to_string().as_bytes())?;
    }
    header.set_mtime(mtime.unwrap_or(0));

    let content = match kind {
        Kind::File { size, digest, content } => Some((*size, *digest, content)),
        _ => None,
    };
    let size = content.map_or(0, |(size, ..)| size);
    if size > NUMBER_MAX {
        records.add("size", size.to_string().as_bytes())?;
    }
    header.set_size(size);
    header.set_cksum();

    if !matches!(kind, Kind::Hardlink(_)) {
        for (name, value) in &inode.xattrs {
            records.add(&format!("{}{name}", pax::XATTR), value)?;
        }
    }
    if let Some((header, records)) = records.entry() {
        archive.append(&header, records.as_slice())?;
    }
    match content {
        Some((size, digest, content)) => archive.append(&header, Sealed::open(content, size, digest)?),
        None => archive.append(&header, io::empty()),
    }
}

fn name_of(path: &str, kind: &Kind) -> String {
    match kind {
        Kind::Directory if path.is_empty() => "./".to_owned(),
        Kind::Directory => format!("{path}/"),
        _ => path.to_owned(),
    }
}

fn link_of(kind: &Kind) -> &str {
    match kind {
        Kind::Symlink(target) | Kind::Hardlink(target) => target,
        _ => "",
    }
}

fn type_of(kind: &Kind) -> EntryType {
    match kind {
        Kind::Directory => EntryType::Directory,
        Kind::File { .. } => EntryType::Regular,
        Kind::Symlink(_) => EntryType::Symlink,
        Kind::Hardlink(_) => EntryType::Link,
        Kind::Fifo => EntryType::Fifo,
    }
}

/// The bytes of a file, which fail to end if they are not those that were sealed.
struct Sealed<'a> {
    bytes: Box<dyn Read + 'a>,
    read: Option<Hashing<io::Sink>>,
    size: u64,
    digest: Digest,
}

impl<'a> Sealed<'a> {
    fn open(content: &'a Content, size: u64, digest: Digest) -> io::Result<Self> {
        let bytes: Box<dyn Read + 'a> = match content {
            Content::OnDisk(path) => Box::new(File::open(path)?.take(size.saturating_add(1))),
            Content::Bytes(bytes) => Box::new(&**bytes),
        };
        Ok(Self { bytes, read: Some(Hashing::new(io::sink())), size, digest })
    }
}

impl Read for Sealed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.bytes.read(buffer)?;
        if count > 0 {
            if let Some(hashing) = &mut self.read {
                hashing.write_all(&buffer[..count])?;
            }
        } else if let Some(hashing) = self.read.take() {
            let (_, digest, size) = hashing.finish();
            if (size, digest) != (self.size, self.digest) {
                let what = "its bytes have changed since the root file system was sealed; build it again";
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
        }
        Ok(count)
    }
}

fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::example;
    use crate::rootfs::listing::Listing;

    fn archive(rootfs: &Rootfs) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(rootfs, rootfs.entries().keys().map(String::as_str), &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn every_kind_of_entry_reads_back_as_it_was() {
        let rootfs = example::rootfs();
        assert_eq!(read_listing(archive(&rootfs).as_slice()).unwrap().to_string(), Listing::of(&rootfs).to_string());
    }

    #[test]
    fn the_bytes_are_the_same_in_whatever_order_the_paths_come() {
        let rootfs = example::rootfs();
        let mut backwards = Vec::new();
        write(&rootfs, rootfs.entries().keys().rev().map(String::as_str), &mut backwards).unwrap();
        assert!(backwards == archive(&rootfs));
    }

    #[test]
    fn the_bytes_are_those_of_the_golden() {
        let golden = "sha256:f93961a6cccd36560d156693e1dd409023e22e40b4743068c9f5b0f1e1cba7c6";
        assert_eq!(Digest::of(&archive(&example::rootfs())).to_string(), golden);
    }

    #[test]
    fn a_file_that_changed_since_it_was_sealed_is_refused_by_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("motd");
        for changed in ["Hallo", "hell", "hello!"] {
            std::fs::write(&path, changed).unwrap();
            let rootfs = example::with_file("etc/motd", b"hello", Content::OnDisk(path.clone()));
            let error = write(&rootfs, ["etc/motd"], io::sink()).unwrap_err();
            assert_eq!(
                error.to_string(),
                "cannot archive `etc/motd`: its bytes have changed since the root file system was sealed; build it again"
            );
        }
        std::fs::write(&path, "hello").unwrap();
        write(&example::with_file("etc/motd", b"hello", Content::OnDisk(path)), ["etc/motd"], io::sink()).unwrap();
    }

    #[test]
    fn a_hard_link_without_its_target_is_refused() {
        let error = write(&example::rootfs(), ["usr/bin/perl5.40.1"], io::sink()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot archive `usr/bin/perl5.40.1`: it is another name of `usr/bin/perl`, which is not archived before it"
        );
        let error = write(&example::rootfs(), ["no/such"], io::sink()).unwrap_err();
        assert_eq!(error.to_string(), "cannot archive `no/such`: the root file system has no such path");
    }

    /// A file of nine gibibytes, of which only the header is read.
    #[test]
    fn a_size_beyond_eight_gibibytes_is_said_twice() {
        let mut rootfs = example::with_file("big", b"", Content::Bytes(b"".as_slice().into())).entries().clone();
        let Some(Entry { kind: Kind::File { size, .. }, .. }) = rootfs.get_mut("big") else { panic!() };
        *size = 9 << 30;
        let mut bytes = Vec::new();
        let _ = write(&Rootfs::new(rootfs, crate::epoch::Epoch(1)), ["big"], &mut bytes);
        let mut archive = tar::Archive::new(bytes.as_slice());
        assert_eq!(archive.entries().unwrap().next().unwrap().unwrap().size(), 9 << 30);
        assert!(bytes.windows(20).any(|record| record == b"19 size=9663676416\n\0"));
    }
}
