//! Users and groups of a tree (passwd(5), group(5), shadow(5), gshadow(5)), and the ids that a recipe fixes.
//!
//! Maintainer scripts give a system user the next free number, so that the number hangs on the order of the packages. A
//! recipe says which number each has instead: after configuring, accounts and files are renumbered by name. One that the
//! recipe does not know is an error that says which line to add.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::inside::Inside;

/// Numbers that are given out on the machine that configures: adduser.conf(5) `FIRST_SYSTEM_UID` to `LAST_SYSTEM_UID`. Those
/// below are the same on every Debian system (base-passwd).
const GIVEN_OUT: std::ops::RangeInclusive<u32> = 100..=999;

/// The one group that has a number of that range on every Debian system (base-passwd).
const USERS: (&str, u32) = ("users", 100);

/// Which number each user and group has, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// `messagebus` → 101.
    pub users: BTreeMap<String, u32>,
    /// `messagebus` → 101.
    pub groups: BTreeMap<String, u32>,
}

/// The accounts of a tree cannot be given the numbers of the recipe.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// Packages made accounts that the recipe gives no number.
    #[error(
        "the packages made accounts whose numbers no recipe fixes, so they would hang on the order of the packages\n\
         help: add to the recipe, with numbers from 100 to 999 that are free:\n{lines}"
    )]
    Unfixed {
        /// Lines of TOML.
        lines: String,
    },
    /// Two accounts with one number.
    #[error(
        "`{first}` and `{second}` would both have the number {id}\nhelp: give one of them another number in the recipe"
    )]
    Taken {
        /// Who has it.
        first: String,
        /// Who would get it.
        second: String,
        /// The number.
        id: u32,
    },
    /// A file could not be read or written.
    #[error("{path}: {cause}")]
    Io {
        /// Below the root.
        path: String,
        /// What the system said.
        cause: io::Error,
    },
}

impl Accounts {
    /// Reads passwd(5) and group(5).
    pub fn parse(passwd: &str, group: &str) -> Self {
        let entry = |line: &str| Some((field(line, 0)?.to_owned(), field(line, 2)?.parse().ok()?));
        Self { users: passwd.lines().filter_map(entry).collect(), groups: group.lines().filter_map(entry).collect() }
    }

    /// Reads the accounts of the tree below `root`.
    ///
    /// # Errors
    /// Its `etc/passwd` or `etc/group` cannot be read.
    pub fn load(root: &Path) -> Result<Self, AccountsError> {
        Ok(Self::parse(&read(root, "etc/passwd")?, &read(root, "etc/group")?))
    }

    /// Gives every account of the tree below `root` the number that `self` fixes, its files too, and sorts the files of
    /// accounts by number.
    ///
    /// # Errors
    /// An account that has a number from 100 to 999 is not in `self`; two would have the same; a file resists.
    pub fn fix(&self, root: &Path) -> Result<(), AccountsError> {
        let found = Self::load(root)?;
        let users = renumber(&found.users, &self.users);
        // A user's own group follows the user where the recipe does not say otherwise.
        let fixed_groups: BTreeMap<_, _> =
            self.users.iter().chain(&self.groups).map(|(name, id)| (name.clone(), *id)).collect();
        let groups = renumber(&found.groups, &fixed_groups);
        let (users, groups) = match (users, groups) {
            (Ok(users), Ok(groups)) => (users, groups),
            (users, groups) => {
                let list = |table: &str, missing: Vec<(String, u32)>| {
                    let lines: String = missing.iter().map(|(name, id)| format!("    {name} = {id}\n")).collect();
                    if lines.is_empty() { lines } else { format!("    [{table}]\n{lines}") }
                };
                let users = users.err().unwrap_or_default();
                let mut groups = groups.err().unwrap_or_default();
                groups.retain(|(name, _)| users.iter().all(|(user, _)| user != name));
                return Err(AccountsError::Unfixed { lines: list("users", users) + &list("groups", groups) });
            }
        };
        let uid = unique(&found.users, &users)?;
        let gid = unique(&found.groups, &groups)?;
        rewrite(root, "etc/passwd", |line| set(&set(line, 2, &uid), 3, &gid), Some(2))?;
        rewrite(root, "etc/group", |line| set(line, 2, &gid), Some(2))?;
        let after = Self::load(root)?;
        sort_like(root, "etc/shadow", &after.users)?;
        sort_like(root, "etc/gshadow", &after.groups)?;
        let changed = |ids: &BTreeMap<u32, u32>| ids.iter().any(|(old, new)| old != new);
        if changed(&uid) || changed(&gid) { chown(root, "", &uid, &gid) } else { Ok(()) }
    }
}

