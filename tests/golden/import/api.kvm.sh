#!/bin/sh
# Brings the image `api` to a host with libvirt, with the provider's own client, which has its keys: none is in here.
# Written by `goldsmith import api --target kvm` for one disk, and stops if it is another one.
set -eu

: "${POOL:?the storage pool of libvirt, as default}"
: "${NETWORK:?the network of libvirt, as default}"
: "${SEED:?the bundle of the instance, as bundles/INSTANCE/seed.iso}"
DISK=${DISK:-images/api/disk.qcow2}
NAME=goldsmith-api-1573d375e6d4

echo "1573d375e6d42c062e4a7113c46b32148181b503fe90100cd6f551619ec61f8e  $DISK" | sha256sum -c - >&2

virsh vol-create-as "$POOL" "$NAME.qcow2" 2G --format qcow2 >&2
virsh vol-upload --pool "$POOL" --vol "$NAME.qcow2" --file "$DISK" >&2

# The image stays as it is: an instance writes to a volume of its own on top of it.
INSTANCE=${INSTANCE:-api-1}
virsh vol-create-as "$POOL" "$INSTANCE.qcow2" "${SIZE:-20G}" --format qcow2 \
  --backing-vol "$NAME.qcow2" --backing-vol-format qcow2 >&2
virt-install --name "$INSTANCE" --import --osinfo debian13 --machine q35 --boot uefi --memory 2048 --vcpus 2 \
  --disk "vol=$POOL/$INSTANCE.qcow2,bus=virtio" --disk "path=$SEED,device=cdrom,readonly=on" \
  --network "network=$NETWORK,model=virtio" --rng /dev/urandom --graphics none --console pty,target.type=serial \
  --noautoconsole >&2
echo "instance $INSTANCE"
