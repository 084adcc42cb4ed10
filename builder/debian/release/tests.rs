//! Certificates of every kind are made here, good and bad, and a Release is signed with each.

use std::io::Write as _;
use std::time::{Duration, SystemTime};

use sequoia_openpgp as openpgp;

use openpgp::cert::prelude::*;
use openpgp::crypto::KeyPair;
use openpgp::packet::key::{Key4, PrimaryRole, SecretParts};
use openpgp::packet::signature::SignatureBuilder;
use openpgp::packet::{Key, UserID};
use openpgp::serialize::SerializeInto;
use openpgp::serialize::stream::{Message, Signer};
use openpgp::types::{HashAlgorithm, KeyFlags, ReasonForRevocation, SignatureType};
use openpgp::{Cert, Packet};

use super::*;

const DAY: i64 = 24 * 60 * 60;
/// 2026-03-01: the keys are made.
const MADE: Epoch = Epoch(1_772_323_200);
/// 2026-06-01: the Release is signed.
const SIGNED: Epoch = Epoch(1_780_272_000);
/// 2026-06-02: the Release is read.
const NOW: Epoch = Epoch(SIGNED.0 + DAY);

const RELEASE: &str = "\
Origin: Debian
Label: Debian
Suite: stable
Version: 13.7
Codename: trixie
Date: Mon, 01 Jun 2026 00:00:00 UTC
Valid-Until: Mon, 08 Jun 2026 00:00:00 UTC
Acquire-By-Hash: yes
Architectures: all amd64
Components: main contrib
SHA256:
 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855        0 main/binary-amd64/Packages
 f61f27bd17de546264aa58f40f3aafaac7021e0ef69c17f6b1b4cd7664a037ec       20 main/binary-amd64/Packages.gz";

fn time(moment: Epoch) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(moment.0).unwrap())
}

fn builder() -> CertBuilder<'static> {
    CertBuilder::new().add_userid("Archive <archive@example.org>").set_creation_time(time(MADE)).add_signing_subkey()
}

fn certificate() -> Cert {
    builder().generate().unwrap().0
}

/// The key of `certificate` that comes last: of [`builder`]'s, the signing subkey.
fn last_key(certificate: &Cert) -> KeyPair {
    certificate.keys().secret().last().unwrap().key().clone().into_keypair().unwrap()
}

/// `text` as an InRelease.
fn sign(text: &str, keys: Vec<KeyPair>, hash: HashAlgorithm) -> Vec<u8> {
    let mut signed = Vec::new();
    let mut keys = keys.into_iter();
    let mut signer = Signer::new(Message::new(&mut signed), keys.next().unwrap()).unwrap();
    for key in keys {
        signer = signer.add_signer(key).unwrap();
    }
    let mut message = signer.hash_algo(hash).unwrap().creation_time(time(SIGNED)).cleartext().build().unwrap();
    message.write_all(text.as_bytes()).unwrap();
    message.finalize().unwrap();
    signed
}

fn signed_by(certificate: &Cert) -> Vec<u8> {
    sign(RELEASE, vec![last_key(certificate)], HashAlgorithm::SHA256)
}

fn keyring(certificates: &[&Cert]) -> Keyring {
    let public = certificates.iter().map(|cert| (*cert).clone().strip_secret_key_material());
    let bytes: Vec<u8> = public.flat_map(|cert| cert.to_vec().unwrap()).collect();
    Keyring::parse(&bytes).unwrap()
}

fn fingerprint(certificate: &Cert) -> String {
    certificate.fingerprint().to_hex()
}

/// Why `inrelease` is not trusted.
fn refusals(inrelease: &[u8], keyring: &Keyring, now: Option<Epoch>) -> Vec<Refusal> {
    match Release::verify(inrelease, keyring, now) {
        Err(ReleaseError::Untrusted(refusals)) => refusals.0,
        other => panic!("refusals were expected, not {other:?}"),
    }
}

