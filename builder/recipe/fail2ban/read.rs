//! What is wrong with the tables of one file.

use std::net::IpAddr;

use toml::Spanned;

use super::Attempt;
use super::table::{Fail2banTable, JailTable};
use crate::recipe::function::is_request;
use crate::recipe::problem::{Place, Problem, Text};
use crate::recipe::source::is_name;

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
    if !is_name(called) || called.len() > 24 || called == "default" {
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
    if let Some(attempt) = &jail.attempt
        && let Some(help) = cannot_be_made(attempt.get_ref())
    {
        say(format!("nobody can try this at the jail `{called}`"), text.at(attempt.span()), "no attempt", help);
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

/// Why an attempt is none, as what to write in its place.
fn cannot_be_made(attempt: &Attempt) -> Option<&'static str> {
    match attempt {
        Attempt::Ssh(user) | Attempt::Mysql(user) if is_word(user) => None,
        Attempt::Ssh(_) | Attempt::Mysql(_) => Some("write the name of a user, of letters, digits, `-` and `_`"),
        Attempt::Bans(jail) if is_name(jail) => None,
        Attempt::Bans(_) => Some("write the name of the jail whose bans it counts"),
        Attempt::Http(request) | Attempt::Https(request) => {
            let help = "write the first line of a request, as it goes over the wire, and further ones of its head after `\\n`: \
                        `GET /.git HTTP/1.1`";
            (!is_request(request)).then_some(help)
        }
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
pub(super) fn network(text: &str) -> Result<(), String> {
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
