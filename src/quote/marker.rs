//! The line by which the wrapper tells, on the command's stderr, what became of the start.
//!
//! ```text
//! hoist-<32 hex digits> elevating
//! hoist-<16 hex digits> password
//! hoist-<16 hex digits> ready
//! hoist-<32 hex digits> placing
//! hoist-<32 hex digits> started <pid> leader|member
//! hoist-<32 hex digits> failed <reason>
//! ```
//! The first three come only where the command needs other rights than the login has: what is said
//! from then on to the start is not the command's, each `password` asks for one, and `ready` for the
//! script. `placing` asks for the content of a script that is brought along. Those two others on the host may see and forge, but not at that time on that pipe.
//!
//! The digits are drawn for each command, so that nothing but this wrapper can know them. A line
//! is found wherever it begins, as what a start-up file printed before it may lack a line break.
//! The host itself could forge one; all that is believed is a number and a word of a short list.

use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use memchr::memmem;

use super::{elevate, place};
use crate::host::escaped;
use crate::remote::{Command, Exec};

/// Length of `hoist-` and the first half of the digits, which may be seen by others.
const PUBLIC_BYTES: usize = 22;

/// The longest line of either form, in bytes; more is never held back.
const MAX_LINE: usize = 80;

/// Most bytes kept of what is said while a command has not got its rights: its end counts.
const MAX_SAID: usize = 8 * 1024;

/// The text that only one command's wrapper prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Marker {
    text: String,
}

impl Marker {
    /// Returns a marker that nobody can guess: the keys of the standard hasher come from the
    /// operating system, and its output doesn't tell them.
    pub fn random() -> Self {
        let mut text = "hoist-".to_owned();
        for _ in 0..2 {
            let digits = RandomState::new().hash_one(0);
            write!(text, "{digits:016x}").expect("a String takes everything");
        }
        Self { text }
    }

    /// Returns the text in two parts: a script that holds it so can be shown (`sh -x`, `ps`)
    /// without being taken for the marker.
    pub(super) fn halves(&self) -> (&str, &str) {
        self.text.split_at(PUBLIC_BYTES)
    }
}

impl std::fmt::Debug for Marker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Marker(…)")
    }
}

/// The process that a command became.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// Its id on the host, at least 2 and at most `i32::MAX`.
    pub pid: u32,
    /// Whether it leads a process group, so that everything it starts can be ended with it.
    pub is_group_leader: bool,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $word:literal,)*) => {
        /// Why a command was not started.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum NotSpawned { $($(#[$doc])* $variant,)* }

        impl NotSpawned {
            #[cfg(test)]
            const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the word the wrapper's marker carries.
            #[cfg(test)]
            pub(super) fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            fn from_word(word: &[u8]) -> Option<Self> {
                $(if word == $word.as_bytes() { return Some(Self::$variant); })*
                None
            }
        }
    };
}

reasons! {
    /// There is no such directory, or none that the account may look for.
    CwdMissing = "cwd-missing",
    /// What should be the working directory is a file.
    CwdIsFile = "cwd-file",
    /// The account may not enter the directory.
    CwdDenied = "cwd-denied",
    /// No folder of PATH, or no folder at all, holds such a file.
    Missing = "missing",
    /// It is a directory.
    IsDirectory = "directory",
    /// The account may not execute it.
    Denied = "denied",
    /// The program named in its first line, or its loader, is missing.
    Interpreter = "interpreter",
    /// The system refused to execute it for another reason: its format, its file system.
    Refused = "refused",
    /// The host has no `env`, by which variables are set.
    NoEnv = "env",
    /// The host has no `sudo`, or what else is to give the command its rights.
    Unelevated = "unelevated",
    /// No folder takes a script, or lets one be executed.
    NoPlace = "place",
    /// A script could not be written, or did not come whole.
    NotPlaced = "unwritten",
}

