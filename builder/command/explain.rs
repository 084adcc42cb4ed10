//! `goldsmith explain`
//!
//! ```text
//! port 3306 ──▶ the rules that let it in, or nobody ──┐
//! file PATH ──▶ the overlay that laid it, the package ├─▶ the line of the recipe that asked for it
//! package P ──▶ who depends on it, up to who asked  ──┘
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io::{Read, Write};
use std::path::Path;

use anyhow::Context;
use clap::{Args, Subcommand};

use super::build::plan;
use super::{NoLock, Usage, images};
use crate::image::read;
use crate::lock::file::Lock;
use crate::overlay::{Laid, LaidKind};
use crate::recipe::Recipe;
use crate::recipe::firewall::{Accept, Destination, Egress, Ports, Source};
use crate::recipe::problem::{Place, did_you_mean};
use crate::recipe::project::Project;

/// Say why something is in an image, or open: back to the line of the recipe that asked for it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  goldsmith explain port 3306\n  goldsmith explain file /etc/ssh/sshd_config\n  \
                        goldsmith explain package libssl3t64 --image db")]
pub struct Explain {
    #[command(subcommand)]
    what: What,
    /// In which image; default: all. Can be given several times.
    #[arg(long = "image", value_name = "IMAGE", global = true)]
    images: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Who may reach a port, and whom the image reaches at that port.
    Port {
        /// The port; of TCP, unless it ends with `/udp`.
        #[arg(value_name = "PORT[/udp]", value_parser = port)]
        port: (u16, bool),
    },
    /// Where a file comes from.
    File {
        /// Its path in the image.
        #[arg(value_name = "PATH")]
        path: String,
    },
    /// Who asked for a package.
    Package {
        /// Its name.
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// `3306`, `53/udp`.
fn port(text: &str) -> Result<(u16, bool), String> {
    let (number, is_udp) = match text.split_once('/') {
        None | Some((_, "tcp")) => (text.split('/').next().unwrap_or(text), false),
        Some((number, "udp")) => (number, true),
        Some(_) => return Err("it is PORT, PORT/tcp or PORT/udp".to_owned()),
    };
    match number.parse() {
        Ok(port) if port > 0 => Ok((port, is_udp)),
        _ => Err("a port is a number from 1 to 65535".to_owned()),
    }
}

impl Explain {
    pub fn run(self, project: &Project, out: &mut dyn Write) -> anyhow::Result<()> {
        let names = images(project, &self.images)?;
        let mut found = false;
        for image in &names {
            let folded = project.load(image)?;
            let places = folded.recipe.overlays.iter().zip(&folded.overlay_places).collect();
            let one = Image { project, recipe: &folded.recipe, lineage: &folded.lineage, places };
            found |= match &self.what {
                What::Port { port } => one.port(*port, out)?,
                What::File { path } => one.file(path.trim_start_matches('/'), out)?,
                What::Package { name } => one.package(name, out)?,
            };
        }
        let missing = match &self.what {
            _ if found => return Ok(()),
            What::Port { .. } => return Ok(()),
            What::File { path } => format!("there is no /{} in {}", path.trim_start_matches('/'), names.join(", ")),
            What::Package { name } => {
                let locks = names.iter().map(|image| NoLock::or_load(project, image)).collect::<Result<Vec<_>, _>>()?;
                let known = locks.iter().flat_map(|lock| &lock.packages).map(|package| package.name.as_str());
                let message = format!("there is no package {name} in the locks of {}", names.join(", "));
                return Err(Usage { message, help: did_you_mean(name, known) }.into());
            }
        };
        Err(Usage { message: missing, help: None }.into())
    }
}

/// An image that is asked about.
struct Image<'a> {
    project: &'a Project,
    recipe: &'a Recipe,
    lineage: &'a [String],
    /// Where each overlay is asked for.
    places: Vec<(&'a String, &'a Place)>,
}

impl Image<'_> {
    /// `recipes/db.toml:23`: the first line of a recipe of the lineage that `is_it`.
    fn line(&self, recipe: Option<&str>, is_it: impl Fn(&str) -> bool) -> Option<String> {
        let all = self.lineage.iter().filter(|name| recipe.is_none_or(|only| only == name.as_str()));
        all.into_iter().find_map(|name| {
            let text = fs::read_to_string(self.project.recipe(name)).ok()?;
            let number = text.lines().position(|line| is_it(line.split('#').next().unwrap_or(line).trim()))?;
            Some(format!("recipes/{name}.toml:{}", number + 1))
        })
    }

