//! deb-control(5), Debian Policy §7: relations between packages.
//!
//! ```text
//! Depends: libc6 (>= 2.38), default-mta | mail-transport-agent, python3:any
//!          ───────┬──────   ─────┬─────   ─────────┬──────────  ─────┬────
//!                 │              └── alternatives ─┘                 └ name and qualifier
//!                 └ name and version                all that commas part must hold, one of what bars part
//! ```

use std::fmt;
use std::str::FromStr;

use memchr::memchr_iter;

use super::version::{NotAVersion, Version};

/// How a version is compared: `<<`, `<=`, `=`, `>=`, `>>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=` (and `<`, which Debian gave up in the nineties and dpkg still reads so)
    EarlierEqual,
    /// `=`
    Equal,
    /// `>=` (and `>`)
    LaterEqual,
    /// `>>`
    Later,
}

/// `name[:qualifier] [(operator version)]`, one alternative of a relation. (Architecture lists `[…]` and build profiles
/// `<…>` never stand in a binary index; parsing refuses them.)
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Relation {
    /// The package's name, or a virtual one.
    pub name: String,
    /// `any`, or an architecture.
    pub qualifier: Option<String>,
    /// What its version must be.
    pub version: Option<(Operator, Version)>,
}

/// Why a text is not a relation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a relation between packages: {problem}")]
pub struct NotARelation {
    /// What was to be a relation.
    pub text: String,
    /// What is wrong with it.
    pub problem: RelationProblem,
}

/// What can be wrong with a relation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RelationProblem {
    /// Nothing between two commas or bars, or after the last one.
    #[error("a package's name is missing")]
    Empty,
    /// dpkg: letters and digits, then also `. + - _`.
    #[error("`{0}` can't be the name of a package")]
    BadName(String),
    /// After the colon.
    #[error("`{0}` is neither an architecture nor `any`")]
    BadQualifier(String),
    /// An opening parenthesis without the closing one at the end.
    #[error("the version must stand in parentheses, last")]
    Parentheses,
    /// In the parentheses.
    #[error("the version must follow one of << <= = >= >>")]
    NoOperator,
    /// In the parentheses.
    #[error(transparent)]
    BadVersion(#[from] NotAVersion),
    /// `[amd64]` or `<!nocheck>`.
    #[error("architecture lists and build profiles belong to source packages")]
    SourceOnly,
    /// `a | b` in a field that has no alternatives.
    #[error("alternatives can't stand in this field")]
    Alternatives,
}

/// Reads a field with alternatives (`Depends`, `Pre-Depends`, `Recommends`): all of (any of). Nothing is an empty list.
///
/// # Errors
/// The first relation that isn't one.
pub fn parse_depends(field: &str) -> Result<Vec<Vec<Relation>>, NotARelation> {
    parts(field, b',', |group| parts(group, b'|', str::parse))
}

/// Reads a field without alternatives (`Conflicts`, `Breaks`, `Replaces`, `Provides`). Nothing is an empty list.
///
/// # Errors
/// The first relation that isn't one.
pub fn parse_list(field: &str) -> Result<Vec<Relation>, NotARelation> {
    parts(field, b',', |part| match part.contains('|') {
        true => Err(NotARelation { text: part.trim().to_owned(), problem: RelationProblem::Alternatives }),
        false => part.parse(),
    })
}

/// Reads each of what `separator` parts; nothing but blanks has no parts. (The list is made to measure: there are half a
/// million of them in an index, most with one member.)
fn parts<T>(
    field: &str,
    separator: u8,
    read: impl Fn(&str) -> Result<T, NotARelation>,
) -> Result<Vec<T>, NotARelation> {
    if separator == b',' && field.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let mut list = Vec::with_capacity(memchr_iter(separator, field.as_bytes()).count() + 1);
    let mut from = 0;
    for to in memchr_iter(separator, field.as_bytes()).chain([field.len()]) {
        list.push(read(&field[from..to])?);
        from = to + 1;
    }
    Ok(list)
}

