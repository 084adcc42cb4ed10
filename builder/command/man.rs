//! `goldsmith man`

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use clap_mangen::Man as Page;

/// Print the manual page, or write those of all verbs.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  goldsmith man | man -l -")]
pub struct Man {
    /// Write goldsmith.1 and a page for each verb into this folder instead.
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

impl Man {
    pub fn run(self, program: clap::Command, out: &mut dyn Write) -> anyhow::Result<()> {
        match self.output {
            None => Ok(Page::new(program).render(out)?),
            Some(folder) => fs::create_dir_all(&folder)
                .and_then(|()| clap_mangen::generate_to(program, &folder))
                .with_context(|| format!("cannot write manual pages to {}", folder.display())),
        }
    }
}
