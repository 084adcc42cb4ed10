//! What a [`RuleSet`] does with a packet.

use std::collections::BTreeSet;

use super::packet::Packet;
use super::rule::{Match, Not, Rule, RuleSet, Target};

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It passes.
    Accepted,
    /// It does not.
    Dropped,
    /// That depends on something that is not known here: the line and its words.
    Undecided(String),
}

/// How deep chains may call each other: beyond, the kernel refuses the rules.
const DEPTH: usize = 16;

/// Whether a rule takes a packet.
enum Holds {
    Yes,
    No,
    Unknown(String),
}

impl RuleSet {
    /// What becomes of `packet` in a built-in chain: `INPUT`, `OUTPUT`, `FORWARD`. A limit is taken as not reached.
    ///
    /// A file that would not be loaded leaves everything open, as the kernel starts.
    pub fn verdict(&self, chain: &str, packet: &Packet) -> Verdict {
        if !self.committed || !self.unreadable.is_empty() {
            return Verdict::Accepted;
        }
        if let Some(verdict) = self.walk(chain, packet, 0) {
            return verdict;
        }
        match self.chains.get(chain).and_then(|chain| chain.policy.as_ref()) {
            Some(Target::Drop) => Verdict::Dropped,
            _ => Verdict::Accepted,
        }
    }

    /// What the rules of `chain` decide; none if none does.
    fn walk(&self, chain: &str, packet: &Packet, depth: usize) -> Option<Verdict> {
        for rule in &self.chains.get(chain)?.rules {
            match (holds(rule, packet), &rule.target) {
                (Holds::No, _) | (_, None | Some(Target::Note)) => {}
                (Holds::Unknown(what), Some(target)) => {
                    // A drop that may not happen changes nothing unless something after it accepts; and the other way round.
                    let rest = self.rest(chain, rule, packet);
                    if Some(target) != rest.as_ref() {
                        return Some(Verdict::Undecided(format!("line {}: {what}", rule.line)));
                    }
                }
                (Holds::Yes, Some(Target::Accept)) => return Some(Verdict::Accepted),
                (Holds::Yes, Some(Target::Drop)) => return Some(Verdict::Dropped),
                (Holds::Yes, Some(Target::Return)) => return None,
                (Holds::Yes, Some(Target::Unknown(what))) => {
                    return Some(Verdict::Undecided(format!("line {}: {what}", rule.line)));
                }
                (Holds::Yes, Some(Target::Jump(name))) => {
                    if !self.chains.contains_key(name) || depth == DEPTH {
                        return Some(Verdict::Undecided(format!("line {}: -j {name}", rule.line)));
                    }
                    if let Some(verdict) = self.walk(name, packet, depth + 1) {
                        return Some(verdict);
                    }
                }
            }
        }
        None
    }

    /// What the chain would do without `rule` and what is before it, if that is simple.
    fn rest(&self, chain: &str, rule: &Rule, packet: &Packet) -> Option<Target> {
        let mut without = self.clone();
        without.chains.get_mut(chain)?.rules.retain(|other| other.line > rule.line);
        match without.walk(chain, packet, DEPTH).or_else(|| policy(&without, chain)) {
            Some(Verdict::Accepted) => Some(Target::Accept),
            Some(Verdict::Dropped) => Some(Target::Drop),
            _ => None,
        }
    }

    /// The ports that a packet like `packet` reaches through a built-in chain, as ranges; and what could not be decided.
    ///
    /// Ports between two that no rule names are alike, so that one of each such range is asked.
    pub fn open(&self, chain: &str, packet: &Packet) -> (Vec<(u16, u16)>, BTreeSet<String>) {
        let mut starts = BTreeSet::from([1_u32]);
        for rule in self.chains.values().flat_map(|chain| &chain.rules) {
            for ranges in rule.matches.iter().filter_map(|matching| match matching {
                Match::DestinationPort(ranges, _) => Some(ranges),
                _ => None,
            }) {
                starts.extend(ranges.iter().flat_map(|(first, last)| [u32::from(*first), u32::from(*last) + 1]));
            }
        }
        let starts: Vec<u32> = starts.into_iter().filter(|start| (1..=65535).contains(start)).collect();
        let (mut open, mut undecided) = (Vec::<(u16, u16)>::new(), BTreeSet::new());
        for (index, start) in starts.iter().enumerate() {
            let last = starts.get(index + 1).map_or(65535, |next| next - 1);
            let (first, last) = (*start as u16, last as u16);
            match self.verdict(chain, &Packet { port: first, ..packet.clone() }) {
                Verdict::Dropped => {}
                Verdict::Undecided(what) => drop(undecided.insert(what)),
                Verdict::Accepted => match open.last_mut() {
                    Some(before) if u32::from(before.1) + 1 == u32::from(first) => before.1 = last,
                    _ => open.push((first, last)),
                },
            }
        }
        (open, undecided)
    }
}

fn policy(rules: &RuleSet, chain: &str) -> Option<Verdict> {
    Some(match rules.chains.get(chain)?.policy.as_ref()? {
        Target::Drop => Verdict::Dropped,
        _ => Verdict::Accepted,
    })
}

/// Whether every match of `rule` takes `packet`; what is not known counts only if all that is known does.
fn holds(rule: &Rule, packet: &Packet) -> Holds {
    let mut unknown = None;
    for matching in &rule.matches {
        match matches(matching, packet) {
            Holds::Yes => {}
            Holds::No => return Holds::No,
            Holds::Unknown(what) => unknown = unknown.or(Some(what)),
        }
    }
    unknown.map_or(Holds::Yes, Holds::Unknown)
}

fn matches(matching: &Match, packet: &Packet) -> Holds {
    let within = |ranges: &[(u16, u16)], port: u16| ranges.iter().any(|(first, last)| (*first..=*last).contains(&port));
    let (holds, not): (bool, Not) = match matching {
        Match::Source(network, not) => (network.contains(&packet.source), *not),
        Match::Destination(network, not) => (network.contains(&packet.destination), *not),
        Match::In(name, not) => (packet.uid.is_none() && interface(name, packet.interface), *not),
        Match::Out(name, not) => (packet.uid.is_some() && interface(name, packet.interface), *not),
        Match::Protocol(protocol, not) => (*protocol == packet.protocol || protocol.0 == 0, *not),
        Match::SourcePort(ranges, not) => (within(ranges, packet.source_port), *not),
        Match::DestinationPort(ranges, not) => (within(ranges, packet.port), *not),
        Match::Syn(not) => (packet.syn, *not),
        Match::State(states, not) => (states.contains(&packet.state), *not),
        Match::IcmpType(kind, not) => (*kind == packet.icmp_type, *not),
        Match::HopLimit(hops, not) => (*hops == packet.hop_limit, *not),
        // What arrives has no owner, and then this holds neither way round.
        Match::Uid(uid, not) => (packet.uid.is_some_and(|owner| (owner == *uid) != *not), false),
        Match::Limit(text) => {
            // `--limit`, `--hashlimit-upto`, `--connlimit-upto` hold below the limit; `-above` and `--update` beyond it.
            let beyond = text.contains("-above") || text.contains("--update") || text.contains("--rcheck");
            return if beyond != text.contains("! ") { Holds::No } else { Holds::Yes };
        }
        Match::Unknown(text) => return Holds::Unknown(text.clone()),
    };
    if holds != not { Holds::Yes } else { Holds::No }
}

/// Whether the interface `name` is what `pattern` says: `lo`, `eth+`.
fn interface(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('+') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}
