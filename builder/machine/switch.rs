//! An Ethernet switch between machines on one computer, without a right or a device of the kernel.
//!
//! ```text
//! QEMU -netdev stream ─┐                              ┌─ QEMU -netdev stream
//!                      ├─▶ NAME.socket ◀─ [`Switch`] ─┤   frames, each after its length (32 bit, big-endian)
//! QEMU -netdev stream ─┘        ▲                     └─ …
//!                               └─ NAME.lock: whoever holds it is the switch
//! ```
//!
//! Every process that starts a machine offers itself; the one that holds the lock serves. When it ends, the lock goes to
//! another, which binds the socket anew, and the machines connect again by themselves (`reconnect-ms`). A frame goes to the
//! port behind which its destination was last seen, else to all others, as in any bridge (IEEE 802.1D §7.7).
//!
//! Source for the stream's format: QEMU's manual page, `-netdev stream`, and its `net/stream.c`.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// The longest frame that QEMU passes on: `NET_BUFSIZE`, 4096 + 65536 bytes.
const LONGEST: usize = 4096 + 65536;

/// So many frames wait for a machine that is slow to take them, or has not started its driver yet; more are lost, as in any
/// switch, so that they do not keep the others waiting.
const WAITING: usize = 512;

/// How often a process that is not the switch asks whether it is to be.
const INTERVAL: Duration = Duration::from_millis(200);

/// A hardware address.
type Mac = [u8; 6];

/// A network of machines, by the name that they share.
#[derive(Clone, Debug)]
pub struct Switch {
    directory: PathBuf,
    name: String,
}

impl Switch {
    /// The switch `name` among those of `directory`. Nothing is started.
    pub fn new(directory: &Path, name: &str) -> Self {
        Self { directory: directory.to_owned(), name: name.to_owned() }
    }

    /// The directory that all who are to meet have in common.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where in it machines connect.
    pub fn socket_name(&self) -> String {
        format!("{}.socket", self.name)
    }

    fn socket(&self) -> PathBuf {
        self.directory.join(self.socket_name())
    }

    /// Offers this process as the switch, in a thread of its own for as long as the process lives, and returns once somebody
    /// serves.
    ///
    /// # Errors
    /// The directory cannot be written to, or the name is longer than that of a socket may be (108 bytes, unix(7)).
    pub fn serve(&self) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let lock = File::create(self.directory.join(format!("{}.lock", self.name)))?;
        match lock.try_lock() {
            Ok(()) => {
                let listener = self.bind()?;
                thread::spawn(move || serve(&listener, &lock));
            }
            Err(TryLockError::Error(cause)) => return Err(cause),
            Err(TryLockError::WouldBlock) => {
                let switch = self.clone();
                thread::spawn(move || switch.inherit(&lock));
            }
        }
        Ok(())
    }

    /// A port of it, for somebody who is no machine: frames come and go as in QEMU's streams.
    ///
    /// # Errors
    /// Nobody serves.
    pub fn plug(&self) -> io::Result<UnixStream> {
        UnixStream::connect(self.socket())
    }

    /// Waits for the lock; then there is no other switch any more.
    fn inherit(&self, lock: &File) {
        loop {
            match lock.try_lock() {
                // A socket that cannot be bound now (a full disk) may be later.
                Ok(()) => match self.bind() {
                    Ok(listener) => return serve(&listener, lock),
                    Err(_) => thread::sleep(INTERVAL),
                },
                Err(_) => thread::sleep(INTERVAL),
            }
        }
    }

    fn bind(&self) -> io::Result<UnixListener> {
        let socket = self.socket();
        match fs::remove_file(&socket) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
            _ => UnixListener::bind(socket),
        }
    }
}

/// Who is connected, and who was seen where.
#[derive(Debug, Default)]
struct Ports {
    next: u32,
    open: BTreeMap<u32, SyncSender<Arc<[u8]>>>,
    seen: BTreeMap<Mac, u32>,
}

impl Ports {
    fn add(&mut self, stream: UnixStream) -> u32 {
        let (sender, waiting) = sync_channel::<Arc<[u8]>>(WAITING);
        thread::spawn(move || {
            let mut stream = stream;
            // It ends when the port is removed, or the machine has gone.
            while let Ok(frame) = waiting.recv()
                && stream.write_all(&frame).is_ok()
            {}
        });
        self.next += 1;
        self.open.insert(self.next, sender);
        self.next
    }

    fn remove(&mut self, port: u32) {
        self.open.remove(&port);
        self.seen.retain(|_, at| *at != port);
    }

    /// Passes on what came in at `from`; disconnects whoever does not take it.
    fn pass(&mut self, frame: &[u8], from: u32) {
        let (Some(to), Some(source)) = (mac(frame, 0), mac(frame, 6)) else { return };
        self.seen.insert(source, from);
        let only = self.seen.get(&to).copied().filter(|_| !is_group(to));
        let whole: Arc<[u8]> = framed(frame).into();
        let mut gone = Vec::new();
        for (&port, waiting) in &self.open {
            let meant = port != from && only.is_none_or(|only| only == port);
            if meant && let Err(TrySendError::Disconnected(_)) = waiting.try_send(Arc::clone(&whole)) {
                gone.push(port);
            }
        }
        gone.into_iter().for_each(|port| self.remove(port));
    }
}

fn mac(frame: &[u8], at: usize) -> Option<Mac> {
    frame.get(at..at + 6)?.try_into().ok()
}

/// Whether an address is of several: the lowest bit of its first byte (IEEE 802 §8.2).
fn is_group(address: Mac) -> bool {
    address[0] & 1 == 1
}

