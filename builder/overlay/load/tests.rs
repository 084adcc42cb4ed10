//! What a folder may hold to be an overlay, and what is said about the rest.

use super::*;
use std::os::unix::fs::symlink;

const PLAIN: &str = "description = \"a test\"\n";

/// An overlay `o` with this overlay.toml and these files below root/.
fn overlay(toml: &str, files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("o/root");
    fs::create_dir_all(&root).unwrap();
    fs::write(folder.path().join("o/overlay.toml"), toml).unwrap();
    for (path, text) in files {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), text).unwrap();
    }
    folder
}

fn load(folder: &tempfile::TempDir) -> Result<Overlay, Vec<String>> {
    Overlay::load(&folder.path().join("o")).map_err(|problems| problems.iter().map(Problem::to_string).collect())
}

#[test]
fn files_are_roots_and_0644_unless_git_keeps_them_executable_or_overlay_toml_says_otherwise() {
    let toml = "description = \"x\"\n[[entry]]\npath = \"etc/secret\"\nmode = \"0640\"\ngroup = \"mysql\"\nwhy = \"holds a key\"\n\
                [[entry]]\npath = \"var/empty\"\ndirectory = true\nmode = \"0700\"\nwhy = \"sshd wants it\"\n";
    let folder =
        overlay(toml, &[("etc/plain", "# why\n"), ("etc/secret", "x"), ("usr/sbin/run", "#!/bin/sh\n# why\n")]);
    let run = folder.path().join("o/root/usr/sbin/run");
    fs::set_permissions(run, fs::Permissions::from_mode(0o700)).unwrap();
    let overlay = load(&folder).unwrap();
    let listing: Vec<String> = overlay
        .entries
        .iter()
        .map(|(path, laid)| format!("{path} {:04o} {}:{}", laid.mode, laid.owner, laid.group))
        .collect();
    assert_eq!(
        listing,
        [
            "etc/plain 0644 root:root",
            "etc/secret 0640 root:mysql",
            "usr/sbin/run 0755 root:root",
            "var/empty 0700 root:root",
        ]
    );
    assert!(overlay.warnings.is_empty());
}

