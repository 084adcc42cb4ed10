//! A sealed root file system as whoever runs in it sees it: by path, through links.

use std::collections::BTreeSet;
use std::io::Read;

use super::claims::Claims;
use crate::rootfs::Rootfs;
use crate::rootfs::entry::{Entry, Kind};

/// An image under audit, and what it claims to be.
#[derive(Debug)]
pub struct Audited<'a> {
    rootfs: &'a Rootfs,
    claims: &'a Claims,
}

/// How many links one path may go through: as in the kernel (`path_resolution(7)`).
const LINKS: usize = 40;

impl<'a> Audited<'a> {
    /// `rootfs`, which claims to be what `claims` says.
    pub fn new(rootfs: &'a Rootfs, claims: &'a Claims) -> Self {
        Self { rootfs, claims }
    }

    /// What the recipe says.
    pub fn claims(&self) -> &'a Claims {
        self.claims
    }

    /// Every path, with what is there; links as links.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, &'a Entry)> + use<'a> {
        self.rootfs.entries().iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// Everything below the directory `path`, which is looked up through links, with its path; links as links.
    pub fn below(&self, path: &str) -> impl Iterator<Item = (&'a str, &'a Entry)> + use<'a> {
        let start = format!("{}/", self.resolve(path).unwrap_or_else(|| path.to_owned()));
        let range = self.rootfs.entries().range(start.clone()..);
        range.take_while(move |(path, _)| path.starts_with(&start)).map(|(path, entry)| (path.as_str(), entry))
    }

    /// The names of what lies directly in the directory `path`, sorted.
    pub fn names(&self, path: &str) -> BTreeSet<&'a str> {
        let start = self.resolve(path).map_or(0, |directory| directory.len() + 1);
        self.below(path).map(|(path, _)| &path[start..]).filter(|name| !name.contains('/')).collect()
    }

    /// Where `path` leads when every link is followed; none if there is nothing.
    pub fn resolve(&self, path: &str) -> Option<String> {
        let mut todo: Vec<String> = parts(path).rev().map(str::to_owned).collect();
        let (mut place, mut links) = (Vec::<String>::new(), 0);
        while let Some(part) = todo.pop() {
            if part == ".." {
                place.pop();
                continue;
            }
            place.push(part);
            let here = place.join("/");
            if let Kind::Symlink(target) = &self.rootfs.entries().get(&here)?.kind {
                links += 1;
                if links > LINKS {
                    return None;
                }
                match target.starts_with('/') {
                    true => place.clear(),
                    false => drop(place.pop()),
                }
                todo.extend(parts(target).rev().map(str::to_owned));
            }
        }
        Some(place.join("/"))
    }

    /// What is at `path` itself, a link as a link; of another name of a file, the file.
    pub fn lookup(&self, path: &str) -> Option<&'a Entry> {
        let entry = self.rootfs.entries().get(path)?;
        match &entry.kind {
            Kind::Hardlink(target) => self.rootfs.entries().get(target),
            _ => Some(entry),
        }
    }

    /// What is at `path` when every link is followed.
    pub fn entry(&self, path: &str) -> Option<&'a Entry> {
        self.lookup(&self.resolve(path)?)
    }

    /// Whether there is something at `path`.
    pub fn has(&self, path: &str) -> bool {
        self.resolve(path).is_some()
    }

    /// The bytes of the file at `path`; none if there is no file.
    pub fn bytes(&self, path: &str) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        self.rootfs.open(&self.resolve(path)?).ok()?.read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// The text of the file at `path`; what is not UTF-8 in it is replaced. None if there is no file.
    pub fn text(&self, path: &str) -> Option<String> {
        self.bytes(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The files `*SUFFIX` directly in the directory `path`, in the order of their names, with path and text.
    pub fn texts(&self, path: &str, suffix: &str) -> Vec<(String, String)> {
        let names = self.names(path).into_iter().filter(|name| name.ends_with(suffix));
        names.filter_map(|name| Some((format!("{path}/{name}"), self.text(&format!("{path}/{name}"))?))).collect()
    }

    /// Whether dpkg says that a package of this name is installed.
    pub fn installs(&self, package: &str) -> bool {
        let wanted = format!("Package: {package}");
        let status = self.text("var/lib/dpkg/status").unwrap_or_default();
        status.split("\n\n").any(|paragraph| {
            let mut lines = paragraph.lines();
            lines.any(|line| line == wanted) && paragraph.lines().any(|line| line == "Status: install ok installed")
        })
    }
}

fn parts(path: &str) -> impl DoubleEndedIterator<Item = &str> {
    path.split('/').filter(|part| !matches!(*part, "" | "."))
}
