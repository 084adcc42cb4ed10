//! An overlay laid over the entries of a root file system.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Accounts, Change, Laid, LaidKind, Overlay};
use crate::rootfs::entry::{Content, Entry, Kind, Origin};

/// Why an overlay does not fit over these packages.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverlayError {
    /// A name without an id.
    #[error(
        "the overlay `{overlay}` gives {path} to the {what} `{name}`, whom the image does not have: require the package that makes that {what}, or give it to root"
    )]
    NoSuchAccount {
        /// Name of the overlay.
        overlay: String,
        /// In the image.
        path: String,
        /// `user` or `group`.
        what: &'static str,
        /// Of the account.
        name: String,
    },
    /// A file where a package has a directory, or the other way round.
    #[error(
        "the overlay `{overlay}` lays a {laid} at {path}, where the packages have a {there}: remove that first (`[[remove]]`), or choose another path"
    )]
    AnotherKind {
        /// Name of the overlay.
        overlay: String,
        /// In the image.
        path: String,
        /// What the overlay has.
        laid: &'static str,
        /// What is there.
        there: &'static str,
    },
    /// A directory of the path is a symbolic link in the image.
    #[error("the overlay `{overlay}` lays {path}, but {link} is a symbolic link to {target}: write {instead} instead")]
    ThroughLink {
        /// Name of the overlay.
        overlay: String,
        /// As the overlay has it.
        path: String,
        /// The link.
        link: String,
        /// Where it leads.
        target: String,
        /// The path that is meant.
        instead: String,
    },
    /// Something is to be removed that is not there.
    #[error("the overlay `{overlay}` removes {path}, which is not there: remove the `[[remove]]`, or correct its path")]
    NothingToRemove {
        /// Name of the overlay.
        overlay: String,
        /// In the image.
        path: String,
    },
    /// Something is to be changed that is not there, or has no mode.
    #[error(
        "the overlay `{overlay}` changes {path}, which is {there}: correct the path of the `[[change]]`, or remove it"
    )]
    NothingToChange {
        /// Name of the overlay.
        overlay: String,
        /// In the image.
        path: String,
        /// What is there instead.
        there: &'static str,
    },
}

/// Lays `overlay` over `entries`: first what it removes goes and what it changes is changed, then what it has comes, its names turned into the ids of
/// `accounts`. Directories that are missing on the way are made, 0755, root's. What is there already gives way, but a
/// directory never to a file, nor a file to a directory.
///
/// Times are set as late as can be, which sealing clamps to the image's epoch.
///
/// # Errors
/// The overlay does not fit; `entries` are then laid over in part and good for nothing.
pub fn apply(
    entries: &mut BTreeMap<String, Entry>,
    overlay: &Overlay,
    accounts: &Accounts,
) -> Result<(), OverlayError> {
    for path in overlay.remove.keys() {
        if !entries.contains_key(path) {
            return Err(OverlayError::NothingToRemove { overlay: overlay.name.clone(), path: path.clone() });
        }
        let below = format!("{path}/");
        let subtree = entries.range(below.clone()..).map(|(path, _)| path).take_while(|path| path.starts_with(&below));
        for gone in subtree.cloned().chain([path.clone()]).collect::<Vec<_>>() {
            take(entries, &gone);
        }
    }
    let laying = Laying { overlay: &overlay.name, origin: Origin::Overlay(overlay.name.as_str().into()), accounts };
    for (path, change) in &overlay.change {
        laying.change(entries, path, change)?;
    }
    for (path, laid) in &overlay.entries {
        let entry = laying.entry(path, laid)?;
        laying.make_parents(entries, path)?;
        let is_directory = |kind: &Kind| *kind == Kind::Directory;
        match entries.get_mut(path) {
            Some(there) if is_directory(&there.kind) != is_directory(&entry.kind) => {
                let (laid, there) = (name(&entry.kind), name(&there.kind));
                return Err(OverlayError::AnotherKind {
                    overlay: overlay.name.clone(),
                    path: path.clone(),
                    laid,
                    there,
                });
            }
            Some(there) if is_directory(&there.kind) => {
                *there = Entry { mtime: there.mtime, xattrs: there.xattrs.clone(), ..entry };
            }
            Some(_) => {
                take(entries, path);
                entries.insert(path.clone(), entry);
            }
            None => drop(entries.insert(path.clone(), entry)),
        }
    }
    Ok(())
}