/// Serves whoever connects, for ever; `_lock` is held as long.
fn serve(listener: &UnixListener, _lock: &File) {
    let ports = Arc::new(Mutex::new(Ports::default()));
    for stream in listener.incoming().flatten() {
        let ports = Arc::clone(&ports);
        thread::spawn(move || {
            // A port that fails is a machine that ended.
            let _ = port(stream, &ports);
        });
    }
}

/// Passes on everything that comes from one machine, until it ends.
fn port(mut stream: UnixStream, ports: &Mutex<Ports>) -> io::Result<()> {
    let taking = stream.try_clone()?;
    let all = || ports.lock().unwrap_or_else(PoisonError::into_inner);
    let number = all().add(taking);
    let ended = loop {
        match frame(&mut stream) {
            Ok(frame) => all().pass(&frame, number),
            Err(cause) => break Err(cause),
        }
    };
    all().remove(number);
    ended
}

/// A frame as it goes through a stream: after its length.
pub fn framed(frame: &[u8]) -> Vec<u8> {
    [&u32::try_from(frame.len()).unwrap_or(u32::MAX).to_be_bytes(), frame].concat()
}

/// The next frame of a stream.
///
/// # Errors
/// The stream has ended, or what comes is longer than any frame.
pub fn frame(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "longer than any frame"));
    }
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame)?;
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Mac = [2, 0, 0, 0, 0, 1];
    const B: Mac = [2, 0, 0, 0, 0, 2];
    const C: Mac = [2, 0, 0, 0, 0, 3];
    const ALL: Mac = [0xff; 6];

    fn connect(switch: &Switch) -> UnixStream {
        let stream = (0..100).find_map(|_| {
            UnixStream::connect(switch.socket()).ok().or_else(|| {
                thread::sleep(Duration::from_millis(50));
                None
            })
        });
        let stream = stream.expect("somebody serves within five seconds");
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream
    }

    fn send(mut stream: &UnixStream, to: Mac, from: Mac, text: &str) {
        stream.write_all(&framed(&[&to[..], &from, text.as_bytes()].concat())).unwrap();
    }

    /// What the next frame says.
    fn next(mut stream: &UnixStream) -> String {
        String::from_utf8_lossy(&frame(&mut stream).unwrap()[12..]).into_owned()
    }

    /// Sends from `a` until `b` hears it: who has just connected may not be a port yet.
    fn meet(a: &UnixStream, b: &UnixStream) {
        b.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let heard = (0..50).any(|_| {
            send(a, ALL, A, "hello");
            frame(&mut &*b).is_ok()
        });
        assert!(heard, "what one machine sends reaches the other");
    }

    #[test]
    fn a_frame_goes_to_all_until_its_receiver_was_seen_and_then_to_it_alone() {
        let mut ports = Ports::default();
        let machines = [A, B, C].map(|_| {
            let (machine, port) = UnixStream::pair().unwrap();
            machine.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            (machine, ports.add(port))
        });
        let [(a, at_a), (b, at_b), (c, at_c)] = &machines;
        let frame = |to: Mac, from: Mac, text: &str| [&to[..], &from, text.as_bytes()].concat();
        ports.pass(&frame(B, A, "where is b?"), *at_a);
        assert_eq!([next(b), next(c)], ["where is b?", "where is b?"]);
        ports.pass(&frame(A, B, "here"), *at_b);
        ports.pass(&frame(ALL, C, "to all"), *at_c);
        assert_eq!([next(a), next(a), next(b)], ["here", "to all", "to all"]);
        ports.pass(&frame(B, A, "for b"), *at_a);
        ports.pass(&frame(ALL, A, "for all"), *at_a);
        assert_eq!([next(b), next(b), next(c)], ["for b", "for all", "for all"]);
    }

    #[test]
    fn who_has_gone_is_no_port_any_more() {
        let mut ports = Ports::default();
        let (gone, port) = UnixStream::pair().unwrap();
        let (_here, other) = UnixStream::pair().unwrap();
        let (gone_at, here_at) = (ports.add(port), ports.add(other));
        ports.pass(&[&ALL[..], &A, b"x"].concat(), gone_at);
        drop(gone);
        let noticed = (0..100).any(|_| {
            ports.pass(&[&A[..], &B, b"x"].concat(), here_at);
            thread::sleep(Duration::from_millis(10));
            ports.open.len() == 1
        });
        assert!(noticed && !ports.seen.contains_key(&A));
    }

    #[test]
    fn who_takes_nothing_keeps_nobody_waiting() {
        let mut ports = Ports::default();
        let (_asleep, port) = UnixStream::pair().unwrap();
        let (awake, other) = UnixStream::pair().unwrap();
        let (sender, _, _) = (ports.add(UnixStream::pair().unwrap().0), ports.add(port), ports.add(other));
        awake.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let large = [&ALL[..], &A, &[0; 9000]].concat();
        for _ in 0..4 * WAITING {
            ports.pass(&large, sender);
            assert_eq!(frame(&mut &awake).unwrap().len(), large.len());
        }
    }

    #[test]
    fn who_sends_nonsense_is_disconnected_and_nobody_else() {
        let directory = tempfile::tempdir().unwrap();
        let switch = Switch::new(directory.path(), "vpc");
        switch.serve().unwrap();
        let (a, b, mut bad) = (connect(&switch), connect(&switch), connect(&switch));
        bad.write_all(&[0xff; 64]).unwrap();
        assert!(frame(&mut bad).is_err());
        meet(&a, &b);
    }

    #[test]
    fn of_several_that_offer_themselves_one_serves() {
        let directory = tempfile::tempdir().unwrap();
        let switch = Switch::new(directory.path(), "vpc");
        switch.serve().unwrap();
        switch.serve().unwrap();
        meet(&connect(&switch), &connect(&switch));
    }
}
