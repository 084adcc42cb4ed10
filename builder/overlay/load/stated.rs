//! What `overlay.toml` states about paths: what is removed, what is changed, and what is wrong with it.

use std::collections::BTreeMap;

use toml::Spanned;

use super::super::file::{ChangeTable, File};
use super::super::{Change, Laid, LaidKind};
use crate::recipe::problem::{Problem, Text};

/// What is taken away, by path. (A directory that is laid as well is emptied.)
pub(super) fn removals(
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
pub(super) fn changes(file: &File, text: &Text, problems: &mut Vec<Problem>) -> BTreeMap<String, Change> {
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
pub(super) fn mode(stated: Option<&Spanned<String>>, text: &Text) -> Result<Option<u32>, Box<Problem>> {
    let Some(stated) = stated else { return Ok(None) };
    parse_mode(stated.get_ref()).map(Some).ok_or_else(|| {
        let problem = Problem::error(format!("`{}` is not a mode", stated.get_ref()));
        let help = "write four octal digits, as for chmod(1): \"0640\"";
        problem.at(text.at(stated.span()), "not octal").help(help).into()
    })
}

/// What is wrong with `path` as one of an image, if anything is.
pub(super) fn unfit(path: &str) -> Option<&'static str> {
    if path.starts_with('/') {
        return Some("it starts with a slash");
    }
    match path.split('/').any(|part| part.is_empty() || part == "." || part == "..") {
        true => Some("it has an empty part, `.` or `..`"),
        false => None,
    }
}

/// Four octal digits (or three, with or without `0o`), at most `7777`.
fn parse_mode(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let plain = (3..=4).contains(&digits.len()) && digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    plain.then(|| u32::from_str_radix(digits, 8).ok()).flatten()
}
