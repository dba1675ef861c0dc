//! A provider in memory that can be told to misbehave.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use super::super::super::{
    Account, Article, Catalogue, Destroyed, FleetName, Offer, Order, Pace, Prepared, Provider,
    ProviderError, ProviderName, PublicKey, Refusal, RefusalKind, Server, Spec, State, Stop,
};
use super::super::{Fleet, Raised, Razed, Step, Told, Wanted};
use crate::provider::ledger::{Ledger, Recorded};

/// What a create call does in the place of making a server and saying so.
#[derive(Debug, Clone)]
pub(super) enum Act {
    /// Makes it; no answer comes.
    LoseAnswer,
    /// Makes nothing; no answer comes.
    LoseCall,
    /// Refuses.
    Refuse(RefusalKind),
    /// Makes one that goes wrong.
    Break,
    /// Makes it, throws the stop and answers too late.
    StopAndHang(Stop, Duration),
    /// Makes it and answers after the stop was thrown.
    StopAndAnswer(Stop),
    /// Makes it, and lets nobody write to the record any more.
    Seal(Arc<std::fs::File>),
}

/// A server there is.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) server: Server,
    /// How many listings don't show it yet.
    pub(super) hidden: u32,
}

/// What there is, and what is to happen.
#[derive(Debug, Clone, Default)]
pub(super) struct World {
    pub(super) servers: Vec<Kept>,
    /// By number of the create call, from 1.
    pub(super) acts: BTreeMap<usize, Act>,
    /// The names of the create calls.
    pub(super) created: Vec<String>,
    pub(super) destroyed: Vec<String>,
    /// How many listings don't show a new server.
    pub(super) is_late: u32,
    /// How many destroy calls are refused as locked.
    pub(super) is_locked: u32,
    /// How many destroy calls don't know the server yet.
    pub(super) is_unknown: u32,
    /// How many listings fail.
    pub(super) is_unlisted: u32,
    /// Whether destroying does nothing.
    pub(super) is_stubborn: bool,
    /// Whether no two servers may have one name.
    pub(super) has_unique_names: bool,
    /// Only what is in this region is listed.
    pub(super) region: Option<String>,
    next_id: u32,
}

/// Who is shown what there is before and after each create call.
type Watcher = Box<dyn Fn(&World) + Send + Sync>;

pub(super) struct Memory {
    pub(super) name: ProviderName,
    pub(super) world: Mutex<World>,
    pub(super) watcher: Option<Watcher>,
}

impl Memory {
    pub(super) fn new(name: ProviderName) -> Self {
        Self {
            name,
            world: Mutex::default(),
            watcher: None,
        }
    }

    fn is_tagged(&self) -> bool {
        self.name != ProviderName::Ovh
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> T {
        change(&mut self.world.lock().unwrap())
    }

    /// Puts a server there and returns its id.
    pub(super) fn put(&self, name: &str, fleet: Option<&str>, age: Duration) -> String {
        self.change(|world| {
            let mut server = world.make(self.name, name);
            server.fleet = fleet.map(|fleet| FleetName::parse(fleet).unwrap());
            server.created_at = Some(SystemTime::now() - age);
            let id = server.id.clone();
            world.servers.push(Kept { server, hidden: 0 });
            id
        })
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.change(|world| {
            let names = world.servers.iter().map(|kept| kept.server.name.clone());
            let mut names: Vec<_> = names.collect();
            names.sort();
            names
        })
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.change(|world| {
            let ids = world.servers.iter().map(|kept| kept.server.id.clone());
            ids.collect()
        })
    }

    fn watch(&self, world: &World) {
        if let Some(watcher) = &self.watcher {
            watcher(world);
        }
    }

    pub(super) fn refused(&self, kind: RefusalKind) -> ProviderError {
        ProviderError::Refused {
            provider: self.name,
            refusal: Refusal {
                kind,
                ..Refusal::new(400, "no")
            },
        }
    }

    fn lost(&self) -> ProviderError {
        ProviderError::Lost {
            provider: self.name,
            message: "the line went dead".to_owned(),
        }
    }
}

impl World {
    fn make(&mut self, provider: ProviderName, name: &str) -> Server {
        self.next_id += 1;
        let mut server = Server::new(provider, format!("id-{}", self.next_id), name);
        server.state = State::Running;
        server.raw_state = "active".to_owned();
        server.region = "here".to_owned();
        server.ipv4 = Some("192.0.2.1".parse().unwrap());
        server.created_at = Some(SystemTime::now());
        server
    }
}

impl Provider for Memory {
    fn name(&self) -> ProviderName {
        self.name
    }

