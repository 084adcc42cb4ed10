//! A root file system as text: one line a path, and the digest of that text is its identity.
//!
//! In the spirit of `mtree(5)`, but each line stands alone, so that `diff`, `grep` and `sort` are enough to work with it:
//!
//! ```text
//! dir 0755 0:0 1757663741 .
//! symlink 0777 0:0 1757663741 bin -> usr/bin
//! file 0640 0:42 1757663741 712 sha256:5d2c… etc/shadow
//! file 0755 0:0 1757663741 90568 sha256:a01f… usr/bin/ping security.capability=0100000200200000…
//! hardlink 0755 0:0 1757663741 usr/bin/perl5.40.1 -> usr/bin/perl
//! └─┬────┘ └┬─┘ └┬┘ └───┬────┘                      extended attributes: name=hexadecimal
//!  type   mode owner  seconds
//! ```
//!
//! Lines are in the order of their paths' bytes. What could be mistaken (a space, a newline, a backslash, anything that is
//! not printable ASCII) is written `\ooo` in octal, as `vis(3)` does, so that every name can be read back. A hard link
//! shows the mode, owner, time and attributes of the file that it is another name of, for they share one inode.
//!
//! What is *not* here (the bytes, and who brought a path) does not belong to the identity.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use crate::digest::Digest;
use crate::rootfs::Rootfs;
use crate::rootfs::entry::{Entry, Kind};

/// What is at each path of a root file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    lines: BTreeMap<String, Line>,
}

/// What is at one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its type, with what only this type has.
    pub node: Node,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since the Unix epoch.
    pub mtime: i64,
    /// Extended attributes by full name.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// File types, each with what makes two of them equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// Bytes.
        size: u64,
        /// Of the bytes.
        digest: Digest,
    },
    /// A symbolic link, its target as written.
    Symlink(String),
    /// Another name of the regular file at this path, which sorts before.
    Hardlink(String),
    /// A named pipe.
    Fifo,
    /// A device node. Goldsmith makes none; other builders' archives hold some, and a comparison should show them.
    Device {
        /// A block device; else a character device.
        block: bool,
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

/// A line that is not as [`Listing`] writes it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the listing {what}")]
pub struct Malformed {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it: the end of a sentence.
    pub what: String,
}

impl Listing {
    /// What `rootfs` holds.
    pub fn of(rootfs: &Rootfs) -> Self {
        Self::select(rootfs, rootfs.entries().keys().map(String::as_str))
    }

    /// What `rootfs` holds at these paths; a path that it lacks is left out.
    pub fn select<'a>(rootfs: &Rootfs, paths: impl IntoIterator<Item = &'a str>) -> Self {
        let entries = rootfs.entries();
        let line = |entry: &Entry| {
            let inode = match &entry.kind {
                Kind::Hardlink(target) => entries.get(target).unwrap_or(entry),
                _ => entry,
            };
            Line {
                node: Node::of(&entry.kind),
                mode: inode.mode,
                uid: inode.uid,
                gid: inode.gid,
                mtime: inode.mtime,
                xattrs: inode.xattrs.clone(),
            }
        };
        let lines = paths.into_iter().filter_map(|path| Some((path.to_owned(), line(entries.get(path)?))));
        Self { lines: lines.collect() }
    }

    /// From lines that are known.
    pub fn new(lines: BTreeMap<String, Line>) -> Self {
        Self { lines }
    }

    /// Every path (as in [`Rootfs::entries`]), sorted, with what is there.
    pub fn lines(&self) -> &BTreeMap<String, Line> {
        &self.lines
    }

    /// Lays `above` over this: what both have is as `above` has it. (The layers of an image, without whiteouts.)
    pub fn lay(&mut self, above: Self) {
        self.lines.extend(above.lines);
    }

    /// The SHA-256 of the text: the identity of the root file system.
    pub fn digest(&self) -> Digest {
        Digest::of(self.to_string().as_bytes())
    }

    /// Reads a listing back.
    ///
    /// # Errors
    /// The first line that is not as [`Listing`] writes it, with its number.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let mut lines = BTreeMap::new();
        for (index, text) in text.lines().enumerate() {
            let wrong = |what| Malformed { line: index + 1, what };
            let (path, line) = Line::parse(text).map_err(wrong)?;
            if lines.insert(path, line).is_some() {
                return Err(wrong("repeats the path of an earlier line".to_owned()));
            }
        }
        Ok(Self { lines })
    }
}

