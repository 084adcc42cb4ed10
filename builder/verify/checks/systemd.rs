//! Units: what starts, and what never does; the journal, and what is left of programs that fall over.

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
        id: "systemd-own",
        title: "what prepares an instance is enabled as its unit says",
        why: "without keys, certificate or addresses the services do not start, or start too early",
        source: "systemd.unit(5) [Install]",
        severity: Severity::High,
        applies: |image| image.names("usr/lib/systemd/system").iter().any(|name| name.starts_with("goldsmith-")),
        run: own,
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
    // What could be started by name, by a key or by another unit is masked where a package brings it.
    let open = MASKED
        .into_iter()
        .filter(|(name, _)| Unit::of(image, name).is_some_and(|unit| !unit.masked) && !is_one_of_ours(image, name));
    findings.extend(open.map(|(name, why)| {
        Finding::new(name, why, "masked, or not installed", "a link to /dev/null in etc/systemd/system")
    }));
    findings
}

/// Whether `name` is but another name for a unit of the image's own, which does what that name stands for in its own way.
fn is_one_of_ours(image: &Audited<'_>, name: &str) -> bool {
    let file = image.resolve(&format!("etc/systemd/system/{name}"));
    file.and_then(|path| Some(path.rsplit_once('/')?.1.starts_with("goldsmith-"))).unwrap_or(false)
}

/// Each with what it would do.
const MASKED: [(&str, &str); 20] = [
    // Whoever is at the console restarts the machine with three keys otherwise.
    ("ctrl-alt-del.target", "three keys restart the machine"),
    ("debug-shell.service", "a shell of root's on a console"),
    ("kexec.target", "starts another kernel, past the firmware"),
    ("ssh.socket", "a second way to start sshd, whose log fail2ban does not read"),
    ("sshd-keygen.service", "makes host keys of kinds that are not offered"),
    ("netfilter-persistent.service", "loads the rules again, and empties the peers' chains"),
    ("iptables.service", "loads the rules again, and empties the peers' chains"),
    ("ip6tables.service", "loads the rules again, and empties the peers' chains"),
    ("apt-daily.service", "changes the image"),
    ("apt-daily.timer", "changes the image"),
    ("apt-daily-upgrade.service", "changes the image"),
    ("apt-daily-upgrade.timer", "changes the image"),
    ("dpkg-db-backup.timer", "copies what never changes"),
    ("e2scrub_all.timer", "looks for volumes that are not there"),
    ("e2scrub_reap.service", "looks for volumes that are not there"),
    ("cloud-init-hotplugd.service", "sets up interfaces that somebody plugs in"),
    ("cloud-init-hotplugd.socket", "sets up interfaces that somebody plugs in"),
    ("systemd-creds.socket", "encrypts for whoever asks"),
    ("systemd-sysext.socket", "lays other files over the image's"),
    ("systemd-firstboot.service", "asks at the console, and waits"),
];

/// What the unit's own [Install] says is done, in links; a unit without one is pulled in by another's.
fn own(image: &Audited<'_>) -> Vec<Finding> {
    let pulled = unit::pulled(image);
    let mut findings = Vec::new();
    let units = image.names("usr/lib/systemd/system").into_iter().filter(|name| name.starts_with("goldsmith-"));
    for name in units.filter(|name| name.ends_with(".service")) {
        let Some(unit) = Unit::of(image, name) else { continue };
        let by = pulled.get(name).cloned().unwrap_or_default();
        let said = [("WantedBy", "wants"), ("RequiredBy", "requires")];
        for (key, kind) in said {
            for wanter in unit.list("Install", key) {
                // A link of the right kind: what only wants it starts without it too.
                let link = format!("etc/systemd/system/{wanter}.{kind}/{name}");
                if image.lookup(&link).is_none() {
                    findings.push(Finding::new(
                        name,
                        format!("no link {link}"),
                        format!("{key}={wanter}"),
                        "enable it",
                    ));
                }
            }
        }
        if by.is_empty() {
            findings.push(Finding::new(name, "nothing pulls it in", "enabled", "a link in etc/systemd/system"));
        }
        if unit.lines("Service", "ExecStart").is_empty() {
            findings.push(Finding::new(name, "it starts nothing", "ExecStart=", "the unit"));
        }
    }
    findings
}

fn journal(image: &Audited<'_>) -> Vec<Finding> {
    let settings = dropins::systemd(image, "journald.conf");
    let wanted = [
        ("Storage", Want::Is("persistent")),
        ("SystemMaxUse", Want::Set),
        ("SystemKeepFree", Want::Set),
        ("RuntimeMaxUse", Want::Set),
        ("Compress", Want::Is("yes")),
        ("ForwardToSyslog", Want::Is("no")),
        ("ForwardToWall", Want::Is("no")),
        // auditd has them, where there is one; twice as much noise would push other lines out.
        ("Audit", Want::Is("no")),
    ];
    let value = |key| ini::last(&settings, &["Journal"], key);
    wanted.iter().filter_map(|(key, want)| want.judge(key, value(key), "etc/systemd/journald.conf.d")).collect()
}

/// systemd-coredump keeps none, or the limit of all sessions and services is 0.
fn cores(image: &Audited<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    // Should systemd-coredump be installed later, it finds this.
    let settings = dropins::systemd(image, "coredump.conf");
    for (key, want) in [("Storage", Want::Is("none")), ("ProcessSizeMax", Want::Is("0"))] {
        let value = ini::last(&settings, &["Coredump"], key);
        findings.extend(want.judge(key, value, "etc/systemd/coredump.conf.d"));
    }
    let mut texts = image.texts("etc/security/limits.d", ".conf");
    texts.extend(image.text("etc/security/limits.conf").map(|text| ("etc/security/limits.conf".to_owned(), text)));
    for who in ["*", "root"] {
        let lines = || texts.iter().flat_map(|(_, text)| text.lines()).map(str::split_whitespace);
        let zero = lines().any(|words| words.eq([who, "hard", "core", "0"]));
        // The last line for somebody counts, in the order of the files.
        let lifted = lines().any(|words| {
            let words: Vec<&str> = words.collect();
            matches!(words.as_slice(), [name, "hard" | "-", "core", limit] if *name == who && *limit != "0")
        });
        if !zero || lifted {
            let wanted = format!("{who} hard core 0, and no other");
            findings.push(Finding::new("etc/security/limits.d", "cores of any size", wanted, "a file with that line"));
        }
    }
    findings
}
