//! Who asked for what: the walk from the wishes along the relations of what was chosen.
//!
//! It is what fills `because` in the lock, and what keeps a package out that the solver chose on the way to a solution
//! but that in the end nobody needs.

use std::collections::{BTreeMap, BTreeSet};

use super::ask::{Ask, asked};
use super::preference::Preference;
use super::wish::{Chosen, Solution, Wish};
use crate::debian::index::PackageId;

/// Of what is `chosen` that which follows from `roots`, each with who asked for it. Where several of the chosen satisfy
/// an or-group, it is the one that apt would try first that was asked for.
pub(super) fn needed<'a>(
    wish: &Wish,
    roots: &[Ask<'a>],
    chosen: &BTreeSet<PackageId>,
    preference: &Preference<'a>,
) -> Solution {
    let mut packages: BTreeMap<String, Chosen> = BTreeMap::new();
    let mut open = roots.to_vec();
    while let Some(ask) = open.pop() {
        let answer = preference.choices(ask).into_iter().find(|id| chosen.contains(id));
        let Some(id) = answer else { continue }; // a recommendation that can't be followed
        let package = preference.index.package(id);
        let entry = packages.entry(package.name.clone()).or_insert_with(|| {
            open.extend(asked(package, wish.recommends));
            Chosen { id, because: Vec::new() }
        });
        entry.because.push(ask.by.to_string());
    }
    for chosen in packages.values_mut() {
        chosen.because.sort();
        chosen.because.dedup();
    }
    Solution { packages }
}
