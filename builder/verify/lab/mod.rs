//! The lab: exactly the bytes that ship, started beside hosts that know what the recipe opens to them and try all the rest.
//!
//! ```text
//! images/NAME/disk.raw ─▶ machine ──cable──▶ link ◀── watch: knocks from power-on on     ┐
//!   told, untold, lied to,                    │   ◀── scan: every port, every message    ├─▶ Seen ─▶ judge ─▶ Report
//!   its firewall broken,                      │   ◀── siege: attempts, until it bans     │             ▲
//!   its power cut, attacked                   └──▶ what it said, with the time           ┘             │
//!                                                                              the recipe's claims ────┘
//! ```
//!
//! It needs no root, no device and no setting of this machine: hosts beside the guest are frames on a cable. Nothing leaves
//! it. The disk is only read, and hashed again afterwards.

pub mod attempt;
pub mod call;
pub mod case;
pub mod exam;
pub mod frame;
pub mod hosts;
pub mod judge;
pub mod link;
pub mod report;
pub mod scan;
pub mod siege;
pub mod together;
pub mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use case::{Case, Opens};
use exam::{Seen, Subject};
use frame::{Said, Segment, echo};
use hosts::Hosts;
use report::{Exposure, Finding, Moment, Report, Start, Step};

use crate::digest::Digest;

/// What a full disk may have of room, in KiB: what a log gave up after it was full.
const LITTLE: u64 = 4096;

/// The report of `subject`, whose disk is to have the digest `disk`, by what was `seen`.
pub fn report(subject: &Subject, disk: Digest, seen: &[Seen]) -> Report {
    let hosts = Hosts::of(&subject.claims, [0; 6]);
    let mut steps = Vec::new();
    if let Some(told) = seen.iter().find(|seen| seen.case == Case::Told) {
        steps.push(exposure(told, &hosts));
    }
    steps.extend(seen.iter().flat_map(attacked));
    steps.extend(seen.iter().flat_map(|seen| started(seen, &hosts)));
    steps.extend(clones(seen));
    Report {
        image: subject.image.name.clone(),
        plan: subject.image.plan,
        files: BTreeMap::from([("disk.raw".to_owned(), disk)]),
        steps,
        exposure: seen.iter().flat_map(|seen| &seen.answers).map(shown).collect(),
        bans: seen.iter().filter_map(|seen| seen.besieged.as_ref()).flat_map(|(all, _)| all.bans.clone()).collect(),
        starts: seen.iter().flat_map(|seen| moments(seen, &hosts)).collect(),
    }
}

/// What an audit of the same image found, which took so long, as a step.
pub fn audited(report: &super::report::Report, took: Duration) -> Step {
    let all = report.outcomes.iter().flat_map(|outcome| &outcome.findings);
    let finding = |finding: &super::check::Finding| Finding {
        subject: finding.subject.clone(),
        found: finding.found.clone(),
        wanted: finding.wanted.clone(),
        at: None,
    };
    let excused: usize = report.outcomes.iter().map(|outcome| outcome.excused.len()).sum();
    Step {
        id: "audit".to_owned(),
        title: "what is in the image is as the checks of `goldsmith audit` want it".to_owned(),
        looked: format!("{} checks, {excused} findings excused", report.outcomes.len()),
        took,
        findings: all.map(finding).collect(),
    }
}

/// What answers is what the recipe opens, neither more nor less.
fn exposure(told: &Seen, hosts: &Hosts) -> Step {
    let findings =
        told.answers.iter().flat_map(|(host, guest, answers)| judge::answered(answers, hosts, (host, *guest)));
    let mut findings: Vec<Finding> = findings.collect();
    // Whoever has no address in a family could not be asked there, and that must not look like silence.
    for family in ["ipv4", "ipv6", "link-local"] {
        if !told.answers.iter().any(|(_, guest, _)| kind(*guest) == family) {
            let found = format!("no address of {family} that could be asked");
            let wanted = "an address of each kind".to_owned();
            findings.push(Finding { subject: "machine".to_owned(), found, wanted, at: None });
        }
    }
    let probes: usize = told.answers.iter().map(|(_, _, answers)| answers.probes).sum();
    Step {
        id: "exposure".to_owned(),
        title: "what answers is what the recipe opens, to each host".to_owned(),
        looked: format!("{probes} probes"),
        took: told.asked,
        findings,
    }
}

