//! The only file that starts a process: in namespaces of its own, with an empty environment and no network.
//!
//! ```text
//! goldsmith ──Namespace::enter──▶ the same process, as uid 0 of a user namespace that maps 65,536 ids, with its own mounts
//!     │                           (root of the machine: the same ids; anybody else: one's own and one's subordinate ids)
//!     │
//!     └─Sandbox::run──▶ new mount, pid, network, IPC and UTS namespaces ─▶ pivot_root(2) into a tree ─▶ argv
//!                       /proc and a /dev of nine nodes, /run and /tmp in memory, nothing of the machine's files
//! ```
//!
//! `fsync(2)` and its kin are answered with success inside: a tree is scratch until it is sealed, and dpkg would otherwise
//! wait for the disk thousands of times. Sources: namespaces(7), user_namespaces(7), newuidmap(1), pivot_root(2), seccomp(2).

mod layered;
mod terminal;

pub use layered::Layered;

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, OsStr};
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;

use rustix::mount::{MountPropagationFlags, mount_change};

/// How many ids a user namespace must map: Debian Policy §9.2.2 gives meaning to 0–65535 (65534 is `nobody`).
const IDS: u32 = 65_536;

/// What keeps a process from being started as it must be.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The kernel or the container around refuses user namespaces.
    #[error(
        "this machine does not let Goldsmith make a user namespace ({cause})\n\
         help: on Ubuntu, `sysctl kernel.apparmor_restrict_unprivileged_userns=0`; on older Debian, \
         `sysctl kernel.unprivileged_userns_clone=1`; where the kernel says «No space left», \
         `sysctl user.max_user_namespaces=15000`; in a container, start it with `--privileged`, or with \
         `--security-opt seccomp=unconfined --security-opt apparmor=unconfined`"
    )]
    NoUserNamespace {
        /// What the kernel said.
        cause: io::Error,
    },
    /// An ordinary user without subordinate ids.
    #[error(
        "user `{user}` has no {IDS} subordinate ids in {file}, and a Debian system needs that many owners\n\
         help: as root, once: `usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}`"
    )]
    NoSubordinateIds {
        /// Who asks.
        user: String,
        /// `/etc/subuid` or `/etc/subgid`.
        file: &'static str,
    },
    /// `newuidmap` failed or is absent.
    #[error(
        "`{program}` could not map the subordinate ids of this user: {cause}\n\
         help: install the package that holds it (`uidmap` on Debian and Ubuntu, `shadow-utils` on Fedora)"
    )]
    NoMap {
        /// `newuidmap` or `newgidmap`.
        program: String,
        /// What happened.
        cause: String,
    },
    /// A step of the set-up failed.
    #[error("cannot set up a sandbox: {step}: {cause}")]
    Setup {
        /// Which.
        step: String,
        /// What the kernel said.
        cause: io::Error,
    },
    /// The program could not be started.
    #[error("cannot start `{program}` in {}: {cause}", root.display())]
    Start {
        /// First word of the command.
        program: String,
        /// The tree.
        root: PathBuf,
        /// What the kernel said.
        cause: io::Error,
    },
}

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

fn setup(step: &'static str) -> impl Fn(io::Error) -> SandboxError {
    move |cause| SandboxError::Setup { step: step.to_owned(), cause }
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
fn subordinate_range(text: &str, user: &str, uid: u32) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let owner = fields.next()?;
        let first: u32 = fields.next()?.parse().ok()?;
        let count: u32 = fields.next()?.trim().parse().ok()?;
        ((owner == user || owner == uid.to_string()) && count >= IDS - 1).then_some(first)
    })
}

/// A tree to run programs in, and what they see beside it.
#[derive(Clone, Debug)]
pub struct Sandbox {
    root: PathBuf,
    binds: Vec<Bind>,
    environment: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
struct Bind {
    from: PathBuf,
    to: PathBuf,
    writable: bool,
}

/// How a program ended, and what it said.
#[derive(Debug)]
pub struct Output {
    /// As wait(2) tells; 128 + N when signal N ended it.
    pub status: ExitStatus,
    /// Standard output and standard error, in the order in which they were written.
    pub text: String,
}

impl Sandbox {
    /// Programs run with `root` as `/`. The environment is empty but for `PATH`, `HOME`, `LC_ALL=C.UTF-8` and `TZ=UTC0`.
    pub fn new(_: Namespace, root: impl Into<PathBuf>) -> Self {
        let environment = [
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("HOME", "/root"),
            ("LC_ALL", "C.UTF-8"),
            ("TZ", "UTC0"),
        ];
        Self {
            root: root.into(),
            binds: Vec::new(),
            environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        }
    }

    /// Shows the file or directory `from` of this machine at `to` (absolute, inside), read-only.
    #[must_use]
    pub fn show(mut self, from: impl Into<PathBuf>, to: impl Into<PathBuf>) -> Self {
        self.binds.push(Bind { from: from.into(), to: to.into(), writable: false });
        self
    }

