//! `goldsmith vendor` and `goldsmith fetch --from`: all that an image is built from, in one folder, without a network.

use std::fs;
use std::process::Command;

use crate::fetch::locked;
use crate::harness::project::files_below;

#[test]
fn a_vendored_folder_fills_an_empty_store_without_a_network() {
    let (project, mirror) = locked();
    let folder = project.path("../vendored").display().to_string();
    project.run(&["vendor", &folder]).succeeds();
    let root = std::path::Path::new(&folder);
    let names: Vec<String> = files_below(root)
        .iter()
        .filter_map(|path| Some(path.strip_prefix(root).ok()?.to_string_lossy().into_owned()))
        .collect();
    for wanted in [
        "README",
        "goldsmith",
        "images/hello.lock",
        "recipes/hello.toml",
        "archives/tests/pool/main/h/hello/hello_2.12-1_amd64.deb",
        "archives/tests/dists/trixie/InRelease",
    ] {
        assert!(names.iter().any(|name| name == wanted), "{wanted} is not among {names:?}");
    }
    assert!(names.iter().any(|name| name.starts_with("archives/tests/dists/trixie/main/binary-amd64/Packages")));
    let sums = Command::new("sha256sum").args(["--check", "--quiet", "SHA256SUMS"]).current_dir(root).status();
    assert!(sums.expect("running sha256sum").success());
    assert_eq!(fs::read_to_string(root.join("SHA256SUMS")).expect("the sums").lines().count(), names.len() - 1);

    // As its README says, by the program that is in it.
    let readme = fs::read_to_string(root.join("README")).expect("the README");
    let line = readme.lines().find_map(|line| line.trim().strip_prefix("./goldsmith fetch")).expect("a command");
    let mut fetch = Command::new("sh");
    fetch.args(["-c", &format!("./goldsmith fetch{line}")]).current_dir(root);
    let fetched = fetch.env("GOLDSMITH_CACHE", project.path("../another-cache")).output().expect("running sh");
    assert!(fetched.status.success(), "{}", String::from_utf8_lossy(&fetched.stderr));
    assert!(String::from_utf8_lossy(&fetched.stdout).starts_with("5 packages found"), "{fetched:?}");

    let empty = project.path("../empty-cache");
    let project = project.environment("GOLDSMITH_CACHE", empty);
    let connections = mirror.connections();
    project.run(&["fetch", "--from", &format!("{folder}/archives")]).succeeds();
    project.run(&["fetch", "--from", &format!("{folder}/archives")]).succeeds();
    project.run(&["fetch"]).succeeds();
    assert_eq!(mirror.connections(), connections, "all of it came from the folder");
    project.assert_store_is_sound();
}

#[test]
fn one_other_byte_in_a_package_and_it_is_not_the_package() {
    let (project, _mirror) = locked();
    let folder = project.path("../vendored").display().to_string();
    project.run(&["vendor", &folder]).succeeds();
    let deb = std::path::Path::new(&folder).join("archives/tests/pool/main/h/hello/hello_2.12-1_amd64.deb");
    let mut bytes = fs::read(&deb).expect("the package");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&deb, bytes).expect("writing it");
    let empty = project.path("../empty-cache");
    let project = project.environment("GOLDSMITH_CACHE", empty);
    project.run(&["fetch", "--from", &folder]).fails_with(&["1 packages of the locks are not in", "hello 2.12-1"]);
    project.assert_store_is_sound();
}

#[test]
fn what_is_there_is_not_touched_and_nothing_half_written_is_left() {
    let (project, _mirror) = locked();
    let project = project.write("there/mine", b"x");
    project.run(&["vendor", "there"]).code(2);
    assert_eq!(project.read("there/mine"), "x");
    let (project, mirror) = locked();
    mirror.fault("pool/main/h/hello/hello_2.12-1_amd64.deb", crate::harness::Fault::NotFound, usize::MAX);
    project.run(&["vendor", "gone"]).fails_with(&["hello 2.12-1", "the archive has moved on"]);
    let left: Vec<_> =
        fs::read_dir(project.path("")).expect("the project").flatten().map(|one| one.file_name()).collect();
    assert!(!left.iter().any(|name| name == "gone" || name.to_string_lossy().starts_with(".vendor")), "{left:?}");
}
