//! That the rules can be loaded, and that no network comes up before them.

use super::super::super::audited::Audited;
use super::super::super::check::Finding;
use super::super::super::effective::unit::{self, Unit};
use super::families;

/// What brings up a network: none may do so before the rules are loaded.
const NETWORK: [&str; 5] = [
    "systemd-networkd.service",
    "cloud-init-local.service",
    "cloud-init-main.service",
    "cloud-init-network.service",
    "dhcpcd.service",
];

pub(super) fn rules(image: &Audited<'_>) -> Vec<Finding> {
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

/// A unit loads the rules; whatever brings up a network requires it and comes after it.
pub(super) fn first(image: &Audited<'_>) -> Vec<Finding> {
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
