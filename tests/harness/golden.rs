//! Goldens: what Goldsmith prints and writes, committed under `tests/golden/`.
//!
//! `GOLDSMITH_BLESS=1 cargo test --release` rewrites those that differ; `git diff` then shows what a change does to its users.

use std::path::PathBuf;

/// Compares `text` with `tests/golden/NAME`, or puts it there if we are to bless.
pub fn compare(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let golden = std::fs::read_to_string(&path).ok();
    if golden.as_deref() == Some(text) {
        return;
    }
    if blessing() {
        std::fs::create_dir_all(path.parent().expect("below tests/golden")).expect("making tests/golden");
        std::fs::write(&path, text).expect("writing the golden");
        return;
    }
    let golden = golden.unwrap_or_default();
    panic!(
        "tests/golden/{name} differs (rewrite it with `GOLDSMITH_BLESS=1 cargo test --release`):\n{}",
        difference(&golden, text)
    );
}

/// Whether goldens are to be rewritten.
pub fn blessing() -> bool {
    std::env::var_os("GOLDSMITH_BLESS").is_some_and(|value| value == "1")
}

/// The lines of both texts that are not common to the start and the end of both, `-` expected, `+` found.
pub fn difference(expected: &str, found: &str) -> String {
    let (expected, found): (Vec<_>, Vec<_>) = (expected.lines().collect(), found.lines().collect());
    let shorter = expected.len().min(found.len());
    let start = (0..shorter).take_while(|&i| expected[i] == found[i]).count();
    let end =
        (0..shorter - start).take_while(|i| expected[expected.len() - 1 - i] == found[found.len() - 1 - i]).count();
    let mut text = format!("@@ line {} @@\n", start + 1);
    expected[start..expected.len() - end].iter().for_each(|line| text.push_str(&format!("- {line}\n")));
    found[start..found.len() - end].iter().for_each(|line| text.push_str(&format!("+ {line}\n")));
    text
}

#[test]
fn a_difference_shows_only_the_lines_that_differ() {
    assert_eq!(difference("a\nb\nc\n", "a\nx\nc\n"), "@@ line 2 @@\n- b\n+ x\n");
    assert_eq!(difference("a\n", "a\nb\n"), "@@ line 2 @@\n+ b\n");
}
