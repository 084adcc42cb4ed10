//! Images in registries, by the toolbox's skopeo: the one that everybody's registry is tried with, in the sandbox.
//!
//! ```text
//! layout ──push──▶ registry/name:tag ──pull──▶ layout      every blob verified by its digest on the way
//! ```
//!
//! It is shown what it needs of this machine: how names are resolved, which authorities are trusted, and the credentials that
//! `docker login` or `skopeo login` left. A registry on this machine's loopback may be without TLS, as with other clients.

use std::fs;
use std::path::{Path, PathBuf};

use crate::rootfs::tree::Tree;
use crate::sandbox::{Namespace, Sandbox, SandboxError};

/// Where skopeo sees the folder that is lent to it.
const FOLDER: &str = "/srv";

/// The layout in that folder.
pub(super) const LAYOUT: &str = "layout";

/// The way to registries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registry<'a> {
    /// The right to run programs.
    pub namespace: Namespace,
    /// The tree that skopeo is in.
    pub toolbox: &'a Tree,
}

/// Why an image did not come or go.
#[derive(Debug, thiserror::Error)]
pub(super) enum RegistryError {
    /// No program can be run.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A file cannot be shown to it.
    #[error("cannot use {}: {cause}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// There is no such image.
    #[error("there is no {0}")]
    Absent(String),
    /// Something else.
    #[error(
        "cannot copy {reference}: {said}\nhelp: `skopeo login` or `docker login` leave credentials where they are found"
    )]
    Failed {
        /// The reference.
        reference: String,
        /// What skopeo said.
        said: String,
    },
}

impl Registry<'_> {
    /// Brings the image `reference` (`registry.example/api:1`) as a layout below `folder`, which is there and empty.
    pub(super) fn pull(&self, reference: &str, folder: &Path) -> Result<PathBuf, RegistryError> {
        let to = format!("oci:{FOLDER}/{LAYOUT}:latest");
        self.copy((&format!("docker://{reference}"), &to), "--src-tls-verify=false", (reference, folder))?;
        Ok(folder.join(LAYOUT))
    }

    /// Brings the layout below `folder` to `reference`.
    pub(super) fn push(&self, folder: &Path, reference: &str) -> Result<(), RegistryError> {
        let from = format!("oci:{FOLDER}/{LAYOUT}");
        self.copy((&from, &format!("docker://{reference}")), "--dest-tls-verify=false", (reference, folder))
    }

    fn copy(
        &self,
        (from, to): (&str, &str),
        without_tls: &str,
        (reference, folder): (&str, &Path),
    ) -> Result<(), RegistryError> {
        let mut sandbox = Sandbox::new(self.namespace, &self.toolbox.root).with_network().lend(folder, FOLDER);
        sandbox = sandbox.env("TMPDIR", FOLDER);
        for file in ["/etc/resolv.conf", "/etc/hosts"].iter().filter(|file| Path::new(file).exists()) {
            let there =
                Path::new(file).canonicalize().map_err(|cause| RegistryError::File { path: file.into(), cause })?;
            sandbox = sandbox.show(there, *file);
        }
        let shown = |from: &Path, name: &str| {
            let cannot = |cause| RegistryError::File { path: from.to_owned(), cause };
            fs::copy(from, folder.join(name)).map(drop).map_err(cannot)
        };
        if let Some(authorities) = AUTHORITIES.iter().map(Path::new).find(|path| path.exists()) {
            shown(authorities, "authorities.pem")?;
            sandbox = sandbox.env("SSL_CERT_FILE", format!("{FOLDER}/authorities.pem"));
        }
        if let Some(credentials) = credentials() {
            shown(&credentials, "auth.json")?;
            sandbox = sandbox.env("REGISTRY_AUTH_FILE", format!("{FOLDER}/auth.json"));
        }
        let mut argv = vec!["skopeo", "copy", "--quiet", "--preserve-digests"];
        argv.extend(is_here(reference).then_some(without_tls));
        argv.extend([from, to]);
        let output = sandbox.run(&argv);
        // They were lent, not given.
        drop(fs::remove_file(folder.join("auth.json")));
        let output = output?;
        if output.status.success() {
            return Ok(());
        }
        let said = output.text.trim().to_owned();
        let absent = ["manifest unknown", "name unknown"].iter().any(|word| said.contains(word));
        match absent {
            true => Err(RegistryError::Absent(reference.to_owned())),
            false => Err(RegistryError::Failed { reference: reference.to_owned(), said }),
        }
    }
}

/// Whether a registry is this machine.
fn is_here(reference: &str) -> bool {
    matches!(reference.split(['/', ':']).next(), Some("127.0.0.1" | "localhost"))
}

/// Where systems keep the authorities that they trust: Debian and Alpine, Fedora, SUSE.
const AUTHORITIES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// Where clients leave credentials (containers-auth.json(5)), the first that is there.
#[expect(clippy::disallowed_methods, reason = "whose credentials they are is the environment's to say")]
fn credentials() -> Option<PathBuf> {
    let under = |name: &str, path: &str| Some(PathBuf::from(std::env::var_os(name)?).join(path));
    let all = [
        std::env::var_os("REGISTRY_AUTH_FILE").map(PathBuf::from),
        under("XDG_RUNTIME_DIR", "containers/auth.json"),
        under("DOCKER_CONFIG", "config.json"),
        under("HOME", ".docker/config.json"),
    ];
    all.into_iter().flatten().find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_registry_on_this_machine_may_be_without_tls() {
        assert!(is_here("127.0.0.1:5000/a:b") && is_here("localhost/a"));
        assert!(!is_here("registry.example/a:b") && !is_here("127.0.0.1.example/a") && !is_here("10.0.0.1:5000/a"));
    }
}
