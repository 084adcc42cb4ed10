//! Fetching, from archives with the faults that real ones have.

mod indices;

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::server::{Reply, Server};
use super::*;
use crate::digest::Digest;
use crate::epoch::Epoch;
use crate::store::Blob;

/// A store, and a mirror that fills it.
struct Project {
    root: tempfile::TempDir,
    store: Store,
    options: Options,
}

impl Project {
    /// On a machine whose `--mirror` is `mirror`.
    fn new(mirror: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(root.path().join("store")).unwrap();
        let patience = Patience {
            connect: Duration::from_secs(5),
            stall: Duration::from_millis(400),
            pause: Duration::from_millis(5),
            retries: 2,
        };
        let options = Options {
            mirror: Some(mirror.to_owned()),
            snapshot: None,
            apt: root.path().to_owned(),
            proxies: Proxies::default(),
            patience,
            threads: 4,
        };
        Self { root, store, options }
    }

    fn mirror(&self) -> Mirror {
        Mirror::discover(&self.options, &self.store, &Progress::silent()).unwrap()
    }

    /// Fetches `file` and nothing else.
    fn fetch(&self, file: &[u8]) -> Result<Fetched, MirrorError> {
        self.mirror().fetch(&[download("pool/main/f/file_1.0_all.deb", file)])
    }

    fn has(&self, file: &[u8]) -> bool {
        self.store.read(Digest::of(file)).unwrap().as_deref() == Some(file)
    }

    /// Leaves `bytes` as what a killed process had fetched of `file`.
    fn leave(&self, file: &[u8], bytes: &[u8]) {
        fs::write(self.store.root().join("parts").join(Digest::of(file).hex()), bytes).unwrap();
    }
}

fn download(path: &str, file: &[u8]) -> Download {
    let name = path.rsplit('/').next().unwrap().trim_end_matches("_all.deb").replace('_', " ");
    let blob = Blob { digest: Digest::of(file), size: file.len() as u64 };
    Download { name, archive: "debian".to_owned(), path: path.to_owned(), at: None, blob }
}

/// Bytes that are nowhere the same.
fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i.wrapping_mul(2_654_435_761) >> 11) as u8).collect()
}

fn ranges(server: &Server) -> Vec<Option<String>> {
    server.asked().iter().map(|asked| asked.headers.get("range").cloned()).collect()
}

#[test]
fn files_are_fetched_once() {
    let server = Server::start(|asked| Reply::whole(asked.target.as_bytes()));
    let project = Project::new(&server.base());
    let paths: Vec<String> = (0..20).map(|i| format!("pool/main/f/file_{i}_all.deb")).collect();
    let files: Vec<Download> = paths.iter().map(|path| download(path, format!("/debian/{path}").as_bytes())).collect();
    let first = project.mirror().fetch(&files).unwrap();
    assert_eq!((first.files, first.present), (20, 0));
    let second = project.mirror().fetch(&files).unwrap();
    assert_eq!((second.files, second.present), (0, 20));
    assert_eq!(server.asked().len(), 20);
    let agent = &server.asked()[0].headers["user-agent"];
    assert_eq!(agent, concat!("goldsmith/", env!("CARGO_PKG_VERSION")));
    assert!(files.iter().all(|file| project.store.get(file.blob.digest).unwrap().is_some()));
}

#[test]
fn debians_file_names_survive_the_way_into_a_url() {
    let server = Server::start(|_| Reply::whole(b"x"));
    let project = Project::new(&server.base());
    project.mirror().fetch(&[download("pool/main/g/g++_4%3a14.2.0~rc1+b1_all.deb", b"x")]).unwrap();
    assert_eq!(server.asked()[0].target, "/debian/pool/main/g/g++_4%253a14.2.0~rc1+b1_all.deb");
}

