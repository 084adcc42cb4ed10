//! What the kernel is told when it starts: parameters, and modules that it does not load.

use super::super::audited::Audited;
use super::super::check::{Check, Finding, Severity};
use super::super::effective::dropins;
use super::super::want::Want;

/// One row: `$id`, what holds, why, who says so, how bad; and parameters with what is wanted of them.
macro_rules! row {
    ($id:literal, $title:literal, $why:literal, $source:literal, $severity:ident, $wanted:expr) => {
        Check {
            id: $id,
            title: $title,
            why: $why,
            source: $source,
            severity: Severity::$severity,
            applies: |_| true,
            run: |image| judge(image, $wanted),
        }
    };
}

type Wanted = &'static [(&'static str, Want)];

pub(super) const POINTERS: Wanted = &[
    ("kernel.kptr_restrict", Want::Is("2")),
    ("kernel.dmesg_restrict", Want::Is("1")),
    ("kernel.perf_event_paranoid", Want::AtLeast(3)),
];
pub(super) const BPF: Wanted =
    &[("kernel.unprivileged_bpf_disabled", Want::Within(1, 2)), ("net.core.bpf_jit_harden", Want::Is("2"))];
pub(super) const TRACING: Wanted = &[("kernel.yama.ptrace_scope", Want::AtLeast(2))];
pub(super) const REPLACING: Wanted = &[("kernel.kexec_load_disabled", Want::Is("1")), ("kernel.sysrq", Want::Is("0"))];
pub(super) const ASLR: Wanted = &[("kernel.randomize_va_space", Want::Is("2"))];
pub(super) const LINKS: Wanted = &[
    ("fs.protected_hardlinks", Want::Is("1")),
    ("fs.protected_symlinks", Want::Is("1")),
    ("fs.protected_fifos", Want::Is("2")),
    ("fs.protected_regular", Want::Is("2")),
];
pub(super) const CORES: Wanted =
    &[("fs.suid_dumpable", Want::Is("0")), ("kernel.core_pattern", Want::Is("|/bin/false"))];
pub(super) const MEMORY: Wanted = &[
    ("vm.mmap_min_addr", Want::AtLeast(65_536)),
    ("vm.mmap_rnd_bits", Want::AtLeast(32)),
    ("vm.mmap_rnd_compat_bits", Want::AtLeast(16)),
    ("vm.unprivileged_userfaultfd", Want::Is("0")),
];
pub(super) const SURFACE: Wanted = &[
    ("kernel.io_uring_disabled", Want::Is("2")),
    ("kernel.unprivileged_userns_clone", Want::Is("0")),
    ("dev.tty.ldisc_autoload", Want::Is("0")),
    ("dev.tty.legacy_tiocsti", Want::Is("0")),
    ("kernel.oops_limit", Want::Within(1, 100)),
    ("kernel.warn_limit", Want::Within(1, 100)),
];
pub(super) const ROUTING: Wanted = &[
    ("net.ipv4.ip_forward", Want::Is("0")),
    ("net.ipv4.conf.all.forwarding", Want::Is("0")),
    ("net.ipv4.conf.default.forwarding", Want::Is("0")),
    ("net.ipv6.conf.all.forwarding", Want::Is("0")),
    ("net.ipv6.conf.default.forwarding", Want::Is("0")),
];
pub(super) const ROUTERS: Wanted = &[
    ("net.ipv6.conf.all.accept_ra", Want::Is("0")),
    ("net.ipv6.conf.default.accept_ra", Want::Is("0")),
    ("net.ipv6.conf.default.accept_ra_defrtr", Want::Is("0")),
    ("net.ipv6.conf.default.accept_ra_pinfo", Want::Is("0")),
    ("net.ipv6.conf.default.accept_ra_rtr_pref", Want::Is("0")),
    ("net.ipv6.conf.default.autoconf", Want::Is("0")),
    ("net.ipv6.conf.default.router_solicitations", Want::Is("0")),
    ("net.ipv6.conf.default.max_addresses", Want::Within(1, 16)),
];
pub(super) const NEIGHBOURS: Wanted = &[
    ("net.ipv4.conf.all.arp_ignore", Want::Within(1, 2)),
    ("net.ipv4.conf.default.arp_ignore", Want::Within(1, 2)),
    ("net.ipv4.conf.all.arp_announce", Want::Is("2")),
    ("net.ipv4.conf.default.arp_announce", Want::Is("2")),
];
pub(super) const SPOOFING: Wanted = &[
    ("net.ipv4.conf.all.rp_filter", Want::Is("1")),
    ("net.ipv4.conf.default.rp_filter", Want::Is("1")),
    ("net.ipv4.conf.all.log_martians", Want::Is("1")),
    ("net.ipv4.conf.default.log_martians", Want::Is("1")),
];
pub(super) const REDIRECTS: Wanted = &[
    ("net.ipv4.conf.all.accept_redirects", Want::Is("0")),
    ("net.ipv4.conf.default.accept_redirects", Want::Is("0")),
    ("net.ipv4.conf.all.secure_redirects", Want::Is("0")),
    ("net.ipv4.conf.default.secure_redirects", Want::Is("0")),
    ("net.ipv4.conf.all.send_redirects", Want::Is("0")),
    ("net.ipv4.conf.default.send_redirects", Want::Is("0")),
    ("net.ipv4.conf.all.accept_source_route", Want::Is("0")),
    ("net.ipv4.conf.default.accept_source_route", Want::Is("0")),
    ("net.ipv6.conf.all.accept_redirects", Want::Is("0")),
    ("net.ipv6.conf.default.accept_redirects", Want::Is("0")),
    ("net.ipv6.conf.all.accept_source_route", Want::Is("0")),
    ("net.ipv6.conf.default.accept_source_route", Want::Is("0")),
];
pub(super) const FLOODS: Wanted = &[
    ("net.ipv4.tcp_syncookies", Want::Is("1")),
    ("net.ipv4.tcp_rfc1337", Want::Is("1")),
    ("net.ipv4.icmp_echo_ignore_broadcasts", Want::Is("1")),
    ("net.ipv4.icmp_ignore_bogus_error_responses", Want::Is("1")),
    ("net.ipv4.icmp_ratelimit", Want::Within(1, 1000)),
    ("net.ipv4.icmp_ratemask", Want::AtLeast(88_089)),
];