#[test]
fn what_a_known_key_signed_is_read() {
    let good = certificate();
    let release = Release::verify(&signed_by(&good), &keyring(&[&good]), Some(NOW)).unwrap();
    assert_eq!(release.origin.as_deref(), Some("Debian"));
    assert_eq!((release.suite.as_deref(), release.codename.as_deref()), (Some("stable"), Some("trixie")));
    assert_eq!((release.label.as_deref(), release.version.as_deref()), (Some("Debian"), Some("13.7")));
    assert_eq!((release.date, release.valid_until), (SIGNED, Some(Epoch(SIGNED.0 + 7 * DAY))));
    assert!(release.acquire_by_hash);
    assert_eq!((release.components.len(), release.architectures.len()), (2, 2));
    assert_eq!(release.sha256["main/binary-amd64/Packages"], (Digest::of(b""), 0));
    assert_eq!(release.sha256["main/binary-amd64/Packages.gz"].1, 20);
    assert_eq!(release.signers, [fingerprint(&good)]);
    assert!(release.is_suite("trixie") && release.is_suite("stable") && !release.is_suite("sid"));
    assert!(release.has_component("main") && !release.has_component("non-free"));
}

#[test]
fn one_good_signature_is_enough_and_strangers_signatures_are_ignored() {
    let (one, other, stranger) = (certificate(), certificate(), certificate());
    let keys = vec![last_key(&stranger), last_key(&one), last_key(&other)];
    let inrelease = sign(RELEASE, keys, HashAlgorithm::SHA512);
    let mut both = [fingerprint(&one), fingerprint(&other)];
    both.sort();
    assert_eq!(Release::verify(&inrelease, &keyring(&[&other, &one]), Some(NOW)).unwrap().signers, both);
    let only_one = Release::verify(&inrelease, &keyring(&[&one]), Some(NOW)).unwrap();
    assert_eq!(only_one.signers, [fingerprint(&one)]);
}

#[test]
fn an_unknown_key_is_named() {
    let (known, stranger) = (certificate(), certificate());
    let key = last_key(&stranger).public().fingerprint().to_hex();
    let found = refusals(&signed_by(&stranger), &keyring(&[&known]), Some(NOW));
    assert_eq!(found, [Refusal::Unknown { key: key.clone() }]);
    let message = Release::verify(&signed_by(&stranger), &keyring(&[&known]), None).unwrap_err().to_string();
    assert_eq!(message, format!("it can't be trusted: {key} is not in the keyring"));
}

#[test]
fn a_change_of_one_byte_is_found() {
    let good = certificate();
    let inrelease = String::from_utf8(signed_by(&good)).unwrap();
    let tampered = inrelease.replace("main/binary-amd64/Packages.gz", "main/binary-amd64/Packages.xz");
    assert_ne!(tampered, inrelease);
    let found = refusals(tampered.as_bytes(), &keyring(&[&good]), Some(NOW));
    assert_eq!(found, [Refusal::Tampered { key: fingerprint(&good) }]);
    assert_eq!(
        Refusals(found).to_string(),
        format!("it was tampered with or damaged: what {} signed is another text; fetch it again", fingerprint(&good))
    );
}

#[test]
fn another_texts_signature_is_found() {
    let good = certificate();
    let inrelease = String::from_utf8(signed_by(&good)).unwrap();
    let other = String::from_utf8(sign("Date: x\nSHA256: y", vec![last_key(&good)], HashAlgorithm::SHA256)).unwrap();
    let at = |text: &str| text.find("-----BEGIN PGP SIGNATURE-----").unwrap();
    let mixed = format!("{}{}", &inrelease[..at(&inrelease)], &other[at(&other)..]);
    let found = refusals(mixed.as_bytes(), &keyring(&[&good]), Some(NOW));
    assert_eq!(found, [Refusal::Tampered { key: fingerprint(&good) }]);
}

#[test]
fn text_outside_the_signature_is_never_read() {
    let good = certificate();
    let inrelease = String::from_utf8(signed_by(&good)).unwrap();
    for smuggled in [format!("Origin: Mallory\n{inrelease}"), format!("{inrelease}\nOrigin: Mallory\n")] {
        let error = Release::verify(smuggled.as_bytes(), &keyring(&[&good]), Some(NOW)).unwrap_err();
        assert!(error.to_string().ends_with("stands outside what is signed; nothing may"), "{error}");
    }
    let cut = &inrelease[..inrelease.len() - 40];
    let error = Release::verify(cut.as_bytes(), &keyring(&[&good]), Some(NOW)).unwrap_err();
    assert!(error.to_string().starts_with("it is cut off"), "{error}");
    let error = Release::verify(RELEASE.as_bytes(), &keyring(&[&good]), Some(NOW)).unwrap_err();
    assert!(error.to_string().starts_with("it is not signed"), "{error}");
}

