//! The images themselves: built from Debian's archive, from the recipes, overlays and locks of this repository.
//!
//! The fixture is built once for each run of the tests, with the environment and the store of whoever runs them; a second
//! run finds everything done. What follows reads the artifacts with code of its own: what grades a writer must not be
//! made of the writer's parts.

mod boot;
mod bundle;
mod cloud;
mod disk;
mod export;
mod failure;
mod layout;
mod oracle;
mod pair;
mod registry;
mod reproducible;
mod roles;
mod root;
mod system;
pub mod tools;
mod variants;
mod verify;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Instant;

use serde_json::Value;
use tar::EntryType;

use crate::harness::project::{GOLDSMITH, files_below};
use crate::harness::sha256;

/// The images of this repository.
pub const IMAGES: [&str; 2] = ["api", "db"];

/// This repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The store of whoever runs the tests, by the rule of the README.
pub fn store() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("GOLDSMITH_CACHE")
        .or_else(|| variable("XDG_CACHE_HOME").map(|cache| cache.join("goldsmith")))
        .or_else(|| variable("HOME").map(|home| home.join(".cache/goldsmith")))
        .expect("HOME is set")
}

/// Where the fixture lies: `DIRECTORY/api/…`, `DIRECTORY/db/…`. Built by the first test that asks.
pub fn images() -> &'static Path {
    static IMAGES_DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    IMAGES_DIRECTORY.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("images");
        let start = Instant::now();
        let mut command = Command::new(GOLDSMITH);
        command.args(["build", "--locked", "--output"]).arg(&directory).args(IMAGES).current_dir(repository());
        let output = command.output().expect("starting goldsmith");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "building the images failed:\n{said}");
        println!("the images: {:.1} s\n{said}", start.elapsed().as_secs_f64());
        directory
    })
}

