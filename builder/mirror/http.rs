//! One request: a URL in, the answer's head and a reader of its body out.
//!
//! `file:` URLs are answered here too, so that a directory on this machine is a mirror like any other.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use ureq::http::{HeaderMap, HeaderName, Response, Uri, header};
use ureq::tls::{RootCerts, TlsConfig};

use ureq::{Agent, Body, ProxyProtocol};

use super::error::Failure;
use super::forward::ForwardConnector;
use super::proxy::{Proxies, Route, credentials, percent_decoded};
use super::resolver::OnceResolver;

/// What names us to a mirror's operator.
const USER_AGENT: &str = concat!("goldsmith/", env!("CARGO_PKG_VERSION"));

/// How often a mirror may send us elsewhere for one file.
const REDIRECTS: usize = 5;

/// How long to wait for others.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a connection (and as long for its name).
    pub connect: Duration,
    /// For the next bytes.
    pub stall: Duration,
    /// Before the second attempt; twice as long before each that follows.
    pub pause: Duration,
    /// How often to try a URL again that may work a moment later.
    pub retries: u32,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            stall: Duration::from_secs(30),
            pause: Duration::from_millis(500),
            retries: 4,
        }
    }
}

/// What is asked of a URL.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ask<'a> {
    /// Only the bytes from here on…
    pub from: u64,
    /// …if the file is still the one with this `ETag` or `Last-Modified` (RFC 9110 §13.1.5).
    pub if_range: Option<&'a str>,
    /// Not from a cache on the way.
    pub fresh: bool,
}

/// What a server says before the bytes, and then the bytes.
pub(super) struct Answer {
    /// The first byte's place in the file: 0, or what was asked for.
    pub from: u64,
    /// The size of the whole file, if the server says it.
    pub size: Option<u64>,
    /// For [`Ask::if_range`] next time.
    pub validator: Option<String>,
    /// From [`Answer::from`] to the end.
    pub body: Box<dyn Read>,
}

/// The HTTP client, shared by all threads.
#[derive(Debug)]
pub(super) struct Http {
    agent: Agent,
    proxies: Proxies,
}

impl Http {
    #[expect(clippy::disallowed_methods, reason = "the one door to the network")]
    pub(super) fn new(proxies: Proxies, patience: Patience, connections: usize) -> Self {
        // The certificates that this machine trusts, so that an inspecting proxy's own are among them.
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .user_agent(USER_AGENT)
            .proxy(None)
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_resolve(Some(patience.connect))
            .timeout_connect(Some(patience.connect))
            .timeout_per_read(Some(patience.stall))
            .timeout_per_write(Some(patience.stall))
            .max_idle_connections(2 * connections)
            .max_idle_connections_per_host(connections)
            .build();
        let connector = ForwardConnector::new(config.clone());
        Self { agent: Agent::with_parts(config, connector, <OnceResolver>::default()), proxies }
    }

    /// Asks for `url`, and follows where it leads.
    pub(super) fn get(&self, url: &str, ask: Ask) -> Result<Answer, Failure> {
        if let Some(path) = url.strip_prefix("file:") {
            return open(path);
        }
        let mut uri: Uri = url.parse().map_err(|_| Failure::Protocol("that is not a URL".to_owned()))?;
        for _ in 0..=REDIRECTS {
            let response = self.request(&uri, ask)?;
            match response.status().as_u16() {
                200 | 206 => return answer(response, ask.from),
                status @ (404 | 410) => return Err(Failure::NotFound(status)),
                416 => return Err(Failure::Range),
                407 => return Err(Failure::Proxy("it wants a user and a password (HTTP status 407)".to_owned())),
                status @ (301 | 302 | 303 | 307 | 308) => {
                    uri = text(response.headers(), &header::LOCATION)
                        .and_then(|location| joined(&uri, location))
                        .ok_or(Failure::Status(status))?;
                }
                status => return Err(Failure::Status(status)),
            }
        }
        Err(Failure::Protocol(format!("it leads elsewhere more than {REDIRECTS} times")))
    }

