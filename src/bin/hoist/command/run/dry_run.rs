//! `--dry-run`: the plan as text, nothing contacted.

use std::ffi::OsString;
use std::io::{self, Write};
use std::time::Duration;

use hoist::host::{Endpoint, TransportName, escaped};
use hoist::plan::Plan;
use hoist::quote;
use hoist::remote::{Command, Elevation, Exec, Stdin};

/// The widest a column is made for the sake of those after it.
const MAX_WIDTH: usize = 40;

/// Prints what would be done.
///
/// # Errors
/// When `out` can't be written.
pub(super) fn print(plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    let Some(exec) = &plan.exec else {
        return Ok(());
    };
    match &exec.command {
        command @ Command::Argv(_) => line(out, "command", &shown(command))?,
        command @ Command::Shell(_) => line(out, "shell line", &shown(command))?,
        Command::Script(script) => {
            line(out, "script", &shown(&exec.command))?;
            let interpreter = script.interpreter();
            // Of a template, each host's own text says it.
            if plan.commands.is_empty() && !interpreter.is_empty() {
                line(out, "interpreter", &quote::display(&interpreter))?;
            }
        }
    }
    match &exec.elevation {
        None => {}
        Some(Elevation::Sudo { user, .. }) => line(out, "rights", &format!("{user}, by sudo"))?,
        Some(Elevation::With(words)) => {
            line(out, "rights", &format!("by {}", quote::display(words)))?;
        }
    }
    if let Some(cwd) = &exec.cwd {
        line(out, "directory", &escaped(&cwd.to_string_lossy()))?;
    }
    for (name, value) in &exec.env {
        let value = escaped(&value.to_string_lossy());
        line(out, "variable", &format!("{name}={value}"))?;
    }
    line(out, "stdin", &stdin(&exec.stdin))?;
    line(out, "limits", &limits(plan, exec))?;
    line(out, "hosts", &plan.hosts.len().to_string())?;
    writeln!(out)?;
    hosts(&plan.hosts, out)?;
    commands(plan, out)
}

/// Prints each host's own command, where they differ.
fn commands(plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    for (index, (host, command)) in plan.hosts.iter().zip(&plan.commands).enumerate() {
        if index == 0 {
            writeln!(out)?;
        }
        writeln!(out, "{}: {}", host.name, shown(command))?;
    }
    Ok(())
}

fn shown(command: &Command) -> String {
    match command {
        Command::Argv(argv) => quote::display(argv),
        Command::Shell(text) => escaped(&text.to_string_lossy()),
        Command::Script(script) => {
            let words = [OsString::from(script.name())];
            let words: Vec<_> = words.iter().chain(script.arguments()).cloned().collect();
            let bytes = script.content().len();
            format!("{} ({bytes} bytes)", quote::display(&words))
        }
    }
}

fn line(out: &mut dyn Write, word: &str, text: &str) -> io::Result<()> {
    writeln!(out, "{word:<11} {text}")
}

fn stdin(stdin: &Stdin) -> String {
    match stdin {
        Stdin::Bytes(bytes) => format!("{} bytes", bytes.len()),
        _ => match stdin.content() {
            Some(content) => format!("{} bytes", content.length()),
            None => "empty".to_owned(),
        },
    }
}

fn limits(plan: &Plan, exec: &Exec) -> String {
    let limits = &plan.limits;
    let time = |time: Option<Duration>| time.map_or("none".to_owned(), |time| format!("{time:?}"));
    let bytes = exec
        .max_output
        .map_or("none".to_owned(), |bytes| format!("{bytes} bytes"));
    format!(
        "fan-out {}, connect-rate {}, connect-timeout {:?}, timeout {}, max-output {bytes}, \
         retries {}, grace {:?}",
        limits.fan_out,
        limits
            .connect_rate
            .map_or("adaptive".to_owned(), |rate| rate.to_string()),
        limits.connect_timeout,
        time(exec.timeout),
        limits.retries,
        limits.grace,
    )
}

