//! What a verification says: to people, and as JSON, JUnit XML, SARIF and an in-toto statement.
//!
//! ```text
//! Report: steps (what held, what did not) ─┬─▶ text: a table, what each host reaches, when each port opened
//!         exposure, starts                 ├─▶ json   `goldsmith schema verify`
//!                                          ├─▶ junit  a case a step          (what CI systems show)
//!                                          ├─▶ sarif  a result a finding     (what code hosts show; OASIS SARIF 2.1.0)
//!                                          └─▶ in-toto test-result v0.1: which bytes were tested, and how it went
//! ```
//!
//! But for times, the same image gives the same report.

pub mod formats;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::digest::Digest;

/// All that was seen of one image.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(title = "VerifyReport")]
pub struct Report {
    /// The image.
    pub image: String,
    /// Of what its recipe and lock say.
    #[schemars(with = "String")]
    pub plan: Digest,
    /// The files that were started, and their digests.
    #[schemars(with = "BTreeMap<String, String>")]
    pub files: BTreeMap<String, Digest>,
    /// What was held against what.
    pub steps: Vec<Step>,
    /// What each host reaches, of the machine that was told who it is.
    pub exposure: Vec<Exposure>,
    /// Who was banned.
    pub bans: Vec<Ban>,
    /// How each machine started.
    pub starts: Vec<Start>,
}

/// One thing that was held against what the recipe says.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Step {
    /// Its name.
    pub id: String,
    /// What holds if it passes.
    pub title: String,
    /// What was looked at.
    pub looked: String,
    /// How long it took, in seconds.
    #[serde(serialize_with = "seconds")]
    #[schemars(with = "f64")]
    pub took: Duration,
    /// What is not so.
    pub findings: Vec<Finding>,
}

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// What it is about.
    pub subject: String,
    /// What was found.
    pub found: String,
    /// What should have been.
    pub wanted: String,
    /// When, in seconds from power-on, if it happened at a moment.
    #[serde(serialize_with = "maybe_seconds", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<f64>")]
    pub at: Option<Duration>,
}

/// What one host reaches at one of the machine's addresses.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Exposure {
    /// Who.
    pub host: String,
    /// Where: `ipv4`, `ipv6`, `link-local`.
    pub at: &'static str,
    /// Open ports of TCP.
    pub tcp: Vec<u16>,
    /// Ports of UDP that answer.
    pub udp: Vec<u16>,
    /// Whether pings are answered.
    pub ping: bool,
    /// How many probes it took to say so.
    pub probes: usize,
}

/// Somebody who was banned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Ban {
    /// By which jail.
    pub jail: String,
    /// Who: an address.
    pub who: String,
    /// The attempt that led to it; those before did not.
    pub tries: u32,
    /// What it closes: ports of TCP, or everything.
    pub closes: String,
    /// How long after that attempt there was no answer any more, in seconds.
    #[serde(serialize_with = "seconds")]
    #[schemars(with = "f64")]
    pub after: Duration,
}

/// How one machine started.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Start {
    /// What it was told, or how it was broken.
    pub case: String,
    /// When it came where, in seconds from power-on.
    pub milestones: Vec<Moment>,
    /// When each port first refused anybody, and when it was first open to anybody: `tcp 443 open`.
    pub ports: Vec<Moment>,
}

/// Something that happened.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Moment {
    /// What.
    pub what: String,
    /// When, in seconds from power-on.
    #[serde(serialize_with = "seconds")]
    #[schemars(with = "f64")]
    pub at: Duration,
}

/// To the tenth of a second: no clock here is more exact.
fn rounded(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10.0).round() / 10.0
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(rounded(*duration))
}

fn maybe_seconds<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    duration.map(rounded).serialize(serializer)
}

/// The JSON schema of `goldsmith verify --json`: a list of reports.
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Vec<Report>)
}

impl Report {
    /// Whether everything was as it should be.
    pub fn is_clean(&self) -> bool {
        self.steps.iter().all(|step| step.findings.is_empty())
    }

    /// Writes it for people.
    ///
    /// # Errors
    /// Whatever writing gives.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        for step in &self.steps {
            let word = if step.findings.is_empty() { "ok" } else { "FAILED" };
            writeln!(out, "{word:7}{:15}{} ({}, {:.1} s)", step.id, step.title, step.looked, step.took.as_secs_f64())?;
            for finding in &step.findings {
                let when = finding.at.map_or_else(String::new, |at| format!(" at {:.1} s", at.as_secs_f64()));
                writeln!(out, "       {}", finding.subject)?;
                writeln!(out, "         found  {}{when}", finding.found)?;
                writeln!(out, "         wanted {}", finding.wanted)?;
            }
        }
        writeln!(out, "\nwho reaches {}, asked at every port of TCP and UDP:", self.image)?;
        for exposure in &self.exposure {
            let ports = |ports: &[u16]| match ports {
                [] => "nothing".to_owned(),
                _ => ports.iter().map(u16::to_string).collect::<Vec<_>>().join(" "),
            };
            let ping = if exposure.ping { "ping" } else { "no ping" };
            let (tcp, udp) = (ports(&exposure.tcp), ports(&exposure.udp));
            writeln!(out, "  {:15}{:11} tcp {tcp}; udp {udp}; {ping}", exposure.host, exposure.at)?;
        }
        if !self.bans.is_empty() {
            writeln!(out, "\nwho is banned, and how soon:")?;
        }
        for Ban { jail, who, tries, closes, after } in &self.bans {
            let after = after.as_secs_f64();
            writeln!(out, "  {jail:17}{who:24} from {closes}, {after:.1} s after attempt {tries}")?;
        }
        writeln!(out, "\nfrom power-on, in seconds:")?;
        for start in &self.starts {
            let all = |moments: &[Moment]| -> Vec<String> {
                moments.iter().map(|moment| format!("{} {:.1}", moment.what, moment.at.as_secs_f64())).collect()
            };
            writeln!(out, "  {:13}{}", start.case, all(&start.milestones).join(", "))?;
            if !start.ports.is_empty() {
                writeln!(out, "               {}", all(&start.ports).join(", "))?;
            }
        }
        let failed = self.steps.iter().filter(|step| !step.findings.is_empty()).count();
        writeln!(out, "{}: {} steps passed, {failed} failed", self.image, self.steps.len() - failed)
    }
}
