//! `goldsmith fetch`

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::{NoLock, images};
use crate::digest::Digest;
use crate::lock::file::Lock;
use crate::mirror::{Download, Mirror, Options};
use crate::progress::{Progress, bytes};
use crate::recipe::Recipe;
use crate::recipe::project::Project;
use crate::store::{Blob, Store};

/// Fill the store with every package of a lock, so that building works offline.
///
/// Each is verified by the digest in the lock while it is written. What is there already is not asked for again, and a
/// transfer that was cut off goes on where it stopped.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  goldsmith fetch && goldsmith build --offline\n  \
                        goldsmith fetch --from /media/stick   # on a machine without a network")]
pub struct Fetch {
    /// Which images; default: all.
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
    /// Take the packages from what lies in this folder, by their digests, and use no network: a folder of `goldsmith vendor`, a
    /// mirror on a disk, or anything else that has them.
    #[arg(long, value_name = "DIR")]
    from: Option<PathBuf>,
    /// Take Debian's archives from here instead (`debian` and `debian-security` are looked for below it).
    #[arg(long, value_name = "URL", env = "GOLDSMITH_MIRROR")]
    mirror: Option<String>,
    /// How many transfers at a time.
    #[arg(short, long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
}

impl Fetch {
    pub fn run(self, project: &Project, progress: &Progress, out: &mut dyn Write) -> anyhow::Result<()> {
        let mut downloads = Vec::new();
        for name in images(project, &self.images)? {
            let recipe = project.load(&name)?.recipe;
            downloads.extend(of_lock(&recipe, &NoLock::or_load(project, &name)?)?);
        }
        let store = Store::open_default()?.reporting(progress);
        if let Some(folder) = &self.from {
            return found(folder, &downloads, &store, out);
        }
        let options = Options { threads: usize::from(self.jobs), ..Options::from_environment(self.mirror) };
        let fetched = Mirror::discover(&options, &store, progress)?.fetch(&downloads)?;
        let size = bytes(fetched.bytes);
        writeln!(out, "{} packages fetched, {size}; {} were there already", fetched.files, fetched.present)?;
        Ok(())
    }
}

/// Brings what of `downloads` lies below `folder` into the store.
fn found(folder: &Path, downloads: &[Download], store: &Store, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut missing: Vec<&Download> = downloads.iter().filter(|download| !store.holds(download.blob)).collect();
    let present = downloads.len() - missing.len();
    let sizes: BTreeSet<u64> = missing.iter().map(|download| download.blob.size).collect();
    let mut folders = vec![folder.to_owned()];
    let (mut files, mut size) = (0, 0);
    while let Some(folder) = folders.pop() {
        let cannot = || format!("cannot read {}", folder.display());
        for entry in fs::read_dir(&folder).with_context(cannot)? {
            let entry = entry.with_context(cannot)?;
            let kind = entry.file_type().with_context(cannot)?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && sizes.contains(&entry.metadata().with_context(cannot)?.len()) {
                let cannot = || format!("cannot read {}", entry.path().display());
                let (digest, _) = Digest::of_reader(File::open(entry.path())?).with_context(cannot)?;
                if let Some(at) = missing.iter().position(|download| download.blob.digest == digest) {
                    let blob = missing[at].blob;
                    store.put_reader(File::open(entry.path()).with_context(cannot)?, blob)?;
                    missing.retain(|download| download.blob != blob);
                    (files, size) = (files + 1, size + blob.size);
                }
            }
        }
    }
    if !missing.is_empty() {
        let (count, folder) = (missing.len(), folder.display());
        let names: Vec<&str> = missing.iter().take(3).map(|download| download.name.as_str()).collect();
        let more = if count > names.len() { ", …" } else { "" };
        anyhow::bail!(
            "{count} packages of the locks are not in {folder} ({}{more}); the others are in the store\n             help: they are known by their digests, so that another version, or a damaged file, is not found",
            names.join(", ")
        );
    }
    writeln!(out, "{files} packages found, {}; {present} were there already", bytes(size))?;
    Ok(())
}

/// What a lock needs, and where it is found.
///
/// # Errors
/// The lock names an archive that the recipe does not have any more.
pub(super) fn of_lock(recipe: &Recipe, lock: &Lock) -> anyhow::Result<Vec<Download>> {
    let download = |package: &crate::lock::file::Locked| {
        let archive = recipe.archives.iter().find(|archive| archive.name == package.archive).ok_or_else(|| {
            let (name, from) = (&package.name, &package.archive);
            anyhow::anyhow!(
                "{name} is locked from the archive `{from}`, which recipes/{recipe}.toml does not name\n\
                 help: `goldsmith lock {recipe}` answers the recipe as it is now",
                recipe = recipe.name
            )
        })?;
        Ok(Download {
            name: format!("{} {}", package.name, package.version),
            archive: archive.uri.clone(),
            path: package.path.clone(),
            at: lock.date(&package.archive),
            blob: Blob { digest: package.sha256, size: package.size },
        })
    };
    lock.packages.iter().map(download).collect()
}
