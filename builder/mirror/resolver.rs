//! Names of hosts, looked up once.
//!
//! The HTTP crate looks a name up before each request, even where it then goes on over a connection that is open already.
//! For 250 packages from one mirror that was measured to be the longest part of fetching them (15 s of 16), so here the
//! first answer stays, as long as this program's run. Failures do not stay: the next attempt asks again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// A resolver (the system's), and what it said.
#[derive(Default)]
pub(super) struct OnceResolver<R = DefaultResolver> {
    inner: R,
    known: Mutex<BTreeMap<String, ResolvedSocketAddrs>>,
}

impl<R> std::fmt::Debug for OnceResolver<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OnceResolver").finish_non_exhaustive()
    }
}

impl<R: Resolver> Resolver for OnceResolver<R> {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri.scheme().zip(uri.authority());
        let Some(host) = host.and_then(|(scheme, authority)| DefaultResolver::host_and_port(scheme, authority)) else {
            return self.inner.resolve(uri, config, timeout);
        };
        // Held while asking: eight threads that start together ask once.
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(addresses) = known.get(&host) {
            return Ok(addresses.clone());
        }
        let addresses = self.inner.resolve(uri, config, timeout)?;
        known.insert(host, addresses.clone());
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// Knows all hosts but `unknown`, and how often it was asked.
    #[derive(Debug, Default)]
    struct Counting(AtomicU32);

    impl Resolver for Counting {
        fn resolve(&self, uri: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
            self.0.fetch_add(1, Ordering::SeqCst);
            let mut addresses = self.empty();
            addresses.push(([127, 0, 0, 1], 80).into());
            if uri.host() == Some("unknown") { Err(Error::HostNotFound) } else { Ok(addresses) }
        }
    }

    #[test]
    fn a_host_is_looked_up_once_but_a_failure_does_not_stay() {
        let resolver = OnceResolver::<Counting>::default();
        let ask = |uri: &'static str| {
            let known = resolver.resolve(&Uri::from_static(uri), &Config::default(), NextTimeout::default()).is_ok();
            (known, resolver.inner.0.load(Ordering::SeqCst))
        };
        assert_eq!(ask("http://m.example/x"), (true, 1));
        assert_eq!(ask("http://m.example/y"), (true, 1));
        assert_eq!(ask("http://m.example:8080/x"), (true, 2));
        assert_eq!(ask("http://unknown/"), (false, 3));
        assert_eq!(ask("http://unknown/"), (false, 4));
    }
}
