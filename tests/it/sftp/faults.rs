//! Hosts whose SFTP is missing, broken, or dies.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use std::cell::RefCell;

use super::*;
use crate::support::tree::{descendants, kill};

/// Passes connections on to a port, and all bytes so much later. Returns where.
pub(super) fn delayed(port: u16, delay: Duration) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let own = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            pass(&client, &server, delay);
            pass(&server, &client, delay);
        }
    });
    own
}

fn pass(from: &TcpStream, to: &TcpStream, delay: Duration) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    to.set_nodelay(true).unwrap();
    let (sender, receiver) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let due = Instant::now() + delay;
            if sender.send((due, buffer[..count].to_vec())).is_err() {
                break;
            }
        }
    });
    thread::spawn(move || {
        for (due, bytes) in receiver {
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        to.shutdown(Shutdown::Both).ok();
    });
}

/// Longest that a fault may take to be told, on a slow machine.
const PROMPTLY: Duration = Duration::from_secs(20);

fn script(tree: &Tree, name: &str, lines: &str) -> PathBuf {
    tree.write_with_mode(name, format!("#!/bin/sh\n{lines}\n"), 0o755)
}

/// Asks a server for its files, in vain; commands run all the same.
fn refused(server: &Sshd) -> FileError {
    block_on(async {
        let mut session = Login::to(server).session().await;
        let began = Instant::now();
        let Err(error) = session.files().await else {
            panic!("these are no files");
        };
        assert!(began.elapsed() < PROMPTLY, "{:?}", began.elapsed());
        assert_eq!(
            prints(&mut *session, "echo fine").await,
            "fine\n",
            "{error}"
        );
        error
    })
}

#[test]
fn hosts_without_sftp_say_so() {
    let tree = Tree::new();
    let junk = format!("echo hello from .bashrc; exec {SFTP_SERVER}");
    let (old, newer) = (r"\0\0\0\5\2\0\0\0\2", r"\0\0\0\5\2\0\0\0\4");
    let cases = [
        (String::new(), "it refused the subsystem `sftp`"),
        (
            "/nonexistent/sftp".to_owned(),
            "the host's SFTP ended at once",
        ),
        ("exit 0".to_owned(), "the host's SFTP ended at once"),
        (
            "echo no sftp here >&2; exit 3".to_owned(),
            "ended at once (exit 3)",
        ),
        ("printf hi".to_owned(), "`hi`"),
        (junk, "prints `hello from .bashrc` where SFTP should begin"),
        ("cat /dev/zero".to_owned(), "where SFTP should begin"),
        (format!("printf '{old}'; cat"), "SFTP version 2 and not 3"),
        (format!("printf '{newer}'; cat"), "SFTP version 4 and not 3"),
        (
            "printf '\\0\\0\\0\\5\\3\\0\\0\\0\\3'; cat".to_owned(),
            "where SFTP should begin",
        ),
    ];
    for (number, (lines, words)) in cases.into_iter().enumerate() {
        let program = match lines.as_str() {
            "" | "/nonexistent/sftp" => PathBuf::from(&lines),
            _ => script(&tree, &number.to_string(), &lines),
        };
        let error = refused(&Sshd::with().sftp(program).start());
        assert_eq!(error.reason, FileReason::NoService, "{lines}: {error}");
        assert!(error.message.contains(words), "{lines}: {error}");
    }
}

#[test]
fn a_session_that_gives_no_channel_gives_no_files() {
    let server = Sshd::with().line("MaxSessions 0").start();
    block_on(async {
        let mut session = Login::to(&server).session().await;
        let Err(error) = session.files().await else {
            panic!("these are no files");
        };
        assert_eq!(error.reason, FileReason::NoService, "{error}");
    });
}

/// Answers the first request, and any further one, with packets of its own.
const LIAR: &str = r#"
import sys
def packet(*parts): b = b"".join(parts); return len(b).to_bytes(4, "big") + b
def number(n): return n.to_bytes(4, "big")
def text(b): return number(len(b)) + b
def read(): 
    n = int.from_bytes(sys.stdin.buffer.read(4), "big")
    return sys.stdin.buffer.read(n)
