//! The firewall: what its rules let through, and that nothing starts without them.
//!
//! The rules are interpreted, not searched for words: packets from several places are run through them, to every port.

mod egress;
mod exposure;
mod first;
mod packets;

use super::super::audited::Audited;
use super::super::check::{Check, Severity};
use super::super::netfilter::{RuleSet, parse::parse};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "firewall-rules",
        title: "the rules of both families can be loaded, and every line is understood",
        why: "one line that iptables-restore refuses, and nothing of the file is loaded: everything is open",
        source: "iptables-restore(8); CIS Debian 12 4.4",
        severity: Severity::High,
        applies: |_| true,
        run: first::rules,
    },
    Check {
        id: "firewall-default",
        title: "what no rule lets in is dropped, for this machine and through it",
        why: "a list of what is forbidden is never complete",
        source: "CIS Debian 12 4.4.2.1, 4.4.3.1; dev-sec",
        severity: Severity::High,
        applies: installed,
        run: exposure::default,
    },
    Check {
        id: "firewall-exposure",
        title: "exactly the ports that the recipe names are open, to those whom it names, in IPv4 and IPv6",
        why: "a port that is open by mistake is found within minutes; one that is shut by mistake stops the service",
        source: "the recipe's [firewall]",
        severity: Severity::High,
        applies: installed,
        run: exposure::exposure,
    },
    Check {
        id: "firewall-peers",
        title: "each peer of the recipe has an empty chain, in both families, that the ports opened to it ask",
        why: "what is in it already would be let in by every instance; without it no instance can let anyone in",
        source: "the recipe's [firewall]",
        severity: Severity::High,
        applies: |image| installed(image) && !exposure::peers(&image.claims().open).is_empty(),
        run: exposure::peer_chains,
    },
    Check {
        id: "firewall-state",
        title: "a connection begins with SYN, and what belongs to none is dropped",
        why: "scanners look behind a firewall with packets that begin nothing",
        source: "CIS Debian 12 4.4.2.4; iptables-extensions(8) conntrack",
        severity: Severity::Medium,
        applies: installed,
        run: packets::state,
    },
    Check {
        id: "firewall-established",
        title: "answers to what this machine asked are let in",
        why: "it could ask nobody for anything: no name, no time",
        source: "CIS Debian 12 4.4.2.4",
        severity: Severity::Medium,
        applies: installed,
        run: packets::established,
    },
    Check {
        id: "firewall-loopback",
        title: "the machine may talk to itself, and nobody may claim to be it",
        why: "services that trust 127.0.0.1 and ::1 would trust a stranger",
        source: "CIS Debian 12 4.4.2.2, 4.4.3.2",
        severity: Severity::Medium,
        applies: installed,
        run: packets::loopback,
    },
    Check {
        id: "firewall-icmpv6",
        title: "IPv6 gets the control messages without which it does not work, neighbours' from the link only",
        why: "without neighbours there is no network; from farther away a message about neighbours is a lie",
        source: "RFC 4890 section 4.4",
        severity: Severity::Medium,
        applies: installed,
        run: packets::icmpv6,
    },
    Check {
        id: "firewall-metadata",
        title: "only root reaches the metadata service of the cloud",
        why: "a request that is forged through the web server would read the machine's keys",
        source: "OWASP Server-Side Request Forgery Prevention; AWS and Alibaba Cloud on instance metadata",
        severity: Severity::High,
        applies: installed,
        run: egress::metadata,
    },
    Check {
        id: "firewall-egress",
        title: "this machine reaches exactly the ports of those whom the recipe names, in IPv4 and IPv6",
        why: "what gets in fetches its tools, and carries away what it found",
        source: "the recipe's [firewall.egress]; CIS Debian 12 4.4.2.3",
        severity: Severity::High,
        applies: installed,
        run: egress::reaches,
    },
    Check {
        id: "firewall-egress-chains",
        title: "each of those whom only the instance knows has an empty chain that the ports of his ask, in both families",
        why: "what is in it already would be reached by every instance; without it no instance reaches anybody",
        source: "the recipe's [firewall.egress]",
        severity: Severity::High,
        applies: |image| installed(image) && !exposure::peers(egress::listed(image)).is_empty(),
        run: egress::chains,
    },
    Check {
        id: "firewall-egress-needs",
        title: "where the way out is a list, answers, leases and neighbours are not forgotten",
        why: "the machine could be asked and not answer, and its address would run out",
        source: "RFC 4890 section 4.4; RFC 2131; RFC 8415",
        severity: Severity::Medium,
        applies: |image| installed(image) && image.claims().reaches.is_some(),
        run: egress::needs,
    },
    Check {
        id: "firewall-first",
        title: "the rules are loaded before any network, and without them there is none",
        why: "Debian's own unit succeeds with everything open, and the network does not wait for it",
        source: "systemd.unit(5) Requires=, Before=; netfilter-persistent(8)",
        severity: Severity::High,
        applies: installed,
        run: first::first,
    },
];

/// The rules files, each with its family.
const FILES: [(&str, bool); 2] = [("etc/iptables/rules.v4", false), ("etc/iptables/rules.v6", true)];

fn installed(image: &Audited<'_>) -> bool {
    FILES.iter().any(|(path, _)| image.has(path))
}

/// Both families' rules; of a file that is not there, none, which lets everything in.
fn families(image: &Audited<'_>) -> [(&'static str, bool, RuleSet); 2] {
    FILES.map(|(path, v6)| (path, v6, parse(&image.text(path).unwrap_or_default(), v6)))
}
