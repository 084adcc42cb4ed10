//! Connections from the lab's addresses: a port of this machine's loopback, behind which is one of the guest's.
//!
//! ```text
//! ssh, TLS, … ─▶ 127.0.0.1:PORT ─▶ smoltcp: a host without a kernel ─packets─▶ Ethernet ─▶ link ─▶ guest
//!                                  with whatever address is to be its own  ◀─────────────────────────┘
//! ```
//!
//! So an attack is made by programs that know nothing of the lab. Source: smoltcp's documentation; RFC 9293.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::tcp;
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpCidr};

use super::frame::Ends;
use super::link::{Link, Taken};

/// The largest packet on a cable of Ethernet, in bytes.
const LARGEST: usize = 1500;

/// How much is on its way in each direction, in bytes.
const WINDOW: usize = 65_535;

/// How often either side is looked at, and how long one that is silent is waited for.
const LOOK: Duration = Duration::from_millis(2);
const PATIENCE: smoltcp::time::Duration = smoltcp::time::Duration::from_secs(20);

/// The first port that is taken for a connection; each has one of its own, since servers remember those of before.
static NEXT: AtomicU16 = AtomicU16::new(20_000);

/// A port of loopback. Dropped, it is shut, and so are the connections through it.
#[derive(Debug)]
pub struct Doorway {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Doorway {
    /// Whoever connects to it speaks with `port` of the guest, as the one whose `ends` these are.
    ///
    /// # Errors
    /// No port of loopback is free.
    pub fn open(link: &Arc<Link>, ends: Ends, port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let (address, ended) = (listener.local_addr()?, Arc::new(AtomicBool::new(false)));
        let (link, until) = (Arc::clone(link), Arc::clone(&ended));
        let thread = thread::spawn(move || {
            let mut all: Vec<JoinHandle<()>> = Vec::new();
            while !until.load(Ordering::Relaxed) {
                let Ok((client, _)) = listener.accept() else {
                    thread::sleep(LOOK);
                    continue;
                };
                let (link, until) = (Arc::clone(&link), Arc::clone(&until));
                // A connection that breaks is one to whoever made it, too.
                all.push(thread::spawn(move || drop(carry(&link, (ends, port), client, &until))));
            }
            all.into_iter().for_each(|one| drop(one.join()));
        });
        Ok(Self { address, ended, thread: Some(thread) })
    }

    /// Where to connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A connection through it, on which an answer may take that long.
    ///
    /// # Errors
    /// There is none to be had.
    pub fn connect(&self, patience: Duration) -> io::Result<TcpStream> {
        #[expect(clippy::disallowed_methods, reason = "to this very doorway, on loopback")]
        let stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(patience))?;
        Ok(stream)
    }
}

impl Drop for Doorway {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// A host with one address and one connection.
struct Caller<'a> {
    interface: Interface,
    sockets: SocketSet<'a>,
    handle: SocketHandle,
    cable: Cable<'a>,
}

impl<'a> Caller<'a> {
    /// Calls `port` of the guest.
    fn new(link: &'a Link, (ends, port): (Ends, u16)) -> io::Result<Self> {
        let from = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut cable = Cable { link, ends, taken: link.take((ends.source, from)), waiting: VecDeque::new() };
        let mut config = Config::new(HardwareAddress::Ip);
        // Servers see a sequence that differs; nothing of it reaches a report.
        config.random_seed = u64::from(from);
        let mut interface = Interface::new(config, &mut cable, Instant::now());
        let length = if ends.source.is_ipv4() { 32 } else { 128 };
        // There is room for one.
        interface.update_ip_addrs(|all| _ = all.push(IpCidr::new(ends.source.into(), length)));
        let routed = match ends.destination {
            IpAddr::V4(guest) => interface.routes_mut().add_default_ipv4_route(guest).map(drop),
            IpAddr::V6(guest) => interface.routes_mut().add_default_ipv6_route(guest).map(drop),
        };
        routed.map_err(io::Error::other)?;
        let buffer = || tcp::SocketBuffer::new(vec![0; WINDOW]);
        let mut socket = tcp::Socket::new(buffer(), buffer());
        socket.set_timeout(Some(PATIENCE));
        socket.set_nagle_enabled(false);
        // The guest's last word is acknowledged at once: a moment later nobody is here any more.
        socket.set_ack_delay(None);
        socket.connect(interface.context(), (ends.destination, port), from).map_err(io::Error::other)?;
        let mut sockets = SocketSet::new(Vec::new());
        let handle = sockets.add(socket);
        Ok(Self { interface, sockets, handle, cable })
    }

