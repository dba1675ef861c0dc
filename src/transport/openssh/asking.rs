//! How `ssh` gets passwords: it asks hoist, through hoist.
//!
//! `ssh` has its questions put by a program (`SSH_ASKPASS`). That program is hoist itself under
//! another name; it hands the question on, through a socket in the run's private folder, to the
//! hoist that started the `ssh`, and prints the answer. So no secret is ever in an argument, in the
//! environment or in a file. What isn't known to be answered is refused.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use async_io::Async;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use zeroize::Zeroizing;

use super::folder::Folder;
use crate::secret::Secret;

/// How the file names begin under which hoist puts questions.
const NAME: &str = "hoist-ask-";
/// Longest question, and longest answer.
const MAX_BYTES: u64 = 16 * 1024;
/// ssh shows no more of a path when it asks for the passphrase.
const MAX_SHOWN: usize = 100;

/// Whether a program that was started by this name is to put a question for `ssh`.
pub fn is_asking(program: &OsStr) -> bool {
    let name = Path::new(program).file_name().unwrap_or_default();
    name.as_bytes().starts_with(NAME.as_bytes())
}

/// Puts a question to the hoist that made `program`; `None` when it has no answer. Blocks.
///
/// # Errors
/// When that hoist is gone.
pub fn ask(program: &OsStr, question: &OsStr) -> io::Result<Option<Secret>> {
    let mut stream = UnixStream::connect(socket(Path::new(program)))?;
    stream.write_all(question.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Zeroizing::new(Vec::with_capacity(256));
    stream.take(MAX_BYTES).read_to_end(&mut answer)?;
    // An answer may be empty; a refusal is nothing at all.
    let text = answer.strip_prefix(b"+").map(String::from_utf8_lossy);
    Ok(text.map(|text| Secret::new(text.into_owned())))
}

fn socket(program: &Path) -> PathBuf {
    let mut path = OsString::from(program);
    path.push(".s");
    path.into()
}

/// What may be answered to the `ssh` of one host.
#[derive(Default)]
pub(super) struct Answers {
    pub(super) password: Option<Secret>,
    /// By the files of the keys.
    pub(super) passphrases: Vec<(PathBuf, Secret)>,
    /// Of host keys that a person has accepted.
    pub(super) fingerprints: Vec<String>,
    /// Questions; nothing is answered twice: the answer was wrong.
    pub(super) answered: HashSet<String>,
    /// Logins; a host gets the password once.
    pub(super) asked: HashSet<String>,
}

impl Answers {
    /// Whether there is nothing to answer.
    pub(super) fn is_empty(&self) -> bool {
        self.password.is_none() && self.passphrases.is_empty() && self.fingerprints.is_empty()
    }

    fn answer(&mut self, question: &str) -> Option<Secret> {
        if !self.answered.insert(question.to_owned()) {
            return None;
        }
        if let Some(rest) = question.strip_prefix("Enter passphrase for key '") {
            let file = rest.strip_suffix("': ")?;
            let mut known = self.passphrases.iter();
            let shown = |path: &Path| {
                let bytes = path.as_os_str().as_bytes();
                String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_SHOWN)]) == file
            };
            let (_, passphrase) = known.find(|(path, _)| shown(path))?;
            return Some(passphrase.clone());
        }
        if question.contains("(yes/no/[fingerprint])?") {
            // ssh compares it with the key it was shown.
            let mut known = self.fingerprints.iter();
            let fingerprint = known.find(|fingerprint| question.contains(*fingerprint))?;
            return Some(Secret::new(fingerprint.clone()));
        }
        // Whoever asks again, with whatever words, wants something else or did not take it.
        let is_first = self.asked.insert(asked_for(question)?.to_owned());
        self.password.clone().filter(|_| is_first)
    }
}

/// Returns the login that a host's question is about. ssh puts it first: `(me@web1) Password: `,
/// `me@web1's password: `.
fn asked_for(question: &str) -> Option<&str> {
    match question.strip_prefix('(') {
        Some(rest) => rest.split_once(") ").map(|(login, _)| login),
        None => question.strip_suffix("'s password: "),
    }
}

/// Where the questions of one `ssh` arrive.
pub(super) struct Desk {
    listener: Async<UnixListener>,
    program: PathBuf,
}

impl Desk {
    /// Opens one; `asker` is hoist's own program.
    pub(super) fn open(folder: &Folder, asker: &Path) -> io::Result<Self> {
        let program = folder.place(NAME);
        symlink(asker, &program)?;
        let listener = Async::<UnixListener>::bind(socket(&program))?;
        Ok(Self { listener, program })
    }

