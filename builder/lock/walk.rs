//! The walk that apt takes: a proposal for the solver.
//!
//! apt marks all wishes, then follows each package's relations in the order in which they are written, depth first; an
//! or-group that something chosen satisfies already is passed over, otherwise its first alternative that can be followed
//! to the end is taken. That order decides which of several right answers is given, and people know apt's. The walk gives
//! up nothing and proves nothing: whether its proposal is a solution is for the solver to say.

use std::collections::BTreeMap;

use super::ask::{Ask, asked};
use super::preference::Preference;
use crate::debian::index::PackageId;
use crate::debian::relation::Relation;

/// What apt would choose for `roots`; nothing if it would not find a solution this way.
pub(super) fn walk<'a>(preference: &Preference<'a>, roots: &[Ask<'a>]) -> Option<Vec<PackageId>> {
    let mut walk = Walk { preference, chosen: BTreeMap::new(), path: Vec::new() };
    let wished: Vec<PackageId> =
        roots.iter().map(|&ask| preference.choices(ask).first().copied()).collect::<Option<_>>()?;
    wished.iter().for_each(|&id| walk.mark(id));
    wished.iter().all(|&id| walk.follow(id)).then_some(walk.path)
}

struct Walk<'p, 'a> {
    preference: &'p Preference<'a>,
    chosen: BTreeMap<&'a str, PackageId>,
    /// The chosen, in the order in which they were.
    path: Vec<PackageId>,
}

impl Walk<'_, '_> {
    fn mark(&mut self, id: PackageId) {
        if self.chosen.insert(&self.preference.index.package(id).name, id).is_none() {
            self.path.push(id);
        }
    }

    /// Satisfies every relation of `id`, which is marked; whether that was possible.
    fn follow(&mut self, id: PackageId) -> bool {
        asked(self.preference.index.package(id), false).all(|ask| {
            let choices = self.preference.choices(ask);
            choices.iter().any(|&choice| self.has(choice)) || choices.iter().any(|&choice| self.try_out(choice))
        })
    }

    /// Marks `id` and all that it leads to, or leaves everything as it was.
    fn try_out(&mut self, id: PackageId) -> bool {
        let before = self.path.len();
        if self.is_shut_out(id) {
            return false;
        }
        self.mark(id);
        let followed = self.follow(id);
        if !followed {
            for undone in self.path.drain(before..) {
                self.chosen.remove(self.preference.index.package(undone).name.as_str());
            }
        }
        followed
    }

    fn has(&self, id: PackageId) -> bool {
        self.chosen.get(self.preference.index.package(id).name.as_str()) == Some(&id)
    }

    /// Whether another version of `id` is there, or something that it conflicts with. (What conflicts with *it* is left to
    /// the solver.)
    fn is_shut_out(&self, id: PackageId) -> bool {
        let index = self.preference.index;
        let package = index.package(id);
        let hits = |relation: &Relation| {
            let others = index.versions(&relation.name).iter().chain(index.providers(&relation.name));
            others.copied().any(|other| {
                self.has(other) && index.package(other).name != package.name && index.satisfies(other, relation)
            })
        };
        self.chosen.contains_key(package.name.as_str()) || package.conflicts.iter().chain(&package.breaks).any(hits)
    }
}
