//! OpenStack Glance and Neutron, as the client `openstack` takes it.

use ipnet::IpNet;

use super::{Direction, Own, Parts, Rule, Whom, group};

pub(super) fn own(parts: &Parts<'_>) -> Own {
    let mut variables = vec![("OS_CLOUD".to_owned(), "the cloud, by its name in clouds.yaml".to_owned())];
    variables.extend(parts.groups("the security group of"));
    let image = parts.image();
    let rules = parts.each(line);
    // A group lets everything out by two rules of its own; the metadata service is reached through it too.
    let shut = if parts.shut {
        r#"for rule in $(openstack security group rule list "$NAME" --egress --column ID --format value); do
  openstack security group rule delete "$rule" >&2
done
openstack security group rule create "$NAME" --egress --ethertype IPv4 --protocol tcp --dst-port 80:80 \
  --remote-ip 169.254.169.254/32 --description metadata >&2
"#
    } else {
        ""
    };
    let commands = format!(
        r#"# A config drive brings the bundle without a question over the network, where the cloud has one.
IMAGE=$(openstack image create "$NAME" --file "$DISK" --disk-format qcow2 --container-format bare --private \
  --property os_distro=debian --property os_type=linux --property architecture=x86_64 \
  --property hw_machine_type=q35 --property hw_firmware_type=uefi --property hw_disk_bus=virtio \
  --property hw_vif_model=virtio --property hw_rng_model=virtio --property img_config_drive=mandatory \
  --format value --column id)

# The firewall of the image once more, outside of it.
openstack security group create "$NAME" --description "as the firewall of {image}" >&2
{shut}{rules}
# An instance of it:
#   base64 -d bundles/{image}-1/cloud-user-data >user-data
#   openstack server create {image}-1 --image "$IMAGE" --security-group "$NAME" --flavor FLAVOR --network NETWORK \
#     --user-data user-data
echo "image $IMAGE"
"#
    );
    Own { provider: "OpenStack", variables, commands }
}

fn line(rule: &Rule) -> String {
    let direction = if rule.direction == Direction::In { "ingress" } else { "egress" };
    // A group's members have addresses of both families, and a rule is for one.
    let sides = match &rule.whom {
        Whom::Network(IpNet::V4(network)) => vec![("IPv4", format!("--remote-ip {network}"))],
        Whom::Network(IpNet::V6(network)) => vec![("IPv6", format!("--remote-ip {network}"))],
        Whom::Named(name) => {
            ["IPv4", "IPv6"].map(|family| (family, format!("--remote-group \"${}\"", group::variable(name)))).to_vec()
        }
    };
    let (name, protocol, first, last) = (&rule.name, rule.protocol, rule.ports.first, rule.ports.last);
    let line = |(family, whom)| {
        format!(
            "openstack security group rule create \"$NAME\" --{direction} --ethertype {family} --protocol {protocol} \\\n  \
             --dst-port {first}:{last} {whom} --description {name} >&2\n"
        )
    };
    sides.into_iter().map(line).collect()
}
