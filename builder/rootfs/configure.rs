//! From unpacked to configured: the packages' own maintainer scripts, run by the image's own dpkg in the sandbox.
//!
//! ```text
//! 1. essential packages and what they need        preinst install ─▶ dpkg --configure THESE
//! 2. what others' preinst scripts pre-depend on   the same
//! 3. who calls a generator, or is in its input    the same, the calls noted down ──▶ each generator once ─┐
//! 4. all others                                   preinst install ─▶ dpkg --configure --pending           │ side by side
//!        ▼                                                                                                ▼
//! generators that stage 4 called after all: again ──────────────────────────────────────▶ the configured tree
//! ```
//!
//! Debian Policy §6 says in which order the scripts of one package run; here the `preinst` scripts of many run before the first
//! `postinst`, as when apt hands a whole set to dpkg. Much of the time that a plain `dpkg --configure` takes goes into
//! generators that many packages call, each for itself, and whose last call decides: they are queued, and run once. What a
//! script printed last is shown when it fails.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::inside::Inside;
use crate::debian::deb::Deb;
use crate::debian::status;
use crate::epoch::Epoch;
use crate::sandbox::{Namespace, Sandbox, SandboxError};

/// The packages could not be configured.
#[derive(Debug, thiserror::Error)]
pub enum ConfigureError {
    /// A maintainer script, a generator or dpkg itself failed.
    #[error("{what} failed ({how})\n{last}")]
    Failed {
        /// `the postinst of apache2 2.4.67-1`, `update-initramfs`…
        what: String,
        /// `exit code 1`.
        how: String,
        /// The last lines that it printed, indented.
        last: String,
    },
    /// The sandbox could not be set up.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A file of the tree could not be read or written.
    #[error("{}: {cause}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
}

/// A tree whose packages are unpacked, and what is known of them.
pub struct Unconfigured<'d> {
    /// Where it is.
    pub root: &'d Path,
    /// All of its packages.
    pub debs: &'d [Deb],
    /// What the clock says where a script asks for it in the way of the reproducible-builds project.
    pub epoch: Epoch,
}

/// A program whose calls are noted down while packages are configured, as lines of arguments.
struct Generator {
    program: &'static str,
    /// Shell: what to run instead of all the calls, which are in the file `$1`.
    once: &'static str,
}

