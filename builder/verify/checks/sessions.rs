//! Sessions: what holds for accounts that somebody makes, for whoever is logged in, and for who sits at the console.

use super::super::audited::Audited;
use super::super::check::{Check, Finding, Severity};
use super::super::effective::{dropins, ini};
use super::super::want::Want;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "sessions-defaults",
        title: "accounts that somebody makes begin with homes of their own and passwords that age",
        why: "what is the rule for new accounts is forgotten when they are made",
        source: "CIS Debian 12 5.4.1, 5.4.2.6; dev-sec os-05; login.defs(5)",
        severity: Severity::Low,
        applies: |image| image.has("etc/login.defs"),
        run: defaults,
    },
    Check {
        id: "sessions-inactive",
        title: "an account whose password is long past its age is shut",
        why: "an account that nobody uses is nobody's to watch",
        source: "CIS Debian 12 5.4.1.5; useradd(8)",
        severity: Severity::Low,
        applies: |image| image.has("etc/default/useradd"),
        run: inactive,
    },
    Check {
        id: "sessions-umask",
        title: "files made at a shell are not for everybody to read",
        why: "of all users, those with a shell make the most of them",
        source: "CIS Debian 12 5.4.3.3; bash(1)",
        severity: Severity::Low,
        applies: |image| image.has("usr/bin/bash"),
        run: umask,
    },
    Check {
        id: "sessions-idle",
        title: "a session that somebody left open ends, and what it started with it",
        why: "whoever passes by a keyboard is that user",
        source: "CIS Debian 12 5.4.3.2; logind.conf(5); bash(1) TMOUT",
        severity: Severity::Low,
        applies: |image| image.has("usr/bin/bash") && image.has("usr/lib/systemd/systemd"),
        run: idle,
    },
    Check {
        id: "sessions-console",
        title: "nobody at the console restarts the machine by keys, and no service is let leave its memory behind",
        why: "a cloud's console is open to more people than its root account",
        source: "systemd-system.conf(5) CtrlAltDelBurstAction=, DefaultLimitCORE=",
        severity: Severity::Low,
        applies: |image| image.has("usr/lib/systemd/systemd"),
        run: console,
    },
    Check {
        id: "sessions-at",
        title: "users plan no jobs with at",
        why: "a job outlives the session of whoever planned it",
        source: "CIS Debian 12 2.4.2.1; at.allow(5)",
        severity: Severity::Low,
        applies: |image| image.has("etc/at.allow") || image.has("usr/bin/at"),
        run: at,
    },
    Check {
        id: "sessions-warning",
        title: "whoever logs in is told that this is not his machine",
        why: "nobody can claim not to have known",
        source: "CIS Debian 12 1.6.1, 1.6.2",
        severity: Severity::Low,
        applies: |image| image.has("usr/bin/bash"),
        run: warning,
    },
];

/// Files of login.defs' kind: `KEY VALUE`.
fn definitions(image: &Audited<'_>, wanted: &[(&str, Want)]) -> Vec<Finding> {
    let text = image.text("etc/login.defs").unwrap_or_default();
    let value = |key: &str| {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
        lines.find_map(|line| line.strip_prefix(key).filter(|rest| rest.starts_with([' ', '\t'])).map(str::trim))
    };
    wanted.iter().filter_map(|(key, want)| want.judge(key, value(key), "etc/login.defs")).collect()
}

fn defaults(image: &Audited<'_>) -> Vec<Finding> {
    definitions(
        image,
        &[
            ("HOME_MODE", Want::OneOf(&["0700", "0750"])),
            ("PASS_MAX_DAYS", Want::Within(1, 365)),
            ("PASS_MIN_DAYS", Want::AtLeast(1)),
            ("PASS_WARN_AGE", Want::AtLeast(7)),
            ("LOG_OK_LOGINS", Want::Is("yes")),
            ("LOG_UNKFAIL_ENAB", Want::Is("no")),
            ("TTYPERM", Want::OneOf(&["0600", "600"])),
            ("ENV_PATH", Want::Is("PATH=/usr/local/bin:/usr/bin:/bin")),
            ("ENV_SUPATH", Want::Is("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")),
            ("UID_MIN", Want::Is("1000")),
            ("UID_MAX", Want::Is("60000")),
            ("GID_MIN", Want::Is("1000")),
            ("GID_MAX", Want::Is("60000")),
            ("SYS_UID_MIN", Want::Is("100")),
            ("SYS_UID_MAX", Want::Is("999")),
            ("SYS_GID_MIN", Want::Is("100")),
            ("SYS_GID_MAX", Want::Is("999")),
            ("LOGIN_RETRIES", Want::Within(1, 5)),
            ("LOGIN_TIMEOUT", Want::Within(1, 60)),
            ("DEFAULT_HOME", Want::Is("no")),
            ("YESCRYPT_COST_FACTOR", Want::Within(5, 11)),
        ],
    )
}

