//! `goldsmith bundle`: what one instance is told when it first starts, as files and as a volume.

use std::fs;

use crate::harness::{Project, golden};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBERERERERERERERERERERERERERERERERERERERERER somebody@example.org";
const FILES: [&str; 4] = ["meta-data", "network-config", "user-data", "vendor-data"];

#[test]
fn a_bundle_has_the_four_files_of_the_nocloud_datasource() {
    let project = Project::new();
    let address = ["--address", "10.0.1.5/24", "--gateway", "10.0.1.1", "--dns", "10.0.0.2", "--peer", "api=10.0.1.4"];
    project.run(&[&["bundle", "--name", "api-1", "--ssh-key", KEY], &address[..]].concat()).succeeds();
    let files = FILES.map(|name| format!("── {name}\n{}\n", project.read(&format!("bundles/api-1/{name}"))));
    golden::compare("bundle/api-1", &files.concat());
}

#[test]
fn the_volume_is_iso_9660_with_the_label_that_cloud_init_looks_for() {
    let project = Project::new();
    project.run(&["bundle", "--name", "api-1", "--ssh-key", KEY]).succeeds();
    let volume = fs::read(project.path("bundles/api-1/seed.iso")).expect("the volume");
    // ECMA-119 §8.4: the primary volume descriptor is sector 16; its label are the 32 bytes from byte 40 on.
    let descriptor = &volume[16 * 2048..17 * 2048];
    assert_eq!(&descriptor[..6], b"\x01CD001");
    assert_eq!(String::from_utf8_lossy(&descriptor[40..72]).trim_end().to_lowercase(), "cidata");
    for name in FILES {
        let bytes = fs::read(project.path(&format!("bundles/api-1/{name}"))).expect("a file of the bundle");
        let there = bytes.is_empty() || volume.windows(bytes.len()).any(|window| window == bytes);
        assert!(there, "{name} is not on the volume");
    }
}

#[test]
fn the_same_arguments_give_the_same_bytes_and_others_another_instance() {
    let (first, second) = (Project::new(), Project::new());
    for project in [&first, &second] {
        project.run(&["bundle", "--name", "api-1", "--ssh-key", KEY]).succeeds();
    }
    let volume = |project: &Project, name: &str| {
        fs::read(project.path(&format!("bundles/{name}/seed.iso"))).expect("the volume")
    };
    assert!(volume(&first, "api-1") == volume(&second, "api-1"), "two volumes of one instance differ");
    first.run(&["bundle", "--name", "api-2", "--ssh-key", KEY]).succeeds();
    assert_ne!(first.read("bundles/api-1/meta-data"), first.read("bundles/api-2/meta-data"));
}

#[test]
fn keys_can_stand_in_a_file() {
    let project = Project::new().write("keys.pub", format!("# The people of the night.\n{KEY}\n").as_bytes());
    project.run(&["bundle", "--name", "api-1", "--ssh-key", "keys.pub"]).succeeds();
    assert!(project.read("bundles/api-1/meta-data").contains(KEY));
}

/// Without a key nobody could log in; a name or an address that is none would be noticed only on the instance.
#[test]
fn arguments_that_make_no_instance_are_refused() {
    let project = Project::new();
    project.run(&["bundle", "--name", "api-1"]).code(2);
    project.run(&["bundle", "--name", "api-1", "--ssh-key", "no-such-file.pub"]).code(2);
    project.run(&["bundle", "--name", "api-1", "--ssh-key", "ssh-ed25519 AAAA"]).code(2);
    project
        .run(&["bundle", "--name", "api-1", "--ssh-key", KEY, "--address", "10.0.1.5/240", "--gateway", "10.0.1.1"])
        .code(2);
    project.run(&["bundle", "--name", "../api", "--ssh-key", KEY]).fails_with(&["../api", "host name"]);
    assert!(!project.has("bundles"));
}
