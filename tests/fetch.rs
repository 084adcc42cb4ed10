//! `goldsmith fetch`: from a lock to a full store, whatever the network does.

use std::time::Duration;

use crate::harness::archive::greetings;
use crate::harness::{Fault, Key, Mirror, Project};

const HELLO: &str = "pool/main/h/hello/hello_2.12-1_amd64.deb";
const LIBRARY: &str = "pool/main/libg/libgreet1/libgreet1_2.0-3_amd64.deb";

/// A locked project with an empty store, and its mirror.
pub fn locked() -> (Project, Mirror) {
    let key = Key::good();
    let archive = greetings(&key).package(large());
    let mirror = Mirror::serve(archive.files());
    let project = Project::hello(&mirror, &key);
    let project = project.recipe("hello", &crate::harness::project::recipe(&["hello", "large"]));
    project.run(&["lock"]).succeeds();
    (project, mirror)
}

/// A package of some 200 kB that does not compress, so that there is time to interrupt its download.
fn large() -> crate::harness::Deb {
    let mut noise = Vec::new();
    let mut state = 1_u32;
    for _ in 0..50_000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.extend((state ^ state >> 16).to_le_bytes());
    }
    crate::harness::Deb::new("large", "1.0").file("usr/share/large", 0o644, &noise)
}

const LARGE: &str = "pool/main/l/large/large_1.0_amd64.deb";

#[test]
fn fetch_brings_every_package_of_the_lock_and_a_second_time_nothing() {
    let (project, mirror) = locked();
    project.run(&["fetch"]).succeeds();
    assert_eq!((mirror.count(HELLO), mirror.count(LIBRARY), mirror.count("unneeded_1.0_amd64.deb")), (1, 1, 0));
    let connections = mirror.connections();
    project.run(&["fetch"]).succeeds();
    assert_eq!(mirror.connections(), connections, "the second fetch went to the network");
    project.assert_store_is_sound();
}

#[test]
fn fetch_without_a_lock_says_what_to_run_first() {
    let key = Key::good();
    let mirror = Mirror::serve(greetings(&key).files());
    Project::hello(&mirror, &key).run(&["fetch"]).fails_with(&["images/hello.lock", "goldsmith lock"]);
    assert_eq!(mirror.connections(), 0);
}

#[test]
fn a_deb_whose_bytes_differ_from_the_lock_is_refused_with_both_hashes() {
    let (project, mirror) = locked();
    mirror.fault(HELLO, Fault::WrongBytes, usize::MAX);
    project.run(&["fetch"]).fails_with(&["hello", "sha256"]);
    project.assert_store_is_sound();
    // The mirror is repaired, and nothing of the wrong bytes is left to stand in the way.
    mirror.mend();
    project.run(&["fetch"]).succeeds();
}

#[test]
fn a_deb_that_the_archive_has_replaced_under_the_same_name_is_refused() {
    let (project, mirror) = locked();
    mirror.change(HELLO, |bytes| bytes.extend(b"more than the lock says"));
    project.run(&["fetch"]).fails_with(&["hello"]);
    project.assert_store_is_sound();
}

#[test]
fn a_deb_that_never_ends_is_cut_off_at_the_size_that_the_lock_says() {
    let (project, mirror) = locked();
    mirror.fault(HELLO, Fault::Endless, usize::MAX);
    project.run(&["fetch"]).fails_with(&["hello"]);
}

#[test]
fn a_download_that_breaks_off_goes_on_where_it_was() {
    let (project, mirror) = locked();
    mirror.fault(LARGE, Fault::CutAfter(100_000), 1);
    project.run(&["fetch"]).succeeds();
    let resumed = mirror.requests().iter().any(|request| request.contains(LARGE) && request.contains("bytes="));
    assert!(resumed, "no request for a range: {:#?}", mirror.requests());
    project.assert_store_is_sound();
}

#[test]
fn a_download_that_breaks_off_works_without_ranges_too() {
    let (project, mirror) = locked();
    mirror.fault(LARGE, Fault::CutAfter(100_000), 1);
    mirror.fault(LARGE, Fault::NoRange, usize::MAX);
    project.run(&["fetch"]).succeeds();
    project.assert_store_is_sound();
}

