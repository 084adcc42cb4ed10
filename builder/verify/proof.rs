//! Proofs at build time: the image's own programs read its configuration, before there is an image.
//!
//! ```text
//! Rootfs ──throw-away copy──▶ sandbox: iptables-restore --test, fail2ban-client, sshd -t, apache2ctl configtest, …
//!            (rootfs/copy.rs)    │ side by side, each in namespaces of its own, without a network
//!                                ▼
//!              what each says ──judge──▶ proved (remembered by the digest of the root file system), or Unproved
//! ```
//!
//! What a proof is, stands in [`table`]; the jails' are computed from the recipe ([`jails`]). Nothing here reads what laid
//! the files: a program of the image says whether they are right.

mod jails;
mod table;

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::digest::Digest;
use crate::progress::Total;
use crate::recipe::fail2ban::Fail2ban;
use crate::rootfs::Rootfs;
use crate::rootfs::copy::{Copy, CopyError};
use crate::rootfs::tree::{Tree, Workshop};
use crate::sandbox::{Output, Sandbox, SandboxError};
use crate::store::StoreError;

pub use table::{PROOFS, Proof};

/// The sources that decide what is proved: another version of them proves again.
const MADE_BY: [&str; 7] = [
    include_str!("proof.rs"),
    include_str!("proof/table.rs"),
    include_str!("proof/jails.rs"),
    include_str!("proof/apache.sh"),
    include_str!("proof/cloud-init.sh"),
    include_str!("proof/units.sh"),
    include_str!("proof/bans.sh"),
];

/// What is to be proved.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The image's name.
    pub image: &'a str,
    /// Its sealed root file system.
    pub rootfs: &'a Rootfs,
    /// The digest of its listing.
    pub digest: Digest,
    /// The tree on disk that it was made from.
    pub tree: &'a Tree,
    /// The jails that its recipe claims.
    pub fail2ban: &'a Fail2ban,
}

/// One run of a program of the image.
#[derive(Clone, Debug)]
struct Trial {
    /// The proof that it is part of, and of which jail.
    id: String,
    /// What it shows, after "it is not proved that".
    proves: String,
    /// Where the text that is tried comes from.
    from: String,
    /// For `sh -euc`.
    script: String,
    /// What the program must say.
    judge: Judge,
}

/// How a program's answer is read. Always, it must end with exit code 0, but for those that count lines.
#[derive(Clone, Debug)]
enum Judge {
    /// That is enough.
    Succeeds,
    /// It says nothing, but for lines with one of these, which the sandbox is the reason of.
    Silent(&'static [&'static str]),
    /// fail2ban-regex finds this many failures.
    Finds(usize),
}

/// What was not proved.
#[derive(Debug)]
pub struct Failure {
    /// The proof.
    pub id: String,
    proves: String,
    from: String,
    said: String,
}

/// Why an image is not proved.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// A program of the image says otherwise.
    #[error("{image}: {} of {all} proofs failed; no image was written\n{}", failures.len(), failures.iter().map(Failure::to_string).collect::<String>().trim_end())]
    Unproved {
        /// The image.
        image: String,
        /// How many proofs there are.
        all: usize,
        /// Which, and what was said.
        failures: Vec<Failure>,
    },
    /// The recipe has jails, and nobody to keep them.
    #[error(
        "{image} has no fail2ban, and its recipe has jails\nhelp: add `fail2ban`, `nftables` and `python3-systemd` to its packages"
    )]
    NoFail2ban {
        /// The image.
        image: String,
    },
    /// There is no copy to prove.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// No program can be run.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The store fails.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {}: it is not proved that {}", self.id, self.proves)?;
        for line in self.said.lines() {
            writeln!(f, "      {line}")?;
        }
        writeln!(f, "    the text comes from {}", self.from)?;
        if NO_NF_TABLES.iter().any(|sign| self.said.contains(sign)) {
            writeln!(
                f,
                "    help: the kernel of this machine has no nf_tables: `modprobe nf_tables nft_compat`, as its root"
            )?;
        }
        Ok(())
    }
}

/// What nft(8) and iptables-nft say where the kernel knows no nf_tables.
const NO_NF_TABLES: [&str; 3] = ["rule set generation id", "Operation not supported", "Protocol not supported"];

