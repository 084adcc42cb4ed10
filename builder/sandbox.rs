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

mod filter;
mod layered;
mod mounts;
mod namespace;
mod network;
mod terminal;

pub use layered::Layered;
pub use namespace::Namespace;
pub use terminal::Interrupts;

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use filter::Filter;
use mounts::Mounts;
use namespace::IDS;
use network::Network;

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

fn setup(step: &'static str) -> impl Fn(io::Error) -> SandboxError {
    move |cause| SandboxError::Setup { step: step.to_owned(), cause }
}

/// A tree to run programs in, and what they see beside it.
#[derive(Clone, Debug)]
pub struct Sandbox {
    root: PathBuf,
    binds: Vec<Bind>,
    environment: BTreeMap<String, String>,
    network: Network,
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
            network: Network::Nothing,
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

    /// Leaves programs in this machine's network: for a virtual machine whose ports are to be reached from here, and for a client
    /// of registries, of which nothing is believed; never for what makes a byte of an artifact.
    #[must_use]
    pub fn with_network(mut self) -> Self {
        self.network = Network::Host;
        self
    }

    /// Lets programs reach each other by 127.0.0.1, as QEMU does the programs that answer its guests.
    #[must_use]
    pub fn with_loopback(mut self) -> Self {
        self.network = Network::Loopback;
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
        let network = self.network;
        let mut command = Command::new(argv.first().map_or(OsStr::new("/bin/false"), AsRef::as_ref));
        command.args(argv.iter().skip(1)).env_clear().envs(&self.environment).current_dir("/");
        // SAFETY: between fork and exec only system calls are made, on strings that were made before.
        unsafe {
            command.pre_exec(move || {
                become_first_process(network)?;
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
fn become_first_process(network: Network) -> io::Result<()> {
    let new = libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | network.flag();
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
    }
    network.enter()
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Gives the status of the program back, where the messenger said 128 + N for signal N.
fn flatten(status: ExitStatus) -> ExitStatus {
    status.code().map_or(status, |code| ExitStatus::from_raw(code << 8))
}

fn c_string(path: &Path) -> CString {
    // A path with a NUL byte cannot exist; what stands before it is then simply not found.
    let bytes = path.as_os_str().as_bytes();
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    CString::new(&bytes[..end]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::namespace::subordinate_range;
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
