#!/bin/sh
# Brings the image `db` to OpenStack, with the provider's own client, which has its keys: none is in here.
# Written by `goldsmith import db --target openstack` for one disk, and stops if it is another one.
set -eu

: "${OS_CLOUD:?the cloud, by its name in clouds.yaml}"
: "${API_GROUP:?the security group of api}"
DISK=${DISK:-images/db/disk.qcow2}
NAME=goldsmith-db-1573d375e6d4

echo "1573d375e6d42c062e4a7113c46b32148181b503fe90100cd6f551619ec61f8e  $DISK" | sha256sum -c - >&2

# A config drive brings the bundle without a question over the network, where the cloud has one.
IMAGE=$(openstack image create "$NAME" --file "$DISK" --disk-format qcow2 --container-format bare --private \
  --property os_distro=debian --property os_type=linux --property architecture=x86_64 \
  --property hw_machine_type=q35 --property hw_firmware_type=uefi --property hw_disk_bus=virtio \
  --property hw_vif_model=virtio --property hw_rng_model=virtio --property img_config_drive=mandatory \
  --format value --column id)

# The firewall of the image once more, outside of it.
openstack security group create "$NAME" --description "as the firewall of db" >&2
for rule in $(openstack security group rule list "$NAME" --egress --column ID --format value); do
  openstack security group rule delete "$rule" >&2
done
openstack security group rule create "$NAME" --egress --ethertype IPv4 --protocol tcp --dst-port 80:80 \
  --remote-ip 169.254.169.254/32 --description metadata >&2
openstack security group rule create "$NAME" --ingress --ethertype IPv4 --protocol tcp \
  --dst-port 3306:3306 --remote-group "$API_GROUP" --description database >&2
openstack security group rule create "$NAME" --ingress --ethertype IPv6 --protocol tcp \
  --dst-port 3306:3306 --remote-group "$API_GROUP" --description database >&2
openstack security group rule create "$NAME" --ingress --ethertype IPv4 --protocol tcp \
  --dst-port 22:22 --remote-group "$API_GROUP" --description ssh >&2
openstack security group rule create "$NAME" --ingress --ethertype IPv6 --protocol tcp \
  --dst-port 22:22 --remote-group "$API_GROUP" --description ssh >&2
openstack security group rule create "$NAME" --egress --ethertype IPv4 --protocol udp \
  --dst-port 53:53 --remote-ip 0.0.0.0/0 --description dns-1 >&2
openstack security group rule create "$NAME" --egress --ethertype IPv6 --protocol udp \
  --dst-port 53:53 --remote-ip ::/0 --description dns-2 >&2
openstack security group rule create "$NAME" --egress --ethertype IPv4 --protocol tcp \
  --dst-port 53:53 --remote-ip 0.0.0.0/0 --description dns-long-1 >&2
openstack security group rule create "$NAME" --egress --ethertype IPv6 --protocol tcp \
  --dst-port 53:53 --remote-ip ::/0 --description dns-long-2 >&2
openstack security group rule create "$NAME" --egress --ethertype IPv4 --protocol udp \
  --dst-port 123:123 --remote-ip 0.0.0.0/0 --description ntp-1 >&2
openstack security group rule create "$NAME" --egress --ethertype IPv6 --protocol udp \
  --dst-port 123:123 --remote-ip ::/0 --description ntp-2 >&2

# An instance of it:
#   base64 -d bundles/db-1/cloud-user-data >user-data
#   openstack server create db-1 --image "$IMAGE" --security-group "$NAME" --flavor FLAVOR --network NETWORK \
#     --user-data user-data
echo "image $IMAGE"
