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
        "expose_php" => OFF, "display_errors" => OFF, "display_startup_errors" => OFF, "html_errors" => OFF,
        "zend.exception_ignore_args" => ON, "zend.exception_string_param_max_len" => Want::Is("0"), "mail.add_x_header" => OFF),
    row!("php-errors-logged", "what goes wrong is logged", "nobody would see the attack", "dev-sec php-baseline; php.ini log_errors", Medium, true,
        "log_errors" => ON, "error_reporting" => Want::OneOf(&["E_ALL", "32767"]), "ignore_repeated_errors" => OFF),
    row!("php-remote", "a path that a request controls is not fetched from elsewhere, nor run", "one parameter would run a stranger's code",
        "dev-sec php-baseline; php.ini allow_url_include", High, true,
        "allow_url_fopen" => OFF, "allow_url_include" => OFF, "enable_dl" => OFF,
        "auto_prepend_file" => Want::Is(""), "auto_append_file" => Want::Is(""), "phar.readonly" => ON, "ffi.enable" => OFF),
    row!("php-own-files", "a folder of scripts changes no settings, and only the file that was asked for is run", "whoever can write one file there would set PHP up anew",
        "php.ini user_ini.filename, cgi.fix_pathinfo", Medium, true,
        "user_ini.filename" => Want::Is(""), "cgi.fix_pathinfo" => OFF, "cgi.force_redirect" => ON),
    row!("php-input", "scripts get what a request says, and nothing of the machine's own surroundings", "a variable of the environment that a request names is a hole that others know",
        "php.ini variables_order, request_order, register_argc_argv", Medium, true,
        "variables_order" => Want::OneOf(&["GPCS", "GPC"]), "request_order" => Want::OneOf(&["GP", "G", "P"]),
        "register_argc_argv" => OFF, "default_charset" => Want::Is("UTF-8")),
    row!("php-opcache", "a file that was read once is not looked at again, and nobody else's is run from memory", "a script that an intruder put in place would be run with the next request",
        "php.net opcache.configuration", Low, true,
        "opcache.enable" => ON, "opcache.enable_cli" => OFF, "opcache.validate_timestamps" => OFF, "opcache.validate_permission" => ON,
        "opcache.restrict_api" => Want::Set, "opcache.memory_consumption" => Want::Within(8, 512),
        "opcache.max_accelerated_files" => Want::Within(200, 1_000_000), "opcache.interned_strings_buffer" => Want::Within(4, 64),
        "pcre.jit" => OFF),
    row!("php-commands", "a hole in a script starts no program", "the shell is the first thing that is tried",
        "dev-sec php-baseline; php.ini disable_functions", High, true,
        "disable_functions" => Want::Holds(&["exec", "passthru", "shell_exec", "system", "proc_open", "popen"])),
    row!("php-files", "scripts read their own folder only", "a hole would read all that Apache may read",
        "dev-sec php-baseline; php.ini open_basedir", Medium, true, "open_basedir" => Want::Set),
    row!("php-sessions", "sessions cannot be chosen by others, nor read by scripts in the page", "a stolen session is a login",
        "OWASP Session Management; php.net session.security.ini", High, true,
        "session.use_strict_mode" => ON, "session.cookie_httponly" => ON, "session.cookie_secure" => ON,
        "session.cookie_samesite" => Want::OneOf(&["strict", "lax"]), "session.use_cookies" => ON, "session.use_only_cookies" => ON,
        "session.use_trans_sid" => OFF, "session.cookie_lifetime" => Want::Is("0"), "session.cache_limiter" => Want::OneOf(&["nocache", "private_no_expire"]),
        "session.gc_maxlifetime" => Want::Within(60, 3600), "session.gc_probability" => Want::AtLeast(1), "session.gc_divisor" => Want::Within(1, 1000),
        "session.save_path" => Want::Set),
    row!("php-database", "the server of a database reads no file of its client", "a false server would fetch any file",
        "php.ini mysqli.allow_local_infile", Medium, false, "mysqli.allow_local_infile" => OFF),
    row!("php-database-kept", "no connection to a database outlives the request that opened it", "the next request would have what the last one set",
        "php.ini mysqli.allow_persistent", Low, true, "mysqli.allow_persistent" => OFF),
    row!("php-assertions", "assertions are not compiled", "they run code that was meant for developers", "php.ini-production zend.assertions", Low, true, "zend.assertions" => Want::Is("-1")),
    row!("php-limits", "a request is small, short and frugal", "few large ones stop the service",
        "dev-sec php-baseline", Medium, true,
        "memory_limit" => Want::Within(1, 256 << 20), "max_execution_time" => Want::Within(1, 60),
        "max_input_time" => Want::Within(1, 60), "post_max_size" => Want::Within(1, 16 << 20),
        "max_input_vars" => Want::Within(1, 1000), "max_input_nesting_level" => Want::Within(1, 64), "default_socket_timeout" => Want::Within(1, 60),
        "unserialize_max_depth" => Want::Within(1, 4096), "pcre.backtrack_limit" => Want::Within(1, 1_000_000), "pcre.recursion_limit" => Want::Within(1, 100_000)),
    row!("php-uploads", "files are uploaded only where that is meant", "an uploaded script is a stranger's program",
        "dev-sec php-baseline; php.ini file_uploads", Medium, true, "file_uploads" => OFF,
        "upload_max_filesize" => Want::Within(1, 1 << 20), "max_file_uploads" => Want::Within(0, 20)),
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
    // What a pool of PHP-FPM sets counts after the files.
    for (_, text) in image.texts(&format!("{folder}/pool.d"), ".conf") {
        settings.extend(ini::parse(&text, Dialect::Php).into_iter().filter_map(of_pool));
    }
    // Sections are for the eye, but [PATH=…] and [HOST=…], which are for some requests only.
    settings.retain(|setting| !setting.section.starts_with("PATH=") && !setting.section.starts_with("HOST="));
    for setting in &mut settings {
        setting.section.clear();
    }
    settings
}

/// `php_value[KEY]`, `php_admin_flag[KEY]` as the setting of KEY.
fn of_pool(setting: Setting) -> Option<Setting> {
    let (kind, key) = setting.key.strip_suffix(']')?.split_once('[')?;
    let key = key.to_owned();
    matches!(kind, "php_value" | "php_flag" | "php_admin_value" | "php_admin_flag")
        .then_some(Setting { key, ..setting })
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
