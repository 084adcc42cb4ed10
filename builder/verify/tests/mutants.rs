//! For each check, what breaks it. A check may have several.

mod doors;
mod servers;
mod system;

use super::fixture::Change;

/// The check, and the changes of one mutant that it must reject.
pub fn mutants() -> impl Iterator<Item = &'static (&'static str, &'static [Change])> {
    [doors::DOORS, system::SYSTEM, servers::SERVERS].into_iter().flatten()
}