#[test]
fn the_digest_is_of_what_is_laid_and_not_of_umask_or_times() {
    let plain = load(&overlay(PLAIN, &[("etc/a", "# x\n")])).unwrap().digest;
    let folder = overlay("description = \"other words\"\n", &[("etc/a", "# x\n")]);
    fs::set_permissions(folder.path().join("o/root/etc/a"), fs::Permissions::from_mode(0o664)).unwrap();
    fs::set_permissions(folder.path().join("o/root/etc"), fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(load(&folder).unwrap().digest, plain);
    assert_ne!(load(&overlay(PLAIN, &[("etc/a", "# y\n")])).unwrap().digest, plain);
    let stated = "[[entry]]\npath = \"etc/a\"\nmode = \"0600\"\nwhy = \"x\"\n";
    assert_ne!(load(&overlay(stated, &[("etc/a", "# x\n")])).unwrap().digest, plain);
}

#[test]
fn an_entry_that_names_no_file_is_a_mistake_with_the_nearest_name() {
    let folder = overlay("[[entry]]\npath = \"etc/ssd.conf\"\nwhy = \"x\"\n", &[("etc/sshd.conf", "# x\n")]);
    let problems = Overlay::load(&folder.path().join("o")).unwrap_err();
    assert_eq!(problems[0].to_string(), "overlays/o/overlay.toml:2:8: error: there is no `etc/ssd.conf` below root/");
    assert_eq!(problems[0].help.as_deref(), Some("did you mean `etc/sshd.conf`?"));
}

#[test]
fn paths_that_lead_out_or_stand_twice_and_modes_that_are_none_are_mistakes() {
    let toml = "[[entry]]\npath = \"../x\"\nwhy = \"x\"\n[[entry]]\npath = \"/etc/a\"\nwhy = \"x\"\n\
                [[entry]]\npath = \"etc/a\"\nmode = \"rw\"\nwhy = \"x\"\n[[entry]]\npath = \"etc/a\"\nwhy = \"x\"\n\
                [[entry]]\npath = \"etc/a\"\nwhy = \"x\"\n[[remove]]\npath = \"etc/a\"\nwhy = \"x\"\n";
    assert_eq!(
        load(&overlay(toml, &[("etc/a", "# x\n")])).unwrap_err(),
        [
            "overlays/o/overlay.toml:2:8: error: `../x` is not a path of an image: it has an empty part, `.` or `..`",
            "overlays/o/overlay.toml:5:8: error: `/etc/a` is not a path of an image: it starts with a slash",
            "overlays/o/overlay.toml:9:8: error: `rw` is not a mode",
            "overlays/o/overlay.toml:15:8: error: `etc/a` is stated twice",
            "overlays/o/overlay.toml:18:8: error: `etc/a` is removed and laid by the same overlay",
        ]
    );
}

#[test]
fn a_change_says_what_and_why() {
    let good = "[[change]]\npath = \"usr/bin/su\"\nmode = \"0755\"\nwhy = \"x\"\n";
    let changed = load(&overlay(good, &[])).unwrap();
    assert_eq!(changed.change["usr/bin/su"].mode, Some(0o755));
    assert_ne!(changed.digest, load(&overlay(PLAIN, &[])).unwrap().digest);
    let bad = "[[change]]\npath = \"/usr\"\nwhy = \"x\"\n[[change]]\npath = \"usr\"\nwhy = \"x\"\n\
               [[change]]\npath = \"usr\"\nmode = \"rw\"\nwhy = \"x\"\n\
               [[change]]\npath = \"usr\"\nowner = \"root\"\nwhy = \" \"\n\
               [[change]]\npath = \"usr\"\nowner = \"root\"\nwhy = \"x\"\n\
               [[change]]\npath = \"usr\"\ngroup = \"root\"\nwhy = \"x\"\n";
    assert_eq!(
        load(&overlay(bad, &[])).unwrap_err(),
        [
            "overlays/o/overlay.toml:2:8: error: `/usr` is not a path of an image: it starts with a slash",
            "overlays/o/overlay.toml:5:8: error: nothing is changed about `usr`",
            "overlays/o/overlay.toml:9:8: error: `rw` is not a mode",
            "overlays/o/overlay.toml:12:8: error: `usr` does not say why",
            "overlays/o/overlay.toml:20:8: error: `usr` is changed twice",
        ]
    );
}

#[test]
fn links_are_kept_as_written_unless_they_climb_out_of_the_image() {
    let folder = overlay(PLAIN, &[("etc/a", "# x\n")]);
    symlink("/dev/null", folder.path().join("o/root/etc/null")).unwrap();
    symlink("../usr/lib/x", folder.path().join("o/root/etc/x")).unwrap();
    let entries = load(&folder).unwrap().entries;
    assert_eq!(entries["etc/null"].kind, LaidKind::Symlink("/dev/null".into()));
    assert_eq!(entries["etc/x"].kind, LaidKind::Symlink("../usr/lib/x".into()));
    symlink("../../home", folder.path().join("o/root/etc/out")).unwrap();
    assert_eq!(load(&folder).unwrap_err(), ["error: overlays/o/root/etc/out leads out of the image: ../../home"]);
}

#[test]
fn what_is_neither_file_directory_nor_link_is_refused() {
    let folder = overlay(PLAIN, &[]);
    let socket = folder.path().join("o/root/s");
    let _listener = std::os::unix::net::UnixListener::bind(socket).unwrap();
    assert_eq!(load(&folder).unwrap_err(), ["error: overlays/o/root/s is neither file, directory nor link"]);
}

#[test]
fn a_file_that_does_not_say_why_it_is_there_is_warned_of() {
    let warnings = load(&overlay(PLAIN, &[("etc/a", "PermitRootLogin no\n")])).unwrap().warnings;
    assert_eq!(warnings[0].to_string(), "warning: overlays/o/root/etc/a does not say why it is there");
}
