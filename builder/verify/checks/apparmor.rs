//! AppArmor: the kernel holds each server to what it needs.

use super::super::audited::Audited;
use super::super::check::{Check, Finding, Severity};
use super::super::effective::apparmor::{Profile, profiles};
use super::super::effective::unit::Unit;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "apparmor-servers",
        title: "each server of the image has a profile, which the kernel enforces",
        why: "a server that is taken over does what its user may: read most of the system, and run anything",
        source: "CIS Debian 12 1.3.1.4; apparmor.d(5)",
        severity: Severity::Medium,
        applies: |image| !servers(image).is_empty(),
        run: enforced,
    },
    Check {
        id: "apparmor-narrow",
        title: "no profile of a server lets it run other programs, or do everything of a kind",
        why: "a profile that allows all confines nothing",
        source: "apparmor.d(5)",
        severity: Severity::Medium,
        applies: |image| !servers(image).is_empty(),
        run: narrow,
    },
    Check {
        id: "apparmor-secrets",
        title: "no profile of a server opens the secrets of the instance, or the hashes of passwords",
        why: "each server is given what it needs; the rest is not for whoever takes it over",
        source: "apparmor.d(5); systemd.exec(5) LoadCredential=",
        severity: Severity::Medium,
        applies: |image| !servers(image).is_empty(),
        run: secrets,
    },
    Check {
        id: "apparmor-loaded",
        title: "profiles are loaded at each start, to be enforced",
        why: "a profile that is not loaded is a text",
        source: "apparmor_parser(8); systemd.service(5) ExecStart=",
        severity: Severity::Medium,
        applies: |image| image.has("usr/sbin/apparmor_parser"),
        run: loaded,
    },
];

/// Servers that take orders from others and are not root's tools.
fn servers(image: &Audited<'_>) -> Vec<String> {
    let mut servers: Vec<String> = image
        .names("usr/sbin")
        .into_iter()
        .filter(|name| matches!(*name, "apache2" | "nginx" | "mariadbd" | "mysqld") || name.starts_with("php-fpm"))
        // Other names of a server are the server: the kernel goes by the file's own.
        .filter_map(|name| image.resolve(&format!("usr/sbin/{name}")))
        .collect();
    servers.sort_unstable();
    servers.dedup();
    servers
}

/// Its profile.
fn profile(image: &Audited<'_>, server: &str) -> Option<Profile> {
    profiles(image).into_iter().find(|profile| profile.program == format!("/{server}"))
}

fn enforced(image: &Audited<'_>) -> Vec<Finding> {
    let mend = "a file usr.* in etc/apparmor.d";
    let judge = |server: String| match profile(image, &server) {
        None => Some(Finding::new(server, "no profile", "one of its own", mend)),
        Some(profile) if !profile.enforces() => {
            let flags = profile.flags.into_iter().collect::<Vec<_>>().join(",");
            Some(Finding::new(server, format!("{}: {flags}", profile.file), "enforced", "take the flag away"))
        }
        // What loads profiles takes only those of programs.
        Some(profile) if !profile.file.starts_with("etc/apparmor.d/usr.") => {
            Some(Finding::new(server, profile.file, "etc/apparmor.d/usr.*, which is loaded", "rename the file"))
        }
        Some(_) => None,
    };
    servers(image).into_iter().filter_map(judge).collect()
}

fn narrow(image: &Audited<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for profile in servers(image).iter().filter_map(|server| profile(image, server)) {
        for rule in profile.wide() {
            findings.push(Finding::new(&profile.file, rule, "rules that name what is needed", "name it"));
        }
        for rule in profile.runs() {
            findings.push(Finding::new(&profile.file, rule, "nothing is run", "take the x away"));
        }
    }
    findings
}

/// No rule of the profile itself allows any of these, other than for the server's own copy.
fn secrets(image: &Audited<'_>) -> Vec<Finding> {
    let secret =
        ["/etc/shadow", "/etc/gshadow", "/run/goldsmith/secrets", "/var/lib/goldsmith/ssh", "/etc/ssh", "/root"];
    let mut findings = Vec::new();
    for profile in servers(image).iter().filter_map(|server| profile(image, server)) {
        for rule in profile.rules.iter().filter(|rule| !rule.starts_with("deny ")) {
            let path = rule.split_whitespace().find(|word| word.starts_with('/') || word.starts_with("@{run}"));
            let path = path.map(|path| path.replacen("@{run}", "/run", 1)).unwrap_or_default();
            // A rule for all of a folder above is a rule for what is in it.
            let above = |secret: &str| path.find("**").is_some_and(|at| secret.starts_with(&path[..at]));
            if secret.iter().any(|secret| path.starts_with(secret) || above(secret)) {
                findings.push(Finding::new(&profile.file, rule.as_str(), "not in a server's reach", "take it away"));
            }
        }
    }
    findings
}

fn loaded(image: &Audited<'_>) -> Vec<Finding> {
    let name = "apparmor.service";
    let unit = Unit::of(image, name).filter(|unit| !unit.masked);
    let lines = |key: &str| unit.as_ref().map(|unit| unit.lines("Service", key)).unwrap_or_default().join("\n");
    let loads = |line: &str| line.contains("apparmor.systemd") || line.contains("apparmor_parser");
    let mut findings = Vec::new();
    for key in ["ExecStart", "ExecReload"] {
        if !loads(&lines(key)) {
            findings.push(Finding::new(name, format!("{key} loads none"), "apparmor_parser", "its drop-in"));
        }
        if lines(key).contains("complain") || lines(key).contains(" -C") {
            findings.push(Finding::new(name, format!("{key} only notes"), "enforced", "its drop-in"));
        }
    }
    findings
}
