//! `goldsmith verify`
//!
//! ```text
//! images/NAME/disk.raw ─▶ lab: a machine a case, two side by side ─▶ report ─▶ text or JSON; JUnit, SARIF, in-toto
//! ```

mod rebuild;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::build::{plan, processors};
use super::{Usage, images, print_json};
use crate::build::Built;
use crate::image::cloud_init::ImageId;
use crate::machine::{Accelerator, Host};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::recipe::project::Project;
use crate::rootfs::tree::{Tree, Workshop};
use crate::sandbox::Namespace;
use crate::store::Store;
use crate::verify::claims::Claims;
use crate::verify::lab;
use crate::verify::lab::case::Case;
use crate::verify::lab::exam::{Seen, Subject};
use crate::verify::lab::hosts::Hosts;
use crate::verify::lab::report::{Report, formats};

/// Prove from outside that images are what their recipes say: start exactly the built disks, and try everything.
///
/// Each image is started once for each case: told who it is, told nothing, lied to, its firewall broken. From power-on on, hosts
/// beside it knock; what was told is asked at every port of TCP and UDP and with every control message, in IPv4 and IPv6. What
/// answers must be what the recipe opens, neither more nor less, and never before the firewall was loaded.
///
/// Needs no root. Nothing leaves this machine. The disks are only read, and hashed again afterwards.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  goldsmith verify\n  goldsmith verify db --case told --case broken-rules\n  \
                        goldsmith verify --json --junit verify.xml --sarif verify.sarif --statements evidence/")]
pub struct Verify {
    /// Which; default: all that have a disk. They must be built.
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
    /// Only these; default: all.
    #[arg(long = "case", value_name = "CASE")]
    cases: Vec<Word>,
    /// Build each again from its lock too, in an empty store and another directory, and compare all digests.
    #[arg(long)]
    rebuild: bool,
    /// Print the reports as JSON: `goldsmith schema verify` describes it.
    #[arg(long)]
    json: bool,
    /// Write the reports as JUnit XML too, for CI.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write the findings as SARIF 2.1.0 too.
    #[arg(long, value_name = "FILE")]
    sarif: Option<PathBuf>,
    /// Write an in-toto statement for each image into this folder, IMAGE.intoto.json: to be signed, and attached to it.
    #[arg(long, value_name = "DIR")]
    statements: Option<PathBuf>,
    /// How many machines run side by side; default: one for each processor, at most four.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=16))]
    jobs: Option<u8>,
    /// Where the images lie; default: images/ of the project.
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// `--case`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word(Case);

impl ValueEnum for Word {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [Word; 8] = {
            let mut all = [Word(Case::Told); 8];
            let mut index = 0;
            while index < all.len() {
                all[index] = Word(Case::ALL[index]);
                index += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.0.name()).help(self.0.title()))
    }
}

impl Verify {
    pub fn run(self, project: &Project, progress: &Progress, out: &mut dyn Write) -> anyhow::Result<()> {
        let root = self.output.clone().unwrap_or_else(|| project.root().join("images"));
        let plans = self.plans(project)?;
        let mut cases: Vec<Case> = self.cases.iter().map(|word| word.0).collect();
        cases.sort_unstable();
        cases.dedup();
        let cases = if cases.is_empty() { Case::ALL.to_vec() } else { cases };
        let mut built = Vec::new();
        for plan in &plans {
            let (name, folder) = (&plan.recipe.name, root.join(&plan.recipe.name));
            let Some(there) = Built::still_there(plan, &folder) else {
                let message = format!("what recipe and lock say is not in {}", folder.display());
                return Err(Usage { message, help: Some(format!("`goldsmith build {name}` builds it")) }.into());
            };
            built.push((plan, folder, there));
        }
        let namespace = Namespace::enter()?;
        let store = Store::open_default()?.reporting(progress);
        let workshop = Workshop { namespace, store, progress: progress.clone(), jobs: processors(), keep: false };
        let mut subjects = Vec::new();
        for (plan, folder, there) in &built {
            let toolbox = plan.toolbox.as_ref().map(|toolbox| workshop.tree(toolbox)).transpose()?;
            let toolbox = toolbox.with_context(|| format!("{} has no toolbox", plan.recipe.name))?;
            let disk = there.disks.get("disk.raw").copied().context("there is no disk.raw among what was built")?;
            subjects.push((subject(plan, folder, &toolbox, &workshop)?, disk, toolbox));
        }
        let bench = Bench { workshop: &workshop, side_by_side: self.side_by_side() };
        let seen = bench.all(&subjects, &cases)?;
        let mut reports = Vec::new();
        for ((subject, disk, _), seen) in subjects.iter().zip(seen) {
            reports.push(lab::report(subject, *disk, &seen).with_context(|| cannot_read(&subject.disk))?);
        }
        if self.rebuild {
            for ((plan, _, there), report) in built.iter().zip(&mut reports) {
                report.steps.push(rebuild::rebuilt(plan, there, &workshop)?);
            }
        }
        self.write(&reports)?;
        match self.json {
            true => print_json(out, &reports)?,
            false => reports.iter().try_for_each(|report| report.write(out))?,
        }
        let failed: Vec<_> = reports.iter().filter(|report| !report.is_clean()).map(|one| one.image.as_str()).collect();
        match failed.is_empty() {
            true => Ok(()),
            false => anyhow::bail!("not all is as its recipe says in {}", failed.join(", ")),
        }
    }

