//! Packages: what is installed, and what should not be.

use super::super::audited::Audited;
use super::super::check::{Check, Finding, Severity};
use super::super::effective::packages::packages;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "packages-configured",
        title: "every package is configured",
        why: "one that is half there may have done half of what keeps it safe",
        source: "dpkg(1)",
        severity: Severity::Medium,
        applies: |image| image.has("var/lib/dpkg/status"),
        run: configured,
    },
    Check {
        id: "packages-tools",
        title: "no compiler, no debugger",
        why: "whoever breaks in builds and reads what he needs",
        source: "dev-sec os-10; PCI DSS 2.2.4",
        severity: Severity::Medium,
        applies: |image| image.has("var/lib/dpkg/status"),
        run: |image| absent(image, &TOOLS),
    },
    Check {
        id: "packages-clear-text",
        title: "no program that sends passwords in the clear",
        why: "somebody listens",
        source: "CIS Debian 12 2.2; dev-sec package-01 ff.",
        severity: Severity::Medium,
        applies: |image| image.has("var/lib/dpkg/status"),
        run: |image| absent(image, &CLEAR_TEXT),
    },
    Check {
        id: "packages-upgrades",
        title: "the image does not upgrade itself",
        why: "what runs would no longer be what the lock says; a repaired package comes with the next image",
        source: "the lock",
        severity: Severity::Low,
        applies: |image| image.has("var/lib/dpkg/status"),
        run: |image| absent(image, &["unattended-upgrades", "apticron", "cron-apt", "packagekit"]),
    },
    Check {
        id: "packages-sources",
        title: "apt knows no archive over an open line",
        why: "packages of an archive in between would be offered; signatures hide nothing",
        source: "CIS Debian 12 1.2.1; sources.list(5)",
        severity: Severity::Low,
        applies: |image| image.has("usr/bin/apt"),
        run: sources,
    },
];

const TOOLS: [&str; 14] = [
    "gcc",
    "g++",
    "clang",
    "cpp",
    "make",
    "binutils",
    "gdb",
    "strace",
    "ltrace",
    "tcc",
    "golang-go",
    "rustc",
    "tcpdump",
    "nmap",
];

const CLEAR_TEXT: [&str; 12] = [
    "telnet",
    "telnetd",
    "inetutils-telnet",
    "inetutils-telnetd",
    "rsh-client",
    "rsh-server",
    "talk",
    "nis",
    "ftp",
    "tftp",
    "vsftpd",
    "xinetd",
];

fn configured(image: &Audited<'_>) -> Vec<Finding> {
    let packages = packages(image);
    let half = packages.iter().filter(|(_, status)| *status != "install ok installed");
    let mut findings: Vec<Finding> = half
        .map(|(name, status)| Finding::new(name, status, "install ok installed", "build the image again"))
        .collect();
    if packages.is_empty() {
        findings.push(Finding::new(
            "var/lib/dpkg/status",
            "no package",
            "all that are in the image",
            "keep dpkg's state",
        ));
    }
    findings
}

fn absent(image: &Audited<'_>, unwanted: &[&str]) -> Vec<Finding> {
    let packages = packages(image);
    // `gcc-14`, `clang-19`, `binutils-x86-64-linux-gnu` are what brings the program.
    let is = |name: &str| {
        unwanted.iter().any(|word| {
            name == *word
                || name.strip_prefix(word).and_then(|rest| rest.strip_prefix('-')).is_some_and(|rest| {
                    rest.starts_with(|letter: char| letter.is_ascii_digit()) && !rest.ends_with("-base")
                })
        })
    };
    let there = packages.keys().filter(|name| is(name));
    there
        .map(|name| {
            Finding::new(name, "installed", "not installed", "take it out of the recipe, or what depends on it")
        })
        .collect()
}

fn sources(image: &Audited<'_>) -> Vec<Finding> {
    let mut texts = image.texts("etc/apt/sources.list.d", ".sources");
    texts.extend(image.texts("etc/apt/sources.list.d", ".list"));
    texts.extend(image.text("etc/apt/sources.list").map(|text| ("etc/apt/sources.list".to_owned(), text)));
    let mut findings = Vec::new();
    for (path, text) in texts {
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            if line.contains("http:") || line.contains("ftp:") || line.contains("trusted=yes") {
                findings.push(Finding::new(&path, line, "none, or https", "leave it empty: an image is rebuilt"));
            }
        }
    }
    findings
}
