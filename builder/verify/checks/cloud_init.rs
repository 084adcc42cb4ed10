//! cloud-init: what user-data may do, which is what whoever can write user-data may do.

use std::collections::BTreeMap;

use super::super::audited::Audited;
use super::super::check::{Check, Finding, Severity};

/// One row: a key at the top of the merged configuration, and the text that it must have.
macro_rules! row {
    ($id:literal, $title:literal, $why:literal, $source:literal, $severity:ident, $($key:literal => $wanted:expr),+) => {
        Check {
            id: $id,
            title: $title,
            why: $why,
            source: $source,
            severity: Severity::$severity,
            applies: |image| image.has("usr/bin/cloud-init"),
            run: |image| judge(image, &[$(($key, $wanted)),+]),
        }
    };
}

pub(super) const CHECKS: &[Check] = &[
    row!("cloud-init-user-data", "user-data runs nothing", "a few lines of it set passwords, add users with sudo and run commands, as root",
        "cloud-init reference: base configuration, allow_userdata", High, "allow_userdata" => |value| matches!(value, "false" | "False" | "no")),
    row!("cloud-init-vendor-data", "vendor-data runs nothing", "what the cloud adds is run as root too",
        "cloud-init reference: vendor-data", High,
        "vendor_data" => |value| value.contains("enabled: false"),
        "vendor_data2" => |value| value.contains("enabled: false")),
    row!("cloud-init-root", "keys do not let root in", "the instance's keys would be root's",
        "cloud-init reference: cc_ssh disable_root", High, "disable_root" => |value| matches!(value, "true" | "True" | "yes")),
    row!("cloud-init-sources", "datasources are named, and doing without is none of them", "without one it guesses, and asks whoever answers",
        "cloud-init reference: datasource_list; ds-identify", Medium,
        "datasource_list" => |value| value.starts_with('[') && value.ends_with(']') && !value.split([',', '[', ']', ' ']).any(|word| word == "None") && value.len() > 2),
    row!("cloud-init-modules", "only modules that are needed run", "each of them is a way for user-data or metadata to change the machine",
        "cloud-init reference: modules", Medium,
        "cloud_init_modules" => |value| !["bootcmd", "write_files", "write-files", "set_passwords", "set-passwords", "ca_certs", "rsyslog", "disk_setup", "mounts"].iter().any(|module| named(value, module)),
        "cloud_config_modules" => |value| !["runcmd", "apt_configure", "apt-configure", "snap", "ubuntu_advantage", "set_passwords", "set-passwords"].iter().any(|module| named(value, module)) && !value.is_empty(),
        "cloud_final_modules" => |value| !["scripts_user", "scripts-user", "package_update_upgrade_install", "package-update-upgrade-install", "puppet", "chef", "ansible", "salt_minion", "scripts_vendor", "scripts-vendor", "phone_home", "phone-home", "power_state_change"].iter().any(|module| named(value, module)) && !value.is_empty()),
    row!("cloud-init-user", "the one user has no password, and sudo only if it is meant", "Debian's default user becomes root without a word",
        "cloud-init reference: users and groups; CIS Debian 12 5.2.4", High,
        "default_user.lock_passwd" => |value| matches!(value, "true" | "True" | "yes"), "default_user.sudo" => |value| !value.contains("NOPASSWD")),
    row!("cloud-init-users", "nobody but the one user is made", "a list of users is a list of doors", "cloud-init reference: users and groups", Medium,
        "users" => |value| matches!(value, "[default]" | "- default" | "[]")),
];

fn named(list: &str, module: &str) -> bool {
    list.split([',', '[', ']', ' ', '\n', '-']).any(|word| word == module)
        || list.split([',', '[', ']', ' ', '\n']).any(|word| word == module)
}

/// The keys at the top of cloud.cfg and cloud.cfg.d/*.cfg with all that stands below them; the last file counts. cloud-init
/// merges mappings within each other, lists and words it replaces: so the words of `default_user` stand for themselves.
fn merged(image: &Audited<'_>) -> BTreeMap<String, String> {
    let mut texts = vec![image.text("etc/cloud/cloud.cfg").unwrap_or_default()];
    texts.extend(image.texts("etc/cloud/cloud.cfg.d", ".cfg").into_iter().map(|(_, text)| text));
    let mut merged = BTreeMap::new();
    for text in texts {
        let own = top(&text);
        for word in ["lock_passwd", "sudo"] {
            let value = own.get("system_info").and_then(|info| of_mapping(info, word));
            merged.extend(value.map(|value| (format!("default_user.{word}"), value)));
        }
        merged.extend(own);
    }
    merged
}

/// The keys at the top of one file, each with its text, without indentation.
fn top(text: &str) -> BTreeMap<String, String> {
    let mut keys: BTreeMap<String, String> = BTreeMap::new();
    let mut key = None;
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#')) {
        match line.split_once(':').filter(|_| !line.starts_with([' ', '\t', '-'])) {
            Some((name, value)) => {
                key = Some(name.trim().to_owned());
                keys.insert(name.trim().to_owned(), value.trim().to_owned());
            }
            None => {
                if let Some(value) = key.as_ref().and_then(|key| keys.get_mut(key)) {
                    *value = format!("{value}\n{}", line.trim()).trim().to_owned();
                }
            }
        }
    }
    keys
}

/// What stands behind `word:` in a mapping, in braces or line by line: up to the comma, brace or line that ends it.
fn of_mapping(text: &str, word: &str) -> Option<String> {
    let begins = |at: &usize| *at == 0 || text[..*at].ends_with([' ', '{', ',', '\n']);
    let at = text.match_indices(&format!("{word}:")).map(|(at, _)| at).find(begins)?;
    let rest = text[at + word.len() + 1..].trim_start();
    let mut depth = 0_i32;
    let end = rest.find(|letter| {
        match letter {
            '[' | '{' | '(' => depth += 1,
            ']' | '}' | ')' => depth -= 1,
            _ => {}
        }
        depth < 0 || depth == 0 && matches!(letter, ',' | '\n')
    });
    Some(rest[..end.unwrap_or(rest.len())].trim().to_owned())
}

/// A key, and whether its text is as wanted.
type Wanted<'a> = (&'a str, fn(&str) -> bool);

fn judge(image: &Audited<'_>, wanted: &[Wanted<'_>]) -> Vec<Finding> {
    let merged = merged(image);
    let wrong = wanted.iter().filter(|(key, fits)| !merged.get(*key).is_some_and(|value| fits(value)));
    wrong
        .map(|(key, _)| {
            let found = merged.get(*key).map_or_else(|| "not set".to_owned(), |value| value.replace('\n', " "));
            Finding::new(*key, found, "as the title says", "set it in etc/cloud/cloud.cfg.d/99-goldsmith.cfg")
        })
        .collect()
}
