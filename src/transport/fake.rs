//! Scripted hosts for tests and benches: what a host does is said beforehand, nothing is executed.
//!
//! ```
//! use hoist::transport::fake::{Fake, Script};
//!
//! let fake = Fake::new()
//!     .host("web1", Script::new().says("up 3 days\n").exits(0))
//!     .host("web2", Script::new().refuses(1).says("up 1 day\n").exits(0));
//! # let _ = fake;
//! ```
//!
//! A host without a script succeeds silently. Nothing sleeps: a script waits for a [`Gate`] that
//! the test opens, or for ever.

use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::future;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::{
    ConnectError, End, Phase, Process, Progress, Session, SpawnError, Transport, UnknownKey, Work,
};
use crate::host::Endpoint;
use crate::outcome::Kind;
use crate::remote::{Exec, ExitStatus, Pipe, Signal};

/// Something a script waits for and a test opens, once.
#[derive(Debug, Clone)]
pub struct Gate {
    open: async_channel::Sender<()>,
    wait: async_channel::Receiver<()>,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// Returns a closed gate.
    pub fn new() -> Self {
        let (open, wait) = async_channel::bounded(1);
        Self { open, wait }
    }

    /// Lets everyone through, now and later.
    pub fn open(&self) {
        self.open.close();
    }

    async fn pass(&self) {
        // Nothing is ever sent: this ends when the gate is opened.
        let _ = self.wait.recv().await;
    }
}

#[derive(Debug, Clone)]
enum Act {
    Write(Pipe, Vec<u8>),
    WaitFor(Gate),
    End(End),
    Panic,
}

/// What one host does.
#[derive(Debug, Clone, Default)]
pub struct Script {
    refusals: u32,
    drops: u32,
    is_silent: bool,
    unknown_key: bool,
    never_starts: bool,
    ignores: Vec<Signal>,
    acts: VecDeque<Act>,
}

impl Script {
    /// Returns a host that connects and then does what is added, in order.
    pub fn new() -> Self {
        Self::default()
    }

    /// Refuses so many connections first.
    #[must_use]
    pub fn refuses(mut self, times: u32) -> Self {
        self.refusals = times;
        self
    }

    /// Drops so many connections before login first, as a busy server does.
    #[must_use]
    pub fn drops(mut self, times: u32) -> Self {
        self.drops = times;
        self
    }

    /// Never answers a connection.
    #[must_use]
    pub fn is_silent(mut self) -> Self {
        self.is_silent = true;
        self
    }

    /// Shows a key nobody has vouched for, until it is trusted.
    #[must_use]
    pub fn has_unknown_key(mut self) -> Self {
        self.unknown_key = true;
        self
    }

    /// Never answers the request to start a command.
    #[must_use]
    pub fn never_starts(mut self) -> Self {
        self.never_starts = true;
        self
    }

    /// Is not ended by this signal.
    #[must_use]
    pub fn ignores(mut self, signal: Signal) -> Self {
        self.ignores.push(signal);
        self
    }

    /// Writes to stdout.
    #[must_use]
    pub fn says(self, text: &str) -> Self {
        self.act(Act::Write(Pipe::Stdout, text.as_bytes().to_vec()))
    }

    /// Writes to a pipe.
    #[must_use]
    pub fn writes(self, pipe: Pipe, bytes: &[u8]) -> Self {
        self.act(Act::Write(pipe, bytes.to_vec()))
    }

    /// Waits until the gate is open.
    #[must_use]
    pub fn waits_for(self, gate: &Gate) -> Self {
        self.act(Act::WaitFor(gate.clone()))
    }

    /// Ends with this code. Without any end a script ends with 0.
    #[must_use]
    pub fn exits(self, code: u32) -> Self {
        self.ends(End::Exited {
            status: ExitStatus::Code(code),
            is_held: false,
        })
    }

    /// Ends so.
    #[must_use]
    pub fn ends(self, end: End) -> Self {
        self.act(Act::End(end))
    }

    /// Fails as a defect in hoist would.
    #[must_use]
    pub fn panics(self) -> Self {
        self.act(Act::Panic)
    }

    fn act(mut self, act: Act) -> Self {
        self.acts.push_back(act);
        self
    }
}

/// A fleet of scripted hosts.
#[derive(Debug, Default)]
pub struct Fake {
    scripts: HashMap<String, Script>,
    seen: Arc<Seen>,
}

/// What a [`Fake`] saw.
#[derive(Debug, Default)]
struct Seen {
    connected: Mutex<Vec<String>>,
    refused: Mutex<HashMap<String, u32>>,
    trusted: Mutex<Vec<String>>,
    open: AtomicUsize,
    most_open: AtomicUsize,
}

impl Fake {
    /// Returns a fleet in which every host succeeds silently.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says what one host does.
    #[must_use]
    pub fn host(mut self, name: &str, script: Script) -> Self {
        self.scripts.insert(name.to_owned(), script);
        self
    }

