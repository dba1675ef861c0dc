//! A hosting API that answers by the vendor's own description of it. Prism judges each request and
//! answers with the vendor's sample; between it and hoist stands a door that keeps what Prism said
//! of the request, and lends Prism the memory that it lacks.
//!
//! The memory changes answers only, never a request: a server that was made gets the name that was
//! ordered and is listed until it is destroyed, a key is unknown until it was uploaded, and samples
//! that don't fit together are made to (`sense`). Without it no command came to its end.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::Request;

use super::description::Description;
use super::imitation::Imitation;
use super::stub::{Asked, Reply, Stub};

/// What the door has to know of an API.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Api {
    /// The description: `vultr` for `tests/contract/specs/vultr.json`.
    pub name: &'static str,
    pub servers: Collection,
    /// Uploaded keys, where there are some.
    pub keys: Option<Collection>,
    /// Makes sense of a sample, by the path that was asked for, without the query.
    pub sense: fn(&str, &mut Value),
}

/// Things that can be listed and made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Collection {
    pub path: &'static str,
    /// Where the list is in the answer to GET.
    pub many: &'static str,
    /// Where the thing is in the answer to POST.
    pub one: &'static str,
}

/// A request, and what Prism made of it.
#[derive(Debug, Clone)]
struct Verdict {
    method: String,
    path: String,
    faults: Vec<String>,
}

#[derive(Default)]
struct Memory {
    servers: Vec<Value>,
    made: usize,
    key: Option<Value>,
    verdicts: Vec<Verdict>,
    unknown: Vec<String>,
}

/// The API, until it is dropped.
pub(crate) struct Judge {
    api: Api,
    stub: Stub,
    memory: Arc<Mutex<Memory>>,
    prism: Imitation,
}

impl Judge {
    /// Starts Prism, and the door before it.
    #[track_caller]
    pub(crate) fn start(api: Api) -> Self {
        let prism = Imitation::prism(api.name);
        let memory = Arc::<Mutex<Memory>>::default();
        let (own, url) = (Arc::clone(&memory), prism.url().to_owned());
        let description = Description::of(api.name);
        let stub = Stub::start(move |_, asked| {
            let reply = pass(&api, &own, &url, asked);
            let unknown = description.unknown(asked);
            let (method, path) = (&asked.method, &asked.path);
            let faults = unknown
                .iter()
                .map(|fault| format!("{method} {path}: {fault}"));
            lock(&own).unknown.extend(faults);
            reply
        });
        Self {
            api,
            stub,
            memory,
            prism,
        }
    }

    /// Returns the address of the API.
    pub(crate) fn url(&self) -> &str {
        self.stub.url()
    }

    /// Returns what is wrong with the requests so far, by the vendor's description.
    pub(crate) fn faults(&self) -> Vec<String> {
        let memory = lock(&self.memory);
        let faults = memory.verdicts.iter().flat_map(|verdict| &verdict.faults);
        faults.chain(&memory.unknown).cloned().collect()
    }

    /// Returns how often something was asked for. A path that ends in `/` stands for what is below
    /// it.
    pub(crate) fn count(&self, method: &str, path: &str) -> usize {
        let memory = lock(&self.memory);
        let is_it = |verdict: &&Verdict| {
            let is_below = path.ends_with('/') && verdict.path.starts_with(path);
            verdict.method == method && (verdict.path == path || is_below)
        };
        memory.verdicts.iter().filter(is_it).count()
    }

    /// Returns the ids of the servers that are there.
    pub(crate) fn ids(&self) -> Vec<String> {
        lock(&self.memory).servers.iter().map(id).collect()
    }

    /// Returns what Prism says of the last order, had its region been a number.
    #[track_caller]
    pub(crate) fn faults_of_mistyped_order(&self) -> Vec<String> {
        let path = self.api.servers.path;
        let all = self.stub.asked();
        let mut orders = all
            .iter()
            .filter(|asked| (&*asked.method, &*asked.path) == ("POST", path));
        let mut asked = orders.next_back().unwrap().clone();
        let mut order: Value = serde_json::from_slice(&asked.body).unwrap();
        let field = if order.get("region").is_some() {
            "region"
        } else {
            "location"
        };
        order[field] = json!(5);
        asked.body = order.to_string().into_bytes();
        judged(self.prism.url(), &asked, None).faults
    }

    /// Returns what the door knows of the API.
    pub(crate) fn api(&self) -> &Api {
        &self.api
    }
}

