//! Proves a solution anew, whoever made it.
//!
//! It asks the index nothing but which version satisfies which relation, and shares no line with the encoding: what the
//! solver was told wrongly is found here. Everything that must hold of a set of packages, one pass each:
//!
//! * every wish is satisfied, and every package that is in every image is there;
//! * every `Pre-Depends` and `Depends` of every chosen package is satisfied by a chosen package;
//! * nothing chosen conflicts with or breaks something else that is chosen;
//! * one version of each name, of the right architecture, from an archive that may be used;
//! * every package can be reached from the wishes, and each `because` is true.

use std::collections::{BTreeMap, BTreeSet};

use super::wish::{Solution, Wish};
use crate::debian::index::{Index, PackageId};
use crate::debian::package::Package;
use crate::debian::relation::Relation;

/// Something that does not hold of a solution. It is never the recipe's fault: the resolver went wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disproof {
    /// A wish, or a package that is in every image.
    #[error("{by} asks for {wanted}, and nothing in the solution is that")]
    WishUnsatisfied {
        /// Who asks.
        by: String,
        /// What for.
        wanted: String,
    },
    /// A `Depends` or `Pre-Depends`.
    #[error("{package} needs {wanted}, and nothing in the solution is that")]
    Unsatisfied {
        /// Name and version.
        package: String,
        /// The or-group.
        wanted: String,
    },
    /// A `Conflicts` or `Breaks`.
    #[error("{package} can't be there beside {other}: it conflicts with or breaks {relation}")]
    Conflict {
        /// Name and version of who says so.
        package: String,
        /// Name and version of what is hit.
        other: String,
        /// What is said.
        relation: String,
    },
    /// Entered under another name than its own.
    #[error("{package} stands in the solution as {name}")]
    Misnamed {
        /// Name and version.
        package: String,
        /// The entry's name.
        name: String,
    },
    /// Its archive's priority is negative.
    #[error("{package} may not be used: its archive ({archive}) is pinned below zero")]
    Forbidden {
        /// Name and version.
        package: String,
        /// Where it comes from.
        archive: String,
    },
    /// Neither the image's architecture nor `all`.
    #[error("{package} is for {architecture}, not for the image's architecture")]
    Foreign {
        /// Name and version.
        package: String,
        /// The package's.
        architecture: String,
    },
    /// Nothing leads to it.
    #[error("{package} is in the solution although nobody asked for it")]
    Stray {
        /// Name and version.
        package: String,
    },
    /// A reason that isn't one, or none at all.
    #[error("{package} is said to be there because of «{because}», which is not so")]
    Untrue {
        /// Name and version.
        package: String,
        /// As it stands in the solution; empty where there is no reason at all.
        because: String,
    },
}

/// Holds `solution` against `wish` and every relation in `index`.
///
/// # Errors
/// Everything that does not hold, in the order of the packages' names.
pub fn prove(solution: &Solution, wish: &Wish, index: &Index) -> Result<(), Vec<Disproof>> {
    let case = Case::new(solution, wish, index);
    let mut wrong = Vec::new();
    case.check_wishes(&mut wrong);
    for (name, chosen) in &solution.packages {
        case.check_package(name, chosen.id, &mut wrong);
        case.check_relations(chosen.id, &mut wrong);
        case.check_reasons(chosen.id, &chosen.because, &mut wrong);
    }
    case.check_reachable(&mut wrong);
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// What is looked at, with who in the solution goes by which name, real or virtual.
struct Case<'a> {
    solution: &'a Solution,
    wish: &'a Wish,
    index: &'a Index,
    by_name: BTreeMap<&'a str, BTreeSet<PackageId>>,
}

impl<'a> Case<'a> {
    fn new(solution: &'a Solution, wish: &'a Wish, index: &'a Index) -> Self {
        let mut by_name: BTreeMap<&str, BTreeSet<PackageId>> = BTreeMap::new();
        for chosen in solution.packages.values() {
            let package = index.package(chosen.id);
            by_name.entry(&package.name).or_default().insert(chosen.id);
            for (provided, _) in &package.provides {
                by_name.entry(provided).or_default().insert(chosen.id);
            }
        }
        Self { solution, wish, index, by_name }
    }

    /// Those of the solution that satisfy one of `alternatives`.
    fn satisfying(&self, alternatives: &'a [Relation]) -> impl Iterator<Item = PackageId> {
        alternatives.iter().flat_map(|relation| {
            let named = self.by_name.get(relation.name.as_str()).into_iter().flatten().copied();
            named.filter(|&id| self.index.satisfies(id, relation))
        })
    }

    /// Like [`Self::satisfying`], but a name means the package of this name, if the archives have one.
    fn granting(&self, alternatives: &'a [Relation]) -> impl Iterator<Item = PackageId> {
        self.satisfying(alternatives).filter(|&id| {
            let package = self.index.package(id);
            alternatives.iter().any(|relation| {
                let offered = self.index.versions(&relation.name);
                self.index.satisfies(id, relation)
                    && (package.name == relation.name
                        || !offered.iter().any(|&real| self.index.satisfies(real, relation)))
            })
        })
    }

