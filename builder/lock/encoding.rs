//! Debian's relations (Policy §7) as the clauses of a SAT solver, [`resolvo`].
//!
//! | Debian | here |
//! |---|---|
//! | one version of a package | a *solvable*; the solver holds at most one of each name |
//! | `Depends: a (>= 2) \| b` | a requirement: the union of *version sets*, each of one real name, in the order in which apt would try |
//! | `Depends: virtual` | the same: one version set for each package that provides it |
//! | `Conflicts`, `Breaks` | a constraint on each real name that is hit: of this name only what is not hit |
//!
//! Three traps, measured:
//! * A version set must hold packages of one name only: the solver lets at most one of a set's name in, and would
//!   otherwise forbid two providers of the same virtual package to live side by side.
//! * A package that conflicts with a name that it provides itself means the *others* (Policy §7.6.2): it must not
//!   constrain its own name.
//! * Requirements with a single answer come before those with several, so that what must be there anyway is there before
//!   a choice is made; apt does likewise, and this is what makes its answers and ours the same.

use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use resolvo::{
    Candidates, Condition, ConditionId, ConditionalRequirement, Dependencies, DependencyProvider,
    HintDependenciesAvailable, Interner, KnownDependencies, NameId, Requirement, SolvableId, SolverCache, StringId,
    VersionSetId, VersionSetUnionId,
};

use super::ask::{Ask, asked};
use super::preference::Preference;
use crate::debian::index::PackageId;

/// What the solver asks: packages by number, their requirements and constraints made when it gets to them.
pub(super) struct Encoding<'a> {
    preference: &'a Preference<'a>,
    numbers: RefCell<Numbers<'a>>,
}

/// Names, version sets and unions, each numbered when it is first met.
#[derive(Default)]
struct Numbers<'a> {
    names: Vec<&'a str>,
    by_name: BTreeMap<&'a str, u32>,
    sets: Vec<VersionSet>,
    by_set: BTreeMap<VersionSet, u32>,
    unions: Vec<Vec<VersionSetId>>,
    by_union: BTreeMap<Vec<VersionSetId>, u32>,
}

/// Some versions of one package, most preferred first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct VersionSet {
    name: u32,
    versions: Vec<PackageId>,
}

impl<'a> Encoding<'a> {
    pub(super) fn new(preference: &'a Preference<'a>) -> Self {
        Self { preference, numbers: RefCell::default() }
    }

    /// One of what satisfies `ask` must be chosen. If nothing does, the requirement is one that nothing satisfies.
    fn requirement(&self, ask: Ask<'a>) -> ConditionalRequirement {
        let choices = self.preference.choices(ask);
        let mut numbers = self.numbers.borrow_mut();
        let mut sets = Vec::new();
        for same_name in choices.chunk_by(|&a, &b| self.name(a) == self.name(b)) {
            let name = numbers.name(self.name(same_name[0]));
            sets.push(numbers.set(VersionSet { name, versions: same_name.to_vec() }));
        }
        match sets.as_slice() {
            [] => {
                let name = numbers.name(ask.alternatives.first().map_or("", |relation| &relation.name));
                numbers.set(VersionSet { name, versions: Vec::new() }).into()
            }
            [one] => (*one).into(),
            _ => numbers.union(sets).into(),
        }
    }

    /// A requirement for each of `asks`, those with a single answer first.
    pub(super) fn requirements(&self, asks: impl Iterator<Item = Ask<'a>>) -> Vec<ConditionalRequirement> {
        let mut requirements: Vec<_> = asks.map(|ask| self.requirement(ask)).collect();
        requirements.sort_by_key(|needed| matches!(needed.requirement, Requirement::Union(_)));
        requirements
    }

    /// Exactly `id` must be chosen.
    pub(super) fn exactly(&self, id: PackageId) -> ConditionalRequirement {
        let mut numbers = self.numbers.borrow_mut();
        let name = numbers.name(self.name(id));
        numbers.set(VersionSet { name, versions: vec![id] }).into()
    }

    /// For each real name that `id` conflicts with or breaks: what of it may still be chosen.
    fn constraints(&self, id: PackageId) -> Vec<VersionSetId> {
        let index = self.preference.index;
        let package = index.package(id);
        let mut hit: BTreeMap<&str, BTreeSet<PackageId>> = BTreeMap::new();
        for relation in package.conflicts.iter().chain(&package.breaks) {
            for &other in index.versions(&relation.name).iter().chain(index.providers(&relation.name)) {
                if self.name(other) != package.name && self.preference.allows(other) && index.satisfies(other, relation)
                {
                    hit.entry(self.name(other)).or_default().insert(other);
                }
            }
        }
        let mut numbers = self.numbers.borrow_mut();
        hit.into_iter()
            .map(|(name, hit)| {
                let mut versions = self.preference.versions(name);
                versions.retain(|other| !hit.contains(other));
                let name = numbers.name(name);
                numbers.set(VersionSet { name, versions })
            })
            .collect()
    }

