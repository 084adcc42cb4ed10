//! Compression that gives the same bytes whatever the number of threads and however the input arrives in pieces.
//!
//! ```text
//! tar ──▶ blocks of 128 KiB ──┬──▶ zstd 3 │ gzip 6 ──┬──▶ blob
//!                             ▼                      ▼
//!                          diff_id             digest, size
//! ```
//!
//! - zstd writes other bytes without workers than with any number of them: there is always one. Level 3 is 2.7 times
//!   cheaper than gzip at 6, and 8 % smaller.
//! - The gzip header's time is 0, its operating system 255 (unknown), as RFC 1952 allows.
//! - A `diff_id` (OCI image-spec, `config.md`) names the uncompressed bytes, so it outlives a newer compressor, which may
//!   write other blobs. [`Compression::parameters`] says which one wrote these.

use std::io::{self, Read, Write};

use flate2::GzBuilder;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

use crate::digest::{Digest, Hashing};

/// How many bytes a compressor is given at a time.
const BLOCK: usize = 128 << 10;

/// How layers are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// RFC 8878, level 3.
    #[default]
    Zstd,
    /// RFC 1952, level 6: for tools that know nothing newer.
    Gzip,
}

impl Compression {
    /// What decides the compressed bytes: algorithm, level, and the version of the crate, as `Cargo.lock` pins it.
    pub fn parameters(self) -> String {
        match self {
            Self::Zstd => format!("zstd level 3, one worker or more, zstd-sys {}", pinned("zstd-sys")),
            Self::Gzip => format!("gzip level 6, flate2 {}, zlib-rs {}", pinned("flate2"), pinned("zlib-rs")),
        }
    }

    /// The bytes that were compressed to `blob`.
    ///
    /// # Errors
    /// What starting the decompressor gives. Reading fails where `blob` is not compressed in this way.
    pub fn decompress<'a>(self, blob: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::Zstd => Box::new(zstd::Decoder::new(blob)?),
            Self::Gzip => Box::new(MultiGzDecoder::new(blob)),
        })
    }
}

/// The version of a crate in this project's `Cargo.lock`.
fn pinned(name: &str) -> &'static str {
    let lock = include_str!("../../Cargo.lock");
    let package = format!("name = \"{name}\"\nversion = \"");
    let version = lock.split_once(&package).and_then(|(_, rest)| rest.split_once('"'));
    version.map_or("unknown", |(version, _)| version)
}

/// What is known of compressed bytes once all are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compressed {
    /// Of the compressed bytes.
    pub digest: Digest,
    /// How many compressed bytes.
    pub size: u64,
    /// Of the bytes before compression.
    pub diff_id: Digest,
}

/// Compresses what is written to it.
pub struct Compressor<W: Write> {
    block: Vec<u8>,
    encoder: Hashing<Encoder<Hashing<W>>>,
}

impl<W: Write> Compressor<W> {
    /// A compressor whose output goes to `out`.
    ///
    /// # Errors
    /// What starting it gives: zstd may lack memory or threads.
    pub fn new(compression: Compression, out: W) -> io::Result<Self> {
        Ok(Self {
            block: Vec::with_capacity(BLOCK),
            encoder: Hashing::new(Encoder::new(compression, Hashing::new(out))?),
        })
    }

    /// Ends the stream: the writer back, and what was written.
    ///
    /// # Errors
    /// Whatever writing the rest gives.
    pub fn finish(mut self) -> io::Result<(W, Compressed)> {
        self.encoder.write_all(&self.block)?;
        let (encoder, diff_id, _) = self.encoder.finish();
        let (out, digest, size) = encoder.finish()?.finish();
        Ok((out, Compressed { digest, size, diff_id }))
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        if self.block.len() == BLOCK {
            self.encoder.write_all(&self.block)?;
            self.block.clear();
        }
        Ok(taken)
    }

    /// Does nothing: a flushed compressor writes other bytes than one that was not.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Encoder<W: Write> {
    Zstd(zstd::Encoder<'static, W>),
    Gzip(GzEncoder<W>),
}

impl<W: Write> Encoder<W> {
    fn new(compression: Compression, out: W) -> io::Result<Self> {
        Ok(match compression {
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(out, 3)?;
                encoder.multithread(1)?;
                Self::Zstd(encoder)
            }
            Compression::Gzip => {
                let header = GzBuilder::new().mtime(0).operating_system(255);
                Self::Gzip(header.write(out, flate2::Compression::new(6)))
            }
        })
    }

    fn finish(self) -> io::Result<W> {
        match self {
            Self::Zstd(encoder) => encoder.finish(),
            Self::Gzip(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Zstd(encoder) => encoder.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Zstd(encoder) => encoder.flush(),
            Self::Gzip(encoder) => encoder.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three megabytes that compress, but not to nothing.
    fn text() -> Vec<u8> {
        let mut state = 1_u32;
        let mut words = Vec::new();
        while words.len() < 3 << 20 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            words.extend_from_slice(format!("{} ", state >> 18).as_bytes());
        }
        words
    }

    fn compress(compression: Compression, pieces: usize) -> (Vec<u8>, Compressed) {
        let mut compressor = Compressor::new(compression, Vec::new()).unwrap();
        for piece in text().chunks(pieces) {
            compressor.write_all(piece).unwrap();
            compressor.flush().unwrap();
        }
        compressor.finish().unwrap()
    }

    #[test]
    fn the_digests_and_the_size_are_those_of_the_bytes() {
        for compression in [Compression::Zstd, Compression::Gzip] {
            let (blob, compressed) = compress(compression, 10_000);
            assert_eq!((compressed.digest, compressed.size), (Digest::of(&blob), blob.len() as u64));
            assert_eq!(compressed.diff_id, Digest::of(&text()));
            let mut bytes = Vec::new();
            compression.decompress(blob.as_slice()).unwrap().read_to_end(&mut bytes).unwrap();
            assert!(bytes == text());
            assert!(compressed.size < 3 << 19, "{}", compressed.size);
        }
    }

    #[test]
    fn the_pieces_in_which_the_bytes_come_change_nothing() {
        for compression in [Compression::Zstd, Compression::Gzip] {
            let whole = compress(compression, usize::MAX).1;
            for pieces in [1, 1000, BLOCK - 1, BLOCK, BLOCK + 1] {
                assert_eq!(compress(compression, pieces).1, whole, "{compression:?} in pieces of {pieces}");
            }
        }
    }

    #[test]
    fn any_number_of_zstd_workers_writes_the_same_bytes() {
        let blob = compress(Compression::Zstd, BLOCK).0;
        for workers in [2, 4] {
            let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
            encoder.multithread(workers).unwrap();
            text().chunks(BLOCK).for_each(|block| encoder.write_all(block).unwrap());
            assert!(encoder.finish().unwrap() == blob, "{workers} workers");
        }
    }

    #[test]
    fn the_gzip_header_says_neither_when_nor_where() {
        let (blob, _) = compress(Compression::Gzip, BLOCK);
        assert_eq!(blob[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    }

    #[test]
    fn gzip_of_this_machine_finds_the_blob_valid() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("layer.gz");
        std::fs::write(&path, compress(Compression::Gzip, BLOCK).0).unwrap();
        assert!(std::process::Command::new("gzip").arg("-t").arg(&path).status().unwrap().success());
    }

    #[test]
    fn the_parameters_name_the_versions_that_are_pinned() {
        for compression in [Compression::Zstd, Compression::Gzip] {
            assert!(!compression.parameters().contains("unknown"), "{}", compression.parameters());
        }
    }
}
