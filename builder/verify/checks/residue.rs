//! What would make two machines from one image alike, two builds differ, or tell of whoever built it.

use super::super::audited::Audited;
use super::super::check::{Check, Finding, Severity};
use crate::rootfs::entry::Kind;

/// One row: nothing lies at paths for which `$is` holds.
macro_rules! row {
    ($id:literal, $title:literal, $why:literal, $source:literal, $severity:ident, $is:expr) => {
        Check {
            id: $id,
            title: $title,
            why: $why,
            source: $source,
            severity: Severity::$severity,
            applies: |_| true,
            run: |image| left(image, $is),
        }
    };
}

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "residue-machine-id",
        title: "the machine has no identity yet",
        why: "machines with one id are one machine to journal, DHCP and systemd",
        source: "machine-id(5); systemd Building Images Safely; virt-sysprep machine-id",
        severity: Severity::High,
        applies: |_| true,
        run: machine_id,
    },
    row!(
        "residue-host-keys",
        "no host key is baked in",
        "every machine of the image would be every other to ssh",
        "virt-sysprep ssh-hostkeys; CIS Debian 12 5.1.2",
        High,
        |path| name(path).starts_with("ssh_host_") && name(path).contains("_key")
    ),
    row!(
        "residue-random-seed",
        "no random seed is baked in",
        "every machine would begin with the same numbers",
        "systemd Building Images Safely; systemd-random-seed.service(8)",
        High,
        |path| matches!(
            path,
            "var/lib/systemd/random-seed"
                | "boot/loader/random-seed"
                | "boot/efi/loader/random-seed"
                | "loader/random-seed"
                | "var/lib/urandom/random-seed"
        )
    ),
    row!(
        "residue-credentials",
        "no secret of systemd is baked in",
        "what is sealed with it could be opened on every machine",
        "systemd Building Images Safely",
        High,
        |path| path == "var/lib/systemd/credential.secret"
    ),
    row!(
        "residue-logs",
        "there are no logs",
        "they tell of the machine that built the image, and of when",
        "virt-sysprep logfiles",
        Medium,
        |path| path.starts_with("var/log/")
            || matches!(path, "run/utmp" | "var/run/utmp" | "var/lib/wtmpdb/wtmp.db" | "var/lib/lastlog/lastlog2.db")
    ),
    row!(
        "residue-history",
        "there is no history of a shell or an editor",
        "it tells what somebody did, passwords among it",
        "virt-sysprep bash-history",
        High,
        |path| (path.starts_with("root/") || path.starts_with("home/"))
            && (name(path).ends_with("_history")
                || matches!(name(path), ".lesshst" | ".viminfo" | ".python_history" | ".wget-hsts"))
    ),
    row!(
        "residue-ssh-users",
        "no key of a user is baked in",
        "who holds it would get into every machine",
        "virt-sysprep ssh-userdir; AWS Marketplace AMI policies",
        High,
        |path| (path.starts_with("root/") || path.starts_with("home/")) && path.contains(".ssh/")
    ),
    row!(
        "residue-apt",
        "there are no lists or packages of apt",
        "they are of the day of the build, and larger than all configuration",
        "virt-sysprep package-manager-cache",
        Low,
        |path| (path.starts_with("var/lib/apt/lists/") || path.starts_with("var/cache/apt/")) && name(path) != "lock"
    ),
    row!(
        "residue-caches",
        "there are no caches with times or inode numbers in them",
        "no two builds give them alike",
        "reproducible-builds.org",
        Low,
        |path| matches!(path, "var/cache/ldconfig/aux-cache" | "var/cache/man/index.db")
            || path.starts_with("var/cache/debconf/") && name(path).ends_with("-old")
            || path.starts_with("root/.cache/")
    ),
    row!(
        "residue-cloud",
        "cloud-init has never run",
        "it would take a new machine for one that it knows, and do nothing",
        "cloud-init clean; virt-sysprep",
        High,
        |path| path.starts_with("var/lib/cloud/")
            || path.starts_with("run/cloud-init/")
            || path.starts_with("etc/cloud/cloud.cfg.d/90-installer")
            || path == "etc/netplan/50-cloud-init.yaml"
    ),
    row!(
        "residue-backups",
        "there are no backups of accounts",
        "an older password file is a password file",
        "virt-sysprep passwd-backups; CIS Debian 12 7.1",
        Medium,
        |path| matches!(
            path,
            "etc/passwd-"
                | "etc/shadow-"
                | "etc/group-"
                | "etc/gshadow-"
                | "etc/subuid-"
                | "etc/subgid-"
                | "etc/.pwd.lock"
        ) || path.starts_with("var/backups/")
    ),
    row!(
        "residue-dhcp",
        "there is no lease of DHCP",
        "the machine would ask for another's address",
        "virt-sysprep dhcp-client-state, net-hwaddr",
        Medium,
        |path| name(path).ends_with(".lease")
            || name(path).ends_with(".leases")
            || path.starts_with("var/lib/systemd/network/")
            || path == "etc/udev/rules.d/70-persistent-net.rules"
    ),
    row!(
        "residue-mail",
        "there is no mail, spool or crontab of a user",
        "somebody's letters, or somebody's commands",
        "virt-sysprep mail-spool, cron-spool",
        Medium,
        |path| path.starts_with("var/mail/")
            || path.starts_with("var/spool/mail/")
            || path.starts_with("var/spool/cron/crontabs/")
            || path.starts_with("var/spool/cron/atjobs/")
    ),
    row!(
        "residue-temporary",
        "there are no temporary files",
        "left over by whoever built the image",
        "virt-sysprep tmp-files",
        Low,
        |path| path.starts_with("tmp/")
            || path.starts_with("var/tmp/")
            || path.starts_with("var/crash/")
            || path.starts_with("var/lib/systemd/coredump/")
    ),
    row!(
        "residue-run",
        "what lives only while the machine runs is not there",
        "it would be hidden, and is of the machine that built the image",
        "file-hierarchy(7)",
        Low,
        |path| path.starts_with("run/")
            || path.starts_with("proc/")
            || path.starts_with("sys/")
            || path.starts_with("dev/")
    ),
    row!(
        "residue-database",
        "the database has no data yet",
        "every instance would have the same identity, and no two builds the same bytes",
        "mariadb-install-db(1)",
        High,
        |path| path.starts_with("var/lib/mysql/")
    ),
    row!(
        "residue-snakeoil",
        "no self-made certificate is baked in",
        "every machine would have the same private key",
        "Debian ssl-cert; virt-sysprep ca-certificates",
        High,
        |path| path.contains("ssl-cert-snakeoil")
    ),
    row!(
        "residue-policy",
        "services may start",
        "the file that keeps them from starting while building would do so for ever",
        "invoke-rc.d(8)",
        High,
        |path| path == "usr/sbin/policy-rc.d"
    ),
    Check {
        id: "residue-resolver",
        title: "no name server of the builder is baked in",
        why: "the machine would ask a server that it cannot reach, or must not trust",
        source: "systemd-resolved.service(8); virt-sysprep net-hostname",
        severity: Severity::Low,
        applies: |_| true,
        run: resolver,
    },
    Check {
        id: "residue-times",
        title: "nothing is newer than the image",
        why: "a file with the time of the build makes every build another one",
        source: "reproducible-builds.org SOURCE_DATE_EPOCH",
        severity: Severity::Low,
        applies: |image| image.has("var/lib/dpkg/status"),
        run: times,
    },
];

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Every file (empty ones aside, which hold nothing) and link at a path that should hold none.
fn left(image: &Audited<'_>, is: fn(&str) -> bool) -> Vec<Finding> {
    image
        .entries()
        .filter(|(path, entry)| match &entry.kind {
            Kind::Directory => false,
            // A link that leads nowhere holds nothing: wtmpdb's to a log that is not there yet.
            Kind::Symlink(_) => is(path) && image.has(path),
            Kind::File { size, .. } => is(path) && (*size > 0 || !path.starts_with("var/log/")),
            _ => is(path),
        })
        .map(|(path, _)| Finding::new(path, "it is there", "nothing", "remove it when the image is sealed"))
        .collect()
}

