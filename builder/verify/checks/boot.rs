//! What a machine needs to start.

use super::super::audited::Audited;
use super::super::check::{Check, Finding, Severity};

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "boot-kernel",
        title: "there is a kernel, with its initial RAM disk and its modules",
        why: "the machine does not start",
        source: "initramfs-tools(7); kernel-install(8)",
        severity: Severity::High,
        applies: |image| {
            image.has("usr/sbin/update-initramfs")
                || image.names("boot").iter().any(|name| name.starts_with("vmlinuz-"))
        },
        run: kernel,
    },
    Check {
        id: "boot-init",
        title: "there is an init, and a target that it starts",
        why: "the machine does not start",
        source: "systemd(1)",
        severity: Severity::High,
        applies: |_| true,
        run: init,
    },
    Check {
        id: "boot-usr",
        title: "/bin, /lib and /sbin are links into /usr",
        why: "Debian's packages expect it, and dpkg loses files otherwise",
        source: "Debian Policy 10.1; usrmerge",
        severity: Severity::Low,
        applies: |_| true,
        run: merged,
    },
];

fn kernel(image: &Audited<'_>) -> Vec<Finding> {
    let names = image.names("boot");
    let kernels: Vec<&str> = names.iter().filter_map(|name| name.strip_prefix("vmlinuz-")).collect();
    let mut findings = Vec::new();
    if kernels.is_empty() {
        findings.push(Finding::new("boot", "no kernel", "vmlinuz-VERSION", "a package linux-image-… in the recipe"));
    }
    for version in kernels {
        let initrd = image.entry(&format!("boot/initrd.img-{version}"));
        if initrd
            .is_none_or(|entry| matches!(entry.kind, crate::rootfs::entry::Kind::File { size, .. } if size < 1 << 10))
        {
            findings.push(Finding::new(
                format!("boot/initrd.img-{version}"),
                "none, or empty",
                "one",
                "initramfs-tools in the recipe",
            ));
        }
        if !image.has(&format!("usr/lib/modules/{version}/modules.dep")) {
            findings.push(Finding::new(
                format!("usr/lib/modules/{version}"),
                "no modules.dep",
                "one",
                "depmod; build the image again",
            ));
        }
    }
    findings
}

fn init(image: &Audited<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in ["sbin/init", "usr/lib/systemd/systemd"] {
        if !image.has(path) {
            findings.push(Finding::new(path, "it is not there", "init", "systemd-sysv in the recipe"));
        }
    }
    let default = ["etc/systemd/system/default.target", "usr/lib/systemd/system/default.target"];
    if !default.iter().any(|path| image.has(path)) {
        findings.push(Finding::new("default.target", "it is not there", "a target", "build the image again"));
    }
    findings
}

fn merged(image: &Audited<'_>) -> Vec<Finding> {
    let wrong = ["bin", "lib", "sbin"]
        .into_iter()
        .filter(|name| image.resolve(name).as_deref() != Some(&format!("usr/{name}")));
    wrong
        .map(|name| {
            Finding::new(name, "not a link into /usr", format!("a link to usr/{name}"), "build the image again")
        })
        .collect()
}
