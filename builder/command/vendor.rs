//! `goldsmith vendor`
//!
//! ```text
//! DIR/README                                    how to build from it
//! DIR/Cargo.toml recipes/ overlays/ images/     the project, with its locks
//! DIR/archives/trixie/pool/…                    every package of the locks, under the name that its archive gave it
//! DIR/archives/trixie/dists/trixie/…            the Release files and indices that the locks were resolved from
//! DIR/goldsmith                                 this program
//! DIR/SHA256SUMS                                of all of it
//! ```

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::build::TOOLBOX;
use super::{NoLock, Usage, fetch, images};
use crate::digest::Digest;
use crate::lock::file::Lock;
use crate::mirror::{Mirror, Options};
use crate::progress::Progress;
use crate::recipe::project::Project;
use crate::store::Store;

/// Write all that images are built from into one folder: packages, Release files, recipes, locks, and this program.
///
/// From it the same bytes are built without a network, when no archive has these packages any more. Needed then are only a
/// Linux of the same architecture with user namespaces, and the folder; its README says how. What is in it is in the clear:
/// no key and no secret, since there is none in a project.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  goldsmith vendor /srv/archive/api-2026-11 api && tar -cf api-2026-11.tar -C /srv/archive api-2026-11"
)]
pub struct Vendor {
    /// The folder, which must not be there yet.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Which images; default: all. The toolbox comes along.
    #[arg(value_name = "IMAGE")]
    images: Vec<String>,
    /// Take Debian's archives from here instead (`debian` and `debian-security` are looked for below it).
    #[arg(long, value_name = "URL", env = "GOLDSMITH_MIRROR")]
    mirror: Option<String>,
}

impl Vendor {
    pub fn run(self, project: &Project, progress: &Progress, out: &mut dyn Write) -> anyhow::Result<()> {
        let store = Store::open_default()?.reporting(progress);
        let mirror = Mirror::discover(&Options::from_environment(self.mirror.clone()), &store, progress)?;
        let mut names: BTreeSet<String> = images(project, &self.images)?.into_iter().collect();
        if project.lock(TOOLBOX).exists() {
            names.insert(TOOLBOX.to_owned());
        }
        if self.folder.exists() {
            let message = format!("{} is there already", self.folder.display());
            return Err(Usage { message, help: Some("name a folder that is not".to_owned()) }.into());
        }
        for name in &names {
            NoLock::or_load(project, name)?;
        }
        let parent = self.folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let cannot = || format!("cannot write {}", self.folder.display());
        let half = tempfile::Builder::new().prefix(".vendor-").tempdir_in(parent).with_context(cannot)?;
        let mut archive = Archive { root: half.path(), sums: String::new() };
        archive.project(project, &names)?;
        let mut absent = BTreeSet::new();
        for name in &names {
            let lock = NoLock::or_load(project, name)?;
            let recipe = project.load(name)?.recipe;
            for keyring in recipe.archives.iter().filter_map(|archive| archive.keyring.as_deref()) {
                archive.keyring(project, keyring)?;
            }
            let downloads = fetch::of_lock(&recipe, &lock)?;
            mirror.fetch(&downloads)?;
            absent.extend(archive.packages(&lock, &store)?);
        }
        archive.program()?;
        let all = names.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        let built = names.iter().map(String::as_str).filter(|name| *name != TOOLBOX).collect::<Vec<_>>().join(" ");
        let readme = README.replace("@ALL@", &all).replace("@BUILT@", &built);
        archive.file("README", readme.as_bytes())?;
        let sums = std::mem::take(&mut archive.sums);
        fs::write(half.path().join("SHA256SUMS"), sums).with_context(cannot)?;
        // Others may read it, as they may any folder that is made.
        fs::set_permissions(half.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).with_context(cannot)?;
        fs::rename(half.path(), &self.folder).with_context(cannot)?;
        let _moved = half.keep();
        for name in &absent {
            writeln!(out, "without {name}: it was verified when the lock was written, and not kept")?;
        }
        writeln!(out, "{}: {}", self.folder.display(), names.into_iter().collect::<Vec<_>>().join(", "))?;
        Ok(())
    }
}

const README: &str = "\
What is in this folder builds the images whose locks are in images/, byte for byte, without a network:

    sha256sum --check --quiet SHA256SUMS
    export GOLDSMITH_CACHE=$PWD/cache
    ./goldsmith fetch --from archives @ALL@
    ./goldsmith build --offline --locked @BUILT@

Each package is verified against its lock while it is read. Needed are a Linux kernel with user namespaces, for the
architecture of the locks, and the C library that ./goldsmith was linked with, or newer; else its source, of this version,
and a Rust toolchain.
";

