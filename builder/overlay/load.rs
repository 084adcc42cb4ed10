//! From a folder to an [`Overlay`].

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::LazyLock;

use toml::Spanned;

use super::file::{self, ChangeTable, EntryTable, File};
use super::{Change, Laid, LaidKind, Overlay};
use crate::digest::Digest;
use crate::recipe::problem::{Problem, Text, did_you_mean};
use crate::recipe::shape;

impl Overlay {
    /// The overlay in the folder `folder`, with all its bytes.
    ///
    /// # Errors
    /// Everything that is wrong with it, warnings among it.
    pub fn load(folder: &Path) -> Result<Self, Vec<Problem>> {
        static SCHEMA: LazyLock<serde_json::Value> = LazyLock::new(file::schema);
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let shown = format!("overlays/{name}/overlay.toml");
        let content = fs::read_to_string(folder.join("overlay.toml")).map_err(|why| {
            let help = "every overlay says in it at least `description = \"…\"`";
            vec![Problem::error(format!("cannot read {shown}: {why}")).help(help)]
        })?;
        let text = Text::new(&shown, &content);
        let (file, problems) = shape::read::<File>(&text, &SCHEMA);
        let file = file.unwrap_or_default();

        let mut tree = Tree { name: &name, entries: BTreeMap::new(), problems };
        tree.walk(&folder.join("root"), "");
        for table in &file.entry {
            tree.state(table, &text);
        }
        tree.check_comments();
        let (mut entries, mut problems) = (tree.entries, tree.problems);
        // Directories that nothing is said about are only there to hold files: apply makes them where they are missing.
        let stated = |path: &str| file.entry.iter().any(|table| table.path.get_ref() == path);
        entries.retain(|path, laid| laid.kind != LaidKind::Directory || stated(path));
        let remove = removals(&file, &text, &entries, &mut problems);
        let change = changes(&file, &text, &mut problems);

        let overlay = Self {
            digest: digest(&entries, &remove, &change),
            description: file.description,
            requires: file.requires.iter().map(|one| (one.get_ref().clone(), text.at(one.span()))).collect(),
            entries,
            remove,
            change,
            warnings: problems,
            name,
        };
        match overlay.warnings.iter().any(Problem::is_error) {
            true => Err(overlay.warnings),
            false => Ok(overlay),
        }
    }
}

/// What is found below `root/`.
struct Tree<'a> {
    name: &'a str,
    entries: BTreeMap<String, Laid>,
    problems: Vec<Problem>,
}

