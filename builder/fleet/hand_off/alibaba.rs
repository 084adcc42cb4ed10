//! For Alibaba's provider (`aliyun/alicloud`).
//!
//! A group per instance, whose members do not see one another by themselves (`inner_access_policy`), and a rule per hole.
//! A group lets everything out; where the image may not, a rule that drops all stands behind those that accept. Metadata is
//! read with a token (`http_tokens`).

use serde_json::{Map, Value, json};

use super::super::{Fleet, Images};
use super::{Hole, Who, identifier, literal, user_data, variables};

/// The fleet as `main.tf.json`. `keys` has the key of each instance: ECS takes one.
pub fn terraform(fleet: &Fleet, images: &Images, keys: &std::collections::BTreeMap<String, String>) -> Value {
    let (holes, free) = fleet.holes(images);
    let asked = [
        ("region", "Where: eu-central-1"),
        ("zone", "The zone: eu-central-1a"),
        ("instance_type", "Of which kind the machines are: ecs.c7.large"),
    ];
    let mut resources = networks(fleet);
    let group = |name: &str| {
        let vpc = "${alicloud_vpc.fleet.id}";
        json!({ "security_group_name": format!("{}-{name}", fleet.name), "vpc_id": vpc, "inner_access_policy": "Drop" })
    };
    let groups = fleet.instances.keys().map(|name| (identifier(name), group(name)));
    resources.insert("alicloud_security_group".to_owned(), Value::Object(groups.collect()));
    let mut walls: Map<String, Value> = holes.iter().flat_map(rules).collect();
    for name in fleet.instances.keys().filter(|name| !free.contains(name)) {
        for (family, all) in [("cidr_ip", "0.0.0.0/0"), ("ipv6_cidr_ip", "::/0")] {
            let mut rule = rule(name, "egress", ("all", "-1/-1".to_owned()));
            rule.insert("policy".to_owned(), "drop".into());
            rule.insert("priority".to_owned(), 100.into());
            rule.insert(family.to_owned(), all.into());
            walls.insert(format!("{}_out_none_{family}", identifier(name)), Value::Object(rule));
        }
    }
    resources.insert("alicloud_security_group_rule".to_owned(), Value::Object(walls));
    let pairs = keys.iter().map(|(name, key)| {
        (identifier(name), json!({ "key_pair_name": format!("{}-{name}", fleet.name), "public_key": literal(key) }))
    });
    resources.insert("alicloud_ecs_key_pair".to_owned(), Value::Object(pairs.collect()));
    let machines = fleet.instances.keys().map(|name| (identifier(name), machine(fleet, name, images))).collect();
    resources.insert("alicloud_instance".to_owned(), Value::Object(machines));
    json!({
        "terraform": { "required_providers": { "alicloud": { "source": "aliyun/alicloud", "version": "~> 1.230" } } },
        "provider": { "alicloud": { "region": "${var.region}" } },
        "variable": variables(fleet, &asked),
        "resource": resources,
    })
}

/// One VPC with the first network's addresses, those of the others beside them, and a vSwitch for each.
fn networks(fleet: &Fleet) -> Map<String, Value> {
    let mut resources = Map::new();
    let mut ranges = fleet.networks.values().map(|network| network.range.to_string());
    let Some(first) = ranges.next() else { return resources };
    let more: Vec<String> = ranges.collect();
    let mut vpc = json!({ "vpc_name": fleet.name, "cidr_block": first });
    if let (false, Some(fields)) = (more.is_empty(), vpc.as_object_mut()) {
        fields.insert("secondary_cidr_blocks".to_owned(), more.into());
    }
    resources.insert("alicloud_vpc".to_owned(), json!({ "fleet": vpc }));
    let switch = |name: &str, range: String| {
        let name = format!("{}-{name}", fleet.name);
        json!({ "vswitch_name": name, "vpc_id": "${alicloud_vpc.fleet.id}", "cidr_block": range, "zone_id": "${var.zone}" })
    };
    let switches =
        fleet.networks.iter().map(|(name, network)| (identifier(name), switch(name, network.range.to_string())));
    resources.insert("alicloud_vswitch".to_owned(), Value::Object(switches.collect()));
    resources
}

fn id_of(name: &str) -> String {
    format!("${{alicloud_security_group.{}.id}}", identifier(name))
}

/// What all rules have.
fn rule(name: &str, side: &str, (protocol, ports): (&str, String)) -> Map<String, Value> {
    let mut rule = Map::new();
    rule.insert("security_group_id".to_owned(), id_of(name).into());
    rule.insert("type".to_owned(), side.into());
    rule.insert("nic_type".to_owned(), "intranet".into());
    rule.insert("ip_protocol".to_owned(), protocol.into());
    rule.insert("port_range".to_owned(), ports.into());
    rule.insert("policy".to_owned(), "accept".into());
    rule.insert("priority".to_owned(), 1.into());
    rule
}

/// One hole as rules: of the world, one a family.
fn rules(hole: &Hole) -> Vec<(String, Value)> {
    let side = if hole.inwards { "ingress" } else { "egress" };
    let others = match &hole.who {
        Who::World => vec![("cidr_ip", "0.0.0.0/0".to_owned()), ("ipv6_cidr_ip", "::/0".to_owned())],
        Who::Network(network) if network.addr().is_ipv4() => vec![("cidr_ip", network.to_string())],
        Who::Network(network) => vec![("ipv6_cidr_ip", network.to_string())],
        // For both directions the provider calls the other side so.
        Who::Instance(name) => vec![("source_security_group_id", id_of(name))],
    };
    let ports = format!("{}/{}", hole.ports.first, hole.ports.last);
    let whole = |(key, other): (&str, String)| {
        let mut rule = rule(&hole.instance, side, (hole.protocol(), ports.clone()));
        rule.insert("description".to_owned(), hole.rule.as_str().into());
        rule.insert(key.to_owned(), other.into());
        let family = if key == "ipv6_cidr_ip" { "_6" } else { "" };
        (format!("{}{family}", hole.key()), Value::Object(rule))
    };
    others.into_iter().map(whole).collect()
}

fn machine(fleet: &Fleet, name: &str, images: &Images) -> Value {
    let Some(instance) = fleet.instances.get(name) else { return Value::Null };
    // Mbit/s: above 0, the instance is given an address that the world can reach.
    let outwards = if fleet.is_public(name, images) { 10 } else { 0 };
    let mut machine = json!({
        "instance_name": name,
        "host_name": name,
        "image_id": format!("${{var.image_{}}}", identifier(instance.image.get_ref())),
        "instance_type": "${var.instance_type}",
        "vswitch_id": format!("${{alicloud_vswitch.{}.id}}", identifier(&instance.network)),
        "security_groups": [id_of(name)],
        "internet_max_bandwidth_out": outwards,
        "key_name": format!("${{alicloud_ecs_key_pair.{}.id}}", identifier(name)),
        "user_data": user_data(name),
        "http_endpoint": "enabled",
        "http_tokens": "required",
        "system_disk_category": "cloud_essd",
        "system_disk_encrypted": true,
    });
    if let (Some(address), Some(fields)) = (instance.address, machine.as_object_mut()) {
        fields.insert("private_ip".to_owned(), address.address.to_string().into());
    }
    machine
}
