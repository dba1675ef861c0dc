//! Lists a folder of a host, several answers under way at once.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::client::Client;
use super::lane::{Lane, text, unexpected};
use super::state::Undo;
use super::wire::{self, Malformed, Reply, Request, STATUS_EOF};
use super::words::{self, FAILURE};
use crate::transport::files::{Attributes, FileError, FileReason};

/// Answers under way: a host puts some hundred names into each.
const MOST_ASKED: usize = 4;
/// Most names of a folder.
const MOST_NAMES: usize = 1_000_000;
/// Most bytes of its names.
const MOST_BYTES: usize = 256 * 1024 * 1024;

type Names = Vec<(OsString, Attributes)>;

pub(super) async fn list(client: &Client, folder: &Path) -> Result<Names, FileError> {
    let folder = text(folder)?;
    let lane = Lane::new(client);
    let open = Request::OpenFolder(folder);
    // Closed when it is dropped; nobody need wait for that.
    let failure = "the host could not open the folder";
    let handle = lane.open(&open, Undo::default(), failure).await?;
    let read = Request::ReadFolder(handle.bytes());
    let mut names = Vec::new();
    let mut bytes = 0;
    for _ in 0..MOST_ASKED {
        lane.ask(&read);
    }
    loop {
        match lane.reply().await? {
            Reply::Names(body) => {
                lane.ask(&read);
                bytes += add(&mut names, &body)?;
            }
            Reply::Status(status) if status.code == STATUS_EOF => break,
            reply => return Err(unexpected(&reply, FAILURE)),
        }
        if names.len() > MOST_NAMES || bytes > MOST_BYTES {
            let message = format!("the folder holds more than {MOST_NAMES} names, or longer ones");
            return Err(words::error(FileReason::Refused, message));
        }
    }
    // Hosts that don't keep to the order may have some left.
    for _ in 1..MOST_ASKED {
        if let Reply::Names(body) = lane.reply().await? {
            add(&mut names, &body)?;
        }
    }
    Ok(names)
}

/// Adds the names of an answer; returns how many bytes they have.
fn add(names: &mut Names, body: &[u8]) -> Result<usize, FileError> {
    let added = wire::names(body).map_err(|error| words::no_answer(&error))?;
    if added.is_empty() {
        return Err(words::no_answer(&Malformed::Packet));
    }
    let mut bytes = 0;
    for (name, attributes) in added {
        bytes += name.len();
        match name.as_bytes() {
            b"." | b".." => {}
            name if name.is_empty() || name.contains(&b'/') || name.contains(&0) => {
                let name = wire::shown(name);
                return Err(words::error(
                    FileReason::Lost,
                    format!("the host names a file `{name}`, which can't be a name"),
                ));
            }
            _ => names.push((name, attributes)),
        }
    }
    Ok(bytes)
}
