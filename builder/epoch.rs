//! The one moment of a build: seconds since 1970-01-01 00:00:00 UTC.
//!
//! It comes from the lock (the newest `Date` of the Release files it was resolved from), never from the clock; what the
//! reproducible-builds project calls `SOURCE_DATE_EPOCH`.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Seconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub i64);

impl Epoch {
    /// The earlier of `seconds` and this moment: what happened after it was made by the build, and says so.
    pub fn clamp(self, seconds: i64) -> i64 {
        seconds.clamp(0, self.0)
    }

    /// RFC 3339, in UTC, to the second: `2026-09-12T07:55:41Z`.
    pub fn rfc3339(self) -> String {
        jiff::Timestamp::from_second(self.0).map_or_else(|_| self.0.to_string(), |moment| moment.to_string())
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