/// In the order in which they run.
const GENERATORS: [Generator; 3] = [
    // initramfs-tools(7): the first call makes the initramfs (`-c -k VERSION`), each later one makes it again (`-u`).
    Generator {
        program: "/usr/sbin/update-initramfs",
        once: r#"grep -e ^-c "$1" >"$1.new" || echo -u >"$1.new"; sort -u "$1.new" | while read -r args; do update-initramfs $args; done"#,
    },
    // py3compile(1) starts two interpreters for each package; its own functions do all of them with one.
    Generator { program: "/usr/bin/py3compile", once: r#"python3 /run/goldsmith/py3compile-all "$1""# },
    Generator { program: "/usr/sbin/update-ca-certificates", once: "update-ca-certificates" },
];

/// Programs that do nothing while packages are configured: services are not started, the journal is not there, and host keys
/// are made by the machine that they identify (sealing would remove those that openssh-server makes, and takes its time for).
const IDLE: [&str; 5] = [
    "/usr/sbin/start-stop-daemon",
    "/usr/sbin/invoke-rc.d",
    "/usr/bin/deb-systemd-invoke",
    "/usr/bin/logger",
    "/usr/bin/ssh-keygen",
];

/// invoke-rc.d(8): 101 is «action forbidden by policy».
const POLICY_PATH: &str = "usr/sbin/policy-rc.d";

/// Its text.
const POLICY: &str = "#!/bin/sh\nexit 101\n";

/// Reads the calls of py3compile(1) and compiles what they name with one interpreter.
const PY3COMPILE_ALL: &str = include_str!("py3compile-all.py");

/// Makes bytecode that hangs on chance once more, without it.
const BYTECODE: &str = include_str!("bytecode.sh");

/// Runs all maintainer scripts of `tree`, and the generators they ask for.
///
/// # Errors
/// Which script of which package failed, and what it said. The tree stays as it is then, for a look into it.
pub fn configure(namespace: Namespace, tree: &Unconfigured<'_>, scratch: &Path) -> Result<(), ConfigureError> {
    let desk = Desk::set_up(tree, scratch)?;
    let outcome = desk.run(namespace, tree);
    let cleared = desk.clear(tree.root);
    // What failed first is what a person can do something about.
    outcome.and(cleared)
}

/// What the sandbox sees below `/run/goldsmith`, and the shims in front of programs.
struct Desk {
    path: PathBuf,
    shims: Vec<(PathBuf, &'static str)>,
    stages: usize,
    /// After which stage the generators can run.
    with_generators: Option<usize>,
}

impl Desk {
    fn set_up(tree: &Unconfigured<'_>, scratch: &Path) -> Result<Self, ConfigureError> {
        let inside = Inside::open(tree.root).map_err(|cause| in_tree("", cause))?;
        let path = scratch.join("desk");
        let mut desk = Self { path, shims: Vec::new(), stages: 0, with_generators: None };
        make_directory(&desk.path)?;
        let queued = GENERATORS.iter().map(|generator| {
            let name = name_of(generator.program);
            let shim = format!("#!/bin/sh\n[ \"$1\" != --version ] || exec /run/goldsmith/real-{name} --version\necho \"$*\" >>/run/goldsmith/{name}\n");
            (generator.program, shim)
        });
        let idle = IDLE.iter().map(|program| (*program, "#!/bin/sh\nexit 0\n".to_owned()));
        for (program, shim) in queued.chain(idle) {
            if let Ok(bytes) = inside.read(&program[1..]) {
                let place = desk.path.join(format!("shim-{}", name_of(program)));
                write(&place, shim.as_bytes(), 0o755)?;
                let real = desk.path.join(format!("real-{}", name_of(program)));
                write(&real, &bytes, 0o755)?;
                desk.shims.push((place, program));
            }
        }
        write(&desk.path.join("py3compile-all"), PY3COMPILE_ALL.as_bytes(), 0o644)?;
        inside.write(POLICY_PATH, POLICY.as_bytes(), 0o755).map_err(|cause| in_tree(POLICY_PATH, cause))?;
        let stages = stages(tree.debs, &inside);
        for (number, stage) in stages.all.iter().enumerate() {
            let script = desk.path.join(format!("stage-{number}"));
            write(&script, self::script(stage, number + 1 == stages.all.len()).as_bytes(), 0o755)?;
        }
        desk.stages = stages.all.len();
        desk.with_generators = stages.with_generators;
        Ok(desk)
    }

    fn run(&self, namespace: Namespace, tree: &Unconfigured<'_>) -> Result<(), ConfigureError> {
        let bare = &self.sandbox(namespace, tree);
        let shimmed = self.shims.iter().fold(bare.clone(), |sandbox, (shim, program)| sandbox.show(shim, *program));
        std::thread::scope(|scope| {
            let mut early = None;
            for number in 0..self.stages {
                let output = shimmed.run(&["/bin/sh", &format!("/run/goldsmith/stage-{number}")])?;
                if !output.status.success() {
                    return Err(failed(&output.text, &output.status.to_string(), tree));
                }
                if self.with_generators == Some(number) {
                    let calls = self.take_calls()?;
                    early = Some(scope.spawn(move || generate(bare, calls)));
                }
            }
            if let Some(early) = early {
                early.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            }
            // What the last stage has called for after all is made again, now that everything is configured.
            generate(bare, self.take_calls()?)?;
            run(bare, "compiling Python's library", &["/bin/sh", "-eu", "-c", BYTECODE])
        })
    }

    /// The generators that were called since the last time, each with its calls as a file that the sandbox sees.
    fn take_calls(&self) -> Result<Vec<(&'static Generator, String)>, ConfigureError> {
        let mut called = Vec::new();
        for generator in &GENERATORS {
            let name = name_of(generator.program);
            let queue = self.path.join(&name);
            if !queue.exists() {
                continue;
            }
            let free = (0..).map(|number| format!("{name}.{number}")).find(|taken| !self.path.join(taken).exists());
            let taken = free.unwrap_or_default();
            fs::rename(&queue, self.path.join(&taken)).map_err(|cause| ConfigureError::Io { path: queue, cause })?;
            called.push((generator, taken));
        }
        Ok(called)
    }

    fn sandbox(&self, namespace: Namespace, tree: &Unconfigured<'_>) -> Sandbox {
        Sandbox::new(namespace, tree.root)
            .lend(&self.path, "/run/goldsmith")
            .env("SOURCE_DATE_EPOCH", tree.epoch.to_string())
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("DEBCONF_NONINTERACTIVE_SEEN", "true")
            .env("UCF_FORCE_CONFFNEW", "1")
            // Bytes are letters: quicker for thousands of short programs, and the same bytes result.
            .env("LC_ALL", "C")
            // Order of hashes must not reach a file.
            .env("PERL_HASH_SEED", "0")
            .env("PYTHONHASHSEED", "0")
    }

    fn clear(&self, root: &Path) -> Result<(), ConfigureError> {
        let removed = Inside::open(root).and_then(|inside| inside.remove(POLICY_PATH));
        removed.map_err(|cause| in_tree(POLICY_PATH, cause))?;
        fs::remove_dir_all(&self.path).map_err(|cause| ConfigureError::Io { path: self.path.clone(), cause })
    }
}

/// A shell script: the `preinst` scripts of some packages as dpkg would call them, then dpkg for the same packages.
fn script(debs: &[&Deb], last: bool) -> String {
    let mut script = String::from(PREINST);
    for deb in debs.iter().filter(|deb| deb.control().contains_key("preinst")) {
        let fields = deb.fields();
        let info = status::info_name(fields);
        script.push_str(&format!("preinst {info} {} {} {}\n", fields.name, fields.architecture, fields.version));
    }
    let names: Vec<String> = debs.iter().map(|deb| status::info_name(deb.fields())).collect();
    let which = if last { "--pending".to_owned() } else { names.join(" ") };
    script.push_str(&format!("echo goldsmith: dpkg\nexec dpkg --force-confdef --force-confnew --configure {which}\n"));
    script
}

/// Runs a `preinst` from where dpkg would: debconf tells by the path whose script it is.
const PREINST: &str = "#!/bin/sh\nset -e\nD=/var/lib/dpkg\n\
    preinst() {\n\
    rm -rf $D/tmp.ci; mkdir $D/tmp.ci\n\
    for f in preinst config templates; do [ ! -e $D/info/$1.$f ] || cp -p $D/info/$1.$f $D/tmp.ci/$f; done\n\
    echo \"Package: $2\" >$D/tmp.ci/control\n\
    echo \"goldsmith: the preinst of $2 $4\"\n\
    DPKG_MAINTSCRIPT_PACKAGE=$2 DPKG_MAINTSCRIPT_ARCH=$3 DPKG_MAINTSCRIPT_NAME=preinst \\\n\
    PERL_DL_NONLAZY=1 DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT=1 DPKG_RUNNING_VERSION=1.22.0 DPKG_ROOT= DPKG_ADMINDIR=$D \\\n\
    $D/tmp.ci/preinst install\n\
    rm -rf $D/tmp.ci\n\
    }\n";

/// Does what all the calls in these files of `/run/goldsmith` ask for, at once for each generator.
fn generate(sandbox: &Sandbox, called: Vec<(&'static Generator, String)>) -> Result<(), ConfigureError> {
    for (generator, calls) in called {
        let command = ["/bin/sh", "-ec", generator.once, "sh", &format!("/run/goldsmith/{calls}")];
        run(sandbox, generator.program, &command)?;
    }
    Ok(())
}

/// Runs `command`, which is `what` in an error.
fn run(sandbox: &Sandbox, what: &str, command: &[&str]) -> Result<(), ConfigureError> {
    let output = sandbox.run(command)?;
    if output.status.success() {
        return Ok(());
    }
    let (how, last) = (output.status.to_string(), last_lines(&output.text));
    Err(ConfigureError::Failed { what: what.to_owned(), how, last })
}

/// Packages in the order in which they are configured.
struct Stages<'d> {
    /// What a stage's `preinst` scripts may count on is configured in the stages before.
    all: Vec<Vec<&'d Deb>>,
    /// The stage with the last package that is known to have a part in what generators make.
    with_generators: Option<usize>,
}

fn stages<'d>(debs: &'d [Deb], inside: &Inside) -> Stages<'d> {
    let needs = Needs::of(debs);
    let mut done: BTreeSet<usize> = BTreeSet::new();
    let mut stages = Vec::new();
    let taken_for_granted = |deb: &Deb| deb.fields().essential || deb.fields().priority == "required";
    let essential = (0..debs.len()).filter(|&index| taken_for_granted(&debs[index]));
    let mut next = needs.closure(essential.collect());
    while !next.is_empty() {
        done.extend(&next);
        stages.push(next);
        let scripts =
            (0..debs.len()).filter(|index| !done.contains(index) && debs[*index].control().contains_key("preinst"));
        let wanted = needs.closure(scripts.flat_map(|index| needs.before[index].iter().copied()).collect());
        next = wanted.difference(&done).copied().collect();
    }
    let parts = (0..debs.len()).filter(|&index| has_part_in_generators(&debs[index], inside));
    let parts = needs.closure(parts.collect());
    let with_generators = (!parts.is_empty()).then(|| {
        let rest: BTreeSet<usize> = parts.difference(&done).copied().collect();
        done.extend(&rest);
        stages.push(rest);
        stages.len() - 1
    });
    stages.push((0..debs.len()).filter(|index| !done.contains(index)).collect());
    let first =
        |deb: &&Deb| ["base-passwd", "base-files"].iter().position(|name| *name == deb.fields().name).unwrap_or(2);
    let in_order = |stage: BTreeSet<usize>| {
        let mut stage: Vec<&Deb> = stage.into_iter().map(|index| &debs[index]).collect();
        // base-passwd makes /etc/passwd, and the others' scripts call people by their names.
        stage.sort_by_key(|deb| (first(deb), deb.fields().name.clone()));
        stage
    };
    Stages { all: stages.into_iter().map(in_order).collect(), with_generators }
}

