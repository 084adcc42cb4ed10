//! `--cache-from`, `--cache-to`: configured trees in a registry, so that of many machines only one has to make each.
//!
//! ```text
//! tree, sealed ─▶ layers by source package ─▶ REPOSITORY:tree-KEY      KEY: of the packages, and of the code that configures them
//!                                                    │
//! lock that says what it gives ─▶ pull ◀─────────────┘ ─▶ the tree that the lock names? ─▶ store ─▶ overlays, …
//! ```
//!
//! A registry is not believed: what comes from it is compared with the lock's `[gives]` before it is kept, and before a program
//! of it is run. For a lock that does not know yet what it gives, nothing is taken.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;

use anyhow::Context;

use crate::build;
use crate::command::registry::{LAYOUT, Registry, RegistryError};
use crate::image::oci::{self, Definition};
use crate::image::press::Effort;
use crate::image::read;
use crate::plan::Plan;
use crate::progress::Total;
use crate::rootfs::listing::Listing;
use crate::rootfs::materialise::materialise;
use crate::rootfs::scan::scan;
use crate::rootfs::tree::{Tree, Workshop};

/// Trees in one repository of a registry.
pub(super) struct Cache<'a> {
    /// The way there.
    pub registry: Registry<'a>,
    /// `registry.example/goldsmith-cache`.
    pub repository: &'a str,
    /// Where trees are made and kept.
    pub workshop: &'a Workshop,
}

impl Cache<'_> {
    fn reference(&self, plan: &Plan) -> String {
        format!("{}:tree-{}", self.repository, &plan.ingredients().key().hex()[..40])
    }

    /// Brings the tree of `plan` into the store, if it is not there and its lock can tell whether it is the right one.
    pub(super) fn pull(&self, plan: &Plan) -> anyhow::Result<()> {
        let (workshop, name) = (self.workshop, &plan.recipe.name);
        if workshop.has_tree(&plan.ingredients())? {
            return Ok(());
        }
        let gives = &plan.lock.gives;
        let Some(wanted) = gives.get("tree").filter(|_| gives.get("plan") == Some(&plan.digest())) else {
            let why = "its lock does not know yet what it gives, so nothing could be verified";
            workshop.progress.message(&format!("cache: the tree of {name} is not taken: {why}"));
            return Ok(());
        };
        let step = workshop.progress.step("cache", Total::Unknown);
        let scratch = workshop.store.scratch()?;
        let layout = match self.registry.pull(&self.reference(plan), scratch.path()) {
            Ok(layout) => layout,
            Err(RegistryError::Absent(reference)) => {
                step.done(&format!("no {reference}"));
                return Ok(());
            }
            // Whoever has no cache has to do the work.
            Err(why) => {
                step.done(&format!("not used: {why}"));
                return Ok(());
            }
        };
        let rootfs = match read::rootfs(&layout) {
            Ok(rootfs) => rootfs,
            Err(why) => {
                step.done(&format!("not used: {} is damaged: {why}", self.reference(plan)));
                return Ok(());
            }
        };
        let root = scratch.path().join("root");
        fs::create_dir(&root).with_context(|| format!("cannot make {}", root.display()))?;
        materialise(&rootfs, &BTreeMap::new(), &root)?;
        let tree = Tree { entries: scan(&root, workshop.jobs)?, root };
        let bare = build::bare(plan, &tree)?;
        if Listing::of(&bare).digest() != *wanted {
            step.done(&format!("not used: {} is another tree than the lock names", self.reference(plan)));
            return Ok(());
        }
        // What sealing takes away was not compared, and so is not kept.
        materialise(&bare, &tree.entries, &tree.root)?;
        workshop.keep_tree(&plan.ingredients(), &tree.root)?;
        step.done(&format!("the tree of {name} came from {}", self.reference(plan)));
        Ok(())
    }

    /// Brings the tree of `plan` to the registry.
    pub(super) fn push(&self, plan: &Plan) -> anyhow::Result<()> {
        let (workshop, ingredients) = (self.workshop, plan.ingredients());
        let step = workshop.progress.step("cache", Total::Unknown);
        let rootfs = build::bare(plan, &workshop.tree(&ingredients)?)?;
        let definition = Definition {
            name: "tree".to_owned(),
            description: "What packages give, from which goldsmith makes an image".to_owned(),
            version: ingredients.key().hex(),
            ..plan.definition()
        };
        let scratch = workshop.store.scratch()?;
        let jobs = NonZeroUsize::new(workshop.jobs).unwrap_or(NonZeroUsize::MIN);
        let effort = Effort { jobs, cache: &workshop.store };
        let artifact = oci::write(&rootfs, &definition, &scratch.path().join("made"), effort)?.publish()?;
        let place = scratch.path().join(LAYOUT);
        fs::rename(&artifact.layout, &place).with_context(|| format!("cannot make {}", place.display()))?;
        self.registry.push(scratch.path(), &self.reference(plan))?;
        step.done(&format!("the tree of {} went to {}", plan.recipe.name, self.reference(plan)));
        Ok(())
    }
}
