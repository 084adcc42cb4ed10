//! Google Compute Engine, as the client `gcloud` takes it. Firewall rules belong to a network there, and are aimed by tags.

use ipnet::IpNet;

use super::{Direction, Own, Parts, Rule, Whom, group};

pub(super) fn own(parts: &Parts<'_>) -> Own {
    let mut variables: Vec<(String, String)> = [
        ("PROJECT", "the project"),
        ("REGION", "where the image is kept, as europe-west3"),
        ("BUCKET", "a bucket of Cloud Storage"),
        ("NETWORK", "the VPC network of the instances"),
    ]
    .map(|(name, meaning)| (name.to_owned(), meaning.to_owned()))
    .into();
    variables.extend(parts.groups("the network tag (to be reached: the range of addresses, as 10.0.0.20/32) of"));
    let image = parts.image();
    let rules = parts.each(|rule| line(rule, image));
    let deny = |direction: &str, ranges: &str, family: &str| {
        format!(
            "gcloud compute firewall-rules create \"$NAME-{family}-no-{direction}\" --network \"$NETWORK\" --direction {direction_name} \\\n  \
             --action DENY --rules all --priority 65000 {ranges} --target-tags {image} >&2\n",
            direction_name = if direction == "in" { "INGRESS" } else { "EGRESS" }
        )
    };
    let mut shut = deny("in", "--source-ranges 0.0.0.0/0", "ipv4") + &deny("in", "--source-ranges ::/0", "ipv6");
    if parts.shut {
        shut += &deny("out", "--destination-ranges 0.0.0.0/0", "ipv4");
        shut += &deny("out", "--destination-ranges ::/0", "ipv6");
    }
    let commands = format!(
        r#"export CLOUDSDK_CORE_PROJECT="$PROJECT"

gcloud storage cp "$DISK" "gs://$BUCKET/$NAME.tar.gz" >&2
gcloud compute images create "$NAME" --source-uri "gs://$BUCKET/$NAME.tar.gz" --family goldsmith-{image} \
  --description "{image}, by Goldsmith" --storage-location "$REGION" --architecture X86_64 \
  --guest-os-features UEFI_COMPATIBLE,VIRTIO_SCSI_MULTIQUEUE,GVNIC >&2
gcloud storage rm "gs://$BUCKET/$NAME.tar.gz" >&2

# The firewall of the image once more, outside of it: for every instance with the tag {image}. The last ones overrule what a
# network lets in by itself, and what comes from machines without a tag.
{rules}{shut}
# An instance of it (its metadata service answers only to a header, and in the image only to root):
#   gcloud compute instances create {image}-1 --image "$NAME" --network "$NETWORK" --tags {image} --no-address \
#     --machine-type c3-standard-4 --network-interface nic-type=GVNIC --shielded-secure-boot --shielded-vtpm \
#     --no-service-account --no-scopes --metadata user-data-encoding=base64 \
#     --metadata-from-file user-data=bundles/{image}-1/cloud-user-data
echo "image $NAME"
"#
    );
    Own { provider: "Google Compute Engine", variables, commands }
}

fn line(rule: &Rule, image: &str) -> String {
    let (direction, side) = match rule.direction {
        Direction::In => ("INGRESS", "source"),
        Direction::Out => ("EGRESS", "destination"),
    };
    let whom = match (&rule.whom, rule.direction) {
        (Whom::Network(IpNet::V4(network)), _) => format!("--{side}-ranges {network}"),
        (Whom::Network(IpNet::V6(network)), _) => format!("--{side}-ranges {network}"),
        (Whom::Named(name), Direction::In) => format!("--source-tags \"${}\"", group::variable(name)),
        // What is reached cannot be named by a tag.
        (Whom::Named(name), Direction::Out) => format!("--destination-ranges \"${}\"", group::variable(name)),
    };
    let (name, protocol, ports) = (&rule.name, rule.protocol, rule.ports);
    format!(
        "gcloud compute firewall-rules create \"$NAME-{name}\" --network \"$NETWORK\" --direction {direction} \\\n  \
         --action ALLOW --rules {protocol}:{ports} --priority 1000 {whom} --target-tags {image} >&2\n"
    )
}
