//! What lies on which file system of a disk.
//!
//! ```text
//!            rw                     ro, verity
//! /          root, grows            root, never written
//! /etc       the root's             the root's, below a layer in memory: empty again at the next start
//! /var       the root's             state: what the sealed root has there, to begin with; lasts, grows
//! /home      the root's             state (/var/home)
//! /root      the root's             memory
//! /var/lib/cloud                    memory: cloud-init finds a new instance at each start, and does it all again
//! /var/www, /var/lib/dpkg           the root's (from /usr/share/factory): code, and what says of which packages it is
//! /boot      the root's             ro: the root's; verity: the ESP's, since GRUB reads no erofs
//! ```
//!
//! Nobody who gets in outlasts a start in what is run or configures what is run: /usr and /etc are what was built, and no unit of
//! the image executes anything below /var or /home. What lasts is data; but whoever was root can have left some that is read:
//! a key in a user's ~/.ssh, units in a user's ~/.config and that the user lingers (/var/lib/systemd/linger), rows in a database.
//! That each start asks the cloud again for name, network and keys has a price: without an answer, the machine comes up without a
//! network, and so shut.

use std::collections::BTreeMap;
use std::io::{self, Read};

use uuid::Uuid;

use super::{Identity, Root};
use crate::digest::Digest;
use crate::rootfs::Rootfs;
use crate::rootfs::entry::{Content, Entry, Kind, Origin};

/// The file systems of a disk.
#[derive(Clone, Debug)]
pub(super) struct Contents {
    pub root: Rootfs,
    /// Mounted at /var; none, if the root may be written.
    pub state: Option<Rootfs>,
}

/// Of /var, what is no state: run by units, or the record of what was installed.
const FIXED: [&str; 2] = ["var/www", "var/lib/dpkg"];

/// Where that is instead, and mounted from (the name is systemd's, tmpfiles.d(5)).
const FACTORY: &str = "usr/share/factory";

/// Of the sealed root, what would be twice on the disk: GRUB has its own on the ESP.
const ON_ESP: [&str; 2] = ["boot/vmlinuz-", "boot/initrd.img-"];

const MOUNT_SCRIPT: &str = include_str!("initramfs/grow-state");
const GROW_UNIT: &str = include_str!("initramfs/grow-state.service");

/// cloud-init grows what is mounted at `/`, which is as large here as it will ever be.
const CLOUD: &str = "# Written by Goldsmith: the root never grows, and the state has grown by then (goldsmith-grow-state.service).\n\
                     growpart: {mode: \"off\"}\nresize_rootfs: false\n";

/// Which file system a path is on, and its path there.
enum Place {
    Root(String),
    State(String),
    Nowhere,
}

fn place(path: &str, root: Root) -> Place {
    let below = |directory: &str| path == directory || path.starts_with(&format!("{directory}/"));
    if root == Root::Writable {
        return Place::Root(path.to_owned());
    }
    if root == Root::Verity && ON_ESP.iter().any(|prefix| path.starts_with(prefix)) {
        return Place::Nowhere;
    }
    if FIXED.into_iter().any(below) {
        return Place::Root(format!("{FACTORY}/{path}"));
    }
    match path.strip_prefix("var/") {
        Some(_) if path.starts_with("var/lib/cloud/") => Place::Nowhere,
        Some(inside) => Place::State(inside.to_owned()),
        None if path.starts_with("home/") => Place::State(path.to_owned()),
        None => Place::Root(path.to_owned()),
    }
}

