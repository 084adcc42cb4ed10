//! The hand-off: a script with the commands of a provider's own client that upload, check, import and name an image, and make
//! the security group that says outside what its firewall says inside.
//!
//! ```text
//! Recipe, disk, digests, Target ──text: a pure function──▶ import.sh, for a person to read, and to run with their own client
//! ```
//!
//! No key of anybody's account is in it or is asked for: the client has its own. What belongs to the account (region, bucket,
//! network) is a variable that the script demands by name before its first command. It refuses a disk of another digest.
//!
//! | target | client | boots | metadata service |
//! |---|---|---|---|
//! | alibaba | `aliyun` | UEFI-Preferred, set after the import, which takes only one of both | `ImdsSupport v2`: tokens only |
//! | aws | `aws` | `uefi-preferred` | `imds-support v2.0`: tokens only |
//! | azure | `az`, `azcopy` | generation 2 (UEFI); the disk would start as generation 1 too | asks for a header |
//! | gcp | `gcloud` | UEFI | asks for a header |
//! | kvm | `virsh`, `virt-install` | UEFI | none: the bundle is a disk |
//! | openstack | `openstack` | UEFI | a config drive in its place |

mod alibaba;
mod aws;
mod azure;
mod gcp;
mod group;
mod kvm;
mod openstack;

use std::collections::BTreeMap;

use crate::digest::Digest;
use crate::plan::target;
use crate::recipe::{Recipe, Target};
use group::{Direction, Rule, Whom};

/// What is handed over.
#[derive(Debug)]
pub struct Handoff<'a> {
    /// What is in it.
    pub recipe: &'a Recipe,
    /// To whom.
    pub target: Target,
    /// Of each file of the disk, by its name.
    pub digests: &'a BTreeMap<String, Digest>,
    /// The folder with the files, as whoever runs the script is to find it.
    pub folder: &'a str,
    /// How large the disk is, in GiB.
    pub gibibytes: u16,
}

/// There is nothing to hand over.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{image} was not built for {target}: there is no {file}\n\
     help: add \"{target}\" to targets in [image] of its recipe, and `goldsmith build {image}`"
)]
pub struct NoDisk {
    image: String,
    target: &'static str,
    file: &'static str,
}

/// What a provider's own part of a script needs.
struct Parts<'a> {
    handoff: &'a Handoff<'a>,
    /// What the firewall says, rule by rule.
    rules: Vec<Rule>,
    /// Whether what no rule lets out is to stay in.
    shut: bool,
}

/// One provider's part: what it asks of the account (variable, meaning), and its commands. Both know `$DISK` (the file) and
/// `$NAME` (of the image, with the beginning of its digest).
struct Own {
    provider: &'static str,
    variables: Vec<(String, String)>,
    commands: String,
}

/// The script.
///
/// # Errors
/// The disk was not written in the format of the target.
pub fn script(handoff: &Handoff<'_>) -> Result<String, NoDisk> {
    let Handoff { recipe, target, digests, folder, .. } = handoff;
    let file = target::format(*target).file_name();
    let image = &recipe.name;
    let Some(digest) = digests.get(file) else {
        return Err(NoDisk { image: image.clone(), target: target.name(), file });
    };
    let parts = Parts { handoff, rules: group::rules(recipe), shut: group::is_shut(recipe) };
    let own = match target {
        Target::Alibaba => alibaba::own(&parts),
        Target::Aws => aws::own(&parts),
        Target::Azure => azure::own(&parts),
        Target::Gcp => gcp::own(&parts),
        Target::Kvm => kvm::own(&parts),
        Target::Openstack => openstack::own(&parts),
    };
    let digest = digest.to_string();
    let digest = digest.trim_start_matches("sha256:");
    let (name, provider) = (target.name(), own.provider);
    let mut text = format!(
        "#!/bin/sh\n\
         # Brings the image `{image}` to {provider}, with the provider's own client, which has its keys: none is in here.\n\
         # Written by `goldsmith import {image} --target {name}` for one disk, and stops if it is another one.\n\
         set -eu\n\n"
    );
    for (variable, meaning) in &own.variables {
        text += &format!(": \"${{{variable}:?{meaning}}}\"\n");
    }
    text += &format!(
        "DISK=${{DISK:-{folder}/{file}}}\n\
         NAME=goldsmith-{image}-{}\n\n\
         echo \"{digest}  $DISK\" | sha256sum -c - >&2\n\n{}",
        &digest[..12],
        own.commands
    );
    Ok(text)
}

impl Parts<'_> {
    /// One line for each rule that `line` has something for.
    fn each(&self, line: impl Fn(&Rule) -> String) -> String {
        self.rules.iter().map(line).collect()
    }

    /// The variables of those whose addresses only the provider knows, each with its meaning.
    fn groups(&self, meaning: &str) -> Vec<(String, String)> {
        let names = self.rules.iter().filter_map(|rule| match &rule.whom {
            Whom::Named(name) => Some((group::variable(name), format!("{meaning} {name}"))),
            Whom::Network(_) => None,
        });
        names.collect::<BTreeMap<_, _>>().into_iter().collect()
    }

    /// The image's name.
    fn image(&self) -> &str {
        &self.handoff.recipe.name
    }
}

#[cfg(test)]
mod tests;
