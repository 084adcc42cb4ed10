//! What a person may write in `[fail2ban]`, and what is said about the rest.

use super::read::network;
use super::*;
use crate::recipe::fold::fold;
use crate::recipe::problem::Problem;

const BASE: &str = "suite = \"trixie\"\n";

/// What is wrong with a recipe that says `text`.
fn wrong(text: &str) -> Vec<String> {
    let texts = BTreeMap::from([("web".to_owned(), format!("{BASE}{text}"))]);
    fold("web", &texts).map_or_else(|problems| problems.iter().map(Problem::to_string).collect(), |_| vec![])
}

const SSHD: &str = "[fail2ban.jails.sshd]\njournal = \"_COMM=sshd\"\nsamples = [\"x\"]\n";

#[test]
fn a_jail_of_three_lines_has_the_users_defaults() {
    let texts = BTreeMap::from([("web".to_owned(), format!("{BASE}{SSHD}"))]);
    let fail2ban = fold("web", &texts).unwrap().recipe.fail2ban;
    let jail = &fail2ban.jails["sshd"];
    assert_eq!((jail.ban, jail.window, jail.tries), (172_800, 60, 5));
    assert_eq!((jail.filter.as_str(), jail.scope), ("sshd", Scope::All));
    assert_eq!(jail.reads, Reads::Journal("_COMM=sshd".to_owned()));
    assert_eq!(fail2ban.memory(), 172_800);
}

#[test]
fn a_jail_that_reads_nothing_or_both_is_refused() {
    assert_eq!(
        wrong("[fail2ban.jails.sshd]\nsamples = [\"x\"]\n"),
        ["recipes/web.toml:2:17: error: the jail `sshd` reads nothing"]
    );
    assert_eq!(
        wrong(&format!("{SSHD}logs = [\"/var/log/a\"]\n")),
        ["recipes/web.toml:5:9: error: the jail `sshd` reads the journal and files"]
    );
}

#[test]
fn a_jail_without_a_sample_is_refused() {
    assert_eq!(
        wrong("[fail2ban.jails.sshd]\njournal = \"_COMM=sshd\"\n"),
        ["recipes/web.toml:2:17: error: nothing shows that the jail `sshd` sees anything"]
    );
}

#[test]
fn what_would_mean_something_else_to_fail2ban_is_refused() {
    let of = |line: &str| wrong(&format!("{SSHD}{line}\n"));
    assert_eq!(of("filter = \"a[b]\""), ["recipes/web.toml:5:10: error: `a[b]` cannot be a filter"]);
    assert_eq!(of("mode = \"a b\""), ["recipes/web.toml:5:8: error: `a b` cannot be a mode"]);
    assert_eq!(of("options.x = \"%(y)s\""), ["recipes/web.toml:5:13: error: `%(y)s` cannot stand in a jail"]);
    assert_eq!(of("options.mode = \"y\""), ["recipes/web.toml:5:9: error: `mode` cannot be an option"]);
    assert_eq!(of("innocent = [\"a\\nb\"]"), ["recipes/web.toml:5:13: error: this is not a line of a log"]);
    let log = |path: &str| wrong(&format!("[fail2ban.jails.a]\nsamples = [\"x\"]\nlogs = [\"{path}\"]\n"));
    for path in ["var/log/a", "/etc/a", "/var/log/*.log", "/var/log/../a", "/var/log/", "/var/log/a b"] {
        let expected = format!("recipes/web.toml:4:9: error: `{path}` cannot be the log of a jail");
        assert_eq!(log(path), [expected]);
    }
    assert_eq!(log("/var/log/web/a.log"), [""; 0]);
}

#[test]
fn the_journal_is_selected_by_fields() {
    let of = |journal: &str| wrong(&format!("[fail2ban.jails.a]\nsamples = [\"x\"]\njournal = \"{journal}\"\n"));
    assert_eq!(of("_SYSTEMD_UNIT=ssh.service + _COMM=sshd-session"), [""; 0]);
    for (journal, word) in [("", ""), ("ssh", "ssh"), ("_COMM=", "_COMM="), ("_COMM=a + b", "b")] {
        let expected = format!("recipes/web.toml:4:11: error: `{word}` selects nothing of the journal");
        assert_eq!(of(journal), [expected]);
    }
}