/// Proves all that applies to `subject`, unless it was proved before; how many proofs there are.
///
/// # Errors
/// Whatever is not proved, all of it; or programs cannot be run here.
pub fn prove(subject: &Subject<'_>, workshop: &Workshop) -> Result<usize, ProofError> {
    let trials = trials(subject)?;
    let key = Digest::of(format!("{} {}", subject.digest, claims(subject.fail2ban)).as_bytes());
    if workshop.store.record("proof", key)?.is_some() {
        workshop.progress.verbose(&format!("prove: {} was proved before", subject.image));
        return Ok(trials.len());
    }
    let step = workshop.progress.step("prove", Total::Items(trials.len() as u64));
    let scratch = workshop.store.scratch()?;
    let copy = Copy::of(workshop.namespace, &subject.tree.root, scratch.path(), Some((subject.tree, subject.rootfs)))?;
    let sandbox = Sandbox::new(workshop.namespace, copy.root());
    let answers = side_by_side(&trials, workshop.jobs, |trial| {
        let output = sandbox.run(&["/bin/sh", "-euc", &trial.script]);
        step.inc(1);
        output
    });
    drop(copy);
    let mut failures = Vec::new();
    for (trial, answer) in trials.iter().zip(answers) {
        if let Err(said) = trial.judge.judge(&answer?) {
            let Trial { id, proves, from, .. } = trial.clone();
            failures.push(Failure { id, proves, from, said });
        }
    }
    if !failures.is_empty() {
        return Err(ProofError::Unproved { image: subject.image.to_owned(), all: trials.len(), failures });
    }
    workshop.store.set_record("proof", key, b"proved\n")?;
    step.done(&format!("{} proofs", trials.len()));
    Ok(trials.len())
}

/// Of what `fail2ban` claims, and of the code that proves it and all else.
pub fn claims(fail2ban: &Fail2ban) -> Digest {
    // Plain structs of strings, numbers, maps and lists: writing them cannot fail.
    let claims = serde_json::to_vec(fail2ban).unwrap_or_default();
    Digest::of(format!("{} {}", Digest::of(&claims), Digest::of(MADE_BY.concat().as_bytes())).as_bytes())
}

/// All trials that apply.
fn trials(subject: &Subject<'_>) -> Result<Vec<Trial>, ProofError> {
    let has = |path: &str| match path.strip_suffix('*') {
        Some(start) => {
            let mut from = subject.rootfs.entries().range(start.to_owned()..);
            from.next().is_some_and(|(path, _)| path.starts_with(start))
        }
        None => subject.rootfs.entries().contains_key(path),
    };
    // Those of the jails first: they take longest.
    let mut trials = match has("usr/bin/fail2ban-client") {
        true => jails::trials(subject.fail2ban),
        false if subject.fail2ban.jails.is_empty() => Vec::new(),
        false => return Err(ProofError::NoFail2ban { image: subject.image.to_owned() }),
    };
    trials.extend(PROOFS.iter().filter(|proof| proof.needs.iter().all(|path| has(path))).map(Proof::trial));
    Ok(trials)
}

/// What `run` says to each of `trials`, in their order, on `jobs` threads.
fn side_by_side<R: Send>(trials: &[Trial], jobs: usize, run: impl Fn(&Trial) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, trials.len().max(1)) {
            scope.spawn(|| {
                while let Some((number, trial)) =
                    Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((at, trials.get(at)?)))
                {
                    let answer = run(trial);
                    answers.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((number, answer));
                }
            });
        }
    });
    let mut answers = answers.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    answers.sort_by_key(|(number, _)| *number);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

impl Judge {
    /// What was said, where that is not what it must be.
    fn judge(&self, output: &Output) -> Result<(), String> {
        let ended = match output.status.code() {
            Some(0) => Ok(()),
            Some(code) => Err(format!("{}\n(exit code {code})", last_lines(&output.text))),
            None => Err(last_lines(&output.text)),
        };
        match self {
            Self::Succeeds => ended,
            Self::Silent(known) => {
                ended?;
                let mut said = output.text.lines().filter(|line| !line.trim().is_empty());
                match said.any(|line| !known.iter().any(|known| line.contains(known))) {
                    true => Err(last_lines(&output.text)),
                    false => Ok(()),
                }
            }
            Self::Finds(wanted) => match found(&output.text) {
                Some(found) if found == *wanted => Ok(()),
                Some(found) => Err(format!("{}\n({found} lines are failures)", listed_lines(&output.text))),
                None => Err(last_lines(&output.text)),
            },
        }
    }
}

