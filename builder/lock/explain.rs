//! Why there is no solution: a small search of its own that, unlike the solver, remembers reasons that a person can follow.
//!
//! It starts from the fewest wishes that have no solution together and does what a person would do with a pencil:
//!
//! 1. What can be satisfied in one way only is chosen; it brings new needs, and rules out what it conflicts with.
//! 2. A need that nothing can satisfy any more is the contradiction: say how it came about, and what ruled out each of
//!    the packages that would have satisfied it.
//! 3. Where nothing is left but choices, each is tried in turn; one that leads to a contradiction is ruled out by that.

use std::collections::{BTreeMap, BTreeSet};

use super::ask::{Ask, By, asked};
use super::preference::Preference;
use super::unsatisfiable::Unsatisfiable;
use crate::debian::index::{Index, PackageId};
use crate::debian::relation::Relation;

/// Choices that are tried before the search is content with naming the wishes.
const TRIES: usize = 300;

/// The reasons why `culprits`, the fewest wishes that have no solution together, have none.
pub(super) fn explain<'a>(preference: &Preference<'a>, culprits: &[Ask<'a>]) -> Unsatisfiable {
    let needs = culprits.iter().map(|&ask| Need { ask, of: None, choices: preference.choices(ask) }).collect();
    let mut search = Search { preference, needs, chosen: BTreeMap::new(), hit: BTreeMap::new(), dead: BTreeMap::new() };
    let mut reasons = Unsatisfiable::default();
    for chain in search.contradiction().unwrap_or_default() {
        reasons.add(chain);
    }
    let found = !reasons.reasons.is_empty();
    for need in 0..culprits.len() {
        reasons.add(search.chain(need));
    }
    if !found {
        reasons.add(vec!["these can't be had together: every choice of packages ends in a conflict".to_owned()]);
    }
    reasons
}

/// From a wish down to a fact.
type Chain = Vec<String>;

/// An or-group that must be satisfied.
#[derive(Clone)]
struct Need<'a> {
    ask: Ask<'a>,
    /// The chosen package that asks, unless it is a wish.
    of: Option<PackageId>,
    choices: Vec<PackageId>,
}

