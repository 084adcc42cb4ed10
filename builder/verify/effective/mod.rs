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
//! | [`mounts`] | fstab(5), systemd.mount(5) | a unit of /etc, fstab, a unit of a package |
//! | [`pam`] | pam.d(5) | all, in order, through `@include` |
//! | [`audit_rules`] | auditctl(8) | all up to `-e 2` |
//! | [`apparmor`] | apparmor.d(5) | all that are not disabled |
//! | [`packages`] | dpkg's status | all |

pub mod accounts;
pub mod apache;
pub mod apparmor;
pub mod audit_rules;
pub mod dropins;
pub mod fail2ban;
pub mod ini;
pub mod mounts;
pub mod packages;
pub mod pam;
pub mod sshd;
pub mod unit;