/// Who was attacked bans, and lets nobody in but who has the key.
fn attacked(seen: &Seen) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(findings) = &seen.entered {
        steps.push(Step {
            id: "administrator".to_owned(),
            title: "who has the key gets in, and nobody else".to_owned(),
            looked: "3 logins".to_owned(),
            took: Duration::ZERO,
            findings: findings.clone(),
        });
    }
    if let Some((besieged, took)) = &seen.besieged {
        let untried = match besieged.untried.join(" ") {
            none if none.is_empty() => none,
            some => format!(", untried: {some}"),
        };
        steps.push(Step {
            id: "bans".to_owned(),
            title: "each jail bans for the attempt that its recipe says, until its time is over".to_owned(),
            looked: format!("{} attackers{untried}", besieged.bans.len()),
            took: *took,
            findings: besieged.findings.clone(),
        });
    }
    steps
}

/// In each start of each case, nothing was said that nobody may hear, from power-on.
fn started(seen: &Seen, hosts: &Hosts) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for starts in seen.starts.chunk_by(|one, next| one.case == next.case) {
        let Some(last) = starts.last() else { continue };
        let case = last.case;
        let mut findings = Vec::new();
        for start in starts {
            findings.extend(judge::said(&start.events, hosts, case));
            if case.opens() != Opens::Nothing {
                findings.extend(judge::early(&start.events, hosts, start.milestones.at("locked")));
            }
        }
        if case == seen.case {
            findings.extend(units(seen));
            findings.extend(room(seen));
        }
        let is_cut = case == Case::PowerCut && starts.len() == 1;
        if case.is_healthy() && !is_cut && last.milestones.at("serving").is_none() {
            let (subject, found) = ("console".to_owned(), "it never said that it serves".to_owned());
            findings.push(Finding { subject, found, wanted: "that it does".to_owned(), at: None });
        }
        let frames: usize = starts.iter().map(|start| start.events.len()).sum();
        steps.push(Step {
            id: case.name().to_owned(),
            title: format!("silent but for what is open, {}", case.title()),
            looked: format!("{frames} frames from power-on"),
            took: starts.iter().map(|start| start.took).sum(),
            findings,
        });
    }
    steps
}

/// What is to fail fails, and nothing else does.
fn units(seen: &Seen) -> Vec<Finding> {
    let failed: Vec<&str> = seen.identity.get("failed").map_or("", String::as_str).split_whitespace().collect();
    let finding = |found: String, wanted: String| Finding { subject: "systemd".to_owned(), found, wanted, at: None };
    match seen.case.fails() {
        Some(unit) if failed.contains(&unit) => Vec::new(),
        Some(unit) => vec![finding(format!("failed units: {}", failed.join(" ")), format!("{unit} among them"))],
        None if !seen.case.is_healthy() => Vec::new(),
        None => failed.iter().map(|unit| finding(format!("{unit} failed"), "no failed unit".to_owned())).collect(),
    }
}

/// What was to fill the disk has filled it, else nothing was tried.
fn room(seen: &Seen) -> Option<Finding> {
    let room = seen.identity.get("room").map_or("", String::as_str);
    let is_tried = seen.case != Case::FullDisk || room.parse().is_ok_and(|kibibytes: u64| kibibytes < LITTLE);
    (!is_tried).then(|| {
        let (subject, found) = ("disk".to_owned(), format!("{room} KiB of room"));
        Finding { subject, found, wanted: format!("less than {LITTLE} KiB"), at: None }
    })
}

