//! An authenticated SSH connection, on which commands are started.

use std::rc::Rc;

use super::feed::Feed;
use super::ffi::{EAGAIN, RawChannel};
use super::link::{Link, LinkError};
use super::process::{ChannelOptions, SshProcess};
use super::sftp::Channels;
use crate::outcome::{Kind, Login};
use crate::quote::{self, Marker};
use crate::remote::Exec;
use crate::transport::files::{FileError, Files};
use crate::transport::marked::Marked;
use crate::transport::{Process, Session, SpawnError, Work};

/// One authenticated connection.
pub(super) struct SshSession {
    link: Rc<Link>,
    options: ChannelOptions,
    login: Login,
    files: Channels,
}

impl SshSession {
    pub(super) fn new(link: Link, options: ChannelOptions, login: Login) -> Self {
        Self {
            link: Rc::new(link),
            options,
            login,
            files: Channels::default(),
        }
    }

    async fn start(&self, exec: &Exec) -> Result<SshProcess, SpawnError> {
        let marker = Marker::random();
        let request = quote::request(exec, &marker).map_err(|error| SpawnError {
            kind: Kind::Spawn,
            message: error.to_string(),
        })?;
        let settled = self.files.settle(&self.link).await;
        settled.map_err(|error| refused("a channel", &error))?;
        self.link.allow_window(self.options.window);
        let open = |session: &_| RawChannel::open(session, self.options.window);
        let channel = self
            .link
            .drive(open)
            .await
            .map_err(|error| refused("a channel", &error))?;
        let ask = |_: &_| match channel.start("exec", &request.line) {
            // Nothing can follow the end but the end: there will be no answer.
            Err(EAGAIN) if channel.is_eof() => Err(libssh2_sys::LIBSSH2_ERROR_CHANNEL_CLOSED),
            result => result,
        };
        let asked = self.link.drive(ask).await;
        asked.map_err(|error| refused("to run the command", &error))?;
        let link = Rc::clone(&self.link);
        let told = Marked::new(&marker, exec, request.elevated);
        let mut feed = Feed::new(exec.input(), told.is_input_held());
        feed.put_ahead(&request.preamble);
        Ok(SshProcess::new(link, channel, self.options, told, feed))
    }
}

fn refused(what: &str, error: &LinkError) -> SpawnError {
    let kind = if error.is_link_down() {
        Kind::Lost
    } else {
        Kind::Channel
    };
    let message = if error.is_link_down() {
        format!(
            "the connection broke before the command ran: {}",
            error.plain()
        )
    } else if error.code == libssh2_sys::LIBSSH2_ERROR_CHANNEL_CLOSED {
        format!("the host refused {what}: it closed the channel")
    } else {
        format!("the host refused {what}: {}", error.plain())
    };
    SpawnError { kind, message }
}

impl Session for SshSession {
    fn spawn<'a>(&'a mut self, exec: &'a Exec) -> Work<'a, Result<Box<dyn Process>, SpawnError>> {
        Box::pin(async move {
            let process = self.start(exec).await?;
            Ok(Box::new(process) as Box<dyn Process>)
        })
    }

    fn files(&mut self) -> Work<'_, Result<Box<dyn Files>, FileError>> {
        Box::pin(async move {
            let files = self.files.files(&self.link, self.options).await?;
            Ok(Box::new(files) as Box<dyn Files>)
        })
    }

    fn peer(&self) -> Option<String> {
        self.link.peer()
    }

    fn login(&self) -> Option<Login> {
        Some(self.login.clone())
    }

    fn close(self: Box<Self>) -> Work<'static, ()> {
        Box::pin(async move {
            // Said once and not waited for: the answer would change nothing.
            let _ = self.link.session.disconnect(None, "", None);
            self.link.shut();
        })
    }
}
