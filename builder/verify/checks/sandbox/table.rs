//! The table: each service, and what its unit has to say.

use super::super::super::want::Want;

/// What the unit of a service has to say.
pub(super) struct Sandbox {
    /// Which; `*` stands for the version in a name.
    pub(super) unit: &'static str,
    /// These are on.
    pub(super) on: &'static [&'static str],
    /// These have such a value.
    pub(super) values: &'static [(&'static str, Want)],
    /// Of root's powers it keeps these at most.
    pub(super) capabilities: &'static [&'static str],
    /// It speaks by sockets of these kinds at most.
    pub(super) families: &'static [&'static str],
    /// `SystemCallFilter=` lines: groups that are allowed, and with `~` before them such as are not.
    pub(super) calls: &'static [&'static str],
}

/// What every service can do without: the kernel's knobs, its log, its modules and the clock.
const KERNEL: &[&str] = &[
    "ProtectClock",
    "ProtectControlGroups",
    "ProtectHostname",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "LockPersonality",
    "RestrictNamespaces",
    "RestrictRealtime",
    "RestrictSUIDSGID",
];
/// What servers can do without beside that.
const SERVER: &[&str] = &[
    "ProtectClock",
    "ProtectControlGroups",
    "ProtectHostname",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "LockPersonality",
    "RestrictNamespaces",
    "RestrictRealtime",
    "RestrictSUIDSGID",
    "ProtectHome",
    "PrivateTmp",
    "PrivateDevices",
    "NoNewPrivileges",
    "MemoryDenyWriteExecute",
    "RemoveIPC",
];
const INTERNET: &[&str] = &["AF_UNIX", "AF_INET", "AF_INET6"];
const STRICT: (&str, Want) = ("ProtectSystem", Want::Is("strict"));
const NATIVE: (&str, Want) = ("SystemCallArchitectures", Want::Is("native"));
const REFUSED: (&str, Want) = ("SystemCallErrorNumber", Want::Is("EPERM"));
const HIDDEN: (&str, Want) = ("ProtectProc", Want::OneOf(&["invisible", "noaccess"]));
const PROCESSES: (&str, Want) = ("ProcSubset", Want::Is("pid"));
const OWN_FILES: (&str, Want) = ("UMask", Want::OneOf(&["0027", "0077"]));
const NO_CORES: (&str, Want) = ("LimitCORE", Want::Is("0"));

pub(super) const APACHE: Sandbox = Sandbox {
    unit: "apache2.service",
    on: SERVER,
    values: &[
        STRICT,
        NATIVE,
        REFUSED,
        HIDDEN,
        PROCESSES,
        OWN_FILES,
        NO_CORES,
        ("KeyringMode", Want::Is("private")),
        ("LimitNOFILE", Want::AtLeast(1024)),
        ("TasksMax", Want::Within(1, 4096)),
        ("ReadWritePaths", Want::Only(&["/var/log/apache2"])),
        ("RuntimeDirectoryMode", Want::OneOf(&["0755", "0750", "0700"])),
        ("Restart", Want::OneOf(&["on-failure", "on-abort", "always"])),
        ("RestartSec", Want::AtLeast(1)),
    ],
    capabilities: &["CAP_NET_BIND_SERVICE", "CAP_SETUID", "CAP_SETGID", "CAP_CHOWN", "CAP_KILL"],
    families: INTERNET,
    calls: &["@system-service", "~@resources", "~@keyring", "~@memlock", "~@sandbox"],
};

pub(super) const PHP: Sandbox = Sandbox {
    unit: "php*-fpm.service",
    on: &[
        "ProtectClock",
        "ProtectControlGroups",
        "ProtectHostname",
        "ProtectKernelLogs",
        "ProtectKernelModules",
        "ProtectKernelTunables",
        "LockPersonality",
        "RestrictNamespaces",
        "RestrictRealtime",
        "RestrictSUIDSGID",
        "ProtectHome",
        "PrivateTmp",
        "PrivateDevices",
        "PrivateUsers",
        "NoNewPrivileges",
        "MemoryDenyWriteExecute",
        "RemoveIPC",
        "DynamicUser",
    ],
    values: &[
        STRICT,
        NATIVE,
        REFUSED,
        HIDDEN,
        PROCESSES,
        OWN_FILES,
        NO_CORES,
        ("KeyringMode", Want::Is("private")),
        ("User", Want::Set),
        ("Group", Want::Set),
        ("RuntimeDirectoryMode", Want::OneOf(&["0710", "0750", "0700"])),
        ("LimitNOFILE", Want::AtLeast(256)),
        ("TasksMax", Want::Within(1, 4096)),
        ("MemoryMax", Want::Set),
        ("AmbientCapabilities", Want::Is("")),
        ("NoExecPaths", Want::Is("/")),
        ("ExecPaths", Want::Set),
    ],
    capabilities: &[],
    families: INTERNET,
    calls: &["@system-service", "~@privileged", "~@resources", "~@keyring", "~@memlock"],
};

