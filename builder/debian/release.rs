//! The repository format's `Release`, as a cleartext-signed `InRelease`: what an archive says about itself, and the root
//! of every chain of hashes.
//!
//! ```text
//! InRelease ──signed by──▶ Keyring
//!   │ SHA256: path, size, digest of each index
//!   ▼
//! main/binary-amd64/Packages.xz ── SHA256 of each .deb
//! ```
//!
//! A [`Release`] exists only after its signature was verified, and is made of the signed text alone. Three questions
//! remain, which depend on when they are asked, and are asked by whoever locks: is it fresh ([`Release::check_fresh`]:
//! an attacker who holds the network can go on serving yesterday's), is it older than what was seen before
//! ([`Release::check_not_older_than`]), is it the suite that was asked for.

use std::collections::BTreeMap;

use jiff::fmt::rfc2822::DateTimeParser;

use super::clearsign::{ClearsignError, Clearsigned};
use super::deb822::{self, Deb822Error, Table};
pub use super::keyring::{Keyring, KeyringError, Refusal, Refusals};
use crate::digest::Digest;
use crate::epoch::Epoch;

/// The largest InRelease that is looked at; Debian's largest (sid's) has about 250 KB.
const SIZE_LIMIT: usize = 32 << 20;
/// An archive's clock may be this many seconds before ours: a day.
const CLOCK_TOLERANCE: i64 = 24 * 60 * 60;

/// An archive's signed description of itself.
#[derive(Clone, Debug)]
pub struct Release {
    /// `Origin`: `Debian`.
    pub origin: Option<String>,
    /// `Label`: `Debian`, `Debian-Security`.
    pub label: Option<String>,
    /// `Suite`: `stable`, `stable-security`; changes when Debian releases.
    pub suite: Option<String>,
    /// `Codename`: `trixie`, `trixie-security`; never changes.
    pub codename: Option<String>,
    /// `Version`: `13.7`.
    pub version: Option<String>,
    /// `Date`: when it was made.
    pub date: Epoch,
    /// `Valid-Until`: when it must no longer be believed to be the newest; absent on a suite that seldom changes.
    pub valid_until: Option<Epoch>,
    /// `Acquire-By-Hash: yes`: indexes can be fetched by their digest, so that a mirror's update can't come between.
    pub acquire_by_hash: bool,
    /// `Components`, as written: `main`, `updates/main`.
    pub components: Vec<String>,
    /// `Architectures`.
    pub architectures: Vec<String>,
    /// `SHA256`: path below the Release file's folder → digest and size in bytes.
    pub sha256: BTreeMap<String, (Digest, u64)>,
    /// Who signed it: fingerprints of primary keys, upper-case hexadecimal, sorted, at least one.
    pub signers: Vec<String>,
}

/// Why an InRelease can't be used. Each message goes on from «InRelease of trixie: ».
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// More than any archive has.
    #[error("it has {0} bytes, more than any Release file; it was not read")]
    TooLarge(usize),
    /// Not signed, cut off, or more than what is signed.
    #[error(transparent)]
    Frame(#[from] ClearsignError),
    /// No good signature.
    #[error("it can't be trusted: {0}")]
    Untrusted(#[from] Refusals),
    /// The signed text is not deb822.
    #[error("its signature is good, but what is signed is malformed: {0}")]
    Malformed(#[from] Deb822Error),
    /// A field says what it can't say.
    #[error("its signature is good, but its field {field} is malformed: `{value}` {problem}")]
    Field {
        /// The field's name.
        field: &'static str,
        /// What it says, or the line of it.
        value: String,
        /// What is wrong with that.
        problem: &'static str,
    },
    /// `Valid-Until` has passed.
    #[error(
        "it was valid until {until}, {ago} ago: the mirror lags behind, or someone holds back security updates; try \
         another mirror, or pass `--allow-stale` (or set GOLDSMITH_ALLOW_STALE=1) to take it all the same"
    )]
    Stale {
        /// `Valid-Until`, RFC 3339.
        until: String,
        /// How long that is past: `3 days`.
        ago: String,
    },
    /// `Date` is yet to come.
    #[error("it is dated {date}, {ahead} from now; is this machine's clock right?")]
    FromTheFuture {
        /// `Date`, RFC 3339.
        date: String,
        /// How far ahead that is.
        ahead: String,
    },
    /// Older than what was seen before.
    #[error(
        "it is from {date}, but the lock was made from the one of {previous}: the mirror has gone back in time, or someone \
         replays an old state without later security updates; try another mirror"
    )]
    Replayed {
        /// `Date`, RFC 3339.
        date: String,
        /// The lock's, RFC 3339.
        previous: String,
    },
}

impl Release {
    /// Reads an InRelease and verifies its signature.
    ///
    /// The signing key must have been good when it signed; it must still be good at `now`, if that is given. Give it when
    /// asking an archive; leave it out to look again at an InRelease that a lock pins by its digest.
    ///
    /// # Errors
    /// It is not signed as it should be, or malformed.
    pub fn verify(inrelease: &[u8], keyring: &Keyring, now: Option<Epoch>) -> Result<Self, ReleaseError> {
        if inrelease.len() > SIZE_LIMIT {
            return Err(ReleaseError::TooLarge(inrelease.len()));
        }
        let message = Clearsigned::parse(inrelease)?;
        let signers = keyring.signers(&message, now)?;
        Self::parse(&message.text, signers)
    }

