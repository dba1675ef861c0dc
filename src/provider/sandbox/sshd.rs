//! OpenSSH's server: where it is, what it is told, how it is started.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::super::ProviderError;
use super::super::user_data::HostKey;
use super::folder::{Record, make_folder, quoted, write};
use super::process::Table;
use super::{failed, local};
use crate::host::{cut, escaped};

/// What the sshd reads; also what its process is known by.
pub(super) const CONFIGURATION: &str = "sshd_config";

/// Names the server's folder in each session.
pub(super) const VARIABLE: &str = "HOIST_SANDBOX";

const HOST_KEY: &str = "ssh_host_ed25519_key";
const PID: &str = "sshd.pid";
const LOG: &str = "sshd.log";
const ENTER: &str = "enter";

/// Folders with sshd besides those of `PATH`, which seldom has them.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/local/sbin", "/sbin", "/usr/libexec"];

/// Where distributions have the program that gives files.
const SFTP: [&str; 6] = [
    "/usr/lib/openssh/sftp-server",
    "/usr/libexec/openssh/sftp-server",
    "/usr/lib/ssh/sftp-server",
    "/usr/libexec/sftp-server",
    "/usr/lib/misc/sftp-server",
    "/usr/local/libexec/sftp-server",
];

/// An sshd listens by then.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// From one look to the next.
const POLL: Duration = Duration::from_millis(10);

/// Longest message of sshd that is shown, in characters.
const MAX_SHOWN: usize = 300;

/// What every session begins with: the server's home, then what was asked for.
const ENTER_SCRIPT: &str = r#"cd -- "$HOME" || exit 1
if [ -n "${SSH_ORIGINAL_COMMAND-}" ]; then
    exec "$SHELL" -c "$SSH_ORIGINAL_COMMAND"
fi
exec "$SHELL" -l
"#;

/// The installed server.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Program {
    path: PathBuf,
    version: String,
}

/// What a server is made of.
#[derive(Debug)]
pub(super) struct Setup<'a> {
    /// Where it will be.
    pub folder: &'a Path,
    pub record: &'a Record,
    pub host_key: &'a HostKey,
    /// The key that opens it, as a line.
    pub key: &'a str,
}

impl Program {
    /// Looks for it in the folders of `path` and in those where it usually is.
    pub(super) fn find(path: &str) -> Result<Self, ProviderError> {
        Self::find_in(path.split(':').chain(FOLDERS))
    }

    /// Looks for it. sshd starts itself anew and wants to know its whole path for that.
    pub(super) fn find_in<'a>(
        mut folders: impl Iterator<Item = &'a str>,
    ) -> Result<Self, ProviderError> {
        let found = folders.find_map(|folder| {
            let path = Path::new(folder).join("sshd");
            (path.is_absolute() && is_executable(&path)).then_some(path)
        });
        let path = found.ok_or_else(|| {
            local(
                "the sandbox needs OpenSSH's server, and there is no sshd here: install the \
                 package openssh-server (Debian, Ubuntu, Fedora) or openssh (Alpine, Arch)",
            )
        })?;
        let version = version_of(&path)?;
        Ok(Self { path, version })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns `OpenSSH_9.2p1`, escaped.
    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Fills the folder of a server, which is at `now` until it is whole.
    pub(super) fn set_up(&self, setup: &Setup<'_>, now: &Path) -> Result<(), ProviderError> {
        let host_key = setup.host_key;
        make_folder(&now.join("home"))?;
        write(&now.join(HOST_KEY), host_key.private().expose())?;
        let public = format!("{}\n", host_key.public());
        write(&now.join(format!("{HOST_KEY}.pub")), &public)?;
        write(&now.join("authorized_keys"), &format!("{}\n", setup.key))?;
        write(&now.join(ENTER), ENTER_SCRIPT)?;
        let sftp = SFTP.iter().map(Path::new).find(|path| is_executable(path));
        let mut local = Vec::new();
        if let Some(sftp) = sftp {
            local.push(format!("Subsystem sftp {}", sftp.display()));
        }
        if has_penalties(&self.version) {
            local.push("PerSourcePenalties no".to_owned());
        }
        if is_locked(&setup.record.user) {
            // Of the same keyword the first line counts, and this one comes first.
            local.push("UsePAM yes".to_owned());
        }
        let text = configuration(setup, &local)?;
        write(&now.join(CONFIGURATION), &text)
    }

    /// Starts the server in `folder`, and returns when it listens. It goes on when hoist ends: sshd
    /// begins a session of its own.
    pub(super) fn start(&self, folder: &Path) -> Result<(), ProviderError> {
        let configuration = folder.join(CONFIGURATION);
        self.test(&configuration)?;
        let log = folder.join(LOG);
        // The configuration first: what is long gets cut off in the list of processes.
        let status = self
            .command()
            .arg("-f")
            .arg(&configuration)
            .arg("-E")
            .arg(&log)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .map_err(|error| failed("start", &self.path, &error))?;
        if !status.success() {
            return Err(self.refused(&read(&log)));
        }
        let began_at = Instant::now();
        loop {
            // Before, so that a process which ends in between is not taken for one that never was.
            let table = Table::read()?;
            if read(&folder.join(PID)).trim().parse::<u32>().is_ok() {
                return Ok(());
            }
            if !table.has_listener(folder) || began_at.elapsed() > START_TIMEOUT {
                return Err(self.refused(&read(&log)));
            }
            thread::sleep(POLL);
        }
    }

    /// Has sshd check its configuration. Where it lacks a folder that the init system makes for the
    /// service, the folder is made.
    fn test(&self, configuration: &Path) -> Result<(), ProviderError> {
        let check = || {
            let mut command = self.command();
            let output = command.arg("-t").arg("-f").arg(configuration).output();
            let output = output.map_err(|error| failed("start", &self.path, &error))?;
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            Ok((!output.status.success()).then_some(text))
        };
        let Some(complaint) = check()? else {
            return Ok(());
        };
        let Some(missing) = missing_folder(&complaint) else {
            return Err(self.refused(&complaint));
        };
        let made = fs::create_dir_all(missing)
            .and_then(|()| fs::set_permissions(missing, fs::Permissions::from_mode(0o755)));
        made.map_err(|error| failed("make sshd's folder", missing, &error))?;
        match check()? {
            None => Ok(()),
            Some(complaint) => Err(self.refused(&complaint)),
        }
    }

    /// Returns a command with nothing of hoist's own environment, which may hold credentials.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
            .current_dir("/")
            // Ctrl-C is for hoist alone.
            .process_group(0)
            .stdin(Stdio::null());
        command
    }

    /// Returns the error of an sshd that does not start; its last line tells why.
    fn refused(&self, complaint: &str) -> ProviderError {
        let last = complaint.lines().rev().find(|line| !line.trim().is_empty());
        let why = last.map_or("it says nothing", str::trim);
        local(format!(
            "{} does not start: {}",
            escaped(&self.path.display().to_string()),
            cut(escaped(why), MAX_SHOWN)
        ))
    }
}

