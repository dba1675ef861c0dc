//! A server process: started on a free port, ready when it greets, ended by its own id.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use super::captured::{Captured, Keep};

/// Times another port is tried when somebody took the chosen one first.
const TRIES: usize = 10;

/// A server that is ended when dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens, on all of 127.0.0.0/8.
    pub port: u16,
    /// All it wrote on stderr.
    pub log: Captured,
}

impl Server {
    /// Starts what `command` makes for a port, and waits until it has said `ready` and greets.
    #[track_caller]
    pub(crate) fn start(ready: &str, command: impl Fn(u16) -> Command) -> Self {
        let mut last = String::new();
        for _ in 0..TRIES {
            let port = free_port();
            let mut server = Self::spawn(port, command(port));
            if server.log.wait_for(ready, super::PATIENCE) {
                server.must_greet();
                return server;
            }
            last = server.log.to_string();
            let is_taken = last.contains("Address already in use");
            server.end();
            assert!(is_taken, "the server did not start: {last}");
        }
        panic!("no free port in {TRIES} tries: {last}");
    }

    fn spawn(port: u16, mut command: Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let log = Captured::from(child.stderr.take().expect("stderr is a pipe"), Keep::All);
        Self { child, port, log }
    }

    fn must_greet(&self) {
        let greeting = greeting(Ipv4Addr::LOCALHOST, self.port);
        assert!(
            greeting.starts_with("SSH-2.0-"),
            "greeted with {greeting:?}: {}",
            self.log
        );
    }

    /// Returns the process id of the listening process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn end(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Returns the first line a server sends.
pub(crate) fn greeting(address: Ipv4Addr, port: u16) -> String {
    let stream = TcpStream::connect((address, port)).expect("the server listens");
    stream.set_read_timeout(Some(super::PATIENCE)).unwrap();
    let mut line = String::new();
    BufReader::new(stream)
        .read_line(&mut line)
        .expect("the server greets");
    line
}

/// Returns a port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let socket = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("there is a free port");
    socket.local_addr().unwrap().port()
}