#[test]
fn a_signature_that_is_no_signature_is_refused() {
    let good = certificate();
    let public = String::from_utf8(good.armored().to_vec().unwrap()).unwrap();
    let body = public.replace("PUBLIC KEY BLOCK", "SIGNATURE").replace("PRIVATE KEY BLOCK", "SIGNATURE");
    let no_comments: String = body.lines().filter(|line| !line.contains(": ")).flat_map(|line| [line, "\n"]).collect();
    let inrelease = format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{}\n{no_comments}", RELEASE);
    assert!(Release::verify(inrelease.as_bytes(), &keyring(&[&good]), Some(NOW)).is_err());
    let garbage = "-----BEGIN PGP SIGNATURE-----\n\nAAAA\n-----END PGP SIGNATURE-----\n";
    let inrelease = format!("-----BEGIN PGP SIGNED MESSAGE-----\n\n{}\n{garbage}", RELEASE);
    assert!(Release::verify(inrelease.as_bytes(), &keyring(&[&good]), Some(NOW)).is_err());
}

#[test]
fn a_key_that_expired_before_it_signed_is_refused() {
    let expired = builder().set_validity_period(Duration::from_secs(60 * 60)).generate().unwrap().0;
    let expected = Refusal::Expired { key: fingerprint(&expired), on: "2026-03-01T01:00:00Z".to_owned() };
    for now in [None, Some(NOW)] {
        assert_eq!(refusals(&signed_by(&expired), &keyring(&[&expired]), now), std::slice::from_ref(&expected));
    }
}

#[test]
fn a_key_that_expired_since_counts_only_where_no_time_is_given() {
    let good_then = builder().set_validity_period(time(NOW).duration_since(time(MADE)).unwrap()).generate().unwrap().0;
    let (inrelease, keyring) = (signed_by(&good_then), keyring(&[&good_then]));
    assert!(Release::verify(&inrelease, &keyring, None).is_ok());
    assert!(Release::verify(&inrelease, &keyring, Some(Epoch(NOW.0 - 1))).is_ok());
    let expected = Refusal::Expired { key: fingerprint(&good_then), on: NOW.rfc3339() };
    assert_eq!(refusals(&inrelease, &keyring, Some(Epoch(NOW.0 + 1))), [expected]);
}

#[test]
fn a_revoked_key_is_refused_with_its_owners_reason() {
    let good = certificate();
    let mut primary = good.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap();
    let revoke = |primary: &mut KeyPair, code, at: Epoch| {
        let revocation = CertRevocationBuilder::new()
            .set_reason_for_revocation(code, b"the laptop was stolen")
            .unwrap()
            .set_signature_creation_time(time(at))
            .unwrap()
            .build(primary, &good, None)
            .unwrap();
        good.clone().insert_packets(revocation).unwrap().0
    };
    // A stolen key was never to be trusted; a retired one was, until then.
    let stolen = revoke(&mut primary, ReasonForRevocation::KeyCompromised, Epoch(SIGNED.0 + 60));
    for now in [None, Some(NOW)] {
        let found = refusals(&signed_by(&good), &keyring(&[&stolen]), now);
        let [Refusal::Revoked { key, reason }] = &found[..] else { panic!("{found:?}") };
        assert_eq!(*key, fingerprint(&good));
        assert!(reason.contains("the laptop was stolen"), "{reason}");
    }
    let retired = revoke(&mut primary, ReasonForRevocation::KeyRetired, Epoch(SIGNED.0 + 60));
    assert!(Release::verify(&signed_by(&good), &keyring(&[&retired]), None).is_ok());
    assert!(matches!(refusals(&signed_by(&good), &keyring(&[&retired]), Some(NOW))[..], [Refusal::Revoked { .. }]));
}