    /// Returns the hosts in the order they were connected to, refusals not counted.
    pub fn connected(&self) -> Vec<String> {
        locked(&self.seen.connected).clone()
    }

    /// Returns the most sessions that were open at one time.
    pub fn most_open(&self) -> usize {
        self.seen.most_open.load(Ordering::SeqCst)
    }

    /// Returns how often a host refused or dropped a connection.
    pub fn refusals(&self, name: &str) -> u32 {
        locked(&self.seen.refused).get(name).copied().unwrap_or(0)
    }
}

impl Fake {
    fn turn_away(&self, name: &str, script: &Script) -> Option<ConnectError> {
        let mut refused = locked(&self.seen.refused);
        let count = refused.entry(name.to_owned()).or_default();
        if *count >= script.refusals.saturating_add(script.drops) {
            return None;
        }
        *count += 1;
        Some(if *count <= script.refusals {
            ConnectError::transient(Kind::Refused, "connection refused")
        } else {
            ConnectError::busy(Kind::Handshake, "the host hung up")
        })
    }
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Transport for Fake {
    fn connect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        phase: &'a Cell<Phase>,
    ) -> Work<'a, Result<Box<dyn Session>, ConnectError>> {
        let name = endpoint.name.as_str();
        let script = self.scripts.get(name).cloned().unwrap_or_default();
        Box::pin(async move {
            phase.set(Phase::Connect);
            if script.is_silent {
                future::pending::<()>().await;
            }
            if let Some(failure) = self.turn_away(name, &script) {
                return Err(failure);
            }
            if script.unknown_key && !locked(&self.seen.trusted).contains(&name.to_owned()) {
                return Err(ConnectError {
                    unknown_key: Some(Box::new(UnknownKey {
                        host: name.to_owned(),
                        algorithm: "ssh-ed25519".to_owned(),
                        fingerprint: "SHA256:fake".to_owned(),
                        blob: Vec::new(),
                        file: None,
                        is_hashed: false,
                    })),
                    ..ConnectError::permanent(Kind::HostKeyUnknown, "the host's key is not known")
                });
            }
            locked(&self.seen.connected).push(name.to_owned());
            let open = self.seen.open.fetch_add(1, Ordering::SeqCst) + 1;
            self.seen.most_open.fetch_max(open, Ordering::SeqCst);
            Ok(Box::new(FakeSession {
                script,
                seen: Arc::clone(&self.seen),
            }) as Box<dyn Session>)
        })
    }

    fn trust(&self, keys: &[UnknownKey]) -> io::Result<()> {
        locked(&self.seen.trusted).extend(keys.iter().map(|key| key.host.clone()));
        Ok(())
    }
}

struct FakeSession {
    script: Script,
    seen: Arc<Seen>,
}

impl Drop for FakeSession {
    fn drop(&mut self) {
        self.seen.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Session for FakeSession {
    fn spawn<'a>(&'a mut self, _exec: &'a Exec) -> Work<'a, Result<Box<dyn Process>, SpawnError>> {
        let process = FakeProcess {
            script: self.script.clone(),
            died_of: None,
        };
        Box::pin(async {
            if process.script.never_starts {
                future::pending::<()>().await;
            }
            Ok(Box::new(process) as Box<dyn Process>)
        })
    }

    fn peer(&self) -> Option<String> {
        None
    }

    fn close(self: Box<Self>) -> Work<'static, ()> {
        Box::pin(async {})
    }
}

struct FakeProcess {
    script: Script,
    died_of: Option<Signal>,
}

impl Process for FakeProcess {
    fn next<'a>(&'a mut self, buffer: &'a mut Vec<u8>) -> Work<'a, Progress> {
        Box::pin(async move {
            loop {
                if let Some(signal) = self.died_of {
                    let status = ExitStatus::Signal(signal.as_str().to_owned());
                    return Progress::Ended(End::Exited {
                        status,
                        is_held: false,
                    });
                }
                match self.script.acts.front().cloned() {
                    Some(Act::WaitFor(gate)) => gate.pass().await,
                    Some(Act::Write(pipe, bytes)) => {
                        self.script.acts.pop_front();
                        *buffer = bytes;
                        return Progress::Output(pipe);
                    }
                    Some(Act::End(end)) => return Progress::Ended(end),
                    Some(Act::Panic) => panic!("the script says so"),
                    None => {
                        let status = ExitStatus::Code(0);
                        return Progress::Ended(End::Exited {
                            status,
                            is_held: false,
                        });
                    }
                }
                self.script.acts.pop_front();
            }
        })
    }

    fn signal(&mut self, signal: Signal) -> Work<'_, io::Result<()>> {
        Box::pin(async move {
            if !self.script.ignores.contains(&signal) {
                self.died_of = Some(signal);
            }
            Ok(())
        })
    }
}
