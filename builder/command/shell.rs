//! `goldsmith shell`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::{NoLock, Usage, images};
use crate::build;
use crate::overlay::Overlay;
use crate::plan::Plan;
use crate::progress::Progress;
use crate::recipe::project::{Mistakes, Project};
use crate::rootfs::copy::Copy;
use crate::rootfs::tree::Workshop;
use crate::sandbox::{Namespace, Sandbox};
use crate::store::Store;

/// Look around in a throw-away copy of an image's root file system, or run one command in it.
///
/// It is the root file system that the image ships, on top of which everything may be written: nothing of it stays. There
/// is nothing of this machine but what --bind, --show and --network name. The exit code is that of the command.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  goldsmith shell api\n  goldsmith shell api -- dpkg --audit\n  \
                        goldsmith shell toolbox --show images/api:/api -- skopeo inspect oci:/api/oci")]
pub struct Shell {
    /// Which; also the toolbox.
    #[arg(value_name = "IMAGE", required_unless_present = "tree")]
    image: Option<String>,
    /// Look into a tree that `build --keep` left instead.
    #[arg(long, value_name = "DIR", conflicts_with = "image")]
    tree: Option<PathBuf>,
    /// Lend it a file or folder of this machine, to read and write. Can be given several times.
    #[arg(long, value_name = "FROM:TO", value_parser = bind)]
    bind: Vec<Bind>,
    /// Show it a file or folder of this machine, only to read. Can be given several times.
    #[arg(long, value_name = "FROM:TO", value_parser = bind)]
    show: Vec<Bind>,
    /// Leave it in this machine's network, which it has none of otherwise.
    #[arg(long)]
    network: bool,
    /// What to run; default: a shell.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// `FROM:TO`.
#[derive(Clone, Debug, PartialEq)]
struct Bind {
    from: PathBuf,
    to: PathBuf,
}

/// Of this machine, and inside.
fn bind(text: &str) -> Result<Bind, String> {
    match text.rsplit_once(':') {
        Some((from, to)) if !from.is_empty() && to.len() > 1 && to.starts_with('/') => {
            Ok(Bind { from: from.into(), to: to.into() })
        }
        _ => Err("it is FROM:TO, and TO begins with `/`".to_owned()),
    }
}

/// The command came to an end other than 0, which becomes that of `goldsmith`.
#[derive(Debug, thiserror::Error)]
#[error("the command ended with exit code {0}")]
pub(super) struct Ended(pub(super) u8);

impl Ended {
    pub(super) fn exit_code(self) -> ExitCode {
        ExitCode::from(self.0)
    }
}

impl Shell {
    pub fn run(self, folder: &Path, progress: &Progress) -> anyhow::Result<()> {
        let binds = |binds: &[Bind]| binds.iter().map(|bind| bind.there(folder)).collect::<anyhow::Result<Vec<_>>>();
        let (lent, shown) = (binds(&self.bind)?, binds(&self.show)?);
        let plan = self.image.as_ref().map(|image| plan(&Project::find(folder)?, image)).transpose()?;
        let namespace = Namespace::enter()?;
        let store = Store::open_default()?.reporting(progress);
        let scratch = store.scratch()?;
        let (tree, rootfs) = match (&plan, &self.tree) {
            (Some(plan), _) => {
                let jobs = std::thread::available_parallelism().map_or(1, usize::from);
                let (store, progress) = (store.clone(), progress.clone());
                let workshop = Workshop { namespace, store, progress, jobs, keep: false };
                let tree = workshop.tree(&plan.ingredients())?;
                (tree.root.clone(), Some((tree.clone(), build::sealed(plan, tree, &workshop.progress)?)))
            }
            (None, Some(tree)) => (folder.join(tree).canonicalize().with_context(|| tree.display().to_string())?, None),
            (None, None) => anyhow::bail!("there is neither an image nor a tree to look into"),
        };
        let rootfs = rootfs.as_ref().map(|(tree, rootfs)| (tree, rootfs));
        let copy = Copy::of(namespace, &tree, scratch.path(), rootfs)?;
        let mut sandbox = Sandbox::new(namespace, copy.root()).env("TERM", terminal());
        if self.network {
            sandbox = sandbox.with_network();
        }
        for Bind { from, to } in lent {
            sandbox = sandbox.lend(from, to);
        }
        for Bind { from, to } in shown {
            sandbox = sandbox.show(from, to);
        }
        let command = if self.command.is_empty() {
            vec!["/bin/sh".to_owned(), "-c".to_owned(), SHELL.to_owned()]
        } else {
            self.command
        };
        let status = sandbox.run_here(&command)?;
        match status.code() {
            Some(0) => Ok(()),
            code => Err(Ended(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)).into()),
        }
    }
}

/// The shell of root in a Debian system, or the one that is always there.
const SHELL: &str = "[ -x /bin/bash ] && exec /bin/bash -i; exec /bin/sh -i";

impl Bind {
    /// With the whole path of what is on this machine, which must be there.
    fn there(&self, folder: &Path) -> anyhow::Result<Self> {
        let from = folder
            .join(&self.from)
            .canonicalize()
            .map_err(|why| Usage { message: format!("cannot show {}: {why}", self.from.display()), help: None })?;
        Ok(Self { from, to: self.to.clone() })
    }
}

/// What keeps a terminal readable inside.
#[expect(clippy::disallowed_methods, reason = "a terminal has its name in the environment, and no byte depends on it")]
pub(super) fn terminal() -> String {
    std::env::var("TERM").unwrap_or_else(|_| "dumb".to_owned())
}

fn plan(project: &Project, image: &str) -> anyhow::Result<Plan> {
    images(project, &[image.to_owned()])?;
    let recipe = project.load(image)?.recipe;
    let lock = NoLock::or_load(project, image)?;
    let overlays = recipe.overlays.iter().map(|name| Overlay::load(&project.overlay(name)).map_err(Mistakes));
    let overlays = overlays.collect::<Result<Vec<_>, _>>()?;
    Ok(Plan::new(recipe, lock, overlays)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_has_two_sides() {
        assert_eq!(bind("a:b:/c"), Ok(Bind { from: "a:b".into(), to: "/c".into() }));
        for text in ["a", "a:b", ":/c", "a:", "a:/"] {
            assert!(bind(text).is_err(), "{text}");
        }
    }
}
