//! The rules of a recipe and its parents, held against each other.

use super::read::Reader;
use super::table::EgressPolicy;
use super::{Accept, Allow, Destination, Egress, Firewall, Limits, Ports, Rate, Source};
use crate::recipe::problem::{Place, Problem};
use crate::recipe::source::Source as RecipeFile;

/// The parents' tables so far.
#[derive(Debug, Default)]
pub struct Sum {
    said: bool,
    accept: Vec<(Accept, Place)>,
    allow: Vec<(Allow, Place)>,
    policy: Option<(EgressPolicy, Place)>,
    new: Option<(Rate, Place)>,
    connections: Option<(u32, Place)>,
}

impl Sum {
    /// Adds what a child says; what is wrong with its tables by themselves has been said by the file.
    pub fn add(&mut self, source: &RecipeFile) -> Vec<Problem> {
        let Some(table) = &source.file.firewall else { return Vec::new() };
        self.said = true;
        let mut problems = Vec::new();
        let mut said_by_file = Vec::new();
        let mut reader = Reader { text: &source.text, problems: &mut said_by_file };
        for table in &table.accept {
            let place = source.text.at(table.name.span());
            problems.extend(twice(table.name.get_ref(), &place, &self.accept, |accept| &accept.name));
            self.accept.extend(reader.accept(table).map(|accept| (accept, place)));
        }
        for table in &table.egress.allow {
            let place = source.text.at(table.name.span());
            problems.extend(twice(table.name.get_ref(), &place, &self.allow, |allow| &allow.name));
            self.allow.extend(reader.allow(table).map(|allow| (allow, place)));
        }
        if let Some(policy) = &table.egress.policy {
            let said = (*policy.get_ref(), source.text.at(policy.span()));
            problems.extend(once("egress.policy", &mut self.policy, said));
        }
        if let Some(written) = &table.limits.new
            && let Some(rate) = reader.rate(written)
        {
            problems.extend(once("limits.new", &mut self.new, (rate, source.text.at(written.span()))));
        }
        if let Some(connections) = &table.limits.connections {
            let said = (*connections.get_ref(), source.text.at(connections.span()));
            problems.extend(once("limits.connections", &mut self.connections, said));
        }
        problems
    }

    /// The firewall of the family, if anybody speaks of one, and which rules make no sense beside the others.
    pub fn finish(self) -> (Option<Firewall>, Vec<Problem>) {
        let default = Limits::default();
        let limits = Limits {
            new: self.new.as_ref().map_or(default.new, |(rate, _)| *rate),
            connections: self.connections.as_ref().map_or(default.connections, |(number, _)| *number),
        };
        let mut problems = Vec::new();
        for (index, (accept, place)) in self.accept.iter().enumerate() {
            let (before, after) = (&self.accept[..index], &self.accept[index + 1..]);
            problems.extend(never_matches(accept, before).map(|(first, beside)| {
                Problem::error(format!("`{}` never matches: `{}` lets the same in already", accept.name, first.name))
                    .at(place.clone(), "comes too late")
                    .beside(beside.clone(), "lets the same in")
                    .help("remove one of them, or open fewer ports")
            }));
            let wider = after.iter().find(|(other, _)| is_limited(accept) && lets_pass(other, accept));
            problems.extend(wider.map(|(other, beside)| {
                Problem::error(format!("the limit of `{}` is void: `{}` lets the rest in", accept.name, other.name))
                    .at(place.clone(), "limits in vain")
                    .beside(beside.clone(), "lets the rest in")
                    .help("give both the limit, or remove one of them")
            }));
            problems.extend(above_the_whole(accept, limits).map(|problem| problem.at(place.clone(), "")));
        }
        for (index, (allow, place)) in self.allow.iter().enumerate() {
            let first = self.allow[..index].iter().find(|(first, _)| same_way_out(first, allow));
            problems.extend(first.map(|(first, beside)| {
                Problem::error(format!("`{}` never matches: `{}` lets the same out already", allow.name, first.name))
                    .at(place.clone(), "comes too late")
                    .beside(beside.clone(), "lets the same out")
                    .help("remove one of them")
            }));
        }
        let policy = self.policy.map(|(policy, _)| policy).unwrap_or_default();
        let egress = match (policy, self.allow.first()) {
            (EgressPolicy::Any, Some((allow, place))) => {
                let problem = Problem::error(format!("`{}` allows what is allowed anyway", allow.name));
                let help = "write `policy = \"listed\"` in [firewall.egress], or remove the list";
                problems.push(problem.at(place.clone(), "means nothing").help(help));
                Egress::Any
            }
            (EgressPolicy::Any, None) => Egress::Any,
            (EgressPolicy::Listed, _) => Egress::Listed(self.allow.into_iter().map(|(allow, _)| allow).collect()),
        };
        let accept = self.accept.into_iter().map(|(accept, _)| accept).collect();
        (self.said.then_some(Firewall { accept, egress, limits }), problems)
    }
}

