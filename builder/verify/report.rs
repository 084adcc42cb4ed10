//! What an audit says, to people and to machines. The same image gives the same bytes.

use std::io::{self, Write};

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::check::{Check, Finding, Severity};

/// What all checks said of one image.
#[derive(Debug)]
pub struct Report {
    /// The image.
    pub image: String,
    /// One for each check, in the order of the table.
    pub outcomes: Vec<Outcome>,
}

/// What one check said.
#[derive(Debug)]
pub struct Outcome {
    /// Which.
    pub check: &'static Check,
    /// In a word.
    pub verdict: Verdict,
    /// What is not as it should be.
    pub findings: Vec<Finding>,
    /// What is not as it should be, and meant to be so.
    pub excused: Vec<Excused>,
}

/// What a check says in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Everything is as it should be.
    Passed,
    /// Something is not.
    Failed,
    /// Something is not, and the recipe says why.
    Excused,
    /// There is nothing in the image that it could be about.
    NotApplicable,
}

/// A finding that the recipe makes an exception of.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Excused {
    /// What it is.
    #[serde(flatten)]
    pub finding: Finding,
    /// Why it is meant to be so: the recipe's words.
    pub reason: String,
}

/// `--json`: one object an image.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "AuditReport")]
struct Shown<'a> {
    /// The image.
    image: &'a str,
    /// How many checks passed.
    passed: usize,
    /// How many checks found something.
    failed: usize,
    /// How many checks found only what the recipe makes exceptions of.
    excused: usize,
    /// How many checks have nothing to look at in this image.
    not_applicable: usize,
    /// One for each check, in the order of the table.
    checks: Vec<ShownCheck<'a>>,
}

/// What one check said.
#[derive(Serialize, JsonSchema)]
struct ShownCheck<'a> {
    /// Its name.
    id: &'a str,
    /// What holds if it passes.
    title: &'a str,
    /// What would happen otherwise.
    why: &'a str,
    /// Who says so.
    source: &'a str,
    /// How bad a finding is.
    severity: Severity,
    /// What it said.
    verdict: Verdict,
    /// What is not as it should be.
    findings: &'a [Finding],
    /// What is not as it should be, and meant to be so.
    excused: &'a [Excused],
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let checks = self.outcomes.iter().map(|outcome| ShownCheck {
            id: outcome.check.id,
            title: outcome.check.title,
            why: outcome.check.why,
            source: outcome.check.source,
            severity: outcome.check.severity,
            verdict: outcome.verdict,
            findings: &outcome.findings,
            excused: &outcome.excused,
        });
        let shown = Shown {
            image: &self.image,
            passed: self.count(Verdict::Passed),
            failed: self.count(Verdict::Failed),
            excused: self.count(Verdict::Excused),
            not_applicable: self.count(Verdict::NotApplicable),
            checks: checks.collect(),
        };
        shown.serialize(serializer)
    }
}

/// The JSON schema of `goldsmith audit --json`: a list of reports.
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Vec<Shown<'_>>)
}

impl Report {
    /// How many checks came to this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.verdict == verdict).count()
    }

    /// Whether no check found anything that the recipe does not make an exception of.
    pub fn is_clean(&self) -> bool {
        self.count(Verdict::Failed) == 0
    }

    /// Writes it for people: what was found, then what is excused, then the count. `every` shows also what passed.
    ///
    /// # Errors
    /// Whatever writing gives.
    pub fn write(&self, out: &mut dyn Write, every: bool) -> io::Result<()> {
        for outcome in &self.outcomes {
            let check = outcome.check;
            let word = match outcome.verdict {
                Verdict::Passed if every => "ok",
                Verdict::NotApplicable if every => "n/a",
                Verdict::Excused => "excused",
                Verdict::Failed => check.severity.name(),
                _ => continue,
            };
            writeln!(out, "{word:8} {}  {}", check.id, check.title)?;
            if outcome.verdict == Verdict::Failed {
                writeln!(out, "         why      {} ({})", check.why, check.source)?;
            }
            for finding in &outcome.findings {
                writeln!(out, "         {}", finding.subject)?;
                writeln!(out, "           found  {}", finding.found)?;
                writeln!(out, "           wanted {}", finding.wanted)?;
                writeln!(out, "           mend   {}", finding.mend)?;
            }
            for excused in &outcome.excused {
                writeln!(out, "         {}", excused.finding.subject)?;
                writeln!(out, "           found  {}", excused.finding.found)?;
                writeln!(out, "           meant  {}", excused.reason)?;
            }
        }
        let count = |verdict| self.count(verdict);
        let findings: usize = self.outcomes.iter().map(|outcome| outcome.findings.len()).sum();
        writeln!(
            out,
            "{}: {} checks passed, {} failed ({findings} findings), {} excused, {} not applicable",
            self.image,
            count(Verdict::Passed),
            count(Verdict::Failed),
            count(Verdict::Excused),
            count(Verdict::NotApplicable)
        )
    }
}
