//! Ports that don't do what an SSH port does.

use std::io::Write;
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

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
    /// Opens one. The kernel completes the connections; nobody ever takes them.
    pub(crate) fn open() -> Self {
        Self(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap())
    }

    /// Returns its number.
    pub(crate) fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }
}

/// What a [`TalkingPort`] does after its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// Closes the connection.
    Close,
    /// Keeps it open and says no more.
    Hold,
    /// Says the same again, without end.
    Repeat,
}

/// A port that says the same to everyone.
pub(crate) struct TalkingPort {
    port: u16,
    is_over: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl TalkingPort {
    /// Opens a port that says `words`.
    pub(crate) fn saying(words: &'static [u8], then: Then) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let is_over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_over);
        let acceptor = thread::spawn(move || {
            let mut open = Vec::new();
            for stream in listener.incoming().flatten() {
                if flag.load(Ordering::SeqCst) {
                    break;
                }
                open.push(stream.try_clone().unwrap());
                thread::spawn(move || talk(stream, words, then));
            }
            for stream in open {
                stream.shutdown(Shutdown::Both).ok();
            }
        });
        Self {
            port,
            is_over,
            acceptor: Some(acceptor),
        }
    }

    /// Returns its number.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

fn talk(mut stream: TcpStream, words: &[u8], then: Then) {
    let mut is_heard = stream.write_all(words).is_ok();
    while then == Then::Repeat && is_heard {
        is_heard = stream.write_all(words).is_ok();
    }
    if then == Then::Close {
        stream.shutdown(Shutdown::Both).ok();
    }
}

impl Drop for TalkingPort {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // Wakes the acceptor.
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok();
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.join().ok();
        }
    }
}
