//! MariaDB: whom it listens to, and what a query can reach.

use super::super::audited::Audited;
use super::super::check::{Check, Finding, Severity};
use super::super::effective::ini::{self, Dialect, Setting};
use super::super::effective::unit::Unit;
use super::super::want::Want;

/// One row: settings of the server with what is wanted of them.
macro_rules! row {
    ($id:literal, $title:literal, $why:literal, $source:literal, $severity:ident, $($key:literal => $want:expr),+) => {
        Check {
            id: $id,
            title: $title,
            why: $why,
            source: $source,
            severity: Severity::$severity,
            applies: installed,
            run: |image| judge(image, &[$(($key, $want)),+]),
        }
    };
}

const ON: Want = Want::OneOf(&["on", "1", "yes", "true"]);
const OFF: Want = Want::OneOf(&["off", "0", "no", "false"]);

pub(super) const CHECKS: &[Check] = &[
    row!("mariadb-listens", "it listens to itself only, until its instance is told whom to serve", "the next mistake in a firewall would open it",
        "CIS MariaDB 10.6; mariadbd(8) bind-address", High, "bind_address" => Want::OneOf(&["127.0.0.1", "localhost", "::1", "127.0.0.1,::1"])),
    row!("mariadb-tls", "who comes over the network comes over TLS, 1.2 or later", "queries and passwords would be read on the way",
        "CIS MariaDB 10.6 section 8; mariadb.com: require_secure_transport", High,
        "require_secure_transport" => ON, "tls_version" => Want::Only(&["TLSv1.2", "TLSv1.3"])),
    row!("mariadb-files", "queries read and write tables, not files", "one injected query would read the machine's files",
        "dev-sec mysql-baseline; CIS MariaDB 10.6 4.6", High,
        "local_infile" => OFF, "secure_file_priv" => Want::Set),
    row!("mariadb-links", "tables are no links to other files", "a table could be a file of root's", "CIS MariaDB 10.6 4.5", Medium, "symbolic_links" => OFF),
    row!("mariadb-names", "grants name addresses, not names", "a name is asked of the network at each login, and can be forged",
        "dev-sec mysql-baseline; mariadbd skip-name-resolve", Medium, "skip_name_resolve" => ON),
    row!("mariadb-failures", "failed logins are logged", "fail2ban sees nothing otherwise", "mariadb.com: log_warnings", High, "log_warnings" => Want::AtLeast(2)),
    row!("mariadb-guessing", "a host that only ever fails is shut out", "guessing costs nothing otherwise", "CIS MariaDB 10.6; mariadb.com: max_connect_errors", Low,
        "max_connect_errors" => Want::Within(1, 100)),
    row!("mariadb-strict", "what does not fit is refused, not cut", "half a value is another value: a name that ends too early is somebody else's",
        "CIS MariaDB 10.6 4.8; mariadb.com: sql_mode", Medium,
        "sql_mode" => Want::Holds(&["STRICT_ALL_TABLES", "ERROR_FOR_DIVISION_BY_ZERO", "NO_ENGINE_SUBSTITUTION"])),
    row!("mariadb-limits", "connections are so many, and none is kept for ever", "one client that opens many stops the others",
        "dev-sec mysql-baseline; mariadb.com: server system variables", Low,
        "max_connections" => Want::Within(1, 1000), "max_allowed_packet" => Want::Within(1, 64 << 20),
        "connect_timeout" => Want::Within(1, 60), "wait_timeout" => Want::Within(1, 28_800)),
    row!("mariadb-rights", "who writes a procedure gets no rights over it, and nobody sees others' schemas", "rights that nobody gave are rights that nobody takes away",
        "CIS MariaDB 10.6 4.9; dev-sec mysql-conf", Low,
        "automatic_sp_privileges" => OFF, "skip_show_database" => ON, "safe_user_create" => ON),
    row!("mariadb-certificate", "it proves to clients who it is", "a client that pins a certificate finds none",
        "mariadb.com: ssl_cert, ssl_key", Medium, "ssl_cert" => Want::Set, "ssl_key" => Want::Set),
    Check {
        id: "mariadb-grants",
        title: "accounts count: it is not told to ignore them",
        why: "with skip-grant-tables everybody is root",
        source: "CIS MariaDB 10.6 4.7; dev-sec mysql-conf-08",
        severity: Severity::High,
        applies: installed,
        run: grants,
    },
    Check {
        id: "mariadb-user",
        title: "it runs as an account of its own",
        why: "a hole in it would be root's",
        source: "CIS MariaDB 10.6 1.2; systemd.exec(5)",
        severity: Severity::High,
        applies: installed,
        run: user,
    },
];

