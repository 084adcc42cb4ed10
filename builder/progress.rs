//! What the person at the terminal sees while something takes long.
//!
//! ```text
//!   on a terminal       fetch      ━━━━━━━━━━━╸─────────  83.1 MB of 131.0 MB  11.2 MB/s  apache2
//!                       unpack     ━━━━━━╸──────────────  71 of 250  linux-image-amd64
//!   anywhere else       fetch: 250 packages, 131.0 MB (11.8 s)        one line a step, when it is done
//!   with -v             fetch …                                       and one when it starts
//!   with -q             nothing
//! ```
//!
//! A [`Progress`] is a cheap handle that is passed down to whatever takes long; there is no global one. It writes to
//! standard error only (standard output belongs to `--json`), never fails, and nothing that it shows reaches an artifact:
//! it is the one place where how long something took may be read from the clock.

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How much a person wants to read: `-q`, nothing, `-v`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Nothing but errors.
    Quiet,
    /// Steps, and what a person should know.
    #[default]
    Normal,
    /// Also what a person may want to know when something is odd.
    Verbose,
}

/// How much a step has to do, if that is known when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Total {
    /// So many bytes.
    Bytes(u64),
    /// So many of whatever the step counts.
    Items(u64),
    /// Not known.
    Unknown,
}

/// Where steps and messages go. Clones share it; it may be used from any thread.
#[derive(Clone)]
pub struct Progress {
    shared: Arc<Shared>,
}

struct Shared {
    verbosity: Verbosity,
    output: Output,
}

enum Output {
    /// Bars, redrawn in place.
    Bars(MultiProgress),
    /// One line after another.
    Lines(Mutex<Box<dyn Write + Send>>),
    /// Nowhere.
    Silent,
}

impl Progress {
    /// To standard error: bars if that is a terminal, else lines; nothing if `verbosity` is [`Verbosity::Quiet`].
    pub fn to_stderr(verbosity: Verbosity) -> Self {
        let stderr = io::stderr();
        let output = match verbosity {
            Verbosity::Quiet => Output::Silent,
            _ if stderr.is_terminal() => {
                Output::Bars(MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)))
            }
            _ => Output::Lines(Mutex::new(Box::new(stderr))),
        };
        Self { shared: Arc::new(Shared { verbosity, output }) }
    }

    /// Nowhere.
    pub fn silent() -> Self {
        Self { shared: Arc::new(Shared { verbosity: Verbosity::Quiet, output: Output::Silent }) }
    }

    /// Plain lines to `sink`: for tests, and for a log beside the terminal.
    pub fn lines(sink: impl Write + Send + 'static, verbosity: Verbosity) -> Self {
        Self { shared: Arc::new(Shared { verbosity, output: Output::Lines(Mutex::new(Box::new(sink))) }) }
    }

    /// Begins a step, named by the verb that it does (`fetch`, `unpack`, `configure`).
    #[expect(clippy::disallowed_methods, reason = "how long a step took is shown on the terminal, and nowhere else")]
    pub fn step(&self, name: &str, total: Total) -> Step {
        let bar = match &self.shared.output {
            Output::Bars(bars) => Some(bars.add(new_bar(name, total))),
            Output::Lines(_) | Output::Silent => None,
        };
        if bar.is_none() {
            self.verbose(&format!("{name} …"));
        }
        Step { progress: self.clone(), name: name.to_owned(), bar, since: Instant::now() }
    }

    /// Shows one line that a person should read: what is waited for, what was repaired.
    pub fn message(&self, line: &str) {
        self.line(Verbosity::Normal, line);
    }

    /// Shows one line that only `-v` asks for: what was tried, what was found in the cache.
    pub fn verbose(&self, line: &str) {
        self.line(Verbosity::Verbose, line);
    }

    /// What was asked for with `-q` and `-v`.
    pub fn verbosity(&self) -> Verbosity {
        self.shared.verbosity
    }

    fn line(&self, least: Verbosity, line: &str) {
        if self.shared.verbosity < least {
            return;
        }
        // Whoever closed standard error does not want to know; the work goes on.
        match &self.shared.output {
            Output::Bars(bars) => drop(bars.println(line)),
            Output::Lines(sink) => drop(writeln!(sink.lock().unwrap_or_else(PoisonError::into_inner), "{line}")),
            Output::Silent => {}
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::silent()
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Progress").field("verbosity", &self.shared.verbosity).finish_non_exhaustive()
    }
}

/// Something under way. [`done`](Step::done) ends it well; dropped before that, its bar goes and nothing is said, for the
/// error that follows says it.
pub struct Step {
    progress: Progress,
    name: String,
    bar: Option<ProgressBar>,
    since: Instant,
}

