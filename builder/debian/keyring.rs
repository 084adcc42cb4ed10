//! Which keys are trusted, and what a good signature by one of them is (RFC 9580).
//!
//! ```text
//! signature ──made by──▶ signing (sub)key ──bound to──▶ certificate ──stands in──▶ Keyring
//!   strong hash            strong, not expired,           not expired,               pinned: compiled in, or
//!   over exactly           not revoked,                   not revoked                named by the recipe
//!   this text              meant for signing
//! ```
//!
//! Each link must have held when the signature was made, and must still hold *now* if the caller says what time it is.
//! One good signature is enough; signatures by keys that the keyring doesn't know don't count either way (an archive
//! signs with the keys of two releases, so that both can read it). The rules for what is strong are Sequoia's standard
//! policy: no SHA-1, no MD5, no RSA or DSA below 2048 bits. The clock is never read.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sequoia_openpgp as openpgp;

use openpgp::cert::amalgamation::key::ValidErasedKeyAmalgamation;
use openpgp::cert::amalgamation::{ValidAmalgamation, ValidateAmalgamation};
use openpgp::cert::{Cert, CertParser};
use openpgp::packet::key::PublicParts;
use openpgp::parse::Parse;
use openpgp::parse::stream::{
    DetachedVerifierBuilder, GoodChecksum, MessageLayer, MessageStructure, VerificationError, VerificationHelper,
};
use openpgp::policy::StandardPolicy;
use openpgp::types::RevocationStatus;
use openpgp::{KeyHandle, Packet, PacketPile};

use super::clearsign::Clearsigned;
use crate::epoch::Epoch;

/// Debian's own archive keys, see `keys/README.md`.
const DEBIAN: &[u8] = include_bytes!("keys/debian-archive-keyring.gpg");
/// How an armored certificate begins.
const ARMOR: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";
/// What is weak is judged as of this day at the earliest (2026-01-01), however old a signature says it is.
const POLICY_FLOOR: Epoch = Epoch(1_767_225_600);
/// The clocks of archives and builders may differ by this much.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(24 * 60 * 60);

/// The certificates that an archive's signatures are checked against.
pub struct Keyring {
    certificates: Vec<Cert>,
}

/// Why bytes are not a keyring.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// No OpenPGP, or damaged.
    #[error("this is not a keyring of OpenPGP certificates: {0}; export it with `gpg --export` or `sq cert export`")]
    Malformed(String),
    /// Nothing in it.
    #[error("the keyring holds no certificate; without one no signature could be checked")]
    Empty,
    /// A private key doesn't belong beside a recipe.
    #[error("the keyring holds the private key of {0}; a keyring needs the public part only: take the private key out")]
    Private(String),
}

/// Why one signature doesn't count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The text isn't what was signed.
    #[error("what {key} signed is another text")]
    Tampered {
        /// Fingerprint of the certificate's primary key, upper-case hexadecimal, as in all variants.
        key: String,
    },
    /// The certificate, or the subkey that signed.
    #[error("{key} was revoked by its owner{reason}")]
    Revoked {
        /// Fingerprint.
        key: String,
        /// What the owner said about it, in parentheses, or nothing.
        reason: String,
    },
    /// The certificate, or the subkey that signed.
    #[error("{key} expired on {on}; a newer keyring may hold its successor")]
    Expired {
        /// Fingerprint.
        key: String,
        /// When, RFC 3339.
        on: String,
    },
    /// SHA-1, RSA with 1024 bits…
    #[error("{key} signs with {what}, which can be forged today")]
    Weak {
        /// Fingerprint.
        key: String,
        /// The algorithm.
        what: String,
    },
    /// From the future.
    #[error("the signature by {key} is from the future; is this machine's clock right?")]
    NotYet {
        /// Fingerprint.
        key: String,
    },
    /// A subkey without binding, a key not meant for signing…
    #[error("{key} can't have signed this: {problem}")]
    Unfit {
        /// Fingerprint.
        key: String,
        /// What Sequoia says about it.
        problem: String,
    },
    /// Not in the keyring.
    #[error("{key} is not in the keyring")]
    Unknown {
        /// Fingerprint of the key that signed (a subkey, perhaps), or its key id.
        key: String,
    },
    /// No OpenPGP signature.
    #[error("a signature can't be read: {problem}")]
    Unreadable {
        /// What Sequoia says about it.
        problem: String,
    },
}

/// No signature counts. Why, for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusals(pub Vec<Refusal>);

impl std::fmt::Display for Refusals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str("there is no signature in it");
        }
        let tampered = |refusal: &Refusal| match refusal {
            Refusal::Tampered { key } => Some(key.clone()),
            _ => None,
        };
        // Where none fits, it is one thing that is wrong, not one for each signature.
        if let Some(keys) = self.0.iter().map(tampered).collect::<Option<Vec<String>>>() {
            let keys = keys.join(", ");
            return write!(f, "it was tampered with or damaged: what {keys} signed is another text; fetch it again");
        }
        let all: Vec<String> = self.0.iter().map(Refusal::to_string).collect();
        f.write_str(&all.join("; "))
    }
}