/// The folder on its way.
struct Archive<'a> {
    root: &'a Path,
    sums: String,
}

impl Archive<'_> {
    /// Recipes, overlays, keyrings, and the locks of these images.
    fn project(&mut self, project: &Project, names: &BTreeSet<String>) -> anyhow::Result<()> {
        for folder in ["recipes", "overlays"] {
            let from = project.root().join(folder);
            if from.exists() {
                self.tree(&from, folder)?;
            }
        }
        for name in names {
            let lock = project.lock(name);
            let text = fs::read(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
            self.file(&format!("images/{name}.lock"), &text)?;
        }
        Ok(())
    }

    /// A keyring of the project, without which its recipe is none. (Several archives may have one.)
    fn keyring(&mut self, project: &Project, path: &str) -> anyhow::Result<()> {
        if self.root.join(path).exists() {
            return Ok(());
        }
        let from = project.root().join(path);
        let bytes = fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
        self.file(path, &bytes)
    }

    /// The packages of a lock, and what of its Release files and indices is in the store; the names of what is not.
    fn packages(&mut self, lock: &Lock, store: &Store) -> anyhow::Result<Vec<String>> {
        for package in &lock.packages {
            let path = format!("archives/{}/{}", package.archive, package.path);
            anyhow::ensure!(
                self.blob(&path, package.sha256, store)?,
                "{} {} is not in the store any more\nhelp: `goldsmith fetch {}` brings it",
                package.name,
                package.version,
                lock.image
            );
        }
        let mut absent = Vec::new();
        for archive in &lock.archives {
            let dists = format!("archives/{}/dists/{}", archive.name, archive.suite);
            let release = (format!("{dists}/InRelease"), archive.inrelease);
            let indices = archive.indices.iter().map(|index| (format!("{dists}/{}", index.path), index.sha256));
            for (path, digest) in std::iter::once(release).chain(indices) {
                if !self.blob(&path, digest, store)? {
                    absent.push(path);
                }
            }
        }
        Ok(absent)
    }

    /// A blob of the store, verified, if it is there. (Two images share packages, and archives.)
    fn blob(&mut self, path: &str, digest: Digest, store: &Store) -> anyhow::Result<bool> {
        let target = self.root.join(path);
        if target.exists() {
            return Ok(true);
        }
        let Some(mut blob) = store.get(digest)? else { return Ok(false) };
        let cannot = || format!("cannot write {}", target.display());
        fs::create_dir_all(target.parent().unwrap_or(self.root)).with_context(cannot)?;
        std::io::copy(&mut blob, &mut File::create(&target).with_context(cannot)?).with_context(cannot)?;
        self.sum(digest, path);
        Ok(true)
    }

    /// This program itself.
    fn program(&mut self) -> anyhow::Result<()> {
        let from = std::env::current_exe().context("cannot find this program")?;
        let to = self.root.join("goldsmith");
        fs::copy(&from, &to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
        let (digest, _) = Digest::of_reader(File::open(&to)?)?;
        self.sum(digest, "goldsmith");
        Ok(())
    }

    fn file(&mut self, path: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let target = self.root.join(path);
        let cannot = || format!("cannot write {}", target.display());
        fs::create_dir_all(target.parent().unwrap_or(self.root)).with_context(cannot)?;
        fs::write(&target, bytes).with_context(cannot)?;
        self.sum(Digest::of(bytes), path);
        Ok(())
    }

    /// A folder of the project, by name, with its links as they are.
    fn tree(&mut self, from: &Path, to: &str) -> anyhow::Result<()> {
        let cannot = || format!("cannot copy {}", from.display());
        let mut names = Vec::new();
        for entry in fs::read_dir(from).with_context(cannot)? {
            names.push(entry.with_context(cannot)?.file_name());
        }
        names.sort();
        fs::create_dir_all(self.root.join(to)).with_context(cannot)?;
        for name in names {
            let (there, here) = (from.join(&name), format!("{to}/{}", name.to_string_lossy()));
            let metadata = fs::symlink_metadata(&there).with_context(cannot)?;
            if metadata.is_dir() {
                self.tree(&there, &here)?;
            } else if metadata.is_symlink() {
                std::os::unix::fs::symlink(fs::read_link(&there)?, self.root.join(&here)).with_context(cannot)?;
            } else {
                self.file(&here, &fs::read(&there).with_context(cannot)?)?;
                fs::set_permissions(self.root.join(&here), metadata.permissions()).with_context(cannot)?;
            }
        }
        Ok(())
    }

    /// As sha256sum(1) writes it.
    fn sum(&mut self, digest: Digest, path: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.sums, "{}  {path}", digest.hex());
    }
}
