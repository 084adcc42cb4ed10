//! An archive's index: fetched by the hash that its signed Release file lists, and unpacked.
//!
//! <https://wiki.debian.org/DebianRepository/Format>: a Release file lists each index in several forms (`Packages.xz`,
//! `Packages.gz`, `Packages`), with the SHA-256 and size of each. Where it says `Acquire-By-Hash: yes`, an index is also at
//! `by-hash/SHA256/…` beside it, where a mirror that is updated meanwhile does not replace it.

use std::io::Read;

use super::download::Download;
use super::{Mirror, MirrorError, Place};
use crate::debian::release::Release;
use crate::digest::Digest;
use crate::progress::{Total, bytes};
use crate::store::Blob;

/// No index unpacks to more, if its Release file does not list what it unpacks to.
const UNPACKED_LIMIT: u64 = 1 << 30;

/// What unpacking may take in memory: four times what `xz -9` needs.
const XZ_MEMORY: u64 = 256 << 20;

/// An index, and the form in which it was fetched.
#[derive(Clone, Debug)]
pub struct Index {
    /// Below the Release file: `main/binary-amd64/Packages.xz`.
    pub path: String,
    /// The packed file, as the Release file lists it.
    pub blob: Blob,
    /// Unpacked, and verified where the Release file lists that too.
    pub text: Vec<u8>,
}

/// One form of an index, as the Release file of `place` lists it.
struct Listed<'a> {
    place: Place<'a>,
    /// Below the Release file: `main/binary-amd64/Packages.xz`.
    path: &'a str,
    blob: Blob,
    /// Whether it is also where its hash says.
    by_hash: bool,
}

impl Mirror {
    /// The index at `path` below the Release file of `place` (`main/binary-amd64/Packages`), in the smallest form that
    /// `release` lists of it. What was fetched before is taken from the store.
    ///
    /// # Errors
    /// [`MirrorError::NotListed`]; [`MirrorError::Unavailable`] if no mirror has what is listed; [`MirrorError::BrokenIndex`]
    /// if it can't be unpacked to what is listed.
    pub fn index(&self, place: Place, release: &Release, path: &str) -> Result<Index, MirrorError> {
        let suite = place.suite;
        let packed = [".xz", ".gz", ""].map(|extension| format!("{path}{extension}")).into_iter().find_map(|path| {
            let &(digest, size) = release.sha256.get(&path)?;
            Some((path, Blob { digest, size }))
        });
        let Some((packed, blob)) = packed else {
            return Err(MirrorError::NotListed { suite: suite.to_owned(), path: path.to_owned() });
        };
        let fetch = || self.fetch_index(&Listed { place, path: &packed, blob, by_hash: release.acquire_by_hash });
        if !self.store.holds(blob) {
            fetch()?;
        }
        // The store finds a damaged copy only now: then it is fetched after all.
        let bytes = match self.store.read(blob.digest)? {
            Some(bytes) => bytes,
            None => {
                fetch()?;
                self.store.read(blob.digest)?.unwrap_or_default()
            }
        };
        let broken = |fault: String| MirrorError::BrokenIndex { suite: suite.to_owned(), path: packed.clone(), fault };
        let unpacked = release.sha256.get(path).copied();
        let limit = unpacked.map_or(UNPACKED_LIMIT, |(_, size)| size);
        let text = unpack(&packed, &bytes, limit).map_err(&broken)?;
        match unpacked {
            Some((digest, _)) if Digest::of(&text) != digest => {
                Err(broken("does not unpack to what its Release file lists".to_owned()))
            }
            _ => Ok(Index { path: packed, blob, text }),
        }
    }

    fn fetch_index(&self, listed: &Listed) -> Result<(), MirrorError> {
        let &Listed { place, path, blob, by_hash } = listed;
        let plain = format!("dists/{}/{path}", place.suite);
        let directory = plain.rsplit_once('/').map_or("", |(directory, _)| directory);
        let by_hash = by_hash.then(|| format!("{directory}/by-hash/SHA256/{}", blob.digest.hex()));
        let paths: Vec<String> = by_hash.into_iter().chain([plain.clone()]).collect();
        let name = format!("{path} of {}", place.suite);
        let step = self.progress.step(&format!("fetch {name}"), Total::Bytes(blob.size));
        let download = Download { name, archive: place.uri.to_owned(), path: plain, at: None, blob };
        self.fetch_one(&download, &paths, &step)?;
        step.done(&bytes(blob.size));
        Ok(())
    }
}

/// What is in `packed`, at most `limit` bytes; or what is wrong with it.
fn unpack(path: &str, packed: &[u8], limit: u64) -> Result<Vec<u8>, String> {
    let reader: Box<dyn Read + '_> = if path.ends_with(".xz") {
        let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED);
        Box::new(liblzma::bufread::XzDecoder::new_stream(packed, stream.map_err(|error| error.to_string())?))
    } else if path.ends_with(".gz") {
        Box::new(flate2::bufread::MultiGzDecoder::new(packed))
    } else {
        Box::new(packed)
    };
    // Room for one byte more, so that the text itself never has to move.
    let mut text = Vec::with_capacity(usize::try_from(limit.min(UNPACKED_LIMIT / 8)).unwrap_or(0) + 1);
    reader
        .take(limit.saturating_add(1))
        .read_to_end(&mut text)
        .map_err(|error| format!("can't be unpacked ({error})"))?;
    if text.len() as u64 > limit {
        return Err(format!("unpacks to more than the {} that it may", bytes(limit)));
    }
    Ok(text)
}
