//! The table of checks, by subject.
//!
//! A row's `id` is its name for ever: recipes make exceptions by it. Rows of one subject stand together, in a file of their own.

mod accounts;
mod apache;
mod apparmor;
mod audit_trail;
mod boot;
mod cloud_init;
mod files;
mod firewall;
mod jails;
mod kernel;
mod mariadb;
mod mounts;
mod network;
mod packages;
mod pam;
mod php;
mod php_pool;
mod residue;
mod sandbox;
mod secrets;
mod sessions;
mod ssh;
mod systemd;
mod tls;

use super::check::Check;
#[cfg(test)]
pub(super) use kernel::PARAMETERS;

/// Every check, in the order in which reports show them.
pub const CHECKS: [&[Check]; 24] = [
    firewall::CHECKS,
    jails::CHECKS,
    ssh::CHECKS,
    accounts::CHECKS,
    pam::CHECKS,
    sessions::CHECKS,
    secrets::CHECKS,
    residue::CHECKS,
    files::CHECKS,
    kernel::CHECKS,
    mounts::CHECKS,
    network::CHECKS,
    systemd::CHECKS,
    sandbox::CHECKS,
    apparmor::CHECKS,
    audit_trail::CHECKS,
    cloud_init::CHECKS,
    packages::CHECKS,
    boot::CHECKS,
    apache::CHECKS,
    tls::CHECKS,
    php::CHECKS,
    php_pool::CHECKS,
    mariadb::CHECKS,
];

/// Every check, one after the other.
pub fn all() -> impl Iterator<Item = &'static Check> {
    CHECKS.into_iter().flatten()
}
