//! `hoist render --diff`: how what hosts have differs from what a template comes to.
//!
//! Each host's file is read through the engine by a short script; it is compared as soon as it has
//! come, and only the diff is kept. Nothing is changed anywhere. What a host sends is believed to be
//! anything: it is cut at a size, and never drives a terminal.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::hash::Hash;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use hoist::event::{Event, EventKind, HostIndex, Listener, RunId};
use hoist::host::{Endpoint, HostName, escaped};
use hoist::hostset::HostSet;
use hoist::outcome::{Kind, Outcome, Summary};
use hoist::plan::Plan;
use hoist::quote;
use hoist::remote::{Command, Exec, Pipe};
use hoist::render::sanitize;
use hoist::spool::{Spool, Store};

use super::placeholders;
use super::reaching::{self, Reaching, Required};
use super::run::{Attended, limits, rights, room};
use super::selecting::{self, Chosen};
use super::unified::{Side, unified};
use crate::args::Render;
use crate::exit_code::{self, Rule};
use crate::report::{Failure, note};
use crate::settings::{Environment, Origins};
use crate::ui::{Progress, Terminal};

/// The longest file that is compared.
const MAX_BYTES: usize = 1024 * 1024;

/// What else a host may say, such as a greeting of its shell.
const MAX_NOISE: usize = 64 * 1024;

/// Prints the mark and ` f` before a file, ` m` in the place of one that is missing. Where a folder
/// can't be looked into, nobody knows which it is.
const READ: &str = r#"f=$1
if [ -f "$f" ]; then
    printf '%s f\n' "$2"
    exec head -c "$3" "$f"
fi
if [ -e "$f" ] || [ -L "$f" ]; then
    echo "$f is not a file, or a link that leads to none" >&2
    exit 1
