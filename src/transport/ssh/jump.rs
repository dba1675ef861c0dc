//! Ways through jump hosts: one session to a jump host carries many hosts.
//!
//! All of it happens on one thread of its own, so that hosts on every worker share the sessions. A
//! host asks for a stream to its address and gets one end of a pair of sockets; the other end is
//! bridged to a channel of the jump host's session (`direct-tcpip`, RFC 4254 §7.2). A jump host is
//! reached, verified and logged in to by its own settings, through jump hosts of its own if it has
//! some. One session carries up to [`MAX_CHANNELS`]; more are made one after the other, which keeps
//! within what sshd lets log in at once.
//!
//! libssh2 opens one channel of a session at a time, and a host that doesn't answer its jump host
//! holds that up: who has waited long enough gets a further session. One that breaks, or is silent
//! for too long, ends with those it carries, who are told ([`Fate`]); one that nobody needs is closed.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use async_channel::{Receiver, Sender};
use async_executor::LocalExecutor;
use async_io::Timer;
use event_listener::Event;
use futures_lite::future::{self, FutureExt};

use self::bridge::Bridge;
use super::Inner;
use super::link::Link;
use crate::host::{Address, Endpoint, Port};
use crate::outcome::Kind;
use crate::transport::{ConnectError, Phase, Work};

mod bridge;
mod fate;

pub(super) use fate::{Fate, Lead};

/// Channels on one session.
const MAX_CHANNELS: usize = 64;
/// Further sessions are made quickly up to so many, and slowly from then on.
const FEW_SESSIONS: usize = 8;
/// How long somebody waits for a session before another one is made.
const SHORT_WAIT: Duration = Duration::from_millis(30);
const LONG_WAIT: Duration = Duration::from_secs(1);
/// How often a way is asked for, where sessions break before they lead anywhere.
const TRIES: usize = 3;
/// How long a jump host that failed is not tried again.
const FAILURE_KEPT: Duration = Duration::from_secs(3);
/// How long a failure is news to those who waited for it.
const JUST_NOW: Duration = Duration::from_millis(50);

/// A host that asks for a way.
struct Request {
    jump: Arc<Endpoint>,
    address: Address,
    port: Port,
    answer: Sender<Answer>,
}

/// What becomes of a request.
enum Answer {
    /// The jump host is there and was asked to connect.
    Asked,
    Done(Result<Lead, ConnectError>),
}

/// Somebody who finds ways through jump hosts.
pub(super) trait Guide {
    /// Returns a stream to `address` and `port` as the jump host sees them. The phase tells whether
    /// the jump host or the host is waited for.
    fn lead<'a>(
        &'a self,
        jump: &'a Arc<Endpoint>,
        address: &'a Address,
        port: Port,
        phase: &'a Cell<Phase>,
    ) -> Work<'a, Result<Lead, ConnectError>>;
}

/// The thread on which jump hosts are reached, started when it is needed first.
#[derive(Default)]
pub(super) struct Jumps {
    requests: OnceLock<Sender<Request>>,
}

impl Jumps {
    /// Starts the thread, unless it runs.
    pub(super) fn start(&self, inner: &Arc<Inner>) {
        self.requests.get_or_init(|| {
            let (requests, inbox) = async_channel::unbounded();
            let inner = Arc::clone(inner);
            // Where there can be no thread, the inbox is dropped, and every request tells.
            let _ = thread::Builder::new()
                .name("jumps".to_owned())
                .spawn(move || serve(&inner, &inbox));
            requests
        });
    }
}

impl Guide for Jumps {
    fn lead<'a>(
        &'a self,
        jump: &'a Arc<Endpoint>,
        address: &'a Address,
        port: Port,
        phase: &'a Cell<Phase>,
    ) -> Work<'a, Result<Lead, ConnectError>> {
        Box::pin(async move {
            phase.set(Phase::Jump);
            let (answer, answers) = async_channel::bounded(2);
            let request = Request {
                jump: Arc::clone(jump),
                address: address.clone(),
                port,
                answer,
            };
            let gone = || {
                let message = "no thread could be started for jump hosts";
                ConnectError::transient(Kind::Internal, message)
            };
            let requests = self.requests.get().ok_or_else(gone)?;
            requests.send(request).await.map_err(|_| gone())?;
            loop {
                match answers.recv().await.map_err(|_| gone())? {
                    Answer::Asked => phase.set(Phase::Connect),
                    Answer::Done(result) => return result,
                }
            }
        })
    }
}

