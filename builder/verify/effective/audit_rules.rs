//! What the kernel writes down: /etc/audit/rules.d, as augenrules(8) puts it together and auditctl(8) reads it.

use std::collections::BTreeSet;

use super::super::audited::Audited;

/// The rules of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditRules {
    /// `-w PATH -p PERMISSIONS`
    pub watches: Vec<(String, String)>,
    /// `-a always,exit …`: each with its calls and the other conditions.
    pub calls: Vec<Call>,
    /// Everything else, word by word, in order: `-e 2`.
    pub control: Vec<Vec<String>>,
    /// How many rules stand after `-e 2`, which are not loaded.
    pub late: usize,
}

/// One rule about system calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// By their names; none: all.
    pub names: BTreeSet<String>,
    /// `-F`, `-C`: `arch=b64`, `euid!=uid`.
    pub fields: BTreeSet<String>,
}

impl AuditRules {
    /// As `image` has them.
    pub fn of(image: &Audited<'_>) -> Self {
        let mut rules = Self::default();
        for (_, text) in image.texts("etc/audit/rules.d", ".rules") {
            for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
                rules.read(line);
            }
        }
        rules
    }

    fn read(&mut self, line: &str) {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let after =
            |option: &'static str| words.windows(2).filter(move |pair| pair[0] == option).map(|pair| pair[1].clone());
        match words.first().map(String::as_str) {
            Some("-w") | Some("-a") if self.locked() => self.late += 1,
            Some("-w") => {
                let path = words.get(1).cloned().unwrap_or_default();
                // Without -p: all four.
                let permissions = after("-p").next().unwrap_or_else(|| "rwxa".to_owned());
                self.watches.push((path.trim_end_matches('/').to_owned(), permissions));
            }
            Some("-a") if matches!(words.get(1).map(String::as_str), Some("always,exit" | "exit,always")) => {
                let names = after("-S").flat_map(|names| names.split(',').map(str::to_owned).collect::<Vec<_>>());
                let fields = after("-F").chain(after("-C")).filter(|field| !field.starts_with("key="));
                self.calls.push(Call { names: names.collect(), fields: fields.collect() });
            }
            _ => self.control.push(words),
        }
    }

    /// Whether the rules cannot be changed after those that were read.
    pub fn locked(&self) -> bool {
        self.value("-e").is_some_and(|value| value == "2")
    }

    /// Whether everything that is written below `path`, and its permissions, is written down.
    pub fn watches(&self, path: &str) -> bool {
        let within =
            |watched: &str| path.strip_prefix(watched).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let enough = |permissions: &str| permissions.contains('w') && permissions.contains('a');
        self.watches.iter().any(|(watched, permissions)| within(watched) && enough(permissions))
    }

    /// Whether there is a rule of just these conditions that has the call `name`.
    pub fn writes_down(&self, name: &str, fields: &[&str]) -> bool {
        let wanted: BTreeSet<&str> = fields.iter().copied().collect();
        self.calls.iter().any(|call| {
            let same = call.fields.iter().map(String::as_str).collect::<BTreeSet<_>>() == wanted;
            same && (name.is_empty() || call.names.contains(name))
        })
    }

    /// The last value of `-b` or another option of its own line.
    pub fn value(&self, option: &str) -> Option<&str> {
        let lines = self.control.iter().rev();
        lines.filter(|words| words[0] == option).map(|words| words.get(1).map_or("", String::as_str)).next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> AuditRules {
        let mut rules = AuditRules::default();
        text.lines().for_each(|line| rules.read(line));
        rules
    }

    #[test]
    fn a_folder_that_is_watched_watches_what_is_in_it_and_not_what_is_named_alike() {
        let rules = rules("-w /etc/ssh/ -p wa -k sshd\n-w /etc/hosts -p w");
        assert!(rules.watches("/etc/ssh/sshd_config") && rules.watches("/etc/ssh"));
        assert!(!rules.watches("/etc/ssh2"));
        assert!(!rules.watches("/etc/hosts"), "who may write it is as good as its text");
    }

    #[test]
    fn a_rule_with_one_condition_more_writes_down_less() {
        let rules = rules("-a always,exit -F arch=b64 -S mount,umount2 -F auid>=1000 -F uid=33 -k mounts");
        assert!(rules.writes_down("mount", &["arch=b64", "auid>=1000", "uid=33"]));
        assert!(!rules.writes_down("mount", &["arch=b64", "auid>=1000"]));
        assert!(!rules.writes_down("chmod", &["arch=b64", "auid>=1000", "uid=33"]));
    }

    #[test]
    fn what_comes_after_the_lock_is_not_loaded() {
        let rules = rules("-e 2\n-w /etc/passwd -p wa");
        assert!(rules.locked() && !rules.watches("/etc/passwd"));
        assert_eq!(rules.late, 1);
    }
}
