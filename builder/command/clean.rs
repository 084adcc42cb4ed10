//! `goldsmith clean`

use std::io::Write;
use std::{fs, io};

use anyhow::Context;
use clap::Args;

use super::images;
use crate::progress::bytes;
use crate::recipe::project::Project;
use crate::sandbox::Namespace;
use crate::store::Store;

/// Remove what was built: images/NAME/. Recipes and locks stay, and so does the store unless --store is given.
///
/// With --store nothing of Goldsmith stays on this machine but the project: packages, trees (those of `build --keep` too) and
/// layers go as well, which all projects of this user share. The next build fetches and makes them again.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  goldsmith clean api\n  goldsmith clean --store")]
pub struct Clean {
    /// Which images; default: all.
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
    /// Remove also the store (GOLDSMITH_CACHE, else ~/.cache/goldsmith), with everything that is kept in it.
    #[arg(long)]
    store: bool,
}

impl Clean {
    pub fn run(self, project: &Project, out: &mut dyn Write) -> anyhow::Result<()> {
        for image in images(project, &self.images)? {
            let folder = project.image(&image);
            match fs::remove_dir_all(&folder) {
                Ok(()) => writeln!(out, "removed {}", folder.display())?,
                Err(why) if why.kind() == io::ErrorKind::NotFound => {}
                Err(why) => return Err(why).with_context(|| format!("cannot remove {}", folder.display())),
            }
        }
        if !self.store {
            return Ok(());
        }
        let Some(store) = Store::find_default()? else { return Ok(()) };
        // Who made the trees can enter a namespace; without trees nobody has to.
        if store.has_trees() {
            Namespace::enter()?;
        }
        let root = store.root().to_owned();
        let freed = store.remove()?;
        Ok(writeln!(out, "removed {}, {}", root.display(), bytes(freed))?)
    }
}