/// A name that a rule before has.
fn twice<T>(name: &str, place: &Place, before: &[(T, Place)], name_of: fn(&T) -> &String) -> Option<Problem> {
    let (_, first) = before.iter().find(|(rule, _)| name_of(rule) == name)?;
    Some(
        Problem::error(format!("two firewall rules have the name `{name}`"))
            .at(place.clone(), "the second")
            .beside(first.clone(), "the first")
            .help("give this one another name; a recipe only adds to its parent's rules, and cannot replace one"),
    )
}

/// Keeps what is said first; a problem, if it is said again.
fn once<T>(key: &str, kept: &mut Option<(T, Place)>, said: (T, Place)) -> Option<Problem> {
    match kept {
        Some((_, first)) => Some(crate::recipe::fold::said_by_parent(&format!("`{key}`"), said.1, first)),
        None => {
            *kept = Some(said);
            None
        }
    }
}

/// The rule of `before` because of which `accept` never matches: those without limits that share the last of its ports, if
/// all its ports are open to its source already.
fn never_matches<'a>(accept: &Accept, before: &'a [(Accept, Place)]) -> Option<&'a (Accept, Place)> {
    let open = |ports: Ports| {
        before.iter().find(|(first, _)| {
            !is_limited(first)
                && first.protocol == accept.protocol
                && covers_source(&first.from, &accept.from)
                && first.ports.iter().any(|open| open.covers(ports))
        })
    };
    let found: Option<Vec<_>> = accept.ports.iter().map(|ports| open(*ports)).collect();
    found.and_then(|found| found.last().copied())
}

/// Whether `other` lets in, without a limit, something that `accept` limits, from all who may come there.
fn lets_pass(other: &Accept, accept: &Accept) -> bool {
    !is_limited(other)
        && other.protocol == accept.protocol
        && covers_source(&other.from, &accept.from)
        && other.ports.iter().any(|open| accept.ports.iter().any(|ports| open.meets(*ports)))
}

fn is_limited(accept: &Accept) -> bool {
    accept.rate.is_some() || accept.connections.is_some()
}

/// Whether whoever is meant by `narrow` is meant by `wide` too. Of a peer nobody knows where it is.
fn covers_source(wide: &Source, narrow: &Source) -> bool {
    match (wide, narrow) {
        (Source::Anywhere, _) => true,
        (Source::Networks(wide), Source::Networks(narrow)) => covers_networks(wide, narrow),
        (Source::Peer(wide), Source::Peer(narrow)) => wide == narrow,
        _ => false,
    }
}

fn covers_networks(wide: &[ipnet::IpNet], narrow: &[ipnet::IpNet]) -> bool {
    narrow.iter().all(|narrow| wide.iter().any(|wide| wide.contains(narrow)))
}

/// Whether `first` lets out all that `allow` does.
fn same_way_out(first: &Allow, allow: &Allow) -> bool {
    let there = match (&first.to, &allow.to) {
        (Destination::Anywhere, _) => true,
        (Destination::Networks(wide), Destination::Networks(narrow)) => covers_networks(wide, narrow),
        (Destination::Instance(one), Destination::Instance(other)) => one == other,
        _ => false,
    };
    let covered = |ports: &Ports| first.ports.iter().any(|open| open.covers(*ports));
    there && first.protocol == allow.protocol && allow.ports.iter().all(covered)
}

/// A rule allows each source more than all rules together do.
fn above_the_whole(accept: &Accept, limits: Limits) -> Option<Problem> {
    let (own, whole) = match (accept.rate, accept.connections) {
        (Some(rate), _) if rate.exceeds(limits.new) => {
            (format!("rate, {rate}"), format!("`limits.new`, {}", limits.new))
        }
        (_, Some(number)) if number > limits.connections => {
            (format!("limit, {number} connections"), format!("`limits.connections`, {}", limits.connections))
        }
        _ => return None,
    };
    let problem = Problem::error(format!("`{}` has a {own}, above that of all rules together", accept.name));
    Some(problem.help(format!("{whole}, comes first: raise it in [firewall.limits], or lower this one")))
}
