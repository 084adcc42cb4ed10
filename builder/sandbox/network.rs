//! What programs in a sandbox reach: nothing, themselves, or what this machine reaches. netdevice(7).

use std::io;

use super::check;

/// What programs reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Network {
    /// A network namespace in which nothing is up.
    #[default]
    Nothing,
    /// A network namespace in which 127.0.0.1 is up.
    Loopback,
    /// This machine's.
    Host,
}

impl Network {
    /// What unshare(2) is told for it.
    pub fn flag(self) -> libc::c_int {
        if self == Self::Host { 0 } else { libc::CLONE_NEWNET }
    }

    /// In the new namespace. System calls only: this runs between fork and exec.
    pub fn enter(self) -> io::Result<()> {
        if self != Self::Loopback {
            return Ok(());
        }
        // SAFETY: `request` is a whole ifreq, of which zeros are a valid value, and outlives both calls.
        unsafe {
            let mut request: libc::ifreq = std::mem::zeroed();
            for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
                *to = *from as libc::c_char;
            }
            let socket = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
            check(socket)?;
            check(libc::ioctl(socket, libc::SIOCGIFFLAGS, &raw mut request))?;
            request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short;
            let up = check(libc::ioctl(socket, libc::SIOCSIFFLAGS, &raw mut request));
            libc::close(socket);
            up
        }
    }
}