#[test]
fn a_connection_that_breaks_goes_on_where_it_broke() {
    let file = bytes(900_000);
    let served = file.clone();
    let server = Server::start(move |asked| {
        let reply = Reply::ranged(asked, &served).header("ETag: \"one\"");
        if asked.before < 2 { reply.cut(300_000) } else { reply }
    });
    let project = Project::new(&server.base());
    project.fetch(&file).unwrap();
    assert!(project.has(&file));
    let asked = ranges(&server);
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert_eq!(asked[0], None);
    let from = |range: &Option<String>| range.as_deref()?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok();
    let (second, third): (u64, u64) = (from(&asked[1]).unwrap(), from(&asked[2]).unwrap());
    assert!(0 < second && second <= 300_000 && second < third && third <= 600_000, "{asked:?}");
    assert_eq!(server.asked()[1].headers.get("if-range").map(String::as_str), Some("\"one\""));
}

#[test]
fn a_download_of_a_killed_process_goes_on() {
    let file = bytes(50_000);
    let served = file.clone();
    let server = Server::start(move |asked| Reply::ranged(asked, &served));
    let project = Project::new(&server.base());
    project.leave(&file, &file[..20_000]);
    project.fetch(&file).unwrap();
    assert!(project.has(&file));
    assert_eq!(ranges(&server), [Some("bytes=20000-".to_owned())]);
}

#[test]
fn a_download_that_was_killed_at_its_very_end_asks_for_nothing() {
    let server = Server::start(|_| Reply::status(500));
    let file = bytes(50_000);
    let project = Project::new(&server.base());
    project.leave(&file, &file);
    project.fetch(&file).unwrap();
    assert!(project.has(&file));
    assert_eq!(server.asked().len(), 0);
}

#[test]
fn a_process_killed_while_it_fetches_leaves_what_it_had() {
    let file = bytes(900_000);
    let served = file.clone();
    let server = Server::start(move |asked| {
        let reply = Reply::ranged(asked, &served);
        if asked.before == 0 { reply.cut(600_000).hang(Duration::from_secs(60)) } else { reply }
    });
    let project = Project::new(&server.base());
    let part = project.store.root().join("parts").join(Digest::of(&file).hex());
    let mut other = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "mirror::tests::fetch_until_killed", "--ignored"])
        .envs([
            ("GOLDSMITH_TEST_ROOT", project.store.root().as_os_str()),
            ("GOLDSMITH_TEST_MIRROR", server.base().as_ref()),
        ])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    for _ in 0..2000 {
        if fs::metadata(&part).is_ok_and(|part| part.len() >= 500_000) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    other.kill().unwrap();
    other.wait().unwrap();
    let left = fs::metadata(&part).unwrap().len();
    project.fetch(&file).unwrap();
    assert!(project.has(&file));
    assert_eq!(ranges(&server), [None, Some(format!("bytes={left}-"))]);
    assert!(left >= 500_000, "{left}");
}

#[test]
#[ignore = "the other process of the test above"]
fn fetch_until_killed() {
    let variable = |name| std::env::var(name).expect("only run by another test");
    let mut project = Project::new(&variable("GOLDSMITH_TEST_MIRROR"));
    project.store = Store::open(variable("GOLDSMITH_TEST_ROOT")).unwrap();
    project.options.patience.stall = Duration::from_secs(60);
    project.fetch(&bytes(900_000)).unwrap();
}

#[test]
fn a_beginning_that_turns_out_wrong_is_fetched_again_from_zero() {
    let file = bytes(50_000);
    let served = file.clone();
    let server = Server::start(move |asked| Reply::ranged(asked, &served));
    let project = Project::new(&server.base());
    project.leave(&file, &bytes(60_000)[10_000..30_000]);
    project.fetch(&file).unwrap();
    assert!(project.has(&file));
    assert_eq!(ranges(&server), [Some("bytes=20000-".to_owned()), None]);
}

