#!/bin/sh
# Brings the image `api` to Amazon EC2, with the provider's own client, which has its keys: none is in here.
# Written by `goldsmith import api --target aws` for one disk, and stops if it is another one.
set -eu

: "${REGION:?the region of bucket and image, as eu-central-1}"
: "${BUCKET:?a bucket of S3 in that region}"
: "${VPC:?the VPC of the instances, as vpc-…}"
DISK=${DISK:-images/api/disk.raw}
NAME=goldsmith-api-b0eedc87f87b

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
IMAGE=$(aws ec2 register-image --name "$NAME" --description "api, by Goldsmith" \
  --architecture x86_64 --virtualization-type hvm --boot-mode uefi-preferred --ena-support --imds-support v2.0 \
  --root-device-name /dev/xvda --query ImageId --output text \
  --block-device-mappings "DeviceName=/dev/xvda,Ebs={SnapshotId=$SNAPSHOT,VolumeType=gp3,DeleteOnTermination=true}")

# The firewall of the image once more, outside of it.
GROUP=$(aws ec2 create-security-group --group-name "$NAME" --description "as the firewall of api" --vpc-id "$VPC" \
  --query GroupId --output text)
aws ec2 authorize-security-group-ingress --group-id "$GROUP" \
  --ip-permissions "IpProtocol=tcp,FromPort=22,ToPort=22,IpRanges=[{CidrIp=0.0.0.0/0,Description=ssh-1}]" >&2
aws ec2 authorize-security-group-ingress --group-id "$GROUP" \
  --ip-permissions "IpProtocol=tcp,FromPort=22,ToPort=22,Ipv6Ranges=[{CidrIpv6=::/0,Description=ssh-2}]" >&2
aws ec2 authorize-security-group-ingress --group-id "$GROUP" \
  --ip-permissions "IpProtocol=tcp,FromPort=80,ToPort=80,IpRanges=[{CidrIp=0.0.0.0/0,Description=http-1}]" >&2
aws ec2 authorize-security-group-ingress --group-id "$GROUP" \
  --ip-permissions "IpProtocol=tcp,FromPort=80,ToPort=80,Ipv6Ranges=[{CidrIpv6=::/0,Description=http-2}]" >&2
aws ec2 authorize-security-group-ingress --group-id "$GROUP" \
  --ip-permissions "IpProtocol=tcp,FromPort=443,ToPort=443,IpRanges=[{CidrIp=0.0.0.0/0,Description=http-3}]" >&2
aws ec2 authorize-security-group-ingress --group-id "$GROUP" \
  --ip-permissions "IpProtocol=tcp,FromPort=443,ToPort=443,Ipv6Ranges=[{CidrIpv6=::/0,Description=http-4}]" >&2

# An instance of it:
#   aws ec2 run-instances --image-id "$IMAGE" --security-group-ids "$GROUP" --subnet-id subnet-… --instance-type m7i.large \
#     --metadata-options HttpEndpoint=enabled,HttpTokens=required,HttpPutResponseHopLimit=1 \
#     --user-data "$(base64 -d bundles/api-1/cloud-user-data)"
echo "image $IMAGE"
echo "group $GROUP"
