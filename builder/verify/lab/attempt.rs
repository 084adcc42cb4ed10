//! Attempts that fail, as an attacker makes them: logins by SSH, logins to a database, requests.
//!
//! ```text
//! Ssh    ─▶ OpenSSH of the toolbox, with a key that opens nothing   ─▶ how it was refused
//! Mysql  ─▶ TLS (rustls), a password that is none                   ─▶ the server's error: number and text
//! Http   ─▶ the request, as it stands                               ─▶ the first line of the answer
//! Https  ─▶ the same in TLS
//! ```
//!
//! Whose certificate it is does not matter to an attacker, and so to nothing here. Sources: ssh(1); MariaDB's documentation of
//! the connection phase of the client's protocol; RFC 9112.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};

use super::call::Doorway;
use crate::machine::{Host, MachineError};
use crate::recipe::fail2ban::Attempt;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a client of MySQL says that it can: a long password, a schema, protocol 4.1, TLS, a secure connection, and the name of
/// how it proves itself.
const ABILITIES: u32 = 0x1 | 0x8 | 0x200 | 0x800 | 0x8000 | 0x8_0000;

/// Who is asked, where nobody says.
const HOST: &str = "verified";

/// utf8mb4.
const CHARACTERS: u8 = 45;

/// A packet that says that something is wrong.
const ERROR: u8 = 0xff;

/// Makes `attempt` at `door`; what it was answered, or why it was not. `host` has a key that opens nothing.
///
/// # Errors
/// ssh cannot be started.
pub fn made(attempt: &Attempt, door: &Doorway, host: &Host<'_>) -> Result<String, MachineError> {
    let said = match attempt {
        Attempt::Ssh(user) => return ssh(host, (user, door), "true").map(|(said, _)| said),
        Attempt::Mysql(user) => mysql(door, user),
        Attempt::Http(request) => door.connect(PATIENCE).and_then(|stream| asked(stream, request)),
        Attempt::Https(request) => door.connect(PATIENCE).and_then(encrypted).and_then(|stream| asked(stream, request)),
        // Made by making those of the other jail.
        Attempt::Bans(_) => Ok(String::new()),
    };
    Ok(said.unwrap_or_else(|cause| format!("no answer: {cause}")))
}

/// Logs in as a user with the key in the scratch directory of `host`, and runs `command`: the last line that was said, and
/// whether it was let in.
///
/// # Errors
/// ssh cannot be started.
pub fn ssh(host: &Host<'_>, (user, door): (&str, &Doorway), command: &str) -> Result<(String, bool), MachineError> {
    let (port, who) = (door.address().port().to_string(), format!("{user}@{}", door.address().ip()));
    let key = Path::new("/mnt").join(crate::machine::KEY);
    let options = [
        "BatchMode=yes",
        "IdentitiesOnly=yes",
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "LogLevel=ERROR",
        "ConnectTimeout=20",
    ];
    let mut argv = vec!["ssh".to_owned(), "-F".to_owned(), "none".to_owned(), "-p".to_owned(), port];
    argv.extend(["-i".to_owned(), key.display().to_string()]);
    argv.extend(options.iter().flat_map(|option| ["-o".to_owned(), (*option).to_owned()]));
    argv.extend([who, command.to_owned()]);
    let done = host.reaching_loopback().run(&argv)?;
    let said = done.text.trim().lines().last().unwrap_or_default().to_owned();
    Ok((said, done.status.success()))
}

/// Asks by HTTPS; the status of the answer, and its body.
///
/// # Errors
/// There is none, or none of HTTP/1.
pub fn exchanged(door: &Doorway, request: &str) -> io::Result<(u16, String)> {
    let (head, body) = request.split_once("\n\n").unwrap_or((request, ""));
    let mut stream = door.connect(PATIENCE).and_then(encrypted)?;
    let head = format!("{head}\nHost: {HOST}\nConnection: close\nContent-Length: {}\n\n", body.len());
    stream.write_all(head.replace('\n', "\r\n").as_bytes())?;
    stream.write_all(body.as_bytes())?;
    stream.flush()?;
    let mut bytes = Vec::new();
    // Who ends the connection without a word of TLS has said all.
    match stream.read_to_end(&mut bytes) {
        Err(cause) if cause.kind() != io::ErrorKind::UnexpectedEof => return Err(cause),
        _ => {}
    }
    let text = String::from_utf8_lossy(&bytes);
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an answer of HTTP/1"))?;
    Ok((status, text.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned()))
}

