//! When a maintainer script fails: a system of Debian's essential packages, and one package of our own that cannot be
//! configured.

use std::collections::BTreeSet;
use std::path::Path;

use crate::harness::archive::Archive;
use crate::harness::{Deb, Key, Mirror, Project, Run};

/// Builds Debian's essential packages and `broken`, from Debian's mirror and ours, with the store of whoever runs this.
fn build_with(broken: Deb, arguments: &[&str]) -> (Project, Run) {
    let key = Key::good();
    let ours = Mirror::serve(Archive::new(&key).suite("ours").package(broken).files());
    let recipe = format!(
        "description = \"A system that cannot be configured.\"\nsuite = \"trixie\"\npackages = [\"broken\"]\n\n\
         [[archive]]\nname = \"ours\"\nuri = \"{}\"\nsuite = \"ours\"\nkeyring = \"keys/test.pgp\"\n",
        ours.url()
    );
    let mut project =
        Project::new().keyring(&key).recipe("broken", &recipe).environment("GOLDSMITH_CACHE", super::store());
    for name in ["GOLDSMITH_MIRROR", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE"] {
        if let Some(value) = std::env::var_os(name) {
            project = project.environment(name, value);
        }
    }
    project = project.environment("no_proxy", "127.0.0.1");
    project.run(&["lock"]).succeeds();
    let run = project.run(&[&["build"], arguments].concat());
    (project, run)
}

fn broken(script: &str) -> Deb {
    Deb::new("broken", "1.0-1").script("postinst", script)
}

#[test]
fn a_failing_script_is_shown_with_its_package_its_name_and_its_last_words() {
    let script = "#!/bin/sh\necho 'looking for the moon'\necho 'the moon is not there' >&2\nexit 3\n";
    let (project, run) = build_with(broken(script), &[]);
    run.fails_with(&["broken", "1.0-1", "postinst", "3", "the moon is not there", "--keep"]);
    assert!(!project.has("images/broken/oci"));
}

#[test]
fn keep_leaves_the_tree_of_a_failed_build_for_inspection() {
    let (_project, run) = build_with(broken("#!/bin/sh\nexit 3\n"), &["--keep"]);
    run.fails_with(&["broken"]);
    let kept = run.stderr.split(|letter: char| letter.is_whitespace() || "`'\"«»,;".contains(letter));
    let kept = kept.filter(|word| word.starts_with('/')).map(|word| Path::new(word.trim_end_matches(['.', ':'])));
    let kept: BTreeSet<&Path> = kept.filter(|path| path.join("var/lib/dpkg/status").exists()).collect();
    assert_eq!(kept.len(), 1, "the message names no tree that is there, or two\n{run}");
    // Of an ordinary user's tree, what belongs to other users stays: `goldsmith clean --store` takes that away.
    for tree in kept.into_iter().filter_map(Path::parent) {
        let _ = std::fs::remove_dir_all(tree);
    }
}

/// The services of an image start when it boots, and not while it is built.
#[test]
fn a_script_has_no_network_no_environment_and_may_start_no_service() {
    let script = "#!/bin/sh\nset -e\n\
                  test -z \"$(tail -n +2 /proc/net/route)\" || { echo 'there is a network'; exit 1; }\n\
                  test -z \"$GOLDSMITH_CACHE$GOLDSMITH_MIRROR\" || { echo 'the environment leaks in'; exit 1; }\n\
                  policy=0; /usr/sbin/policy-rc.d broken start || policy=$?\n\
                  test $policy = 101 || { echo \"policy-rc.d says $policy\"; exit 1; }\n\
                  echo 'everything as it should be'; exit 9\n";
    let (_project, run) = build_with(broken(script), &[]);
    run.fails_with(&["everything as it should be"]);
}

#[test]
fn a_script_that_asks_a_question_gets_no_answer_and_does_not_wait() {
    let script =
        "#!/bin/sh\nread answer && { echo \"somebody answered $answer\"; exit 1; }\necho 'nobody answered'; exit 9\n";
    let (_project, run) = build_with(broken(script), &[]);
    run.fails_with(&["nobody answered"]);
}

/// Maintainer scripts are root inside of the tree. What they leave there is read and written by the builder afterwards, and
/// an absolute link means the tree's own root: never this machine's.
#[test]
fn a_link_that_a_script_leaves_does_not_lead_the_builder_out_of_the_tree() {
    let outside = tempfile::tempdir().expect("a temporary directory");
    for place in ["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/machine-id", "/usr/sbin/policy-rc.d"] {
        let witness = outside.path().join("witness");
        std::fs::write(&witness, "untouched").expect("a file");
        let script = format!("#!/bin/sh\nrm -f {place}\nln -s {} {place}\n", witness.display());
        let (_project, run) = build_with(broken(&script), &[]);
        let after = std::fs::read_to_string(&witness).ok();
        assert_eq!(after.as_deref(), Some("untouched"), "the build wrote through {place}\n{run}");
        assert!(!run.stderr.contains("untouched"), "the build read through {place}\n{run}");
    }
}
