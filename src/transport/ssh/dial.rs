//! From a host's settings to a stream that leads there.
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
use rustix::net::{self, SocketFlags, SocketType};

use super::jump::Guide;
use super::proxy::ProxyCommand;
use super::stream::Stream;
use crate::host::{Address, AddressFamily, Endpoint, Port, Route};
use crate::outcome::Kind;
use crate::transport::{ConnectError, Phase};

/// How long one of several addresses may take before the next is tried.
const NEXT_ADDRESS_AFTER: Duration = Duration::from_secs(3);

/// Returns a stream to the host: dialled, through a jump host, or through a command.
pub(super) async fn dial(
    endpoint: &Endpoint,
    phase: &Cell<Phase>,
    guide: &dyn Guide,
) -> Result<Stream, ConnectError> {
    let stream = match &endpoint.ssh.route {
        Route::Direct => {
            let socket = dial_directly(endpoint, phase).await?;
            Stream::of_tcp(socket)
        }
        Route::Jump(jump) => {
            let (address, port) = (&endpoint.address, endpoint.port);
            Stream::of_jump(guide.lead(jump, address, port, phase).await?)
        }
        Route::Command(line) => {
            phase.set(Phase::Connect);
            ProxyCommand::start(line).and_then(|(command, end)| Stream::of_command(end, command))
        }
    };
    stream.map_err(|error| {
        let words = plain(&error);
        ConnectError::busy(
            Kind::Internal,
            format!("cannot make a way to the host: {words}"),
        )
    })
}

/// Connects to the first address that answers.
async fn dial_directly(
    endpoint: &Endpoint,
    phase: &Cell<Phase>,
) -> Result<Async<TcpStream>, ConnectError> {
    phase.set(Phase::Lookup);
    let targets = look_up(&endpoint.address, endpoint.port, endpoint.ssh.family).await?;
    phase.set(Phase::Connect);
    let mut failure = None;
    for (index, target) in targets.iter().enumerate() {
        let is_last = index + 1 == targets.len();
        match connect(*target, endpoint.ssh.bind_address, is_last).await {
            Ok(socket) => return Ok(socket),
            Err(error) => failure = Some((*target, error)),
        }
    }
    let (target, error) = failure.expect("a lookup that succeeds gives an address");
    Err(explain(target, &error))
}

/// Returns the addresses of a family, in the resolver's order; at least one.
async fn look_up(
    address: &Address,
    port: Port,
    family: AddressFamily,
) -> Result<Vec<SocketAddr>, ConnectError> {
    let found = if let Ok(ip) = address.as_str().parse::<IpAddr>() {
        vec![SocketAddr::new(ip, port.get())]
    } else {
        resolve(address, port).await?
    };
    let is_wanted = |target: &SocketAddr| match family {
        AddressFamily::Any => true,
        AddressFamily::Inet => target.is_ipv4(),
        AddressFamily::Inet6 => target.is_ipv6(),
    };
    let wanted: Vec<_> = found.iter().copied().filter(is_wanted).collect();
    if !wanted.is_empty() {
        return Ok(wanted);
    }
    let message = match (found.first(), family) {
        (Some(_), AddressFamily::Inet) => {
            format!("`{address}` has no IPv4 address (AddressFamily)")
        }
        (Some(_), _) => format!("`{address}` has no IPv6 address (AddressFamily)"),
        (None, _) => format!("`{address}` has no address"),
    };
    Err(ConnectError::permanent(Kind::Dns, message))
}

async fn resolve(address: &Address, port: Port) -> Result<Vec<SocketAddr>, ConnectError> {
    let name = address.as_str().to_owned();
    let found = blocking::unblock(move || {
        (name.as_str(), port.get())
            .to_socket_addrs()
            .map(Vec::from_iter)
    });
    found.await.map_err(|error| {
        let words = resolver_words(&error);
        ConnectError::transient(Kind::Dns, format!("cannot look up `{address}`: {words}"))
    })
}

/// Takes the resolver's own words out of the standard library's.
fn resolver_words(error: &io::Error) -> String {
    let text = error.to_string();
    let words = text
        .strip_prefix("failed to lookup address information: ")
        .unwrap_or(&text);
    words.to_lowercase()
}

async fn connect(
    target: SocketAddr,
    from: Option<IpAddr>,
    is_last: bool,
) -> io::Result<Async<TcpStream>> {
    let late = async {
        if is_last {
            std::future::pending::<()>().await;
        }
        Timer::after(NEXT_ADDRESS_AFTER).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    let connected = async {
        match from {
            None => Async::<TcpStream>::connect(target).await,
            Some(from) => connect_from(from, target).await,
        }
    };
    let socket = connected.or(late).await?;
    // Small packets both ways: waiting to fill them only costs time.
    socket.get_ref().set_nodelay(true)?;
    Ok(socket)
}

/// Connects from one of this machine's addresses.
async fn connect_from(from: IpAddr, target: SocketAddr) -> io::Result<Async<TcpStream>> {
    let family = match target {
        SocketAddr::V4(_) => net::AddressFamily::INET,
        SocketAddr::V6(_) => net::AddressFamily::INET6,
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = net::socket_with(family, SocketType::STREAM, flags, None)?;
    net::bind(&socket, &SocketAddr::new(from, 0))?;
    match net::connect(&socket, &target) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    let stream = Async::new(TcpStream::from(socket))?;
    stream.writable().await?;
    match stream.get_ref().take_error()? {
        Some(error) => Err(error),
        None => Ok(stream),
    }
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
