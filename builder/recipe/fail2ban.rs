//! `[fail2ban]`: who is banned, by which lines of which log, from what, and for how long.
//!
//! ```text
//! [fail2ban]  ban, window, tries ────▶ defaults of all jails (the user's: 48 hours for 5 failures in a minute)
//! [fail2ban.jails.NAME]  journal or logs ──filter──▶ a failure of an address ──tries in window──▶ a ban
//!                        samples, innocent: what the build feeds to the filter (`verify/proof.rs`)
//! ```
//!
//! Sources: jail.conf(5), journalctl(1) for what selects lines of the journal.

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::fold::{Once, said_by_parent};
use super::problem::{Place, Problem, Text};
use super::source::Source;

/// `[fail2ban]` with those of the parents folded in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fail2ban {
    /// How long a ban lasts, in seconds.
    pub ban: u32,
    /// Within how many seconds failures are counted.
    pub window: u32,
    /// The failure that leads to a ban.
    pub tries: u32,
    /// What a ban closes.
    pub scope: Scope,
    /// Whether each further ban of an address lasts twice as long as the one before.
    pub increment: bool,
    /// The longest that such a ban can become, in seconds.
    pub longest: u32,
    /// Never banned, beside loopback: addresses and networks.
    pub ignore: Vec<String>,
    /// By name.
    pub jails: BTreeMap<String, Jail>,
}

/// One jail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Jail {
    /// The file in `filter.d`, without its ending.
    pub filter: String,
    /// What the filter is told: `mode`, and the others that it knows.
    pub options: BTreeMap<String, String>,
    /// What it reads.
    pub reads: Reads,
    /// Ports of what it protects.
    pub ports: Vec<u16>,
    /// What a ban closes.
    pub scope: Scope,
    /// In seconds.
    pub ban: u32,
    /// In seconds.
    pub window: u32,
    /// Failures.
    pub tries: u32,
    /// Whether its bans grow.
    pub increment: bool,
    /// Lines that must count as failures.
    pub samples: Vec<String>,
    /// Lines that must not.
    pub innocent: Vec<String>,
    /// The recipe that adds it.
    pub by: String,
}

/// Where the lines of a jail come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Reads {
    /// The journal: what selects the lines, as for journalctl(1).
    Journal(String),
    /// Files.
    Logs(Vec<String>),
}

/// What a ban closes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The whole machine, by every protocol.
    #[default]
    All,
    /// The ports of the jail.
    Ports,
}

impl Default for Fail2ban {
    fn default() -> Self {
        Self {
            ban: 172_800,
            window: 60,
            tries: 5,
            scope: Scope::All,
            increment: false,
            longest: 2_419_200,
            ignore: vec![],
            jails: BTreeMap::new(),
        }
    }
}

impl Jail {
    /// The filter with its options, as jail.conf(5) and fail2ban-regex(1) have it: `sshd[mode="aggressive"]`.
    pub fn filter_and_options(&self) -> String {
        let options: Vec<String> = self.options.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        if options.is_empty() { self.filter.clone() } else { format!("{}[{}]", self.filter, options.join(", ")) }
    }
}

impl Fail2ban {
    /// How long fail2ban must remember, in seconds: as long as its longest ban, and as far back as it counts.
    pub fn memory(&self) -> u32 {
        let jails = self.jails.values().flat_map(|jail| [jail.ban, jail.window]);
        let grown = self.jails.values().any(|jail| jail.increment).then_some(self.longest);
        jails.chain(grown).max().unwrap_or(self.ban)
    }
}

/// Who tries too often is banned. All times are in seconds.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Fail2banTable {
    /// How long a ban lasts, in seconds. Default: 172800, two days.
    #[schemars(with = "u32", range(min = 1))]
    pub ban: Option<Spanned<u32>>,
    /// Within how many seconds failures are counted. Default: 60.
    #[schemars(with = "u32", range(min = 1))]
    pub window: Option<Spanned<u32>>,
    /// How many failures lead to a ban. Default: 5.
    #[schemars(with = "u32", range(min = 1))]
    pub tries: Option<Spanned<u32>>,
    /// What a ban closes: `all`, the whole machine, or the `ports` of the jail. Default: all.
    #[schemars(with = "Scope")]
    pub scope: Option<Spanned<Scope>>,
    /// Whether each further ban of an address lasts twice as long as the one before. Default: false.
    #[schemars(with = "bool")]
    pub increment: Option<Spanned<bool>>,
    /// The longest that an incremented ban can become, in seconds. Default: 2419200, four weeks.
    #[schemars(with = "u32", range(min = 1))]
    pub longest: Option<Spanned<u32>>,
    /// Addresses and networks that are never banned. Loopback is not either.
    #[schemars(with = "Vec<String>")]
    pub ignore: Vec<Spanned<String>>,
    /// Each reads a log, and bans who fails.
    #[schemars(with = "BTreeMap<String, JailTable>")]
    pub jails: BTreeMap<Spanned<String>, JailTable>,
}

