//! Of the files in /etc: what importers and agents of a target read or expect there.

use super::super::Subject;
use crate::recipe::Target;
use crate::verify::audited::Audited;
use crate::verify::check::Finding;
use crate::verify::checks;

pub fn fstab(subject: &Subject<'_>) -> Option<Vec<Finding>> {
    let table = subject.rootfs.as_ref()?.text("etc/fstab").unwrap_or_default();
    // Numbers of devices change with the target's bus: vda, xvda, nvme0n1, sda. (/dev/disk/by-… is what it is.)
    let device =
        |line: &&str| line.trim_start().starts_with("/dev/") && !line.trim_start().starts_with("/dev/disk/by-");
    let lines = table.lines().filter(device);
    Some(lines.map(|line| Finding::new("etc/fstab", line, "UUID=…", "name the file system by its UUID")).collect())
}

pub fn dhcp(subject: &Subject<'_>) -> Option<Vec<Finding>> {
    let rootfs = subject.rootfs.as_ref()?;
    let mut findings = Vec::new();
    let clients = ["usr/lib/systemd/systemd-networkd", "usr/sbin/dhcpcd", "usr/sbin/dhclient"];
    if !clients.iter().any(|path| rootfs.has(path)) {
        let mend = "systemd-resolved or systemd-sysv with networkd among the packages";
        findings.push(Finding::new("the packages", "no DHCP client", clients[0], mend));
    }
    let networkd = ["etc/systemd/network", "usr/lib/systemd/network"].map(|folder| rootfs.texts(folder, ".network"));
    let interfaces = rootfs.text("etc/network/interfaces").map(|text| ("etc/network/interfaces".to_owned(), text));
    for (path, text) in networkd.into_iter().flatten().chain(interfaces) {
        // (What systemd ships for its own containers begins with 80- and matches no interface of a machine.)
        let machine = !text.contains("Kind=") && !text.contains("Virtualization=container");
        let fixed =
            text.lines().map(str::trim).find(|line| line.starts_with("Address=") || line.starts_with("address "));
        if let Some(line) = fixed.filter(|_| machine) {
            findings.push(Finding::new(path, line, "DHCP", "the target gives each instance its address"));
        }
    }
    Some(findings)
}

/// What cloud-init calls the target.
fn datasources(target: Target) -> &'static [&'static str] {
    match target {
        Target::Alibaba => &["AliYun"],
        Target::Aws => &["Ec2"],
        Target::Azure => &["Azure"],
        Target::Gcp => &["GCE"],
        Target::Kvm => &["NoCloud"],
        Target::Openstack => &["OpenStack", "ConfigDrive"],
    }
}

pub fn datasource(subject: &Subject<'_>) -> Option<Vec<Finding>> {
    let rootfs = subject.rootfs.as_ref()?;
    if !rootfs.has("usr/bin/cloud-init") {
        return Some(vec![Finding::new("the packages", "no cloud-init", "cloud-init", "add it to packages")]);
    }
    let list = listed(rootfs).unwrap_or_default();
    let wanted = datasources(subject.target);
    let named: Vec<&str> = list.trim_matches(['[', ']']).split(',').map(str::trim).collect();
    let whole = list.starts_with('[') && list.ends_with(']');
    let missing = wanted.iter().filter(|name| !whole || !named.contains(name));
    let mend = "name it in datasource_list in etc/cloud/cloud.cfg.d/99-goldsmith.cfg, in one line";
    Some(missing.map(|name| Finding::new("datasource_list", list.as_str(), *name, mend)).collect())
}

/// The list that counts: the last one.
fn listed(rootfs: &Audited<'_>) -> Option<String> {
    let files = rootfs.texts("etc/cloud/cloud.cfg.d", ".cfg").into_iter().map(|(_, text)| text);
    let texts: Vec<String> = rootfs.text("etc/cloud/cloud.cfg").into_iter().chain(files).collect();
    let mut lines = texts.iter().rev().flat_map(|text| text.lines().rev());
    lines.find_map(|line| Some(line.strip_prefix("datasource_list:")?.trim().to_owned()))
}

pub fn distribution(subject: &Subject<'_>) -> Option<Vec<Finding>> {
    let rootfs = subject.rootfs.as_ref()?;
    let mend = "a banner belongs into etc/issue.net, which sshd shows";
    let files = [("etc/issue", "Debian"), ("etc/os-release", "ID=debian")];
    let silent = files.into_iter().filter(|(path, word)| !rootfs.text(path).is_some_and(|text| text.contains(word)));
    Some(silent.map(|(path, word)| Finding::new(path, "it does not say so", word, mend)).collect())
}

pub fn clock(subject: &Subject<'_>) -> Option<Vec<Finding>> {
    let text = subject.rootfs.as_ref()?.text("etc/adjtime").unwrap_or_default();
    let local = text.lines().any(|line| line.trim() == "LOCAL");
    let finding = || Finding::new("etc/adjtime", "LOCAL", "UTC", "leave the file out: UTC is the default");
    Some(local.then(finding).into_iter().collect())
}

pub fn agents(subject: &Subject<'_>) -> Option<Vec<Finding>> {
    let rootfs = subject.rootfs.as_ref()?;
    let agents = ["qemu-guest-agent", "open-vm-tools", "virtualbox-guest-utils"];
    let there = agents.into_iter().filter(|name| rootfs.installs(name));
    Some(there.map(|name| Finding::new("the packages", name, "none", "leave it out of packages")).collect())
}

/// What the audit says of it; and before there is an image, that somebody speaks of packets at all.
pub fn metadata(subject: &Subject<'_>) -> Option<Vec<Finding>> {
    if subject.recipe.firewall.is_none() {
        let mend = "any table [firewall] brings it";
        return Some(vec![Finding::new("the recipe", "no [firewall]", "a firewall that keeps it for root", mend)]);
    }
    let rootfs = subject.rootfs.as_ref()?;
    checks::all().find(|check| check.id == "firewall-metadata").map(|check| (check.run)(rootfs))
}