    /// Where the rule `name` of a `table` of the firewall is: two tables may have one of the same name.
    fn rule(&self, table: &str, name: &str) -> String {
        let (wanted, header) = (format!("name = \"{name}\""), format!("[[firewall.{table}]]"));
        let inside = std::cell::Cell::new(false);
        let is_it = |line: &str| {
            if line.starts_with('[') {
                inside.set(line == header);
            }
            inside.get() && line == wanted
        };
        self.line(None, is_it).unwrap_or_else(|| "its recipe".to_owned())
    }

    fn port(&self, (port, is_udp): (u16, bool), out: &mut dyn Write) -> anyhow::Result<bool> {
        let Some(firewall) = &self.recipe.firewall else {
            writeln!(
                out,
                "{}: its recipe has no [firewall], so nothing keeps anybody from any port",
                self.recipe.name
            )?;
            return Ok(true);
        };
        let protocol = if is_udp { "udp" } else { "tcp" };
        let covers = |ports: &[Ports]| ports.iter().any(|one| (one.first..=one.last).contains(&port));
        let image = &self.recipe.name;
        let rules: Vec<&Accept> = firewall
            .accept
            .iter()
            .filter(|rule| rule.protocol.to_string() == protocol && covers(&rule.ports))
            .collect();
        for rule in &rules {
            let whom = match &rule.from {
                Source::Anywhere => "everybody".to_owned(),
                Source::Networks(networks) => networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
                Source::Peer(peer) => format!("the peer `{peer}`, whose addresses an instance is told"),
            };
            let rate = rule.rate.map_or_else(String::new, |rate| format!(", each source {rate} at most"));
            let (name, line) = (&rule.name, self.rule("accept", &rule.name));
            writeln!(out, "{image}: {protocol} {port} is open to {whom}{rate}\n  rule `{name}`, {line}")?;
        }
        if rules.is_empty() {
            writeln!(out, "{image}: {protocol} {port} is closed: no rule opens it, and what is not listed is dropped")?;
        }
        match &firewall.egress {
            Egress::Any => {
                writeln!(out, "{image}: {protocol} {port} of others is reached: the recipe lets out everything")?
            }
            Egress::Listed(allowed) => {
                let of = |rule: &&crate::recipe::firewall::Allow| {
                    rule.protocol.to_string() == protocol && covers(&rule.ports)
                };
                for rule in allowed.iter().filter(of) {
                    let whom = match &rule.to {
                        Destination::Anywhere => "everybody".to_owned(),
                        Destination::Networks(networks) => {
                            networks.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
                        }
                        Destination::Instance(name) => format!("`{name}`, whose addresses an instance is told"),
                    };
                    let (name, line) = (&rule.name, self.rule("egress.allow", &rule.name));
                    writeln!(out, "{image}: {protocol} {port} of {whom} is reached\n  rule `{name}`, {line}")?;
                }
            }
        }
        Ok(true)
    }

    fn package(&self, name: &str, out: &mut dyn Write) -> anyhow::Result<bool> {
        let lock = NoLock::or_load(self.project, &self.recipe.name)?;
        let Some(package) = lock.packages.iter().find(|package| package.name == name) else { return Ok(false) };
        let (image, version, archive) = (&self.recipe.name, &package.version, &package.archive);
        writeln!(out, "{image}: {name} {version} of {} from {archive}", package.source)?;
        for step in way(&lock, name) {
            match step.split_once(' ') {
                Some(("recipe", by)) => writeln!(out, "  asked for by {}", self.asked(by, name, &lock))?,
                Some((parent, how)) => writeln!(out, "  {parent} {how} it")?,
                None => writeln!(out, "  {step}: every Debian system has it")?,
            }
        }
        let more = package.because.len() - 1;
        if more > 0 {
            writeln!(out, "  and {more} others ask for it: `goldsmith show {image} --json`")?;
        }
        Ok(true)
    }

    /// The line of the recipe `by` that asks for what leads to `name`.
    fn asked(&self, by: &str, name: &str, lock: &Lock) -> String {
        let top = way(lock, name).iter().rev().find_map(|step| Some(step.split_once(' ')?.0.to_owned()));
        let mut names: BTreeSet<String> = BTreeSet::from([name.to_owned()]);
        names.extend(top.filter(|top| top != "recipe"));
        names.extend(way(lock, name).iter().filter_map(|step| Some(step.split_once(' ')?.0.to_owned())));
        let is_it = |line: &str| {
            let text = line.trim_end_matches(',');
            let relation = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
            relation.is_some_and(|relation| {
                relation.split('|').any(|one| one.split_whitespace().next().is_some_and(|word| names.contains(word)))
            })
        };
        self.line(Some(by), is_it).unwrap_or_else(|| format!("recipes/{by}.toml"))
    }