    /// What is in every image, of these packages: name and reason.
    fn base(&self) -> impl Iterator<Item = (&'a str, &'static str)> {
        let all = self.index.all().filter(|_| self.wish.base).map(|id| (id, self.index.package(id)));
        let reasons = all.flat_map(|(id, package)| {
            let essential = package.essential.then_some((id, "essential"));
            let required = (package.priority == "required").then_some((id, "required"));
            essential.into_iter().chain(required)
        });
        let candidates = reasons.filter(|(id, _)| self.is_base_candidate(*id));
        candidates.map(|(id, reason)| (self.index.package(id).name.as_str(), reason))
    }

    /// Whether it is the version that would be taken if there were no other reason.
    fn is_base_candidate(&self, id: PackageId) -> bool {
        let package = self.index.package(id);
        let kept = self.wish.keep.get(&package.name) == Some(&package.version);
        kept || self.index.versions(&package.name).first() == Some(&id)
    }

    fn check_wishes(&self, wrong: &mut Vec<Disproof>) {
        for (alternatives, by) in &self.wish.packages {
            if self.granting(alternatives).next().is_none() {
                wrong.push(Disproof::WishUnsatisfied { by: by.clone(), wanted: written(alternatives) });
            }
        }
        for (name, by) in self.base().filter(|(name, _)| !self.solution.packages.contains_key(*name)) {
            wrong.push(Disproof::WishUnsatisfied { by: by.to_owned(), wanted: name.to_owned() });
        }
    }

    fn check_package(&self, name: &str, id: PackageId, wrong: &mut Vec<Disproof>) {
        let found = self.index.package(id);
        let package = title(found);
        if found.name != name {
            wrong.push(Disproof::Misnamed { package: package.clone(), name: name.to_owned() });
        }
        if self.index.priority(id) < 0 {
            wrong.push(Disproof::Forbidden { package: package.clone(), archive: self.index.source(id).to_owned() });
        }
        if found.architecture != "all" && found.architecture != self.wish.arch.debian() {
            wrong.push(Disproof::Foreign { package, architecture: found.architecture.clone() });
        }
    }

    fn check_relations(&self, id: PackageId, wrong: &mut Vec<Disproof>) {
        let package = self.index.package(id);
        for alternatives in package.pre_depends.iter().chain(&package.depends) {
            if self.satisfying(alternatives).next().is_none() {
                wrong.push(Disproof::Unsatisfied { package: title(package), wanted: written(alternatives) });
            }
        }
        for relation in package.conflicts.iter().chain(&package.breaks) {
            for other in self.satisfying(std::slice::from_ref(relation)).map(|other| self.index.package(other)) {
                if other.name != package.name {
                    let (package, other, relation) = (title(package), title(other), relation.to_string());
                    wrong.push(Disproof::Conflict { package, other, relation });
                }
            }
        }
    }

    fn check_reasons(&self, id: PackageId, because: &[String], wrong: &mut Vec<Disproof>) {
        let package = self.index.package(id);
        let untrue = |because: &str| Disproof::Untrue { package: title(package), because: because.to_owned() };
        if because.is_empty() {
            wrong.push(untrue(""));
        }
        wrong.extend(because.iter().filter(|because| !self.is_true(id, because)).map(|because| untrue(because)));
    }

    fn is_true(&self, id: PackageId, because: &str) -> bool {
        let package = self.index.package(id);
        let wished = self.wish.packages.iter().filter(|(_, by)| by == because);
        if wished.into_iter().any(|(alternatives, _)| self.granting(alternatives).any(|granted| granted == id)) {
            return true;
        }
        match because {
            "essential" => self.wish.base && package.essential,
            "required" => self.wish.base && package.priority == "required",
            _ => because.split_once(' ').is_some_and(|(name, field)| {
                let Some(chosen) = self.solution.packages.get(name) else { return false };
                let asking = self.index.package(chosen.id);
                let groups = match field {
                    "Pre-Depends" => &asking.pre_depends,
                    "Depends" => &asking.depends,
                    "Recommends" if self.wish.recommends => &asking.recommends,
                    _ => return false,
                };
                groups.iter().any(|alternatives| self.satisfying(alternatives).any(|found| found == id))
            }),
        }
    }

    fn check_reachable(&self, wrong: &mut Vec<Disproof>) {
        let mut open: Vec<PackageId> =
            self.wish.packages.iter().flat_map(|(alternatives, _)| self.granting(alternatives)).collect();
        open.extend(self.base().filter_map(|(name, _)| self.solution.packages.get(name)).map(|chosen| chosen.id));
        let mut reached = BTreeSet::new();
        while let Some(id) = open.pop() {
            if reached.insert(id) {
                let package = self.index.package(id);
                let recommends = package.recommends.iter().filter(|_| self.wish.recommends);
                let groups = package.pre_depends.iter().chain(&package.depends).chain(recommends);
                open.extend(groups.flat_map(|alternatives| self.satisfying(alternatives)));
            }
        }
        let strays = self.solution.packages.values().filter(|chosen| !reached.contains(&chosen.id));
        wrong.extend(strays.map(|chosen| Disproof::Stray { package: title(self.index.package(chosen.id)) }));
    }
}

