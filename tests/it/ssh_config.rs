//! What hoist makes of a configuration, next to what `ssh -G` makes of it, which is right by
//! definition. Every keyword that hoist acts on is compared, in every case.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use hoist::host::{AddressFamily, HostKeyPolicy, HostName};
use hoist::ssh_config::{
    self, Facts, Given, JumpHop, Keyword, Resolved, Sources, SshConfig, UserFile, Value, Way,
};

mod cases;

use cases::{CASES, Case};

/// A keyword in lower case, and its values.
type Listing = BTreeMap<String, Vec<String>>;

/// Whoever runs the tests, as `ssh` sees them: by the account, not by `HOME`.
fn facts() -> Facts {
    let uid = rustix::process::getuid().as_raw();
    let accounts = fs::read_to_string("/etc/passwd").unwrap();
    let mut accounts = accounts
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>());
    let own = accounts
        .find(|fields| fields[2].parse() == Ok(uid))
        .unwrap();
    let machine = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let variables = VARIABLES.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Facts {
        home: own[5].into(),
        user: own[0].to_owned(),
        uid,
        machine: machine.trim().to_owned(),
        addresses: Arc::default(),
        variables: variables.into(),
        shell: "/bin/sh".into(),
    }
}

const VARIABLES: [(&str, &str); 3] = [("WHERE", "below"), ("LANG", "C.UTF-8"), ("LC_ALL", "C")];

