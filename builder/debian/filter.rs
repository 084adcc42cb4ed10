//! Which paths of packages dpkg leaves out: `path-exclude` and `path-include` of dpkg(1).
//!
//! ```text
//! path-exclude=/usr/share/doc/*
//! path-include=/usr/share/doc/*/copyright      the last pattern that matches a path decides
//! ```
//!
//! Patterns are those of glob(7), and `*` and `?` match slashes too, as in fnmatch(3) without flags. What is left out stays
//! in the package's file list: dpkg knows that it belongs to the package, and `dpkg --verify` calls it missing.

use globset::{GlobBuilder, GlobMatcher};
use serde::{Serialize, Serializer};

/// The lines of a dpkg.cfg(5), as far as they speak of paths: excludes, then includes.
#[derive(Clone, Debug, Default)]
pub struct PathFilter {
    rules: Vec<Rule>,
}

#[derive(Clone, Debug)]
struct Rule {
    includes: bool,
    pattern: String,
    matcher: GlobMatcher,
}

/// A pattern that means nothing, or something else to dpkg.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// dpkg matches whole paths.
    #[error("it does not start with a slash, and dpkg matches it against whole paths")]
    NotAbsolute,
    /// glob(7) has none.
    #[error("it has braces, which dpkg takes as they are: write one pattern for each alternative")]
    Braces,
    /// A line of dpkg.cfg(5) holds it.
    #[error("it has a line break in it")]
    LineBreak,
    /// The syntax is broken.
    #[error("{0}")]
    Syntax(String),
}

impl PathFilter {
    /// Leaves out what matches one of `exclude`, unless it matches one of `include`.
    ///
    /// # Errors
    /// A pattern that is none: its place in the list of all, excludes first, and what is wrong with it.
    pub fn new(exclude: &[String], include: &[String]) -> Result<Self, (usize, PatternError)> {
        let all = exclude.iter().map(|pattern| (false, pattern)).chain(include.iter().map(|pattern| (true, pattern)));
        let rule = |(index, (includes, pattern)): (usize, (bool, &String))| match matcher(pattern) {
            Ok(matcher) => Ok(Rule { includes, pattern: pattern.clone(), matcher }),
            Err(wrong) => Err((index, wrong)),
        };
        Ok(Self { rules: all.enumerate().map(rule).collect::<Result<_, _>>()? })
    }

    /// Whether nothing is left out.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether dpkg lays `path` (with its leading slash). What is a directory, or a link that may lead to one, is also laid
    /// where an include could match something below it: dpkg looks no further than to the include's first wildcard.
    pub fn keeps(&self, path: &str, may_hold_others: bool) -> bool {
        let decides = self.rules.iter().rev().find(|rule| rule.matcher.is_match(path));
        if decides.is_none_or(|rule| rule.includes) {
            return true;
        }
        let fixed = |rule: &Rule| {
            let end = rule.pattern.find(['*', '?', '[', '\\']).unwrap_or(rule.pattern.len());
            rule.pattern[..end].trim_end_matches('/').to_owned()
        };
        may_hold_others && self.rules.iter().any(|rule| rule.includes && path.starts_with(&fixed(rule)))
    }

    /// The lines, for a file in `/etc/dpkg/dpkg.cfg.d/`.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.rules.iter().map(|Rule { includes, pattern, .. }| match includes {
            true => format!("path-include={pattern}"),
            false => format!("path-exclude={pattern}"),
        })
    }
}

impl Serialize for PathFilter {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.lines())
    }
}

fn matcher(pattern: &str) -> Result<GlobMatcher, PatternError> {
    if !pattern.starts_with('/') {
        return Err(PatternError::NotAbsolute);
    }
    if pattern.contains(['{', '}']) {
        return Err(PatternError::Braces);
    }
    if pattern.contains(char::is_control) {
        return Err(PatternError::LineBreak);
    }
    let glob = GlobBuilder::new(pattern).literal_separator(false).backslash_escape(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|wrong| PatternError::Syntax(wrong.kind().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(exclude: &[&str], include: &[&str]) -> Result<PathFilter, (usize, PatternError)> {
        let owned = |list: &[&str]| list.iter().map(|&pattern| pattern.to_owned()).collect::<Vec<_>>();
        PathFilter::new(&owned(exclude), &owned(include))
    }

    #[test]
    fn a_star_matches_slashes_and_an_include_brings_back() {
        let filter = filter(&["/usr/share/doc/*", "/usr/share/man/*"], &["/usr/share/doc/*/copyright"]).unwrap();
        for kept in ["/usr/share/doc", "/usr/share/doc/bash/copyright", "/usr/share/doc-base/x", "/usr/share/manual"] {
            assert!(filter.keeps(kept, false), "{kept}");
        }
        for gone in ["/usr/share/doc/bash/README", "/usr/share/doc/bash/a/b", "/usr/share/man/man1/ls.1.gz"] {
            assert!(!filter.keeps(gone, false), "{gone}");
        }
    }

    #[test]
    fn a_directory_that_may_hold_something_included_is_kept() {
        let filter = filter(&["/usr/share/doc/*", "/usr/share/man/*"], &["/usr/share/doc/*/copyright"]).unwrap();
        assert!(filter.keeps("/usr/share/doc/bash", true));
        assert!(filter.keeps("/usr/share/doc/bash/examples", true));
        assert!(!filter.keeps("/usr/share/doc/bash", false));
        assert!(!filter.keeps("/usr/share/man/man1", true));
    }

    #[test]
    fn the_lines_are_those_of_dpkg() {
        let filter = filter(&["/usr/share/info/*"], &["/usr/share/info/dir"]).unwrap();
        let lines: Vec<String> = filter.lines().collect();
        assert_eq!(lines, ["path-exclude=/usr/share/info/*", "path-include=/usr/share/info/dir"]);
    }

    #[test]
    fn patterns_that_dpkg_would_read_otherwise_are_refused() {
        assert_eq!(filter(&["/a/*", "usr/*"], &[]).unwrap_err(), (1, PatternError::NotAbsolute));
        assert_eq!(filter(&["/a/*"], &["/a/{b,c}"]).unwrap_err(), (1, PatternError::Braces));
        assert_eq!(filter(&["/a\n/b"], &[]).unwrap_err(), (0, PatternError::LineBreak));
        assert!(matches!(filter(&["/a[b"], &[]).unwrap_err(), (0, PatternError::Syntax(_))));
    }
}
