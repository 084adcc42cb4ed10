//! What a person names, as what is compared.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::Deserialize;

use crate::command::build::{TOOLBOX, plan, processors};
use crate::command::images;
use crate::command::registry::Registry;
use crate::image::read::{self, Pulled};
use crate::lock::file::Lock;
use crate::progress::Progress;
use crate::recipe::project::Project;
use crate::rootfs::Rootfs;
use crate::rootfs::tree::Workshop;
use crate::sandbox::Namespace;
use crate::store::Store;

/// How an image in a registry is named, as containers-transports(5) has it.
pub(super) const REMOTE: &str = "docker://";

/// One of the two.
pub(super) enum Side {
    Lock(Box<Lock>),
    Image(Box<Image>),
    /// What is reached, by image, host and address.
    Exposure(BTreeMap<String, String>),
}

pub(super) struct Image {
    pub rootfs: Rootfs,
    pub layers: Vec<Pulled>,
}

/// Whether a person named an image.
pub(super) fn is_image(named: &str) -> bool {
    !named.ends_with(".lock") && !named.ends_with(".json")
}

/// Where what a person names is looked for.
pub(super) struct Sides<'a> {
    pub project: &'a Project,
    pub progress: &'a Progress,
    /// Only if there is a program to run.
    pub namespace: Option<Namespace>,
}

impl Sides<'_> {
    /// Brings an image from a registry below `folder`.
    fn pulled(&self, reference: &str, folder: &Path) -> anyhow::Result<PathBuf> {
        let namespace = self.namespace.context("a registry is asked by a program")?;
        let store = Store::open_default()?.reporting(self.progress);
        let progress = self.progress.clone();
        let workshop = Workshop { namespace, store, progress, jobs: processors(), keep: false };
        let toolbox = workshop.tree(&plan(self.project, TOOLBOX)?.ingredients())?;
        Ok(Registry { namespace, toolbox: &toolbox }.pull(reference, folder)?)
    }

    /// What a person named.
    pub(super) fn side(&self, named: &str) -> anyhow::Result<Side> {
        let path = Path::new(named);
        if named.ends_with(".lock") {
            return Ok(Side::Lock(Box::new(Lock::load(path)?)));
        }
        let cannot = || format!("cannot read {named}");
        if named.ends_with(".json") {
            let reports: Vec<Exposed> = serde_json::from_slice(&fs::read(path).with_context(cannot)?)
                .with_context(|| format!("{named} is no report of `goldsmith verify --json`"))?;
            return Ok(Side::Exposure(reports.iter().flat_map(Exposed::lines).collect()));
        }
        let scratch;
        let layout = if let Some(reference) = named.strip_prefix(REMOTE) {
            scratch = Store::open_default()?.reporting(self.progress).scratch()?;
            self.pulled(reference, scratch.path())?
        } else if named.ends_with(".tar") {
            scratch = Store::open_default()?.reporting(self.progress).scratch()?;
            read::lay_out(path, scratch.path()).with_context(cannot)?;
            scratch.path().to_owned()
        } else if named.contains('/') {
            path.to_owned()
        } else {
            let name = images(self.project, &[named.to_owned()])?.remove(0);
            let layout = self.project.image(&name).join("oci");
            anyhow::ensure!(
                layout.join("index.json").exists(),
                "there is no image {}\nhelp: `goldsmith build {name}` makes it",
                layout.display()
            );
            layout
        };
        let rootfs = read::rootfs(&layout).with_context(cannot)?;
        Ok(Side::Image(Box::new(Image { rootfs, layers: read::pulled(&layout).with_context(cannot)? })))
    }
}

/// A report of `goldsmith verify`, as far as it says who reaches what.
#[derive(Debug, Deserialize)]
struct Exposed {
    image: String,
    exposure: Vec<Reached>,
}

#[derive(Debug, Deserialize)]
struct Reached {
    host: String,
    at: String,
    tcp: Vec<u16>,
    udp: Vec<u16>,
    ping: bool,
}

impl Exposed {
    /// `db, peer api, ipv4` and what that reaches.
    fn lines(&self) -> impl Iterator<Item = (String, String)> + '_ {
        self.exposure.iter().map(|one| {
            let ports = |ports: &[u16]| ports.iter().map(|port| format!(" {port}")).collect::<String>();
            let ping = if one.ping { "ping" } else { "no ping" };
            let reached = format!("tcp{}; udp{}; {ping}", ports(&one.tcp), ports(&one.udp));
            (format!("{}, {}, {}", self.image, one.host, one.at), reached)
        })
    }
}
