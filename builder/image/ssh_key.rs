//! A public key as `authorized_keys` has it (sshd(8), RFC 4253 §6.6): checked before it opens a door.

use std::fmt;
use std::str::FromStr;

/// Fewest bits of an RSA key: NIST SP 800-57 part 1, for use beyond 2030; what the images' sshd demands.
const RSA_BITS: usize = 3072;

/// Types of keys that are accepted.
const TYPES: [&str; 7] = [
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "ssh-rsa",
];

/// One public key: type, base64, comment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SshKey(String);

/// Why a line is not a key that opens a door.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSshKey {
    /// Fewer than two words, or more than one line.
    #[error(
        "`{0}` is not an OpenSSH public key: give one line such as `ssh-ed25519 AAAA… name`, from a file that ends in .pub"
    )]
    NotAKey(String),
    /// A private one, by mistake.
    #[error("this is a private key: keep it to yourself, and give the file beside it that ends in .pub")]
    Private,
    /// Unknown, or too weak to be used.
    #[error("keys of the type `{0}` are not accepted: make one with `ssh-keygen -t ed25519`")]
    Type(String),
    /// The part in base64 does not say what the type says.
    #[error("the `{0}` key is damaged: copy it again, whole, on one line")]
    Damaged(String),
    /// Too short.
    #[error("the RSA key has {0} bits, and {RSA_BITS} are the least: make one with `ssh-keygen -t ed25519`")]
    Short(usize),
}

impl SshKey {
    /// As it stands in `authorized_keys`, on one line.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for SshKey {
    type Err = BadSshKey;

    fn from_str(line: &str) -> Result<Self, BadSshKey> {
        if line.contains("PRIVATE KEY") {
            return Err(BadSshKey::Private);
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let shown = || BadSshKey::NotAKey(line.trim().chars().take(40).collect());
        let [kind, body, ..] = words[..] else { return Err(shown()) };
        if line.trim().chars().any(|char| char.is_control() && char != '\t') {
            return Err(shown());
        }
        if !TYPES.contains(&kind) {
            // Options (`command="…"`) come before the type; a door that they would open otherwise is not opened here.
            return Err(BadSshKey::Type(kind.to_owned()));
        }
        let damaged = || BadSshKey::Damaged(kind.to_owned());
        let blob = base64(body).ok_or_else(damaged)?;
        let mut fields = Vec::new();
        let mut rest = blob.as_slice();
        while !rest.is_empty() {
            let (length, after) = rest.split_first_chunk::<4>().ok_or_else(damaged)?;
            let (field, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or_else(damaged)?;
            fields.push(field);
            rest = after;
        }
        let expected = match kind {
            "ssh-ed25519" => 2,
            "sk-ecdsa-sha2-nistp256@openssh.com" => 4,
            _ => 3,
        };
        if fields.len() != expected || fields[0] != kind.as_bytes() {
            return Err(damaged());
        }
        let right = match kind {
            "ssh-ed25519" | "sk-ssh-ed25519@openssh.com" => fields[1].len() == 32,
            "ssh-rsa" => {
                let bits = bits(fields[2]);
                if bits < RSA_BITS {
                    return Err(BadSshKey::Short(bits));
                }
                true
            }
            // `nistp256`, then a point: 0x04 and two coordinates.
            _ => fields[2].first() == Some(&4) && fields[2].len() % 2 == 1,
        };
        if right { Ok(Self(words.join(" "))) } else { Err(damaged()) }
    }
}

/// The length in bits of an `mpint` (RFC 4251 §5).
fn bits(number: &[u8]) -> usize {
    let number = &number[number.iter().take_while(|byte| **byte == 0).count()..];
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

/// RFC 4648 §4, with its padding; `None` if it is not that.
fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut buffer, mut filled) = (0u32, 0);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        buffer = (buffer << 6 | u32::from(value)) & 0xff_ffff;
        filled += 6;
        if filled >= 8 {
            filled -= 8;
            bytes.push((buffer >> filled) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl ops";

    /// An `ssh-rsa` key whose modulus is that many bytes, the highest bit set.
    fn rsa(bytes: usize) -> String {
        let mut modulus = vec![0, 0x80];
        modulus.resize(bytes + 1, 1);
        let mut blob = Vec::new();
        for field in [b"ssh-rsa".as_slice(), &[1, 0, 1], &modulus] {
            blob.extend((field.len() as u32).to_be_bytes());
            blob.extend(field);
        }
        const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut text = String::from("ssh-rsa ");
        for chunk in blob.chunks(3) {
            let number = chunk.iter().chain([&0; 2]).take(3).fold(0, |sum, byte| sum << 8 | usize::from(*byte));
            for place in 0..4 {
                let digit = DIGITS[number >> (18 - 6 * place) & 63];
                text.push(if place <= chunk.len() { digit as char } else { '=' });
            }
        }
        text
    }

    #[test]
    fn good_keys_are_kept_on_one_line() {
        assert_eq!(format!("{ED25519}\n").parse::<SshKey>().unwrap().as_str(), ED25519);
        assert!(rsa(384).parse::<SshKey>().is_ok());
    }

    #[test]
    fn short_rsa_keys_and_old_types_are_refused() {
        assert_eq!(rsa(256).parse::<SshKey>(), Err(BadSshKey::Short(2048)));
        assert_eq!("ssh-dss AAAAB3NzaC1kc3M= x".parse::<SshKey>(), Err(BadSshKey::Type("ssh-dss".into())));
        let with_options = format!("command=\"sh\" {ED25519}");
        assert!(matches!(with_options.parse::<SshKey>(), Err(BadSshKey::Type(_))));
    }

    #[test]
    fn damaged_keys_are_refused() {
        for damage in
            [ED25519.replace("GKJl", "GKJ"), ED25519.replace("AAAAC3", "AAAAC4"), ED25519.replace("OMqq", "O!qq")]
        {
            assert_eq!(damage.parse::<SshKey>(), Err(BadSshKey::Damaged("ssh-ed25519".into())), "{damage}");
        }
        assert!(matches!("ssh-ed25519".parse::<SshKey>(), Err(BadSshKey::NotAKey(_))));
        assert!(matches!(format!("{ED25519}\n{ED25519}").parse::<SshKey>(), Err(BadSshKey::NotAKey(_))));
    }

    #[test]
    fn a_private_key_is_named_as_what_it_is() {
        assert_eq!("-----BEGIN OPENSSH PRIVATE KEY-----".parse::<SshKey>(), Err(BadSshKey::Private));
    }
}
