//! Where the time goes: `cargo bench`, or `cargo bench -- api 5` for five rounds of the image `api`.
//!
//! ```text
//! Packages.xz ─▶ parse ─▶ resolve      .debs ─▶ unpack ─▶ configure ─▶ scan ─▶ seal ─▶ OCI zstd, OCI gzip, tar
//!                                                                                       no-op build, overlay-only build
//! ```
//!
//! On the real packages of the lock, from the store, which `goldsmith fetch` and `goldsmith lock` have filled. Of each phase the
//! medians: wall seconds, CPU seconds (user and system, of this process and of all that it waited for), and the most memory
//! that this process held at a time; of the last two, which are processes of their own, nobody knows that (NaN).
#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a stopwatch starts processes and reads the clock")]
#![allow(missing_docs, reason = "a program, not a library")]

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use goldsmith::debian::deb::Deb;
use goldsmith::debian::index::{Index, Source};
use goldsmith::debian::package::{Package, parse_packages};
use goldsmith::image::cache::NoCache;
use goldsmith::image::compress::Compression;
use goldsmith::image::oci;
use goldsmith::image::press::Effort;
use goldsmith::image::tar;
use goldsmith::lock::check::prove;
use goldsmith::lock::file::Lock;
use goldsmith::lock::resolve::resolve;
use goldsmith::lock::wish::Wish;
use goldsmith::overlay::{self, Overlay};
use goldsmith::plan::Plan;
use goldsmith::recipe::project::Project;
use goldsmith::rootfs::Rootfs;
use goldsmith::rootfs::accounts::Accounts;
use goldsmith::rootfs::configure::{Unconfigured, configure};
use goldsmith::rootfs::scan::scan;
use goldsmith::rootfs::seal::seal;
use goldsmith::rootfs::unpack::{Packed, unpack};
use goldsmith::sandbox::Namespace;
use goldsmith::store::Store;

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with('-'));
    let image = words.next().unwrap_or_else(|| "api".to_owned());
    let rounds: usize = words.next().map_or(Ok(3), |word| word.parse()).context("the number of rounds")?;
    let namespace = Namespace::enter()?; // before any thread
    let project = Project::find(Path::new(env!("CARGO_MANIFEST_DIR")))?;
    let store = Store::open_default()?;
    let plan = plan(&project, &image)?;
    let jobs = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let load = fs::read_to_string("/proc/loadavg")?;
    let count = plan.lock.packages.len();
    println!("{image}: {count} packages, {jobs} processors, load {}", load.split(' ').next().unwrap_or("?"));

    let bench = Bench { plan, store, namespace, jobs };
    let mut table = Table::default();
    for _ in 0..rounds {
        bench.resolving(&mut table)?;
        bench.building(&mut table)?;
    }
    bench.again(&project, rounds, &mut table)?;
    table.print();
    Ok(())
}

fn plan(project: &Project, image: &str) -> Result<Plan> {
    let recipe = project.load(image)?.recipe;
    let lock = Lock::load(&project.lock(image))?;
    let overlays = recipe.overlays.iter().map(|name| Overlay::load(&project.overlay(name)));
    let overlays = overlays.collect::<Result<_, _>>().map_err(|_| anyhow::anyhow!("see `goldsmith check`"))?;
    Ok(Plan::new(recipe, lock, overlays)?)
}

/// What all phases are about.
struct Bench {
    plan: Plan,
    store: Store,
    namespace: Namespace,
    jobs: NonZeroUsize,
}

