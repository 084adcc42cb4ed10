//! A bundle, to the image's own cloud-init: its schema lets keys through that nothing reads, so it is asked what it makes of it.

use std::fs;

use super::images;
use super::tools::shell;
use crate::harness::Project;

/// `network-config`, converted by cloud-init as it does at the first start: into systemd-networkd's file.
#[test]
fn the_images_cloud_init_makes_of_a_bundle_the_network_that_it_says() {
    images();
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBERERERERERERERERERERERERERERERERERERERERER somebody";
    let project = Project::new();
    let address = ["--address", "10.0.0.20/24", "--gateway", "10.0.0.1", "--dns", "10.0.0.2"];
    project.run(&[&["bundle", "--name", "db-1", "--ssh-key", key], &address[..]].concat()).succeeds();
    let folder = project.path("bundles/db-1");
    let show = format!("{}:/media", fs::canonicalize(folder).expect("the bundle").display());
    let convert = "cloud-init schema -t network-config -c /media/network-config && \
                   cloud-init devel net-convert -p /media/network-config -k yaml -O networkd -D debian -d /tmp/out && \
                   cat /tmp/out/etc/systemd/network/*.network";
    let (code, said) = shell("db", &["--show", &show], &["sh", "-c", convert]);
    assert_eq!(code, Some(0), "{said}");
    for line in
        ["Address=10.0.0.20/24", "Name=e*", "DHCP=no", "DNS=10.0.0.2", "Destination=0.0.0.0/0", "Gateway=10.0.0.1"]
    {
        assert!(said.lines().any(|found| found == line), "{line} is not in\n{said}");
    }
}
