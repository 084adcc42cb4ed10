//! A small certificate authority (RFC 5280): what lets the API know the database, whatever answers at its address.
//!
//! One authority a fleet, which nobody else believes; it vouches for servers (`serverAuth`) and for nothing else, and its
//! certificates can make no others (`pathlen:0`). P-256 with SHA-256: what every client of a database or a browser knows.
//! A serial number is random (rcgen takes it from the key's hash), so that two of one name differ.

use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};

use super::secrets::{Pair, Secret};

/// How long the authority is believed, in years: it is told to each instance anew with every bundle.
const AUTHORITY_YEARS: i16 = 10;
/// How long an instance's certificate is, in days: as long as browsers believe any.
const DAYS: i64 = 397;

/// A day (UTC).
pub type Day = jiff::civil::Date;

/// Why there is no certificate, or no password.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The library's reason.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// The day is one of no calendar.
    #[error("cannot make a certificate that lives from {0} on: set this machine's clock")]
    Day(Day),
    /// The kernel gave no random numbers.
    #[error("this machine gives no random numbers: {0}")]
    Random(rustix::io::Errno),
}

/// A new authority of the fleet `fleet`, believed from `today` on.
///
/// # Errors
/// There are no random numbers.
pub fn authority(fleet: &str, today: Day) -> Result<Pair, AuthorityError> {
    let until = today.checked_add(jiff::Span::new().years(AUTHORITY_YEARS)).map_err(|_| AuthorityError::Day(today))?;
    let key = KeyPair::generate()?;
    let mut params = issuer(fleet);
    live(&mut params, today, until)?;
    let certificate = params.self_signed(&key)?.pem();
    Ok(Pair { certificate, key: Secret(key.serialize_pem()), names: vec![], until: until.to_string() })
}

/// A certificate by `authority` (of the fleet `fleet`) for a server of these names and addresses, with a new key.
///
/// # Errors
/// A name that cannot stand in a certificate; the authority's key is none; there are no random numbers.
pub fn server(fleet: &str, authority: &Pair, names: &[String], today: Day) -> Result<Pair, AuthorityError> {
    let until = today.checked_add(jiff::Span::new().days(DAYS)).map_err(|_| AuthorityError::Day(today))?;
    let issuer = Issuer::new(issuer(fleet), KeyPair::from_pem(&authority.key.0)?);
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = called(names.first().map_or(fleet, String::as_str));
    for name in names {
        params.subject_alt_names.push(match name.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(name.as_str().try_into()?),
        });
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    live(&mut params, today, until)?;
    let certificate = params.signed_by(&key, &issuer)?.pem();
    Ok(Pair { certificate, key: Secret(key.serialize_pem()), names: names.to_vec(), until: until.to_string() })
}

/// A password of 192 random bits, of letters, digits, `-` and `_`: nothing that a shell or SQL reads as its own.
///
/// # Errors
/// There are no random numbers.
pub fn password() -> Result<Secret, AuthorityError> {
    use base64::Engine;
    let mut bytes = [0; 24];
    let mut filled = 0;
    while filled < bytes.len() {
        let flags = rustix::rand::GetRandomFlags::empty();
        filled += rustix::rand::getrandom(&mut bytes[filled..], flags).map_err(AuthorityError::Random)?;
    }
    Ok(Secret(base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(bytes)))
}

/// What the authority says of itself. The same each time: a certificate is signed in its name after it was read from a file.
fn issuer(fleet: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = called(&format!("Goldsmith authority of {fleet}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A distinguished name of a common name alone, which has at most 64 characters (RFC 5280 appendix A.1).
fn called(name: &str) -> DistinguishedName {
    let mut called = DistinguishedName::new();
    called.push(DnType::CommonName, name.chars().take(64).collect::<String>());
    called
}

/// Lets a certificate be believed from the day before `today` on, since a clock may be some hours behind, up to `until`.
fn live(params: &mut CertificateParams, today: Day, until: Day) -> Result<(), AuthorityError> {
    // Each part of a civil date is in its range; a year before Christ is one of no clock.
    let start = |day: Day| date_time_ymd(day.year().into(), day.month().unsigned_abs(), day.day().unsigned_abs());
    params.not_before = start(today.yesterday().map_err(|_| AuthorityError::Day(today))?);
    params.not_after = start(until);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: Day = jiff::civil::date(2026, 11, 23);

    #[test]
    fn a_certificate_lives_as_long_as_browsers_believe_one_and_its_key_is_its_own() {
        let authority = authority("vpc", TODAY).unwrap();
        assert_eq!(authority.until, "2036-11-23");
        let names = ["db-1".to_owned(), "10.0.0.20".to_owned()];
        let (one, two) =
            (server("vpc", &authority, &names, TODAY).unwrap(), server("vpc", &authority, &names, TODAY).unwrap());
        assert_eq!((one.until.as_str(), one.names.as_slice()), ("2027-12-25", names.as_slice()));
        assert!(one.key != two.key && one.certificate != two.certificate && one.key != authority.key);
        assert!(
            one.certificate.starts_with("-----BEGIN CERTIFICATE-----\n")
                && one.key.0.starts_with("-----BEGIN PRIVATE KEY")
        );
    }

    #[test]
    fn a_name_that_no_certificate_can_hold_is_refused() {
        let authority = authority("vpc", TODAY).unwrap();
        assert!(server("vpc", &authority, &["bücher".to_owned()], TODAY).is_err());
    }

    #[test]
    fn passwords_are_long_and_differ() {
        let (one, two) = (password().unwrap(), password().unwrap());
        assert!(
            one != two
                && one.0.len() == 32
                && one.0.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        );
    }
}
