//! Packets that open nothing: answers, forgeries, the machine itself, and what IPv6 lives on.

use std::net::IpAddr;

use super::super::super::audited::Audited;
use super::super::super::check::Finding;
use super::super::super::netfilter::{Packet, Protocol, State, Verdict};
use super::exposure::{ranges, strangers};
use super::families;

pub(super) fn state(image: &Audited<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, v6, rules) in families(image) {
        for (source, _) in strangers(image, v6).into_iter().take(1) {
            let bare = Packet { syn: false, ..Packet::knock(source, Protocol::TCP, 0) };
            for (what, packet) in [
                ("a packet without SYN that begins a connection", bare.clone()),
                ("a packet that belongs to no connection", Packet { state: State::Invalid, ..bare.clone() }),
                ("SYN in the state INVALID", Packet { state: State::Invalid, syn: true, ..bare.clone() }),
            ] {
                let (open, _) = rules.open("INPUT", &packet);
                if !open.is_empty() {
                    let found = format!("{what} is let in to {}", ranges(&open));
                    findings.push(Finding::new(path, found, "dropped", "build the image from its recipe"));
                }
            }
        }
    }
    findings
}

pub(super) fn established(image: &Audited<'_>) -> Vec<Finding> {
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

pub(super) fn loopback(image: &Audited<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, v6, rules) in families(image) {
        let own: IpAddr = if v6 { std::net::Ipv6Addr::LOCALHOST.into() } else { std::net::Ipv4Addr::LOCALHOST.into() };
        let inside = Packet { interface: "lo", ..Packet::knock(own, Protocol::TCP, 9) };
        let outside = Packet::knock(own, Protocol::TCP, 22);
        if rules.verdict("INPUT", &inside) != Verdict::Accepted {
            findings.push(Finding::new(path, "loopback is shut", "open", "accept -i lo first"));
        }
        let (open, _) = rules.open("INPUT", &outside);
        if !open.is_empty() {
            let found = format!("{own} from outside is let in to {}", ranges(&open));
            findings.push(Finding::new(path, found, "dropped", "drop it before anything is accepted"));
        }
    }
    findings
}

/// The types that must pass (RFC 4890 4.4.1), and those that only the link may send, with 255 hops left.
pub(super) fn icmpv6(image: &Audited<'_>) -> Vec<Finding> {
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
