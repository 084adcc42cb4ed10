//! `[users]` and `[groups]`: names and ids that Debian Policy §9.2 allows for system accounts.

use std::collections::BTreeMap;

use toml::Spanned;

use super::file::File;
use super::problem::{Problem, Text};

/// Users that base-passwd makes on every Debian system: these names have exactly these ids.
const STATIC_USERS: &[(&str, u32)] = &[
    ("root", 0),
    ("daemon", 1),
    ("bin", 2),
    ("sys", 3),
    ("sync", 4),
    ("games", 5),
    ("man", 6),
    ("lp", 7),
    ("mail", 8),
    ("news", 9),
    ("uucp", 10),
    ("proxy", 13),
    ("www-data", 33),
    ("backup", 34),
    ("list", 38),
    ("irc", 39),
    ("nobody", 65534),
];

/// The user that base-passwd makes since Debian 12. Before, apt's own script makes it, with the next number that is free: recipes of
/// those releases say which it is.
const APT: (&str, u32) = ("_apt", 42);

/// Releases before that.
const BEFORE_APT: [&str; 3] = ["stretch", "buster", "bullseye"];

/// Groups that base-passwd makes beside those of its users.
const STATIC_GROUPS: &[(&str, u32)] = &[
    ("adm", 4),
    ("tty", 5),
    ("disk", 6),
    ("man", 12),
    ("kmem", 15),
    ("dialout", 20),
    ("fax", 21),
    ("voice", 22),
    ("cdrom", 24),
    ("floppy", 25),
    ("tape", 26),
    ("sudo", 27),
    ("audio", 29),
    ("dip", 30),
    ("operator", 37),
    ("src", 40),
    ("shadow", 42),
    ("utmp", 43),
    ("video", 44),
    ("sasl", 45),
    ("plugdev", 46),
    ("staff", 50),
    ("games", 60),
    ("users", 100),
    ("nogroup", 65534),
];

/// Ids that Debian leaves to the system accounts of packages.
const SYSTEM: std::ops::RangeInclusive<u32> = 101..=999;

/// One of the tables.
type Ids = BTreeMap<Spanned<String>, Spanned<u32>>;

/// What is wrong with the two tables of one file.
pub fn check(file: &File, text: &Text, problems: &mut Vec<Problem>) {
    let before = file.suite.as_ref().is_some_and(|suite| BEFORE_APT.contains(&suite.get_ref().as_str()));
    let users: Vec<_> = STATIC_USERS.iter().copied().chain((!before).then_some(APT)).collect();
    check_table(&file.users, &users, text, problems);
    check_table(&file.groups, STATIC_GROUPS, text, problems);
    for (name, id) in &file.groups {
        if let Some((user, _)) = file.users.get_key_value(name) {
            let problem = Problem::error(format!("the group `{}` comes with the user of that name", name.get_ref()));
            let problem = problem.at(text.at(name.span()), "said twice").beside(text.at(user.span()), "the user");
            problems.push(problem.help("remove it from `[groups]`: a user's id is also its group's"));
        } else if let Some((user, taken)) = file.users.iter().find(|(_, taken)| taken.get_ref() == id.get_ref()) {
            problems.push(taken_twice(text, id, (user, taken)));
        }
    }
}

/// Names, ranges, and ids that two names of one table share.
fn check_table(table: &Ids, fixed: &[(&str, u32)], text: &Text, problems: &mut Vec<Problem>) {
    let mut seen: BTreeMap<u32, (&Spanned<String>, &Spanned<u32>)> = BTreeMap::new();
    for (name, id) in table {
        let (account, number) = (name.get_ref().as_str(), *id.get_ref());
        if !is_account_name(account) {
            let problem = Problem::error(format!("`{account}` cannot be the name of a user or group"));
            let problem = problem.at(text.at(name.span()), "not a name");
            problems
                .push(problem.help("small letters, digits, `-` and `_`, a letter or `_` first, at most 32 characters"));
        }
        match fixed.iter().find(|(known, _)| *known == account) {
            Some((_, fixed)) if *fixed != number => {
                let problem = Problem::error(format!("`{account}` has the id {fixed} on every Debian system"));
                problems.push(problem.at(text.at(id.span()), "another id").help("remove the line"));
            }
            Some(_) => {}
            None if !SYSTEM.contains(&number) => {
                let problem = Problem::error(format!("{number} is not an id for a system account"));
                let problem = problem.at(text.at(id.span()), "expected 101 to 999");
                problems.push(problem.help("up to 100 Debian assigns ids itself; from 1000 on they are people's"));
            }
            None => {}
        }
        match seen.get(&number) {
            Some(taken) => problems.push(taken_twice(text, id, *taken)),
            None => drop(seen.insert(number, (name, id))),
        }
    }
}

/// Two names have one id.
fn taken_twice(text: &Text, id: &Spanned<u32>, taken: (&Spanned<String>, &Spanned<u32>)) -> Problem {
    Problem::error(format!("the id {} is taken by `{}`", id.get_ref(), taken.0.get_ref()))
        .at(text.at(id.span()), "taken")
        .beside(text.at(taken.1.span()), "here")
        .help("give one of them another id between 101 and 999")
}

/// useradd(8): what Debian's tools accept as a name.
fn is_account_name(name: &str) -> bool {
    let start = name.starts_with(|first: char| first.is_ascii_lowercase() || first == '_');
    let rest = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte));
    start && rest && name.len() <= 32
}
