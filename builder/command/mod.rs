//! The verbs, one file each: an args struct whose doc comments are `--help`, and a `run`.
//!
//! A `run` gets what it needs and no more: the [`Project`], a place for what it prints (standard output), and, where it takes
//! long, the [`Progress`]. Results go to standard output, everything said about them to standard error. Exit codes: 0 done,
//! 1 failed, 2 used wrongly; of `shell` and `boot --exec`, that of the command.

mod audit;
mod boot;
mod build;
mod bundle;
mod check;
mod clean;
mod completions;
mod diff;
mod explain;
mod export;
mod fetch;
mod fleet;
mod import;
mod init;
mod list;
mod lock;
mod man;
mod registry;
mod schema;
mod shell;
mod show;
mod update;
mod vendor;
mod verify;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anstream::ColorChoice;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};

use crate::mirror::MirrorError;
use crate::progress::{Progress, Verbosity};
use crate::recipe::Recipe;
use crate::recipe::problem::{Problem, did_you_mean};
use crate::recipe::project::{Mistakes, Project, ProjectError};

/// Immutable Debian images for a VPC: locked, hardened, reproducible, proved.
///
/// What an image contains is written in recipes/NAME.toml and overlays/; what exactly that means today is written by `lock`
/// to images/NAME.lock; `build` makes of it, bit for bit the same each time, images/NAME/.
#[derive(Debug, Parser)]
#[command(name = "goldsmith", version, propagate_version = true, max_term_width = 100)]
#[command(after_help = "Example:\n  goldsmith build api        # images/api/, from images/api.lock")]
struct Cli {
    /// Work as if started in this folder.
    #[arg(short = 'C', long = "directory", value_name = "DIR", global = true, help_heading = EVERYWHERE)]
    directory: Option<PathBuf>,
    /// Print nothing but results and errors.
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = EVERYWHERE)]
    quiet: bool,
    /// Print also what is tried, and what is found in the cache.
    #[arg(short, long, global = true, help_heading = EVERYWHERE)]
    verbose: bool,
    /// When to use colours.
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto", help_heading = EVERYWHERE)]
    color: Color,
    #[command(subcommand)]
    verb: Verb,
}

/// What every verb takes, below what only one does.
const EVERYWHERE: &str = "Options of every verb";

/// `--color`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

/// What to do, in the order in which it is done.
#[derive(Debug, Subcommand)]
enum Verb {
    Init(init::Init),
    Check(check::Check),
    Lock(lock::Lock),
    Update(update::Update),
    Fetch(fetch::Fetch),
    Vendor(vendor::Vendor),
    Build(build::Build),
    Audit(audit::Audit),
    Verify(verify::Verify),
    Export(export::Export),
    Import(import::Import),
    Fleet(fleet::Fleet),
    Bundle(bundle::Bundle),
    Boot(boot::Boot),
    Shell(shell::Shell),
    List(list::List),
    Show(show::Show),
    Explain(explain::Explain),
    Diff(diff::Diff),
    Clean(clean::Clean),
    Schema(schema::Schema),
    Completions(completions::Completions),
    Man(man::Man),
}

/// The verb was used in a way that cannot mean anything: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Usage {
    message: String,
    help: Option<String>,
}

/// Does what the program's arguments say.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.color {
        Color::Auto => {}
        Color::Always => ColorChoice::Always.write_global(),
        Color::Never => ColorChoice::Never.write_global(),
    }
    let mut out = io::stdout().lock();
    let result = cli.run(&mut out).and_then(|()| Ok(out.flush()?));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the results has read enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        // Whoever asked for the command sees what it said.
        Err(error) if error.is::<shell::Ended>() => error.downcast().map_or(ExitCode::FAILURE, shell::Ended::exit_code),
        Err(error) => {
            tell(&error);
            ExitCode::from(if is_wrong_use(&error) { 2 } else { 1 })
        }
    }
}

impl Cli {
    /// The verb, with what it needs.
    fn run(self, out: &mut dyn Write) -> anyhow::Result<()> {
        let verbosity = match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        };
        let folder = self.directory.unwrap_or_else(|| PathBuf::from("."));
        let project = || Project::find(&folder);
        let progress = || Progress::to_stderr(verbosity);
        match self.verb {
            Verb::Init(verb) => verb.run(&project()?, out),
            Verb::Check(verb) => verb.run(&project()?, out),
            Verb::Lock(verb) => verb.run(&project()?, &progress(), out),
            Verb::Update(verb) => verb.run(&project()?, &progress(), out),
            Verb::Fetch(verb) => verb.run(&project()?, &progress(), out),
            Verb::Vendor(verb) => verb.run(&project()?, &progress(), out),
            Verb::Build(verb) => verb.run(&project()?, &progress(), out),
            Verb::Audit(verb) => verb.run(&folder, &progress(), out),
            Verb::Verify(verb) => verb.run(&project()?, &progress(), out),
            Verb::Import(verb) => verb.run(&project()?, out),
            Verb::Export(verb) => verb.run(&project()?, &progress(), out),
            Verb::Fleet(verb) => verb.run(&project()?, out),
            Verb::Bundle(verb) => verb.run(&folder, out),
            Verb::Boot(verb) => verb.run(&project()?, &progress(), out),
            Verb::Shell(verb) => verb.run(&folder, &progress()),
            Verb::List(verb) => verb.run(&project()?, out),
            Verb::Show(verb) => verb.run(&project()?, out),
            Verb::Explain(verb) => verb.run(&project()?, out),
            Verb::Diff(verb) => verb.run(&project()?, &progress(), out),
            Verb::Clean(verb) => verb.run(&project()?, out),
            Verb::Schema(verb) => verb.run(out),
            Verb::Completions(verb) => verb.run(Cli::command(), out),
            Verb::Man(verb) => verb.run(Cli::command(), out),
        }
    }
}

