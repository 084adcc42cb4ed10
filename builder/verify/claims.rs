//! What the recipe says of the image, and the audit compares with what is in it.

use ipnet::IpNet;

use super::check::Finding;
use crate::recipe::Recipe;
use crate::recipe::fail2ban::Fail2ban;
use crate::recipe::firewall::{Destination, Egress, Ports, Protocol, Source};
use crate::recipe::function::Function;

/// What is claimed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// The image's name.
    pub image: String,
    /// Which ports are open, and to whom; nothing else is.
    pub open: Vec<Opening>,
    /// Which ports of others it reaches, and whose; nothing else. None: everything.
    pub reaches: Option<Vec<Opening>>,
    /// What is not as a check wants it, and meant to be so.
    pub exceptions: Vec<Exception>,
    /// Who is banned, and for what.
    pub fail2ban: Fail2ban,
    /// What it is for.
    pub functions: Vec<Function>,
}

/// A port that is open: of this machine to others, or of others to it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Opening {
    /// Whether it is UDP; else TCP.
    pub udp: bool,
    /// The first and the last port.
    pub ports: (u16, u16),
    /// To whom; or whose.
    pub to: Whom,
}

/// Who may reach a port.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whom {
    /// Everybody, in IPv4 and IPv6.
    World,
    /// These addresses: `10.0.0.0/8`, `fd00::/8`.
    Network(IpNet),
    /// Somebody of this name, whose addresses only the instance knows: nobody, in the image.
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
        let firewall = recipe.firewall.as_ref();
        let open = firewall.iter().flat_map(|firewall| &firewall.accept).flat_map(|accept| {
            let whom = match &accept.from {
                Source::Anywhere => vec![Whom::World],
                Source::Networks(networks) => networks.iter().copied().map(Whom::Network).collect(),
                Source::Peer(name) => vec![Whom::Peer(name.clone())],
            };
            openings(accept.protocol, &accept.ports, &whom)
        });
        let reaches = firewall.filter(|firewall| firewall.egress != Egress::Any).map(|firewall| {
            let allowed = firewall.egress.allowed().iter().flat_map(|allow| {
                let whom = match &allow.to {
                    Destination::Anywhere => vec![Whom::World],
                    Destination::Networks(networks) => networks.iter().copied().map(Whom::Network).collect(),
                    Destination::Instance(name) => vec![Whom::Peer(name.clone())],
                };
                openings(allow.protocol, &allow.ports, &whom)
            });
            allowed.collect()
        });
        let exceptions = recipe.exceptions.iter().map(|exception| Exception {
            check: exception.check.clone(),
            reason: exception.reason.clone(),
            // Findings name paths as the image has them, without the slash before.
            subject: exception
                .subject
                .clone()
                .or_else(|| Some(exception.path.as_ref()?.trim_start_matches('/').to_owned())),
        });
        Self {
            image: recipe.name.clone(),
            open: open.collect(),
            reaches,
            exceptions: exceptions.collect(),
            fail2ban: recipe.fail2ban.clone(),
            functions: recipe.functions.clone(),
        }
    }
}

/// Each of `ports`, to or of each of `whom`.
fn openings(protocol: Protocol, ports: &[Ports], whom: &[Whom]) -> Vec<Opening> {
    let udp = protocol == Protocol::Udp;
    let of = |to: &Whom| {
        let to = to.clone();
        ports.iter().map(move |ports| Opening { udp, ports: (ports.first, ports.last), to: to.clone() })
    };
    whom.iter().flat_map(of).collect()
}

impl Exception {
    /// Whether it is about `finding` of its check.
    pub fn excuses(&self, finding: &Finding) -> bool {
        self.subject.as_ref().is_none_or(|subject| *subject == finding.subject)
    }
}
