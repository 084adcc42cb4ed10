//! The firewall: what its rules let through, and that nothing starts without them.
//!
//! The rules are interpreted, not searched for words: packets from several places are run through them, to every port.

use std::net::IpAddr;

use super::super::audited::Audited;
use super::super::check::{Check, Finding, Severity};
use super::super::claims::Whom;
use super::super::effective::unit::{self, Unit};
use super::super::netfilter::{Packet, Protocol, RuleSet, State, Verdict, parse::parse};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "firewall-rules",
        title: "the rules of both families can be loaded, and every line is understood",
        why: "one line that iptables-restore refuses, and nothing of the file is loaded: everything is open",
        source: "iptables-restore(8); CIS Debian 12 4.4",
        severity: Severity::High,
        applies: |_| true,
        run: rules,
    },
    Check {
        id: "firewall-default",
        title: "what no rule lets in is dropped, for this machine and through it",
        why: "a list of what is forbidden is never complete",
        source: "CIS Debian 12 4.4.2.1, 4.4.3.1; dev-sec",
        severity: Severity::High,
        applies: installed,
        run: default,
    },
    Check {
        id: "firewall-exposure",
        title: "exactly the ports that the recipe names are open, to those whom it names, in IPv4 and IPv6",
        why: "a port that is open by mistake is found within minutes; one that is shut by mistake stops the service",
        source: "the recipe's [firewall]",
        severity: Severity::High,
        applies: installed,
        run: exposure,
    },
    Check {
        id: "firewall-peers",
        title: "each peer of the recipe has an empty chain, in both families, that the ports opened to it ask",
        why: "what is in it already would be let in by every instance; without it no instance can let anyone in",
        source: "the recipe's [firewall]",
        severity: Severity::High,
        applies: |image| installed(image) && !peers(image).is_empty(),
        run: peer_chains,
    },
    Check {
        id: "firewall-state",
        title: "a connection begins with SYN, and what belongs to none is dropped",
        why: "scanners look behind a firewall with packets that begin nothing",
        source: "CIS Debian 12 4.4.2.4; iptables-extensions(8) conntrack",
        severity: Severity::Medium,
        applies: installed,
        run: state,
    },
    Check {
        id: "firewall-established",
        title: "answers to what this machine asked are let in",
        why: "it could ask nobody for anything: no name, no time",
        source: "CIS Debian 12 4.4.2.4",
        severity: Severity::Medium,
        applies: installed,
        run: established,
    },
    Check {
        id: "firewall-loopback",
        title: "the machine may talk to itself, and nobody may claim to be it",
        why: "services that trust 127.0.0.1 and ::1 would trust a stranger",
        source: "CIS Debian 12 4.4.2.2, 4.4.3.2",
        severity: Severity::Medium,
        applies: installed,
        run: loopback,
    },
    Check {
        id: "firewall-icmpv6",
        title: "IPv6 gets the control messages without which it does not work, neighbours' from the link only",
        why: "without neighbours there is no network; from farther away a message about neighbours is a lie",
        source: "RFC 4890 section 4.4",
        severity: Severity::Medium,
        applies: installed,
        run: icmpv6,
    },
    Check {
        id: "firewall-metadata",
        title: "only root reaches the metadata service of the cloud",
        why: "a request that is forged through the web server would read the machine's keys",
        source: "OWASP Server-Side Request Forgery Prevention; AWS and Alibaba Cloud on instance metadata",
        severity: Severity::High,
        applies: installed,
        run: metadata,
    },
    Check {
        id: "firewall-first",
        title: "the rules are loaded before any network, and without them there is none",
        why: "Debian's own unit succeeds with everything open, and the network does not wait for it",
        source: "systemd.unit(5) Requires=, Before=; netfilter-persistent(8)",
        severity: Severity::High,
        applies: installed,
        run: first,
    },
];

/// The rules files, each with its family.
const FILES: [(&str, bool); 2] = [("etc/iptables/rules.v4", false), ("etc/iptables/rules.v6", true)];

/// What brings up a network: none may do so before the rules are loaded.
const NETWORK: [&str; 3] = ["systemd-networkd.service", "cloud-init-local.service", "cloud-init-main.service"];

fn installed(image: &Audited<'_>) -> bool {
    FILES.iter().any(|(path, _)| image.has(path))
}

/// Both families' rules; of a file that is not there, none, which lets everything in.
fn families(image: &Audited<'_>) -> [(&'static str, bool, RuleSet); 2] {
    FILES.map(|(path, v6)| (path, v6, parse(&image.text(path).unwrap_or_default(), v6)))
}

