//! Fetching what an archive says of itself: InRelease, and the indices that it lists.

use std::io::Write;

use super::*;
use crate::debian::release::Release;
use crate::epoch::Epoch;

const TRIXIE: Place = Place { uri: "debian", suite: "trixie" };

#[test]
fn inrelease_is_fetched_as_it_is() {
    let server = Server::start(|asked| match (&*asked.target, asked.before) {
        ("/debian/dists/trixie/InRelease", 0) => Reply::whole(b"signed text").cut(4),
        ("/debian/dists/trixie/InRelease", _) => Reply::whole(b"signed text"),
        _ => Reply::status(404),
    });
    let mirror = Project::new(&server.base()).mirror();
    assert_eq!(mirror.inrelease(TRIXIE).unwrap(), b"signed text");
    let error = mirror.inrelease(Place { uri: "debian", suite: "forky" }).unwrap_err().to_string();
    assert!(
        error.starts_with("cannot fetch InRelease of forky: http") && error.ends_with("(HTTP status 404)"),
        "{error}"
    );
}

#[test]
fn an_inrelease_without_end_is_not_read_to_its_end() {
    let server = Server::start(|_| Reply::whole(&vec![b'x'; (INRELEASE_LIMIT + 5) as usize]).chunked());
    let error = Project::new(&server.base()).mirror().inrelease(TRIXIE).unwrap_err().to_string();
    assert!(error.contains("is larger there than the 8.4 MB that it may be"), "{error}");
}

#[test]
fn the_security_archive_of_a_given_mirror_is_beside_it_or_within_it() {
    for place in ["/debian-security/dists/trixie-security/InRelease", "/debian/dists/trixie-security/InRelease"] {
        let server = Server::start(move |asked| match asked.target == place {
            true => Reply::whole(b"signed text"),
            false => Reply::status(404),
        });
        let security = Place { uri: "debian-security", suite: "trixie-security" };
        assert_eq!(Project::new(&server.base()).mirror().inrelease(security).unwrap(), b"signed text");
    }
    let server = Server::start(|_| Reply::status(404));
    let security = Place { uri: "debian-security", suite: "trixie-security" };
    let error = Project::new(&server.base()).mirror().inrelease(security).unwrap_err().to_string();
    assert!(error.contains("name the mirror of the security archive too"), "{error}");
}

const TEXT: &[u8] = b"Package: one\nVersion: 1\n\nPackage: two\nVersion: 2\n";

fn xz(text: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn release(by_hash: bool, listed: &[(&str, &[u8])]) -> Release {
    let entry = |&(path, bytes): &(&str, &[u8])| (path.to_owned(), (Digest::of(bytes), bytes.len() as u64));
    Release {
        origin: None,
        label: None,
        suite: None,
        codename: None,
        version: None,
        date: Epoch(0),
        valid_until: None,
        acquire_by_hash: by_hash,
        components: vec!["main".to_owned()],
        architectures: vec!["amd64".to_owned()],
        sha256: listed.iter().map(entry).collect(),
        signers: Vec::new(),
    }
}

const PACKAGES: &str = "main/binary-amd64/Packages";

#[test]
fn an_index_is_fetched_by_its_hash_once_and_unpacked() {
    let packed = xz(TEXT);
    let release = release(
        true,
        &[("main/binary-amd64/Packages.xz", &packed), (PACKAGES, TEXT), ("main/binary-amd64/Packages.gz", b"")],
    );
    let by_hash = format!("/debian/dists/trixie/main/binary-amd64/by-hash/SHA256/{}", Digest::of(&packed).hex());
    let served = packed.clone();
    let server = Server::start(move |asked| match asked.target == by_hash {
        true => Reply::whole(&served),
        false => Reply::status(404),
    });
    let project = Project::new(&server.base());
    for _ in 0..2 {
        let index = project.mirror().index(TRIXIE, &release, PACKAGES).unwrap();
        assert_eq!(index.text, TEXT);
        assert_eq!(index.path, "main/binary-amd64/Packages.xz");
        assert_eq!(index.blob, Blob { digest: Digest::of(&packed), size: packed.len() as u64 });
    }
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn an_index_that_is_not_there_by_its_hash_is_there_by_its_name() {
    let packed = xz(TEXT);
    let release = release(true, &[("main/binary-amd64/Packages.xz", &packed)]);
    let server = Server::start(move |asked| match &*asked.target {
        "/debian/dists/trixie/main/binary-amd64/Packages.xz" => Reply::whole(&packed),
        _ => Reply::status(404),
    });
    let project = Project::new(&server.base());
    assert_eq!(project.mirror().index(TRIXIE, &release, PACKAGES).unwrap().text, TEXT);
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn an_index_may_be_packed_with_gzip_or_not_at_all() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(TEXT).unwrap();
    let gz = encoder.finish().unwrap();
    for (path, served) in [("main/binary-amd64/Packages.gz", gz), (PACKAGES, TEXT.to_vec())] {
        let release = release(false, &[(path, &served)]);
        let server = Server::start(move |_| Reply::whole(&served));
        let index = Project::new(&server.base()).mirror().index(TRIXIE, &release, PACKAGES).unwrap();
        assert_eq!((&*index.path, &*index.text), (path, TEXT));
        assert_eq!(server.asked()[0].target, format!("/debian/dists/trixie/{path}"));
    }
}

#[test]
fn an_index_that_is_not_what_was_signed_is_refused() {
    let packed = xz(TEXT);
    let xz_path = "main/binary-amd64/Packages.xz";
    let cases: [(Release, &str); 4] = [
        (
            release(false, &[("contrib/binary-amd64/Packages.xz", &packed)]),
            "the Release file of trixie lists no main/binary-amd64/Packages ",
        ),
        (
            release(false, &[(xz_path, &packed), (PACKAGES, &TEXT[1..])]),
            "main/binary-amd64/Packages.xz of trixie unpacks to more than the 48 bytes that it may",
        ),
        (
            release(false, &[(xz_path, &packed), (PACKAGES, &[0; 49])]),
            "main/binary-amd64/Packages.xz of trixie does not unpack to what its Release file lists",
        ),
        (release(false, &[(xz_path, b"other")]), "cannot fetch main/binary-amd64/Packages.xz of trixie: "),
    ];
    let server = Server::start(move |_| Reply::whole(&packed));
    for (release, message) in cases {
        let project = Project::new(&server.base());
        let error = project.mirror().index(TRIXIE, &release, PACKAGES).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
}

#[test]
fn an_index_cut_short_before_it_was_signed_is_refused() {
    let packed = &xz(TEXT)[..40];
    let release = release(false, &[("main/binary-amd64/Packages.xz", packed)]);
    let served = packed.to_vec();
    let server = Server::start(move |_| Reply::whole(&served));
    let error = Project::new(&server.base()).mirror().index(TRIXIE, &release, PACKAGES).unwrap_err().to_string();
    assert!(error.contains("of trixie can't be unpacked ("), "{error}");
}
