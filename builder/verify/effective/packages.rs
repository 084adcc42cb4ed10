//! What dpkg says is installed: /var/lib/dpkg/status.

use std::collections::BTreeMap;

use super::super::audited::Audited;
use crate::debian::deb822;

/// Each package, with the three words of its `Status`.
pub fn packages(image: &Audited<'_>) -> BTreeMap<String, String> {
    let text = image.text("var/lib/dpkg/status").unwrap_or_default();
    let mut packages = BTreeMap::new();
    for paragraph in deb822::paragraphs(&text) {
        if let Ok(table) = paragraph.table()
            && let (Some(name), Some(status)) = (table.get("Package"), table.get("Status"))
        {
            packages.insert(name.to_owned(), status.to_owned());
        }
    }
    packages
}
