//! Keys that archives are signed with, good and bad, and clear-signing (RFC 9580 §7).
//!
//! The signature framework is written by hand, because a tool that signs properly refuses what these tests need.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sequoia_openpgp as openpgp;

use openpgp::cert::{CertBuilder, CertRevocationBuilder};
use openpgp::crypto::KeyPair;
use openpgp::packet::signature::SignatureBuilder;
use openpgp::packet::{Packet, UserID, key};
use openpgp::serialize::SerializeInto as _;
use openpgp::types::{HashAlgorithm, KeyFlags, ReasonForRevocation, SignatureType};
use openpgp::{Cert, armor};

/// 2026-01-01 00:00:00 UTC: when archives are signed unless a test says otherwise.
pub const SIGNED: u64 = 1_767_225_600;
/// 2020-01-01 00:00:00 UTC: when keys are made.
const BORN: u64 = 1_577_836_800;
const YEAR: u64 = 365 * 24 * 60 * 60;

/// An OpenPGP certificate with the secret key that signs, and how it signs.
#[derive(Clone)]
pub struct Key {
    cert: Cert,
    pair: KeyPair,
    hash: HashAlgorithm,
    signed: u64,
}

fn moment(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

impl Key {
    /// A good Ed25519 key.
    pub fn good() -> Self {
        Self::generate(None)
    }

    /// A key that expired at the end of 2022, and signs nevertheless.
    pub fn expired() -> Self {
        Self::generate(Some(Duration::from_secs(3 * YEAR)))
    }

    /// A good key that makes its signatures over SHA-1, of which collisions are known.
    pub fn signing_with_sha1() -> Self {
        Self { hash: HashAlgorithm::SHA1, ..Self::good() }
    }

    /// A key that was revoked as compromised in 2021.
    pub fn revoked() -> Self {
        let mut key = Self::good();
        let revocation = CertRevocationBuilder::new()
            .set_reason_for_revocation(ReasonForRevocation::KeyCompromised, b"stolen")
            .and_then(|builder| builder.set_signature_creation_time(moment(BORN + YEAR)))
            .and_then(|builder| builder.build(&mut key.pair.clone(), &key.cert, None))
            .expect("revoking");
        key.cert = key.cert.insert_packets(revocation).expect("adding the revocation").0;
        key
    }

    /// A key of 1024 bits, which can be factored by those who want to.
    pub fn rsa_1024() -> Self {
        type Secret = key::Key4<key::SecretParts, key::PrimaryRole>;
        let mut primary = Secret::generate_rsa(1024).expect("making an RSA key");
        primary.set_creation_time(moment(BORN)).expect("dating the key");
        let primary = openpgp::packet::Key::V4(primary);
        let mut pair = primary.clone().into_keypair().expect("the secret is in the clear");
        let cert = Cert::try_from(Packet::from(primary)).expect("a key is a certificate");
        let name = UserID::from("A key of 1024 bits <weak@example.org>");
        let binding = SignatureBuilder::new(SignatureType::PositiveCertification)
            .set_hash_algo(HashAlgorithm::SHA512)
            .set_signature_creation_time(moment(BORN))
            .and_then(|builder| builder.set_key_flags(KeyFlags::empty().set_certification().set_signing()))
            .and_then(|builder| name.bind(&mut pair, &cert, builder))
            .expect("binding the name");
        let packets: [Packet; 2] = [name.into(), binding.into()];
        let cert = cert.insert_packets(packets).expect("adding the name").0;
        let pair = KeyPair::new(pair.public().clone(), pair.secret().clone()).expect("the same key");
        Self { cert, pair, hash: HashAlgorithm::SHA512, signed: SIGNED }
    }

    fn generate(validity: Option<Duration>) -> Self {
        let (cert, _) = CertBuilder::new()
            .add_userid("The archive of the tests <archive@example.org>")
            .set_creation_time(moment(BORN))
            .set_validity_period(validity)
            .set_primary_key_flags(KeyFlags::empty().set_certification().set_signing())
            .generate()
            .expect("making an Ed25519 key");
        let secret = cert.primary_key().key().clone().parts_into_secret().expect("it was just made");
        let pair = secret.into_keypair().expect("the secret is in the clear");
        Self { cert, pair, hash: HashAlgorithm::SHA512, signed: SIGNED }
    }

    /// The same key, signing at another moment (seconds since 1970).
    pub fn signing_at(mut self, seconds: u64) -> Self {
        self.signed = seconds;
        self
    }

    /// The fingerprint as GnuPG prints it: upper-case hexadecimal.
    pub fn fingerprint(&self) -> String {
        self.cert.fingerprint().to_hex()
    }

    /// The public half, binary: what stands in a keyring.
    pub fn public(&self) -> Vec<u8> {
        self.cert.clone().strip_secret_key_material().to_vec().expect("writing to memory")
    }

    /// `text` with this key's signature below it, as `gpg --clearsign` writes it.
    pub fn clear_sign(&self, text: &str) -> String {
        // The signature is over lines that end in CR LF, the last line end not counted; no line here ends in blanks.
        let canonical = text.trim_end_matches('\n').replace('\n', "\r\n");
        let signature = SignatureBuilder::new(SignatureType::Text)
            .set_hash_algo(self.hash)
            .set_signature_creation_time(moment(self.signed))
            .and_then(|builder| builder.sign_message(&mut self.pair.clone(), canonical.as_bytes()))
            .expect("signing");
        let mut writer = armor::Writer::new(Vec::new(), armor::Kind::Signature).expect("writing to memory");
        let packet = Packet::from(signature).to_vec().expect("writing to memory");
        std::io::Write::write_all(&mut writer, &packet).expect("writing to memory");
        let armored = String::from_utf8(writer.finalize().expect("writing to memory")).expect("armour is ASCII");
        let escaped: String = text
            .lines()
            .map(|line| if line.starts_with('-') { format!("- {line}\n") } else { format!("{line}\n") })
            .collect();
        format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: {}\n\n{escaped}{armored}", self.hash)
    }
}

// ── The instrument itself: each bad key must be bad for the reason that its name says, and the good one good. ──────────

#[cfg(test)]
mod tests {
    use super::*;
    use openpgp::KeyHandle;
    use openpgp::parse::Parse as _;
    use openpgp::parse::stream::{MessageLayer, MessageStructure, VerificationHelper, VerifierBuilder};
    use openpgp::policy::StandardPolicy;

    struct Keyring(Cert);

    impl VerificationHelper for Keyring {
        fn get_certs(&mut self, _: &[KeyHandle]) -> openpgp::Result<Vec<Cert>> {
            Ok(vec![self.0.clone()])
        }

        fn check(&mut self, structure: MessageStructure) -> openpgp::Result<()> {
            for layer in structure {
                if let MessageLayer::SignatureGroup { results } = layer {
                    for result in results {
                        result.map_err(|error| openpgp::anyhow::anyhow!("{error:#}"))?;
                    }
                }
            }
            Ok(())
        }
    }

    /// What Sequoia, under its standard policy, says about a signature by `key`, if `trusted` is all that it knows.
    fn verify(key: &Key, trusted: &Key) -> Result<String, String> {
        let signed = key.clear_sign("Suite: trixie\n-dashed\nSHA256:\n 00 1 Packages\n");
        let keyring = Keyring(Cert::from_bytes(&trusted.public()).expect("a certificate"));
        let policy = StandardPolicy::new();
        let mut text = String::new();
        let mut verifier = VerifierBuilder::from_bytes(signed.as_bytes())
            .and_then(|builder| builder.with_policy(&policy, None, keyring))
            .map_err(|error| format!("{error:#}"))?;
        std::io::Read::read_to_string(&mut verifier, &mut text).map_err(|error| format!("{error:#}"))?;
        Ok(text)
    }

    #[track_caller]
    fn refused(key: &Key, trusted: &Key, reason: &str) {
        let error = verify(key, trusted).expect_err("the signature was accepted").to_lowercase();
        assert!(error.contains(reason), "{error}");
    }

    #[test]
    fn the_good_key_is_good_and_each_bad_key_is_bad_for_its_own_reason() {
        let good = Key::good();
        assert_eq!(verify(&good, &good).expect("a good signature"), "Suite: trixie\n-dashed\nSHA256:\n 00 1 Packages");
        refused(&good, &Key::good(), "missing");
        refused(&Key::expired(), &Key::expired(), "missing");
        for (key, reason) in [
            (Key::expired(), "the primary key is not live"),
            (Key::revoked(), "revoked"),
            (Key::rsa_1024(), "policy"),
            (Key::signing_with_sha1(), "collision resistance"),
            (Key::good().signing_at(4_102_444_800), "not live until"),
        ] {
            refused(&key, &key, reason);
        }
    }
}