/// The images that a person named, or all that the project has, if none is named.
fn images(project: &Project, named: &[String]) -> anyhow::Result<Vec<String>> {
    if named.is_empty() {
        return Ok(project.names(crate::recipe::file::Purpose::Image)?);
    }
    let texts = project.recipe_texts()?;
    for name in named {
        if !texts.contains_key(name) {
            let known = texts.keys().map(String::as_str);
            let help = did_you_mean(name, known.clone())
                .unwrap_or_else(|| format!("there are: {}", known.collect::<Vec<_>>().join(", ")));
            let message = format!("there is no recipe `{name}` in {}", project.root().join("recipes").display());
            return Err(Usage { message, help: Some(help) }.into());
        }
    }
    Ok(named.to_vec())
}

/// An image that was never locked.
#[derive(Debug, thiserror::Error)]
#[error("there is no images/{0}.lock, and nothing is built without a lock\nhelp: `goldsmith lock {0}` writes it")]
struct NoLock(String);

impl NoLock {
    /// The lock of an image.
    fn or_load(project: &Project, image: &str) -> anyhow::Result<crate::lock::file::Lock> {
        let path = project.lock(image);
        if !path.exists() {
            return Err(Self(image.to_owned()).into());
        }
        Ok(crate::lock::file::Lock::load(&path)?)
    }
}

/// The recipe of `image`. What is doubtful about it, such as a suite that gets no repairs any more, is told.
fn load_recipe(project: &Project, image: &str) -> anyhow::Result<Recipe> {
    let folded = project.load(image)?;
    tell_problems(&folded.warnings);
    Ok(folded.recipe)
}

/// Problems, as a person reads them, to standard error.
fn tell_problems(problems: &[Problem]) {
    for problem in problems {
        anstream::eprintln!("{}\n", problem.render(true));
    }
}

/// An error, as a person reads it, to standard error: what failed, why, and what to do.
fn tell(error: &anyhow::Error) {
    let mistakes = error.downcast_ref::<Mistakes>().or_else(|| match error.downcast_ref::<ProjectError>() {
        Some(ProjectError::Mistakes(mistakes)) => Some(mistakes),
        _ => None,
    });
    if let Some(Mistakes(problems)) = mistakes {
        return tell_problems(problems);
    }
    anstream::eprintln!("{ERROR}error{RESET}: {error}");
    let mut said = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        // Many errors have their cause in their own sentence already.
        if !said.contains(&cause) {
            anstream::eprintln!("  because: {cause}");
            said = cause;
        }
    }
    if let Some(help) = help(error) {
        anstream::eprintln!("{HELP}help{RESET}: {help}");
    }
}

const ERROR: &str = "\x1b[1;31m";
const HELP: &str = "\x1b[1;36m";
const RESET: &str = "\x1b[0m";

/// What to do about an error that does not say it itself.
fn help(error: &anyhow::Error) -> Option<String> {
    if let Some(usage) = error.downcast_ref::<Usage>() {
        return usage.help.clone();
    }
    match error.downcast_ref::<ProjectError>() {
        Some(ProjectError::NotFound(_)) => Some("go to the project's folder, or name it with -C DIR".to_owned()),
        // Whatever was being written: the system's own words are in the sentence.
        _ if is_full(error) => {
            Some("free some space, or let GOLDSMITH_CACHE name a directory on a larger disk".to_owned())
        }
        _ => None,
    }
}

/// Whether a disk was full, and the error does not say what to do about it.
fn is_full(error: &anyhow::Error) -> bool {
    let text = format!("{error:#}");
    text.contains("No space left on device") && !text.contains("help: ") && !text.contains("GOLDSMITH_CACHE")
}

/// Whether it was asked for something that cannot mean anything.
fn is_wrong_use(error: &anyhow::Error) -> bool {
    let of_mirror = error.downcast_ref::<MirrorError>();
    error.is::<Usage>()
        || error.is::<crate::verify::UnknownCheck>()
        || matches!(
            of_mirror,
            Some(MirrorError::NotAnAddress(_) | MirrorError::TooManyMirrors(_) | MirrorError::Unsafe(_))
        )
}

/// Whether the other end of standard output is gone.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Prints `value` as JSON, for machines.
fn print_json(out: &mut dyn Write, value: &impl serde::Serialize) -> anyhow::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_of_every_verb_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_shows_an_example() {
        for verb in Cli::command().get_subcommands() {
            let example = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(example.contains(&format!("goldsmith {}", verb.get_name())), "{}", verb.get_name());
        }
    }
}
