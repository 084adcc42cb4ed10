//! deb-version(7): how Debian's versions are written and ordered.
//!
//! ```text
//! 1:2.36-9+deb12u4          [epoch:]upstream[-revision]
//! ┬ ─┬── ────┬────
//! │  │       └ revision: after the last hyphen; `0` where there is none
//! │  └ upstream: the rest
//! └ epoch: a number before the first colon; `0` where there is none
//! ```
//!
//! Epochs are compared as numbers; upstream versions, then revisions, as strings that alternate between what is no digit
//! and what is: the first run of non-digits is compared letter by letter (`~` before the end, the end before letters,
//! letters before everything else), then the run of digits as a number, and so on; a run of digits that isn't there is
//! zero. So `1.0~rc1 < 1.0 < 1.0+b1`, `1.9 < 1.10`, and `1.`, `1.0` and `1.00` are the same version, written differently:
//! they are equal, and hash alike.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A Debian version, `[epoch:]upstream[-revision]`, kept as it is written; ordered (and equal) as dpkg orders.
#[derive(Clone)]
pub struct Version(String);

/// Why a text is not a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a Debian version: {problem}")]
pub struct NotAVersion {
    /// What was to be a version.
    pub text: String,
    /// What is wrong with it.
    pub problem: VersionProblem,
}

/// What can be wrong with a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VersionProblem {
    /// Nothing there.
    #[error("it is empty")]
    Empty,
    /// Something other than a number before the first colon.
    #[error("what stands before the first colon (the epoch) must be a whole number up to 2147483647")]
    Epoch,
    /// Nothing between epoch and revision.
    #[error("it has no upstream version")]
    NoUpstream,
    /// A hyphen at the end.
    #[error("nothing follows the last hyphen, where the revision stands")]
    NoRevision,
    /// deb-version(7) allows letters, digits and `. + - ~` (and a colon after an epoch).
    #[error("`{0}` can't stand there; only letters, digits and . + - ~ can")]
    Character(char),
}

impl Version {
    /// As it stands in the control file.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The epoch: what stands before the first colon, or zero.
    pub fn epoch(&self) -> u32 {
        self.parts().0
    }

    /// The upstream version: without epoch and revision.
    pub fn upstream(&self) -> &str {
        self.parts().1
    }

    /// The revision: what stands after the last hyphen, or nothing.
    pub fn revision(&self) -> &str {
        self.parts().2
    }

    /// As it stands in the name of a .deb or of a file in `/usr/share/doc`: without the epoch.
    pub fn without_epoch(&self) -> &str {
        self.0.split_once(':').map_or(&self.0, |(_, rest)| rest)
    }

    fn parts(&self) -> (u32, &str, &str) {
        let (epoch, rest) = self.0.split_once(':').map_or((0, self.as_str()), |(epoch, rest)| {
            // Parsing has made sure that it is a number that fits.
            (epoch.parse().unwrap_or(0), rest)
        });
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        (epoch, upstream, revision)
    }
}

impl FromStr for Version {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let wrong = |problem| Err(NotAVersion { text: text.to_owned(), problem });
        if text.is_empty() {
            return wrong(VersionProblem::Empty);
        }
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) => (Some(epoch), rest),
            None => (None, text),
        };
        if let Some(epoch) = epoch
            && (!epoch.bytes().all(|byte| byte.is_ascii_digit()) || epoch.parse::<i32>().is_err())
        {
            return wrong(VersionProblem::Epoch);
        }
        let (upstream, revision) = match rest.rsplit_once('-') {
            Some((upstream, revision)) => (upstream, Some(revision)),
            None => (rest, None),
        };
        if upstream.is_empty() {
            return wrong(VersionProblem::NoUpstream);
        }
        if revision.is_some_and(str::is_empty) {
            return wrong(VersionProblem::NoRevision);
        }
        let is_common = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'~');
        let in_upstream = upstream.bytes().position(|byte| !is_common(byte) && byte != b'-' && byte != b':');
        let in_revision = revision.unwrap_or_default().bytes().position(|byte| !is_common(byte));
        let foreign = in_upstream
            .and_then(|at| upstream[at..].chars().next())
            .or_else(|| in_revision.and_then(|at| revision?[at..].chars().next()));
        match foreign {
            Some(character) => wrong(VersionProblem::Character(character)),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.0 == other.0 {
            return Ordering::Equal;
        }
        let (ours, theirs) = (self.parts(), other.parts());
        ours.0.cmp(&theirs.0).then_with(|| compare(ours.1, theirs.1)).then_with(|| compare(ours.2, theirs.2))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl Hash for Version {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (epoch, upstream, revision) = self.parts();
        epoch.hash(state);
        for part in [upstream, revision] {
            // The first pair counts even where it is empty, so that `` and `0` hash alike.
            let mut rest = part.as_bytes();
            loop {
                let (words, number);
                (words, rest) = split(rest, |byte| !byte.is_ascii_digit());
                (number, rest) = split(rest, |byte| byte.is_ascii_digit());
                words.hash(state);
                without_zeros(number).hash(state);
                if rest.is_empty() {
                    break;
                }
            }
        }
    }
}

