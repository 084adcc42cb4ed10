//! `goldsmith fleet plan`

use std::collections::BTreeMap;
use std::io::Write;

use clap::{Args, ValueEnum};

use super::Loaded;
use crate::command::print_json;
use crate::fleet::hand_off::{Hole, Who, alibaba, aws};
use crate::fleet::{Material, Role};
use crate::recipe::project::{Mistakes, Project};

/// Print what would be launched: each instance, who reaches it, and what it is told.
///
/// With --terraform, the same for Terraform or OpenTofu: the network, a security group per instance that mirrors its firewall,
/// and the instances with their bundles. No secret is printed.
#[derive(Debug, Args)]
pub struct Plan {
    /// Which. Default: the only one.
    #[arg(value_name = "FLEET")]
    fleet: Option<String>,
    /// As main.tf.json for the provider of this cloud.
    #[arg(long, value_name = "CLOUD")]
    terraform: Option<Cloud>,
}

/// Clouds for whose provider there is a hand-off.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Cloud {
    /// aliyun/alicloud
    Alibaba,
    /// hashicorp/aws
    Aws,
}

impl Plan {
    pub fn run(self, project: &Project, out: &mut dyn Write) -> anyhow::Result<()> {
        let loaded = Loaded::of(project, self.fleet.as_deref())?;
        match self.terraform {
            Some(cloud) => {
                let keys = loaded.first_keys(project)?;
                let terraform = match cloud {
                    Cloud::Alibaba => alibaba::terraform(&loaded.fleet, &loaded.images, &keys),
                    Cloud::Aws => aws::terraform(&loaded.fleet, &loaded.images, &keys),
                };
                print_json(out, &terraform)
            }
            None => loaded.print(out),
        }
    }
}

impl Loaded {
    /// The key that a cloud is given for each instance: it takes one, and the first is the fleet's.
    fn first_keys(&self, project: &Project) -> Result<BTreeMap<String, String>, Mistakes> {
        let files = self.files(project)?;
        let (plans, images) = (BTreeMap::new(), &self.images);
        let material = Material { images, plans: &plans, files: &files, secrets: self.secrets.as_ref() };
        let mut keys = BTreeMap::new();
        for name in self.fleet.instances.keys() {
            let told = self.fleet.told(name, &material).map_err(Mistakes)?;
            keys.extend(told.keys.first().map(|key| (name.clone(), key.as_str().to_owned())));
        }
        Ok(keys)
    }

    fn print(&self, out: &mut dyn Write) -> anyhow::Result<()> {
        let fleet = &self.fleet;
        writeln!(out, "fleet        {}  {}", fleet.name, fleet.description)?;
        for (name, network) in &fleet.networks {
            let gateway = network.gateway.map(|gateway| format!(", out by {gateway}")).unwrap_or_default();
            let dhcp = if network.dhcp { ", gives out addresses" } else { "" };
            writeln!(out, "network      {name}  {}{gateway}{dhcp}", network.range)?;
        }
        let (holes, free) = fleet.holes(&self.images);
        for (name, instance) in &fleet.instances {
            let address = instance.address.map_or("by DHCP".to_owned(), |address| address.to_string());
            writeln!(out, "\ninstance     {name}  {address} in {}", instance.network)?;
            writeln!(out, "  image      {}", instance.image.get_ref())?;
            for inwards in [true, false] {
                for hole in holes.iter().filter(|hole| hole.instance == *name && hole.inwards == inwards) {
                    writeln!(out, "  {}", line(hole))?;
                }
            }
            if free.contains(name) {
                writeln!(out, "  reaches    everybody, on every port")?;
            }
            let database = match fleet.role(name, &self.images) {
                Role::Database => Some(format!("it is {}, of {}", fleet.database.name, fleet.database.user)),
                Role::Client(Some(database)) => Some(format!("{} on {database}", fleet.database.name)),
                Role::Client(None) => {
                    fleet.database.elsewhere.as_ref().map(|(host, ..)| format!("{} on {host}", fleet.database.name))
                }
                Role::Other => None,
            };
            if let Some(database) = database {
                writeln!(out, "  database   {database}")?;
            }
            let certificate = match (&instance.certificate, fleet.names_of(name, &self.images)) {
                (Some((file, _)), _) => file.get_ref().clone(),
                (None, None) => continue,
                (None, Some(names)) => match self.secrets.as_ref().and_then(|secrets| secrets.instances.get(name)) {
                    Some(pair) => format!("for {}, until {}", names.join(", "), pair.until),
                    None => "none yet: `goldsmith fleet init`".to_owned(),
                },
            };
            writeln!(out, "  shows      {certificate}")?;
        }
        Ok(())
    }
}

/// `opens      3306/tcp to api-1 (database)`.
fn line(hole: &Hole) -> String {
    let who = match &hole.who {
        Who::World => "the world".to_owned(),
        Who::Network(network) => network.to_string(),
        Who::Instance(name) => name.clone(),
    };
    let (verb, to) = if hole.inwards { ("opens", "to ") } else { ("reaches", "of ") };
    format!("{verb:10} {}/{} {to}{who} ({})", hole.ports, hole.protocol(), hole.rule)
}