/// A jail: which lines of which log are failures, and of what.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JailTable {
    /// The filter, by its file in `/etc/fail2ban/filter.d` without `.conf`. Default: the jail's name.
    #[schemars(with = "String")]
    pub filter: Option<Spanned<String>>,
    /// The filter's `mode`, where it has several.
    #[schemars(with = "String")]
    pub mode: Option<Spanned<String>>,
    /// Other options of the filter.
    #[schemars(with = "BTreeMap<String, String>")]
    pub options: BTreeMap<Spanned<String>, Spanned<String>>,
    /// Which lines of the journal it reads, as for journalctl: `_SYSTEMD_UNIT=ssh.service + _COMM=sshd`. This, or `logs`.
    #[schemars(with = "String")]
    pub journal: Option<Spanned<String>>,
    /// Which files it reads. They are made, empty, before fail2ban starts.
    #[schemars(with = "Vec<String>")]
    pub logs: Vec<Spanned<String>>,
    /// The ports of what it protects.
    #[schemars(with = "Vec<u16>", inner(range(min = 1)))]
    pub ports: Vec<Spanned<u16>>,
    /// What a ban closes, if not what `[fail2ban]` says.
    pub scope: Option<Scope>,
    /// How long a ban lasts in seconds, if not as `[fail2ban]` says.
    #[schemars(with = "u32", range(min = 1))]
    pub ban: Option<u32>,
    /// Within how many seconds failures are counted, if not as `[fail2ban]` says.
    #[schemars(with = "u32", range(min = 1))]
    pub window: Option<u32>,
    /// How many failures lead to a ban, if not as `[fail2ban]` says.
    #[schemars(with = "u32", range(min = 1))]
    pub tries: Option<u32>,
    /// Whether its bans grow, if not as `[fail2ban]` says.
    pub increment: Option<bool>,
    /// Lines as they stand in the log, with their date, each of which must be a failure: the build tries them.
    #[schemars(with = "Vec<String>")]
    pub samples: Vec<Spanned<String>>,
    /// Lines that must not be one.
    #[schemars(with = "Vec<String>")]
    pub innocent: Vec<Spanned<String>>,
}

impl JailTable {
    /// The jail `name`, of the recipe `by`, where it says nothing else as `defaults` say.
    pub(super) fn jail(&self, name: &str, by: &str, defaults: &Fail2ban) -> Jail {
        let texts = |list: &[Spanned<String>]| list.iter().map(|text| text.get_ref().clone()).collect::<Vec<_>>();
        let mode = self.mode.iter().map(|mode| ("mode".to_owned(), mode.get_ref().clone()));
        let options = self.options.iter().map(|(name, value)| (name.get_ref().clone(), value.get_ref().clone()));
        Jail {
            filter: self.filter.as_ref().map_or_else(|| name.to_owned(), |filter| filter.get_ref().clone()),
            options: mode.chain(options).collect(),
            reads: match &self.journal {
                Some(journal) => Reads::Journal(journal.get_ref().split_whitespace().collect::<Vec<_>>().join(" ")),
                None => Reads::Logs(texts(&self.logs)),
            },
            ports: self.ports.iter().map(|port| *port.get_ref()).collect(),
            scope: self.scope.unwrap_or(defaults.scope),
            ban: self.ban.unwrap_or(defaults.ban),
            window: self.window.unwrap_or(defaults.window),
            tries: self.tries.unwrap_or(defaults.tries),
            increment: self.increment.unwrap_or(defaults.increment),
            samples: texts(&self.samples),
            innocent: texts(&self.innocent),
            by: by.to_owned(),
        }
    }
}

/// What is wrong with the table of one file.
pub fn check(table: &Fail2banTable, text: &Text, problems: &mut Vec<Problem>) {
    for entry in &table.ignore {
        if let Err(why) = network(entry.get_ref()) {
            let problem = Problem::error(format!("`{}` cannot be ignored: {why}", entry.get_ref()));
            let problem = problem.at(text.at(entry.span()), "not an address or a network");
            problems.push(problem.help("write an address or a network: `192.0.2.7`, `10.0.8.0/24`, `2001:db8::/48`"));
        }
    }
    for (name, jail) in &table.jails {
        check_jail(name, jail, text, problems);
    }
}