/// Empty, or `uninitialized` with presets that enable nothing by themselves; and no copy of it.
fn machine_id(image: &Audited<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let text = image.text("etc/machine-id");
    if !matches!(text.as_deref().map(str::trim), Some("" | "uninitialized")) {
        let found = text.map_or("no file", |_| "an identity");
        findings.push(Finding::new(
            "etc/machine-id",
            found,
            "an empty file, or `uninitialized`",
            "empty it when sealing",
        ));
    }
    if image.bytes("var/lib/dbus/machine-id").is_some_and(|bytes| !bytes.is_empty()) {
        findings.push(Finding::new("var/lib/dbus/machine-id", "an identity", "nothing", "remove it when sealing"));
    }
    findings
}

fn resolver(image: &Audited<'_>) -> Vec<Finding> {
    let text = image.text("etc/resolv.conf").unwrap_or_default();
    let servers = text.lines().filter(|line| line.trim_start().starts_with("nameserver"));
    servers
        .map(|line| {
            Finding::new(
                "etc/resolv.conf",
                line,
                "a link to resolved's",
                "link it to ../run/systemd/resolve/stub-resolv.conf",
            )
        })
        .collect()
}

/// dpkg's own state is written last, while sealing: nothing is later than it.
fn times(image: &Audited<'_>) -> Vec<Finding> {
    let Some(latest) = image.entry("var/lib/dpkg/status").map(|entry| entry.mtime) else { return Vec::new() };
    let later = image.entries().filter(|(_, entry)| entry.mtime > latest);
    later
        .map(|(path, entry)| {
            let found = format!("{} s after the epoch", entry.mtime);
            Finding::new(path, found, format!("{latest} s or before"), "clamp times to the lock's epoch")
        })
        .collect()
}