/// Compares two upstream versions, or two revisions.
fn compare(ours: &str, theirs: &str) -> Ordering {
    let (mut ours, mut theirs) = (ours.as_bytes(), theirs.as_bytes());
    while !ours.is_empty() || !theirs.is_empty() {
        let (our_words, their_words, our_number, their_number);
        (our_words, ours) = split(ours, |byte| !byte.is_ascii_digit());
        (their_words, theirs) = split(theirs, |byte| !byte.is_ascii_digit());
        for at in 0..our_words.len().max(their_words.len()) {
            let order = weight(our_words.get(at)).cmp(&weight(their_words.get(at)));
            if order.is_ne() {
                return order;
            }
        }
        (our_number, ours) = split(ours, |byte| byte.is_ascii_digit());
        (their_number, theirs) = split(theirs, |byte| byte.is_ascii_digit());
        // Numbers of any length: without leading zeros the longer one is the larger, and equal lengths go by digits.
        let (our_number, their_number) = (without_zeros(our_number), without_zeros(their_number));
        let order = our_number.len().cmp(&their_number.len()).then_with(|| our_number.cmp(their_number));
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

/// Where a byte of a non-digit run stands in the order: `~`, the end of the run, letters, all others.
fn weight(byte: Option<&u8>) -> u16 {
    match byte {
        Some(b'~') => 0,
        None => 1,
        Some(letter) if letter.is_ascii_alphabetic() => u16::from(*letter),
        Some(other) => 0x100 + u16::from(*other),
    }
}

/// The bytes from the front that are `wanted`, and the rest.
fn split(bytes: &[u8], wanted: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.iter().position(|&byte| !wanted(byte)).unwrap_or(bytes.len()))
}

fn without_zeros(digits: &[u8]) -> &[u8] {
    split(digits, |byte| byte == b'0').1
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    fn hash(version: &Version) -> u64 {
        BuildHasherDefault::<DefaultHasher>::default().hash_one(version)
    }

    /// Each is later than the one before.
    const ASCENDING: &[&str] = &[
        "0~",
        "0",
        "0+",
        "0.0~~",
        "0.0~",
        "0.0",
        "0.0a",
        "0.0+",
        "1~~",
        "1~~a",
        "1~",
        "1~rc1",
        "1",
        "1-0.1",
        "1-1~bpo1",
        "1-1",
        "1-1+b1",
        "1a",
        "1.2~rc1.2-1.1",
        "1.2",
        "1.2.1-3",
        "1.9",
        "1.10",
        "1.18446744073709551616",
        "1.18446744073709551617",
        "1:0",
        "1:0.1",
        "2:0~",
    ];

    #[test]
    fn versions_order_as_the_manual_page_says() {
        for (at, earlier) in ASCENDING.iter().enumerate() {
            for later in &ASCENDING[at + 1..] {
                assert_eq!(version(earlier).cmp(&version(later)), Ordering::Less, "{earlier} and {later}");
                assert_eq!(version(later).cmp(&version(earlier)), Ordering::Greater, "{later} and {earlier}");
            }
        }
    }

    #[test]
    fn versions_that_are_written_differently_can_be_equal_and_then_hash_alike() {
        for (one, other) in [
            ("1.0", "1.00"),
            ("1.", "1.0"),
            ("1a", "1a0"),
            ("1.0", "0:1.0"),
            ("1.0", "1.0-0"),
            ("1-00", "1"),
            ("0", "00"),
        ] {
            assert_eq!(version(one), version(other));
            assert_eq!(hash(&version(one)), hash(&version(other)), "{one} {other}");
        }
        assert_ne!(hash(&version("1.0")), hash(&version("1.1")));
    }

    #[test]
    fn the_parts_of_a_version() {
        let full = version("1:2.36-9-9+deb12u4");
        assert_eq!((full.epoch(), full.upstream(), full.revision()), (1, "2.36-9", "9+deb12u4"));
        assert_eq!(full.without_epoch(), "2.36-9-9+deb12u4");
        assert_eq!(version("2.36").parts(), (0, "2.36", ""));
    }

    #[test]
    fn what_is_no_version_is_refused_with_the_reason() {
        let error = |text: &str| text.parse::<Version>().unwrap_err().to_string();
        assert_eq!(error(""), "`` is not a Debian version: it is empty");
        assert_eq!(
            error("1-"),
            "`1-` is not a Debian version: nothing follows the last hyphen, where the revision stands"
        );
        assert_eq!(error("1:"), "`1:` is not a Debian version: it has no upstream version");
        assert_eq!(error("-1"), "`-1` is not a Debian version: it has no upstream version");
        for epoch in [":1", "a:1", "+1:1", "2147483648:1"] {
            assert!(error(epoch).contains("the epoch"), "{epoch}");
        }
        for foreign in ["1 2", "1_2", "1-2:3", "1é", "1\n", "1/../2"] {
            assert!(error(foreign).contains("can't stand there") || error(foreign).contains("epoch"), "{foreign}");
        }
    }

    #[test]
    fn a_version_is_a_string_in_a_lock() {
        let json = serde_json::to_string(&version("1:2-3")).unwrap();
        assert_eq!(json, "\"1:2-3\"");
        assert_eq!(serde_json::from_str::<Version>(&json).unwrap().as_str(), "1:2-3");
        assert!(serde_json::from_str::<Version>("\"1 2\"").is_err());
    }

    /// Versions that collide often: few characters, short.
    fn any_version() -> impl Strategy<Value = Version> {
        "([01]:)?[0-2][01a~+.]{0,4}(-[01a~+.]{1,3})?".prop_map(|text| version(&text))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn the_order_is_total(a in any_version(), b in any_version(), c in any_version()) {
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            if a <= b && b <= c {
                prop_assert!(a <= c);
            }
            if a == b {
                prop_assert_eq!(a.cmp(&c), b.cmp(&c));
                prop_assert_eq!(hash(&a), hash(&b));
            }
        }

        #[test]
        fn any_text_is_a_version_or_an_error(text in ".{0,12}") {
            if let Ok(version) = text.parse::<Version>() {
                prop_assert_eq!(version.as_str(), text);
            }
        }
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "the machine's own dpkg is the oracle; nothing of it enters an image")]
    fn dpkg_orders_the_same() {
        if Command::new("dpkg").arg("--version").output().is_err() {
            println!("skipped: this machine has no dpkg to compare with");
            return;
        }
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (at, one) in ASCENDING.iter().enumerate() {
            pairs.extend(ASCENDING[at..].iter().step_by(3).map(|other| ((*one).to_owned(), (*other).to_owned())));
        }
        let pieces = ["0", "1", "9", "10", "00", "a", "Z", "~", "+", ".", ".0", "~~", "rc", "01"];
        let mut state = 88172645463325252u64;
        let mut random = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).unwrap()
        };
        let mut made = || {
            let mut text = String::from(["1", "0:1", "2", "1:0"][random(4)]);
            (0..random(5)).for_each(|_| text.push_str(pieces[random(pieces.len())]));
            if random(2) == 0 {
                text.push('-');
                (0..=random(3)).for_each(|_| text.push_str(pieces[random(pieces.len())]));
            }
            text
        };
        pairs.extend((0..400).map(|_| (made(), made())));
        // One shell asks dpkg everything: a process for each pair is what takes the time already.
        let script: String = pairs
            .iter()
            .map(|(a, b)| {
                format!(
                    "if dpkg --compare-versions '{a}' lt '{b}'; then echo L; \
                     elif dpkg --compare-versions '{a}' gt '{b}'; then echo G; else echo E; fi\n"
                )
            })
            .collect();
        let output = Command::new("sh").arg("-c").arg(&script).output().unwrap();
        let answers = String::from_utf8(output.stdout).unwrap();
        assert_eq!(answers.lines().count(), pairs.len());
        for ((a, b), answer) in pairs.iter().zip(answers.lines()) {
            let ours = match version(a).cmp(&version(b)) {
                Ordering::Less => "L",
                Ordering::Equal => "E",
                Ordering::Greater => "G",
            };
            assert_eq!(ours, answer, "{a} and {b}");
        }
        println!("{} pairs of versions compared as dpkg does", pairs.len());
    }
}
