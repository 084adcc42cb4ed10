//! Layers that were compressed before, so that a patch to three packages compresses the layers of three packages.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Digest;
use crate::image::compress::Compressed;
use crate::store::{Blob, Store};

/// Remembers the blobs of layers by what is in them.
///
/// A key is the digest of everything that decides the bytes: the layer's [`Listing`](crate::rootfs::listing::Listing) and
/// the compressor's [`parameters`](crate::image::compress::Compression::parameters).
pub trait LayerCache: Sync {
    /// The blob of that layer: what it is, and a file that holds it, its bytes verified. `None` if it must be made.
    ///
    /// # Errors
    /// If the cache can't be read.
    fn get(&self, key: Digest) -> io::Result<Option<(Compressed, PathBuf)>>;

    /// Keeps the blob in the file at `blob` as that of the layer. The file is immutable from now on; it may be linked.
    ///
    /// # Errors
    /// If the cache can't be written.
    fn put(&self, key: Digest, layer: &Compressed, blob: &Path) -> io::Result<()>;
}

/// Remembers nothing: every layer is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoCache;

impl LayerCache for NoCache {
    fn get(&self, _: Digest) -> io::Result<Option<(Compressed, PathBuf)>> {
        Ok(None)
    }

    fn put(&self, _: Digest, _: &Compressed, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl LayerCache for Store {
    fn get(&self, key: Digest) -> io::Result<Option<(Compressed, PathBuf)>> {
        let Some(record) = self.record("layer", key).map_err(io::Error::other)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&record);
        let mut words = text.split_whitespace();
        let mut next = || words.next().unwrap_or_default();
        let (Ok(digest), Ok(size), Ok(diff_id)) = (next().parse(), next().parse(), next().parse()) else {
            return Ok(None);
        };
        let there = Store::get(self, digest).map_err(io::Error::other)?;
        Ok(there.map(|_| (Compressed { digest, size, diff_id }, self.path(digest))))
    }

    fn put(&self, key: Digest, layer: &Compressed, blob: &Path) -> io::Result<()> {
        let promised = Blob { digest: layer.digest, size: layer.size };
        self.put_reader(File::open(blob)?, promised).map_err(io::Error::other)?;
        let record = format!("{} {} {}\n", layer.digest, layer.size, layer.diff_id);
        self.set_record("layer", key, record.as_bytes()).map_err(io::Error::other)
    }
}