impl NotSpawned {
    /// Returns what to tell people, on one line: ``cannot run `foo`: no such file or directory
    /// in PATH``.
    pub fn message(self, exec: &Exec) -> String {
        if let Command::Script(script) = &exec.command
            && let Some(message) = place::refusal(self, script)
        {
            return message;
        }
        let cwd = exec.cwd.as_deref().unwrap_or_else(|| "".as_ref());
        let cwd = escaped(&cwd.to_string_lossy());
        let (name, is_path) = match &exec.command {
            Command::Shell(_) => ("the account's shell".to_owned(), true),
            Command::Argv(argv) => {
                let name = argv.first().map(|name| name.to_string_lossy());
                let name = name.unwrap_or_default();
                (format!("`{}`", escaped(&name)), name.contains('/'))
            }
            Command::Script(script) => (format!("`{}`", script.name()), true),
        };
        let reason = match self {
            Self::CwdMissing => return format!("cannot change to `{cwd}`: no such directory"),
            Self::CwdIsFile => return format!("cannot change to `{cwd}`: not a directory"),
            Self::CwdDenied => return format!("cannot change to `{cwd}`: permission denied"),
            Self::Missing if is_path => "no such file or directory",
            Self::Missing => "no such file or directory in PATH",
            Self::IsDirectory => "it is a directory",
            Self::Denied => "permission denied, or not executable",
            Self::Interpreter => "the interpreter or loader that it names is missing",
            Self::Refused => "the system refused to execute it",
            Self::NoEnv => "the host has no `env` program, which sets its variables",
            Self::Unelevated => "the host has nothing that gives it its rights",
            Self::NoPlace => "the host has no place for it",
            Self::NotPlaced => "it could not be written there",
        };
        format!("cannot run {name}: {reason}")
    }
}

/// Why a command was not begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotBegun {
    /// It could not be started; why, on one line.
    NotSpawned(String),
    /// It did not get the rights it was to have; why, on one line.
    NotElevated(String),
}

/// Takes the marker out of a command's stderr and leaves everything else.
///
/// One line that tells the start is taken out, and after it at most one that tells that it
/// failed after all; whatever looks like another is the command's own. Where no marker comes, as
/// with a forced command, everything passes.
#[derive(Debug)]
pub struct MarkerFilter {
    finder: memmem::Finder<'static>,
    /// What follows in lines that nobody else can know.
    secret: Box<str>,
    /// The end of what came, as long as it may be the beginning of a marker line.
    held: Vec<u8>,
    is_elevating: bool,
    /// How often a password was asked for.
    asked: u32,
    /// The rights are there, and the script is asked for.
    is_ready: bool,
    /// There is a place for a script, and its content is asked for.
    is_placing: bool,
    /// The end of what was said while the command had not got its rights.
    said: Vec<u8>,
    started: Option<Started>,
    not_spawned: Option<NotSpawned>,
}

/// What the bytes from the marker's text on are.
enum Line {
    /// The beginning of a marker line, so far.
    Unfinished,
    /// Something else.
    Other,
    /// A line of this length, its line break included.
    Elevating(usize),
    Password(usize),
    Ready(usize),
    Placing(usize),
    Started(Started, usize),
    NotSpawned(NotSpawned, usize),
}

impl MarkerFilter {
    /// Returns a filter that waits for `marker`.
    pub fn new(marker: &Marker) -> Self {
        Self {
            finder: memmem::Finder::new(marker.halves().0).into_owned(),
            secret: marker.halves().1.into(),
            held: Vec::new(),
            is_elevating: false,
            asked: 0,
            is_ready: false,
            is_placing: false,
            said: Vec::new(),
            started: None,
            not_spawned: None,
        }
    }

