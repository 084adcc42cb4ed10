//! AppArmor's profiles as apparmor_parser(8) reads them: apparmor.d(5).

use std::collections::BTreeSet;

use super::super::audited::Audited;

/// A profile, as far as checks look at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Its file.
    pub file: String,
    /// The program that it is for: `/usr/sbin/apache2`.
    pub program: String,
    /// `flags=(…)`
    pub flags: BTreeSet<String>,
    /// Its rules, each without the comma at its end; those of files that it includes are not here.
    pub rules: Vec<String>,
}

/// The profiles of `image` that are not turned off by a link in etc/apparmor.d/disable.
pub fn profiles(image: &Audited<'_>) -> Vec<Profile> {
    let off = image.names("etc/apparmor.d/disable");
    let files = image.texts("etc/apparmor.d", "").into_iter();
    let on = files.filter(|(path, _)| !off.contains(path.rsplit('/').next().unwrap_or_default()));
    on.flat_map(|(path, text)| read(image, &path, &text)).collect()
}

/// Profiles of one file; profiles within profiles, and hats, are rules of the one that they are in.
fn read(image: &Audited<'_>, path: &str, text: &str) -> Vec<Profile> {
    let (mut profiles, mut depth) = (Vec::<Profile>::new(), 0_usize);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let local = line
            .trim_start_matches('#')
            .strip_prefix("include if exists <local/")
            .or_else(|| line.strip_prefix("include if exists <local/"));
        if let (Some(local), Some(profile)) = (local, profiles.last_mut()) {
            let local = image.text(&format!("etc/apparmor.d/local/{}", local.trim_end_matches('>')));
            profile.rules.extend(local.unwrap_or_default().lines().filter_map(rule));
            continue;
        }
        if line.starts_with('#') {
            continue;
        }
        if line.ends_with('{') && depth == 0 {
            profiles.extend(head(path, line));
        } else if let (Some(profile), Some(rule)) = (profiles.last_mut(), rule(line)) {
            profile.rules.push(rule);
        }
        depth += usize::from(line.ends_with('{'));
        depth = depth.saturating_sub(usize::from(line.starts_with('}')));
    }
    profiles
}

/// `profile NAME /usr/sbin/x flags=(complain) {`, `/usr/sbin/x {`. None for what is attached to no program.
fn head(path: &str, line: &str) -> Option<Profile> {
    let line = line.trim_end_matches('{');
    let (names, flags) = line.split_once("flags=(").or_else(|| line.split_once('(')).unwrap_or((line, ""));
    let program = names.split_whitespace().find(|word| word.starts_with('/'))?;
    let flags = flags.split(')').next().unwrap_or_default().split([',', ' ']).map(str::trim);
    Some(Profile {
        file: path.to_owned(),
        program: program.to_owned(),
        flags: flags.filter(|flag| !flag.is_empty()).map(str::to_owned).collect(),
        rules: Vec::new(),
    })
}

/// One rule, without its comma.
fn rule(line: &str) -> Option<String> {
    let rule = line.split(" #").next()?.trim().strip_suffix(',')?.trim();
    (!rule.is_empty() && !rule.starts_with('#')).then(|| rule.to_owned())
}

impl Profile {
    /// Whether the kernel holds the program to it, and does not merely note what it does.
    pub fn enforces(&self) -> bool {
        !["complain", "unconfined", "prompt", "default_allow"].iter().any(|flag| self.flags.contains(*flag))
    }

    /// Rules that allow everything of a kind: `file`, `capability`, `network`, `mount`, `ptrace`, `all`.
    pub fn wide(&self) -> Vec<&str> {
        let kinds =
            ["file", "capability", "network", "mount", "ptrace", "all", "change_profile", "userns", "pivot_root"];
        self.rules.iter().map(String::as_str).filter(|rule| kinds.contains(rule)).collect()
    }

    /// Rules about files that let the program run another: not `ix` of itself.
    pub fn runs(&self) -> Vec<&str> {
        let files = self.rules.iter().map(String::as_str).filter(|rule| !rule.starts_with("deny "));
        files
            .filter(|rule| {
                let mut words = rule.split_whitespace().filter(|word| *word != "owner" && *word != "allow");
                let (path, modes) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
                let file = path.starts_with(['/', '@', '"', '{']);
                file && modes.to_ascii_lowercase().contains('x') && path != self.program
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_a_profile_says_program_and_flags() {
        let profile = head("x", "profile php-fpm /usr/sbin/php-fpm8.4 flags=(attach_disconnected,complain) {").unwrap();
        assert_eq!(profile.program, "/usr/sbin/php-fpm8.4");
        assert!(!profile.enforces());
        assert!(head("x", "/usr/sbin/mysqld {").unwrap().enforces());
        assert!(head("x", "profile firefox flags=(unconfined) {").is_none(), "attached to nothing");
    }

    #[test]
    fn only_a_program_of_its_own_is_run() {
        let rules = ["/usr/sbin/x mrix", "/usr/bin/** Ux", "deny /bin/** x", "owner /tmp/** rwk"].map(str::to_owned);
        let profile = Profile { program: "/usr/sbin/x".to_owned(), rules: rules.to_vec(), ..Profile::default() };
        assert_eq!(profile.runs(), ["/usr/bin/** Ux"]);
    }
}