#[test]
fn a_revoked_subkey_is_refused() {
    let good = certificate();
    let mut primary = good.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap();
    let subkey = good.keys().subkeys().last().unwrap().key().clone();
    let revocation = SubkeyRevocationBuilder::new()
        .set_reason_for_revocation(ReasonForRevocation::KeyCompromised, b"")
        .unwrap()
        .set_signature_creation_time(time(SIGNED))
        .unwrap()
        .build(&mut primary, &good, &subkey, None)
        .unwrap();
    let revoked = good.clone().insert_packets(revocation).unwrap().0;
    assert!(matches!(refusals(&signed_by(&good), &keyring(&[&revoked]), None)[..], [Refusal::Revoked { .. }]));
}

#[test]
fn a_weak_hash_is_refused() {
    let good = certificate();
    let inrelease = sign(RELEASE, vec![last_key(&good)], HashAlgorithm::SHA1);
    let expected = Refusal::Weak { key: fingerprint(&good), what: "the hash SHA1".to_owned() };
    assert_eq!(refusals(&inrelease, &keyring(&[&good]), Some(NOW)), [expected]);
}

#[test]
fn a_weak_key_is_refused() {
    let mut key: Key4<SecretParts, PrimaryRole> = Key4::generate_rsa(1024).unwrap();
    key.set_creation_time(time(MADE)).unwrap();
    let key = Key::from(key);
    let mut pair = key.clone().into_keypair().unwrap();
    let user = UserID::from("Weak <weak@example.org>");
    let binding = SignatureBuilder::new(SignatureType::PositiveCertification)
        .set_key_flags(KeyFlags::empty().set_certification().set_signing())
        .unwrap()
        .set_signature_creation_time(time(MADE))
        .unwrap()
        .sign_userid_binding(&mut pair, None, &user)
        .unwrap();
    let packets = [Packet::from(key), user.into(), binding.into()];
    let weak = Cert::from_packets(packets.into_iter()).unwrap();
    let found = refusals(&signed_by(&weak), &keyring(&[&weak]), Some(NOW));
    let [Refusal::Weak { key, what }] = &found[..] else { panic!("{found:?}") };
    assert_eq!(*key, fingerprint(&weak));
    assert!(what.contains("RSA1024"), "{what}");
}

#[test]
fn a_key_that_is_not_meant_for_signing_is_refused() {
    let other = CertBuilder::new().add_userid("x").set_creation_time(time(MADE)).add_authentication_subkey();
    let other = other.generate().unwrap().0;
    let found = refusals(&signed_by(&other), &keyring(&[&other]), Some(NOW));
    assert!(
        matches!(&found[..], [Refusal::Unfit { problem, .. }] if problem.contains("not signing capable")),
        "{found:?}"
    );
}

#[test]
fn a_subkey_that_nothing_binds_to_the_certificate_is_unknown() {
    let good = certificate();
    let without = Cert::from_packets(good.clone().into_packets().take(3)).unwrap();
    assert_eq!(without.keys().count(), 1);
    assert!(matches!(refusals(&signed_by(&good), &keyring(&[&without]), None)[..], [Refusal::Unknown { .. }]));
}

#[test]
fn a_signature_from_the_future_is_refused_but_clocks_may_differ_by_a_day() {
    let good = certificate();
    let (inrelease, keyring) = (signed_by(&good), keyring(&[&good]));
    assert!(Release::verify(&inrelease, &keyring, Some(Epoch(SIGNED.0 - DAY + 60))).is_ok());
    let early = Some(Epoch(SIGNED.0 - DAY - 60));
    assert_eq!(refusals(&inrelease, &keyring, early), [Refusal::NotYet { key: fingerprint(&good) }]);
}

#[test]
fn staleness_says_for_how_long_and_what_admits_it() {
    let release = Release::parse(RELEASE, Vec::new()).unwrap();
    let until = SIGNED.0 + 7 * DAY;
    assert!(release.check_fresh(Epoch(until)).is_ok());
    let error = release.check_fresh(Epoch(until + 3 * DAY + 5)).unwrap_err().to_string();
    assert!(error.starts_with("it was valid until 2026-06-08T00:00:00Z, 3 days ago:"), "{error}");
    assert!(error.contains("--allow-stale") && error.contains("GOLDSMITH_ALLOW_STALE=1"), "{error}");
    assert!(release.check_fresh(Epoch(SIGNED.0 - DAY)).is_ok());
    let error = release.check_fresh(Epoch(SIGNED.0 - 2 * DAY)).unwrap_err().to_string();
    assert_eq!(error, "it is dated 2026-06-01T00:00:00Z, 2 days from now; is this machine's clock right?");
}