#[test]
fn a_server_that_knows_no_ranges_starts_again() {
    let file = bytes(50_000);
    let served = file.clone();
    let server = Server::start(move |_| Reply::whole(&served));
    let project = Project::new(&server.base());
    project.leave(&file, &file[..20_000]);
    project.fetch(&file).unwrap();
    assert!(project.has(&file));
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn a_server_that_refuses_the_range_is_asked_for_all() {
    let file = bytes(50_000);
    let served = file.clone();
    let server = Server::start(move |asked| match asked.headers.contains_key("range") {
        true => Reply::status(416),
        false => Reply::whole(&served),
    });
    let project = Project::new(&server.base());
    project.leave(&file, &file[..20_000]);
    project.fetch(&file).unwrap();
    assert!(project.has(&file));
}

#[test]
fn other_bytes_are_refused_and_leave_nothing() {
    let server = Server::start(|_| Reply::whole(b"evil"));
    let project = Project::new(&server.base());
    let error = project.fetch(b"good").unwrap_err().to_string();
    assert!(error.starts_with("cannot fetch file 1.0: http://127.0.0.1:"), "{error}");
    assert!(error.contains("has other bytes there than it should"), "{error}");
    assert!(!project.store.contains(Digest::of(b"evil")) && !project.store.contains(Digest::of(b"good")));
    assert_eq!(fs::metadata(project.store.root().join("parts").join(Digest::of(b"good").hex())).unwrap().len(), 0);
}

#[test]
fn other_bytes_from_a_cache_on_the_way_are_asked_for_again_past_it() {
    let server = Server::start(|asked| match asked.headers.get("cache-control").map(String::as_str) {
        Some("no-cache") => Reply::whole(b"good"),
        _ => Reply::whole(b"evil"),
    });
    let project = Project::new(&server.base());
    project.fetch(b"good").unwrap();
    assert!(project.has(b"good"));
}

#[test]
fn more_bytes_than_promised_are_not_taken() {
    let server = Server::start(|_| Reply::whole(b"good and more"));
    let error = Project::new(&server.base()).fetch(b"good").unwrap_err().to_string();
    assert!(error.contains("is 13 bytes there, not 4"), "{error}");
    let server = Server::start(|_| Reply::whole(b"good and more").chunked());
    let error = Project::new(&server.base()).fetch(b"good").unwrap_err().to_string();
    assert!(error.contains("is larger there than the 4 bytes that it may be"), "{error}");
}

#[test]
fn fewer_bytes_than_promised_are_told() {
    let server = Server::start(|_| Reply::whole(b"good").cut(2));
    let error = Project::new(&server.base()).fetch(b"good").unwrap_err().to_string();
    assert!(error.contains("the connection was closed after "), "{error}");
    let server = Server::start(|_| Reply::whole(b"go").chunked());
    let error = Project::new(&server.base()).fetch(b"good").unwrap_err().to_string();
    assert!(error.contains("the connection was closed after 2 of 4 bytes"), "{error}");
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for_for_ever() {
    let server = Server::start(|_| Reply::whole(b"good").pause(Duration::from_secs(20)));
    let error = Project::new(&server.base()).fetch(b"good").unwrap_err().to_string();
    assert!(error.contains("timed out while nothing came"), "{error}");
}

#[test]
fn a_busy_server_is_asked_again() {
    let server = Server::start(|asked| match asked.before {
        0 => Reply::status(503),
        1 => Reply::status(429),
        _ => Reply::whole(b"good"),
    });
    let project = Project::new(&server.base());
    project.fetch(b"good").unwrap();
    assert_eq!(server.asked().len(), 3);
    let server = Server::start(|_| Reply::status(403));
    let error = Project::new(&server.base()).fetch(b"good").unwrap_err().to_string();
    assert!(error.contains("was refused (HTTP status 403)"), "{error}");
    assert_eq!(server.asked().len(), 1, "a refusal is not a moment's");
}

#[test]
fn a_package_that_is_gone_says_what_to_do() {
    let server = Server::start(|_| Reply::status(404));
    let error = Project::new(&server.base()).fetch(b"good").unwrap_err().to_string();
    let url = format!("{}/pool/main/f/file_1.0_all.deb", server.base());
    let wanted = format!(
        "cannot fetch file 1.0: {url} is not there (HTTP status 404); the archive has moved on: `goldsmith update` "
    );
    assert!(error.starts_with(&wanted), "{error}");
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn what_the_archive_has_replaced_comes_from_the_snapshot_archive_and_is_verified_all_the_same() {
    let at = Some(Epoch(1_789_199_741)); // 2026-09-12T07:55:41Z
    let download = Download { at, ..download("pool/main/f/file_1.0_all.deb", b"good") };
    let server = |old: &'static [u8]| {
        Server::start(move |asked| match asked.target.as_str() {
            "/archive/debian/20260912T135541Z/pool/main/f/file_1.0_all.deb" => Reply::whole(old),
            _ => Reply::status(404),
        })
    };
    let fetched = |server: &Server, is_there: bool| {
        let mut project = Project::new(&server.base());
        let root = server.base().trim_end_matches("/debian").to_owned();
        project.options.snapshot = is_there.then_some(root);
        project.mirror().fetch(std::slice::from_ref(&download)).map(|_| project.has(b"good"))
    };
    let there = server(b"good");
    assert!(fetched(&there, true).unwrap());
    let asked: Vec<String> = there.asked().into_iter().map(|asked| asked.target).collect();
    assert_eq!(asked[0], "/debian/pool/main/f/file_1.0_all.deb");
    assert_eq!(asked[1], "/archive/debian/20260913T075541Z/pool/main/f/file_1.0_all.deb");
    assert!(fetched(&there, false).unwrap_err().to_string().contains("the archive has moved on"));
    let error = fetched(&server(b"evil"), true).unwrap_err().to_string();
    assert!(error.contains("20260912T135541Z/pool/main/f/file_1.0_all.deb has other bytes there"), "{error}");
    assert!(error.contains("`goldsmith update` takes what it has now"), "{error}");
}

#[test]
fn what_one_mirror_has_not_another_may_have() {
    let empty = Server::start(|_| Reply::status(404));
    let full = Server::start(|_| Reply::whole(b"good"));
    let mut project = Project::new("");
    project.options.mirror = None;
    let list = format!("deb {} trixie main\ndeb {} trixie main\n", empty.base(), full.base());
    fs::write(project.root.path().join("sources.list"), list).unwrap();
    project.fetch(b"good").unwrap();
    assert!(project.has(b"good"));
    assert_eq!((empty.asked().len(), full.asked().len()), (1, 1));
}

#[test]
fn all_that_is_missing_is_told_and_the_rest_is_kept() {
    let server = Server::start(|asked| match asked.target.contains("gone") {
        true => Reply::status(404),
        false => Reply::whole(b"here"),
    });
    let project = Project::new(&server.base());
    let files = [
        download("pool/gone_2_all.deb", b"2"),
        download("pool/here_1_all.deb", b"here"),
        download("pool/gone_1_all.deb", b"1"),
    ];
    let error = project.mirror().fetch(&files).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("2 of 3 files could not be fetched (the others are in the store):\n  cannot fetch gone 1: "),
        "{text}"
    );
    assert!(text.contains("\n  cannot fetch gone 2: "), "{text}");
    assert!(project.has(b"here"));
}

#[test]
fn a_host_that_is_not_reached_is_not_asked_again() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let project = Project::new(&format!("http://{closed}/debian"));
    let mirror = project.mirror();
    let error = mirror.fetch(&[download("pool/a_1_all.deb", b"a")]).unwrap_err().to_string();
    assert!(error.contains("no connection: ") && error.contains("refused"), "{error}");
    assert!(error.ends_with("; check the network and http_proxy, or name another mirror with --mirror"), "{error}");
    assert_eq!(mirror.reachable_first(vec![format!("http://{closed}/debian"), "http://b".into()]), ["http://b"]);
}

