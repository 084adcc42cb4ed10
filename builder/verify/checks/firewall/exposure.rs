//! Which ports are open, and to whom: asked of the rules, from every kind of place.

use std::net::IpAddr;

use super::super::super::audited::Audited;
use super::super::super::check::Finding;
use super::super::super::claims::{Opening, Whom};
use super::super::super::netfilter::{Match, Packet, Protocol, Rule, Target, Verdict};
use super::families;

pub(super) fn default(image: &Audited<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, v6, rules) in families(image) {
        let source: IpAddr = if v6 { [0x2001, 0xdb8, 7, 0, 0, 0, 0, 9].into() } else { [198, 51, 100, 7].into() };
        let odd = Packet::knock(source, Protocol(132), 0);
        for chain in ["INPUT", "FORWARD"] {
            let policy = rules.chains.get(chain).and_then(|chain| chain.policy.clone());
            let verdict = rules.verdict(chain, &odd);
            if policy != Some(Target::Drop) || verdict != Verdict::Dropped {
                let found =
                    format!("{chain}: policy {policy:?}, and a packet of no known kind is {verdict:?}").to_lowercase();
                findings.push(Finding::new(path, found, format!("{chain} DROP"), "let the rules come from the recipe"));
            }
        }
    }
    findings
}

/// Somebody in the world, in a private network, on the link, and in each network that the recipe names.
pub(super) fn strangers(image: &Audited<'_>, v6: bool) -> Vec<(IpAddr, String)> {
    let texts: &[&str] = match v6 {
        false => &["198.51.100.7", "10.200.0.9", "172.20.0.9", "192.168.200.9", "169.254.7.9", "100.64.7.9"],
        true => &["2001:db8:7::9", "fd99::9", "fe80::9"],
    };
    let mut all: Vec<(IpAddr, String)> =
        texts.iter().filter_map(|text| Some((text.parse().ok()?, (*text).to_owned()))).collect();
    for opening in &image.claims().open {
        if let Whom::Network(network) = &opening.to
            && network.addr().is_ipv6() == v6
        {
            all.push((network.hosts().next().unwrap_or(network.addr()), network.to_string()));
        }
    }
    all
}

/// From every stranger, to every port, in both families: as claimed.
pub(super) fn exposure(image: &Audited<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, v6, rules) in families(image) {
        for (source, name) in strangers(image, v6) {
            for (protocol, udp) in [(Protocol::TCP, false), (Protocol::UDP, true)] {
                let (open, undecided) = rules.open("INPUT", &Packet::knock(source, protocol, 0));
                for what in undecided {
                    let wanted = "rules that can be followed";
                    findings.push(Finding::new(
                        path,
                        format!("not known what it does: {what}"),
                        wanted,
                        "say it otherwise",
                    ));
                }
                let claimed = claimed(&image.claims().open, source, udp);
                let word = if udp { "udp" } else { "tcp" };
                if open != claimed {
                    let found = format!("open to {name}: {word} {}", ranges(&open));
                    let mend = "change the recipe's [firewall], or build the image from it again";
                    findings.push(Finding::new(path, found, format!("{word} {}", ranges(&claimed)), mend));
                }
            }
        }
    }
    findings
}

/// The ports of `openings` that are open to (or of) `other`, sorted, neighbours together.
pub(super) fn claimed(openings: &[Opening], other: IpAddr, udp: bool) -> Vec<(u16, u16)> {
    let to = |whom: &Whom| match whom {
        Whom::World => true,
        Whom::Network(network) => network.contains(&other),
        Whom::Peer(_) => false,
    };
    let open = openings.iter().filter(|opening| opening.udp == udp && to(&opening.to));
    together(open.map(|opening| opening.ports).collect())
}

/// Sorted, neighbours together.
pub(super) fn together(mut ports: Vec<(u16, u16)>) -> Vec<(u16, u16)> {
    ports.sort_unstable();
    let mut together = Vec::<(u16, u16)>::new();
    for (first, last) in ports {
        match together.last_mut() {
            Some(before) if u32::from(first) <= u32::from(before.1) + 1 => before.1 = before.1.max(last),
            _ => together.push((first, last)),
        }
    }
    together
}

/// A rule that lets everything pass from (`-s`) or to (`-d`) this address: as the instance's unit fills a chain.
pub(super) fn filling(matching: Match) -> Rule {
    Rule { line: 0, matches: vec![matching], target: Some(Target::Accept) }
}

pub(super) fn ranges(ports: &[(u16, u16)]) -> String {
    let one = |(first, last): &(u16, u16)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    if ports.is_empty() { "nothing".to_owned() } else { ports.iter().map(one).collect::<Vec<_>>().join(" ") }
}

/// Whose addresses only the instance knows, by name.
pub(super) fn peers(openings: &[Opening]) -> Vec<&str> {
    let mut peers: Vec<&str> = openings
        .iter()
        .filter_map(|opening| if let Whom::Peer(name) = &opening.to { Some(name.as_str()) } else { None })
        .collect();
    peers.sort_unstable();
    peers.dedup();
    peers
}

/// With one address put into a peer's chain, just the ports that are opened to it are open for it.
pub(super) fn peer_chains(image: &Audited<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, v6, rules) in families(image) {
        for peer in peers(&image.claims().open) {
            let name = format!("peer-{peer}");
            let Some(chain) = rules.chains.get(&name) else {
                findings.push(Finding::new(
                    path,
                    format!("no chain {name}"),
                    "an empty one",
                    "build the image from its recipe",
                ));
                continue;
            };
            if !chain.rules.is_empty() {
                findings.push(Finding::new(path, format!("{} rules in {name}", chain.rules.len()), "none", "empty it"));
            }
            let source: IpAddr = if v6 { [0xfd42, 0, 0, 0, 0, 0, 0, 7].into() } else { [10, 42, 0, 7].into() };
            let mut filled = rules.clone();
            filled.chains.entry(name.clone()).or_default().rules = vec![filling(Match::Source(source.into(), false))];
            let (open, _) = filled.open("INPUT", &Packet::knock(source, Protocol::TCP, 0));
            let mut wanted = claimed(&image.claims().open, source, false);
            let own =
                image.claims().open.iter().filter(|opening| opening.to == Whom::Peer(peer.to_owned()) && !opening.udp);
            wanted.extend(own.map(|opening| opening.ports));
            let wanted = together(wanted);
            if open != wanted {
                let found = format!("open to the peer {peer}: tcp {}", ranges(&open));
                findings.push(Finding::new(
                    path,
                    found,
                    format!("tcp {}", ranges(&wanted)),
                    "build the image from its recipe",
                ));
            }
        }
    }
    findings
}