/// Runs `ssh`, with the environment that [`facts`] tells of.
fn ssh(arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new("ssh");
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("SHELL", "/bin/sh")
        .envs(VARIABLES);
    let output = command
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .output();
    let output = output.expect("ssh is installed: apt-get install openssh-client");
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn listing(text: &str) -> Listing {
    let mut listing = Listing::new();
    for line in text.lines() {
        let (keyword, value) = line.split_once(' ').unwrap_or((line, ""));
        listing
            .entry(keyword.to_owned())
            .or_default()
            .push(value.to_owned());
    }
    listing
}

/// Returns the algorithms of a kind that `ssh` knows.
fn supported(kind: &str) -> Vec<String> {
    let known = ssh(&["-Q", kind]).unwrap();
    known.lines().map(str::to_owned).collect()
}

#[allow(clippy::too_many_lines, reason = "a line or two for each keyword")]
/// Returns what hoist found, in the form of `ssh -G`; `defaults` is what that says of nothing.
fn found(resolved: &Resolved, defaults: &Listing) -> Result<Listing, ssh_config::SshConfigError> {
    let mut found = Listing::new();
    let mut put = |keyword: Keyword, values: Option<Vec<String>>| {
        let keyword = keyword.name().to_ascii_lowercase();
        let values = values.or_else(|| defaults.get(&keyword).cloned());
        if let Some(values) = values.filter(|values| !values.is_empty()) {
            found.insert(keyword, values);
        }
    };
    let one = |value: String| Some(vec![value]);
    put(Keyword::HostName, one(resolved.address().to_owned()));
    put(Keyword::User, one(resolved.user()?));
    put(Keyword::Port, one(resolved.port().to_string()));
    match resolved.way()? {
        Way::Direct => {}
        Way::Jumps(hops) => put(Keyword::ProxyJump, one(hop_list(&hops))),
        Way::Command(_) => put(
            Keyword::ProxyCommand,
            texts(resolved, Keyword::ProxyCommand),
        ),
    }
    for keyword in [Keyword::IdentityFile, Keyword::CertificateFile] {
        put(keyword, texts(resolved, keyword));
    }
    put(
        Keyword::UserKnownHostsFile,
        Some(vec![paths(&resolved.known_hosts()?)]),
    );
    put(
        Keyword::GlobalKnownHostsFile,
        Some(vec![paths(&resolved.global_known_hosts())]),
    );
    put(
        Keyword::HostKeyAlias,
        resolved.host_key_alias().map(|alias| vec![alias]),
    );
    let checking = resolved.policy().map(|policy| match policy {
        HostKeyPolicy::Strict => "true",
        HostKeyPolicy::Off => "false",
        HostKeyPolicy::Ask => "ask",
        HostKeyPolicy::AcceptNew => "accept-new",
    });
    put(
        Keyword::StrictHostKeyChecking,
        checking.map(|word| vec![word.to_owned()]),
    );
    let family = match resolved.family() {
        AddressFamily::Any => "any",
        AddressFamily::Inet => "inet",
        AddressFamily::Inet6 => "inet6",
    };
    put(Keyword::AddressFamily, one(family.to_owned()));
    for keyword in [
        Keyword::CheckHostIp,
        Keyword::HashKnownHosts,
        Keyword::IdentitiesOnly,
        Keyword::KbdInteractiveAuthentication,
        Keyword::PasswordAuthentication,
    ] {
        let flag = resolved.flag(keyword);
        put(
            keyword,
            flag.map(|flag| vec![if flag { "yes" } else { "no" }.to_owned()]),
        );
    }
    let pubkey = resolved
        .text(Keyword::PubkeyAuthentication)
        .map(|word| match word {
            "yes" => "true".to_owned(),
            "no" => "false".to_owned(),
            other => other.to_owned(),
        });
    put(Keyword::PubkeyAuthentication, pubkey.map(|word| vec![word]));
    for keyword in [Keyword::ConnectionAttempts, Keyword::ServerAliveCountMax] {
        put(
            keyword,
            resolved
                .number(keyword)
                .map(|number| vec![number.to_string()]),
        );
    }
    let times = [
        (Keyword::ConnectTimeout, "none"),
        (Keyword::ServerAliveInterval, "0"),
    ];
    for (keyword, none) in times {
        let time = resolved
            .settings(keyword)
            .first()
            .map(|setting| match setting.value {
                Value::Time(Some(seconds)) => seconds.to_string(),
                _ => none.to_owned(),
            });
        put(keyword, time.map(|time| vec![time]));
    }
    let kinds = [
        (Keyword::Ciphers, "cipher"),
        (Keyword::Macs, "mac"),
        (Keyword::KexAlgorithms, "kex"),
        (Keyword::HostKeyAlgorithms, "HostKeyAlgorithms"),
    ];
    for (keyword, kind) in kinds {
        let chosen = resolved
            .text(keyword)
            .map(|wish| algorithms(wish, keyword, kind, defaults));
        put(keyword, chosen.map(|names| vec![names]));
    }
    let level = resolved.text(Keyword::LogLevel).map(|level| match level {
        "debug1" => "DEBUG".to_owned(),
        "quiet" => "SILENT".to_owned(),
        other => other.to_ascii_uppercase(),
    });
    put(Keyword::LogLevel, level.map(|level| vec![level]));
    for keyword in [
        Keyword::BindAddress,
        Keyword::PreferredAuthentications,
        Keyword::RemoteCommand,
        Keyword::RevokedHostKeys,
    ] {
        let text = texts(resolved, keyword);
        let may_be_none = [Keyword::RemoteCommand, Keyword::RevokedHostKeys].contains(&keyword);
        let text = text.filter(|text| !may_be_none || !is_none(&text[0]));
        put(keyword, text);
    }
    let agent = match texts(resolved, Keyword::IdentityAgent) {
        Some(text) if text[0].contains(['~', '%', '{']) => resolved
            .agent()?
            .map(|path| vec![path.display().to_string()]),
        other => other,
    };
    put(Keyword::IdentityAgent, agent);
    let sent = resolved.sent_variables().map(str::to_owned).collect();
    put(Keyword::SendEnv, Some(sent));
    let variables = resolved.set_variables()?.into_iter();
    let variables = variables
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    put(Keyword::SetEnv, Some(variables));
    Ok(found)
}

fn is_none(text: &str) -> bool {
    text.eq_ignore_ascii_case("none")
}

fn texts(resolved: &Resolved, keyword: Keyword) -> Option<Vec<String>> {
    let settings = resolved.settings(keyword);
    let texts: Vec<String> = settings
        .iter()
        .filter_map(|setting| match &setting.value {
            Value::Text(text) => Some(text.to_string()),
            _ => None,
        })
        .collect();
    (!texts.is_empty()).then_some(texts)
}

fn paths(paths: &[std::path::PathBuf]) -> String {
    let shown: Vec<String> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    if shown.is_empty() {
        "none".to_owned()
    } else {
        shown.join(" ")
    }
}

fn hop_list(hops: &[JumpHop]) -> String {
    let shown: Vec<String> = hops.iter().map(ToString::to_string).collect();
    shown.join(",")
}

fn algorithms(wish: &str, keyword: Keyword, kind: &str, defaults: &Listing) -> String {
    let all = supported(kind);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let defaults = &defaults[&keyword.name().to_ascii_lowercase()][0];
    let defaults: Vec<&str> = defaults.split(',').collect();
    ssh_config::chosen(wish, &defaults, &all).join(",")
}

/// What may be written in several ways.
fn normal(keyword: &str, values: &[String]) -> Vec<String> {
    let each = values.iter().map(|value| match keyword {
        "proxyjump" => {
            let hops: Vec<_> = value.split(',').filter_map(JumpHop::parse).collect();
            hop_list(&hops)
        }
        "userknownhostsfile" | "globalknownhostsfile" if value.is_empty() => "none".to_owned(),
        _ => value.clone(),
    });
    each.collect()
}

/// Writes the files of a case; returns the first one.
fn write_files(folder: &Path, text: &str) -> std::path::PathBuf {
    let mut parts = text.split("--- ");
    let first = folder.join("config");
    fs::write(
        &first,
        parts
            .next()
            .unwrap()
            .replace("{dir}", folder.to_str().unwrap()),
    )
    .unwrap();
    for part in parts {
        let (name, text) = part.split_once('\n').unwrap();
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text.replace("{dir}", folder.to_str().unwrap())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }
    first
}

/// Keywords as `ssh -G` prints them.
const COMPARED: [&str; 34] = [
    "addressfamily",
    "bindaddress",
    "certificatefile",
    "checkhostip",
    "ciphers",
    "connectionattempts",
    "connecttimeout",
    "globalknownhostsfile",
    "hashknownhosts",
    "hostkeyalgorithms",
    "hostkeyalias",
    "hostname",
    "identitiesonly",
    "identityagent",
    "identityfile",
    "kbdinteractiveauthentication",
    "kexalgorithms",
    "loglevel",
    "macs",
    "passwordauthentication",
    "port",
    "preferredauthentications",
    "proxycommand",
    "proxyjump",
    "pubkeyauthentication",
    "remotecommand",
    "revokedhostkeys",
    "sendenv",
    "serveralivecountmax",
    "serveraliveinterval",
    "setenv",
    "stricthostkeychecking",
    "user",
    "userknownhostsfile",
];

/// Compares one call; returns what differs.
fn difference(config: &Path, call: &[&str]) -> Option<String> {
    let (host, options) = call.split_last().unwrap();
    let file = config.to_str().unwrap();
    let arguments = [&["-G", "-F", file], options, &[host]].concat();
    let expected = ssh(&arguments);
    let sources = Sources {
        options: options.chunks(2).map(|pair| pair[1].to_owned()).collect(),
        options_name: "-O".to_owned(),
        user: Some(UserFile::Named(config.to_owned())),
        system: None,
    };
    let host = HostName::parse(host).unwrap();
    let defaults = listing(&ssh(&["-G", "-F", "none", host.as_str()]).unwrap());
    let ours = SshConfig::load(&sources, facts())
        .and_then(|config| config.resolve(&host, &Given::default()))
        .and_then(|resolved| found(&resolved, &defaults));
    let (expected, ours) = match (expected, ours) {
        (Err(_), Err(_)) => return None,
        (Err(theirs), Ok(_)) => return Some(format!("ssh refuses it, hoist doesn't: {theirs}")),
        (Ok(_), Err(error)) => return Some(format!("hoist refuses it, ssh doesn't: {error}")),
        (Ok(expected), Ok(ours)) => (listing(&expected), ours),
    };
    let mut text = String::new();
    for keyword in COMPARED {
        let side = |side: &Listing| side.get(keyword).map(|values| normal(keyword, values));
        if side(&expected) != side(&ours) {
            let (theirs, ours) = (side(&expected), side(&ours));
            writeln!(text, "{keyword}: ssh {theirs:?}, hoist {ours:?}").unwrap();
        }
    }
    (!text.is_empty()).then_some(text)
}

#[test]
fn it_finds_what_ssh_finds() {
    assert!(CASES.len() >= 60);
    let mut differences = String::new();
    for Case {
        about,
        config,
        calls,
    } in CASES
    {
        let folder = tempfile::tempdir().unwrap();
        let config = write_files(folder.path(), config);
        for call in *calls {
            let words: Vec<&str> = call.split(' ').collect();
            if let Some(text) = difference(&config, &words) {
                writeln!(differences, "{about} ({call}):\n{text}").unwrap();
            }
        }
    }
    assert!(differences.is_empty(), "\n{differences}");
}
