//! `goldsmith show`

use std::io::{self, Write};

use clap::Args;

use super::{images, print_json};
use crate::lock::file::Lock;
use crate::recipe::Recipe;
use crate::recipe::project::Project;

/// Show one recipe with its parents folded in, and what its lock says.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  goldsmith show api")]
pub struct Show {
    /// Which image.
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Print it as JSON: the recipe, and the lock if there is one.
    #[arg(long)]
    json: bool,
}

impl Show {
    pub fn run(self, project: &Project, out: &mut dyn Write) -> anyhow::Result<()> {
        images(project, std::slice::from_ref(&self.image))?;
        let folded = project.load(&self.image)?;
        let path = project.lock(&self.image);
        let lock = if path.exists() { Some(Lock::load(&path)?) } else { None };
        if self.json {
            return print_json(out, &serde_json::json!({ "recipe": folded.recipe, "lock": lock }));
        }
        recipe(&folded.recipe, &folded.lineage, out)?;
        match &lock {
            Some(lock) => summary(lock, &folded.recipe, out)?,
            None => writeln!(out, "lock         none yet: `goldsmith lock {}`", self.image)?,
        }
        Ok(())
    }
}

/// What is asked for.
fn recipe(recipe: &Recipe, lineage: &[String], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "recipe       {}", lineage.join(" ← "))?;
    if !recipe.description.is_empty() {
        writeln!(out, "description  {}", recipe.description)?;
    }
    writeln!(out, "arch         {}", recipe.arch.debian())?;
    for archive in &recipe.archives {
        let components = archive.components.join(" ");
        writeln!(out, "archive      {} {} {components} ({})", archive.uri, archive.suite, archive.priority)?;
    }
    for wanted in &recipe.packages {
        writeln!(out, "package      {}  ({})", wanted.relation, wanted.by)?;
    }
    writeln!(out, "recommends   {}", if recipe.recommends { "followed" } else { "left out" })?;
    for overlay in &recipe.overlays {
        writeln!(out, "overlay      {overlay}")?;
    }
    for (name, id) in &recipe.users {
        writeln!(out, "user         {id} {name}")?;
    }
    for (name, id) in &recipe.groups {
        writeln!(out, "group        {id} {name}")?;
    }
    Ok(())
}

/// What was answered.
fn summary(lock: &Lock, recipe: &Recipe, out: &mut dyn Write) -> io::Result<()> {
    let answers = match lock.wish == recipe.wish_digest() {
        true => "answers this recipe".to_owned(),
        false => format!("answers an older recipe: `goldsmith lock {}`", recipe.name),
    };
    writeln!(out, "lock         {answers}")?;
    for archive in &lock.archives {
        writeln!(
            out,
            "  archive    {} of {}, signed by {}",
            archive.suite,
            archive.date,
            archive.signed_by.join(", ")
        )?;
    }
    let bytes: u64 = lock.packages.iter().map(|package| package.size).sum();
    let megabytes = bytes as f64 / 1e6;
    writeln!(out, "  packages   {}, {megabytes:.1} MB to fetch", lock.packages.len())?;
    writeln!(out, "  epoch      {}", lock.epoch.rfc3339())?;
    for (artifact, digest) in &lock.gives {
        writeln!(out, "  gives      {artifact} {digest}")?;
    }
    Ok(())
}