/// Answers requests until nobody can make any more.
fn serve(inner: &Arc<Inner>, requests: &Receiver<Request>) {
    let executor = Rc::new(LocalExecutor::new());
    let pool = Rc::new(Pool {
        inner: Arc::clone(inner),
        executor: Rc::clone(&executor),
        ways: RefCell::default(),
    });
    async_io::block_on(executor.run(async {
        while let Ok(request) = requests.recv().await {
            let pool = Rc::clone(&pool);
            executor.spawn(pool.answer(request)).detach();
        }
    }));
    // Tasks hold the pool, and the pool holds the executor.
    pool.ways.borrow_mut().clear();
}

/// The jump hosts in use.
struct Pool {
    inner: Arc<Inner>,
    executor: Rc<LocalExecutor<'static>>,
    ways: RefCell<HashMap<Arc<Endpoint>, Rc<Way>>>,
}

/// What leads through one jump host.
#[derive(Default)]
struct Way {
    sessions: RefCell<Vec<Rc<Carrier>>>,
    is_connecting: Cell<bool>,
    /// When it failed, after how many keys had been trusted, and how.
    failure: RefCell<Option<(Instant, usize, ConnectError)>>,
    changed: Event,
}

/// One session to a jump host.
struct Carrier {
    /// Channels in use or being opened.
    channels: Cell<usize>,
    is_opening: Cell<bool>,
    orders: Sender<Order>,
    fate: Arc<Fate>,
}

/// Where a session belongs.
struct Place {
    way: Weak<Way>,
    carrier: Weak<Carrier>,
    fate: Arc<Fate>,
}

/// A channel to open.
struct Order {
    host: String,
    port: u16,
    answer: Sender<Result<Lead, ConnectError>>,
}

impl Guide for Rc<Pool> {
    fn lead<'a>(
        &'a self,
        jump: &'a Arc<Endpoint>,
        address: &'a Address,
        port: Port,
        phase: &'a Cell<Phase>,
    ) -> Work<'a, Result<Lead, ConnectError>> {
        Box::pin(async move {
            phase.set(Phase::Jump);
            let asked = || phase.set(Phase::Connect);
            self.find(jump, address, port, asked).await
        })
    }
}

impl Carrier {
    /// Has a channel opened on the place that was taken; `None` if the session ends meanwhile.
    async fn open(&self, address: &Address, port: Port) -> Option<Result<Lead, ConnectError>> {
        let (answer, answers) = async_channel::bounded(1);
        let order = Order {
            host: address.to_string(),
            port: port.get(),
            answer,
        };
        self.orders.send(order).await.ok()?;
        answers.recv().await.ok()
    }
}

impl Pool {
    async fn answer(self: Rc<Self>, request: Request) {
        let Request {
            jump,
            address,
            port,
            answer,
        } = request;
        // Whoever gave up hears nothing.
        let asked = || drop(answer.try_send(Answer::Asked));
        let result = self.find(&jump, &address, port, asked).await;
        let _ = answer.send(Answer::Done(result)).await;
    }

    /// Finds a way to an address; tells when a session is there and was asked to lead on.
    ///
    /// A session may turn out to be gone when it is asked: nothing was lost then but a moment.
    async fn find(
        self: &Rc<Self>,
        jump: &Arc<Endpoint>,
        address: &Address,
        port: Port,
        asked: impl Fn(),
    ) -> Result<Lead, ConnectError> {
        let mut fate = None;
        for _ in 0..TRIES {
            let carrier = self.carrier(jump).await?;
            asked();
            if let Some(result) = carrier.open(address, port).await {
                return result;
            }
            fate = carrier.fate.end().map(str::to_owned);
        }
        let broke = || format!("the connection to the jump host {} broke", jump.name);
        let message = fate.unwrap_or_else(broke);
        Err(ConnectError::transient(Kind::Lost, message))
    }

