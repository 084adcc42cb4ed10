//! PHP-FPM's pools: as whom PHP runs, who may speak with it, and how much of it there is.

use super::super::audited::Audited;
use super::super::check::{Check, Finding, Severity};
use super::super::effective::ini::{self, Dialect, Setting};
use super::super::effective::unit::Unit;
use super::super::want::Want;

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "php-pool-user",
        title: "PHP runs as a user of its own, who is not root",
        why: "a hole in a script has the rights of whoever runs it",
        source: "php.net install.fpm.configuration user; systemd.exec(5) User=",
        severity: Severity::High,
        applies: installed,
        run: user,
    },
    Check {
        id: "php-pool-socket",
        title: "only the web server connects to PHP",
        why: "whoever reaches PHP-FPM's socket runs any file as PHP, with settings of his own",
        source: "php.net install.fpm.configuration listen, listen.mode",
        severity: Severity::High,
        applies: installed,
        run: socket,
    },
    Check {
        id: "php-pool-limits",
        title: "there are only so many PHP processes, and none runs for ever",
        why: "a flood of requests would take all memory",
        source: "php.net install.fpm.configuration pm, request_terminate_timeout",
        severity: Severity::Medium,
        applies: installed,
        run: limits,
    },
    Check {
        id: "php-pool-surroundings",
        title: "scripts see nothing of the environment, and only PHP's own files are run",
        why: "secrets of other programs are in it; an uploaded picture would be run as a program",
        source: "php.net install.fpm.configuration clear_env, security.limit_extensions, process.dumpable",
        severity: Severity::Medium,
        applies: installed,
        run: surroundings,
    },
    Check {
        id: "php-pool-errors",
        title: "what goes wrong in PHP is logged where scripts cannot turn it off, and told to nobody else",
        why: "nobody would see the attack, and the attacker would see the paths",
        source: "php.net install.fpm.configuration php_admin_value; php.ini error_log",
        severity: Severity::Medium,
        applies: installed,
        run: errors,
    },
    Check {
        id: "php-pool-whole",
        title: "PHP-FPM starts its workers anew when they fall over, and stops in time",
        why: "one request that makes a worker crash would stop the service, or damage what all workers share",
        source: "php.net install.fpm.configuration emergency_restart_threshold, process.max",
        severity: Severity::Low,
        applies: installed,
        run: whole,
    },
];

/// Folders of PHP-FPM: `etc/php/8.4/fpm`.
fn folders(image: &Audited<'_>) -> Vec<String> {
    let versions = image.names("etc/php").into_iter().map(|version| format!("etc/php/{version}/fpm"));
    versions.filter(|folder| image.has(&format!("{folder}/php-fpm.conf"))).collect()
}

fn installed(image: &Audited<'_>) -> bool {
    !folders(image).is_empty()
}

/// A pool: its file, its name, its settings.
struct Pool {
    path: String,
    name: String,
    settings: Vec<Setting>,
    /// Of its PHP-FPM.
    unit: Option<Unit>,
}

impl Pool {
    fn value(&self, key: &str) -> Option<&str> {
        ini::last(&self.settings, &[&self.name], key)
    }

    fn finding(&self, key: &str, found: &str, wanted: &str) -> Finding {
        let subject = format!("{} {key}", self.name);
        Finding::new(subject, found, wanted, format!("set {key} in {}", self.path))
    }

    fn judge(&self, wanted: &[(&str, Want)]) -> Vec<Finding> {
        wanted.iter().filter_map(|(key, want)| want.judge(key, self.value(key), &self.path)).collect()
    }
}

/// All pools of all versions; those of the file php-fpm.conf itself too.
fn pools(image: &Audited<'_>) -> Vec<Pool> {
    let mut pools = Vec::new();
    for folder in folders(image) {
        let version = folder.split('/').nth(2).unwrap_or_default();
        let main = format!("{folder}/php-fpm.conf");
        let mut texts = image.texts(&format!("{folder}/pool.d"), ".conf");
        texts.extend(image.text(&main).map(|text| (main, text)));
        for (path, text) in texts {
            let settings = ini::parse(&text, Dialect::Php);
            let mut names: Vec<&str> = settings.iter().map(|setting| setting.section.as_str()).collect();
            names.dedup();
            for name in names.into_iter().filter(|name| !matches!(*name, "" | "global")) {
                let unit = Unit::of(image, &format!("php{version}-fpm.service"));
                pools.push(Pool { path: path.clone(), name: name.to_owned(), settings: settings.clone(), unit });
            }
        }
    }
    pools
}

/// Those that a check of `each` finds something about; a PHP-FPM without a pool is a finding.
fn every(image: &Audited<'_>, each: impl Fn(&Pool) -> Vec<Finding>) -> Vec<Finding> {
    let pools = pools(image);
    match pools.is_empty() {
        true => vec![Finding::new("PHP-FPM", "no pool", "one", "a file in pool.d")],
        false => pools.iter().flat_map(each).collect(),
    }
}

