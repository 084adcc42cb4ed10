//! A fleet against the recipes of its images: who is named is somebody whom the image knows, and nobody is forgotten.

use std::collections::{BTreeMap, BTreeSet};

use super::file::Names;
use super::{Fleet, Instance};
use crate::recipe::Recipe;
use crate::recipe::file::Purpose;
use crate::recipe::firewall::{Ports, Protocol, Source};
use crate::recipe::fold::Folded;
use crate::recipe::problem::{Problem, did_you_mean};

/// Where a database of this kind answers, MariaDB or MySQL: the port by which an image is known to be one.
pub const DATABASE_PORT: u16 = 3306;

/// The recipes of a project, by name; none where it has mistakes of its own, which are told elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Images(pub BTreeMap<String, Option<Folded>>);

/// What an instance is to the application, as its image and the fleet make it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role<'a> {
    /// It has the database.
    Database,
    /// It reaches a database: this instance's, or, if none is named, one that somebody else runs.
    Client(Option<&'a str>),
    /// Neither.
    Other,
}

impl Images {
    /// The recipe of an image.
    pub fn recipe(&self, image: &str) -> Option<&Recipe> {
        Some(&self.0.get(image)?.as_ref()?.recipe)
    }

    /// Whether machines of this image show a certificate that they are told: it lays the overlay that puts it in place.
    pub fn shows_certificate(&self, image: &str) -> bool {
        self.recipe(image).is_some_and(|recipe| recipe.overlays.iter().any(|overlay| overlay == "tls"))
    }

    /// The peers to which an image opens a database.
    fn served(&self, image: &str) -> BTreeSet<&str> {
        let rules = self.recipe(image).and_then(|recipe| recipe.firewall.as_ref()).into_iter();
        rules
            .flat_map(|wall| &wall.accept)
            .filter(|rule| rule.protocol == Protocol::Tcp && rule.ports.iter().any(is_database))
            .filter_map(|rule| match &rule.from {
                Source::Peer(peer) => Some(peer.as_str()),
                _ => None,
            })
            .collect()
    }

    /// Whether some image of the project opens a database to machines of `image`, or of one that it adds to.
    fn wants_database(&self, image: &str) -> bool {
        let lineage =
            self.0.get(image).and_then(Option::as_ref).map(|folded| folded.lineage.as_slice()).unwrap_or_default();
        self.0.keys().any(|other| self.served(other).iter().any(|peer| lineage.iter().any(|name| name == peer)))
    }
}

fn is_database(ports: &Ports) -> bool {
    (ports.first..=ports.last).contains(&DATABASE_PORT)
}

