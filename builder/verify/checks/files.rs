//! Modes and owners: which programs run with another's rights, and who may write what.

use super::super::audited::Audited;
use super::super::check::{Check, Finding, Severity};
use super::super::effective::accounts;
use crate::rootfs::entry::{Entry, Kind};

/// Programs that may run with the rights of their owner, each with its reason. An image may have fewer.
pub const SETUID: [(&str, &str); 3] = [
    ("usr/bin/su", "its own PAM file decides who may use it"),
    ("usr/lib/dbus-1.0/dbus-daemon-launch-helper", "the bus starts services; only the bus may run it"),
    ("usr/bin/sudo", "where a recipe asks for it, its own rules decide"),
];

/// Programs that may run with the rights of their group, each with its reason.
pub const SETGID: [(&str, &str); 2] = [
    ("usr/sbin/unix_chkpwd", "PAM reads shadow by it, and nothing else does"),
    ("usr/bin/ssh-agent", "so that nobody traces an agent; its group owns nothing"),
];

/// Files that may have capabilities.
const CAPABLE: [&str; 1] = ["usr/bin/ping"];

/// Directories that everybody may write in, with the sticky bit.
const SHARED: [&str; 3] = ["tmp", "var/tmp", "var/lib/php/sessions"];

/// Files with the most that they may permit, and their owner's and group's name.
const MODES: [(&str, u32, &str, &str); 29] = [
    ("etc/passwd", 0o644, "root", "root"),
    ("etc/group", 0o644, "root", "root"),
    ("etc/shadow", 0o640, "root", "shadow"),
    ("etc/gshadow", 0o640, "root", "shadow"),
    ("etc/ssh/sshd_config", 0o644, "root", "root"),
    ("etc/ssh/sshd_config.d/00-goldsmith.conf", 0o600, "root", "root"),
    ("etc/iptables/rules.v4", 0o600, "root", "root"),
    ("etc/iptables/rules.v6", 0o600, "root", "root"),
    ("etc/issue.net", 0o644, "root", "root"),
    ("etc/issue", 0o644, "root", "root"),
    ("etc/motd", 0o644, "root", "root"),
    ("etc/crontab", 0o600, "root", "root"),
    ("etc/cron.allow", 0o640, "root", "root"),
    ("etc/at.allow", 0o640, "root", "root"),
    ("var/log/audit", 0o700, "root", "adm"),
    ("var/lib/goldsmith/ssh", 0o700, "root", "root"),
    ("var/lib/goldsmith/tls", 0o700, "root", "root"),
    ("etc/mysql/mariadb.conf.d/60-goldsmith.cnf", 0o640, "root", "mysql"),
    ("etc/mysql/conf.d/hardening.cnf", 0o640, "root", "mysql"),
    ("etc/cron.d", 0o755, "root", "root"),
    ("etc/cron.daily", 0o755, "root", "root"),
    ("etc/sudoers", 0o440, "root", "root"),
    ("etc/mysql/debian.cnf", 0o600, "root", "root"),
    ("etc/apache2", 0o755, "root", "root"),
    ("var/lib/mysql", 0o750, "mysql", "mysql"),
    ("var/lib/mysql-files", 0o750, "mysql", "mysql"),
    ("var/log/apache2", 0o750, "root", "adm"),
    ("root", 0o700, "root", "root"),
    ("boot", 0o755, "root", "root"),
];

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "files-setuid",
        title: "only the programs of a short list run with another's rights",
        why: "each of them is a way to become root, should it have a hole",
        source: "CIS Debian 12 7.1.13; dev-sec os-06",
        severity: Severity::High,
        applies: |_| true,
        run: |image| special(image, 0o4000, &SETUID),
    },
    Check {
        id: "files-setgid",
        title: "only the programs of a short list run with another group's rights",
        why: "each of them is a way to that group's files",
        source: "CIS Debian 12 7.1.13",
        severity: Severity::Medium,
        applies: |_| true,
        run: |image| special(image, 0o2000, &SETGID),
    },
    Check {
        id: "files-capabilities",
        title: "no program has capabilities that nobody gave it on purpose",
        why: "a capability is a part of root, and hides from who looks for setuid bits",
        source: "capabilities(7)",
        severity: Severity::High,
        applies: |_| true,
        run: capable,
    },
    Check {
        id: "files-world-writable",
        title: "nobody may write what is everybody's",
        why: "any user would change what others read or run",
        source: "CIS Debian 12 7.1.11",
        severity: Severity::High,
        applies: |_| true,
        run: world_writable,
    },
    Check {
        id: "files-system-owner",
        title: "programs and configuration belong to root, and only root writes them",
        why: "a service that is taken over would change what root runs",
        source: "Debian Policy 10.9; file-hierarchy(7)",
        severity: Severity::High,
        applies: |_| true,
        run: system_owner,
    },
    Check {
        id: "files-orphans",
        title: "every file belongs to an account and a group that exist",
        why: "the next account that gets the number gets the files",
        source: "CIS Debian 12 7.1.12",
        severity: Severity::Medium,
        applies: |_| true,
        run: orphans,
    },
    Check {
        id: "files-modes",
        title: "files that matter permit no more than they must, to those whom they belong to",
        why: "whoever reads them learns what to attack; whoever writes them has won",
        source: "CIS Debian 12 7.1.1 to 7.1.10, 2.4.1, 5.1.1",
        severity: Severity::High,
        applies: |_| true,
        run: modes,
    },
    Check {
        id: "files-configuration",
        title: "how services are set up is for root to read, and for them",
        why: "whoever takes over one service reads how to get into the others",
        source: "CIS Apache 2.4 3.4 to 3.11; CIS Debian 12 6.3.4; dev-sec sshd-05",
        severity: Severity::Low,
        applies: |_| true,
        run: configuration,
    },
    Check {
        id: "files-links",
        title: "no link of /etc leads out of the system, or nowhere where it is needed",
        why: "whoever makes the file at its end decides",
        source: "symlink(7)",
        severity: Severity::Low,
        applies: |_| true,
        run: links,
    },
];

