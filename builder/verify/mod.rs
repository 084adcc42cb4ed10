//! What an image claims of itself, and what shows that it is so: the audit, on its sealed root file system, offline and in
//! seconds; at build time the proofs, by the image's own programs ([`proof`]); and from outside, on started machines, the
//! [`lab`].
//!
//! ```text
//!  the bytes that ship ─▶ Rootfs ─▶ Audited ──▶ CHECKS, one after the other ──▶ Finding … ─▶ Report
//!  (image::read)                       │         what is found  ≠  what is wanted    │        table, JSON, JUnit
//!                       effective/*: what sshd, PHP, MariaDB, Apache, systemd,        │
//!                       fail2ban would make of the files, by their own rules           │
//!                       netfilter/*: what the kernel would do with a packet             │
//!  the recipe ─▶ Claims: which ports are open to whom ──────────────────────────────────┘
//!                        exceptions, each with its reason
//! ```
//!
//! A check reads what is in the image, and nothing of what made it so: neither overlays nor the code that writes files are
//! known here, else an answer would grade itself. It says what it found, what it wanted, and how to mend it.
//!
//! A check that applies to nothing (PHP's, on a database server) is reported as such, not as passed.

pub mod audited;
pub mod check;
pub mod checks;
pub mod claims;
pub mod configured;
pub mod effective;
pub mod junit;
pub mod lab;
pub mod netfilter;
pub mod proof;
pub mod report;
pub mod want;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::recipe::problem::did_you_mean;
use crate::rootfs::Rootfs;
use audited::Audited;
use check::{Check, Finding};
use claims::{Claims, Exception};
use report::{Excused, Outcome, Report, Verdict};

/// An exception that excuses a check that does not exist.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the recipe of `{image}` makes an exception of `{check}`, and there is no such check\nhelp: {help}")]
pub struct UnknownCheck {
    /// Of which image.
    pub image: String,
    /// The name that no check has.
    pub check: String,
    /// What may have been meant.
    pub help: String,
}

/// Runs every check on `rootfs`, which claims to be what `claims` says.
///
/// # Errors
/// An exception names a check that does not exist.
pub fn audit(rootfs: &Rootfs, claims: &Claims) -> Result<Report, UnknownCheck> {
    let known = || checks::all().map(|check| check.id);
    for exception in &claims.exceptions {
        if !known().any(|id| id == exception.check) {
            let help = did_you_mean(&exception.check, known());
            return Err(UnknownCheck {
                image: claims.image.clone(),
                check: exception.check.clone(),
                help: help.unwrap_or_else(|| "`goldsmith audit --list` shows them all".to_owned()),
            });
        }
    }
    let image = Audited::new(rootfs, claims);
    let outcomes = checks::all().map(|check| outcome(check, &image)).collect();
    Ok(Report { image: claims.image.clone(), outcomes })
}

/// What `check` says of `image`, exceptions made.
fn outcome(check: &'static Check, image: &Audited<'_>) -> Outcome {
    let exceptions: Vec<&Exception> =
        image.claims().exceptions.iter().filter(|exception| exception.check == check.id).collect();
    let applies = (check.applies)(image);
    let mut used = BTreeMap::new();
    let (mut findings, mut excused) = (Vec::new(), Vec::new());
    for finding in if applies { (check.run)(image) } else { Vec::new() } {
        match exceptions.iter().position(|exception| exception.excuses(&finding)) {
            Some(index) => {
                used.insert(index, ());
                excused.push(Excused { finding, reason: exceptions[index].reason.clone() });
            }
            None => findings.push(finding),
        }
    }
    for (_, stale) in exceptions.iter().enumerate().filter(|(index, _)| !used.contains_key(index)) {
        findings.push(Finding::new(
            stale.subject.clone().unwrap_or_else(|| "recipe".to_owned()),
            format!("an exception that excuses nothing: {}", stale.reason),
            "exceptions only for what is there",
            "take the [[exception]] out of the recipe",
        ));
    }
    let verdict = match (applies, findings.is_empty(), excused.is_empty()) {
        (_, false, _) => Verdict::Failed,
        (false, ..) => Verdict::NotApplicable,
        (true, true, false) => Verdict::Excused,
        (true, true, true) => Verdict::Passed,
    };
    Outcome { check, verdict, findings, excused }
}
