//! A machine under way: its milestones, its end, its power button.

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::errand;
use super::milestone::Milestones;
use super::{MachineError, text};
use crate::progress::{Progress, Step, Total};
use crate::sandbox::{Interrupts, Output, Sandbox, SandboxError};

/// How often a console is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// How long a system may take to shut down after its power button was pressed. (A database that was started a moment ago, on a
/// translated processor, takes its time.)
const SHUTDOWN: Duration = Duration::from_secs(120);

/// How long a machine is off before it starts again.
const SETTLE: Duration = Duration::from_secs(1);

/// The last words of a kernel.
const PANIC: &str = "Kernel panic - not syncing";

/// A machine that was started. Dropped, it is switched off.
#[derive(Debug)]
pub struct Running {
    plug: Plug,
    step: Step,
    milestones: Milestones,
    /// Its starts before this one: when each began, from the first power-on, and how far it came.
    before: Vec<(Duration, Milestones)>,
    /// When this one began.
    began: Duration,
    /// How many lines its errand was asked.
    asked: u32,
    interrupts: Interrupts,
}

/// What keeps it running. Dropped, it is pulled.
#[derive(Debug)]
struct Plug {
    scratch: PathBuf,
    /// QEMU and its arguments, for each start anew: a process that has translated one start is slower at the next.
    sandbox: Sandbox,
    argv: Vec<String>,
    thread: Option<JoinHandle<Result<Output, SandboxError>>>,
}

/// What QEMU writes, and listens at, in the scratch directory: of one start each.
const OF_A_START: [&str; 4] = ["console", "output", "errand", "monitor"];

impl Running {
    pub(super) fn new(sandbox: Sandbox, argv: Vec<String>, scratch: &Path, progress: &Progress) -> Self {
        Self {
            interrupts: Interrupts::listen(),
            step: progress.step("boot", Total::Unknown),
            milestones: Milestones::default(),
            before: Vec::new(),
            began: Duration::ZERO,
            asked: 0,
            plug: Plug::inserted(sandbox, argv, scratch),
        }
    }

    /// When it got where, in this start.
    pub fn milestones(&self) -> &Milestones {
        &self.milestones
    }

    /// Each of its starts: when it began, from the first power-on, and when it got where, from its own.
    pub fn starts(&self) -> Vec<(Duration, Milestones)> {
        let this = (self.began, self.milestones.clone());
        self.before.iter().cloned().chain([this]).collect()
    }

    /// What its console has said since it was last started.
    pub fn console(&self) -> String {
        text(&self.plug.scratch.join("console"))
    }

    /// What its errand has said since then.
    pub fn said(&self) -> String {
        errand::said(&text(&self.plug.scratch.join("output")))
    }

    /// Waits until the console says that it has come to `milestone`.
    ///
    /// # Errors
    /// It ended before, or has not come there `limit` seconds after power-on; or somebody pressed Ctrl-C, and it was shut down.
    pub fn until(&mut self, milestone: &str, limit: u32) -> Result<(), MachineError> {
        self.wait((milestone, limit), |running| running.milestones.at(milestone).is_some())
    }

    /// Waits until its errand has said `line`, which is `awaited` in an error.
    ///
    /// # Errors
    /// As [`Running::until`].
    pub fn until_said(&mut self, line: &str, (awaited, limit): (&str, u32)) -> Result<(), MachineError> {
        self.wait((awaited, limit), |running| running.said().lines().any(|said| said == line))
    }

    /// Has its errand, which ends in [`errand::LISTEN`], run a line of shell as root: what that said, and its exit code.
    ///
    /// # Errors
    /// As [`Running::until`]; `limit` is in seconds from now.
    pub fn ask(&mut self, line: &str, limit: u32) -> Result<(String, u8), MachineError> {
        let limit = u32::try_from(self.step.elapsed().as_secs()).unwrap_or(u32::MAX).saturating_add(limit);
        self.wait(("listening to what it is asked", limit), |running| errand::is_listening(&running.said()))?;
        self.asked += 1;
        let (number, before) = (self.asked, self.said().len());
        // Kept until the answer is there: what is on its way through a connection that is closed is lost. And read, though it is
        // all in the file too: a connection that is full stops what writes to it.
        let connection = self.plug.write("errand", &format!("{number} {line}\n"));
        let draining = connection.and_then(|connection| {
            let mut reading = connection.try_clone()?;
            let thread = thread::spawn(move || drop(io::copy(&mut reading, &mut io::sink())));
            Ok((connection, thread))
        });
        let path = || self.plug.scratch.join("errand");
        let (connection, thread) = draining.map_err(|cause| MachineError::File { path: path(), cause })?;
        self.wait((line, limit), |running| errand::answered(&running.said(), before, number).is_some())?;
        // QEMU may have ended; then so has the thread.
        drop(connection.shutdown(Shutdown::Both));
        drop(thread.join());
        Ok(errand::answered(&self.said(), before, number).unwrap_or_default())
    }

