//! `images/NAME.lock`: the identity of an image, committed beside its recipe.
//!
//! TOML, written by hand here and not by a serialiser: always in the same order, one blank line between two entries, a
//! list on one line as long as it fits, so that a change of the image is a change of few lines.
//!
//! ```toml
//! version = 1                                   # of the format
//! image = "api"
//! arch = "amd64"
//! epoch = 1790841341                            # newest Date of the archives below, in seconds
//! wish = "sha256:…"                             # what the recipe asked
//!
//! [[archive]]                                   # the chain of trust: signed InRelease → indices → packages
//! name = "trixie"
//! inrelease = "sha256:…"
//! …
//!
//! [[archive.index]]
//! …
//!
//! [[package]]
//! name = "apache2"
//! …
//!
//! [gives]                                       # what a build made of it, and must make again
//! oci = "sha256:…"
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::wish::Solution;
use crate::arch::Arch;
use crate::debian::index::Index;
use crate::debian::version::Version;
use crate::digest::Digest;
use crate::epoch::Epoch;

/// The version of the format that is written, and the only one that is read.
pub const FORMAT: u32 = 1;

/// What stands at the top of every lock.
const HEADER: &str = "\
# The lock of an image: exactly these packages, from exactly these archives. Written by `goldsmith lock`; commit it.
# Don't edit it: change the recipe and run `goldsmith lock`, or run `goldsmith lock --update` to move to what the archives have now.
";

/// Lists longer than this stand one item a line.
const LINE: usize = 120;

/// The answer to a recipe: exactly these packages, from exactly these archives.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Of the format; `1`.
    pub version: u32,
    /// The image that it is for.
    pub image: String,
    /// Of the image.
    pub arch: Arch,
    /// The newest `Date` of the Release files: every time in the image is at most this.
    pub epoch: Epoch,
    /// Of everything in the recipe (with its parents) that the resolver was asked: changes when the wish changes.
    pub wish: Digest,
    /// The archives, in the recipe's order.
    #[serde(rename = "archive")]
    pub archives: Vec<Archive>,
    /// The packages, by name.
    #[serde(rename = "package")]
    pub packages: Vec<Locked>,
    /// What this lock is known to give: artifact name (`oci`, `rootfs`) to digest; empty until the first build.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gives: BTreeMap<String, Digest>,
}

/// One verified Release file, and the indices taken from it: the chain of trust.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Archive {
    /// By which the recipe and the packages call it.
    pub name: String,
    /// `trixie-security`.
    pub suite: String,
    /// Of the InRelease file.
    pub inrelease: Digest,
    /// Fingerprints of the keys (primary) whose signatures were good, upper-case hexadecimal, sorted.
    pub signed_by: Vec<String>,
    /// `Date`, RFC 3339.
    pub date: String,
    /// `Valid-Until`, RFC 3339, if the archive says one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<String>,
    /// The indices read.
    #[serde(rename = "index")]
    pub indices: Vec<IndexFile>,
}

/// One `Packages.xz`.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct IndexFile {
    /// Below the Release file: `main/binary-amd64/Packages.xz`.
    pub path: String,
    /// Of the compressed file.
    pub sha256: Digest,
    /// In bytes, compressed.
    pub size: u64,
}

/// One package.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// Name.
    pub name: String,
    /// Version.
    pub version: Version,
    /// `amd64` or `all`.
    pub arch: String,
    /// Source package.
    pub source: String,
    /// Its version, where it is another than the package's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_version: Option<Version>,
    /// Name of the [`Archive`].
    pub archive: String,
    /// Below the archive's root: `pool/main/…`.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// Of the `.deb`.
    pub sha256: Digest,
    /// Who asked for it: `recipe base`, `essential`, `required`, `apache2 Depends`…; sorted, never empty.
    pub because: Vec<String>,
}

