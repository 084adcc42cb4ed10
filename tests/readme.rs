//! The README is true: what it shows at a prompt is what the binary prints.
//!
//! A fenced block ```` ```console ```` right below `<!-- tested -->` is run in this repository, each `$ ` line by a shell
//! in which `goldsmith` is the binary under test; both outputs are compared with what stands below the line. `…` stands
//! for anything within a line, and as a line for any number of lines. `GOLDSMITH_BLESS=1` rewrites what differs.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::harness::golden::{blessing, difference};
use crate::harness::project::GOLDSMITH;

const MARK: &str = "<!-- tested -->\n```console\n";
const END: &str = "```\n";

/// One command of a block, and what it is said to print.
#[derive(Debug, PartialEq)]
struct Step {
    command: String,
    output: String,
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    fs::read_to_string(repository().join("README.md")).expect("README.md")
}

/// The tested blocks of a text, without their fences.
fn blocks(text: &str) -> Vec<&str> {
    text.split(MARK).skip(1).map(|rest| &rest[..rest.find(END).unwrap_or(rest.len())]).collect()
}

fn steps(block: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step { command: command.into(), output: String::new() }),
            (None, Some(step)) => step.output.push_str(&format!("{line}\n")),
            (None, None) => panic!("output without a command: {line}"),
        }
    }
    steps
}

fn run(command: &str) -> String {
    let directory = Path::new(GOLDSMITH).parent().expect("the binary is in a directory");
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap_or_default());
    let line = format!("exec 2>&1; {command}");
    let mut shell = Command::new("sh");
    shell.args(["-c", &line]).current_dir(repository()).env("PATH", path).env("COLUMNS", "100");
    let output = shell.output().expect("running sh");
    String::from_utf8_lossy(&output.stdout).lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Whether `found` is what `pattern` says, with its `…`.
fn matches(pattern: &str, found: &str) -> bool {
    fn lines(pattern: &[&str], found: &[&str]) -> bool {
        match (pattern, found) {
            ([], rest) => rest.is_empty(),
            (["…", after @ ..], rest) => (0..=rest.len()).any(|skip| lines(after, &rest[skip..])),
            ([first, after @ ..], [line, rest @ ..]) => line_matches(first, line) && lines(after, rest),
            (_, []) => false,
        }
    }
    fn line_matches(pattern: &str, line: &str) -> bool {
        match pattern.split_once('…') {
            None => pattern == line,
            Some((start, rest)) => line.strip_prefix(start).is_some_and(|line| {
                line.char_indices().map(|(at, _)| at).chain([line.len()]).any(|at| line_matches(rest, &line[at..]))
            }),
        }
    }
    lines(&pattern.lines().collect::<Vec<_>>(), &found.lines().collect::<Vec<_>>())
}

#[test]
fn every_tested_block_prints_what_it_says() {
    let text = readme();
    let mut blessed = text.clone();
    let mut wrong = Vec::new();
    for block in blocks(&text) {
        let mut rewritten = String::new();
        for Step { command, output } in steps(block) {
            let found = run(&command);
            let right = matches(&output, &found);
            if !right {
                wrong.push(format!("$ {command}\n{}", difference(&output, &found)));
            }
            rewritten.push_str(&format!("$ {command}\n{}", if right { output } else { found }));
        }
        blessed = blessed.replace(block, &rewritten);
    }
    if blessing() && blessed != text {
        fs::write(repository().join("README.md"), blessed).expect("writing README.md");
    } else {
        assert!(wrong.is_empty(), "the README differs (GOLDSMITH_BLESS=1 rewrites it):\n{}", wrong.join("\n"));
    }
}

#[test]
fn the_two_commands_that_the_readme_promises_are_those_that_the_gate_runs() {
    let gate = fs::read_to_string(repository().join(".ci/run")).expect(".ci/run");
    let text = readme();
    for command in ["cargo run --release -- build", "cargo test --release"] {
        assert!(text.contains(&format!("\n{command}\n")), "the README does not say `{command}`");
        assert!(gate.lines().any(|line| line.ends_with(command)), ".ci/run does not run `{command}`");
    }
}

#[test]
fn every_verb_of_the_binary_stands_in_the_table_of_verbs() {
    let text = readme();
    let verbs: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("| `goldsmith ")?.split(['`', ' ']).next()).collect();
    let help = run("goldsmith --help");
    let commands = help.split("Commands:\n").nth(1).expect("the help lists commands");
    let commands: Vec<_> = commands
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|verb| *verb != "help")
        .collect();
    assert_eq!(verbs, commands, "the table of verbs and `goldsmith --help`");
}

#[test]
fn blocks_and_steps_are_read_as_they_stand() {
    let text = format!("# A\n{MARK}$ one\nfirst\nsecond\n$ two\n{END}\n```console\n$ untested\n{END}");
    let found: Vec<_> = blocks(&text).into_iter().map(steps).collect();
    let step = |command: &str, output: &str| Step { command: command.into(), output: output.into() };
    assert_eq!(found, [vec![step("one", "first\nsecond\n"), step("two", "")]]);
}

#[test]
fn an_ellipsis_stands_for_anything_and_other_text_for_itself() {
    assert!(matches("a … c\n…\nz\n", "a b c\n1\n2\nz\n"));
    assert!(matches("…\nz\n", "z\n"));
    assert!(!matches("a … c\n", "a b d\n"));
    assert!(!matches("a\n", "a\nb\n"));
}
