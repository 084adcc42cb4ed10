//! The plain tar is the image: what its layers hold together, and nothing else.

use std::collections::BTreeMap;
use std::process::Command;

use super::{Layout, Node, images, repository};
use crate::harness::project::GOLDSMITH;

#[test]
fn an_exported_tar_holds_what_the_layers_hold_together() {
    let layout = Layout::of(images(), "api");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("new folder/rootfs.tar");
    let export = |output: &std::path::Path| {
        let mut command = Command::new(GOLDSMITH);
        command.args(["--quiet", "export", "api", "--output"]).arg(output).current_dir(repository());
        let output = command.output().expect("starting goldsmith");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    export(&file);
    let mut tree = BTreeMap::new();
    let bytes = std::fs::read(&file).expect("the archive");
    for entry in tar::Archive::new(bytes.as_slice()).entries().expect("a tar") {
        let (path, node) = Node::read(entry.expect("a member"));
        assert!(tree.insert(path, node).is_none(), "a path stands there twice");
    }
    let image = layout.tree();
    assert!(tree.keys().eq(image.keys()), "not the same paths");
    let unlike: Vec<_> = tree.iter().filter(|(path, node)| image.get(*path) != Some(*node)).take(5).collect();
    assert!(unlike.is_empty(), "{unlike:?}");
    // To standard output the same bytes, and no others.
    assert!(export("-".as_ref()) == bytes);
    let beside = std::fs::read_dir(file.parent().expect("a folder")).expect("it is there").count();
    assert_eq!(beside, 1, "something half-written lies beside it");
}