impl Tree<'_> {
    /// Takes in everything in `folder`, which is `inside` in the image.
    fn walk(&mut self, folder: &Path, inside: &str) {
        let listed = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = match listed {
            Ok(entries) => entries,
            // An overlay may do nothing but remove.
            Err(why) if why.kind() == io::ErrorKind::NotFound && inside.is_empty() => return,
            Err(why) => {
                return self.problems.push(Problem::error(format!("cannot read {}: {why}", self.shown(inside))));
            }
        };
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if inside.is_empty() { name.clone() } else { format!("{inside}/{name}") };
            if entry.file_name().to_str().is_none_or(|name| name.chars().any(char::is_control)) {
                let problem = Problem::error(format!("{} has a name that cannot be written", self.shown(&path)));
                self.problems.push(problem.help("rename it: only UTF-8 without control characters"));
                continue;
            }
            match self.read(&entry.path(), &path) {
                Ok(Some(laid)) => {
                    let is_directory = laid.kind == LaidKind::Directory;
                    self.entries.insert(path.clone(), laid);
                    if is_directory {
                        self.walk(&entry.path(), &path);
                    }
                }
                Ok(None) => {}
                Err(why) => self.problems.push(Problem::error(format!("cannot read {}: {why}", self.shown(&path)))),
            }
        }
    }

    /// What is at `on_disk`, if an image can hold it.
    fn read(&mut self, on_disk: &Path, path: &str) -> io::Result<Option<Laid>> {
        let metadata = fs::symlink_metadata(on_disk)?;
        let (kind, mode) = if metadata.is_dir() {
            (LaidKind::Directory, 0o755)
        } else if metadata.is_symlink() {
            let target = fs::read_link(on_disk)?.to_string_lossy().into_owned();
            if climbs_out(path, &target) {
                let problem = Problem::error(format!("{} leads out of the image: {target}", self.shown(path)));
                self.problems.push(problem.help("write the target as it is in the image: `/etc/…`, or relative"));
                return Ok(None);
            }
            (LaidKind::Symlink(target), 0o777)
        } else if metadata.is_file() {
            let bytes = fs::read(on_disk)?;
            // git keeps one bit of a mode: whether it can be executed.
            let mode = if metadata.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
            (LaidKind::File { digest: Digest::of(&bytes), bytes: bytes.into() }, mode)
        } else {
            let problem = Problem::error(format!("{} is neither file, directory nor link", self.shown(path)));
            self.problems.push(problem.help("sockets, pipes and devices have no place in an image: remove it"));
            return Ok(None);
        };
        let root = || "root".to_owned();
        Ok(Some(Laid { kind, mode, owner: root(), group: root(), why: String::new() }))
    }

    /// Takes over what an `[[entry]]` states.
    fn state(&mut self, table: &EntryTable, text: &Text) {
        let path = table.path.get_ref();
        let at_path = |problem: Problem, label: &str| problem.at(text.at(table.path.span()), label);
        if let Some(why) = unfit(path) {
            self.problems.push(at_path(Problem::error(format!("`{path}` is not a path of an image: {why}")), "here"));
            return;
        }
        let mode = match mode(table.mode.as_ref(), text) {
            Ok(mode) => mode,
            Err(problem) => return self.problems.push(*problem),
        };
        if table.directory && !self.entries.contains_key(path) {
            let (kind, why) = (LaidKind::Directory, String::new());
            let laid = Laid { kind, mode: 0o755, owner: String::new(), group: String::new(), why };
            self.entries.insert(path.clone(), laid);
        }
        let known = || self.entries.keys().map(String::as_str);
        let similar = did_you_mean(path, known());
        let Some(laid) = self.entries.get_mut(path) else {
            let problem = at_path(Problem::error(format!("there is no `{path}` below root/")), "no such file");
            let help = "add the file, or say `directory = true` if it is an empty directory";
            return self.problems.push(problem.help(help).maybe_help(similar));
        };
        if !laid.why.is_empty() {
            return self.problems.push(at_path(Problem::error(format!("`{path}` is stated twice")), "again"));
        }
        if let LaidKind::Symlink(_) = laid.kind
            && let Some(stated) = &table.mode
        {
            let problem = Problem::error(format!("`{path}` is a symbolic link, which has no mode"));
            return self.problems.push(problem.at(text.at(stated.span()), "means nothing").help("remove the line"));
        }
        if table.why.trim().is_empty() {
            let problem = at_path(Problem::error(format!("`{path}` does not say why")), "`why` is empty");
            return self.problems.push(problem.help("say in one sentence what would go wrong otherwise"));
        }
        *laid = Laid {
            kind: laid.kind.clone(),
            mode: mode.unwrap_or(laid.mode),
            owner: table.owner.clone(),
            group: table.group.clone(),
            why: table.why.clone(),
        };
    }

    /// Warns of every file that says nowhere why it is there.
    fn check_comments(&mut self) {
        for (path, laid) in &self.entries {
            let LaidKind::File { bytes, .. } = &laid.kind else { continue };
            if laid.why.is_empty() && !opens_with_comment(bytes) {
                let problem = Problem::warning(format!("{} does not say why it is there", self.shown(path)));
                let help = "open it with a comment that says what it prevents, or give it an `[[entry]]` with a `why`";
                self.problems.push(problem.help(help));
            }
        }
    }

    /// A path, as messages name it.
    fn shown(&self, path: &str) -> String {
        format!("overlays/{}/root/{path}", self.name)
    }
}