impl Contents {
    /// Of a disk with `rootfs`; and `more` on its root.
    pub fn of(rootfs: &Rootfs, (root, identity): (Root, Identity), more: Vec<(String, Entry)>) -> io::Result<Self> {
        let mut on_root = Directory::new(rootfs.epoch().0);
        let mut on_state = Directory::new(rootfs.epoch().0);
        for (path, entry) in rootfs.entries() {
            match place(path, root) {
                Place::Root(to) => on_root.put(&to, moved(rootfs, (path, &to), entry, root)),
                Place::State(to) => on_state.put(&to, moved(rootfs, (path, &to), entry, root)),
                Place::Nowhere => {}
            }
        }
        let own = rootfs.open("etc/fstab").map_or_else(|_| Ok(String::new()), |mut file| text(&mut file))?;
        let fixed = FIXED.into_iter().filter(|path| rootfs.entries().contains_key(*path));
        on_root.file("etc/fstab", 0o644, &(table(root, identity, &fixed.clone().collect::<Vec<_>>()) + &own));
        for (path, entry) in more {
            on_root.put(&path, entry);
        }
        if root == Root::Writable {
            return Ok(Self { root: Rootfs::new(on_root.entries, rootfs.epoch()), state: None });
        }
        for path in fixed {
            on_state.directory(path.trim_start_matches("var/"), 0o755);
        }
        on_state.put("", rootfs.entries().get("var").cloned().unwrap_or_else(|| directory(0o755, rootfs.epoch().0)));
        for (path, mode) in [("home", 0o755), ("lib/cloud", 0o755), ("lib/goldsmith", 0o755)] {
            on_state.directory(path, mode);
        }
        // systemd-resolved has a directory of its own over it before the state is mounted.
        on_root.directory("var/tmp", 0o1777);
        for path in ["var", "home", "root", "proc", "sys", "dev", "run", "tmp"] {
            on_root.directory(path, 0o755);
        }
        // Newer than /usr: nothing has to be brought up to date at each start (systemd-update-done.service(8)).
        on_root.new_file("etc/.updated", 0o644, "");
        on_state.new_file(".updated", 0o644, "");
        on_root.new_file("etc/machine-id", 0o444, "");
        on_root.file("usr/lib/goldsmith/grow-state", 0o755, MOUNT_SCRIPT);
        let unit = "etc/systemd/system/goldsmith-grow-state.service";
        on_root.file(unit, 0o644, &grow_unit(identity.state()));
        on_root.link("etc/systemd/system/var.mount.wants/goldsmith-grow-state.service", &format!("/{unit}"));
        if rootfs.entries().contains_key("etc/cloud/cloud.cfg.d") {
            on_root.file("etc/cloud/cloud.cfg.d/99-goldsmith-state.cfg", 0o644, CLOUD);
        }
        let state = Some(Rootfs::new(on_state.entries, rootfs.epoch()));
        Ok(Self { root: Rootfs::new(on_root.entries, rootfs.epoch()), state })
    }
}

/// `entry` at `to` in place of `from`. Another name of a file that is not before it there any more is a file of its own.
fn moved(rootfs: &Rootfs, (from, to): (&str, &str), entry: &Entry, root: Root) -> Entry {
    let Kind::Hardlink(target) = &entry.kind else { return entry.clone() };
    let there = match (place(from, root), place(target, root)) {
        (Place::Root(_), Place::Root(target)) | (Place::State(_), Place::State(target)) => Some(target),
        _ => None,
    };
    match there {
        Some(target) if target.as_str() < to => Entry { kind: Kind::Hardlink(target), ..entry.clone() },
        _ => rootfs.entries().get(target).unwrap_or(entry).clone(),
    }
}

/// fstab(5).
fn table(root: Root, identity: Identity, fixed: &[&str]) -> String {
    let (uuid, state) = (identity.root(), identity.state());
    let first = match root {
        Root::Writable => return format!("UUID={uuid} / ext4 errors=remount-ro 0 1\n"),
        Root::ReadOnly => format!("UUID={uuid} / ext4 ro 0 0\n"),
        Root::Verity => "/dev/mapper/root / erofs ro 0 0\n".to_owned(),
    };
    let mut table = format!(
        "{first}UUID={state} /var ext4 nosuid,nodev,errors=remount-ro,x-systemd.growfs 0 2\n\
         /var/home /home none bind,nosuid,nodev 0 0\n\
         tmpfs /root tmpfs nosuid,nodev,mode=0700 0 0\n\
         tmpfs /var/lib/cloud tmpfs nosuid,nodev,mode=0755 0 0\n"
    );
    for path in fixed {
        table.push_str(&format!("/{FACTORY}/{path} /{path} none bind,ro,nosuid,nodev 0 0\n"));
    }
    table
}

/// With the names that systemd gives the state's device (systemd.unit(5), “String Escaping”).
fn grow_unit(state: Uuid) -> String {
    let escaped = format!("dev-disk-by\\x2duuid-{}", state.to_string().replace('-', "\\x2d"));
    let unit = GROW_UNIT.replace("@DEVICE@", &format!("{escaped}.device"));
    unit.replace("@STATE@", &escaped).replace("@UUID@", &state.to_string())
}

fn text(from: &mut dyn Read) -> io::Result<String> {
    let mut text = String::new();
    from.read_to_string(&mut text)?;
    Ok(text)
}

/// A file that Goldsmith wrote for the disk.
pub(super) fn file(mode: u32, bytes: &[u8], mtime: i64) -> Entry {
    let kind =
        Kind::File { size: bytes.len() as u64, digest: Digest::of(bytes), content: Content::Bytes(bytes.into()) };
    Entry { kind, ..directory(mode, mtime) }
}

/// A directory that Goldsmith made for the disk.
pub(super) fn directory(mode: u32, mtime: i64) -> Entry {
    Entry { kind: Kind::Directory, mode, uid: 0, gid: 0, mtime, xattrs: BTreeMap::new(), origin: Origin::Generated }
}

/// A file system while it is put together: whatever has a place has a directory to be in.
struct Directory {
    entries: BTreeMap<String, Entry>,
    mtime: i64,
}

impl Directory {
    fn new(mtime: i64) -> Self {
        Self { entries: BTreeMap::new(), mtime }
    }

