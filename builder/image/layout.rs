//! An OCI image layout on disk (image-spec 1.1, `image-layout.md`), written all or nothing.
//!
//! ```text
//! images/api/.oci.partial/          locked (flock) by the one process that fills it
//!   oci-layout                      {"imageLayoutVersion":"1.0.0"}
//!   index.json                      one descriptor: the manifest, its tag and platform
//!   blobs/sha256/…                  layers, config, manifest; each named by what it is, 0444
//!        │ publish: one renameat2(2) that exchanges it with the layout that was there
//!        ▼
//! images/api/oci/
//! ```
//!
//! [`LayoutBuilder`] is Goldsmith's [`ocipkg::image::ImageBuilder`]: whatever `ocipkg` can build (artifacts, copies) it can
//! build into such a layout. ocipkg's own builders are not used, for they hold layers in memory, order JSON by a random
//! hash and name images in a way that other tools don't read.

use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ocipkg::image::{ImageBuilder, OciDir};
use ocipkg::oci_spec::image::{
    ANNOTATION_REF_NAME, Descriptor, Digest as OciDigest, ImageIndexBuilder, ImageManifest, MediaType,
    OciLayoutBuilder, Platform,
};
use rustix::fs::{AtFlags, CWD, FlockOperation, RenameFlags};
use serde::Serialize;

use crate::digest::{Digest, Hashing};
use crate::epoch::Epoch;
use crate::image::archive;

/// A layout that is being filled. Dropped, nothing of it stays.
#[derive(Debug)]
pub struct LayoutBuilder {
    /// Where it will be.
    target: PathBuf,
    /// Where it is now.
    partial: PathBuf,
    /// Keeps everyone else out of `partial`.
    _lock: File,
    /// The manifest's name and platform in the index.
    reference: Option<String>,
    platform: Option<Platform>,
    published: bool,
}

impl LayoutBuilder {
    /// An empty layout that is to be at `target`; waits for whoever else is filling one for there.
    ///
    /// # Errors
    /// If the directory beside `target` can't be made, locked or emptied.
    pub fn new(target: &Path) -> io::Result<Self> {
        let name = target.file_name().ok_or_else(|| io::Error::other(format!("{} has no name", target.display())))?;
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(".partial");
        let partial = target.with_file_name(hidden);
        let lock = loop {
            fs::create_dir_all(&partial).map_err(|error| about(&partial, error))?;
            // Whoever held the lock may have taken the directory away under its name.
            if let Some(lock) = lock(&partial)? {
                break lock;
            }
        };
        empty(&partial).map_err(|error| about(&partial, error))?;
        let builder =
            Self { target: target.to_owned(), partial, _lock: lock, reference: None, platform: None, published: false };
        let blobs = builder.partial.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(|error| about(&blobs, error))?;
        Ok(builder)
    }

    /// Gives the manifest a tag (`org.opencontainers.image.ref.name`) and a platform in the index.
    pub fn named(mut self, tag: &str, platform: Platform) -> Self {
        self.reference = Some(tag.to_owned());
        self.platform = Some(platform);
        self
    }

    /// Where the blob of this digest is, or goes.
    pub fn blob(&self, digest: Digest) -> PathBuf {
        self.partial.join("blobs/sha256").join(digest.hex())
    }

    /// A place for bytes whose digest is not known yet. Whoever writes there calls [`name`](Self::name) afterwards.
    pub fn unnamed(&self, number: usize) -> PathBuf {
        self.partial.join(format!("unnamed-{number}"))
    }

    /// Makes the file at `unnamed` the blob of this digest, and read-only.
    ///
    /// # Errors
    /// Whatever renaming gives.
    pub fn name(&self, unnamed: &Path, digest: Digest) -> io::Result<PathBuf> {
        let blob = self.blob(digest);
        fs::set_permissions(unnamed, Permissions::from_mode(0o444)).map_err(|error| about(unnamed, error))?;
        fs::rename(unnamed, &blob).map_err(|error| about(&blob, error))?;
        Ok(blob)
    }

    /// Adds everything that `reader` gives as a blob, without holding it in memory.
    ///
    /// # Errors
    /// Whatever reading and writing give.
    pub fn add_blob_stream(&self, mut reader: impl Read) -> io::Result<(Digest, u64)> {
        let unnamed = self.unnamed(usize::MAX);
        let mut out = Hashing::new(File::create(&unnamed).map_err(|error| about(&unnamed, error))?);
        io::copy(&mut reader, &mut out)?;
        let (_, digest, size) = out.finish();
        self.name(&unnamed, digest)?;
        Ok((digest, size))
    }

