//! Programs that a person works with: Ctrl-C is theirs, and the terminal comes back afterwards.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use super::check;

/// While this is held, Ctrl-C and Ctrl-\ do not end this process, as system(3) does it for its child. When it is dropped,
/// they do again, and the terminal is this process's again if it was before.
pub(super) struct Lent {
    handlers: Vec<(libc::c_int, libc::sighandler_t)>,
    foreground: Option<libc::pid_t>,
}

/// What a terminal sends to whoever has it.
const FROM_THE_TERMINAL: [libc::c_int; 2] = [libc::SIGINT, libc::SIGQUIT];

impl Lent {
    pub(super) fn lend() -> Self {
        // SAFETY: system calls without pointers; a handler that is no function.
        unsafe {
            let handlers = FROM_THE_TERMINAL.map(|number| (number, libc::signal(number, libc::SIG_IGN))).to_vec();
            let group = libc::tcgetpgrp(libc::STDIN_FILENO);
            Self { handlers, foreground: (group == libc::getpgrp()).then_some(group) }
        }
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // SAFETY: as above; the handlers are those that were there.
        unsafe {
            if let Some(group) = self.foreground {
                // A shell in the sandbox that died has left the terminal to its own group, and who is not in that is
                // stopped for touching it.
                let before = libc::signal(libc::SIGTTOU, libc::SIG_IGN);
                libc::tcsetpgrp(libc::STDIN_FILENO, group);
                libc::signal(libc::SIGTTOU, before);
            }
            for (number, handler) in &self.handlers {
                libc::signal(*number, *handler);
            }
        }
    }
}

/// How often somebody has asked this process to end, since somebody listens.
static ASKED: AtomicUsize = AtomicUsize::new(0);

/// What happened on a signal before anybody listened.
type Handlers = [(libc::c_int, libc::sighandler_t); 2];

/// How many listen, and what is to be put back when none does.
static LISTENING: Mutex<(usize, Option<Handlers>)> = Mutex::new((0, None));

extern "C" fn asked(_: libc::c_int) {
    ASKED.fetch_add(1, Ordering::Relaxed);
}

/// While this is held, Ctrl-C and SIGTERM do not end this process, but are counted: whoever has started something ends it
/// first. Several may listen at once; all are told. When the last is dropped, they end it again.
#[derive(Debug)]
pub struct Interrupts(());

impl Interrupts {
    /// Begins to listen.
    pub fn listen() -> Self {
        let mut listening = LISTENING.lock().unwrap_or_else(PoisonError::into_inner);
        if listening.0 == 0 {
            ASKED.store(0, Ordering::Relaxed);
            let handler = asked as extern "C" fn(libc::c_int) as libc::sighandler_t;
            // SAFETY: a handler that only counts.
            let before = [libc::SIGINT, libc::SIGTERM].map(|number| (number, unsafe { libc::signal(number, handler) }));
            listening.1 = Some(before);
        }
        listening.0 += 1;
        Self(())
    }

    /// How often it was asked.
    pub fn count(&self) -> usize {
        ASKED.load(Ordering::Relaxed)
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        let mut listening = LISTENING.lock().unwrap_or_else(PoisonError::into_inner);
        listening.0 -= 1;
        if listening.0 == 0 {
            for (number, handler) in listening.1.take().into_iter().flatten() {
                // SAFETY: the handlers are those that were there.
                unsafe { libc::signal(number, handler) };
            }
        }
    }
}

/// After the fork, as process 1: starts a second process, which is the one that returns, and becomes its `init`: it reaps
/// whatever is left alone, and ends with the second one's exit code. (Process 1 itself would be deaf to Ctrl-C.)
pub(super) fn stand_behind_an_init() -> io::Result<()> {
    // SAFETY: system calls without pointers, but for `waitpid` (a local).
    unsafe {
        match libc::fork() {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
                for number in FROM_THE_TERMINAL {
                    libc::signal(number, libc::SIG_DFL);
                }
                Ok(())
            }
            child => {
                libc::close_range(0, u32::MAX, 0);
                let mut status = 0;
                loop {
                    match libc::waitpid(-1, &raw mut status, 0) {
                        ended if ended == child => break,
                        -1 if *libc::__errno_location() != libc::EINTR => break,
                        _ => {}
                    }
                }
                libc::_exit(match libc::WIFEXITED(status) {
                    true => libc::WEXITSTATUS(status),
                    false => 128 + libc::WTERMSIG(status),
                })
            }
        }
    }
}
