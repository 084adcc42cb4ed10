//! Units: what starts, what never does, and what those that face the network may do.

use super::super::audited::Audited;
use super::super::check::{Check, Finding, Severity};
use super::super::effective::unit::{self, Unit};
use super::super::effective::{dropins, ini};
use super::super::want::Want;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "systemd-presets",
        title: "the first start enables nothing that was not enabled when the image was built",
        why: "where machine-id says `uninitialized`, systemd presets all units, and Debian's presets enable all",
        source: "systemd.preset(5); machine-id(5)",
        severity: Severity::Medium,
        applies: |_| true,
        run: presets,
    },
    Check {
        id: "systemd-timers",
        title: "no timer changes the image or asks the network",
        why: "an image that changes itself is no longer what its lock says",
        source: "apt-daily.timer; systemd.timer(5)",
        severity: Severity::Medium,
        applies: |_| true,
        run: timers,
    },
    Check {
        id: "systemd-services",
        title: "the services that the image is for are enabled",
        why: "a service that does not start protects and serves nobody",
        source: "systemd.unit(5)",
        severity: Severity::High,
        applies: |_| true,
        run: services,
    },
    Check {
        id: "systemd-unwanted",
        title: "nothing starts that nobody asked for",
        why: "each service is more to keep an eye on; debug shells are open doors",
        source: "CIS Debian 12 2.1",
        severity: Severity::High,
        applies: |_| true,
        run: unwanted,
    },
    Check {
        id: "systemd-sandbox-apache2",
        title: "Apache runs in a sandbox of systemd",
        why: "a hole in it would reach the whole system",
        source: "systemd.exec(5); systemd-analyze security",
        severity: Severity::Medium,
        applies: |image| image.has("usr/sbin/apache2"),
        run: |image| {
            sandbox(
                image,
                "apache2.service",
                &[
                    "ProtectSystem",
                    "ProtectHome",
                    "PrivateTmp",
                    "NoNewPrivileges",
                    "ProtectKernelModules",
                    "ProtectKernelTunables",
                    "RestrictAddressFamilies",
                    "CapabilityBoundingSet",
                ],
            )
        },
    },
    Check {
        id: "systemd-sandbox-mariadb",
        title: "MariaDB runs in a sandbox of systemd",
        why: "a hole in it would reach the whole system",
        source: "systemd.exec(5); systemd-analyze security",
        severity: Severity::Medium,
        applies: |image| image.has("usr/sbin/mariadbd"),
        run: |image| {
            sandbox(
                image,
                "mariadb.service",
                &[
                    "ProtectSystem",
                    "ProtectHome",
                    "PrivateTmp",
                    "NoNewPrivileges",
                    "ProtectKernelModules",
                    "ProtectKernelTunables",
                    "RestrictAddressFamilies",
                    "CapabilityBoundingSet",
                ],
            )
        },
    },
    Check {
        id: "systemd-sandbox-fail2ban",
        title: "fail2ban runs in a sandbox of systemd",
        why: "it reads what attackers write, as root",
        source: "systemd.exec(5); systemd-analyze security",
        severity: Severity::Medium,
        applies: |image| image.has("usr/bin/fail2ban-server"),
        run: |image| {
            sandbox(
                image,
                "fail2ban.service",
                &[
                    "ProtectSystem",
                    "ProtectHome",
                    "PrivateTmp",
                    "NoNewPrivileges",
                    "RestrictAddressFamilies",
                    "CapabilityBoundingSet",
                ],
            )
        },
    },
    Check {
        id: "systemd-sandbox-ssh",
        title: "sshd cannot change the kernel",
        why: "it faces everybody, as root",
        source: "systemd.exec(5); systemd-analyze security",
        severity: Severity::Low,
        applies: |image| image.has("usr/sbin/sshd"),
        run: |image| sandbox(image, "ssh.service", &["ProtectKernelModules", "ProtectKernelTunables"]),
    },
    Check {
        id: "systemd-journal",
        title: "the journal outlives a restart, and cannot fill the disk",
        why: "whoever breaks in restarts the machine; fail2ban reads it too",
        source: "CIS Debian 12 6.2.1; journald.conf(5)",
        severity: Severity::Medium,
        applies: |image| image.has("usr/lib/systemd/systemd-journald"),
        run: journal,
    },
    Check {
        id: "systemd-cores",
        title: "no memory of a program that fell over is kept",
        why: "it holds what the program knew: keys and passwords",
        source: "CIS Debian 12 1.5.4; coredump.conf(5); limits.conf(5)",
        severity: Severity::Low,
        applies: |_| true,
        run: cores,
    },
];

fn presets(image: &Audited<'_>) -> Vec<Finding> {
    let odd = ["apt-daily.timer", "e2scrub_all.timer", "debug-shell.service", "a-service-of-tomorrow.service"];
    let on = odd.into_iter().filter(|name| unit::preset(image, name));
    let mut findings: Vec<Finding> = on
        .map(|name| {
            Finding::new(name, "enabled by presets", "disabled", "`disable *` at the end of a preset that sorts first")
        })
        .collect();
    for name in unit::pulled(image).keys().filter(|name| goldsmith(name) && !unit::preset(image, name)) {
        findings.push(Finding::new(name, "disabled by presets", "enabled", "name it in the image's preset"));
    }
    findings
}