    /// Returns what puts the questions.
    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    /// Answers what is asked, for as long as it is polled.
    pub(super) async fn serve(&self, answers: &RefCell<Answers>) {
        loop {
            // An asker that went away, or a stranger, changes nothing for the next one.
            let _ = self.serve_one(answers).await;
        }
    }

    async fn serve_one(&self, answers: &RefCell<Answers>) -> io::Result<()> {
        let (stream, _) = self.listener.accept().await?;
        if !is_ours(&stream) {
            return Ok(());
        }
        let mut question = Vec::new();
        (&stream).take(MAX_BYTES).read_to_end(&mut question).await?;
        let question = String::from_utf8_lossy(&question).into_owned();
        let answer = answers.borrow_mut().answer(&question);
        if let Some(answer) = answer {
            let text = Zeroizing::new(format!("+{}", answer.expose()));
            (&stream).write_all(text.as_bytes()).await?;
        }
        Ok(())
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // The whole folder goes in the end.
        let _ = std::fs::remove_file(&self.program);
        let _ = std::fs::remove_file(socket(&self.program));
    }
}

/// Whether the other end belongs to whoever runs hoist. Nobody else can enter the folder; this is
/// for folders that somebody opened.
#[cfg(target_os = "linux")]
fn is_ours(stream: &Async<UnixStream>) -> bool {
    let peer = rustix::net::sockopt::socket_peercred(stream.get_ref());
    peer.is_ok_and(|peer| peer.uid == rustix::process::geteuid())
}

#[cfg(not(target_os = "linux"))]
fn is_ours(_stream: &Async<UnixStream>) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use futures_lite::future;

    use super::*;

    fn answers() -> Answers {
        Answers {
            password: Some(Secret::new("word".to_owned())),
            passphrases: vec![("/k/id".into(), Secret::new("phrase".to_owned()))],
            fingerprints: vec!["SHA256:abc".to_owned()],
            ..Answers::default()
        }
    }

    #[test]
    fn only_what_is_known_is_answered_and_only_once() {
        for (question, expected) in [
            ("root@web1's password: ", Some("word")),
            ("(root@web1) Password: ", Some("word")),
            ("Enter passphrase for key '/k/id': ", Some("phrase")),
            ("Enter passphrase for key '/k/other': ", None),
            (
                "ED25519 key fingerprint is SHA256:abc.\nAre you sure you want to continue \
                 connecting (yes/no/[fingerprint])? ",
                Some("SHA256:abc"),
            ),
            (
                "ED25519 key fingerprint is SHA256:xyz.\nAre you sure you want to continue \
                 connecting (yes/no/[fingerprint])? ",
                None,
            ),
            ("Enter PIN for 'token': ", None),
            ("Confirm user presence for key", None),
            ("", None),
        ] {
            let mut answers = answers();
            let answer = answers.answer(question);
            assert_eq!(
                answer.as_ref().map(Secret::expose),
                expected,
                "{question:?}"
            );
            assert!(answers.answer(question).is_none(), "{question:?}");
        }
    }

    #[test]
    fn a_host_gets_the_password_once_and_a_jump_host_as_well() {
        let mut answers = answers();
        let mut answered = |question: &str| answers.answer(question).is_some();
        assert!(answered("(me@bastion) Password: "));
        assert!(!answered("(me@bastion) Verification code: "));
        assert!(!answered("me@bastion's password: "));
        assert!(answered("me@web1's password: "));
        assert!(!answered("(me@web1) Password: "));
    }

    #[test]
    fn a_question_reaches_whoever_has_the_answer() {
        let base = tempfile::tempdir().unwrap();
        let folder = Folder::make_in(base.path()).unwrap();
        let desk = Desk::open(&folder, Path::new("/bin/true")).unwrap();
        let program = desk.program().as_os_str().to_owned();
        assert!(is_asking(&program));
        assert!(!is_asking(OsStr::new("/usr/bin/hoist")));
        let asks = |question: &'static str| {
            let program = program.clone();
            blocking::unblock(move || ask(&program, OsStr::new(question)).unwrap())
        };
        let answers = RefCell::new(answers());
        async_io::block_on(async {
            let served = async {
                desk.serve(&answers).await;
                unreachable!("it serves for ever")
            };
            let asked = async {
                let known = asks("me@h's password: ").await;
                (known, asks("Enter PIN: ").await)
            };
            let (known, unknown) = future::or(asked, served).await;
            assert_eq!(known.unwrap().expose(), "word");
            assert!(unknown.is_none());
        });
        drop(desk);
        assert!(ask(&program, OsStr::new("x")).is_err());
    }
}
