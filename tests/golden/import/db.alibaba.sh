#!/bin/sh
# Brings the image `db` to Alibaba Cloud ECS, with the provider's own client, which has its keys: none is in here.
# Written by `goldsmith import db --target alibaba` for one disk, and stops if it is another one.
set -eu

: "${REGION:?the region of bucket and image, as cn-hangzhou}"
: "${BUCKET:?a bucket of OSS in that region}"
: "${VPC:?the VPC of the instances, as vpc-…}"
: "${API_GROUP:?the security group, as sg-…, of api}"
DISK=${DISK:-images/db/disk.qcow2}
NAME=goldsmith-db-1573d375e6d4

echo "1573d375e6d42c062e4a7113c46b32148181b503fe90100cd6f551619ec61f8e  $DISK" | sha256sum -c - >&2

# Once for each account: the role by which ECS reads the bucket, AliyunECSImageImportDefaultRole, with the policy
# AliyunECSImageImportRolePolicy (console: ECS, Images, Import Image).
field() { tr ',{}' '[\n*]' | sed -n 's/.*"'"$1"'": *"\([^"]*\)".*/\1/p' | head -n 1; }

aliyun oss cp "$DISK" "oss://$BUCKET/$NAME.qcow2" --region "$REGION" >&2

# ImportImage takes BIOS or UEFI; what the disk can (both) is said afterwards. With NVMe and tokens, which it has by itself,
# it starts on the newest instance types, and with the hardened mode of the metadata service alone.
IMAGE=$(aliyun ecs ImportImage --RegionId "$REGION" --ImageName "$NAME" --Description "db, by Goldsmith" \
  --OSType linux --Platform Debian --Architecture x86_64 --BootMode UEFI \
  --DiskDeviceMapping.1.Format QCOW2 --DiskDeviceMapping.1.OSSBucket "$BUCKET" \
  --DiskDeviceMapping.1.OSSObject "$NAME.qcow2" --DiskDeviceMapping.1.DiskImageSize 2 \
  --Features.NvmeSupport supported --Features.ImdsSupport v2 \
  --DetectionStrategy Standard --RoleName AliyunECSImageImportDefaultRole \
  --Tag.1.Key goldsmith --Tag.1.Value db | field ImageId)
echo "importing $IMAGE" >&2
tries=0
while :; do
  status=$(aliyun ecs DescribeImages --RegionId "$REGION" --ImageId "$IMAGE" \
    --Status Waiting,Creating,Available,UnAvailable,CreateFailed | field Status)
  case $status in Available) break ;; CreateFailed | UnAvailable) echo "the import failed: $status" >&2; exit 1 ;; esac
  tries=$((tries + 1))
  [ "$tries" -lt 240 ] || { echo "the import takes more than two hours" >&2; exit 1; }
  sleep 30
done
aliyun ecs ModifyImageAttribute --RegionId "$REGION" --ImageId "$IMAGE" --BootMode UEFI-Preferred >&2
aliyun oss rm "oss://$BUCKET/$NAME.qcow2" --region "$REGION" >&2

# The firewall of the image once more, outside of it. Members of the group are no exception.
GROUP=$(aliyun ecs CreateSecurityGroup --RegionId "$REGION" --VpcId "$VPC" --SecurityGroupType normal \
  --SecurityGroupName "$NAME" --Description "as the firewall of db" | field SecurityGroupId)
aliyun ecs ModifySecurityGroupPolicy --RegionId "$REGION" --SecurityGroupId "$GROUP" --InnerAccessPolicy Drop >&2
aliyun ecs AuthorizeSecurityGroup --RegionId "$REGION" --SecurityGroupId "$GROUP" \
  --Permissions.1.IpProtocol TCP --Permissions.1.PortRange 3306/3306 --Permissions.1.SourceGroupId "$API_GROUP" \
  --Permissions.1.Policy accept --Permissions.1.Priority 1 --Permissions.1.Description database >&2
aliyun ecs AuthorizeSecurityGroup --RegionId "$REGION" --SecurityGroupId "$GROUP" \
  --Permissions.1.IpProtocol TCP --Permissions.1.PortRange 22/22 --Permissions.1.SourceGroupId "$API_GROUP" \
  --Permissions.1.Policy accept --Permissions.1.Priority 1 --Permissions.1.Description ssh >&2
