//! Many files at once, each of them verified, resumed, and tried until there is nothing left to try.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::error::{Advice, Failure};
use super::http::Ask;
use super::{Mirror, MirrorError, Sought, snapshot};
use crate::epoch::Epoch;
use crate::progress::{Step, Total, bytes};
use crate::store::{Blob, Part, StoreError};

/// So many bytes that came before a connection broke are progress: it does not count as a failure in a row.
const PROGRESS: u64 = 256 << 10;

/// A file to be fetched, and what is promised of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// What people call it: `apache2 2.4.66-1~deb13u1`.
    pub name: String,
    /// The archive as the recipe names it: `debian`, `debian-security`, or a URL.
    pub archive: String,
    /// Below the archive's root: `pool/main/…`.
    pub path: String,
    /// When the archive had it for certain, if that is known: where to look for it in the snapshot archive.
    pub at: Option<Epoch>,
    /// The only bytes that are accepted.
    pub blob: Blob,
}

/// What [`Mirror::fetch`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Files that came.
    pub files: usize,
    /// Their bytes (those that an earlier run had fetched already among them).
    pub bytes: u64,
    /// Files that were in the store before.
    pub present: usize,
}

impl Mirror {
    /// Brings all of `downloads` into the store, several at once, the largest first. What is there already is not asked for.
    ///
    /// # Errors
    /// [`MirrorError::Incomplete`] with one error for each file that could not be had; the others are in the store then.
    /// [`MirrorError::Store`] as soon as the store can't keep something.
    pub fn fetch(&self, downloads: &[Download]) -> Result<Fetched, MirrorError> {
        let mut missing: Vec<&Download> =
            downloads.iter().filter(|download| !self.store.holds(download.blob)).collect();
        missing.sort_by_key(|download| (std::cmp::Reverse(download.blob.size), &download.path));
        missing.dedup_by_key(|download| download.blob);
        let total = missing.iter().map(|download| download.blob.size).sum();
        let done = Fetched { files: missing.len(), bytes: total, present: downloads.len() - missing.len() };
        if missing.is_empty() {
            return Ok(done);
        }
        let step = self.progress.step("fetch", Total::Bytes(total));
        let errors = self.fetch_missing(&missing, &step);
        let of = missing.len();
        match errors {
            errors if errors.is_empty() => {}
            mut errors if of == 1 || errors.iter().any(|(_, error)| matches!(error, MirrorError::Store(_))) => {
                errors.sort_by_key(|(_, error)| !matches!(error, MirrorError::Store(_)));
                return Err(errors.swap_remove(0).1);
            }
            mut errors => {
                errors.sort_by(|(a, _), (b, _)| a.cmp(b));
                return Err(MirrorError::Incomplete {
                    errors: errors.into_iter().map(|(_, error)| error).collect(),
                    of,
                });
            }
        }
        step.done(&format!("{of} {}, {}", if of == 1 { "file" } else { "files" }, bytes(total)));
        Ok(done)
    }

    /// The errors, each with the name of what it prevented.
    fn fetch_missing(&self, missing: &[&Download], step: &Step) -> Vec<(String, MirrorError)> {
        let next = AtomicUsize::new(0);
        let stop = AtomicBool::new(false);
        let errors = Mutex::new(Vec::new());
        std::thread::scope(|threads| {
            for _ in 0..self.threads.clamp(1, missing.len()) {
                threads.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let Some(download) = missing.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                        step.now(&download.name);
                        let paths = std::slice::from_ref(&download.path);
                        let fetched = self.fetch_one(download, paths, step);
                        if let Err(error) = fetched {
                            // A disk that is full for one is full for all.
                            stop.fetch_or(matches!(error, MirrorError::Store(_)), Ordering::Relaxed);
                            let mut errors = errors.lock().unwrap_or_else(PoisonError::into_inner);
                            errors.push((download.name.clone(), error));
                        }
                    }
                });
            }
        });
        errors.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings one file into the store, from whichever of `paths` has it.
    pub(super) fn fetch_one(&self, download: &Download, paths: &[String], step: &Step) -> Result<(), MirrorError> {
        let Some(part) = self.store.part(download.blob)? else {
            step.inc(download.blob.size);
            return Ok(());
        };
        let mut transfer = Transfer { mirror: self, blob: download.blob, part, step, counted: 0 };
        let name = &download.name;
        let outcome = self.elsewhere(&Sought { name, uri: &download.archive, paths }, |url| transfer.from(url));
        let (Some(snapshot), Some(at)) = (&self.snapshot, download.at) else { return outcome };
        let mut tried = match outcome {
            Err(MirrorError::Unavailable { tried, advice: Advice::Moved, .. }) => tried,
            outcome => return outcome,
        };
        for base in snapshot::bases(snapshot, &download.archive, at) {
            match self.elsewhere(&Sought { name, uri: &base, paths }, |url| transfer.from(url)) {
                Err(MirrorError::Unavailable { tried: also, .. }) => tried.extend(also),
                outcome => return outcome,
            }
        }
        Err(MirrorError::Unavailable { what: name.clone(), tried, advice: Advice::Moved })
    }
}

