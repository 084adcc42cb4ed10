//! A fleet for those who launch it: what Terraform or OpenTofu make of a network, its machines and the walls between them.
//!
//! The walls of the cloud are those of the images once more, around each machine from outside: what an image opens to a peer,
//! its security group opens to the group of that peer, and what it may not reach is dropped. An image's own wall does not
//! rely on them, nor they on it.
//!
//! No secret is in the text: what an instance is told is read from its bundle when it is applied. (It then stands in
//! Terraform's state, which is to be kept as secrets are.)

pub mod alibaba;
pub mod aws;

use ipnet::IpNet;

use super::{Fleet, Images};
use crate::recipe::Target;
use crate::recipe::firewall::{Destination, Egress, Ports, Protocol, Source};

/// A target as recipes write it.
pub fn word(target: Target) -> &'static str {
    match target {
        Target::Alibaba => "alibaba",
        Target::Aws => "aws",
        Target::Azure => "azure",
        Target::Gcp => "gcp",
        Target::Kvm => "kvm",
        Target::Openstack => "openstack",
    }
}

/// Somebody on the other side of a wall.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Who {
    /// Everybody, by IPv4 and IPv6.
    World,
    /// A network.
    Network(IpNet),
    /// An instance of the fleet.
    Instance(String),
}

/// One hole in the wall around an instance.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hole {
    /// Of the instance whose wall it is.
    pub instance: String,
    /// Of the recipe's rule.
    pub rule: String,
    /// Inwards, or outwards.
    pub inwards: bool,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// On whichever side is asked.
    pub ports: Ports,
    /// Who is on the other side.
    pub who: Who,
}

impl Hole {
    /// What Terraform calls it: unlike all others.
    fn key(&self) -> String {
        let who = match &self.who {
            Who::World => "world".to_owned(),
            Who::Instance(name) => name.clone(),
            Who::Network(network) => network.to_string(),
        };
        let side = if self.inwards { "in" } else { "out" };
        let key = format!("{}_{side}_{}_{}_{who}", self.instance, self.rule, self.ports);
        key.chars().map(|char| if char.is_ascii_alphanumeric() { char } else { '_' }).collect()
    }

    /// By the word that every cloud has for it.
    pub fn protocol(&self) -> &'static str {
        match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }
}

impl Fleet {
    /// The holes in the walls around all instances, sorted; and the instances that may reach everything.
    pub fn holes(&self, images: &Images) -> (Vec<Hole>, Vec<String>) {
        let (mut holes, mut free) = (Vec::new(), Vec::new());
        for (name, instance) in &self.instances {
            let Some(wall) = images.recipe(instance.image.get_ref()).and_then(|recipe| recipe.firewall.as_ref()) else {
                continue;
            };
            for rule in &wall.accept {
                let who = match &rule.from {
                    Source::Anywhere => vec![Who::World],
                    Source::Networks(networks) => networks.iter().copied().map(Who::Network).collect(),
                    Source::Peer(peer) => self.who(instance.peers.get(peer.as_str())),
                };
                holes.extend(each(&who, &rule.ports, |who, ports| Hole {
                    instance: name.clone(),
                    rule: rule.name.clone(),
                    inwards: true,
                    protocol: rule.protocol,
                    ports,
                    who,
                }));
            }
            if wall.egress == Egress::Any {
                free.push(name.clone());
            }
            for rule in wall.egress.allowed() {
                let who = match &rule.to {
                    Destination::Anywhere => vec![Who::World],
                    Destination::Networks(networks) => networks.iter().copied().map(Who::Network).collect(),
                    Destination::Instance(to) => self.who(instance.egress.get(to.as_str())),
                };
                holes.extend(each(&who, &rule.ports, |who, ports| Hole {
                    instance: name.clone(),
                    rule: rule.name.clone(),
                    inwards: false,
                    protocol: rule.protocol,
                    ports,
                    who,
                }));
            }
        }
        holes.sort();
        holes.dedup();
        (holes, free)
    }

    /// Whether the world is let in to an instance: it needs an address that the world can reach.
    pub fn is_public(&self, name: &str, images: &Images) -> bool {
        let (holes, _) = self.holes(images);
        holes.iter().any(|hole| hole.inwards && hole.instance == name && hole.who == Who::World)
    }

    fn who(&self, names: Option<&Vec<toml::Spanned<String>>>) -> Vec<Who> {
        let names = names.into_iter().flatten().map(|name| name.get_ref());
        names
            .flat_map(|name| match self.instances.contains_key(name) {
                true => vec![Who::Instance(name.clone())],
                false => self.addresses_of(name).into_iter().map(Who::Network).collect(),
            })
            .collect()
    }
}

/// Each with each.
fn each(who: &[Who], ports: &[Ports], hole: impl Fn(Who, Ports) -> Hole) -> Vec<Hole> {
    who.iter().flat_map(|who| ports.iter().map(|ports| hole(who.clone(), *ports))).collect()
}

/// Text that Terraform takes for nothing but text: the comment of a key may hold anything.
fn literal(text: &str) -> String {
    text.replace("${", "$${").replace("%{", "%%{")
}

/// A name as Terraform takes it for a resource or variable.
fn identifier(name: &str) -> String {
    name.replace('-', "_")
}

/// `${file("bundles/db-1/cloud-user-data")}`, of a folder that is a variable, and not shown when it is planned.
fn user_data(name: &str) -> String {
    format!("${{sensitive(file(\"${{var.bundles}}/{name}/{}\"))}}", crate::image::cloud_init::LINE)
}

/// What both clouds ask whoever applies it: where, which machines, and the ids that images were given when they were imported.
fn variables(fleet: &Fleet, asked: &[(&str, &str)]) -> serde_json::Map<String, serde_json::Value> {
    let variable = |description: &str| serde_json::json!({ "type": "string", "description": description });
    let mut variables: serde_json::Map<_, _> =
        asked.iter().map(|(name, description)| ((*name).to_owned(), variable(description))).collect();
    for instance in fleet.instances.values() {
        let image = instance.image.get_ref();
        let description = format!("The id of the image {image}, as it was imported");
        variables.insert(format!("image_{}", identifier(image)), variable(&description));
    }
    let bundles = serde_json::json!({
        "type": "string",
        "description": "The folder that `goldsmith bundle` writes",
        "default": "bundles",
    });
    variables.insert("bundles".to_owned(), bundles);
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_of_a_key_is_no_program() {
        assert_eq!(
            literal("ssh-ed25519 AAAA ${file(\"/etc/passwd\")} %{if}"),
            "ssh-ed25519 AAAA $${file(\"/etc/passwd\")} %%{if}"
        );
    }
}