aliyun ecs AuthorizeSecurityGroupEgress --RegionId "$REGION" --SecurityGroupId "$GROUP" \
  --Permissions.1.IpProtocol UDP --Permissions.1.PortRange 53/53 --Permissions.1.DestCidrIp 0.0.0.0/0 \
  --Permissions.1.Policy accept --Permissions.1.Priority 1 --Permissions.1.Description dns-1 >&2
aliyun ecs AuthorizeSecurityGroupEgress --RegionId "$REGION" --SecurityGroupId "$GROUP" \
  --Permissions.1.IpProtocol UDP --Permissions.1.PortRange 53/53 --Permissions.1.Ipv6DestCidrIp ::/0 \
  --Permissions.1.Policy accept --Permissions.1.Priority 1 --Permissions.1.Description dns-2 >&2
aliyun ecs AuthorizeSecurityGroupEgress --RegionId "$REGION" --SecurityGroupId "$GROUP" \
  --Permissions.1.IpProtocol TCP --Permissions.1.PortRange 53/53 --Permissions.1.DestCidrIp 0.0.0.0/0 \
  --Permissions.1.Policy accept --Permissions.1.Priority 1 --Permissions.1.Description dns-long-1 >&2
aliyun ecs AuthorizeSecurityGroupEgress --RegionId "$REGION" --SecurityGroupId "$GROUP" \
  --Permissions.1.IpProtocol TCP --Permissions.1.PortRange 53/53 --Permissions.1.Ipv6DestCidrIp ::/0 \
  --Permissions.1.Policy accept --Permissions.1.Priority 1 --Permissions.1.Description dns-long-2 >&2
aliyun ecs AuthorizeSecurityGroupEgress --RegionId "$REGION" --SecurityGroupId "$GROUP" \
  --Permissions.1.IpProtocol UDP --Permissions.1.PortRange 123/123 --Permissions.1.DestCidrIp 0.0.0.0/0 \
  --Permissions.1.Policy accept --Permissions.1.Priority 1 --Permissions.1.Description ntp-1 >&2
aliyun ecs AuthorizeSecurityGroupEgress --RegionId "$REGION" --SecurityGroupId "$GROUP" \
  --Permissions.1.IpProtocol UDP --Permissions.1.PortRange 123/123 --Permissions.1.Ipv6DestCidrIp ::/0 \
  --Permissions.1.Policy accept --Permissions.1.Priority 1 --Permissions.1.Description ntp-2 >&2
aliyun ecs AuthorizeSecurityGroupEgress --RegionId "$REGION" --SecurityGroupId "$GROUP" \
  --Permissions.1.IpProtocol TCP --Permissions.1.PortRange 80/80 --Permissions.1.DestCidrIp 100.100.100.200/32 \
  --Permissions.1.Policy accept --Permissions.1.Priority 1 --Permissions.1.Description metadata >&2
aliyun ecs AuthorizeSecurityGroupEgress --RegionId "$REGION" --SecurityGroupId "$GROUP" \
  --Permissions.1.IpProtocol ALL --Permissions.1.PortRange -1/-1 --Permissions.1.DestCidrIp 0.0.0.0/0 \
  --Permissions.1.Policy drop --Permissions.1.Priority 100 --Permissions.1.Description nothing-else >&2
aliyun ecs AuthorizeSecurityGroupEgress --RegionId "$REGION" --SecurityGroupId "$GROUP" \
  --Permissions.1.IpProtocol ALL --Permissions.1.PortRange -1/-1 --Permissions.1.Ipv6DestCidrIp ::/0 \
  --Permissions.1.Policy drop --Permissions.1.Priority 100 --Permissions.1.Description nothing-else >&2

# An instance of it, with the metadata service in its hardened mode (a token for each question; the image lets only root ask):
#   aliyun ecs RunInstances --RegionId "$REGION" --ImageId "$IMAGE" --SecurityGroupId "$GROUP" --VSwitchId vsw-… \
#     --InstanceType ecs.g8i.large --SystemDisk.Category cloud_essd --SystemDisk.Size 20 \
#     --HttpEndpoint enabled --HttpTokens required --UserData "$(cat bundles/db-1/cloud-user-data)"
# What needs no image: Anti-DDoS Origin Basic guards every public address by itself, and for free; beyond its limit the
# address is dropped for a while. So whatever needs no public address has none, which a database never does. In place of a
# database of one's own, ApsaraDB RDS takes this group (of the API) into its whitelist, which is shut otherwise.
echo "image $IMAGE"
echo "group $GROUP"
