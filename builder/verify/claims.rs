//! What the recipe says of the image, and the audit compares with what is in it.

use ipnet::IpNet;

use super::check::Finding;
use crate::recipe::Recipe;

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
        Self { image: recipe.name.clone(), ..Self::default() }
    }
}

impl Exception {
    /// Whether it is about `finding` of its check.
    pub fn excuses(&self, finding: &Finding) -> bool {
        self.subject.as_ref().is_none_or(|subject| *subject == finding.subject)
    }
}
