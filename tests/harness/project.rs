//! A project in a temporary directory, and the real binary run in it with an environment of its own.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use super::{Key, Mirror, golden};

/// The binary under test.
pub const GOLDSMITH: &str = env!("CARGO_BIN_EXE_goldsmith");

/// Recipes, overlays and locks in a directory that is removed at the end, with a store of its own.
pub struct Project {
    directory: tempfile::TempDir,
    environment: BTreeMap<String, OsString>,
    mirrors: Vec<String>,
    keys: Vec<String>,
}

impl Project {
    /// An empty project. The binary sees `PATH`, a `HOME` and a store inside the temporary directory, and nothing else.
    pub fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("goldsmith-test-").tempdir().expect("a temporary directory");
        let mut project = Self { directory, environment: BTreeMap::new(), mirrors: Vec::new(), keys: Vec::new() };
        for sub in ["project/recipes", "home", "cache"] {
            fs::create_dir_all(project.directory.path().join(sub)).expect("a directory in the temporary directory");
        }
        project = project.environment("PATH", std::env::var_os("PATH").unwrap_or_default());
        let (home, cache) = (project.directory.path().join("home"), project.cache());
        project.environment("HOME", home).environment("GOLDSMITH_CACHE", cache)
    }

    /// A project with one recipe, `hello`, that asks for the package `hello` from `mirror`, whose keyring holds `key`.
    pub fn hello(mirror: &Mirror, key: &Key) -> Self {
        Self::new().mirror(mirror).keyring(key).recipe("hello", &recipe(&["hello"]))
    }

    /// `recipes/NAME.toml`.
    pub fn recipe(self, name: &str, text: &str) -> Self {
        self.write(&format!("recipes/{name}.toml"), text.as_bytes())
    }

    /// `keys/test.pgp`, the keyring that [`recipe`] names.
    pub fn keyring(mut self, key: &Key) -> Self {
        self.keys.push(key.fingerprint());
        self.write("keys/test.pgp", &key.public())
    }

    /// Any file of the project.
    pub fn write(self, path: &str, bytes: &[u8]) -> Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("below the project")).expect("a directory of the project");
        fs::write(path, bytes).expect("a file of the project");
        self
    }

    /// One variable more in the binary's environment.
    pub fn environment(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// Asks `mirror` for what a recipe calls `debian`.
    pub fn mirror(mut self, mirror: &Mirror) -> Self {
        self.mirrors.push(mirror.proxy_url());
        self.environment("GOLDSMITH_MIRROR", mirror.url())
    }

    /// The path of a file of the project.
    pub fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join("project").join(path)
    }

    /// The store.
    pub fn cache(&self) -> PathBuf {
        self.directory.path().join("cache")
    }

    /// The text of a file of the project.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Whether the project has a file.
    pub fn has(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// The binary with these arguments, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(GOLDSMITH);
        command.args(arguments).current_dir(self.path("")).env_clear().envs(&self.environment);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts the binary and leaves it running.
    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().expect("starting goldsmith")
    }

    /// Runs the binary to its end.
    pub fn run(&self, arguments: &[&str]) -> Run {
        self.finish(self.start(arguments))
    }

    /// Runs the binary to its end through a shell line, in which `"$@"` is the binary with its arguments.
    pub fn run_through(&self, line: &str, arguments: &[&str]) -> Run {
        let mut command = Command::new("sh");
        command.args(["-c", line, "sh", GOLDSMITH]).args(arguments);
        command.current_dir(self.path("")).env_clear().envs(&self.environment);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.finish(command.spawn().expect("starting sh"))
    }

    /// Waits for a binary that was started.
    pub fn finish(&self, child: Child) -> Run {
        let Output { status, stdout, stderr } = child.wait_with_output().expect("waiting for goldsmith");
        Run {
            code: status.code(),
            signal: status.signal(),
            stdout: self.normalise(&String::from_utf8_lossy(&stdout)),
            stderr: self.normalise(&String::from_utf8_lossy(&stderr)),
        }
    }

    /// `text` without what differs from run to run: the temporary directory, the mirror's port, and the keys.
    pub fn normalise(&self, text: &str) -> String {
        let mut text = text.replace(&self.directory.path().display().to_string(), "[tmp]");
        for mirror in &self.mirrors {
            text = text.replace(mirror, "http://mirror").replace(mirror.trim_start_matches("http://"), "mirror");
        }
        for key in &self.keys {
            text = text.replace(key, "[key]");
        }
        text
    }

    /// Asserts that every blob of the store has the SHA-256 that is its name. (What is not yet whole lies elsewhere.)
    #[track_caller]
    pub fn assert_store_is_sound(&self) -> &Self {
        for path in files_below(&self.cache().join("blobs/sha256")) {
            let bytes = fs::read(&path).expect("a blob");
            let name = path.file_name().unwrap_or_default();
            assert_eq!(name, super::sha256(&bytes).as_str(), "{} is not what its name says", path.display());
        }
        self
    }
}

/// A recipe that asks for these packages from the tests' archive.
pub fn recipe(packages: &[&str]) -> String {
    format!(
        "description = \"A recipe of the tests.\"\npackages = {packages:?}\n\n[[archive]]\nname = \"tests\"\n\
         uri = \"debian\"\nsuite = \"trixie\"\ncomponents = [\"main\"]\nkeyring = \"keys/test.pgp\"\n"
    )
}

/// Every regular file below `directory`, in order.
pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => directories.push(entry.path()),
                Ok(kind) if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files.sort();
    files
}

/// What one run of the binary gave, normalised.
#[derive(Debug)]
pub struct Run {
    /// The exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Run {
    /// It ended with this exit code: 0 done, 1 failed, 2 used wrongly.
    #[track_caller]
    pub fn code(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "exit code\n{self}");
        self
    }

    /// It did what it was asked.
    #[track_caller]
    pub fn succeeds(&self) -> &Self {
        self.code(0)
    }

    /// It refused, and its message has all of these words.
    #[track_caller]
    pub fn fails_with(&self, words: &[&str]) -> &Self {
        self.code(1);
        for words in words {
            assert!(self.stderr.contains(words), "standard error lacks {words:?}\n{self}");
        }
        assert!(!self.stderr.contains("panicked at"), "a panic is no message\n{self}");
        self
    }

    /// Standard error is the golden of this name.
    #[track_caller]
    pub fn stderr_is(&self, golden: &str) -> &Self {
        golden::compare(golden, &self.stderr);
        self
    }

    /// Standard output is the golden of this name.
    #[track_caller]
    pub fn stdout_is(&self, golden: &str) -> &Self {
        golden::compare(golden, &self.stdout);
        self
    }

    /// Standard output has these words.
    #[track_caller]
    pub fn says(&self, words: &str) -> &Self {
        assert!(self.stdout.contains(words), "standard output lacks {words:?}\n{self}");
        self
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, signal, stdout, stderr } = self;
        write!(f, "code {code:?}, signal {signal:?}\n── stdout ──\n{stdout}\n── stderr ──\n{stderr}")
    }
}
