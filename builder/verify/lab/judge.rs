//! What was heard of a machine, held against what its recipe says.
//!
//! A reply that nobody may have is a finding, whenever it came; so is silence where the recipe opens a port.

use std::net::IpAddr;
use std::time::Duration;

use super::case::{Case, Opens};
use super::frame::{Heard, Said, Segment, echo};
use super::hosts::{GUEST, Host, Hosts};
use super::link::Event;
use super::report::Finding;
use super::scan::Answers;

/// How exact the console's times are: it is looked at so often, and systemd writes its line after the deed.
const EXACT: Duration = Duration::from_millis(400);

/// Whether `host`, by its address `source`, may reach this port of a machine in this case.
fn may(hosts: &Hosts, (host, source): (&Host, IpAddr), port: (bool, u16), opens: Opens) -> bool {
    opens != Opens::Nothing && hosts.may((host, source), port, opens == Opens::All)
}

/// All that was said in `events` and nobody may hear, each thing once, with the time of its first.
pub fn said(events: &[Event], hosts: &Hosts, case: Case) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for event in events {
        let Some(host) = hosts.who(event.heard.destination) else { continue };
        let whom = (host, event.heard.destination);
        let allowed = match event.heard.said {
            Said::Tcp { kind: Segment::Calls, .. } | Said::Other(_) => false,
            Said::Tcp { from, .. } => may(hosts, whom, (false, from), case.opens()),
            Said::Udp { from, .. } => may(hosts, whom, (true, from), case.opens()),
            Said::Icmp { kind, .. } => is_reply(kind, whom.1) && case.opens() != Opens::Nothing,
            Said::WhoHas | Said::Has => true,
        };
        if allowed {
            continue;
        }
        let (subject, found) = (subject(host, event.heard.source), words(&event.heard));
        if !findings.iter().any(|known| known.subject == subject && known.found == found) {
            let wanted = match case.opens() {
                Opens::Nothing => "no word: a machine without its firewall has no network",
                _ => "silence: the recipe does not open this",
            };
            findings.push(Finding { subject, found, wanted: wanted.to_owned(), at: Some(event.at) });
        }
    }
    findings
}

/// What was answered by something other than the finding of neighbours before the firewall was loaded.
pub fn early(events: &[Event], hosts: &Hosts, locked: Option<Duration>) -> Vec<Finding> {
    let Some(locked) = locked else {
        let found = "its console never said that the firewall is loaded".to_owned();
        return vec![Finding { subject: "console".to_owned(), found, wanted: "that it says so".to_owned(), at: None }];
    };
    let first = events.iter().find(|event| hosts.who(event.heard.destination).is_some());
    let early = first.filter(|event| event.at + EXACT < locked);
    let finding = |event: &Event| Finding {
        subject: "start".to_owned(),
        found: words(&event.heard),
        wanted: format!("no answer before {:.1} s, when the firewall is loaded", locked.as_secs_f64()),
        at: Some(event.at),
    };
    early.map(finding).into_iter().collect()
}

/// What `host` was answered at `guest`, where it is not what the recipe says: neither more nor less.
pub fn answered(answers: &Answers, hosts: &Hosts, (host, guest): (&Host, IpAddr)) -> Vec<Finding> {
    let Some(source) = host.address(guest, 0) else { return Vec::new() };
    let finding = |found: String, wanted: &str| {
        let subject = subject(host, guest);
        Finding { subject, found, wanted: wanted.to_owned(), at: None }
    };
    let mut findings = Vec::new();
    for (port, kind) in &answers.tcp {
        if !hosts.may((host, source), (false, *port), true) {
            findings.push(finding(format!("tcp {port} {}", word(*kind)), "silence: the recipe does not open this"));
        }
    }
    for port in &answers.udp {
        if !hosts.may((host, source), (true, *port), true) {
            findings.push(finding(format!("udp {port} answers"), "silence: the recipe does not open this"));
        }
    }
    for kind in answers.icmp.iter().filter(|kind| !is_reply(**kind, guest)) {
        findings.push(finding(format!("icmp type {kind}"), "silence: only pings are answered"));
    }
    if !answers.icmp.iter().any(|kind| is_reply(*kind, guest)) {
        findings.push(finding("no answer to a ping".to_owned(), "an answer, as every image gives it"));
    }
    for port in hosts.ports().into_iter().filter(|port| hosts.may((host, source), (false, *port), true)) {
        let wanted = "an open port: the recipe opens it to this one";
        match answers.tcp.get(&port) {
            Some(Segment::Opens) => {}
            // A server may listen at the address that its instance is told, and at no other.
            Some(Segment::Refuses) if guest != IpAddr::V4(GUEST) => {}
            Some(kind) => findings.push(finding(format!("tcp {port} {}", word(*kind)), wanted)),
            None => findings.push(finding(format!("tcp {port} is silent"), wanted)),
        }
    }
    findings
}

fn subject(host: &Host, guest: IpAddr) -> String {
    format!("{} at {guest}", host.name)
}

/// Whether a message of ICMP is what a ping is answered with, in the family of `address`.
fn is_reply(kind: u8, address: IpAddr) -> bool {
    kind == echo(address.is_ipv6()).1
}

