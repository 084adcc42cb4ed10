//! From a folder to an [`Overlay`].

mod stated;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::LazyLock;

use self::stated::{changes, mode, removals, unfit};
use super::file::{self, EntryTable, File};
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
mod tests;