impl Bench {
    /// From the archives' indices to a proved solution.
    fn resolving(&self, table: &mut Table) -> Result<()> {
        let mut texts = Vec::new();
        for archive in &self.plan.lock.archives {
            for index in &archive.indices {
                let file = self.store.get(index.sha256)?;
                let file = file.with_context(|| format!("{} is not in the store: `goldsmith lock`", index.path))?;
                let mut text = Vec::new();
                liblzma::read::XzDecoder::new(file).read_to_end(&mut text)?;
                texts.push((archive.name.clone(), text));
            }
        }
        let parsed: Vec<(String, Vec<Package>)> = table.measure("parse Packages", || {
            texts.iter().map(|(name, text)| Ok((name.clone(), parse_packages(text)?))).collect()
        })?;
        drop(texts);
        let recipe = &self.plan.recipe;
        let mut sources = Vec::new();
        for (name, packages) in parsed {
            let archive = recipe.archives.iter().find(|archive| archive.name == name);
            let archive = archive.with_context(|| format!("the recipe has no archive `{name}`"))?;
            sources.push(Source { name, priority: archive.priority, only: archive.only.clone(), packages });
        }
        let mut packages = Vec::new();
        for wanted in &recipe.packages {
            let group: Result<_, _> = wanted.relation.split('|').map(|one| one.trim().parse()).collect();
            packages.push((group?, format!("recipe {}", wanted.by)));
        }
        let (recommends, arch) = (recipe.recommends, recipe.arch);
        let wish = Wish { packages, base: true, recommends, keep: self.plan.lock.keep(), arch };
        let solution = table.measure("resolve, prove", || {
            let index = Index::new(sources);
            let solution = resolve(&wish, &index).map_err(|why| anyhow::anyhow!("{why}"))?;
            prove(&solution, &wish, &index).map_err(|_| anyhow::anyhow!("the solution does not hold"))?;
            Ok(solution)
        })?;
        ensure!(!solution.packages.is_empty(), "a solution without packages");
        Ok(())
    }

    /// From packages to images.
    fn building(&self, table: &mut Table) -> Result<()> {
        let (plan, jobs) = (&self.plan, self.jobs.get());
        let debs: Vec<Deb> = table.measure("verify, open .debs", || {
            let open = |package: &goldsmith::lock::file::Locked| {
                let file = self.store.get(package.sha256)?;
                Ok(Deb::read(file.with_context(|| format!("{} is not in the store", package.name))?)?)
            };
            plan.lock.packages.iter().map(open).collect()
        })?;
        let scratch = self.store.scratch()?;
        let root = scratch.path().join("root");
        fs::create_dir(&root)?;
        table.measure("unpack", || {
            Ok(unpack(self.namespace, Packed { debs: &debs, filter: &plan.recipe.filter }, &root, jobs)?)
        })?;
        let epoch = plan.lock.epoch;
        table.measure("configure", || {
            configure(self.namespace, &Unconfigured { root: &root, debs: &debs, epoch }, scratch.path())?;
            Ok(plan.ingredients().accounts.fix(&root)?)
        })?;
        let mut entries = table.measure("scan", || Ok(scan(&root, jobs)?))?;
        let rootfs: Rootfs = table.measure("overlays, seal", || {
            let accounts = Accounts::load(&root)?;
            plan.overlays.iter().try_for_each(|one| overlay::apply(&mut entries, one, &accounts))?;
            Ok(seal(entries, epoch)?)
        })?;
        let out = scratch.path().join("out");
        for (name, compression) in [("OCI, zstd", Compression::Zstd), ("OCI, gzip", Compression::Gzip)] {
            let definition = oci::Definition { compression, ..plan.definition() };
            let effort = Effort { jobs: self.jobs, cache: &NoCache };
            table.measure(name, || Ok(oci::write(&rootfs, &definition, &out, effort)?.publish()?))?;
        }
        table.measure("tar", || {
            let mut file = BufWriter::with_capacity(1 << 20, File::create(scratch.path().join("rootfs.tar"))?);
            tar::write(&rootfs, rootfs.entries().keys().map(String::as_str), &mut file)?;
            Ok(file.flush()?)
        })
    }