/// Two machines of one image share nothing that is a machine's own.
fn clones(seen: &[Seen]) -> Option<Step> {
    // Who has no network, or no room, makes nothing of its own.
    let mut whole = seen.iter().filter(|seen| seen.case.opens() != Opens::Nothing && seen.case != Case::FullDisk);
    let (one, other) = (whole.next()?, whole.next()?);
    let own = |key: &String| !["failed", "administrator", "room"].contains(&key.as_str());
    let mut findings = Vec::new();
    for (key, value) in one.identity.iter().filter(|(key, _)| own(key)) {
        if other.identity.get(key) == Some(value) {
            let found = format!("both have {value}");
            findings.push(Finding { subject: key.clone(), found, wanted: "one each".to_owned(), at: None });
        }
    }
    let keys: BTreeSet<&String> = one.identity.keys().filter(|key| own(key)).collect();
    for (wanted, seen) in ["machine-id", "host-key:", "random-seed"].iter().flat_map(|key| [(key, one), (key, other)]) {
        if !seen.identity.keys().any(|key| key.starts_with(*wanted)) {
            let (subject, found) =
                (wanted.trim_end_matches(':').to_owned(), format!("the machine of {} has none", seen.case.name()));
            findings.push(Finding { subject, found, wanted: "one of its own".to_owned(), at: None });
        }
    }
    Some(Step {
        id: "clones".to_owned(),
        title: "two machines of the image share no key, id, certificate or seed".to_owned(),
        looked: format!("{} things of {} and {}", keys.len(), one.case.name(), other.case.name()),
        took: Duration::ZERO,
        findings,
    })
}

/// The disk is still the one that was built. How long that took, the caller knows.
///
/// # Errors
/// It cannot be read.
pub fn bytes(subject: &Subject, disk: Digest) -> io::Result<Step> {
    let (found, size) = Digest::of_reader(File::open(&subject.disk)?)?;
    let mut findings = Vec::new();
    if found != disk {
        let (found, wanted) = (found.to_string(), disk.to_string());
        findings.push(Finding { subject: "disk.raw".to_owned(), found, wanted, at: None });
    }
    let (title, took) = ("the disk is, after all of this, the one that was built".to_owned(), Duration::ZERO);
    Ok(Step { id: "bytes".to_owned(), title, looked: format!("{size} bytes"), took, findings })
}

fn kind(address: IpAddr) -> &'static str {
    match address {
        IpAddr::V4(_) => "ipv4",
        IpAddr::V6(address) if address.is_unicast_link_local() => "link-local",
        IpAddr::V6(_) => "ipv6",
    }
}

fn shown((host, guest, answers): &(hosts::Host, IpAddr, scan::Answers)) -> Exposure {
    let open = answers.tcp.iter().filter(|(_, kind)| **kind == Segment::Opens);
    Exposure {
        host: host.name.clone(),
        at: kind(*guest),
        tcp: open.map(|(port, _)| *port).collect(),
        udp: answers.udp.iter().copied().collect(),
        ping: answers.icmp.contains(&echo(guest.is_ipv6()).1),
        probes: answers.probes,
    }
}

/// When it came where, and when each port first refused anybody and was first open to anybody.
fn moments(seen: &Seen, hosts: &Hosts) -> Vec<Start> {
    let moments = |start: &exam::Start| {
        let milestones = start.milestones.all().into_iter().map(|(what, at)| Moment { what: what.to_owned(), at });
        Start { case: start.case.name().to_owned(), milestones: milestones.collect(), ports: ports(start, hosts) }
    };
    seen.starts.iter().map(moments).collect()
}

fn ports(start: &exam::Start, hosts: &Hosts) -> Vec<Moment> {
    let mut ports: Vec<Moment> = Vec::new();
    for event in &start.events {
        let (Said::Tcp { from, kind, .. }, true) = (&event.heard.said, hosts.who(event.heard.destination).is_some())
        else {
            continue;
        };
        let word = match kind {
            Segment::Opens => "open",
            Segment::Refuses => "closed",
            _ => continue,
        };
        let what = format!("tcp {from} {word}");
        if !ports.iter().any(|known| known.what == what) {
            ports.push(Moment { what, at: event.at });
        }
    }
    ports
}