/// Why a lock can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The file can't be read.
    #[error("cannot read the lock {path}: {source}", path = .path.display())]
    Read {
        /// The lock.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file can't be written.
    #[error("cannot write the lock {path}: {source}", path = .path.display())]
    Write {
        /// The lock.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There is no such file.
    #[error("there is no lock {path}: run `goldsmith lock` to make it", path = .path.display())]
    Missing {
        /// The lock.
        path: PathBuf,
    },
    /// It is no lock.
    #[error("{path}{at}: {source}", path = .path.display(), at = .source.at())]
    Malformed {
        /// The lock.
        path: PathBuf,
        /// What is wrong with it.
        source: NotALock,
    },
}

/// Why a text is not a lock.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotALock {
    /// Not TOML, or not these keys.
    #[error("the lock is damaged: {message}; restore it from version control, or remove it and run `goldsmith lock`")]
    Damaged {
        /// The line, from 1, if it is known.
        line: Option<usize>,
        /// What the parser says.
        message: String,
    },
    /// Another format.
    #[error(
        "the lock has format {found}, and this Goldsmith reads format {FORMAT}: use the Goldsmith that wrote it, or run `goldsmith lock` anew"
    )]
    Format {
        /// What `version` says.
        found: i64,
    },
    /// TOML with the right keys that contradicts itself.
    #[error("the lock is damaged: {0}; restore it from version control, or remove it and run `goldsmith lock`")]
    Contradiction(String),
}

impl NotALock {
    /// `:17`, or nothing where the line is not known.
    fn at(&self) -> String {
        match self {
            Self::Damaged { line: Some(line), .. } => format!(":{line}"),
            _ => String::new(),
        }
    }
}

impl Lock {
    /// Reads the text of a lock.
    ///
    /// # Errors
    /// It is not TOML, of another format, has other keys, or contradicts itself (a package twice, from an archive that it
    /// doesn't name, that nobody asked for, or whose path leads out of the archive).
    pub fn parse(text: &str) -> Result<Self, NotALock> {
        let damaged = |error: toml::de::Error| NotALock::Damaged {
            line: error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1),
            message: error.message().trim_end().replace('\n', " "),
        };
        let table: toml::Table = text.parse().map_err(damaged)?;
        match table.get("version").and_then(toml::Value::as_integer) {
            Some(found) if found != i64::from(FORMAT) => return Err(NotALock::Format { found }),
            _ => {}
        }
        let lock: Self = toml::from_str(text).map_err(damaged)?;
        lock.contradiction().map_or(Ok(()), |what| Err(NotALock::Contradiction(what)))?;
        Ok(lock)
    }

    /// When the Release file of the archive `name` was made; none if it names no such archive, or no date.
    pub fn date(&self, name: &str) -> Option<Epoch> {
        let archive = self.archives.iter().find(|archive| archive.name == name)?;
        Some(Epoch(archive.date.parse::<jiff::Timestamp>().ok()?.as_second()))
    }

    /// Reads the lock at `path`.
    ///
    /// # Errors
    /// It isn't there, can't be read, or is no lock.
    pub fn load(path: &Path) -> Result<Self, LockError> {
        let text = fs::read_to_string(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => LockError::Missing { path: path.to_owned() },
            _ => LockError::Read { path: path.to_owned(), source },
        })?;
        Self::parse(&text).map_err(|source| LockError::Malformed { path: path.to_owned(), source })
    }

    /// Writes the lock to `path`, whole or not at all: whoever reads at the same time sees the old one or the new one.
    ///
    /// # Errors
    /// The folder can't be made or written to, or the disk is full; what was there is there still.
    pub fn save(&self, path: &Path) -> Result<(), LockError> {
        let write = || -> io::Result<()> {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            fs::create_dir_all(folder)?;
            let mut file = tempfile::Builder::new().permissions(readable()).tempfile_in(folder)?;
            file.write_all(self.to_text().as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(path)?;
            File::open(folder)?.sync_all()
        };
        write().map_err(|source| LockError::Write { path: path.to_owned(), source })
    }

    /// The lock as it stands in its file: the same for the same lock, whatever the order of its lists.
    pub fn to_text(&self) -> String {
        let mut text = Text(HEADER.to_owned());
        text.blank();
        text.number("version", self.version);
        text.string("image", &self.image);
        text.string("arch", self.arch.debian());
        text.number("epoch", self.epoch);
        text.string("wish", &self.wish.to_string());
        self.archives.iter().for_each(|archive| archive.write(&mut text));
        let mut packages: Vec<_> = self.packages.iter().collect();
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        packages.into_iter().for_each(|package| package.write(&mut text));
        if !self.gives.is_empty() {
            text.table("[gives]");
            self.gives.iter().for_each(|(name, digest)| text.string(&key(name), &digest.to_string()));
        }
        text.0
    }

    /// What the next resolution keeps: each package at the version that is locked.
    pub fn keep(&self) -> BTreeMap<String, Version> {
        self.packages.iter().map(|package| (package.name.clone(), package.version.clone())).collect()
    }

    /// The first thing in it that can't be.
    fn contradiction(&self) -> Option<String> {
        let archives: BTreeSet<&str> = self.archives.iter().map(|archive| archive.name.as_str()).collect();
        if archives.len() < self.archives.len() {
            return Some("two archives have the same name".to_owned());
        }
        let mut names = BTreeSet::new();
        self.packages.iter().find_map(|Locked { name, archive, path, because, .. }| {
            let leads_out = !Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
            match () {
                () if !names.insert(name) => Some(format!("package {name} stands there twice")),
                () if !archives.contains(archive.as_str()) => {
                    Some(format!("package {name} comes from archive {archive}, which isn't there"))
                }
                () if leads_out || path.is_empty() => {
                    Some(format!("the path of package {name} leads out of its archive"))
                }
                () if because.is_empty() => Some(format!("package {name} is there because of nothing")),
                () => None,
            }
        })
    }
}