/// Whether dpkg takes `name` as that of a package: letters and digits first, then also `. + - _`.
pub fn is_package_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-' | b'_'))
}

impl Operator {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Earlier => "<<",
            Self::EarlierEqual => "<=",
            Self::Equal => "=",
            Self::LaterEqual => ">=",
            Self::Later => ">>",
        }
    }

    /// The operator that `text` opens with, and what follows it.
    fn split(text: &str) -> Option<(Self, &str)> {
        const WRITTEN: [(&str, Operator); 7] = [
            ("<<", Operator::Earlier),
            ("<=", Operator::EarlierEqual),
            (">=", Operator::LaterEqual),
            (">>", Operator::Later),
            ("=", Operator::Equal),
            ("<", Operator::EarlierEqual),
            (">", Operator::LaterEqual),
        ];
        WRITTEN.iter().find_map(|(written, operator)| Some((*operator, text.strip_prefix(written)?)))
    }

    /// Whether `found operator wanted` holds.
    pub fn holds(self, found: &Version, wanted: &Version) -> bool {
        match self {
            Self::Earlier => found < wanted,
            Self::EarlierEqual => found <= wanted,
            Self::Equal => found == wanted,
            Self::LaterEqual => found >= wanted,
            Self::Later => found > wanted,
        }
    }
}

impl Relation {
    /// Whether a package of this name at `version` is what is meant. (Names and qualifiers are not looked at.)
    pub fn admits(&self, version: &Version) -> bool {
        self.version.as_ref().is_none_or(|(operator, wanted)| operator.holds(version, wanted))
    }
}

impl FromStr for Relation {
    type Err = NotARelation;

