//! The scripts for real: every shell in the role of `sh`, with the tools of GNU, of busybox, and with
//! hardly any.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_io::{Timer, block_on};
use futures_lite::FutureExt;

use super::*;
use crate::remote::{Elevation, ExitStatus, Pipe, Signal};
use crate::transfer::{Change, What};
use crate::transport::files::{FileError, FileKind, FileReason, Files, Wanted};
use crate::transport::local::Local;
use crate::transport::{End, Progress, Session};
use crate::tree::{NodeKind, Tree};

mod checking;
mod looking;
mod making;
mod putting;

const SHELLS: [&str; 6] = ["dash", "bash", "busybox", "ksh", "mksh", "zsh"];
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
/// What there is on a host that has nothing else.
const BARE: &str = "cat chmod chown cp date dd env head id ln ls mkdir mv printf readlink rm rmdir sed \
                    sleep tail touch true";
const PATIENCE: Duration = Duration::from_secs(30);

/// Which tools a host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tools {
    Gnu,
    Busybox,
    Bare,
}

/// A folder in the role of a host's home, on which the scripts work.
struct Host {
    dir: tempfile::TempDir,
    name: String,
    path: OsString,
    elevation: Option<Elevation>,
    /// How much of stdin arrives.
    arrives: Option<usize>,
    /// Sent when this file is there.
    signal: Option<(PathBuf, Signal)>,
    /// Something may hold the pipes after the end.
    leaves: bool,
}

fn program(name: &str) -> PathBuf {
    let mut places = PATH.split(':').map(|dir| Path::new(dir).join(name));
    let found = places.find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed"))
}

fn busybox_applets() -> Vec<String> {
    let output = std::process::Command::new(program("busybox"))
        .arg("--list")
        .output()
        .unwrap();
    let list = String::from_utf8(output.stdout).unwrap();
    list.lines().map(str::to_owned).collect()
}

