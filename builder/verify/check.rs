//! One check: what is looked at, why, and who says so.

use schemars::JsonSchema;
use serde::Serialize;

use super::audited::Audited;

/// A row of the table.
#[derive(Debug)]
pub struct Check {
    /// Its name for ever: kebab-case, the subject first: `ssh-root-login`.
    pub id: &'static str,
    /// What holds if it passes: a sentence without a full stop.
    pub title: &'static str,
    /// What would happen otherwise.
    pub why: &'static str,
    /// Who says so: a section of a benchmark, a manual page.
    pub source: &'static str,
    /// How bad it would be.
    pub severity: Severity,
    /// Whether its subject is in the image at all.
    pub applies: fn(&Audited<'_>) -> bool,
    /// Everything that is not as it should be.
    pub run: fn(&Audited<'_>) -> Vec<Finding>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody gets in, or becomes root.
    High,
    /// One of several locks is open.
    Medium,
    /// Somebody learns or wastes something.
    Low,
}

impl Severity {
    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Finding {
    /// What it is about: a path, an account, a keyword, a port.
    pub subject: String,
    /// What is there.
    pub found: String,
    /// What should be.
    pub wanted: String,
    /// What to do.
    pub mend: String,
}

impl Finding {
    /// All four.
    pub fn new(
        subject: impl Into<String>,
        found: impl Into<String>,
        wanted: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self { subject: subject.into(), found: found.into(), wanted: wanted.into(), mend: mend.into() }
    }
}
