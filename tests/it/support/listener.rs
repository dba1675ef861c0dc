//! Ports that don't do what an SSH port does.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};

/// A port where every connection is refused. It is taken, so nobody else comes to listen there.
pub(crate) struct DeadPort {
    _taken: OwnedFd,
    port: u16,
}

impl DeadPort {
    /// Takes a port.
    pub(crate) fn take() -> Self {
        let taken = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&taken, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let address = SocketAddrV4::try_from(getsockname(&taken).unwrap()).unwrap();
        Self {
            _taken: taken,
            port: address.port(),
        }
    }

    /// Returns its number.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

/// A port that accepts connections and never says a word.
pub(crate) struct SilentPort(TcpListener);

impl SilentPort {
    /// Opens one. The kernel completes the connections; nobody has to take them.
    pub(crate) fn open() -> Self {
        Self(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap())
    }

    /// Returns its number.
    pub(crate) fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// Waits until somebody connects, and returns the connection.
    #[track_caller]
    pub(crate) fn visitor(&self) -> TcpStream {
        let mut watched = [PollFd::new(&self.0, PollFlags::IN)];
        let patience = Timespec::try_from(super::PATIENCE).unwrap();
        let ready = poll(&mut watched, Some(&patience)).unwrap();
        assert_eq!(ready, 1, "somebody connects");
        self.0.accept().unwrap().0
    }
}