impl Step {
    /// So much more is done, in the unit of the step's [`Total`].
    pub fn inc(&self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(done);
        }
    }

    /// So much that was counted as done has to be done again: a download that starts from zero.
    pub fn rewind(&self, undone: u64) {
        if let Some(bar) = &self.bar {
            bar.dec(undone);
        }
    }

    /// What is being worked on now, beside the bar (a package's name). Never a line of its own.
    pub fn now(&self, what: &str) {
        if let Some(bar) = &self.bar {
            bar.set_message(what.to_owned());
        }
    }

    /// How long it has been under way.
    pub fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// Shows one line that a person should read, above the bars.
    pub fn message(&self, line: &str) {
        self.progress.message(line);
    }

    /// Ends the step, and says in a few words what it did: `fetch: 250 packages, 131.0 MB (11.8 s)`.
    pub fn done(self, summary: &str) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.progress.message(&format!("{}: {summary} ({})", self.name, seconds(self.since.elapsed())));
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A bar in the one style that all have; the columns of several line up.
fn new_bar(name: &str, total: Total) -> ProgressBar {
    let (bar, template) = match total {
        Total::Bytes(n) => (
            ProgressBar::new(n),
            "{prefix:10} {bar:24.cyan/dim} {decimal_bytes} of {decimal_total_bytes} {decimal_bytes_per_sec} {wide_msg:.dim}",
        ),
        Total::Items(n) => (ProgressBar::new(n), "{prefix:10} {bar:24.cyan/dim} {pos} of {len} {wide_msg:.dim}"),
        Total::Unknown => (ProgressBar::new_spinner(), "{prefix:10} {spinner} {elapsed} {wide_msg:.dim}"),
    };
    if total == Total::Unknown {
        bar.enable_steady_tick(Duration::from_millis(120));
    }
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.with_style(style.progress_chars("━╸─")).with_prefix(name.to_owned())
}

/// `131.0 MB`: decimal units, as archives and registries count.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    let mut text = String::new();
    let mut value = count as f64 / 1000.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        // 999 950 bytes would be written "1000.0 kB".
        if value >= 999.95 {
            value /= 1000.0;
            unit = larger;
        }
    }
    let _ = if count < 1000 { write!(text, "{count} bytes") } else { write!(text, "{value:.1} {unit}") };
    text
}

/// `11.8 s`, `0.04 s`, `3 min 12 s`.
fn seconds(elapsed: Duration) -> String {
    match elapsed.as_secs() {
        0 => format!("{:.2} s", elapsed.as_secs_f64()),
        whole @ 1..60 => format!("{whole}.{} s", elapsed.subsec_millis() / 100),
        whole => format!("{} min {} s", whole / 60, whole % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sink that can be read while it is written.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn shown(verbosity: Verbosity, work: impl FnOnce(&Progress)) -> String {
        let page = Page::default();
        work(&Progress::lines(page.clone(), verbosity));
        let bytes = page.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    fn fetch(progress: &Progress) {
        let step = progress.step("fetch", Total::Items(2));
        step.now("apache2");
        step.inc(1);
        step.rewind(1);
        step.inc(2);
        step.done("2 packages");
    }

    #[test]
    fn a_step_is_one_line_without_a_terminal() {
        let page = shown(Verbosity::Normal, fetch);
        assert_eq!(page.lines().count(), 1, "{page}");
        assert!(page.starts_with("fetch: 2 packages ("), "{page}");
    }

    #[test]
    fn with_v_it_also_says_when_a_step_starts() {
        let page = shown(Verbosity::Verbose, fetch);
        assert_eq!(page.lines().next(), Some("fetch …"));
        assert_eq!(page.lines().count(), 2, "{page}");
    }

    #[test]
    fn with_q_it_says_nothing() {
        assert_eq!(shown(Verbosity::Quiet, fetch), "");
        assert_eq!(shown(Verbosity::Quiet, |progress| progress.message("waiting")), "");
    }

    #[test]
    fn a_step_that_fails_leaves_the_word_to_its_error() {
        assert_eq!(shown(Verbosity::Normal, |progress| drop(progress.step("fetch", Total::Unknown))), "");
    }

    #[test]
    fn lines_of_many_threads_do_not_mix() {
        let page = shown(Verbosity::Normal, |progress| {
            std::thread::scope(|threads| {
                for _ in 0..8 {
                    threads.spawn(|| (0..50).for_each(|_| progress.message("one whole line")));
                }
            });
        });
        assert_eq!(page, "one whole line\n".repeat(400));
    }

    #[test]
    fn bars_have_a_style_that_their_crate_accepts() {
        for total in [Total::Bytes(1), Total::Items(1), Total::Unknown] {
            let bars = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
            let shared = Shared { verbosity: Verbosity::Normal, output: Output::Bars(bars) };
            let step = Progress { shared: Arc::new(shared) }.step("unpack", total);
            step.inc(1);
            step.done("all");
        }
    }

    #[test]
    fn sizes_and_times_are_written_as_people_say_them() {
        assert_eq!(bytes(999), "999 bytes");
        assert_eq!(bytes(1_000), "1.0 kB");
        assert_eq!(bytes(999_950), "1.0 MB");
        assert_eq!(bytes(131_000_000), "131.0 MB");
        assert_eq!(bytes(2_500_000_000_000), "2.5 TB");
        assert_eq!(seconds(Duration::from_millis(40)), "0.04 s");
        assert_eq!(seconds(Duration::from_millis(11_849)), "11.8 s");
        assert_eq!(seconds(Duration::from_secs(192)), "3 min 12 s");
    }
}