fn user(image: &Audited<'_>) -> Vec<Finding> {
    every(image, |pool| {
        let unit = |key| pool.unit.as_ref().and_then(|unit| unit.value("Service", key)).unwrap_or_default();
        let mut findings = Vec::new();
        for (key, of_unit) in [("user", "User"), ("group", "Group")] {
            let own = pool.value(key).unwrap_or_default();
            let root = |name: &str| matches!(name, "" | "root" | "0");
            // Where the unit has a user, PHP-FPM never is root; where somebody starts it by hand, its own file counts.
            if root(own) || unit(of_unit) == "root" {
                findings.push(pool.finding(
                    key,
                    if own.is_empty() { "not set" } else { own },
                    "a user that is not root",
                ));
            }
        }
        let starts = pool.unit.as_ref().map(|unit| unit.lines("Service", "ExecStart").join(" ")).unwrap_or_default();
        if starts.split_whitespace().any(|word| matches!(word, "-R" | "--allow-to-run-as-root")) {
            findings.push(pool.finding("ExecStart", "--allow-to-run-as-root", "without it"));
        }
        findings
    })
}

fn socket(image: &Audited<'_>) -> Vec<Finding> {
    every(image, |pool| {
        let mut findings = Vec::new();
        let listen = pool.value("listen").unwrap_or_default();
        if !listen.starts_with("/run/") {
            findings.push(pool.finding("listen", listen, "a socket below /run"));
        }
        let mode = pool.value("listen.mode").and_then(|mode| u32::from_str_radix(mode, 8).ok());
        if mode.is_none_or(|mode| mode & 0o7117 != 0) {
            let found = mode.map_or_else(|| "not set".to_owned(), |mode| format!("{mode:04o}"));
            findings.push(pool.finding("listen.mode", &found, "0660 or less"));
        }
        findings
    })
}

fn limits(image: &Audited<'_>) -> Vec<Finding> {
    let wanted = [
        ("pm", Want::OneOf(&["dynamic", "static", "ondemand"])),
        ("pm.max_children", Want::Within(1, 64)),
        ("pm.max_requests", Want::Within(1, 100_000)),
        ("request_terminate_timeout", Want::Within(1, 60)),
        ("listen.backlog", Want::Within(1, 4096)),
    ];
    every(image, |pool| {
        let mut findings = pool.judge(&wanted);
        if pool.value("pm") == Some("dynamic") {
            let most = pool.value("pm.max_children").and_then(super::super::want::number).unwrap_or(64);
            let spare = ["pm.start_servers", "pm.min_spare_servers", "pm.max_spare_servers"];
            findings.extend(
                spare.into_iter().filter_map(|key| Want::Within(1, most).judge(key, pool.value(key), &pool.path)),
            );
        }
        findings
    })
}

fn surroundings(image: &Audited<'_>) -> Vec<Finding> {
    let wanted = [
        ("clear_env", Want::OneOf(&["yes", "1", "on", "true"])),
        ("security.limit_extensions", Want::Only(&[".php"])),
        ("process.dumpable", Want::OneOf(&["no", "0", "off", "false"])),
        ("chdir", Want::Is("/")),
    ];
    every(image, |pool| {
        let mut findings = pool.judge(&wanted);
        // What is handed on by name: nothing but where the unit's credentials are.
        let handed = pool.settings.iter().filter(|setting| setting.key.starts_with("env["));
        let odd = handed.filter(|setting| setting.key != "env[CREDENTIALS_DIRECTORY]");
        findings
            .extend(odd.map(|setting| pool.finding(&setting.key, "handed on", "nothing but where credentials are")));
        findings
    })
}

fn errors(image: &Audited<'_>) -> Vec<Finding> {
    let on = Want::OneOf(&["on", "1", "yes", "true"]);
    let off = Want::OneOf(&["off", "0", "no", "false"]);
    let wanted = [
        ("php_admin_value[error_log]", Want::Set),
        ("php_admin_flag[log_errors]", on),
        ("php_admin_flag[display_errors]", off),
        ("php_admin_value[syslog.filter]", Want::OneOf(&["no-ctrl", "ascii"])),
        ("php_admin_value[syslog.ident]", Want::Set),
        ("catch_workers_output", off),
    ];
    let mut findings = every(image, |pool| pool.judge(&wanted));
    findings.extend(global(
        image,
        &[("error_log", Want::Set), ("log_level", Want::OneOf(&["notice", "warning", "debug"]))],
    ));
    findings
}

fn whole(image: &Audited<'_>) -> Vec<Finding> {
    let wanted = [
        ("emergency_restart_threshold", Want::AtLeast(1)),
        ("emergency_restart_interval", Want::AtLeast(1)),
        ("process_control_timeout", Want::Within(1, 60)),
        ("process.max", Want::Within(1, 128)),
        ("daemonize", Want::OneOf(&["no", "0", "off", "false"])),
        ("include", Want::Set),
    ];
    global(image, &wanted)
}

/// What each PHP-FPM says of itself.
fn global(image: &Audited<'_>, wanted: &[(&str, Want)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in folders(image).into_iter().map(|folder| format!("{folder}/php-fpm.conf")) {
        let settings = ini::parse(&image.text(&path).unwrap_or_default(), Dialect::Php);
        let value = |key| ini::last(&settings, &["global"], key);
        findings.extend(wanted.iter().filter_map(|(key, want)| want.judge(key, value(key), &path)));
    }
    findings
}