/// Somebody in the world, in a private network, on the link, and in each network that the recipe names.
fn strangers(image: &Audited<'_>, v6: bool) -> Vec<(IpAddr, String)> {
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

fn rules(image: &Audited<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, _, rules) in families(image) {
        let mut finding = |subject: String, found: &str, wanted: &str| {
            findings.push(Finding::new(
                subject,
                found,
                wanted,
                "correct the recipe's [firewall]; `goldsmith build` writes the file",
            ));
        };
        if !rules.committed {
            finding(path.to_owned(), "no table `filter` that ends with COMMIT", "one");
        }
        for (number, line) in &rules.unreadable {
            finding(format!("{path}:{number}"), line, "a line that iptables-restore takes");
        }
        for (number, line) in &rules.elsewhere {
            finding(format!("{path}:{number}"), line, "rules in the table `filter` only");
        }
    }
    findings
}

fn default(image: &Audited<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, v6, rules) in families(image) {
        let source: IpAddr = if v6 { [0x2001, 0xdb8, 7, 0, 0, 0, 0, 9].into() } else { [198, 51, 100, 7].into() };
        let odd = Packet::knock(source, Protocol(132), 0);
        for chain in ["INPUT", "FORWARD"] {
            let policy = rules.chains.get(chain).and_then(|chain| chain.policy.clone());
            let verdict = rules.verdict(chain, &odd);
            if policy != Some(super::super::netfilter::Target::Drop) || verdict != Verdict::Dropped {
                let found =
                    format!("{chain}: policy {policy:?}, and a packet of no known kind is {verdict:?}").to_lowercase();
                findings.push(Finding::new(path, found, format!("{chain} DROP"), "let the rules come from the recipe"));
            }
        }
    }
    findings
}