def say(*parts): sys.stdout.buffer.write(packet(*parts)); sys.stdout.buffer.flush()
read()
say(b"\2", number(3))
attributes = number(0)
while True:
    request = read()
    if not request: break
    id = request[1:5]
    if request[0] in (3, 11): say(b"\x66", id, text(b"h" * HANDLE)); continue
    if request[0] == 4: say(b"\x65", id, number(0), text(b""), text(b"")); continue
    ANSWER
"#;

/// Returns what comes of listing, fetching and looking where every request is answered so.
fn lied_to(answer: &str, handle: usize) -> [FileError; 3] {
    let tree = Tree::new();
    let text = LIAR
        .replace("ANSWER", answer)
        .replace("HANDLE", &handle.to_string());
    let program = tree.write("liar.py", text);
    let lines = format!("exec /usr/bin/python3 {}", program.display());
    let server = Sshd::with().sftp(script(&tree, "liar", &lines)).start();
    let path = Path::new("x");
    block_on(async {
        let mut session = Login::to(&server).session().await;
        let files = opened(&mut *session).await;
        let listed = files.list(path).await.unwrap_err();
        // Broken files are opened anew.
        let files = opened(&mut *session).await;
        let fetched = fetch(&*files, path, 0).await.unwrap_err();
        let files = opened(&mut *session).await;
        let looked = files.look(path, true).await.unwrap_err();
        assert_eq!(prints(&mut *session, "echo fine").await, "fine\n");
        [listed, fetched, looked]
    })
}

#[test]
fn what_is_no_answer_ends_the_files_and_not_the_session() {
    let cases = [
        (
            "say(b'\\x65', number(99), number(0), text(b''), text(b''))",
            1,
        ),
        ("say(b'\\x65', id)", 1),
        ("say(b'\\x69', id, number(1))", 1),
        ("say(b'\\xff', id)", 1),
        (
            "sys.stdout.buffer.write(b'\\x7f' * 9); sys.stdout.buffer.flush()",
            1,
        ),
        ("say(b'\\x67', id, number(2**31), b'x')", 1),
        ("say(b'\\x67', id, text(b'x' * 40000))", 1),
        ("say(b'\\x67', id, text(b''))", 1),
        ("say(b'\\x66', id, text(b'x'))", 1),
        ("sys.exit(0)", 1),
        (
            "sys.stdout.buffer.write(b'\\0\\0'); sys.stdout.buffer.flush(); sys.exit(0)",
            1,
        ),
    ];
    for (answer, handle) in cases {
        for error in lied_to(answer, handle) {
            assert_eq!(error.reason, FileReason::Lost, "{answer}: {error}");
        }
    }
    let [listed, fetched, _] = lied_to("say(b'\\x65', id, number(0), text(b''), text(b''))", 257);
    for error in [listed, fetched] {
        assert_eq!(error.reason, FileReason::Lost, "{error}");
    }
}

#[test]
fn names_that_can_be_no_names_are_refused() {
    for name in ["b'a/b'", "b''", "b'/'", "b'a\\0b'", "b'../x'"] {
        let answer = format!("say(b'\\x68', id, number(1), text({name}), text(b''), attributes)");
        let [listed, ..] = lied_to(&answer, 1);
        assert_eq!(listed.reason, FileReason::Lost, "{listed}");
        assert!(listed.message.contains("can't be a name"), "{listed}");
    }
}

#[test]
fn a_hosts_words_are_shown_escaped_and_cut() {
    let words = r"b'\x1b[2Jno\n' + b'o' * 10000";
    let answer = format!("say(b'\\x65', id, number(4), text({words}), text(b''))");
    for error in lied_to(&answer, 1) {
        assert_eq!(error.reason, FileReason::Refused);
        assert!(error.message.contains(r"`\u{1b}[2Jno\nooo"), "{error}");
        assert!(error.message.chars().count() < 400, "{error}");
    }
}