#[test]
fn an_ignored_network_is_one_and_not_everything() {
    for right in ["192.0.2.7", "10.0.0.0/8", "2001:db8::1", "2001:db8::/32", "2001:db8::1/128", "192.0.2.7/32"] {
        assert_eq!(network(right), Ok(()), "{right}");
    }
    let not = |text: &str| wrong(&format!("[fail2ban]\nignore = [\"{text}\"]\n")).concat();
    for (text, why) in [
        ("0.0.0.0/0", "then nobody would ever be banned"),
        ("::/0", "then nobody would ever be banned"),
        ("10.0.0.1/8", "an address of it has more than 8 bits"),
        ("10.0.0.0/33", "a network's length is at most 32"),
        ("10.0.0.0/x", "its length is no number"),
        ("api", "it is no IPv4 or IPv6 address"),
        ("", "it is no IPv4 or IPv6 address"),
    ] {
        let expected = format!("recipes/web.toml:3:11: error: `{text}` cannot be ignored: {why}");
        assert_eq!(not(text), expected);
    }
}

#[test]
fn a_ban_that_closes_nothing_or_shrinks_is_refused() {
    assert_eq!(
        wrong(&format!("[fail2ban]\nscope = \"ports\"\n{SSHD}")),
        ["recipes/web.toml:4:17: error: a ban of the jail `sshd` closes nothing"]
    );
    assert_eq!(
        wrong(&format!("[fail2ban]\nincrement = true\nlongest = 60\n{SSHD}")),
        ["recipes/web.toml:5:17: error: a ban of the jail `sshd` is longer than the longest one"]
    );
    assert_eq!(wrong("[fail2ban]\ntries = 0\n").len(), 1);
}

#[test]
fn a_child_adds_jails_and_says_none_again() {
    let fold_with = |child: &str| {
        let child = ("web".to_owned(), format!("from = \"base\"\n{child}"));
        let base = ("base".to_owned(), format!("{BASE}{SSHD}[fail2ban]\nignore = [\"192.0.2.1\"]\n"));
        fold("web", &BTreeMap::from([child, base]))
    };
    let more = "[fail2ban]\nban = 600\nignore = [\"192.0.2.2\"]\n[fail2ban.jails.b]\nlogs = [\"/var/log/b\"]\nsamples = [\"x\"]\n";
    let fail2ban = fold_with(more).unwrap().recipe.fail2ban;
    assert_eq!(fail2ban.ignore, ["192.0.2.1", "192.0.2.2"]);
    let of: Vec<_> = fail2ban.jails.iter().map(|(name, jail)| (name.as_str(), jail.by.as_str(), jail.ban)).collect();
    assert_eq!(of, [("b", "web", 600), ("sshd", "base", 600)]);
    let again = fold_with(SSHD).unwrap_err();
    assert_eq!(again[0].to_string(), "recipes/web.toml:2:17: error: the jail `sshd` is said by the parent already");
}

#[test]
fn what_verify_is_to_try_can_be_tried() {
    let of = |attempt: &str| wrong(&format!("{SSHD}ports = [22]\nattempt = {attempt}\n"));
    for right in ["{ ssh = \"root\" }", "{ mysql = \"app_1\" }", "{ http = \"GET /a?b=c HTTP/1.1\\nUser-Agent: x\" }"] {
        assert_eq!(of(right), [""; 0], "{right}");
    }
    for nothing in
        ["{ ssh = \"a b\" }", "{ https = \"GET /\" }", "{ http = \"GET / HTTP/1.1\\r\" }", "{ bans = \"A\" }"]
    {
        let wrong = of(nothing);
        assert_eq!(wrong[0], "recipes/web.toml:6:11: error: nobody can try this at the jail `sshd`", "{nothing}");
    }
    let nowhere = "recipes/web.toml:2:17: error: what is to be tried at the jail `sshd` leads nowhere";
    assert_eq!(of("{ bans = \"other\" }"), [nowhere]);
    assert_eq!(of("{ bans = \"sshd\" }"), [nowhere], "which is tried by nothing but its own bans");
    assert_eq!(wrong(&format!("{SSHD}attempt = {{ ssh = \"root\" }}\n")), [nowhere], "there is no port");
    assert!(of("{ telnet = \"x\" }")[0].contains("unknown variant `telnet`"));
}

#[test]
fn an_attempt_is_made_where_such_a_thing_is_usually_tried() {
    let https = Attempt::Https("GET / HTTP/1.1".to_owned());
    assert_eq!((https.port(&[80, 443]), https.port(&[80, 8443]), https.port(&[])), (Some(443), Some(80), None));
    assert_eq!(Attempt::Bans("sshd".to_owned()).port(&[22]), None);
}
