//! A service of PAM as PAM reads it: pam.d(5).
//!
//! Modules of one type are asked in the order of their lines; `@include FILE` stands for that file's lines.

use std::collections::BTreeMap;

use super::super::audited::Audited;

/// How deep files may include each other.
const DEPTH: usize = 8;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// `auth`, `account`, `password`, `session`.
    pub kind: String,
    /// `required`, `[success=1 default=ignore]`.
    pub control: String,
    /// `pam_unix.so`
    pub module: String,
    /// What the module is told.
    pub arguments: Vec<String>,
}

impl Line {
    /// Whether the module is told this word.
    pub fn has(&self, argument: &str) -> bool {
        self.arguments.iter().any(|word| word == argument)
    }

    /// What the module is told after `key=`.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.arguments.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    /// Whether a failure of the module is one of the whole, whatever comes after.
    pub fn decides(&self) -> bool {
        matches!(self.control.as_str(), "required" | "requisite")
    }
}

/// The lines of the file `name` of /etc/pam.d, with those that it includes, in order.
pub fn service(image: &Audited<'_>, name: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    read(image, name, 0, &mut lines);
    lines
}

fn read(image: &Audited<'_>, name: &str, depth: usize, lines: &mut Vec<Line>) {
    let text = image.text(&format!("etc/pam.d/{name}")).unwrap_or_default();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        match line.strip_prefix("@include") {
            Some(file) if depth < DEPTH => read(image, file.trim(), depth + 1, lines),
            Some(_) => {}
            None => lines.extend(parse(line)),
        }
    }
}

/// `type control module arguments…`; a control may be in brackets, with spaces.
fn parse(line: &str) -> Option<Line> {
    let (kind, rest) = line.split_once(char::is_whitespace)?;
    let rest = rest.trim_start();
    let end = if rest.starts_with('[') { rest.find(']')? + 1 } else { rest.find(char::is_whitespace)? };
    let mut words = rest[end..].split_whitespace().map(str::to_owned);
    Some(Line {
        kind: kind.trim_start_matches('-').to_owned(),
        control: rest[..end].to_owned(),
        module: words.next()?,
        arguments: words.collect(),
    })
}

/// The settings of a module's own file (`etc/security/faillock.conf`): `key = value`; a key alone is on.
pub fn settings(image: &Audited<'_>, path: &str) -> BTreeMap<String, String> {
    let text = image.text(path).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split('#').next()).map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| match line.split_once('=') {
            Some((key, value)) => (key.trim().to_owned(), value.trim().to_owned()),
            None => (line.to_owned(), String::new()),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_in_brackets_is_one_word() {
        let line = parse("auth\t[success=1 default=ignore]\tpam_unix.so nullok  umask=027").unwrap();
        assert_eq!((line.control.as_str(), line.module.as_str()), ("[success=1 default=ignore]", "pam_unix.so"));
        assert!(line.has("nullok") && !line.has("null") && !line.decides());
        assert_eq!(line.value("umask"), Some("027"));
        assert_eq!(parse("-session optional pam_systemd.so").unwrap().kind, "session");
    }
}