    fn check(&self) -> Result<Account, ProviderError> {
        Ok(Account::default())
    }

    fn catalogue(&self, _: Catalogue, _: Option<&str>) -> Result<Vec<Article>, ProviderError> {
        Ok(Vec::new())
    }

    fn offer(&self, _: &Spec) -> Result<Offer, ProviderError> {
        Ok(offer())
    }

    fn prepare(&self, _: &Spec, _: &Offer) -> Result<Prepared, ProviderError> {
        Ok(Prepared::default())
    }

    fn create(&self, order: &Order<'_>) -> Result<Server, ProviderError> {
        let mut world = self.world.lock().unwrap();
        self.watch(&world);
        world.created.push(order.name.to_owned());
        let act = world.acts.get(&world.created.len()).cloned();
        match &act {
            Some(Act::LoseCall) => return Err(self.lost()),
            Some(Act::Refuse(kind)) => return Err(self.refused(*kind)),
            _ => {}
        }
        let has_name = |kept: &Kept| kept.server.name == order.name;
        if world.has_unique_names && world.servers.iter().any(has_name) {
            return Err(self.refused(RefusalKind::Conflict));
        }
        let mut server = world.make(self.name, order.name);
        server.region.clone_from(&order.offer.region);
        server.fleet = self.is_tagged().then(|| order.spec.fleet.clone());
        if matches!(act, Some(Act::Break)) {
            server.state = State::Error;
            server.raw_state = "broken".to_owned();
        }
        let hidden = world.is_late;
        world.servers.push(Kept {
            server: server.clone(),
            hidden,
        });
        self.watch(&world);
        drop(world);
        match act {
            Some(Act::LoseAnswer) => Err(self.lost()),
            Some(Act::StopAndHang(stop, time)) => {
                stop.stop();
                std::thread::sleep(time);
                Ok(server)
            }
            Some(Act::StopAndAnswer(stop)) => {
                stop.stop();
                Ok(server)
            }
            Some(Act::Seal(file)) => {
                rustix::fs::fcntl_add_seals(&*file, rustix::fs::SealFlags::GROW).unwrap();
                Ok(server)
            }
            _ => Ok(Server {
                state: State::Pending,
                ..server
            }),
        }
    }

    fn list(&self, fleet: Option<&FleetName>) -> Result<Vec<Server>, ProviderError> {
        let mut world = self.world.lock().unwrap();
        if world.is_unlisted > 0 {
            world.is_unlisted -= 1;
            return Err(self.lost());
        }
        let region = world.region.clone();
        let mut listed = Vec::new();
        for kept in &mut world.servers {
            let server = &kept.server;
            let is_here = region
                .as_ref()
                .is_none_or(|region| server.region == *region);
            if kept.hidden > 0 {
                kept.hidden -= 1;
            } else if is_here && (!self.is_tagged() || server.fleet.as_ref() == fleet) {
                listed.push(server.clone());
            }
        }
        Ok(listed)
    }

    fn destroy(&self, server: &Server) -> Result<Destroyed, ProviderError> {
        let mut world = self.world.lock().unwrap();
        world.destroyed.push(server.id.clone());
        if world.is_locked > 0 {
            world.is_locked -= 1;
            return Err(self.refused(RefusalKind::Locked));
        }
        if world.is_unknown > 0 {
            world.is_unknown -= 1;
            return Ok(Destroyed::Gone);
        }
        if !world.is_stubborn {
            world.servers.retain(|kept| kept.server.id != server.id);
        }
        Ok(Destroyed::Accepted)
    }
}

pub(super) fn offer() -> Offer {
    Offer {
        region: "here".to_owned(),
        size: "small".to_owned(),
        image: "debian".to_owned(),
        login_user: "root".to_owned(),
        has_cloud_init: false,
        user_data_limit: 10_000,
        price: None,
        quota_left: None,
        notes: Vec::new(),
    }
}

/// A fleet with everything around it.
pub(super) struct Rig {
    pub(super) state: tempfile::TempDir,
    pub(super) cloud: Arc<Memory>,
    pub(super) pace: Pace,
    pub(super) stop: Stop,
    pub(super) offer: Offer,
    pub(super) is_all_or_nothing: bool,
}

impl Rig {
    pub(super) fn new(name: ProviderName) -> Self {
        Self::of(Memory::new(name))
    }

