//! Servers that are processes of this machine: an OpenSSH server each, with its own address, host
//! key and home folder. No account, no price; for trying things out and for tests.
//!
//! A server is a folder, `<state>/sandbox/<id>/`, and the sshd that runs on its configuration: as
//! the user who runs hoist, who is the only one it lets in, and who sees the whole machine there.
//! It stays when hoist ends and is gone when it is destroyed; after a restart of the machine it is
//! listed as stopped. Of its user-data only hoist's own part counts: the host key. The user's part
//! would change this machine, so it is not run.
//!
//! Each session finds the folder's path in the variable `HOIST_SANDBOX`. There are
//! `ssh_host_ed25519_key` and `sshd.pid`: a new key in the first counts once the process in the
//! second was sent HUP.

mod folder;
mod process;
mod sshd;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use self::folder::{Folders, Found, Record};
use self::process::Table;
use self::sshd::{Program, Setup};
use super::choice::{self, Kind};
use super::user_data::{HostKey, host_key_of};
use super::{
    Access, Account, Article, Catalogue, Destroyed, FleetName, Offer, Order, Prepared, Price,
    Provider, ProviderError, ProviderName, Refusal, RefusalKind, Server, Spec, State, TAG,
};
use crate::host::escaped;

/// The port, where the server has an address of its own.
const PORT: u16 = 2222;

/// How long a server seems to boot, unless the setting `boot_delay` says otherwise.
const BOOT_DELAY: Duration = Duration::from_millis(500);

/// From one look at a server that seems dead to the next: an sshd that takes HUP starts anew.
const SECOND_LOOK: Duration = Duration::from_millis(50);

/// Most bytes of user-data: what most vendors take.
const USER_DATA_LIMIT: usize = 64 * 1024;

/// Settings of the sandbox: how long booting seems to take (`300ms`, `2s`), and with which message
/// servers are refused.
const SETTINGS: [(&str, Kind); 2] = [("boot_delay", Kind::Text), ("fail", Kind::Text)];

/// Where programs are looked for when the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Opens the sandbox. Starts nothing.
///
/// # Errors
/// When the folder of hoist's state has no absolute path.
pub fn open(access: &Access) -> Result<Box<dyn Provider>, ProviderError> {
    Ok(Box::new(Sandbox::new(access)?))
}

#[derive(Debug)]
struct Sandbox {
    folders: Folders,
    /// The environment's `PATH`.
    path: String,
}

/// What the settings come to.
#[derive(Debug, PartialEq, Eq)]
struct Settings {
    boot_delay: Duration,
    fail: Option<String>,
}

impl Sandbox {
    fn new(access: &Access) -> Result<Self, ProviderError> {
        let path = access.variables.get("PATH");
        Ok(Self {
            folders: Folders::new(&access.state)?,
            path: path.cloned().unwrap_or_else(|| DEFAULT_PATH.to_owned()),
        })
    }

    fn program(&self) -> Result<Program, ProviderError> {
        Program::find(&self.path)
    }

    /// Returns the name of the user who runs hoist.
    fn user(&self) -> Result<String, ProviderError> {
        let output = Command::new("id")
            .arg("-un")
            .env("PATH", &self.path)
            .process_group(0)
            .output();
        let name = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        match name {
            Ok(name) if !name.is_empty() => Ok(name),
            _ => Err(local(
                "cannot tell which user this is: `id -un` does not work",
            )),
        }
    }

    /// Sets a server up and starts it.
    fn start(&self, order: &Order<'_>, settings: &Settings) -> Result<Server, ProviderError> {
        let program = self.program()?;
        let user = self.user()?;
        let host_key = match host_key_of(order.user_data) {
            Some(key) => key,
            None => HostKey::generate()?,
        };
        let _lock = self.folders.lock()?;
        self.folders.clean();
        let there = self.folders.all()?;
        let is_same = |record: &Record| {
            record.name == order.name && record.fleet == order.spec.fleet.as_str()
        };
        if there.iter().filter_map(Found::record).any(is_same) {
            let message = format!("the fleet has a server called {}", order.name);
            return Err(refused(RefusalKind::Conflict, 409, &message));
        }
        let (address, port) = free_address(&there)?;
        let record = Record {
            id: folder::new_id(),
            name: order.name.to_owned(),
            fleet: order.spec.fleet.to_string(),
            tags: tags(order.spec),
            size: order.offer.size.clone(),
            address,
            port,
            user,
            created_ms: milliseconds(SystemTime::now()),
            boot_ms: u64::try_from(settings.boot_delay.as_millis()).unwrap_or(u64::MAX),
            has_host_key_of_user_data: host_key_of(order.user_data).is_some(),
        };
        let key = order.spec.key.line();
        let folder = self.folders.add(&record, |folder, path| {
            let setup = Setup {
                folder,
                record: &record,
                host_key: &host_key,
                key: &key,
            };
            program.set_up(&setup, path)
        })?;
        if let Err(error) = program.start(&folder) {
            process::end(&folder).and_then(|()| self.folders.remove(&record.id))?;
            return Err(error);
        }
        Ok(server(&record, State::Pending))
    }
}

