//! The firewall of a recipe as a security group has it: one protocol, one range of ports and one other side a rule.
//!
//! Both are wanted: the group keeps out what should not even arrive, the image's own rules hold where a group was forgotten or
//! opened. Limits by rate are the image's alone: no provider's group counts.

use ipnet::IpNet;

use crate::recipe::Recipe;
use crate::recipe::firewall::{Destination, Egress, Ports, Protocol, Source};

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// As in the recipe, with the number of the rule behind it if the recipe's one becomes several.
    pub name: String,
    /// Whether it lets in or out.
    pub direction: Direction,
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Of whoever is called.
    pub ports: Ports,
    /// Who may come, or whom it may reach.
    pub whom: Whom,
}

/// In or out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the image.
    In,
    /// From the image.
    Out,
}

/// The other side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whom {
    /// Addresses.
    Network(IpNet),
    /// Somebody whose addresses no recipe knows, but who has a security group.
    Named(String),
}

/// Everything that `recipe` lets in and, if it lists that, out.
pub fn rules(recipe: &Recipe) -> Vec<Rule> {
    let Some(firewall) = &recipe.firewall else { return Vec::new() };
    let mut rules = Vec::new();
    for accept in &firewall.accept {
        let whom = match &accept.from {
            Source::Anywhere => everybody(),
            Source::Networks(networks) => networks.iter().copied().map(Whom::Network).collect(),
            Source::Peer(name) => vec![Whom::Named(name.clone())],
        };
        rules.extend(of((&accept.name, Direction::In), accept.protocol, &accept.ports, &whom));
    }
    for allow in firewall.egress.allowed() {
        let whom = match &allow.to {
            Destination::Anywhere => everybody(),
            Destination::Networks(networks) => networks.iter().copied().map(Whom::Network).collect(),
            Destination::Instance(name) => vec![Whom::Named(name.clone())],
        };
        rules.extend(of((&allow.name, Direction::Out), allow.protocol, &allow.ports, &whom));
    }
    rules
}

/// Whether what no rule lets out is to stay in.
pub fn is_shut(recipe: &Recipe) -> bool {
    recipe.firewall.as_ref().is_some_and(|firewall| matches!(firewall.egress, Egress::Listed(_)))
}

/// The shell's variable for what only the account knows of `name`: `api-server` → `API_SERVER_GROUP`.
pub fn variable(name: &str) -> String {
    let letters =
        name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' });
    letters.chain("_GROUP".chars()).collect()
}

fn everybody() -> Vec<Whom> {
    let any = [IpNet::V4(ipnet::Ipv4Net::default()), IpNet::V6(ipnet::Ipv6Net::default())];
    any.map(Whom::Network).to_vec()
}

fn of((name, direction): (&str, Direction), protocol: Protocol, ports: &[Ports], whom: &[Whom]) -> Vec<Rule> {
    let pairs: Vec<_> = ports.iter().flat_map(|ports| whom.iter().map(move |whom| (*ports, whom.clone()))).collect();
    let several = pairs.len() > 1;
    let rule = |(number, (ports, whom))| {
        let name = if several { format!("{name}-{}", number + 1) } else { name.to_owned() };
        Rule { name, direction, protocol, ports, whom }
    };
    pairs.into_iter().enumerate().map(rule).collect()
}