pub(super) const DATABASE: Sandbox = Sandbox {
    unit: "mariadb.service",
    on: &[
        "ProtectClock",
        "ProtectControlGroups",
        "ProtectHostname",
        "ProtectKernelLogs",
        "ProtectKernelModules",
        "ProtectKernelTunables",
        "LockPersonality",
        "RestrictNamespaces",
        "RestrictRealtime",
        "RestrictSUIDSGID",
        "ProtectHome",
        "PrivateTmp",
        "PrivateDevices",
        "PrivateUsers",
        "NoNewPrivileges",
        "MemoryDenyWriteExecute",
        "RemoveIPC",
    ],
    values: &[
        STRICT,
        NATIVE,
        REFUSED,
        HIDDEN,
        PROCESSES,
        OWN_FILES,
        ("AmbientCapabilities", Want::Is("")),
        ("ReadWritePaths", Want::Only(&["/var/lib/mysql", "/var/lib/mysql-files", "/run/mysqld"])),
    ],
    capabilities: &[],
    families: INTERNET,
    calls: &["@system-service", "~@privileged"],
};

pub(super) const MYSQL: Sandbox = Sandbox { unit: "mysql.service", ..DATABASE };

pub(super) const BANS: Sandbox = Sandbox {
    unit: "fail2ban.service",
    on: &[
        "ProtectClock",
        "ProtectControlGroups",
        "ProtectHostname",
        "ProtectKernelLogs",
        "ProtectKernelModules",
        "ProtectKernelTunables",
        "LockPersonality",
        "RestrictNamespaces",
        "RestrictRealtime",
        "RestrictSUIDSGID",
        "ProtectHome",
        "PrivateTmp",
        "PrivateDevices",
        "NoNewPrivileges",
        "MemoryDenyWriteExecute",
    ],
    values: &[
        STRICT,
        NATIVE,
        HIDDEN,
        OWN_FILES,
        ("StateDirectory", Want::Is("fail2ban")),
        ("StateDirectoryMode", Want::OneOf(&["0700", "0750"])),
    ],
    capabilities: &["CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_DAC_READ_SEARCH", "CAP_AUDIT_READ"],
    families: &["AF_UNIX", "AF_NETLINK", "AF_INET", "AF_INET6"],
    calls: &["@system-service", "~@resources"],
};

pub(super) const SSH: Sandbox = Sandbox {
    unit: "ssh.service",
    on: KERNEL,
    values: &[
        ("ProtectSystem", Want::OneOf(&["full", "strict"])),
        NATIVE,
        REFUSED,
        HIDDEN,
        OWN_FILES,
        ("DevicePolicy", Want::OneOf(&["closed", "strict"])),
    ],
    capabilities: &[
        "CAP_AUDIT_CONTROL",
        "CAP_AUDIT_WRITE",
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_DAC_READ_SEARCH",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_KILL",
        "CAP_NET_BIND_SERVICE",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SYS_CHROOT",
        "CAP_SYS_RESOURCE",
        "CAP_SYS_NICE",
    ],
    families: &["AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK"],
    calls: &["~@clock", "~@cpu-emulation", "~@debug", "~@module", "~@obsolete", "~@raw-io", "~@reboot", "~@swap"],
};

pub(super) const BUS: Sandbox = Sandbox {
    unit: "dbus.service",
    on: &[
        "ProtectClock",
        "ProtectControlGroups",
        "ProtectHostname",
        "ProtectKernelLogs",
        "ProtectKernelModules",
        "ProtectKernelTunables",
        "LockPersonality",
        "RestrictNamespaces",
        "RestrictRealtime",
        "RestrictSUIDSGID",
        "ProtectHome",
        "PrivateTmp",
        "PrivateDevices",
        "NoNewPrivileges",
        "MemoryDenyWriteExecute",
    ],
    values: &[STRICT, NATIVE],
    capabilities: &["CAP_AUDIT_WRITE"],
    families: &["AF_UNIX", "AF_NETLINK"],
    calls: &[],
};

