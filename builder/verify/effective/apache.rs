//! Apache's directives with the sections they stand in (httpd's `configuring.html`, `sections.html`), from apache2.conf on.
//!
//! Reads `Include`, `IncludeOptional`, `Define`, `<IfModule>`, `<IfDefine>`; what the second last decide is decided here.

use std::collections::BTreeSet;

use super::super::audited::Audited;

/// One directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directive {
    /// The sections around it, outermost first: `<Directory /var/www/>` as `Directory /var/www/`; empty at the server's level.
    pub context: Vec<String>,
    /// As written.
    pub name: String,
    /// The rest of the line.
    pub value: String,
    /// File and line.
    pub place: String,
}

/// All of them, in the order in which Apache reads them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Apache {
    /// The directives.
    pub directives: Vec<Directive>,
    /// `NAME_module` of each that is loaded, and `mod_NAME.c`.
    pub modules: BTreeSet<String>,
}

/// Where relative paths begin, and the main file.
const ROOT: &str = "etc/apache2";
/// How deep files may include each other.
const DEPTH: usize = 16;

impl Apache {
    /// As `image` has it; none if there is no apache2.conf.
    pub fn of(image: &Audited<'_>) -> Option<Self> {
        image.text("etc/apache2/apache2.conf")?;
        let mut reader = Reader { image, apache: Self::default(), context: Vec::new(), depth: 0 };
        reader.read("etc/apache2/apache2.conf");
        Some(reader.apache)
    }

    /// The last value of `name` at the server's level.
    pub fn server(&self, name: &str) -> Option<&str> {
        self.within(&[], name)
    }

    /// The last value of `name` within exactly these sections.
    pub fn within(&self, context: &[&str], name: &str) -> Option<&str> {
        let mine = |directive: &&Directive| {
            directive.name.eq_ignore_ascii_case(name) && directive.context.iter().eq(context.iter())
        };
        self.directives.iter().rev().find(mine).map(|directive| directive.value.as_str())
    }

    /// Every directive `name`, wherever it stands.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &Directive> {
        self.directives.iter().filter(move |directive| directive.name.eq_ignore_ascii_case(name))
    }
}

/// Apache, on its way through the files.
struct Reader<'a> {
    image: &'a Audited<'a>,
    apache: Apache,
    /// The sections around the line that is read.
    context: Vec<String>,
    /// How many files include this one.
    depth: usize,
}

impl Reader<'_> {
    /// Reads one file, and what it includes.
    fn read(&mut self, path: &str) {
        let Some(text) = self.image.text(path) else { return };
        let outside = self.context.len();
        let mut skipped = 0_usize;
        let mut conditions: Vec<bool> = Vec::new(); // sections that are only conditions
        let mut pending = String::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if let Some(start) = line.strip_suffix('\\') {
                pending.push_str(start);
                continue;
            }
            let line = format!("{}{line}", std::mem::take(&mut pending));
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line.starts_with("</") {
                match (skipped, conditions.pop()) {
                    (0, Some(false)) => drop(self.context.pop()),
                    (1.., _) => skipped -= 1,
                    _ => {}
                }
                continue;
            }
            if let Some(section) = line.strip_prefix('<') {
                let section = section.trim_end_matches('>').trim().to_owned();
                let (name, argument) = section.split_once(char::is_whitespace).unwrap_or((&section, ""));
                if skipped > 0 {
                    skipped += 1;
                    conditions.push(true);
                    continue;
                }
                match name.to_ascii_lowercase().as_str() {
                    "ifmodule" | "ifdefine" | "ifversion" => {
                        let holds = self.holds(name, argument.trim());
                        conditions.push(true);
                        skipped = usize::from(!holds);
                    }
                    _ => {
                        conditions.push(false);
                        self.context.push(format!("{name} {}", argument.trim().trim_matches('"')));
                    }
                }
                continue;
            }
            if skipped > 0 {
                continue;
            }
            let (name, value) = line.split_once(char::is_whitespace).unwrap_or((&line, ""));
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "include" | "includeoptional" if self.depth < DEPTH => {
                    self.depth += 1;
                    included(self.image, value).iter().for_each(|path| self.read(path));
                    self.depth -= 1;
                }
                "loadmodule" => {
                    let (module, file) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
                    self.apache.modules.insert(module.to_owned());
                    let file = file.trim().rsplit('/').next().unwrap_or_default();
                    self.apache.modules.insert(file.replace(".so", ".c"));
                }
                _ => self.apache.directives.push(Directive {
                    context: self.context.clone(),
                    name: name.to_owned(),
                    value: value.to_owned(),
                    place: format!("{path}:{}", number + 1),
                }),
            }
        }
        self.context.truncate(outside);
    }

    /// Whether a condition holds. Versions and definitions of the command line are taken as not given.
    fn holds(&self, name: &str, argument: &str) -> bool {
        let (not, argument) = argument.strip_prefix('!').map_or((false, argument), |argument| (true, argument));
        let core = matches!(argument, "core.c" | "http_core.c" | "mod_so.c" | "mod_log_config.c" | "log_config_module");
        let holds = match name.to_ascii_lowercase().as_str() {
            "ifmodule" => core || self.apache.modules.contains(argument),
            "ifversion" => true,
            _ => self.apache.all("Define").any(|directive| directive.value.split_whitespace().next() == Some(argument)),
        };
        holds != not
    }
}

/// The files of a pattern with one `*`, in the order of their names.
fn included(image: &Audited<'_>, pattern: &str) -> BTreeSet<String> {
    let pattern = pattern.trim_matches('"');
    let pattern = match pattern.strip_prefix('/') {
        Some(pattern) => pattern.to_owned(),
        None => format!("{ROOT}/{pattern}"),
    };
    let Some((folder, name)) = pattern.rsplit_once('/') else { return BTreeSet::new() };
    let Some((start, end)) = name.split_once('*') else { return BTreeSet::from([pattern]) };
    let names = image.names(folder).into_iter();
    let fits = |name: &&str| name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end);
    names.filter(fits).map(|name| format!("{folder}/{name}")).collect()
}
