//! Machine architectures, by each name that a format has for them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An architecture that an image can be built for, by Debian's name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// 64-bit x86.
    #[default]
    Amd64,
}

impl Arch {
    /// Debian's name (`dpkg --print-architecture`).
    pub const fn debian(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
        }
    }

    /// The OCI image-spec's name (Go's `GOARCH`).
    pub const fn oci(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
        }
    }

    /// The architecture of this machine, if images can be built for it: maintainer scripts run on it.
    pub fn host() -> Option<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Some(Self::Amd64),
            _ => None,
        }
    }
}