/// Whether a package calls a generator, or brings a kernel, or a hook, script or setting of initramfs-tools(7).
fn has_part_in_generators(deb: &Deb, inside: &Inside) -> bool {
    let calls = |file: &[u8]| {
        GENERATORS.iter().any(|generator| memchr::memmem::find(file, name_of(generator.program).as_bytes()).is_some())
    };
    if deb.control().values().any(|file| calls(file)) {
        return true;
    }
    let list = inside.text(&format!("var/lib/dpkg/info/{}.list", status::info_name(deb.fields()))).unwrap_or_default();
    let part = |path: &str| {
        ["/usr/share/initramfs-tools/", "/etc/initramfs-tools/", "/boot/vmlinuz-"]
            .iter()
            .any(|place| path.starts_with(place))
    };
    list.lines().any(part)
}

/// Which packages each of them needs, by their numbers.
struct Needs {
    /// `Pre-Depends`.
    before: Vec<Vec<usize>>,
    /// `Pre-Depends` and `Depends`.
    all: Vec<Vec<usize>>,
}

impl Needs {
    fn of(debs: &[Deb]) -> Self {
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, deb) in debs.iter().enumerate() {
            for provided in &deb.fields().provides {
                names.entry(provided).or_insert(index);
            }
        }
        // A real package stands before those that provide its name.
        names.extend(debs.iter().enumerate().map(|(index, deb)| (deb.fields().name.as_str(), index)));
        let meant = |relations: &[Vec<String>]| -> Vec<usize> {
            relations.iter().filter_map(|any| any.iter().find_map(|name| names.get(name.as_str()).copied())).collect()
        };
        let before: Vec<_> = debs.iter().map(|deb| meant(&deb.fields().pre_depends)).collect();
        let all = debs.iter().zip(&before).map(|(deb, before)| [meant(&deb.fields().depends), before.clone()].concat());
        Self { all: all.collect(), before }
    }

    /// `some`, and everything that they need.
    fn closure(&self, some: BTreeSet<usize>) -> BTreeSet<usize> {
        let mut open: Vec<usize> = some.iter().copied().collect();
        let mut closure = some;
        while let Some(index) = open.pop() {
            open.extend(self.all[index].iter().copied().filter(|need| closure.insert(*need)));
        }
        closure
    }
}

