//! The lab's end of the guest's cable: every frame of the guest is heard here, from the first one on.
//!
//! ```text
//! guest ─▶ switch ─▶ reader: who has …?  ─▶ answered for every host of the lab, and for the router
//!                            SYN, ACK    ─▶ written down; RST goes back, so that no connection is left half open
//!                            all else    ─▶ written down, with its time
//! probes ─▶ Link::send ─▶ switch ─▶ guest
//! ```
//!
//! Hosts of the lab have no kernel: what they send are frames ([`super::frame`]), from whatever address is to be theirs. So
//! nothing of this machine is asked for, and nothing of it is in the way of what the guest says.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::frame::{Ends, Heard, Mac, Said, Segment};
use crate::progress::Step;

/// The longest frame that is taken: what QEMU passes on at most.
const LONGEST: usize = 4096 + 65536;

/// Something that the guest said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// From power-on.
    pub at: Duration,
    /// What.
    pub heard: Heard,
}

/// The end of a cable at whose other end is one guest.
#[derive(Debug)]
pub struct Link {
    shared: Arc<Shared>,
    stream: Mutex<UnixStream>,
}

#[derive(Debug)]
struct Shared {
    since: Arc<Step>,
    /// Whose addresses are answered for.
    neighbours: BTreeMap<IpAddr, Mac>,
    told: Mutex<Told>,
    news: Condvar,
}

/// What was heard so far.
#[derive(Debug, Default)]
pub struct Told {
    /// All but who has which address.
    pub events: Vec<Event>,
    /// The guest's own addresses, as it says.
    pub addresses: BTreeSet<IpAddr>,
    /// How often it said that an address is its own.
    pub beats: u64,
    /// Whether the cable was pulled.
    pub ended: bool,
}

impl Link {
    /// Listens at `stream`. `since` counts from power-on.
    ///
    /// # Errors
    /// The stream cannot be used twice.
    pub fn new(stream: UnixStream, neighbours: BTreeMap<IpAddr, Mac>, since: Arc<Step>) -> io::Result<Self> {
        let shared = Arc::new(Shared { since, neighbours, told: Mutex::default(), news: Condvar::new() });
        let (reader, answering) = (stream.try_clone()?, stream.try_clone()?);
        let listening = Arc::clone(&shared);
        thread::spawn(move || {
            // It ends with the machine.
            drop(listening.listen(reader, answering));
            listening.told().ended = true;
            listening.news.notify_all();
        });
        Ok(Self { shared, stream: Mutex::new(stream) })
    }

    /// How long ago the power was switched on.
    pub fn now(&self) -> Duration {
        self.shared.since.elapsed()
    }

    /// Sends a frame to the guest.
    ///
    /// # Errors
    /// The machine has ended.
    pub fn send(&self, frames: &[Vec<u8>]) -> io::Result<()> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        let all: Vec<u8> = frames.iter().flat_map(|frame| framed(frame)).collect();
        stream.write_all(&all)
    }

    /// What was heard so far.
    pub fn told(&self) -> MutexGuard<'_, Told> {
        self.shared.told()
    }

    /// Waits until what was heard is enough, at most for `patience`; whether it is.
    pub fn wait(&self, patience: Duration, enough: impl Fn(&Told) -> bool) -> bool {
        let until = self.now() + patience;
        let mut told = self.told();
        loop {
            if enough(&told) {
                return true;
            }
            let left = until.saturating_sub(self.now());
            if left.is_zero() || told.ended {
                return false;
            }
            told = self.shared.news.wait_timeout(told, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Shared {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen(&self, mut stream: UnixStream, mut answering: UnixStream) -> io::Result<()> {
        loop {
            let Some(heard) = Heard::read(&frame(&mut stream)?) else { continue };
            if let Some(answer) = self.answer(&heard) {
                answering.write_all(&framed(&answer))?;
            }
            let mut told = self.told();
            // Before an address is one's own, one asks for it without having any (RFC 5227 §2.1.1, RFC 4862 §5.4).
            if !heard.source.is_unspecified() {
                told.addresses.insert(heard.source);
            }
            match heard.said {
                Said::WhoHas => {}
                Said::Has => told.beats += 1,
                _ => told.events.push(Event { at: self.since.elapsed(), heard }),
            }
            drop(told);
            self.news.notify_all();
        }
    }

    /// What a host of the lab says to it at once.
    fn answer(&self, heard: &Heard) -> Option<Vec<u8>> {
        let from = *self.neighbours.get(&heard.destination)?;
        let ends = Ends { from, to: heard.from, source: heard.destination, destination: heard.source };
        match heard.said {
            Said::WhoHas if !heard.source.is_unspecified() => Some(ends.has()),
            Said::Tcp { from, to, acknowledged, kind: Segment::Opens } => Some(ends.rst((to, from), acknowledged)),
            _ => None,
        }
    }
}

/// One frame after its length (32 bit, big-endian), as QEMU's `-netdev stream` has it.
fn framed(frame: &[u8]) -> Vec<u8> {
    // Ethernet's shortest frame has 60 bytes before its check sum.
    let padding = vec![0; 60_usize.saturating_sub(frame.len())];
    let length = u32::try_from(frame.len() + padding.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&length[..], frame, &padding].concat()
}

fn frame(stream: &mut impl Read) -> io::Result<Vec<u8>> {
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
