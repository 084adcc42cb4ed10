//! A root file system as an OCI image (image-spec 1.1: `config.md`, `manifest.md`, `layer.md`, `annotations.md`).
//!
//! ```text
//! images/api/oci/             index.json ─▶ manifest ─▶ config    /sbin/init, SIGRTMIN+3, diff_ids, history
//! images/api/api.oci.tar      the same, as one file   └▶ layers   tar+zstd or tar+gzip, several made at a time
//! ```
//!
//! What it is made of decides every byte: the [`Rootfs`] and the [`Definition`]. What it is made with, the [`Effort`],
//! decides none. The image has systemd for its first process, which stops on `SIGRTMIN+3`.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use ocipkg::image::{Image, OciArchive, OciDir};
use ocipkg::oci_spec::image::{
    ANNOTATION_CREATED, ANNOTATION_DESCRIPTION, ANNOTATION_REVISION, ANNOTATION_SOURCE, ANNOTATION_TITLE,
    ANNOTATION_VERSION, Arch as OciArch, ConfigBuilder, Descriptor, HistoryBuilder, ImageConfigurationBuilder,
    ImageManifest, ImageManifestBuilder, MediaType, Os, PlatformBuilder, RootFsBuilder,
};

use crate::arch::Arch;
use crate::digest::Digest;
use crate::epoch::Epoch;
use crate::image::compress::{Compressed, Compression};
use crate::image::layers;
use crate::image::layout::{LayoutBuilder, canonical, descriptor};
use crate::image::press::{Effort, Press};
use crate::rootfs::Rootfs;

/// A container's path before a shell has set one: Debian's.
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What an image is to be, beside its root file system.
#[derive(Clone, Debug)]
pub struct Definition {
    /// Its name, of which the archive's file name and the title are made: `api`.
    pub name: String,
    /// `org.opencontainers.image.ref.name` in the index: `latest`.
    pub tag: String,
    /// What it runs on.
    pub arch: Arch,
    /// One sentence for people.
    pub description: String,
    /// Which one it is of those with this name.
    pub version: String,
    /// Where its recipe is found (a URL).
    pub source: Option<String>,
    /// The commit of the recipe.
    pub revision: Option<String>,
    /// Further labels, which are annotations too.
    pub labels: BTreeMap<String, String>,
    /// How its layers are compressed.
    pub compression: Compression,
    /// How many layers it has at most: [`layers::LIMIT`] unless there is a reason.
    pub layers: usize,
}

/// An image that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// The layout's directory.
    pub layout: PathBuf,
    /// The layout as one file.
    pub archive: PathBuf,
    /// Of the manifest: the image's name in a registry.
    pub manifest: Digest,
    /// Of the configuration: what container engines call the image's id.
    pub config: Digest,
    /// From the bottom up: what is in it, and its blob.
    pub layers: Vec<(String, Compressed)>,
    /// What a machine that has none of it must pull: layers and configuration, in bytes.
    pub size: u64,
}

/// Why an image could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The name would lead elsewhere.
    #[error("`{0}` cannot name an image: use letters, digits, `.`, `_` and `-`")]
    Name(String),
    /// A path that unpackers would take for an order.
    #[error(
        "`{0}` cannot be in an OCI image: a name that begins with `.wh.` deletes files of the layers below; remove it or \
         give it another name"
    )]
    Whiteout(String),
    /// A layer could not be made.
    #[error("cannot write the layer `{layer}`: {source}")]
    Layer {
        /// What is in it.
        layer: String,
        /// Why.
        source: io::Error,
    },
    /// The rest could not be written.
    #[error("cannot write the OCI image: {0}")]
    Io(#[from] io::Error),
    /// An independent reader sees something else than what was written.
    #[error(
        "the OCI image in {path} reads back as another one: {what}. The disk or Goldsmith is at fault; nothing was replaced"
    )]
    Unlike {
        /// What was read.
        path: PathBuf,
        /// How it differs.
        what: String,
    },
}

