//! Amazon EC2: the API's 2016-11-15 model (ImportSnapshot, RegisterImage, AuthorizeSecurityGroup…), as the client `aws` takes
//! it. Not import-image: that looks into the guest and changes it.

use ipnet::IpNet;

use super::{Direction, Own, Parts, Rule, Whom, group};

pub(super) fn own(parts: &Parts<'_>) -> Own {
    let mut variables: Vec<(String, String)> = [
        ("REGION", "the region of bucket and image, as eu-central-1"),
        ("BUCKET", "a bucket of S3 in that region"),
        ("VPC", "the VPC of the instances, as vpc-…"),
    ]
    .map(|(name, meaning)| (name.to_owned(), meaning.to_owned()))
    .into();
    variables.extend(parts.groups("the security group, as sg-…, of"));
    let image = parts.image();
    let rules = parts.each(line);
    let shut = if parts.shut {
        r#"DEFAULT=$(aws ec2 describe-security-group-rules --filters "Name=group-id,Values=$GROUP" \
  --query 'SecurityGroupRules[?IsEgress].SecurityGroupRuleId' --output text)
# shellcheck disable=SC2086 # one word for each rule
aws ec2 revoke-security-group-egress --group-id "$GROUP" --security-group-rule-ids $DEFAULT >&2
"#
    } else {
        ""
    };
    let commands = format!(
        r#"export AWS_DEFAULT_REGION="$REGION"

# Once for each account: the role `vmimport`, by which EC2 reads the bucket (VM Import/Export user guide). Without bucket and
# role: SNAPSHOT=$(coldsnap upload --wait "$DISK"), by the EBS direct API.
aws s3 cp "$DISK" "s3://$BUCKET/$NAME.raw" >&2
TASK=$(aws ec2 import-snapshot --description "$NAME" --query ImportTaskId --output text \
  --disk-container "Format=RAW,UserBucket={{S3Bucket=$BUCKET,S3Key=$NAME.raw}}")
aws ec2 wait snapshot-imported --import-task-ids "$TASK"
SNAPSHOT=$(aws ec2 describe-import-snapshot-tasks --import-task-ids "$TASK" \
  --query 'ImportSnapshotTasks[0].SnapshotTaskDetail.SnapshotId' --output text)
aws s3 rm "s3://$BUCKET/$NAME.raw" >&2

# UEFI where the instance type has it, else BIOS; the metadata service answers only to tokens (IMDSv2) on every instance.
IMAGE=$(aws ec2 register-image --name "$NAME" --description "{image}, by Goldsmith" \
  --architecture x86_64 --virtualization-type hvm --boot-mode uefi-preferred --ena-support --imds-support v2.0 \
  --root-device-name /dev/xvda --query ImageId --output text \
  --block-device-mappings "DeviceName=/dev/xvda,Ebs={{SnapshotId=$SNAPSHOT,VolumeType=gp3,DeleteOnTermination=true}}")

# The firewall of the image once more, outside of it.
GROUP=$(aws ec2 create-security-group --group-name "$NAME" --description "as the firewall of {image}" --vpc-id "$VPC" \
  --query GroupId --output text)
{shut}{rules}
# An instance of it:
#   aws ec2 run-instances --image-id "$IMAGE" --security-group-ids "$GROUP" --subnet-id subnet-… --instance-type m7i.large \
#     --metadata-options HttpEndpoint=enabled,HttpTokens=required,HttpPutResponseHopLimit=1 \
#     --user-data "$(base64 -d bundles/{image}-1/cloud-user-data)"
echo "image $IMAGE"
echo "group $GROUP"
"#
    );
    Own { provider: "Amazon EC2", variables, commands }
}

fn line(rule: &Rule) -> String {
    let verb = match rule.direction {
        Direction::In => "authorize-security-group-ingress",
        Direction::Out => "authorize-security-group-egress",
    };
    let name = &rule.name;
    let whom = match &rule.whom {
        Whom::Network(IpNet::V4(network)) => format!("IpRanges=[{{CidrIp={network},Description={name}}}]"),
        Whom::Network(IpNet::V6(network)) => format!("Ipv6Ranges=[{{CidrIpv6={network},Description={name}}}]"),
        Whom::Named(other) => format!("UserIdGroupPairs=[{{GroupId=${},Description={name}}}]", group::variable(other)),
    };
    let (protocol, first, last) = (rule.protocol, rule.ports.first, rule.ports.last);
    format!(
        "aws ec2 {verb} --group-id \"$GROUP\" \\\n  \
         --ip-permissions \"IpProtocol={protocol},FromPort={first},ToPort={last},{whom}\" >&2\n"
    )
}
