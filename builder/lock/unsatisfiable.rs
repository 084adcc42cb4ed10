//! No solution, said as a tree: each branch is a chain from what somebody wished down to a fact about the archives.
//!
//! ```text
//! cannot satisfy the recipe
//! ├─ recipe api asks for postfix
//! │  └─ postfix 3.10.5-1 conflicts with mail-transport-agent, which exim4-daemon-light 4.98.2-1 provides
//! └─ recipe base asks for exim4-daemon-light
//! ```
//!
//! Several branches mean that they hold only together: take one away, and the rest has a solution.

use std::fmt;

/// Why a wish has no solution.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsatisfiable {
    /// The branches.
    pub reasons: Vec<Reason>,
}

/// A statement, and what it follows from or leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// `recipe api asks for php8.4 (>= 8.9)`.
    pub says: String,
    /// Why that can't be had.
    pub because: Vec<Reason>,
}

impl Unsatisfiable {
    /// Adds a chain of statements; what it shares with the chains before it, from the start, is said once.
    pub(super) fn add(&mut self, chain: Vec<String>) {
        let mut reasons = &mut self.reasons;
        for says in chain {
            let known = reasons.iter().position(|reason| reason.says == says);
            let position = known.unwrap_or_else(|| {
                reasons.push(Reason { says, because: Vec::new() });
                reasons.len() - 1
            });
            reasons = &mut reasons[position].because;
        }
    }
}

impl std::error::Error for Unsatisfiable {}

impl fmt::Display for Unsatisfiable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot satisfy the recipe")?;
        draw(f, &self.reasons, "")
    }
}

/// `reasons`, one a line, each line after `margin`.
fn draw(f: &mut fmt::Formatter<'_>, reasons: &[Reason], margin: &str) -> fmt::Result {
    for (position, reason) in reasons.iter().enumerate() {
        let last = position + 1 == reasons.len();
        let (branch, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        write!(f, "\n{margin}{branch}{}", reason.says)?;
        draw(f, &reason.because, &format!("{margin}{below}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::small_archive::{index, refused, source, wish};
    use super::super::wish::Wish;
    use crate::debian::index::{Index, Source};
    use crate::debian::relation::parse_depends;

    fn tree(packages: &str, wished: &str) -> String {
        refused(&wish(wished), &index(packages)).to_string()
    }

    #[test]
    fn an_unknown_package_is_named_with_those_that_may_be_meant() {
        assert_eq!(
            tree("apache2 1\nphp8.4 1", "apache3"),
            "cannot satisfy the recipe\n\
             └─ recipe api asks for apache3\n   \
                └─ no archive has a package called apache3; did you mean apache2?"
        );
    }

    #[test]
    fn a_version_that_nobody_has_is_shown_with_those_that_there_are() {
        let sources = vec![source("trixie", 500, "php8.4 8.4.21-1"), source("trixie-security", 500, "php8.4 8.4.23-1")];
        assert_eq!(
            refused(&wish("php8.4 (>= 8.9)"), &Index::new(sources)).to_string(),
            "cannot satisfy the recipe\n\
             └─ recipe api asks for php8.4 (>= 8.9)\n   \
                └─ php8.4 has only 8.4.23-1 (trixie-security), 8.4.21-1 (trixie)"
        );
    }

    #[test]
    fn a_chain_of_relations_is_followed_down_to_the_fact() {
        assert_eq!(
            tree("a 1; Depends: b\nb 2; Depends: c (>= 3) | gone\nc 2", "a"),
            "cannot satisfy the recipe\n\
             └─ recipe api asks for a\n   \
                └─ a 1 needs b\n      \
                   └─ b 2 needs c (>= 3) | gone\n         \
                      ├─ c has only 2 (trixie)\n         \
                      └─ no archive has a package called gone"
        );
    }

    #[test]
    fn a_conflict_of_two_wishes_shows_how_each_side_came_about() {
        let packages = "web 1; Depends: exim\nexim 4; Provides: mta; Conflicts: mta\npostfix 3; Provides: mta; Conflicts: mta\nx 1";
        let mut wish = wish("postfix, x");
        wish.packages.push((parse_depends("web").unwrap().remove(0), "recipe base".to_owned()));
        assert_eq!(
            refused(&wish, &index(packages)).to_string(),
            "cannot satisfy the recipe\n\
             ├─ recipe base asks for web\n\
             │  └─ web 1 needs exim\n\
             │     └─ postfix 3 conflicts with mta, which exim 4 provides\n\
             └─ recipe api asks for postfix"
        );
    }

    #[test]
    fn two_versions_of_one_package_can_not_be_had_together() {
        assert_eq!(
            tree("a 1; Depends: lib (= 1)\nb 1; Depends: lib (= 2)\nlib 1\nlib 2", "a, b"),
            "cannot satisfy the recipe\n\
             ├─ recipe api asks for b\n\
             │  └─ b 1 needs lib (= 2)\n\
             │     └─ lib 2 can't be there beside lib 1\n\
             └─ recipe api asks for a\n   \
                └─ a 1 needs lib (= 1)"
        );
    }

    #[test]
    fn every_alternative_is_shown_with_what_stands_against_it() {
        assert_eq!(
            tree("a 1; Depends: b | c\nb 1; Depends: d (>= 2)\nc 1; Conflicts: e\nd 1\ne 1", "a, e"),
            "cannot satisfy the recipe\n\
             ├─ recipe api asks for a\n\
             │  └─ a 1 needs b | c\n\
             │     ├─ b 1 needs d (>= 2)\n\
             │     │  └─ d has only 1 (trixie)\n\
             │     └─ c 1 conflicts with e\n\
             └─ recipe api asks for e"
        );
    }

    #[test]
    fn a_virtual_package_without_the_version_says_what_its_providers_offer() {
        assert_eq!(
            tree("p 1; Provides: v\nq 1; Provides: v (= 1)", "v (>= 2)"),
            "cannot satisfy the recipe\n\
             └─ recipe api asks for v (>= 2)\n   \
                ├─ p provides v, but says no version\n   \
                └─ q provides v only as version 1"
        );
    }

    #[test]
    fn what_a_pin_or_only_shuts_out_says_so() {
        let shut = Source { only: vec!["other".to_owned()], ..source("third-party", 990, "tool 1\nother 1") };
        let index = Index::new(vec![source("backports", -1, "tool 2"), shut]);
        assert_eq!(
            refused(&wish("tool"), &index).to_string(),
            "cannot satisfy the recipe\n\
             └─ recipe api asks for tool\n   \
                ├─ tool 2 may not be used: its archive, backports, is pinned below zero\n   \
                └─ tool 1 may not be used: its archive, third-party, does not have it in its `only` list"
        );
    }

    #[test]
    fn what_is_in_every_image_is_named_as_such() {
        let index = index("dash 1; Essential: yes\na 1; Breaks: dash (<< 2)");
        assert_eq!(
            refused(&Wish { base: true, ..wish("a") }, &index).to_string(),
            "cannot satisfy the recipe\n\
             ├─ every image has dash (essential)\n\
             │  └─ a 1 breaks dash (<< 2), and it would be dash 1\n\
             └─ recipe api asks for a"
        );
    }
}