/// Writes the image beside `out/oci/` and `out/NAME.oci.tar`, whose places it takes with [`Draft::publish`].
///
/// # Errors
/// [`WriteError`]; nothing of it stays then.
pub fn write(rootfs: &Rootfs, definition: &Definition, out: &Path, effort: Effort<'_>) -> Result<Draft, WriteError> {
    check(rootfs, definition)?;
    let platform = PlatformBuilder::default().architecture(OciArch::from(definition.arch.oci())).os(Os::Linux);
    let platform = platform.build().map_err(io::Error::other)?;
    let (layout, archive) = (out.join("oci"), out.join(format!("{}.oci.tar", definition.name)));
    let mut builder = LayoutBuilder::new(&layout)?.named(&definition.tag, platform);

    let plan = layers::plan(rootfs, definition.layers);
    let blobs = Press { rootfs, compression: definition.compression, builder: &builder, effort }.blobs(&plan);
    let blobs = blobs.map_err(|(number, source)| WriteError::Layer { layer: plan[number].name.clone(), source })?;
    let layers: Vec<(String, Compressed)> = plan.into_iter().map(|layer| layer.name).zip(blobs).collect();

    let (config, config_size) =
        builder.add_blob_stream(configuration(definition, rootfs.epoch(), &layers)?.as_slice())?;
    let manifest =
        manifest(definition, rootfs.epoch(), descriptor(MediaType::ImageConfig, config, config_size)?, &layers)?;
    let digest = builder.finish(&manifest)?;

    let unnamed = builder.archive(rootfs.epoch())?;
    let unlike =
        |path: &Path, what: anyhow::Error| WriteError::Unlike { path: path.to_owned(), what: format!("{what:#}") };
    let read = OciDir::new(builder.path()).and_then(|image| reads_back(image, &manifest, config));
    read.map_err(|what| unlike(&layout, what))?;
    let read = OciArchive::new(&unnamed).and_then(|image| reads_back(image, &manifest, config));
    read.map_err(|what| unlike(&archive, what))?;
    let size = config_size + layers.iter().map(|(_, blob)| blob.size).sum::<u64>();
    Ok(Draft { builder, unnamed, artifact: Artifact { layout, archive, manifest: digest, config, layers, size } })
}

/// An image that is whole, read back, and not in its place yet. Dropped, nothing of it stays.
#[derive(Debug)]
pub struct Draft {
    builder: LayoutBuilder,
    /// The archive, under its passing name.
    unnamed: PathBuf,
    /// What it will be.
    artifact: Artifact,
}

impl Draft {
    /// What the image is.
    pub fn artifact(&self) -> &Artifact {
        &self.artifact
    }

    /// Puts the image in the place of what was there.
    ///
    /// # Errors
    /// The directory can't be written.
    pub fn publish(self) -> Result<Artifact, WriteError> {
        std::fs::rename(&self.unnamed, &self.artifact.archive)?;
        self.builder.publish()?;
        Ok(self.artifact)
    }
}

/// What can be wrong before anything is written.
fn check(rootfs: &Rootfs, definition: &Definition) -> Result<(), WriteError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if definition.name.is_empty() || definition.name.starts_with('.') || !definition.name.bytes().all(plain) {
        return Err(WriteError::Name(definition.name.clone()));
    }
    let whiteout = rootfs.entries().keys().find(|path| path.split('/').any(|name| name.starts_with(".wh.")));
    whiteout.map_or(Ok(()), |path| Err(WriteError::Whiteout(path.clone())))
}

