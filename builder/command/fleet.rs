//! `goldsmith fleet`
//!
//! ```text
//! recipes/vpc.toml ──init──▶ secrets/vpc.json      the authority, certificates, a password: once, and what is missing later
//!                  ──rotate─▶ secrets/vpc.json     all of it anew but the authority
//!                  ──plan──▶ standard output       what would be launched; with --terraform for a cloud's provider
//! ```

mod plan;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use anyhow::Context;
use clap::{Args, Subcommand};

use super::Usage;
use crate::digest::Digest;
use crate::fleet::authority::{self, Day};
use crate::fleet::secrets::Secrets;
use crate::fleet::{self, Images};
use crate::recipe::problem::{Problem, did_you_mean};
use crate::recipe::project::{Mistakes, Project, ProjectError};

/// Give a fleet its secrets, or see what would be launched.
///
/// A fleet is a file of recipes/ with `purpose = "fleet"`: the machines of a private network, and who reaches whom.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  goldsmith fleet init       # once: secrets/vpc.json\n  goldsmith fleet plan\n  \
                        goldsmith fleet plan --terraform alibaba > main.tf.json")]
pub struct Fleet {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Init(Init),
    Rotate(Rotate),
    Plan(plan::Plan),
}

/// Make the authority, certificates and passwords that a fleet lacks, and keep those that it has.
#[derive(Debug, Args)]
struct Init {
    /// Which. Default: the only one.
    #[arg(value_name = "FLEET")]
    fleet: Option<String>,
}

/// Make all certificates and passwords anew; the instances have them once they have started with their new bundles.
#[derive(Debug, Args)]
struct Rotate {
    /// Which. Default: the only one.
    #[arg(value_name = "FLEET")]
    fleet: Option<String>,
    /// The authority too: until all have started again, they do not believe one another.
    #[arg(long)]
    authority: bool,
}

impl Fleet {
    pub fn run(self, project: &Project, out: &mut dyn Write) -> anyhow::Result<()> {
        match self.what {
            What::Init(Init { fleet }) => {
                let loaded = Loaded::of(project, fleet.as_deref())?;
                let kept = loaded.secrets.as_ref();
                renew(project, &loaded, kept, out)
            }
            What::Rotate(Rotate { fleet, authority }) => {
                let loaded = Loaded::of(project, fleet.as_deref())?;
                let Some(secrets) = &loaded.secrets else { return Err(no_secrets(project, &loaded.fleet.name).into()) };
                let emptied = Secrets { instances: BTreeMap::new(), ..secrets.clone() };
                let kept = Secrets { database_password: authority::password()?, ..emptied };
                renew(project, &loaded, (!authority).then_some(&kept), out)
            }
            What::Plan(plan) => plan.run(project, out),
        }
    }
}

fn no_secrets(project: &Project, fleet: &str) -> Usage {
    let message = format!("there is no {}", project.secrets(fleet).display());
    Usage { message, help: Some("`goldsmith fleet init` makes it".to_owned()) }
}

/// Writes the secrets of a fleet: of `kept` what still fits, and new ones for the rest.
fn renew(project: &Project, loaded: &Loaded, kept: Option<&Secrets>, out: &mut dyn Write) -> anyhow::Result<()> {
    let fleet = &loaded.fleet;
    let secrets = Secrets::renewed(fleet, &loaded.images, kept, today())?;
    let path = project.secrets(&fleet.name);
    write(&path, &secrets)?;
    for (name, pair) in &secrets.instances {
        let is_kept = kept.is_some_and(|kept| kept.instances.get(name) == Some(pair));
        let state = if is_kept { "kept" } else { "new" };
        writeln!(out, "{name}: {state} certificate for {}, until {}", pair.names.join(", "), pair.until)?;
    }
    writeln!(out, "{}: for your eyes only; whoever has it is your database's and your API's equal", path.display())?;
    Ok(())
}

/// The day on which a certificate's life begins.
#[expect(
    clippy::disallowed_methods,
    reason = "a certificate lives from now on; what is made of it is the same each time"
)]
pub(super) fn today() -> Day {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// The file, whole or not at all, readable to its owner alone, in a folder that git does not look into.
fn write(path: &Path, secrets: &Secrets) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let failed = || format!("cannot write {}", path.display());
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(failed)?;
    let ignore = folder.join(".gitignore");
    if !ignore.exists() {
        fs::write(&ignore, "# Secrets of fleets (`goldsmith fleet init`): nothing here is for a repository.\n*\n")
            .with_context(failed)?;
    }
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
    file.write_all(secrets.to_text().as_bytes()).and_then(|()| file.as_file().sync_all()).with_context(failed)?;
    file.persist(path).map_err(|error| error.error).with_context(failed)?;
    Ok(())
}

