//! How an SFTP channel begins: the subsystem, the version, what the host can do beyond it.

use std::rc::Rc;
use std::time::Duration;

use async_io::Timer;
use futures_lite::future::FutureExt;

use super::super::ffi::{EAGAIN, RawChannel};
use super::super::link::{Link, LinkError};
use super::super::process::ChannelOptions;
use super::client::Client;
use super::lane::Lane;
use super::state::Empty;
use super::wire::{self, Reply, Request, VERSION};
use super::words;
use crate::transport::files::{FileError, FileReason};

/// Bytes of data in one request that every server takes (§3).
const USUAL_BYTES: u32 = 32 * 1024;
/// The most that is asked for: what OpenSSH allows.
const MOST_BYTES: u64 = 255 * 1024;
/// How long a channel of no use may take to close.
const CLOSING: Duration = Duration::from_secs(1);

/// What a host can do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Abilities {
    /// Most bytes of one `READ`.
    pub(super) read_bytes: u32,
    /// Most bytes of one `WRITE`.
    pub(super) write_bytes: u32,
    /// It knows `posix-rename@openssh.com`.
    pub(super) can_replace: bool,
}

/// Opens a channel and starts SFTP on it.
pub(super) async fn open(link: &Rc<Link>, options: ChannelOptions) -> Result<Client, FileError> {
    link.allow_window(options.window);
    let open = |session: &_| RawChannel::open(session, options.window);
    let channel = link.drive(open).await;
    let channel = channel.map_err(|error| refused("no channel", &error))?;
    let start = |_: &_| match channel.start("subsystem", b"sftp") {
        // Nothing can follow the end but the end: there will be no answer.
        Err(EAGAIN) if channel.is_eof() => Err(libssh2_sys::LIBSSH2_ERROR_CHANNEL_CLOSED),
        result => result,
    };
    let started = link.drive(start).await;
    let client = Client::new(Rc::clone(link), channel, options);
    if let Err(error) = started {
        leave(link, &client).await;
        return Err(refused("no SFTP", &error));
    }
    Ok(client)
}

/// Learns what a host can do.
pub(super) async fn greet(client: &Client) -> Result<Abilities, FileError> {
    let lane = Lane::new(client);
    client.greet();
    let answer = loop {
        if let Some(answer) = lane.next(&mut Empty).await? {
            break answer;
        }
    };
    if answer.id != VERSION {
        return Err(words::error(
            FileReason::NoService,
            format!("the host speaks SFTP version {} and not 3", answer.id),
        ));
    }
    let Reply::Version(body) = answer.reply else {
        return Err(words::no_answer(&wire::Malformed::Answer));
    };
    let extensions = wire::extensions(&body);
    let has = |name: &str| extensions.contains(&name.as_bytes());
    let mut abilities = Abilities {
        read_bytes: USUAL_BYTES,
        write_bytes: USUAL_BYTES,
        can_replace: has("posix-rename@openssh.com"),
    };
    if has("limits@openssh.com") {
        lane.ask(&Request::Limits);
        if let Reply::Extended(body) = lane.reply().await?
            && let Some((read, write)) = wire::limits(&body)
        {
            abilities.read_bytes = bounded(read);
            abilities.write_bytes = bounded(write);
        }
    }
    Ok(abilities)
}

/// Returns how much data one request may have where the host says that. 0 is no limit that it knows.
fn bounded(limit: u64) -> u32 {
    match u32::try_from(limit.min(MOST_BYTES)) {
        Ok(bytes @ 1..) => bytes,
        _ => USUAL_BYTES,
    }
}

/// Closes a channel that is of no use, so that the session can be used further.
pub(super) async fn leave(link: &Link, client: &Client) {
    let close = async { link.drive(|_| client.close()).await.is_ok() };
    let limit = async {
        Timer::after(CLOSING).await;
        false
    };
    let _is_closed = close.or(limit).await;
}

fn refused(what: &str, error: &LinkError) -> FileError {
    if error.is_link_down() {
        return words::down(error);
    }
    let why = match error.code {
        libssh2_sys::LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED => {
            "it refused the subsystem `sftp`".to_owned()
        }
        libssh2_sys::LIBSSH2_ERROR_CHANNEL_CLOSED => "it closed the channel".to_owned(),
        _ => error.plain(),
    };
    words::error(
        FileReason::NoService,
        format!("the host gives {what}: {why}"),
    )
}
