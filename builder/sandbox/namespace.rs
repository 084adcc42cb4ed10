//! user_namespaces(7): how this process becomes root of one, with the ids that a Debian system needs.

use std::fs;
use std::io::{self, Read, Write};
use std::process::Command;
use std::sync::OnceLock;

use rustix::mount::{MountPropagationFlags, mount_change};

use super::{SandboxError, setup};

/// How many ids a user namespace must map: Debian Policy §9.2.2 gives meaning to 0–65535 (65534 is `nobody`).
pub(super) const IDS: u32 = 65_536;

/// Proof that this process is root of a user namespace with [`IDS`] ids and has mounts of its own: without it, no tree can
/// be unpacked and no sandbox run.
#[derive(Clone, Copy, Debug)]
pub struct Namespace(());

impl Namespace {
    /// Moves this process into a new user and mount namespace, for good. Call it before any thread is started.
    ///
    /// # Errors
    /// The kernel or the container forbids it, or this user has no subordinate ids; each says what to do.
    pub fn enter() -> Result<Self, SandboxError> {
        static ENTERED: OnceLock<()> = OnceLock::new();
        if ENTERED.get().is_some() {
            return Ok(Self(()));
        }
        let maps = IdMaps::of_this_user()?;
        let (mut ready, mut unshared) = io::pipe().map_err(setup("pipe"))?;
        let (mut done, mut mapped) = io::pipe().map_err(setup("pipe"))?;
        let target = std::process::id();

        // The maps must be written by a process of the parent's namespace: a child that stays behind.
        // SAFETY: this process has one thread (the caller's duty), so the child may use everything.
        match unsafe { libc::fork() } {
            -1 => return Err(setup("fork")(io::Error::last_os_error())),
            0 => {
                drop(unshared);
                let _ = ready.read_exact(&mut [0]);
                let answer = maps
                    .write(target)
                    .err()
                    .map_or_else(String::new, |(program, cause)| format!("{program} {cause}\u{1}"));
                let _ = mapped.write_all(answer.as_bytes());
                // SAFETY: ends the child without running the parent's destructors.
                unsafe { libc::_exit(0) }
            }
            _ => drop(mapped),
        }
        // SAFETY: no memory is touched; fails if there is more than one thread.
        let result = unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) };
        let cause = io::Error::last_os_error();
        if result != 0 {
            return Err(SandboxError::NoUserNamespace { cause });
        }
        unshared.write_all(&[1]).map_err(setup("pipe"))?;
        let mut answer = String::new();
        done.read_to_string(&mut answer).map_err(setup("pipe"))?;
        if let Some(error) = answer.strip_suffix('\u{1}') {
            let (program, cause) = error.split_once(' ').unwrap_or(("newuidmap", error));
            return Err(SandboxError::NoMap { program: program.to_owned(), cause: cause.to_owned() });
        }
        // SAFETY: plain system calls; the ids exist in the maps.
        unsafe {
            libc::wait(std::ptr::null_mut());
            if libc::setresgid(0, 0, 0) != 0
                || libc::setgroups(0, std::ptr::null()) != 0
                || libc::setresuid(0, 0, 0) != 0
            {
                // AppArmor on Ubuntu gives the namespace, and no right in it.
                return Err(SandboxError::NoUserNamespace { cause: io::Error::last_os_error() });
            }
            libc::umask(0o022);
        }
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
            .map_err(|error| SandboxError::NoUserNamespace { cause: error.into() })?;
        let _ = ENTERED.set(());
        Ok(Self(()))
    }
}

/// The lines of `/proc/PID/uid_map` and `gid_map`: (inside, outside, count).
struct IdMaps {
    uid: Vec<(u32, u32, u32)>,
    gid: Vec<(u32, u32, u32)>,
    privileged: bool,
}

impl IdMaps {
    fn of_this_user() -> Result<Self, SandboxError> {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        if uid == 0 {
            let same = vec![(0, 0, IDS)];
            return Ok(Self { uid: same.clone(), gid: same, privileged: true });
        }
        let user = user_name(uid);
        let range = |file: &'static str, id: u32| {
            subordinate_range(&fs::read_to_string(file).unwrap_or_default(), &user, id)
                .ok_or_else(|| SandboxError::NoSubordinateIds { user: user.clone(), file })
        };
        let (sub_uid, sub_gid) = (range("/etc/subuid", uid)?, range("/etc/subgid", uid)?);
        Ok(Self {
            uid: vec![(0, uid, 1), (1, sub_uid, IDS - 1)],
            gid: vec![(0, gid, 1), (1, sub_gid, IDS - 1)],
            privileged: false,
        })
    }

    /// Writes both maps for `pid`: directly as root, else by the setuid helpers newuidmap(1) and newgidmap(1). An error comes with
    /// the name of the helper.
    #[expect(clippy::disallowed_methods, reason = "the one door to processes")]
    fn write(&self, pid: u32) -> Result<(), (&'static str, io::Error)> {
        for (kind, program, lines) in [("uid", "newuidmap", &self.uid), ("gid", "newgidmap", &self.gid)] {
            if self.privileged {
                let text: String =
                    lines.iter().map(|(inside, outside, count)| format!("{inside} {outside} {count}\n")).collect();
                fs::write(format!("/proc/{pid}/{kind}_map"), text).map_err(|cause| (program, cause))?;
                continue;
            }
            let numbers = lines.iter().flat_map(|&(inside, outside, count)| [inside, outside, count]);
            let output = Command::new(program).arg(pid.to_string()).args(numbers.map(|n| n.to_string())).output();
            let output = output.map_err(|cause| (program, cause))?;
            if !output.status.success() {
                return Err((program, io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())));
            }
        }
        Ok(())
    }
}

/// The name of `uid` in `/etc/passwd`, or the number: subuid(5) admits both.
fn user_name(uid: u32) -> String {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut fields = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    fields.find(|f| f.get(2) == Some(&uid.to_string().as_str())).map_or_else(|| uid.to_string(), |f| f[0].to_owned())
}

/// First id of a range of at least [`IDS`] that subuid(5) `text` gives to a user, by name or number.
pub(super) fn subordinate_range(text: &str, user: &str, uid: u32) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let owner = fields.next()?;
        let first: u32 = fields.next()?.parse().ok()?;
        let count: u32 = fields.next()?.trim().parse().ok()?;
        ((owner == user || owner == uid.to_string()) && count >= IDS - 1).then_some(first)
    })
}
