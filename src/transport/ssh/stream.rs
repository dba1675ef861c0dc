//! What a session speaks over: a TCP socket, or one end of a pair of sockets whose other end is a
//! jump host's channel or a command.

use std::net::TcpStream;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use async_io::Async;
use rustix::net;

use super::jump::{Fate, Lead};
use super::proxy::ProxyCommand;

/// A connected stream; clones are the same one.
#[derive(Clone)]
pub(super) struct Stream {
    socket: Arc<Async<OwnedFd>>,
    /// The address at the other end, where there is one.
    peer: Option<Arc<str>>,
    /// The command that leads to the host; ended with the last clone.
    command: Option<Arc<ProxyCommand>>,
    /// The fate of the session to a jump host that leads to the host.
    fate: Option<Arc<Fate>>,
}

impl Stream {
    pub(super) fn of_tcp(socket: Async<TcpStream>) -> std::io::Result<Self> {
        let peer = socket.get_ref().peer_addr().ok();
        let peer = peer.map(|peer| peer.ip().to_canonical().to_string());
        let socket: OwnedFd = socket.into_inner()?.into();
        Ok(Self {
            socket: Arc::new(Async::new_nonblocking(socket)?),
            peer: peer.map(Into::into),
            command: None,
            fate: None,
        })
    }

    pub(super) fn of_command(end: UnixStream, command: ProxyCommand) -> std::io::Result<Self> {
        Ok(Self {
            socket: Arc::new(Async::new(OwnedFd::from(end))?),
            peer: None,
            command: Some(Arc::new(command)),
            fate: None,
        })
    }

    pub(super) fn of_jump(lead: Lead) -> std::io::Result<Self> {
        Ok(Self {
            socket: Arc::new(Async::new(OwnedFd::from(lead.end))?),
            peer: None,
            command: None,
            fate: Some(lead.fate),
        })
    }

    /// Returns the fate of the session to a jump host that leads there, if there is one.
    pub(super) fn fate(&self) -> Option<&Fate> {
        self.fate.as_deref()
    }

    pub(super) fn socket(&self) -> &Async<OwnedFd> {
        &self.socket
    }

    pub(super) fn peer(&self) -> Option<&str> {
        self.peer.as_deref()
    }

    /// Returns what the command that leads there said last, if there is one and it said something.
    pub(super) fn said(&self) -> Option<String> {
        self.command.as_ref()?.said()
    }

    /// Ends it in both directions; an error means that the peer was faster.
    pub(super) fn shut(&self) {
        let _ = net::shutdown(self.socket.as_fd(), net::Shutdown::Both);
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