    fn file(&self, path: &str, out: &mut dyn Write) -> anyhow::Result<bool> {
        let (image, plan) = (&self.recipe.name, plan(self.project, &self.recipe.name)?);
        for overlay in plan.overlays.iter().rev() {
            let name = &overlay.name;
            if let Some(laid) = overlay.entries.get(path) {
                let there = format!("overlays/{name}/root/{path}");
                let there = if Path::new(&self.project.root().join(&there)).symlink_metadata().is_ok() {
                    there
                } else {
                    "the tables of the recipe ([firewall], [fail2ban])".to_owned()
                };
                writeln!(out, "{image}: /{path} is laid by the overlay `{name}`: {}, from {there}", shown(laid))?;
                if !laid.why.is_empty() {
                    writeln!(out, "  {}", laid.why)?;
                }
                if let Some((_, place)) = self.places.iter().find(|(asked, _)| *asked == name) {
                    writeln!(out, "  asked for by {}:{}", place.file(), place.line_and_column().0)?;
                }
                return Ok(true);
            }
            if let Some(why) = overlay.remove.get(path) {
                writeln!(out, "{image}: /{path} is taken away by the overlay `{name}`: {why}")?;
                return Ok(true);
            }
        }
        let layout = self.project.image(image).join("oci");
        anyhow::ensure!(
            layout.join("index.json").exists(),
            "no overlay of {image} lays /{path}, and there is no image to look into\nhelp: `goldsmith build {image}` makes it"
        );
        let rootfs = read::rootfs(&layout).with_context(|| format!("cannot read {}", layout.display()))?;
        if !rootfs.entries().contains_key(path) {
            return Ok(false);
        }
        let lists = rootfs.entries().keys().filter(|path| path.starts_with(INFO) && path.ends_with(".list"));
        for list in lists {
            let mut text = String::new();
            rootfs.open(list)?.read_to_string(&mut text)?;
            // Packages that know nothing of the merged /usr list /bin/x.
            let is_it = |line: &str| {
                let line = line.trim_start_matches('/');
                line == path || path.strip_prefix("usr/").is_some_and(|short| line == short)
            };
            if text.lines().any(is_it) {
                let package =
                    list.trim_start_matches(INFO).trim_end_matches(".list").split(':').next().unwrap_or_default();
                writeln!(out, "{image}: /{path} is of the package {package}")?;
                return self.package(package, out);
            }
        }
        writeln!(out, "{image}: /{path} was made by a maintainer script, when the packages were configured")?;
        Ok(true)
    }
}

/// Where dpkg's lists of files are.
const INFO: &str = "var/lib/dpkg/info/";

/// `a file 0644 root:root`.
fn shown(laid: &Laid) -> String {
    let kind = match &laid.kind {
        LaidKind::Directory => "a directory",
        LaidKind::File { .. } => "a file",
        LaidKind::Symlink { .. } => "a symbolic link",
    };
    format!("{kind} {:04o} {}:{}", laid.mode, laid.owner, laid.group)
}

/// The shortest way from a package to who asked for it, a reason each: `apache2-bin Depends`, `apache2 Depends`, `recipe api`.
fn way(lock: &Lock, name: &str) -> Vec<String> {
    let by_name: BTreeMap<&str, &Vec<String>> =
        lock.packages.iter().map(|package| (package.name.as_str(), &package.because)).collect();
    let mut came: BTreeMap<&str, Option<(&str, &str)>> = BTreeMap::from([(name, None)]);
    let mut next = VecDeque::from([name]);
    while let Some(package) = next.pop_front() {
        let reasons = by_name.get(package).map(|reasons| reasons.as_slice()).unwrap_or_default();
        let is_end = |reason: &&String| reason.starts_with("recipe ") || !reason.contains(' ');
        if let Some(end) = reasons.iter().find(is_end) {
            let mut way = vec![end.clone()];
            let mut at = package;
            while let Some((before, reason)) = came[at] {
                way.push(reason.to_owned());
                at = before;
            }
            way.reverse();
            return way;
        }
        for reason in reasons {
            let parent = reason.split(' ').next().unwrap_or_default();
            if by_name.contains_key(parent) && !came.contains_key(parent) {
                came.insert(parent, Some((package, reason)));
                next.push_back(parent);
            }
        }
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_has_a_protocol() {
        assert_eq!((port("22"), port("22/tcp"), port("53/udp")), (Ok((22, false)), Ok((22, false)), Ok((53, true))));
        for text in ["", "0", "70000", "22/sctp", "ssh"] {
            assert!(port(text).is_err(), "{text}");
        }
    }
}
