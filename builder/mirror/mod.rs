//! The only file that asks an archive over the network (with those below it).
//!
//! ```text
//!   discover ──▶ where `debian`, `debian-security` and a recipe's own URLs are: several bases, tried in turn
//!
//!   inrelease ─▶ dists/SUITE/InRelease                             bytes; the caller verifies the signature
//!   index ─────▶ dists/SUITE/COMPONENT/…/by-hash/SHA256/…  ─▶ store ─▶ unpacked, verified against the Release file
//!   fetch ─────▶ pool/…/NAME_VERSION_ARCH.deb ×8 at once   ─▶ store/parts ─▶ verified ─▶ store/blobs
//! ```
//!
//! Nothing that comes is believed. What the caller promises (digest and size, from the lock or from a signed Release file) is
//! all that is accepted: never more bytes than promised, none with another digest. So plain http is as good as https, and
//! any mirror as good as any other; a mirror can only refuse to serve.
//!
//! What goes wrong is first tried again, later and later (a connection that breaks goes on where it broke, even after
//! `kill -9`), then elsewhere, and then told, with every URL that was tried. A host that is not reached is not asked
//! again.
//!
//! `--offline` needs no flag in here: a build is not given a [`Mirror`]. What an archive has replaced since it was locked is
//! looked for in the snapshot archive, last of all.

mod discover;
mod document;
mod download;
mod error;
mod forward;
mod http;
mod index;
mod proxy;
mod resolver;
#[cfg(test)]
mod server;
mod snapshot;

pub use discover::Options;
pub use download::{Download, Fetched};
pub use error::{Advice, Attempt, Failure, MirrorError};
pub use http::Patience;
pub use index::Index;
pub use proxy::Proxies;

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::{Mutex, PoisonError};

use crate::digest::Digest;
use crate::progress::Progress;
use crate::store::Store;
use discover::Bases;
use http::Http;

/// InRelease is about 140 kB for Debian; something of this size is not one.
const INRELEASE_LIMIT: u64 = 8 << 20;

/// Where archives are, and the connections to them.
#[derive(Debug)]
pub struct Mirror {
    bases: Bases,
    http: Http,
    patience: Patience,
    threads: usize,
    snapshot: Option<String>,
    store: Store,
    progress: Progress,
    /// Hosts (by base) that could not be reached: asked again only if there is no other.
    unreachable: Mutex<BTreeSet<String>>,
}

/// A suite of an archive, as the recipe names it.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// `debian`, `debian-security`, or a URL.
    pub uri: &'a str,
    /// `trixie-security`.
    pub suite: &'a str,
}

/// A file of an archive, and where it may be.
struct Sought<'a> {
    /// For messages: `InRelease of trixie`.
    name: &'a str,
    /// `debian`, `debian-security`, or a URL.
    uri: &'a str,
    /// Below the archive: the first that is there is as good as any other.
    paths: &'a [String],
}

impl Mirror {
    /// Finds the mirrors, without asking any. What is fetched goes into `store`.
    ///
    /// # Errors
    /// If what was given as a mirror is not one.
    pub fn discover(options: &Options, store: &Store, progress: &Progress) -> Result<Self, MirrorError> {
        Ok(Self {
            bases: Bases::discover(options)?,
            http: Http::new(options.proxies.clone(), options.patience, options.threads),
            patience: options.patience,
            threads: options.threads,
            snapshot: options.snapshot.as_ref().map(|url| url.trim_end_matches('/').to_owned()),
            store: store.clone(),
            progress: progress.clone(),
            unreachable: Mutex::default(),
        })
    }

    /// The bases that an archive of the recipe (`debian`, `debian-security` or a URL) is fetched from, in the order in
    /// which they are tried.
    pub fn bases(&self, uri: &str) -> Vec<String> {
        self.bases.of(uri)
    }

