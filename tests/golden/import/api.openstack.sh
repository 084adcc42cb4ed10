#!/bin/sh
# Brings the image `api` to OpenStack, with the provider's own client, which has its keys: none is in here.
# Written by `goldsmith import api --target openstack` for one disk, and stops if it is another one.
set -eu

: "${OS_CLOUD:?the cloud, by its name in clouds.yaml}"
DISK=${DISK:-images/api/disk.qcow2}
NAME=goldsmith-api-1573d375e6d4

echo "1573d375e6d42c062e4a7113c46b32148181b503fe90100cd6f551619ec61f8e  $DISK" | sha256sum -c - >&2

# A config drive brings the bundle without a question over the network, where the cloud has one.
IMAGE=$(openstack image create "$NAME" --file "$DISK" --disk-format qcow2 --container-format bare --private \
  --property os_distro=debian --property os_type=linux --property architecture=x86_64 \
  --property hw_machine_type=q35 --property hw_firmware_type=uefi --property hw_disk_bus=virtio \
  --property hw_vif_model=virtio --property hw_rng_model=virtio --property img_config_drive=mandatory \
  --format value --column id)

# The firewall of the image once more, outside of it.
openstack security group create "$NAME" --description "as the firewall of api" >&2
openstack security group rule create "$NAME" --ingress --ethertype IPv4 --protocol tcp \
  --dst-port 22:22 --remote-ip 0.0.0.0/0 --description ssh-1 >&2
openstack security group rule create "$NAME" --ingress --ethertype IPv6 --protocol tcp \
  --dst-port 22:22 --remote-ip ::/0 --description ssh-2 >&2
openstack security group rule create "$NAME" --ingress --ethertype IPv4 --protocol tcp \
  --dst-port 80:80 --remote-ip 0.0.0.0/0 --description http-1 >&2
openstack security group rule create "$NAME" --ingress --ethertype IPv6 --protocol tcp \
  --dst-port 80:80 --remote-ip ::/0 --description http-2 >&2
openstack security group rule create "$NAME" --ingress --ethertype IPv4 --protocol tcp \
  --dst-port 443:443 --remote-ip 0.0.0.0/0 --description http-3 >&2
openstack security group rule create "$NAME" --ingress --ethertype IPv6 --protocol tcp \
  --dst-port 443:443 --remote-ip ::/0 --description http-4 >&2

# An instance of it:
#   base64 -d bundles/api-1/cloud-user-data >user-data
#   openstack server create api-1 --image "$IMAGE" --security-group "$NAME" --flavor FLAVOR --network NETWORK \
#     --user-data user-data
echo "image $IMAGE"
