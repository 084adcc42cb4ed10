//! Tools that nobody here wrote accept the images, and see in them what we see.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::{IMAGES, Layout, images};

/// Runs a tool of the locked toolbox in the sandbox, with these directories of this machine bound to those paths, and
/// gives what it printed.
fn toolbox(arguments: &[&str], binds: &[(&Path, &str)]) -> String {
    todo!("run {arguments:?} in the toolbox with {binds:?}")
}

#[test]
fn skopeo_reads_the_layout_and_the_archive_and_finds_the_same_image() {
    for image in IMAGES {
        let directory = images().join(image);
        let binds = [(directory.as_path(), "/image")];
        let layout = toolbox(&["skopeo", "inspect", "oci:/image/oci"], &binds);
        let archive = toolbox(&["skopeo", "inspect", &format!("oci-archive:/image/{image}.oci.tar")], &binds);
        let (layout, archive): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(&layout).expect("JSON"), serde_json::from_str(&archive).expect("JSON"));
        assert_eq!(layout["Digest"], Layout::of(images(), image).digest);
        assert_eq!(layout["Digest"], archive["Digest"]);
        assert_eq!(layout["Layers"], archive["Layers"]);
    }
}

#[test]
fn skopeo_copies_the_image_without_changing_a_byte() {
    for image in IMAGES {
        let directory = images().join(image);
        let copy = tempfile::tempdir().expect("a temporary directory");
        let binds = [(directory.as_path(), "/image"), (copy.path(), "/copy")];
        toolbox(&["skopeo", "copy", "--preserve-digests", "oci:/image/oci", &format!("oci:/copy/{image}/oci")], &binds);
        assert_eq!(Layout::of(copy.path(), image).digest, Layout::of(images(), image).digest);
    }
}

/// Type, mode, size and target of every path. (Owners and capabilities are seen from inside of a user namespace only.)
#[test]
fn umoci_unpacks_the_tree_that_the_layers_describe() {
    for image in IMAGES {
        let directory = images().join(image);
        let unpacked = tempfile::tempdir().expect("a temporary directory");
        let binds = [(directory.as_path(), "/image"), (unpacked.path(), "/unpacked")];
        toolbox(&["umoci", "unpack", "--rootless", "--image", "/image/oci", "/unpacked/bundle"], &binds);
        let mut found = BTreeMap::new();
        describe(&unpacked.path().join("bundle/rootfs"), "", &mut found);
        let tree = Layout::of(images(), image).tree();
        let expected: BTreeMap<_, _> = tree
            .iter()
            .map(|(path, node)| {
                let file = if node.kind == 'h' { &tree[node.target.trim_start_matches("./")] } else { node };
                let kind = if node.kind == 'h' { '-' } else { node.kind };
                (
                    path.clone(),
                    (
                        kind,
                        file.mode & 0o7777,
                        file.bytes.len() as u64,
                        if kind == 'l' { node.target.clone() } else { String::new() },
                    ),
                )
            })
            .collect();
        assert_eq!(found.len(), expected.len(), "{image}");
        for (path, expected) in expected {
            assert_eq!(found.get(&path), Some(&expected), "{image}: {path}");
        }
    }
}

/// Kind, mode, size of a file, target of a symbolic link.
type Description = (char, u32, u64, String);

fn describe(root: &Path, path: &str, found: &mut BTreeMap<String, Description>) {
    let full = root.join(path);
    let metadata = fs::symlink_metadata(&full).expect("a path of the tree");
    let kind = metadata.file_type();
    let (letter, size) = match () {
        () if kind.is_dir() => ('d', 0),
        () if kind.is_symlink() => ('l', 0),
        () if kind.is_file() => ('-', metadata.len()),
        () => ('p', 0),
    };
    let target = fs::read_link(&full).map_or_else(|_| String::new(), |target| target.display().to_string());
    let mode = if kind.is_symlink() { 0o777 } else { metadata.mode() & 0o7777 };
    found.insert(path.to_owned(), (letter, mode, size, target));
    if kind.is_dir() {
        for entry in fs::read_dir(&full).expect("a directory of the tree").flatten() {
            let name = entry.file_name().into_string().expect("UTF-8");
            describe(root, &if path.is_empty() { name } else { format!("{path}/{name}") }, found);
        }
    }
}
