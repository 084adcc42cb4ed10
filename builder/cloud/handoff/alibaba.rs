//! Alibaba Cloud ECS: API reference 2014-05-26 (ImportImage, ModifyImageAttribute, AuthorizeSecurityGroup…), as the client
//! `aliyun` takes it: `--Parameter value`, `--List.1.Member value`.

use ipnet::IpNet;

use super::{Direction, Own, Parts, Rule, Whom, group};
use crate::recipe::firewall::Protocol;

pub(super) fn own(parts: &Parts<'_>) -> Own {
    let mut variables: Vec<(String, String)> = [
        ("REGION", "the region of bucket and image, as cn-hangzhou"),
        ("BUCKET", "a bucket of OSS in that region"),
        ("VPC", "the VPC of the instances, as vpc-…"),
    ]
    .map(|(name, meaning)| (name.to_owned(), meaning.to_owned()))
    .into();
    variables.extend(parts.groups("the security group, as sg-…, of"));
    let (image, gibibytes) = (parts.image(), parts.handoff.gibibytes);
    let ingress = parts.each(|rule| if rule.direction == Direction::In { line(rule) } else { String::new() });
    let egress = parts.each(|rule| if rule.direction == Direction::Out { line(rule) } else { String::new() });
    let shut = if parts.shut { shut() } else { String::new() };
    let commands = format!(
        r#"# Once for each account: the role by which ECS reads the bucket, AliyunECSImageImportDefaultRole, with the policy
# AliyunECSImageImportRolePolicy (console: ECS, Images, Import Image).
field() {{ tr ',{{}}' '[\n*]' | sed -n 's/.*"'"$1"'": *"\([^"]*\)".*/\1/p' | head -n 1; }}

aliyun oss cp "$DISK" "oss://$BUCKET/$NAME.qcow2" --region "$REGION" >&2

# ImportImage takes BIOS or UEFI; what the disk can (both) is said afterwards. With NVMe and tokens, which it has by itself,
# it starts on the newest instance types, and with the hardened mode of the metadata service alone.
IMAGE=$(aliyun ecs ImportImage --RegionId "$REGION" --ImageName "$NAME" --Description "{image}, by Goldsmith" \
  --OSType linux --Platform Debian --Architecture x86_64 --BootMode UEFI \
  --DiskDeviceMapping.1.Format QCOW2 --DiskDeviceMapping.1.OSSBucket "$BUCKET" \
  --DiskDeviceMapping.1.OSSObject "$NAME.qcow2" --DiskDeviceMapping.1.DiskImageSize {gibibytes} \
  --Features.NvmeSupport supported --Features.ImdsSupport v2 \
  --DetectionStrategy Standard --RoleName AliyunECSImageImportDefaultRole \
  --Tag.1.Key goldsmith --Tag.1.Value {image} | field ImageId)
echo "importing $IMAGE" >&2
tries=0
while :; do
  status=$(aliyun ecs DescribeImages --RegionId "$REGION" --ImageId "$IMAGE" \
    --Status Waiting,Creating,Available,UnAvailable,CreateFailed | field Status)
  case $status in Available) break ;; CreateFailed | UnAvailable) echo "the import failed: $status" >&2; exit 1 ;; esac
  tries=$((tries + 1))
  [ "$tries" -lt 240 ] || {{ echo "the import takes more than two hours" >&2; exit 1; }}
  sleep 30
done
aliyun ecs ModifyImageAttribute --RegionId "$REGION" --ImageId "$IMAGE" --BootMode UEFI-Preferred >&2
aliyun oss rm "oss://$BUCKET/$NAME.qcow2" --region "$REGION" >&2

# The firewall of the image once more, outside of it. Members of the group are no exception.
GROUP=$(aliyun ecs CreateSecurityGroup --RegionId "$REGION" --VpcId "$VPC" --SecurityGroupType normal \
  --SecurityGroupName "$NAME" --Description "as the firewall of {image}" | field SecurityGroupId)
aliyun ecs ModifySecurityGroupPolicy --RegionId "$REGION" --SecurityGroupId "$GROUP" --InnerAccessPolicy Drop >&2
{ingress}{egress}{shut}
# An instance of it, with the metadata service in its hardened mode (a token for each question; the image lets only root ask):
#   aliyun ecs RunInstances --RegionId "$REGION" --ImageId "$IMAGE" --SecurityGroupId "$GROUP" --VSwitchId vsw-… \
#     --InstanceType ecs.g8i.large --SystemDisk.Category cloud_essd --SystemDisk.Size 20 \
#     --HttpEndpoint enabled --HttpTokens required --UserData "$(cat bundles/{image}-1/cloud-user-data)"
# What needs no image: Anti-DDoS Origin Basic guards every public address by itself, and for free; beyond its limit the
# address is dropped for a while. So whatever needs no public address has none, which a database never does. In place of a
# database of one's own, ApsaraDB RDS takes this group (of the API) into its whitelist, which is shut otherwise.
echo "image $IMAGE"
echo "group $GROUP"
"#
    );
    Own { provider: "Alibaba Cloud ECS", variables, commands }
}

fn line(rule: &Rule) -> String {
    let (verb, side) = match rule.direction {
        Direction::In => ("AuthorizeSecurityGroup", "Source"),
        Direction::Out => ("AuthorizeSecurityGroupEgress", "Dest"),
    };
    let (key, whom) = match &rule.whom {
        Whom::Network(IpNet::V4(network)) => (format!("{side}CidrIp"), network.to_string()),
        Whom::Network(IpNet::V6(network)) => (format!("Ipv6{side}CidrIp"), network.to_string()),
        Whom::Named(name) => (format!("{side}GroupId"), format!("\"${}\"", group::variable(name))),
    };
    let protocol = if rule.protocol == Protocol::Tcp { "TCP" } else { "UDP" };
    let range = format!("{}/{}", rule.ports.first, rule.ports.last);
    permission(verb, (protocol, &range), (&key, &whom), ("accept", 1, &rule.name))
}

/// A group lets everything out that no rule drops; the metadata service is reached through it too.
fn shut() -> String {
    let out = |protocol, whom, policy| permission("AuthorizeSecurityGroupEgress", protocol, whom, policy);
    let nothing = |whom| out(("ALL", "-1/-1"), whom, ("drop", 100, "nothing-else"));
    out(("TCP", "80/80"), ("DestCidrIp", "100.100.100.200/32"), ("accept", 1, "metadata"))
        + &nothing(("DestCidrIp", "0.0.0.0/0"))
        + &nothing(("Ipv6DestCidrIp", "::/0"))
}

/// One call with one permission: what, the other side (parameter and value), and how it is judged (priority, name).
fn permission(verb: &str, what: (&str, &str), (key, whom): (&str, &str), judged: (&str, u8, &str)) -> String {
    let ((protocol, range), (policy, priority, name)) = (what, judged);
    let one = "--Permissions.1";
    format!(
        "aliyun ecs {verb} --RegionId \"$REGION\" --SecurityGroupId \"$GROUP\" \\\n  \
         {one}.IpProtocol {protocol} {one}.PortRange {range} {one}.{key} {whom} \\\n  \
         {one}.Policy {policy} {one}.Priority {priority} {one}.Description {name} >&2\n"
    )
}