/// Every parameter, by the check that looks at it: for the test that each of them is looked at.
#[cfg(test)]
pub(in super::super) const PARAMETERS: [(&str, Wanted); 15] = [
    ("kernel-pointers", POINTERS),
    ("kernel-bpf", BPF),
    ("kernel-tracing", TRACING),
    ("kernel-replacing", REPLACING),
    ("kernel-aslr", ASLR),
    ("kernel-links", LINKS),
    ("kernel-cores", CORES),
    ("kernel-memory", MEMORY),
    ("kernel-surface", SURFACE),
    ("network-routers", ROUTERS),
    ("network-neighbours", NEIGHBOURS),
    ("network-routing", ROUTING),
    ("network-spoofing", SPOOFING),
    ("network-redirects", REDIRECTS),
    ("network-floods", FLOODS),
];

/// Modules of protocols and file systems that no machine of a VPC needs. (UDF is not here: Azure's provisioning needs it.)
const MODULES: [&str; 38] = [
    "dccp",
    "sctp",
    "rds",
    "tipc",
    "cramfs",
    "freevxfs",
    "jffs2",
    "hfs",
    "hfsplus",
    "usb_storage",
    "firewire_core",
    "n_hdlc",
    "atm",
    "can",
    "ax25",
    "netrom",
    "x25",
    "rose",
    "decnet",
    "econet",
    "af_802154",
    "ipx",
    "appletalk",
    "psnap",
    "p8023",
    "p8022",
    "squashfs",
    "gfs2",
    "ksmbd",
    "uas",
    "firewire_ohci",
    "firewire_sbp2",
    "thunderbolt",
    "bluetooth",
    "btusb",
    "pcspkr",
    "floppy",
    "vivid",
];

