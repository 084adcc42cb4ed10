//! What the OCI image-spec asks of an image, and what Goldsmith promises beyond it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;

use crate::harness::project::files_below;
use crate::harness::sha256;

use super::{IMAGES, Layout, images, lock};

#[test]
fn the_digest_is_the_one_that_the_lock_says() {
    for image in IMAGES {
        let layout = Layout::of(images(), image);
        assert_eq!(lock(image)["gives"]["oci"].as_str(), Some(layout.digest.as_str()), "{image}");
    }
}

#[test]
fn the_layout_has_its_marker_and_no_file_that_nothing_refers_to() {
    for image in IMAGES {
        let directory = images().join(image).join("oci");
        let marker = fs::read_to_string(directory.join("oci-layout")).expect("oci-layout");
        assert_eq!(marker.trim(), r#"{"imageLayoutVersion":"1.0.0"}"#);
        let layout = Layout::of(images(), image);
        let mut referred: Vec<_> = layout.manifest["layers"].as_array().expect("layers").iter().collect();
        referred.push(&layout.manifest["config"]);
        let mut referred: Vec<_> =
            referred.iter().map(|blob| blob["digest"].as_str().expect("a digest").to_owned()).collect();
        referred.push(layout.digest.clone());
        referred.sort();
        referred.dedup();
        let blobs = files_below(&directory.join("blobs"));
        let mut there: Vec<_> =
            blobs.iter().map(|path| format!("sha256:{}", path.file_name().unwrap_or_default().display())).collect();
        there.sort();
        assert_eq!(there, referred, "{image}");
    }
}

#[test]
fn each_layer_is_named_by_its_uncompressed_digest_too() {
    for image in IMAGES {
        let layout = Layout::of(images(), image);
        let diff_ids = layout.config["rootfs"]["diff_ids"].as_array().expect("diff_ids");
        let found: Vec<_> = layout.layers().map(|tar| format!("sha256:{}", sha256(&tar))).collect();
        assert_eq!(diff_ids.iter().filter_map(|id| id.as_str()).collect::<Vec<_>>(), found);
        assert!((2..100).contains(&found.len()), "{image}: {} layers", found.len());
    }
}

#[test]
fn the_configuration_boots_systemd() {
    for image in IMAGES {
        let layout = Layout::of(images(), image);
        let config = &layout.config["config"];
        assert_eq!(config["Entrypoint"], serde_json::json!(["/sbin/init"]));
        assert_eq!(config["StopSignal"], "SIGRTMIN+3", "what systemd in a container takes for a shutdown");
        assert_eq!(
            (layout.config["os"].as_str(), layout.config["architecture"].as_str()),
            (Some("linux"), Some("amd64"))
        );
        assert!(layout.manifest["annotations"]["org.opencontainers.image.title"].is_string(), "{}", layout.manifest);
    }
}

#[test]
fn the_archive_holds_the_same_files_as_the_directory() {
    for image in IMAGES {
        let directory = images().join(image).join("oci");
        let mut expected = BTreeMap::new();
        for path in files_below(&directory) {
            let name = path.strip_prefix(&directory).expect("below").display().to_string();
            expected.insert(name, sha256(&fs::read(&path).expect("a file of the layout")));
        }
        let file = fs::File::open(images().join(image).join(format!("{image}.oci.tar"))).expect("the archive");
        let mut found = BTreeMap::new();
        for entry in tar::Archive::new(file).entries().expect("a tar") {
            let mut entry = entry.expect("a member");
            if entry.header().entry_type().is_file() {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).expect("reading the archive");
                let name = entry.path().expect("a path").display().to_string();
                assert!(found.insert(name.clone(), sha256(&bytes)).is_none(), "{name} stands twice");
            }
        }
        assert_eq!(found, expected, "{image}");
    }
}

#[test]
fn every_layer_is_sorted_and_no_time_is_after_the_epoch() {
    for image in IMAGES {
        let epoch = lock(image)["epoch"].as_integer().expect("an epoch") as u64;
        for layer in Layout::of(images(), image).layers() {
            let mut previous = Vec::new();
            for entry in tar::Archive::new(layer.as_slice()).entries().expect("a tar") {
                let entry = entry.expect("a member");
                // A directory's name ends with a slash, which is no part of its path.
                let path = entry
                    .path_bytes()
                    .strip_suffix(b"/")
                    .map_or_else(|| entry.path_bytes().into_owned(), <[u8]>::to_vec);
                assert!(previous < path, "{} after {}", path.escape_ascii(), previous.escape_ascii());
                let header = entry.header();
                assert!(header.mtime().expect("a time") <= epoch, "{} is from after the lock", path.escape_ascii());
                let name = header.username_bytes().unwrap_or_default();
                assert!(name.is_empty(), "{} is owned by a name of the building machine", path.escape_ascii());
                previous = path;
            }
        }
    }
}

#[test]
fn what_two_images_have_in_common_they_share_as_layers() {
    let layers = |image| {
        let layout = Layout::of(images(), image);
        let layers = layout.manifest["layers"].as_array().expect("layers").clone();
        let of = |layer: &serde_json::Value| (layer["digest"].to_string(), layer["size"].as_u64().expect("a size"));
        layers.iter().map(of).collect::<std::collections::BTreeMap<_, _>>()
    };
    let (api, db) = (layers("api"), layers("db"));
    let size = |layers: &mut dyn Iterator<Item = (&String, &u64)>| layers.map(|(_, size)| size).sum::<u64>();
    let (all, shared) = (size(&mut db.iter()), size(&mut db.iter().filter(|(digest, _)| api.contains_key(*digest))));
    assert!(shared * 2 >= all, "a host that has api already must pull {} of the {all} bytes of db", all - shared);
}