/// The annotations of the manifest, which are the labels of the configuration too.
fn annotations(definition: &Definition, epoch: Epoch) -> HashMap<String, String> {
    let mut annotations: HashMap<String, String> = definition.labels.clone().into_iter().collect();
    let known = [
        (ANNOTATION_TITLE, Some(definition.name.clone())),
        (ANNOTATION_DESCRIPTION, Some(definition.description.clone())),
        (ANNOTATION_VERSION, Some(definition.version.clone())),
        (ANNOTATION_CREATED, Some(epoch.rfc3339())),
        (ANNOTATION_SOURCE, definition.source.clone()),
        (ANNOTATION_REVISION, definition.revision.clone()),
    ];
    annotations.extend(known.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    annotations
}

fn configuration(definition: &Definition, epoch: Epoch, layers: &[(String, Compressed)]) -> io::Result<Vec<u8>> {
    let config = ConfigBuilder::default()
        .entrypoint(["/sbin/init".to_owned()])
        .env([PATH.to_owned()])
        .stop_signal("SIGRTMIN+3")
        .labels(annotations(definition, epoch));
    let history = layers.iter().map(|(name, _)| {
        HistoryBuilder::default().created(epoch.rfc3339()).created_by(format!("goldsmith: {name}")).build()
    });
    let diff_ids: Vec<String> = layers.iter().map(|(_, blob)| blob.diff_id.to_string()).collect();
    let configuration = ImageConfigurationBuilder::default()
        .created(epoch.rfc3339())
        .architecture(OciArch::from(definition.arch.oci()))
        .os(Os::Linux)
        .config(config.build().map_err(io::Error::other)?)
        .rootfs(RootFsBuilder::default().typ("layers").diff_ids(diff_ids).build().map_err(io::Error::other)?)
        .history(history.collect::<Result<Vec<_>, _>>().map_err(io::Error::other)?)
        .build()
        .map_err(io::Error::other)?;
    canonical(&configuration)
}

fn manifest(
    definition: &Definition,
    epoch: Epoch,
    config: Descriptor,
    layers: &[(String, Compressed)],
) -> io::Result<ImageManifest> {
    let media_type = match definition.compression {
        Compression::Zstd => MediaType::ImageLayerZstd,
        Compression::Gzip => MediaType::ImageLayerGzip,
    };
    let layers = layers.iter().map(|(_, blob)| descriptor(media_type.clone(), blob.digest, blob.size));
    ImageManifestBuilder::default()
        .schema_version(2_u32)
        .media_type(MediaType::ImageManifest)
        .config(config)
        .layers(layers.collect::<io::Result<Vec<_>>>()?)
        .annotations(annotations(definition, epoch))
        .build()
        .map_err(io::Error::other)
}

/// Reads what was written as ocipkg reads any image.
fn reads_back(mut image: impl Image, manifest: &ImageManifest, config: Digest) -> anyhow::Result<()> {
    anyhow::ensure!(image.get_manifest()? == *manifest, "its manifest is another one");
    let bytes = image.get_blob(manifest.config().digest())?;
    anyhow::ensure!(Digest::of(&bytes) == config, "its configuration is another one");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::cache::{LayerCache, NoCache};
    use crate::image::{example, read};
    use crate::rootfs::entry::Content;
    use crate::rootfs::listing::Listing;
    use std::fs;
    use std::num::NonZeroUsize;
    use std::sync::Mutex;

    fn definition(compression: Compression) -> Definition {
        Definition {
            name: "example".to_owned(),
            tag: "latest".to_owned(),
            arch: Arch::Amd64,
            description: "One of everything.".to_owned(),
            version: "2025-09-12".to_owned(),
            source: None,
            revision: None,
            labels: (0..20).map(|n| (format!("org.example.{n}"), n.to_string())).collect(),
            compression,
            layers: 10,
        }
    }

    fn effort(jobs: usize, cache: &dyn LayerCache) -> Effort<'_> {
        Effort { jobs: NonZeroUsize::new(jobs).unwrap(), cache }
    }

    fn write(rootfs: &Rootfs, definition: &Definition, out: &Path, effort: Effort<'_>) -> Result<Artifact, WriteError> {
        super::write(rootfs, definition, out, effort)?.publish()
    }

    fn write_example(out: &Path, compression: Compression) -> Artifact {
        write(&example::rootfs(), &definition(compression), out, effort(2, &NoCache)).unwrap()
    }

    #[test]
    fn the_image_unpacks_to_the_root_file_system() {
        for compression in [Compression::Zstd, Compression::Gzip] {
            let out = tempfile::tempdir().unwrap();
            let image = write_example(out.path(), compression);
            assert_eq!(read::listing(&image.layout).unwrap(), Listing::of(&example::rootfs()));
            let back = read::rootfs(&image.layout).unwrap();
            assert_eq!(Listing::of(&back), Listing::of(&example::rootfs()));
            for path in ["etc/shadow", "usr/bin/perl5.40.1"] {
                let bytes = |rootfs: &Rootfs| io::read_to_string(rootfs.open(path).unwrap()).unwrap();
                assert_eq!(bytes(&back), bytes(&example::rootfs()), "{path}");
            }
        }
    }

    #[test]
    fn any_number_of_jobs_writes_the_same_image_and_archive() {
        for compression in [Compression::Zstd, Compression::Gzip] {
            let images = [1, 2, 4].map(|jobs| {
                let out = tempfile::tempdir().unwrap();
                let image =
                    write(&example::rootfs(), &definition(compression), out.path(), effort(jobs, &NoCache)).unwrap();
                (image.manifest, image.layers, Digest::of(&fs::read(image.archive).unwrap()))
            });
            assert_eq!(images[0], images[1]);
            assert_eq!(images[0], images[2]);
        }
    }

    #[test]
    fn the_image_is_the_golden_one() {
        let out = tempfile::tempdir().unwrap();
        let zstd = write_example(out.path(), Compression::Zstd).manifest.to_string();
        let gzip = write_example(out.path(), Compression::Gzip).manifest.to_string();
        assert_eq!(
            [zstd.as_str(), gzip.as_str()],
            [
                "sha256:eaf646e5ce54081a0244752786f3c2785239143df8370da3894f8d7dabb7e4c1",
                "sha256:156834ec0fedeb84f6485551716edc4269deb8290fbdb594d7fe329bd19aacde",
            ]
        );
    }

    #[test]
    fn the_configuration_starts_systemd_and_says_what_the_image_is() {
        let out = tempfile::tempdir().unwrap();
        let image = write_example(out.path(), Compression::Zstd);
        let blob = |digest: Digest| -> serde_json::Value {
            serde_json::from_slice(&fs::read(image.layout.join("blobs/sha256").join(digest.hex())).unwrap()).unwrap()
        };
        let config = blob(image.config);
        assert_eq!(config["architecture"], "amd64");
        assert_eq!(config["created"], "2025-09-12T07:55:41Z");
        assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/sbin/init"]));
        assert_eq!(config["config"]["StopSignal"], "SIGRTMIN+3");
        assert_eq!(config["config"]["Labels"]["org.opencontainers.image.title"], "example");
        assert_eq!(config["history"][0]["created_by"], "goldsmith: packages from odd, util-linux");
        assert_eq!(config["history"].as_array().unwrap().len(), image.layers.len());
        let manifest = blob(image.manifest);
        assert_eq!(manifest["annotations"]["org.opencontainers.image.version"], "2025-09-12");
        assert_eq!(manifest["layers"][0]["mediaType"], "application/vnd.oci.image.layer.v1.tar+zstd");
        let index: serde_json::Value =
            serde_json::from_slice(&fs::read(image.layout.join("index.json")).unwrap()).unwrap();
        assert_eq!(index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"], "latest");
        assert_eq!(index["manifests"][0]["digest"], image.manifest.to_string());
        assert_eq!(index["manifests"][0]["platform"], serde_json::json!({"architecture": "amd64", "os": "linux"}));
    }

    /// Keeps blobs in a directory, and counts those that it was given.
    struct Kept(PathBuf, Mutex<BTreeMap<Digest, Compressed>>);

    impl LayerCache for Kept {
        fn get(&self, key: Digest) -> io::Result<Option<(Compressed, PathBuf)>> {
            Ok(self.1.lock().unwrap().get(&key).map(|blob| (*blob, self.0.join(blob.digest.hex()))))
        }

        fn put(&self, key: Digest, layer: &Compressed, blob: &Path) -> io::Result<()> {
            fs::copy(blob, self.0.join(layer.digest.hex()))?;
            self.1.lock().unwrap().insert(key, *layer);
            Ok(())
        }
    }

    #[test]
    fn a_change_makes_one_layer_anew_and_the_cache_changes_nothing() {
        let (out, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let cache = Kept(kept.path().to_owned(), Mutex::default());
        let definition = definition(Compression::Zstd);
        let first = write(&example::rootfs(), &definition, out.path(), effort(2, &cache)).unwrap();
        assert_eq!(cache.1.lock().unwrap().len(), first.layers.len());
        assert_eq!(write(&example::rootfs(), &definition, out.path(), effort(2, &cache)).unwrap(), first);
        assert_eq!(cache.1.lock().unwrap().len(), first.layers.len());

        let changed = example::with_file("etc/new", b"new", Content::Bytes(b"new".as_slice().into()));
        let second = write(&changed, &definition, out.path(), effort(2, &cache)).unwrap();
        assert_eq!(cache.1.lock().unwrap().len(), first.layers.len() + 1);
        assert_eq!(read::listing(&second.layout).unwrap(), Listing::of(&changed));
        let fresh = tempfile::tempdir().unwrap();
        assert_eq!(write(&changed, &definition, fresh.path(), effort(1, &NoCache)).unwrap().manifest, second.manifest);
    }

    #[test]
    fn a_later_epoch_alone_changes_no_layer() {
        let out = tempfile::tempdir().unwrap();
        let first = write_example(out.path(), Compression::Zstd);
        let later = Rootfs::new(example::rootfs().entries().clone(), Epoch(example::EPOCH.0 + 86_400));
        let second = write(&later, &definition(Compression::Zstd), out.path(), effort(2, &NoCache)).unwrap();
        assert_eq!(second.layers, first.layers);
        assert_ne!(second.config, first.config);
    }

    #[test]
    fn a_failure_names_the_layer_and_leaves_the_old_image() {
        let out = tempfile::tempdir().unwrap();
        let image = write_example(out.path(), Compression::Zstd);
        let gone = example::with_file("etc/new", b"new", Content::OnDisk("/nonexistent/file".into()));
        let error = write(&gone, &definition(Compression::Zstd), out.path(), effort(2, &NoCache)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot write the layer `packages from odd, util-linux`: cannot archive `etc/new`: No such file or directory (os error 2)"
        );
        assert_eq!(read::listing(&image.layout).unwrap(), Listing::of(&example::rootfs()));
        let mut names: Vec<_> = fs::read_dir(out.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["example.oci.tar", "oci"]);
    }

    #[test]
    fn what_unpackers_would_misread_is_refused() {
        let out = tempfile::tempdir().unwrap();
        let refused = |rootfs: &Rootfs, definition: &Definition| {
            write(rootfs, definition, out.path(), effort(1, &NoCache)).unwrap_err().to_string()
        };
        let whiteout = example::with_file("etc/.wh.motd", b"", Content::Bytes([].into()));
        assert!(
            refused(&whiteout, &definition(Compression::Zstd)).starts_with("`etc/.wh.motd` cannot be in an OCI image")
        );
        let elsewhere = Definition { name: "../api".to_owned(), ..definition(Compression::Zstd) };
        assert!(refused(&example::rootfs(), &elsewhere).starts_with("`../api` cannot name an image"));
        assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_damaged_layer_is_found_when_reading() {
        let out = tempfile::tempdir().unwrap();
        let image = write_example(out.path(), Compression::Gzip);
        let blob = image.layout.join("blobs/sha256").join(image.layers[0].1.digest.hex());
        let bytes = fs::read(&blob).unwrap();
        fs::remove_file(&blob).unwrap();
        // The time in the gzip header: nothing that unpacking would notice.
        fs::write(&blob, [&bytes[..4], &[1], &bytes[5..]].concat()).unwrap();
        let error = read::listing(&image.layout).unwrap_err().to_string();
        assert!(error.contains("is damaged"), "{error}");
    }
}
