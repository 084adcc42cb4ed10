//! From `[fail2ban]` to the files that fail2ban reads: a pure function.
//!
//! ```text
//! etc/fail2ban/fail2ban.d/00-goldsmith.local   how long bans are remembered, where fail2ban says what it does
//! etc/fail2ban/action.d/goldsmith.conf         how a ban blocks
//! etc/fail2ban/jail.d/00-goldsmith.local       what all jails have in common
//! etc/fail2ban/jail.d/10-NAME.local            one jail
//! usr/lib/tmpfiles.d/goldsmith-fail2ban.conf   its logs: there before fail2ban starts
//! ```
//!
//! No file of Debian's is edited: `.local` files come after all `.conf` files, so that a package's upgrade changes nothing
//! that is said here. Each jail says all of its numbers, since those that `jail.conf` gives to a jail of the same name would
//! win over any default. Sources: jail.conf(5), tmpfiles.d(5), nft(8).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::recipe::fail2ban::{Fail2ban, Jail, Reads, Scope};

/// How a ban blocks. Has no part that a recipe decides.
const ACTION: &str = include_str!("jails/action.conf");

/// For how long after a ban has ended fail2ban still knows it, in seconds: a day.
const AFTERWARDS: u32 = 86_400;

/// The files of `fail2ban` by their paths in the image, without a leading slash. None if there is no jail.
pub fn jails(fail2ban: &Fail2ban) -> BTreeMap<String, String> {
    if fail2ban.jails.is_empty() {
        return BTreeMap::new();
    }
    let mut files = BTreeMap::from([
        ("etc/fail2ban/action.d/goldsmith.conf".to_owned(), ACTION.to_owned()),
        ("etc/fail2ban/fail2ban.d/00-goldsmith.local".to_owned(), daemon(fail2ban)),
        ("etc/fail2ban/jail.d/00-goldsmith.local".to_owned(), defaults(fail2ban)),
    ]);
    files.extend(fail2ban.jails.iter().map(|(name, jail)| (jail_file(name), section(name, jail, fail2ban))));
    let logs = logs(fail2ban);
    if !logs.is_empty() {
        files.insert("usr/lib/tmpfiles.d/goldsmith-fail2ban.conf".to_owned(), tmpfiles(&logs));
    }
    files
}

/// The path of the file of the jail `name`, in the image.
pub fn jail_file(name: &str) -> String {
    format!("etc/fail2ban/jail.d/10-{name}.local")
}

/// Of fail2ban itself.
fn daemon(fail2ban: &Fail2ban) -> String {
    let memory = fail2ban.memory().saturating_add(AFTERWARDS);
    format!(
        "# Bans are remembered for a day longer than the longest lasts: by default fail2ban forgets them after a day, so\n\
         # that a restart would end those of two. The journal is what the jail of those who come back reads.\n\
         [DEFAULT]\n\
         dbpurgeage = {memory}\n\
         logtarget = SYSTEMD-JOURNAL\n\
         [Definition]\n\
         dbpurgeage = {memory}\n\
         logtarget = SYSTEMD-JOURNAL\n"
    )
}

/// Of all jails.
fn defaults(fail2ban: &Fail2ban) -> String {
    let ignored: String = fail2ban.ignore.iter().map(|entry| format!(" {entry}")).collect();
    format!(
        "# Computed from [fail2ban] of the recipe; what is not here is said by each jail.\n\
         [DEFAULT]\n\
         # Without loopback, a mistake on the machine itself locks its own services out.\n\
         ignoreip = 127.0.0.0/8 ::1{ignored}\n\
         # A name in a log is the attacker's word: nobody is asked for its address.\n\
         usedns = no\n\
         bantime = {}\n\
         findtime = {}\n\
         maxretry = {}\n\
         banaction = goldsmith[type=allports]\n\
         banaction_allports = goldsmith[type=allports]\n",
        fail2ban.ban, fail2ban.window, fail2ban.tries
    )
}

/// One jail.
fn section(name: &str, jail: &Jail, fail2ban: &Fail2ban) -> String {
    let mut text =
        format!("# Computed from [fail2ban.jails.{name}] of the recipe `{}`.\n[{name}]\nenabled = true\n", jail.by);
    let mut say = |key: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{key} = {value}");
    };
    say("filter", jail.filter_and_options());
    match &jail.reads {
        Reads::Journal(matches) => {
            say("backend", "systemd".to_owned());
            say("journalmatch", matches.clone());
        }
        Reads::Logs(logs) => {
            say("backend", "auto".to_owned());
            say("logpath", logs.join("\n          "));
        }
    }
    if !jail.ports.is_empty() {
        say("port", jail.ports.iter().map(u16::to_string).collect::<Vec<_>>().join(","));
    }
    let closes = match jail.scope {
        Scope::All => "allports",
        Scope::Ports => "multiport",
    };
    say("banaction", format!("goldsmith[type={closes}]"));
    say("maxretry", jail.tries.to_string());
    say("findtime", jail.window.to_string());
    say("bantime", jail.ban.to_string());
    say("bantime.increment", jail.increment.to_string());
    if jail.increment {
        say("bantime.maxtime", fail2ban.longest.to_string());
    }
    text
}

/// All files that jails read.
fn logs(fail2ban: &Fail2ban) -> BTreeSet<&str> {
    let logs = fail2ban.jails.values().filter_map(|jail| match &jail.reads {
        Reads::Logs(logs) => Some(logs),
        Reads::Journal(_) => None,
    });
    logs.flatten().map(String::as_str).collect()
}

