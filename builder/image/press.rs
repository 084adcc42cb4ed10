//! Makes the layers of an image: archives, compresses, hashes and stores each in one pass, several at a time.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::digest::Digest;
use crate::image::cache::LayerCache;
use crate::image::compress::{Compressed, Compression, Compressor};
use crate::image::layers::Layer;
use crate::image::layout::LayoutBuilder;
use crate::image::tar;
use crate::rootfs::Rootfs;
use crate::rootfs::entry::Kind;
use crate::rootfs::listing::Listing;

/// Names the format of the layers' archives: another one makes other blobs of the same entries.
const ARCHIVE: &str = "pax archive, 1";

/// What may be spent on an image. It changes no byte of it.
#[derive(Clone, Copy)]
pub struct Effort<'a> {
    /// How many layers are made at a time.
    pub jobs: NonZeroUsize,
    /// Layers that were made before.
    pub cache: &'a dyn LayerCache,
}

/// Makes the blobs of layers.
pub(super) struct Press<'a> {
    /// What is in them.
    pub rootfs: &'a Rootfs,
    /// How they are compressed.
    pub compression: Compression,
    /// Where they go.
    pub builder: &'a LayoutBuilder,
    /// What may be spent.
    pub effort: Effort<'a>,
}

impl Press<'_> {
    /// The blobs of all layers, in their order. The largest are made first, so that no thread is left with one at the end.
    ///
    /// # Errors
    /// What went wrong first, in the order of the layers, and with which of them.
    pub fn blobs(&self, plan: &[Layer<'_>]) -> Result<Vec<Compressed>, (usize, io::Error)> {
        let mut order: Vec<usize> = (0..plan.len()).collect();
        order.sort_by_key(|&number| Reverse(self.bytes(&plan[number])));
        let (next, done) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
        let work = || {
            while let Some(&number) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                let blob = self.blob(number, &plan[number]).map_err(|error| (number, error));
                if blob.is_err() {
                    next.store(order.len(), Ordering::Relaxed); // the others need not go on
                }
                done.lock().unwrap_or_else(PoisonError::into_inner).insert(number, blob);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.effort.jobs.get().min(plan.len()) {
                scope.spawn(work);
            }
            work();
        });
        // If any is missing here, another one failed, and that is the result.
        done.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
    }

    fn bytes(&self, layer: &Layer<'_>) -> u64 {
        let size = |path: &&str| match self.rootfs.entries().get(*path).map(|entry| &entry.kind) {
            Some(Kind::File { size, .. }) => *size,
            _ => 0,
        };
        layer.paths.iter().map(size).sum()
    }

    fn blob(&self, number: usize, layer: &Layer<'_>) -> io::Result<Compressed> {
        let listing = Listing::select(self.rootfs, layer.paths.iter().copied());
        let key = Digest::of(format!("{ARCHIVE}\n{}\n{listing}", self.compression.parameters()).as_bytes());
        if let Some((blob, file)) = self.effort.cache.get(key)? {
            self.builder.adopt(&file, blob.digest)?;
            return Ok(blob);
        }
        let unnamed = self.builder.unnamed(number);
        let mut out = Compressor::new(self.compression, File::create(&unnamed)?)?;
        tar::write(self.rootfs, layer.paths.iter().copied(), &mut out)?;
        let (_, blob) = out.finish()?;
        let file = self.builder.name(&unnamed, blob.digest)?;
        self.effort.cache.put(key, &blob, &file)?;
        Ok(blob)
    }
}