    /// Of the images that are asked for; without any name, of those that have a disk.
    fn plans(&self, project: &Project) -> anyhow::Result<Vec<Plan>> {
        let plans = images(project, &self.images)?.into_iter().map(|name| plan(project, &name));
        let plans = plans.collect::<anyhow::Result<Vec<_>>>()?;
        if let Some(without) = plans.iter().find(|plan| plan.toolbox.is_none() && !self.images.is_empty()) {
            let message = format!("{} has no disk: its recipe names no target", without.recipe.name);
            return Err(Usage { message, help: Some("say `targets = [\"kvm\"]` in [image]".to_owned()) }.into());
        }
        Ok(plans.into_iter().filter(|plan| plan.toolbox.is_some()).collect())
    }

    fn side_by_side(&self) -> usize {
        self.jobs.map_or_else(|| processors().clamp(1, 4), usize::from)
    }

    /// Writes the files that were asked for.
    fn write(&self, reports: &[Report]) -> anyhow::Result<()> {
        let save = |path: &Path, bytes: &[u8]| fs::write(path, bytes).with_context(|| cannot_write(path));
        if let Some(path) = &self.junit {
            let mut bytes = Vec::new();
            formats::junit(reports, &mut bytes)?;
            save(path, &bytes)?;
        }
        if let Some(path) = &self.sarif {
            save(path, &serde_json::to_vec_pretty(&formats::sarif(reports))?)?;
        }
        if let Some(folder) = &self.statements {
            fs::create_dir_all(folder).with_context(|| cannot_write(folder))?;
            for report in reports {
                let path = folder.join(format!("{}.intoto.json", report.image));
                save(&path, &serde_json::to_vec_pretty(&formats::statement(report))?)?;
            }
        }
        Ok(())
    }
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

fn cannot_read(path: &Path) -> String {
    format!("cannot read {}", path.display())
}

/// What is examined, of what was built in `folder`.
fn subject(plan: &Plan, folder: &Path, toolbox: &Tree, workshop: &Workshop) -> anyhow::Result<Subject> {
    let scratch = workshop.store.scratch()?;
    let host = Host { namespace: workshop.namespace, toolbox: &toolbox.root, scratch: scratch.path() };
    Ok(Subject {
        image: ImageId {
            name: plan.recipe.name.clone(),
            plan: plan.image_id.context("an image with a disk has a firewall")?,
        },
        disk: folder.join("disk.raw"),
        claims: Claims::of(&plan.recipe),
        key: host.key()?.parse()?,
        accelerator: Accelerator::tried(&host)?,
    })
}

/// Where machines are examined.
struct Bench<'a> {
    workshop: &'a Workshop,
    side_by_side: usize,
}

impl Bench<'_> {
    /// Each subject in each case; in the order of both.
    fn all(
        &self,
        subjects: &[(Subject, crate::digest::Digest, Tree)],
        cases: &[Case],
    ) -> anyhow::Result<Vec<Vec<Seen>>> {
        // The first case takes longest, so that of every image comes first.
        let hosts: Vec<Hosts> = subjects.iter().map(|(subject, ..)| Hosts::of(&subject.claims, [0; 6])).collect();
        let work = cases.iter().flat_map(|case| (0..subjects.len()).map(move |at| (at, *case)));
        let work: Vec<_> = work.filter(|(at, case)| case.applies(&hosts[*at])).collect();
        let (next, seen) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            let worker = || -> anyhow::Result<()> {
                while let Some((at, case)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (subject, _, toolbox) = &subjects[*at];
                    let one = self.one(subject, *case, toolbox);
                    if one.is_err() {
                        // Nobody begins another one.
                        next.store(work.len(), Ordering::Relaxed);
                    }
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push((*at, *case, one?));
                }
                Ok(())
            };
            let workers: Vec<_> = (0..self.side_by_side).map(|_| scope.spawn(worker)).collect();
            for worker in workers {
                worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            }
            anyhow::Ok(())
        })?;
        let mut seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        seen.sort_by_key(|(at, case, _)| (*at, *case));
        let mut all: Vec<Vec<Seen>> = subjects.iter().map(|_| Vec::new()).collect();
        for (at, _, one) in seen {
            all[at].push(one);
        }
        Ok(all)
    }

    fn one(&self, subject: &Subject, case: Case, toolbox: &Tree) -> anyhow::Result<Seen> {
        let scratch = self.workshop.store.scratch()?;
        let host = Host { namespace: self.workshop.namespace, toolbox: &toolbox.root, scratch: scratch.path() };
        Ok(subject.examine(case, &host, &self.workshop.progress)?)
    }
}