/// Units whose loss at the first start would open or stop the image.
fn goldsmith(name: &str) -> bool {
    name.starts_with("goldsmith-firewall")
        || matches!(name, "ssh.service" | "fail2ban.service" | "apache2.service" | "mariadb.service")
}

fn timers(image: &Audited<'_>) -> Vec<Finding> {
    let known = [
        "systemd-tmpfiles-clean.timer",
        "logrotate.timer",
        "phpsessionclean.timer",
        "fstrim.timer",
        "dailyaidecheck.timer",
    ];
    let pulled = unit::pulled(image);
    let odd = pulled
        .keys()
        .filter(|name| name.ends_with(".timer") && !known.contains(&name.as_str()) && !name.starts_with("goldsmith-"));
    odd.map(|name| Finding::new(name, "it is on", "masked", "a link to /dev/null in etc/systemd/system")).collect()
}

fn services(image: &Audited<'_>) -> Vec<Finding> {
    let pulled = unit::pulled(image);
    let wanted = [
        ("usr/sbin/sshd", "ssh.service"),
        ("usr/bin/fail2ban-server", "fail2ban.service"),
        ("usr/lib/systemd/systemd-networkd", "systemd-networkd.service"),
        ("usr/sbin/apache2", "apache2.service"),
        ("usr/sbin/mariadbd", "mariadb.service"),
        ("usr/sbin/auditd", "auditd.service"),
        ("usr/sbin/apparmor_parser", "apparmor.service"),
    ];
    let off = wanted.into_iter().filter(|(program, name)| image.has(program) && !pulled.contains_key(*name));
    off.map(|(_, name)| Finding::new(name, "not enabled, or masked", "enabled", "enable it in an overlay")).collect()
}

fn unwanted(image: &Audited<'_>) -> Vec<Finding> {
    let doors = [
        "debug-shell.service",
        "ssh.socket",
        "rpcbind.service",
        "rpcbind.socket",
        "avahi-daemon.service",
        "cups.service",
        "telnet.socket",
        "inetd.service",
        "rsync.service",
        "exim4.service",
        "postfix.service",
        "snmpd.service",
        "nfs-server.service",
        "docker.service",
        "systemd-journal-remote.socket",
        "systemd-journal-gatewayd.socket",
    ];
    let pulled = unit::pulled(image);
    let on = doors.into_iter().filter(|name| pulled.contains_key(*name));
    let mut findings: Vec<Finding> = on
        .map(|name| {
            Finding::new(name, "it starts", "masked, or not installed", "a link to /dev/null in etc/systemd/system")
        })
        .collect();
    // Whoever is at the console restarts the machine with three keys otherwise.
    if image.has("usr/lib/systemd/system/ctrl-alt-del.target")
        && !Unit::of(image, "ctrl-alt-del.target").is_some_and(|unit| unit.masked)
    {
        findings.push(Finding::new(
            "ctrl-alt-del.target",
            "three keys restart the machine",
            "masked",
            "a link to /dev/null in etc/systemd/system",
        ));
    }
    findings
}

/// These settings are there, and say something else than no.
fn sandbox(image: &Audited<'_>, name: &str, keys: &[&str]) -> Vec<Finding> {
    let Some(unit) = Unit::of(image, name) else {
        return vec![Finding::new(name, "no such unit", "one", "install the package")];
    };
    let on = |key: &str| {
        let value = unit.value("Service", key).unwrap_or_default();
        // An empty set of capabilities is as small as they come; elsewhere, empty is off.
        !matches!(value, "no" | "false" | "0" | "off")
            && (!value.is_empty() || key == "CapabilityBoundingSet" && unit.value("Service", key).is_some())
    };
    let off = keys.iter().filter(|key| !on(key));
    off.map(|key| {
        Finding::new(format!("{name} {key}"), "off", "on", format!("etc/systemd/system/{name}.d/00-goldsmith.conf"))
    })
    .collect()
}

fn journal(image: &Audited<'_>) -> Vec<Finding> {
    let settings = dropins::systemd(image, "journald.conf");
    let judge =
        |key, want: Want| want.judge(key, ini::last(&settings, &["Journal"], key), "etc/systemd/journald.conf.d");
    [judge("Storage", Want::Is("persistent")), judge("SystemMaxUse", Want::Set)].into_iter().flatten().collect()
}

/// systemd-coredump keeps none, or the limit of all sessions and services is 0.
fn cores(image: &Audited<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if image.has("usr/lib/systemd/systemd-coredump") {
        let settings = dropins::systemd(image, "coredump.conf");
        findings.extend(Want::Is("none").judge(
            "Storage",
            ini::last(&settings, &["Coredump"], "Storage"),
            "etc/systemd/coredump.conf.d",
        ));
    }
    let mut texts = image.texts("etc/security/limits.d", ".conf");
    texts.extend(image.text("etc/security/limits.conf").map(|text| ("etc/security/limits.conf".to_owned(), text)));
    let zero = texts
        .iter()
        .flat_map(|(_, text)| text.lines())
        .any(|line| line.split_whitespace().eq(["*", "hard", "core", "0"]));
    if !zero {
        findings.push(Finding::new(
            "etc/security/limits.d",
            "cores of any size",
            "* hard core 0",
            "a file with that line",
        ));
    }
    findings
}
