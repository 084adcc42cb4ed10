//! From a sealed root file system to what is shipped.
//!
//! ```text
//! Rootfs ─▶ layers::plan ─▶ tar::write ─▶ compress ─▶ layout ─▶ images/NAME/oci/
//!           which paths     one archive   and hash    blobs,      └▶ archive ─▶ images/NAME/NAME.oci.tar
//!           go together     a layer       on the way  index
//!                └────────── oci::write drives this, several layers at a time ──────────┘
//!           disk::Disks::write ───────────────────────────────────▶ images/NAME/disk.raw, .qcow2 …
//! ```
//!
//! Everything here is a pure function of the [`Rootfs`](crate::rootfs::Rootfs) and a few words about the image: neither the
//! clock nor the number of threads, the machine or the folder reaches a byte.

pub mod archive;
pub mod cache;
pub mod cloud_init;
pub mod compress;
pub mod disk;
pub mod iso9660;
pub mod layers;
pub mod layout;
pub mod network;
pub mod oci;
pub mod press;
pub mod read;
pub mod ssh_key;
pub mod tar;
pub mod vfat;

#[cfg(test)]
mod example;

/// The sources that decide the bytes of an image: another version of them makes another one.
pub const MADE_BY: &str = concat!(
    include_str!("archive.rs"),
    include_str!("compress.rs"),
    include_str!("disk/mod.rs"),
    include_str!("disk/boot.rs"),
    include_str!("disk/contents.rs"),
    include_str!("disk/ext4.rs"),
    include_str!("disk/gce.rs"),
    include_str!("disk/initramfs.rs"),
    include_str!("disk/initramfs/grow-state"),
    include_str!("disk/initramfs/grow-state.service"),
    include_str!("disk/initramfs/mount.sh"),
    include_str!("disk/partitions.rs"),
    include_str!("disk/sparse.rs"),
    include_str!("disk/toolbox.rs"),
    include_str!("disk/verity.rs"),
    include_str!("disk/vhd.rs"),
    include_str!("layers.rs"),
    include_str!("layout.rs"),
    include_str!("oci.rs"),
    include_str!("press.rs"),
    include_str!("tar.rs"),
    include_str!("tar/pax.rs"),
);