impl std::error::Error for Refusals {}

impl Keyring {
    /// The keys that Debian's archive is signed with, as this source ships them.
    ///
    /// # Panics
    /// Never: a test reads the very bytes that are compiled in.
    #[expect(clippy::expect_used, reason = "a test reads the very bytes that are compiled in")]
    pub fn debian() -> Self {
        Self::parse(DEBIAN).expect("the keyring that is compiled in is one")
    }

    /// Reads a keyring: any number of certificates, binary or armored (`.gpg`, `.pgp`, `.asc`).
    ///
    /// # Errors
    /// It is no keyring, is empty, or holds a private key.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyringError> {
        let malformed = |error: openpgp::anyhow::Error| KeyringError::Malformed(error.to_string());
        let mut certificates: Vec<Cert> = Vec::new();
        for block in blocks(bytes) {
            for certificate in CertParser::from_bytes(block).map_err(malformed)? {
                certificates.push(certificate.map_err(malformed)?);
            }
        }
        if let Some(private) = certificates.iter().find(|certificate| certificate.is_tsk()) {
            return Err(KeyringError::Private(private.fingerprint().to_hex()));
        }
        if certificates.is_empty() {
            return Err(KeyringError::Empty);
        }
        Ok(Self { certificates })
    }

    /// The fingerprints of the primary keys, upper-case hexadecimal, sorted.
    pub fn fingerprints(&self) -> Vec<String> {
        let all: BTreeSet<String> = self.certificates.iter().map(|cert| cert.fingerprint().to_hex()).collect();
        all.into_iter().collect()
    }

    /// Who of this keyring signed `message`: fingerprints of primary keys, upper-case hexadecimal, sorted, at least one.
    ///
    /// # Errors
    /// No signature is good: why, for each signature.
    pub fn signers(&self, message: &Clearsigned<'_>, now: Option<Epoch>) -> Result<Vec<String>, Refusals> {
        let unreadable = |problem: String| Refusals(vec![Refusal::Unreadable { problem }]);
        let newest = newest_signature(message.signatures).map_err(|error| unreadable(error.to_string()))?;
        let now = now.map(system_time);
        let latest = now.map_or(newest, |now| now + CLOCK_TOLERANCE);
        let policy = StandardPolicy::at(latest.max(system_time(POLICY_FLOOR)));
        let judge = Judge { keyring: self, policy: &policy, now, signers: BTreeSet::new(), refusals: Vec::new() };
        let mut verifier = DetachedVerifierBuilder::from_bytes(message.signatures.as_bytes())
            .and_then(|builder| builder.with_policy(&policy, latest, judge))
            .map_err(|error| unreadable(error.to_string()))?;
        verifier.verify_bytes(&message.text).map_err(|error| unreadable(error.to_string()))?;
        let judge = verifier.into_helper();
        if judge.signers.is_empty() {
            return Err(Refusals(judge.refusals));
        }
        Ok(judge.signers.into_iter().collect())
    }
}

/// A binary keyring is one block; of an armored one each armor is, since a file may be several, one after the other.
fn blocks(bytes: &[u8]) -> Vec<&[u8]> {
    let Ok(text) = std::str::from_utf8(bytes) else { return vec![bytes] };
    let begins: Vec<usize> = text.match_indices(ARMOR).map(|(at, _)| at).collect();
    let ends = begins.iter().skip(1).copied().chain([text.len()]);
    begins.iter().zip(ends).map(|(&begin, end)| &bytes[begin..end]).collect()
}

/// When the newest of the signatures says that it was made.
fn newest_signature(signatures: &str) -> openpgp::Result<SystemTime> {
    let pile = PacketPile::from_bytes(signatures.as_bytes())?;
    let times = pile.children().filter_map(|packet| match packet {
        Packet::Signature(signature) => signature.signature_creation_time(),
        _ => None,
    });
    Ok(times.max().unwrap_or(UNIX_EPOCH))
}

fn system_time(moment: Epoch) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(moment.0).unwrap_or(0))
}

fn rfc3339(moment: SystemTime) -> String {
    let seconds = moment.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Epoch(i64::try_from(seconds).unwrap_or(i64::MAX)).rfc3339()
}

/// Hears from Sequoia what each signature is worth, and adds what it doesn't ask: whether the key is good *now*.
struct Judge<'a> {
    keyring: &'a Keyring,
    policy: &'a StandardPolicy<'a>,
    now: Option<SystemTime>,
    signers: BTreeSet<String>,
    refusals: Vec<Refusal>,
}

impl VerificationHelper for Judge<'_> {
    fn get_certs(&mut self, issuers: &[KeyHandle]) -> openpgp::Result<Vec<Cert>> {
        let is_issuer = |certificate: &&Cert| {
            certificate.keys().any(|key| issuers.iter().any(|issuer| issuer.aliases(key.key().key_handle())))
        };
        Ok(self.keyring.certificates.iter().filter(is_issuer).cloned().collect())
    }

    /// Collects; [`Keyring::signers`] decides.
    fn check(&mut self, structure: MessageStructure<'_>) -> openpgp::Result<()> {
        for layer in structure {
            let MessageLayer::SignatureGroup { results } = layer else { continue };
            for result in results {
                match result.map_err(refusal).and_then(|good| self.good_now(&good)) {
                    Ok(signer) => {
                        self.signers.insert(signer);
                    }
                    Err(refusal) => self.refusals.push(refusal),
                }
            }
        }
        Ok(())
    }
}

