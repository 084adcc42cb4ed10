//! What a setting should be.

use super::check::Finding;

/// What is wanted of one value.
#[derive(Clone, Copy, Debug)]
pub enum Want {
    /// This, in upper or lower case.
    Is(&'static str),
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A number, this at most.
    AtMost(i64),
    /// A number, this at least.
    AtLeast(i64),
    /// A number from the first to the second.
    Within(i64, i64),
    /// A list of at least one, with nothing in it but these.
    Only(&'static [&'static str]),
    /// A list that has all of these.
    Holds(&'static [&'static str]),
    /// Anything that is set and not empty.
    Set,
}

impl Want {
    /// Whether `value` is as wanted.
    pub fn accepts(self, value: &str) -> bool {
        let same = |wanted: &str| value.trim().eq_ignore_ascii_case(wanted);
        let list = || value.split([',', ' ', '\t']).map(str::trim).filter(|item| !item.is_empty());
        match self {
            Self::Is(wanted) => same(wanted),
            Self::OneOf(wanted) => wanted.iter().any(|wanted| same(wanted)),
            Self::AtMost(most) => number(value).is_some_and(|number| number <= most),
            Self::AtLeast(least) => number(value).is_some_and(|number| number >= least),
            Self::Within(least, most) => number(value).is_some_and(|number| (least..=most).contains(&number)),
            Self::Only(wanted) => list().next().is_some() && list().all(|item| wanted.contains(&item)),
            Self::Holds(wanted) => wanted.iter().all(|wanted| list().any(|item| item == *wanted)),
            Self::Set => !value.trim().is_empty(),
        }
    }

    /// For people: `no`, `at most 3`.
    pub fn words(self) -> String {
        match self {
            Self::Is("") => "empty".to_owned(),
            Self::Is(wanted) => wanted.to_owned(),
            Self::OneOf(wanted) => wanted.join(" or "),
            Self::AtMost(most) => format!("at most {most}"),
            Self::AtLeast(least) => format!("at least {least}"),
            Self::Within(least, most) => format!("from {least} to {most}"),
            Self::Only(wanted) => format!("only of {}", wanted.join(",")),
            Self::Holds(wanted) => format!("with {}", wanted.join(",")),
            Self::Set => "set".to_owned(),
        }
    }

    /// What is wrong with `value` of `subject`, if anything; `place` is where to set it.
    pub fn judge(self, subject: &str, value: Option<&str>, place: &str) -> Option<Finding> {
        if value.is_some_and(|value| self.accepts(value)) {
            return None;
        }
        let found = value.map_or_else(|| "not set".to_owned(), |value| value.trim().to_owned());
        let found = if found.is_empty() { "empty".to_owned() } else { found };
        Some(Finding::new(subject, found, self.words(), format!("set {subject} in {place}")))
    }
}

/// A number as configuration files write it: `30`, `30s`, `5m`, `1h`, `2d` (seconds), `8K`, `16M`, `1G` (bytes), `0x1f`.
pub fn number(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Some(hex) = text.strip_prefix("0x") {
        return i64::from_str_radix(hex, 16).ok();
    }
    let (digits, factor) = match text.char_indices().next_back()? {
        (at, 's') => (&text[..at], 1),
        (at, 'm') => (&text[..at], 60),
        (at, 'h') => (&text[..at], 3600),
        (at, 'd') => (&text[..at], 86400),
        (at, 'w') => (&text[..at], 604_800),
        (at, 'k' | 'K') => (&text[..at], 1 << 10),
        (at, 'M') => (&text[..at], 1 << 20),
        (at, 'G' | 'g') => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    digits.parse::<i64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_judged_as_the_programs_read_them() {
        assert!(Want::Is("no").accepts("No"));
        assert!(!Want::Is("no").accepts("yes"));
        assert!(Want::AtMost(60).accepts("1m"));
        assert!(!Want::AtMost(59).accepts("1m"));
        assert!(Want::AtMost(1 << 20).accepts("512K"));
        assert!(!Want::AtMost(3).accepts("three"));
        assert!(Want::Only(&["a", "b"]).accepts("b,a"));
        assert!(!Want::Only(&["a", "b"]).accepts("a,c"));
        assert!(!Want::Only(&["a"]).accepts(""), "an empty list means the program's own");
        assert!(Want::Holds(&["exec"]).accepts("system, exec"));
    }

    #[test]
    fn a_finding_says_what_is_there_and_what_to_do() {
        let finding = Want::AtMost(3).judge("MaxAuthTries", Some("6"), "sshd_config").unwrap();
        assert_eq!((finding.found.as_str(), finding.wanted.as_str()), ("6", "at most 3"));
        assert_eq!(Want::Is("no").judge("X", None, "y").unwrap().found, "not set");
    }
}
