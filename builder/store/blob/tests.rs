//! What may happen to a blob: damage, races, a full disk, `kill -9`.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::*;
use crate::progress::{Progress, Verbosity};

fn store() -> (tempfile::TempDir, Store) {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path()).unwrap();
    (root, store)
}

/// How many files are under way.
fn unfinished(store: &Store) -> usize {
    let benches = fs::read_dir(store.root().join("scratch")).unwrap();
    benches.map(|bench| fs::read_dir(bench.unwrap().path()).unwrap().count()).sum()
}

/// This test program again, as another process that runs only the (ignored) test `name`.
fn another_process(name: &str, root: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("store::blob::tests::{name}"), "--ignored", "--nocapture"]);
    command.env("GOLDSMITH_TEST_ROOT", root).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn root_of_another_process() -> PathBuf {
    std::env::var_os("GOLDSMITH_TEST_ROOT").expect("only run by another test").into()
}

#[test]
fn what_was_put_is_found_read_only_by_its_digest() {
    let (_root, store) = store();
    let blob = store.put(b"bytes").unwrap();
    assert_eq!(blob, Blob { digest: Digest::of(b"bytes"), size: 5 });
    assert!(store.contains(blob.digest) && store.holds(blob));
    assert_eq!(store.read(blob.digest).unwrap().as_deref(), Some(&b"bytes"[..]));
    assert_eq!(fs::metadata(store.path(blob.digest)).unwrap().mode() & 0o7777, 0o444);
    assert_eq!(unfinished(&store), 0);
}

/// A temporary's number is never given twice: who drops one that was renamed long ago must not take another's away.
#[test]
fn a_writer_that_ends_late_does_not_take_away_what_another_writes_meanwhile() {
    let (_root, store) = store();
    let first = store.write_temporary(b"first").unwrap();
    fs::rename(first.path(), store.root().join("renamed")).unwrap();
    let second = store.write_temporary(b"second").unwrap();
    drop(first);
    assert_eq!(fs::read(second.path()).unwrap(), b"second");
}

#[test]
fn threads_that_put_different_blobs_at_once_lose_none() {
    let (_root, store) = store();
    let put = |thread: u32| {
        let bytes = |round: u32| format!("{thread} {round}").into_bytes();
        let blobs: Vec<_> = (0..200).map(|round| store.put(&bytes(round)).unwrap()).collect();
        blobs.iter().zip(0..).all(|(blob, round)| store.read(blob.digest).unwrap() == Some(bytes(round)))
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|thread| scope.spawn(move || put(thread))).collect();
        assert!(threads.into_iter().all(|thread| thread.join().unwrap()));
    });
    assert_eq!(unfinished(&store), 0);
}

#[test]
fn what_was_never_put_is_absent() {
    let (_root, store) = store();
    assert!(store.get(Digest::of(b"nothing")).unwrap().is_none());
}

#[test]
fn other_bytes_than_promised_are_refused_and_leave_nothing() {
    let (_root, store) = store();
    let promised = Blob { digest: Digest::of(b"good"), size: 4 };
    let error = store.put_reader(&b"evil"[..], promised).unwrap_err();
    assert!(matches!(error, StoreError::Mismatch { .. }), "{error}");
    assert!(error.to_string().contains(&Digest::of(b"evil").to_string()), "{error}");
    let error = store.put_reader(&b"good and more"[..], promised).unwrap_err();
    assert_eq!(error.to_string(), "more came than the 4 bytes that were promised");
    assert!(matches!(store.put_reader(&b"go"[..], promised), Err(StoreError::Mismatch { .. })));
    assert!(!store.contains(promised.digest));
    assert_eq!(unfinished(&store), 0);
}

#[test]
fn a_damaged_blob_is_reported_removed_and_can_be_put_again() {
    let root = tempfile::tempdir().unwrap();
    let log = tempfile::NamedTempFile::new().unwrap();
    let progress = Progress::lines(log.reopen().unwrap(), Verbosity::Normal);
    let store = Store::open(root.path()).unwrap().reporting(&progress);
    let blob = store.put(b"whole").unwrap();
    let path = store.path(blob.digest);
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    fs::write(&path, b"whOle").unwrap();
    assert!(store.get(blob.digest).unwrap().is_none(), "damaged bytes were handed out");
    assert!(!path.exists());
    let said = fs::read_to_string(log.path()).unwrap();
    assert!(said.contains("was damaged") && said.contains(&blob.digest.to_string()), "{said}");
    store.put(b"whole").unwrap();
    assert!(store.get(blob.digest).unwrap().is_some());
}