pub(super) const CHECKS: &[Check] = &[
    row!(
        "kernel-pointers",
        "the kernel does not show where it lies",
        "an exploit that knows the addresses is half done",
        "kernel Documentation/admin-guide/sysctl/kernel.rst; dev-sec sysctl-14 ff.",
        Medium,
        POINTERS
    ),
    row!(
        "kernel-bpf",
        "only root loads programs into the kernel",
        "its verifier and its compiler had holes again and again",
        "kernel Documentation/admin-guide/sysctl/kernel.rst, net.rst",
        High,
        BPF
    ),
    row!(
        "kernel-tracing",
        "processes do not look into each other",
        "one that is taken over would read the keys of all others",
        "CIS Debian 12 1.5.2; kernel Documentation/admin-guide/LSM/Yama.rst",
        Medium,
        TRACING
    ),
    row!(
        "kernel-replacing",
        "the running kernel is not replaced nor commanded by keys",
        "root of a container would own the machine",
        "kernel Documentation/admin-guide/sysctl/kernel.rst; dev-sec sysctl-30",
        Medium,
        REPLACING
    ),
    row!(
        "kernel-aslr",
        "addresses are drawn by lot",
        "an exploit would know them beforehand",
        "CIS Debian 12 1.5.1",
        High,
        ASLR
    ),
    row!(
        "kernel-links",
        "links and files of others in /tmp are not followed",
        "a program of root would write where a user points",
        "kernel Documentation/admin-guide/sysctl/fs.rst; CIS Debian 12 1.5",
        Medium,
        LINKS
    ),
    row!(
        "kernel-cores",
        "programs with rights leave no memory behind",
        "a core file holds what they knew",
        "CIS Debian 12 1.5.3",
        Medium,
        CORES
    ),
    row!(
        "kernel-memory",
        "where programs lie in memory is drawn from as much as there is, and nobody stops the kernel in the middle of a read",
        "fewer places are tried in minutes; a stopped kernel is how races are won",
        "kernel Documentation/admin-guide/sysctl/vm.rst; kernel-hardening-checker",
        Medium,
        MEMORY
    ),
    row!(
        "kernel-surface",
        "users do not reach parts of the kernel that only exploits need, and one that it survives is not tried for ever",
        "most ways from a user to root of the last years lead over io_uring, user namespaces and line disciplines",
        "kernel Documentation/admin-guide/sysctl/kernel.rst; kernel-hardening-checker",
        Medium,
        SURFACE
    ),
    row!(
        "network-routers",
        "the kernel believes no router by itself: systemd-networkd does, which is told what to believe",
        "whoever is on the link would be the way out",
        "CIS Debian 12 3.3.11; kernel Documentation/networking/ip-sysctl.rst",
        Low,
        ROUTERS
    ),
    row!(
        "network-neighbours",
        "the machine tells a network only addresses that belong there",
        "a neighbour would learn of networks that are none of his business, and speak with them",
        "dev-sec sysctl-03, sysctl-04; kernel Documentation/networking/ip-sysctl.rst",
        Low,
        NEIGHBOURS
    ),
    row!(
        "network-routing",
        "the machine forwards no packets",
        "it would be a way round the firewall of the VPC",
        "CIS Debian 12 3.3.1",
        Medium,
        ROUTING
    ),
    row!(
        "network-spoofing",
        "packets that cannot be are dropped and logged",
        "a source that is a lie passes for a neighbour",
        "CIS Debian 12 3.3.7, 3.3.9",
        Medium,
        SPOOFING
    ),
    row!(
        "network-redirects",
        "nobody tells the machine other routes",
        "a neighbour would send its traffic past himself",
        "CIS Debian 12 3.3.2, 3.3.5, 3.3.6, 3.3.8",
        Medium,
        REDIRECTS
    ),
    row!(
        "network-floods",
        "half-open connections do not fill the queue",
        "one sender with false addresses stops the service",
        "CIS Debian 12 3.3.4, 3.3.10",
        Medium,
        FLOODS
    ),
    Check {
        id: "kernel-modules",
        title: "modules that nobody needs are not loaded",
        why: "a user opens a socket of an odd protocol, and the kernel loads code that nobody has looked at for years",
        source: "CIS Debian 12 1.1.1, 3.2; modprobe.d(5)",
        severity: Severity::Medium,
        applies: |_| true,
        run: modules,
    },
];

fn judge(image: &Audited<'_>, wanted: Wanted) -> Vec<Finding> {
    let values = dropins::sysctl(image);
    let place = "a file of etc/sysctl.d that sorts last";
    wanted.iter().filter_map(|(key, want)| want.judge(key, values.get(*key).map(String::as_str), place)).collect()
}

/// `blacklist` alone stops aliases only: `install MODULE /bin/false` stops all ways.
fn modules(image: &Audited<'_>) -> Vec<Finding> {
    let modprobe = dropins::modprobe(image);
    let stopped = |command: &String| matches!(command.rsplit('/').next(), Some("true" | "false"));
    let loaded = MODULES.into_iter().filter(|module| !modprobe.install.get(*module).is_some_and(stopped));
    loaded
        .map(|module| {
            let found = if modprobe.blacklist.iter().any(|name| name == module) {
                "loaded by name"
            } else {
                "loaded when asked for"
            };
            Finding::new(module, found, "never loaded", format!("`install {module} /bin/false` in etc/modprobe.d"))
        })
        .collect()
}
