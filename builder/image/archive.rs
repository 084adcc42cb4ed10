//! An image layout as one tar file, as `skopeo` and `podman` take it (`oci-archive:`).
//!
//! First what says that it is a layout and what is in it, then the blobs by their names. All times are the epoch; owners
//! are 0; so it is a function of the layout.

use std::fs::{self, File};
use std::io::{self, Seek, Write};
use std::path::Path;

use tar::{EntryType, Header};

use crate::epoch::Epoch;

/// Writes the layout in the directory `layout` to `out`.
///
/// # Errors
/// Whatever reading and writing give.
pub fn write(layout: &Path, epoch: Epoch, mut out: File) -> io::Result<()> {
    append(&mut out, layout, "oci-layout", epoch)?;
    append(&mut out, layout, "index.json", epoch)?;
    append(&mut out, layout, "blobs/", epoch)?;
    append(&mut out, layout, "blobs/sha256/", epoch)?;
    let mut blobs = fs::read_dir(layout.join("blobs/sha256"))?
        .map(|entry| Ok(format!("blobs/sha256/{}", entry?.file_name().display())))
        .collect::<io::Result<Vec<String>>>()?;
    blobs.sort();
    for blob in &blobs {
        append(&mut out, layout, blob, epoch)?;
    }
    out.write_all(&[0; 1024])
}

fn append(out: &mut File, layout: &Path, name: &str, epoch: Epoch) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(epoch.0.try_into().unwrap_or(0));
    if name.ends_with('/') {
        header.set_entry_type(EntryType::Directory);
        header.set_mode(0o755);
        header.set_size(0);
        header.set_cksum();
        return out.write_all(header.as_bytes());
    }
    let mut file = File::open(layout.join(name))?;
    let size = file.metadata()?.len();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_size(size);
    header.set_cksum();
    out.write_all(header.as_bytes())?;
    // From file to file, so that the kernel copies.
    if io::copy(&mut file, out)? != size {
        return Err(io::Error::other(format!("{name} changed while it was archived")));
    }
    // The blocks of a tar archive have 512 bytes; the end of the file is the end of this one.
    let end = out.stream_position()?;
    out.write_all(&[0; 512][..(end.next_multiple_of(512) - end) as usize])
}
