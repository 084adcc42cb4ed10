//! For Amazon's provider (`hashicorp/aws`, version 5 or 6).
//!
//! A group per instance, a rule per hole (`aws_vpc_security_group_ingress_rule`): Terraform then removes what somebody adds by
//! hand to a rule, and Amazon's own default rule, which lets everything out, is not there, because Terraform makes groups
//! without it. Metadata is read with a token (IMDSv2) and from the instance itself alone (one hop).

use serde_json::{Map, Value, json};

use super::super::{Fleet, Images};
use super::{Hole, Who, identifier, literal, user_data, variables};

/// The fleet as `main.tf.json`. `keys` has the key of each instance: Amazon takes one.
pub fn terraform(fleet: &Fleet, images: &Images, keys: &std::collections::BTreeMap<String, String>) -> Value {
    let (holes, free) = fleet.holes(images);
    let asked = [
        ("region", "Where: eu-central-1"),
        ("zone", "The availability zone: eu-central-1a"),
        ("instance_type", "Of which kind the machines are: t3.small"),
    ];
    let mut resources = networks(fleet);
    let group = |name: &str| json!({ "name": format!("{}-{name}", fleet.name), "description": format!("What {name} is told, from outside"), "vpc_id": "${aws_vpc.fleet.id}" });
    let groups: Map<_, _> = fleet.instances.keys().map(|name| (identifier(name), group(name))).collect();
    resources.insert("aws_security_group".to_owned(), Value::Object(groups));
    let mut ingress = Map::new();
    let mut egress = Map::new();
    for hole in &holes {
        let side = if hole.inwards { &mut ingress } else { &mut egress };
        side.extend(rules(hole));
    }
    for name in &free {
        for (family, all) in [("ipv4", "0.0.0.0/0"), ("ipv6", "::/0")] {
            let mut rule = Map::new();
            rule.insert("security_group_id".to_owned(), id_of(name).into());
            rule.insert("ip_protocol".to_owned(), "-1".into());
            rule.insert(format!("cidr_{family}"), all.into());
            egress.insert(format!("{}_out_all_{family}", identifier(name)), Value::Object(rule));
        }
    }
    resources.insert("aws_vpc_security_group_ingress_rule".to_owned(), Value::Object(ingress));
    resources.insert("aws_vpc_security_group_egress_rule".to_owned(), Value::Object(egress));
    let pairs = keys.iter().map(|(name, key)| {
        (identifier(name), json!({ "key_name": format!("{}-{name}", fleet.name), "public_key": literal(key) }))
    });
    resources.insert("aws_key_pair".to_owned(), Value::Object(pairs.collect()));
    let machines = fleet.instances.keys().map(|name| (identifier(name), machine(fleet, name, images))).collect();
    resources.insert("aws_instance".to_owned(), Value::Object(machines));
    json!({
        "terraform": { "required_providers": { "aws": { "source": "hashicorp/aws", "version": ">= 5.0, < 7.0" } } },
        "provider": { "aws": { "region": "${var.region}" } },
        "variable": variables(fleet, &asked),
        "resource": resources,
    })
}

/// One VPC: the first network's addresses, and those of the others beside them. The way to the world is for whom it may reach.
fn networks(fleet: &Fleet) -> Map<String, Value> {
    let mut resources = Map::new();
    let mut ranges = fleet.networks.iter();
    let Some((_, first)) = ranges.next() else { return resources };
    let tags = json!({ "Name": fleet.name });
    let vpc = json!({ "fleet": { "cidr_block": first.range.to_string(), "enable_dns_support": true, "tags": tags } });
    resources.insert("aws_vpc".to_owned(), vpc);
    let more: Map<_, _> = ranges
        .map(|(name, network)| {
            (identifier(name), json!({ "vpc_id": "${aws_vpc.fleet.id}", "cidr_block": network.range.to_string() }))
        })
        .collect();
    if !more.is_empty() {
        resources.insert("aws_vpc_ipv4_cidr_block_association".to_owned(), Value::Object(more));
    }
    let subnet = |range: String| json!({ "vpc_id": "${aws_vpc.fleet.id}", "cidr_block": range, "availability_zone": "${var.zone}" });
    let subnets = fleet.networks.iter().map(|(name, network)| (identifier(name), subnet(network.range.to_string())));
    resources.insert("aws_subnet".to_owned(), Value::Object(subnets.collect()));
    resources.insert("aws_internet_gateway".to_owned(), json!({ "fleet": { "vpc_id": "${aws_vpc.fleet.id}" } }));
    let route = json!([{ "cidr_block": "0.0.0.0/0", "gateway_id": "${aws_internet_gateway.fleet.id}" }]);
    resources
        .insert("aws_route_table".to_owned(), json!({ "fleet": { "vpc_id": "${aws_vpc.fleet.id}", "route": route } }));
    let associations = fleet.networks.keys().map(|name| {
        let subnet = format!("${{aws_subnet.{}.id}}", identifier(name));
        (identifier(name), json!({ "subnet_id": subnet, "route_table_id": "${aws_route_table.fleet.id}" }))
    });
    resources.insert("aws_route_table_association".to_owned(), Value::Object(associations.collect()));
    resources
}

fn id_of(name: &str) -> String {
    format!("${{aws_security_group.{}.id}}", identifier(name))
}

/// One hole as rules: of the world, one a family.
fn rules(hole: &Hole) -> Vec<(String, Value)> {
    let others = match &hole.who {
        Who::World => vec![("cidr_ipv4", "0.0.0.0/0".to_owned()), ("cidr_ipv6", "::/0".to_owned())],
        Who::Network(network) if network.addr().is_ipv4() => vec![("cidr_ipv4", network.to_string())],
        Who::Network(network) => vec![("cidr_ipv6", network.to_string())],
        Who::Instance(name) => vec![("referenced_security_group_id", id_of(name))],
    };
    let rule = |(key, other): (&str, String)| {
        let mut rule = Map::new();
        rule.insert("security_group_id".to_owned(), id_of(&hole.instance).into());
        rule.insert("description".to_owned(), hole.rule.as_str().into());
        rule.insert("ip_protocol".to_owned(), hole.protocol().into());
        rule.insert("from_port".to_owned(), hole.ports.first.into());
        rule.insert("to_port".to_owned(), hole.ports.last.into());
        rule.insert(key.to_owned(), other.into());
        let family = if key == "cidr_ipv6" { "_6" } else { "" };
        (format!("{}{family}", hole.key()), Value::Object(rule))
    };
    others.into_iter().map(rule).collect()
}

fn machine(fleet: &Fleet, name: &str, images: &Images) -> Value {
    let Some(instance) = fleet.instances.get(name) else { return Value::Null };
    let mut machine = json!({
        "ami": format!("${{var.image_{}}}", identifier(instance.image.get_ref())),
        "instance_type": "${var.instance_type}",
        "subnet_id": format!("${{aws_subnet.{}.id}}", identifier(&instance.network)),
        "vpc_security_group_ids": [id_of(name)],
        "associate_public_ip_address": fleet.is_public(name, images),
        "key_name": format!("${{aws_key_pair.{}.key_name}}", identifier(name)),
        "user_data_base64": user_data(name),
        "user_data_replace_on_change": true,
        "metadata_options": { "http_endpoint": "enabled", "http_tokens": "required", "http_put_response_hop_limit": 1 },
        "root_block_device": { "encrypted": true },
        "tags": { "Name": name },
    });
    if let (Some(address), Some(fields)) = (instance.address, machine.as_object_mut()) {
        fields.insert("private_ip".to_owned(), address.address.to_string().into());
    }
    machine
}