#[test]
fn putting_over_a_damaged_blob_mends_it() {
    let (_root, store) = store();
    let path = store.path(Digest::of(b"whole"));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, b"").unwrap();
    store.put(b"whole").unwrap();
    assert_eq!(store.read(Digest::of(b"whole")).unwrap().as_deref(), Some(&b"whole"[..]));
}

#[test]
fn a_second_get_does_not_hash_again_unless_the_file_changed() {
    let (root, first) = store();
    let blob = first.put(b"bytes").unwrap();
    // Another store of the same directory has verified nothing yet.
    let store = Store::open(root.path()).unwrap();
    assert!(store.verified().is_empty());
    store.get(blob.digest).unwrap().unwrap();
    store.get(blob.digest).unwrap().unwrap();
    assert_eq!(store.verified().len(), 1);
    // Touched: not believed any more, hashed, and remembered as it is now.
    fs::set_permissions(store.path(blob.digest), Permissions::from_mode(0o400)).unwrap();
    store.get(blob.digest).unwrap().unwrap();
    assert_eq!(store.verified().len(), 2);
}

#[test]
fn threads_that_put_the_same_blob_all_succeed() {
    let (root, _) = store();
    let bytes = vec![7; 100_000];
    std::thread::scope(|threads| {
        for _ in 0..8 {
            threads.spawn(|| {
                let store = Store::open(root.path()).unwrap();
                for _ in 0..10 {
                    let blob = store.put(&bytes).unwrap();
                    assert!(store.get(blob.digest).unwrap().is_some());
                }
            });
        }
    });
    let store = Store::open(root.path()).unwrap();
    assert!(store.get(Digest::of(&bytes)).unwrap().is_some());
    assert_eq!(fs::read_dir(root.path().join("scratch")).unwrap().count(), 0);
}

#[test]
fn processes_killed_while_they_put_leave_nothing_half_written() {
    let root = tempfile::tempdir().unwrap();
    for pause in [0, 3, 9, 27] {
        let mut children: Vec<_> =
            (0..2).map(|_| another_process("put_until_killed", root.path()).spawn().unwrap()).collect();
        for child in &mut children {
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            assert!(lines.any(|line| line.unwrap().contains("putting")), "the other process never started");
        }
        std::thread::sleep(std::time::Duration::from_millis(pause));
        for mut child in children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let store = Store::open(root.path()).unwrap();
        assert_eq!(
            fs::read_dir(root.path().join("scratch")).unwrap().count(),
            0,
            "a dead process's files were not swept"
        );
        for number in 0..4_u8 {
            let bytes = vec![number; 3_000_000];
            let there = store.contains(Digest::of(&bytes));
            assert_eq!(
                store.get(Digest::of(&bytes)).unwrap().is_some(),
                there,
                "blob {number} is there, but not whole"
            );
        }
    }
}

#[test]
#[ignore = "the other process of the test above"]
fn put_until_killed() {
    let root = root_of_another_process();
    let store = Store::open(&root).unwrap();
    println!("putting");
    for number in (0..4_u8).cycle() {
        store.put(&vec![number; 3_000_000]).unwrap();
        let _ = fs::remove_file(store.path(Digest::of(&vec![number; 3_000_000])));
    }
}

#[test]
fn a_full_disk_is_reported_with_the_path_and_the_size_and_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let inner = another_process("fill_the_disk", root.path());
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
    command.arg(r#"mount -t tmpfs -o size=1m none "$GOLDSMITH_TEST_ROOT" || exit 77; exec "$0" "$@""#);
    command.arg(inner.get_program()).args(inner.get_args());
    command.env("GOLDSMITH_TEST_ROOT", root.path());
    match command.output() {
        Ok(output) if output.status.success() => {
            assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
        }
        Ok(output) if matches!(output.status.code(), Some(1 | 77)) && !output.stderr.is_empty() => {
            eprintln!("skipped: no small file system can be mounted here: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stdout)),
        Err(error) => eprintln!("skipped: no small file system can be mounted here: {error}"),
    }
}

#[test]
#[ignore = "the other process of the test above, on a file system of 1 MB"]
fn fill_the_disk() {
    let store = Store::open(root_of_another_process()).unwrap();
    let error = store.put(&vec![1; 5_000_000]).unwrap_err();
    assert!(error.is_full(), "{error}");
    let text = error.to_string();
    assert!(text.starts_with("the disk is full: no room for 5.0 MB at ") && text.contains("scratch"), "{text}");
    assert_eq!(unfinished(&store), 0);
    store.put(&vec![1; 500_000]).unwrap();
    let error = store.set_record("build", Digest::of(b"key"), &vec![2; 900_000]).unwrap_err();
    assert!(error.is_full(), "{error}");
    assert_eq!(unfinished(&store), 0);
}
