//! Accounts: who exists, and who could log in.

use std::collections::BTreeSet;

use super::super::audited::Audited;
use super::super::check::{Check, Finding, Severity};
use super::super::effective::accounts::{accounts, groups};
use super::super::effective::ini::{self, Dialect};
use super::super::want::Want;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "accounts-passwords",
        title: "no account has a password, not even an empty one",
        why: "a password that is baked in is every machine's, and known to whoever has the image",
        source: "AWS Marketplace AMI policies; CIS Debian 12 7.2.1, 7.2.2; shadow(5)",
        severity: Severity::High,
        applies: |_| true,
        run: passwords,
    },
    Check {
        id: "accounts-root",
        title: "root alone has number 0",
        why: "another name with it is another root, whom nobody looks at",
        source: "CIS Debian 12 5.4.2.1",
        severity: Severity::High,
        applies: |_| true,
        run: root,
    },
    Check {
        id: "accounts-shells",
        title: "accounts of services cannot log in",
        why: "one that is taken over would get a shell",
        source: "CIS Debian 12 5.4.2.7",
        severity: Severity::Medium,
        applies: |_| true,
        run: shells,
    },
    Check {
        id: "accounts-unique",
        title: "every name and every number is there once, and every account has a group that exists",
        why: "two accounts with one number are one, and share their files",
        source: "CIS Debian 12 7.2.3 to 7.2.8",
        severity: Severity::Medium,
        applies: |_| true,
        run: unique,
    },
    Check {
        id: "accounts-people",
        title: "no account of a person is baked in",
        why: "who may log in is each instance's own matter: cloud-init makes the account, and gives it the instance's keys",
        source: "AWS Marketplace AMI policies; virt-sysprep user-account",
        severity: Severity::High,
        applies: |_| true,
        run: people,
    },
    Check {
        id: "accounts-sudo",
        title: "nobody becomes root without a word",
        why: "NOPASSWD makes of a key to one account a key to all",
        source: "CIS Debian 12 5.2.4; sudoers(5)",
        severity: Severity::High,
        applies: |image| image.has("etc/sudoers"),
        run: sudo,
    },
    Check {
        id: "accounts-umask",
        title: "what accounts make is not for everybody to read",
        why: "files of one service would be read by all others",
        source: "CIS Debian 12 5.4.3.3; login.defs(5) UMASK",
        severity: Severity::Low,
        applies: |image| image.has("etc/login.defs"),
        run: umask,
    },
    Check {
        id: "accounts-hashing",
        title: "passwords, should there ever be some, are hashed with yescrypt",
        why: "older ways are tried by the billion in a second",
        source: "CIS Debian 12 5.4.1.4; login.defs(5) ENCRYPT_METHOD",
        severity: Severity::Low,
        applies: |image| image.has("etc/login.defs"),
        run: |image| definition(image, "ENCRYPT_METHOD", Want::OneOf(&["yescrypt"])),
    },
    Check {
        id: "accounts-cron",
        title: "users plan no jobs",
        why: "a job outlives the session of whoever planned it",
        source: "CIS Debian 12 2.4.1.8; crontab(1)",
        severity: Severity::Low,
        applies: |image| image.has("usr/bin/crontab"),
        run: cron,
    },
];

fn passwords(image: &Audited<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for account in accounts(image) {
        let found = match account.password.as_deref() {
            None => "no line in etc/shadow",
            Some("") => "an empty password",
            Some(hash) if hash.starts_with(['*', '!']) => continue,
            Some(_) => "a password",
        };
        findings.push(Finding::new(account.name, found, "locked: `*` or `!`", "lock it: passwd -l"));
    }
    let groups = image.text("etc/gshadow").unwrap_or_default();
    for line in groups.lines() {
        let mut fields = line.split(':');
        let (name, password) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        if !password.is_empty() && !password.starts_with(['*', '!']) {
            findings.push(Finding::new(format!("group {name}"), "a password", "none", "gpasswd -r"));
        }
    }
    findings
}

