//! The proofs of the jails, computed from what the recipe claims.
//!
//! For every jail, each of its sample lines is a failure to its filter, and no innocent one is. And for all of them at once,
//! fail2ban starts, bans an address of each family, the kernel has it, and has it again after fail2ban was started anew.

use std::fmt::Write as _;

use super::{Judge, Trial};
use crate::recipe::fail2ban::{Fail2ban, Reads};

/// What to run. Nothing, if there is no jail.
pub(super) fn trials(fail2ban: &Fail2ban) -> Vec<Trial> {
    if fail2ban.jails.is_empty() {
        return Vec::new();
    }
    let mut trials = vec![Trial {
        id: "bans".to_owned(),
        proves: "fail2ban starts, its bans reach the kernel, and a restart keeps them".to_owned(),
        from: "`[fail2ban]` of the recipe (/etc/fail2ban/)".to_owned(),
        script: bans(fail2ban),
        judge: Judge::Succeeds,
    }];
    for (name, jail) in &fail2ban.jails {
        let mut filter = jail.filter_and_options();
        // As fail2ban itself tells a filter whose jail reads the journal.
        if matches!(jail.reads, Reads::Journal(_)) {
            filter = match filter.strip_suffix(']') {
                Some(options) => format!("{options}, logtype=\"journal\"]"),
                None => format!("{filter}[logtype=\"journal\"]"),
            };
        }
        let mut tried = |lines: &[String], kind: &str, wanted: usize, proves: &str| {
            if !lines.is_empty() {
                let print = if wanted == 0 { "--print-all-matched" } else { "--print-all-missed" };
                let lines: String = lines.iter().map(|line| format!(" {}", quoted(line))).collect();
                trials.push(Trial {
                    id: format!("jail {name}"),
                    proves: proves.to_owned(),
                    from: format!("`{kind}` of [fail2ban.jails.{name}] in recipes/{}.toml", jail.by),
                    // Its exit code says only whether any line matched.
                    script: format!(
                        "printf '%s\\n'{lines} > /tmp/lines\nfail2ban-regex {print} /tmp/lines {} 2>&1 || :",
                        quoted(&filter)
                    ),
                    judge: Judge::Finds(wanted),
                });
            }
        };
        tried(&jail.samples, "samples", jail.samples.len(), "these lines are failures to its filter");
        tried(&jail.innocent, "innocent", 0, "these lines are no failures to its filter");
    }
    trials
}

/// Starts fail2ban, bans, looks, restarts, looks again. The addresses are those for documentation (RFC 5737, RFC 3849).
fn bans(fail2ban: &Fail2ban) -> String {
    let names: Vec<&str> = fail2ban.jails.keys().map(String::as_str).collect();
    let mut script = include_str!("bans.sh").to_owned();
    // Writing to a string cannot fail.
    let _ = write!(script, "\nprove {}\n", names.join(" "));
    script
}

/// `text` as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::recipe::fold::fold;

    #[test]
    fn every_jail_has_a_proof_of_its_samples_and_of_its_innocent_lines() {
        let recipe = "suite = \"trixie\"\n[fail2ban.jails.a]\nfilter = \"sshd\"\nmode = \"aggressive\"\njournal = \"_COMM=sshd\"\n\
                      samples = [\"one\", \"user 'x'\"]\ninnocent = [\"two\"]\n[fail2ban.jails.b]\nlogs = [\"/var/log/b\"]\nsamples = [\"x\"]\n";
        let fail2ban = fold("web", &BTreeMap::from([("web".to_owned(), recipe.to_owned())])).unwrap().recipe.fail2ban;
        let trials = trials(&fail2ban);
        let ids: Vec<&str> = trials.iter().map(|trial| trial.id.as_str()).collect();
        assert_eq!(ids, ["bans", "jail a", "jail a", "jail b"]);
        assert!(trials[0].script.ends_with("\nprove a b\n"));
        assert_eq!(
            trials[1].script,
            "printf '%s\\n' 'one' 'user '\\''x'\\''' > /tmp/lines\n\
             fail2ban-regex --print-all-missed /tmp/lines 'sshd[mode=\"aggressive\", logtype=\"journal\"]' 2>&1 || :"
        );
        assert!(matches!(trials[1].judge, Judge::Finds(2)));
        assert!(trials[2].script.contains("--print-all-matched"));
        assert!(matches!(trials[2].judge, Judge::Finds(0)));
        assert!(trials[3].script.ends_with("/tmp/lines 'b' 2>&1 || :"), "{}", trials[3].script);
        assert!(super::trials(&Fail2ban::default()).is_empty());
    }
}
