//! `goldsmith export`

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::{Usage, build::plan, images};
use crate::build;
use crate::image::tar;
use crate::progress::{Progress, Total, bytes};
use crate::recipe::project::Project;
use crate::rootfs::Rootfs;
use crate::rootfs::tree::Workshop;
use crate::sandbox::Namespace;
use crate::store::Store;

/// Write the root file system of an image as one plain tar archive.
///
/// It holds just what the layers of the OCI image hold together: POSIX pax, sorted, numeric owners, times at most the lock's.
/// Works offline, from the packages in the store.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  goldsmith export api               # images/api/rootfs.tar\n  \
                        goldsmith export api -o - | tar t")]
pub struct Export {
    /// Which.
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Where to write; `-` is standard output; default: images/NAME/rootfs.tar.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// How many threads; default: one a processor. The result does not depend on it.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
}

impl Export {
    pub fn run(self, project: &Project, progress: &Progress, out: &mut dyn Write) -> anyhow::Result<()> {
        images(project, std::slice::from_ref(&self.image))?;
        let plan = plan(project, &self.image)?;
        let file = self.output.unwrap_or_else(|| project.image(&self.image).join("rootfs.tar"));
        let to_stdout = file == Path::new("-");
        if to_stdout && io::stdout().is_terminal() {
            let help = Some("let it go to a file (`-o FILE`) or to another program (`| tar t`)".to_owned());
            return Err(Usage { message: "a terminal cannot show an archive".to_owned(), help }.into());
        }
        let namespace = Namespace::enter()?;
        let store = Store::open_default()?.reporting(progress);
        let jobs = self.jobs.map_or_else(super::build::processors, usize::from);
        let workshop = Workshop { namespace, store, progress: progress.clone(), jobs, keep: false };
        let rootfs = build::rootfs(&plan, &workshop)?;
        let step = progress.step("export", Total::Unknown);
        if to_stdout {
            write(&rootfs, &mut *out)?;
            return Ok(());
        }
        let size = save(&rootfs, &file).with_context(|| format!("cannot write {}", file.display()))?;
        step.done(&bytes(size));
        Ok(writeln!(out, "{}", file.display())?)
    }
}

/// Every path of `rootfs`.
fn write(rootfs: &Rootfs, out: impl Write) -> io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, out);
    tar::write(rootfs, rootfs.entries().keys().map(String::as_str), &mut out)?;
    out.flush()
}

/// The archive at `path`, whole or not at all; says how large it is.
fn save(rootfs: &Rootfs, path: &Path) -> io::Result<u64> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut partial = tempfile::Builder::new();
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    let partial = partial.prefix(".rootfs-").permissions(readable).tempfile_in(folder)?;
    let file: &File = partial.as_file();
    write(rootfs, file)?;
    let size = file.metadata()?.len();
    partial.persist(path)?;
    Ok(size)
}