impl Fleet {
    /// What the instance `name` is to the application.
    pub fn role<'a>(&'a self, name: &str, images: &Images) -> Role<'a> {
        let Some(instance) = self.instances.get(name) else { return Role::Other };
        if !images.served(instance.image.get_ref()).is_empty() {
            return Role::Database;
        }
        if let Some(database) = self.databases_of(name, images).first() {
            return Role::Client(Some(database));
        }
        match self.database.elsewhere.is_some() && images.wants_database(instance.image.get_ref()) {
            true => Role::Client(None),
            false => Role::Other,
        }
    }

    /// The instances whose database is open to the instance `client`.
    fn databases_of<'a>(&'a self, client: &str, images: &Images) -> Vec<&'a str> {
        let opens = |instance: &Instance| {
            let served = images.served(instance.image.get_ref());
            let to = |(peer, who): (&toml::Spanned<String>, &Vec<toml::Spanned<String>>)| {
                served.contains(peer.get_ref().as_str()) && who.iter().any(|name| name.get_ref() == client)
            };
            instance.peers.iter().any(to)
        };
        self.instances.iter().filter(|(_, instance)| opens(instance)).map(|(name, _)| name.as_str()).collect()
    }

    /// What is wrong with the fleet, given the recipes of its images.
    pub fn check(&self, images: &Images) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (name, instance) in &self.instances {
            let Some(folded) = images.0.get(instance.image.get_ref()) else {
                problems.push(self.unknown_image(instance, images));
                continue;
            };
            let Some(folded) = folded else { continue };
            if folded.purpose != Purpose::Image {
                let problem = Problem::error(format!("`{}` is no image", instance.image.get_ref()));
                let problem = problem.at(self.place_of(&instance.image), "of another purpose");
                problems.push(problem.help("name one that is built: `goldsmith list` shows them"));
                continue;
            }
            if let Some(wall) = &folded.recipe.firewall {
                let peers = wall.peers().into_iter().map(|(peer, ports)| (peer, listed(&ports))).collect();
                let reached = wall.destinations().into_iter().map(|(to, ports)| (to, listed(&ports))).collect();
                problems.extend(self.names(name, &instance.peers, ("peers", &peers)));
                problems.extend(self.names(name, &instance.egress, ("egress", &reached)));
            }
            problems.extend(self.targets_of(instance, &folded.recipe));
        }
        // Whoever is named wrongly has no database either: that is one mistake, not two.
        if problems.is_empty() {
            problems.extend(self.instances.keys().filter_map(|name| self.database_of(name, images)));
        }
        problems.sort_by_key(Problem::line_and_column);
        problems
    }

    fn unknown_image(&self, instance: &Instance, images: &Images) -> Problem {
        let image = instance.image.get_ref();
        let problem =
            Problem::error(format!("there is no recipe `{image}`")).at(self.place_of(&instance.image), "unknown image");
        let known = images.0.keys().map(String::as_str);
        problem.help(format!("write recipes/{image}.toml")).maybe_help(did_you_mean(image, known))
    }

    /// Whether `who` has exactly the names that the image declares, each with its ports.
    fn names(&self, name: &str, who: &Names, (key, declared): (&str, &BTreeMap<&str, String>)) -> Vec<Problem> {
        let mut problems = Vec::new();
        let Some(instance) = self.instances.get(name) else { return problems };
        let image = instance.image.get_ref();
        let (one, opens) = if key == "peers" { ("peer", "opens") } else { ("destination", "may reach") };
        for said in who.keys() {
            if !declared.contains_key(said.get_ref().as_str()) {
                let known = declared.keys().copied();
                let all = match declared.is_empty() {
                    true => format!("remove it: recipes/{image}.toml names none"),
                    false => format!("it has {}", known.clone().collect::<Vec<_>>().join(", ")),
                };
                let problem = Problem::error(format!("the image `{image}` has no {one} `{}`", said.get_ref()));
                let problem = problem.at(self.at(said.span()), format!("unknown {one}"));
                problems.push(problem.help(all).maybe_help(did_you_mean(said.get_ref(), known)));
            }
        }
        for (missing, ports) in declared.iter().filter(|(declared, _)| !who.contains_key(**declared)) {
            let message = match key {
                "peers" => format!("`{image}` {opens} {ports} to `{missing}`, and `{name}` does not say who that is"),
                _ => format!("`{image}` {opens} `{missing}` at {ports}, and `{name}` does not say who that is"),
            };
            let help = format!("add `{key}.{missing} = [\"NAME\"]` to it, or `[]` for nobody");
            problems.push(self.problem_at(name, Problem::error(message)).help(help));
        }
        problems
    }

    /// An API has one database, and one that it may reach.
    fn database_of(&self, name: &str, images: &Images) -> Option<Problem> {
        let instance = self.instances.get(name)?;
        let databases = self.databases_of(name, images);
        let wants = images.wants_database(instance.image.get_ref());
        let message = match (&self.database.elsewhere, databases.as_slice()) {
            (None, []) if wants => format!("`{name}` has no database: no instance of one names it as its peer"),
            (None, [first, second, ..]) => format!("`{name}` has two databases: `{first}` and `{second}`"),
            (Some((host, ..)), [first, ..]) => format!("`{name}` has two databases: `{first}` and {host}"),
            _ => return None,
        };
        let help = match databases.is_empty() {
            true => "name it in the `peers` of the database; or say in [database] where one is that somebody else runs",
            false => "let one of them name it",
        };
        Some(self.problem_at(name, Problem::error(message)).help(help))
    }

    /// The image has a disk for wherever the fleet runs.
    fn targets_of(&self, instance: &Instance, recipe: &Recipe) -> Option<Problem> {
        let missing = self.targets.iter().find(|target| !recipe.image.targets.contains(target))?;
        let image = instance.image.get_ref();
        let problem =
            Problem::error(format!("the image `{image}` has no disk for {}", super::hand_off::word(*missing)));
        let problem = problem.at(self.place_of(&instance.image), "not made for it");
        Some(problem.help(format!("add it to `targets` in [image] of recipes/{image}.toml")))
    }
}

/// `22, 3306`.
fn listed(ports: &[(Protocol, Ports)]) -> String {
    let sorted: BTreeSet<Ports> = ports.iter().map(|(_, ports)| *ports).collect();
    sorted.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
