//! A store that is shared through a registry, and images in it: with Debian's own registry server, on loopback.
//!
//! `cargo test --release --test main real::registry -- --ignored --nocapture`

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::harness::project::GOLDSMITH;

use super::reproducible::Elsewhere;
use super::{Layout, images, repository};

/// The server of the toolbox, until this is dropped.
struct Registry {
    server: Child,
    host: String,
    _folder: tempfile::TempDir,
}

impl Registry {
    fn serve() -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let host = format!("127.0.0.1:{port}");
        let config = format!(
            "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: /srv/data }} }}\n\
             http: {{ addr: '{host}' }}\n"
        );
        fs::write(folder.path().join("config.yml"), config).expect("writing the configuration");
        let mut server = Command::new(GOLDSMITH);
        server.args(["shell", "toolbox", "--network", "--bind", &format!("{}:/srv", folder.path().display()), "--"]);
        server.args(["docker-registry", "serve", "/srv/config.yml"]).current_dir(repository());
        server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let server = server.spawn().expect("starting goldsmith");
        let there = (0..600).any(|_| {
            std::thread::sleep(Duration::from_millis(100));
            TcpStream::connect(&host).is_ok()
        });
        assert!(there, "the registry does not come up in a minute");
        Self { server, host, _folder: folder }
    }

    /// skopeo, with what is below `folder` as /image.
    fn skopeo(&self, folder: &Path, arguments: &[&str]) {
        let mut command = Command::new(GOLDSMITH);
        command.args(["shell", "toolbox", "--network", "--show", &format!("{}:/image", folder.display()), "--"]);
        command.args(["skopeo", "copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false"]);
        let output = command.args(arguments).current_dir(repository()).output().expect("starting goldsmith");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

/// What a build in `elsewhere` says.
fn build(elsewhere: &Elsewhere, name: &str, arguments: &[&str]) -> String {
    let (store, output) =
        (elsewhere.store().with_file_name(name), elsewhere.store().with_file_name(format!("{name}-out")));
    let built = elsewhere.build(&store, &output, arguments).output().expect("starting goldsmith");
    let said = String::from_utf8_lossy(&built.stderr).into_owned();
    assert!(built.status.success(), "{said}");
    assert_eq!(Layout::of(&output, "db").digest, Layout::of(images(), "db").digest, "{said}");
    println!("{name}:\n{said}");
    said
}

#[test]
#[ignore = "four builds, five minutes: by its own command"]
fn a_tree_comes_from_a_registry_and_only_the_one_that_the_lock_names() {
    let (registry, elsewhere) = (Registry::serve(), Elsewhere::new());
    let repository = format!("{}/cache", registry.host);
    let first = build(&elsewhere, "first", &["--cache-from", &repository, "--cache-to", &repository, "db"]);
    assert!(first.contains("cache: no ") && first.contains("configure: 2") && first.contains("went to"), "{first}");
    let second = build(&elsewhere, "second", &["--cache-from", &repository, "db"]);
    assert!(second.contains("cache: the tree of db came from"), "{second}");
    let configured = |said: &str| said.matches("configure: ").count();
    assert_eq!(configured(&second), configured(&first) - 1, "only the toolbox is configured: {second}");

    // Somebody puts another tree in its place: the image itself, which is much like it.
    let tag = second.split("came from ").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a tag");
    let layout = images().join("db");
    registry.skopeo(&layout, &["oci:/image/oci", &format!("docker://{tag}")]);
    let third = build(&elsewhere, "third", &["--cache-from", &repository, "db"]);
    assert!(third.contains("is another tree than the lock names"), "{third}");
    assert_eq!(configured(&third), configured(&first), "it made the tree itself: {third}");
}

#[test]
#[ignore = "with the other, by one command"]
fn an_image_in_a_registry_is_compared_with_one_that_is_here() {
    let registry = Registry::serve();
    let reference = format!("docker://{}/db:1", registry.host);
    registry.skopeo(&images().join("db"), &["oci:/image/oci", &reference]);
    let diff = |a: &str, b: &Path| {
        let mut command = Command::new(GOLDSMITH);
        command.args(["diff", "--no-run", "--names", "--exit-code", a]).arg(b).current_dir(super::repository());
        command.output().expect("starting goldsmith")
    };
    let same = diff(&reference, &images().join("db/oci"));
    let said = String::from_utf8_lossy(&same.stdout).into_owned();
    assert_eq!(same.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&same.stderr));
    assert!(said.contains("packages: 0 differ") && said.contains("to pull: 0 of "), "{said}");
    let other = diff(&reference, &images().join("api/oci"));
    let said = String::from_utf8_lossy(&other.stdout).into_owned();
    assert!(other.status.code() == Some(3) && said.contains("apache2  - → 2.4"), "{said}");
    let absent = diff(&format!("docker://{}/none:1", registry.host), &images().join("db/oci"));
    assert_eq!(absent.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&absent.stderr).contains("there is no 127.0.0.1"), "it says which");
}
