//! Debian's snapshot archive: its archives as they were, four times a day since 2005.
//!
//! ```text
//! SNAPSHOT/archive/debian/20260913T075541Z/pool/main/…        the last state that was taken until that moment
//! ```
//!
//! A lock knows when the Release files were made that its packages come from. What an archive has replaced since is asked for
//! a day after that: by then the state with this Release file was taken, and what it names is still there, because an archive
//! keeps what it replaces for a day and a half. Nothing of it is believed: the lock has the digest.
//!
//! Source: the usage of snapshot.debian.org; dak's «stay of execution».

use jiff::{SignedDuration, Timestamp};

use super::discover::{DEBIAN, SECURITY};
use crate::epoch::Epoch;

/// Where it is for everybody.
pub(super) const PUBLIC: &str = "http://snapshot.debian.org";

/// How long after a Release file was made, in hours, a state is asked for, in this order.
const AFTER: [i64; 3] = [24, 6, 48];

/// The archive `uri` of the recipe as it was about the time `at`, as bases below `snapshot`: the first is most likely to have
/// what it had. None of an archive that is not Debian's.
pub(super) fn bases(snapshot: &str, uri: &str, at: Epoch) -> Vec<String> {
    let moment = |hours: &i64| {
        let moment = Timestamp::from_second(at.0).ok()? + SignedDuration::from_hours(*hours);
        Some(format!("{snapshot}/archive/{uri}/{}", moment.strftime("%Y%m%dT%H%M%SZ")))
    };
    if [DEBIAN, SECURITY].contains(&uri) { AFTER.iter().filter_map(moment).collect() } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_asked_for_a_day_after_the_release_file_was_made() {
        let at = Epoch(1_789_199_741); // 2026-09-12T07:15:41Z
        assert_eq!(bases("http://s", SECURITY, at)[0], "http://s/archive/debian-security/20260913T075541Z");
        assert_eq!(bases("http://s", DEBIAN, at).len(), AFTER.len());
        assert_eq!(bases("http://s", "https://vendor.example/apt", at), [""; 0]);
    }
}