fn inactive(image: &Audited<'_>) -> Vec<Finding> {
    let path = "etc/default/useradd";
    let settings = ini::parse(&image.text(path).unwrap_or_default(), ini::Dialect::Systemd);
    let value = ini::last(&settings, &[""], "INACTIVE");
    Want::Within(0, 45).judge("INACTIVE", value, path).into_iter().collect()
}

/// Shells of a login read profile.d, others bash.bashrc.
fn umask(image: &Audited<'_>) -> Vec<Finding> {
    let narrow = |text: &str| {
        let last = text.lines().filter_map(|line| line.trim().strip_prefix("umask ")).next_back();
        last.is_some_and(|mask| matches!(mask.trim(), "027" | "0027" | "077" | "0077"))
    };
    let profile: String = image.texts("etc/profile.d", ".sh").into_iter().map(|(_, text)| text).collect();
    let bashrc = image.text("etc/bash.bashrc").unwrap_or_default();
    let wide = [("etc/profile.d", profile), ("etc/bash.bashrc", bashrc)].into_iter().filter(|(_, text)| !narrow(text));
    wide.map(|(path, _)| Finding::new(path, "files for others to read", "umask 027", format!("a line in {path}")))
        .collect()
}

fn idle(image: &Audited<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let texts = image.texts("etc/profile.d", ".sh");
    // `-r`: whoever is logged in cannot turn it off.
    let limited = texts.iter().flat_map(|(_, text)| text.lines()).any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let seconds =
            words.iter().find_map(|word| word.strip_prefix("TMOUT=")).and_then(|word| word.parse::<u32>().ok());
        let kept = words.iter().any(|word| *word == "readonly" || word.starts_with('-') && word.contains('r'));
        kept && seconds.is_some_and(|seconds| (1..=900).contains(&seconds))
    });
    if !limited {
        findings.push(Finding::new(
            "TMOUT",
            "none, or one that users change",
            "at most 900, read only",
            "etc/profile.d",
        ));
    }
    let settings = dropins::systemd(image, "logind.conf");
    let wanted = [
        ("StopIdleSessionSec", Want::Within(1, 900)),
        ("KillUserProcesses", Want::Is("yes")),
        ("RemoveIPC", Want::Is("yes")),
        ("NAutoVTs", Want::Is("0")),
        ("ReserveVT", Want::Is("0")),
    ];
    let value = |key| ini::last(&settings, &["Login"], key);
    findings.extend(wanted.iter().filter_map(|(key, want)| want.judge(key, value(key), "etc/systemd/logind.conf.d")));
    findings
}

fn console(image: &Audited<'_>) -> Vec<Finding> {
    let settings = dropins::systemd(image, "system.conf");
    let wanted = [("CtrlAltDelBurstAction", Want::Is("none")), ("DefaultLimitCORE", Want::Is("0"))];
    let value = |key| ini::last(&settings, &["Manager"], key);
    wanted.iter().filter_map(|(key, want)| want.judge(key, value(key), "etc/systemd/system.conf.d")).collect()
}

fn at(image: &Audited<'_>) -> Vec<Finding> {
    match image.text("etc/at.allow") {
        Some(text) if text.split_whitespace().all(|name| name == "root") => Vec::new(),
        Some(text) => vec![Finding::new("etc/at.allow", text.trim(), "root at most", "empty it")],
        None => vec![Finding::new("etc/at.allow", "no list: everybody may", "a list", "an empty etc/at.allow")],
    }
}

/// A warning, in which no escape says what the machine is.
fn warning(image: &Audited<'_>) -> Vec<Finding> {
    let tells = |text: &str| ["\\r", "\\m", "\\s", "\\v", "Debian"].iter().any(|word| text.contains(word));
    let mut findings = Vec::new();
    for path in ["etc/issue.net", "etc/motd"] {
        let text = image.text(path).unwrap_or_default();
        if text.trim().is_empty() {
            findings.push(Finding::new(path, "nothing", "a warning", format!("write it to {path}")));
        } else if tells(&text) {
            findings.push(Finding::new(path, text.trim(), "a warning that tells nothing", "take that out"));
        }
    }
    findings
}