    pub(super) fn of(memory: Memory) -> Self {
        Self {
            state: tempfile::tempdir().unwrap(),
            cloud: Arc::new(memory),
            pace: quick(),
            stop: Stop::new(),
            offer: offer(),
            is_all_or_nothing: false,
        }
    }

    pub(super) fn fleet(&self) -> Fleet<'static> {
        self.told_fleet(&|_, _| {})
    }

    pub(super) fn told_fleet<'a>(&self, told: Told<'a>) -> Fleet<'a> {
        let name = name();
        let ledger = Ledger::open(self.state.path(), &name, false).unwrap();
        let provider: Arc<dyn Provider> = self.cloud.clone();
        let waits = (self.pace.clone(), self.stop.clone());
        Fleet::new(provider, name, ledger, waits, told)
    }

    /// Lists and raises, as a run of hoist does.
    pub(super) fn raise(&self, count: usize) -> Raised {
        self.try_raise(count).unwrap()
    }

    pub(super) fn try_raise(&self, count: usize) -> Result<Raised, ProviderError> {
        let fleet = self.fleet();
        let there = fleet.servers()?;
        self.raise_in(&fleet, count, &there)
    }

    pub(super) fn raise_in(
        &self,
        fleet: &Fleet<'_>,
        count: usize,
        there: &[Server],
    ) -> Result<Raised, ProviderError> {
        let spec = spec();
        let wanted = Wanted {
            spec: &spec,
            offer: &self.offer,
            count,
            pattern: "{fleet}-{n}",
            run: "run",
            user_data: None,
            waits: true,
            is_all_or_nothing: self.is_all_or_nothing,
        };
        fleet.raise(&wanted, there)
    }

    /// Lists and destroys all, as a run of hoist does.
    pub(super) fn raze(&self) -> Razed {
        let fleet = self.fleet();
        let there = fleet.servers().unwrap();
        fleet.raze(&there)
    }

    pub(super) fn recorded(&self) -> Vec<Recorded> {
        Ledger::peek(self.state.path(), &name()).unwrap()
    }

    /// Returns `name=id` of what is recorded, `name=?` of what is open.
    pub(super) fn record(&self) -> Vec<String> {
        let recorded = self.recorded().into_iter();
        let line = |known: Recorded| {
            let id = known.id.unwrap_or_else(|| "?".to_owned());
            format!("{}={id}", known.name)
        };
        recorded.map(line).collect()
    }
}

pub(super) fn name() -> FleetName {
    FleetName::parse("app").unwrap()
}

pub(super) fn spec() -> Spec {
    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
    Spec {
        fleet: name(),
        region: None,
        size: None,
        image: None,
        key: PublicKey::parse(KEY).unwrap(),
        tags: Vec::new(),
        options: BTreeMap::new(),
        open_ssh_from: None,
    }
}

/// Returns waits of milliseconds; nothing is fresh.
pub(super) fn quick() -> Pace {
    Pace {
        first_poll: Duration::from_millis(1),
        poll: Duration::from_millis(2),
        boot_timeout: Duration::from_millis(300),
        fresh: Duration::ZERO,
        lost: Duration::from_millis(30),
        locked: Duration::from_millis(300),
        gone_timeout: Duration::from_millis(200),
        grace: Duration::from_millis(100),
        ..Pace::default()
    }
}

/// Collects what is told as `name: what`.
#[derive(Default)]
pub(super) struct Heard(Mutex<Vec<String>>);

impl Heard {
    pub(super) fn hear(&self, name: &str, step: &Step) {
        let what = format!("{step:?}");
        let what = what.split([' ', '{']).next().unwrap().to_owned();
        self.0.lock().unwrap().push(format!("{name}: {what}"));
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}
