use super::super::resolve::resolve;
use super::super::small_archive::{index, wish};
use super::*;

fn lock() -> Lock {
    let index = index("web 1:2.0~rc1-3; Depends: lib; Source: web-src (7)\nlib 1; Architecture: all");
    let digest = Digest::from_bytes([0xab; 32]);
    Lock {
        version: FORMAT,
        image: "api".to_owned(),
        arch: Arch::Amd64,
        epoch: Epoch(1_790_841_341),
        wish: digest,
        archives: vec![Archive {
            name: "trixie".to_owned(),
            suite: "trixie".to_owned(),
            inrelease: digest,
            signed_by: vec!["4CB50190207B4758A3F73A796ED0E7B82643E131".to_owned()],
            date: "2026-09-12T07:55:41Z".to_owned(),
            valid_until: None,
            indices: vec![IndexFile { path: "main/binary-amd64/Packages.xz".to_owned(), sha256: digest, size: 9 }],
        }],
        packages: Locked::of(&resolve(&wish("web"), &index).unwrap(), &index),
        gives: BTreeMap::from([("oci".to_owned(), digest)]),
    }
}

#[test]
fn a_lock_reads_like_this() {
    let text = lock().to_text().replace(&"ab".repeat(32), "ab…").replace(&"a7".repeat(32), "a7…");
    let expected = r#"
version = 1
image = "api"
arch = "amd64"
epoch = 1790841341
wish = "sha256:ab…"

[[archive]]
name = "trixie"
suite = "trixie"
inrelease = "sha256:ab…"
signed_by = ["4CB50190207B4758A3F73A796ED0E7B82643E131"]
date = "2026-09-12T07:55:41Z"

[[archive.index]]
path = "main/binary-amd64/Packages.xz"
sha256 = "sha256:ab…"
size = 9

[[package]]
name = "lib"
version = "1"
arch = "all"
source = "lib"
archive = "trixie"
path = "pool/lib_1.deb"
size = 7
sha256 = "sha256:a7…"
because = ["web Depends"]

[[package]]
name = "web"
version = "1:2.0~rc1-3"
arch = "amd64"
source = "web-src"
source_version = "7"
archive = "trixie"
path = "pool/web_1:2.0~rc1-3.deb"
size = 7
sha256 = "sha256:a7…"
because = ["recipe api"]

[gives]
oci = "sha256:ab…"
"#;
    assert_eq!(text, format!("{HEADER}{expected}"));
}

#[test]
fn what_is_written_is_read_back_the_same() {
    let mut lock = lock();
    lock.image = "a \"quoted\\\n name".to_owned();
    lock.archives[0].valid_until = Some("2026-09-19T07:55:41Z".to_owned());
    lock.packages[0].because = (100..140).map(|number| format!("package{number} Depends")).collect();
    lock.gives.insert("root fs".to_owned(), Digest::of(b"")); // a key that must be quoted
    assert_eq!(Lock::parse(&lock.to_text()).unwrap(), lock);
    assert!(lock.to_text().contains("\n    \"package100 Depends\",\n    \"package101 Depends\",\n"));
}

#[test]
fn the_text_does_not_depend_on_the_order_in_which_packages_were_entered() {
    let mut reversed = lock();
    reversed.packages.reverse();
    assert_eq!(reversed.to_text(), lock().to_text());
}

#[test]
fn the_next_resolution_keeps_the_locked_versions() {
    let kept: Vec<_> = lock().keep().into_iter().map(|(name, version)| format!("{name} {version}")).collect();
    assert_eq!(kept, ["lib 1", "web 1:2.0~rc1-3"]);
}

/// What [`Lock::load`] says of a lock in which `from` stands as `to`.
fn said_of(from: &str, to: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.lock");
    let text = lock().to_text();
    assert!(text.contains(from), "{from}");
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
    let said = Lock::load(&path).unwrap_err().to_string();
    said.replace(folder.path().to_str().unwrap(), "images")
}

#[test]
fn a_damaged_lock_is_a_sentence_with_the_line() {
    let what_to_do = "; restore it from version control, or remove it and run `goldsmith lock`";
    let damaged = |from, to| said_of(from, to).replace(what_to_do, " …");
    assert_eq!(
        damaged("epoch = 17", "epoch = x17"),
        "images/api.lock:7: the lock is damaged: string values must be quoted, expected literal string …"
    );
    assert!(damaged("size = 9", "size = \"9\"").starts_with("images/api.lock:20: the lock is damaged: invalid type"));
    assert!(damaged("image =", "imago =").starts_with("images/api.lock:5: the lock is damaged: unknown field `imago`"));
    assert!(damaged("sha256:a7", "sha256:x7").contains("is not a SHA-256 digest"));
    assert!(damaged("1:2.0~rc1-3", "x:2.0").starts_with("images/api.lock:"));
}

#[test]
fn a_lock_that_contradicts_itself_is_refused() {
    let wrong = |from, to| said_of(from, to);
    assert!(wrong("name = \"web\"", "name = \"lib\"").contains("package lib stands there twice"));
    assert!(
        wrong("archive = \"trixie\"", "archive = \"sid\"")
            .contains("package lib comes from archive sid, which isn't there")
    );
    assert!(wrong("pool/lib", "pool/../../lib").contains("the path of package lib leads out of its archive"));
    assert!(wrong("pool/lib", "/pool/lib").contains("the path of package lib leads out of its archive"));
    assert!(wrong("[\"recipe api\"]", "[]").contains("package web is there because of nothing"));
}

#[test]
fn a_lock_of_another_format_says_which_whatever_else_it_has() {
    assert_eq!(
        Lock::parse("version = 2\nnew = true\n").unwrap_err().to_string(),
        "the lock has format 2, and this Goldsmith reads format 1: use the Goldsmith that wrote it, or run `goldsmith lock` anew"
    );
    let missing = Lock::load(Path::new("images/none.lock")).unwrap_err().to_string();
    assert_eq!(missing, "there is no lock images/none.lock: run `goldsmith lock` to make it");
}

#[test]
fn a_lock_is_saved_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("images/api.lock");
    lock().save(&path).unwrap();
    lock().save(&path).unwrap(); // over an old one
    assert_eq!(Lock::load(&path).unwrap(), lock());
    assert_eq!(fs::read_dir(folder.path().join("images")).unwrap().count(), 1);
    fs::create_dir(folder.path().join("taken.lock")).unwrap();
    let said = lock().save(&folder.path().join("taken.lock")).unwrap_err().to_string();
    assert!(said.starts_with("cannot write the lock"), "{said}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}
