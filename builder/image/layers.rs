//! Which paths go together into a layer, so that a security patch changes few bytes.
//!
//! ```text
//!  packages from linux        ┐ a source package of some megabytes has a layer of its own
//!  packages from php8.4       ┘
//!  packages from acl, attr, … ┐ the many small ones share a fixed number of bins,
//!  packages from apt, zlib, … ┘ each by a hash of its name: no neighbour ever moves it
//!  generated below boot       ┐ what maintainer scripts made, by its place: an initrd
//!  generated below var        ┘ should not carry a database with it
//!  package database             what changes with every patch
//!  overlay api                  what changes with every edit
//! ```
//!
//! Packages of one source are patched together, so they are shipped together. Who gets a layer of its own depends on a
//! size from a short scale, not on a rank: a package that grows a little moves itself at most.
//!
//! A layer also holds the directories above its paths, as they truly are: unpackers that put each layer into a directory
//! of its own would otherwise make them up. Hard links are in the layer of the file that they name. Laid over each other
//! in order, the layers are the root file system, path by path. (So a directory's time should change neither with what is
//! put into it nor with the epoch: that would change every layer that passes through it.)

use std::collections::{BTreeMap, BTreeSet};

use crate::digest::Digest;
use crate::rootfs::Rootfs;
use crate::rootfs::entry::{Entry, Kind, Origin};

/// Layers that an image should have at most: overlayfs and container runtimes give up a little above one hundred.
pub const LIMIT: usize = 80;

/// From this size on (in bytes, uncompressed) a source package has a layer of its own, unless that makes too many.
const LARGE: u64 = 2 << 20;

/// What an entry weighs beside its bytes: its header.
const ENTRY_BYTES: u64 = 512;

/// Paths that are shipped together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer<'a> {
    /// What is in it, in words for people.
    pub name: String,
    /// Its paths, sorted.
    pub paths: Vec<&'a str>,
}

/// The place of a layer, from the bottom up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Slot<'a> {
    /// The packages of this source.
    Source(&'a str),
    /// The small sources whose names hash to this number.
    Bin(u64),
    /// Generated below this directory of the root.
    Generated(&'a str),
    State,
    Overlay(&'a str),
}

/// The layers of `rootfs`, from the bottom up: at most `limit` of them, but always enough to keep packages, each place
/// of generated files, the state and each overlay apart.
pub fn plan(rootfs: &Rootfs, limit: usize) -> Vec<Layer<'_>> {
    let entries = rootfs.entries();
    // A directory that holds something comes along as the parent of that.
    let parents: BTreeSet<&str> = entries.keys().filter_map(|path| parent(path)).collect();
    let leaves = entries.iter().filter(|(path, _)| !parents.contains(path.as_str()));
    let leaves: Vec<(&str, Slot<'_>, u64)> =
        leaves.map(|(path, entry)| (path.as_str(), slot(rootfs, path, entry), weight(entry))).collect();

    let mut sources: BTreeMap<&str, u64> = BTreeMap::new();
    let mut others: BTreeSet<Slot<'_>> = BTreeSet::new();
    for &(_, slot, weight) in &leaves {
        match slot {
            Slot::Source(source) => *sources.entry(source).or_default() += weight,
            other => drop(others.insert(other)),
        }
    }
    let bins = (limit * 2 / 5).max(1);
    let large = large(&sources, limit.saturating_sub(bins + others.len()));

    let mut layers: BTreeMap<Slot<'_>, BTreeSet<&str>> = BTreeMap::new();
    let mut names: BTreeMap<Slot<'_>, BTreeSet<&str>> = BTreeMap::new();
    for (path, mut slot, _) in leaves {
        if let Slot::Source(source) = slot {
            if !large.contains(source) {
                slot = Slot::Bin(bin(source, bins));
            }
            names.entry(slot).or_default().insert(source);
        }
        let paths = layers.entry(slot).or_default();
        // Once a parent is there, so are its own.
        let mut next = Some(path);
        while let Some(path) = next.filter(|path| paths.insert(path)) {
            next = parent(path);
        }
    }
    let named = layers.into_iter().map(|(slot, paths)| Layer {
        name: match slot {
            Slot::Source(_) | Slot::Bin(_) => {
                let sources: Vec<&str> = names.remove(&slot).into_iter().flatten().collect();
                format!("packages from {}", sources.join(", "))
            }
            Slot::Generated("") => "generated".to_owned(),
            Slot::Generated(place) => format!("generated below {place}"),
            Slot::State => "package database".to_owned(),
            Slot::Overlay(name) => format!("overlay {name}"),
        },
        paths: paths.into_iter().collect(),
    });
    named.collect()
}

/// Where a path belongs, as if every source were large. A hard link belongs where its target does.
fn slot<'a>(rootfs: &'a Rootfs, path: &'a str, entry: &'a Entry) -> Slot<'a> {
    let (path, entry) = match &entry.kind {
        Kind::Hardlink(target) => {
            rootfs.entries().get_key_value(target).map_or((path, entry), |(path, entry)| (path, entry))
        }
        _ => (path, entry),
    };
    match &entry.origin {
        Origin::Package(source) => Slot::Source(source),
        Origin::Generated => Slot::Generated(path.split_once('/').map_or("", |(place, _)| place)),
        Origin::State => Slot::State,
        Origin::Overlay(name) => Slot::Overlay(name),
    }
}