/// Name → new number; or those that have none.
fn renumber(
    found: &BTreeMap<String, u32>,
    fixed: &BTreeMap<String, u32>,
) -> Result<BTreeMap<String, u32>, Vec<(String, u32)>> {
    let given_out = found.iter().filter(|(name, id)| GIVEN_OUT.contains(id) && (name.as_str(), **id) != USERS);
    let missing: Vec<_> = given_out
        .clone()
        .filter(|(name, _)| !fixed.contains_key(*name))
        .map(|(name, id)| (name.clone(), *id))
        .collect();
    if !missing.is_empty() {
        return Err(missing);
    }
    Ok(given_out.map(|(name, _)| (name.clone(), fixed[name])).collect())
}

/// Old number → new number, if no two accounts end on one.
fn unique(found: &BTreeMap<String, u32>, new: &BTreeMap<String, u32>) -> Result<BTreeMap<u32, u32>, AccountsError> {
    let mut taken: BTreeMap<u32, &str> = BTreeMap::new();
    for (name, old) in found {
        let id = *new.get(name).unwrap_or(old);
        if let Some(first) = taken.insert(id, name) {
            return Err(AccountsError::Taken { first: first.to_owned(), second: name.clone(), id });
        }
    }
    Ok(new.iter().map(|(name, id)| (found[name], *id)).collect())
}

fn field(line: &str, number: usize) -> Option<&str> {
    line.split(':').nth(number)
}

/// `line` with the number in field `number` replaced.
fn set(line: &str, number: usize, ids: &BTreeMap<u32, u32>) -> String {
    let mut fields: Vec<String> = line.split(':').map(str::to_owned).collect();
    if let Some(field) = fields.get_mut(number)
        && let Some(new) = field.parse().ok().and_then(|old: u32| ids.get(&old))
    {
        *field = new.to_string();
    }
    fields.join(":")
}

fn read(root: &Path, path: &str) -> Result<String, AccountsError> {
    Inside::open(root)
        .and_then(|inside| inside.text(path))
        .map_err(|cause| AccountsError::Io { path: path.to_owned(), cause })
}

/// Changes every line of `path`, and sorts by the number in field `by`.
fn rewrite(root: &Path, path: &str, change: impl Fn(&str) -> String, by: Option<usize>) -> Result<(), AccountsError> {
    let mut lines: Vec<String> = read(root, path)?.lines().map(change).collect();
    if let Some(by) = by {
        lines.sort_by_key(|line| field(line, by).and_then(|id| id.parse::<u32>().ok()).unwrap_or(u32::MAX));
    }
    save(root, path, &lines)
}

/// Sorts the lines of `path` by the numbers that their names have.
fn sort_like(root: &Path, path: &str, ids: &BTreeMap<String, u32>) -> Result<(), AccountsError> {
    if fs::symlink_metadata(root.join(path)).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(());
    }
    let mut lines: Vec<String> = read(root, path)?.lines().map(str::to_owned).collect();
    lines.sort_by_key(|line| field(line, 0).and_then(|name| ids.get(name)).copied().unwrap_or(u32::MAX));
    save(root, path, &lines)
}

/// In place: the file keeps its mode and owner.
fn save(root: &Path, path: &str, lines: &[String]) -> Result<(), AccountsError> {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let saved = Inside::open(root).and_then(|inside| inside.rewrite(path, text.as_bytes()));
    saved.map_err(|cause| AccountsError::Io { path: path.to_owned(), cause })
}