/// Why a package can't be chosen.
enum Obstacle<'s, 'a> {
    /// Another version of it is chosen.
    Version(PackageId),
    /// The first says with this relation that the second can't be there; one of both is chosen.
    Conflict(PackageId, &'a Relation, PackageId),
    /// Choosing it led to these.
    Dead(&'s [Chain]),
}

#[derive(Clone)]
struct Search<'s, 'a> {
    preference: &'s Preference<'a>,
    needs: Vec<Need<'a>>,
    /// By name: what had to be chosen, and for which need.
    chosen: BTreeMap<&'a str, (PackageId, usize)>,
    /// What a chosen package conflicts with or breaks: which, and by what.
    hit: BTreeMap<PackageId, (PackageId, &'a Relation)>,
    /// What was tried, and what came of it.
    dead: BTreeMap<PackageId, Vec<Chain>>,
}

impl<'s, 'a> Search<'s, 'a> {
    /// The chains that lead to a contradiction, if the search finds one.
    fn contradiction(&mut self) -> Option<Vec<Chain>> {
        let mut tries = 0;
        'again: loop {
            if let Some(need) = self.follow() {
                return Some(self.blame(need));
            }
            for need in 0..self.needs.len() {
                for id in self.open_choices(need) {
                    tries += 1;
                    if tries > TRIES {
                        return None;
                    }
                    let mut tried = self.clone();
                    tried.choose(id, need);
                    if let Some(contradicted) = tried.follow() {
                        let chains = tried.blame(contradicted);
                        self.dead.insert(id, chains);
                        continue 'again;
                    }
                }
            }
            return None;
        }
    }

    /// Chooses whatever has no alternative, until a need can't be satisfied (that one is returned) or only choices are left.
    fn follow(&mut self) -> Option<usize> {
        loop {
            let chosen_before = self.chosen.len();
            let mut need = 0;
            while need < self.needs.len() {
                if !self.is_satisfied(need) {
                    match self.open_choices(need).as_slice() {
                        [] => return Some(need),
                        [only] => self.choose(*only, need),
                        _ => {}
                    }
                }
                need += 1;
            }
            if self.chosen.len() == chosen_before {
                return None;
            }
        }
    }

    fn choose(&mut self, id: PackageId, need: usize) {
        let index = self.preference.index;
        let package = index.package(id);
        self.chosen.insert(&package.name, (id, need));
        for ask in asked(package, false) {
            self.needs.push(Need { ask, of: Some(id), choices: self.preference.choices(ask) });
        }
        for relation in package.conflicts.iter().chain(&package.breaks) {
            for &other in index.versions(&relation.name).iter().chain(index.providers(&relation.name)) {
                if index.package(other).name != package.name && index.satisfies(other, relation) {
                    self.hit.entry(other).or_insert((id, relation));
                }
            }
        }
    }

    fn is_chosen(&self, id: PackageId) -> bool {
        self.chosen.get(self.package_name(id)).is_some_and(|&(chosen, _)| chosen == id)
    }

    fn is_satisfied(&self, need: usize) -> bool {
        self.needs[need].choices.iter().any(|&id| self.is_chosen(id))
    }

    /// What could still satisfy `need`; nothing if something does already.
    fn open_choices(&self, need: usize) -> Vec<PackageId> {
        if self.is_satisfied(need) {
            return Vec::new();
        }
        self.needs[need].choices.iter().copied().filter(|&id| self.obstacle(id).is_none()).collect()
    }

    fn obstacle(&self, id: PackageId) -> Option<Obstacle<'_, 'a>> {
        let index = self.preference.index;
        let package = index.package(id);
        if let Some(chains) = self.dead.get(&id) {
            return Some(Obstacle::Dead(chains));
        }
        if let Some(&(other, _)) = self.chosen.get(package.name.as_str()).filter(|&&(other, _)| other != id) {
            return Some(Obstacle::Version(other));
        }
        if let Some(&(other, relation)) = self.hit.get(&id) {
            return Some(Obstacle::Conflict(other, relation, id));
        }
        package.conflicts.iter().chain(&package.breaks).find_map(|relation| {
            let others = index.versions(&relation.name).iter().chain(index.providers(&relation.name));
            others
                .copied()
                .find(|&other| {
                    self.is_chosen(other)
                        && index.package(other).name != package.name
                        && index.satisfies(other, relation)
                })
                .map(|other| Obstacle::Conflict(id, relation, other))
        })
    }

    /// How `need`, which nothing satisfies, came about, what stands against each package that would satisfy it, and how
    /// that came about.
    fn blame(&self, need: usize) -> Vec<Chain> {
        let mut chains = Vec::new();
        let mut open = vec![need];
        let mut seen = BTreeSet::new();
        while let Some(need) = open.pop() {
            if !seen.insert(need) {
                continue;
            }
            let chain = self.chain(need);
            chains.push(chain.clone());
            for relation in self.needs[need].ask.alternatives {
                let alone = Ask { alternatives: std::slice::from_ref(relation), by: self.needs[need].ask.by };
                if self.preference.choices(alone).is_empty() {
                    let facts = without_answer(self.preference.index, relation);
                    chains.extend(facts.into_iter().map(|fact| [chain.as_slice(), &[fact]].concat()));
                }
            }
            // Of each package the most preferred version is enough to tell.
            let choices = &self.needs[need].choices;
            let mut told: BTreeSet<&str> =
                choices.iter().filter(|&&id| self.is_chosen(id)).map(|&id| self.package_name(id)).collect();
            for &id in choices {
                if !told.insert(self.package_name(id)) {
                    continue;
                }
                match self.obstacle(id) {
                    None => {} // only beside a package that was tried in its place
                    Some(Obstacle::Dead(dead)) => chains.extend(dead.iter().cloned()),
                    Some(Obstacle::Version(other)) => {
                        let fact = format!(
                            "{} can't be there beside {}",
                            self.name_and_version(id),
                            self.name_and_version(other)
                        );
                        chains.push([chain.as_slice(), &[fact]].concat());
                        open.extend(self.need_of(other));
                    }
                    Some(Obstacle::Conflict(by, relation, with)) => {
                        chains.push([chain.as_slice(), &[self.conflict(by, relation, with)]].concat());
                        open.extend(self.need_of(if by == id { with } else { by }));
                    }
                }
            }
            open.extend(self.needs[need].of.and_then(|of| self.need_of(of)));
        }
        chains
    }

    fn need_of(&self, id: PackageId) -> Option<usize> {
        self.chosen.get(self.package_name(id)).map(|&(_, need)| need)
    }

    /// From a wish down to `need`.
    fn chain(&self, need: usize) -> Chain {
        let Need { ask, of, .. } = &self.needs[need];
        let alternatives = ask.alternatives.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ");
        let Some(of) = *of else {
            return vec![match ask.by {
                By::Wish(by @ ("essential" | "required")) => format!("every image has {alternatives} ({by})"),
                by => format!("{by} asks for {alternatives}"),
            }];
        };
        let mut chain = self.need_of(of).map_or_else(Vec::new, |need| self.chain(need));
        chain.push(format!("{} needs {alternatives}", self.name_and_version(of)));
        chain
    }

    fn conflict(&self, by: PackageId, relation: &Relation, with: PackageId) -> String {
        let package = self.preference.index.package(by);
        let verb = if package.conflicts.contains(relation) { "conflicts with" } else { "breaks" };
        let (by, other) = (self.name_and_version(by), self.name_and_version(with));
        match self.preference.index.package(with).name == relation.name {
            true if relation.version.is_none() => format!("{by} {verb} {relation}"),
            true => format!("{by} {verb} {relation}, and it would be {other}"),
            false => format!("{by} {verb} {relation}, which {other} provides"),
        }
    }

    fn package_name(&self, id: PackageId) -> &'a str {
        &self.preference.index.package(id).name
    }

    fn name_and_version(&self, id: PackageId) -> String {
        format!("{} {}", self.package_name(id), self.preference.index.package(id).version)
    }
}

/// The facts behind it that nothing satisfies `relation`.
fn without_answer(index: &Index, relation: &Relation) -> Vec<String> {
    let name = &relation.name;
    let mut facts = Vec::new();
    let versions = index.versions(name);
    if !versions.is_empty() {
        let one = |&id: &PackageId| {
            let package = index.package(id);
            let foreign =
                if index.satisfies(id, relation) { format!(", for {}", package.architecture) } else { String::new() };
            format!("{} ({}{foreign})", package.version, index.source(id))
        };
        facts.push(format!("{name} has only {}", versions.iter().map(one).collect::<Vec<_>>().join(", ")));
    }
    for package in index.providers(name).iter().map(|&id| index.package(id)) {
        let provided = package.provides.iter().filter(|(provided, _)| provided == name).find_map(|(_, v)| v.as_ref());
        facts.push(match provided {
            Some(version) => format!("{} provides {name} only as version {version}", package.name),
            None if relation.version.is_some() => format!("{} provides {name}, but says no version", package.name),
            None => format!("{} provides {name}, but for {}", package.name, package.architecture),
        });
    }
    for (archive, package) in index.withheld(name) {
        let why = if archive.priority < 0 { "is pinned below zero" } else { "does not have it in its `only` list" };
        facts.push(format!("{name} {} may not be used: its archive, {}, {why}", package.version, archive.name));
    }
    if facts.is_empty() {
        let similar = index.similar(name);
        let hint = match similar.as_slice() {
            [] => String::new(),
            [one] => format!("; did you mean {one}?"),
            [first @ .., last] => format!("; did you mean {} or {last}?", first.join(", ")),
        };
        facts.push(format!("no archive has a package called {name}{hint}"));
    }
    facts
}
