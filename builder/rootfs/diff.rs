//! What differs between two root file systems, path by path.
//!
//! Compares [`Listing`]s, so the bytes need not be there any more: a later build can say which files differ from the
//! one that the lock remembers, and a test which paths differ from the tree that another tool made.

use std::fmt;

use crate::digest::Digest;
use crate::rootfs::listing::{Line, Listing, Node, shown};

/// One path and one thing that is not the same there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where; the root is `""`.
    pub path: String,
    /// What.
    pub change: Change,
}

/// How a path changed from the first root file system to the second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Only the second has it.
    Added(Line),
    /// Only the first has it.
    Removed(Line),
    /// It is something else: a file became a symbolic link. Nothing else of it is compared then.
    Type(Node, Node),
    /// Permission bits.
    Mode(u32, u32),
    /// Owner and group.
    Owner((u32, u32), (u32, u32)),
    /// Where a symbolic or hard link leads.
    Link(String, String),
    /// Size and digest of a file.
    Content((u64, Digest), (u64, Digest)),
    /// Major and minor number of a device.
    Device((u32, u32), (u32, u32)),
    /// The extended attribute of this name.
    Xattr(String, Option<Vec<u8>>, Option<Vec<u8>>),
    /// Time of last modification.
    Mtime(i64, i64),
}

/// Everything that differs from `a` to `b`, in the order of the paths. Empty if and only if the two are equal.
pub fn diff(a: &Listing, b: &Listing) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut add = |path: &str, changes: Vec<Change>| {
        differences.extend(changes.into_iter().map(|change| Difference { path: path.to_owned(), change }));
    };
    let (mut left, mut right) = (a.lines().iter().peekable(), b.lines().iter().peekable());
    loop {
        match (left.peek(), right.peek()) {
            (Some((path, was)), Some((other, is))) if path == other => {
                add(path, changes(was, is));
                left.next();
                right.next();
            }
            (Some((path, was)), other) if other.is_none_or(|(other, _)| path < other) => {
                add(path, vec![Change::Removed((*was).clone())]);
                left.next();
            }
            (_, Some((path, is))) => {
                add(path, vec![Change::Added((*is).clone())]);
                right.next();
            }
            (_, None) => return differences,
        }
    }
}

fn changes(was: &Line, is: &Line) -> Vec<Change> {
    let mut changes = Vec::new();
    match (&was.node, &is.node) {
        (a, b) if a.name() != b.name() => return vec![Change::Type(a.clone(), b.clone())],
        (Node::Symlink(a), Node::Symlink(b)) | (Node::Hardlink(a), Node::Hardlink(b)) if a != b => {
            changes.push(Change::Link(a.clone(), b.clone()));
        }
        (Node::File { size, digest }, Node::File { size: new_size, digest: new_digest })
            if (size, digest) != (new_size, new_digest) =>
        {
            changes.push(Change::Content((*size, *digest), (*new_size, *new_digest)));
        }
        (Node::Device { major, minor, .. }, Node::Device { major: new_major, minor: new_minor, .. })
            if (major, minor) != (new_major, new_minor) =>
        {
            changes.push(Change::Device((*major, *minor), (*new_major, *new_minor)));
        }
        _ => {}
    }
    if was.mode != is.mode {
        changes.push(Change::Mode(was.mode, is.mode));
    }
    if (was.uid, was.gid) != (is.uid, is.gid) {
        changes.push(Change::Owner((was.uid, was.gid), (is.uid, is.gid)));
    }
    let gone = was.xattrs.iter().filter(|(name, value)| is.xattrs.get(*name) != Some(*value));
    changes.extend(
        gone.map(|(name, value)| Change::Xattr(name.clone(), Some(value.clone()), is.xattrs.get(name).cloned())),
    );
    let new = is.xattrs.iter().filter(|(name, _)| !was.xattrs.contains_key(*name));
    changes.extend(new.map(|(name, value)| Change::Xattr(name.clone(), None, Some(value.clone()))));
    if was.mtime != is.mtime {
        changes.push(Change::Mtime(was.mtime, is.mtime));
    }
    changes
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", shown(&self.path), self.change)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Added(line) => write!(f, "added ({})", Summary(line)),
            Self::Removed(line) => write!(f, "removed ({})", Summary(line)),
            Self::Type(was, is) => write!(f, "{} became {}", was.name(), is.name()),
            Self::Mode(was, is) => write!(f, "mode {was:04o} became {is:04o}"),
            Self::Owner(was, is) => write!(f, "owner {}:{} became {}:{}", was.0, was.1, is.0, is.1),
            Self::Link(was, is) => write!(f, "link to {} became link to {}", shown(was), shown(is)),
            Self::Content(was, is) => {
                write!(f, "content {} bytes {} became {} bytes {}", was.0, was.1, is.0, is.1)
            }
            Self::Device(was, is) => write!(f, "device {},{} became {},{}", was.0, was.1, is.0, is.1),
            Self::Xattr(name, was, is) => {
                write!(f, "attribute {name} {} became {}", Value(was.as_deref()), Value(is.as_deref()))
            }
            Self::Mtime(was, is) => write!(f, "time {was} became {is}"),
        }
    }
}

