//! Plain http through a proxy: the whole URL in the request line (RFC 9112 §3.2.2, absolute-form).
//!
//! The HTTP crate writes `GET /path` and would ask the proxy for a tunnel. So this connects to the proxy instead of the
//! host, and puts `http://host` before the path on its way out; everything else is the crate's own.

use ureq::Error;
use ureq::config::Config;
use ureq::http::uri::Scheme;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport};

/// Connects as the crate does, but to an http URL's proxy where the request has one.
#[derive(Debug)]
pub(super) struct ForwardConnector {
    inner: DefaultConnector,
    /// How the proxy itself is connected to: without one.
    straight: Config,
}

impl ForwardConnector {
    pub(super) fn new(straight: Config) -> Self {
        Self { inner: DefaultConnector::new(), straight }
    }
}

impl Connector for ForwardConnector {
    type Out = Box<dyn Transport>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<()>) -> Result<Option<Self::Out>, Error> {
        let proxy = match details.config.proxy() {
            Some(proxy) if details.uri.scheme() == Some(&Scheme::HTTP) => proxy,
            _ => return self.inner.connect(details, chained),
        };
        let to_proxy = ConnectionDetails {
            uri: proxy.uri(),
            addrs: details.resolver.resolve(proxy.uri(), &self.straight, details.timeout)?,
            config: &self.straight,
            request_level: details.request_level,
            resolver: details.resolver,
            now: details.now,
            timeout: details.timeout,
            current_time: details.current_time.clone(),
            run_connector: details.run_connector.clone(),
            register_shutdown: details.register_shutdown.clone(),
        };
        let origin = format!("http://{}", host(details));
        let transport = self.inner.connect(&to_proxy, chained)?;
        Ok(transport.map(|inner| Box::new(Forwarded { inner, origin }) as Box<dyn Transport>))
    }
}

/// The URL's host and port, without a user.
fn host<'a>(details: &'a ConnectionDetails) -> &'a str {
    let authority = details.uri.authority().map_or("", |authority| authority.as_str());
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// A connection to a proxy, over which requests for `origin` go.
#[derive(Debug)]
struct Forwarded {
    inner: Box<dyn Transport>,
    origin: String,
}

impl Transport for Forwarded {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let amount = with_origin(self.inner.buffers().output(), amount, &self.origin)?;
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.inner.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }
}

/// Makes `GET /path` in the first `amount` bytes of `output` a `GET http://host/path`; how many bytes it has then. (There
/// are no other requests, and none has a body.)
fn with_origin(output: &mut [u8], amount: usize, origin: &str) -> Result<usize, Error> {
    const METHOD: &[u8] = b"GET ";
    if !output.starts_with(b"GET /") {
        return Ok(amount);
    }
    let after = amount + origin.len();
    if after > output.len() {
        return Err(Error::LargeResponseHeader(after, output.len()));
    }
    output.copy_within(METHOD.len()..amount, METHOD.len() + origin.len());
    output[METHOD.len()..METHOD.len() + origin.len()].copy_from_slice(origin.as_bytes());
    Ok(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_origin_goes_before_the_path_if_there_is_room() {
        let mut output = *b"GET /x HTTP/1.1\r\n\r\n............";
        assert_eq!(with_origin(&mut output, 19, "http://m").unwrap(), 27);
        assert_eq!(&output, b"GET http://m/x HTTP/1.1\r\n\r\n....");
        let mut full = *b"GET /x HTTP/1.1\r\n\r\n";
        assert!(with_origin(&mut full, 19, "http://m").is_err());
    }
}
