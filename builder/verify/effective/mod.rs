//! What programs make of their configuration: which of several values counts, by each program's own rules.
//!
//! | file | of | which value counts |
//! |---|---|---|
//! | [`sshd`] | sshd_config(5) | the first |
//! | [`dropins`] | sysctl.d(5), modprobe.d(5), journald.conf(5) … | the last file, by name; `/etc` hides `/usr/lib` |
//! | [`unit`] | systemd.unit(5) | the last; lists grow, an empty value empties them |
//! | [`ini`] | php.ini, my.cnf, jail.conf | the last |
//! | [`apache`] | Apache's core | the last, at the server's level and for each context |
//! | [`fail2ban`] | jail.conf(5) | the last file of four kinds; `[DEFAULT]` below each jail |
//! | [`accounts`] | passwd(5), shadow(5), group(5) | all |
//! | [`packages`] | dpkg's status | all |

pub mod accounts;
pub mod apache;
pub mod dropins;
pub mod fail2ban;
pub mod ini;
pub mod packages;
pub mod sshd;
pub mod unit;