#[test]
fn going_back_in_time_is_found() {
    let release = Release::parse(RELEASE, Vec::new()).unwrap();
    assert!(release.check_not_older_than(SIGNED).is_ok());
    let error = release.check_not_older_than(Epoch(SIGNED.0 + 1)).unwrap_err().to_string();
    assert!(error.starts_with("it is from 2026-06-01T00:00:00Z, but the lock was made from the one of"), "{error}");
}

#[test]
fn dates_are_read_as_archives_write_them() {
    for written in [
        "Mon, 01 Jun 2026 00:00:00 UTC",
        "Mon, 01 Jun 2026 00:00:00 GMT",
        "Mon, 01 Jun 2026 00:00:00 +0000",
        "Mon, 01 Jun 2026 00:00:00 Z",
        "Mon, 1 Jun 2026 00:00:00 UTC",
        "Mon,  1 Jun 2026 00:00:00 UTC",
    ] {
        let text = RELEASE.replace("Mon, 01 Jun 2026 00:00:00 UTC", written);
        assert_eq!(Release::parse(&text, Vec::new()).unwrap().date, SIGNED, "{written}");
    }
}

#[test]
fn signed_nonsense_is_refused_with_its_field() {
    for (from, to, message) in [
        ("Date: Mon", "Date: Tuesday", "`Tuesday, 01 Jun 2026 00:00:00 UTC` is not a date such as"),
        ("00 UTC\nValid", "00 CEST\nValid", "does not end with UTC"),
        ("Date: ", "Data: ", "has no field `Date`"),
        ("SHA256:", "SHA1:", "has no field `SHA256`"),
        (" 0 main/binary-amd64/Packages\n", " 0\n", "is not a digest, a size and a path"),
        ("        0 main", "        x main", "has no size between digest and path"),
        (" e3b0", " xyz", "does not begin with a SHA-256 digest"),
        ("0 main/", "0 ../main/", "names a path that leads out of the archive"),
        ("Packages.gz", "Packages", "gives a path for the second time, with another digest"),
        ("Version: 13.7", "\nVersion: 13.7", "line 5: `Version: 13.7` is no field"),
        ("Label: Debian", "Origin: Debian", "line 2: the field `Origin` stands twice"),
    ] {
        let text = RELEASE.replacen(from, to, 1);
        assert_ne!(text, RELEASE, "{from}");
        let error = Release::parse(&text, Vec::new()).unwrap_err().to_string();
        assert!(error.contains(message), "{to}: {error}");
    }
}

#[test]
fn keyrings_are_read_armored_and_binary_and_never_with_private_keys() {
    let (one, other) = (certificate(), certificate());
    let public = |cert: &Cert| cert.clone().strip_secret_key_material();
    let mut both = [fingerprint(&one), fingerprint(&other)];
    both.sort();
    let mut armored = public(&one).armored().to_vec().unwrap();
    armored.extend(public(&other).armored().to_vec().unwrap());
    assert_eq!(Keyring::parse(&armored).unwrap().fingerprints(), both);
    let mut binary = public(&one).to_vec().unwrap();
    binary.extend(public(&other).to_vec().unwrap());
    assert_eq!(Keyring::parse(&binary).unwrap().fingerprints(), both);

    let private = Keyring::parse(&one.as_tsk().to_vec().unwrap()).err().unwrap();
    assert!(matches!(private, KeyringError::Private(key) if key == fingerprint(&one)));
    assert!(matches!(Keyring::parse(b"").err().unwrap(), KeyringError::Empty));
    assert!(Keyring::parse(b"<html>").is_err());
    assert!(Keyring::parse(&binary[..binary.len() - 9]).is_err());
    assert!(Keyring::parse(b"\x99\xff\x00garbage").is_err());
}
