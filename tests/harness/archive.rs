//! A Debian archive in memory: the repository format (`dists/`, `pool/`, `InRelease`, `Packages.xz`, by-hash).

use std::collections::BTreeMap;

use super::{Deb, Key, sha256, xz};

/// The date of an archive unless a test says otherwise, as a Release file writes it.
pub const DATE: &str = "Thu, 01 Jan 2026 00:00:00 UTC";

/// Packages, and what its Release file will say of them.
#[derive(Clone)]
pub struct Archive {
    key: Option<Key>,
    suite: String,
    date: String,
    valid_until: Option<String>,
    debs: Vec<Deb>,
}

impl Archive {
    /// An empty archive of the suite `trixie`, signed with `key`.
    pub fn new(key: &Key) -> Self {
        Self { key: Some(key.clone()), suite: "trixie".into(), date: DATE.into(), valid_until: None, debs: Vec::new() }
    }

    /// Adds a package.
    pub fn package(mut self, deb: Deb) -> Self {
        self.debs.push(deb);
        self
    }

    /// Its name below `dists/`.
    pub fn suite(mut self, suite: &str) -> Self {
        self.suite = suite.into();
        self
    }

    /// `Date`.
    pub fn date(mut self, date: &str) -> Self {
        self.date = date.into();
        self
    }

    /// `Valid-Until`.
    pub fn valid_until(mut self, date: &str) -> Self {
        self.valid_until = Some(date.into());
        self
    }

    /// Without any signature: `InRelease` is the bare Release file.
    pub fn unsigned(mut self) -> Self {
        self.key = None;
        self
    }

    /// Every file of the archive, by its path below the archive's root.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut packages = String::new();
        for deb in &self.debs {
            let (path, bytes) = (deb.pool_path(), deb.bytes());
            packages.push_str(&deb.listing());
            packages.push_str(&format!("Filename: {path}\nSize: {}\nSHA256: {}\n\n", bytes.len(), sha256(&bytes)));
            files.insert(path, bytes);
        }
        let dists = format!("dists/{}", self.suite);
        let index = "main/binary-amd64/Packages";
        let mut sums = String::new();
        for (path, bytes) in
            [(index.to_owned(), packages.clone().into_bytes()), (format!("{index}.xz"), xz(packages.as_bytes()))]
        {
            let digest = sha256(&bytes);
            sums.push_str(&format!(" {digest} {:>8} {path}\n", bytes.len()));
            files.insert(format!("{dists}/main/binary-amd64/by-hash/SHA256/{digest}"), bytes.clone());
            files.insert(format!("{dists}/{path}"), bytes);
        }
        let mut release = format!("Origin: Tests\nLabel: Tests\nSuite: {}\nCodename: {}\n", self.suite, self.suite);
        release.push_str(&format!("Date: {}\n", self.date));
        if let Some(date) = &self.valid_until {
            release.push_str(&format!("Valid-Until: {date}\n"));
        }
        release.push_str("Acquire-By-Hash: yes\nArchitectures: all amd64\nComponents: main\n");
        release.push_str(&format!("Description: An archive for tests\nSHA256:\n{sums}"));
        let inrelease = self.key.as_ref().map_or_else(|| release.clone(), |key| key.clear_sign(&release));
        files.insert(format!("{dists}/InRelease"), inrelease.into_bytes());
        files
    }
}

/// The archive that most tests use. `hello` needs `libgreet1 (>= 1:2)`, which is there, and one `greeting`, which two
/// packages provide; `base-files` is Essential; nothing else is asked for.
pub fn greetings(key: &Key) -> Archive {
    let base = Deb::new("base-files", "14").essential().directory("etc").directory("var/lib").directory("bin");
    let hello = Deb::new("hello", "2.12-1")
        .depends("libgreet1 (>= 1:2), greeting-formal | greeting")
        .file("usr/bin/hello", 0o755, b"#!/bin/sh\necho hello\n")
        .symlink("usr/bin/hi", "hello");
    let library = Deb::new("libgreet1", "1:2.0-3").field("Source", "greet (2.0-3)").field("Multi-Arch", "same");
    let formal = Deb::new("greeting-formal", "1.0").field("Provides", "greeting").field("Architecture", "all");
    let casual = Deb::new("greeting-casual", "1.0").field("Provides", "greeting").field("Architecture", "all");
    let unneeded = Deb::new("unneeded", "1.0");
    let rude = Deb::new("rude", "1.0").field("Conflicts", "greeting");
    let broken = Deb::new("broken", "1.0").depends("libgreet1 (>= 1:3)");
    [base, hello, library, formal, casual, unneeded, rude, broken].into_iter().fold(Archive::new(key), Archive::package)
}