/// What makes the files `logs`, and the folders that hold them.
fn tmpfiles(logs: &BTreeSet<&str>) -> String {
    let mut text = "# One log that is missing keeps all jails from starting, and an image holds no logs. As Debian's packages make\n\
                    # them: for root to write and adm to read.\n"
        .to_owned();
    let folders: BTreeSet<&str> = logs.iter().filter_map(|log| Some(log.rsplit_once('/')?.0)).collect();
    text.extend(
        folders.iter().filter(|folder| **folder != "/var/log").map(|folder| format!("d {folder} 0750 root adm -\n")),
    );
    text.extend(logs.iter().map(|log| format!("f {log} 0640 root adm -\n")));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::fold::fold;

    /// The files of a recipe that says `fail2ban`.
    fn files(fail2ban: &str) -> BTreeMap<String, String> {
        let recipe = format!("suite = \"trixie\"\n{fail2ban}");
        jails(&fold("web", &BTreeMap::from([("web".to_owned(), recipe)])).unwrap().recipe.fail2ban)
    }

    const SSHD: &str = "[fail2ban.jails.sshd]\nmode = \"aggressive\"\njournal = \"_SYSTEMD_UNIT=ssh.service  +  _COMM=sshd\"\n\
                        ports = [22]\nsamples = [\"x\"]\n";

    #[test]
    fn a_recipe_without_jails_lays_nothing() {
        assert_eq!(files(""), BTreeMap::new());
        assert_eq!(files("[fail2ban]\nban = 5\n"), BTreeMap::new());
    }

    #[test]
    fn a_jail_of_the_journal_says_all_of_its_numbers() {
        let files = files(SSHD);
        let paths: Vec<&str> = files.keys().map(String::as_str).collect();
        assert_eq!(
            paths,
            [
                "etc/fail2ban/action.d/goldsmith.conf",
                "etc/fail2ban/fail2ban.d/00-goldsmith.local",
                "etc/fail2ban/jail.d/00-goldsmith.local",
                "etc/fail2ban/jail.d/10-sshd.local",
            ]
        );
        assert_eq!(
            files["etc/fail2ban/jail.d/10-sshd.local"],
            "# Computed from [fail2ban.jails.sshd] of the recipe `web`.\n[sshd]\nenabled = true\nfilter = sshd[mode=\"aggressive\"]\n\
             backend = systemd\njournalmatch = _SYSTEMD_UNIT=ssh.service + _COMM=sshd\nport = 22\n\
             banaction = goldsmith[type=allports]\nmaxretry = 5\nfindtime = 60\nbantime = 172800\nbantime.increment = false\n"
        );
    }

    #[test]
    fn what_a_recipe_ignores_stands_after_loopback() {
        let files = files(&format!("[fail2ban]\nignore = [\"192.0.2.7\", \"2001:db8::/48\"]\n{SSHD}"));
        let defaults = &files["etc/fail2ban/jail.d/00-goldsmith.local"];
        assert!(defaults.contains("\nignoreip = 127.0.0.0/8 ::1 192.0.2.7 2001:db8::/48\n"), "{defaults}");
    }

    #[test]
    fn bans_are_remembered_for_longer_than_the_longest_lasts() {
        let purge = |text: &str| {
            let text = &files(text)["etc/fail2ban/fail2ban.d/00-goldsmith.local"];
            let line = text.lines().find_map(|line| line.strip_prefix("dbpurgeage = "));
            line.unwrap().parse::<u32>().unwrap()
        };
        assert_eq!(purge(SSHD), 172_800 + 86_400);
        assert_eq!(purge(&format!("{SSHD}ban = 604800\n")), 604_800 + 86_400);
        assert_eq!(purge(&format!("{SSHD}window = 700000\n")), 700_000 + 86_400);
        assert_eq!(purge(&format!("[fail2ban]\nincrement = true\nlongest = 900000\n{SSHD}")), 900_000 + 86_400);
    }

    #[test]
    fn a_log_is_made_with_its_folder_before_fail2ban_starts() {
        let files = files(
            "[fail2ban.jails.web]\nlogs = [\"/var/log/web/a.log\", \"/var/log/b.log\"]\nports = [80, 443]\nscope = \"ports\"\n\
             samples = [\"x\"]\n[fail2ban.jails.other]\nlogs = [\"/var/log/web/a.log\"]\nsamples = [\"x\"]\n",
        );
        let tmpfiles = &files["usr/lib/tmpfiles.d/goldsmith-fail2ban.conf"];
        let lines: Vec<&str> = tmpfiles.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = [
            "d /var/log/web 0750 root adm -",
            "f /var/log/b.log 0640 root adm -",
            "f /var/log/web/a.log 0640 root adm -",
        ];
        assert_eq!(lines, expected);
        let web = &files["etc/fail2ban/jail.d/10-web.local"];
        assert!(
            web.contains("backend = auto\nlogpath = /var/log/web/a.log\n          /var/log/b.log\nport = 80,443\n"),
            "{web}"
        );
        assert!(web.contains("banaction = goldsmith[type=multiport]\n"), "{web}");
    }

    #[test]
    fn growing_bans_have_an_end() {
        let files = files(&format!("{SSHD}increment = true\n"));
        let jail = &files["etc/fail2ban/jail.d/10-sshd.local"];
        assert!(jail.ends_with("bantime.increment = true\nbantime.maxtime = 2419200\n"), "{jail}");
    }

    #[test]
    fn every_file_opens_with_why_it_is_there() {
        for (path, text) in files(SSHD) {
            assert!(text.starts_with("# "), "{path}");
        }
    }
}
