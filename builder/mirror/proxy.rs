//! Proxies, as the environment names them: `http_proxy`, `https_proxy`, `all_proxy`, `no_proxy` (or in upper case).
//!
//! The HTTP crate's own reading of these does not know which of them is for which scheme, does not take
//! `example.com` in `no_proxy` to mean its subdomains too, and asks every proxy to tunnel (CONNECT). The caching proxies that
//! stand before Debian mirrors refuse to tunnel plain http: they want the whole URL in the request line (RFC 9112 §3.2.2).
//! So, as apt does:
//!
//! | the URL is | and there is | then |
//! |---|---|---|
//! | `http://` | `http_proxy` | `GET http://host/path` to the proxy |
//! | `https://` | `https_proxy` | `CONNECT host:443` to the proxy, TLS inside |
//! | either | a match in `no_proxy`, or no proxy | straight to the host |

use ureq::http::Uri;

/// Which proxy to use for what.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    /// For `http://`: a URL, `http://[user:password@]host:port`.
    pub http: Option<String>,
    /// For `https://`: likewise.
    pub https: Option<String>,
    /// Hosts that are reached without: names (with their subdomains), addresses, `*`; separated by commas or blanks.
    pub except: String,
}

/// How to reach a host.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// Straight.
    Direct,
    /// By asking this proxy for the whole URL.
    Forward(&'a str),
    /// By asking this proxy for a tunnel.
    Tunnel(&'a str),
}

impl Proxies {
    /// As the environment says.
    #[expect(
        clippy::disallowed_methods,
        reason = "how to reach a mirror is the environment's to say; never a byte of an artifact"
    )]
    pub fn from_environment() -> Self {
        Self::read(|name| std::env::var(name).ok())
    }

    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| {
            let value = variable(name).or_else(|| variable(&name.to_ascii_uppercase()));
            value.filter(|value| !value.is_empty())
        };
        // `proxy:3128` is what many write; a proxy without a scheme is an http one.
        let url = |name| {
            set(name).or_else(|| set("all_proxy")).map(|value| match value.contains("://") {
                true => value,
                false => format!("http://{value}"),
            })
        };
        Self { http: url("http_proxy"), https: url("https_proxy"), except: set("no_proxy").unwrap_or_default() }
    }

    /// How to reach what `uri` names.
    pub(super) fn route(&self, uri: &Uri) -> Route<'_> {
        if self.is_excepted(uri) {
            return Route::Direct;
        }
        match uri.scheme_str() {
            Some("https") => self.https.as_deref().map_or(Route::Direct, Route::Tunnel),
            _ => self.http.as_deref().map_or(Route::Direct, Route::Forward),
        }
    }

    fn is_excepted(&self, uri: &Uri) -> bool {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        self.except.split([',', ' ', '\t', '\n']).filter(|pattern| !pattern.is_empty()).any(|pattern| {
            let pattern = pattern.to_ascii_lowercase();
            // `host:port`, but not the colons of an IPv6 address.
            let (pattern, wanted) = match pattern.rsplit_once(':').filter(|(name, _)| !name.contains(':')) {
                Some((name, number)) => (name.to_owned(), number.parse().ok()),
                None => (pattern, Some(port)),
            };
            let name = pattern.trim_start_matches("*.").trim_start_matches('.').trim_matches(['[', ']']);
            let below = host.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
            wanted == Some(port) && (name == "*" || (below && !name.is_empty()))
        })
    }
}

/// `Basic …` for a proxy's URL that names a user (RFC 7617).
pub(super) fn credentials(proxy: &str) -> Option<String> {
    let (_, rest) = proxy.split_once("://")?;
    let (user, _) = rest.rsplit_once('@')?;
    Some(format!("Basic {}", base64(&percent_decoded(user))))
}

/// `a%20b` is `a b`; what is no such escape stays.
pub(super) fn percent_decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match escaped.and_then(|two| u8::from_str_radix(two, 16).ok()).filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    bytes
}

/// RFC 4648 §4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().enumerate().fold(0, |bits, (i, &byte)| bits | u32::from(byte) << (16 - 8 * i));
        for i in 0..4 {
            let sextet = (bits >> (18 - 6 * i)) & 63;
            text.push(if i > three.len() { '=' } else { char::from(ALPHABET[sextet as usize]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(except: &str) -> Proxies {
        let variables = [("http_proxy", "cache:3142"), ("HTTPS_PROXY", "http://gate:8080"), ("no_proxy", except)];
        Proxies::read(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn each_scheme_has_its_own_proxy() {
        let proxies = proxies("");
        assert_eq!(proxies.route(&Uri::from_static("http://m.example/x")), Route::Forward("http://cache:3142"));
        assert_eq!(proxies.route(&Uri::from_static("https://m.example/x")), Route::Tunnel("http://gate:8080"));
        let none = Proxies::read(|_| None);
        assert_eq!(none.route(&Uri::from_static("http://m.example/x")), Route::Direct);
        let all = Proxies::read(|name| (name == "ALL_PROXY").then(|| "http://all:1".to_owned()));
        assert_eq!(all.route(&Uri::from_static("https://m.example/x")), Route::Tunnel("http://all:1"));
    }

    #[test]
    fn no_proxy_excepts_hosts_with_their_subdomains() {
        for (except, url, direct) in [
            ("example", "http://m.example/x", true),
            (".example", "http://m.example/x", true),
            ("*.example", "http://m.example/x", true),
            ("ample", "http://m.example/x", false),
            ("localhost, M.example", "http://m.EXAMPLE/x", true),
            ("a.m.example", "http://m.example/x", false),
            ("*", "http://m.example/x", true),
            ("m.example:8080", "http://m.example/x", false),
            ("m.example:8080", "http://m.example:8080/x", true),
            ("127.0.0.1", "http://127.0.0.1:4000/x", true),
            ("::1", "http://[::1]/x", true),
            (" , ", "http://m.example/x", false),
        ] {
            let found = proxies(except).route(&url.parse().unwrap()) == Route::Direct;
            assert_eq!(found, direct, "{url} with no_proxy={except}");
        }
    }

    #[test]
    fn a_proxys_user_goes_into_a_header() {
        let header = credentials("http://ann:p%40ss:word@cache:3142");
        assert_eq!(header.as_deref(), Some("Basic YW5uOnBAc3M6d29yZA=="));
        assert_eq!(credentials("http://cache:3142"), None);
    }

    #[test]
    fn base64_is_as_rfc_4648_writes_it() {
        let text = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        text.iter().for_each(|(plain, encoded)| assert_eq!(base64(plain.as_bytes()), *encoded));
        assert_eq!(percent_decoded("a%20b%4"), b"a b%4");
    }
}
