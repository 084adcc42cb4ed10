//! `goldsmith fetch`

use std::io::Write;

use clap::Args;

use super::{NoLock, images};
use crate::lock::file::Lock;
use crate::mirror::{Download, Mirror, Options};
use crate::progress::{Progress, bytes};
use crate::recipe::Recipe;
use crate::recipe::project::Project;
use crate::store::{Blob, Store};

/// Fill the store with every package of a lock, so that building works offline.
///
/// Each is verified by the digest in the lock while it is written. What is there already is not asked for again, and a
/// transfer that was cut off goes on where it stopped.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  goldsmith fetch && goldsmith build --offline")]
pub struct Fetch {
    /// Which images; default: all.
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
    /// Take Debian's archives from here instead (`debian` and `debian-security` are looked for below it).
    #[arg(long, value_name = "URL", env = "GOLDSMITH_MIRROR")]
    mirror: Option<String>,
    /// How many transfers at a time.
    #[arg(short, long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
}

impl Fetch {
    pub fn run(self, project: &Project, progress: &Progress, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut downloads = Vec::new();
        for name in images(project, &self.images)? {
            let recipe = project.load(&name)?.recipe;
            downloads.extend(of_lock(&recipe, &NoLock::or_load(project, &name)?)?);
        }
        let store = Store::open_default()?.reporting(progress);
        let options = Options { threads: usize::from(self.jobs), ..Options::from_environment(self.mirror) };
        let fetched = Mirror::discover(&options, &store, progress)?.fetch(&downloads)?;
        let size = bytes(fetched.bytes);
        writeln!(out, "{} packages fetched, {size}; {} were there already", fetched.files, fetched.present)?;
        Ok(())
    }
}

/// What a lock needs, and where it is found.
///
/// # Errors
/// The lock names an archive that the recipe does not have any more.
pub(super) fn of_lock(recipe: &Recipe, lock: &Lock) -> anyhow::Result<Vec<Download>> {
    let download = |package: &crate::lock::file::Locked| {
        let archive = recipe.archives.iter().find(|archive| archive.name == package.archive).ok_or_else(|| {
            let (name, from) = (&package.name, &package.archive);
            anyhow::anyhow!(
                "{name} is locked from the archive `{from}`, which recipes/{recipe}.toml does not name\n\
                 help: `goldsmith lock {recipe}` answers the recipe as it is now",
                recipe = recipe.name
            )
        })?;
        Ok(Download {
            name: format!("{} {}", package.name, package.version),
            archive: archive.uri.clone(),
            path: package.path.clone(),
            blob: Blob { digest: package.sha256, size: package.size },
        })
    };
    lock.packages.iter().map(download).collect()
}
