//! What a directory is mounted with: fstab(5), systemd.mount(5).
//!
//! A unit in /etc hides a line of fstab, a line of fstab a unit of a package (systemd-fstab-generator(8)). What systemd mounts
//! before any unit (/dev/shm) has its options from whoever mounts it again.

use std::collections::BTreeSet;

use super::super::audited::Audited;
use super::unit::{self, Unit};

/// The options with which the directory `path` (`/var/tmp`) is mounted; none if nothing of the image mounts it.
pub fn options(image: &Audited<'_>, path: &str) -> Option<BTreeSet<String>> {
    let name = format!("{}.mount", path.trim_start_matches('/').replace('/', "-"));
    let own = image.names("etc/systemd/system").contains(name.as_str());
    if own { unit_options(image, &name) } else { fstab(image, path).or_else(|| unit_options(image, &name)) }
        .or_else(|| remounted(image, path))
}

/// Of a unit that is pulled in.
fn unit_options(image: &Audited<'_>, name: &str) -> Option<BTreeSet<String>> {
    let unit = Unit::of(image, name).filter(|unit| !unit.masked)?;
    unit::pulled(image).contains_key(name).then(|| list(unit.value("Mount", "Options").unwrap_or_default()))
}

/// Of a line of fstab.
fn fstab(image: &Audited<'_>, path: &str) -> Option<BTreeSet<String>> {
    let text = image.text("etc/fstab")?;
    let mut lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    lines.find_map(|words| match words.as_slice() {
        [what, place, _, options, ..] if !what.starts_with('#') && *place == path => Some(list(options)),
        _ => None,
    })
}

/// Of `mount -o remount,OPTIONS PATH` in a service that is pulled in.
fn remounted(image: &Audited<'_>, path: &str) -> Option<BTreeSet<String>> {
    unit::pulled(image).into_keys().filter(|name| name.ends_with(".service")).find_map(|name| {
        let unit = Unit::of(image, &name)?;
        unit.lines("Service", "ExecStart").into_iter().find_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words.as_slice() {
                [program, "-o", options, place] if program.ends_with("/mount") && *place == path => {
                    let options = list(options);
                    options.contains("remount").then_some(options)
                }
                _ => None,
            }
        })
    })
}

fn list(options: &str) -> BTreeSet<String> {
    options.split(',').map(str::trim).filter(|option| !option.is_empty()).map(str::to_owned).collect()
}
