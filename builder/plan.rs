//! What is to be built: recipe, lock and overlays, all pinned; its digest names the build.
//!
//! A plan is data. Whoever has the packages that its lock names can build it, offline, and gets the same bytes.

pub mod target;

use crate::digest::Digest;
use crate::image::disk;
use crate::image::layers;
use crate::image::oci::Definition;
use crate::lock::file::Lock;
use crate::overlay::{Overlay, computed};
use crate::recipe::{Compression, Recipe};
use crate::rootfs::accounts::Accounts;
use crate::rootfs::tree::Ingredients;
use crate::store::Blob;

/// A recipe, the lock that answers it, and the overlays that it lays.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The wish.
    pub recipe: Recipe,
    /// The answer.
    pub lock: Lock,
    /// In the order in which they are laid.
    pub overlays: Vec<Overlay>,
    /// What the toolbox is made of, which makes disks; needed if the recipe names a target.
    pub toolbox: Option<Ingredients>,
    /// What the image knows itself by (`plan` in `/usr/lib/goldsmith/image.json`): an image with the same one has the same root
    /// file system. None: it has no firewall, and so nothing that an instance could open.
    pub image_id: Option<Digest>,
}

/// A lock that does not answer the recipe.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The recipe asks for something else than when it was locked.
    #[error(
        "recipes/{0}.toml asks for other packages or archives than when images/{0}.lock was written\n\
         help: `goldsmith lock {0}` answers the recipe as it is now, and keeps what still satisfies it"
    )]
    Stale(String),
}

impl Plan {
    /// Puts the three together; what the recipe itself says about files is laid last, as one overlay more.
    ///
    /// # Errors
    /// The lock is the answer to another wish.
    pub fn new(recipe: Recipe, lock: Lock, mut overlays: Vec<Overlay>) -> Result<Self, PlanError> {
        if lock.wish != recipe.wish_digest() {
            return Err(PlanError::Stale(recipe.name));
        }
        let bare = computed::of(&recipe, None);
        let says_nothing = bare.entries.is_empty();
        overlays.push(bare);
        let mut plan = Self { recipe, lock, overlays, toolbox: None, image_id: None };
        // The image cannot hold its own digest, but that of all that decides it, this one word apart.
        let identity = Digest::of(plan.root_text().as_bytes());
        plan.overlays.pop();
        if !says_nothing {
            plan.overlays.push(computed::of(&plan.recipe, Some(&identity)));
            plan.image_id = Some(identity);
        }
        Ok(plan)
    }

    /// What decides the root file system: packages, accounts, overlays.
    fn root_text(&self) -> String {
        let mut text = format!("goldsmith {}\ntree {}\n", env!("CARGO_PKG_VERSION"), self.ingredients().digest());
        text.extend(self.overlays.iter().map(|overlay| format!("overlay {} {}\n", overlay.name, overlay.digest)));
        text
    }

    /// The same, with what makes its disks: the plan of the toolbox.
    #[must_use]
    pub fn with_toolbox(self, toolbox: &Self) -> Self {
        Self { toolbox: Some(toolbox.ingredients()), ..self }
    }

    /// The disk that is to be made, if any.
    pub fn disk(&self) -> Option<disk::Definition> {
        target::disk(&self.recipe.image)
    }

    /// Of everything that decides the root file system and the image: two plans with one digest give the same bytes.
    pub fn digest(&self) -> Digest {
        let mut text = self.root_text();
        text.push_str(&format!("definition {:?}\n", self.definition()));
        if let (Some(disk), Some(toolbox)) = (self.disk(), &self.toolbox) {
            text.push_str(&format!("disk {disk:?} made by {}\n", toolbox.digest()));
        }
        Digest::of(text.as_bytes())
    }

    /// Of the plan, and of the code that makes trees and images: what is there need not be built again if both are the same.
    pub fn made_by(&self) -> Digest {
        let code = [
            include_str!("rootfs/seal.rs"),
            include_str!("build.rs"),
            include_str!("plan/target.rs"),
            crate::image::MADE_BY,
        ]
        .concat();
        Digest::of(format!("{} {} {}", self.digest(), self.ingredients().key(), Digest::of(code.as_bytes())).as_bytes())
    }

    /// What the configured tree is made of.
    pub fn ingredients(&self) -> Ingredients {
        let packages = self.lock.packages.iter().map(|package| {
            (format!("{} {}", package.name, package.version), Blob { digest: package.sha256, size: package.size })
        });
        let accounts = Accounts { users: self.recipe.users.clone(), groups: self.recipe.groups.clone() };
        Ingredients {
            packages: packages.collect(),
            filter: self.recipe.filter.clone(),
            accounts,
            epoch: self.lock.epoch,
        }
    }

    /// What the OCI image says of itself.
    pub fn definition(&self) -> Definition {
        Definition {
            name: self.recipe.name.clone(),
            tag: "latest".to_owned(),
            arch: self.recipe.arch,
            description: self.recipe.description.clone(),
            version: self.lock.epoch.rfc3339(),
            source: None,
            revision: None,
            labels: std::collections::BTreeMap::new(),
            compression: match self.recipe.image.compression {
                Compression::Zstd => crate::image::compress::Compression::Zstd,
                Compression::Gzip => crate::image::compress::Compression::Gzip,
            },
            layers: layers::LIMIT,
        }
    }
}
