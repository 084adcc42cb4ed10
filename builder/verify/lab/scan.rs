//! Asks a guest at every port, and with every message of ICMP, and says what answered.
//!
//! ```text
//! 64 probes ─▶ who has 10.0.0.20? ─▶ … ─▶ 10.0.0.20 is at 52:54:00:…   (all 64 were seen, since frames are read in order)
//! 64 probes ─▶ …
//! ```
//!
//! Who asks for hardware is answered below every firewall. So the answer is the clock of a scan: it is as fast as the guest
//! can be, nothing is lost on the way without being noticed, and silence means that the guest was silent.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::frame::{Ends, Said, Segment, echo};
use super::hosts::{Host, Hosts};
use super::link::{Event, Link};

/// How many probes are under way at a time.
const AT_A_TIME: usize = 64;

/// How long the guest may take to say that it is still there, and how often it is asked.
const PATIENCE: Duration = Duration::from_secs(2);
const ASKED: usize = 30;

/// How long an answer may take after the last probe, beyond what the guest was asked after it.
const STRAGGLERS: Duration = Duration::from_millis(500);

/// Between two knocks at a port that is to be open, and was silent: limits let one in each three seconds, at the slowest.
const PAUSE: Duration = Duration::from_secs(3);
const KNOCKS: u8 = 5;

/// Messages of ICMPv6 that are part of finding neighbours and routers on a link (RFC 4861 §4): they are no question to a host.
const OF_THE_LINK: std::ops::RangeInclusive<u8> = 133..=137;

/// A guest that has gone.
#[derive(Debug, thiserror::Error)]
pub enum Gone {
    /// It is asked for its hardware address, and is silent.
    #[error(
        "the machine does not say any more which hardware address it has, so that nothing can be said of its silence\n\
         help: on a computer that has much else to do, `--jobs 1` starts one machine at a time"
    )]
    Silent,
    /// Nothing can be sent to it, or heard of it.
    #[error("the cable between the lab and the machine is broken, so that nothing can be said of its silence")]
    Cable,
}

/// What answered at one address of the guest, to one host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Ports of TCP, and whether they are open or refuse.
    pub tcp: BTreeMap<u16, Segment>,
    /// Ports of UDP.
    pub udp: BTreeSet<u16>,
    /// Types of ICMP, or ICMPv6, that came back.
    pub icmp: BTreeSet<u8>,
    /// How many probes were sent.
    pub probes: usize,
}

/// One who asks at one of the guest's addresses.
#[derive(Clone, Copy, Debug)]
pub struct Scan<'a> {
    /// By way of this.
    pub link: &'a Link,
    /// Among these.
    pub hosts: &'a Hosts,
    /// Who.
    pub host: &'a Host,
    /// Where.
    pub guest: IpAddr,
}

