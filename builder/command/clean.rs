//! `goldsmith clean`

use std::io::Write;
use std::{fs, io};

use anyhow::Context;
use clap::Args;

use super::images;
use crate::recipe::project::Project;

/// Remove what was built: images/NAME/. Recipes, locks and the store stay.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  goldsmith clean api")]
pub struct Clean {
    /// Which; default: every recipe for an image.
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
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
        Ok(())
    }
}