    /// Adds a file that holds the blob of this digest: linked where that is possible, else copied.
    ///
    /// # Errors
    /// Whatever copying gives.
    pub fn adopt(&self, file: &Path, digest: Digest) -> io::Result<PathBuf> {
        let blob = self.blob(digest);
        match fs::hard_link(file, &blob) {
            Ok(()) => Ok(blob),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(blob),
            Err(_) => {
                let unnamed = self.partial.join(format!("adopted-{}", digest.hex()));
                fs::copy(file, &unnamed).map_err(|error| about(file, error))?;
                self.name(&unnamed, digest)
            }
        }
    }

    /// Writes the manifest, the index and the `oci-layout` file. Nothing may be added afterwards.
    ///
    /// # Errors
    /// Whatever writing gives.
    pub fn finish(&mut self, manifest: &ImageManifest) -> io::Result<Digest> {
        let (digest, size) = self.add_blob_stream(canonical(manifest)?.as_slice())?;
        let mut descriptor = descriptor(MediaType::ImageManifest, digest, size)?;
        if let Some(tag) = &self.reference {
            descriptor.set_annotations(Some([(ANNOTATION_REF_NAME.to_owned(), tag.clone())].into()));
        }
        descriptor.set_platform(self.platform.clone());
        descriptor.set_artifact_type(manifest.artifact_type().clone());
        let index = ImageIndexBuilder::default()
            .schema_version(2_u32)
            .media_type(MediaType::ImageIndex)
            .manifests([descriptor])
            .build()
            .map_err(io::Error::other)?;
        let layout = OciLayoutBuilder::default().image_layout_version("1.0.0").build().map_err(io::Error::other)?;
        for (name, bytes) in [("index.json", canonical(&index)?), ("oci-layout", canonical(&layout)?)] {
            let path = self.partial.join(name);
            fs::write(&path, bytes).map_err(|error| about(&path, error))?;
        }
        Ok(digest)
    }

    /// Where it is while it is being filled.
    pub fn path(&self) -> &Path {
        &self.partial
    }

    /// Writes the finished layout as a tar archive; says where, for whoever gives it a name before this is published.
    ///
    /// # Errors
    /// Whatever reading and writing give.
    pub fn archive(&self, epoch: Epoch) -> io::Result<PathBuf> {
        // In the locked directory, so that what a killed process leaves is emptied with it.
        let path = self.partial.join("archive");
        let out = File::create(&path).map_err(|error| about(&path, error))?;
        archive::write(&self.partial, epoch, out).map_err(|error| about(&path, error))?;
        Ok(path)
    }

    /// Puts the finished layout where it belongs, in the place of one that was there; a reader sees one or the other.
    ///
    /// # Errors
    /// Whatever renaming gives.
    pub fn publish(mut self) -> io::Result<()> {
        let move_to = |flags| rustix::fs::renameat_with(CWD, &self.partial, CWD, &self.target, flags);
        if move_to(RenameFlags::NOREPLACE).is_ok() {
            self.published = true;
            return Ok(());
        }
        // The old layout will be for a moment where others look for an unfinished one: they have to wait.
        let _old = lock(&self.target)?;
        if move_to(RenameFlags::EXCHANGE).is_ok() {
            self.published = true;
            return remove(&self.partial);
        }
        // A file system that can do neither.
        remove(&self.target)?;
        fs::rename(&self.partial, &self.target).map_err(|error| about(&self.target, error))?;
        self.published = true;
        Ok(())
    }
}

impl Drop for LayoutBuilder {
    fn drop(&mut self) {
        if !self.published {
            let _ = remove(&self.partial); // an error of what failed before is the better one
        }
    }
}

impl ImageBuilder for LayoutBuilder {
    type Image = OciDir;

    fn add_blob(&mut self, data: &[u8]) -> anyhow::Result<(OciDigest, u64)> {
        let (digest, size) = self.add_blob_stream(data)?;
        Ok((digest.to_string().parse()?, size))
    }

    fn build(mut self, manifest: ImageManifest) -> anyhow::Result<OciDir> {
        let target = self.target.clone();
        self.finish(&manifest)?;
        self.publish()?;
        OciDir::new(&target)
    }
}

/// JSON that is the same for the same value: keys sorted, no spaces. (The model's own hash maps have a random order; the
/// maps of `serde_json` are sorted, unless some crate turns on `preserve_order`.)
///
/// # Errors
/// What serialising gives: never, for the model of the specification.
pub fn canonical(value: &impl Serialize) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec(&serde_json::to_value(value)?)?)
}

/// What a manifest or an index says of a blob.
///
/// # Errors
/// Never: a SHA-256 is a digest of the specification.
pub fn descriptor(media_type: MediaType, digest: Digest, size: u64) -> io::Result<Descriptor> {
    let digest: OciDigest = digest.to_string().parse().map_err(io::Error::other)?;
    Ok(Descriptor::new(media_type, size, digest))
}

