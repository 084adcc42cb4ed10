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
use crate::verify::claims::Claims;
use crate::verify::report::Report;
use crate::verify::{audit, checks, junit};

/// Prove what an image claims, on the files that ship.
///
/// Reads the built image back and looks at what is in it as the programs there would: which settings win, which units start,
/// which packets the firewall lets through. Works offline, and starts nothing. What is not as it should be fails the audit,
/// unless the recipe makes an exception of it, with a reason ([[exception]]).
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  goldsmith audit api --junit audit.xml\n  \
                        goldsmith audit --list           # what is looked at, and why")]
pub struct Audit {
    /// Which; default: all.
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
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
    #[arg(long, conflicts_with_all = ["images", "output", "all", "json", "junit"])]
    list: bool,
}

impl Audit {
    pub fn run(self, folder: &Path, progress: &Progress, out: &mut dyn Write) -> anyhow::Result<()> {
        if self.list {
            return list(out);
        }
        let project = Project::find(folder)?;
        let root = self.output.unwrap_or_else(|| project.root().join("images"));
        let mut reports = Vec::new();
        for image in images(&project, &self.images)? {
            reports.push(report(&project, &root, &image, progress)?);
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

/// The audit of one image.
fn report(project: &Project, root: &Path, image: &str, progress: &Progress) -> anyhow::Result<Report> {
    let folded = project.load(image)?;
    let layout = root.join(image).join("oci");
    if !layout.join("index.json").exists() {
        return Err(NotBuilt(image.to_owned(), layout).into());
    }
    let step = progress.step("audit", Total::Unknown);
    let rootfs = read::rootfs(&layout).with_context(|| format!("cannot read {}", layout.display()))?;
    let report = audit(&rootfs, &Claims::of(&folded.recipe))?;
    step.done(&format!("{image}, {} paths, {} checks", rootfs.entries().len(), report.outcomes.len()));
    Ok(report)
}

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
