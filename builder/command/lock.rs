//! `goldsmith lock`

pub(super) mod answers;

use std::io::Write;

use clap::Args;

use super::{images, load_recipe, print_json};
use crate::mirror::{Mirror, Options};
use crate::progress::Progress;
use crate::recipe::Recipe;
use crate::recipe::file::Purpose;
use crate::recipe::project::Project;
use crate::store::Store;
use answers::{Ask, Keep};

/// Resolve recipes against the archive, and write images/NAME.lock.
///
/// The archive's signature is verified, its packages are chosen, and each is written down with its version and digest. What
/// is locked and still satisfies the recipe stays as it is, unless --update asks for what the archive has now. Nothing is
/// built without a lock.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  goldsmith lock api            # writes images/api.lock\n  goldsmith lock --update       # moves all locks forward"
)]
pub struct Lock {
    /// Which images; default: all, and the toolbox's.
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
    /// Keep nothing of the locks that are there: take the newest versions that the archives have.
    #[arg(long)]
    update: bool,
    #[command(flatten)]
    archives: Archives,
    /// Print what was locked as JSON.
    #[arg(long)]
    json: bool,
}

// How archives are asked, by whoever asks them what they have now. (A doc comment would become that of the verb.)
#[derive(Debug, Args)]
pub(super) struct Archives {
    /// Accept Release files that are no longer valid: of a mirror that lags behind.
    #[arg(long, env = "GOLDSMITH_ALLOW_STALE", value_parser = clap::builder::BoolishValueParser::new())]
    pub allow_stale: bool,
    /// Take Debian's archives from here instead (`debian` and `debian-security` are looked for below it).
    #[arg(long, value_name = "URL", env = "GOLDSMITH_MIRROR")]
    pub mirror: Option<String>,
}

impl Lock {
    pub fn run(self, project: &Project, progress: &Progress, out: &mut dyn Write) -> anyhow::Result<()> {
        let recipes = recipes(project, &self.images)?;
        let store = Store::open_default()?.reporting(progress);
        let mirror = Mirror::discover(&Options::from_environment(self.archives.mirror.clone()), &store, progress)?;
        let ask = Ask { project, mirror: &mirror, allow_stale: self.archives.allow_stale, progress };
        let answers = ask.answers(&recipes, if self.update { Keep::Nothing } else { Keep::Satisfying })?;
        for answer in &answers {
            answer.lock.save(&project.lock(&answer.lock.image))?;
        }
        if self.json {
            return print_json(out, &answers.iter().map(|answer| &answer.lock).collect::<Vec<_>>());
        }
        for answer in &answers {
            let (lock, path) = (&answer.lock, project.lock(&answer.lock.image));
            let path = path.strip_prefix(project.root()).unwrap_or(&path);
            let size = lock.packages.iter().map(|package| package.size).sum();
            let (count, size) = (lock.packages.len(), crate::progress::bytes(size));
            writeln!(out, "{}: {count} packages, {size}, as of {}", path.display(), lock.epoch.rfc3339())?;
        }
        Ok(())
    }
}

/// Of the images that are named; without a name of all, and of the toolbox.
pub(super) fn recipes(project: &Project, named: &[String]) -> anyhow::Result<Vec<Recipe>> {
    let mut names = images(project, named)?;
    if named.is_empty() {
        names.extend(project.names(Purpose::Toolbox)?);
    }
    names.iter().map(|name| load_recipe(project, name)).collect()
}