fn installed(image: &Audited<'_>) -> bool {
    image.has("usr/sbin/mariadbd")
}

/// The groups that MariaDB's server reads.
const GROUPS: [&str; 7] = ["mysqld", "server", "mysqld-11.8", "mariadb", "mariadbd", "mariadb-11.8", "client-server"];

/// `my.cnf` with what it includes, in order.
fn settings(image: &Audited<'_>) -> Vec<Setting> {
    let mut settings = Vec::new();
    read(image, "etc/mysql/my.cnf", &mut settings, 0);
    settings
}

fn read(image: &Audited<'_>, path: &str, settings: &mut Vec<Setting>, depth: usize) {
    let Some(text) = image.text(path).filter(|_| depth < 8) else { return };
    for line in text.lines() {
        if let Some(folder) = line.trim().strip_prefix("!includedir") {
            let folder = folder.trim().trim_matches('/');
            for (path, _) in image.texts(folder, ".cnf") {
                read(image, &path, settings, depth + 1);
            }
        } else if let Some(file) = line.trim().strip_prefix("!include") {
            read(image, file.trim().trim_start_matches('/'), settings, depth + 1);
        }
    }
    settings.extend(ini::parse(&text, Dialect::MyCnf).into_iter().filter(|setting| !setting.key.starts_with('!')));
}

fn judge(image: &Audited<'_>, wanted: &[(&str, Want)]) -> Vec<Finding> {
    let settings = settings(image);
    let place = "etc/mysql/mariadb.conf.d/60-goldsmith.cnf, [mariadbd]";
    wanted.iter().filter_map(|(key, want)| want.judge(key, value(&settings, key), place)).collect()
}

/// The last word on `key`; `skip-KEY` is another way to say that it is off (my_getopt).
fn value<'s>(settings: &'s [Setting], key: &str) -> Option<&'s str> {
    let skipped = || {
        let skip = ini::last(settings, &GROUPS, &format!("skip_{key}"))?;
        Some(if ["0", "off", "false", "no"].contains(&skip.to_lowercase().as_str()) { "1" } else { "0" })
    };
    ini::last(settings, &GROUPS, key).or_else(skipped)
}

/// The unit says it (Debian), or the configuration; where both do, the server changes to the second.
fn user(image: &Audited<'_>) -> Vec<Finding> {
    let settings = settings(image);
    let unit = Unit::of(image, "mariadb.service");
    let unit = unit.as_ref().and_then(|unit| unit.value("Service", "User"));
    let value = ini::last(&settings, &GROUPS, "user").or(unit);
    Want::Is("mysql").judge("user", value, "mariadb.service").into_iter().collect()
}

fn grants(image: &Audited<'_>) -> Vec<Finding> {
    let settings = settings(image);
    let on = |key: &str| ini::last(&settings, &GROUPS, key).is_some_and(|value| !OFF.accepts(value));
    let loose = ["skip_grant_tables", "old_passwords", "allow_suspicious_udfs"].into_iter().filter(|key| on(key));
    loose.map(|key| Finding::new(key, "on", "off", "take it out of etc/mysql")).collect()
}
