//! `goldsmith check`

mod target;

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::{print_json, tell_problems};
use crate::fleet;
use crate::overlay::Overlay;
use crate::recipe::Target;
use crate::recipe::file::Purpose;
use crate::recipe::fold::Folded;
use crate::recipe::problem::{Problem, did_you_mean};
use crate::recipe::project::{Mistakes, Project, ProjectError};
use crate::verify::checks;

/// Read every recipe, overlay and fleet, and say what is wrong.
///
/// Every mistake is shown with its file, line and column and with what to do about it. Nothing is fetched or changed.
///
/// With --target, images are held against the import rules of a cloud instead: what the recipe says of its disk and, where
/// it is built, what is in the image.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  goldsmith check --deny-warnings   # in CI\n  \
                        goldsmith check --target alibaba  # before an upload")]
pub struct Check {
    /// With --target: which images; default: all.
    #[arg(value_name = "IMAGE", requires = "target")]
    images: Vec<String>,
    /// Hold images against what this cloud or hypervisor takes.
    #[arg(long, value_parser = targets(), conflicts_with = "deny_warnings")]
    target: Option<Target>,
    /// With --target: where the images lie, as NAME/; default: images/ of the project.
    #[arg(short, long, value_name = "DIR", requires = "target")]
    output: Option<PathBuf>,
    /// Fail on warnings too.
    #[arg(long)]
    deny_warnings: bool,
    /// Print the mistakes as JSON: severity, message, file, line, column, help.
    #[arg(long)]
    json: bool,
}

impl Check {
    pub fn run(self, project: &Project, out: &mut dyn Write) -> anyhow::Result<()> {
        if let Some(target) = self.target {
            let root = self.output.unwrap_or_else(|| project.root().join("images"));
            let judgements = target::judgements(project, &root, (target, &self.images))?;
            return target::tell(&judgements, self.json, out);
        }
        let mut found = Found::default();
        let mut recipes = Vec::new();
        let names: Vec<String> = project.recipe_texts()?.into_keys().collect();
        for name in &names {
            match project.load(name) {
                Ok(folded) => {
                    found.add(folded.warnings.clone());
                    found.add(excuses_of_nothing(&folded));
                    found.add(toothless(&folded));
                    recipes.push(folded);
                }
                Err(ProjectError::Mistakes(Mistakes(problems))) => found.add(problems),
                Err(other) => return Err(other.into()),
            }
        }
        let overlays = project.overlays()?;
        for name in &overlays {
            match Overlay::load(&project.overlay(name)) {
                Ok(overlay) => {
                    found.add(overlay.warnings.clone());
                    for recipe in users(&recipes, name) {
                        found.add(overlay.unasked(&recipe.recipe));
                    }
                }
                Err(problems) => found.add(problems),
            }
        }
        let fleets = project.fleet_texts()?;
        if !fleets.is_empty() {
            let images = super::fleet::recipes(project)?;
            for (name, text) in &fleets {
                match fleet::parse(text, &format!("recipes/{name}.toml")) {
                    Ok(fleet) => found.add(fleet.check(&images)),
                    Err(problems) => found.add(problems),
                }
            }
        }
        let mut read = counted(names.len(), "recipe");
        if !fleets.is_empty() {
            read += &format!(", {}", counted(fleets.len(), "fleet"));
        }
        let read = format!("{read} and {}", counted(overlays.len(), "overlay"));
        let Found(problems) = found;
        match self.json {
            true => print_json(out, &problems)?,
            false => tell_problems(&problems),
        }
        let errors = problems.iter().filter(|problem| problem.is_error()).count();
        let warnings = problems.len() - errors;
        let count = format!("{} and {} in {read}", counted(errors, "error"), counted(warnings, "warning"));
        if errors > 0 || (self.deny_warnings && warnings > 0) {
            anyhow::bail!(count);
        }
        if !self.json {
            writeln!(out, "{}", if warnings > 0 { count } else { format!("{read}: nothing is wrong") })?;
        }
        Ok(())
    }
}

/// Targets, by their names in recipes.
pub(super) fn targets() -> impl TypedValueParser<Value = Target> {
    let named = |name: &str| Target::ALL.into_iter().find(|target| target.name() == name);
    PossibleValuesParser::new(Target::ALL.map(Target::name))
        .try_map(move |name| named(&name).ok_or_else(|| format!("there is no target `{name}`")))
}

/// Exceptions from checks that do not exist, which excuse nothing: `audit` refuses them, and would say so only after a build.
fn excuses_of_nothing(folded: &Folded) -> Vec<Problem> {
    let known = || checks::all().map(|check| check.id);
    let made = folded.recipe.exceptions.iter().zip(&folded.exception_places);
    made.filter(|(exception, _)| !known().any(|id| id == exception.check))
        .map(|(exception, place)| {
            let help = did_you_mean(&exception.check, known());
            Problem::error(format!("there is no check `{}`", exception.check))
                .at(place.clone(), "")
                .help(help.unwrap_or_else(|| "`goldsmith audit --list` shows them all".to_owned()))
        })
        .collect()
}

