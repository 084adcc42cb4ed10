//! Sandboxes of systemd: what each service may still do when somebody has taken it over (systemd.exec(5)).
//!
//! One table: a service, what its unit has to say. A service that is not in the image is not looked at.

mod table;

use super::super::audited::Audited;
use super::super::check::{Check, Finding, Severity};
use super::super::effective::unit::Unit;
use super::super::want::Want;
use table::{APACHE, BANS, BUS, CLOUD, DATABASE, MYSQL, ONLINE, OWN, OWN_OFFLINE, PHP, PLAIN, SSH, Sandbox, TRAIL};

/// One row.
macro_rules! row {
    ($id:literal, $title:literal, $why:literal, $severity:ident, $applies:expr, $sandbox:expr) => {
        Check {
            id: $id,
            title: $title,
            why: $why,
            source: "systemd.exec(5); systemd-analyze security",
            severity: Severity::$severity,
            applies: $applies,
            run: |image| judge(image, &$sandbox, &[]),
        }
    };
}

pub(super) const CHECKS: &[Check] = &[
    row!(
        "systemd-sandbox-apache2",
        "Apache runs in a sandbox of systemd",
        "a hole in it would reach the whole system",
        Medium,
        |image| image.has("usr/sbin/apache2"),
        APACHE
    ),
    row!(
        "systemd-sandbox-php",
        "PHP runs in a sandbox of systemd, as a user who owns nothing, and starts no program",
        "a hole in a script is the likeliest of all",
        High,
        |image| !units(image, PHP.unit).is_empty(),
        PHP
    ),
    row!(
        "systemd-sandbox-mariadb",
        "MariaDB runs in a sandbox of systemd",
        "a hole in it would reach the whole system",
        Medium,
        |image| image.has("usr/sbin/mariadbd"),
        DATABASE
    ),
    row!(
        "systemd-sandbox-mysql",
        "MySQL runs in a sandbox of systemd",
        "a hole in it would reach the whole system",
        Medium,
        // MariaDB has this as another name of itself.
        |image| image.resolve("usr/sbin/mysqld").is_some_and(|path| path == "usr/sbin/mysqld"),
        MYSQL
    ),
    row!(
        "systemd-sandbox-fail2ban",
        "fail2ban runs in a sandbox of systemd",
        "it reads what attackers write, as root",
        Medium,
        |image| image.has("usr/bin/fail2ban-server"),
        BANS
    ),
    row!(
        "systemd-sandbox-ssh",
        "sshd cannot change the kernel",
        "it faces everybody, as root",
        Low,
        |image| image.has("usr/sbin/sshd"),
        SSH
    ),
    row!(
        "systemd-sandbox-dbus",
        "the bus runs in a sandbox of systemd",
        "it takes messages of all users",
        Low,
        |image| image.has("usr/lib/systemd/system/dbus.service"),
        BUS
    ),
    row!(
        "systemd-sandbox-auditd",
        "auditd runs in a sandbox of systemd",
        "it reads what others did, as root",
        Low,
        |image| image.has("usr/sbin/auditd"),
        TRAIL
    ),
    row!(
        "systemd-sandbox-cloud-init",
        "cloud-init cannot load modules, trace programs or get round the kernel's own rules",
        "it reads what comes over the network before anything else does, as root",
        Medium,
        // Before cloud-init 24.3 there was no such unit, but four.
        |image| image.has("usr/lib/systemd/system/cloud-init-main.service"),
        CLOUD
    ),
    Check {
        id: "systemd-sandbox-own",
        title: "what prepares an instance runs in a sandbox of systemd",
        why: "it reads what it is told over the network, as root",
        source: "systemd.exec(5); systemd-analyze security",
        severity: Severity::Medium,
        applies: |image| !units(image, OWN.unit).is_empty(),
        run: |image| {
            let mut findings = judge(image, &OWN, &PLAIN);
            findings.extend(judge(image, &OWN_OFFLINE, &[PLAIN.as_slice(), &ONLINE].concat()));
            findings
        },
    },
];

