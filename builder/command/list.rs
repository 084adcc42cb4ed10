//! `goldsmith list`

use std::io::Write;

use clap::Args;
use serde::Serialize;

use super::print_json;
use crate::build::Built;
use crate::recipe::file::Purpose;
use crate::recipe::project::Project;

/// List the recipes: what each is for, and how far it has come.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  goldsmith list")]
pub struct List {
    /// Print them as JSON.
    #[arg(long)]
    json: bool,
}

/// One recipe.
#[derive(Serialize)]
struct Row {
    name: String,
    purpose: Purpose,
    description: String,
    locked: bool,
    built: bool,
}

impl List {
    pub fn run(self, project: &Project, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut rows = Vec::new();
        for name in project.recipe_texts()?.into_keys() {
            let folded = project.load(&name)?;
            rows.push(Row {
                purpose: folded.purpose,
                description: folded.recipe.description,
                locked: project.lock(&name).is_file(),
                built: Built::is_in(&project.image(&name)),
                name,
            });
        }
        if self.json {
            return print_json(out, &rows);
        }
        let width = rows.iter().map(|row| row.name.len()).max().unwrap_or_default();
        for Row { name, purpose, description, locked, built } in rows {
            let state = match (purpose, built, locked) {
                (Purpose::Parent, ..) => "parent",
                (_, true, true) => "built",
                (_, _, true) => "locked",
                (_, _, false) => "not locked",
            };
            writeln!(out, "{name:width$}  {state:10}  {description}")?;
        }
        Ok(())
    }
}