/// What is wrong with one jail.
fn check_jail(name: &Spanned<String>, jail: &JailTable, text: &Text, problems: &mut Vec<Problem>) {
    let called = name.get_ref();
    let mut say = |message: String, place: Place, label: &str, help: &str| {
        problems.push(Problem::error(message).at(place, label).help(help));
    };
    if !super::source::is_name(called) || called.len() > 24 || called == "default" {
        let help = "use small letters, digits and `-`, at most 24 of them; `default` means all jails to fail2ban";
        say(format!("`{called}` cannot be the name of a jail"), text.at(name.span()), "not a name", help);
    }
    match (&jail.journal, jail.logs.first()) {
        (None, None) => {
            let help = "add `journal = \"_SYSTEMD_UNIT=…\"`, or `logs = [\"/var/log/…\"]`";
            say(format!("the jail `{called}` reads nothing"), text.at(name.span()), "neither journal nor logs", help);
        }
        (Some(_), Some(log)) => {
            let help = "fail2ban reads a jail's lines from one or the other: make two jails of it";
            say(format!("the jail `{called}` reads the journal and files"), text.at(log.span()), "and files", help);
        }
        _ => {}
    }
    if jail.samples.is_empty() {
        let help = "add `samples = [\"…\"]` with a line of the log that is a failure; the build proves that it counts";
        say(format!("nothing shows that the jail `{called}` sees anything"), text.at(name.span()), "no samples", help);
    }
    if let Some(journal) = &jail.journal
        && let Some(word) = journal
            .get_ref()
            .split_whitespace()
            .chain(journal.get_ref().is_empty().then_some(""))
            .find(|word| !is_match(word))
    {
        let help =
            "write FIELD=value, several with spaces between, and `+` for or: `_SYSTEMD_UNIT=ssh.service + _COMM=sshd`";
        say(format!("`{word}` selects nothing of the journal"), text.at(journal.span()), "not FIELD=value", help);
    }
    for log in &jail.logs {
        let path = log.get_ref();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
        if !path.starts_with("/var/log/") || path.contains("..") || path.ends_with('/') || !path.bytes().all(plain) {
            let help = "write the path of one file below /var/log/: it is made before fail2ban starts, since one log that is \
                        missing keeps all jails from starting";
            say(format!("`{path}` cannot be the log of a jail"), text.at(log.span()), "not one log file", help);
        }
    }
    if let Some(filter) = jail.filter.as_ref().filter(|filter| !is_word(filter.get_ref())) {
        let help = "write the name of a file in /etc/fail2ban/filter.d, without `.conf`";
        say(format!("`{}` cannot be a filter", filter.get_ref()), text.at(filter.span()), "not a name", help);
    }
    if let Some(mode) = jail.mode.as_ref().filter(|mode| !is_word(mode.get_ref())) {
        let help = "the filter's file says which it has: `normal`, `aggressive`";
        say(format!("`{}` cannot be a mode", mode.get_ref()), text.at(mode.span()), "not a word", help);
    }
    for (option, value) in &jail.options {
        if !is_word(option.get_ref()) || option.get_ref() == "mode" {
            let help = "write the option as the filter's file names it; `mode` has a key of its own";
            say(format!("`{}` cannot be an option", option.get_ref()), text.at(option.span()), "not an option", help);
        }
        if value.get_ref().chars().any(|letter| letter.is_control() || "%\"[]<>".contains(letter)) {
            let help = "leave out `%`, `\"`, brackets and line breaks: they mean something else to fail2ban";
            say(format!("`{}` cannot stand in a jail", value.get_ref()), text.at(value.span()), "cannot be said", help);
        }
    }
    for line in jail.samples.iter().chain(&jail.innocent) {
        if line.get_ref().trim().is_empty() || line.get_ref().chars().any(char::is_control) {
            let help = "write one line of a log as one string";
            say("this is not a line of a log".to_owned(), text.at(line.span()), "empty, or several lines", help);
        }
    }
    if let Some(both) =
        jail.samples.iter().find(|one| jail.innocent.iter().any(|other| other.get_ref() == one.get_ref()))
    {
        let place = text.at(both.span());
        say(
            "the same line is to be a failure and to be none".to_owned(),
            place,
            "also in `innocent`",
            "remove one of them",
        );
    }
}

/// Whether a word selects lines of the journal: `FIELD=value`, or the `+` between two of them.
fn is_match(word: &str) -> bool {
    let field = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_uppercase() || byte.is_ascii_digit())
    };
    word == "+"
        || word.split_once('=').is_some_and(|(name, value)| field(name) && !value.is_empty() && !value.contains('%'))
}