/// What was heard, in words.
fn words(heard: &Heard) -> String {
    match heard.said {
        Said::Tcp { kind: Segment::Calls, to, .. } => format!("it calls tcp {to}"),
        Said::Tcp { from, kind, .. } => format!("tcp {from} {}", word(kind)),
        Said::Udp { from, .. } => format!("udp {from} answers"),
        Said::Icmp { kind, .. } if is_reply(kind, heard.destination) => "it answers pings".to_owned(),
        Said::Icmp { kind, code } => format!("icmp type {kind}, code {code}"),
        Said::Other(protocol) => format!("it speaks protocol {protocol}"),
        Said::WhoHas | Said::Has => "it speaks of addresses".to_owned(),
    }
}

fn word(kind: Segment) -> &'static str {
    match kind {
        Segment::Opens => "is open",
        Segment::Refuses => "refuses",
        Segment::Calls => "calls",
        Segment::Goes => "talks",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::claims::{Claims, Opening, Whom};

    fn hosts() -> Hosts {
        let opening = |port, to| Opening { udp: false, ports: (port, port), to };
        let open = vec![opening(3306, Whom::Peer("api".to_owned())), opening(443, Whom::World)];
        Hosts::of(&Claims { open, ..Claims::default() }, [0; 6])
    }

    fn event(at: u64, to: &str, said: Said) -> Event {
        let heard =
            Heard { from: [0; 6], source: "10.0.0.20".parse().unwrap(), destination: to.parse().unwrap(), said };
        Event { at: Duration::from_secs(at), heard }
    }

    fn tcp(from: u16, kind: Segment) -> Said {
        Said::Tcp { from, to: 43_000, acknowledged: 2, kind }
    }

    #[test]
    fn a_reply_that_nobody_may_have_is_found_whenever_it_came() {
        let hosts = hosts();
        let found = |events: &[Event], case| {
            said(events, &hosts, case).into_iter().map(|finding| finding.found).collect::<Vec<_>>()
        };
        let good = [
            event(20, "10.0.0.10", tcp(3306, Segment::Opens)),
            event(21, "198.51.100.9", tcp(443, Segment::Refuses)),
            event(22, "198.51.100.9", Said::Icmp { kind: 0, code: 0 }),
            event(23, "198.51.100.9", Said::Has),
        ];
        assert_eq!(found(&good, Case::Told), [""; 0]);
        assert_eq!(found(&good, Case::Untold), ["tcp 3306 is open"], "nobody told it of its peer");
        assert_eq!(found(&good, Case::BrokenRules), ["tcp 3306 is open", "tcp 443 refuses", "it answers pings"]);
        let bad = [
            event(9, "10.0.0.99", tcp(3306, Segment::Refuses)),
            event(10, "10.0.0.99", tcp(3306, Segment::Refuses)),
            event(11, "2001:db8:7:5::7", Said::Udp { from: 5355, to: 42_002 }),
            event(12, "10.0.0.99", Said::Icmp { kind: 3, code: 3 }),
            event(13, "10.0.0.99", Said::Other(132)),
        ];
        let all = ["tcp 3306 refuses", "udp 5355 answers", "icmp type 3, code 3", "it speaks protocol 132"];
        assert_eq!(found(&bad, Case::Told), all);
        assert_eq!(said(&bad, &hosts, Case::Told)[0].at, Some(Duration::from_secs(9)));
    }

    #[test]
    fn what_is_allowed_is_early_before_the_firewall_is_loaded() {
        let events = [event(20, "198.51.100.9", tcp(443, Segment::Opens))];
        let after = |locked| early(&events, &hosts(), Some(Duration::from_secs(locked))).len();
        assert_eq!((after(19), after(20), after(21)), (0, 0, 1));
        assert_eq!(early(&[], &hosts(), None).len(), 1, "and it has to be loaded at some time");
    }

    #[test]
    fn what_answers_is_neither_more_nor_less_than_the_recipe_says() {
        let hosts = hosts();
        let found = |name: &str, guest: &str, tcp: &[(u16, Segment)], icmp: &[u8]| {
            let host = hosts.all.iter().find(|host| host.name == name).unwrap();
            let answers = Answers {
                tcp: tcp.iter().copied().collect(),
                icmp: icmp.iter().copied().collect(),
                ..Answers::default()
            };
            let findings = answered(&answers, &hosts, (host, guest.parse().unwrap()));
            findings.into_iter().map(|finding| finding.found).collect::<Vec<_>>()
        };
        let (web, base) = ((443, Segment::Opens), (3306, Segment::Opens));
        assert_eq!(found("peer api", "10.0.0.20", &[web, base], &[0]), [""; 0]);
        assert_eq!(found("world", "10.0.0.20", &[web], &[0]), [""; 0]);
        assert_eq!(found("peer api", "10.0.0.20", &[web], &[0]), ["tcp 3306 is silent"]);
        assert_eq!(found("world", "10.0.0.20", &[web, base], &[0]), ["tcp 3306 is open"]);
        assert_eq!(found("world", "10.0.0.20", &[(443, Segment::Refuses)], &[0]), ["tcp 443 refuses"]);
        assert_eq!(found("neighbour", "fe80::5", &[web, (22, Segment::Refuses)], &[129]), ["tcp 22 refuses"]);
        assert_eq!(found("world", "2001:db8:a::5", &[(443, Segment::Refuses)], &[129]), [""; 0], "not told of it");
        assert_eq!(found("world", "2001:db8:a::5", &[], &[129]), ["tcp 443 is silent"]);
        assert_eq!(found("neighbour", "fe80::5", &[web], &[]), ["no answer to a ping"]);
        assert_eq!(found("neighbour", "10.0.0.20", &[web], &[0, 14]), ["icmp type 14"]);
    }
}
