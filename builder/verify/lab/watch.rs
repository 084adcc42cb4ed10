//! Knocks from power-on to the end, so that no moment of a start goes by unasked.
//!
//! Every quarter of a second: at each port that the recipe opens to anybody, at those where servers often listen, and at seven
//! more, on from those of the round before, as far as the start lasts; now and then a ping, and a router's word that there is
//! IPv6. Who knocks changes, since the guest limits each source: what one more knock of a real one would do is not changed by
//! these.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::frame::echo;
use super::hosts::{Host, Hosts};
use super::link::Link;

/// Between two rounds.
const ROUND: Duration = Duration::from_millis(250);

/// How many ports are knocked at in a round, beside those that are to be open and the usual ones.
const OTHERS: u16 = 7;

/// After so many rounds each of these comes again: the peers, who are limited; a ping; a router.
const PEERS: u32 = 20;
const PING: u32 = 8;
const ROUTER: u32 = 8;

/// Ports on which servers listen that nobody meant to open. (The first rounds ask here.)
const USUAL: [u16; 28] = [
    21, 23, 25, 53, 110, 111, 139, 143, 389, 443, 445, 631, 873, 993, 1433, 2049, 2375, 3000, 5355, 5432, 5672, 5900,
    6379, 8000, 8080, 9000, 11211, 33060,
];

/// Somebody who knocks. Dropped, nobody does any more.
#[derive(Debug)]
pub struct Watch {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Begins.
    pub fn begin(link: Arc<Link>, hosts: Arc<Hosts>) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&ended);
        let thread = thread::spawn(move || {
            let mut round = 0;
            while !until.load(Ordering::Relaxed) && link.send(&frames(&link, &hosts, round)).is_ok() {
                thread::sleep(ROUND);
                round += 1;
            }
        });
        Self { ended, thread: Some(thread) }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// What is sent in one round.
fn frames(link: &Link, hosts: &Hosts, round: u32) -> Vec<Vec<u8>> {
    let mut addresses = BTreeSet::from(hosts.guests());
    addresses.extend(link.told().addresses.iter().filter(|address| !hosts.is_ours(**address)));
    let mut frames = Vec::new();
    if round.is_multiple_of(ROUTER) {
        frames.push(hosts.advertisement());
        frames.extend(addresses.iter().map(|guest| hosts.router(*guest).who_has()));
    }
    for guest in addresses {
        for host in &hosts.all {
            frames.extend(knocks(hosts, (host, guest), round));
        }
    }
    frames
}

/// The knocks of one host at one address.
fn knocks(hosts: &Hosts, (host, guest): (&Host, IpAddr), round: u32) -> Vec<Vec<u8>> {
    let nth = if host.more == 0 { 0 } else { 1 + u8::try_from(round % u32::from(host.more)).unwrap_or(0) };
    let Some(ends) = hosts.ends(host, guest, nth) else { return Vec::new() };
    let port = 43_000 + u16::try_from(round % 16_384).unwrap_or(0);
    let mut frames = Vec::new();
    if host.more > 0 || round.is_multiple_of(PEERS) {
        frames.extend(hosts.ports().into_iter().map(|to| ends.syn((port, to), 1)));
        let first = u16::try_from(round % 65_536).unwrap_or(0);
        let usual = USUAL.iter().filter(|_| round < 8 * PEERS).copied();
        let others = (0..OTHERS).map(|next| first.wrapping_mul(OTHERS).wrapping_add(next));
        frames.extend(usual.chain(others).map(|to| ends.syn((port, to), 1)));
    }
    if round.is_multiple_of(PING) {
        frames.push(ends.icmp((echo(guest.is_ipv6()).0, 64), [0x67, 1, 0, 1], &[0; 24]));
    }
    frames
}