/// What is the same for every path of an overlay.
struct Laying<'a> {
    overlay: &'a str,
    origin: Origin,
    accounts: &'a Accounts,
}

impl Laying<'_> {
    /// Gives what is at `path` the mode and owner that `change` says, and to the files below it theirs. A path keeps its
    /// layer: that of its package.
    fn change(&self, entries: &mut BTreeMap<String, Entry>, path: &str, change: &Change) -> Result<(), OverlayError> {
        let uid = change.owner.as_ref().map(|name| self.user(path, name)).transpose()?;
        let gid = change.group.as_ref().map(|name| self.group(path, name)).transpose()?;
        // The names of one file have one mode: what is said of any of them is true of all.
        let file = match entries.get(path).map(|entry| &entry.kind) {
            Some(Kind::Hardlink(target)) => target.clone(),
            Some(Kind::Symlink(_)) => return Err(self.nothing_to_change(path, "a symbolic link, which has no mode")),
            Some(_) => path.to_owned(),
            None => return Err(self.nothing_to_change(path, "not there")),
        };
        let is_file = |kind: &Kind| matches!(kind, Kind::File { .. } | Kind::Hardlink(_));
        let below = format!("{path}/");
        for (path, entry) in entries.iter_mut() {
            let is_it = *path == file || matches!(&entry.kind, Kind::Hardlink(target) if *target == file);
            let is_below = path.starts_with(&below) && is_file(&entry.kind);
            if is_it {
                entry.mode = change.mode.unwrap_or(entry.mode);
            } else if is_below && change.files.is_some() {
                entry.mode = change.files.unwrap_or(entry.mode);
            } else {
                continue;
            }
            entry.uid = uid.unwrap_or(entry.uid);
            entry.gid = gid.unwrap_or(entry.gid);
        }
        Ok(())
    }

    fn nothing_to_change(&self, path: &str, there: &'static str) -> OverlayError {
        OverlayError::NothingToChange { overlay: self.overlay.to_owned(), path: path.to_owned(), there }
    }

    /// The id of a user who is to own `path`.
    fn user(&self, path: &str, name: &str) -> Result<u32, OverlayError> {
        self.accounts.users.get(name).copied().ok_or_else(|| self.no_such_account(path, "user", name))
    }

    /// The id of a group that is to own `path`.
    fn group(&self, path: &str, name: &str) -> Result<u32, OverlayError> {
        self.accounts.groups.get(name).copied().ok_or_else(|| self.no_such_account(path, "group", name))
    }

    fn no_such_account(&self, path: &str, what: &'static str, name: &str) -> OverlayError {
        let (overlay, path) = (self.overlay.to_owned(), path.to_owned());
        OverlayError::NoSuchAccount { overlay, path, what, name: name.to_owned() }
    }

    /// What `laid` is in an image with these accounts.
    fn entry(&self, path: &str, laid: &Laid) -> Result<Entry, OverlayError> {
        let kind = match &laid.kind {
            LaidKind::Directory => Kind::Directory,
            LaidKind::Symlink(target) => Kind::Symlink(target.clone()),
            LaidKind::File { bytes, digest } => {
                Kind::File { size: bytes.len() as u64, digest: *digest, content: Content::Bytes(Arc::clone(bytes)) }
            }
        };
        let (uid, gid) = (self.user(path, &laid.owner)?, self.group(path, &laid.group)?);
        Ok(Entry { mode: laid.mode, uid, gid, ..self.of_root(kind) })
    }

    /// A path that is root's, 0755.
    fn of_root(&self, kind: Kind) -> Entry {
        let (mtime, xattrs, origin) = (i64::MAX, BTreeMap::new(), self.origin.clone());
        Entry { kind, mode: 0o755, uid: 0, gid: 0, mtime, xattrs, origin }
    }

    /// Sees to it that every directory above `path` is one.
    fn make_parents(&self, entries: &mut BTreeMap<String, Entry>, path: &str) -> Result<(), OverlayError> {
        for (end, _) in path.match_indices('/') {
            let parent = &path[..end];
            match entries.get(parent).map(|entry| &entry.kind) {
                Some(Kind::Directory) => {}
                Some(Kind::Symlink(target)) => {
                    return Err(OverlayError::ThroughLink {
                        overlay: self.overlay.to_owned(),
                        path: path.to_owned(),
                        link: parent.to_owned(),
                        target: target.clone(),
                        instead: format!("{}{}", resolved(parent, target), &path[end..]),
                    });
                }
                Some(kind) => {
                    return Err(OverlayError::AnotherKind {
                        overlay: self.overlay.to_owned(),
                        path: parent.to_owned(),
                        laid: "directory",
                        there: name(kind),
                    });
                }
                None => drop(entries.insert(parent.to_owned(), self.of_root(Kind::Directory))),
            }
        }
        Ok(())
    }
}