fn hosts(hosts: &[Endpoint], out: &mut dyn Write) -> io::Result<()> {
    let name_width = width(hosts.iter().map(|host| host.name.as_str()), "HOST");
    let user_width = width(hosts.iter().map(user), "USER");
    writeln!(
        out,
        "{:name_width$}  TRANSPORT  {:user_width$}  ADDRESS",
        "HOST", "USER"
    )?;
    for host in hosts {
        let transport = host.transport.as_str();
        writeln!(
            out,
            "{:name_width$}  {transport:<9}  {:user_width$}  {}",
            host.name.as_str(),
            user(host),
            address(host)
        )?;
    }
    Ok(())
}

fn width<'a>(texts: impl Iterator<Item = &'a str>, heading: &str) -> usize {
    let widest = texts.map(|text| text.chars().count()).max();
    widest.unwrap_or(0).clamp(heading.len(), MAX_WIDTH)
}

fn user(host: &Endpoint) -> &str {
    host.user.as_ref().map_or("-", |user| user.as_str())
}

fn address(host: &Endpoint) -> String {
    let address = host.address.as_str();
    match host.transport {
        TransportName::Local => "this machine".to_owned(),
        _ if address.contains(':') => format!("[{address}]:{}", host.port),
        _ => format!("{address}:{}", host.port),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use hoist::event::RunId;
    use hoist::host::{Address, HostName, Port, UserName};
    use hoist::plan::Limits;

    use super::*;

    fn endpoint(name: &str, address: &str, transport: TransportName) -> Endpoint {
        Endpoint {
            name: HostName::parse(name).unwrap(),
            transport,
            address: Address::parse(address).unwrap(),
            port: Port::new(2222).unwrap(),
            user: (transport == TransportName::Ssh).then(|| UserName::parse("root").unwrap()),
            ssh: Arc::default(),
            host_key: None,
        }
    }

    fn plan(command: Command) -> Plan {
        Plan {
            run: RunId::new(SystemTime::UNIX_EPOCH, 0),
            hosts: vec![
                endpoint("web1.example.org", "10.0.0.1", TransportName::Ssh),
                endpoint("db", "2001:db8::1", TransportName::Ssh),
                endpoint("here", "here", TransportName::Local),
            ],
            commands: Vec::new(),
            transfer: None,
            exec: Some(Exec {
                cwd: Some("/srv".into()),
                env: vec![("A".to_owned(), "b\x1b[2J".into())],
                stdin: Stdin::Bytes((*b"abc").into()),
                timeout: Some(Duration::from_secs(90)),
                ..Exec::new(command)
            }),
            limits: Limits {
                fan_out: 3,
                handshakes: 64,
                connect_rate: None,
                connect_timeout: Duration::from_secs(10),
                retries: 1,
                grace: Duration::from_millis(2500),
            },
        }
    }

    fn printed(command: Command) -> String {
        let mut out = Vec::new();
        print(&plan(command), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn everything_that_was_decided_is_shown() {
        let command = Command::Argv(vec!["echo".into(), "plain".into()]);
        insta::assert_snapshot!(printed(command), @r"
        command     echo plain
        directory   /srv
        variable    A=b\u{1b}[2J
        stdin       3 bytes
        limits      fan-out 3, connect-rate adaptive, connect-timeout 10s, timeout 90s, max-output none, retries 1, grace 2.5s
        hosts       3

        HOST              TRANSPORT  USER  ADDRESS
        web1.example.org  ssh        root  10.0.0.1:2222
        db                ssh        root  [2001:db8::1]:2222
        here              local      -     this machine
        ");
    }

    #[test]
    fn a_line_for_the_shell_is_shown_harmless() {
        let text = printed(Command::Shell("a | b \x1b[2J".into()));
        assert!(text.starts_with("shell line  a | b \\u{1b}[2J\n"), "{text}");
    }
}