impl Scan<'_> {
    /// All of it; none if this host cannot speak to that address.
    ///
    /// # Errors
    /// The machine has gone.
    pub fn all(&self) -> Result<Option<Answers>, Gone> {
        let Some(ends) = self.hosts.ends(self.host, self.guest, 0) else { return Ok(None) };
        let from = self.link.told().events.len();
        let mut probes = 0;
        // First, so that each knows the other's hardware.
        probes += self.icmp(&ends)?;
        probes += self.each(|port| ends.syn((42_001, port), 1))?;
        probes += self.each(|port| ends.datagram((42_002, port), b""))?;
        self.link.wait(STRAGGLERS, |_| false);
        let mut answers = answered(&self.link.told().events[from..], &ends);
        for port in self.hosts.ports() {
            if self.hosts.may((self.host, ends.source), (false, port), true) {
                let knock = |ends: &Ends, nth: u8| ends.syn((42_003 + u16::from(nth), port), 1);
                probes += self.again(&mut answers, knock, |answers| answers.tcp.get(&port) == Some(&Segment::Opens))?;
            }
        }
        let (ping, reply) = echo(self.guest.is_ipv6());
        let probe = |ends: &Ends, nth: u8| ends.icmp((ping, 64), [0x67, 2, 0, nth], &[0; 24]);
        probes += self.again(&mut answers, probe, |answers| answers.icmp.contains(&reply))?;
        Ok(Some(Answers { probes, ..answers }))
    }

    /// A probe to each port; how many.
    fn each(&self, probe: impl Fn(u16) -> Vec<u8>) -> Result<usize, Gone> {
        let ports: Vec<u16> = (0..=u16::MAX).collect();
        for some in ports.chunks(AT_A_TIME) {
            let frames: Vec<Vec<u8>> = some.iter().map(|port| probe(*port)).collect();
            self.link.send(&frames).map_err(|_| Gone::Cable)?;
            beat(self.link, self.hosts)?;
        }
        Ok(ports.len())
    }

    /// Each type, once; how many. (A second ping would be within the limit, and the 41st not.)
    fn icmp(&self, ends: &Ends) -> Result<usize, Gone> {
        let kinds: Vec<u8> =
            (0..=u8::MAX).filter(|kind| ends.source.is_ipv4() || !OF_THE_LINK.contains(kind)).collect();
        for some in kinds.chunks(AT_A_TIME) {
            let frames: Vec<Vec<u8>> =
                some.iter().map(|kind| ends.icmp((*kind, 64), [0x67, 0, 0, 1], &[0; 24])).collect();
            self.link.send(&frames).map_err(|_| Gone::Cable)?;
            beat(self.link, self.hosts)?;
        }
        Ok(kinds.len())
    }

    /// Asks again for what ought to be answered, if it was not, slowly, as one who is limited must; how often.
    fn again(
        &self,
        answers: &mut Answers,
        probe: impl Fn(&Ends, u8) -> Vec<u8>,
        enough: impl Fn(&Answers) -> bool,
    ) -> Result<usize, Gone> {
        let mut sent = 0;
        for nth in 0..KNOCKS {
            let Some(ends) = self.hosts.ends(self.host, self.guest, nth).filter(|_| !enough(answers)) else { break };
            let from = self.link.told().events.len();
            self.link.send(&[probe(&ends, nth)]).map_err(|_| Gone::Cable)?;
            self.link.wait(PAUSE, |told| enough(&answered(&told.events[from..], &ends)));
            let more = answered(&self.link.told().events[from..], &ends);
            answers.tcp.extend(more.tcp);
            answers.icmp.extend(more.icmp);
            sent += 1;
        }
        Ok(sent)
    }
}

/// Asks the guest for its hardware until it answers.
///
/// # Errors
/// It does not.
pub fn beat(link: &Link, hosts: &Hosts) -> Result<(), Gone> {
    let (before, address) = {
        let told = link.told();
        (told.beats, told.addresses.iter().find(|address| !hosts.is_ours(**address)).copied())
    };
    let ends = hosts.router(address.ok_or(Gone::Silent)?);
    for _ in 0..ASKED {
        link.send(&[ends.who_has()]).map_err(|_| Gone::Cable)?;
        if link.wait(PATIENCE, |told| told.beats > before) {
            return Ok(());
        }
    }
    Err(Gone::Silent)
}

/// What of `events` answers to probes of `ends`.
fn answered(events: &[Event], ends: &Ends) -> Answers {
    let mut answers = Answers::default();
    let to = |event: &&Event| event.heard.destination == ends.source && event.heard.source == ends.destination;
    for event in events.iter().filter(to) {
        match event.heard.said {
            Said::Tcp { from, kind: kind @ (Segment::Opens | Segment::Refuses), .. } => {
                answers.tcp.entry(from).and_modify(|known| *known = kind.min(*known)).or_insert(kind);
            }
            Said::Udp { from, .. } => drop(answers.udp.insert(from)),
            Said::Icmp { kind, .. } => drop(answers.icmp.insert(kind)),
            _ => {}
        }
    }
    answers
}