fn root(image: &Audited<'_>) -> Vec<Finding> {
    let zero: Vec<String> = accounts(image).into_iter().filter(|one| one.uid == 0).map(|one| one.name).collect();
    match zero.as_slice() {
        [name] if name == "root" => Vec::new(),
        _ => vec![Finding::new("etc/passwd", format!("number 0: {}", zero.join(", ")), "root", "remove the others")],
    }
}

fn shells(image: &Audited<'_>) -> Vec<Finding> {
    let closed = |shell: &str| {
        matches!(shell, "/usr/sbin/nologin" | "/sbin/nologin" | "/bin/false" | "/usr/bin/false" | "/bin/sync")
    };
    let services = accounts(image).into_iter().filter(|one| one.uid != 0 && (one.uid < 1000 || one.uid > 59999));
    services
        .filter(|account| !closed(&account.shell))
        .map(|account| Finding::new(account.name, account.shell, "/usr/sbin/nologin", "usermod -s /usr/sbin/nologin"))
        .collect()
}

fn unique(image: &Audited<'_>) -> Vec<Finding> {
    let (accounts, groups) = (accounts(image), groups(image));
    let (mut seen, mut findings) = (BTreeSet::new(), Vec::new());
    for account in &accounts {
        for key in [format!("account {}", account.name), format!("uid {}", account.uid)] {
            if !seen.insert(key.clone()) {
                findings.push(Finding::new(key, "there twice", "once", "remove one"));
            }
        }
        if !groups.iter().any(|(_, gid, _)| *gid == account.gid) {
            findings.push(Finding::new(
                &account.name,
                format!("group {}", account.gid),
                "a group that exists",
                "make it",
            ));
        }
    }
    for (name, gid, _) in &groups {
        for key in [format!("group {name}"), format!("gid {gid}")] {
            if !seen.insert(key.clone()) {
                findings.push(Finding::new(key, "there twice", "once", "remove one"));
            }
        }
    }
    findings
}

fn people(image: &Audited<'_>) -> Vec<Finding> {
    let people = accounts(image).into_iter().filter(|one| (1000..=59999).contains(&one.uid));
    let mut findings: Vec<Finding> = people
        .map(|one| Finding::new(one.name, format!("number {}", one.uid), "no such account", "remove it"))
        .collect();
    let homes = image.names("home").into_iter();
    findings.extend(homes.map(|name| Finding::new(format!("home/{name}"), "a home", "none", "remove it")));
    findings
}

fn sudo(image: &Audited<'_>) -> Vec<Finding> {
    let mut texts = image.texts("etc/sudoers.d", "");
    texts.extend(image.text("etc/sudoers").map(|text| ("etc/sudoers".to_owned(), text)));
    let mut findings = Vec::new();
    for (path, text) in texts {
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            if line.contains("NOPASSWD") || line.contains("!authenticate") {
                findings.push(Finding::new(&path, line, "a rule that asks", "remove it"));
            }
        }
    }
    findings
}

/// A line of login.defs.
fn definition(image: &Audited<'_>, key: &str, want: Want) -> Vec<Finding> {
    let text = image.text("etc/login.defs").unwrap_or_default();
    let mut lines = text.lines().map(|line| line.split_whitespace()).map(|mut words| (words.next(), words.next()));
    let value = lines.find(|(name, _)| *name == Some(key)).and_then(|(_, value)| value);
    want.judge(key, value, "etc/login.defs").into_iter().collect()
}

/// `027` or narrower: nothing for others, and no writing for the group.
fn umask(image: &Audited<'_>) -> Vec<Finding> {
    definition(image, "UMASK", Want::OneOf(&["027", "0027", "077", "0077"]))
}

fn cron(image: &Audited<'_>) -> Vec<Finding> {
    let allowed = image.text("etc/cron.allow").map(|text| ini::parse(&text, Dialect::Systemd));
    match allowed {
        None => vec![Finding::new("etc/cron.allow", "no list: everybody may", "a list", "an empty etc/cron.allow")],
        Some(lines) => lines
            .into_iter()
            .filter(|line| line.key != "root")
            .map(|line| Finding::new("etc/cron.allow", line.key, "root at most", "remove the line"))
            .collect(),
    }
}