/// What was added or removed, in a few words.
struct Summary<'a>(&'a Line);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Line { node, mode, uid, gid, .. } = self.0;
        write!(f, "{} {mode:04o} {uid}:{gid}", node.name())?;
        match node {
            Node::File { size, .. } => write!(f, ", {size} bytes"),
            Node::Symlink(target) | Node::Hardlink(target) => write!(f, " to {}", shown(target)),
            _ => Ok(()),
        }
    }
}

/// The value of an extended attribute, or its absence.
struct Value<'a>(Option<&'a [u8]>);

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("absent"),
            Some([]) => f.write_str("empty"),
            Some(bytes) => bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";
    const TWO: &str = "sha256:3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3";

    fn differences(a: &str, b: &str) -> Vec<String> {
        let listing = |text| Listing::parse(text).unwrap();
        diff(&listing(a), &listing(b)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn equal_listings_do_not_differ() {
        let text = format!("dir 0755 0:0 1 .\nfile 0644 0:0 1 3 {ONE} a user.x=00\nsymlink 0777 0:0 1 b -> a");
        assert_eq!(differences(&text, &text), [""; 0]);
    }

    #[test]
    fn each_kind_of_difference_is_one_readable_line() {
        let a = format!(
            "file 0644 0:0 1 3 {ONE} content\nfifo 0644 0:0 1 gone\nsymlink 0777 0:0 1 link -> a\nfifo 0600 0:0 1 mode\n\
             fifo 0600 0:0 1 owner\nfifo 0600 0:0 1 time\nfifo 0600 0:0 1 type\nfifo 0600 0:0 1 xattr user.a=01 user.b=02"
        );
        let b = format!(
            "file 0644 0:0 1 4 {TWO} content\nsymlink 0777 0:0 1 link -> b\nfifo 4600 0:0 1 mode\n\
             file 0644 0:0 1 3 {ONE} new\nfifo 0600 0:42 1 owner\nfifo 0600 0:0 2 time\ndir 0700 1:1 2 type\n\
             fifo 0600 0:0 1 xattr user.b=03 user.c="
        );
        assert_eq!(
            differences(&a, &b),
            [
                format!("content: content 3 bytes {ONE} became 4 bytes {TWO}"),
                "gone: removed (fifo 0644 0:0)".to_owned(),
                "link: link to a became link to b".to_owned(),
                "mode: mode 0600 became 4600".to_owned(),
                "new: added (file 0644 0:0, 3 bytes)".to_owned(),
                "owner: owner 0:0 became 0:42".to_owned(),
                "time: time 1 became 2".to_owned(),
                "type: fifo became dir".to_owned(),
                "xattr: attribute user.a 01 became absent".to_owned(),
                "xattr: attribute user.b 02 became 03".to_owned(),
                "xattr: attribute user.c absent became empty".to_owned(),
            ]
        );
    }

    #[test]
    fn a_path_that_only_one_side_has_is_found_at_either_end() {
        assert_eq!(
            differences("fifo 0600 0:0 1 a\nfifo 0600 0:0 1 z", "fifo 0600 0:0 1 m"),
            ["a: removed (fifo 0600 0:0)", "m: added (fifo 0600 0:0)", "z: removed (fifo 0600 0:0)",]
        );
    }

    #[test]
    fn a_name_with_a_newline_stays_on_one_line() {
        assert_eq!(
            differences("", "dir 0755 0:0 1 .\nfifo 0600 0:0 1 a\\012b"),
            [".: added (dir 0755 0:0)", "a\\012b: added (fifo 0600 0:0)",]
        );
    }
}
