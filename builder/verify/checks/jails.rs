//! fail2ban: whom it bans, for how long, and that a ban does something.

use super::super::audited::Audited;
use super::super::check::{Check, Finding, Severity};
use super::super::effective::fail2ban::Fail2ban;
use super::super::want::{Want, number};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "jails-enabled",
        title: "there is a jail for each service that strangers reach, and one for those who come back",
        why: "without it, guessing costs nothing",
        source: "fail2ban jail.conf(5)",
        severity: Severity::High,
        applies: installed,
        run: enabled,
    },
    Check {
        id: "jails-terms",
        title: "few tries in a window that is not too short, a ban that hurts, and a memory for those who come back",
        why: "slow guessers pass a window of seconds; a short ban is waited out; who counts bans must remember longer than they last",
        source: "fail2ban jail.conf(5)",
        severity: Severity::Medium,
        applies: installed,
        run: terms,
    },
    Check {
        id: "jails-ignore",
        title: "the machine does not ban itself, and nobody else is exempt",
        why: "an exempt network is where the attacker will come from",
        source: "fail2ban jail.conf(5) ignoreip",
        severity: Severity::Medium,
        applies: installed,
        run: ignore,
    },
    Check {
        id: "jails-action",
        title: "the program that bans is installed, and bans in IPv4 and IPv6",
        why: "fail2ban lists a ban whether or not it worked: without nft nothing is blocked",
        source: "fail2ban action.d; Debian's defaults-debian.conf",
        severity: Severity::High,
        applies: installed,
        run: action,
    },
    Check {
        id: "jails-logs",
        title: "each jail reads something that is there at the first start",
        why: "one jail without a log keeps all of fail2ban from starting",
        source: "fail2ban jail.conf(5) backend, logpath; fail2ban issue 3292",
        severity: Severity::High,
        applies: installed,
        run: logs,
    },
    Check {
        id: "jails-filters",
        title: "each jail has a filter",
        why: "fail2ban does not start with a jail whose filter does not exist",
        source: "fail2ban jail.conf(5) filter",
        severity: Severity::High,
        applies: installed,
        run: filters,
    },
    Check {
        id: "jails-memory",
        title: "bans outlive a restart",
        why: "by default they are forgotten after a day, whatever they were to last",
        source: "fail2ban.conf dbpurgeage, dbfile",
        severity: Severity::Medium,
        applies: installed,
        run: memory,
    },
];

/// The jail that bans for bans.
const RECIDIVE: &str = "recidive";

fn installed(image: &Audited<'_>) -> bool {
    image.has("usr/bin/fail2ban-server")
}

fn jails(image: &Audited<'_>) -> Fail2ban {
    Fail2ban::of(image, "jail").unwrap_or_default()
}

fn missing(subject: &str, found: &str, wanted: impl Into<String>) -> Finding {
    Finding::new(subject, found, wanted, "say it in the recipe's [fail2ban]; the image's files are made of it")
}

fn enabled(image: &Audited<'_>) -> Vec<Finding> {
    let jails = jails(image);
    let enabled = jails.enabled();
    let mut wanted = vec!["sshd", RECIDIVE];
    if image.has("usr/sbin/apache2") {
        wanted.extend([
            "apache-auth",
            "apache-badbots",
            "apache-noscript",
            "apache-overflows",
            "apache-botsearch",
            "php-url-fopen",
        ]);
    }
    if image.has("usr/sbin/mariadbd") && !enabled.contains(&"mysqld-auth") {
        wanted.push("mariadb-auth");
    }
    let absent = wanted.into_iter().filter(|name| !enabled.contains(name));
    absent.map(|name| missing(name, "no such jail is on", "enabled = true")).collect()
}

fn terms(image: &Audited<'_>) -> Vec<Finding> {
    let jails = jails(image);
    let enabled = jails.enabled();
    let mut findings = Vec::new();
    for jail in &enabled {
        for (key, want) in
            [("bantime", Want::AtLeast(3600)), ("findtime", Want::AtLeast(60)), ("maxretry", Want::Within(1, 10))]
        {
            let value = jails.value(jail, key);
            // A ban below zero never ends.
            let endless = key == "bantime" && value.as_deref().and_then(number).is_some_and(|seconds| seconds < 0);
            if !endless {
                findings.extend(want.judge(&format!("{jail}.{key}"), value.as_deref(), "the recipe's [fail2ban]"));
            }
        }
    }
    if enabled.contains(&RECIDIVE) {
        findings.extend(comes_back(&jails));
    }
    findings
}

/// Who comes back after each ban is still counted: the jail that counts bans looks back over all of them but the last.
fn comes_back(jails: &Fail2ban) -> Option<Finding> {
    let seconds = |jail: &str, key: &str| jails.value(jail, key).as_deref().and_then(number);
    let (tries, window) = (seconds(RECIDIVE, "maxretry")?, seconds(RECIDIVE, "findtime")?);
    let grows = |jail: &str| jails.value(jail, "bantime.increment").is_some_and(|value| value == "true");
    // Twice as long each time, if they grow.
    let lasts = |jail: &str| {
        let ban = seconds(jail, "bantime")?;
        let longest = seconds(jail, "bantime.maxtime").filter(|_| grows(jail)).unwrap_or(i64::MAX);
        Some(
            (1..tries)
                .map(|time| if grows(jail) { ban.saturating_mul(1 << (time - 1).min(32)).min(longest) } else { ban })
                .sum(),
        )
    };
    let others = jails.enabled().into_iter().filter(|jail| *jail != RECIDIVE);
    let (jail, needed): (&str, i64) =
        others.filter_map(|jail| Some((jail, lasts(jail)?))).max_by_key(|(_, needed)| *needed)?;
    (window <= needed).then(|| {
        let wanted = format!("more than {needed}, in which {} bans by {jail} end", tries - 1);
        missing(&format!("{RECIDIVE}.findtime"), &window.to_string(), wanted)
    })
}

