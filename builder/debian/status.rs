//! dpkg's database below `/var/lib/dpkg` (dpkg(1) FILES, deb-triggers(5)): written as `dpkg --unpack` leaves it.
//!
//! ```text
//! status               a paragraph a package: its control file, `Status: install ok unpacked`, `Conffiles`
//! info/NAME.list       every path it brought, in the order of its archive, beginning with `/.`
//! info/NAME.postinst … the files of its control member, but for `control` itself
//! triggers/File        `PATH NAME`: who wants to know that something below PATH changed
//! triggers/TRIGGER     `NAME`, a line each: who waits for that trigger
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::deb::Fields;
use super::package::MultiArch;

/// A package's conffiles as its control member lists them (deb-conffiles(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conffiles {
    /// Paths (without the leading slash) that it brings.
    pub brought: BTreeSet<String>,
    /// Lines as they stand, flags (`remove-on-upgrade`) included, in their order.
    lines: Vec<(String, bool)>,
}

impl Conffiles {
    /// Reads the `conffiles` file of a control member.
    pub fn parse(text: &str) -> Self {
        let mut conffiles = Self::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (path, removed) = match line.strip_prefix("remove-on-upgrade ") {
                Some(path) => (path.trim(), true),
                None => (line, false),
            };
            if !removed {
                conffiles.brought.insert(path.trim_start_matches('/').to_owned());
            }
            conffiles.lines.push((path.to_owned(), removed));
        }
        conffiles
    }
}

/// The name under which dpkg keeps a package's files: with the architecture where several may be installed side by side.
pub fn info_name(fields: &Fields) -> String {
    match fields.multi_arch {
        MultiArch::Same => format!("{}:{}", fields.name, fields.architecture),
        _ => fields.name.clone(),
    }
}

/// Its paragraph in `status`, ending with an empty line.
pub fn paragraph(fields: &Fields, conffiles: &Conffiles) -> String {
    let mut text = String::new();
    for line in fields.text.lines() {
        text.push_str(line);
        text.push('\n');
        if line.len() > 8 && line[..8].eq_ignore_ascii_case("package:") {
            text.push_str("Status: install ok unpacked\n");
        }
    }
    if !conffiles.lines.is_empty() {
        text.push_str("Conffiles:\n");
        for (path, removed) in &conffiles.lines {
            let flag = if *removed { " remove-on-upgrade" } else { "" };
            text.push_str(&format!(" {path} newconffile{flag}\n"));
        }
    }
    text.push('\n');
    text
}

/// Who waits for which trigger, gathered from the `triggers` files of the control members.
#[derive(Clone, Debug, Default)]
pub struct Triggers {
    files: Vec<String>,
    named: BTreeMap<String, Vec<String>>,
}

impl Triggers {
    /// Adds the interests that the `triggers` file `text` of `package` declares.
    pub fn add(&mut self, package: &str, text: &str) {
        for line in text.lines().map(|line| line.split('#').next().unwrap_or_default()) {
            let mut words = line.split_whitespace();
            let (Some(directive), Some(trigger)) = (words.next(), words.next()) else { continue };
            let suffix = match directive {
                "interest" | "interest-await" => "",
                "interest-noawait" => "/noawait",
                _ => continue,
            };
            if trigger.starts_with('/') {
                self.files.push(format!("{trigger} {package}{suffix}"));
            } else {
                self.named.entry(trigger.to_owned()).or_default().push(format!("{package}{suffix}"));
            }
        }
    }

    /// The files of `/var/lib/dpkg/triggers`, by name.
    pub fn files(&self) -> BTreeMap<String, String> {
        let lines = |lines: &[String]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
        let mut files: BTreeMap<_, _> = self.named.iter().map(|(name, who)| (name.clone(), lines(who))).collect();
        files.insert("File".to_owned(), lines(&self.files));
        files
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Fields {
        Fields::parse(text).unwrap()
    }

    #[test]
    fn a_paragraph_is_the_control_file_with_status_and_conffiles() {
        let conffiles = Conffiles::parse("/etc/demo\nremove-on-upgrade /etc/old\n");
        let text =
            paragraph(&fields("Package: demo\nVersion: 1\nArchitecture: amd64\nDescription: x\n more"), &conffiles);
        assert_eq!(
            text,
            "Package: demo\nStatus: install ok unpacked\nVersion: 1\nArchitecture: amd64\nDescription: x\n more\n\
             Conffiles:\n /etc/demo newconffile\n /etc/old newconffile remove-on-upgrade\n\n"
        );
        assert_eq!(conffiles.brought.len(), 1);
    }

    #[test]
    fn packages_that_may_stand_side_by_side_are_kept_with_their_architecture() {
        assert_eq!(
            info_name(&fields("Package: demo\nVersion: 1\nArchitecture: amd64\nMulti-Arch: same")),
            "demo:amd64"
        );
    }

    #[test]
    fn interests_are_sorted_into_paths_and_names() {
        let mut triggers = Triggers::default();
        triggers.add("a", "# why\ninterest-noawait /usr/share/man\nactivate ldconfig\ninterest ldconfig\n");
        let files = triggers.files();
        assert_eq!(files["File"], "/usr/share/man a/noawait\n");
        assert_eq!(files["ldconfig"], "a\n");
    }
}
