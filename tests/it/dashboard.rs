//! `examples/dashboard`: a page that raises a fleet, in a real browser, on the sandbox.

use std::path::Path;

use rustix::process::Signal;

use crate::support::browser::{Answer, Browser, ask};
use crate::support::process::Running;
use crate::support::sandbox::Sandbox;
use crate::support::{PATIENCE, installed};

/// The dashboard's server, and where it listens.
struct Dashboard {
    server: Running,
    port: u16,
}

impl Dashboard {
    /// Starts it for two servers of the sandbox that execute `command`.
    fn start(sandbox: &Sandbox, command: &[&str]) -> Self {
        installed("python3", "python3");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/dashboard/serve.py");
        let script = script.display().to_string();
        let words = [&script, "web", "--port", "0", "--count", "2", "--"];
        let words = words.into_iter().chain(command.iter().copied());
        let server = sandbox.0.program("python3", words);
        let server = server.env("HOIST", env!("CARGO_BIN_EXE_hoist")).start();
        server.shows("/\n");
        let url = server.stdout.to_string();
        let port = url.trim_end_matches("/\n").rsplit(':').next().unwrap();
        let port = port.parse().unwrap();
        Self { server, port }
    }

    fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    fn url(&self) -> String {
        format!("http://{}/", self.host())
    }

    /// Sends a request as a page of that origin does.
    fn ask(&self, line: &str, host: &str, origin: Option<&str>) -> Answer {
        let origin = origin.map(|origin| ("Origin", origin));
        let headers: Vec<_> = [("Host", host)].into_iter().chain(origin).collect();
        ask(self.port, line, &headers, "")
    }

    /// Sends a request as its own page does.
    fn ask_rightly(&self, line: &str) -> Answer {
        let url = self.url();
        self.ask(line, &self.host(), Some(url.trim_end_matches('/')))
    }

    /// Ends it.
    #[track_caller]
    fn end(self) {
        self.server.signal(Signal::TERM);
        self.server.wait(PATIENCE).code(0).no_stderr();
    }
}

/// Returns the places of words in what the page told, in the order of `words`.
#[track_caller]
fn places(told: &[String], words: &[&str]) -> Vec<usize> {
    let place = |word: &&str| told.iter().position(|line| line.contains(*word));
    let found = words
        .iter()
        .map(|word| place(word).unwrap_or_else(|| panic!("no {word} in {told:#?}")));
    found.collect()
}

#[test]
fn a_button_raises_the_fleet_and_another_takes_it_away() {
    let sandbox = Sandbox::new();
    let command = ["sh", "-c", "echo \"<b>$HOIST_HOST</b>\""];
    let dashboard = Dashboard::start(&sandbox, &command);
    let browser = Browser::start(&sandbox.0);
    browser.open(&dashboard.url());
    browser.click("#up");
    browser.shows("#state", "Provisioning: done");
    let told = browser.texts("#events li");
    for server in ["web-1", "web-2"] {
        let words = [
            "server_creating",
            "server_created",
            "server_running",
            "server_ready",
        ];
        let words = words.map(|word| format!("{word} {server}"));
        let own = [
            "run_started".to_owned(),
            format!("connected {server}"),
            format!("started {server}"),
            format!("finished {server}"),
            "run_finished".to_owned(),
        ];
        let words: Vec<&str> = words.iter().chain(&own).map(String::as_str).collect();
        assert!(places(&told, &words).is_sorted(), "{told:#?}");
    }
    let mut rows = browser.texts("#results tbody tr");
    rows.sort();
    assert_eq!(rows.len(), 2, "{rows:?}");
    for (row, server) in rows.iter().zip(["web-1", "web-2"]) {
        let cells: Vec<&str> = row.split('\t').collect();
        let [host, status, time, output] = cells[..] else {
            panic!("not four cells: {row:?}");
        };
        assert_eq!([host, status], [server, "ok"]);
        assert!(time.ends_with(" s"), "{row:?}");
        // What a server says is no markup.
        assert_eq!(output, format!("<b>{server}</b>"));
    }
    assert!(browser.texts("#notes")[0].contains("2 servers are to be made"));
    assert_eq!(sandbox.ids().len(), 2);

    // Who comes later is told the same.
    browser.open(&dashboard.url());
    browser.shows("#state", "Provisioning: done");
    assert_eq!(browser.texts("#events li"), told);

    browser.click("#down");
    browser.disagree();
    browser.click("#down");
    browser.agree();
    browser.shows("#state", "Destroying: done");
    let told = browser.texts("#events li");
    for server in ["web-1", "web-2"] {
        let words = ["server_destroying", "server_gone"].map(|word| format!("{word} {server}"));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert!(places(&told, &words).is_sorted(), "{told:#?}");
    }
    sandbox.is_empty();
    assert_eq!(sandbox.rows().keys().collect::<Vec<_>>(), ["old"]);
    dashboard.end();
}