/// Takes one path away. If other paths are hard links to it, the first of them becomes the file.
fn take(entries: &mut BTreeMap<String, Entry>, path: &str) {
    let Some(gone) = entries.remove(path) else { return };
    let is_link = |entry: &Entry| matches!(&entry.kind, Kind::Hardlink(target) if target == path);
    let links: Vec<String> = entries.iter().filter(|(_, entry)| is_link(entry)).map(|(link, _)| link.clone()).collect();
    let Some((heir, others)) = links.split_first() else { return };
    if let Some(entry) = entries.get_mut(heir) {
        entry.kind = gone.kind;
    }
    for other in others {
        if let Some(entry) = entries.get_mut(other) {
            entry.kind = Kind::Hardlink(heir.clone());
        }
    }
}

/// Where the link at `link` leads, as a path of the image.
fn resolved(link: &str, target: &str) -> String {
    let mut parts: Vec<&str> = match target.starts_with('/') {
        true => vec![],
        false => link.split('/').rev().skip(1).collect::<Vec<_>>().into_iter().rev().collect(),
    };
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// What messages call it.
fn name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Directory => "directory",
        Kind::File { .. } | Kind::Hardlink(_) => "file",
        Kind::Symlink(_) => "symbolic link",
        Kind::Fifo => "pipe",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn rooted(kind: Kind) -> Entry {
        let origin = Origin::Package("base-files".into());
        Entry { kind, mode: 0o755, uid: 0, gid: 0, mtime: 7, xattrs: BTreeMap::new(), origin }
    }

    fn file(bytes: &str) -> Kind {
        let content = Content::Bytes(bytes.as_bytes().into());
        Kind::File { size: bytes.len() as u64, digest: Digest::of(bytes.as_bytes()), content }
    }

    /// A small image: etc/, etc/old, bin -> usr/bin, usr/, usr/bin/, and two names of one file.
    fn image() -> BTreeMap<String, Entry> {
        let entries = [
            ("", Kind::Directory),
            ("bin", Kind::Symlink("usr/bin".into())),
            ("etc", Kind::Directory),
            ("etc/old", file("old")),
            ("usr", Kind::Directory),
            ("usr/bin", Kind::Directory),
            ("usr/bin/perl", file("perl")),
            ("usr/bin/perl5", Kind::Hardlink("usr/bin/perl".into())),
            ("usr/bin/perl5.40", Kind::Hardlink("usr/bin/perl".into())),
        ];
        entries.into_iter().map(|(path, kind)| (path.to_owned(), rooted(kind))).collect()
    }

    fn accounts() -> Accounts {
        Accounts::parse("root:x:0:0::/:/bin/sh\n", "root:x:0:\nmysql:x:102:\n")
    }

    /// An overlay of these paths (and removals), all root's but `group`.
    fn overlay(laid: &[(&str, LaidKind)], remove: &[&str], group: &str) -> Overlay {
        let laid = laid.iter().map(|(path, kind)| {
            let (kind, group) = (kind.clone(), group.to_owned());
            ((*path).to_owned(), Laid { kind, mode: 0o640, owner: "root".into(), group, why: String::new() })
        });
        Overlay {
            name: "o".into(),
            description: String::new(),
            requires: BTreeMap::new(),
            entries: laid.collect(),
            remove: remove.iter().map(|path| ((*path).to_owned(), "why".to_owned())).collect(),
            change: BTreeMap::new(),
            digest: Digest::of(b""),
            warnings: vec![],
        }
    }

    fn new() -> LaidKind {
        LaidKind::File { bytes: b"new".as_slice().into(), digest: Digest::of(b"new") }
    }

    fn fails(overlay: &Overlay) -> String {
        apply(&mut image(), overlay, &accounts()).unwrap_err().to_string()
    }

    #[test]
    fn a_file_is_laid_with_the_ids_of_its_names_and_missing_directories_are_made() {
        let mut entries = image();
        apply(&mut entries, &overlay(&[("etc/my/new/f", new())], &[], "mysql"), &accounts()).unwrap();
        let laid = &entries["etc/my/new/f"];
        assert_eq!((laid.mode, laid.uid, laid.gid, &laid.origin), (0o640, 0, 102, &Origin::Overlay("o".into())));
        let made = &entries["etc/my"];
        assert_eq!((&made.kind, made.mode, made.uid, made.gid), (&Kind::Directory, 0o755, 0, 0));
        assert_eq!(entries["etc"], image()["etc"]);
    }

    #[test]
    fn an_older_file_gives_way_and_a_directory_keeps_what_is_in_it() {
        let mut entries = image();
        apply(&mut entries, &overlay(&[("etc/old", new()), ("etc", LaidKind::Directory)], &[], "root"), &accounts())
            .unwrap();
        assert!(
            matches!(&entries["etc/old"].kind, Kind::File { size: 3, digest, .. } if *digest == Digest::of(b"new"))
        );
        assert_eq!((entries["etc"].mode, entries["etc"].mtime), (0o640, 7));
    }

    #[test]
    fn files_and_directories_do_not_replace_each_other() {
        assert_eq!(
            fails(&overlay(&[("etc", new())], &[], "root")),
            "the overlay `o` lays a file at etc, where the packages have a directory: remove that first (`[[remove]]`), or choose another path"
        );
        assert!(fails(&overlay(&[("etc/old", LaidKind::Directory)], &[], "root")).contains("a directory at etc/old"));
        assert!(fails(&overlay(&[("etc/old/f", new())], &[], "root")).contains("a directory at etc/old"));
    }

    #[test]
    fn a_path_through_a_link_is_refused_with_the_path_that_is_meant() {
        assert_eq!(
            fails(&overlay(&[("bin/sub/tool", new())], &[], "root")),
            "the overlay `o` lays bin/sub/tool, but bin is a symbolic link to usr/bin: write usr/bin/sub/tool instead"
        );
    }

    #[test]
    fn an_owner_whom_the_image_does_not_have_is_refused() {
        assert!(
            fails(&overlay(&[("etc/f", new())], &[], "ghost"))
                .starts_with("the overlay `o` gives etc/f to the group `ghost`")
        );
    }

    #[test]
    fn what_is_removed_goes_with_all_below_it_and_must_have_been_there() {
        let mut entries = image();
        apply(&mut entries, &overlay(&[], &["usr"], "root"), &accounts()).unwrap();
        assert_eq!(entries.keys().collect::<Vec<_>>(), ["", "bin", "etc", "etc/old"]);
        assert!(fails(&overlay(&[], &["etc/ghost"], "root")).contains("which is not there"));
    }

    #[test]
    fn what_is_changed_keeps_its_bytes_and_its_layer_under_all_its_names() {
        let mut entries = image();
        let mut changing = overlay(&[], &[], "root");
        let change = Change { mode: Some(0o700), group: Some("mysql".into()), ..Change::default() };
        changing.change.insert("usr/bin/perl5".into(), change);
        changing.change.insert("etc".into(), Change { files: Some(0o640), ..Change::default() });
        apply(&mut entries, &changing, &accounts()).unwrap();
        for path in ["usr/bin/perl", "usr/bin/perl5", "usr/bin/perl5.40"] {
            assert_eq!((entries[path].mode, entries[path].gid), (0o700, 102), "{path}");
        }
        assert_eq!((entries["etc"].mode, entries["etc/old"].mode), (0o755, 0o640));
        let untouched = |path: &str| (entries[path].kind.clone(), entries[path].origin.clone());
        assert_eq!(untouched("usr/bin/perl"), (file("perl"), Origin::Package("base-files".into())));
        assert_eq!(entries["usr"], image()["usr"]);
    }

    #[test]
    fn what_is_not_there_and_links_cannot_be_changed() {
        for (path, says) in [("usr/bin/ghost", "which is not there"), ("bin", "a symbolic link, which has no mode")] {
            let mut changing = overlay(&[], &[], "root");
            changing.change.insert(path.into(), Change { mode: Some(0o700), ..Change::default() });
            assert!(fails(&changing).contains(says), "{}", fails(&changing));
        }
    }

    #[test]
    fn the_other_names_of_a_file_that_goes_keep_its_bytes() {
        let mut entries = image();
        apply(&mut entries, &overlay(&[("usr/bin/perl", new())], &[], "root"), &accounts()).unwrap();
        assert_eq!(entries["usr/bin/perl5"].kind, file("perl"));
        assert_eq!(entries["usr/bin/perl5.40"].kind, Kind::Hardlink("usr/bin/perl5".into()));
    }
}
