//! `goldsmith diff`
//!
//! ```text
//! A, B: a lock, an image that was built here, an OCI layout or archive from anywhere, a report of `verify`
//!   two locks    ─▶ packages
//!   two images   ─▶ packages (dpkg's own list) ▸ files, with the lines of those that are text ▸ settings in force ▸ layers to pull
//!   two reports  ─▶ who reaches what
//! ```

mod report;
mod side;

use std::io::Write;

use clap::Args;

use super::shell::Ended;
use super::{Usage, print_json};
use crate::progress::Progress;
use crate::recipe::project::Project;
use crate::sandbox::Namespace;
use crate::store::Store;
use report::{Report, built, changed_settings, locked, moved, settings, text};
use side::{REMOTE, Side, Sides, is_image};

/// Show what changes from one lock or image to another.
///
/// A and B are locks (`old.lock`), images that were built here (`api`), OCI layouts and archives of them (by their path),
/// images in registries (`docker://registry.example/api:1`), or reports of `verify --json` (`old.json`). Of locks, the packages;
/// of images, the packages, the files, the lines of files that are text, the settings in force as the image's own programs print
/// them in a sandbox, and what a host that has A pulls to have B; of reports, who reaches what.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  git show HEAD~:images/api.lock > old.lock; goldsmith diff old.lock images/api.lock\n  \
                        goldsmith diff shipped/api.oci.tar api --exit-code\n  \
                        goldsmith diff docker://registry.example/api:2026-10 api"
)]
pub struct Diff {
    /// The one before.
    #[arg(value_name = "A")]
    a: String,
    /// The one after.
    #[arg(value_name = "B")]
    b: String,
    /// Without the lines of files.
    #[arg(long)]
    names: bool,
    /// Run no program of the images: without the settings in force.
    #[arg(long)]
    no_run: bool,
    /// End with the exit code 3 if they differ.
    #[arg(long)]
    exit_code: bool,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

/// The exit code of `--exit-code` if they differ.
const DIFFER: u8 = 3;

impl Diff {
    pub fn run(self, project: &Project, progress: &Progress, out: &mut dyn Write) -> anyhow::Result<()> {
        // Before any thread is started, and only if there are programs to run: user namespaces may be forbidden here.
        let named = [&self.a, &self.b];
        let runs = !self.no_run && named.iter().all(|named| is_image(named));
        let is_remote = named.iter().any(|named| named.starts_with(REMOTE));
        let namespace = if runs || is_remote { Some(Namespace::enter()?) } else { None };
        let sides = Sides { project, progress, namespace };
        let report = match (sides.side(&self.a)?, sides.side(&self.b)?) {
            (Side::Lock(a), Side::Lock(b)) => Report { packages: locked(&a, &b), ..Report::default() },
            (Side::Exposure(a), Side::Exposure(b)) => Report { exposure: moved(&a, &b), ..Report::default() },
            (Side::Image(a), Side::Image(b)) => {
                let mut report = built(&a, &b, self.names)?;
                if let Some(namespace) = namespace.filter(|_| runs) {
                    let store = Store::open_default()?.reporting(progress);
                    let (a, b) = (settings(namespace, &a, &store)?, settings(namespace, &b, &store)?);
                    report.settings = Some(changed_settings(&a, &b));
                }
                report
            }
            _ => {
                let message = format!("{} and {} cannot be compared: they are not of one kind", self.a, self.b);
                let help = "give two locks, two images, or two reports".to_owned();
                return Err(Usage { message, help: Some(help) }.into());
            }
        };
        match self.json {
            true => print_json(out, &report)?,
            false => write!(out, "{}", text(&report))?,
        }
        let same =
            report.packages.is_empty() && report.files.is_empty() && report.settings.iter().flatten().next().is_none();
        let same = same && report.exposure.is_empty();
        if self.exit_code && !same { Err(Ended(DIFFER).into()) } else { Ok(()) }
    }
}