    /// The same, for what must come to a good end; what it said.
    ///
    /// # Errors
    /// As [`Running::ask`]; its exit code is not 0.
    pub fn done(&mut self, line: &str, limit: u32) -> Result<String, MachineError> {
        match self.ask(line, limit)? {
            (said, 0) => Ok(said),
            (said, code) => Err(MachineError::Refused { line: line.to_owned(), code, said: said.trim().to_owned() }),
        }
    }

    /// Asks it the same way to start again, as its owner would, and forgets the milestones of this start.
    ///
    /// # Errors
    /// As [`Running::done`]; it has not shut down in two minutes.
    pub fn reboot(&mut self) -> Result<(), MachineError> {
        let (awaited, limit) = ("starting again", u32::try_from(SHUTDOWN.as_secs()).unwrap_or(u32::MAX));
        self.done("systemctl reboot", limit)?;
        let since = self.step.elapsed();
        // QEMU ends where a machine would start again (`-no-reboot`).
        let output = loop {
            match self.look(awaited)? {
                Some(output) => break output,
                None if self.step.elapsed() > since + SHUTDOWN => return Err(self.late(awaited, limit)),
                None => {}
            }
        };
        match output.status.success() {
            true => self.again(),
            false => Err(self.ended(awaited, &output)),
        }
    }

    /// Cuts its power, and gives it back.
    ///
    /// # Errors
    /// QEMU has failed, or what it wrote cannot be removed.
    pub fn cut(&mut self) -> Result<(), MachineError> {
        if let Some(output) = self.plug.pulled()?
            && !output.status.success()
        {
            return Err(self.ended("its power was cut", &output));
        }
        self.again()
    }

    fn again(&mut self) -> Result<(), MachineError> {
        // What it said at last, and is still on the cable, was said before this start.
        thread::sleep(SETTLE);
        self.before.push((self.began, std::mem::take(&mut self.milestones)));
        self.began = self.step.elapsed();
        self.plug.insert()
    }

    /// Whether it is still there, and nobody wants it to end.
    ///
    /// # Errors
    /// It ended before what is `awaited`, or panicked; or somebody pressed Ctrl-C, and it was shut down.
    pub fn still(&mut self, awaited: &str) -> Result<(), MachineError> {
        self.look(awaited)?.map_or(Ok(()), |output| Err(self.ended(awaited, &output)))
    }

    fn wait(&mut self, (awaited, limit): (&str, u32), enough: impl Fn(&Self) -> bool) -> Result<(), MachineError> {
        while !enough(self) {
            self.still(awaited)?;
            if self.step.elapsed().as_secs() > u64::from(limit) {
                return Err(self.late(awaited, limit));
            }
        }
        Ok(())
    }

    /// Waits for the end of the errand that it was started with: what that said, and its exit code.
    pub(super) fn errand(mut self, limit: u32) -> Result<(String, u8), MachineError> {
        let awaited = "the end of the command";
        let output = loop {
            if let Some(output) = self.look(awaited)? {
                break output;
            }
        };
        let Some(ended) = errand::ended(&text(&self.plug.scratch.join("output"))) else {
            let killed = matches!(output.status.code(), Some(124 | 137));
            return Err(if killed { self.late(awaited, limit) } else { self.ended(awaited, &output) });
        };
        self.step.done(&format!("{}, shut down", self.milestones));
        Ok(ended)
    }

    /// Presses the power button and waits for the end; after two minutes, or on Ctrl-C, pulls the plug.
    ///
    /// # Errors
    /// QEMU failed.
    pub fn shut_down(mut self) -> Result<(), MachineError> {
        if let Some(output) = self.switched_off()?
            && !output.status.success()
        {
            return Err(self.ended("it was shut down", &output));
        }
        self.step.done(&format!("{}, shut down", self.milestones));
        Ok(())
    }