/// The first line of the answer to a request.
fn asked(mut stream: impl Read + Write, request: &str) -> io::Result<String> {
    let host = match request.to_ascii_lowercase().contains("\nhost:") {
        true => String::new(),
        false => format!("\nHost: {HOST}"),
    };
    stream.write_all(format!("{request}{host}\nConnection: close\n\n").replace('\n', "\r\n").as_bytes())?;
    stream.flush()?;
    let mut bytes = [0; 512];
    let read = stream.read(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes[..read]);
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Tries to log in with a password of twenty bytes that are nobody's; the server's error.
fn mysql(door: &Doorway, user: &str) -> io::Result<String> {
    let mut stream = door.connect(PATIENCE)?;
    let greeting = packet(&mut stream)?;
    if greeting.first() == Some(&ERROR) {
        return Ok(error(&greeting));
    }
    let head = [&ABILITIES.to_le_bytes()[..], &0x0100_0000_u32.to_le_bytes(), &[CHARACTERS], &[0; 23]].concat();
    stream.write_all(&numbered(1, &head))?;
    let mut stream = encrypted(stream)?;
    let answer = [&head[..], user.as_bytes(), &[0, 20], &[0x67; 20], b"mysql\0", b"mysql_native_password\0"].concat();
    stream.write_all(&numbered(2, &answer))?;
    stream.flush()?;
    let mut said = packet(&mut stream)?;
    // It wants another kind of proof: none is given.
    if said.first() == Some(&0xfe) {
        stream.write_all(&numbered(4, &[0x67; 20]))?;
        stream.flush()?;
        said = packet(&mut stream)?;
    }
    match said.first() {
        Some(&ERROR) => Ok(error(&said)),
        Some(0) => Ok("let in".to_owned()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "not an answer to a login")),
    }
}

/// A packet of MySQL's protocol: its length, its number, and what is in it.
fn numbered(number: u8, bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    [&length[..3], &[number], bytes].concat()
}

fn packet(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = [0; 4];
    stream.read_exact(&mut head)?;
    let length = usize::try_from(u32::from_le_bytes([head[0], head[1], head[2], 0])).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// `1045 Access denied for user …`
fn error(packet: &[u8]) -> String {
    let number = packet.get(1..3).map_or(0, |number| u16::from_le_bytes([number[0], number[1]]));
    let text = String::from_utf8_lossy(packet.get(3..).unwrap_or_default()).into_owned();
    // `#` and five letters, of which the number says as much.
    format!("{number} {}", text.strip_prefix('#').and_then(|text| text.get(5..)).unwrap_or(&text))
}

/// The same connection in TLS, with whoever is there.
fn encrypted<S: Read + Write>(stream: S) -> io::Result<StreamOwned<ClientConnection, S>> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    let config =
        config.map_err(io::Error::other)?.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)));
    let name = ServerName::try_from(HOST).map_err(io::Error::other)?;
    let connection = ClientConnection::new(Arc::new(config.with_no_client_auth()), name).map_err(io::Error::other)?;
    Ok(StreamOwned::new(connection, stream))
}

/// Believes every certificate: an attacker does not ask whom he attacks.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers one thing, and keeps what it was asked.
    struct Server(Vec<u8>, &'static [u8]);

    impl Read for Server {
        fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
            self.1.read(bytes)
        }
    }

    impl Write for Server {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_request_goes_out_as_it_stands_and_its_answers_first_line_comes_back() {
        let mut server = Server(Vec::new(), b"HTTP/1.1 403 Forbidden\r\nDate: x\r\n\r\n");
        assert_eq!(asked(&mut server, "GET /%2e%2e HTTP/1.1\nUser-Agent: x").unwrap(), "HTTP/1.1 403 Forbidden");
        let request = "GET /%2e%2e HTTP/1.1\r\nUser-Agent: x\r\nHost: verified\r\nConnection: close\r\n\r\n";
        assert_eq!(String::from_utf8(server.0).unwrap(), request);
        let mut named = Server(Vec::new(), b"x\n");
        asked(&mut named, "GET / HTTP/1.1\nHost: own").unwrap();
        assert!(!String::from_utf8(named.0).unwrap().contains("verified"));
        assert!(asked(Server(Vec::new(), b""), "GET / HTTP/1.1").is_err());
    }

    #[test]
    fn a_packet_of_mysqls_is_its_length_its_number_and_what_is_in_it() {
        assert_eq!(numbered(2, b"abc"), [3, 0, 0, 2, b'a', b'b', b'c']);
        assert_eq!(packet(&mut &numbered(2, b"abc")[..]).unwrap(), b"abc");
        assert!(packet(&mut &numbered(2, b"abc")[..6]).is_err());
        let denied = [&[ERROR, 0x15, 4][..], b"#28000Access denied for user 'app'@'10.1.0.1'"].concat();
        assert_eq!(error(&denied), "1045 Access denied for user 'app'@'10.1.0.1'");
        assert_eq!(error(&[&[ERROR, 0x6a, 4][..], b"Host is not allowed"].concat()), "1130 Host is not allowed");
    }
}
