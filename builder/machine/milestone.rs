//! How far a machine has come, as its console says it.

use std::fmt;
use std::time::Duration;

use crate::progress::Step;

/// What is said on the console, in a line with all of these words, and what it means. In their order.
const MILESTONES: [(&str, &[&str]); 5] = [
    ("kernel", &["Linux version"]),
    ("init", &["Welcome to"]),
    // (A long line has an ellipsis in it.) From here on nothing gets in that the image does not let in; there is no network before it.
    ("locked", &["Finished", "goldsmith-firewall"]),
    ("login", &["login:"]),
    // Said by goldsmith-serving.service, if no unit failed. (What systemd says ends with the first login.)
    ("serving", &["goldsmith: serving"]),
];

/// When each milestone of a start was first seen, from its power-on; as exact as the console is looked at (0.2 s).
#[derive(Clone, Debug, Default)]
pub struct Milestones(Vec<(&'static str, Duration)>);

impl Milestones {
    /// Takes over what `console` says by now, so long after power-on, and tells `step`.
    pub(super) fn look(&mut self, console: &str, elapsed: Duration, step: &Step) {
        for (name, said) in MILESTONES {
            let reached = || console.lines().any(|line| said.iter().all(|word| line.contains(word)));
            if self.at(name).is_none() && reached() {
                self.0.push((name, elapsed));
                step.now(&format!("{name} after {:.1} s", elapsed.as_secs_f64()));
            }
        }
    }

    /// All that were reached, in the order in which they were.
    pub fn all(&self) -> Vec<(&'static str, Duration)> {
        self.0.clone()
    }

    /// When it was reached, if it was.
    pub fn at(&self, milestone: &str) -> Option<Duration> {
        self.0.iter().find(|(name, _)| *name == milestone).map(|(_, at)| *at)
    }
}

/// `kernel 4.2 s, init 9.8 s, locked 12.0 s`.
impl fmt::Display for Milestones {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(|(name, at)| format!("{name} {:.1} s", at.as_secs_f64())).collect();
        f.write_str(&all.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::{Progress, Total};

    #[test]
    fn a_console_tells_how_far_it_has_come() {
        let step = Progress::silent().step("boot", Total::Unknown);
        let mut milestones = Milestones::default();
        milestones.look("[    0.0] Linux version 6.12\n[  OK  ] Reached target sound.target", Duration::ZERO, &step);
        assert!(milestones.at("kernel").is_some() && milestones.at("serving").is_none());
        let finished =
            "[\u{1b}[0;32m  OK  \u{1b}[0m] Finished \u{1b}[0;1;39mgoldsmith-firewall.service\u{1b}[0m - Shut";
        milestones.look(finished, Duration::from_secs(9), &step);
        assert!(milestones.at("locked").is_some());
        assert!(milestones.to_string().starts_with("kernel 0.0 s, locked 9.0 s"), "{milestones}");
    }
}