    /// Builds with the real binary in a copy of the project: once for real, then with nothing changed, then with one file more
    /// in an overlay.
    fn again(&self, project: &Project, rounds: usize, table: &mut Table) -> Result<()> {
        let scratch = self.store.scratch()?;
        let copy = scratch.path().join("project");
        for part in ["recipes", "overlays"] {
            copy_folder(&project.root().join(part), &copy.join(part))?;
        }
        let image = &self.plan.recipe.name;
        let lock = copy.join(format!("images/{image}.lock"));
        fs::create_dir_all(copy.join("images"))?;
        fs::copy(project.lock(image), lock)?;
        let goldsmith = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_goldsmith"));
            command.args(["--quiet", "build", "--offline", image]).current_dir(&copy).stdout(Stdio::null());
            command
        };
        ensure!(goldsmith().status()?.success(), "the build failed");
        for round in 0..rounds {
            table.measure_process("no-op build", &mut goldsmith())?;
            let overlay = self.plan.overlays.last().context("the image has no overlay to change")?;
            let changed = copy.join("overlays").join(&overlay.name).join("root/etc/bench");
            fs::write(changed, format!("# Nobody built this yet: {round} {}\n", std::process::id()))?;
            table.measure_process("overlay-only build", &mut goldsmith())?;
        }
        Ok(())
    }
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target: PathBuf = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(entry.path())?, target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// What a phase took, once.
#[derive(Clone, Copy)]
struct Cost {
    wall: f64,
    cpu: f64,
    memory: f64,
}

/// What all phases took, in the order in which they came first.
#[derive(Default)]
struct Table(Vec<(String, Vec<Cost>)>);

impl Table {
    /// Does it, and notes what it took.
    fn measure<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        fs::write("/proc/self/clear_refs", "5")?; // proc_pid_clear_refs(5): the peak begins anew
        let (start, before) = (Instant::now(), usage(libc::RUSAGE_SELF) + usage(libc::RUSAGE_CHILDREN));
        let result = work()?;
        let wall = start.elapsed().as_secs_f64();
        let cpu = usage(libc::RUSAGE_SELF) + usage(libc::RUSAGE_CHILDREN) - before;
        let status = fs::read_to_string("/proc/self/status")?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next());
        let memory = peak.context("this kernel does not tell the peak")?.parse::<f64>()? / 1024.0;
        self.note(name, Cost { wall, cpu, memory });
        Ok(result)
    }

    /// Runs it, and notes what it took.
    fn measure_process(&mut self, name: &str, command: &mut Command) -> Result<()> {
        let (start, child) = (Instant::now(), command.spawn()?);
        let mut status = 0;
        // SAFETY: a plain structure of numbers, and a child that nobody else waits for.
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            ensure!(libc::wait4(i32::try_from(child.id())?, &raw mut status, 0, &raw mut usage) != -1, "wait4 failed");
            usage
        };
        ensure!(status == 0, "{name} failed");
        // Its ru_maxrss would begin with what this process held when it started it.
        self.note(name, Cost { wall: start.elapsed().as_secs_f64(), cpu: seconds(&usage), memory: f64::NAN });
        Ok(())
    }

    fn note(&mut self, name: &str, cost: Cost) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, costs)) => costs.push(cost),
            None => self.0.push((name.to_owned(), vec![cost])),
        }
    }

    fn print(&self) {
        println!("{:20} {:>8} {:>8} {:>10}", "phase", "wall s", "CPU s", "peak MiB");
        for (name, costs) in &self.0 {
            let of = |column: fn(&Cost) -> f64| median(costs.iter().map(column).collect());
            let (wall, cpu, memory) = (of(|cost| cost.wall), of(|cost| cost.cpu), of(|cost| cost.memory));
            println!("{name:20} {wall:8.3} {cpu:8.3} {memory:10.0}");
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0
}

/// CPU seconds until now, of this process or of its children that ended.
fn usage(who: libc::c_int) -> f64 {
    // SAFETY: a plain structure of numbers, filled by the call.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(who, &raw mut usage);
        seconds(&usage)
    }
}

fn seconds(usage: &libc::rusage) -> f64 {
    let of = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    of(usage.ru_utime) + of(usage.ru_stime)
}
