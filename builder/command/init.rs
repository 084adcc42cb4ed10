//! `goldsmith init`

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::Usage;
use crate::recipe::file::Purpose;
use crate::recipe::project::Project;

/// Write what a CI system needs to build, verify and patch the images of this project.
///
/// On a change: each image is built from its lock, audited and verified, and the evidence is kept. Every night: the locks move
/// to what the archives have now, and a pull request (or merge request) says what that changes and mends. The file is yours
/// from then on: nothing of Goldsmith reads it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  goldsmith init --ci github   # .github/workflows/images.yml")]
pub struct Init {
    /// Of which CI system.
    #[arg(long, value_name = "SYSTEM")]
    ci: System,
    /// What puts `goldsmith` on a machine that has a Rust toolchain; default: from this folder.
    #[arg(long, value_name = "COMMAND", default_value = "cargo install --locked --path .")]
    install: String,
    /// Replace what is there.
    #[arg(long)]
    force: bool,
}

/// The systems.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum System {
    /// .github/workflows/images.yml
    Github,
    /// .gitlab-ci.yml
    Gitlab,
}

impl System {
    /// Where it looks, and what it finds there.
    fn file(self) -> (&'static str, &'static str) {
        match self {
            Self::Github => (".github/workflows/images.yml", include_str!("init/github.yml")),
            Self::Gitlab => (".gitlab-ci.yml", include_str!("init/gitlab.yml")),
        }
    }
}

impl Init {
    pub fn run(self, project: &Project, out: &mut dyn Write) -> anyhow::Result<()> {
        if self.install.contains('\n') {
            let message = "what installs goldsmith is one line".to_owned();
            return Err(Usage { message, help: Some("join commands with `&&`".to_owned()) }.into());
        }
        let (path, template) = self.ci.file();
        let images = project.names(Purpose::Image)?.join(", ");
        let text = template.replace("@INSTALL@", &self.install).replace("@IMAGES@", &images);
        let path: PathBuf = project.root().join(path);
        if path.exists() && !self.force {
            let message = format!("{} is there already", path.display());
            return Err(Usage { message, help: Some("--force replaces it".to_owned()) }.into());
        }
        let cannot = || format!("cannot write {}", path.display());
        fs::create_dir_all(path.parent().unwrap_or(project.root())).with_context(cannot)?;
        fs::write(&path, text).with_context(cannot)?;
        Ok(writeln!(out, "{}", path.display())?)
    }
}