#[test]
fn a_mirror_that_is_gone_in_the_middle_is_reported_and_the_next_fetch_goes_on() {
    let (project, mirror) = locked();
    mirror.fault(LARGE, Fault::CutAfter(1000), usize::MAX);
    project.run(&["fetch"]).fails_with(&["large"]);
    project.assert_store_is_sound();
    mirror.mend();
    project.run(&["fetch"]).succeeds();
}

#[test]
fn a_mirror_that_says_come_back_later_is_asked_again() {
    let (project, mirror) = locked();
    mirror.fault(HELLO, Fault::Unavailable, 1);
    project.run(&["fetch"]).succeeds();
    assert_eq!(mirror.count(HELLO), 2);
}

#[test]
fn a_connection_on_which_nothing_comes_any_more_is_given_up_and_tried_again() {
    let (project, mirror) = locked();
    mirror.fault(LARGE, Fault::StallAfter(50_000), 1);
    project.run(&["fetch"]).succeeds();
    project.assert_store_is_sound();
}

#[test]
fn a_package_that_is_gone_from_the_mirror_is_named_with_what_to_do() {
    let (project, mirror) = locked();
    mirror.fault(HELLO, Fault::NotFound, usize::MAX);
    project.run(&["fetch", "--quiet"]).fails_with(&["hello", "404", "goldsmith "]).stderr_is("fetch/gone.stderr");
}

#[test]
fn a_redirection_is_followed_and_what_comes_is_verified_like_everything() {
    let (project, mirror) = locked();
    mirror.fault(HELLO, Fault::Redirect(LIBRARY.into()), usize::MAX);
    project.run(&["fetch"]).fails_with(&["hello"]);
    project.assert_store_is_sound();
    mirror.mend();
    project.run(&["fetch"]).succeeds();
}

#[test]
fn the_proxy_of_the_environment_is_used() {
    let key = Key::good();
    let proxy = Mirror::serve(greetings(&key).files());
    // `.invalid` never resolves (RFC 2606): only a proxy can answer for it.
    let project = Project::hello(&proxy, &key)
        .environment("http_proxy", proxy.proxy_url())
        .environment("GOLDSMITH_MIRROR", "http://mirror.invalid/debian");
    project.run(&["lock"]).succeeds();
    project.run(&["fetch"]).succeeds();
    let through = proxy.requests().iter().all(|request| request.starts_with("GET http://mirror.invalid/debian/"));
    assert!(through, "{:#?}", proxy.requests());
}

#[test]
fn two_fetches_at_once_both_succeed() {
    let (project, mirror) = locked();
    for path in [HELLO, LARGE, LIBRARY] {
        mirror.fault(path, Fault::Slow(Duration::from_millis(2)), usize::MAX);
    }
    let children = [project.start(&["fetch"]), project.start(&["fetch"])];
    for child in children {
        project.finish(child).succeeds();
    }
    project.assert_store_is_sound();
}

#[test]
fn a_blob_that_rots_in_the_store_is_noticed_and_fetched_again() {
    let (project, mirror) = locked();
    project.run(&["fetch"]).succeeds();
    let whole = crate::harness::project::files_below(&project.cache());
    let mut damaged = 0;
    for path in whole {
        let mut bytes = std::fs::read(&path).expect("a file of the store");
        if bytes.starts_with(b"!<arch>\n") && bytes.len() > 100_000 {
            bytes[1000] ^= 1;
            std::fs::remove_file(&path).and_then(|()| std::fs::write(&path, bytes)).expect("damaging a blob");
            damaged += 1;
        }
    }
    assert_eq!(damaged, 1, "the large package lies in the store once, as it came");
    // Whoever takes it out of the store looks at its bytes; what is damaged counts as absent.
    project.run(&["build", "--offline"]).fails_with(&["large", "goldsmith fetch"]);
    project.run(&["fetch"]).succeeds();
    assert_eq!(mirror.count(LARGE), 2);
    project.assert_store_is_sound();
}