    /// Shows the file or directory `from` of this machine at `to` (absolute, inside), and lets programs write there.
    #[must_use]
    pub fn lend(mut self, from: impl Into<PathBuf>, to: impl Into<PathBuf>) -> Self {
        self.binds.push(Bind { from: from.into(), to: to.into(), writable: true });
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// Runs `argv` to its end, with nothing to read, and keeps what it says.
    ///
    /// # Errors
    /// The sandbox cannot be set up, or the program not be started. That it *fails* is in [`Output::status`].
    pub fn run<S: AsRef<OsStr>>(&self, argv: &[S]) -> Result<Output, SandboxError> {
        let (mut reader, writer) = io::pipe().map_err(setup("pipe"))?;
        let mut command = self.command(argv, || Ok(()))?;
        command.stdin(Stdio::null()).stdout(writer.try_clone().map_err(setup("pipe"))?).stderr(writer);
        let mut child = command.spawn().map_err(|cause| self.cannot_start(argv, cause))?;
        drop(command);
        let mut said = Vec::new();
        reader.read_to_end(&mut said).map_err(setup("reading from the sandbox"))?;
        let status = child.wait().map_err(setup("waiting for the sandbox"))?;
        Ok(Output { status: flatten(status), text: String::from_utf8_lossy(&said).into_owned() })
    }

    /// Runs `argv` on this terminal, to its end. Ctrl-C is for it, and not for this process.
    ///
    /// # Errors
    /// As [`Sandbox::run`].
    pub fn run_here<S: AsRef<OsStr>>(&self, argv: &[S]) -> Result<ExitStatus, SandboxError> {
        let _terminal = terminal::Lent::lend();
        let mut command = self.command(argv, terminal::stand_behind_an_init)?;
        let status = command.status().map_err(|cause| self.cannot_start(argv, cause))?;
        Ok(flatten(status))
    }

    fn cannot_start<S: AsRef<OsStr>>(&self, argv: &[S], cause: io::Error) -> SandboxError {
        let program = argv.first().map_or_else(String::new, |word| word.as_ref().to_string_lossy().into_owned());
        SandboxError::Start { program, root: self.root.clone(), cause }
    }

    /// The command with its namespaces, mounts, limits and environment, not started yet. `last` is done in the child, inside.
    #[expect(clippy::disallowed_methods, reason = "the one door to processes")]
    fn command<S: AsRef<OsStr>>(
        &self,
        argv: &[S],
        last: impl Fn() -> io::Result<()> + Send + Sync + 'static,
    ) -> Result<Command, SandboxError> {
        let mut mounts = Mounts::prepare(self);
        let filter = Filter::without_sync();
        let mut command = Command::new(argv.first().map_or(OsStr::new("/bin/false"), AsRef::as_ref));
        command.args(argv.iter().skip(1)).env_clear().envs(&self.environment).current_dir("/");
        // SAFETY: between fork and exec only system calls are made, on strings that were made before.
        unsafe {
            command.pre_exec(move || {
                become_first_process()?;
                mounts.enter()?;
                filter.install()?;
                last()
            });
        }
        Ok(command)
    }
}

/// Inside `Command`'s child: a second fork, so that the program becomes process 1 of a pid namespace, and all that it
/// leaves behind dies with it. The first child stays as a mere messenger of the exit code.
fn become_first_process() -> io::Result<()> {
    let new = libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    // SAFETY: system calls without pointers, but for `sethostname` (a static string) and `waitpid` (a local).
    unsafe {
        check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
        check(libc::unshare(new))?;
        match libc::fork() {
            -1 => return Err(io::Error::last_os_error()),
            0 => {}
            child => {
                // Whoever waits for the pipes of the program must not wait for this process.
                libc::close_range(0, u32::MAX, 0);
                let mut status = 0;
                while libc::waitpid(child, &raw mut status, 0) == -1 && *libc::__errno_location() == libc::EINTR {}
                libc::_exit(if libc::WIFEXITED(status) {
                    libc::WEXITSTATUS(status)
                } else {
                    128 + libc::WTERMSIG(status)
                });
            }
        }
        check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
        let name = b"localhost";
        check(libc::sethostname(name.as_ptr().cast(), name.len()))?;
        libc::umask(0o022);
        Ok(())
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Gives the status of the program back, where the messenger said 128 + N for signal N.
fn flatten(status: ExitStatus) -> ExitStatus {
    status.code().map_or(status, |code| ExitStatus::from_raw(code << 8))
}

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
struct Mounts {
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
    fn prepare(sandbox: &Sandbox) -> Self {
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
    fn enter(&mut self) -> io::Result<()> {
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

/// A seccomp(2) program.
struct Filter(Vec<libc::sock_filter>);

impl Filter {
    /// Answers `fsync`, `fdatasync`, `sync`, `syncfs`, `sync_file_range` and `msync` with success, without doing them.
    fn without_sync() -> Self {
        const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
        const JUMP_IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
        const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
        let calls = [
            libc::SYS_fsync,
            libc::SYS_fdatasync,
            libc::SYS_sync,
            libc::SYS_syncfs,
            libc::SYS_sync_file_range,
            libc::SYS_msync,
        ];
        let step = |code, jt, k| libc::sock_filter { code, jt, jf: 0, k };
        let mut program = vec![step(LOAD, 0, 0)]; // offset 0 of seccomp_data: the number of the call
        for (index, call) in calls.iter().enumerate() {
            let to_success = (calls.len() - index) as u8;
            program.push(step(JUMP_IF_EQUAL, to_success, *call as u32));
        }
        program.push(step(RETURN, 0, libc::SECCOMP_RET_ALLOW));
        program.push(step(RETURN, 0, libc::SECCOMP_RET_ERRNO)); // errno 0: success
        Self(program)
    }

    fn install(&self) -> io::Result<()> {
        let program = libc::sock_fprog { len: self.0.len() as u16, filter: self.0.as_ptr().cast_mut() };
        // SAFETY: the program lives until the call returns. CAP_SYS_ADMIN in the user namespace stands in for no_new_privs,
        // which would take the setuid bit of the image's own programs away from its maintainer scripts.
        unsafe { check(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program)) }
    }
}

fn c_string(path: &Path) -> CString {
    // A path with a NUL byte cannot exist; what stands before it is then simply not found.
    let bytes = path.as_os_str().as_bytes();
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    CString::new(&bytes[..end]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the (ignored) test `name` in another process, with `tree`: who enters a namespace does not come back.
    fn in_another_process(name: &str, tree: &Path) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", &format!("sandbox::tests::{name}"), "--ignored", "--nocapture"]);
        let output = command.env("GOLDSMITH_TEST_TREE", tree).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }

    /// What `ask` says of a sandbox in the tree of the test above. Asked in a child, which has only one thread.
    fn in_the_tree(ask: impl FnOnce(Sandbox, &Path) -> bool) -> bool {
        let tree: PathBuf = std::env::var_os("GOLDSMITH_TEST_TREE").expect("only run by another test").into();
        let mut status = 0;
        // SAFETY: the other threads of this process wait for this one, and hold nothing that the child needs.
        unsafe {
            match libc::fork() {
                0 => {
                    let yes = Namespace::enter().is_ok_and(|namespace| ask(Sandbox::new(namespace, &tree), &tree));
                    libc::_exit(i32::from(!yes))
                }
                child => libc::waitpid(child, &raw mut status, 0),
            };
        }
        status == 0
    }

    /// A tree that sees this machine's programs, and in which `link` leads to a directory that both have: this machine's,
    /// which is given too, and the tree's own of the same path.
    fn tree_with(link: &str) -> (tempfile::TempDir, tempfile::TempDir) {
        let (tree, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir_in("/var/tmp").unwrap());
        let below = |path: &Path| tree.path().join(path.strip_prefix("/").unwrap());
        fs::create_dir_all(below(outside.path())).unwrap();
        for (name, target) in [("lib", "usr/lib"), ("lib64", "usr/lib64")] {
            std::os::unix::fs::symlink(target, tree.path().join(name)).unwrap();
        }
        std::os::unix::fs::symlink(outside.path(), tree.path().join(link)).unwrap();
        (tree, outside)
    }

    #[test]
    fn where_the_tree_has_a_link_what_is_shown_there_stays_in_the_tree() {
        let (tree, outside) = tree_with("way");
        in_another_process("show_at_the_link", tree.path());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0, "something was made on this machine");
    }

    #[test]
    #[ignore = "the other process of the test above"]
    fn show_at_the_link() {
        assert!(in_the_tree(|sandbox, _| {
            let sandbox = sandbox.show("/usr", "/usr").show("/etc/passwd", "/way/shown");
            let shown = sandbox.run(&["/usr/bin/cat", "/way/shown"]);
            shown.is_ok_and(|output| output.text.contains("root:"))
        }));
    }

    #[test]
    fn where_the_tree_has_a_link_devices_are_mounted_in_the_tree() {
        let (tree, outside) = tree_with("dev");
        in_another_process("list_what_the_link_leads_to", tree.path());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0, "something was made on this machine");
    }

    #[test]
    #[ignore = "the other process of the test above"]
    fn list_what_the_link_leads_to() {
        assert!(in_the_tree(|sandbox, tree| {
            let link = fs::read_link(tree.join("dev")).unwrap_or_default();
            let listed = sandbox.show("/usr", "/usr").run(&[OsStr::new("/usr/bin/ls"), link.as_os_str()]);
            listed.is_ok_and(|output| output.text.lines().any(|name| name == "null"))
        }));
    }

    #[test]
    fn a_range_is_found_by_name_or_number_if_it_is_large_enough() {
        let text = "alice:100000:65536\n1001:300000:65536\nbob:500000:1000\n";
        assert_eq!(subordinate_range(text, "alice", 1000), Some(100_000));
        assert_eq!(subordinate_range(text, "carol", 1001), Some(300_000));
        assert_eq!(subordinate_range(text, "bob", 1002), None);
    }
}