impl Archive {
    fn write(&self, text: &mut Text) {
        text.table("[[archive]]");
        text.string("name", &self.name);
        text.string("suite", &self.suite);
        text.string("inrelease", &self.inrelease.to_string());
        text.list("signed_by", &self.signed_by);
        text.string("date", &self.date);
        self.valid_until.iter().for_each(|valid_until| text.string("valid_until", valid_until));
        for index in &self.indices {
            text.table("[[archive.index]]");
            text.string("path", &index.path);
            text.string("sha256", &index.sha256.to_string());
            text.number("size", index.size);
        }
    }
}

impl Locked {
    /// The packages of `solution`, by name, with what the lock says of each.
    pub fn of(solution: &Solution, index: &Index) -> Vec<Self> {
        let lock = |chosen: &super::wish::Chosen| {
            let package = index.package(chosen.id);
            let source_version = Some(&package.source_version).filter(|version| **version != package.version);
            Self {
                name: package.name.clone(),
                version: package.version.clone(),
                arch: package.architecture.clone(),
                source: package.source.clone(),
                source_version: source_version.cloned(),
                archive: index.source(chosen.id).to_owned(),
                path: package.filename.clone(),
                size: package.size,
                sha256: package.sha256,
                because: chosen.because.clone(),
            }
        };
        solution.packages.values().map(lock).collect()
    }

    fn write(&self, text: &mut Text) {
        text.table("[[package]]");
        text.string("name", &self.name);
        text.string("version", self.version.as_str());
        text.string("arch", &self.arch);
        text.string("source", &self.source);
        self.source_version.iter().for_each(|version| text.string("source_version", version.as_str()));
        text.string("archive", &self.archive);
        text.string("path", &self.path);
        text.number("size", self.size);
        text.string("sha256", &self.sha256.to_string());
        text.list("because", &self.because);
    }
}

/// TOML, line by line.
struct Text(String);

impl Text {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.0, "{line}"); // writing to a String can't fail
    }

    fn blank(&mut self) {
        self.line(format_args!(""));
    }

    fn table(&mut self, header: &str) {
        self.blank();
        self.line(format_args!("{header}"));
    }

    fn number(&mut self, key: &str, value: impl std::fmt::Display) {
        self.line(format_args!("{key} = {value}"));
    }

    fn string(&mut self, key: &str, value: &str) {
        self.line(format_args!("{key} = {}", quoted(value)));
    }

    fn list(&mut self, key: &str, values: &[String]) {
        let quoted: Vec<_> = values.iter().map(|value| quoted(value)).collect();
        let line = format!("{key} = [{}]", quoted.join(", "));
        if line.chars().count() <= LINE {
            return self.line(format_args!("{line}"));
        }
        self.line(format_args!("{key} = ["));
        quoted.iter().for_each(|value| self.line(format_args!("    {value},")));
        self.line(format_args!("]"));
    }
}

/// A TOML basic string.
fn quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for letter in value.chars() {
        match letter {
            '"' | '\\' => text.extend(['\\', letter]),
            _ if letter.is_control() => text.push_str(&format!("\\u{:04X}", u32::from(letter))),
            _ => text.push(letter),
        }
    }
    text.push('"');
    text
}

/// A TOML key, bare where it can be.
fn key(name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if bare { name.to_owned() } else { quoted(name) }
}

/// What any committed file has; a temporary one would have 0600.
fn readable() -> fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    fs::Permissions::from_mode(0o644)
}

#[cfg(test)]
mod tests;