/// The committed lock of an image.
pub fn lock(image: &str) -> toml::Table {
    let path = repository().join(format!("images/{image}.lock"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).parse().expect("TOML")
}

/// A recipe as it is written.
pub fn recipe(name: &str) -> toml::Table {
    let path = repository().join(format!("recipes/{name}.toml"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).parse().expect("TOML")
}

/// An OCI layout with one manifest, every blob of it checked against its name.
pub struct Layout {
    directory: PathBuf,
    /// `sha256:…` of the manifest.
    pub digest: String,
    /// The manifest.
    pub manifest: Value,
    /// The image's configuration.
    pub config: Value,
}

impl Layout {
    /// Reads `DIRECTORY/IMAGE/oci`.
    pub fn of(directory: &Path, image: &str) -> Self {
        let directory = directory.join(image).join("oci");
        let json = |bytes: Vec<u8>| serde_json::from_slice::<Value>(&bytes).expect("JSON");
        let index = json(fs::read(directory.join("index.json")).expect("index.json"));
        let digest = index["manifests"][0]["digest"].as_str().expect("a digest").to_owned();
        let mut layout = Self { directory, digest, manifest: Value::Null, config: Value::Null };
        layout.manifest = json(layout.blob(&layout.digest));
        layout.config = json(layout.blob(layout.manifest["config"]["digest"].as_str().expect("a digest")));
        layout
    }

    /// The bytes behind a digest.
    pub fn blob(&self, digest: &str) -> Vec<u8> {
        let hex = digest.strip_prefix("sha256:").expect("SHA-256");
        let bytes = fs::read(self.directory.join("blobs/sha256").join(hex)).expect("a blob");
        assert_eq!(sha256(&bytes), hex, "a blob is not what its name says");
        bytes
    }

    /// The layers as tars, bottom first.
    pub fn layers(&self) -> impl Iterator<Item = Vec<u8>> {
        self.manifest["layers"].as_array().expect("layers").iter().map(|layer| {
            let bytes = self.blob(layer["digest"].as_str().expect("a digest"));
            assert_eq!(layer["size"].as_u64(), Some(bytes.len() as u64));
            let mut tar = Vec::new();
            let media_type = layer["mediaType"].as_str().expect("a media type");
            let mut reader: Box<dyn Read> = match media_type.rsplit('+').next() {
                Some("zstd") => Box::new(zstd::stream::read::Decoder::new(bytes.as_slice()).expect("zstd")),
                Some("gzip") => Box::new(flate2::read::GzDecoder::new(bytes.as_slice())),
                _ => panic!("a layer of type {media_type}"),
            };
            reader.read_to_end(&mut tar).expect("decompressing a layer");
            tar
        })
    }

    /// The root file system: the layers one over the other, read as the OCI image-spec says.
    pub fn tree(&self) -> BTreeMap<String, Node> {
        let mut tree = BTreeMap::new();
        for layer in self.layers() {
            tree.extend(read_tar(layer.as_slice(), "-dlhp"));
        }
        let whiteout = tree.keys().find(|path| path.rsplit('/').next().is_some_and(|name| name.starts_with(".wh.")));
        assert_eq!(whiteout, None, "nothing is removed by a layer");
        tree
    }
}

/// What is in a tar; of these kinds and no others.
pub fn read_tar(tar: impl Read, kinds: &str) -> BTreeMap<String, Node> {
    let mut archive = tar::Archive::new(tar);
    let nodes = archive.entries().expect("a tar").map(|entry| Node::read(entry.expect("a member")));
    let nodes =
        nodes.inspect(|(path, node)| assert!(kinds.contains(node.kind), "{path}: {} has no place here", node.kind));
    nodes.collect()
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// `-` file, `d` directory, `l` symbolic link, `h` hard link, `p` named pipe, `c` device.
    pub kind: char,
    /// Permission bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u64, u64),
    /// Seconds since 1970.
    pub mtime: u64,
    /// Target of a link.
    pub target: String,
    /// Of a regular file.
    pub bytes: Vec<u8>,
    /// Extended attributes, as PAX says them.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

impl Node {
    fn read<R: Read>(mut entry: tar::Entry<'_, R>) -> (String, Self) {
        let path = String::from_utf8(entry.path_bytes().into_owned()).expect("UTF-8");
        let path = path.trim_end_matches('/');
        let path = if path == "." { String::new() } else { path.trim_start_matches("./").to_owned() };
        let mut xattrs = BTreeMap::new();
        if let Some(extensions) = entry.pax_extensions().expect("PAX") {
            for extension in extensions.map(|extension| extension.expect("PAX")) {
                if let Some(name) = extension.key().ok().and_then(|key| key.strip_prefix("SCHILY.xattr.")) {
                    xattrs.insert(name.to_owned(), extension.value_bytes().to_vec());
                }
            }
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("reading memory");
        let header = entry.header();
        let kind = match header.entry_type() {
            EntryType::Regular => '-',
            EntryType::Directory => 'd',
            EntryType::Symlink => 'l',
            EntryType::Link => 'h',
            EntryType::Fifo => 'p',
            EntryType::Char => 'c',
            other => panic!("{path}: {other:?} in an image"),
        };
        let target = entry.link_name_bytes().map(|target| String::from_utf8_lossy(&target).into_owned());
        let node = Self {
            kind,
            mode: header.mode().expect("a mode"),
            owner: (header.uid().expect("an owner"), header.gid().expect("a group")),
            mtime: header.mtime().expect("a time"),
            target: target.unwrap_or_default(),
            bytes,
            xattrs,
        };
        (path, node)
    }
}

/// Debian's archive as the store holds it: a directory in which every package of `locks` has its path of the pool.
/// So a build with an empty store needs no network.
pub fn pool(locks: &[toml::Table]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let blobs: BTreeMap<_, _> = files_below(&store().join("blobs/sha256"))
        .into_iter()
        .filter_map(|path| Some((path.file_name()?.to_str()?.to_owned(), path)))
        .collect();
    for package in locks.iter().flat_map(|lock| lock["package"].as_array().expect("packages")) {
        let text = |key: &str| package[key].as_str().expect("a text");
        let hex = text("sha256").trim_start_matches("sha256:");
        let blob = blobs.get(hex).unwrap_or_else(|| panic!("{} is not in the store", text("path")));
        let link = directory.path().join(text("path"));
        fs::create_dir_all(link.parent().expect("below the pool")).expect("a directory");
        if !link.exists() {
            std::os::unix::fs::symlink(blob, &link).expect("a link");
        }
    }
    directory
}

/// A copy of what a build reads of this repository, in a directory of another name.
pub fn checkout() -> tempfile::TempDir {
    let copy = tempfile::Builder::new().prefix("another directory, ").tempdir().expect("a temporary directory");
    // Overlays hold symbolic links, which are copied as such.
    let parts = ["recipes", "overlays"].map(|part| repository().join(part));
    let copied = Command::new("cp").arg("-a").args(parts).arg(copy.path()).status();
    assert!(copied.expect("running cp").success());
    fs::create_dir(copy.path().join("images")).expect("a directory");
    for file in fs::read_dir(repository().join("images")).expect("images").flatten().map(|entry| entry.path()) {
        if file.extension().is_some_and(|end| end == "lock") {
            fs::copy(&file, copy.path().join("images").join(file.file_name().unwrap_or_default()))
                .expect("copying a lock");
        }
    }
    copy
}
