//! `key = value` lines in `[sections]`, as PHP, MariaDB, systemd and fail2ban have them, each with small differences.

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The section it stands in; empty before the first.
    pub section: String,
    /// As written.
    pub key: String,
    /// Without the spaces and quotes around it; none where there is no `=`.
    pub value: Option<String>,
}

/// What differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// php.ini: `;` begins a comment anywhere outside quotes.
    Php,
    /// my.cnf: `#` and `;` begin a line that is a comment, `#` one within a line too.
    MyCnf,
    /// systemd.syntax(7): `#` and `;` lines; a `\` at the end continues a line.
    Systemd,
    /// Python's configparser: `#` and `;` lines, ` ;` within a line; an indented line continues the one before.
    Fail2ban,
}

/// Reads `text`.
pub fn parse(text: &str, dialect: Dialect) -> Vec<Setting> {
    let (mut settings, mut section) = (Vec::<Setting>::new(), String::new());
    let mut pending = String::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(';') || trimmed.starts_with('#') && dialect != Dialect::Php {
            continue;
        }
        if dialect == Dialect::Systemd && trimmed.ends_with('\\') {
            pending.push_str(trimmed.trim_end_matches('\\'));
            pending.push(' ');
            continue;
        }
        if dialect == Dialect::Fail2ban
            && line.starts_with([' ', '\t'])
            && let Some(Setting { value: Some(value), .. }) = settings.last_mut()
        {
            value.push('\n');
            value.push_str(trimmed);
            continue;
        }
        let line = format!("{}{trimmed}", std::mem::take(&mut pending));
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.split_once(']')) {
            section = name.0.trim().to_owned();
            continue;
        }
        let (key, value) = match line.split_once('=') {
            Some((key, value)) => (key.trim(), Some(plain(value, dialect))),
            None => (line.trim(), None),
        };
        settings.push(Setting { section: section.clone(), key: key.to_owned(), value });
    }
    settings
}

/// A value without what is no part of it.
fn plain(value: &str, dialect: Dialect) -> String {
    let value = value.trim();
    let comment = match dialect {
        Dialect::Php => ";",
        Dialect::MyCnf => "#",
        Dialect::Fail2ban => " ;",
        Dialect::Systemd => return value.to_owned(),
    };
    if dialect != Dialect::Fail2ban
        && let Some(quote) = value.chars().next().filter(|letter| matches!(letter, '"' | '\''))
        && let Some(end) = value[1..].find(quote)
    {
        return value[1..=end].to_owned();
    }
    value.split(comment).next().unwrap_or(value).trim().to_owned()
}

/// The last value of `key` in any of `sections`, with `_` and `-` taken for the same (as MariaDB does).
pub fn last<'a>(settings: &'a [Setting], sections: &[&str], key: &str) -> Option<&'a str> {
    let same = |written: &str| written.replace('-', "_").eq_ignore_ascii_case(&key.replace('-', "_"));
    let mine = |setting: &&Setting| sections.contains(&setting.section.as_str()) && same(&setting.key);
    settings.iter().rev().find(mine).map(|setting| setting.value.as_deref().unwrap_or("1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_has_its_own_comments() {
        let value = |text, dialect| parse(text, dialect).pop().and_then(|setting| setting.value).unwrap();
        assert_eq!(value("a = Off ; b", Dialect::Php), "Off");
        assert_eq!(value("a = \"x;y\" ; b", Dialect::Php), "x;y");
        assert_eq!(value("a = 1 # b", Dialect::MyCnf), "1");
        assert_eq!(value("a = one \\\n  two", Dialect::Systemd), "one  two");
        assert_eq!(value("a = one\n    two", Dialect::Fail2ban), "one\ntwo");
    }

    #[test]
    fn the_last_value_counts_and_a_key_alone_is_on() {
        let settings =
            parse("[mysqld]\nskip-name-resolve\nlocal_infile=1\n[mariadbd]\nlocal-infile=0\n", Dialect::MyCnf);
        assert_eq!(last(&settings, &["mysqld", "mariadbd"], "local_infile"), Some("0"));
        assert_eq!(last(&settings, &["mysqld"], "skip_name_resolve"), Some("1"));
        assert_eq!(last(&settings, &["client"], "local_infile"), None);
    }
}