fn weight(entry: &Entry) -> u64 {
    match entry.kind {
        Kind::File { size, .. } => ENTRY_BYTES + size,
        _ => ENTRY_BYTES,
    }
}

/// The sources that have a layer of their own: those above [`LARGE`], raised in steps of a quarter until there are at
/// most `room`.
fn large<'a>(sources: &BTreeMap<&'a str, u64>, room: usize) -> BTreeSet<&'a str> {
    let mut threshold = LARGE;
    loop {
        let above = || sources.iter().filter(|(_, weight)| **weight >= threshold).map(|(source, _)| *source);
        if above().count() <= room {
            return above().collect();
        }
        threshold = threshold.saturating_add(threshold / 4);
    }
}

/// The bin of a small source: a number below `bins` that depends on nothing but its name.
fn bin(source: &str, bins: usize) -> u64 {
    let digest = Digest::of(source.as_bytes());
    let number = digest.as_bytes().iter().take(8).fold(0, |number: u64, &byte| number << 8 | u64::from(byte));
    number % bins as u64
}

/// The directory that holds `path`; none above the root.
fn parent(path: &str) -> Option<&str> {
    if path.is_empty() { None } else { Some(path.rsplit_once('/').map_or("", |(parent, _)| parent)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::example;
    use crate::rootfs::entry::Content;

    fn names(rootfs: &Rootfs, limit: usize) -> Vec<String> {
        plan(rootfs, limit).into_iter().map(|layer| layer.name).collect()
    }

    /// One source that ships a file of each of these sizes, which nobody will read.
    fn sources(sizes: impl IntoIterator<Item = (String, u64)>) -> Rootfs {
        let mut entries = BTreeMap::from([(String::new(), example::directory("base-files"))]);
        for (source, size) in sizes {
            let kind = Kind::File { size, digest: Digest::of(b""), content: Content::Bytes([].into()) };
            entries.insert(format!("{source}-file"), example::entry(kind, example::package(&source)));
        }
        Rootfs::new(entries, example::EPOCH)
    }

    #[test]
    fn the_layers_together_are_the_root_file_system() {
        let rootfs = example::rootfs();
        for limit in [0, 1, 10, LIMIT] {
            let layers = plan(&rootfs, limit);
            let union: BTreeSet<&str> = layers.iter().flat_map(|layer| layer.paths.iter().copied()).collect();
            assert_eq!(union, rootfs.entries().keys().map(String::as_str).collect());
            // Nothing but a directory is in two of them.
            let twice = rootfs
                .entries()
                .iter()
                .filter(|(_, entry)| entry.kind != Kind::Directory)
                .find(|(path, _)| layers.iter().filter(|layer| layer.paths.contains(&path.as_str())).count() != 1);
            assert_eq!(twice, None);
        }
    }

    #[test]
    fn packages_come_first_then_what_they_generated_then_state_then_overlays() {
        assert_eq!(
            names(&example::rootfs(), 1),
            [
                "packages from base-files, ca-certificates, iputils, odd, perl, util-linux",
                "generated below etc",
                "package database",
                "overlay base",
            ]
        );
    }

    #[test]
    fn every_layer_has_the_parents_of_its_paths_and_the_targets_of_its_hard_links() {
        let mut entries = example::rootfs().entries().clone();
        // A second name that someone else claims.
        let link = entries.get_mut("usr/bin/perl5.40.1").unwrap();
        link.origin = Origin::Generated;
        let rootfs = Rootfs::new(entries, example::EPOCH);
        for layer in plan(&rootfs, LIMIT) {
            for path in &layer.paths {
                assert!(parent(path).is_none_or(|parent| layer.paths.contains(&parent)), "{path} in {}", layer.name);
                if let Kind::Hardlink(target) = &rootfs.entries()[*path].kind {
                    assert!(layer.paths.contains(&target.as_str()), "{path} in {}", layer.name);
                }
            }
        }
    }

    #[test]
    fn an_empty_root_file_system_is_still_a_layer() {
        let rootfs = Rootfs::new(BTreeMap::from([(String::new(), example::directory("base-files"))]), example::EPOCH);
        assert_eq!(plan(&rootfs, LIMIT), [Layer { name: "packages from base-files".to_owned(), paths: vec![""] }]);
    }

    #[test]
    fn there_are_at_most_as_many_layers_as_allowed_however_large_the_packages() {
        let many = sources((0..500).map(|n| (format!("source{n}"), (n % 40) << 20)));
        assert!((60..=LIMIT).contains(&names(&many, LIMIT).len()), "{}", names(&many, LIMIT).len());
        assert!(names(&many, 20).len() <= 20);
    }

    #[test]
    fn a_package_that_grows_or_comes_or_goes_moves_only_itself() {
        let sizes = |n: u64| (format!("source{n}"), n * 100_000);
        let before = sources((0..200).map(sizes));
        let layers = |rootfs: &Rootfs| {
            plan(rootfs, LIMIT).into_iter().map(|layer| layer.paths.join(" ")).collect::<BTreeSet<_>>()
        };
        let changed = |after: &Rootfs| layers(&before).symmetric_difference(&layers(after)).count();
        // 19.9 MB grew to 60 MB: the same layers, of which one has other bytes.
        assert_eq!(
            changed(&sources((0..200).map(sizes).map(|(s, n)| if s == "source199" { (s, n * 3) } else { (s, n) }))),
            0
        );
        // A small one leaves its bin: that bin before, that bin after.
        assert_eq!(changed(&sources((0..200).filter(|&n| n != 7).map(sizes))), 2);
    }
}
