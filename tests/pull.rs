//! What a host that has an old image pulls to have a new one: `cargo bench --bench pull -- OLD NEW`, two OCI layouts.
//!
//! ```text
//! files that differ, alone     the least that any grouping could reach
//! Goldsmith's layers           as they are in NEW, and not in OLD
//! apko's grouping              by source package, the largest in layers of their own, all else together; 10 layers, and as many as ours
//! one layer                    all of it
//! ```
//!
//! All of them of the same files, compressed in the same way; beside them the .debs that changed, as Debian compresses them.
//! Source for apko's: its `docs/layering.md` and `pkg/build/layers.go` (strategy `origin`).
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a bench reads the machine, and prints")]
#![allow(missing_docs, reason = "a program, not a library")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, Result};
use goldsmith::debian::deb822;
use goldsmith::digest::Digest;
use goldsmith::image::compress::{Compression, Compressor};
use goldsmith::image::{read, tar};
use goldsmith::rootfs::Rootfs;
use goldsmith::rootfs::entry::Kind;

/// A layer, by what it is called, and its bytes.
type Layers = BTreeMap<Digest, u64>;

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with('-'));
    let (Some(old), Some(new)) = (words.next(), words.next()) else {
        println!("usage: cargo bench --bench pull -- OLD NEW   # two OCI layouts");
        return Ok(());
    };
    let (old, new) = (Path::new(&old), Path::new(&new));
    let (before, now) = (read::rootfs(old).context("OLD")?, read::rootfs(new).context("NEW")?);
    let layers = |layout: &Path| -> Result<Layers> {
        Ok(read::pulled(layout)?.into_iter().map(|layer| (layer.digest, layer.size)).collect())
    };
    let (had, have) = (layers(old)?, layers(new)?);
    println!("{:32} {:>7} {:>12} {:>14}", "", "layers", "of them new", "bytes to pull");
    let differing = changed(&before, &now);
    let least = layer(&now, &differing)?;
    println!("{:32} {:>7} {:>12} {:>14}", "files that differ, alone", "", "", least.1);
    show("Goldsmith's layers", &had, &have);
    for budget in [10, have.len().saturating_sub(1)] {
        show(&format!("apko's grouping, {budget} layers"), &grouped(&before, budget)?, &grouped(&now, budget)?);
    }
    let whole = |rootfs: &Rootfs| -> Result<Layers> {
        let all: BTreeSet<&str> = rootfs.entries().keys().map(String::as_str).collect();
        Ok(BTreeMap::from([layer(rootfs, &all)?]))
    };
    show("one layer", &whole(&before)?, &whole(&now)?);
    Ok(())
}

fn show(name: &str, had: &Layers, have: &Layers) {
    let new: Vec<u64> = have.iter().filter(|(digest, _)| !had.contains_key(digest)).map(|(_, size)| *size).collect();
    println!("{name:32} {:>7} {:>12} {:>14}", have.len(), new.len(), new.iter().sum::<u64>());
}

/// These paths, and the directories above them, as a layer.
fn layer(rootfs: &Rootfs, paths: &BTreeSet<&str>) -> Result<(Digest, u64)> {
    let mut all = BTreeSet::new();
    for path in paths {
        let (path, _) = rootfs.entries().get_key_value(*path).context("a path of the image")?;
        let mut next = Some(path.as_str());
        while let Some(path) = next.filter(|path| all.insert(*path)) {
            next = (!path.is_empty()).then(|| path.rsplit_once('/').map_or("", |(parent, _)| parent));
        }
        // A hard link is where its file is.
        if let Kind::Hardlink(target) = &rootfs.entries()[path].kind {
            all.insert(target);
        }
    }
    let mut out = Compressor::new(Compression::Zstd, io::sink())?;
    tar::write(rootfs, all, &mut out)?;
    let (_, compressed) = out.finish()?;
    Ok((compressed.digest, compressed.size))
}

