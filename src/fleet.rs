//! Many hosts as a program sees them: one command, everybody's result, events on the way.
//!
//! This is what `hoist run` is made of. A [`Fleet`] is hosts, a way to reach them and limits;
//! [`Fleet::run`] collects everything in memory, [`Fleet::work`] tells listeners as it happens.

use std::time::{Duration, SystemTime};

use crate::engine::{self, Ask, Cancel, EngineError};
use crate::event::{Event, EventKind, Listener, RunId};
use crate::host::{Endpoint, HostName};
use crate::outcome::{Outcome, Summary};
use crate::plan::{Limits, Plan};
use crate::remote::{Exec, Pipe};
use crate::transport::Transport;

/// Hosts, a way to reach them, and how hard to go.
///
/// ```
/// use hoist::fleet::Fleet;
/// use hoist::remote::{Command, Exec};
/// use hoist::transport::fake::{Fake, Script};
/// # use hoist::host::{Address, Endpoint, HostName, Port, TransportName};
/// # let endpoint = |name| {
/// #     let name = HostName::parse(name).unwrap();
/// #     let (address, user) = (Address::from(&name), None);
/// #     let (transport, port) = (TransportName::Ssh, Port::SSH);
/// #     Endpoint { name, transport, address, port, user, ssh: Default::default(), host_key: None }
/// # };
/// # let hosts = vec![endpoint("web1"), endpoint("web2")];
///
/// let transport = Fake::new().host("web2", Script::new().says("boom\n").exits(3));
/// let fleet = Fleet::new(hosts, transport);
/// let results = fleet.run(Exec::new(Command::Argv(vec!["uptime".into()])))?;
/// assert_eq!(results[0].outcome.kind, None);
/// assert_eq!(results[1].stdout, b"boom\n");
/// # Ok::<(), hoist::engine::EngineError>(())
/// ```
pub struct Fleet {
    hosts: Vec<Endpoint>,
    transport: Box<dyn Transport>,
    limits: Limits,
}

/// What one host gave back.
#[derive(Debug, Clone)]
pub struct HostResult {
    /// The host.
    pub host: HostName,
    /// What became of it.
    pub outcome: Outcome,
    /// All of its standard output, up to [`Exec::max_output`].
    pub stdout: Vec<u8>,
    /// All of its standard error, up to [`Exec::max_output`].
    pub stderr: Vec<u8>,
}

impl Fleet {
    /// Returns a fleet with the limits of `hoist run`: 128 hosts at once, 10 s to connect.
    pub fn new(hosts: Vec<Endpoint>, transport: impl Transport + 'static) -> Self {
        Self {
            hosts,
            transport: Box::new(transport),
            limits: Limits::default(),
        }
    }

    /// Sets how hard to go.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Decides a run without starting it.
    pub fn plan(&self, exec: Exec) -> Plan {
        let run = RunId::new(SystemTime::now(), fastrand::u32(..));
        Plan {
            run,
            hosts: self.hosts.clone(),
            exec: Some(exec),
            commands: Vec::new(),
            transfer: None,
            limits: self.limits,
        }
    }

    /// Runs a command on every host and collects the results, in the order of the hosts. Blocks
    /// until the last host is done; set [`Exec::timeout`] where that matters.
    ///
    /// # Errors
    /// When no worker could be started. Hosts that fail are results.
    pub fn run(&self, exec: Exec) -> Result<Vec<HostResult>, EngineError> {
        let plan = self.plan(exec);
        let mut collector = Collector::new(&plan);
        self.work(&plan, &Cancel::new(), &mut [&mut collector], None)?;
        Ok(collector.results.into_iter().flatten().collect())
    }

    /// Works a plan, telling listeners what happens; see [`engine::run`].
    ///
    /// # Errors
    /// When a listener failed or no worker could be started.
    pub fn work(
        &self,
        plan: &Plan,
        cancel: &Cancel,
        listeners: &mut [&mut dyn Listener],
        ask: Option<Ask<'_>>,
    ) -> Result<Summary, EngineError> {
        engine::run(plan, &*self.transport, cancel, listeners, ask)
    }
}

impl Default for Limits {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            fan_out: 128,
            handshakes: 32 * cores,
            connect_timeout: Duration::from_secs(10),
            connect_rate: None,
            retries: 0,
            grace: Duration::from_secs(3),
        }
    }
}

/// Keeps all output in memory.
struct Collector {
    names: Vec<HostName>,
    outputs: Vec<[Vec<u8>; 2]>,
    results: Vec<Option<HostResult>>,
}

impl Collector {
    fn new(plan: &Plan) -> Self {
        let count = plan.hosts.len();
        Self {
            names: plan.hosts.iter().map(|host| host.name.clone()).collect(),
            outputs: vec![[Vec::new(), Vec::new()]; count],
            results: vec![None; count],
        }
    }
}

impl Listener for Collector {
    fn tell(&mut self, event: &Event) -> std::io::Result<()> {
        match &event.kind {
            EventKind::Output { host, pipe, bytes } => {
                self.outputs[*host][usize::from(*pipe == Pipe::Stderr)].extend_from_slice(bytes);
            }
            EventKind::Finished { host, outcome } => {
                let [stdout, stderr] = std::mem::take(&mut self.outputs[*host]);
                let outcome = (**outcome).clone();
                let host_name = self.names[*host].clone();
                self.results[*host] = Some(HostResult {
                    host: host_name,
                    outcome,
                    stdout,
                    stderr,
                });
            }
            _ => {}
        }
        Ok(())
    }
}
