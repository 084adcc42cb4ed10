//! What an instance is told beside what cloud-init takes: the facts and secrets that `/usr/lib/goldsmith/instance` reads.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use super::{Database, ImageId, Instance, Tls};
use crate::image::network::Network;

/// All that can be told. What is not, is not written.
#[derive(Default, Serialize)]
pub(super) struct Facts<'a> {
    pub version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<&'a ImageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub peers: BTreeMap<&'a str, Vec<String>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub egress: BTreeMap<&'a str, Vec<String>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub hosts: BTreeMap<&'a str, Vec<IpAddr>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database: Option<&'a Database>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tls: BTreeMap<&'static str, &'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<&'a str, &'a str>,
}

/// First line of facts.
pub(super) const FACTS: &str = "#goldsmith-instance";
/// First line of secrets.
pub(super) const SECRETS: &str = "#goldsmith-secrets";

/// A text whose first line says what it is, and whose rest is JSON.
pub(super) fn written(header: &str, facts: &Facts<'_>) -> String {
    // Plain strings, numbers, lists and maps with string keys: writing them cannot fail.
    format!("{header}\n{}\n", serde_json::to_string(facts).unwrap_or_default())
}

/// What anybody may read.
pub(super) fn facts(instance: &Instance) -> Facts<'_> {
    let own = match &instance.network {
        Network::Static { address, .. } => Some(address.address),
        Network::Dhcp => instance.address,
    };
    let tls = all_of(instance.tls.as_ref()).into_iter().filter(|(name, _)| *name != KEY);
    Facts {
        version: 1,
        image: instance.image.as_ref(),
        name: Some(&instance.name),
        addresses: own.into_iter().collect(),
        peers: places(&instance.peers),
        egress: places(&instance.egress),
        hosts: instance.hosts.iter().map(|(host, list)| (host.as_str(), list.clone())).collect(),
        database: instance.database.as_ref(),
        tls: tls.collect(),
        secrets: BTreeMap::new(),
    }
}

/// What nobody else may.
pub(super) fn hidden(instance: &Instance) -> Facts<'_> {
    let key = instance.tls.as_ref().and_then(|tls| tls.own.as_ref()).map(|(_, key)| (KEY, key.as_str()));
    let secrets = instance.secrets.iter().map(|(name, secret)| (name.as_str(), secret.as_str())).collect();
    Facts { version: 1, tls: key.into_iter().collect(), secrets, ..Facts::default() }
}

/// The one part of `tls` that is secret.
const KEY: &str = "key";

/// All parts of `tls` by their names.
pub(super) fn all_of(tls: Option<&Tls>) -> BTreeMap<&'static str, &str> {
    let Some(tls) = tls else { return BTreeMap::new() };
    let own =
        tls.own.iter().flat_map(|(certificate, key)| [("certificate", certificate.as_str()), (KEY, key.as_str())]);
    own.chain(tls.ca.iter().map(|ca| ("ca", ca.as_str()))).collect()
}

/// Addresses as the instance reads them: a network of one machine is written as its address.
fn places(named: &BTreeMap<String, Vec<IpNet>>) -> BTreeMap<&str, Vec<String>> {
    let place = |network: &IpNet| match network.prefix_len() == network.max_prefix_len() {
        true => network.addr().to_string(),
        false => network.to_string(),
    };
    named.iter().map(|(name, list)| (name.as_str(), list.iter().map(place).collect())).collect()
}