impl Provider for Sandbox {
    fn name(&self) -> ProviderName {
        ProviderName::Sandbox
    }

    fn check(&self) -> Result<Account, ProviderError> {
        let program = self.program()?;
        let servers = self.folders.all()?.len().to_string();
        let path = escaped(&program.path().display().to_string());
        Ok(Account {
            name: Some(self.user()?),
            facts: vec![
                ("sshd".to_owned(), format!("{} ({path})", program.version())),
                ("servers".to_owned(), servers),
            ],
        })
    }

    fn catalogue(
        &self,
        which: Catalogue,
        region: Option<&str>,
    ) -> Result<Vec<Article>, ProviderError> {
        chosen("region", region, &regions())?;
        Ok(match which {
            Catalogue::Regions => regions(),
            Catalogue::Sizes => sizes(),
            Catalogue::Images => images(),
        })
    }

    fn offer(&self, spec: &Spec) -> Result<Offer, ProviderError> {
        let region = chosen("region", spec.region.as_deref(), &regions())?;
        let size = chosen("size", spec.size.as_deref(), &sizes())?;
        let image = chosen("image", spec.image.as_deref(), &images())?;
        Settings::of(&spec.options)?;
        if spec.open_ssh_from.is_some() {
            return Err(ProviderError::Input {
                message:
                    "servers of the sandbox can be reached from this machine alone; leave out \
                          --open-ssh-from"
                        .to_owned(),
            });
        }
        self.program()?;
        let login_user = self.user()?;
        let note = format!(
            "servers are processes of this machine and run as {}: what they do, they do here",
            escaped(&login_user)
        );
        Ok(Offer {
            region,
            size,
            image,
            login_user,
            has_cloud_init: true,
            user_data_limit: USER_DATA_LIMIT,
            price: Some(free()),
            quota_left: None,
            notes: vec![note],
        })
    }

    fn prepare(&self, _spec: &Spec, _offer: &Offer) -> Result<Prepared, ProviderError> {
        Ok(Prepared::default())
    }

    fn create(&self, order: &Order<'_>) -> Result<Server, ProviderError> {
        let settings = Settings::of(&order.spec.options)?;
        match &settings.fail {
            Some(message) => Err(refused(RefusalKind::Quota, 403, message)),
            None => self.start(order, &settings),
        }
    }

    fn list(&self, fleet: Option<&FleetName>) -> Result<Vec<Server>, ProviderError> {
        let found = self.folders.all()?;
        let is_wanted = |found: &&Found| match (fleet, found.record()) {
            (None, _) => true,
            (Some(fleet), Some(record)) => record.fleet == fleet.as_str(),
            (Some(_), None) => false,
        };
        let wanted: Vec<&Found> = found.iter().filter(is_wanted).collect();
        let mut alive = self.are_alive(&wanted)?;
        if alive.contains(&false) {
            thread::sleep(SECOND_LOOK);
            let again = self.are_alive(&wanted)?;
            alive
                .iter_mut()
                .zip(again)
                .for_each(|(alive, again)| *alive |= again);
        }
        let servers = wanted.into_iter().zip(alive);
        Ok(servers
            .map(|(found, is_alive)| told(found, is_alive))
            .collect())
    }

    fn destroy(&self, server: &Server) -> Result<Destroyed, ProviderError> {
        if self.folders.existing(&server.id).is_none() {
            return Ok(Destroyed::Gone);
        }
        let _lock = self.folders.lock()?;
        self.folders.clean();
        if let Some(folder) = self.folders.existing(&server.id) {
            process::end(&folder)?;
            self.folders.remove(&server.id)?;
        }
        Ok(Destroyed::Gone)
    }
}

impl Sandbox {
    fn are_alive(&self, found: &[&Found]) -> Result<Vec<bool>, ProviderError> {
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let table = Table::read()?;
        let is_alive = |found: &&Found| table.has_listener(&self.folders.of(found.id()));
        Ok(found.iter().map(is_alive).collect())
    }
}

impl Settings {
    fn of(options: &BTreeMap<String, Value>) -> Result<Self, ProviderError> {
        let settings = choice::settings(options, &SETTINGS)?;
        let text = |name: &str| settings.get(name).and_then(Value::as_str);
        let boot_delay = match text("boot_delay") {
            None => BOOT_DELAY,
            Some(text) => duration(text).ok_or_else(|| ProviderError::Input {
                message: format!(
                    "the setting `boot_delay` takes a time such as `300ms` or `2s`, not `{}`",
                    escaped(text)
                ),
            })?,
        };
        let fail = text("fail").map(str::to_owned);
        Ok(Self { boot_delay, fail })
    }
}

fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let number = number.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        _ => None,
    }
}