    fn switched_off(&mut self) -> Result<Option<Output>, MachineError> {
        self.step.now("shutting down");
        self.plug.tell("system_powerdown");
        let since = self.step.elapsed();
        let interrupts = self.interrupts.count();
        let patience =
            |running: &Self| running.step.elapsed() < since + SHUTDOWN && running.interrupts.count() == interrupts;
        while self.plug.thread.as_ref().is_some_and(|thread| !thread.is_finished()) && patience(self) {
            thread::sleep(LOOK);
        }
        self.plug.pulled()
    }

    /// Looks at the console after a moment; what QEMU said, if it has ended.
    fn look(&mut self, awaited: &str) -> Result<Option<Output>, MachineError> {
        thread::sleep(LOOK);
        let console = self.console();
        self.milestones.look(&console, self.step.elapsed().saturating_sub(self.began), &self.step);
        if let Some((_, why)) = console.split_once(PANIC) {
            let why = why.lines().next().unwrap_or_default().trim_matches([':', ' ']).to_owned();
            return Err(MachineError::Panicked { awaited: awaited.to_owned(), why, console: self.last_lines() });
        }
        if self.interrupts.count() > 0 {
            self.switched_off()?;
            return Err(MachineError::Interrupted);
        }
        match self.plug.thread.take_if(|thread| thread.is_finished()) {
            Some(thread) => joined(thread).map(Some),
            None => Ok(None),
        }
    }

    fn ended(&self, awaited: &str, output: &Output) -> MachineError {
        let (awaited, status, said) = (awaited.to_owned(), output.status.to_string(), output.text.trim().to_owned());
        MachineError::Ended { awaited, status, said, console: self.last_lines() }
    }

    fn late(&self, awaited: &str, limit: u32) -> MachineError {
        let (awaited, seconds) = (awaited.to_owned(), u64::from(limit));
        MachineError::Late { awaited, seconds, console: self.last_lines() }
    }

    fn last_lines(&self) -> String {
        let console = self.console();
        let lines: Vec<&str> = console.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

impl Plug {
    fn inserted(sandbox: Sandbox, argv: Vec<String>, scratch: &Path) -> Self {
        let mut plug = Self { scratch: scratch.to_owned(), sandbox, argv, thread: None };
        plug.switch_on();
        plug
    }

    fn switch_on(&mut self) {
        let (sandbox, argv) = (self.sandbox.clone(), self.argv.clone());
        self.thread = Some(thread::spawn(move || sandbox.run(&argv)));
    }

    /// Puts it in again after it was pulled, and forgets what was said before.
    fn insert(&mut self) -> Result<(), MachineError> {
        for name in OF_A_START {
            let path = self.scratch.join(name);
            match fs::remove_file(&path) {
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => {
                    return Err(MachineError::File { path, cause });
                }
                _ => {}
            }
        }
        self.switch_on();
        Ok(())
    }

    /// Pulls it; what QEMU said at its end, if it had not ended before.
    fn pulled(&mut self) -> Result<Option<Output>, MachineError> {
        self.tell("quit");
        self.thread.take().map(joined).transpose()
    }

    /// One line to QEMU's monitor. A machine that has ended does not hear it, and that is as well.
    fn tell(&self, line: &str) {
        drop(self.write("monitor", &format!("{line}\n")));
    }

    /// Writes to a socket of QEMU's; the connection.
    fn write(&self, socket: &str, text: &str) -> io::Result<UnixStream> {
        // By way of a descriptor: the path of a socket has at most 107 bytes (unix(7)).
        let folder = File::open(&self.scratch)?;
        let mut stream = UnixStream::connect(format!("/proc/self/fd/{}/{socket}", folder.as_raw_fd()))?;
        stream.write_all(text.as_bytes())?;
        Ok(stream)
    }
}

impl Drop for Plug {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.tell("quit");
            // What it said does not matter any more; that it has ended does.
            drop(thread.join());
        }
    }
}

fn joined(thread: JoinHandle<Result<Output, SandboxError>>) -> Result<Output, MachineError> {
    match thread.join() {
        Ok(output) => Ok(output?),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