#[test]
fn what_goes_wrong_is_seen() {
    let sandbox = Sandbox::new();
    sandbox.0.tree().write(
        "config/hoist/config.toml",
        "[fleet.web]\nset = { fail = 'quota <i>exceeded</i>' }\n",
    );
    let dashboard = Dashboard::start(&sandbox, &["true"]);
    let browser = Browser::start(&sandbox.0);
    browser.open(&dashboard.url());
    browser.click("#up");
    browser.shows("#state", "Provisioning: exit code 3");
    let rows = browser.texts("#results tbody tr");
    assert!(rows[0].contains("failed") && rows[0].contains("quota <i>exceeded</i>"));
    sandbox.is_empty();
    dashboard.end();
}

#[test]
fn no_other_page_and_no_other_name_is_answered() {
    let sandbox = Sandbox::new();
    let dashboard = Dashboard::start(&sandbox, &["true"]);
    let (host, own) = (dashboard.host(), dashboard.url());
    let own = own.trim_end_matches('/');
    for (line, host, origin, status) in [
        ("GET /", &*host, None, 200),
        ("GET /", "evil.example", None, 403),
        ("GET /events", "evil.example:80", None, 403),
        ("GET /serve.py", &*host, None, 404),
        ("GET /up", &*host, Some(own), 404),
        ("POST /up", &*host, None, 403),
        ("POST /up", &*host, Some("null"), 403),
        ("POST /up", &*host, Some("http://evil.example"), 403),
        ("POST /up", "evil.example", Some("http://evil.example"), 403),
        ("POST /down", &*host, Some("https://evil.example"), 403),
        ("POST /run", &*host, Some(own), 404),
    ] {
        let answer = dashboard.ask(line, host, origin);
        assert_eq!(answer.status, status, "{line} {host} {origin:?}");
    }
    let [listens] = &listeners(dashboard.server.pid())[..] else {
        panic!("it listens more than once");
    };
    assert_eq!(*listens, host);
    sandbox.is_empty();
    dashboard.end();
}

#[test]
fn one_thing_is_done_at_a_time_and_the_end_of_the_server_ends_it() {
    let sandbox = Sandbox::new();
    let line = sandbox.0.staying();
    let dashboard = Dashboard::start(&sandbox, &["sh", "-c", &line]);
    let announced = sandbox.0.announcements();
    assert_eq!(dashboard.ask_rightly("POST /up").status, 202);
    announced.shows("web-1 is ready").shows("web-2 is ready");
    assert_eq!(dashboard.ask_rightly("POST /up").status, 409);
    assert_eq!(dashboard.ask_rightly("POST /down").status, 409);
    dashboard.end();
    sandbox.0.everybody_leaves();
    assert_eq!(sandbox.ids().len(), 2);
    sandbox.0.hoist("down web --yes").code(0);
    sandbox.is_empty();
}

/// Returns where a process listens, as `ss` tells it.
fn listeners(pid: u32) -> Vec<String> {
    installed("ss", "iproute2");
    let told = crate::support::process::must("ss", &[&"-Htlnp"]);
    let own = format!("pid={pid},");
    let lines = told.lines().filter(|line| line.contains(&own));
    lines
        .map(|line| line.split_whitespace().nth(3).unwrap().to_owned())
        .collect()
}
