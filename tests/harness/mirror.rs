//! A mirror on loopback that serves an archive from memory, misbehaves where it is told to, and counts.
//!
//! HTTP/1.1 with `Range`, one thread a connection, one request a connection. It also answers as a proxy does: a request
//! for `http://anything/path` is served as `/path`, and written down as it came.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What goes wrong when a file is asked for.
#[derive(Clone, Debug)]
pub enum Fault {
    /// `404 Not Found`.
    NotFound,
    /// `503 Service Unavailable`.
    Unavailable,
    /// The connection closes after so many bytes of the body.
    CutAfter(usize),
    /// Nothing more comes after so many bytes of the body, and the connection stays open.
    StallAfter(usize),
    /// Other bytes, of the same length.
    WrongBytes,
    /// The whole file with `200 OK`, whatever range was asked for.
    NoRange,
    /// `302 Found`, to this path below the same root.
    Redirect(String),
    /// A kilobyte every so often.
    Slow(Duration),
    /// Zeros without end, and no `Content-Length`.
    Endless,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    /// What is not in `files` is looked for below this directory.
    directory: Option<PathBuf>,
    /// By path: what goes wrong, in this order, and how many times more.
    faults: BTreeMap<String, VecDeque<(Fault, usize)>>,
    requests: Vec<String>,
    connections: usize,
}

