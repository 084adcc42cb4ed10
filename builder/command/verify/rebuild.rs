//! `--rebuild`: the image once more from its lock, where everything is another that may be, and the digests of both.
//!
//! ```text
//! packages of the lock, from the store ─▶ an empty store ─▶ build, one job, another directory ─▶ the same digests?
//! ```

use std::fs;
use std::path::Path;

use anyhow::Context;

use crate::build::{self, BuildError, Built};
use crate::plan::Plan;
use crate::progress::Total;
use crate::rootfs::tree::Workshop;
use crate::store::Store;
use crate::verify::lab::report::{Finding, Step};

/// What of `built` comes out otherwise.
///
/// # Errors
/// A package of the lock is not in the store any more, or there is no place to build.
pub(super) fn rebuilt(plan: &Plan, built: &Built, workshop: &Workshop) -> anyhow::Result<Step> {
    let took = workshop.progress.step("rebuild", Total::Unknown);
    let scratch = workshop.store.scratch()?;
    let elsewhere = scratch.path().join("another place, with a blank");
    let store = Store::open(elsewhere.join("store"))?.reporting(&workshop.progress);
    lend(plan, (&workshop.store, &store))?;
    let other =
        Workshop { store, jobs: 1, keep: false, progress: workshop.progress.clone(), namespace: workshop.namespace };
    let again = build::build(plan, &other, &elsewhere.join("out"));
    let mut findings = Vec::new();
    let mut differs = |subject: &str, found: String, wanted: String| {
        findings.push(Finding { subject: subject.to_owned(), found, wanted, at: None });
    };
    let wanted = built.gives(plan);
    match again {
        // It names the paths that differ.
        Err(cause @ BuildError::Differs(_)) => {
            differs("build", cause.to_string(), "the same bytes as before".to_owned())
        }
        Err(cause) => return Err(cause.into()),
        Ok(again) => {
            let found = again.gives(plan);
            for (name, wanted) in wanted.iter().filter(|(name, wanted)| found.get(*name) != Some(wanted)) {
                let found = found.get(name).map_or_else(|| "nothing".to_owned(), ToString::to_string);
                differs(name, found, wanted.to_string());
            }
        }
    }
    Ok(Step {
        id: "rebuild".to_owned(),
        title: "built again from its lock, elsewhere, it has the same bytes".to_owned(),
        looked: format!("{} digests", wanted.len()),
        took: took.elapsed(),
        findings,
    })
}

/// Makes the packages of `plan`, and those of its toolbox, known to another store: the same files, which are verified when they
/// are read.
fn lend(plan: &Plan, (from, to): (&Store, &Store)) -> anyhow::Result<()> {
    let toolbox = plan.toolbox.iter().flat_map(|toolbox| &toolbox.packages);
    let ingredients = plan.ingredients();
    for (name, blob) in ingredients.packages.iter().chain(toolbox) {
        let (there, here) = (from.path(blob.digest), to.path(blob.digest));
        fs::create_dir_all(here.parent().unwrap_or(Path::new("/")))?;
        match fs::hard_link(&there, &here) {
            // Two images share packages with their toolbox.
            Err(why) if why.kind() == std::io::ErrorKind::AlreadyExists => {}
            done => done.with_context(|| {
                format!("{name} is not in the store any more\nhelp: `goldsmith fetch {}` brings it", plan.recipe.name)
            })?,
        }
    }
    Ok(())
}
