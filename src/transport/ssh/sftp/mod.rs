//! The files of a host over SFTP version 3 (draft-ietf-secsh-filexfer-02), with what OpenSSH adds to
//! it: `posix-rename@openssh.com` and `limits@openssh.com`.
//!
//! A session comes in; its [`Files`] come out, on a channel of their own. libssh2's own SFTP is not
//! used: it does one thing at a time and keeps what it reads in lists. Data is kept nowhere here: a file
//! that is written is read just before its bytes go out, one that is read is handed on as it comes.
//!
//! As long as a command runs on the session, the futures of its files must not be polled.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::link::{Link, LinkError};
use super::process::ChannelOptions;
use crate::remote::Content;
use crate::transport::Work;
use crate::transport::files::{Attributes, FileError, FileReason, Files, Wanted};

mod client;
mod fetch;
mod greeting;
mod lane;
mod listing;
mod state;
mod store;
mod wire;
mod words;

use client::Client;
use greeting::Abilities;
use lane::{Lane, text, unexpected};
use store::Kept;
use wire::{Reply, Request, Setting};
use words::FAILURE;

/// What a failure means, where the host says no more.
const NO_FOLDER: &str = "the host could not make the folder (is something there already?)";
const NO_LINK: &str = "the host could not make the link (is something there already?)";
const NOT_REMOVED: &str = "the host could not remove it (is it a folder?)";
const FOLDER_STAYS: &str = "the host could not remove the folder (is something in it?)";
const NOT_REPLACED: &str = "the host could not put it in its place (is a folder there?)";

/// The files of a host; clones use the same channel.
#[derive(Clone)]
pub(super) struct Sftp {
    client: Rc<Client>,
    abilities: Abilities,
    kept: Rc<Kept>,
}

/// The SFTP channels of a session.
#[derive(Default)]
pub(super) struct Channels {
    current: Option<Sftp>,
    /// Of no use any more, and not closed by the host: they can't be freed before the session.
    left: Vec<Rc<Client>>,
}

impl Channels {
    /// Returns the session's files; opens a channel where there is none, or none of use any more.
    pub(super) async fn files(
        &mut self,
        link: &Rc<Link>,
        options: ChannelOptions,
    ) -> Result<Sftp, FileError> {
        if let Some(current) = &self.current
            && !current.client.is_broken()
        {
            return Ok(current.clone());
        }
        if let Some(broken) = self.current.take() {
            self.leave(link, broken.client).await;
        }
        let client = Rc::new(greeting::open(link, options).await?);
        match greeting::greet(&client).await {
            Ok(abilities) => {
                let sftp = Sftp {
                    client,
                    abilities,
                    kept: Rc::default(),
                };
                self.current = Some(sftp.clone());
                Ok(sftp)
            }
            Err(error) => {
                self.leave(link, Rc::clone(&client)).await;
                Err(client.end_at_once().unwrap_or(error))
            }
        }
    }

    async fn leave(&mut self, link: &Link, client: Rc<Client>) {
        greeting::leave(link, &client).await;
        if !client.is_closed() {
            self.left.push(client);
        }
    }

    /// Lets others use the session: finishes what was begun to be sent.
    pub(super) async fn settle(&self, link: &Link) -> Result<(), LinkError> {
        match &self.current {
            Some(current) => link.drive(|_| current.client.settle()).await,
            None => Ok(()),
        }
    }
}

impl Sftp {
    /// Does something that is answered by a status.
    async fn done(&self, request: &Request<'_>, failure: &str) -> Result<(), FileError> {
        Lane::new(&self.client).done(request, failure).await
    }

