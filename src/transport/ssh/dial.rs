//! From a name and a port to a connected TCP socket.
//!
//! Names are looked up by the system on threads of their own, because its resolver has no deadline:
//! a lookup that is given up goes on there and disturbs nobody.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use async_io::{Async, Timer};
use futures_lite::future::FutureExt;
use rustix::io::Errno;

use crate::host::{Address, Port};
use crate::outcome::Kind;
use crate::transport::{ConnectError, Phase};

/// How long one of several addresses may take before the next is tried.
const NEXT_ADDRESS_AFTER: Duration = Duration::from_secs(3);

/// Connects to the first address that answers.
pub(super) async fn dial(
    address: &Address,
    port: Port,
    phase: &Cell<Phase>,
) -> Result<Async<TcpStream>, ConnectError> {
    phase.set(Phase::Lookup);
    let targets = look_up(address, port).await?;
    phase.set(Phase::Connect);
    let mut failure = None;
    for (index, target) in targets.iter().enumerate() {
        let is_last = index + 1 == targets.len();
        match connect(*target, is_last).await {
            Ok(socket) => return Ok(socket),
            Err(error) => failure = Some((*target, error)),
        }
    }
    let (target, error) = failure.expect("a lookup that succeeds gives an address");
    Err(explain(target, &error))
}

async fn look_up(address: &Address, port: Port) -> Result<Vec<SocketAddr>, ConnectError> {
    if let Ok(ip) = address.as_str().parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port.get())]);
    }
    let name = address.as_str().to_owned();
    let found = blocking::unblock(move || {
        (name.as_str(), port.get())
            .to_socket_addrs()
            .map(Vec::from_iter)
    });
    match found.await {
        Ok(targets) if !targets.is_empty() => Ok(targets),
        Ok(_) => Err(ConnectError::permanent(
            Kind::Dns,
            format!("`{address}` has no address"),
        )),
        Err(error) => Err(ConnectError::transient(
            Kind::Dns,
            format!("cannot look up `{address}`: {}", resolver_words(&error)),
        )),
    }
}

/// Takes the resolver's own words out of the standard library's.
fn resolver_words(error: &io::Error) -> String {
    let text = error.to_string();
    let words = text
        .strip_prefix("failed to lookup address information: ")
        .unwrap_or(&text);
    words.to_lowercase()
}

async fn connect(target: SocketAddr, is_last: bool) -> io::Result<Async<TcpStream>> {
    let late = async {
        if is_last {
            std::future::pending::<()>().await;
        }
        Timer::after(NEXT_ADDRESS_AFTER).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    let socket = Async::<TcpStream>::connect(target).or(late).await?;
    // Small packets both ways: waiting to fill them only costs time.
    socket.get_ref().set_nodelay(true)?;
    Ok(socket)
}

fn explain(target: SocketAddr, error: &io::Error) -> ConnectError {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    let kind = match errno {
        Some(Errno::CONNREFUSED) => Kind::Refused,
        Some(Errno::TIMEDOUT) => Kind::ConnectTimeout,
        Some(Errno::CONNRESET) => {
            // It was accepted, then dropped before the first word.
            let message = "no SSH handshake with the host: connection reset by peer";
            return ConnectError::busy(Kind::Handshake, message);
        }
        Some(Errno::MFILE | Errno::NFILE) => {
            // Other hosts end and give theirs back.
            let message = "too many open files: lower --fan-out or raise `ulimit -n`";
            return ConnectError::busy(Kind::Internal, message);
        }
        _ if error.kind() == io::ErrorKind::TimedOut => Kind::ConnectTimeout,
        _ => Kind::Unreachable,
    };
    let words = errno.map_or_else(|| error.to_string(), |errno| errno_words(errno, error));
    ConnectError::transient(kind, format!("cannot connect to {target}: {words}"))
}

fn errno_words(errno: Errno, error: &io::Error) -> String {
    match errno {
        Errno::CONNREFUSED => "connection refused".to_owned(),
        Errno::HOSTUNREACH => "no route to host".to_owned(),
        Errno::NETUNREACH => "network is unreachable".to_owned(),
        _ => plain(error),
    }
}

/// Returns the system's words for an error, without its number.
pub(super) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let words = text.split(" (os error").next().unwrap_or(&text);
    words.to_lowercase()
}