/// What is taken away, by path. (A directory that is laid as well is emptied.)
fn removals(
    file: &File,
    text: &Text,
    entries: &BTreeMap<String, Laid>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<String, String> {
    let mut remove = BTreeMap::new();
    for table in &file.remove {
        let path = table.path.get_ref();
        let problem = if let Some(why) = unfit(path) {
            format!("`{path}` is not a path of an image: {why}")
        } else if entries.get(path).is_some_and(|laid| laid.kind != LaidKind::Directory) {
            format!("`{path}` is removed and laid by the same overlay")
        } else if remove.insert(path.clone(), table.why.clone()).is_some() {
            format!("`{path}` is removed twice")
        } else {
            continue;
        };
        problems.push(Problem::error(problem).at(text.at(table.path.span()), ""));
    }
    remove
}

/// What is changed, by path.
fn changes(file: &File, text: &Text, problems: &mut Vec<Problem>) -> BTreeMap<String, Change> {
    let mut changes = BTreeMap::new();
    for table in &file.change {
        let path = table.path.get_ref();
        let twice = || Problem::error(format!("`{path}` is changed twice")).at(text.at(table.path.span()), "again");
        match changed(table, text) {
            Err(problem) => problems.push(*problem),
            Ok(change) => problems.extend(changes.insert(path.clone(), change).map(|_| twice())),
        }
    }
    changes
}

/// What one `[[change]]` says.
fn changed(table: &ChangeTable, text: &Text) -> Result<Change, Box<Problem>> {
    let path = table.path.get_ref();
    let at_path = |message: String| Problem::error(message).at(text.at(table.path.span()), "");
    if let Some(why) = unfit(path) {
        return Err(at_path(format!("`{path}` is not a path of an image: {why}")).into());
    }
    let (mode, files) = (mode(table.mode.as_ref(), text)?, mode(table.files.as_ref(), text)?);
    if (mode.is_none() && files.is_none()) && (table.owner.is_none() && table.group.is_none()) {
        let help = "say what it is to get: `mode`, `files`, `owner` or `group`";
        return Err(at_path(format!("nothing is changed about `{path}`")).help(help).into());
    }
    if table.why.trim().is_empty() {
        let help = "say in one sentence what would go wrong otherwise";
        return Err(at_path(format!("`{path}` does not say why")).help(help).into());
    }
    Ok(Change { mode, files, owner: table.owner.clone(), group: table.group.clone(), why: table.why.clone() })
}

/// The mode that is stated, if one is.
fn mode(stated: Option<&Spanned<String>>, text: &Text) -> Result<Option<u32>, Box<Problem>> {
    let Some(stated) = stated else { return Ok(None) };
    parse_mode(stated.get_ref()).map(Some).ok_or_else(|| {
        let problem = Problem::error(format!("`{}` is not a mode", stated.get_ref()));
        let help = "write four octal digits, as for chmod(1): \"0640\"";
        problem.at(text.at(stated.span()), "not octal").help(help).into()
    })
}

/// What is wrong with `path` as one of an image, if anything is.
fn unfit(path: &str) -> Option<&'static str> {
    if path.starts_with('/') {
        return Some("it starts with a slash");
    }
    match path.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        true => Some("it has an empty part, `.` or `..`"),
        false => None,
    }
}

/// Whether the link at `path` to `target` would name something above the image's root.
fn climbs_out(path: &str, target: &str) -> bool {
    let start = if target.starts_with('/') { 0 } else { path.matches('/').count() as i64 };
    let depths = target.split('/').scan(start, |depth, part| {
        *depth += match part {
            ".." => -1,
            "" | "." => 0,
            _ => 1,
        };
        Some(*depth)
    });
    depths.into_iter().any(|depth| depth < 0)
}

/// Four octal digits (or three, with or without `0o`), at most `7777`.
fn parse_mode(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let plain = (3..=4).contains(&digits.len()) && digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    plain.then(|| u32::from_str_radix(digits, 8).ok()).flatten()
}

/// Whether the first line that says something (after `#!`) is a comment in one of the ways of configuration files.
fn opens_with_comment(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let mut lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("#!"));
    let first = lines.next().unwrap_or_default().trim_start();
    ["#", ";", "//", "/*", "<!--", "--", "\""].iter().any(|mark| first.starts_with(mark))
}