fn lock(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

fn id(thing: &Value) -> String {
    match &thing["id"] {
        Value::String(id) => id.clone(),
        id => id.to_string(),
    }
}

/// Has a request judged, and answers it.
fn pass(api: &Api, memory: &Mutex<Memory>, url: &str, asked: &Asked) -> Reply {
    let path = asked.path.split('?').next().unwrap_or_default();
    let has_key = lock(memory).key.is_some();
    let is_missing = is_single_key(api, asked, path) && !has_key;
    let judged = judged(url, asked, is_missing.then_some("code=404"));
    let mut memory = lock(memory);
    memory.verdicts.push(Verdict {
        method: asked.method.clone(),
        path: path.to_owned(),
        faults: judged.faults,
    });
    if judged.body.is_empty() {
        forget(api, &mut memory, asked, path);
        return Reply::Whole(judged.status, Vec::new(), String::new());
    }
    let mut answer: Value = serde_json::from_slice(&judged.body).unwrap();
    if judged.status < 300 {
        (api.sense)(path, &mut answer);
        remember(api, &mut memory, asked, &mut answer);
        forget(api, &mut memory, asked, path);
    }
    Reply::json(judged.status, answer)
}

fn is_single_key(api: &Api, asked: &Asked, path: &str) -> bool {
    let below = |keys: Collection| path.strip_prefix(keys.path)?.strip_prefix('/');
    asked.method == "GET" && api.keys.and_then(below).is_some()
}

/// Gives an answer the memory of what was made.
fn remember(api: &Api, memory: &mut Memory, asked: &Asked, answer: &mut Value) {
    let path = asked.path.split('?').next().unwrap_or_default();
    let order: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
    let (servers, method) = (api.servers, asked.method.as_str());
    if path == servers.path && method == "POST" {
        memory.made += 1;
        let server = answer.pointer_mut(servers.one).unwrap();
        take_over(server, &order, memory.made);
        memory.servers.push(server.clone());
    } else if path == servers.path {
        *answer.pointer_mut(servers.many).unwrap() = json!(memory.servers);
    }
    let Some(keys) = api.keys else { return };
    if path == keys.path && method == "POST" {
        let key = answer.pointer_mut(keys.one).unwrap();
        for field in ["name", "ssh_key", "public_key", "publicKey"] {
            if let Some(ordered) = order.get(field) {
                key[field] = ordered.clone();
            }
        }
        if let Some(region) = order.get("region") {
            key["regions"] = json!([region]);
        }
        memory.key = Some(key.clone());
    } else if path == keys.path {
        *answer.pointer_mut(keys.many).unwrap() = json!(Vec::from_iter(&memory.key));
    } else if let (true, Some(key)) = (is_single_key(api, asked, path), &memory.key) {
        *answer.pointer_mut(keys.one).unwrap() = key.clone();
    }
}

/// Makes a sample the server that was ordered, with an id of its own and of the sample's kind.
fn take_over(server: &mut Value, order: &Value, number: usize) {
    server["id"] = match &server["id"] {
        Value::String(id) => json!(format!("{}{number}", &id[..id.len() - 1])),
        id => json!(id.as_u64().unwrap() + number as u64),
    };
    for field in ["label", "name", "tags", "labels"] {
        if let Some(ordered) = order.get(field) {
            server[field] = ordered.clone();
        }
    }
}

/// Forgets a server that was destroyed.
fn forget(api: &Api, memory: &mut Memory, asked: &Asked, path: &str) {
    if let ("DELETE", Some((above, gone))) = (asked.method.as_str(), path.rsplit_once('/'))
        && above == api.servers.path
    {
        memory.servers.retain(|server| id(server) != gone);
    }
}

/// What Prism says.
struct Judged {
    status: u16,
    body: Vec<u8>,
    faults: Vec<String>,
}

/// Has Prism judge a request, and ask it for a certain answer where one is preferred.
fn judged(url: &str, asked: &Asked, prefer: Option<&str>) -> Judged {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .into();
    let mut request = Request::builder()
        .method(asked.method.as_str())
        .uri(format!("{url}{}", asked.path));
    for (name, value) in &asked.headers {
        if !matches!(name.as_str(), "host" | "connection" | "content-length") {
            request = request.header(name, value);
        }
    }
    if let Some(prefer) = prefer {
        request = request.header("prefer", prefer);
    }
    let answer = if asked.body.is_empty() {
        agent.run(request.body(()).unwrap())
    } else {
        agent.run(request.body(asked.body.as_slice()).unwrap())
    };
    let mut answer = answer.unwrap_or_else(|error| panic!("Prism does not answer: {error}"));
    let violations = answer.headers().get("sl-violations");
    let mut faults = violations.map_or_else(Vec::new, |value| request_faults(value.as_bytes()));
    let body = answer.body_mut().read_to_vec().unwrap();
    // Where the description has no answer for it, Prism refuses in its own words, without the header:
    // what is wrong, no credentials, no such path.
    if answer.status().as_u16() >= 400 && prefer.is_none() && faults.is_empty() {
        faults.push(String::from_utf8_lossy(&body).into_owned());
    }
    let what = format!("{} {}", asked.method, asked.path);
    let faults = faults.iter().map(|fault| format!("{what}: {fault}"));
    Judged {
        status: answer.status().as_u16(),
        body,
        faults: faults.collect(),
    }
}

/// Returns the errors of the request among Prism's violations; those of answers are the vendor's own.
fn request_faults(violations: &[u8]) -> Vec<String> {
    let violations: Vec<Value> = serde_json::from_slice(violations).unwrap();
    let ours = violations.iter().filter(|violation| {
        violation["location"][0] == "request" && violation["severity"] == "Error"
    });
    ours.map(|violation| {
        let place = violation["location"].as_array().unwrap();
        let place: Vec<String> = place.iter().map(ToString::to_string).collect();
        format!("{}: {}", place.join("/"), violation["message"])
    })
    .collect()
}
