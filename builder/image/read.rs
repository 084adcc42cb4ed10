//! An OCI image layout as what it unpacks to, all of it verified: a [`Listing`], or the whole [`Rootfs`].
//!
//! ```text
//! index.json ─▶ manifest ─▶ config: diff_ids
//!                   └─▶ layers ─▶ uncompress ─▶ tar ─▶ laid over each other
//! ```
//!
//! Knows nothing of how Goldsmith writes images: it follows the digests from the index down, hashes every blob before and
//! after it is uncompressed, and lays the layers over each other. So it can say of an image from anywhere whether it is
//! the root file system that a lock names, and what is in the bytes that ship.
//!
//! Layers are read beside each other, one on each processor: what takes long is hashing and uncompressing.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ocipkg::image::{Image, OciDir};
use ocipkg::oci_spec::image::{Descriptor, ImageConfiguration, ImageManifest, MediaType};

use crate::digest::{Digest, Hashing};
use crate::epoch::Epoch;
use crate::image::compress::Compression;
use crate::image::tar::{read_contents, read_listing};
use crate::rootfs::Rootfs;
use crate::rootfs::entry::{Content, Entry, Kind, Origin};
use crate::rootfs::listing::{Listing, Node};

/// Bytes by what they are.
type Contents = BTreeMap<Digest, Arc<[u8]>>;

/// Reads the one image of the layout in this directory.
///
/// # Errors
/// If it can't be read; if a blob is not what its digest or `diff_id` says; if its layers are in a format that is not
/// known, or delete files of each other (whiteouts), which Goldsmith's never do.
pub fn listing(layout: &Path) -> io::Result<Listing> {
    Ok(layers(layout, false)?.0)
}

/// Reads the one image of the layout in this directory, with the bytes of its files: the root file system that whoever
/// gets the image has. Its epoch is the latest time in it; who brought a path is not known any more.
///
/// # Errors
/// As [`listing`]; if there are device nodes in it, which have no place in an image.
pub fn rootfs(layout: &Path) -> io::Result<Rootfs> {
    let (listing, contents) = layers(layout, true)?;
    let mut entries = BTreeMap::new();
    for (path, line) in listing.lines() {
        let kind = match &line.node {
            Node::Directory => Kind::Directory,
            Node::Symlink(target) => Kind::Symlink(target.clone()),
            Node::Hardlink(target) => Kind::Hardlink(target.clone()),
            Node::Fifo => Kind::Fifo,
            Node::File { size, digest } => {
                let bytes = contents.get(digest).ok_or_else(|| damaged(format!("the file {path}")))?;
                Kind::File { size: *size, digest: *digest, content: Content::Bytes(bytes.clone()) }
            }
            Node::Device { .. } => return Err(io::Error::other(format!("the image holds a device node: {path}"))),
        };
        let (mode, uid, gid, mtime) = (line.mode, line.uid, line.gid, line.mtime);
        let entry = Entry { kind, mode, uid, gid, mtime, xattrs: line.xattrs.clone(), origin: Origin::Generated };
        entries.insert(path.clone(), entry);
    }
    let latest = entries.values().map(|entry: &Entry| entry.mtime).max().unwrap_or_default();
    Ok(Rootfs::new(entries, Epoch(latest)))
}

/// A layer, as whoever pulls it sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// Of its blob.
    pub digest: Digest,
    /// Of its blob, in bytes.
    pub size: u64,
    /// What the image's history says of it; empty if that says nothing.
    pub made_by: String,
}

/// What a host that has nothing of it pulls: its layers, from the bottom up.
///
/// # Errors
/// If the layout or its manifest can't be read, or the configuration is not what its digest says.
pub fn pulled(layout: &Path) -> io::Result<Vec<Pulled>> {
    let (manifest, config) = definition(layout)?;
    // A step of the history that made no layer says so (OCI image-spec, config.md).
    let steps = config.history().iter().flatten().filter(|step| step.empty_layer() != Some(true));
    let mut said = steps.map(|step| step.created_by().clone().unwrap_or_default());
    let pulled = manifest.layers().iter().map(|layer| {
        Ok(Pulled { digest: digest(layer)?, size: layer.size(), made_by: said.next().unwrap_or_default() })
    });
    pulled.collect()
}

