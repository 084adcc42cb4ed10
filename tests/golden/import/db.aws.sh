#!/bin/sh
# Brings the image `db` to Amazon EC2, with the provider's own client, which has its keys: none is in here.
# Written by `goldsmith import db --target aws` for one disk, and stops if it is another one.
set -eu

: "${REGION:?the region of bucket and image, as eu-central-1}"
: "${BUCKET:?a bucket of S3 in that region}"
: "${VPC:?the VPC of the instances, as vpc-…}"
: "${API_GROUP:?the security group, as sg-…, of api}"
DISK=${DISK:-images/db/disk.raw}
NAME=goldsmith-db-b0eedc87f87b

echo "b0eedc87f87b6234991b5cfb334bda78f5a7f709adc3adab3e938457ff0ecabb  $DISK" | sha256sum -c - >&2

export AWS_DEFAULT_REGION="$REGION"

# Once for each account: the role `vmimport`, by which EC2 reads the bucket (VM Import/Export user guide). Without bucket and
# role: SNAPSHOT=$(coldsnap upload --wait "$DISK"), by the EBS direct API.
aws s3 cp "$DISK" "s3://$BUCKET/$NAME.raw" >&2
TASK=$(aws ec2 import-snapshot --description "$NAME" --query ImportTaskId --output text \
  --disk-container "Format=RAW,UserBucket={S3Bucket=$BUCKET,S3Key=$NAME.raw}")
aws ec2 wait snapshot-imported --import-task-ids "$TASK"
SNAPSHOT=$(aws ec2 describe-import-snapshot-tasks --import-task-ids "$TASK" \
  --query 'ImportSnapshotTasks[0].SnapshotTaskDetail.SnapshotId' --output text)
aws s3 rm "s3://$BUCKET/$NAME.raw" >&2

# UEFI where the instance type has it, else BIOS; the metadata service answers only to tokens (IMDSv2) on every instance.
IMAGE=$(aws ec2 register-image --name "$NAME" --description "db, by Goldsmith" \
  --architecture x86_64 --virtualization-type hvm --boot-mode uefi-preferred --ena-support --imds-support v2.0 \
  --root-device-name /dev/xvda --query ImageId --output text \
  --block-device-mappings "DeviceName=/dev/xvda,Ebs={SnapshotId=$SNAPSHOT,VolumeType=gp3,DeleteOnTermination=true}")

# The firewall of the image once more, outside of it.
GROUP=$(aws ec2 create-security-group --group-name "$NAME" --description "as the firewall of db" --vpc-id "$VPC" \
  --query GroupId --output text)
DEFAULT=$(aws ec2 describe-security-group-rules --filters "Name=group-id,Values=$GROUP" \
  --query 'SecurityGroupRules[?IsEgress].SecurityGroupRuleId' --output text)
# shellcheck disable=SC2086 # one word for each rule
aws ec2 revoke-security-group-egress --group-id "$GROUP" --security-group-rule-ids $DEFAULT >&2
aws ec2 authorize-security-group-ingress --group-id "$GROUP" \
  --ip-permissions "IpProtocol=tcp,FromPort=3306,ToPort=3306,UserIdGroupPairs=[{GroupId=$API_GROUP,Description=database}]" >&2
aws ec2 authorize-security-group-ingress --group-id "$GROUP" \
  --ip-permissions "IpProtocol=tcp,FromPort=22,ToPort=22,UserIdGroupPairs=[{GroupId=$API_GROUP,Description=ssh}]" >&2
aws ec2 authorize-security-group-egress --group-id "$GROUP" \
  --ip-permissions "IpProtocol=udp,FromPort=53,ToPort=53,IpRanges=[{CidrIp=0.0.0.0/0,Description=dns-1}]" >&2
aws ec2 authorize-security-group-egress --group-id "$GROUP" \
  --ip-permissions "IpProtocol=udp,FromPort=53,ToPort=53,Ipv6Ranges=[{CidrIpv6=::/0,Description=dns-2}]" >&2
aws ec2 authorize-security-group-egress --group-id "$GROUP" \
  --ip-permissions "IpProtocol=tcp,FromPort=53,ToPort=53,IpRanges=[{CidrIp=0.0.0.0/0,Description=dns-long-1}]" >&2
aws ec2 authorize-security-group-egress --group-id "$GROUP" \
  --ip-permissions "IpProtocol=tcp,FromPort=53,ToPort=53,Ipv6Ranges=[{CidrIpv6=::/0,Description=dns-long-2}]" >&2
aws ec2 authorize-security-group-egress --group-id "$GROUP" \
  --ip-permissions "IpProtocol=udp,FromPort=123,ToPort=123,IpRanges=[{CidrIp=0.0.0.0/0,Description=ntp-1}]" >&2
aws ec2 authorize-security-group-egress --group-id "$GROUP" \
  --ip-permissions "IpProtocol=udp,FromPort=123,ToPort=123,Ipv6Ranges=[{CidrIpv6=::/0,Description=ntp-2}]" >&2

# An instance of it:
#   aws ec2 run-instances --image-id "$IMAGE" --security-group-ids "$GROUP" --subnet-id subnet-… --instance-type m7i.large \
#     --metadata-options HttpEndpoint=enabled,HttpTokens=required,HttpPutResponseHopLimit=1 \
#     --user-data "$(base64 -d bundles/db-1/cloud-user-data)"
echo "image $IMAGE"
echo "group $GROUP"
