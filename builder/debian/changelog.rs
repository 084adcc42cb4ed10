//! deb-changelog(5): what changed in a package, version by version, the newest first.
//!
//! ```text
//! openssl (3.5.4-1~deb13u2) trixie-security; urgency=medium     an entry begins at the margin …
//!
//!   * CVE-2026-1234: …                                            … says what changed, indented …
//!
//!  -- Somebody <somebody@example.org>  Mon, 02 Nov 2026 …         … and is signed
//! ```

use std::collections::BTreeSet;

use super::version::Version;

/// One version of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Of the source package.
    pub version: Version,
    /// `trixie-security`, `unstable`; as it stands there.
    pub distribution: String,
    /// What changed, without the indentation of its first line.
    pub text: String,
}

impl Entry {
    /// The vulnerabilities that it names (`CVE-2026-1234`), sorted.
    pub fn cves(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (at, _) in self.text.match_indices("CVE-") {
            let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
            let rest = &self.text[at + 4..];
            let year = digits(rest);
            let number = rest[year..].strip_prefix('-').map_or(0, digits);
            if year == 4 && number >= 4 {
                found.insert(self.text[at..at + 4 + year + 1 + number].to_owned());
            }
        }
        found
    }
}

/// The entries of a changelog, as they stand there. What is no entry (a changelog of upstream's, a damaged one) is none.
pub fn entries(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for line in text.lines() {
        match (head(line), entries.last_mut()) {
            (Some(entry), _) => entries.push(entry),
            (None, Some(entry)) if line.starts_with("  ") => {
                entry.text.push_str(line.trim());
                entry.text.push('\n');
            }
            _ => {}
        }
    }
    entries
}

/// The entries that are newer than `version`.
pub fn since(text: &str, version: &Version) -> Vec<Entry> {
    entries(text).into_iter().filter(|entry| entry.version > *version).collect()
}

/// `source (version) distribution…; metadata`
fn head(line: &str) -> Option<Entry> {
    if line.starts_with(char::is_whitespace) {
        return None;
    }
    let (_, rest) = line.split_once(" (")?;
    let (version, rest) = rest.split_once(") ")?;
    let (distribution, _) = rest.split_once(';')?;
    Some(Entry { version: version.parse().ok()?, distribution: distribution.trim().to_owned(), text: String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "openssl (3.5.4-1~deb13u2) trixie-security; urgency=medium

  * CVE-2026-1234 (a hole), CVE-2026-12345:
    - and CVE-2025-0001, again CVE-2026-1234
  * CVE-26-1 and CVE-2026-XXXX are none

 -- Somebody <somebody@example.org>  Mon, 02 Nov 2026 10:00:00 +0000

openssl (3.5.4-1~deb13u1) trixie; urgency=medium

  * CVE-2024-9999

 -- Somebody <somebody@example.org>  Mon, 05 Oct 2026 10:00:00 +0000
";

    #[test]
    fn an_entry_names_its_vulnerabilities_once_each() {
        let entries = entries(TEXT);
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].distribution, "trixie-security");
        let cves: Vec<String> = entries[0].cves().into_iter().collect();
        assert_eq!(cves, ["CVE-2025-0001", "CVE-2026-1234", "CVE-2026-12345"]);
    }

    #[test]
    fn what_is_newer_than_a_version_is_found_by_versions_not_by_place() {
        let since = |version: &str| since(TEXT, &version.parse().unwrap()).len();
        assert_eq!(
            (since("3.5.4-1~deb13u1"), since("3.5.4-1~deb13u2"), since("3.5.1-1"), since("3.5.4-1")),
            (1, 0, 2, 0)
        );
    }

    #[test]
    fn what_is_no_changelog_has_no_entries() {
        for text in ["", "\u{0}\u{1}", "2026-01-01 Somebody <x@y>\n\n\t* all: changed\n", "x () y; z\n", "(1) x;\n"] {
            assert_eq!(entries(text), [], "{text:?}");
        }
    }
}
