//! A tar archive as a [`Listing`]: what a root file system would hold after it, without its bytes.
//!
//! Reads what Goldsmith, GNU tar, bsdtar and mmdebstrap write: ustar, pax records, GNU long names. Which of several names
//! of one inode an archive gives the bytes to is chance; here it is the first in the order of the paths, as in a
//! [`Rootfs`](crate::rootfs::Rootfs).

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;

use tar::{Archive, EntryType, Header};

use super::pax;
use crate::digest::Digest;
use crate::rootfs::listing::{Line, Listing, Node};

/// Reads `archive` to its end. Where a path comes twice, the later one counts, as when unpacking.
///
/// # Errors
/// Whatever reading gives; an archive that is malformed or truncated; names that are not UTF-8 or lead upwards; hard
/// links to nowhere; types of entries that no root file system has. The message names the path.
pub fn read_listing(archive: impl Read) -> io::Result<Listing> {
    read(archive, &mut |_, content| Digest::of_reader(content))
}

/// As [`read_listing`], and adds the bytes of every file to `contents`, by what they are.
///
/// # Errors
/// As [`read_listing`].
pub fn read_contents(archive: impl Read, contents: &mut BTreeMap<Digest, Arc<[u8]>>) -> io::Result<Listing> {
    read(archive, &mut |size, content| {
        // The header's word is no reason to ask for more memory than there are bytes.
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0).min(LARGE));
        content.read_to_end(&mut bytes)?;
        let digest = Digest::of(&bytes);
        let size = bytes.len() as u64;
        contents.entry(digest).or_insert_with(|| bytes.into());
        Ok((digest, size))
    })
}

/// How many bytes are reserved at once for a file that is read.
const LARGE: usize = 16 << 20;

/// What is done with the bytes of a file, of which the header says how many there are: their digest and their number.
type Take<'a> = dyn FnMut(u64, &mut dyn Read) -> io::Result<(Digest, u64)> + 'a;

fn read(archive: impl Read, take: &mut Take<'_>) -> io::Result<Listing> {
    let mut inodes: Vec<Line> = Vec::new();
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut extension = Extension::default();
    let mut archive = Archive::new(archive);
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry?;
        let header = entry.header().clone();
        match header.entry_type() {
            EntryType::XHeader => extension.records(&bytes_of(&mut entry)?)?,
            EntryType::XGlobalHeader => {} // only ever a comment
            EntryType::GNULongName => extension.path = Some(text_of(&mut entry)?),
            EntryType::GNULongLink => extension.link = Some(text_of(&mut entry)?),
            EntryType::Link => {
                let Extension { path, link, .. } = std::mem::take(&mut extension);
                let path = place(path.unwrap_or_else(|| header.path_bytes().into_owned()))?;
                let target = place(link.or_else(|| link_of(&header)).unwrap_or_default())?;
                let what = || invalid(format!("`{path}` is another name of `{target}`, which does not come before it"));
                let inode = *names.get(&target).ok_or_else(what)?;
                names.insert(path, inode);
            }
            _ => {
                let (path, line) = std::mem::take(&mut extension).line(
                    &header,
                    &mut |content| take(header.size().unwrap_or(0), content),
                    &mut entry,
                )?;
                names.insert(path, inodes.len());
                inodes.push(line);
            }
        }
    }
    let mut first: BTreeMap<usize, String> = BTreeMap::new();
    let mut lines = BTreeMap::new();
    for (path, inode) in names {
        let mut line = inodes[inode].clone();
        match (&line.node, first.get(&inode)) {
            (Node::File { .. }, Some(target)) => line.node = Node::Hardlink(target.clone()),
            _ => drop(first.insert(inode, path.clone())),
        }
        lines.insert(path, line);
    }
    Ok(Listing::new(lines))
}

/// Reads the bytes of one file to their end.
type Hash<'a> = dyn FnMut(&mut dyn Read) -> io::Result<(Digest, u64)> + 'a;

/// What the entries before an entry say about it.
#[derive(Default)]
struct Extension {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    uid: Option<u32>,
    gid: Option<u32>,
    mtime: Option<i64>,
    size: Option<u64>,
    xattrs: BTreeMap<String, Vec<u8>>,
}

impl Extension {
    fn records(&mut self, bytes: &[u8]) -> io::Result<()> {
        for (key, value) in pax::parse(bytes)? {
            let key = text(key.to_vec())?;
            match key.as_str() {
                "path" => self.path = Some(value.to_vec()),
                "linkpath" => self.link = Some(value.to_vec()),
                "uid" => self.uid = Some(number(&key, value)?),
                "gid" => self.gid = Some(number(&key, value)?),
                "size" => self.size = Some(number(&key, value)?),
                // Fractions of a second are no part of a listing.
                "mtime" => self.mtime = Some(number(&key, value.split(|&byte| byte == b'.').next().unwrap_or(value))?),
                _ => {
                    if let Some(name) = key.strip_prefix(pax::XATTR) {
                        self.xattrs.insert(name.to_owned(), value.to_vec());
                    }
                }
            }
        }
        Ok(())
    }