fn special(image: &Audited<'_>, bit: u32, known: &[(&str, &str)]) -> Vec<Finding> {
    let what = if bit == 0o4000 { "setuid" } else { "setgid" };
    image
        .entries()
        .filter(|(path, entry)| is_file(image, path) && mode(image, path, entry) & bit != 0)
        .filter(|(path, _)| !known.iter().any(|(name, _)| name == path))
        .map(|(path, entry)| {
            let found = format!("{what}, {:04o} {}:{}", mode(image, path, entry), entry.uid, entry.gid);
            let mend = "take the bit away (`[[change]]` in an overlay), or the package that brings it";
            Finding::new(path, found, format!("no {what} bit"), mend)
        })
        .collect()
}

fn is_file(image: &Audited<'_>, path: &str) -> bool {
    matches!(image.lookup(path).map(|entry| &entry.kind), Some(Kind::File { .. }))
}

/// Of another name of a file, the file's own.
fn mode(image: &Audited<'_>, path: &str, entry: &Entry) -> u32 {
    image.lookup(path).unwrap_or(entry).mode
}

fn capable(image: &Audited<'_>) -> Vec<Finding> {
    let all = image
        .entries()
        .filter(|(path, entry)| entry.xattrs.contains_key("security.capability") && !CAPABLE.contains(path));
    all.map(|(path, _)| {
        Finding::new(path, "capabilities", "none", "take them away, or give them by the unit that runs it")
    })
    .collect()
}

fn world_writable(image: &Audited<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, entry) in image.entries() {
        let open = entry.mode & 0o002 != 0 && !matches!(entry.kind, Kind::Symlink(_));
        let shared = SHARED.contains(&path) && entry.mode & 0o1000 != 0;
        if open && !shared {
            let wanted = if SHARED.contains(&path) { "the sticky bit too" } else { "written by its owner only" };
            findings.push(Finding::new(path, format!("{:04o}", entry.mode), wanted, "take the bit away"));
        }
    }
    findings
}

