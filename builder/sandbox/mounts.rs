//! What a program sees beside its tree, mounted after the tree has become `/` (mount(2), pivot_root(2), open_tree(2)).

use std::ffi::{CStr, CString};
use std::io;
use std::path::Path;

use super::{Sandbox, c_string, check};

/// One mount, its strings ready before the fork. Targets are below the tree, without a leading slash.
struct Mount {
    source: CString,
    target: CString,
    /// The directories that lead to the target, top first.
    parents: Vec<CString>,
    kind: Kind,
}

enum Kind {
    /// A new file system of this type, with these flags and data.
    New(&'static CStr, libc::c_ulong, &'static CStr),
    /// A file or directory of the machine.
    Bind { writable: bool },
}

/// All that is mounted on a tree, in order, and the tree itself.
pub(super) struct Mounts {
    root: CString,
    list: Vec<Mount>,
    /// A handle for each bind of the list, opened after the fork.
    handles: Vec<libc::c_int>,
}

/// Device nodes that programs may expect, borrowed from the machine: mknod(2) is not allowed in a user namespace.
const NODES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Links that programs expect in `/dev`.
const LINKS: [(&CStr, &CStr); 4] = [
    (c"/proc/self/fd", c"dev/fd"),
    (c"/proc/self/fd/0", c"dev/stdin"),
    (c"/proc/self/fd/1", c"dev/stdout"),
    (c"/proc/self/fd/2", c"dev/stderr"),
];

impl Mounts {
    pub(super) fn prepare(sandbox: &Sandbox) -> Self {
        let plain = libc::MS_NOSUID | libc::MS_NODEV;
        let new = |kind, target: &str, flags, data| Mount {
            source: CString::default(),
            target: c_string(Path::new(target)),
            parents: Vec::new(),
            kind: Kind::New(kind, flags, data),
        };
        let mut list = vec![
            new(c"proc", "proc", plain | libc::MS_NOEXEC, c""),
            new(c"tmpfs", "sys", plain, c"mode=555,size=1m"),
            new(c"tmpfs", "dev", libc::MS_NOSUID, c"mode=755,size=1m"),
            new(c"tmpfs", "run", plain, c"mode=755"),
            new(c"tmpfs", "tmp", plain, c"mode=1777"),
            new(c"tmpfs", "dev/shm", plain, c"mode=1777"),
        ];
        let bind = |from: &Path, to: &Path, writable| {
            let target = to.strip_prefix("/").unwrap_or(to);
            let parents = target.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty());
            let mut parents: Vec<CString> = parents.map(c_string).collect();
            parents.reverse();
            Mount { source: c_string(from), target: c_string(target), parents, kind: Kind::Bind { writable } }
        };
        list.extend(NODES.iter().map(|node| bind(&Path::new("/dev").join(node), &Path::new("/dev").join(node), true)));
        list.extend(sandbox.binds.iter().map(|one| bind(&one.from, &one.to, one.writable)));
        let handles = vec![-1; list.len()];
        Self { root: c_string(&sandbox.root), list, handles }
    }

    /// After the fork: makes the tree `/`, then mounts. What is to be shown is opened before the tree becomes `/`, and where it
    /// is shown is looked up after: a symbolic link in the tree cannot lead out of it.
    pub(super) fn enter(&mut self) -> io::Result<()> {
        // SAFETY: strings that end with NUL, made before the fork.
        unsafe {
            let clone = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_RECURSIVE as libc::c_uint;
            for (mount, handle) in self.list.iter().zip(&mut self.handles) {
                if matches!(mount.kind, Kind::Bind { .. }) {
                    *handle =
                        libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, mount.source.as_ptr(), clone) as libc::c_int;
                    check(*handle)?;
                }
            }
            let (root, none) = (self.root.as_ptr(), std::ptr::null());
            check(libc::mount(root, root, none, libc::MS_BIND | libc::MS_REC, none.cast()))?;
            check(libc::chdir(root))?;
            let here = c".".as_ptr();
            check(libc::syscall(libc::SYS_pivot_root, here, here) as libc::c_int)?;
            // The old root still lies over the new one, out of sight: proc may only be mounted where one is in sight already.
            for (mount, handle) in self.list.iter().zip(&self.handles) {
                mount.make(*handle)?;
            }
            for (target, link) in LINKS {
                check(libc::symlink(target.as_ptr(), link.as_ptr()))?;
            }
            check(libc::umount2(here, libc::MNT_DETACH))?;
            check(libc::chdir(c"/".as_ptr()))
        }
    }
}

impl Mount {
    /// # Safety
    /// After the fork, with the tree as `/` and as the working directory.
    unsafe fn make(&self, handle: libc::c_int) -> io::Result<()> {
        // SAFETY: strings that end with NUL, made before the fork; `info` is a local, for which all zeros are a value.
        unsafe {
            let target = self.target.as_ptr();
            match self.kind {
                Kind::New(kind, flags, data) => {
                    libc::mkdir(target, 0o755);
                    check(libc::mount(kind.as_ptr(), target, kind.as_ptr(), flags, data.as_ptr().cast()))
                }
                Kind::Bind { writable } => {
                    let mut info: libc::stat = std::mem::zeroed();
                    check(libc::fstat(handle, &raw mut info))?;
                    // Something to mount upon; that it is there already is no error.
                    for parent in &self.parents {
                        libc::mkdir(parent.as_ptr(), 0o755);
                    }
                    if info.st_mode & libc::S_IFMT == libc::S_IFDIR {
                        libc::mkdir(target, 0o755);
                    } else {
                        libc::close(libc::open(target, libc::O_CREAT | libc::O_WRONLY | libc::O_CLOEXEC, 0o644));
                    }
                    let (empty, by_handle) = (c"".as_ptr(), libc::MOVE_MOUNT_F_EMPTY_PATH);
                    check(libc::syscall(libc::SYS_move_mount, handle, empty, libc::AT_FDCWD, target, by_handle)
                        as libc::c_int)?;
                    libc::close(handle);
                    let none = std::ptr::null();
                    let read_only = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY | libc::MS_NOSUID;
                    if writable { Ok(()) } else { check(libc::mount(none, target, none, read_only, none.cast())) }
                }
            }
        }
    }
}