/// Whether `text` can name a filter, a mode, an option.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// Whether `text` is an address, or a network that is not everything; why not.
fn network(text: &str) -> Result<(), String> {
    let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    let address: IpAddr = address.parse().map_err(|_| "it is no IPv4 or IPv6 address".to_owned())?;
    let (bits, value) = match address {
        IpAddr::V4(address) => (32, u128::from(address.to_bits()) << 96),
        IpAddr::V6(address) => (128, address.to_bits()),
    };
    let Some(length) = length else { return Ok(()) };
    match length.parse::<u32>() {
        Ok(0) => Err("then nobody would ever be banned".to_owned()),
        Ok(length) if length > bits => Err(format!("a network's length is at most {bits}")),
        Ok(length) if value.checked_shl(length).unwrap_or(0) != 0 => {
            Err(format!("an address of it has more than {length} bits"))
        }
        Ok(_) => Ok(()),
        Err(_) => Err("its length is no number".to_owned()),
    }
}

/// What a recipe's family says, one after the other.
#[derive(Debug, Default)]
pub(super) struct Sum {
    ban: Once<u32>,
    window: Once<u32>,
    tries: Once<u32>,
    scope: Once<Scope>,
    increment: Once<bool>,
    longest: Once<u32>,
    ignore: Vec<String>,
    /// By name: what its table says, which recipe has it, and where.
    jails: BTreeMap<String, (JailTable, String, Place)>,
}

impl Sum {
    /// Adds what a child says; what of it a parent has said already.
    pub(super) fn add(&mut self, source: &Source) -> Vec<Problem> {
        let table = &source.file.fail2ban;
        let again = [
            self.ban.take("ban", table.ban.as_ref(), source),
            self.window.take("window", table.window.as_ref(), source),
            self.tries.take("tries", table.tries.as_ref(), source),
            self.scope.take("scope", table.scope.as_ref(), source),
            self.increment.take("increment", table.increment.as_ref(), source),
            self.longest.take("longest", table.longest.as_ref(), source),
        ];
        let mut problems: Vec<Problem> = again.into_iter().flatten().collect();
        self.ignore.extend(table.ignore.iter().map(|entry| entry.get_ref().clone()));
        for (name, jail) in &table.jails {
            let place = source.text.at(name.span());
            match self.jails.get(name.get_ref()) {
                Some((_, _, first)) => {
                    problems.push(said_by_parent(&format!("the jail `{}`", name.get_ref()), place, first));
                }
                None => drop(self.jails.insert(name.get_ref().clone(), (jail.clone(), source.name.clone(), place))),
            }
        }
        problems
    }

    /// All of it, with the defaults for what nobody says.
    pub(super) fn fold(self, problems: &mut Vec<Problem>) -> Fail2ban {
        let default = Fail2ban::default();
        let mut folded = Fail2ban {
            ban: self.ban.value.unwrap_or(default.ban),
            window: self.window.value.unwrap_or(default.window),
            tries: self.tries.value.unwrap_or(default.tries),
            scope: self.scope.value.unwrap_or(default.scope),
            increment: self.increment.value.unwrap_or(default.increment),
            longest: self.longest.value.unwrap_or(default.longest),
            ignore: self.ignore,
            jails: BTreeMap::new(),
        };
        for (name, (table, by, place)) in self.jails {
            let jail = table.jail(&name, &by, &folded);
            if jail.scope == Scope::Ports && jail.ports.is_empty() {
                let problem = Problem::error(format!("a ban of the jail `{name}` closes nothing"));
                problems.push(problem.at(place, "no ports").help("add `ports = […]`, or `scope = \"all\"`"));
            } else if jail.increment && jail.ban > folded.longest {
                let problem = Problem::error(format!("a ban of the jail `{name}` is longer than the longest one"));
                let help = format!("it lasts {} s: make `longest` in `[fail2ban]` at least that", jail.ban);
                problems.push(problem.at(place, format!("longer than {} s", folded.longest)).help(help));
            }
            folded.jails.insert(name, jail);
        }
        folded
    }
}

#[cfg(test)]
mod tests {
    use super::super::fold::fold;
    use super::*;

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
        let of: Vec<_> =
            fail2ban.jails.iter().map(|(name, jail)| (name.as_str(), jail.by.as_str(), jail.ban)).collect();
        assert_eq!(of, [("b", "web", 600), ("sshd", "base", 600)]);
        let again = fold_with(SSHD).unwrap_err();
        assert_eq!(again[0].to_string(), "recipes/web.toml:2:17: error: the jail `sshd` is said by the parent already");
    }
}
