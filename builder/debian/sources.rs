//! sources.list(5): which archives this machine's own apt asks.
//!
//! Two formats say the same thing:
//!
//! ```text
//! Types: deb                                         deb [signed-by=/…/debian-archive-keyring.gpg] http://… trixie main
//! URIs: http://…
//! Suites: trixie trixie-updates
//! Components: main
//! Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
//! ```
//!
//! They are read for one purpose, to find a mirror that is near; what they say is a hint, not trust: keys and suites come
//! from the recipe. So source packages, entries that are switched off, and whatever can't be understood are passed over
//! without an error.

use super::deb822;

/// One entry of a `.sources` or `.list` file that offers binary packages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceEntry {
    /// Where the archives are, as written.
    pub uris: Vec<String>,
    /// Which folders below `dists/` (or, where it ends with a slash, the path of a flat archive).
    pub suites: Vec<String>,
    /// Which components; none for a flat archive.
    pub components: Vec<String>,
    /// The keyring: a path, a fingerprint, or a whole armored certificate. Nothing: any that apt trusts.
    pub signed_by: Option<String>,
}

/// Reads a deb822 `.sources` file. What isn't an entry that is switched on and offers binary packages is left out.
pub fn parse_deb822_sources(text: &str) -> Vec<SourceEntry> {
    // Comments may stand between the lines of a field, and people leave blanks on empty lines.
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let text: String = lines.flat_map(|line| [line.trim_end(), "\n"]).collect();
    deb822::paragraphs(&text)
        .filter_map(|paragraph| {
            let table = paragraph.table().ok()?;
            let words = |name| table.get(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect();
            let is_on = table.get("Enabled").is_none_or(|value| !is_no(value));
            let is_binary = table.get("Types")?.split_whitespace().any(|kind| kind == "deb");
            let signed_by = table.get("Signed-By").map(|value| deb822::lines(value).collect::<Vec<_>>().join("\n"));
            (is_on && is_binary).then(|| SourceEntry {
                uris: words("URIs"),
                suites: words("Suites"),
                components: words("Components"),
                signed_by: signed_by.map(|value| value.trim().to_owned()),
            })
        })
        .filter(|entry| !entry.uris.is_empty() && !entry.suites.is_empty())
        .collect()
}

/// Reads a one-line-style `.list` file. What isn't an entry that offers binary packages is left out.
pub fn parse_one_line_list(text: &str) -> Vec<SourceEntry> {
    text.lines().filter_map(one_line).collect()
}

/// `deb [option=value …] uri suite component…`
fn one_line(line: &str) -> Option<SourceEntry> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let rest = line.strip_prefix("deb").filter(|rest| rest.starts_with([' ', '\t', '[']))?.trim_start();
    let (options, rest) = match rest.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?,
        None => ("", rest),
    };
    let signed_by = options.split_whitespace().find_map(|option| option.strip_prefix("signed-by="));
    let mut words = rest.split_whitespace().map(str::to_owned);
    Some(SourceEntry {
        uris: vec![words.next()?],
        suites: vec![words.next()?],
        components: words.collect(),
        signed_by: signed_by.map(str::to_owned),
    })
}

/// How apt understands a boolean that is off.
fn is_no(value: &str) -> bool {
    ["no", "false", "without", "off", "disable", "0"].iter().any(|no| value.eq_ignore_ascii_case(no))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(uris: &[&str], suites: &[&str], components: &[&str], signed_by: Option<&str>) -> SourceEntry {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        SourceEntry {
            uris: owned(uris),
            suites: owned(suites),
            components: owned(components),
            signed_by: signed_by.map(str::to_owned),
        }
    }

    #[test]
    fn a_deb822_file_gives_an_entry_for_each_paragraph() {
        let text = "\
# Modernized by hand
Types: deb deb-src
# a comment inside
URIs: http://mirror.example/debian
Suites: trixie trixie-updates
Components: main
 contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
  \t
types: deb
uris: http://mirror.example/security http://other.example/security
suites: trixie-security
components: main
";
        assert_eq!(
            parse_deb822_sources(text),
            [
                entry(
                    &["http://mirror.example/debian"],
                    &["trixie", "trixie-updates"],
                    &["main", "contrib"],
                    Some("/usr/share/keyrings/debian-archive-keyring.gpg")
                ),
                entry(
                    &["http://mirror.example/security", "http://other.example/security"],
                    &["trixie-security"],
                    &["main"],
                    None
                ),
            ]
        );
    }

    #[test]
    fn entries_that_are_off_or_only_for_sources_are_left_out() {
        let fields = "URIs: http://mirror.example/debian\nSuites: trixie\nComponents: main\n";
        for head in ["Types: deb-src\n", "Types: deb\nEnabled: no\n", "Types: deb\nEnabled: False\n", "nonsense\n", ""]
        {
            assert_eq!(parse_deb822_sources(&format!("{head}{fields}")), [], "{head}");
        }
        assert_eq!(parse_deb822_sources(&format!("Types: deb\nEnabled: yes\n{fields}")).len(), 1);
        assert_eq!(parse_deb822_sources("Types: deb\nURIs: http://mirror.example/debian\n"), []);
    }

    #[test]
    fn an_armored_key_in_signed_by_comes_out_whole() {
        let text = "Types: deb\nURIs: http://a.example\nSuites: ./\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mDME\n -----END PGP PUBLIC KEY BLOCK-----\n";
        assert_eq!(
            parse_deb822_sources(text)[0].signed_by.as_deref(),
            Some("-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmDME\n-----END PGP PUBLIC KEY BLOCK-----")
        );
    }

    #[test]
    fn a_one_line_file_gives_an_entry_for_each_line() {
        let text = "\
# deb http://commented.example/debian trixie main
deb http://mirror.example/debian trixie main contrib # near
deb-src http://mirror.example/debian trixie main

deb [arch=amd64 signed-by=/etc/apt/keyrings/x.asc] http://x.example/apt ./
debian http://x.example trixie main
deb [broken http://x.example trixie main
deb http://x.example
";
        assert_eq!(
            parse_one_line_list(text),
            [
                entry(&["http://mirror.example/debian"], &["trixie"], &["main", "contrib"], None),
                entry(&["http://x.example/apt"], &["./"], &[], Some("/etc/apt/keyrings/x.asc")),
            ]
        );
    }
}