/// One file on its way.
struct Transfer<'a> {
    mirror: &'a Mirror,
    blob: Blob,
    part: Part,
    step: &'a Step,
    /// How much of it the step has counted.
    counted: u64,
}

impl Transfer<'_> {
    /// All of it from `url`, in as many attempts as that may take.
    fn from(&mut self, url: &str) -> Result<(), Failure> {
        let mut validator = None;
        let mut rounds_without_progress = 0;
        loop {
            let before = self.part.len();
            let failure = match self.mirror.patiently(|fresh| {
                let outcome = self.attempt(url, fresh || rounds_without_progress > 0, &mut validator);
                // Much came before it broke: the failures in a row begin anew.
                match outcome {
                    Err(Failure::Closed { got, .. }) if got >= before + PROGRESS => Ok(()),
                    other => other,
                }
            }) {
                Ok(()) if self.mirror.store.holds(self.blob) => return Ok(()),
                Ok(()) => continue,
                Err(failure) => failure,
            };
            // Wrong bytes may be a cache's on the way, or the beginning that an earlier run left: once more, from zero.
            if !matches!(failure, Failure::Digest(_)) || rounds_without_progress > 0 {
                return Err(failure);
            }
            rounds_without_progress += 1;
        }
    }

    /// What one answer gives.
    fn attempt(&mut self, url: &str, fresh: bool, validator: &mut Option<String>) -> Result<(), Failure> {
        if !self.part.is_full() || self.part.is_empty() {
            self.receive(url, fresh, validator)?;
        }
        let completed = self.part.complete();
        match completed {
            Err(StoreError::Mismatch { found, .. }) => {
                self.count();
                Err(Failure::Digest(found.digest))
            }
            other => Ok(other?),
        }
    }

    fn receive(&mut self, url: &str, fresh: bool, validator: &mut Option<String>) -> Result<(), Failure> {
        let size = self.blob.size;
        let ask = Ask { from: self.part.len(), if_range: validator.as_deref(), fresh };
        let mut answer = match self.mirror.http.get(url, ask) {
            // The server can't go on there: next time from the start.
            Err(Failure::Range) => {
                self.restart()?;
                return Err(Failure::Range);
            }
            answer => answer?,
        };
        if let Some(offered) = answer.size.filter(|&offered| offered != size) {
            return Err(Failure::Size { promised: size, offered });
        }
        if answer.from != self.part.len() {
            self.restart()?;
        }
        *validator = answer.validator.take();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let got = match answer.body.read(&mut buffer) {
                Ok(got) => got,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => match Failure::from(ureq::Error::from(error)) {
                    Failure::Unreachable(_) => return Err(Failure::Closed { got: self.part.len(), size }),
                    failure => return Err(failure),
                },
            };
            match got {
                0 if self.part.is_full() => return Ok(()),
                0 => return Err(Failure::Closed { got: self.part.len(), size }),
                _ => {}
            }
            if self.part.len() + got as u64 > size {
                self.restart()?;
                return Err(Failure::TooLarge(size));
            }
            self.part.write_all(&buffer[..got]).map_err(|error| match error.downcast::<StoreError>() {
                Ok(error) => Failure::Store(error),
                Err(error) => Failure::Unreachable(error),
            })?;
            self.count();
        }
    }

    fn restart(&mut self) -> Result<(), Failure> {
        self.part.restart()?;
        self.count();
        Ok(())
    }

    /// Shows how much there is now.
    fn count(&mut self) {
        let now = self.part.len();
        self.step.inc(now.saturating_sub(self.counted));
        self.step.rewind(self.counted.saturating_sub(now));
        self.counted = now;
    }
}