    fn from_str(text: &str) -> Result<Self, NotARelation> {
        let text = text.trim_ascii();
        let wrong = |problem| NotARelation { text: text.to_owned(), problem };
        let (head, version) = match text.split_once('(') {
            None => (text, None),
            Some((head, rest)) => {
                let inner =
                    rest.strip_suffix(')').ok_or_else(|| wrong(source_only_or(text, RelationProblem::Parentheses)))?;
                let (operator, version) =
                    Operator::split(inner.trim_ascii()).ok_or_else(|| wrong(RelationProblem::NoOperator))?;
                let version = version.trim_ascii().parse::<Version>().map_err(|error| wrong(error.into()))?;
                (head.trim_ascii_end(), Some((operator, version)))
            }
        };
        let (name, qualifier) = match head.split_once(':') {
            Some((name, qualifier)) => (name, Some(qualifier)),
            None => (head, None),
        };
        if name.is_empty() {
            return Err(wrong(RelationProblem::Empty));
        }
        if !is_package_name(name) {
            return Err(wrong(source_only_or(head, RelationProblem::BadName(name.to_owned()))));
        }
        if let Some(qualifier) = qualifier
            && (qualifier.is_empty() || !qualifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'))
        {
            return Err(wrong(RelationProblem::BadQualifier(qualifier.to_owned())));
        }
        Ok(Self { name: name.to_owned(), qualifier: qualifier.map(str::to_owned), version })
    }
}

/// The better of two explanations: `[` and `<` after a name are what source packages write.
fn source_only_or(text: &str, problem: RelationProblem) -> RelationProblem {
    let outside = text.split('(').next().unwrap_or_default();
    let after = text.rsplit(')').next().unwrap_or_default();
    let is_source_syntax = outside.contains(['[', '<']) || (after != text && after.contains(['[', '<']));
    if is_source_syntax { RelationProblem::SourceOnly } else { problem }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(qualifier) = &self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        if let Some((operator, version)) = &self.version {
            write!(f, " ({operator} {version})")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_are_read_and_written_back_in_one_form() {
        for (written, form) in [
            ("libc6", "libc6"),
            ("libc6 (>= 2.38)", "libc6 (>= 2.38)"),
            ("  libc6(>=2.38) ", "libc6 (>= 2.38)"),
            ("libc6\n ( << 1:2-3 )", "libc6 (<< 1:2-3)"),
            ("python3:any (= 3)", "python3:any (= 3)"),
            ("gcc-14-base:amd64", "gcc-14-base:amd64"),
            ("old (< 2)", "old (<= 2)"),
            ("old (> 2)", "old (>= 2)"),
        ] {
            assert_eq!(written.parse::<Relation>().unwrap().to_string(), form);
        }
    }

    #[test]
    fn commas_part_what_all_must_hold_and_bars_part_alternatives() {
        let all = parse_depends("a (>= 1) | b, c |d:any,\n e").unwrap();
        let written: Vec<Vec<String>> = all.iter().map(|any| any.iter().map(Relation::to_string).collect()).collect();
        assert_eq!(written, [vec!["a (>= 1)", "b"], vec!["c", "d:any"], vec!["e"]]);
        assert!(parse_depends(" \n").unwrap().is_empty());
        assert_eq!(parse_list("a, b (<< 2)").unwrap().len(), 2);
    }

    #[test]
    fn what_is_no_relation_is_refused_with_the_reason() {
        let error = |text: &str| parse_depends(text).unwrap_err().to_string();
        assert_eq!(error("a,,b"), "`` is not a relation between packages: a package's name is missing");
        assert_eq!(error("a |"), "`` is not a relation between packages: a package's name is missing");
        assert_eq!(error("a,"), "`` is not a relation between packages: a package's name is missing");
        assert!(error("a (>= 1").ends_with("the version must stand in parentheses, last"));
        assert!(error("a (>= 1) x").ends_with("the version must stand in parentheses, last"));
        assert!(error("a (1)").ends_with("the version must follow one of << <= = >= >>"));
        assert!(error("a (>= )").ends_with("it is empty"));
        assert!(error("a (>= 1 2)").ends_with("only letters, digits and . + - ~ can"));
        assert!(error("a b").ends_with("`a b` can't be the name of a package"));
        assert!(error("../a").ends_with("`../a` can't be the name of a package"));
        assert!(error("a:").ends_with("`` is neither an architecture nor `any`"));
        for source_only in ["a [amd64]", "a (>= 1) [amd64]", "a <!nocheck>"] {
            assert!(error(source_only).ends_with("belong to source packages"), "{source_only}");
        }
        assert!(parse_list("a | b").unwrap_err().to_string().ends_with("alternatives can't stand in this field"));
    }

    #[test]
    fn a_relation_admits_the_versions_that_its_operator_says() {
        let versions = ["1", "2", "3"].map(|text| text.parse::<Version>().unwrap());
        let admitted = |relation: &str| -> Vec<bool> {
            let relation: Relation = relation.parse().unwrap();
            versions.iter().map(|version| relation.admits(version)).collect()
        };
        assert_eq!(admitted("a"), [true, true, true]);
        assert_eq!(admitted("a (<< 2)"), [true, false, false]);
        assert_eq!(admitted("a (<= 2)"), [true, true, false]);
        assert_eq!(admitted("a (= 2.0-0)"), [false, false, false]);
        assert_eq!(admitted("a (= 2-0)"), [false, true, false]);
        assert_eq!(admitted("a (>= 2)"), [false, true, true]);
        assert_eq!(admitted("a (>> 2)"), [false, false, true]);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn what_was_read_reads_the_same_again(text in "[a-c(<>=)0-2:| ,.~-]{0,24}") {
            if let Ok(all) = parse_depends(&text) {
                for relation in all.into_iter().flatten() {
                    proptest::prop_assert_eq!(&relation.to_string().parse::<Relation>().unwrap(), &relation);
                }
            }
        }
    }
}