pub(super) const TRAIL: Sandbox = Sandbox {
    unit: "auditd.service",
    on: &[
        "ProtectClock",
        "ProtectHostname",
        "LockPersonality",
        "RestrictNamespaces",
        "RestrictSUIDSGID",
        "ProtectHome",
        "NoNewPrivileges",
    ],
    values: &[("ProtectSystem", Want::OneOf(&["full", "strict"])), NATIVE, OWN_FILES],
    capabilities: &[
        "CAP_AUDIT_CONTROL",
        "CAP_AUDIT_READ",
        "CAP_AUDIT_WRITE",
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_SYS_NICE",
        "CAP_KILL",
        "CAP_SYS_RESOURCE",
    ],
    families: &["AF_UNIX", "AF_NETLINK"],
    calls: &[],
};

pub(super) const CLOUD: Sandbox = Sandbox {
    unit: "cloud-init-main.service",
    on: &[
        "ProtectClock",
        "ProtectControlGroups",
        "ProtectKernelModules",
        "LockPersonality",
        "RestrictNamespaces",
        "RestrictRealtime",
        "RestrictSUIDSGID",
        "NoNewPrivileges",
        "MemoryDenyWriteExecute",
    ],
    values: &[NATIVE, REFUSED],
    capabilities: &[
        "~CAP_AUDIT_CONTROL",
        "~CAP_AUDIT_READ",
        "~CAP_BPF",
        "~CAP_CHECKPOINT_RESTORE",
        "~CAP_LEASE",
        "~CAP_LINUX_IMMUTABLE",
        "~CAP_MAC_ADMIN",
        "~CAP_MAC_OVERRIDE",
        "~CAP_MKNOD",
        "~CAP_PERFMON",
        "~CAP_SYS_BOOT",
        "~CAP_SYS_MODULE",
        "~CAP_SYS_PACCT",
        "~CAP_SYS_PTRACE",
        "~CAP_SYS_TIME",
        "~CAP_WAKE_ALARM",
    ],
    families: &["AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET"],
    calls: &["~@clock", "~@cpu-emulation", "~@debug", "~@module", "~@obsolete", "~@raw-io", "~@reboot", "~@swap"],
};

/// What prepares an instance, as root and before its services.
pub(super) const OWN: Sandbox = Sandbox {
    unit: "goldsmith-*.service",
    on: &[
        "ProtectHome",
        "ProtectClock",
        "ProtectControlGroups",
        "ProtectKernelLogs",
        "ProtectKernelModules",
        "LockPersonality",
        "RestrictNamespaces",
        "RestrictRealtime",
        "RestrictSUIDSGID",
        "NoNewPrivileges",
        "MemoryDenyWriteExecute",
    ],
    values: &[STRICT, NATIVE, ("UMask", Want::Is("0077"))],
    capabilities: &[
        "CAP_NET_ADMIN",
        "CAP_NET_RAW",
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_DAC_READ_SEARCH",
        "CAP_FOWNER",
        "CAP_SETGID",
        "CAP_SETUID",
    ],
    families: &["AF_UNIX", "AF_NETLINK", "AF_INET", "AF_INET6"],
    calls: &[],
};

/// Those of them that touch neither the firewall nor the network: no network at all, and only the usual calls.
pub(super) const OWN_OFFLINE: Sandbox = Sandbox {
    unit: "goldsmith-*.service",
    on: &["PrivateNetwork", "PrivateTmp", "ProtectKernelTunables"],
    values: &[],
    capabilities: &["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_SETGID", "CAP_SETUID"],
    families: &["AF_UNIX"],
    calls: &["@system-service"],
};

/// Units of ours that mount or load what a sandbox hides: one command each, and no input.
pub(super) const PLAIN: [&str; 1] = ["goldsmith-mounts.service"];

/// Units of ours that need the network's tables or addresses; the last two are `cooperative`'s.
pub(super) const ONLINE: [&str; 4] = [
    "goldsmith-firewall.service",
    "goldsmith-instance.service",
    "goldsmith-remember.service",
    "goldsmith-assert.service",
];
