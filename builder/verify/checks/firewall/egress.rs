//! Whom this machine reaches: asked of the rules, as root and as anybody else.

use std::net::IpAddr;

use super::super::super::audited::Audited;
use super::super::super::check::Finding;
use super::super::super::claims::{Opening, Whom};
use super::super::super::netfilter::{Match, Packet, Protocol, State, Target, Verdict};
use super::exposure::{claimed, filling, peers, ranges, together};
use super::families;

/// Addresses of the metadata services: AWS, Azure, GCE, OpenStack; Alibaba Cloud; Azure's own; AWS in IPv6.
const METADATA: [&str; 4] = ["169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254"];

pub(super) fn metadata(image: &Audited<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, v6, rules) in families(image) {
        for address in
            METADATA.iter().filter_map(|text| text.parse::<IpAddr>().ok()).filter(|address| address.is_ipv6() == v6)
        {
            let own: IpAddr = if v6 { [0xfd42, 0, 0, 0, 0, 0, 0, 1].into() } else { [10, 42, 0, 1].into() };
            let ask = |uid| Packet { destination: address, uid: Some(uid), ..Packet::knock(own, Protocol::TCP, 80) };
            if rules.verdict("OUTPUT", &ask(33)) != Verdict::Dropped {
                findings.push(Finding::new(
                    path,
                    format!("{address} is open to every user"),
                    "root only",
                    "build the image from its recipe",
                ));
            }
            if rules.verdict("OUTPUT", &ask(0)) != Verdict::Accepted {
                findings.push(Finding::new(
                    path,
                    format!("{address} is shut for root"),
                    "open",
                    "cloud-init reads it as root",
                ));
            }
        }
    }
    findings
}

/// What the recipe lists; nothing, where it lets everything out.
pub(super) fn listed<'a>(image: &Audited<'a>) -> &'a [Opening] {
    image.claims().reaches.as_deref().unwrap_or_default()
}

/// The first packet from this machine to `there`, sent by a process of `uid`.
fn call(there: IpAddr, protocol: Protocol, uid: u32) -> Packet {
    Packet { destination: there, uid: Some(uid), ..Packet::knock(own(there.is_ipv6()), protocol, 0) }
}

/// An address of this machine.
fn own(v6: bool) -> IpAddr {
    if v6 { [0xfd42, 0, 0, 0, 0, 0, 0, 1].into() } else { [10, 42, 0, 1].into() }
}

/// Somebody in the world, in private networks, on the link, and in each network that the recipe lists.
fn places(image: &Audited<'_>, v6: bool) -> Vec<IpAddr> {
    let texts: &[&str] = match v6 {
        false => &["198.51.100.7", "10.200.0.9", "172.20.0.9", "192.168.200.9", "169.254.7.9", "100.64.7.9"],
        true => &["2001:db8:7::9", "fd99::9", "fe80::9"],
    };
    let networks = listed(image).iter().filter_map(|opening| match &opening.to {
        Whom::Network(network) if network.addr().is_ipv6() == v6 => {
            Some(network.hosts().next().unwrap_or(network.addr()))
        }
        _ => None,
    });
    texts.iter().filter_map(|text| text.parse().ok()).chain(networks).collect()
}

/// To everybody, of every port, in both families, as root and as somebody else: as listed; all, where nothing is listed.
pub(super) fn reaches(image: &Audited<'_>) -> Vec<Finding> {
    let all = vec![(1, u16::MAX)];
    let mut findings = Vec::new();
    for (path, v6, rules) in families(image) {
        for there in places(image, v6) {
            for (protocol, word, udp) in [(Protocol::TCP, "tcp", false), (Protocol::UDP, "udp", true)] {
                let wanted = match &image.claims().reaches {
                    Some(listed) => claimed(listed, there, udp),
                    None => all.clone(),
                };
                for uid in [0, 33] {
                    let (open, undecided) = rules.open("OUTPUT", &call(there, protocol, uid));
                    let odd = undecided.into_iter().map(|what| {
                        let found = format!("not known what it does: {what}");
                        Finding::new(path, found, "rules that can be followed", "say it otherwise")
                    });
                    findings.extend(odd);
                    if open != wanted {
                        let found = format!("uid {uid} reaches of {there}: {word} {}", ranges(&open));
                        let mend = "change the recipe's [firewall.egress], or build the image from it again";
                        findings.push(Finding::new(path, found, format!("{word} {}", ranges(&wanted)), mend));
                    }
                }
            }
            // What is neither of the two has no ports to list.
            let odd = rules.verdict("OUTPUT", &call(there, Protocol(132), 33));
            if image.claims().reaches.is_some() && odd != Verdict::Dropped {
                let found = format!("a packet of another kind reaches {there}");
                findings.push(Finding::new(path, found, "dropped", "build the image from its recipe"));
            }
        }
        let policy = rules.chains.get("OUTPUT").and_then(|chain| chain.policy.clone());
        if image.claims().reaches.is_some() && policy != Some(Target::Drop) {
            findings.push(Finding::new(path, "OUTPUT: accepts by policy", "OUTPUT DROP", "build the image again"));
        }
    }
    findings
}

