//! PHP, for each of its programs (`apache2`, `fpm`, `cli`): php.ini, then conf.d in the order of names; the last value counts.

use super::super::audited::Audited;
use super::super::check::{Check, Finding, Severity};
use super::super::effective::ini::{self, Dialect, Setting};
use super::super::want::Want;

/// One row: settings with what is wanted of them, for programs that serve (`$serving`), or for all.
macro_rules! row {
    ($id:literal, $title:literal, $why:literal, $source:literal, $severity:ident, $serving:literal, $($key:literal => $want:expr),+) => {
        Check {
            id: $id,
            title: $title,
            why: $why,
            source: $source,
            severity: Severity::$severity,
            applies: |image| !programs(image).is_empty(),
            run: |image| judge(image, $serving, &[$(($key, $want)),+]),
        }
    };
}

const OFF: Want = Want::OneOf(&["off", "0", "no", "false", ""]);
const ON: Want = Want::OneOf(&["on", "1", "yes", "true"]);

pub(super) const CHECKS: &[Check] = &[
    row!("php-tells-little", "PHP does not say that it is there, nor what went wrong", "versions and paths choose the exploit",
        "dev-sec php-baseline; php.ini expose_php", Medium, true,
        "expose_php" => OFF, "display_errors" => OFF, "display_startup_errors" => OFF),
    row!("php-errors-logged", "what goes wrong is logged", "nobody would see the attack", "dev-sec php-baseline; php.ini log_errors", Medium, true, "log_errors" => ON),
    row!("php-remote", "a path that a request controls is not fetched from elsewhere, nor run", "one parameter would run a stranger's code",
        "dev-sec php-baseline; php.ini allow_url_include", High, true,
        "allow_url_fopen" => OFF, "allow_url_include" => OFF, "enable_dl" => OFF),
    row!("php-commands", "a hole in a script starts no program", "the shell is the first thing that is tried",
        "dev-sec php-baseline; php.ini disable_functions", High, true,
        "disable_functions" => Want::Holds(&["exec", "passthru", "shell_exec", "system", "proc_open", "popen"])),
    row!("php-files", "scripts read their own folder only", "a hole would read all that Apache may read",
        "dev-sec php-baseline; php.ini open_basedir", Medium, true, "open_basedir" => Want::Set),
    row!("php-sessions", "sessions cannot be chosen by others, nor read by scripts in the page", "a stolen session is a login",
        "OWASP Session Management; php.net session.security.ini", High, true,
        "session.use_strict_mode" => ON, "session.cookie_httponly" => ON, "session.cookie_secure" => ON,
        "session.cookie_samesite" => Want::OneOf(&["strict", "lax"])),
    row!("php-database", "the server of a database reads no file of its client", "a false server would fetch any file",
        "php.ini mysqli.allow_local_infile", Medium, false, "mysqli.allow_local_infile" => OFF),
    row!("php-assertions", "assertions are not compiled", "they run code that was meant for developers", "php.ini-production zend.assertions", Low, true, "zend.assertions" => Want::Is("-1")),
    row!("php-limits", "a request is small, short and frugal", "few large ones stop the service",
        "dev-sec php-baseline", Medium, true,
        "memory_limit" => Want::Within(1, 256 << 20), "max_execution_time" => Want::Within(1, 60),
        "max_input_time" => Want::Within(1, 60), "post_max_size" => Want::Within(1, 16 << 20)),
    row!("php-uploads", "files are uploaded only where that is meant", "an uploaded script is a stranger's program",
        "dev-sec php-baseline; php.ini file_uploads", Medium, true, "file_uploads" => OFF),
];

/// Each program's folder: `etc/php/8.4/apache2`.
fn programs(image: &Audited<'_>) -> Vec<String> {
    let mut programs = Vec::new();
    for version in image.names("etc/php") {
        for program in image.names(&format!("etc/php/{version}")) {
            let folder = format!("etc/php/{version}/{program}");
            if image.has(&format!("{folder}/php.ini")) {
                programs.push(folder);
            }
        }
    }
    programs
}

fn settings(image: &Audited<'_>, folder: &str) -> Vec<Setting> {
    let mut settings = ini::parse(&image.text(&format!("{folder}/php.ini")).unwrap_or_default(), Dialect::Php);
    for (_, text) in image.texts(&format!("{folder}/conf.d"), ".ini") {
        settings.extend(ini::parse(&text, Dialect::Php));
    }
    // Sections are for the eye, but [PATH=…] and [HOST=…], which are for some requests only.
    settings.retain(|setting| !setting.section.starts_with("PATH=") && !setting.section.starts_with("HOST="));
    for setting in &mut settings {
        setting.section.clear();
    }
    settings
}

fn judge(image: &Audited<'_>, serving: bool, wanted: &[(&str, Want)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for folder in programs(image).into_iter().filter(|folder| !serving || !folder.ends_with("/cli")) {
        let settings = settings(image, &folder);
        for (key, want) in wanted {
            let found = want.judge(key, ini::last(&settings, &[""], key), &format!("{folder}/conf.d/99-goldsmith.ini"));
            findings.extend(found.map(|finding| Finding { subject: format!("{folder} {key}"), ..finding }));
        }
    }
    findings
}