#[test]
fn a_host_that_has_no_address_is_told_as_such() {
    let error = Project::new("http://no-such-host.invalid/debian").fetch(b"good").unwrap_err().to_string();
    assert!(error.contains("the name of the host can't be resolved"), "{error}");
}

#[test]
fn a_redirect_is_followed_but_not_for_ever() {
    let server = Server::start(|asked| match asked.target.starts_with("/moved") {
        true => Reply::whole(b"good"),
        false => Reply::status(302).header("Location: /moved"),
    });
    let project = Project::new(&server.base());
    project.fetch(b"good").unwrap();
    assert!(project.has(b"good"));
    let server = Server::start(|_| Reply::status(302).header("Location: /again"));
    let error = Project::new(&server.base()).fetch(b"good").unwrap_err().to_string();
    assert!(error.contains("it leads elsewhere more than 5 times"), "{error}");
}

#[test]
fn a_proxy_is_asked_for_the_whole_url() {
    let proxy = Server::start(|_| Reply::whole(b"good"));
    let mut project = Project::new("http://mirror.example/debian");
    let with_user = proxy.origin().replace("http://", "http://ann:secret@");
    project.options.proxies = Proxies { http: Some(with_user), https: None, except: "localhost".into() };
    // (The mirror's name has no address here: the proxy alone has to know it.)
    project.fetch(b"good").unwrap();
    let asked = &proxy.asked()[0];
    assert_eq!(asked.target, "http://mirror.example/debian/pool/main/f/file_1.0_all.deb");
    assert_eq!(asked.headers["host"], "mirror.example");
    assert_eq!(asked.headers["proxy-authorization"], "Basic YW5uOnNlY3JldA==");
}

