//! Which package apt would try first.
//!
//! An or-group `a | b` is tried in the order in which it is written; each of its relations first by the real package of
//! that name, then by those that provide it, in the order of [`Index::providers`] (which is apt's `CompareProviders`, but
//! for the last word: apt's is the order in which it happened to read the packages, ours is the name).
//! Of each package apt knows only one version, its *candidate*. Others come after all candidates here, so that they are
//! chosen only where no candidate will do.

use std::collections::BTreeMap;

use super::ask::{Ask, By};
use crate::arch::Arch;
use crate::debian::index::{Index, PackageId};
use crate::debian::package::Package;
use crate::debian::relation::Relation;
use crate::debian::version::Version;

/// Which versions may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Universe {
    /// Of each package its candidate, as apt does, and the version that is kept.
    Candidates,
    /// Every version that is offered.
    Everything,
}

/// An index, seen with one wish's eyes.
pub(super) struct Preference<'a> {
    pub(super) index: &'a Index,
    pub(super) universe: Universe,
    keep: &'a BTreeMap<String, Version>,
    arch: Arch,
}

impl<'a> Preference<'a> {
    pub(super) fn new(index: &'a Index, universe: Universe, keep: &'a BTreeMap<String, Version>, arch: Arch) -> Self {
        Self { index, universe, keep, arch }
    }

    /// Whether `id` may be chosen at all.
    pub(super) fn allows(&self, id: PackageId) -> bool {
        let package = self.index.package(id);
        self.installable(id)
            && (self.universe == Universe::Everything || self.is_candidate(id, package) || self.is_kept(package))
    }

    /// The versions of `name` that may be chosen: the kept one, then the candidate, then the others.
    pub(super) fn versions(&self, name: &str) -> Vec<PackageId> {
        let mut versions: Vec<_> = self.index.versions(name).iter().copied().filter(|&id| self.allows(id)).collect();
        versions.sort_by_key(|&id| !self.is_kept(self.index.package(id)));
        versions
    }

    /// Everything that satisfies `ask`, most preferred first, each once.
    pub(super) fn choices(&self, ask: Ask<'_>) -> Vec<PackageId> {
        let mut choices = Vec::new();
        for relation in ask.alternatives {
            let before = choices.len();
            self.add_choices(&mut choices, relation, self.versions(&relation.name));
            if choices.len() == before || matches!(ask.by, By::Package(..)) {
                self.add_choices(&mut choices, relation, self.index.providers(&relation.name).to_vec());
            }
        }
        // Stable: what is kept, then candidates, then other versions, each in the order above.
        choices.sort_by_key(|&id| {
            let package = self.index.package(id);
            (!self.is_kept(package), !self.is_candidate(id, package))
        });
        choices
    }

    fn add_choices(&self, choices: &mut Vec<PackageId>, relation: &Relation, offered: Vec<PackageId>) {
        for id in offered {
            if self.allows(id) && self.index.satisfies(id, relation) && !choices.contains(&id) {
                choices.push(id);
            }
        }
    }

    fn is_kept(&self, package: &Package) -> bool {
        self.keep.get(&package.name) == Some(&package.version)
    }

    /// Whether apt, in an empty system, would install this version of it.
    fn is_candidate(&self, id: PackageId, package: &Package) -> bool {
        self.index.versions(&package.name).iter().find(|&&other| self.installable(other)) == Some(&id)
    }

    fn installable(&self, id: PackageId) -> bool {
        let architecture = &self.index.package(id).architecture;
        architecture == "all" || architecture == self.arch.debian()
    }
}
