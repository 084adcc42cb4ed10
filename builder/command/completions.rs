//! `goldsmith completions`

use std::io::Write;

use clap::Args;
use clap_complete::Shell;

/// Print the completions of a shell.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  goldsmith completions bash > ~/.local/share/bash-completion/completions/goldsmith")]
pub struct Completions {
    /// Which shell.
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl Completions {
    pub fn run(self, mut program: clap::Command, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut program, "goldsmith", &mut script);
        Ok(out.write_all(&script)?)
    }
}