/// With one address put into a chain `egress-NAME`, just the ports that are listed of NAME are reached there.
pub(super) fn chains(image: &Audited<'_>) -> Vec<Finding> {
    let mend = "build the image from its recipe";
    let mut findings = Vec::new();
    for (path, v6, rules) in families(image) {
        for name in peers(listed(image)) {
            let chain = format!("egress-{name}");
            let Some(there) = rules.chains.get(&chain) else {
                findings.push(Finding::new(path, format!("no chain {chain}"), "an empty one", mend));
                continue;
            };
            if !there.rules.is_empty() {
                let found = format!("{} rules in {chain}", there.rules.len());
                findings.push(Finding::new(path, found, "none", "empty it"));
            }
            let address: IpAddr = if v6 { [0xfd43, 0, 0, 0, 0, 0, 0, 7].into() } else { [10, 43, 0, 7].into() };
            let mut filled = rules.clone();
            filled.chains.entry(chain).or_default().rules = vec![filling(Match::Destination(address.into(), false))];
            for (protocol, udp) in [(Protocol::TCP, false), (Protocol::UDP, true)] {
                let (open, _) = filled.open("OUTPUT", &call(address, protocol, 33));
                let own = listed(image)
                    .iter()
                    .filter(|opening| opening.udp == udp && opening.to == Whom::Peer(name.to_owned()));
                let mut wanted = claimed(listed(image), address, udp);
                wanted.extend(own.map(|opening| opening.ports));
                let wanted = together(wanted);
                if open != wanted {
                    let found = format!("reaches of {name}: {}", ranges(&open));
                    findings.push(Finding::new(path, found, ranges(&wanted), mend));
                }
            }
        }
    }
    findings
}

/// What a machine sends that nobody lists.
pub(super) fn needs(image: &Audited<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, v6, rules) in families(image) {
        let far: IpAddr = if v6 { [0x2001, 0xdb8, 7, 0, 0, 0, 0, 9].into() } else { [198, 51, 100, 7].into() };
        let itself: IpAddr =
            if v6 { std::net::Ipv6Addr::LOCALHOST.into() } else { std::net::Ipv4Addr::LOCALHOST.into() };
        let server: IpAddr =
            if v6 { [0xff02, 0, 0, 0, 0, 0, 1, 2].into() } else { std::net::Ipv4Addr::BROADCAST.into() };
        let (from, to) = if v6 { (546, 547) } else { (68, 67) };
        let answer = Packet { state: State::Established, syn: false, port: 40_000, ..call(far, Protocol::TCP, 33) };
        let mut packets = vec![
            ("an answer", answer),
            ("a word to itself", Packet { interface: "lo", port: 9, ..call(itself, Protocol::TCP, 33) }),
            ("a question for a lease", Packet { source_port: from, port: to, ..call(server, Protocol::UDP, 0) }),
        ];
        if v6 {
            let control = |icmp_type| Packet { icmp_type, hop_limit: 255, ..call(server, Protocol::ICMPV6, 0) };
            packets.extend([
                ("a router solicitation", control(133)),
                ("a neighbour solicitation", control(135)),
                ("a neighbour advertisement", control(136)),
            ]);
        }
        for (what, packet) in packets {
            if rules.verdict("OUTPUT", &packet) != Verdict::Accepted {
                findings.push(Finding::new(path, format!("{what} is dropped"), "sent", "build the image again"));
            }
        }
    }
    findings
}
