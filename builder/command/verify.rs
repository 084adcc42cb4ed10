//! `goldsmith verify`
//!
//! ```text
//! images/NAME/oci ──────▶ audit ───────────────────────────────────┐
//! images/NAME/disk.raw ─▶ lab: a machine a case, side by side ─────┼▶ report ─▶ text or JSON; JUnit, SARIF, in-toto
//! images/NAME.lock ─────▶ rebuild, if it is asked for ─────────────┘
//! ```

mod function;
mod rebuild;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::Context;
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use self::function::Party;
use super::build::{plan, processors};
use super::{Usage, images, print_json};
use crate::build::Built;
use crate::image::cloud_init::ImageId;
use crate::image::read;
use crate::machine::{Accelerator, Host};
use crate::plan::Plan;
use crate::progress::{Progress, Total};
use crate::recipe::project::Project;
use crate::rootfs::tree::{Tree, Workshop};
use crate::sandbox::Namespace;
use crate::store::Store;
use crate::verify::claims::Claims;
use crate::verify::lab::case::Case;
use crate::verify::lab::exam::{Seen, Subject};
use crate::verify::lab::report::{Report, Step, formats};
use crate::verify::{self, lab};

/// Prove from outside that images are what their recipes say: start exactly the built disks, and try everything.
///
/// Each image is started once for each case: told who it is, told nothing, lied to, its firewall broken. From power-on on, hosts
/// beside it knock; what was told is asked at every port of TCP and UDP and with every control message, in IPv4 and IPv6. What
/// answers must be what the recipe opens, neither more nor less, and never before the firewall was loaded. Before that, all that
/// `goldsmith audit` looks at. The image has systemd 256 or later, which lets the machine's owner ask it from within.
///
/// What was told is attacked then, by the `attempt` of each jail, until each has banned, and started again, which bans must
/// outlast; and the machines of the fleet are asked together for what their recipes say that they are for (`[[function]]`).
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
    #[arg(long = "case", value_name = "CASE", value_parser = cases())]
    cases: Vec<Case>,
    /// With --case: what images are for, too, as without it: the machines of the fleet are started together and asked.
    #[arg(long)]
    function: bool,
    /// Of which fleet those machines are; default: the only one.
    #[arg(long, value_name = "FLEET")]
    fleet: Option<String>,
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

/// `--case`: their names.
fn cases() -> impl TypedValueParser<Value = Case> {
    let names = Case::ALL.map(|case| PossibleValue::new(case.name()).help(case.title()));
    PossibleValuesParser::new(names).try_map(|name| {
        let named = Case::ALL.into_iter().find(|case| case.name() == name);
        named.ok_or("there is no such case")
    })
}

/// An image that was built, and is to be verified.
struct Image {
    plan: Plan,
    folder: PathBuf,
    built: Built,
}