    fn name(&self, id: PackageId) -> &'a str {
        &self.preference.index.package(id).name
    }

    /// The versions in a set, copied: the solver may ask for new numbers while it holds the answer.
    fn set(&self, set: VersionSetId) -> VersionSet {
        self.numbers.borrow().sets[set.0 as usize].clone()
    }
}

impl<'a> Numbers<'a> {
    fn name(&mut self, name: &'a str) -> u32 {
        *self.by_name.entry(name).or_insert_with(|| {
            self.names.push(name);
            self.names.len() as u32 - 1
        })
    }

    fn set(&mut self, set: VersionSet) -> VersionSetId {
        VersionSetId(*self.by_set.entry(set).or_insert_with_key(|set| {
            self.sets.push(set.clone());
            self.sets.len() as u32 - 1
        }))
    }

    fn union(&mut self, sets: Vec<VersionSetId>) -> VersionSetUnionId {
        VersionSetUnionId(*self.by_union.entry(sets).or_insert_with_key(|sets| {
            self.unions.push(sets.clone());
            self.unions.len() as u32 - 1
        }))
    }
}

/// The solver's number of a package.
pub(super) fn solvable(id: PackageId) -> SolvableId {
    SolvableId::from_raw(id.0)
}

/// The package behind the solver's number.
pub(super) fn package(solvable: SolvableId) -> PackageId {
    PackageId(solvable.into_raw())
}

impl Interner for Encoding<'_> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, solvable: SolvableId) -> impl Display + '_ {
        let package = self.preference.index.package(package(solvable));
        format!("{} {}", package.name, package.version.as_str())
    }

    fn display_name(&self, name: NameId) -> impl Display + '_ {
        self.numbers.borrow().names[name.into_raw() as usize]
    }

    fn display_version_set(&self, set: VersionSetId) -> impl Display + '_ {
        let versions = self.set(set).versions;
        let versions: Vec<_> = versions.iter().map(|&id| self.preference.index.package(id).version.as_str()).collect();
        versions.join(" | ")
    }

    fn display_string(&self, _: StringId) -> impl Display + '_ {
        "" // No string is ever numbered: nothing is excluded by a message.
    }

    fn version_set_name(&self, set: VersionSetId) -> NameId {
        NameId::from_raw(self.numbers.borrow().sets[set.0 as usize].name)
    }

    fn solvable_name(&self, solvable: SolvableId) -> NameId {
        NameId::from_raw(self.numbers.borrow_mut().name(self.name(package(solvable))))
    }

    fn version_sets_in_union(&self, union: VersionSetUnionId) -> impl Iterator<Item = VersionSetId> {
        self.numbers.borrow().unions[union.0 as usize].clone().into_iter()
    }

    fn resolve_condition(&self, _: ConditionId) -> Condition {
        unreachable!("no requirement here has a condition")
    }
}

impl DependencyProvider for Encoding<'_> {
    async fn filter_candidates(&self, candidates: &[SolvableId], set: VersionSetId, inverse: bool) -> Vec<SolvableId> {
        let inside = self.set(set).versions;
        match inverse {
            false => inside.into_iter().map(solvable).collect(),
            true => candidates.iter().copied().filter(|&candidate| !inside.contains(&package(candidate))).collect(),
        }
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates> {
        let name = self.numbers.borrow().names[name.into_raw() as usize];
        let candidates = self.preference.versions(name).into_iter().map(solvable).collect();
        Some(Candidates {
            candidates,
            hint_dependencies_available: HintDependenciesAvailable::None,
            ..Candidates::default()
        })
    }

    async fn sort_candidates(&self, _: &SolverCache<Self>, _: &mut [SolvableId]) {
        // Every version set is in the order of preference already, and `filter_candidates` keeps that.
    }

    async fn get_dependencies(&self, solvable: SolvableId) -> Dependencies {
        let id = package(solvable);
        let package = self.preference.index.package(id);
        let requirements = self.requirements(asked(package, false));
        Dependencies::Known(KnownDependencies { requirements, constrains: self.constraints(id) })
    }

    fn should_cancel_with_value(&self) -> Option<Box<dyn Any>> {
        None
    }
}
