//! The table of checks, by subject.
//!
//! A row's `id` is its name for ever: recipes make exceptions by it. Rows of one subject stand together, in a file of their own.

mod accounts;
mod apache;
mod boot;
mod cloud_init;
mod files;
mod firewall;
mod jails;
mod kernel;
mod mariadb;
mod network;
mod packages;
mod php;
mod residue;
mod secrets;
mod ssh;
mod systemd;
mod tls;

use super::check::Check;
#[cfg(test)]
pub(super) use kernel::PARAMETERS;

/// Every check, in the order in which reports show them.
pub const CHECKS: [&[Check]; 17] = [
    firewall::CHECKS,
    jails::CHECKS,
    ssh::CHECKS,
    accounts::CHECKS,
    secrets::CHECKS,
    residue::CHECKS,
    files::CHECKS,
    kernel::CHECKS,
    network::CHECKS,
    systemd::CHECKS,
    cloud_init::CHECKS,
    packages::CHECKS,
    boot::CHECKS,
    apache::CHECKS,
    tls::CHECKS,
    php::CHECKS,
    mariadb::CHECKS,
];

/// Every check, one after the other.
pub fn all() -> impl Iterator<Item = &'static Check> {
    CHECKS.into_iter().flatten()
}