/// Hands files over to the new numbers. chown(2) takes setuid, setgid and capabilities away: they are given back.
fn chown(root: &Path, path: &str, uid: &BTreeMap<u32, u32>, gid: &BTreeMap<u32, u32>) -> Result<(), AccountsError> {
    let full = root.join(path);
    let failed = |cause: io::Error| AccountsError::Io { path: path.to_owned(), cause };
    let metadata = fs::symlink_metadata(&full).map_err(failed)?;
    let new = |ids: &BTreeMap<u32, u32>, old: u32| ids.get(&old).copied().unwrap_or(old);
    let (user, group) = (new(uid, metadata.uid()), new(gid, metadata.gid()));
    if (user, group) != (metadata.uid(), metadata.gid()) {
        let capability = capability(&full);
        std::os::unix::fs::lchown(&full, Some(user), Some(group)).map_err(failed)?;
        if !metadata.is_symlink() {
            fs::set_permissions(&full, PermissionsExt::from_mode(metadata.mode() & 0o7777)).map_err(failed)?;
        }
        if let Some(value) = capability {
            rustix::fs::lsetxattr(&full, CAPABILITY, &value, rustix::fs::XattrFlags::empty())
                .map_err(|error| failed(error.into()))?;
        }
    }
    if metadata.is_dir() {
        for entry in fs::read_dir(&full).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let name = name.to_string_lossy();
            let path = if path.is_empty() { name.into_owned() } else { format!("{path}/{name}") };
            chown(root, &path, uid, gid)?;
        }
    }
    Ok(())
}

const CAPABILITY: &str = "security.capability";

fn capability(path: &Path) -> Option<Vec<u8>> {
    let mut value = vec![0; 64];
    let length = rustix::fs::lgetxattr(path, CAPABILITY, &mut value).ok()?;
    value.truncate(length);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir(tree.path().join("etc")).unwrap();
        let write = |name: &str, text: &str| fs::write(tree.path().join("etc").join(name), text).unwrap();
        write(
            "passwd",
            "root:x:0:0::/root:/bin/sh\nsshd:x:991:65534::/:/bin/false\nmessagebus:x:990:990::/:/bin/false\n",
        );
        write("group", "root:x:0:\nmessagebus:x:990:\ninput:x:991:\n");
        write("shadow", "root:*:1::::::\nsshd:!:1::::::\nmessagebus:!:1::::::\n");
        tree
    }

    fn ids(pairs: &[(&str, u32)]) -> BTreeMap<String, u32> {
        pairs.iter().map(|(name, id)| ((*name).to_owned(), *id)).collect()
    }

    #[test]
    fn accounts_get_the_numbers_of_the_recipe_and_stand_in_their_order() {
        let tree = tree();
        let fixed = Accounts { users: ids(&[("sshd", 102), ("messagebus", 101)]), groups: ids(&[("input", 103)]) };
        fixed.fix(tree.path()).unwrap();
        let passwd = fs::read_to_string(tree.path().join("etc/passwd")).unwrap();
        assert_eq!(
            passwd,
            "root:x:0:0::/root:/bin/sh\nmessagebus:x:101:101::/:/bin/false\nsshd:x:102:65534::/:/bin/false\n"
        );
        let shadow = fs::read_to_string(tree.path().join("etc/shadow")).unwrap();
        assert_eq!(shadow, "root:*:1::::::\nmessagebus:!:1::::::\nsshd:!:1::::::\n");
        assert_eq!(Accounts::load(tree.path()).unwrap().groups["input"], 103);
    }

    #[test]
    fn an_account_without_a_number_is_an_error_that_says_what_to_add() {
        let error = Accounts { users: ids(&[("sshd", 102)]), ..Accounts::default() }.fix(tree().path()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("[users]\n    messagebus = 990\n    [groups]\n    input = 991"), "{text}");
    }

    #[test]
    fn two_accounts_cannot_have_one_number() {
        let fixed = Accounts { users: ids(&[("sshd", 101), ("messagebus", 101)]), groups: ids(&[("input", 103)]) };
        assert!(matches!(fixed.fix(tree().path()), Err(AccountsError::Taken { id: 101, .. })));
    }
}