/// What an image says and nothing in it does, for lack of a package.
fn toothless(folded: &Folded) -> Vec<Problem> {
    let recipe = &folded.recipe;
    let asks = |package: &str| {
        let alternatives = recipe.packages.iter().flat_map(|wanted| wanted.relation.split('|'));
        alternatives.filter_map(|one| one.split_whitespace().next()).any(|name| name == package)
    };
    // A parent may leave to its children what they need.
    let image = folded.purpose == Purpose::Image;
    let wishes = [
        (
            recipe.firewall.is_some(),
            "[firewall]",
            "iptables-persistent",
            "its rules are never loaded: everything is open",
        ),
        (!recipe.fail2ban.jails.is_empty(), "[fail2ban]", "fail2ban", "nobody is ever banned"),
    ];
    let idle = wishes.into_iter().filter(|(said, _, package, _)| image && *said && !asks(package));
    idle.map(|(_, table, package, outcome)| {
        let message = format!("`{}` has a {table}, and does not ask for `{package}`: {outcome}", recipe.name);
        Problem::warning(message).help(format!("add `{package}` to its packages, or take the {table} out"))
    })
    .collect()
}

/// `1 recipe`, `2 recipes`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// The recipes that lay the overlay `name`, but those whose parent does: what is said of the parent need not be repeated.
fn users<'a>(recipes: &'a [Folded], name: &str) -> impl Iterator<Item = &'a Folded> {
    let lays = move |folded: &Folded, name: &str| folded.recipe.overlays.iter().any(|overlay| overlay == name);
    let name = name.to_owned();
    recipes.iter().filter(move |folded| {
        let parent = folded.lineage.get(1).and_then(|parent| recipes.iter().find(|one| one.recipe.name == *parent));
        lays(folded, &name) && !parent.is_some_and(|parent| lays(parent, &name))
    })
}

/// All problems, each once: those of a parent are met again with each of its children.
#[derive(Default)]
struct Found(Vec<Problem>);

impl Found {
    fn add(&mut self, problems: Vec<Problem>) {
        for problem in problems {
            if !self.0.contains(&problem) {
                self.0.push(problem);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// `check` without arguments.
    fn nothing() -> Check {
        Check { images: Vec::new(), target: None, output: None, deny_warnings: false, json: false }
    }

    /// What `check --json` prints in a project of these files, and whether it fails.
    fn checked(files: &[(&str, &str)], deny_warnings: bool) -> (serde_json::Value, Option<String>) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let mut out = Vec::new();
        let project = Project::find(folder.path()).unwrap();
        let failed = Check { deny_warnings, json: true, ..nothing() }
            .run(&project, &mut out)
            .err()
            .map(|error| error.to_string());
        (serde_json::from_slice(&out).unwrap(), failed)
    }

    const BASE: (&str, &str) = ("recipes/base.toml", "suite = \"trixie\"\noverlays = [\"base\"]\n");
    const API: (&str, &str) = ("recipes/api.toml", "from = \"base\"\n");
    const OVERLAY: (&str, &str) = ("overlays/base/overlay.toml", "description = \"x\"\n");

    #[test]
    fn a_project_without_mistakes_prints_none() {
        assert_eq!(checked(&[BASE, API, OVERLAY], true), (serde_json::json!([]), None));
    }

    #[test]
    fn a_mistake_of_a_parent_is_said_once_and_fails() {
        let base = (BASE.0, "suite = \"trixy\"");
        let (problems, failed) = checked(&[base, API], false);
        let expected = serde_json::json!([{
            "severity": "error", "message": "there is no Debian release `trixy`", "file": "recipes/base.toml",
            "line": 1, "column": 9, "help": "did you mean `trixie`?",
        }]);
        assert_eq!(problems, expected);
        assert_eq!(failed.as_deref(), Some("1 error and 0 warnings in 2 recipes and 0 overlays"));
    }

    #[test]
    fn what_an_overlay_requires_and_no_recipe_asks_for_is_a_warning_for_the_recipe_that_lays_it() {
        let overlay = (OVERLAY.0, "requires = [\"openssh-server\"]");
        let (problems, failed) = checked(&[BASE, API, overlay], false);
        assert_eq!(
            problems[0]["message"],
            "the overlay `base` requires `openssh-server`, and `base` does not ask for it"
        );
        assert_eq!((problems.as_array().unwrap().len(), failed), (1, None));
        assert!(checked(&[BASE, API, overlay], true).1.is_some());
    }

    #[test]
    fn an_exception_from_a_check_that_does_not_exist_is_an_error_where_it_is_made() {
        let text = "suite = \"trixie\"\n[[exception]]\ncheck = \"file-setuid\"\nreason = \"x\"\n";
        let (problems, failed) = checked(&[("recipes/api.toml", text)], false);
        assert_eq!(problems[0]["message"], "there is no check `file-setuid`");
        assert_eq!((&problems[0]["line"], &problems[0]["help"]), (&3.into(), &"did you mean `files-setuid`?".into()));
        assert!(failed.is_some());
    }

    #[test]
    fn a_firewall_that_nothing_loads_and_jails_that_nobody_keeps_are_warnings() {
        let text = "suite = \"trixie\"\n[firewall.egress]\npolicy = \"listed\"\n\
                    [fail2ban.jails.sshd]\njournal = \"_COMM=sshd\"\nports = [22]\n\
                    samples = [\"Nov 22 10:15:01 a sshd[8]: x from 203.0.113.9\"]\n";
        let said = |packages: &str| {
            let text = format!("packages = [{packages}]\n{text}");
            let (problems, _) = checked(&[("recipes/api.toml", &text)], false);
            let messages = problems.as_array().unwrap().iter().map(|problem| problem["message"].to_string());
            messages.filter(|message| message.contains("does not ask for")).count()
        };
        assert_eq!(said(""), 2);
        assert_eq!(said("\"iptables-persistent\", \"fail2ban\""), 0);
    }

    #[test]
    fn this_project_is_without_mistakes() {
        let project = Project::find(std::path::Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        let mut out = Vec::new();
        Check { deny_warnings: true, ..nothing() }.run(&project, &mut out).unwrap();
    }
}
