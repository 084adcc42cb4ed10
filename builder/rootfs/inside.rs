//! A tree that packages and their scripts have filled: read and written without following a symbolic link of theirs.
//!
//! Whatever of it is opened by its whole path from outside could be a link to a file of this machine. Here every path is
//! looked up by openat2(2) with `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS`.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};

/// The root directory of a tree, held open.
#[derive(Debug)]
pub struct Inside {
    root: OwnedFd,
}

impl Inside {
    /// Opens the directory `root` itself, which is this machine's own.
    ///
    /// # Errors
    /// It is not there, or no directory.
    pub fn open(root: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { root: rustix::fs::open(root, flags, Mode::empty())? })
    }

    /// A handle of what is at `path` (relative), opened with `flags`.
    ///
    /// # Errors
    /// `ELOOP` (“too many levels of symbolic links”) where the path goes through a link; whatever else opening gives.
    pub fn handle(&self, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let mode = if flags.contains(OFlags::CREATE) { Mode::from_raw_mode(0o600) } else { Mode::empty() };
        let path = if path.is_empty() { "." } else { path };
        rustix::fs::openat2(&self.root, path, flags | OFlags::CLOEXEC, mode, resolve)
    }

    /// Whether there is something at `path`, no link on the way.
    pub fn has(&self, path: &str) -> bool {
        self.handle(path, OFlags::PATH).is_ok()
    }

    /// All of the regular file at `path`.
    ///
    /// # Errors
    /// As [`Inside::handle`]; reading.
    pub fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::from(self.handle(path, OFlags::RDONLY | OFlags::NONBLOCK)?).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// All of the text file at `path`; what is not UTF-8 in it is replaced.
    ///
    /// # Errors
    /// As [`Inside::read`].
    pub fn text(&self, path: &str) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&self.read(path)?).into_owned())
    }

    /// Replaces what is in the file at `path`, whose mode and owner it keeps.
    ///
    /// # Errors
    /// As [`Inside::handle`]; writing.
    pub fn rewrite(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        File::from(self.handle(path, OFlags::WRONLY | OFlags::TRUNC)?).write_all(bytes)
    }

    /// Makes the file at `path`, or replaces it, with exactly this mode.
    ///
    /// # Errors
    /// As [`Inside::handle`]; writing.
    pub fn write(&self, path: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
        let mut file = File::from(self.handle(path, OFlags::WRONLY | OFlags::TRUNC | OFlags::CREATE)?);
        file.write_all(bytes)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        Ok(())
    }

    /// Makes the directory `path` and its parents, 0755, where they are missing.
    ///
    /// # Errors
    /// As [`Inside::handle`]; a file is in the way.
    pub fn make_directories(&self, path: &str) -> io::Result<()> {
        let mut parent = self.handle("", OFlags::PATH | OFlags::DIRECTORY)?;
        let mut here = String::new();
        for name in path.split('/') {
            match rustix::fs::mkdirat(&parent, name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            here = if here.is_empty() { name.to_owned() } else { format!("{here}/{name}") };
            parent = self.handle(&here, OFlags::PATH | OFlags::DIRECTORY)?;
        }
        Ok(())
    }

    /// Removes the file or link at `path`.
    ///
    /// # Errors
    /// As [`Inside::handle`]; there is none.
    pub fn remove(&self, path: &str) -> io::Result<()> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = self.handle(parent, OFlags::PATH | OFlags::DIRECTORY)?;
        Ok(rustix::fs::unlinkat(parent, name, rustix::fs::AtFlags::empty())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_in_the_tree_leads_nowhere() {
        let machine = tempfile::tempdir().unwrap();
        std::fs::write(machine.path().join("passwd"), "the machine's").unwrap();
        let tree = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(machine.path(), tree.path().join("etc")).unwrap();
        let inside = Inside::open(tree.path()).unwrap();
        assert!(inside.read("etc/passwd").is_err());
        assert!(inside.write("etc/passwd", b"mine", 0o644).is_err());
        assert!(inside.write("etc/shadow", b"mine", 0o644).is_err());
        assert!(inside.make_directories("etc/x").is_err());
        assert_eq!(std::fs::read_to_string(machine.path().join("passwd")).unwrap(), "the machine's");
    }

    #[test]
    fn a_file_gets_the_mode_that_is_asked_for() {
        use std::os::unix::fs::PermissionsExt;
        let tree = tempfile::tempdir().unwrap();
        let inside = Inside::open(tree.path()).unwrap();
        inside.make_directories("a/b").unwrap();
        inside.write("a/b/c", b"x", 0o751).unwrap();
        assert_eq!(std::fs::metadata(tree.path().join("a/b/c")).unwrap().permissions().mode() & 0o7777, 0o751);
        assert_eq!(inside.text("a/b/c").unwrap(), "x");
        inside.remove("a/b/c").unwrap();
        assert!(!inside.has("a/b/c"));
    }
}