    /// Sends and takes what there is; its connection.
    fn poll(&mut self) -> &mut tcp::Socket<'a> {
        self.cable.waiting.extend(self.cable.taken.packets.try_iter());
        self.interface.poll(Instant::now(), &mut self.cable, &mut self.sockets);
        self.sockets.get_mut(self.handle)
    }
}

/// Carries what `client` and the guest say to each other, until both have ended.
fn carry(link: &Link, to: (Ends, u16), mut client: TcpStream, ended: &AtomicBool) -> io::Result<()> {
    // On some systems it is as the listener is.
    client.set_nonblocking(false)?;
    client.set_read_timeout(Some(LOOK))?;
    let mut caller = Caller::new(link, to)?;
    let (mut bytes, mut is_open, mut was_heard) = ([0; 4096], true, true);
    loop {
        let socket = caller.poll();
        while socket.can_recv() {
            let taken = socket.recv_slice(&mut bytes).map_err(io::Error::other)?;
            client.write_all(&bytes[..taken])?;
        }
        if ended.load(Ordering::Relaxed) {
            socket.abort();
            caller.poll();
            return Ok(());
        }
        if !socket.is_open() {
            caller.poll();
            return Ok(());
        }
        let state = socket.state();
        let goes_on = matches!(
            state,
            tcp::State::SynSent | tcp::State::Established | tcp::State::FinWait1 | tcp::State::FinWait2
        );
        if was_heard && !goes_on {
            was_heard = false;
            client.shutdown(Shutdown::Write)?;
        }
        let room = bytes.len().min(socket.send_capacity() - socket.send_queue());
        if !is_open || !socket.may_send() || room == 0 {
            thread::sleep(LOOK);
            continue;
        }
        match client.read(&mut bytes[..room]) {
            Ok(0) => {
                is_open = false;
                socket.close();
            }
            Ok(read) => drop(socket.send_slice(&bytes[..read]).map_err(io::Error::other)?),
            Err(cause) if matches!(cause.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(cause) => {
                socket.abort();
                caller.poll();
                return Err(cause);
            }
        }
    }
}

/// The lab's cable, as smoltcp has it: packets of IP from and to one address.
struct Cable<'a> {
    link: &'a Link,
    ends: Ends,
    taken: Taken,
    waiting: VecDeque<Vec<u8>>,
}

/// A packet that has come.
struct Come(Vec<u8>);

/// A packet that is to go.
struct Going<'a>(&'a Link, Ends);

impl Device for Cable<'_> {
    type RxToken<'a>
        = Come
    where
        Self: 'a;
    type TxToken<'a>
        = Going<'a>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Come, Going<'_>)> {
        let packet = self.waiting.pop_front()?;
        Some((Come(packet), Going(self.link, self.ends)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Going<'_>> {
        Some(Going(self.link, self.ends))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ip;
        capabilities.max_transmission_unit = LARGEST;
        capabilities
    }
}

impl RxToken for Come {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(&self.0)
    }
}

impl TxToken for Going<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, f: F) -> R {
        let mut packet = vec![0; length];
        let result = f(&mut packet);
        // A machine that has gone is noticed by whoever waits for its answer.
        drop(self.0.send(&[self.1.packet(&packet)]));
        result
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::machine::switch;
    use crate::progress::{Progress, Total};
    use crate::verify::lab::frame::HEADER;

