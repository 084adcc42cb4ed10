//! `goldsmith schema`

use std::io::Write;

use clap::{Args, ValueEnum};

use super::{print_json, update};
use crate::{fleet, overlay, recipe, verify};

/// Print the JSON schema of the files that people write, for editors, and of what `audit`, `verify` and `update` print.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  goldsmith schema > recipes/schema.json   # then `#:schema ./schema.json` atop a recipe"
)]
pub struct Schema {
    /// Of which file.
    #[arg(value_name = "FILE", default_value = "recipe")]
    file: Which,
}

/// The files that have a schema.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Which {
    /// recipes/NAME.toml
    Recipe,
    /// recipes/NAME.toml with `purpose = "fleet"`
    Fleet,
    /// overlays/NAME/overlay.toml
    Overlay,
    /// What `goldsmith audit --json` prints.
    Audit,
    /// What `goldsmith verify --json` prints.
    Verify,
    /// What `goldsmith update --json` prints.
    Update,
}

impl Schema {
    pub fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        match self.file {
            Which::Recipe => print_json(out, &recipe::file::schema()),
            Which::Fleet => print_json(out, &fleet::file::schema()),
            Which::Overlay => print_json(out, &overlay::file::schema()),
            Which::Audit => print_json(out, &verify::report::schema()),
            Which::Verify => print_json(out, &verify::lab::report::schema()),
            Which::Update => print_json(out, &update::report::schema()),
        }
    }
}