/// Returns the folder that sshd, run by root, is missing.
fn missing_folder(complaint: &str) -> Option<&Path> {
    let mut lines = complaint.lines();
    let path = lines.find_map(|line| line.split_once("privilege separation directory: "));
    let path = Path::new(path?.1.trim());
    path.is_absolute().then_some(path)
}

/// Returns what sshd reads, `sshd_config(5)`, with what this machine alone needs.
fn configuration(setup: &Setup<'_>, local: &[String]) -> Result<String, ProviderError> {
    let (folder, record) = (setup.folder, setup.record);
    let path = |name: &str| quoted(&folder.join(name));
    let variable = |name: &str, value: &Path| {
        let entry = PathBuf::from(format!("{name}={}", value.display()));
        quoted(&entry)
    };
    let home = variable("HOME", &folder.join("home"))?;
    let own = variable(VARIABLE, folder)?;
    let lines = [
        format!("ListenAddress {}:{}", record.address, record.port),
        format!("HostKey {}", path(HOST_KEY)?),
        format!("PidFile {}", path(PID)?),
        // `%` begins what sshd replaces there.
        format!(
            "AuthorizedKeysFile {}",
            path("authorized_keys")?.replace('%', "%%")
        ),
        format!("AllowUsers {}", quoted(Path::new(&record.user))?),
        format!("SetEnv {home} {own}"),
        format!("ForceCommand exec /bin/sh \"${VARIABLE}/{ENTER}\""),
    ];
    let text = [&lines[..], local].concat().join("\n");
    Ok(format!("{text}\n{USUAL}"))
}

/// What all servers have in common. The folders above are the user's own, whatever their modes.
const USUAL: &str = "\
AcceptEnv LANG LC_*
KbdInteractiveAuthentication no
MaxSessions 100
MaxStartups 1000
PasswordAuthentication no
PermitRootLogin prohibit-password
PermitUserEnvironment no
PermitUserRC no
PrintLastLog no
PrintMotd no
StrictModes no
UseDNS no
UsePAM no
";

/// Whether the account has no password that could be right, by a `!` before it. An sshd of root takes
/// that for a locked account and lets nobody in, unless PAM decides.
fn is_locked(user: &str) -> bool {
    // Only root can read it, and for others sshd does not look.
    read(Path::new("/etc/shadow"))
        .lines()
        .filter_map(|line| line.split_once(':'))
        .any(|(name, rest)| name == user && rest.starts_with('!'))
}

/// Whether sshd shuts out addresses that fail to log in, and so knows how to leave it: OpenSSH 9.8.
fn has_penalties(version: &str) -> bool {
    let number = version.strip_prefix("OpenSSH_").and_then(|version| {
        let (major, rest) = version.split_once('.')?;
        let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
    });
    number.is_some_and(|number| number >= (9, 8))
}

/// Asks for the version. sshd tells it with any option that it doesn't know, as `-V` was once.
fn version_of(path: &Path) -> Result<String, ProviderError> {
    let output = Command::new(path)
        .arg("-V")
        .env_clear()
        .process_group(0)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| failed("start", path, &error))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut words = text.split([' ', ',', '\n', '\r']);
    match words.find(|word| word.starts_with("OpenSSH_")) {
        Some(version) => Ok(escaped(version)),
        None => Err(local(format!(
            "{} is not OpenSSH's server, which the sandbox needs",
            escaped(&path.display().to_string())
        ))),
    }
}

fn is_executable(path: &Path) -> bool {
    let metadata = fs::metadata(path);
    metadata.is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

fn read(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn penalties_are_known_since_9_8() {
        for (version, is_known) in [
            ("OpenSSH_9.2p1", false),
            ("OpenSSH_9.8p1", true),
            ("OpenSSH_9.9", true),
            ("OpenSSH_10.0p2", true),
            ("OpenSSH_for_Windows_9.9", false),
        ] {
            assert_eq!(has_penalties(version), is_known, "{version}");
        }
    }

    #[test]
    fn the_missing_folder_is_read_from_the_complaint() {
        let complaint = "Missing privilege separation directory: /run/sshd\r\n";
        assert_eq!(missing_folder(complaint), Some(Path::new("/run/sshd")));
        assert_eq!(
            missing_folder("Privilege separation user sshd does not exist"),
            None
        );
    }
}