    /// Returns a session with room on which nothing is being opened, and takes a place on it.
    async fn carrier(self: &Rc<Self>, jump: &Arc<Endpoint>) -> Result<Rc<Carrier>, ConnectError> {
        let way = Rc::clone(self.ways.borrow_mut().entry(Arc::clone(jump)).or_default());
        let began = Instant::now();
        loop {
            let changed = way.changed.listen();
            if let Some(carrier) = way.take() {
                return Ok(carrier);
            }
            let count = way.sessions.borrow().len();
            if count == 0
                && let Some(failure) = way.recent_failure(self.inner.trusted())
            {
                return Err(failure);
            }
            let patience = match count {
                0 => Duration::ZERO,
                few if few < FEW_SESSIONS => SHORT_WAIT,
                _ => LONG_WAIT,
            };
            let left = patience.saturating_sub(began.elapsed());
            if left.is_zero() && !way.is_connecting.replace(true) {
                let work = Rc::clone(self).connect(Arc::clone(jump), Rc::clone(&way));
                self.executor.spawn(work).detach();
            }
            let again = async {
                if left.is_zero() {
                    future::pending::<()>().await;
                }
                Timer::after(left).await;
            };
            changed.or(again).await;
        }
    }

    /// Makes one more session.
    async fn connect(self: Rc<Self>, jump: Arc<Endpoint>, way: Rc<Way>) {
        let trusted = self.inner.trusted();
        let result = self.log_in(&jump).await;
        way.is_connecting.set(false);
        match result {
            Ok(link) => {
                let (orders, inbox) = async_channel::unbounded();
                let carrier = Rc::new(Carrier {
                    channels: Cell::new(0),
                    is_opening: Cell::new(false),
                    orders,
                    fate: Arc::default(),
                });
                way.sessions.borrow_mut().push(Rc::clone(&carrier));
                let place = Place {
                    way: Rc::downgrade(&way),
                    carrier: Rc::downgrade(&carrier),
                    fate: Arc::clone(&carrier.fate),
                };
                let bridge = Bridge::new(link, jump, place, inbox);
                self.executor.spawn(bridge.work()).detach();
            }
            Err(failure) => {
                *way.failure.borrow_mut() =
                    Some((Instant::now(), trusted, of_jump(&jump, failure)));
            }
        }
        way.changed.notify(usize::MAX);
    }

    async fn log_in(self: &Rc<Self>, jump: &Arc<Endpoint>) -> Result<Link, ConnectError> {
        let phase = Cell::new(Phase::Start);
        let limit = jump
            .ssh
            .connect_timeout
            .unwrap_or(self.inner.connect_timeout());
        let late = async {
            Timer::after(limit).await;
            let message = format!("no answer in {limit:?} while {}", phase.get().as_str());
            Err(ConnectError::transient(Kind::ConnectTimeout, message))
        };
        let (link, _) = self.inner.log_in_to(jump, &phase, self).or(late).await?;
        Ok(link)
    }
}

impl Way {
    fn take(&self) -> Option<Rc<Carrier>> {
        let sessions = self.sessions.borrow();
        let mut sessions = sessions.iter();
        let is_free = |carrier: &&Rc<Carrier>| {
            !carrier.is_opening.get() && carrier.channels.get() < MAX_CHANNELS
        };
        let carrier = sessions.find(is_free)?;
        carrier.is_opening.set(true);
        carrier.channels.set(carrier.channels.get() + 1);
        Some(Rc::clone(carrier))
    }

    /// Takes a session that is over out of use.
    fn leave(&self, carrier: &Rc<Carrier>) {
        self.sessions
            .borrow_mut()
            .retain(|other| !Rc::ptr_eq(other, carrier));
        self.changed.notify(usize::MAX);
    }

    fn recent_failure(&self, trusted: usize) -> Option<ConnectError> {
        let failure = self.failure.borrow();
        let (at, trusted_then, failure) = failure.as_ref()?;
        // A key that is not known may be by the next time, and who is busy may have room.
        let may_pass = failure.unknown_key.is_some() || failure.is_busy;
        let kept = if may_pass { JUST_NOW } else { FAILURE_KEPT };
        let is_recent = at.elapsed() <= kept;
        let is_news = is_recent && *trusted_then == trusted;
        (!self.is_connecting.get() && is_news).then(|| failure.clone())
    }
}

/// Names the jump host in a failure.
fn of_jump(jump: &Endpoint, failure: ConnectError) -> ConnectError {
    ConnectError {
        message: format!("jump host {}: {}", jump.name, failure.message),
        ..failure
    }
}
