//! An OCI image layout as the [`Listing`] of what it unpacks to, all of it verified.
//!
//! Knows nothing of how Goldsmith writes images: it follows the digests from the index down, hashes every blob before and
//! after it is uncompressed, and lays the layers over each other. So it can say of an image from anywhere whether it is
//! the root file system that a lock names.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use ocipkg::image::{Image, OciDir};
use ocipkg::oci_spec::image::{Descriptor, ImageConfiguration, MediaType};

use crate::digest::{Digest, Hashing};
use crate::image::compress::Compression;
use crate::image::tar::read_listing;
use crate::rootfs::listing::Listing;

/// Reads the one image of the layout in this directory.
///
/// # Errors
/// If it can't be read; if a blob is not what its digest or `diff_id` says; if its layers are in a format that is not
/// known, or delete files of each other (whiteouts), which Goldsmith's never do.
pub fn listing(layout: &Path) -> io::Result<Listing> {
    let mut image = OciDir::new(layout).map_err(other)?;
    let manifest = image.get_manifest().map_err(other)?;
    let config = image.get_blob(manifest.config().digest()).map_err(other)?;
    if Digest::of(&config) != digest(manifest.config())? {
        return Err(damaged(format!("the configuration {}", manifest.config().digest())));
    }
    let config: ImageConfiguration = serde_json::from_slice(&config)?;
    if config.rootfs().diff_ids().len() != manifest.layers().len() {
        return Err(io::Error::other("the image's configuration and its manifest name different numbers of layers"));
    }
    let mut listing = Listing::default();
    for (layer, diff_id) in manifest.layers().iter().zip(config.rootfs().diff_ids()) {
        listing.lay(self::layer(layout, layer, diff_id)?);
    }
    let whiteout = listing.lines().keys().find(|path| path.split('/').any(|name| name.starts_with(".wh.")));
    match whiteout {
        Some(path) => Err(io::Error::other(format!("the image deletes files of its own layers: {path}"))),
        None => Ok(listing),
    }
}

fn layer(layout: &Path, layer: &Descriptor, diff_id: &str) -> io::Result<Listing> {
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
    let (listing, found) = {
        let mut archive = Tee { from: compression.decompress(&mut blob)?, to: Hashing::new(io::sink()) };
        let listing = read_listing(&mut archive)?;
        io::copy(&mut archive, &mut io::sink())?; // an archive may end before its bytes do
        (listing, archive.to.finish().1)
    };
    io::copy(&mut blob, &mut io::sink())?;
    let (_, blob, size) = blob.to.finish();
    if (blob, size) != (expected, layer.size()) || found.to_string() != diff_id {
        return Err(damaged(format!("the layer {expected}")));
    }
    Ok(listing)
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