/// Returns a server as it is told.
fn told(found: &Found, is_alive: bool) -> Server {
    let Found::Server(record) = found else {
        let mut server = Server::new(ProviderName::Sandbox, found.id(), found.id());
        server.state = State::Error;
        "unreadable".clone_into(&mut server.raw_state);
        server.message = Some("its server.json can't be read; destroy it".to_owned());
        return server;
    };
    let age = SystemTime::now().duration_since(created_at(record));
    let boots = age.is_ok_and(|age| age < Duration::from_millis(record.boot_ms));
    let state = match (boots, is_alive) {
        (true, _) => State::Pending,
        (false, true) => State::Running,
        (false, false) => State::Stopped,
    };
    let mut server = server(record, state);
    if state == State::Stopped {
        server.message = Some("its sshd does not run any more; destroy it".to_owned());
    }
    server
}

fn server(record: &Record, state: State) -> Server {
    let mut server = Server::new(ProviderName::Sandbox, &record.id, &record.name);
    REGION.clone_into(&mut server.region);
    server.fleet = FleetName::of_tags(record.tags.iter().map(String::as_str));
    server.state = state;
    state.as_str().clone_into(&mut server.raw_state);
    // As with other providers, the address is known once it runs.
    server.ipv4 = (state != State::Pending).then_some(record.address);
    server.port = Some(record.port);
    server.login_user = Some(record.user.clone());
    server.created_at = Some(created_at(record));
    server
}

fn created_at(record: &Record) -> SystemTime {
    let since = Duration::from_millis(record.created_ms);
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn tags(spec: &Spec) -> Vec<String> {
    let mut tags = vec![TAG.to_owned(), spec.fleet.tag()];
    tags.extend(spec.tags.iter().cloned());
    tags
}

/// Returns an address that no server has. On Linux all of 127.0.0.0/8 is this machine; the parts
/// that other software uses are left alone.
#[cfg(target_os = "linux")]
fn free_address(there: &[Found]) -> Result<(IpAddr, u16), ProviderError> {
    const TRIES: usize = 100;
    let taken: Vec<IpAddr> = (there.iter().filter_map(Found::record))
        .map(|record| record.address)
        .collect();
    for _ in 0..TRIES {
        let address = Ipv4Addr::new(
            127,
            fastrand::u8(64..128),
            fastrand::u8(..),
            fastrand::u8(1..255),
        );
        let address = IpAddr::V4(address);
        if taken.contains(&address) {
            continue;
        }
        // The port is taken everywhere where somebody listens on all addresses.
        for port in [PORT, 0] {
            if let Some(port) = free_port(address, port) {
                return Ok((address, port));
            }
        }
    }
    Err(local("no address of 127.0.0.0/8 can be listened on"))
}

/// Returns an address and a port that no server has.
#[cfg(not(target_os = "linux"))]
fn free_address(_there: &[Found]) -> Result<(IpAddr, u16), ProviderError> {
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    [PORT, 0]
        .into_iter()
        .find_map(|port| free_port(address, port))
        .map(|port| (address, port))
        .ok_or_else(|| local("no port of 127.0.0.1 can be listened on"))
}

fn free_port(address: IpAddr, port: u16) -> Option<u16> {
    let listener = TcpListener::bind((address, port)).ok()?;
    Some(listener.local_addr().ok()?.port())
}

/// The one region.
const REGION: &str = "local";

fn article(id: &str, name: &str) -> Article {
    Article {
        id: id.to_owned(),
        name: name.to_owned(),
        price: None,
    }
}

fn free() -> Price {
    Price {
        hourly: 0.0,
        monthly: Some(0.0),
        currency: "USD".to_owned(),
    }
}

fn regions() -> Vec<Article> {
    vec![article(REGION, "this machine")]
}

fn sizes() -> Vec<Article> {
    let sizes = ["small", "medium", "large"].into_iter();
    let sizes = sizes.map(|id| article(id, &format!("{id}: one process, as all sizes")));
    sizes
        .map(|size| Article {
            price: Some(free()),
            ..size
        })
        .collect()
}

fn images() -> Vec<Article> {
    let release = std::fs::read_to_string(Path::new("/etc/os-release")).unwrap_or_default();
    let name = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .map(|name| name.trim_matches(['"', '\'']))
        .filter(|name| !name.is_empty());
    vec![article("this-machine", name.unwrap_or("what runs here"))]
}

/// Returns the id of what `wanted` names, or of the first there is where nothing is wanted.
fn chosen(
    what: &'static str,
    wanted: Option<&str>,
    articles: &[Article],
) -> Result<String, ProviderError> {
    match (wanted, articles) {
        (None, [first, ..]) => Ok(first.id.clone()),
        (wanted, articles) => {
            let wanted = wanted.unwrap_or_default();
            let article = choice::choose(ProviderName::Sandbox, what, wanted, articles)?;
            Ok(article.id.clone())
        }
    }
}

fn refused(kind: RefusalKind, status: u16, message: &str) -> ProviderError {
    ProviderError::Refused {
        provider: ProviderName::Sandbox,
        refusal: Refusal {
            kind,
            ..Refusal::new(status, message)
        },
    }
}

fn local(message: impl Into<String>) -> ProviderError {
    ProviderError::Local {
        message: message.into(),
    }
}

/// Returns the error of something that could not be done with a file.
fn failed(what: &str, path: &Path, error: &std::io::Error) -> ProviderError {
    let path = escaped(&path.display().to_string());
    local(format!("cannot {what} {path}: {error}"))
}