fn title(package: &Package) -> String {
    format!("{} {}", package.name, package.version)
}

fn written(alternatives: &[Relation]) -> String {
    alternatives.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
}

#[cfg(test)]
mod tests {
    use super::super::resolve::resolve;
    use super::super::small_archive::{index, source, wish};
    use super::super::wish::Chosen;
    use super::*;

    fn archives() -> Index {
        let trixie = "a 1; Depends: b (= 2)\nb 2; Conflicts: x\nc 1; Essential: yes\nx 1\ny 1; Provides: x\nz 1\nd 1; Architecture: arm64";
        Index::new(vec![source("trixie", 500, trixie), source("old", 100, "b 1")])
    }

    /// What [`prove`] says of the solution for `a` after `change`.
    fn said_after(change: impl Fn(&mut Solution, &Index)) -> Vec<String> {
        let index = archives();
        let wish = Wish { base: true, ..wish("a") };
        let mut solution = resolve(&wish, &index).unwrap();
        change(&mut solution, &index);
        prove(&solution, &wish, &index).err().unwrap_or_default().iter().map(ToString::to_string).collect()
    }

    fn add(solution: &mut Solution, index: &Index, name: &str, because: &[&str]) {
        let because = because.iter().map(|&by| by.to_owned()).collect();
        solution.packages.insert(name.to_owned(), Chosen { id: index.versions(name)[0], because });
    }

    #[test]
    fn a_solution_that_nobody_touched_is_proved() {
        assert_eq!(said_after(|_, _| ()), [] as [&str; 0]);
    }

    #[test]
    fn a_package_that_was_dropped_is_missed() {
        let dropped = |name: &'static str| said_after(move |solution, _| drop(solution.packages.remove(name)));
        assert_eq!(dropped("a")[0], "recipe api asks for a, and nothing in the solution is that");
        assert_eq!(dropped("b"), ["a 1 needs b (= 2), and nothing in the solution is that"]);
        assert_eq!(dropped("c"), ["essential asks for c, and nothing in the solution is that"]);
    }

    #[test]
    fn a_version_that_was_swapped_is_noticed() {
        let said = said_after(|solution, index| solution.packages.get_mut("b").unwrap().id = index.versions("b")[1]);
        assert_eq!(said[0], "a 1 needs b (= 2), and nothing in the solution is that");
    }

    #[test]
    fn a_stray_package_is_noticed() {
        let said = said_after(|solution, index| add(solution, index, "z", &["a Depends"]));
        assert_eq!(
            said,
            [
                "z 1 is said to be there because of «a Depends», which is not so",
                "z 1 is in the solution although nobody asked for it"
            ]
        );
    }

    #[test]
    fn a_conflict_is_noticed_by_real_name_and_by_virtual_name() {
        let beside =
            |name: &'static str| said_after(move |solution, index| add(solution, index, name, &["recipe api"]));
        assert_eq!(beside("x")[0], "b 2 can't be there beside x 1: it conflicts with or breaks x");
        assert_eq!(beside("y")[0], "b 2 can't be there beside y 1: it conflicts with or breaks x");
    }

    #[test]
    fn a_package_under_a_wrong_name_or_of_another_architecture_is_noticed() {
        let said = said_after(|solution, index| {
            let b = solution.packages["b"].clone();
            solution.packages.insert("bb".to_owned(), b);
            add(solution, index, "d", &["a Depends"]);
        });
        assert!(said.contains(&"b 2 stands in the solution as bb".to_owned()), "{said:#?}");
        assert!(said.contains(&"d 1 is for arm64, not for the image's architecture".to_owned()), "{said:#?}");
    }

    #[test]
    fn a_reason_that_is_not_true_is_noticed() {
        let with =
            |because: &'static [&'static str]| said_after(move |solution, index| add(solution, index, "b", because));
        assert_eq!(with(&["a Depends"]), [] as [&str; 0]);
        assert_eq!(with(&[]), ["b 2 is said to be there because of «», which is not so"]);
        for untrue in ["a Pre-Depends", "c Depends", "essential", "recipe api", "recipe db"] {
            let said = said_after(|solution, index| add(solution, index, "b", &["a Depends", untrue]));
            assert_eq!(said, [format!("b 2 is said to be there because of «{untrue}», which is not so")]);
        }
    }

    #[test]
    fn a_wish_for_a_real_package_is_not_granted_by_one_that_provides_it() {
        let index = index("mod 2\nmod8 1; Provides: mod");
        let mut solution = Solution::default();
        add(&mut solution, &index, "mod8", &["recipe api"]);
        assert!(prove(&solution, &wish("mod"), &index).is_err());
    }
}
