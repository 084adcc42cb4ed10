//! passwd(5), shadow(5), group(5).

use super::super::audited::Audited;

/// A line of /etc/passwd with its line of /etc/shadow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Its group's number.
    pub gid: u32,
    /// Its home.
    pub home: String,
    /// What runs when it logs in.
    pub shell: String,
    /// The password field that counts: shadow's, where passwd has `x`; none if shadow lacks the account.
    pub password: Option<String>,
}

/// All accounts.
pub fn accounts(image: &Audited<'_>) -> Vec<Account> {
    let shadow = image.text("etc/shadow").unwrap_or_default();
    let hash = |name: &str| {
        let line = shadow.lines().find(|line| line.split(':').next() == Some(name))?;
        line.split(':').nth(1).map(str::to_owned)
    };
    let account = |line: &str| {
        let mut fields = line.split(':');
        let (name, password) = (fields.next()?.to_owned(), fields.next()?);
        let (uid, gid) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let (home, shell) = (fields.nth(1)?.to_owned(), fields.next()?.to_owned());
        let password = if password == "x" { hash(&name) } else { Some(password.to_owned()) };
        Some(Account { name, uid, gid, home, shell, password })
    };
    image.text("etc/passwd").unwrap_or_default().lines().filter_map(account).collect()
}

/// All groups: name, number, members.
pub fn groups(image: &Audited<'_>) -> Vec<(String, u32, Vec<String>)> {
    let group = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let gid = fields.nth(1)?.parse().ok()?;
        let members = fields.next()?.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        Some((name, gid, members))
    };
    image.text("etc/group").unwrap_or_default().lines().filter_map(group).collect()
}
