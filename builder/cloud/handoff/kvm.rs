//! A host with libvirt, as `virsh` and `virt-install` take it. There is no security group: the image's own firewall is the
//! one that there is.

use super::{Own, Parts};

pub(super) fn own(parts: &Parts<'_>) -> Own {
    let variables = [
        ("POOL", "the storage pool of libvirt, as default"),
        ("NETWORK", "the network of libvirt, as default"),
        ("SEED", "the bundle of the instance, as bundles/INSTANCE/seed.iso"),
    ];
    let (image, gibibytes) = (parts.image(), parts.handoff.gibibytes);
    let commands = format!(
        r#"virsh vol-create-as "$POOL" "$NAME.qcow2" {gibibytes}G --format qcow2 >&2
virsh vol-upload --pool "$POOL" --vol "$NAME.qcow2" --file "$DISK" >&2

# The image stays as it is: an instance writes to a volume of its own on top of it.
INSTANCE=${{INSTANCE:-{image}-1}}
virsh vol-create-as "$POOL" "$INSTANCE.qcow2" "${{SIZE:-20G}}" --format qcow2 \
  --backing-vol "$NAME.qcow2" --backing-vol-format qcow2 >&2
virt-install --name "$INSTANCE" --import --osinfo debian13 --machine q35 --boot uefi --memory 2048 --vcpus 2 \
  --disk "vol=$POOL/$INSTANCE.qcow2,bus=virtio" --disk "path=$SEED,device=cdrom,readonly=on" \
  --network "network=$NETWORK,model=virtio" --rng /dev/urandom --graphics none --console pty,target.type=serial \
  --noautoconsole >&2
echo "instance $INSTANCE"
"#
    );
    let variables = variables.map(|(name, meaning)| (name.to_owned(), meaning.to_owned()));
    Own { provider: "a host with libvirt", variables: variables.into(), commands }
}