/// The units of this name that are in the image, whether or not they are pulled in; `*` stands for anything.
fn units(image: &Audited<'_>, name: &str) -> Vec<String> {
    let Some((start, end)) = name.split_once('*') else { return vec![name.to_owned()] };
    let names = image.names("usr/lib/systemd/system").into_iter();
    names.filter(|name| name.starts_with(start) && name.ends_with(end)).map(str::to_owned).collect()
}

/// Everything that the units lack, but those that are `left` out.
fn judge(image: &Audited<'_>, sandbox: &Sandbox, left: &[&str]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in units(image, sandbox.unit).into_iter().filter(|name| !left.contains(&name.as_str())) {
        match Unit::of(image, &name) {
            Some(unit) => findings.extend(lacks(&name, &unit, sandbox)),
            None => findings.push(Finding::new(name, "no such unit", "one", "install the package")),
        }
    }
    findings
}

fn lacks(name: &str, unit: &Unit, sandbox: &Sandbox) -> Vec<Finding> {
    let place = format!("etc/systemd/system/{name}.d/00-goldsmith.conf");
    let value = |key: &str| unit.value("Service", key);
    let mut findings = Vec::new();
    let mut judge = |key: &str, want: Want, value: Option<&str>| {
        let found = want.judge(key, value, &place);
        findings.extend(found.map(|found| Finding { subject: format!("{name} {key}"), ..found }));
    };
    for key in sandbox.on {
        judge(
            key,
            Want::OneOf(&["yes", "true", "on", "1", "disconnected", "identity", "full", "tmpfs", "read-only"]),
            value(key),
        );
    }
    for (key, want) in sandbox.values {
        // Lists are what all their lines say together.
        let all = unit.list("Service", key).join(" ");
        judge(key, *want, if matches!(want, Want::Only(_) | Want::Is("")) { Some(&all) } else { value(key) });
    }
    findings.extend(powers(name, unit, sandbox.capabilities));
    let families = unit.list("Service", "RestrictAddressFamilies");
    if families.is_empty() || families.iter().any(|family| !sandbox.families.contains(family)) {
        let found = if families.is_empty() { "any".to_owned() } else { families.join(" ") };
        let subject = format!("{name} RestrictAddressFamilies");
        findings.push(Finding::new(subject, found, sandbox.families.join(" "), &place));
    }
    findings.extend(calls(name, unit, sandbox.calls));
    findings
}

/// Of root's powers it keeps `most`; those with `~` it gives up. An empty set is as small as they come.
fn powers(name: &str, unit: &Unit, most: &[&str]) -> Option<Finding> {
    let lines = unit.settings.iter().filter(|setting| setting.key == "CapabilityBoundingSet").count();
    let words = unit.list("Service", "CapabilityBoundingSet");
    let narrow = match most.first() {
        Some(first) if first.starts_with('~') => {
            // All words of a line that begins with `~` are given up.
            let given: Vec<&str> = words.iter().map(|word| word.trim_start_matches('~')).collect();
            words.first().is_some_and(|first| first.starts_with('~'))
                && most.iter().all(|power| given.contains(&power.trim_start_matches('~')))
        }
        _ => lines > 0 && words.iter().all(|power| most.contains(power)),
    };
    let found = if lines == 0 { "all".to_owned() } else { words.join(" ") };
    let wanted = if most.is_empty() { "none".to_owned() } else { most.join(" ") };
    (!narrow).then(|| Finding::new(format!("{name} CapabilityBoundingSet"), found, wanted, "a drop-in of the unit"))
}

/// Groups of system calls that are allowed, or with `~` forbidden. (In a line that begins with `~`, all of its words are.)
fn calls(name: &str, unit: &Unit, wanted: &[&str]) -> Vec<Finding> {
    let lines = unit.lines("Service", "SystemCallFilter");
    let has = |group: &str, forbidden: bool| {
        let mut lines = lines.iter().filter(|line| line.starts_with('~') == forbidden);
        lines.any(|line| line.trim_start_matches('~').split_whitespace().any(|word| word == group))
    };
    let lacks = wanted.iter().filter(|group| !has(group.trim_start_matches('~'), group.starts_with('~')));
    lacks
        .map(|group| {
            let subject = format!("{name} SystemCallFilter");
            Finding::new(subject, format!("without {group}"), *group, "a drop-in of the unit")
        })
        .collect()
}