impl Judge<'_> {
    /// The signer of a signature that was good when it was made, if its key still is.
    fn good_now(&self, GoodChecksum { ka, .. }: &GoodChecksum<'_>) -> Result<String, Refusal> {
        let signer = ka.cert().fingerprint().to_hex();
        let Some(now) = self.now else { return Ok(signer) };
        // A key that is younger than this machine's clock says was good when it signed, a moment ago.
        let moment = now.max(ka.time());
        let still = ka.clone().with_policy(self.policy, moment);
        let still = still.map_err(|error| of_error(&signer, &error))?;
        still.valid_cert().alive().and_then(|()| still.alive()).map_err(|error| of_error(&signer, &error))?;
        match revocation(&still) {
            Some(reason) => Err(Refusal::Revoked { key: signer, reason }),
            None if still.for_signing() => Ok(signer),
            None => Err(Refusal::Unfit { key: signer, problem: "the key is no longer meant for signing".to_owned() }),
        }
    }
}

/// Why Sequoia doesn't take a signature.
fn refusal(error: VerificationError<'_>) -> Refusal {
    match error {
        VerificationError::MissingKey { sig } => {
            let key = sig.get_issuers().first().map_or_else(|| "an unnamed key".to_owned(), KeyHandle::to_hex);
            Refusal::Unknown { key }
        }
        VerificationError::UnboundKey { cert, error, .. } => of_error(&cert.fingerprint().to_hex(), &error),
        VerificationError::BadKey { ka, error, .. } => {
            let key = ka.cert().fingerprint().to_hex();
            match revocation(&ka) {
                Some(reason) => Refusal::Revoked { key, reason },
                None => of_error(&key, &error),
            }
        }
        VerificationError::BadSignature { sig, ka, error } => {
            let key = ka.cert().fingerprint().to_hex();
            match cause(&error) {
                Some(openpgp::Error::PolicyViolation(..)) => {
                    Refusal::Weak { key, what: format!("the hash {}", sig.hash_algo()) }
                }
                Some(openpgp::Error::NotYetLive(_)) => Refusal::NotYet { key },
                Some(openpgp::Error::Expired(_)) => of_error(&key, &error),
                _ => Refusal::Tampered { key },
            }
        }
        VerificationError::MalformedSignature { error, .. } => Refusal::Unreadable { problem: error.to_string() },
        VerificationError::UnknownSignature { sig } => Refusal::Unreadable { problem: sig.error().to_string() },
        other => Refusal::Unreadable { problem: other.to_string() },
    }
}

/// Why a key doesn't count, as far as it isn't a revocation.
fn of_error(key: &str, error: &openpgp::anyhow::Error) -> Refusal {
    let key = key.to_owned();
    match cause(error) {
        Some(openpgp::Error::PolicyViolation(what, _)) => Refusal::Weak { key, what: what.clone() },
        Some(openpgp::Error::Expired(on)) => Refusal::Expired { key, on: rfc3339(*on) },
        Some(openpgp::Error::NotYetLive(_)) => Refusal::NotYet { key },
        _ => Refusal::Unfit { key, problem: format!("{error:#}") },
    }
}

/// Sequoia's own error, at the end of its explanations.
fn cause(error: &openpgp::anyhow::Error) -> Option<&openpgp::Error> {
    error.chain().filter_map(|link| link.downcast_ref::<openpgp::Error>()).last()
}

/// The reason for the revocation of the certificate or of the key, if there is one.
fn revocation(ka: &ValidErasedKeyAmalgamation<'_, PublicParts>) -> Option<String> {
    let revocations = match (ka.valid_cert().revocation_status(), ka.revocation_status()) {
        (RevocationStatus::Revoked(revocations), _) | (_, RevocationStatus::Revoked(revocations)) => revocations,
        _ => return None,
    };
    let reason = revocations.first().and_then(|revocation| revocation.reason_for_revocation());
    Some(reason.map_or_else(String::new, |(code, message)| {
        let message = String::from_utf8_lossy(message);
        if message.is_empty() { format!(" ({code})") } else { format!(" ({code}: {})", message.escape_debug()) }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn the_pinned_keyring_is_the_one_that_its_readme_tells_of() {
        let readme = include_str!("keys/README.md");
        assert!(readme.contains(&Digest::of(DEBIAN).hex()));
        let in_readme: BTreeSet<String> = readme
            .split('`')
            .filter(|word| word.len() == 40 && word.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .map(str::to_owned)
            .collect();
        assert_eq!(Keyring::debian().fingerprints(), in_readme.into_iter().collect::<Vec<_>>());
    }
}