    async fn look(&self, path: &Path, follows: bool) -> Result<Option<Attributes>, FileError> {
        let path = text(path)?;
        let request = if follows {
            Request::LookBehind(path)
        } else {
            Request::Look(path)
        };
        match Lane::new(&self.client).known(&request).await {
            Ok(known) => Ok(Some(known.attributes())),
            Err(error) if error.reason == FileReason::Missing => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks for the one name that answers a request.
    async fn name(&self, request: &Request<'_>) -> Result<PathBuf, FileError> {
        let lane = Lane::new(&self.client);
        lane.ask(request);
        let body = match lane.reply().await? {
            Reply::Names(body) => body,
            reply => return Err(unexpected(&reply, FAILURE)),
        };
        let mut names = wire::names(&body).map_err(|error| words::no_answer(&error))?;
        match (names.pop(), names.is_empty()) {
            (Some((name, _)), true) if !name.as_bytes().contains(&0) => {
                Ok(PathBuf::from(OsString::from_vec(name.into_vec())))
            }
            _ => Err(words::no_answer(&wire::Malformed::Packet)),
        }
    }

    async fn replace(&self, from: &Path, to: &Path) -> Result<(), FileError> {
        if !self.abilities.can_replace {
            return Err(words::error(
                FileReason::Unsupported,
                "the host's SFTP can't put a file in the place of another",
            ));
        }
        let request = Request::Replace(text(from)?, text(to)?);
        self.done(&request, NOT_REPLACED).await
    }
}

impl Files for Sftp {
    fn look<'a>(
        &'a self,
        path: &'a Path,
        follows: bool,
    ) -> Work<'a, Result<Option<Attributes>, FileError>> {
        Box::pin(self.look(path, follows))
    }

    fn real_path<'a>(&'a self, path: &'a Path) -> Work<'a, Result<PathBuf, FileError>> {
        Box::pin(async move { self.name(&Request::RealPath(text(path)?)).await })
    }

    fn list<'a>(
        &'a self,
        folder: &'a Path,
    ) -> Work<'a, Result<Vec<(OsString, Attributes)>, FileError>> {
        Box::pin(listing::list(&self.client, folder))
    }

    fn make_folder<'a>(&'a self, path: &'a Path, mode: u32) -> Work<'a, Result<(), FileError>> {
        Box::pin(async move {
            let request = Request::MakeFolder(text(path)?, Setting::mode(mode));
            self.done(&request, NO_FOLDER).await
        })
    }

    fn make_link<'a>(
        &'a self,
        path: &'a Path,
        target: &'a Path,
    ) -> Work<'a, Result<(), FileError>> {
        Box::pin(async move {
            let request = Request::MakeLink(text(target)?, text(path)?);
            self.done(&request, NO_LINK).await
        })
    }

    fn read_link<'a>(&'a self, path: &'a Path) -> Work<'a, Result<PathBuf, FileError>> {
        Box::pin(async move { self.name(&Request::ReadLink(text(path)?)).await })
    }

    fn set<'a>(&'a self, path: &'a Path, wanted: Wanted) -> Work<'a, Result<(), FileError>> {
        Box::pin(async move {
            let setting = Setting {
                size: None,
                mode: wanted.mode,
                modified: wanted.modified,
            };
            self.done(&Request::Set(text(path)?, setting), FAILURE)
                .await
        })
    }

    fn replace<'a>(&'a self, from: &'a Path, to: &'a Path) -> Work<'a, Result<(), FileError>> {
        Box::pin(self.replace(from, to))
    }

    fn remove<'a>(&'a self, path: &'a Path) -> Work<'a, Result<(), FileError>> {
        Box::pin(async move { self.done(&Request::Remove(text(path)?), NOT_REMOVED).await })
    }

    fn remove_folder<'a>(&'a self, path: &'a Path) -> Work<'a, Result<(), FileError>> {
        Box::pin(async move {
            self.done(&Request::RemoveFolder(text(path)?), FOLDER_STAYS)
                .await
        })
    }

    fn store<'a>(
        &'a self,
        path: &'a Path,
        content: &'a dyn Content,
        wanted: Wanted,
        sent: &'a dyn Fn(u64),
    ) -> Work<'a, Result<(), FileError>> {
        Box::pin(store::store(self, path, content, wanted, sent))
    }

    fn fetch<'a>(
        &'a self,
        path: &'a Path,
        offset: u64,
        sink: &'a mut dyn FnMut(&[u8], u64) -> std::io::Result<()>,
    ) -> Work<'a, Result<u64, FileError>> {
        Box::pin(fetch::fetch(
            &self.client,
            self.abilities,
            path,
            offset,
            sink,
        ))
    }
}