impl Host {
    fn new(shell: &str, tools: Tools) -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let bin = dir.path().join("bin");
        fs::create_dir(&bin).unwrap();
        fs::create_dir(dir.path().join("home")).unwrap();
        symlink(program(shell), bin.join("sh")).unwrap();
        let mut path = bin.clone().into_os_string();
        match tools {
            Tools::Gnu => path.push(format!(":{PATH}")),
            Tools::Busybox => {
                for applet in busybox_applets() {
                    let link = bin.join(&applet);
                    if applet != "sh" && !applet.starts_with('[') {
                        symlink(program("busybox"), link).unwrap();
                    }
                }
            }
            Tools::Bare => {
                for tool in BARE.split_whitespace() {
                    symlink(program(tool), bin.join(tool)).unwrap();
                }
                symlink(program("busybox"), bin.join("find")).unwrap();
            }
        }
        Self {
            dir,
            name: format!("{shell} with {tools:?}"),
            path,
            elevation: None,
            arrives: None,
            signal: None,
            leaves: false,
        }
    }

    /// Every shell with the usual tools, and one each with others.
    fn all() -> impl Iterator<Item = Self> {
        let shells = SHELLS.into_iter().map(|shell| (shell, Tools::Gnu));
        let others = [
            ("busybox", Tools::Busybox),
            ("dash", Tools::Busybox),
            ("dash", Tools::Bare),
            ("mksh", Tools::Bare),
            ("zsh", Tools::Bare),
        ];
        shells
            .chain(others)
            .map(|(shell, tools)| Self::new(shell, tools))
    }

    fn usual() -> Self {
        Self::new("dash", Tools::Gnu)
    }

    fn has_tar(&self) -> bool {
        !self.name.ends_with("Bare")
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.home().join(path)
    }

    fn write(&self, path: impl AsRef<Path>, content: &str) {
        fs::write(self.join(path), content).unwrap();
    }

    fn text(&self, path: impl AsRef<Path>) -> String {
        fs::read_to_string(self.join(path)).unwrap()
    }

    fn mode(&self, path: impl AsRef<Path>) -> u32 {
        fs::metadata(self.join(path)).unwrap().mode() & 0o7777
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.join(folder)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    fn way(&self) -> Scripts {
        let mut around = Exec::new(Command::Argv(Vec::new()));
        around.env = vec![("PATH".to_owned(), self.path.clone())];
        around.cwd = Some(self.home());
        around.elevation.clone_from(&self.elevation);
        Scripts::new(around)
    }

    fn survey(&mut self, paths: &[PathBuf]) -> Result<Vec<Option<Found>>, Trouble> {
        block_on(self.way().survey(self, paths))
    }

    fn found(&mut self, path: &str) -> Option<Found> {
        self.survey(&[path.into()]).unwrap().remove(0)
    }

    fn apply(&mut self, changes: &Changes<'_>) -> Result<(), Trouble> {
        let gauge = Arc::new(Gauge::new(0, |_, _| {}));
        block_on(self.way().apply(self, changes, gauge))
    }

    /// Makes changes without being there at their end.
    fn apply_and_be_gone(&mut self, changes: &Changes<'_>) -> Result<(), Trouble> {
        self.leaves = true;
        self.apply(changes)
    }

    /// Makes changes that have to go well.
    #[track_caller]
    fn done(&mut self, changes: &Changes<'_>) {
        let applied = self.apply(changes);
        assert_eq!(applied, Ok(()), "{}", self.name);
    }

    /// Returns a change that knows what is there.
    fn change(&mut self, path: &str, what: What) -> Change {
        Change {
            path: path.into(),
            old: self.found(path),
            what,
        }
    }

    fn store(&mut self, path: &str, text: &str) -> Change {
        self.change(path, file(text, 0o640))
    }

    /// Lets the login have no more rights than anybody.
    fn as_nobody(&mut self) {
        let words = [
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
        ];
        self.elevation = Some(Elevation::With(words.map(str::to_owned).into()));
    }

    async fn execute(
        &self,
        mut exec: Exec,
        sink: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<Ran, Trouble> {
        if let (Some(most), Some(content)) = (self.arrives, exec.stdin.content()) {
            let mut bytes = vec![0; most];
            let mut length = 0;
            while length < most {
                match content
                    .read_at(&mut bytes[length..], length as u64)
                    .unwrap()
                {
                    0 => break,
                    count => length += count,
                }
            }
            bytes.truncate(length);
            exec.stdin = Stdin::Bytes(bytes.into());
        }
        let mut local = Local::new();
        let mut process = local.spawn(&exec).await.unwrap();
        let mut told: Option<Instant> = None;
        let mut stderr = Vec::new();
        let mut buffer = Vec::new();
        let began = Instant::now();
        loop {
            assert!(began.elapsed() < PATIENCE, "{} does not end", self.name);
            // mksh may miss one just before it begins to wait.
            if let Some((path, number)) = &self.signal
                && path.exists()
                && told.is_none_or(|told| told.elapsed() > Duration::from_secs(1))
            {
                process.signal(*number).await.ok();
                told = Some(Instant::now());
            }
            let late = async {
                Timer::after(Duration::from_millis(5)).await;
                None
            };
            let next = async { Some(process.next(&mut buffer).await) };
            match next.or(late).await {
                None => {}
                Some(Progress::Output(Pipe::Stdout)) => sink(&buffer)
                    .map_err(|error| Trouble::new(Kind::Internal, error.to_string()))?,
                Some(Progress::Output(Pipe::Stderr)) => stderr.append(&mut buffer),
                Some(Progress::Ended(End::Exited { status, is_held })) => {
                    assert!(!is_held || self.leaves, "{}: something is left", self.name);
                    return Ok(ran(status, stderr));
                }
                Some(Progress::Ended(end)) => {
                    return Err(Trouble::new(Kind::Sudo, format!("{end:?}")));
                }
            }
        }
    }
}

fn ran(exit: ExitStatus, stderr: Vec<u8>) -> Ran {
    Ran {
        exit,
        stdout: Vec::new(),
        stderr,
    }
}

impl Site for Host {
    fn run(&mut self, exec: Exec) -> Work<'_, Result<Ran, Trouble>> {
        Box::pin(async move {
            let mut stdout = Vec::new();
            let mut keep = |part: &[u8]| {
                stdout.extend_from_slice(part);
                Ok(())
            };
            let ran = self.execute(exec, &mut keep).await?;
            Ok(Ran { stdout, ..ran })
        })
    }

    fn stream<'a>(
        &'a mut self,
        exec: Exec,
        sink: &'a mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Work<'a, Result<Ran, Trouble>> {
        Box::pin(self.execute(exec, sink))
    }

    fn files(&mut self) -> Work<'_, Result<Box<dyn Files>, FileError>> {
        Box::pin(async {
            Err(FileError {
                reason: FileReason::NoService,
                message: "none here".to_owned(),
            })
        })
    }

    fn over(&self) -> Work<'_, Trouble> {
        Box::pin(std::future::pending())
    }

    fn progressed(&self) {}

    fn gauge(&self, total: u64) -> Arc<Gauge> {
        Arc::new(Gauge::new(total, |_, _| {}))
    }
}

fn file(text: &str, mode: u32) -> What {
    let tree = Tree::of_bytes("x".into(), text.as_bytes().into(), 0, 0);
    let wanted = Wanted {
        mode: Some(mode),
        modified: None,
    };
    What::Store(Arc::clone(&tree.nodes[0]), wanted)
}

fn folder(mode: u32) -> What {
    What::MakeFolder(Wanted {
        mode: Some(mode),
        modified: None,
    })
}

fn changes<'a>(list: impl IntoIterator<Item = Change>) -> Changes<'a> {
    Changes {
        list: list.into_iter().collect(),
        ..Changes::default()
    }
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(Into::into).collect()
}

/// Names that a shell or a tool could take for something else.
fn odd_names() -> Vec<OsString> {
    let names: &[&[u8]] = &[
        b"a b",
        b" a ",
        b"a\nb",
        b"a\n",
        b"\n",
        b"-rf",
        b"--",
        b"-",
        b"*",
        b"[a-z]*",
        b"a\\",
        b"\\0101",
        b"\\",
        b"'\"$x`id`!",
        b"\xff\xfe",
        b"a\tb\r",
        b"%s",
        b"a -> b",
        b"=x",
        b"~",
        b"{}",
        b"\x81\x5c",
    ];
    names
        .iter()
        .map(|name| OsString::from_vec(name.to_vec()))
        .collect()
}

/// Waits until it holds.
#[track_caller]
fn until(what: &str, holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
