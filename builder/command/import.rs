//! `goldsmith import`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::build::plan;
use super::check::targets;
use super::{Usage, images};
use crate::build::Built;
use crate::cloud::handoff::{Handoff, script};
use crate::recipe::Target;
use crate::recipe::project::Project;

/// Print the commands that bring a built image to a cloud.
///
/// They are those of the provider's own client, which has its keys: Goldsmith holds none, and speaks to no cloud. The script
/// uploads this very disk (it compares the digest), imports it with its boot mode and with a metadata service that wants
/// tokens, and makes a security group that says outside what the image's firewall says inside. What belongs to the account is
/// a variable, and it names those that are missing before it does anything.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  goldsmith import db --target alibaba > import-db.sh\n  \
                        REGION=cn-hangzhou BUCKET=images VPC=vpc-1 API_GROUP=sg-1 sh import-db.sh")]
pub struct Import {
    /// Which. It must be built, with the target in its recipe.
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Where to.
    #[arg(long, value_parser = targets())]
    target: Target,
    /// Where the images lie, as NAME/; default: images/ of the project.
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

impl Import {
    pub fn run(self, project: &Project, out: &mut dyn Write) -> anyhow::Result<()> {
        images(project, std::slice::from_ref(&self.image))?;
        let plan = plan(project, &self.image)?;
        let folder = self.output.map_or_else(|| project.image(&self.image), |root| root.join(&self.image));
        let Some(built) = Built::still_there(&plan, &folder) else {
            let message = format!("what recipe and lock say is not in {}", folder.display());
            return Err(Usage { message, help: Some(format!("`goldsmith build {}` builds it", self.image)) }.into());
        };
        let handoff = Handoff {
            recipe: &plan.recipe,
            target: self.target,
            digests: &built.disks,
            folder: &folder.strip_prefix(project.root()).unwrap_or(&folder).display().to_string(),
            gibibytes: plan.disk().map_or(0, |disk| disk.gibibytes),
        };
        Ok(out.write_all(script(&handoff)?.as_bytes())?)
    }
}
