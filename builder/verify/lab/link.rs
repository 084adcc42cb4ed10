//! The lab's end of the guest's cable: every frame of the guest is heard here, from the first one on.
//!
//! ```text
//! guest ─▶ switch ─▶ reader: who has …?  ─▶ answered for every host of the lab, and for the router
//!                            to a port that somebody has taken ─▶ handed to whoever has ([`super::call`])
//!                            SYN, ACK    ─▶ written down; RST goes back, so that no connection is left half open
//!                            all else    ─▶ written down, with its time
//! probes ─▶ Link::send ─▶ switch ─▶ guest
//! ```
//!
//! Hosts of the lab have no kernel: what they send are frames ([`super::frame`]), from whatever address is to be theirs. So
//! nothing of this machine is asked for, and nothing of it is in the way of what the guest says.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::frame::{self, Ends, Heard, Mac, Said, Segment};
use crate::machine::switch;
use crate::progress::Step;

/// Ethernet's shortest frame, before its check sum, in bytes.
const SHORTEST: usize = 60;

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
}

#[derive(Debug)]
struct Shared {
    /// Whoever sends holds it for whole frames.
    stream: Mutex<UnixStream>,
    since: Arc<Step>,
    /// Whose addresses are answered for.
    neighbours: BTreeMap<IpAddr, Mac>,
    told: Mutex<Told>,
    news: Condvar,
    /// Addresses and ports of TCP at which somebody speaks for himself.
    taken: Mutex<Takers>,
}

/// By address and port, whoever speaks there.
type Takers = BTreeMap<(IpAddr, u16), Sender<Vec<u8>>>;

/// A port of one of the lab's addresses, and what comes there: packets of IP. Dropped, it is nobody's again.
#[derive(Debug)]
pub struct Taken {
    shared: Arc<Shared>,
    at: (IpAddr, u16),
    /// What comes.
    pub packets: Receiver<Vec<u8>>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.shared.taken().remove(&self.at);
    }
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
        let (reader, stream) = (stream.try_clone()?, Mutex::new(stream));
        let shared = Arc::new(Shared {
            stream,
            since,
            neighbours,
            told: Mutex::default(),
            news: Condvar::new(),
            taken: Mutex::default(),
        });
        let listening = Arc::clone(&shared);
        thread::spawn(move || {
            // It ends with the machine.
            drop(listening.listen(reader));
            listening.told().ended = true;
            listening.news.notify_all();
        });
        Ok(Self { shared })
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
        self.shared.send(frames)
    }

    /// Takes a port of an address of the lab's, for whoever speaks there himself.
    pub fn take(&self, at: (IpAddr, u16)) -> Taken {
        let (sender, packets) = channel();
        self.shared.taken().insert(at, sender);
        Taken { shared: Arc::clone(&self.shared), at, packets }
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

    fn send(&self, frames: &[Vec<u8>]) -> io::Result<()> {
        let all: Vec<u8> = frames.iter().flat_map(|frame| framed(frame)).collect();
        self.stream.lock().unwrap_or_else(PoisonError::into_inner).write_all(&all)
    }

    fn listen(&self, mut stream: UnixStream) -> io::Result<()> {
        loop {
            let frame = switch::frame(&mut stream)?;
            let Some(heard) = Heard::read(&frame) else { continue };
            if !self.hand_over(&heard, &frame)
                && let Some(answer) = self.answer(&heard)
            {
                self.send(&[answer])?;
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

    fn taken(&self) -> MutexGuard<'_, Takers> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a segment to whoever has taken its port; whether somebody has.
    fn hand_over(&self, heard: &Heard, frame: &[u8]) -> bool {
        let Said::Tcp { to, .. } = heard.said else { return false };
        let taken = self.taken();
        let Some(whose) = taken.get(&(heard.destination, to)) else { return false };
        whose.send(frame[frame::HEADER..].to_vec()).is_ok()
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

/// A frame, as long as it has to be at least, as it goes through the cable.
fn framed(frame: &[u8]) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame.resize(frame.len().max(SHORTEST), 0);
    switch::framed(&frame)
}
