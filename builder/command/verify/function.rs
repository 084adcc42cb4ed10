//! What images are for, asked of machines of the project's fleet: with secrets that are made for these minutes, and are of no use
//! to anybody afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;

use anyhow::Context;

use super::super::fleet::{Loaded, today};
use super::Bench;
use crate::fleet::secrets::Secrets;
use crate::fleet::{Fleet, Material};
use crate::recipe::project::{Mistakes, Project};
use crate::store::Scratch;
use crate::verify::lab::exam::Subject;
use crate::verify::lab::report::Step;
use crate::verify::lab::together::{self, Member};

/// One machine of each image of a fleet, each with what it is told. Nothing is started yet.
pub(super) struct Party<'a> {
    members: Vec<Member<'a>>,
    /// The ways out of the fleet's networks.
    gateways: Vec<IpAddr>,
    scratch: Scratch,
}

impl<'a> Party<'a> {
    /// Those of the fleet `name` of the project, or of its only one; none, if no recipe says what its image is for, or if not all
    /// images of the fleet are among `subjects`.
    ///
    /// # Errors
    /// There are several fleets; it has mistakes; a file that it names cannot be read.
    pub(super) fn of(
        project: &Project,
        name: Option<&str>,
        (bench, subjects): (&Bench<'_>, &'a [Subject]),
    ) -> anyhow::Result<Option<Self>> {
        let none_asks = subjects.iter().all(|subject| subject.claims.functions.is_empty());
        if name.is_none() && (none_asks || project.fleet_texts()?.is_empty()) {
            return Ok(None);
        }
        let loaded = Loaded::of(project, name)?;
        let fleet = with_certificates_of_its_own(&loaded.fleet);
        let mut first: BTreeMap<&str, &String> = BTreeMap::new();
        for (name, instance) in &fleet.instances {
            first.entry(instance.image.get_ref()).or_insert(name);
        }
        if let Some(other) = first.keys().find(|image| !subjects.iter().any(|subject| subject.image.name == **image)) {
            let message =
                format!("verify: what images are for is not asked without {other}, which is in the fleet too");
            bench.workshop.progress.message(&message);
            return Ok(None);
        }
        let scratch = bench.workshop.store.scratch()?;
        let files = texts(project, &fleet, &bench.host(scratch.path()).key()?)?;
        let (plans, secrets) = (loaded.plans(project)?, Secrets::renewed(&fleet, &loaded.images, None, today())?);
        let material = Material { images: &loaded.images, plans: &plans, files: &files, secrets: Some(&secrets) };
        let mut members = Vec::new();
        for subject in subjects {
            let Some(name) = first.get(subject.image.name.as_str()) else { continue };
            let scratch = scratch.path().join(name);
            fs::create_dir(&scratch)?;
            members.push(Member { subject, told: fleet.told(name, &material).map_err(Mistakes)?, scratch });
        }
        let gateways = fleet.networks.values().filter_map(|network| network.gateway).collect();
        Ok(Some(Self { members, gateways, scratch }))
    }

    /// Starts all of them, and asks; the steps of each image.
    pub(super) fn asked(&self, bench: &Bench<'_>) -> anyhow::Result<BTreeMap<String, Vec<Step>>> {
        let (host, progress) = (bench.host(self.scratch.path()), &bench.workshop.progress);
        Ok(together::asked(&self.members, &self.gateways, &host, progress)?)
    }
}

/// The same fleet, whose own authority stands for all: nobody's private key is lent to a machine of the lab.
fn with_certificates_of_its_own(fleet: &Fleet) -> Fleet {
    let mut fleet = fleet.clone();
    fleet.instances.values_mut().for_each(|instance| instance.certificate = None);
    fleet
}

/// The text of each file that `fleet` names: in place of those who may log in, `key`, which is nobody's.
fn texts(project: &Project, fleet: &Fleet, key: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let keys: BTreeSet<&str> =
        fleet.instances.values().flat_map(|instance| &instance.keys).map(|key| key.get_ref().as_str()).collect();
    let mut texts = BTreeMap::new();
    for file in fleet.files().into_iter().map(|file| file.get_ref()) {
        let text = match keys.contains(file.as_str()) {
            true => key.to_owned(),
            false => fs::read_to_string(project.root().join(file)).with_context(|| format!("cannot read {file}"))?,
        };
        texts.insert(file.clone(), text);
    }
    Ok(texts)
}