/// Waits for the lock of a directory; `None` if the directory is not there under its name any more.
fn lock(directory: &Path) -> io::Result<Option<File>> {
    let file = match File::open(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|error| about(directory, error))?,
    };
    rustix::io::retry_on_intr(|| rustix::fs::flock(&file, FlockOperation::LockExclusive))
        .map_err(|error| about(directory, error.into()))?;
    let held = file.metadata().map_err(|error| about(directory, error))?;
    let still = rustix::fs::statat(CWD, directory, AtFlags::SYMLINK_NOFOLLOW);
    Ok(still.is_ok_and(|stat| (stat.st_dev, stat.st_ino) == (held.dev(), held.ino())).then_some(file))
}

fn empty(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path())? } else { fs::remove_file(entry.path())? }
    }
    Ok(())
}

fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(about(directory, error)),
        _ => Ok(()),
    }
}

fn about(path: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ocipkg::image::{Image, OciArtifactBuilder};
    use std::collections::HashMap;

    /// An artifact of one blob, made by ocipkg on top of this builder.
    fn artifact(target: &Path, bytes: &[u8]) -> Digest {
        let kind = MediaType::Other("application/vnd.example".to_owned());
        let mut builder = OciArtifactBuilder::new(LayoutBuilder::new(target).unwrap(), kind.clone()).unwrap();
        let annotations: HashMap<_, _> = (0..20).map(|n| (format!("key-{n}"), "value".to_owned())).collect();
        builder.add_layer(kind, bytes, annotations).unwrap();
        let mut artifact = builder.build().unwrap();
        assert_eq!(artifact.get_layers().unwrap()[0].1, bytes);
        let manifest = canonical(&artifact.get_manifest().unwrap()).unwrap();
        assert!(target.join("blobs/sha256").join(Digest::of(&manifest).hex()).exists(), "read back as it was written");
        Digest::of(&fs::read(target.join("index.json")).unwrap())
    }

    #[test]
    fn ocipkg_builds_the_same_artifact_on_it_every_time() {
        let directory = tempfile::tempdir().unwrap();
        let digests: Vec<_> =
            (0..5).map(|n| artifact(&directory.path().join(n.to_string()).join("oci"), b"bytes")).collect();
        assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
    }

    #[test]
    fn keys_of_json_are_sorted_and_not_in_the_order_of_insertion() {
        let value = serde_json::json!({"b": 1, "a": {"d": 2, "c": 3}});
        assert_eq!(String::from_utf8(canonical(&value).unwrap()).unwrap(), r#"{"a":{"c":3,"d":2},"b":1}"#);
    }

    #[test]
    fn a_layout_is_replaced_whole_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("oci");
        let first = artifact(&target, b"first");
        assert_ne!(artifact(&target, b"second"), first);
        assert!(!target.join("blobs/sha256").join(Digest::of(b"first").hex()).exists());
        let names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["oci"]);
    }

    #[test]
    fn one_that_is_given_up_leaves_the_old_layout_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("oci");
        let first = artifact(&target, b"first");
        LayoutBuilder::new(&target).unwrap().add_blob_stream(&b"half"[..]).unwrap();
        // What a killed process leaves.
        fs::create_dir(directory.path().join(".oci.partial")).unwrap();
        fs::write(directory.path().join(".oci.partial/unnamed-3"), "half").unwrap();
        assert_eq!(Digest::of(&fs::read(target.join("index.json")).unwrap()), first);
        artifact(&target, b"second");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        assert_eq!(fs::read_dir(&target).unwrap().count(), 3, "blobs, index.json, oci-layout");
    }

    #[test]
    fn builders_of_one_target_wait_for_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("oci");
        std::thread::scope(|scope| {
            for n in 0_u8..8 {
                let target = &target;
                scope.spawn(move || {
                    let mut builder = LayoutBuilder::new(target).unwrap();
                    let (digest, _) = builder.add_blob_stream([n].as_slice()).unwrap();
                    let config = descriptor(MediaType::EmptyJSON, digest, 1).unwrap();
                    let manifest = ocipkg::oci_spec::image::ImageManifestBuilder::default()
                        .schema_version(2_u32)
                        .config(config)
                        .layers([])
                        .build()
                        .unwrap();
                    builder.finish(&manifest).unwrap();
                    builder.publish().unwrap();
                });
            }
        });
        let mut published = OciDir::new(&target).unwrap();
        let config = published.get_manifest().unwrap().config().digest().clone();
        assert_eq!(published.get_blob(&config).unwrap().len(), 1);
        assert_eq!(fs::read_dir(target.join("blobs/sha256")).unwrap().count(), 2);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