/// From every stranger, to every port, in both families: as claimed.
fn exposure(image: &Audited<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, v6, rules) in families(image) {
        for (source, name) in strangers(image, v6) {
            for (protocol, udp) in [(Protocol::TCP, false), (Protocol::UDP, true)] {
                let (open, undecided) = rules.open(&Packet::knock(source, protocol, 0));
                for what in undecided {
                    let wanted = "rules that can be followed";
                    findings.push(Finding::new(
                        path,
                        format!("not known what it does: {what}"),
                        wanted,
                        "say it otherwise",
                    ));
                }
                let claimed = claimed(image, source, udp);
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

/// The ports that the recipe opens to `source`, sorted, neighbours together.
fn claimed(image: &Audited<'_>, source: IpAddr, udp: bool) -> Vec<(u16, u16)> {
    let to = |whom: &Whom| match whom {
        Whom::World => true,
        Whom::Network(network) => network.contains(&source),
        Whom::Peer(_) => false,
    };
    let open = image.claims().open.iter().filter(|opening| opening.udp == udp && to(&opening.to));
    let mut ports: Vec<(u16, u16)> = open.map(|opening| opening.ports).collect();
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

fn ranges(ports: &[(u16, u16)]) -> String {
    let one = |(first, last): &(u16, u16)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    if ports.is_empty() { "nothing".to_owned() } else { ports.iter().map(one).collect::<Vec<_>>().join(" ") }
}

fn peers<'a>(image: &Audited<'a>) -> Vec<&'a str> {
    let mut peers: Vec<&str> = image
        .claims()
        .open
        .iter()
        .filter_map(|opening| if let Whom::Peer(name) = &opening.to { Some(name.as_str()) } else { None })
        .collect();
    peers.sort_unstable();
    peers.dedup();
    peers
}

/// With one address put into a peer's chain, just the ports that are opened to it are open for it.
fn peer_chains(image: &Audited<'_>) -> Vec<Finding> {
    use super::super::netfilter::{Match, Rule, Target};
    let mut findings = Vec::new();
    for (path, v6, rules) in families(image) {
        for peer in peers(image) {
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
            let rule =
                Rule { line: 0, matches: vec![Match::Source(source.into(), false)], target: Some(Target::Accept) };
            let mut filled = rules.clone();
            filled.chains.entry(name.clone()).or_default().rules = vec![rule];
            let (open, _) = filled.open(&Packet::knock(source, Protocol::TCP, 0));
            let mut wanted = claimed(image, source, false);
            let own =
                image.claims().open.iter().filter(|opening| opening.to == Whom::Peer(peer.to_owned()) && !opening.udp);
            wanted.extend(own.map(|opening| opening.ports));
            wanted.sort_unstable();
            wanted.dedup();
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

fn state(image: &Audited<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, v6, rules) in families(image) {
        for (source, _) in strangers(image, v6).into_iter().take(1) {
            let bare = Packet { syn: false, ..Packet::knock(source, Protocol::TCP, 0) };
            for (what, packet) in [
                ("a packet without SYN that begins a connection", bare.clone()),
                ("a packet that belongs to no connection", Packet { state: State::Invalid, ..bare.clone() }),
                ("SYN in the state INVALID", Packet { state: State::Invalid, syn: true, ..bare.clone() }),
            ] {
                let (open, _) = rules.open(&packet);
                if !open.is_empty() {
                    let found = format!("{what} is let in to {}", ranges(&open));
                    findings.push(Finding::new(path, found, "dropped", "build the image from its recipe"));
                }
            }
        }
    }
    findings
}

fn established(image: &Audited<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, v6, rules) in families(image) {
        for (source, _) in strangers(image, v6).into_iter().take(1) {
            for protocol in [Protocol::TCP, Protocol::UDP] {
                let packet =
                    Packet { state: State::Established, syn: false, ..Packet::knock(source, protocol, 50_000) };
                if rules.verdict("INPUT", &packet) != Verdict::Accepted {
                    findings.push(Finding::new(
                        path,
                        "an answer is dropped",
                        "let in",
                        "build the image from its recipe",
                    ));
                }
            }
        }
    }
    findings
}

fn loopback(image: &Audited<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, v6, rules) in families(image) {
        let own: IpAddr = if v6 { std::net::Ipv6Addr::LOCALHOST.into() } else { std::net::Ipv4Addr::LOCALHOST.into() };
        let inside = Packet { interface: "lo", ..Packet::knock(own, Protocol::TCP, 9) };
        let outside = Packet::knock(own, Protocol::TCP, 22);
        if rules.verdict("INPUT", &inside) != Verdict::Accepted {
            findings.push(Finding::new(path, "loopback is shut", "open", "accept -i lo first"));
        }
        let (open, _) = rules.open(&outside);
        if !open.is_empty() {
            let found = format!("{own} from outside is let in to {}", ranges(&open));
            findings.push(Finding::new(path, found, "dropped", "drop it before anything is accepted"));
        }
    }
    findings
}

/// The types that must pass (RFC 4890 4.4.1), and those that only the link may send, with 255 hops left.
fn icmpv6(image: &Audited<'_>) -> Vec<Finding> {
    let [_, (path, _, rules)] = families(image);
    let mut findings = Vec::new();
    let link: IpAddr = [0xfe80, 0, 0, 0, 0, 0, 0, 9].into();
    let far: IpAddr = [0x2001, 0xdb8, 7, 0, 0, 0, 0, 9].into();
    for (kind, name) in
        [(134, "router advertisement"), (135, "neighbour solicitation"), (136, "neighbour advertisement")]
    {
        if rules.verdict("INPUT", &Packet::control(link, kind, 255)) != Verdict::Accepted {
            findings.push(Finding::new(
                path,
                format!("{name} from the link is dropped"),
                "let in",
                "accept it with 255 hops",
            ));
        }
        if rules.verdict("INPUT", &Packet::control(far, kind, 64)) != Verdict::Dropped {
            findings.push(Finding::new(path, format!("{name} from far away is let in"), "dropped", "ask for 255 hops"));
        }
    }
    for (kind, name) in [(1, "unreachable"), (2, "packet too big"), (3, "time exceeded"), (4, "parameter problem")] {
        let packet = Packet { state: State::Related, ..Packet::control(far, kind, 64) };
        if rules.verdict("INPUT", &packet) != Verdict::Accepted {
            findings.push(Finding::new(path, format!("{name} is dropped"), "let in", "accept it"));
        }
    }
    if rules.verdict("INPUT", &Packet::control(link, 137, 255)) != Verdict::Dropped {
        findings.push(Finding::new(path, "redirect is let in", "dropped", "leave it out"));
    }
    findings
}

/// Addresses of the metadata services: AWS, Azure, GCE, OpenStack; Alibaba Cloud; Azure's own; AWS in IPv6.
const METADATA: [&str; 4] = ["169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254"];

fn metadata(image: &Audited<'_>) -> Vec<Finding> {
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

/// A unit loads the rules; whatever brings up a network requires it and comes after it.
fn first(image: &Audited<'_>) -> Vec<Finding> {
    let loader = "goldsmith-firewall.service";
    let mut findings = Vec::new();
    let mut finding = |subject: &str, found: &str, wanted: String| {
        findings.push(Finding::new(subject, found, wanted, "as overlays do: a drop-in with Requires= and After="));
    };
    let own = Unit::of(image, loader);
    if own.as_ref().is_none_or(|unit| unit.masked || unit.lines("Service", "ExecStart").is_empty()) {
        finding(loader, "no unit that starts", "one that loads and asserts the rules".to_owned());
    }
    if !unit::pulled(image).contains_key(loader) {
        finding(loader, "no target pulls it in", "enabled".to_owned());
    }
    if own.as_ref().is_some_and(|unit| unit.value("Unit", "DefaultDependencies") != Some("no")) {
        finding(loader, "ordered after basic.target", "DefaultDependencies=no, to come before the network".to_owned());
    }
    for name in NETWORK {
        let Some(unit) = Unit::of(image, name).filter(|unit| !unit.masked) else { continue };
        let requires = |key: &str| unit.list("Unit", key).contains(&loader);
        if !(requires("Requires") || requires("BindsTo")) {
            finding(name, "starts without the firewall", format!("Requires={loader}"));
        }
        let before = own.as_ref().is_some_and(|own| own.list("Unit", "Before").contains(&name));
        if !requires("After") && !before {
            finding(name, "does not wait for the firewall", format!("After={loader}"));
        }
    }
    findings
}