    fn request(&self, uri: &Uri, ask: Ask) -> Result<Response<Body>, Failure> {
        let mut request = self.agent.get(uri);
        let route = self.proxies.route(uri);
        if let Route::Forward(proxy) | Route::Tunnel(proxy) = route {
            let known = ureq::Proxy::new(proxy)?;
            if !matches!(known.protocol(), ProxyProtocol::Http | ProxyProtocol::Https) {
                let scheme = known.protocol();
                return Err(Failure::Proxy(format!("{scheme} is not spoken here, only http and https")));
            }
            request = request.config().proxy(Some(known)).build();
        }
        // Through a tunnel, this would go to the host; the crate tells the proxy itself there.
        if let Route::Forward(proxy) = route
            && let Some(user) = credentials(proxy)
        {
            request = request.header(header::PROXY_AUTHORIZATION, user);
        }
        if ask.from > 0 {
            request = request.header(header::RANGE, format!("bytes={}-", ask.from));
            if let Some(validator) = ask.if_range {
                request = request.header(header::IF_RANGE, validator);
            }
        }
        if ask.fresh {
            request = request.header(header::CACHE_CONTROL, "no-cache");
        }
        request.call().map_err(|error| match (Failure::from(error), route) {
            (
                failure @ (Failure::Unresolved | Failure::Unreachable(_)),
                Route::Forward(proxy) | Route::Tunnel(proxy),
            ) => Failure::Proxy(format!("{}: {failure}", super::shown(proxy))),
            (failure, _) => failure,
        })
    }
}

/// Where `location` leads from `base`: a URL of its own, or a path at the same host.
fn joined(base: &Uri, location: &str) -> Option<Uri> {
    let location: Uri = location.parse().ok()?;
    if location.scheme().is_some() {
        return Some(location);
    }
    let mut parts = base.clone().into_parts();
    parts.path_and_query = Some(location.path_and_query()?.clone());
    location.path().starts_with('/').then(|| Uri::from_parts(parts).ok())?
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn answer(response: Response<Body>, asked: u64) -> Result<Answer, Failure> {
    let headers = response.headers();
    let number = |name| text(headers, &name)?.trim().parse::<u64>().ok();
    let (from, size) = if response.status() == 206 {
        // `Content-Range: bytes 500-999/1000`
        let range = text(headers, &header::CONTENT_RANGE).and_then(|value| value.trim().strip_prefix("bytes "));
        let (from, rest) = range.and_then(|range| range.split_once('-')).ok_or(Failure::Range)?;
        let from = from.trim().parse().map_err(|_| Failure::Range)?;
        (from, rest.rsplit_once('/').and_then(|(_, size)| size.trim().parse().ok()))
    } else {
        (0, number(header::CONTENT_LENGTH))
    };
    if from != 0 && from != asked {
        return Err(Failure::Range);
    }
    // A weak validator says nothing about bytes.
    let etag = text(headers, &header::ETAG).filter(|etag| !etag.starts_with("W/"));
    let validator = etag.or_else(|| text(headers, &header::LAST_MODIFIED)).map(str::to_owned);
    Ok(Answer { from, size, validator, body: Box::new(response.into_body().into_reader()) })
}

/// `/srv/debian/x`, `///srv/debian/x` or `//localhost/srv/debian/x`, what follows `file:` (RFC 8089).
fn open(path: &str) -> Result<Answer, Failure> {
    let path = path.strip_prefix("//localhost").or_else(|| path.strip_prefix("//")).unwrap_or(path);
    let path = PathBuf::from(std::ffi::OsString::from_vec(percent_decoded(path)));
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Failure::NoSuchFile,
        _ => Failure::Unreachable(error),
    };
    let file = File::open(path).map_err(failed)?;
    let stat = file.metadata().map_err(failed)?;
    if !stat.is_file() {
        return Err(Failure::NoSuchFile);
    }
    Ok(Answer { from: 0, size: Some(stat.len()), validator: None, body: Box::new(file) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_leads_to_a_url_or_to_a_path_at_the_same_host() {
        let base = Uri::from_static("http://m.example/debian/x");
        assert_eq!(joined(&base, "https://other.example/y").unwrap(), "https://other.example/y");
        assert_eq!(joined(&base, "/y?z").unwrap(), "http://m.example/y?z");
        assert_eq!(joined(&base, "y"), None);
    }

    #[test]
    fn a_file_url_is_read_in_each_of_its_forms() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a b"), "bytes").unwrap();
        let path = directory.path().to_str().unwrap();
        for prefix in ["file:", "file://", "file://localhost"] {
            let http = Http::new(Proxies::default(), Patience::default(), 1);
            let mut answer = http.get(&format!("{prefix}{path}/a%20b"), Ask::default()).unwrap();
            let mut text = String::new();
            answer.body.read_to_string(&mut text).unwrap();
            assert_eq!((answer.size, &*text), (Some(5), "bytes"));
        }
        assert!(matches!(open(path), Err(Failure::NoSuchFile)));
        assert!(matches!(open("/nowhere/at/all"), Err(Failure::NoSuchFile)));
    }
}