/// How many lines matched, as fail2ban-regex(1) sums up: `Lines: 3 lines, 0 ignored, 2 matched, 1 missed`.
fn found(text: &str) -> Option<usize> {
    let sum = text.lines().find_map(|line| line.strip_prefix("Lines: "))?;
    sum.split(", ").find_map(|part| part.strip_suffix(" matched"))?.parse().ok()
}

/// The lines that fail2ban-regex(1) lists because it was asked to, behind `|  `.
fn listed_lines(text: &str) -> String {
    let lists = text.lines().skip_while(|line| !line.starts_with("Lines: "));
    lists.filter_map(|line| line.strip_prefix("|  ")).collect::<Vec<_>>().join("\n")
}

/// What a person reads of a program that failed.
fn last_lines(text: &str) -> String {
    const SHOWN: usize = 12;
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() { "it said nothing".to_owned() } else { lines[lines.len().saturating_sub(SHOWN)..].join("\n") }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    fn output(code: i32, text: &str) -> Output {
        Output { status: ExitStatus::from_raw(code << 8), text: text.to_owned() }
    }

    const SUM: &str = "Results\n|  1) [2] not this\n\nLines: 3 lines, 0 ignored, 2 matched, 1 missed\n[processed in 0.01 sec]\n\
                       |- Missed line(s):\n|  a line\n`-\n";

    #[test]
    fn what_ends_otherwise_than_with_0_is_not_proved() {
        assert_eq!(Judge::Succeeds.judge(&output(0, "anything")), Ok(()));
        assert_eq!(Judge::Succeeds.judge(&output(2, "line 3: no\n")), Err("line 3: no\n(exit code 2)".to_owned()));
        assert_eq!(Judge::Silent(&[]).judge(&output(1, "")), Err("it said nothing\n(exit code 1)".to_owned()));
    }

    #[test]
    fn what_must_be_silent_may_say_only_what_is_known() {
        let judge = Judge::Silent(&["no network here"]);
        assert_eq!(judge.judge(&output(0, "\nwarning: no network here\n")), Ok(()));
        assert!(judge.judge(&output(0, "warning: no network here\nwarning: x\n")).is_err());
    }

    #[test]
    fn failures_are_counted_as_fail2ban_counts_them() {
        assert_eq!(Judge::Finds(2).judge(&output(0, SUM)), Ok(()));
        assert_eq!(Judge::Finds(3).judge(&output(0, SUM)), Err("a line\n(2 lines are failures)".to_owned()));
        assert_eq!(Judge::Finds(0).judge(&output(255, "no such filter\n")), Err("no such filter".to_owned()));
    }

    #[test]
    fn only_the_end_of_a_long_answer_is_shown() {
        let text: String = (0..100).map(|line| format!("{line}\n\n")).collect();
        assert_eq!(last_lines(&text).lines().next(), Some("88"));
    }

    #[test]
    fn answers_come_in_the_order_of_their_trials() {
        let trials = jails::trials(&Fail2ban::default());
        let trials: Vec<Trial> = PROOFS.iter().map(Proof::trial).chain(trials).collect();
        let ids: Vec<String> = trials.iter().map(|trial| trial.id.clone()).collect();
        assert_eq!(side_by_side(&trials, 7, |trial| trial.id.clone()), ids);
        assert_eq!(side_by_side(&[], 7, |trial| trial.id.clone()), Vec::<String>::new());
    }

    #[test]
    fn a_failure_says_what_is_not_proved_and_where_the_text_is_from() {
        let failure = Failure {
            id: "firewall".into(),
            proves: "the rules load".into(),
            from: "recipes/api.toml".into(),
            said: "Could not fetch rule set generation id".into(),
        };
        assert_eq!(
            failure.to_string(),
            "  firewall: it is not proved that the rules load\n      Could not fetch rule set generation id\n    \
             the text comes from recipes/api.toml\n    \
             help: the kernel of this machine has no nf_tables: `modprobe nf_tables nft_compat`, as its root\n"
        );
    }
}