/// A fleet that has no mistakes, the recipes of its images, and its secrets if it has any.
pub(super) struct Loaded {
    pub fleet: fleet::Fleet,
    pub images: Images,
    pub secrets: Option<Secrets>,
}

impl Loaded {
    /// The fleet `name`, or the only one.
    pub(super) fn of(project: &Project, name: Option<&str>) -> anyhow::Result<Self> {
        let texts = project.fleet_texts()?;
        let (name, text) = match name {
            Some(name) => texts.get_key_value(name).ok_or_else(|| {
                let help = did_you_mean(name, texts.keys().map(String::as_str));
                Usage { message: format!("there is no fleet `{name}`"), help }
            })?,
            None if texts.len() == 1 => texts.first_key_value().ok_or_else(|| none(project))?,
            None if texts.is_empty() => return Err(none(project).into()),
            None => {
                let known = texts.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                let message = format!("this project has several fleets: {known}");
                return Err(Usage { message, help: Some("name one of them".to_owned()) }.into());
            }
        };
        let fleet = fleet::parse(text, &format!("recipes/{name}.toml")).map_err(Mistakes)?;
        let images = recipes(project)?;
        let problems = fleet.check(&images);
        if problems.iter().any(Problem::is_error) {
            return Err(Mistakes(problems).into());
        }
        let secrets = read_secrets(&project.secrets(name))?;
        Ok(Self { fleet, images, secrets })
    }

    /// The text of each file that the fleet names.
    pub(super) fn files(&self, project: &Project) -> Result<BTreeMap<String, String>, Mistakes> {
        let (mut texts, mut problems) = (BTreeMap::new(), Vec::new());
        for file in self.fleet.files() {
            let path = file.get_ref();
            match fs::read_to_string(project.root().join(path)) {
                Ok(text) => drop(texts.insert(path.clone(), text)),
                Err(why) => {
                    let problem = Problem::error(format!("cannot read {path}: {why}"));
                    let help = match why.kind() == io::ErrorKind::NotFound && path.ends_with(".pub") {
                        true => format!(
                            "put the public keys of those who may log in there: `cp ~/.ssh/id_ed25519.pub {path}`"
                        ),
                        false => "put it there".to_owned(),
                    };
                    problems.push(problem.at(self.fleet.place_of(file), "this file").help(help));
                }
            }
        }
        if problems.is_empty() { Ok(texts) } else { Err(Mistakes(problems)) }
    }

    /// What each image of the fleet knows itself by, as it is locked.
    pub(super) fn plans(&self, project: &Project) -> anyhow::Result<BTreeMap<String, Digest>> {
        let mut plans = BTreeMap::new();
        for instance in self.fleet.instances.values() {
            let image = instance.image.get_ref();
            if !plans.contains_key(image) {
                let id = super::build::plan(project, image)?.image_id;
                plans.extend(id.map(|id| (image.clone(), id)));
            }
        }
        Ok(plans)
    }
}

fn none(project: &Project) -> Usage {
    let message = format!("there is no fleet in {}", project.root().join("recipes").display());
    Usage { message, help: Some("write recipes/vpc.toml, with `purpose = \"fleet\"`".to_owned()) }
}

/// The recipes of a project; those with mistakes are known by their names alone.
pub(super) fn recipes(project: &Project) -> Result<Images, ProjectError> {
    let mut images = BTreeMap::new();
    for name in project.recipe_texts()?.into_keys() {
        let folded = match project.load(&name) {
            Ok(folded) => Some(folded),
            Err(ProjectError::Mistakes(_)) => None,
            Err(other) => return Err(other),
        };
        images.insert(name, folded);
    }
    Ok(Images(images))
}

/// The secrets in a file, if there is one, and if nobody else can read it.
fn read_secrets(path: &Path) -> anyhow::Result<Option<Secrets>> {
    let text = match fs::read_to_string(path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let mode = fs::metadata(path)?.permissions().mode();
    if mode & 0o077 != 0 {
        let message = format!("others than you can read {}", path.display());
        let help = format!("`chmod 600 {0}`; if somebody has, `goldsmith fleet rotate --authority`", path.display());
        return Err(Usage { message, help: Some(help) }.into());
    }
    Ok(Some(Secrets::parse(&text, &path.display().to_string())?))
}