    /// The suite's signed Release file, as it is there now; neither verified nor kept (see [`Mirror::keep`]).
    ///
    /// # Errors
    /// [`MirrorError::Unavailable`] if no mirror gives it.
    pub fn inrelease(&self, place: Place) -> Result<Vec<u8>, MirrorError> {
        let what = format!("InRelease of {}", place.suite);
        let path = format!("dists/{}/InRelease", place.suite);
        let mut bytes = Vec::new();
        self.elsewhere(&Sought { name: &what, uri: place.uri, paths: &[path] }, |url| {
            self.patiently(|fresh| {
                let answer = self.http.get(url, http::Ask { fresh, ..Default::default() })?;
                bytes.clear();
                let mut body = answer.body.take(INRELEASE_LIMIT + 1);
                body.read_to_end(&mut bytes).map_err(|error| Failure::from(ureq::Error::from(error)))?;
                let got = bytes.len() as u64;
                match answer.size {
                    _ if got > INRELEASE_LIMIT => Err(Failure::TooLarge(INRELEASE_LIMIT)),
                    Some(size) if got < size => Err(Failure::Closed { got, size }),
                    _ => Ok(()),
                }
            })
        })?;
        Ok(bytes)
    }

    /// Keeps a Release file that was verified, for those who want to see later what a lock was resolved from.
    ///
    /// # Errors
    /// The store can't keep it.
    pub fn keep(&self, inrelease: &[u8]) -> Result<Digest, MirrorError> {
        Ok(self.store.put(inrelease)?.digest)
    }

    /// Tries `attempt` with each path of `sought` below each base of its archive, until one succeeds.
    fn elsewhere(
        &self,
        sought: &Sought,
        mut attempt: impl FnMut(&str) -> Result<(), Failure>,
    ) -> Result<(), MirrorError> {
        let &Sought { name, uri, paths } = sought;
        let mut tried = Vec::new();
        for base in self.reachable_first(self.bases.of(uri)) {
            for path in paths {
                let url = format!("{base}/{}", encoded(path));
                self.progress.verbose(&format!("GET {}", shown(&url)));
                let failure = match attempt(&url) {
                    Ok(()) => return Ok(()),
                    Err(Failure::Store(error)) => return Err(error.into()),
                    Err(failure) => failure,
                };
                let of_host = failure.is_of_host();
                tried.push(Attempt { url: shown(&url), failure });
                if of_host {
                    self.unreachable.lock().unwrap_or_else(PoisonError::into_inner).insert(base);
                    break;
                }
            }
        }
        let any = |test: fn(&Failure) -> bool| tried.iter().any(|attempt| test(&attempt.failure));
        let is_start = paths.iter().all(|path| path.ends_with("/InRelease"));
        let advice = if is_start && uri == discover::SECURITY && self.bases.is_given() && any(Failure::is_absence) {
            Advice::NoSecurity
        } else if !is_start && any(Failure::is_another_file) {
            Advice::Moved
        } else if any(Failure::is_of_host) {
            Advice::Network
        } else {
            Advice::None
        };
        Err(MirrorError::Unavailable { what: name.to_owned(), tried, advice })
    }

    /// Tries `attempt` again, later and later, as long as its failure may pass; from the second time on, not from a cache
    /// on the way.
    fn patiently(&self, mut attempt: impl FnMut(bool) -> Result<(), Failure>) -> Result<(), Failure> {
        let mut pause = self.patience.pause;
        let mut outcome = attempt(false);
        for _ in 0..self.patience.retries {
            match &outcome {
                Err(failure) if failure.is_passing() => {
                    self.progress.verbose(&format!("{failure}; trying again in {} ms", pause.as_millis()));
                }
                _ => break,
            }
            std::thread::sleep(pause);
            pause *= 2;
            outcome = attempt(true);
        }
        outcome
    }

    /// `bases` in their order, but those that could not be reached before only if there is no other.
    fn reachable_first(&self, bases: Vec<String>) -> Vec<String> {
        let unreachable = self.unreachable.lock().unwrap_or_else(PoisonError::into_inner);
        let alive: Vec<_> = bases.iter().filter(|base| !unreachable.contains(*base)).cloned().collect();
        if alive.is_empty() { bases } else { alive }
    }
}

/// `path` as it stands in a URL: Debian's file names hold `+`, `~`, `:` and (for an epoch) a literal `%3a`.
fn encoded(path: &str) -> String {
    path.bytes().fold(String::with_capacity(path.len()), |mut url, byte| {
        if byte.is_ascii_alphanumeric() || b"/+~:@=,-._!".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
        url
    })
}

/// `url` as it may be shown: without a user's password.
fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://…@{host}{path}"),
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests;
