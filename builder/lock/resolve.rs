//! The resolution: [`resolve`] is a pure function from a wish and an index to a solution or the reasons why there is none.
//!
//! ```text
//!  wishes + essential + required                     apt's world: of each package the candidate only
//!        │                                           (and what the lock keeps); if that has no solution,
//!        ▼                                           once more with every version
//!  ┌─ solve ◀───────────────────────┐
//!  │    │ recommended and not there │ as long as something can be added
//!  │    └───────────────────────────┘
//!  ▼
//!  needed: only what somebody asked for, and who
//! ```
//!
//! The same wish and index give the same solution, bit for bit: nothing here depends on hash order, time or chance. The
//! caller proves every solution with [`check::prove`](super::check::prove), which shares nothing with the encoding.

use std::collections::BTreeSet;

use resolvo::{Problem, Solver};

use super::ask::{Ask, By, asked, wished};
use super::closure::needed;
use super::encoding::{Encoding, package};
use super::explain;
use super::preference::{Preference, Universe};
use super::unsatisfiable::Unsatisfiable;
use super::walk::walk;
use super::wish::{Solution, Wish};
use crate::debian::index::{Index, PackageId};
use crate::debian::relation::Relation;

/// Chooses packages from `index` so that every wish, and every relation of every chosen package, is satisfied.
///
/// Prefers what apt prefers: the same candidates, the same alternatives, nothing but what is needed. Only where the
/// candidates alone have no solution are other versions considered.
///
/// # Errors
/// There is no solution; the error says why.
pub fn resolve(wish: &Wish, index: &Index) -> Result<Solution, Unsatisfiable> {
    let base = base(wish, index);
    let base = base.iter().map(|(relation, by)| Ask { alternatives: std::slice::from_ref(relation), by: By::Wish(by) });
    let roots: Vec<Ask<'_>> = wished(wish).chain(base).collect();

    for universe in [Universe::Candidates, Universe::Everything] {
        let preference = Preference::new(index, universe, &wish.keep, wish.arch);
        let Some(mut chosen) = solve(&preference, &roots) else { continue };
        if wish.recommends {
            chosen = with_recommended(&preference, &roots, chosen);
        }
        return Ok(needed(wish, &roots, &chosen, &preference));
    }
    let preference = Preference::new(index, Universe::Everything, &wish.keep, wish.arch);
    let culprits = culprits(&preference, &roots);
    Err(explain::explain(&preference, &culprits))
}

/// A relation for each package that is in every image, and why: `essential`, `required`; none if the wish is without.
fn base(wish: &Wish, index: &Index) -> Vec<(Relation, &'static str)> {
    let candidates = Preference::new(index, Universe::Candidates, &wish.keep, wish.arch);
    let mut base = BTreeSet::new();
    for id in index.all().filter(|_| wish.base) {
        let package = index.package(id);
        let reasons = [(package.essential, "essential"), (package.priority == "required", "required")];
        let true_reasons = reasons.into_iter().filter(|&(holds, _)| holds && candidates.allows(id));
        base.extend(true_reasons.map(|(_, reason)| (&package.name, reason)));
    }
    let relation = |name: &String| Relation { name: name.clone(), qualifier: None, version: None };
    base.into_iter().map(|(name, reason)| (relation(name), reason)).collect()
}

/// One solution for `roots`, or none: the one that apt's walk proposes, if the solver agrees, else the solver's own.
fn solve(preference: &Preference<'_>, roots: &[Ask<'_>]) -> Option<BTreeSet<PackageId>> {
    let encoding = Encoding::new(preference);
    let requirements = encoding.requirements(roots.iter().copied());
    let proposed =
        walk(preference, roots).map(|path| path.into_iter().map(|id| encoding.exactly(id)).collect::<Vec<_>>());
    let mut solver = Solver::new(encoding);
    if let Some(proposed) = proposed {
        let requirements = requirements.iter().copied().chain(proposed).collect();
        if let Ok(solvables) = solver.solve(Problem::new().requirements(requirements)) {
            return Some(solvables.into_iter().map(package).collect());
        }
    }
    let solvables = solver.solve(Problem::new().requirements(requirements)).ok()?;
    Some(solvables.into_iter().map(package).collect())
}

