//! What `goldsmith lock` believes, and what not: from the signature of `InRelease` down to the bytes of `Packages`.
//!
//! ```text
//! keyring ──verifies──▶ InRelease ──SHA256──▶ Packages.xz ──SHA256──▶ .deb
//!                       Date, Valid-Until
//! ```
//!
//! Every test here takes away one link. No lock may come of it, and the message names the file and the reason.

use crate::harness::archive::{Archive, greetings};
use crate::harness::{Fault, Key, Mirror, Project};

const INRELEASE: &str = "dists/trixie/InRelease";

/// Locks against `archive` with a keyring that holds `trusted`, and expects a refusal with these words and this golden.
#[track_caller]
fn refused(archive: &Archive, trusted: &Key, words: &[&str]) {
    let mirror = Mirror::serve(archive.files());
    refused_by(&Project::hello(&mirror, trusted), words);
}

#[track_caller]
fn refused_by(project: &Project, words: &[&str]) {
    let run = project.run(&["lock"]);
    run.fails_with(&["InRelease"]).fails_with(words);
    assert!(!project.has("images/hello.lock"), "a lock was written\n{run}");
}

#[test]
fn a_good_signature_is_believed() {
    let key = Key::good();
    let mirror = Mirror::serve(greetings(&key).files());
    Project::hello(&mirror, &key).run(&["lock"]).succeeds();
}

#[test]
fn a_signature_by_a_key_that_is_not_in_the_keyring_is_refused() {
    let stranger = Key::good();
    refused(&greetings(&stranger), &Key::good(), &[&stranger.fingerprint(), "not in the keyring"]);
}

#[test]
fn a_signature_by_an_expired_key_is_refused() {
    let key = Key::expired();
    refused(&greetings(&key), &key, &["[key]", "expired"]);
}

#[test]
fn a_signature_by_a_revoked_key_is_refused() {
    let key = Key::revoked();
    refused(&greetings(&key), &key, &["[key]", "revoked"]);
}

#[test]
fn a_signature_by_a_key_of_1024_bits_is_refused() {
    let key = Key::rsa_1024();
    refused(&greetings(&key), &key, &["[key]", "forged"]);
}

#[test]
fn a_signature_over_sha_1_is_refused() {
    let key = Key::signing_with_sha1();
    refused(&greetings(&key), &key, &["[key]", "forged"]);
}

#[test]
fn an_archive_without_a_signature_is_refused() {
    let key = Key::good();
    refused(&greetings(&key).unsigned(), &key, &["not signed"]);
}

#[test]
fn a_signature_from_tomorrow_is_refused() {
    // 2100-01-01: whoever made it has another clock than we, or wants its signature to outlive a revocation.
    let key = Key::good().signing_at(4_102_444_800);
    refused(&greetings(&key), &key, &["future"]);
}

#[test]
fn text_around_the_signed_part_is_not_read_as_signed() {
    let key = Key::good();
    let forged = b"Origin: Somebody else\nSHA256:\n 0000 1 main/binary-amd64/Packages.xz\n\n";
    let mirror = Mirror::serve(greetings(&key).files());
    mirror.change(INRELEASE, |bytes| drop(bytes.splice(0..0, *forged)));
    refused_by(&Project::hello(&mirror, &key), &["outside"]);
    let mirror = Mirror::serve(greetings(&key).files());
    mirror.change(INRELEASE, |bytes| bytes.extend(forged));
    refused_by(&Project::hello(&mirror, &key), &["outside"]);
}

#[test]
fn one_changed_letter_in_inrelease_breaks_the_signature() {
    let key = Key::good();
    let mirror = Mirror::serve(greetings(&key).files());
    mirror.change(INRELEASE, |bytes| {
        let at = bytes.windows(6).position(|window| window == b"Label:").expect("there is a label");
        bytes[at + 8] ^= 1;
    });
    refused_by(&Project::hello(&mirror, &key), &["tampered"]);
}

#[test]
fn an_inrelease_that_ends_early_is_refused() {
    let key = Key::good();
    for (percent, words) in [(0, "not signed"), (30, "cut off"), (70, "InRelease"), (97, "InRelease")] {
        let mirror = Mirror::serve(greetings(&key).files());
        mirror.change(INRELEASE, |bytes| bytes.truncate(bytes.len() * percent / 100));
        refused_by(&Project::hello(&mirror, &key), &[words]);
    }
}