fn name_of(program: &str) -> String {
    program.rsplit('/').next().unwrap_or(program).to_owned()
}

/// Which package it was, from what the stage printed.
fn failed(text: &str, how: &str, tree: &Unconfigured<'_>) -> ConfigureError {
    // dpkg: error processing package NAME (--configure):
    let processed = |line: &str| {
        let name = line.strip_prefix("dpkg: error processing package ")?.split_whitespace().next()?;
        let bare = name.split(':').next()?;
        let deb = tree.debs.iter().find(|deb| deb.fields().name == bare)?;
        Some(format!("the postinst of {bare} {}", deb.fields().version))
    };
    let announced = || text.lines().rev().find_map(|line| line.strip_prefix("goldsmith: ")).map(str::to_owned);
    let what = text.lines().find_map(processed).or_else(announced).unwrap_or_else(|| "configuring".to_owned());
    ConfigureError::Failed { what, how: how.to_owned(), last: last_lines(text) }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("goldsmith: ")).collect();
    lines[lines.len().saturating_sub(20)..]
        .iter()
        .map(|line| format!("    {line}\n"))
        .collect::<String>()
        .trim_end()
        .to_owned()
}

fn make_directory(path: &Path) -> Result<(), ConfigureError> {
    fs::create_dir_all(path).map_err(|cause| ConfigureError::Io { path: path.to_owned(), cause })
}

fn in_tree(path: &str, cause: io::Error) -> ConfigureError {
    ConfigureError::Io { path: PathBuf::from(path), cause }
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), ConfigureError> {
    let written = fs::write(path, bytes).and_then(|()| fs::set_permissions(path, PermissionsExt::from_mode(mode)));
    written.map_err(|cause| ConfigureError::Io { path: path.to_owned(), cause })
}
