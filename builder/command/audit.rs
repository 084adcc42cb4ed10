//! `goldsmith audit`

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::{images, print_json};
use crate::image::read;
use crate::progress::{Progress, Total};
use crate::recipe::project::Project;
use crate::rootfs::Rootfs;
use crate::store::Store;
use crate::verify::claims::Claims;
use crate::verify::report::Report;
use crate::verify::{audit, checks, junit};

/// Prove what an image claims, on the files that ship.
///
/// Reads the built image back and looks at what is in it as the programs there would: which settings win, which units start,
/// which packets the firewall lets through. Works offline, and starts nothing. What is not as it should be fails the audit,
/// unless the recipe makes an exception of it, with a reason ([[exception]]).
///
/// What is asked for by its path (with a `/` in it, or ending in `.tar`) is an OCI layout, or an archive of one, from wherever:
/// the one that was shipped. It says itself of which image it is (/usr/lib/goldsmith/image.json), and is held against the
/// recipe of that name in this project, or the one that --recipe names: which ports are open and what is excused is never the
/// image's own to say.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  goldsmith audit api --junit audit.xml\n  \
                        goldsmith audit shipped/api.oci.tar\n  \
                        goldsmith audit --list           # what is looked at, and why")]
pub struct Audit {
    /// Which, by name or by path; default: all.
    #[arg(value_name = "IMAGE|PATH")]
    images: Vec<String>,
    /// What images that are asked for by path are held against; default: what each says of itself.
    #[arg(long, value_name = "NAME")]
    recipe: Option<String>,
    /// Where the images lie, as NAME/oci; default: images/ of the project.
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Show also what passed and what does not apply.
    #[arg(short, long)]
    all: bool,
    /// Print the reports as JSON: `goldsmith schema audit` describes it.
    #[arg(long)]
    json: bool,
    /// Write the reports as JUnit XML too, for CI.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Show the table of checks, and look at no image.
    #[arg(long, conflicts_with_all = ["images", "recipe", "output", "all", "json", "junit"])]
    list: bool,
}

impl Audit {
    pub fn run(self, folder: &Path, progress: &Progress, out: &mut dyn Write) -> anyhow::Result<()> {
        if self.list {
            return list(out);
        }
        let project = Project::find(folder)?;
        let root = self.output.unwrap_or_else(|| project.root().join("images"));
        let (paths, names): (Vec<String>, Vec<String>) = self.images.into_iter().partition(|image| is_path(image));
        let mut reports = Vec::new();
        // Without any name all images are meant; unless a path is.
        if paths.is_empty() || !names.is_empty() {
            for image in images(&project, &names)? {
                reports.push(built(&project, &root, &image, progress)?);
            }
        }
        for path in &paths {
            reports.push(shipped(&project, &folder.join(path), self.recipe.as_deref(), progress)?);
        }
        if let Some(path) = &self.junit {
            save(&reports, path).with_context(|| format!("cannot write {}", path.display()))?;
        }
        match self.json {
            true => print_json(out, &reports)?,
            false => reports.iter().try_for_each(|report| report.write(out, self.all))?,
        }
        let failed: Vec<_> = reports.iter().filter(|report| !report.is_clean()).map(|one| one.image.as_str()).collect();
        match failed.is_empty() {
            true => Ok(()),
            false => anyhow::bail!("not all is as it should be in {}", failed.join(", ")),
        }
    }
}

/// Whether an image is asked for by its path: a name has neither.
fn is_path(image: &str) -> bool {
    image.contains('/') || image.ends_with(".tar")
}

/// The audit of an image that was built here.
fn built(project: &Project, root: &Path, image: &str, progress: &Progress) -> anyhow::Result<Report> {
    let folded = project.load(image)?;
    let layout = root.join(image).join("oci");
    if !layout.join("index.json").exists() {
        return Err(NotBuilt(image.to_owned(), layout).into());
    }
    report(&layout, progress, |_| Ok(Claims::of(&folded.recipe)))
}

/// The audit of a layout, or of an archive of one, from elsewhere; `recipe` is what it is held against.
fn shipped(project: &Project, path: &Path, recipe: Option<&str>, progress: &Progress) -> anyhow::Result<Report> {
    let scratch;
    let layout = if path.is_dir() {
        path
    } else {
        scratch = Store::open_default()?.scratch()?;
        let cannot = || format!("cannot read {}", path.display());
        read::lay_out(path, scratch.path()).with_context(cannot)?;
        scratch.path()
    };
    report(layout, progress, |rootfs| {
        let of_itself = || claimed_name(rootfs).ok_or_else(|| Nameless(path.to_owned()));
        let name = recipe.map_or_else(of_itself, |recipe| Ok(recipe.to_owned()))?;
        // As a name that a person gave: one that no recipe has is said as such.
        let known = images(project, &[name])?.remove(0);
        Ok(Claims::of(&project.load(&known)?.recipe))
    })
}

/// The audit of the image in `layout`, which claims to be what `claims` makes of it.
fn report(
    layout: &Path,
    progress: &Progress,
    claims: impl FnOnce(&Rootfs) -> anyhow::Result<Claims>,
) -> anyhow::Result<Report> {
    let step = progress.step("audit", Total::Unknown);
    let rootfs = read::rootfs(layout).with_context(|| format!("cannot read {}", layout.display()))?;
    let report = audit(&rootfs, &claims(&rootfs)?)?;
    let (image, paths, checks) = (&report.image, rootfs.entries().len(), report.outcomes.len());
    step.done(&format!("{image}, {paths} paths, {checks} checks"));
    Ok(report)
}

/// Of which image a root file system says that it is.
fn claimed_name(rootfs: &Rootfs) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Declaration {
        name: String,
    }
    let file = rootfs.open("usr/lib/goldsmith/image.json").ok()?;
    serde_json::from_reader::<_, Declaration>(file).ok().map(|declaration| declaration.name)
}

/// An image that does not say what it is.
#[derive(Debug, thiserror::Error)]
#[error(
    "{path} does not say of which recipe it is: there is no usr/lib/goldsmith/image.json in it\n\
     help: say it with `--recipe NAME`",
    path = .0.display()
)]
struct Nameless(PathBuf);

/// An image that was never built.
#[derive(Debug, thiserror::Error)]
#[error("there is no image {folder}\nhelp: `goldsmith build {name}` makes it", folder = .1.display(), name = .0)]
struct NotBuilt(String, PathBuf);

/// The table of checks.
fn list(out: &mut dyn Write) -> anyhow::Result<()> {
    for check in checks::all() {
        writeln!(out, "{:30} {:6}  {}", check.id, check.severity.name(), check.title)?;
        writeln!(out, "{:30} {:6}  {} ({})", "", "", check.why, check.source)?;
    }
    Ok(())
}

/// Writes the reports as JUnit XML.
fn save(reports: &[Report], path: &Path) -> std::io::Result<()> {
    let mut file = BufWriter::new(fs::File::create(path)?);
    junit::write(reports, &mut file)?;
    file.flush()
}
