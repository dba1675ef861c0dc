//! One connection: lets the one key in, answers what is to be executed.

use std::sync::Arc;
use std::time::Duration;

use russh::keys::PublicKey;
use russh::server::{
    Auth, ChannelOpenHandle, Handle, Handler, Msg, PublicKeyOffer, Session, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, Error, Pty};

use crate::exec::{self, Meeting};
use crate::meeting;

/// What ssh(1) calls stderr (RFC 4254, 5.2).
const STDERR: u32 = 1;

/// How long all hosts go on running once they have met, so that memory can be sampled.
const TOGETHER: Duration = Duration::from_secs(2);

pub struct Host {
    authorized: Arc<PublicKey>,
}

impl Host {
    pub fn new(authorized: Arc<PublicKey>) -> Self {
        Self { authorized }
    }

    fn judge(&self, key: &PublicKey) -> Auth {
        if key.key_data() == self.authorized.key_data() {
            Auth::Accept
        } else {
            Auth::reject()
        }
    }
}

impl Handler for Host {
    type Error = Error;

    async fn auth_publickey_offered(
        &mut self,
        _: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Error> {
        Ok(self.judge(offer.public_key))
    }

    async fn auth_publickey(&mut self, _: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Error> {
        Ok(self.judge(key.public_key))
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Error> {
        reply.accept().await;
        Ok(())
    }

    /// Ansible asks for a terminal and gets none: the answer has no line ending to change.
    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _: &str,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
        _: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Error> {
        session.channel_success(channel)
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        line: &[u8],
        session: &mut Session,
    ) -> Result<(), Error> {
        let answer = exec::answer(line);
        session.channel_success(channel)?;
        if !answer.stderr.is_empty() {
            session.extended_data(channel, STDERR, answer.stderr)?;
        }
        match answer.meeting {
            Some(meeting) => {
                tokio::spawn(end_after(session.handle(), channel, meeting, answer.stdout));
                Ok(())
            }
            None => {
                session.data(channel, answer.stdout)?;
                session.exit_status_request(channel, answer.status)?;
                session.eof(channel)?;
                session.close(channel)
            }
        }
    }
}

/// Ends the command some time after its meeting, unless the client has left meanwhile.
async fn end_after(handle: Handle, channel: ChannelId, meeting: Meeting, stdout: Vec<u8>) {
    meeting::attend(&meeting.name, meeting.expected).await;
    tokio::time::sleep(TOGETHER).await;
    if handle.data(channel, stdout).await.is_ok() {
        let _ = handle.exit_status_request(channel, 0).await;
        let _ = handle.eof(channel).await;
        let _ = handle.close(channel).await;
    }
}