/// `/usr`, `/etc`, `/boot`: root's, but for what belongs to a group that only reads.
fn system_owner(image: &Audited<'_>) -> Vec<Finding> {
    let system = |path: &str| ["usr/", "etc/", "boot/"].iter().any(|start| path.starts_with(start));
    let wrong = |entry: &Entry| {
        !matches!(entry.kind, Kind::Symlink(_)) && (entry.uid != 0 || entry.gid != 0 && entry.mode & 0o020 != 0)
    };
    let all = image.entries().filter(|(path, entry)| system(path) && wrong(entry) && !path.starts_with("usr/local"));
    all.map(|(path, entry)| {
        let found = format!("{:04o} {}:{}", entry.mode, entry.uid, entry.gid);
        Finding::new(path, found, "root's, and written by root only", "chown root, chmod g-w")
    })
    .collect()
}

fn orphans(image: &Audited<'_>) -> Vec<Finding> {
    let users: Vec<u32> = accounts::accounts(image).iter().map(|account| account.uid).collect();
    let groups: Vec<u32> = accounts::groups(image).iter().map(|(_, gid, _)| *gid).collect();
    let all = image.entries().filter(|(_, entry)| !users.contains(&entry.uid) || !groups.contains(&entry.gid));
    all.map(|(path, entry)| {
        Finding::new(
            path,
            format!("{}:{}", entry.uid, entry.gid),
            "an account that exists",
            "chown it, or make the account",
        )
    })
    .collect()
}

fn modes(image: &Audited<'_>) -> Vec<Finding> {
    let (users, groups) = (accounts::accounts(image), accounts::groups(image));
    let mut findings = Vec::new();
    for (path, most, owner, group) in MODES {
        let Some(entry) = image.entry(path) else { continue };
        let uid = users.iter().find(|account| account.name == owner).map(|account| account.uid);
        let gid = groups.iter().find(|(name, ..)| name == group).map(|(_, gid, _)| *gid);
        // Root's own group is as good as the one that is named.
        let owned = Some(entry.uid) == uid && (Some(entry.gid) == gid || entry.gid == 0);
        if entry.mode & !most & 0o7777 != 0 || !owned {
            let found = format!("{:04o} {}:{}", entry.mode, entry.uid, entry.gid);
            findings.push(Finding::new(
                path,
                found,
                format!("{most:04o} {owner}:{group} or less"),
                "`[[change]]` or `[[entry]]` in an overlay",
            ));
        }
    }
    findings
}

/// Files below these folders permit that much at most.
const FOLDERS: [(&str, u32); 4] =
    [("etc/apache2", 0o640), ("etc/audit", 0o640), ("etc/ssh/sshd_config.d", 0o600), ("etc/audit/rules.d", 0o600)];

fn configuration(image: &Audited<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (folder, most) in FOLDERS {
        let files = image.below(folder).filter(|(_, entry)| matches!(entry.kind, Kind::File { .. }));
        for (path, entry) in files.filter(|(_, entry)| entry.mode & !most & 0o7777 != 0) {
            let found = format!("{:04o}", entry.mode);
            findings.push(Finding::new(path, found, format!("{most:04o} or less"), "`[[change]]` in an overlay"));
        }
    }
    findings
}

/// Links of /etc that lead into /tmp, /var/tmp, /home or /dev/shm, where others write.
fn links(image: &Audited<'_>) -> Vec<Finding> {
    let loose = |target: &str| ["/tmp", "/var/tmp", "/home", "/dev/shm"].iter().any(|start| target.starts_with(start));
    let all = image.entries().filter_map(|(path, entry)| match &entry.kind {
        Kind::Symlink(target) if path.starts_with("etc/") && loose(target) => Some((path, target)),
        _ => None,
    });
    all.map(|(path, target)| {
        Finding::new(path, format!("a link to {target}"), "a place where only root writes", "remove the link")
    })
    .collect()
}
