//! What can go wrong between an archive and the store, as sentences that say what to do.

use std::fmt;
use std::io;

use ureq::Timeout;

use crate::digest::Digest;
use crate::progress::bytes;
use crate::store::StoreError;

/// Something that the mirror can't do.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// What was given as a mirror is not one.
    #[error(
        "`{0}` is not the address of a mirror: it should look like http://mirror.example/debian or file:/srv/debian"
    )]
    NotAnAddress(String),

    /// More mirrors than there are archives.
    #[error("`{0}` names more than two mirrors: the first is for Debian, the second for its security archive")]
    TooManyMirrors(String),

    /// Somebody on the way could change it, and nobody would notice.
    #[error("{0} has no signature, so it is only taken by https, or from a file")]
    Unsafe(String),

    /// Nowhere could it be had.
    #[error("cannot fetch {what}: {}{}", Tried(.tried), .advice)]
    Unavailable {
        /// `InRelease of trixie`, `apache2 2.4.66-1`.
        what: String,
        /// Each URL, with why it could not be had there.
        tried: Vec<Attempt>,
        /// What to do about it.
        advice: Advice,
    },

    /// Some of many could not be had; the others are in the store.
    #[error("{} of {of} files could not be fetched (the others are in the store):{}", .errors.len(), Listed(.errors))]
    Incomplete {
        /// One for each that is missing, by name.
        errors: Vec<MirrorError>,
        /// How many were to be fetched.
        of: usize,
    },

    /// The signed Release file does not know the index.
    #[error(
        "the Release file of {suite} lists no {path} (as .xz, .gz or plain): check the components and the architecture in the recipe"
    )]
    NotListed {
        /// Suite.
        suite: String,
        /// Index, as it would be called.
        path: String,
    },

    /// The index is what the Release file promised, but what is in it is not.
    #[error("{path} of {suite} {fault}; the archive is broken there: try again later, or another mirror with --mirror")]
    BrokenIndex {
        /// Suite.
        suite: String,
        /// Index, below the Release file.
        path: String,
        /// `is not what its Release file says`.
        fault: String,
    },

    /// The store can't keep it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One URL that was tried in vain.
#[derive(Debug)]
pub struct Attempt {
    /// Without a password.
    pub url: String,
    /// Why.
    pub failure: Failure,
}

/// Why a request gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// 404 or 410.
    #[error("is not there (HTTP status {0})")]
    NotFound(u16),
    /// A local file that is not there.
    #[error("is not there")]
    NoSuchFile,
    /// Any other status that is no answer.
    #[error("was refused (HTTP status {0})")]
    Status(u16),
    /// DNS does not know the host.
    #[error("the name of the host can't be resolved")]
    Unresolved,
    /// Nobody listens, or no way leads there.
    #[error("no connection: {0}")]
    Unreachable(io::Error),
    /// It took too long.
    #[error("timed out {0}")]
    TimedOut(&'static str),
    /// The connection ended before the file did.
    #[error("the connection was closed after {got} of {size} bytes")]
    Closed {
        /// Bytes that came.
        got: u64,
        /// Bytes that were promised.
        size: u64,
    },
    /// The mirror has a file of another size there.
    #[error("is {offered} bytes there, not {promised}")]
    Size {
        /// By the lock or the Release file.
        promised: u64,
        /// By the server.
        offered: u64,
    },
    /// More came than was promised; no more than promised was read.
    #[error("is larger there than the {} that it may be", bytes(*.0))]
    TooLarge(u64),
    /// The mirror has other bytes of that size there.
    #[error("has other bytes there than it should (they have {0})")]
    Digest(Digest),
    /// It answered with another part than it was asked for.
    #[error("the server answered with another range than it was asked for")]
    Range,
    /// TLS does not hold.
    #[error(
        "no secure connection: {0}; Goldsmith verifies all that it fetches by itself, so a plain http mirror is as safe"
    )]
    Tls(String),
    /// The proxy is not reached, or does not let it through.
    #[error("fails at the proxy: {0}")]
    Proxy(String),
    /// The protocol was not followed.
    #[error("the answer makes no sense: {0}")]
    Protocol(String),
    /// Our side: the store can't keep it.
    #[error(transparent)]
    Store(StoreError),
}

/// What to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Nothing but what the failures say.
    None,
    /// A package or index that an archive replaced.
    Moved,
    /// A security archive that a given mirror does not have.
    NoSecurity,
    /// Hosts that are not reached.
    Network,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "",
            Self::Moved => {
                "; the archive has moved on: `goldsmith update` takes what it has now; a mirror, or a folder of `goldsmith vendor`, that still has it can be named with --mirror, and a snapshot archive with GOLDSMITH_SNAPSHOT"
            }
            Self::NoSecurity => {
                "; name the mirror of the security archive too: --mirror 'http://mirror.example/debian http://mirror.example/debian-security'"
            }
            Self::Network => "; check the network and http_proxy, or name another mirror with --mirror",
        })
    }
}

/// `URL failure; URL failure`.
struct Tried<'a>(&'a [Attempt]);

impl fmt::Display for Tried<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, Attempt { url, failure }) in self.0.iter().enumerate() {
            write!(f, "{}{url} {failure}", if i > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

/// The first ten, each on its line.
struct Listed<'a>(&'a [MirrorError]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        self.0.iter().take(SHOWN).try_for_each(|error| write!(f, "\n  {error}"))?;
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, "\n  … and {more} more"),
        }
    }
}

impl Failure {
    /// Whether the same request may succeed a moment later.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Status(status) => matches!(status, 408 | 425 | 429 | 500..),
            Self::Unresolved | Self::Unreachable(_) | Self::TimedOut(_) | Self::Closed { .. } => true,
            Self::Range | Self::Proxy(_) | Self::Protocol(_) => true,
            _ => false,
        }
    }

    /// Whether it is the fault of the host, so that nothing else need be asked of it.
    pub(super) fn is_of_host(&self) -> bool {
        matches!(self, Self::Unresolved | Self::Unreachable(_) | Self::TimedOut(_) | Self::Tls(_) | Self::Proxy(_))
    }

    /// Whether the mirror answered that it does not have the file.
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::NotFound(_) | Self::NoSuchFile)
    }

    /// Whether the mirror does not have the file that was promised, or another in its place.
    pub(super) fn is_another_file(&self) -> bool {
        self.is_absence() || matches!(self, Self::Size { .. } | Self::TooLarge(_) | Self::Digest(_))
    }
}

impl From<ureq::Error> for Failure {
    fn from(error: ureq::Error) -> Self {
        use ureq::Error;
        match error {
            Error::HostNotFound => Self::Unresolved,
            Error::Timeout(Timeout::Resolve) => Self::TimedOut("while its name was looked up"),
            Error::Timeout(Timeout::Connect) => Self::TimedOut("while connecting"),
            Error::Timeout(_) => Self::TimedOut("while nothing came"),
            Error::ConnectProxyFailed(reason) => Self::Proxy(reason),
            Error::InvalidProxyUrl => Self::Proxy("the proxy variable is not a URL".to_owned()),
            Error::Rustls(error) => Self::Tls(error.to_string()),
            Error::Tls(reason) => Self::Tls(reason.to_owned()),
            // The resolver's failures have no kind of their own.
            Error::Io(error) if error.to_string().contains("failed to lookup address") => Self::Unresolved,
            Error::Io(error) => match error.kind() {
                io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Self::TimedOut("while nothing came"),
                _ => Self::Unreachable(error),
            },
            Error::ConnectionFailed => Self::Unreachable(io::ErrorKind::NotConnected.into()),
            other => Self::Protocol(other.to_string()),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
