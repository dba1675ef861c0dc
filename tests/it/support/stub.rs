//! A hosting API of our own, for what no other imitation does: answers that are lost, refused, late
//! or odd. Real HTTP on a real port; what is answered is a function of the request.
//!
//! The library's tests include this file too.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// What was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Asked {
    /// `GET`.
    pub(crate) method: String,
    /// With the query, as it was sent.
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// All of it.
    pub(crate) body: Vec<u8>,
}

impl Asked {
    /// Returns a header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Returns the body as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// Status, headers and body.
    Whole(u16, Vec<(&'static str, String)>, String),
    /// The request is read and the connection closed.
    Hangup,
    /// The request is read, and so much later it is answered.
    Late(Duration, Box<Self>),
}

impl Reply {
    /// Returns JSON.
    pub(crate) fn json(status: u16, body: impl std::fmt::Display) -> Self {
        let kind = ("content-type", "application/json".to_owned());
        Self::Whole(status, vec![kind], body.to_string())
    }

    /// Adds a header.
    pub(crate) fn with(self, name: &'static str, value: impl std::fmt::Display) -> Self {
        match self {
            Self::Whole(status, mut headers, body) => {
                headers.push((name, value.to_string()));
                Self::Whole(status, headers, body)
            }
            other => other,
        }
    }
}

/// The API, until the end of the process.
pub(crate) struct Stub {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Stub {
    /// Starts it on a free port of 127.0.0.1. `answer` is called with the number of the request,
    /// from 0, and the request.
    pub(crate) fn start(answer: impl Fn(usize, &Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let (answer, record) = (Arc::new(answer), Arc::clone(&asked));
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (answer, record) = (Arc::clone(&answer), Arc::clone(&record));
                // A client that goes away is no failure of the stub.
                thread::spawn(move || serve(connection, &*answer, &record));
            }
        });
        Self { url, asked }
    }

    /// Returns its address, without a path.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Returns everything that was asked so far, in order.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        let asked = self.asked.lock();
        asked.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(
    mut connection: TcpStream,
    answer: &(impl Fn(usize, &Asked) -> Reply + Send + Sync + ?Sized),
    record: &Mutex<Vec<Asked>>,
) -> Option<()> {
    let asked = read(&connection)?;
    let number = {
        let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
        record.push(asked.clone());
        record.len() - 1
    };
    let mut reply = answer(number, &asked);
    loop {
        match reply {
            Reply::Hangup => return None,
            Reply::Late(wait, then) => {
                thread::sleep(wait);
                reply = *then;
            }
            Reply::Whole(status, headers, body) => {
                let mut head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\n");
                for (name, value) in headers {
                    let _ = write!(head, "{name}: {value}\r\n");
                }
                let _ = write!(head, "content-length: {}\r\n\r\n", body.len());
                connection.write_all(head.as_bytes()).ok()?;
                return connection.write_all(body.as_bytes()).ok();
            }
        }
    }
}

fn read(connection: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_ascii_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length
        .and_then(|(_, value)| value.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked {
        method,
        path,
        headers,
        body,
    })
}