impl Verify {
    pub fn run(self, project: &Project, progress: &Progress, out: &mut dyn Write) -> anyhow::Result<()> {
        let images = self.built(project)?;
        self.places()?;
        let namespace = Namespace::enter()?;
        let store = Store::open_default()?.reporting(progress);
        let workshop = Workshop { namespace, store, progress: progress.clone(), jobs: processors(), keep: false };
        let Some(ingredients) = images.first().and_then(|image| image.plan.toolbox.as_ref()) else {
            anyhow::bail!(
                "there is no image with a disk in this project\nhelp: say `targets = [\"kvm\"]` in an [image]"
            );
        };
        let bench =
            Bench { toolbox: &workshop.tree(ingredients)?, workshop: &workshop, side_by_side: self.side_by_side() };
        let subjects = bench.subjects(&images)?;
        // A fleet with mistakes is not to be found out after ten minutes.
        let party = match self.function || self.fleet.is_some() || self.cases.is_empty() {
            true => Party::of(project, self.fleet.as_deref(), (&bench, &subjects))?,
            false => None,
        };
        let (seen, mut functions) = bench.all(&subjects, &self.chosen(), party)?;
        let mut reports = Vec::new();
        for ((image, subject), seen) in images.iter().zip(&subjects).zip(seen) {
            let cannot = || format!("cannot read {}", image.folder.display());
            let disk = *image.built.disks.get(DISK).context("there is no disk.raw among what was built")?;
            let mut report = lab::report(subject, disk, &seen);
            let took = progress.step("audit", Total::Unknown);
            let rootfs = read::rootfs(&image.folder.join("oci")).with_context(cannot)?;
            report.steps.extend(functions.remove(&report.image).unwrap_or_default());
            report.steps.insert(0, lab::audited(&verify::audit(&rootfs, &subject.claims)?, took.elapsed()));
            let took = progress.step("hash", Total::Unknown);
            let bytes = lab::bytes(subject, disk).with_context(cannot)?;
            report.steps.push(Step { took: took.elapsed(), ..bytes });
            if self.rebuild {
                report.steps.push(rebuild::rebuilt(&image.plan, &image.built, &workshop)?);
            }
            reports.push(report);
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

    /// The cases that are asked for, in the order of reports.
    fn chosen(&self) -> Vec<Case> {
        let is_chosen = |case: &Case| self.cases.is_empty() || self.cases.contains(case);
        Case::ALL.into_iter().filter(is_chosen).collect()
    }

    /// What was built of the images that are asked for.
    fn built(&self, project: &Project) -> anyhow::Result<Vec<Image>> {
        let root = self.output.clone().unwrap_or_else(|| project.root().join("images"));
        let mut images = Vec::new();
        for plan in self.plans(project)? {
            let (name, folder) = (&plan.recipe.name, root.join(&plan.recipe.name));
            let Some(built) = Built::still_there(&plan, &folder) else {
                let message = format!("what recipe and lock say is not in {}", folder.display());
                return Err(Usage { message, help: Some(format!("`goldsmith build {name}` builds it")) }.into());
            };
            images.push(Image { plan, folder, built });
        }
        Ok(images)
    }

    /// Nobody waits ten minutes to hear that there is no place for the report.
    fn places(&self) -> anyhow::Result<()> {
        for file in self.junit.iter().chain(&self.sarif) {
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
            tempfile::tempfile_in(folder).with_context(|| cannot_write(file))?;
        }
        if let Some(folder) = &self.statements {
            fs::create_dir_all(folder)
                .and_then(|()| tempfile::tempfile_in(folder))
                .with_context(|| cannot_write(folder))?;
        }
        Ok(())
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

/// The disk that is started.
const DISK: &str = "disk.raw";

/// Of each image, what it was asked that it is for.
type Functions = BTreeMap<String, Vec<Step>>;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where machines are examined.
struct Bench<'a> {
    workshop: &'a Workshop,
    toolbox: &'a Tree,
    side_by_side: usize,
}

impl Bench<'_> {
    /// What is examined, of what was built.
    fn subjects(&self, images: &[Image]) -> anyhow::Result<Vec<Subject>> {
        let scratch = self.workshop.store.scratch()?;
        let host = self.host(scratch.path());
        let accelerator = Accelerator::tried(&host)?;
        let subject = |image: &Image| {
            let recipe = &image.plan.recipe;
            let plan = image.plan.image_id.context("an image with a disk has a firewall")?;
            Ok(Subject {
                image: ImageId { name: recipe.name.clone(), plan },
                disk: image.folder.join(DISK),
                claims: Claims::of(recipe),
                accelerator,
            })
        };
        images.iter().map(subject).collect()
    }

    fn host<'a>(&'a self, scratch: &'a Path) -> Host<'a> {
        Host { namespace: self.workshop.namespace, toolbox: &self.toolbox.root, scratch }
    }

    /// Each subject in each case, in the order of both; and what the machines of a fleet were asked.
    fn all(
        &self,
        subjects: &[Subject],
        cases: &[Case],
        party: Option<Party<'_>>,
    ) -> anyhow::Result<(Vec<Vec<Seen>>, Functions)> {
        // The first machine takes longest, so that of every image comes first.
        let mut work: Vec<(usize, Vec<Case>)> = Vec::new();
        for case in cases {
            for at in (0..subjects.len()).filter(|at| case.applies(&subjects[*at].claims)) {
                let goes_on =
                    |one: &&mut (usize, Vec<Case>)| one.0 == at && one.1.last().is_some_and(|last| case.goes_on(*last));
                match work.iter_mut().find(goes_on) {
                    Some((_, cases)) => cases.push(*case),
                    None => work.push((at, vec![*case])),
                }
            }
        }
        let (next, seen) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        let (party, functions) = (Mutex::new(party), Mutex::new(BTreeMap::new()));
        thread::scope(|scope| {
            let worker = || -> anyhow::Result<()> {
                while let Some((at, cases)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let one = self.one(&subjects[*at], cases);
                    if one.is_err() {
                        // Nobody begins another one.
                        next.store(work.len(), Ordering::Relaxed);
                        drop(locked(&party).take());
                    }
                    locked(&seen).push((*at, one?));
                }
                // While others have their last machines yet.
                let last = locked(&party).take();
                if let Some(party) = last {
                    *locked(&functions) = party.asked(self)?;
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
        seen.sort_by_key(|(at, one)| (*at, one.starts.first().map(|start| start.case)));
        let mut all: Vec<Vec<Seen>> = subjects.iter().map(|_| Vec::new()).collect();
        for (at, one) in seen {
            all[at].push(one);
        }
        Ok((all, functions.into_inner().unwrap_or_else(PoisonError::into_inner)))
    }

    fn one(&self, subject: &Subject, cases: &[Case]) -> anyhow::Result<Seen> {
        let scratch = self.workshop.store.scratch()?;
        Ok(subject.examine(cases, &self.host(scratch.path()), &self.workshop.progress)?)
    }
}
