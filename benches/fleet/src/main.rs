//! A simulated fleet: one SSH server on 0.0.0.0, so that every address of 127.0.0.0/8 is a host.
//!
//! The protocol is real (russh): key exchange, a host key, one ed25519 key that must sign. What
//! clients ask to execute is not: `echo` and `meet` are answered here as a shell would (see
//! [`exec`]), as a process for each of 10,000 hosts would measure the machine and not the client.
//!
//! `fleet HOST_KEY AUTHORIZED_KEY [PORT] [--mlkem]` prints `listening PORT` and serves until it is
//! ended. `--mlkem` offers the post-quantum key exchange too.

mod exec;
mod host;
mod meeting;

use std::borrow::Cow;
use std::error::Error;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use russh::keys::PublicKey;
use russh::server::{Config, run_stream};
use russh::{Preferred, kex};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::host::Host;

/// Connections that wait to be accepted, as many as Linux lets (`net.core.somaxconn`).
const BACKLOG: u32 = 4096;

struct Arguments {
    config: Arc<Config>,
    authorized: Arc<PublicKey>,
    port: u16,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Arguments {
        config,
        authorized,
        port,
    } = arguments()?;
    let listener = listen(port)?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "listening {}", listener.local_addr()?.port())?;
    stdout.flush()?;
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                tokio::spawn(serve(Arc::clone(&config), socket, Arc::clone(&authorized)));
            }
            // Mostly EMFILE: other hosts' connections must end first.
            Err(error) => {
                eprintln!("fleet: accepting: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let (flags, words): (Vec<_>, Vec<_>) = std::env::args()
        .skip(1)
        .partition(|word| word.starts_with("--"));
    let offers_mlkem = match flags.as_slice() {
        [] => false,
        [flag] if flag == "--mlkem" => true,
        _ => return Err(USAGE.into()),
    };
    let (host_key, authorized, port) = match words.as_slice() {
        [host_key, authorized] => (host_key, authorized, 0),
        [host_key, authorized, port] => (host_key, authorized, port.parse()?),
        _ => return Err(USAGE.into()),
    };
    Ok(Arguments {
        config: Arc::new(config(
            russh::keys::load_secret_key(host_key, None)?,
            offers_mlkem,
        )),
        authorized: Arc::new(russh::keys::load_public_key(authorized)?),
        port,
    })
}

const USAGE: &str = "usage: fleet HOST_KEY AUTHORIZED_KEY [PORT] [--mlkem]";

/// The key exchanges are those that OpenSSH 9.2 and russh share: every client chooses the same.
fn config(host_key: russh::keys::PrivateKey, offers_mlkem: bool) -> Config {
    let mut exchanges = vec![
        kex::CURVE25519,
        kex::CURVE25519_PRE_RFC_8731,
        kex::ECDH_SHA2_NISTP256,
        kex::EXTENSION_SUPPORT_AS_SERVER,
        kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
    ];
    if offers_mlkem {
        exchanges.insert(0, kex::MLKEM768X25519_SHA256);
    }
    Config {
        keys: vec![host_key],
        preferred: Preferred {
            kex: Cow::Owned(exchanges),
            ..Preferred::default()
        },
        auth_rejection_time: Duration::ZERO,
        auth_rejection_time_initial: Some(Duration::ZERO),
        // A meeting may last.
        inactivity_timeout: None,
        ..Config::default()
    }
}

fn listen(port: u16) -> Result<TcpListener, Box<dyn Error>> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))?;
    Ok(socket.listen(BACKLOG)?)
}

async fn serve(config: Arc<Config>, socket: TcpStream, authorized: Arc<PublicKey>) {
    // As sshd: it sends at once. (russh's own setting holds only for sockets that it accepts.)
    let _ = socket.set_nodelay(true);
    // A client that leaves early is its own business: the driver counts answers, not errors.
    if let Ok(session) = run_stream(config, socket, Host::new(authorized)).await {
        let _ = session.await;
    }
}