impl fmt::Display for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|(path, line)| line.write(path, f).and_then(|()| f.write_char('\n')))
    }
}

impl Node {
    fn of(kind: &Kind) -> Self {
        match kind {
            Kind::Directory => Self::Directory,
            Kind::File { size, digest, .. } => Self::File { size: *size, digest: *digest },
            Kind::Symlink(target) => Self::Symlink(target.clone()),
            Kind::Hardlink(target) => Self::Hardlink(target.clone()),
            Kind::Fifo => Self::Fifo,
        }
    }

    /// The word that a listing has for the type.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Directory => "dir",
            Self::File { .. } => "file",
            Self::Symlink(_) => "symlink",
            Self::Hardlink(_) => "hardlink",
            Self::Fifo => "fifo",
            Self::Device { block: false, .. } => "char",
            Self::Device { block: true, .. } => "block",
        }
    }
}

impl Line {
    fn write(&self, path: &str, f: &mut impl Write) -> fmt::Result {
        write!(f, "{} {:04o} {}:{} {} ", self.node.name(), self.mode, self.uid, self.gid, self.mtime)?;
        match &self.node {
            Node::File { size, digest } => write!(f, "{size} {digest} ")?,
            Node::Device { major, minor, .. } => write!(f, "{major},{minor} ")?,
            _ => {}
        }
        f.write_str(&shown(path))?;
        if let Node::Symlink(target) | Node::Hardlink(target) = &self.node {
            write!(f, " -> {}", escaped(target.as_bytes()))?;
        }
        for (name, value) in &self.xattrs {
            write!(f, " {}=", escaped(name.as_bytes()).replace('=', "\\075"))?;
            value.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        }
        Ok(())
    }

    fn parse(text: &str) -> Result<(String, Self), String> {
        let mut words = text.split(' ');
        let mut word = |name: &str| words.next().ok_or_else(|| format!("ends before its {name}"));
        let kind = word("type")?;
        let mode = word("mode")?;
        let mode = u32::from_str_radix(mode, 8).map_err(|_| format!("has `{mode}` for a mode (octal digits)"))?;
        let owner = word("owner")?;
        let (uid, gid) = pair(owner, ':').ok_or_else(|| format!("has `{owner}` for an owner (`uid:gid`)"))?;
        let mtime = word("time")?;
        let mtime = mtime.parse().map_err(|_| format!("has `{mtime}` for a time (seconds)"))?;
        let mut node = match kind {
            "dir" => Node::Directory,
            "fifo" => Node::Fifo,
            "symlink" => Node::Symlink(String::new()),
            "hardlink" => Node::Hardlink(String::new()),
            "char" | "block" => {
                let numbers = word("device numbers")?;
                let (major, minor) = pair(numbers, ',').ok_or_else(|| format!("has `{numbers}` for a device"))?;
                Node::Device { block: kind == "block", major, minor }
            }
            "file" => {
                let size = word("size")?;
                let size = size.parse().map_err(|_| format!("has `{size}` for a size (bytes)"))?;
                Node::File { size, digest: word("digest")?.parse().map_err(|wrong| format!("is wrong: {wrong}"))? }
            }
            other => return Err(format!("has `{other}` for a type")),
        };
        let path = match word("path")? {
            "." => String::new(),
            path => unescaped(path)?,
        };
        if let Node::Symlink(target) | Node::Hardlink(target) = &mut node {
            if word("arrow")? != "->" {
                return Err("lacks the ` -> ` between a link and its target".to_owned());
            }
            *target = unescaped(word("target")?)?;
        }
        let mut xattrs = BTreeMap::new();
        for word in words {
            let (name, hex) = word.split_once('=').ok_or_else(|| format!("has `{word}` for an attribute"))?;
            let value = bytes(hex).ok_or_else(|| format!("has `{hex}` for the value of {name} (hexadecimal)"))?;
            xattrs.insert(unescaped(name)?, value);
        }
        Ok((path, Self { node, mode, uid, gid, mtime, xattrs }))
    }
}

/// A path as a listing shows it: escaped, and `.` for the root.
pub fn shown(path: &str) -> String {
    if path.is_empty() { ".".to_owned() } else { escaped(path.as_bytes()) }
}

