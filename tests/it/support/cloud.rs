//! A hosting API that behaves as Vultr's does, on this machine: it remembers servers and keys, and
//! goes wrong when it is told to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::fleet::{Fleet, Invocation};
use super::stub::{Asked, Reply, Stub};

/// The token that the API accepts, which is to be seen nowhere.
pub(crate) const TOKEN: &str = "CANARY-3f1b7a";

/// What becomes of a create call.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    /// The server is made.
    Made,
    /// It is made and nobody is told.
    MadeInSilence,
    /// It is made, and that is told so much later.
    MadeLate(Duration),
    /// Nothing is made, and the status and sentence say why.
    Refused(u16, &'static str),
}

/// A server of the API.
#[derive(Debug, Clone)]
struct Machine {
    id: String,
    label: String,
    tags: Value,
    /// Listings until it runs and has an address.
    looks: u32,
}

/// What the API remembers.
struct Memory {
    machines: Vec<Machine>,
    keys: Vec<Value>,
    made: usize,
    looks: u32,
    fate: Box<dyn FnMut(usize) -> Fate + Send>,
    refusal: Option<(u16, &'static str)>,
}

/// The API, until the end of the process.
pub(crate) struct Cloud {
    stub: Stub,
    memory: Arc<Mutex<Memory>>,
}

impl Cloud {
    /// Starts one without servers, where all goes well.
    pub(crate) fn new() -> Self {
        let memory = Arc::new(Mutex::new(Memory {
            machines: Vec::new(),
            keys: Vec::new(),
            made: 0,
            looks: 0,
            fate: Box::new(|_| Fate::Made),
            refusal: None,
        }));
        let own = Arc::clone(&memory);
        let stub = Stub::start(move |_, asked| answer(&mut lock(&own), asked));
        Self { stub, memory }
    }

    /// Decides what becomes of create calls, by their number from 0.
    pub(crate) fn fates(self, fate: impl FnMut(usize) -> Fate + Send + 'static) -> Self {
        self.memory().fate = Box::new(fate);
        self
    }

    /// Has servers run only after so many listings.
    pub(crate) fn slow(self, looks: u32) -> Self {
        self.memory().looks = looks;
        self
    }

    /// Has every call refused.
    pub(crate) fn refusing(self, status: u16, message: &'static str) -> Self {
        self.memory().refusal = Some((status, message));
        self
    }

    /// Prepares hoist with the words of `line`, a token, and this API.
    pub(crate) fn command<'a>(&self, fleet: &'a Fleet, line: &str) -> Invocation<'a> {
        let command = fleet.command(line).env("VULTR_API_KEY", TOKEN);
        command.env("HOIST_VULTR_URL", self.stub.url())
    }

    /// Returns the names of the servers that are there, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let memory = self.memory();
        let mut names: Vec<String> = memory
            .machines
            .iter()
            .map(|one| one.label.clone())
            .collect();
        names.sort();
        names
    }

    /// Returns the ids of the servers that are there, sorted.
    pub(crate) fn ids(&self) -> Vec<String> {
        let memory = self.memory();
        let mut ids: Vec<String> = memory.machines.iter().map(|one| one.id.clone()).collect();
        ids.sort();
        ids
    }

    /// Returns how many create calls came.
    pub(crate) fn creates(&self) -> usize {
        self.memory().made
    }

    /// Returns everything that was asked.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.stub.asked()
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        lock(&self.memory)
    }
}

fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer(memory: &mut Memory, asked: &Asked) -> Reply {
    if asked.header("authorization") != Some(&format!("Bearer {TOKEN}")) {
        return refused(401, "Invalid API token.");
    }
    if let Some((status, message)) = memory.refusal {
        return refused(status, message);
    }
    let path = asked.path.split('?').next().unwrap_or_default();
    match (asked.method.as_str(), path) {
        ("GET", "/account") => Reply::json(200, json!({"account": {"name": "Jane", "acls": []}})),
        ("GET", "/regions") => list("regions", json!([{"id": "ewr", "city": "New Jersey"}])),
        ("GET", "/plans") => list("plans", plans()),
        ("GET", "/os") => list(
            "os",
            json!([{"id": 2136, "name": "Debian 12 x64 (bookworm)"}]),
        ),
        ("GET", "/ssh-keys") => list("ssh_keys", memory.keys.clone()),
        ("POST", "/ssh-keys") => {
            let mut key: Value = serde_json::from_slice(&asked.body).unwrap();
            key["id"] = json!(format!("key-{}", memory.keys.len()));
            memory.keys.push(key.clone());
            Reply::json(201, json!({ "ssh_key": key }))
        }
        ("GET", "/instances") => {
            let machines = memory.machines.iter_mut();
            let shown: Vec<Value> = machines.map(shown).collect();
            list("instances", shown)
        }
        ("POST", "/instances") => create(memory, asked),
        ("DELETE", path) => {
            let id = path.strip_prefix("/instances/").unwrap_or_default();
            let before = memory.machines.len();
            memory.machines.retain(|machine| machine.id != id);
            if memory.machines.len() < before {
                Reply::Whole(204, Vec::new(), String::new())
            } else {
                refused(404, "Invalid instance.")
            }
        }
        _ => refused(404, "Not found."),
    }
}

fn create(memory: &mut Memory, asked: &Asked) -> Reply {
    let fate = (memory.fate)(memory.made);
    memory.made += 1;
    if let Fate::Refused(status, message) = fate {
        return refused(status, message);
    }
    let order: Value = serde_json::from_slice(&asked.body).unwrap();
    let mut machine = Machine {
        id: format!("id-{}", memory.made),
        label: order["label"].as_str().unwrap().to_owned(),
        tags: order["tags"].clone(),
        looks: memory.looks,
    };
    let told = Reply::json(202, json!({ "instance": shown(&mut machine) }));
    memory.machines.push(machine);
    match fate {
        Fate::MadeInSilence => Reply::Hangup,
        Fate::MadeLate(late) => Reply::Late(late, Box::new(told)),
        _ => told,
    }
}

fn shown(machine: &mut Machine) -> Value {
    let runs = machine.looks == 0;
    machine.looks = machine.looks.saturating_sub(1);
    let number = machine.id.trim_start_matches("id-");
    json!({
        "id": machine.id,
        "label": machine.label,
        "tags": machine.tags,
        "region": "ewr",
        "plan": "vc2-1c-1gb",
        "date_created": "2026-01-02T03:04:05+00:00",
        "status": if runs { "active" } else { "pending" },
        "power_status": "running",
        "server_status": if runs { "ok" } else { "none" },
        "main_ip": if runs { format!("127.9.9.{number}") } else { "0.0.0.0".to_owned() },
        "default_password": "hunter2",
    })
}

fn plans() -> Value {
    json!([{
        "id": "vc2-1c-1gb", "vcpu_count": 1, "ram": 1024, "disk": 25,
        "monthly_cost": 5, "locations": ["ewr"],
    }])
}

fn list(name: &str, elements: impl Into<Value>) -> Reply {
    let meta = json!({"total": 1, "links": {"next": "", "prev": ""}});
    Reply::json(200, json!({ name: elements.into(), "meta": meta }))
}

fn refused(status: u16, message: &str) -> Reply {
    Reply::json(status, json!({"error": message, "status": status}))
}