/// The running mirror. It stops answering when the value is dropped; its threads end with the process.
pub struct Mirror {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Mirror {
    /// Serves `files` (path below the root → bytes).
    pub fn serve(files: BTreeMap<String, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(Mutex::new(State { files, ..State::default() }));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || drop(answer(connection, &state)));
            }
        });
        Self { address, state }
    }

    /// Serves what lies below a directory.
    pub fn serve_directory(directory: &Path) -> Self {
        let mirror = Self::serve(BTreeMap::new());
        mirror.lock().directory = Some(directory.to_owned());
        mirror
    }

    /// `http://127.0.0.1:PORT/debian`: the archive's root.
    pub fn url(&self) -> String {
        format!("http://{}/debian", self.address)
    }

    /// `http://127.0.0.1:PORT`: for `http_proxy`.
    pub fn proxy_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Puts other files in the place of all that were there.
    pub fn replace(&self, files: BTreeMap<String, Vec<u8>>) {
        self.lock().files = files;
    }

    /// Changes the bytes of one file.
    pub fn change(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        change(self.lock().files.get_mut(path).unwrap_or_else(|| panic!("the archive has no {path}")));
    }

    /// So many requests for `path` meet this fault, after those that were ordered before it; then all is well again.
    pub fn fault(&self, path: &str, fault: Fault, times: usize) {
        let mut state = self.lock();
        assert!(state.files.contains_key(path), "the archive has no {path}");
        state.faults.entry(path.to_owned()).or_default().push_back((fault, times));
    }

    /// No more faults.
    pub fn mend(&self) {
        self.lock().faults.clear();
    }

    /// Every request so far: `GET /debian/…`, with ` bytes=100-` after it where a range was asked for.
    pub fn requests(&self) -> Vec<String> {
        self.lock().requests.clone()
    }

    /// How many requests so far were for a path that ends like this.
    pub fn count(&self, suffix: &str) -> usize {
        let path = |request: &String| request.split(' ').nth(1).is_some_and(|path| path.ends_with(suffix));
        self.lock().requests.iter().filter(|request| path(request)).count()
    }

    /// How many times anything connected, whether or not it asked for something.
    pub fn connections(&self) -> usize {
        self.lock().connections
    }

    /// Waits until a path that ends like this has been asked for.
    pub fn wait_for(&self, suffix: &str) {
        for _ in 0..1200 {
            if self.count(suffix) > 0 {
                return;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("nobody asked for {suffix} within 30 s; asked for: {:#?}", self.requests());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn answer(mut connection: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let state = || state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    state().connections += 1;
    let mut lines = BufReader::new(connection.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let mut range = None;
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("range")
        {
            range = Some(value.trim().to_owned());
        }
    }
    let target = request.split(' ').nth(1).unwrap_or_default().to_owned();
    // As a proxy: `GET http://host/debian/…`.
    let path =
        target.strip_prefix("http://").map_or(target.as_str(), |rest| &rest[rest.find('/').unwrap_or(rest.len())..]);
    let path = path.trim_start_matches("/debian-security/").trim_start_matches("/debian/").to_owned();
    let (bytes, fault) = {
        let mut state = state();
        let asked = range.as_ref().map_or_else(String::new, |range| format!(" {range}"));
        state.requests.push(format!("{}{asked}", request.trim_end_matches(" HTTP/1.1")));
        let faults = state.faults.entry(path.clone()).or_default();
        faults.retain(|(_, times)| *times > 0);
        let fault = faults.front_mut().map(|(fault, times)| {
            *times -= 1;
            fault.clone()
        });
        let below = state.directory.as_ref().map(|directory| directory.join(&path));
        (state.files.get(&path).cloned().or_else(|| std::fs::read(below?).ok()), fault)
    };
    let status = |line: &str| format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    let Some(mut bytes) = bytes else { return connection.write_all(status("404 Not Found").as_bytes()) };
    let start =
        range.as_deref().and_then(|range| range.strip_prefix("bytes=")?.trim_end_matches('-').parse::<usize>().ok());
    let start = start.filter(|_| !matches!(fault, Some(Fault::NoRange)));
    match &fault {
        Some(Fault::NotFound) => return connection.write_all(status("404 Not Found").as_bytes()),
        Some(Fault::Unavailable) => return connection.write_all(status("503 Service Unavailable").as_bytes()),
        Some(Fault::Redirect(path)) => {
            let line = format!("302 Found\r\nLocation: /debian/{path}");
            return connection.write_all(status(&line).as_bytes());
        }
        Some(Fault::Endless) => {
            connection.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            loop {
                connection.write_all(&[0; 1 << 16])?;
            }
        }
        Some(Fault::WrongBytes) => bytes.iter_mut().for_each(|byte| *byte ^= 0x55),
        _ => {}
    }
    let total = bytes.len();
    let etag = &super::sha256(&bytes)[..16];
    let head = match start {
        Some(start) if start >= total => return connection.write_all(status("416 Range Not Satisfiable").as_bytes()),
        Some(start) => format!("206 Partial Content\r\nContent-Range: bytes {start}-{}/{total}", total - 1),
        None => "200 OK".to_owned(),
    };
    let body = &bytes[start.unwrap_or(0)..];
    let head = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\nAccept-Ranges: bytes\r\n", body.len());
    connection.write_all(format!("{head}ETag: \"{etag}\"\r\nConnection: close\r\n\r\n").as_bytes())?;
    match fault {
        Some(Fault::CutAfter(length)) => connection.write_all(&body[..length.min(body.len())]),
        Some(Fault::StallAfter(length)) => {
            connection.write_all(&body[..length.min(body.len())])?;
            // Until the other side has had enough.
            connection.set_read_timeout(Some(Duration::from_secs(600)))?;
            connection.read(&mut [0]).map(drop)
        }
        Some(Fault::Slow(pause)) => {
            for chunk in body.chunks(1024) {
                connection.write_all(chunk)?;
                connection.flush()?;
                std::thread::sleep(pause);
            }
            Ok(())
        }
        _ => connection.write_all(body),
    }
}

// ── The instrument itself: a fault that does not happen would make every test of it pass. ───────────────────────────

fn ask(mirror: &Mirror, request: &str) -> String {
    let mut connection = TcpStream::connect(mirror.address).expect("loopback");
    connection.write_all(format!("{request}\r\n\r\n").as_bytes()).expect("loopback");
    let mut answer = Vec::new();
    let _ = connection.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn the_faulty_mirror_serves_ranges_and_counts_what_was_asked() {
    let mirror = Mirror::serve([("a".to_owned(), b"0123456789".to_vec())].into());
    assert!(ask(&mirror, "GET /debian/a HTTP/1.1").ends_with("\r\n\r\n0123456789"));
    let part = ask(&mirror, "GET /debian/a HTTP/1.1\r\nRange: bytes=7-");
    assert!(part.starts_with("HTTP/1.1 206") && part.ends_with("\r\n\r\n789"), "{part}");
    assert!(ask(&mirror, "GET /debian/b HTTP/1.1").starts_with("HTTP/1.1 404"));
    assert!(ask(&mirror, "GET http://elsewhere/debian/a HTTP/1.1").ends_with("0123456789"));
    assert_eq!(mirror.requests()[1], "GET /debian/a bytes=7-");
    assert_eq!((mirror.count("/a"), mirror.connections()), (3, 4));
}

#[test]
fn a_fault_happens_as_often_as_it_was_ordered() {
    let mirror = Mirror::serve([("a".to_owned(), b"0123456789".to_vec())].into());
    mirror.fault("a", Fault::CutAfter(4), 1);
    assert!(ask(&mirror, "GET /debian/a HTTP/1.1").ends_with("\r\n\r\n0123"));
    assert!(ask(&mirror, "GET /debian/a HTTP/1.1").ends_with("\r\n\r\n0123456789"));
    mirror.fault("a", Fault::WrongBytes, 1);
    assert!(!ask(&mirror, "GET /debian/a HTTP/1.1").ends_with("0123456789"));
    mirror.fault("a", Fault::Redirect("b".into()), 1);
    assert!(ask(&mirror, "GET /debian/a HTTP/1.1").contains("Location: /debian/b"));
    mirror.fault("a", Fault::NoRange, 1);
    assert!(ask(&mirror, "GET /debian/a HTTP/1.1\r\nRange: bytes=7-").starts_with("HTTP/1.1 200"));
}