    /// Appends to `out` what of `bytes`, and of what was held back before, is not the marker.
    ///
    /// At most 80 bytes are held back, and only where they may be the beginning of a marker.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.held.is_empty() {
            return self.filter(bytes, out);
        }
        let mut joined = std::mem::take(&mut self.held);
        joined.extend_from_slice(bytes);
        self.filter(&joined, out);
    }

    /// Appends what was held back, as nothing follows.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        let held = std::mem::take(&mut self.held);
        self.pass(&held, out);
    }

    /// Hands on what is no marker: what is said before the command has its rights is not its own.
    fn pass(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        if !self.is_elevating || self.started.is_some() || self.not_spawned.is_some() {
            out.extend_from_slice(bytes);
            return;
        }
        self.said.extend_from_slice(bytes);
        let over = self.said.len().saturating_sub(MAX_SAID);
        self.said.drain(..over);
    }

    /// Whether other rights than the login's were asked for: where the login has them already,
    /// nobody is asked.
    pub fn is_elevating(&self) -> bool {
        self.is_elevating
    }

    /// Returns how often a password was asked for.
    pub fn asked(&self) -> u32 {
        self.asked
    }

    /// Whether the script is asked for that runs with other rights.
    pub fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Whether the content of a script is asked for.
    pub fn is_placing(&self) -> bool {
        self.is_placing
    }

    /// Returns what to tell of a command that did not begin in time.
    pub fn not_begun_in(&self, time: Duration, exec: &Exec) -> Option<String> {
        let elevation = exec.elevation.as_ref().filter(|_| self.is_elevating)?;
        let said = String::from_utf8_lossy(&self.said);
        Some(elevate::silence(elevation, &said, time))
    }

    /// Returns why the command was not begun, if all has been pushed and it was not.
    pub fn not_begun(&self, exec: &Exec) -> Option<NotBegun> {
        let elevation = exec.elevation.as_ref();
        match (self.not_spawned, elevation) {
            (Some(NotSpawned::Unelevated), Some(elevation)) => {
                Some(NotBegun::NotElevated(elevate::missing(elevation)))
            }
            (Some(reason), _) => Some(NotBegun::NotSpawned(reason.message(exec))),
            (None, Some(elevation)) if self.is_elevating && self.started.is_none() => {
                let said = String::from_utf8_lossy(&self.said);
                let why = elevate::refusal(elevation, self.asked, &said);
                Some(NotBegun::NotElevated(why))
            }
            (None, _) => None,
        }
    }

    /// Returns the command's process, once the marker has told it.
    pub fn started(&self) -> Option<&Started> {
        self.started.as_ref()
    }

    /// Returns why the command was not started, once the marker has told it.
    pub fn not_spawned(&self) -> Option<NotSpawned> {
        self.not_spawned
    }

    fn filter(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) {
        while self.not_spawned.is_none() {
            let Some(at) = self.finder.find(bytes) else {
                let cut = bytes.len() - self.overlap(bytes);
                self.held.extend_from_slice(&bytes[cut..]);
                bytes = &bytes[..cut];
                break;
            };
            self.pass(&bytes[..at], out);
            bytes = &bytes[at..];
            match self.read(bytes) {
                Line::Unfinished => {
                    self.held.extend_from_slice(bytes);
                    return;
                }
                Line::Other => {
                    let text = self.finder.needle().len();
                    self.pass(&bytes[..text], out);
                    bytes = &bytes[text..];
                }
                Line::Elevating(length) => {
                    self.is_elevating = true;
                    bytes = &bytes[length..];
                }
                Line::Password(length) => {
                    self.asked = self.asked.saturating_add(1);
                    bytes = &bytes[length..];
                }
                Line::Ready(length) => {
                    self.is_ready = true;
                    bytes = &bytes[length..];
                }
                Line::Placing(length) => {
                    self.is_placing = true;
                    bytes = &bytes[length..];
                }
                Line::Started(started, length) => {
                    self.started = Some(started);
                    bytes = &bytes[length..];
                }
                Line::NotSpawned(reason, length) => {
                    self.not_spawned = Some(reason);
                    bytes = &bytes[length..];
                }
            }
        }
        self.pass(bytes, out);
    }

    /// Returns how many of the last bytes could be the beginning of the marker's text.
    fn overlap(&self, bytes: &[u8]) -> usize {
        let needle = self.finder.needle();
        let most = bytes.len().min(needle.len() - 1);
        let mut lengths = (1..=most).rev();
        let found = lengths.find(|length| bytes.ends_with(&needle[..*length]));
        found.unwrap_or(0)
    }

    fn read(&self, bytes: &[u8]) -> Line {
        let text = self.finder.needle().len();
        let window = &bytes[..bytes.len().min(MAX_LINE)];
        let Some(end) = memchr::memchr(b'\n', window) else {
            return if window.len() < MAX_LINE {
                Line::Unfinished
            } else {
                Line::Other
            };
        };
        let length = end + 1;
        let line = &bytes[text..end];
        let is_before = self.started.is_none();
        let Some(line) = line.strip_prefix(self.secret.as_bytes()) else {
            return match line {
                b" password" if self.is_elevating && is_before => Line::Password(length),
                b" ready" if self.is_elevating && is_before => Line::Ready(length),
                _ => Line::Other,
            };
        };
        if let Some(word) = line.strip_prefix(b" failed ") {
            // Once it was started, only the system can have refused it.
            let reason = NotSpawned::from_word(word)
                .filter(|reason| is_before || *reason == NotSpawned::Refused);
            return reason.map_or(Line::Other, |reason| Line::NotSpawned(reason, length));
        }
        match line {
            _ if !is_before => Line::Other,
            b" elevating" => Line::Elevating(length),
            b" placing" => Line::Placing(length),
            line => {
                read_started(line).map_or(Line::Other, |started| Line::Started(started, length))
            }
        }
    }
}