fi
while [ ! -e "$f" ]; do
    case $f in
        */*) f=${f%/*} ;;
        *) f=. ;;
    esac
    [ -n "$f" ] || f=/
done
if [ ! -x "$f" ]; then
    echo "$f cannot be looked into" >&2
    exit 1
fi
printf '%s m\n' "$2""#;

/// What is compared, and how hosts are reached for that.
pub(super) struct Comparison<'a> {
    pub render: &'a Render,
    pub origins: &'a Origins,
    pub environment: &'a Environment,
}

impl Comparison<'_> {
    /// Prints how what is at `path` on each host differs from its text, and returns the exit code.
    pub(super) fn run(
        &self,
        path: &Path,
        chosen: Chosen,
        texts: &[(HostName, Arc<str>)],
    ) -> Result<u8, Failure> {
        let paths = chosen.hosts.iter().map(|selected| {
            let path = placeholders::fill(path.as_os_str(), &selected.host)?;
            Ok(PathBuf::from(path))
        });
        let paths = paths.collect::<Result<Vec<PathBuf>, Failure>>()?;
        let mark = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        let commands: Vec<Command> = paths.iter().map(|path| reading(path, &mark)).collect();
        let exec = self.exec(&commands)?;
        let (hosts, required) = self
            .reaching()
            .resolve(chosen.hosts, chosen.inventory.as_deref())?;
        let plan = self.plan(hosts, exec, commands);
        let folder = self.environment.spool_folder();
        let mut found = Found {
            texts,
            paths: &paths,
            name: self.name(),
            mark: mark.into_bytes(),
            store: Store::new(folder.to_owned()),
            pipes: HashMap::new(),
            diffs: vec![None; plan.hosts.len()],
            known: HashSet::new(),
            failed: Vec::new(),
        };
        let mut summary = self.work(plan, &required, &mut found)?;
        found.settle(&mut summary);
        let is_terminal = Terminal::detect().is_stdout;
        let mut out = BufWriter::new(io::stdout().lock());
        let printed = found.print(is_terminal, &mut out);
        printed
            .and_then(|()| out.flush())
            .map_err(|error| Failure::writing(&error))?;
        for line in found.lines() {
            note(&line);
        }
        Ok(exit_code::of_run(&summary, true, Rule::Class))
    }

    /// Returns what surrounds the commands.
    fn exec(&self, commands: &[Command]) -> Result<Exec, Failure> {
        let exec = Exec {
            elevation: rights::elevation(&self.render.rights, self.origins)?,
            max_output: Some((MAX_BYTES + MAX_NOISE) as u64),
            timeout: self.render.moving.timeout.0,
            ..Exec::new(Command::Argv(vec!["true".into()]))
        };
        for command in commands {
            let checked = Exec {
                command: command.clone(),
                ..exec.clone()
            };
            quote::check(&checked).map_err(Failure::usage)?;
        }
        Ok(exec)
    }

    fn reaching(&self) -> Reaching<'_> {
        Reaching {
            connecting: &self.render.connecting,
            origins: self.origins,
            environment: self.environment,
            is_quiet: false,
        }
    }

    /// Has every host send its file.
    fn work(
        &self,
        mut plan: Plan,
        required: &Required,
        found: &mut Found<'_>,
    ) -> Result<Summary, Failure> {
        let terminal = Terminal::detect();
        let attended = Attended::start(&plan, terminal)?;
        let ways = self.reaching().credentials(&plan.hosts, required)?;
        let login = ways.ssh.password.as_ref();
        rights::give_password(&mut plan, &self.render.rights, self.origins, login)?;
        let transports = reaching::transports(ways, &plan)?;

        let mut progress = Progress::new(plan.hosts.len(), terminal.is_stderr, false);
        let notes = progress.notes();
        let listeners: &mut [&mut dyn Listener] = &mut [&mut progress, found];
        let worked = attended.work(&plan, &transports, &notes, listeners)?;
        worked.summary()
    }

    /// Returns the template's name as it stands in diffs.
    fn name(&self) -> String {
        if selecting::is_stdin(&self.render.file) {
            return "stdin".to_owned();
        }
        escaped(&self.render.file.to_string_lossy())
    }

    fn plan(&self, hosts: Vec<Endpoint>, exec: Exec, commands: Vec<Command>) -> Plan {
        let pacing = &self.render.pacing;
        let fan_out = room::Room::find(pacing.fan_out.get(), &hosts, 0).fan_out;
        Plan {
            run: RunId::new(SystemTime::now(), fastrand::u32(..)),
            limits: limits(pacing, fan_out, self.render.moving.grace),
            hosts,
            exec: Some(exec),
            commands,
            transfer: None,
        }
    }
}

/// Returns what a host executes to send a file.
fn reading(path: &Path, mark: &str) -> Command {
    // As for `hoist put`, relative paths begin at the login's home; and none begins with a dash.
    let path = path.strip_prefix("~").unwrap_or(path);
    let path = if path.is_absolute() {
        path.to_owned()
    } else {
        Path::new(".").join(path)
    };
    let most = (MAX_BYTES + 1).to_string();
    let words = ["sh", "-c", READ, "sh"].map(OsString::from).into_iter();
    Command::Argv(
        words
            .chain([path.into(), mark.into(), most.into()])
            .collect(),
    )
}

/// What hosts sent, and what came of it.
struct Found<'a> {
    texts: &'a [(HostName, Arc<str>)],
    paths: &'a [PathBuf],
    name: String,
    mark: Vec<u8>,
    store: Store,
    /// stdout and stderr of the hosts that are at work.
    pipes: HashMap<HostIndex, [Spool; 2]>,
    /// Each host's diff, empty where there is no difference; nothing where it isn't known.
    diffs: Vec<Option<Arc<[u8]>>>,
    known: HashSet<Arc<[u8]>>,
    /// Who could not be compared, and why.
    failed: Vec<(HostIndex, Kind, String)>,
}

impl Listener for Found<'_> {
    fn tell(&mut self, event: &Event) -> io::Result<()> {
        match &event.kind {
            EventKind::Output { host, pipe, bytes } => {
                let new = || [self.store.spool(), self.store.spool()];
                let [out, err] = self.pipes.entry(*host).or_insert_with(new);
                match pipe {
                    Pipe::Stdout => out.push(bytes),
                    Pipe::Stderr => err.push(bytes),
                }
            }
            EventKind::Finished { host, outcome } => self.finished(*host, outcome),
            _ => Ok(()),
        }
    }
}

impl Found<'_> {
    fn finished(&mut self, host: HostIndex, outcome: &Outcome) -> io::Result<()> {
        let [mut out, mut err] = [Vec::new(), Vec::new()];
        if let Some([stdout, stderr]) = self.pipes.remove(&host) {
            stdout.reader().read_to_end(&mut out)?;
            stderr
                .reader()
                .take(MAX_NOISE as u64)
                .read_to_end(&mut err)?;
        }
        if let Some(kind) = outcome.kind {
            let told = String::from_utf8_lossy(&err);
            let told = told.lines().last().unwrap_or_default();
            let message = match outcome.kind {
                Some(Kind::Exit) if !told.is_empty() => told.to_owned(),
                _ => outcome.message.clone(),
            };
            self.failed.push((host, kind, message));
            return Ok(());
        }
        match self.content(&out, outcome) {
            Ok(content) => {
                let diff = self.compared(host, content);
                self.diffs[host] = Some(diff);
            }
            Err(message) => self.failed.push((host, Kind::Transfer, message)),
        }
        Ok(())
    }

    /// Returns the file in what a host sent; none where there is no such file.
    fn content<'b>(&self, sent: &'b [u8], outcome: &Outcome) -> Result<Option<&'b [u8]>, String> {
        let mut places = sent.windows(self.mark.len());
        let place = places.position(|part| part == self.mark);
        let rest = place.map(|place| &sent[place + self.mark.len()..]);
        if let Some(content) = rest.and_then(|rest| rest.strip_prefix(b" f\n")) {
            if content.len() > MAX_BYTES || outcome.stdout.is_truncated {
                return Err("the file is longer than 1 MiB".to_owned());
            }
            return Ok(Some(content));
        }
        match rest {
            Some(rest) if rest.starts_with(b" m\n") => Ok(None),
            _ => Err("the host did not say whether it has the file".to_owned()),
        }
    }

    /// Returns a diff; equal ones are kept once.
    fn compared(&mut self, host: HostIndex, content: Option<&[u8]>) -> Arc<[u8]> {
        let path = escaped(&self.paths[host].to_string_lossy());
        let old = Side {
            name: &path,
            content,
        };
        let new = Side {
            name: &self.name,
            content: Some(self.texts[host].1.as_bytes()),
        };
        let diff: Arc<[u8]> = unified(old, new).into();
        if let Some(known) = self.known.get(&diff) {
            return Arc::clone(known);
        }
        self.known.insert(Arc::clone(&diff));
        diff
    }

    /// Counts the hosts that sent something that can't be compared.
    fn settle(&self, summary: &mut Summary) {
        for (_, kind, _) in &self.failed {
            if *kind == Kind::Transfer {
                summary.ok = summary.ok.saturating_sub(1);
                *summary.kinds.entry(*kind).or_default() += 1;
            }
        }
    }

    /// Prints equal diffs once, under the hosts that have them.
    fn print(&self, is_terminal: bool, out: &mut impl Write) -> io::Result<()> {
        let diffs = self.texts.iter().zip(&self.diffs);
        let differing = diffs.filter_map(|((name, _), diff)| {
            let diff = diff.as_deref().filter(|diff| !diff.is_empty())?;
            Some((name, diff))
        });
        for (diff, hosts) in grouped(differing) {
            writeln!(out, "# {}", hosts.fold())?;
            if is_terminal {
                out.write_all(sanitize(diff).as_bytes())?;
            } else {
                out.write_all(diff)?;
            }
        }
        Ok(())
    }

    /// Returns who could not be compared, and how many hosts are how.
    fn lines(&self) -> Vec<String> {
        let mut failed: Vec<_> = self.failed.iter().collect();
        failed.sort_by_key(|(host, ..)| *host);
        let failed = failed.into_iter().map(|(host, kind, message)| {
            format!("hoist: {}: {kind}: {message}", self.texts[*host].0)
        });
        let known = self.diffs.iter().flatten();
        let same = known.clone().filter(|diff| diff.is_empty()).count();
        let differing = known.count() - same;
        let unknown = self.diffs.len() - same - differing;
        let counts = [
            (differing, "differing"),
            (same, "the same"),
            (unknown, "not compared"),
        ];
        let hosts = match self.diffs.len() {
            1 => "1 host".to_owned(),
            count => format!("{count} hosts"),
        };
        let counts = counts.iter().filter(|(count, _)| *count > 0);
        let counts: Vec<String> = counts
            .map(|(count, word)| format!("{count} {word}"))
            .collect();
        failed
            .chain([format!("{hosts}: {}", counts.join(", "))])
            .collect()
    }
}

/// Puts equal contents together, each with the hosts that have it, in the order of the first ones.
pub(super) fn grouped<'a, T: Eq + Hash + ?Sized>(
    contents: impl Iterator<Item = (&'a HostName, &'a T)>,
) -> Vec<(&'a T, HostSet)> {
    let mut groups: Vec<(&T, HostSet)> = Vec::new();
    let mut places: HashMap<&T, usize> = HashMap::new();
    for (name, content) in contents {
        let place = *places.entry(content).or_insert_with(|| {
            groups.push((content, HostSet::default()));
            groups.len() - 1
        });
        groups[place].1.insert(name.clone());
    }
    groups
}
