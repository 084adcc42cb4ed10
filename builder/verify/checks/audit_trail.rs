//! auditd: what is written down of those who touch what an intruder must touch, and that nobody turns it off.

use super::super::audited::Audited;
use super::super::check::{Check, Finding, Severity};
use super::super::effective::audit_rules::AuditRules;
use super::super::effective::pam;
use super::super::want::Want;

/// One row: files that are watched.
macro_rules! watched {
    ($id:literal, $title:literal, $why:literal, $source:literal, $severity:ident, $paths:expr) => {
        Check {
            id: $id,
            title: $title,
            why: $why,
            source: $source,
            severity: Severity::$severity,
            applies: installed,
            run: |image| watched(image, $paths),
        }
    };
}

/// One row: calls that are written down, by programs of 64 and of 32 bits; each with the other conditions of its rule.
macro_rules! calls {
    ($id:literal, $title:literal, $why:literal, $source:literal, $severity:ident, $calls:expr) => {
        Check {
            id: $id,
            title: $title,
            why: $why,
            source: $source,
            severity: Severity::$severity,
            applies: installed,
            run: |image| called(image, $calls),
        }
    };
}

/// Names of calls, and the conditions.
type Calls = &'static [(&'static [&'static str], &'static [&'static str])];

/// What somebody does who has logged in.
const USERS: &[&str] = &["auid>=1000", "auid!=unset"];

pub(super) const CHECKS: &[Check] = &[
    watched!(
        "audit-identity",
        "who changes accounts, and what proves them, is written down",
        "an account that an intruder made would be nobody's work",
        "CIS Debian 12 6.3.3.8",
        Medium,
        &[
            "/etc/group",
            "/etc/passwd",
            "/etc/gshadow",
            "/etc/shadow",
            "/etc/security/opasswd",
            "/etc/nsswitch.conf",
            "/etc/pam.conf",
            "/etc/pam.d",
        ]
    ),
    watched!(
        "audit-scope",
        "who changes what others may do, is written down",
        "rights that somebody gave himself would look as if they had always been there",
        "CIS Debian 12 6.3.3.1, 6.3.3.3, 6.3.3.14",
        Medium,
        &[
            "/etc/sudoers",
            "/etc/sudoers.d",
            "/var/log/sudo.log",
            "/etc/ssh",
            "/var/lib/goldsmith/ssh",
            "/etc/apparmor",
            "/etc/apparmor.d",
            "/etc/iptables",
            "/etc/fail2ban",
            "/etc/systemd/system",
        ]
    ),
    watched!(
        "audit-names",
        "who changes the machine's names and addresses is written down",
        "traffic goes where a name leads",
        "CIS Debian 12 6.3.3.5",
        Low,
        &[
            "/etc/issue",
            "/etc/issue.net",
            "/etc/hosts",
            "/etc/hostname",
            "/etc/network",
            "/etc/networks",
            "/etc/systemd/network",
            "/etc/localtime",
        ]
    ),
    watched!(
        "audit-sessions",
        "who changes the records of sessions is written down",
        "an intruder takes himself out of them",
        "CIS Debian 12 6.3.3.11, 6.3.3.12",
        Low,
        &["/var/run/utmp", "/var/log/wtmp", "/var/log/btmp", "/var/log/lastlog", "/var/run/faillock"]
    ),
    calls!(
        "audit-time",
        "who sets the clock is written down",
        "no log can be believed whose clock was set",
        "CIS Debian 12 6.3.3.4",
        Medium,
        &[(&["adjtimex", "settimeofday"], &[]), (&["clock_settime"], &["a0=0x0"])]
    ),
    calls!(
        "audit-system",
        "who renames the machine, or mounts something, is written down",
        "what was under another name or another mount is not found any more",
        "CIS Debian 12 6.3.3.5, 6.3.3.10",
        Low,
        &[(&["sethostname", "setdomainname"], &[]), (&["mount"], USERS)]
    ),
    calls!(
        "audit-permissions",
        "what users do to permissions and owners of files is written down",
        "a file that is everybody's is how an intruder comes back",
        "CIS Debian 12 6.3.3.9",
        Medium,
        &[
            (&["chmod", "fchmod", "fchmodat"], USERS),
            (&["chown", "fchown", "lchown", "fchownat"], USERS),
            (&["setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr"], USERS),
        ]
    ),
    calls!(
        "audit-files",
        "what users were refused, and what they delete, is written down",
        "an intruder looks where he may not, and removes what he left",
        "CIS Debian 12 6.3.3.7, 6.3.3.13",
        Medium,
        &[
            (&["creat", "open", "openat", "truncate", "ftruncate"], &["exit=-EACCES", "auid>=1000", "auid!=unset"]),
            (&["creat", "open", "openat", "truncate", "ftruncate"], &["exit=-EPERM", "auid>=1000", "auid!=unset"]),
            (&["unlink", "unlinkat", "rename", "renameat", "renameat2"], USERS),
        ]
    ),
    calls!(
        "audit-emulation",
        "who runs something as somebody else is written down",
        "becoming root is what an intruder is there for",
        "CIS Debian 12 6.3.3.2",
        Medium,
        &[(&["execve"], &["euid!=uid", "auid!=unset"])]
    ),
    calls!(
        "audit-modules",
        "who loads modules into the kernel is written down",
        "a module can hide everything else",
        "CIS Debian 12 6.3.3.19",
        Medium,
        &[(&["init_module", "finit_module", "delete_module", "create_module", "query_module"], USERS)]
    ),
    Check {
        id: "audit-programs",
        title: "who runs programs that change accounts, permissions and modules is written down",
        why: "a change by the program that is made for it looks like any other",
        source: "CIS Debian 12 6.3.3.15 to 6.3.3.19",
        severity: Severity::Low,
        applies: installed,
        run: programs,
    },
    Check {
        id: "audit-new-calls",
        title: "the way to change permissions that Linux got with 6.6 is written down as the older ones",
        why: "glibc takes it, and the older rules see nothing",
        source: "fchmodat2(2)",
        severity: Severity::Medium,
        // auditctl knows the call by its name since Debian 13; before, the kernel does not have it.
        applies: |image| installed(image) && knows_fchmodat2(image),
        run: |image| called(image, &[(&["fchmodat2"], USERS)]),
    },
    Check {
        id: "audit-locked",
        title: "nobody changes the rules until the machine restarts, root neither",
        why: "the first thing that an intruder who is root does is to turn them off",
        source: "CIS Debian 12 6.3.3.20; auditctl(8) -e 2",
        severity: Severity::Medium,
        applies: installed,
        run: locked,
    },
    Check {
        id: "audit-queue",
        title: "a burst of events is not lost, and one rule that the kernel refuses does not take the others along",
        why: "whoever makes enough noise would be heard no more",
        source: "CIS Debian 12 6.3.1.3, 6.3.1.4; auditctl(8) -b, -c, -f",
        severity: Severity::Low,
        applies: installed,
        run: queue,
    },
    Check {
        id: "audit-log",
        title: "the trail is kept on disk, for root alone, in a size that is bound, and listens to no network",
        why: "a trail that ends when the disk is full ends when somebody wants it to",
        source: "CIS Debian 12 6.3.2, 6.3.4; auditd.conf(5)",
        severity: Severity::Medium,
        applies: installed,
        run: log,
    },
];

fn installed(image: &Audited<'_>) -> bool {
    image.has("usr/sbin/auditctl")
}

/// By the kernel in the image: 6.6 and later.
fn knows_fchmodat2(image: &Audited<'_>) -> bool {
    image.names("usr/lib/modules").into_iter().any(|release| {
        let mut numbers = release.split(['.', '-', '+']).map_while(|number| number.parse::<u32>().ok());
        (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default()) >= (6, 6)
    })
}

fn missing(subject: &str, wanted: String) -> Finding {
    Finding::new(subject, "not written down", wanted, "a rule in etc/audit/rules.d")
}

fn watched(image: &Audited<'_>, paths: &[&str]) -> Vec<Finding> {
    let rules = AuditRules::of(image);
    let free = paths.iter().filter(|path| !rules.watches(path));
    free.map(|path| missing(path, format!("-w {path} -p wa"))).collect()
}

fn called(image: &Audited<'_>, calls: Calls) -> Vec<Finding> {
    let rules = AuditRules::of(image);
    let mut findings = Vec::new();
    for (names, conditions) in calls {
        for arch in ["arch=b64", "arch=b32"] {
            let fields: Vec<&str> = std::iter::once(arch).chain(conditions.iter().copied()).collect();
            for name in names.iter().filter(|name| !rules.writes_down(name, &fields)) {
                findings.push(missing(name, format!("-a always,exit -S {name} -F {}", fields.join(" -F "))));
            }
        }
    }
    findings
}

fn programs(image: &Audited<'_>) -> Vec<Finding> {
    let rules = AuditRules::of(image);
    let programs =
        ["/usr/bin/kmod", "/usr/sbin/usermod", "/usr/bin/setfacl", "/usr/bin/chacl", "/usr/bin/chcon"].into_iter();
    let free = programs.filter(|program| {
        let path = format!("path={program}");
        !rules.writes_down("", &[path.as_str(), "perm=x", "auid>=1000", "auid!=unset"])
    });
    free.map(|program| missing(program, format!("-F path={program} -F perm=x"))).collect()
}

fn locked(image: &Audited<'_>) -> Vec<Finding> {
    let rules = AuditRules::of(image);
    let mut findings = Vec::new();
    if !rules.locked() {
        findings.push(Finding::new("-e", "the rules can be changed", "-e 2", "a last file of etc/audit/rules.d"));
    }
    if rules.late > 0 {
        let found = format!("{} rules after it, which are refused", rules.late);
        findings.push(Finding::new("-e 2", found, "none", "let its file sort last"));
    }
    findings
}

fn queue(image: &Audited<'_>) -> Vec<Finding> {
    let rules = AuditRules::of(image);
    let wanted = [
        ("-D", Want::Is("")),
        ("-c", Want::Is("")),
        ("-b", Want::AtLeast(8192)),
        ("--backlog_wait_time", Want::AtLeast(1)),
        ("-f", Want::Within(1, 2)),
    ];
    wanted
        .into_iter()
        .filter_map(|(option, want)| want.judge(option, rules.value(option), "etc/audit/rules.d/audit.rules"))
        .collect()
}

fn log(image: &Audited<'_>) -> Vec<Finding> {
    let path = "etc/audit/auditd.conf";
    let settings = pam::settings(image, path);
    let wanted = [
        ("local_events", Want::Is("yes")),
        ("write_logs", Want::Is("yes")),
        ("log_file", Want::Is("/var/log/audit/audit.log")),
        ("log_group", Want::OneOf(&["root", "adm"])),
        ("log_format", Want::Is("enriched")),
        ("flush", Want::OneOf(&["incremental", "incremental_async", "data", "sync"])),
        ("freq", Want::Within(1, 100)),
        ("max_log_file", Want::AtLeast(8)),
        ("num_logs", Want::Within(2, 20)),
        ("max_log_file_action", Want::OneOf(&["rotate", "keep_logs"])),
        ("space_left", Want::AtLeast(1)),
        ("space_left_action", Want::OneOf(&["syslog", "rotate", "email", "exec", "single", "halt"])),
        ("admin_space_left", Want::AtLeast(1)),
        ("admin_space_left_action", Want::OneOf(&["syslog", "rotate", "exec", "single", "halt"])),
        ("disk_full_action", Want::OneOf(&["rotate", "syslog", "exec", "single", "halt"])),
        ("disk_error_action", Want::OneOf(&["syslog", "exec", "single", "halt"])),
        ("overflow_action", Want::OneOf(&["syslog", "exec", "single", "halt"])),
        ("name_format", Want::OneOf(&["hostname", "fqd", "numeric", "user"])),
        ("q_depth", Want::AtLeast(400)),
        ("distribute_network", Want::Is("no")),
    ];
    let value = |key: &str| settings.get(key).map(String::as_str);
    let mut findings: Vec<Finding> =
        wanted.iter().filter_map(|(key, want)| want.judge(key, value(key), path)).collect();
    if let Some(port) = value("tcp_listen_port") {
        findings.push(Finding::new("tcp_listen_port", port, "not set", "take the line out of etc/audit/auditd.conf"));
    }
    findings
}