fn ignore(image: &Audited<'_>) -> Vec<Finding> {
    let jails = jails(image);
    let mut findings = Vec::new();
    for jail in jails.enabled() {
        let list = jails.value(jail, "ignoreip").unwrap_or_default();
        let list: Vec<&str> = list.split([' ', ',', '\n']).filter(|word| !word.is_empty()).collect();
        let own = |word: &&&str| matches!(**word, "127.0.0.1/8" | "127.0.0.0/8" | "127.0.0.1" | "::1" | "::1/128");
        let itself = jails.value(jail, "ignoreself").is_none_or(|value| value != "false");
        if !(itself || list.iter().any(|word| own(&word))) {
            findings.push(missing(&format!("{jail}.ignoreip"), "not even loopback", "127.0.0.1/8 ::1"));
        }
        for word in list.iter().filter(|word| !own(word)) {
            findings.push(missing(&format!("{jail}.ignoreip"), word, "loopback only"));
        }
    }
    findings
}

/// An action's name, without its parameters: `nftables[type=allports]` is of action.d/nftables.conf.
fn name(action: &str) -> &str {
    action.split('[').next().unwrap_or(action).trim()
}

fn action(image: &Audited<'_>) -> Vec<Finding> {
    let jails = jails(image);
    let mut findings = Vec::new();
    for jail in jails.enabled() {
        let action = jails.value(jail, "action").unwrap_or_default();
        let Some(name) = action.lines().map(name).find(|name| !name.is_empty()).map(str::to_owned) else {
            findings.push(missing(&format!("{jail}.action"), "no action", "one that bans"));
            continue;
        };
        let program = match name.split('-').next() {
            Some("nftables") => "usr/sbin/nft",
            Some("iptables") => "usr/sbin/iptables",
            _ if name.starts_with("goldsmith") => "usr/sbin/nft",
            _ => {
                findings.push(missing(&format!("{jail}.action"), &name, "nftables or iptables"));
                continue;
            }
        };
        if !image.has(program) {
            findings.push(missing(
                &format!("{jail}.action"),
                &format!("{name}, and no /{program}"),
                format!("/{program}"),
            ));
        }
        let file = [".conf", ".local"].iter().any(|end| image.has(&format!("etc/fail2ban/action.d/{name}{end}")));
        if !file {
            findings.push(missing(
                &format!("{jail}.action"),
                &format!("no action.d/{name}.conf"),
                "an action that exists",
            ));
        }
    }
    findings
}

fn logs(image: &Audited<'_>) -> Vec<Finding> {
    let jails = jails(image);
    let mut findings = Vec::new();
    let made: String = super::super::effective::dropins::files(image, "tmpfiles.d", ".conf")
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    for jail in jails.enabled() {
        if jails.value(jail, "backend").is_some_and(|backend| backend.starts_with("systemd")) {
            if !image.has("usr/lib/python3/dist-packages/systemd/journal.py") && !image.installs("python3-systemd") {
                findings.push(missing(&format!("{jail}.backend"), "systemd, without python3-systemd", "the package"));
            }
            continue;
        }
        let paths = jails.value(jail, "logpath").unwrap_or_default();
        let paths: Vec<&str> = paths.split_whitespace().collect();
        let there = |path: &&str| match path.rsplit_once('/') {
            Some((folder, pattern)) if pattern.contains('*') => {
                let start = pattern.split('*').next().unwrap_or_default();
                image.names(folder.trim_start_matches('/')).iter().any(|name| name.starts_with(start))
                    || made
                        .lines()
                        .filter_map(|line| line.split_whitespace().nth(1))
                        .any(|made| made.starts_with(&format!("{folder}/{start}")))
            }
            _ => image.has(path.trim_start_matches('/')) || made.split_whitespace().any(|word| word == *path),
        };
        if !paths.iter().any(there) {
            let found =
                format!("nothing at {}", if paths.is_empty() { "any path".to_owned() } else { paths.join(" ") });
            findings.push(missing(&format!("{jail}.logpath"), &found, "a file that is there, or backend = systemd"));
        }
    }
    findings
}

fn filters(image: &Audited<'_>) -> Vec<Finding> {
    let jails = jails(image);
    let mut findings = Vec::new();
    for jail in jails.enabled() {
        let filter = jails.value(jail, "filter").unwrap_or_else(|| jail.to_owned());
        let name = name(&filter);
        if !["conf", "local"].iter().any(|end| image.has(&format!("etc/fail2ban/filter.d/{name}.{end}"))) {
            findings.push(missing(
                &format!("{jail}.filter"),
                &format!("no filter.d/{name}.conf"),
                "a filter that exists",
            ));
        }
    }
    findings
}

fn memory(image: &Audited<'_>) -> Vec<Finding> {
    let (jails, own) = (jails(image), Fail2ban::of(image, "fail2ban").unwrap_or_default());
    let longest = jails.enabled().iter().filter_map(|jail| number(&jails.value(jail, "bantime")?)).max().unwrap_or(0);
    let kept = own.value("Definition", "dbpurgeage");
    let mut findings = Vec::new();
    findings.extend(Want::AtLeast(longest).judge("dbpurgeage", kept.as_deref(), "etc/fail2ban/fail2ban.d"));
    if own.value("Definition", "dbfile").is_some_and(|file| matches!(file.as_str(), "None" | ":memory:")) {
        findings.push(missing("dbfile", "no database", "/var/lib/fail2ban/fail2ban.sqlite3"));
    }
    findings
}
