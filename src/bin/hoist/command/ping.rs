//! `hoist ping`: who can be logged in to, how fast, and what each host told of itself.

use std::io::{self, BufWriter, Write};
use std::time::{Duration, SystemTime};

use hoist::event::{Event, EventKind, Listener, RunId};
use hoist::host::{Endpoint, escaped};
use hoist::outcome::{Login, Outcome};
use hoist::plan::Plan;
use serde_json::{Map, Value, json};

use super::reaching::{self, Reaching, Ways};
use super::run::{Attended, limits, room};
use super::{columns, selecting};
use crate::args::{Pacing, Ping, PingFormat};
use crate::exit_code::{self, Rule};
use crate::report::Failure;
use crate::settings::{Environment, Origins};
use crate::ui::{Progress, Terminal};

/// How long hosts being logged in to may go on after Ctrl-C.
const GRACE: Duration = Duration::from_secs(3);

/// Logs in to every selected host and returns the exit code.
pub(crate) fn run(
    ping: &Ping,
    origins: &Origins,
    environment: &Environment,
) -> Result<u8, Failure> {
    let chosen = selecting::select(&ping.selecting, origins, environment)?;
    let reaching = Reaching {
        connecting: &ping.connecting,
        origins,
        environment,
        is_quiet: false,
    };
    let (hosts, required) = reaching.resolve(chosen.hosts, chosen.inventory.as_deref())?;
    let plan = plan(&ping.pacing, hosts);
    let terminal = Terminal::detect();
    let attended = Attended::start(&plan, terminal)?;
    let ways = if ping.tcp {
        Ways::only_dialling()
    } else {
        reaching.credentials(&plan.hosts, &required)?
    };
    let transports = reaching::transports(ways, &plan)?;

    let mut progress = Progress::new(plan.hosts.len(), terminal.is_stderr, false);
    let notes = progress.notes();
    let mut answers = Answers::new(plan.hosts.len());
    let listeners: &mut [&mut dyn Listener] = &mut [&mut progress, &mut answers];
    let worked = attended.work(&plan, &transports, &notes, listeners)?;
    let summary = worked.summary()?;
    let mut out = BufWriter::new(io::stdout().lock());
    let printed = answers.print(&plan, ping.output, &mut out);
    printed
        .and_then(|()| out.flush())
        .map_err(|error| Failure::writing(&error))?;
    Ok(exit_code::of_run(&summary, true, Rule::Class))
}

fn plan(pacing: &Pacing, hosts: Vec<Endpoint>) -> Plan {
    let fan_out = room::Room::find(pacing.fan_out.get(), &hosts, 0).fan_out;
    Plan {
        run: RunId::new(SystemTime::now(), fastrand::u32(..)),
        limits: limits(pacing, fan_out, GRACE),
        hosts,
        exec: None,
        commands: Vec::new(),
        transfer: None,
    }
}

/// What the hosts answered, in plan order.
struct Answers {
    logins: Vec<Option<Login>>,
    outcomes: Vec<Option<Outcome>>,
}

impl Answers {
    fn new(hosts: usize) -> Self {
        Self {
            logins: vec![None; hosts],
            outcomes: vec![None; hosts],
        }
    }

    fn print(&self, plan: &Plan, format: PingFormat, out: &mut impl Write) -> io::Result<()> {
        let rows = || (0..plan.hosts.len()).map(|index| self.object(plan, index));
        match format {
            PingFormat::Table => self.print_table(plan, out),
            PingFormat::Jsonl => {
                for row in rows() {
                    serde_json::to_writer(&mut *out, &row)?;
                    writeln!(out)?;
                }
                Ok(())
            }
            PingFormat::Json => {
                serde_json::to_writer_pretty(&mut *out, &rows().collect::<Vec<_>>())?;
                writeln!(out)
            }
            PingFormat::Csv => {
                let mut writer = csv::Writer::from_writer(out);
                for (index, row) in rows().enumerate() {
                    if index == 0 {
                        writer.write_record(row.keys())?;
                    }
                    writer.write_record(row.values().map(cell))?;
                }
                writer.flush()
            }
        }
    }

    fn print_table(&self, plan: &Plan, out: &mut impl Write) -> io::Result<()> {
        let heads = ["HOST", "STATUS", "TIME", "SERVER", "LOGIN", "HOST KEY"];
        let mut rows = vec![heads.map(str::to_owned)];
        for (index, host) in plan.hosts.iter().enumerate() {
            let Some(outcome) = &self.outcomes[index] else {
                continue;
            };
            let status = outcome.kind.map_or("ok", |kind| kind.as_str());
            let time = outcome
                .connect_duration
                .map(|time| format!("{}ms", time.as_millis()));
            let [server, login, key] = match &self.logins[index] {
                Some(login) => [
                    login
                        .server
                        .strip_prefix("SSH-2.0-")
                        .unwrap_or(&login.server)
                        .to_owned(),
                    login.method.to_owned(),
                    format!("{} {}", login.host_key, login.fingerprint),
                ],
                None => [String::new(), String::new(), escaped(&outcome.message)],
            };
            let time = time.unwrap_or_default();
            rows.push([
                host.name.to_string(),
                status.to_owned(),
                time,
                server,
                login,
                key,
            ]);
        }
        columns::print(&rows, out)
    }

    fn object(&self, plan: &Plan, index: usize) -> Map<String, Value> {
        let login = self.logins[index].as_ref();
        let outcome = self.outcomes[index].as_ref();
        let told = |told: fn(&Login) -> &str| login.map(|login| told(login).to_owned());
        let kind = outcome.and_then(|outcome| outcome.kind);
        let message = outcome.map(|outcome| outcome.message.clone());
        let time = outcome.and_then(|outcome| outcome.connect_duration);
        let value = json!({
            "host": plan.hosts[index].name.as_str(),
            "address": outcome.map(|outcome| outcome.address.clone()),
            "user": outcome.and_then(|outcome| outcome.user.clone()),
            "port": outcome.and_then(|outcome| outcome.port),
            "status": kind.map_or("ok", |kind| kind.status().as_str()),
            "kind": kind.map(hoist::outcome::Kind::as_str),
            "connect_ms": time.map(|time| time.as_millis()),
            "server": told(|login| &login.server),
            "host_key": told(|login| &login.host_key),
            "fingerprint": told(|login| &login.fingerprint),
            "login": told(|login| login.method),
            "message": message.filter(|message| !message.is_empty()),
        });
        match value {
            Value::Object(object) => object,
            _ => Map::new(),
        }
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl Listener for Answers {
    fn tell(&mut self, event: &Event) -> io::Result<()> {
        match &event.kind {
            EventKind::Connected { host, login, .. } => {
                self.logins[*host] = login.as_deref().cloned();
            }
            EventKind::Finished { host, outcome } => {
                self.outcomes[*host] = Some((**outcome).clone());
            }
            _ => {}
        }
        Ok(())
    }
}