/// The digest of all that an overlay does to an image: one line a path, in order.
pub(super) fn digest(
    entries: &BTreeMap<String, Laid>,
    remove: &BTreeMap<String, String>,
    change: &BTreeMap<String, Change>,
) -> Digest {
    let mut list = String::from("goldsmith overlay 1\n");
    for path in remove.keys() {
        let _ = writeln!(list, "remove {path:?}");
    }
    for (path, Change { mode, files, owner, group, .. }) in change {
        let _ = writeln!(list, "change {path:?} {mode:?} {files:?} {owner:?} {group:?}");
    }
    for (path, laid) in entries {
        let Laid { kind, mode, owner, group, .. } = laid;
        let _ = match kind {
            LaidKind::Directory => writeln!(list, "directory {path:?} {mode:04o} {owner:?} {group:?}"),
            LaidKind::File { digest, .. } => writeln!(list, "file {path:?} {mode:04o} {owner:?} {group:?} {digest}"),
            LaidKind::Symlink(target) => writeln!(list, "symlink {path:?} {owner:?} {group:?} {target:?}"),
        };
    }
    Digest::of(list.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const PLAIN: &str = "description = \"a test\"\n";

    /// An overlay `o` with this overlay.toml and these files below root/.
    fn overlay(toml: &str, files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("o/root");
        fs::create_dir_all(&root).unwrap();
        fs::write(folder.path().join("o/overlay.toml"), toml).unwrap();
        for (path, text) in files {
            fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
            fs::write(root.join(path), text).unwrap();
        }
        folder
    }

    fn load(folder: &tempfile::TempDir) -> Result<Overlay, Vec<String>> {
        Overlay::load(&folder.path().join("o")).map_err(|problems| problems.iter().map(Problem::to_string).collect())
    }

    #[test]
    fn files_are_roots_and_0644_unless_git_keeps_them_executable_or_overlay_toml_says_otherwise() {
        let toml = "description = \"x\"\n[[entry]]\npath = \"etc/secret\"\nmode = \"0640\"\ngroup = \"mysql\"\nwhy = \"holds a key\"\n\
                    [[entry]]\npath = \"var/empty\"\ndirectory = true\nmode = \"0700\"\nwhy = \"sshd wants it\"\n";
        let folder =
            overlay(toml, &[("etc/plain", "# why\n"), ("etc/secret", "x"), ("usr/sbin/run", "#!/bin/sh\n# why\n")]);
        let run = folder.path().join("o/root/usr/sbin/run");
        fs::set_permissions(run, fs::Permissions::from_mode(0o700)).unwrap();
        let overlay = load(&folder).unwrap();
        let listing: Vec<String> = overlay
            .entries
            .iter()
            .map(|(path, laid)| format!("{path} {:04o} {}:{}", laid.mode, laid.owner, laid.group))
            .collect();
        assert_eq!(
            listing,
            [
                "etc/plain 0644 root:root",
                "etc/secret 0640 root:mysql",
                "usr/sbin/run 0755 root:root",
                "var/empty 0700 root:root",
            ]
        );
        assert!(overlay.warnings.is_empty());
    }

    #[test]
    fn the_digest_is_of_what_is_laid_and_not_of_umask_or_times() {
        let plain = load(&overlay(PLAIN, &[("etc/a", "# x\n")])).unwrap().digest;
        let folder = overlay("description = \"other words\"\n", &[("etc/a", "# x\n")]);
        fs::set_permissions(folder.path().join("o/root/etc/a"), fs::Permissions::from_mode(0o664)).unwrap();
        fs::set_permissions(folder.path().join("o/root/etc"), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(load(&folder).unwrap().digest, plain);
        assert_ne!(load(&overlay(PLAIN, &[("etc/a", "# y\n")])).unwrap().digest, plain);
        let stated = "[[entry]]\npath = \"etc/a\"\nmode = \"0600\"\nwhy = \"x\"\n";
        assert_ne!(load(&overlay(stated, &[("etc/a", "# x\n")])).unwrap().digest, plain);
    }

    #[test]
    fn an_entry_that_names_no_file_is_a_mistake_with_the_nearest_name() {
        let folder = overlay("[[entry]]\npath = \"etc/ssd.conf\"\nwhy = \"x\"\n", &[("etc/sshd.conf", "# x\n")]);
        let problems = Overlay::load(&folder.path().join("o")).unwrap_err();
        assert_eq!(
            problems[0].to_string(),
            "overlays/o/overlay.toml:2:8: error: there is no `etc/ssd.conf` below root/"
        );
        assert_eq!(problems[0].help.as_deref(), Some("did you mean `etc/sshd.conf`?"));
    }

    #[test]
    fn paths_that_lead_out_or_stand_twice_and_modes_that_are_none_are_mistakes() {
        let toml = "[[entry]]\npath = \"../x\"\nwhy = \"x\"\n[[entry]]\npath = \"/etc/a\"\nwhy = \"x\"\n\
                    [[entry]]\npath = \"etc/a\"\nmode = \"rw\"\nwhy = \"x\"\n[[entry]]\npath = \"etc/a\"\nwhy = \"x\"\n\
                    [[entry]]\npath = \"etc/a\"\nwhy = \"x\"\n[[remove]]\npath = \"etc/a\"\nwhy = \"x\"\n";
        assert_eq!(
            load(&overlay(toml, &[("etc/a", "# x\n")])).unwrap_err(),
            [
                "overlays/o/overlay.toml:2:8: error: `../x` is not a path of an image: it has an empty part, `.` or `..`",
                "overlays/o/overlay.toml:5:8: error: `/etc/a` is not a path of an image: it starts with a slash",
                "overlays/o/overlay.toml:9:8: error: `rw` is not a mode",
                "overlays/o/overlay.toml:15:8: error: `etc/a` is stated twice",
                "overlays/o/overlay.toml:18:8: error: `etc/a` is removed and laid by the same overlay",
            ]
        );
    }

    #[test]
    fn a_change_says_what_and_why() {
        let good = "[[change]]\npath = \"usr/bin/su\"\nmode = \"0755\"\nwhy = \"x\"\n";
        let changed = load(&overlay(good, &[])).unwrap();
        assert_eq!(changed.change["usr/bin/su"].mode, Some(0o755));
        assert_ne!(changed.digest, load(&overlay(PLAIN, &[])).unwrap().digest);
        let bad = "[[change]]\npath = \"/usr\"\nwhy = \"x\"\n[[change]]\npath = \"usr\"\nwhy = \"x\"\n\
                   [[change]]\npath = \"usr\"\nmode = \"rw\"\nwhy = \"x\"\n\
                   [[change]]\npath = \"usr\"\nowner = \"root\"\nwhy = \" \"\n\
                   [[change]]\npath = \"usr\"\nowner = \"root\"\nwhy = \"x\"\n\
                   [[change]]\npath = \"usr\"\ngroup = \"root\"\nwhy = \"x\"\n";
        assert_eq!(
            load(&overlay(bad, &[])).unwrap_err(),
            [
                "overlays/o/overlay.toml:2:8: error: `/usr` is not a path of an image: it starts with a slash",
                "overlays/o/overlay.toml:5:8: error: nothing is changed about `usr`",
                "overlays/o/overlay.toml:9:8: error: `rw` is not a mode",
                "overlays/o/overlay.toml:12:8: error: `usr` does not say why",
                "overlays/o/overlay.toml:20:8: error: `usr` is changed twice",
            ]
        );
    }

    #[test]
    fn links_are_kept_as_written_unless_they_climb_out_of_the_image() {
        let folder = overlay(PLAIN, &[("etc/a", "# x\n")]);
        symlink("/dev/null", folder.path().join("o/root/etc/null")).unwrap();
        symlink("../usr/lib/x", folder.path().join("o/root/etc/x")).unwrap();
        let entries = load(&folder).unwrap().entries;
        assert_eq!(entries["etc/null"].kind, LaidKind::Symlink("/dev/null".into()));
        assert_eq!(entries["etc/x"].kind, LaidKind::Symlink("../usr/lib/x".into()));
        symlink("../../home", folder.path().join("o/root/etc/out")).unwrap();
        assert_eq!(load(&folder).unwrap_err(), ["error: overlays/o/root/etc/out leads out of the image: ../../home"]);
    }

    #[test]
    fn what_is_neither_file_directory_nor_link_is_refused() {
        let folder = overlay(PLAIN, &[]);
        let socket = folder.path().join("o/root/s");
        let _listener = std::os::unix::net::UnixListener::bind(socket).unwrap();
        assert_eq!(load(&folder).unwrap_err(), ["error: overlays/o/root/s is neither file, directory nor link"]);
    }

    #[test]
    fn a_file_that_does_not_say_why_it_is_there_is_warned_of() {
        let warnings = load(&overlay(PLAIN, &[("etc/a", "PermitRootLogin no\n")])).unwrap().warnings;
        assert_eq!(warnings[0].to_string(), "warning: overlays/o/root/etc/a does not say why it is there");
    }
}