/// Returns the process ids of a server's own sessions, or what runs for them, by their names.
fn processes(server: u32, name: &str) -> Vec<u32> {
    let is_named = |pid: &u32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.starts_with(name))
    };
    descendants(server).into_iter().filter(is_named).collect()
}

/// Stores a file, and at 2 MiB of it kills what has that name.
async fn store_and_kill(files: &dyn Files, path: &Path, server: u32, name: &str) -> FileError {
    let content = Trap::new(24 << 20, 2 << 20, || {
        let pids = processes(server, name);
        assert!(!pids.is_empty());
        pids.into_iter().for_each(kill);
    });
    let began = Instant::now();
    let error = store(files, path, &content).await.unwrap_err();
    assert!(began.elapsed() < PROMPTLY, "{:?}", began.elapsed());
    error
}

#[test]
fn a_connection_that_breaks_while_a_file_is_stored() {
    let (tree, server) = (Tree::new(), Sshd::start());
    block_on(async {
        let mut session = Login::to(&server).session().await;
        let files = opened(&mut *session).await;
        let path = tree.join("x");
        let storing = store_and_kill(&*files, &path, server.pid(), "sshd");
        // Whoever waits beside it is told as well.
        let beside = RefCell::new(Vec::new());
        let other = async {
            let content = Made::new(24 << 20);
            let error = store(&*files, &tree.join("y"), &content).await.unwrap_err();
            beside.borrow_mut().push(error);
        };
        let (error, ()) = futures_lite::future::zip(storing, other).await;
        for error in beside.take().into_iter().chain([error]) {
            assert_eq!(error.reason, FileReason::Lost, "{error}");
            assert!(error.message.contains("the connection broke"), "{error}");
        }
        let later = files.look(Path::new("x"), false).await.unwrap_err();
        assert_eq!(later.reason, FileReason::Lost, "{later}");
    });
}

#[test]
fn an_sftp_server_that_dies_leaves_the_session_alive() {
    let tree = Tree::new();
    let server = Sshd::with().sftp(SFTP_SERVER).start();
    block_on(async {
        let mut session = Login::to(&server).session().await;
        let files = opened(&mut *session).await;
        let path = tree.join("x");
        let error = store_and_kill(&*files, &path, server.pid(), "sftp-server").await;
        assert_eq!(error.reason, FileReason::Lost, "{error}");
        assert!(error.message.contains("the host ended its SFTP"), "{error}");
        assert_eq!(prints(&mut *session, "echo fine").await, "fine\n");
        let files = opened(&mut *session).await;
        files.remove(&path).await.unwrap();
        round_trips(&*files, tree.path()).await;
    });
}

#[test]
fn a_host_that_falls_silent_is_found_by_its_silence() {
    let (tree, server) = (Tree::new(), Sshd::start());
    block_on(async {
        let mut session = Login::to(&server).session().await;
        let files = opened(&mut *session).await;
        let stopped = RefCell::new(Vec::new());
        let content = Made::new(24 << 20);
        let sent = Cell::new(0);
        let count = |bytes| {
            if sent.replace(sent.get() + bytes) < 2 << 20 && sent.get() >= 2 << 20 {
                for pid in processes(server.pid(), "sshd") {
                    signal(pid, "-STOP");
                    stopped.borrow_mut().push(pid);
                }
            }
        };
        let path = tree.join("x");
        let error = files
            .store(&path, &content, Wanted::default(), &count)
            .await;
        stopped.take().into_iter().for_each(kill);
        let error = error.unwrap_err();
        assert_eq!(error.reason, FileReason::Lost, "{error}");
        assert_eq!(error.message, "no sign of life from the host for 6s");
    });
}

fn signal(pid: u32, name: &str) {
    crate::support::process::must("kill", &[&name, &pid.to_string()]);
}