    /// The guest's end of a cable.
    struct Guest(UnixStream, VecDeque<Vec<u8>>);
    struct Out<'a>(&'a UnixStream);

    impl TxToken for Out<'_> {
        fn consume<R, F: FnOnce(&mut [u8]) -> R>(mut self, length: usize, f: F) -> R {
            let mut frame = vec![0; HEADER + length];
            let result = f(&mut frame[HEADER..]);
            frame[12..HEADER].copy_from_slice(&[8, 0]);
            self.0.write_all(&switch::framed(&frame)).unwrap();
            result
        }
    }

    impl Device for Guest {
        type RxToken<'a> = Come;
        type TxToken<'a> = Out<'a>;

        fn receive(&mut self, _: Instant) -> Option<(Come, Out<'_>)> {
            let frame = self.1.pop_front()?;
            Some((Come(frame[HEADER..].to_vec()), Out(&self.0)))
        }

        fn transmit(&mut self, _: Instant) -> Option<Out<'_>> {
            Some(Out(&self.0))
        }

        fn capabilities(&self) -> DeviceCapabilities {
            let mut capabilities = DeviceCapabilities::default();
            capabilities.medium = Medium::Ip;
            capabilities.max_transmission_unit = LARGEST;
            capabilities
        }
    }

    /// A guest that listens on port 7, says everything back in capitals, and ends when it is told the end; from whom it came.
    fn shouting(stream: UnixStream) -> JoinHandle<IpAddr> {
        thread::spawn(move || {
            stream.set_nonblocking(false).unwrap();
            let (sender, frames) = std::sync::mpsc::channel();
            let mut reading = stream.try_clone().unwrap();
            thread::spawn(move || {
                while let Ok(frame) = switch::frame(&mut reading)
                    && sender.send(frame).is_ok()
                {}
            });
            let mut guest = Guest(stream, VecDeque::new());
            let mut interface = Interface::new(Config::new(HardwareAddress::Ip), &mut guest, Instant::now());
            let own = IpCidr::new(IpAddr::from([10, 0, 0, 20]).into(), 24);
            interface.update_ip_addrs(|all| all.push(own).unwrap());
            interface.routes_mut().add_default_ipv4_route(Ipv4Addr::new(10, 0, 0, 1)).unwrap();
            let buffer = || tcp::SocketBuffer::new(vec![0; 4096]);
            let mut sockets = SocketSet::new(Vec::new());
            let handle = sockets.add(tcp::Socket::new(buffer(), buffer()));
            sockets.get_mut::<tcp::Socket<'_>>(handle).listen(7).unwrap();
            let mut from = IpAddr::from([0, 0, 0, 0]);
            for _ in 0..5000 {
                guest.1.extend(frames.recv_timeout(LOOK));
                interface.poll(Instant::now(), &mut guest, &mut sockets);
                let socket = sockets.get_mut::<tcp::Socket<'_>>(handle);
                from = socket.remote_endpoint().map_or(from, |end| end.addr.into());
                let mut bytes = [0; 512];
                if socket.can_recv() {
                    // No more than there is room for to say it back.
                    let room = bytes.len().min(socket.send_capacity() - socket.send_queue());
                    let read = socket.recv_slice(&mut bytes[..room]).unwrap();
                    assert_eq!(socket.send_slice(&bytes[..read].to_ascii_uppercase()), Ok(read));
                } else if socket.state() == tcp::State::CloseWait {
                    socket.close();
                } else if !socket.is_open() {
                    return from;
                }
            }
            panic!("the connection came to no end");
        })
    }

    #[test]
    fn who_connects_speaks_with_the_guest_from_an_address_of_the_lab() {
        let (lab, guest) = UnixStream::pair().unwrap();
        let shouting = shouting(guest);
        let step = Arc::new(Progress::silent().step("lab", Total::Unknown));
        let link = Arc::new(Link::new(lab, [].into(), step).unwrap());
        let (source, destination) = (IpAddr::from([203, 0, 113, 9]), IpAddr::from([10, 0, 0, 20]));
        let ends = Ends { from: [2, 0, 0, 0, 0, 1], to: [2, 0, 0, 0, 0, 2], source, destination };
        let doorway = Doorway::open(&link, ends, 7).unwrap();
        let mut stream = doorway.connect(Duration::from_secs(10)).unwrap();
        let text = "not so loud; ".repeat(2000);
        let mut writing = stream.try_clone().unwrap();
        let (said, sent) = thread::scope(|scope| {
            let sent = text.clone();
            scope.spawn(move || {
                writing.write_all(sent.as_bytes()).unwrap();
                writing.shutdown(Shutdown::Write).unwrap();
            });
            let mut said = String::new();
            stream.read_to_string(&mut said).unwrap();
            (said, text.to_ascii_uppercase())
        });
        assert!(said == sent, "{} of {} bytes came back", said.len(), sent.len());
        assert_eq!(shouting.join().unwrap(), source);
    }
}