/// The paths of `now` that are not the same in `before`.
fn changed<'a>(before: &Rootfs, now: &'a Rootfs) -> BTreeSet<&'a str> {
    let same = |path: &str| {
        let (Some(was), Some(is)) = (before.entries().get(path), now.entries().get(path)) else { return false };
        let content = match (&was.kind, &is.kind) {
            (Kind::File { digest: was, .. }, Kind::File { digest: is, .. }) => was == is,
            (was, is) => was == is,
        };
        content && (was.mode, was.uid, was.gid, &was.xattrs) == (is.mode, is.uid, is.gid, &is.xattrs)
    };
    let files = now.entries().iter().filter(|(_, entry)| entry.kind != Kind::Directory);
    files.map(|(path, _)| path.as_str()).filter(|path| !same(path)).collect()
}

/// What apko would know of a package.
struct Package {
    source: String,
    size: u64,
    replaces: Vec<String>,
    paths: Vec<String>,
}

/// Debian's packages of the image, from dpkg's database.
fn packages(rootfs: &Rootfs) -> Result<BTreeMap<String, Package>> {
    let text = |path: &str| -> Result<String> {
        let mut text = String::new();
        rootfs.open(path)?.read_to_string(&mut text)?;
        Ok(text)
    };
    let mut packages = BTreeMap::new();
    for paragraph in deb822::paragraphs(&text("var/lib/dpkg/status")?) {
        let fields = paragraph.table()?;
        let name = fields.require("Package")?.to_owned();
        let word = |text: &str| text.split_whitespace().next().unwrap_or_default().to_owned();
        let source = fields.get("Source").map_or_else(|| name.clone(), word);
        let replaces = fields.get("Replaces").map(|all| all.split(',').map(|one| word(one.trim())).collect());
        let size = fields.get("Installed-Size").and_then(|size| size.parse().ok()).unwrap_or(0);
        let arch = fields.get("Architecture").unwrap_or_default();
        let lists = [format!("var/lib/dpkg/info/{name}.list"), format!("var/lib/dpkg/info/{name}:{arch}.list")];
        let list = lists.iter().find(|list| rootfs.entries().contains_key(*list)).context("a list of files")?;
        let paths = text(list)?.lines().map(|path| path.trim_start_matches('/').to_owned()).collect();
        packages.insert(name, Package { source, size, replaces: replaces.unwrap_or_default(), paths });
    }
    Ok(packages)
}

/// As apko's strategy `origin` does it, with this budget: the layers of the packages, and the one of what no package owns.
fn grouped(rootfs: &Rootfs, budget: usize) -> Result<Layers> {
    let packages = packages(rootfs)?;
    let mut group: BTreeMap<&str, String> =
        packages.iter().map(|(name, one)| (name.as_str(), one.source.clone())).collect();
    for (name, package) in &packages {
        for replaced in package.replaces.iter().filter(|name| packages.contains_key(name.as_str())) {
            let (one, other) = (group[name.as_str()].clone(), group[replaced.as_str()].clone());
            group.values_mut().filter(|group| **group == other).for_each(|group| group.clone_from(&one));
        }
    }
    let mut sizes: BTreeMap<&String, u64> = BTreeMap::new();
    for (name, group) in &group {
        *sizes.entry(group).or_default() += packages[*name].size;
    }
    let mut order: Vec<(&String, u64)> = sizes.into_iter().collect();
    order.sort_by_key(|(name, size)| (std::cmp::Reverse(*size), (*name).clone()));
    let kept = if order.len() > budget { budget.saturating_sub(1) } else { order.len() };
    let own: BTreeSet<&String> = order.iter().take(kept).map(|(name, _)| *name).collect();

    let mut owner: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, package) in &packages {
        let group = &group[name.as_str()];
        let layer = if own.contains(group) { group.as_str() } else { "the rest" };
        for path in &package.paths {
            for path in [path.clone(), format!("usr/{path}")] {
                if let Some((path, _)) = rootfs.entries().get_key_value(&path) {
                    owner.entry(path).or_insert(layer);
                }
            }
        }
    }
    let mut layers: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (path, _) in rootfs.entries().iter().filter(|(_, entry)| entry.kind != Kind::Directory) {
        layers.entry(owner.get(path.as_str()).copied().unwrap_or("no package")).or_default().insert(path);
    }
    layers.values().map(|paths| layer(rootfs, paths)).collect()
}