/// Printable ASCII as it is, but for the backslash; every other byte as `\ooo`.
fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'\\' | ..=b' ' | 0x7f.. => {
                let _ = write!(text, "\\{byte:03o}"); // to a String: can't fail
            }
            _ => text.push(char::from(byte)),
        }
    }
    text
}

fn unescaped(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let octal = rest.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let octal = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(octal.ok_or_else(|| format!("has a backslash without three octal digits in `{text}`"))?);
        rest = &rest[3..];
    }
    String::from_utf8(bytes).map_err(|_| format!("has `{text}`, which is not UTF-8"))
}

fn pair(text: &str, between: char) -> Option<(u32, u32)> {
    let (first, second) = text.split_once(between)?;
    Some((first.parse().ok()?, second.parse().ok()?))
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    hex.len().is_multiple_of(2).then(|| hex.as_bytes().chunks_exact(2).map(digits).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(node: Node) -> Line {
        Line { node, mode: 0o644, uid: 0, gid: 42, mtime: 1_757_663_741, xattrs: BTreeMap::new() }
    }

    fn listing() -> Listing {
        let capability = BTreeMap::from([("security.capability".to_owned(), vec![1, 0, 0, 2, 0, 0x20, 10, 255])]);
        let file = |bytes: &[u8]| line(Node::File { size: bytes.len() as u64, digest: Digest::of(bytes) });
        Listing::new(BTreeMap::from([
            (String::new(), Line { mode: 0o755, ..line(Node::Directory) }),
            ("a file\nwith \\ and é".to_owned(), file(b"one")),
            ("bin".to_owned(), line(Node::Symlink("usr/my bin".to_owned()))),
            ("empty".to_owned(), line(Node::Symlink(String::new()))),
            ("ping".to_owned(), Line { mode: 0o4755, xattrs: capability, ..file(b"two") }),
            ("pipe".to_owned(), line(Node::Fifo)),
            ("pong".to_owned(), line(Node::Hardlink("ping".to_owned()))),
            ("tty".to_owned(), line(Node::Device { block: false, major: 5, minor: 0 })),
        ]))
    }

    #[test]
    fn each_path_is_one_line_that_says_everything() {
        let text = listing().to_string();
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("dir 0755 0:42 1757663741 ."));
        let file = format!(
            "file 0644 0:42 1757663741 3 {} a\\040file\\012with\\040\\134\\040and\\040\\303\\251",
            Digest::of(b"one")
        );
        assert_eq!(lines.next(), Some(file.as_str()));
        assert_eq!(lines.next(), Some("symlink 0644 0:42 1757663741 bin -> usr/my\\040bin"));
        assert!(text.contains(" ping security.capability=0100000200200aff\n"), "{text}");
        assert!(text.contains("char 0644 0:42 1757663741 5,0 tty\n"), "{text}");
    }

    #[test]
    fn a_listing_reads_back_as_it_was_written() {
        assert_eq!(Listing::parse(&listing().to_string()), Ok(listing()));
    }

    #[test]
    fn any_change_changes_the_identity() {
        let identity = listing().digest();
        for path in listing().lines().keys() {
            let mut other = listing();
            other.lines.get_mut(path).unwrap().mtime += 1;
            assert_ne!(other.digest(), identity, "{path:?}");
        }
        let mut larger = listing();
        larger.lay(Listing::new(BTreeMap::from([("x".to_owned(), line(Node::Fifo))])));
        assert_ne!(larger.digest(), identity);
    }

    #[test]
    fn a_broken_line_is_named_with_what_is_wrong() {
        let message = |text: &str| Listing::parse(text).unwrap_err().to_string();
        assert_eq!(message("dir 0755 0:0 1 .\ndoor 0755 0:0 1 x"), "line 2 of the listing has `door` for a type");
        assert_eq!(message("dir 0755 0"), "line 1 of the listing has `0` for an owner (`uid:gid`)");
        assert_eq!(message("dir 0755 0:0 1"), "line 1 of the listing ends before its path");
        assert_eq!(
            message("fifo 0755 0:0 1 a\\9"),
            "line 1 of the listing has a backslash without three octal digits in `a\\9`"
        );
        assert_eq!(
            message("fifo 0755 0:0 1 a\nfifo 0755 0:0 1 a"),
            "line 2 of the listing repeats the path of an earlier line"
        );
        assert!(message("symlink 0777 0:0 1 a b").contains("lacks the ` -> `"));
        assert!(message("fifo 0777 0:0 1 a user.x=abc").contains("hexadecimal"));
    }
}