    fn put(&mut self, path: &str, entry: Entry) {
        for (at, _) in path.match_indices('/') {
            self.directory(&path[..at], 0o755);
        }
        self.entries.insert(path.to_owned(), entry);
    }

    /// Unless it is there.
    fn directory(&mut self, path: &str, mode: u32) {
        if !self.entries.contains_key(path) {
            self.put(path, directory(mode, self.mtime));
        }
    }

    fn file(&mut self, path: &str, mode: u32, text: &str) {
        self.put(path, file(mode, text.as_bytes(), self.mtime));
    }

    /// Unless it is there.
    fn new_file(&mut self, path: &str, mode: u32, text: &str) {
        if !self.entries.contains_key(path) {
            self.file(path, mode, text);
        }
    }

    fn link(&mut self, path: &str, target: &str) {
        let link = Entry { kind: Kind::Symlink(target.to_owned()), ..directory(0o777, self.mtime) };
        self.put(path, link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::example;

    fn identity() -> Identity {
        Identity::new(Digest::of(b"a disk"))
    }

    /// The example with what a role has below /var and /home, and a second name in another place.
    fn rootfs() -> Rootfs {
        let mut entries = example::rootfs().entries().clone();
        for path in ["home", "home/ops", "var/www", "var/lib/cloud"] {
            entries.insert(path.to_owned(), example::directory("base-files"));
        }
        for path in ["var/www/index.php", "var/lib/cloud/seed", "boot/vmlinuz-6", "boot/config-6"] {
            entries.insert(path.to_owned(), example::file(*b"x", example::package("odd")));
        }
        let second = Kind::Hardlink("usr/bin/perl".to_owned());
        entries.insert("var/perl".to_owned(), example::entry(second, example::package("perl")));
        Rootfs::new(entries, example::EPOCH)
    }

    fn of(root: Root) -> Contents {
        Contents::of(&rootfs(), (root, identity()), Vec::new()).unwrap()
    }

    fn has(rootfs: &Rootfs, path: &str) -> bool {
        rootfs.entries().contains_key(path)
    }

    fn fstab(contents: &Contents) -> String {
        text(&mut contents.root.open("etc/fstab").unwrap()).unwrap()
    }

    #[test]
    fn a_root_that_may_be_written_is_all_there_is() {
        let contents = of(Root::Writable);
        assert!(contents.state.is_none() && has(&contents.root, "var/www/index.php"));
        assert_eq!(fstab(&contents), format!("UUID={} / ext4 errors=remount-ro 0 1\n", identity().root()));
    }

    #[test]
    fn else_what_lasts_is_the_states_and_code_stays_with_the_root() {
        for root in [Root::ReadOnly, Root::Verity] {
            let contents = of(root);
            let state = contents.state.as_ref().unwrap();
            for path in ["", "home/ops", "before-1970", "lib/goldsmith", "lib/cloud", "www", "lib/dpkg", ".updated"] {
                assert!(has(state, path), "{path}");
            }
            for path in ["usr/share/factory/var/www/index.php", "usr/share/factory/var/lib/dpkg/status", "home", "var"]
            {
                assert!(has(&contents.root, path), "{path}");
            }
            assert!(!has(state, "www/index.php") && !has(state, "lib/cloud/seed") && !has(&contents.root, "home/ops"));
            let fstab = fstab(&contents);
            assert!(fstab.contains(&format!("UUID={} /var ext4 ", identity().state())), "{fstab}");
            assert!(fstab.contains("/usr/share/factory/var/www /var/www none bind,ro,"), "{fstab}");
            assert_eq!(has(&contents.root, "boot/vmlinuz-6"), root == Root::ReadOnly, "GRUB reads no erofs");
            assert!(has(&contents.root, "boot/config-6"));
        }
    }

    #[test]
    fn a_second_name_on_another_file_system_is_a_file_of_its_own() {
        let contents = of(Root::Verity);
        let kind = |rootfs: &Rootfs, path: &str| rootfs.entries().get(path).unwrap().kind.clone();
        assert!(matches!(kind(contents.state.as_ref().unwrap(), "perl"), Kind::File { .. }));
        assert!(matches!(kind(&contents.root, "usr/bin/perl5.40.1"), Kind::Hardlink(_)));
    }

    #[test]
    fn the_unit_that_grows_the_state_comes_before_whoever_looks_at_it() {
        let contents = of(Root::ReadOnly);
        let unit = "etc/systemd/system/goldsmith-grow-state.service";
        let unit = text(&mut contents.root.open(unit).unwrap()).unwrap();
        let device = format!("dev-disk-by\\x2duuid-{}", identity().state().to_string().replace('-', "\\x2d"));
        assert!(unit.contains(&format!("Requires={device}.device\n")), "{unit}");
        assert!(unit.contains(&format!("Before=systemd-fsck@{device}.service var.mount ")), "{unit}");
        assert!(
            unit.ends_with("NoNewPrivileges=yes\n") && unit.contains(&format!(" {}\n", identity().state())),
            "{unit}"
        );
    }
}
