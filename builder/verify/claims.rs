//! What the recipe says of the image, and the audit compares with what is in it.

use ipnet::IpNet;

use super::check::Finding;
use crate::recipe::Recipe;
use crate::recipe::firewall::{Protocol, Source};

/// What is claimed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// The image's name.
    pub image: String,
    /// Which ports are open, and to whom; nothing else is.
    pub open: Vec<Opening>,
    /// What is not as a check wants it, and meant to be so.
    pub exceptions: Vec<Exception>,
}

/// A port that is open.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Opening {
    /// Whether it is UDP; else TCP.
    pub udp: bool,
    /// The first and the last port.
    pub ports: (u16, u16),
    /// To whom.
    pub to: Whom,
}

/// Who may reach a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whom {
    /// Everybody, in IPv4 and IPv6.
    World,
    /// These addresses: `10.0.0.0/8`, `fd00::/8`.
    Network(IpNet),
    /// A peer of this name, whose addresses only the instance knows: nobody, in the image.
    Peer(String),
}

/// Something that is not as a check wants it, and is meant to be so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// The check's name.
    pub check: String,
    /// Why it is meant to be so.
    pub reason: String,
    /// Only findings about this; none: all of the check.
    pub subject: Option<String>,
}

impl Claims {
    /// What `recipe` says.
    pub fn of(recipe: &Recipe) -> Self {
        let mut open = Vec::new();
        for accept in recipe.firewall.iter().flat_map(|firewall| &firewall.accept) {
            let whom = match &accept.from {
                Source::Anywhere => vec![Whom::World],
                Source::Networks(networks) => networks.iter().copied().map(Whom::Network).collect(),
                Source::Peer(name) => vec![Whom::Peer(name.clone())],
            };
            for to in whom {
                let udp = accept.protocol == Protocol::Udp;
                let ports = accept.ports.iter().map(|ports| (ports.first, ports.last));
                open.extend(ports.map(|ports| Opening { udp, ports, to: to.clone() }));
            }
        }
        let exceptions = recipe.exceptions.iter().map(|exception| Exception {
            check: exception.check.clone(),
            reason: exception.reason.clone(),
            // Findings name paths as the image has them, without the slash before.
            subject: exception
                .subject
                .clone()
                .or_else(|| Some(exception.path.as_ref()?.trim_start_matches('/').to_owned())),
        });
        Self { image: recipe.name.clone(), open, exceptions: exceptions.collect() }
    }
}

impl Exception {
    /// Whether it is about `finding` of its check.
    pub fn excuses(&self, finding: &Finding) -> bool {
        self.subject.as_ref().is_none_or(|subject| *subject == finding.subject)
    }
}