/// `chosen`, and what it recommends, and what that recommends…, as far as it can be added.
///
/// All new recommendations of a round are tried together, which nearly always holds; if not, one after the other.
fn with_recommended<'a>(
    preference: &Preference<'a>,
    roots: &[Ask<'a>],
    mut chosen: BTreeSet<PackageId>,
) -> BTreeSet<PackageId> {
    let mut wanted = roots.to_vec();
    let mut seen: BTreeSet<PackageId> = BTreeSet::new();
    loop {
        let recommended: Vec<Ask<'a>> = chosen
            .iter()
            .filter(|&&id| seen.insert(id))
            .flat_map(|&id| asked(preference.index.package(id), true))
            .filter(|ask| matches!(ask.by, By::Package(_, "Recommends")) && !preference.choices(*ask).is_empty())
            .collect();
        if recommended.is_empty() {
            return chosen;
        }
        let known = wanted.len();
        wanted.extend(&recommended);
        if let Some(all) = solve(preference, &wanted) {
            chosen = all;
            continue;
        }
        wanted.truncate(known);
        for ask in recommended {
            wanted.push(ask);
            match solve(preference, &wanted) {
                Some(more) => chosen = more,
                None => drop(wanted.pop()),
            }
        }
    }
}

/// Of `roots` a smallest set that has no solution: leave one of them out, and the rest has one. What is in every image
/// is left out first, so that the blame stays with what somebody wished.
fn culprits<'a>(preference: &Preference<'a>, roots: &[Ask<'a>]) -> Vec<Ask<'a>> {
    let mut culprits = roots.to_vec();
    for position in (0..roots.len()).rev() {
        let left_out = culprits.remove(position);
        if solve(preference, &culprits).is_some() {
            culprits.insert(position, left_out);
        }
    }
    culprits
}

#[cfg(test)]
mod tests {
    use super::super::small_archive::{index, solved, source, wish};
    use super::*;

    #[test]
    fn what_is_needed_is_chosen_and_nothing_else() {
        let index = index("a 1; Depends: b (>= 2)\nb 2; Pre-Depends: c\nc 3\nd 4");
        assert_eq!(solved(&wish("a"), &index), "a=1 b=2 c=3");
        assert_eq!(solved(&Wish::default(), &index), "");
    }

    #[test]
    fn every_package_says_who_asked_for_it() {
        let index = index("a 1; Depends: c; Pre-Depends: c\nb 1; Depends: c\nc 1; Essential: yes; Priority: required");
        let wish = Wish { base: true, ..wish("a, b") };
        let solution = resolve(&wish, &index).unwrap();
        assert_eq!(solution.packages["a"].because, ["recipe api"]);
        assert_eq!(
            solution.packages["c"].because,
            ["a Depends", "a Pre-Depends", "b Depends", "essential", "required"]
        );
    }

    #[test]
    fn essential_and_required_packages_are_in_every_image_that_wants_a_base() {
        let index = index("a 1\ndash 1; Essential: yes\nmount 1; Priority: required\nvim 1; Priority: important");
        assert_eq!(solved(&wish("a"), &index), "a=1");
        assert_eq!(solved(&Wish { base: true, ..wish("a") }, &index), "a=1 dash=1 mount=1");
    }

    #[test]
    fn the_first_alternative_wins_unless_another_is_there_already_or_it_can_not_be_had() {
        let index = index("a 1; Depends: b | c\nb 1\nc 1\nd 1; Depends: c\ne 1; Conflicts: b");
        assert_eq!(solved(&wish("a"), &index), "a=1 b=1");
        assert_eq!(solved(&wish("a, c"), &index), "a=1 c=1"); // wishes are there from the start
        assert_eq!(solved(&wish("d, a"), &index), "a=1 c=1 d=1");
        assert_eq!(solved(&wish("a, d"), &index), "a=1 b=1 c=1 d=1"); // as apt: when a asked, c was not there yet
        assert_eq!(solved(&wish("a, e"), &index), "a=1 c=1 e=1");
    }

    #[test]
    fn only_a_versioned_provides_satisfies_a_versioned_relation() {
        let index = index("a 1; Depends: v (>= 2)\np 9; Provides: v\nq 1; Provides: v (= 2)\nr 1; Provides: v (= 1)");
        assert_eq!(solved(&wish("a"), &index), "a=1 q=1");
    }

    #[test]
    fn two_providers_of_a_virtual_package_live_side_by_side_unless_they_conflict() {
        let both = index("a 1; Provides: v\nb 1; Provides: v\nc 1; Depends: v");
        assert_eq!(solved(&wish("a, b, c"), &both), "a=1 b=1 c=1");
        let one = index("a 1; Provides: mta; Conflicts: mta\nb 1; Provides: mta; Conflicts: mta");
        assert_eq!(solved(&wish("a"), &one), "a=1"); // it conflicts with the others, not with itself
        assert!(resolve(&wish("a, b"), &one).is_err());
    }

    #[test]
    fn a_wish_for_a_real_package_is_not_granted_by_another_that_provides_its_name() {
        let index = index("mod 2; Depends: mod8\nmod8 1; Provides: mod\nx 1; Depends: mod8");
        assert_eq!(solved(&wish("mod, x"), &index), "mod=2 mod8=1 x=1");
        assert_eq!(solved(&wish("x"), &index), "mod8=1 x=1");
    }

    #[test]
    fn breaks_with_a_version_hits_that_version_only() {
        let index = index("a 1; Breaks: b (<< 2); Depends: b\nb 1\nb 2");
        assert_eq!(solved(&wish("a"), &index), "a=1 b=2");
    }

    #[test]
    fn a_version_that_is_not_the_candidate_is_chosen_only_where_the_candidate_will_not_do() {
        let trixie = "lib 1\na 1; Depends: lib (= 1)\nb 1; Depends: lib\nc 1; Depends: a | lib";
        let index = Index::new(vec![source("trixie", 500, trixie), source("security", 500, "lib 1+deb13u1")]);
        assert_eq!(solved(&wish("b"), &index), "b=1 lib=1+deb13u1");
        assert_eq!(solved(&wish("c"), &index), "c=1 lib=1+deb13u1"); // as apt: rather another alternative
        assert_eq!(solved(&wish("a"), &index), "a=1 lib=1");
        assert_eq!(solved(&wish("lib (<< 1+)"), &index), "lib=1");
    }

    #[test]
    fn a_pin_decides_which_version_is_the_candidate() {
        let index =
            Index::new(vec![source("trixie", 500, "a 1"), source("backports", 100, "a 2\nb 1; Depends: a (>= 2)")]);
        assert_eq!(solved(&wish("a"), &index), "a=1");
        assert_eq!(solved(&wish("a, b"), &index), "a=2 b=1");
    }

    #[test]
    fn what_the_lock_holds_is_kept_as_long_as_it_satisfies() {
        let trixie = source("trixie", 500, "a 1; Depends: b | c\nb 1\nc 1\nd 1; Depends: b (>= 2)");
        let index = Index::new(vec![trixie, source("security", 500, "b 2\nc 2")]);
        let keeping = |packages: &str, kept: &[(&str, &str)]| Wish {
            keep: kept.iter().map(|(name, version)| ((*name).to_owned(), version.parse().unwrap())).collect(),
            ..wish(packages)
        };
        assert_eq!(solved(&keeping("a", &[("b", "1")]), &index), "a=1 b=1");
        assert_eq!(solved(&keeping("a", &[("c", "1")]), &index), "a=1 c=1"); // the choice between b and c, too
        assert_eq!(solved(&keeping("a, d", &[("b", "1")]), &index), "a=1 b=2 d=1");
        assert_eq!(solved(&keeping("a", &[("b", "0.9"), ("gone", "1")]), &index), "a=1 b=2");
    }

    #[test]
    fn recommended_packages_come_along_where_they_can() {
        let packages = "a 1; Recommends: b, x, gone | g\nb 1; Recommends: c\nc 1\ng 1\nx 1; Conflicts: a";
        let index = index(packages);
        assert_eq!(solved(&wish("a"), &index), "a=1");
        let wish = Wish { recommends: true, ..wish("a") };
        assert_eq!(solved(&wish, &index), "a=1 b=1 c=1 g=1");
        assert_eq!(resolve(&wish, &index).unwrap().packages["c"].because, ["b Recommends"]);
    }

    #[test]
    fn packages_of_another_architecture_are_never_chosen() {
        let index = index("a 1; Depends: b | c\nb 1; Architecture: arm64\nc 1; Architecture: all");
        assert_eq!(solved(&wish("a"), &index), "a=1 c=1");
    }
}