#[test]
fn a_proxy_is_not_asked_for_what_no_proxy_names() {
    let server = Server::start(|_| Reply::whole(b"good"));
    let mut project = Project::new(&server.base());
    project.options.proxies =
        Proxies { http: Some("http://127.0.0.1:1".into()), https: None, except: "127.0.0.1".into() };
    project.fetch(b"good").unwrap();
}

#[test]
fn a_proxy_that_is_not_reached_is_named_without_its_password() {
    let mut project = Project::new("http://mirror.example/debian");
    project.options.proxies.http = Some("http://ann:secret@127.0.0.1:1".into());
    let error = project.fetch(b"good").unwrap_err().to_string();
    assert!(error.contains("fails at the proxy: http://…@127.0.0.1:1: no connection: "), "{error}");
}

#[test]
fn a_proxy_of_another_kind_is_refused() {
    let mut project = Project::new("http://mirror.example/debian");
    project.options.proxies.http = Some("socks5://127.0.0.1:1".into());
    let error = project.fetch(b"good").unwrap_err().to_string();
    assert!(error.contains("fails at the proxy: SOCKS5 is not spoken here"), "{error}");
}

#[test]
fn an_https_mirror_is_reached_through_a_tunnel() {
    let proxy = Server::start(|_| Reply::status(403));
    let mut project = Project::new("https://mirror.example/debian");
    project.options.proxies.https = Some(proxy.origin());
    let error = project.fetch(b"good").unwrap_err().to_string();
    assert!(error.contains("fails at the proxy: proxy server responded 403"), "{error}");
    assert_eq!(proxy.asked()[0].target, "mirror.example:443");
}

#[test]
fn a_directory_is_a_mirror() {
    let project = Project::new("");
    let archive = project.root.path().join("archive");
    fs::create_dir_all(archive.join("pool/main/f")).unwrap();
    fs::write(archive.join("pool/main/f/file_1.0_all.deb"), b"good").unwrap();
    let project = Project {
        options: Options { mirror: Some(format!("file:{}", archive.display())), ..project.options },
        ..project
    };
    project.fetch(b"good").unwrap();
    assert!(project.has(b"good"));
    let error = project.mirror().fetch(&[download("pool/gone_1_all.deb", b"1")]).unwrap_err().to_string();
    assert!(error.contains("/pool/gone_1_all.deb is not there; the archive has moved on"), "{error}");
}

#[test]
fn a_password_in_a_mirrors_url_is_not_shown() {
    assert_eq!(shown("https://ann:secret@m.example/debian/x"), "https://…@m.example/debian/x");
    assert_eq!(shown("http://m.example/a@b"), "http://m.example/a@b");
}