/// Lays out the archive `NAME.oci.tar` as the directory that it is of, below `folder`, which is there and empty. Nothing is
/// verified here: whoever reads the layout does.
///
/// # Errors
/// If it can't be read or written, or is no archive of an image layout: something else than files and folders, or a path
/// that leads elsewhere.
pub fn lay_out(archive: &Path, folder: &Path) -> io::Result<()> {
    for member in tar::Archive::new(File::open(archive)?).entries()? {
        let mut member = member?;
        let path = member.path()?.into_owned();
        let inside = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !inside {
            return Err(io::Error::other(format!("the archive has a path that leads elsewhere: {}", path.display())));
        }
        let place = folder.join(&path);
        match member.header().entry_type() {
            tar::EntryType::Directory => fs::create_dir_all(&place)?,
            tar::EntryType::Regular => {
                place.parent().map_or(Ok(()), fs::create_dir_all)?;
                io::copy(&mut member, &mut File::create(&place)?)?;
            }
            _ => return Err(io::Error::other(format!("the archive holds more than files: {}", path.display()))),
        }
    }
    match folder.join("index.json").exists() {
        true => Ok(()),
        false => Err(io::Error::other("it is no archive of an OCI image layout: there is no index.json in it")),
    }
}

/// The manifest and the configuration, which is what its digest says.
fn definition(layout: &Path) -> io::Result<(ImageManifest, ImageConfiguration)> {
    let mut image = OciDir::new(layout).map_err(other)?;
    let manifest = image.get_manifest().map_err(other)?;
    let config = image.get_blob(manifest.config().digest()).map_err(other)?;
    if Digest::of(&config) != digest(manifest.config())? {
        return Err(damaged(format!("the configuration {}", manifest.config().digest())));
    }
    Ok((manifest, serde_json::from_slice(&config)?))
}

/// All layers, laid over each other; and the bytes of their files, if they are wanted.
fn layers(layout: &Path, wanted: bool) -> io::Result<(Listing, Contents)> {
    let (manifest, config) = definition(layout)?;
    if config.rootfs().diff_ids().len() != manifest.layers().len() {
        return Err(io::Error::other("the image's configuration and its manifest name different numbers of layers"));
    }
    let work: Vec<_> = manifest.layers().iter().zip(config.rootfs().diff_ids()).collect();
    let (next, done) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(work.len());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((index, (descriptor, diff_id))) = take(&next, &work) {
                    let read = layer(layout, descriptor, diff_id, wanted);
                    done.lock().unwrap_or_else(PoisonError::into_inner).insert(index, read);
                }
            });
        }
    });
    let (mut listing, mut contents) = (Listing::default(), Contents::new());
    for (_, read) in done.into_inner().unwrap_or_else(PoisonError::into_inner) {
        let (above, bytes) = read?;
        listing.lay(above);
        contents.extend(bytes);
    }
    let whiteout = listing.lines().keys().find(|path| path.split('/').any(|name| name.starts_with(".wh.")));
    match whiteout {
        Some(path) => Err(io::Error::other(format!("the image deletes files of its own layers: {path}"))),
        None => Ok((listing, contents)),
    }
}

/// The next of `work` that nobody has taken yet.
fn take<'a, T>(next: &AtomicUsize, work: &'a [T]) -> Option<(usize, &'a T)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    Some((index, work.get(index)?))
}

fn layer(layout: &Path, layer: &Descriptor, diff_id: &str, wanted: bool) -> io::Result<(Listing, Contents)> {
    let compression = match layer.media_type() {
        MediaType::ImageLayerZstd => Compression::Zstd,
        MediaType::ImageLayerGzip => Compression::Gzip,
        other => {
            return Err(io::Error::other(format!("the image has a layer of the type {other}, which is not known")));
        }
    };
    let expected = digest(layer)?;
    let blob = File::open(layout.join("blobs/sha256").join(expected.hex()))?;
    let mut blob = Tee { from: blob, to: Hashing::new(io::sink()) };
    let mut contents = Contents::new();
    let (listing, found) = {
        let mut archive = Tee { from: compression.decompress(&mut blob)?, to: Hashing::new(io::sink()) };
        let listing = match wanted {
            true => read_contents(&mut archive, &mut contents)?,
            false => read_listing(&mut archive)?,
        };
        io::copy(&mut archive, &mut io::sink())?; // an archive may end before its bytes do
        (listing, archive.to.finish().1)
    };
    io::copy(&mut blob, &mut io::sink())?;
    let (_, blob, size) = blob.to.finish();
    if (blob, size) != (expected, layer.size()) || found.to_string() != diff_id {
        return Err(damaged(format!("the layer {expected}")));
    }
    Ok((listing, contents))
}

fn digest(descriptor: &Descriptor) -> io::Result<Digest> {
    descriptor.digest().to_string().parse().map_err(io::Error::other)
}

fn damaged(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} of the image is damaged; build or pull the image again"))
}

fn other(error: anyhow::Error) -> io::Error {
    io::Error::other(format!("{error:#}"))
}

/// Hashes what is read through it.
struct Tee<R> {
    from: R,
    to: Hashing<io::Sink>,
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        io::Write::write_all(&mut self.to, &buffer[..count])?;
        Ok(count)
    }
}
