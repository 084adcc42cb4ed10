//! What a cloud wants of an image, and how the image is handed over to it. Nothing here speaks to a cloud, or holds a key.
//!
//! ```text
//! recipe ──┐                      ┌─▶ rules: each import rule of the target ─▶ what is not as it wants it (check --target)
//! Rootfs ──┼─▶ Subject, Target ───┤
//! disk.* ──┘                      └─▶ handoff: the commands of the provider's own client, for a person (import)
//! ```
//!
//! An import fails late: hours after an upload, or at the first boot, on a console that nobody sees. So every rule that can
//! be looked at beforehand is one row of [`rules::RULES`], with who says so. What is not built yet is not judged, and the
//! report says that it was not.

mod disk;
pub mod handoff;
mod initramfs;
pub mod mock;
pub mod rules;

#[cfg(test)]
mod tests;

use std::io;

use serde::Serialize;

use crate::image::disk::Definition;
use crate::recipe::{Recipe, Target};
use crate::verify::audited::Audited;
use crate::verify::check::Finding;

pub use disk::{Partition, Role, Root, Written};

/// What there is of an image, for one target.
#[derive(Debug)]
pub struct Subject<'a> {
    /// Where it is to start.
    pub target: Target,
    /// What is wished for.
    pub recipe: &'a Recipe,
    /// The disk that the recipe wishes for; none, if it names no target at all.
    pub disk: Option<Definition>,
    /// The root file system, if it is built.
    pub rootfs: Option<Audited<'a>>,
    /// The disk, if it is written.
    pub written: Option<Written>,
}

/// A row of the table.
#[derive(Debug)]
pub struct Rule {
    /// Its name for ever: kebab-case.
    pub id: &'static str,
    /// What holds if it is kept: a sentence without a full stop.
    pub title: &'static str,
    /// Who says so.
    pub source: &'static str,
    /// Whose rule it is.
    pub targets: &'static [Target],
    /// Everything that is not so; none at all, if what it looks at is not there yet.
    pub look: fn(&Subject<'_>) -> Option<Vec<Finding>>,
}

/// What one rule says of an image.
#[derive(Debug, Serialize)]
pub struct Judged {
    /// The rule.
    pub id: &'static str,
    /// What should hold.
    pub title: &'static str,
    /// Who says so.
    pub source: &'static str,
    /// What is not so; none, if what the rule looks at is not built yet.
    pub findings: Option<Vec<Finding>>,
}

/// What all rules of one target say of one image.
#[derive(Debug, Serialize)]
pub struct Judgement {
    /// The image.
    pub image: String,
    /// For whom.
    pub target: Target,
    /// One for each rule of the target, in the order of the table.
    pub rules: Vec<Judged>,
}

/// Holds `subject` against every rule of its target.
pub fn judge(subject: &Subject<'_>) -> Judgement {
    let own = rules::RULES.iter().filter(|rule| rule.targets.contains(&subject.target));
    let judged = |rule: &Rule| {
        let Rule { id, title, source, .. } = *rule;
        Judged { id, title, source, findings: (rule.look)(subject) }
    };
    Judgement { image: subject.recipe.name.clone(), target: subject.target, rules: own.map(judged).collect() }
}

impl Judgement {
    /// Whether no rule found anything.
    pub fn is_clean(&self) -> bool {
        self.rules.iter().all(|rule| rule.findings.as_ref().is_none_or(Vec::is_empty))
    }

    /// Writes it for people: what is not as the target wants it, then the count.
    ///
    /// # Errors
    /// Whatever writing gives.
    pub fn write(&self, out: &mut dyn io::Write) -> io::Result<()> {
        for rule in &self.rules {
            let findings = rule.findings.as_deref().unwrap_or_default();
            if !findings.is_empty() {
                writeln!(out, "{}  {} ({})", rule.id, rule.title, rule.source)?;
            }
            for finding in findings {
                writeln!(out, "         {}", finding.subject)?;
                writeln!(out, "           found  {}", finding.found)?;
                writeln!(out, "           wanted {}", finding.wanted)?;
                writeln!(out, "           mend   {}", finding.mend)?;
            }
        }
        let broken =
            self.rules.iter().filter(|rule| rule.findings.as_ref().is_some_and(|found| !found.is_empty())).count();
        let unseen = self.rules.iter().filter(|rule| rule.findings.is_none()).count();
        let kept = self.rules.len() - broken - unseen;
        write!(out, "{} for {}: {kept} rules kept, {broken} broken", self.image, self.target.name())?;
        match unseen {
            0 => writeln!(out),
            _ => writeln!(out, ", {unseen} not looked at: `goldsmith build {}` makes what they look at", self.image),
        }
    }
}