    /// Reads the text that `signers` signed.
    fn parse(signed: &str, signers: Vec<String>) -> Result<Self, ReleaseError> {
        let table = deb822::only_paragraph(signed)?;
        let text = |name| table.get(name).map(str::to_owned);
        let words =
            |name| table.get(name).map_or_else(Vec::new, |value| value.split_whitespace().map(str::to_owned).collect());
        table.require("Date")?;
        Ok(Self {
            origin: text("Origin"),
            label: text("Label"),
            suite: text("Suite"),
            codename: text("Codename"),
            version: text("Version"),
            date: date(&table, "Date")?.unwrap_or(Epoch(0)),
            valid_until: date(&table, "Valid-Until")?,
            acquire_by_hash: table.get("Acquire-By-Hash").is_some_and(|value| value.eq_ignore_ascii_case("yes")),
            components: words("Components"),
            architectures: words("Architectures"),
            sha256: indexes(table.require("SHA256")?)?,
            signers,
        })
    }

    /// Whether it is the newest there is, as far as it can be told at `now`.
    ///
    /// # Errors
    /// `Valid-Until` has passed, or `Date` is more than a day ahead.
    pub fn check_fresh(&self, now: Epoch) -> Result<(), ReleaseError> {
        if self.date.0 > now.0.saturating_add(CLOCK_TOLERANCE) {
            let ahead = duration(self.date.0 - now.0);
            return Err(ReleaseError::FromTheFuture { date: self.date.rfc3339(), ahead });
        }
        match self.valid_until {
            Some(until) if until < now => {
                Err(ReleaseError::Stale { until: until.rfc3339(), ago: duration(now.0 - until.0) })
            }
            _ => Ok(()),
        }
    }

    /// Whether it is at least as new as the one of `previous` ([`Release::date`] of what a lock was made from).
    ///
    /// # Errors
    /// It is older.
    pub fn check_not_older_than(&self, previous: Epoch) -> Result<(), ReleaseError> {
        if self.date < previous {
            return Err(ReleaseError::Replayed { date: self.date.rfc3339(), previous: previous.rfc3339() });
        }
        Ok(())
    }

    /// Whether it is `suite` that was asked for, by any name that it goes by: `trixie` or `stable`; `trixie-security` too
    /// where the archive calls itself so. (Old security archives call themselves `trixie/updates`.)
    pub fn is_suite(&self, suite: &str) -> bool {
        let names = [self.codename.as_deref(), self.suite.as_deref()];
        names.into_iter().flatten().any(|name| name == suite)
    }

    /// Whether it has `component`, be it written `main` or, as in Debian's security archive, `updates/main`.
    pub fn has_component(&self, component: &str) -> bool {
        self.components.iter().any(|name| name.rsplit('/').next() == Some(component) || name == component)
    }
}

/// The field `name` as a moment. RFC 2822, in UTC, as apt demands.
fn date(table: &Table<'_>, name: &'static str) -> Result<Option<Epoch>, ReleaseError> {
    let Some(value) = table.get(name) else { return Ok(None) };
    let wrong = |problem| ReleaseError::Field { field: name, value: value.to_owned(), problem };
    let local = ["UTC", "GMT", "Z", "+0000"].iter().find_map(|zone| value.strip_suffix(zone));
    let local = local.ok_or_else(|| wrong("does not end with UTC, as a Release's dates must"))?;
    let moment = DateTimeParser::new().parse_timestamp(format!("{} GMT", local.trim_end()));
    let moment = moment.map_err(|_| wrong("is not a date such as `Sat, 12 Sep 2026 07:55:41 UTC`"))?;
    Ok(Some(Epoch(moment.as_second())))
}

/// The field `SHA256`: on each line digest, size and path.
fn indexes(value: &str) -> Result<BTreeMap<String, (Digest, u64)>, ReleaseError> {
    let mut indexes = BTreeMap::new();
    for line in deb822::lines(value).filter(|line| !line.is_empty()) {
        let wrong = |problem| ReleaseError::Field { field: "SHA256", value: line.to_owned(), problem };
        let words: Vec<&str> = line.split_whitespace().collect();
        let [digest, size, path] = words[..] else { return Err(wrong("is not a digest, a size and a path")) };
        let digest: Digest = digest.parse().map_err(|_| wrong("does not begin with a SHA-256 digest"))?;
        let size: u64 = size.parse().map_err(|_| wrong("has no size between digest and path"))?;
        if path.split('/').any(|name| ["", ".", ".."].contains(&name)) {
            return Err(wrong("names a path that leads out of the archive"));
        }
        if indexes.insert(path.to_owned(), (digest, size)).is_some_and(|earlier| earlier != (digest, size)) {
            return Err(wrong("gives a path for the second time, with another digest"));
        }
    }
    Ok(indexes)
}

/// `seconds` in the largest unit that there is one of: `3 days`.
fn duration(seconds: i64) -> String {
    const UNITS: [(i64, &str); 4] = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let (length, unit) = UNITS.into_iter().find(|(length, _)| seconds >= *length).unwrap_or((1, "second"));
    let number = seconds / length;
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
