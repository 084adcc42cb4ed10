//! The jails of a recipe and its parents, held against each other.

use std::collections::BTreeMap;

use super::table::JailTable;
use super::{Attempt, Fail2ban, Jail, Scope};
use crate::recipe::fold::{Once, said_by_parent};
use crate::recipe::problem::{Place, Problem};
use crate::recipe::source::Source;

/// What a recipe's family says, one after the other.
#[derive(Debug, Default)]
pub struct Sum {
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
    pub fn add(&mut self, source: &Source) -> Vec<Problem> {
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
    pub fn fold(self, problems: &mut Vec<Problem>) -> Fail2ban {
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
        let mut places = BTreeMap::new();
        for (name, (table, by, place)) in self.jails {
            let jail = table.jail(&name, &by, &folded);
            if jail.scope == Scope::Ports && jail.ports.is_empty() {
                let problem = Problem::error(format!("a ban of the jail `{name}` closes nothing"));
                problems.push(problem.at(place.clone(), "no ports").help("add `ports = […]`, or `scope = \"all\"`"));
            } else if jail.increment && jail.ban > folded.longest {
                let problem = Problem::error(format!("a ban of the jail `{name}` is longer than the longest one"));
                let help = format!("it lasts {} s: make `longest` in `[fail2ban]` at least that", jail.ban);
                problems.push(problem.at(place.clone(), format!("longer than {} s", folded.longest)).help(help));
            }
            places.insert(name.clone(), place);
            folded.jails.insert(name, jail);
        }
        for (name, place) in places {
            if let Some((label, help)) = untried(&folded.jails[&name], &folded.jails) {
                let problem = Problem::error(format!("what is to be tried at the jail `{name}` leads nowhere"));
                problems.push(problem.at(place, label).help(help));
            }
        }
        folded
    }
}

/// What an attempt lacks that only all jails together show, and what to do about it.
fn untried(jail: &Jail, jails: &BTreeMap<String, Jail>) -> Option<(String, String)> {
    let attempt = jail.attempt.as_ref()?;
    match attempt {
        Attempt::Bans(other) => match jails.get(other).map(|other| &other.attempt) {
            None => Some((format!("there is no jail `{other}`"), "name a jail whose bans it counts".to_owned())),
            Some(None | Some(Attempt::Bans(_))) => {
                let help = format!("say in the jail `{other}` how somebody fails: `attempt = {{ ssh = \"root\" }}`");
                Some((format!("nothing can be tried at `{other}`"), help))
            }
            Some(_) => None,
        },
        _ => jail.ports.is_empty().then(|| ("at no port".to_owned(), "add `ports = […]`".to_owned())),
    }
}