fn read_started(line: &[u8]) -> Option<Started> {
    let line = str::from_utf8(line.strip_prefix(b" started ")?).ok()?;
    let (digits, group) = line.split_once(' ')?;
    // Negated it is given to kill(2), where 0, 1 and -1 would mean far more than one command.
    let pid: i32 = digits.parse().ok().filter(|pid| *pid > 1)?;
    let is_group_leader = match group {
        "leader" => true,
        "member" => false,
        _ => return None,
    };
    (pid.to_string() == digits).then_some(Started {
        pid: pid.unsigned_abs(),
        is_group_leader,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pushes `input` in pieces that end at `cuts`.
    fn filtered(marker: &Marker, input: &[u8], cuts: &[usize]) -> (Vec<u8>, MarkerFilter) {
        let mut filter = MarkerFilter::new(marker);
        let mut out = Vec::new();
        let mut from = 0;
        for cut in cuts.iter().map(|cut| cut % (input.len() + 1)) {
            if cut > from {
                filter.push(&input[from..cut], &mut out);
                assert!(filter.held.len() < MAX_LINE);
                from = cut;
            }
        }
        filter.push(&input[from..], &mut out);
        filter.finish(&mut out);
        (out, filter)
    }

    fn whole(marker: &Marker, input: &str) -> (String, Option<Started>, Option<NotSpawned>) {
        let (out, filter) = filtered(marker, input.as_bytes(), &[]);
        let out = String::from_utf8(out).unwrap();
        (out, filter.started, filter.not_spawned)
    }

    #[test]
    fn markers_differ_and_keep_their_secret() {
        let (one, other) = (Marker::random(), Marker::random());
        assert_ne!(one, other);
        assert_eq!(one.text.len(), 38);
        assert_eq!(format!("{one:?}"), "Marker(…)");
        assert_ne!(one.text[6..22], one.text[22..]);
    }

    #[test]
    fn the_marker_line_alone_is_removed() {
        let marker = Marker::random();
        let text = &marker.text;
        let input = format!("motd\nno line break{text} started 4711 leader\nown\n");
        let leader = Started {
            pid: 4711,
            is_group_leader: true,
        };
        assert_eq!(
            whole(&marker, &input),
            ("motd\nno line breakown\n".to_owned(), Some(leader), None)
        );
        let member = Started {
            pid: 2,
            is_group_leader: false,
        };
        let input = format!("{text} started 2 member\n");
        assert_eq!(whole(&marker, &input), (String::new(), Some(member), None));
    }

    #[test]
    fn every_reason_is_read_back() {
        let marker = Marker::random();
        for reason in NotSpawned::ALL {
            let input = format!("a{} failed {}\nb", marker.text, reason.word());
            assert!(marker.text.len() + " failed \n".len() + reason.word().len() <= MAX_LINE);
            assert_eq!(
                whole(&marker, &input),
                ("ab".to_owned(), None, Some(*reason))
            );
        }
    }

    #[test]
    fn a_start_that_failed_after_all_is_told() {
        let marker = Marker::random();
        let text = &marker.text;
        let input = format!("{text} started 9 leader\nsh: x\n{text} failed refused\nend\n");
        let (out, started, not_spawned) = whole(&marker, &input);
        assert_eq!(out, "sh: x\nend\n");
        assert_eq!(started.map(|started| started.pid), Some(9));
        assert_eq!(not_spawned, Some(NotSpawned::Refused));
    }

    #[test]
    fn what_follows_is_data_whatever_it_looks_like() {
        let marker = Marker::random();
        let text = &marker.text;
        let start = format!("{text} started 9 leader\n");
        for data in [
            format!("{text} started 10 leader\n"),
            format!("{text} failed nonsense\n"),
            format!("{text}{text}\n{text}"),
        ] {
            let (out, started, not_spawned) = whole(&marker, &(start.clone() + &data));
            assert_eq!(out, data);
            assert_eq!(started.map(|started| started.pid), Some(9));
            assert_eq!(not_spawned, None);
        }
        let failed = format!("{text} failed missing\n");
        let (out, _, not_spawned) = whole(&marker, &format!("{failed}{start}{failed}"));
        assert_eq!(out, format!("{start}{failed}"));
        assert_eq!(not_spawned, Some(NotSpawned::Missing));
    }

    #[test]
    fn what_others_can_see_asks_for_something_only_before_the_start() {
        let marker = Marker::random();
        let (text, seen) = (&marker.text, marker.halves().0);
        let asks = format!("{seen} password\n{seen} ready\n");
        let forged = format!("{seen} started 9 leader\n{seen} failed missing\n{seen} elevating\n");
        let start = format!("{text} started 9 leader\n");
        let input = format!(
            "{asks}{forged}{text} elevating\nlecture\n{asks}{forged}{start}{asks}{forged}{text} failed missing\n"
        );
        let (out, filter) = filtered(&marker, input.as_bytes(), &[]);
        let own = format!("{asks}{forged}{asks}{forged}{text} failed missing\n");
        assert_eq!(String::from_utf8(out).unwrap(), own);
        assert_eq!((filter.asked(), filter.is_ready()), (1, true));
        assert_eq!(filter.started().map(|started| started.pid), Some(9));
        assert_eq!(filter.not_spawned(), None);
        let said = String::from_utf8(filter.said).unwrap();
        assert_eq!(said, format!("lecture\n{forged}"));
    }

    #[test]
    fn a_process_that_must_not_be_signalled_is_not_believed() {
        let marker = Marker::random();
        for pid in [
            "0",
            "1",
            "-1",
            "+5",
            "-5",
            "007",
            "2147483648",
            "4294967297",
            "",
            " 5",
            "5 5",
            "5x",
            "99999999999999999999",
        ] {
            let input = format!("{} started {pid} leader\n", marker.text);
            assert_eq!(whole(&marker, &input), (input.clone(), None, None));
        }
        for group in ["", "boss", "leader ", "leader\r"] {
            let input = format!("{} started 5 {group}\n", marker.text);
            assert_eq!(whole(&marker, &input), (input.clone(), None, None));
        }
    }

    #[test]
    fn what_never_becomes_a_marker_comes_out_whole() {
        let marker = Marker::random();
        for input in [
            String::new(),
            "hoist-".to_owned(),
            marker.text[..37].to_owned(),
            marker.text.clone(),
            format!("{} started 5 leader", marker.text),
            format!("{}{}", marker.text, "x".repeat(1000)),
            "hoist-hoist-hoi".repeat(50),
        ] {
            assert_eq!(whole(&marker, &input), (input.clone(), None, None));
        }
    }

    #[test]
    fn messages_name_what_could_not_be_run() {
        let mut exec = Exec::new(Command::Argv(vec!["foo\n".into()]));
        exec.cwd = Some("/no\u{1b}where".into());
        let all = |exec: &Exec| {
            let lines: Vec<String> = NotSpawned::ALL.iter().map(|r| r.message(exec)).collect();
            lines.join("\n")
        };
        insta::assert_snapshot!(all(&exec), @r"
        cannot change to `/no\u{1b}where`: no such directory
        cannot change to `/no\u{1b}where`: not a directory
        cannot change to `/no\u{1b}where`: permission denied
        cannot run `foo\n`: no such file or directory in PATH
        cannot run `foo\n`: it is a directory
        cannot run `foo\n`: permission denied, or not executable
        cannot run `foo\n`: the interpreter or loader that it names is missing
        cannot run `foo\n`: the system refused to execute it
        cannot run `foo\n`: the host has no `env` program, which sets its variables
        cannot run `foo\n`: the host has nothing that gives it its rights
        cannot run `foo\n`: the host has no place for it
        cannot run `foo\n`: it could not be written there
        ");
        exec.command = Command::Argv(vec!["./foo".into()]);
        insta::assert_snapshot!(NotSpawned::Missing.message(&exec), @"cannot run `./foo`: no such file or directory");
        exec.command = Command::Shell("x".into());
        insta::assert_snapshot!(NotSpawned::Missing.message(&exec), @"cannot run the account's shell: no such file or directory");
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_are_cut(
            before in "[ho\\-a-f0-9\n]{0,60}",
            after in "[ho\\-a-f0-9\n]{0,60}",
            mut cuts in prop::collection::vec(0_usize..300, 0..20),
            is_broken: bool,
        ) {
            let marker = Marker::random();
            cuts.sort_unstable();
            let line = format!("{} started 4711 leader\n", marker.text);
            let line = if is_broken { line.replace("started", "startet") } else { line };
            let input = format!("{before}{}{line}{after}", &marker.text[..20]);
            let (out, filter) = filtered(&marker, input.as_bytes(), &cuts);
            let expected = format!("{before}{}{}{after}", &marker.text[..20], if is_broken { &line } else { "" });
            prop_assert_eq!(String::from_utf8(out).unwrap(), expected);
            prop_assert_eq!(filter.started.is_some(), !is_broken);
        }
    }
}