#[test]
fn an_inrelease_that_never_ends_is_cut_off() {
    let key = Key::good();
    let mirror = Mirror::serve(greetings(&key).files());
    mirror.fault(INRELEASE, Fault::Endless, usize::MAX);
    refused_by(&Project::hello(&mirror, &key), &[]);
}

#[test]
fn an_expired_archive_is_refused_unless_stale_ones_are_allowed() {
    let key = Key::good();
    let archive = greetings(&key).valid_until("Thu, 08 Jan 2026 00:00:00 UTC");
    let mirror = Mirror::serve(archive.files());
    let project = Project::hello(&mirror, &key);
    refused_by(&project, &["2026-01-08", "--allow-stale"]);
    project.run(&["lock", "--allow-stale"]).succeeds();
    assert!(project.has("images/hello.lock"));
}

#[test]
fn an_archive_that_is_older_than_the_lock_is_a_replay_and_is_refused() {
    let key = Key::good();
    let mirror = Mirror::serve(greetings(&key).date("Sat, 10 Jan 2026 00:00:00 UTC").files());
    let project = Project::hello(&mirror, &key);
    project.run(&["lock"]).succeeds();
    let lock = project.read("images/hello.lock");
    mirror.replace(greetings(&key).date("Fri, 09 Jan 2026 00:00:00 UTC").files());
    project.run(&["lock"]).fails_with(&["InRelease", "2026-01-09", "2026-01-10"]);
    assert_eq!(project.read("images/hello.lock"), lock);
}

/// The flag is about the calendar, and about nothing else.
#[test]
fn allowing_stale_archives_admits_neither_replays_nor_bad_signatures() {
    let key = Key::good();
    let mirror = Mirror::serve(greetings(&key).date("Sat, 10 Jan 2026 00:00:00 UTC").files());
    let project = Project::hello(&mirror, &key);
    project.run(&["lock"]).succeeds();
    mirror.replace(greetings(&key).date("Fri, 09 Jan 2026 00:00:00 UTC").files());
    project.run(&["lock", "--allow-stale"]).fails_with(&["InRelease"]);
    mirror.replace(greetings(&Key::good()).files());
    project.run(&["lock", "--allow-stale"]).fails_with(&["InRelease"]);
}

#[test]
fn an_archive_of_another_suite_is_refused_although_its_signature_is_good() {
    let key = Key::good();
    let mut files = greetings(&key).files();
    let bookworm = Archive::new(&key).suite("bookworm").files();
    files.insert(INRELEASE.into(), bookworm["dists/bookworm/InRelease"].clone());
    let mirror = Mirror::serve(files);
    refused_by(&Project::hello(&mirror, &key), &["bookworm", "trixie"]);
}

#[test]
fn packages_that_do_not_have_the_hash_that_release_says_are_refused() {
    let key = Key::good();
    let mirror = Mirror::serve(greetings(&key).files());
    let index = "dists/trixie/main/binary-amd64/Packages.xz";
    let by_hash = mirror_by_hash(&greetings(&key));
    for path in [index, &by_hash] {
        mirror.fault(path, Fault::WrongBytes, usize::MAX);
    }
    let project = Project::hello(&mirror, &key);
    project.run(&["lock"]).fails_with(&["Packages"]);
    assert!(!project.has("images/hello.lock"));
    project.assert_store_is_sound();
}

#[test]
fn packages_are_asked_for_by_their_hash_so_that_an_archive_can_change_meanwhile() {
    let key = Key::good();
    let archive = greetings(&key);
    let mirror = Mirror::serve(archive.files());
    mirror.fault("dists/trixie/main/binary-amd64/Packages.xz", Fault::WrongBytes, usize::MAX);
    Project::hello(&mirror, &key).run(&["lock"]).succeeds();
    assert!(mirror.requests().iter().any(|request| request.contains("by-hash/SHA256/")), "{:#?}", mirror.requests());
}

/// The path of `Packages.xz` by its hash.
fn mirror_by_hash(archive: &Archive) -> String {
    let files = archive.files();
    let digest = crate::harness::sha256(&files["dists/trixie/main/binary-amd64/Packages.xz"]);
    format!("dists/trixie/main/binary-amd64/by-hash/SHA256/{digest}")
}
