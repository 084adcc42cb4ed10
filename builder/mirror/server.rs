//! A small archive on the loopback, with the faults that real ones have. For tests only.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// What stands after `GET`.
    pub target: String,
    /// By lower-case name.
    pub headers: BTreeMap<String, String>,
    /// How many asked for the same target before.
    pub before: usize,
}

/// An answer, with its fault.
#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
    status: u16,
    headers: String,
    body: Vec<u8>,
    /// Close after so many bytes of the body.
    cut: Option<usize>,
    /// Say nothing for so long before the body.
    pause: Duration,
    /// Say nothing for so long after it, with the connection open.
    hang: Duration,
    chunked: bool,
}

impl Reply {
    /// Nothing but a status.
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// All of `bytes`.
    pub fn whole(bytes: &[u8]) -> Self {
        Self { status: 200, body: bytes.to_vec(), ..Self::default() }
    }

    /// The part of `bytes` that was asked for.
    pub fn ranged(asked: &Asked, bytes: &[u8]) -> Self {
        let range = asked.headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-'));
        match range.and_then(|from| from.parse::<usize>().ok()) {
            None => Self::whole(bytes),
            Some(from) if from >= bytes.len() => Self::status(416),
            Some(from) => {
                let reply = Self { status: 206, body: bytes[from..].to_vec(), ..Self::default() };
                reply.header(&format!("Content-Range: bytes {from}-{}/{}", bytes.len() - 1, bytes.len()))
            }
        }
    }

    pub fn header(mut self, line: &str) -> Self {
        self.headers += &format!("{line}\r\n");
        self
    }

    pub fn cut(mut self, after: usize) -> Self {
        self.cut = Some(after);
        self
    }

    pub fn pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    pub fn hang(mut self, hang: Duration) -> Self {
        self.hang = hang;
        self
    }

    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    fn send(self, stream: &mut TcpStream) -> std::io::Result<()> {
        let Self { status, headers, body, cut, pause, hang, chunked } = self;
        let length =
            if chunked { "Transfer-Encoding: chunked".into() } else { format!("Content-Length: {}", body.len()) };
        write!(stream, "HTTP/1.1 {status} Status\r\n{headers}{length}\r\nConnection: close\r\n\r\n")?;
        std::thread::sleep(pause);
        let sent = &body[..cut.unwrap_or(body.len()).min(body.len())];
        if chunked {
            write!(stream, "{:x}\r\n", sent.len())?;
        }
        stream.write_all(sent)?;
        std::thread::sleep(hang);
        if chunked { write!(stream, "\r\n0\r\n\r\n") } else { Ok(()) }
    }
}

/// Listens until the test ends.
pub(super) struct Server {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Answers each request as `answer` says.
    pub fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self { address: listener.local_addr().unwrap(), asked: Arc::default() };
        let (asked, answer) = (Arc::clone(&server.asked), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (asked, answer) = (Arc::clone(&asked), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &asked, &*answer));
            }
        });
        server
    }

    /// `http://127.0.0.1:PORT/debian`.
    pub fn base(&self) -> String {
        format!("http://{}/debian", self.address)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What was asked for so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(mut stream: TcpStream, log: &Mutex<Vec<Asked>>, answer: &dyn Fn(&Asked) -> Reply) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let headers = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            line.split_once(':').map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        })
        .collect();
    let target = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let asked = {
        let mut log = log.lock().unwrap();
        let before = log.iter().filter(|earlier| earlier.target == target).count();
        log.push(Asked { target, headers, before });
        log[log.len() - 1].clone()
    };
    // Who asked may have gone already: that is some tests' point.
    let _ = answer(&asked).send(&mut stream);
}
