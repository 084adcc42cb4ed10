//! Mounts: what may be run, and by whose rights, where others than root write.

use super::super::audited::Audited;
use super::super::check::{Check, Finding, Severity};
use super::super::effective::mounts::options;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "mounts-temporary",
        title: "what everybody can write to is not run: /tmp, /var/tmp, /dev/shm",
        why: "the second stage of an attack is written there, and started",
        source: "CIS Debian 12 1.1.2.1, 1.1.2.2, 1.1.2.5; mount(8)",
        severity: Severity::Medium,
        applies: systemd,
        run: |image| {
            ["/tmp", "/var/tmp", "/dev/shm"]
                .into_iter()
                .flat_map(|path| judge(image, path, &["nosuid", "nodev", "noexec"]))
                .collect()
        },
    },
    Check {
        id: "mounts-home",
        title: "no rights come from a file of a user's: /home",
        why: "a setuid program or a device among them is a way to become root",
        source: "CIS Debian 12 1.1.2.3; mount(8)",
        severity: Severity::Low,
        applies: systemd,
        run: |image| judge(image, "/home", &["nosuid", "nodev"]).into_iter().collect(),
    },
    Check {
        id: "mounts-logs",
        title: "nothing among the logs is run: /var/log",
        why: "some of what is in them is written by strangers",
        source: "CIS Debian 12 1.1.2.6; mount(8)",
        severity: Severity::Low,
        applies: systemd,
        run: |image| judge(image, "/var/log", &["nosuid", "nodev", "noexec"]).into_iter().collect(),
    },
    Check {
        id: "mounts-memory",
        title: "/tmp, which is memory, cannot take all of it",
        why: "whoever writes one large file stops every service",
        source: "tmpfs(5) size=, nr_inodes=",
        severity: Severity::Low,
        applies: systemd,
        run: memory,
    },
];

fn systemd(image: &Audited<'_>) -> bool {
    image.has("usr/lib/systemd/systemd")
}

/// `path` is mounted with all of these.
fn judge(image: &Audited<'_>, path: &str, wanted: &[&str]) -> Option<Finding> {
    let found = options(image, path);
    if wanted.iter().all(|option| found.as_ref().is_some_and(|found| found.contains(*option))) {
        return None;
    }
    let found = found
        .map_or_else(|| "no mount of its own".to_owned(), |options| options.into_iter().collect::<Vec<_>>().join(","));
    Some(Finding::new(path, found, wanted.join(","), "a unit with these Options=, pulled in by local-fs.target"))
}

fn memory(image: &Audited<'_>) -> Vec<Finding> {
    let found = options(image, "/tmp").unwrap_or_default();
    let bound = |key: &str| found.iter().any(|option| option.starts_with(key));
    let open = ["size=", "nr_inodes="].into_iter().filter(|key| !bound(key));
    open.map(|key| Finding::new("/tmp", format!("no {key}"), format!("{key}…"), "Options= in tmp.mount.d")).collect()
}