    fn line(self, header: &Header, take: &mut Hash<'_>, content: &mut dyn Read) -> io::Result<(String, Line)> {
        let name = self.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let is_directory = name.ends_with(b"/");
        let path = place(name)?;
        let about = |error: io::Error| io::Error::new(error.kind(), format!("`{path}`: {error}"));
        let kind = header.entry_type();
        let device = |block| {
            let major = header.device_major()?.unwrap_or(0);
            Ok(Node::Device { block, major, minor: header.device_minor()?.unwrap_or(0) })
        };
        let node = match kind {
            EntryType::Directory => Node::Directory,
            EntryType::Regular if is_directory => Node::Directory, // as before ustar
            EntryType::Regular | EntryType::Continuous => {
                let (digest, size) = take(content).map_err(about)?;
                if self.size.is_some_and(|said| said != size) {
                    return Err(about(invalid("only the pax record knows how long it is; such archives are not read")));
                }
                Node::File { size, digest }
            }
            EntryType::Symlink => Node::Symlink(text(self.link.or_else(|| link_of(header)).unwrap_or_default())?),
            EntryType::Fifo => Node::Fifo,
            EntryType::Char => device(false).map_err(about)?,
            EntryType::Block => device(true).map_err(about)?,
            other => {
                let what = format!("has the type `{}`, which no root file system has", other.as_byte().escape_ascii());
                return Err(about(invalid(what)));
            }
        };
        let id = |said: Option<u32>, header: io::Result<u64>| match said {
            Some(id) => Ok(id),
            None => u32::try_from(header?).map_err(|_| invalid("has an owner beyond 32 bits")),
        };
        let line = Line {
            node,
            mode: header.mode().map_err(about)? & 0o7777,
            uid: id(self.uid, header.uid()).map_err(about)?,
            gid: id(self.gid, header.gid()).map_err(about)?,
            mtime: match self.mtime {
                Some(seconds) => seconds,
                None => header.mtime().map_err(about)?.cast_signed(),
            },
            xattrs: self.xattrs,
        };
        Ok((path, line))
    }
}

/// A member's name as a path of a root file system: relative, without `./` before or `/` after it.
fn place(name: Vec<u8>) -> io::Result<String> {
    let name = text(name)?;
    let parts: Vec<&str> = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    if parts.contains(&"..") {
        return Err(invalid(format!("`{name}` leads out of the root file system")));
    }
    Ok(parts.join("/"))
}

fn link_of(header: &Header) -> Option<Vec<u8>> {
    header.link_name_bytes().map(|name| name.into_owned())
}

fn bytes_of(mut entry: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The content of a GNU long name: the name, and a NUL byte.
fn text_of(entry: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = bytes_of(entry)?;
    bytes.truncate(bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len()));
    Ok(bytes)
}

fn text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        invalid(format!("`{}` is not a name that can be read: it is not UTF-8", error.as_bytes().escape_ascii()))
    })
}

fn number<N: std::str::FromStr>(key: &str, value: &[u8]) -> io::Result<N> {
    let number = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
    number.ok_or_else(|| invalid(format!("the pax record {key}={} is not a number", value.escape_ascii())))
}

fn invalid(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// What GNU tar, the one of this machine, writes of a small tree.
    fn gnu_tar(format: &str) -> Listing {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        std::fs::create_dir(root.join("dir")).unwrap();
        std::fs::write(root.join("dir/z"), "same").unwrap();
        std::fs::hard_link(root.join("dir/z"), root.join("dir/a")).unwrap();
        std::fs::write(root.join(format!("dir/{}", "é".repeat(80))), "long").unwrap();
        std::os::unix::fs::symlink("t".repeat(150), root.join("link")).unwrap();
        let output = Command::new("tar")
            .args(["--create", "--sort=name", "--mtime=@5", "--owner=3000000", "--group=7", "--mode=0750"])
            .args([&format!("--format={format}"), "--directory"])
            .arg(root)
            // The later of the two names first, so that it gets the bytes.
            .args(["./dir/z", "."])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        read_listing(output.stdout.as_slice()).unwrap()
    }

    #[test]
    fn archives_of_gnu_tar_read_the_same_in_both_formats() {
        let long = "\\303\\251".repeat(80);
        let expected = format!(
            "dir 0750 3000000:7 5 .\n\
             dir 0750 3000000:7 5 dir\n\
             file 0750 3000000:7 5 4 {same} dir/a\n\
             hardlink 0750 3000000:7 5 dir/z -> dir/a\n\
             file 0750 3000000:7 5 4 {other} dir/{long}\n\
             symlink 0750 3000000:7 5 link -> {target}\n",
            same = Digest::of(b"same"),
            other = Digest::of(b"long"),
            target = "t".repeat(150),
        );
        assert_eq!(gnu_tar("gnu").to_string().replace("symlink 0777", "symlink 0750"), expected);
        assert_eq!(gnu_tar("pax").to_string().replace("symlink 0777", "symlink 0750"), expected);
    }

    #[test]
    fn an_archive_that_lies_is_refused_with_the_path() {
        let message = |name: &[u8], link: &[u8], kind| {
            let mut header = Header::new_ustar();
            let ustar = header.as_ustar_mut().unwrap();
            ustar.name[..name.len()].copy_from_slice(name);
            ustar.linkname[..link.len()].copy_from_slice(link);
            header.set_entry_type(kind);
            header.set_size(0);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_cksum();
            let mut archive = tar::Builder::new(Vec::new());
            archive.append(&header, io::empty()).unwrap();
            read_listing(archive.into_inner().unwrap().as_slice()).unwrap_err().to_string()
        };
        assert_eq!(message(b"a/../../b", b"", EntryType::Regular), "`a/../../b` leads out of the root file system");
        assert_eq!(message(b"b", b"a", EntryType::Link), "`b` is another name of `a`, which does not come before it");
        assert_eq!(message(b"s", b"", EntryType::GNUSparse), "`s`: has the type `S`, which no root file system has");
        assert!(message(b"\xff", b"", EntryType::Fifo).contains("`\\xff` is not a name that can be read"));
    }
}
