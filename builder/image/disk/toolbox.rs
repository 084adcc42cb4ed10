//! Programs of the toolbox, run over the files of one directory: no tool of this machine touches a byte of an artifact.

use std::path::Path;

use crate::epoch::Epoch;
use crate::rootfs::tree::Tree;
use crate::sandbox::{Namespace, Sandbox, SandboxError};

/// The toolbox's tree, and the right to run what is in it.
#[derive(Clone, Debug)]
pub struct Toolbox {
    namespace: Namespace,
    tree: Tree,
}

/// A program of the toolbox did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It ended with another code than 0.
    #[error("`{command}` of the toolbox failed ({status}): {said}")]
    Failed {
        /// What was run.
        command: String,
        /// How it ended.
        status: String,
        /// Its output, trimmed.
        said: String,
    },
    /// It could not be run.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The toolbox lacks something.
    #[error("the toolbox has no {path}: {cause}\nhelp: it comes with a package of recipes/toolbox.toml")]
    Missing {
        /// Where it should be.
        path: String,
        /// What the system said.
        cause: std::io::Error,
    },
}

/// Where a program sees the files it works on: a directory that every Debian system has.
const WORK: &str = "/mnt";

impl Toolbox {
    /// The one whose packages are unpacked and configured in `tree`.
    pub fn new(namespace: Namespace, tree: Tree) -> Self {
        Self { namespace, tree }
    }

    /// Runs `argv` in the directory `work` of this machine, which it may write to; gives what it said. Its clock for new
    /// files is `epoch`, where it asks for one (`SOURCE_DATE_EPOCH`).
    ///
    /// # Errors
    /// It ended with another code than 0, or was not started.
    pub fn run(&self, work: &Path, epoch: Epoch, argv: &[&str]) -> Result<String, ToolError> {
        let sandbox = Sandbox::new(self.namespace, &self.tree.root).lend(work, WORK);
        let sandbox = sandbox.env("SOURCE_DATE_EPOCH", epoch.to_string());
        // A shell only to change the directory: relative names are the same wherever the files lie.
        let inside = ["/bin/sh", "-c", "cd /mnt && exec \"$@\"", "sh"];
        let output = sandbox.run(&[&inside, argv].concat())?;
        if output.status.success() {
            return Ok(output.text);
        }
        let (command, said) = (argv.join(" "), output.text.trim().to_owned());
        Err(ToolError::Failed { command, status: output.status.to_string(), said })
    }

    /// The bytes of a file that one of its packages brought.
    ///
    /// # Errors
    /// It is not there.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, ToolError> {
        let inside = crate::rootfs::inside::Inside::open(&self.tree.root);
        inside.and_then(|inside| inside.read(path)).map_err(|cause| ToolError::Missing { path: path.to_owned(), cause })
    }
}
