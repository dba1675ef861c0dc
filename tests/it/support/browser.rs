//! A real browser without a window: Chromium, driven over the `WebDriver` protocol that its
//! `chromedriver` speaks, which is JSON over HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::fleet::Fleet;
use super::process::Running;
use super::tree::{descendants, is_gone, is_running, kill, processes_naming};
use super::{PATIENCE, installed};

/// An answer over HTTP: its status and its body.
pub(crate) struct Answer {
    pub status: u16,
    pub body: String,
}

/// Sends a request to a port of 127.0.0.1 and returns the answer. `Host` is among `headers`.
pub(crate) fn ask(port: u16, line: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(2 * PATIENCE)).unwrap();
    let headers = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"));
    let headers: String = headers.collect();
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\n{headers}Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    let mut length = None;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok();
        }
    }
    let mut body = Vec::new();
    let most = length.unwrap_or(u64::MAX);
    reader.take(most).read_to_end(&mut body).unwrap();
    let status = first.split(' ').nth(1).and_then(|code| code.parse().ok());
    Answer {
        status: status.unwrap_or_else(|| panic!("no answer over HTTP: {first:?}")),
        body: String::from_utf8(body).unwrap(),
    }
}

/// A browser with one page; all of it is gone when dropped.
pub(crate) struct Browser {
    driver: Running,
    port: u16,
    session: String,
    /// Where it keeps what it keeps, which names its processes.
    profile: String,
}

impl Browser {
    /// Starts one in the fleet's home.
    pub(crate) fn start(fleet: &Fleet) -> Self {
        installed("chromedriver", "chromium-driver");
        let chromium = installed("chromium", "chromium");
        let profile = fleet.tree().folder("chromium").display().to_string();
        let driver = fleet.program("chromedriver", ["--port=0"]).start();
        driver.shows("successfully on port ");
        let told = driver.stdout.to_string();
        let port = told.split("successfully on port ").nth(1).unwrap();
        let port = port.split('.').next().unwrap().parse().unwrap();
        let mut browser = Self {
            driver,
            port,
            session: String::new(),
            profile,
        };
        let own = format!("--user-data-dir={}", browser.profile);
        let words = [
            "--headless",
            // It runs as root here, shows nothing but pages of this machine, and is to ask nobody.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--no-proxy-server",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            &own,
        ];
        let options = json!({ "binary": chromium, "args": words });
        let wanted = json!({ "browserName": "chrome", "goog:chromeOptions": options });
        let wanted = json!({ "capabilities": { "alwaysMatch": wanted } });
        let session = browser.call("POST", "/session", &wanted);
        let id = session["sessionId"].as_str().unwrap();
        browser.session = format!("/session/{id}");
        let patience = u64::try_from(PATIENCE.as_millis()).unwrap();
        browser.tell("/timeouts", &json!({ "script": patience }));
        browser
    }

    /// Opens a page and waits until it is there.
    #[track_caller]
    pub(crate) fn open(&self, url: &str) {
        self.tell("/url", &json!({ "url": url }));
    }

    /// Clicks on what a CSS selector finds.
    #[track_caller]
    pub(crate) fn click(&self, selector: &str) {
        let wanted = json!({ "using": "css selector", "value": selector });
        let found = self.tell("/element", &wanted);
        let id = found.as_object().and_then(|one| one.values().next());
        let id = id.and_then(Value::as_str).unwrap();
        self.tell(&format!("/element/{id}/click"), &json!({}));
    }

    /// Agrees to what the page asks in a window of its own.
    #[track_caller]
    pub(crate) fn agree(&self) {
        self.tell("/alert/accept", &json!({}));
    }

    /// Disagrees.
    #[track_caller]
    pub(crate) fn disagree(&self) {
        self.tell("/alert/dismiss", &json!({}));
    }

    /// Waits until what a CSS selector finds has exactly this text, at each change of the page.
    #[track_caller]
    pub(crate) fn shows(&self, selector: &str, text: &str) {
        const SCRIPT: &str = "
            const [selector, text, done] = arguments;
            const look = () => document.querySelector(selector)?.textContent === text;
            if (look()) return done();
            new MutationObserver((_, self) => look() && (self.disconnect(), done())).observe(
                document, { subtree: true, childList: true, characterData: true });";
        let script = json!({ "script": SCRIPT, "args": [selector, text] });
        let answer = self.send("POST", &self.path("/execute/async"), &script);
        assert_eq!(
            answer.status,
            200,
            "{selector} never showed {text:?}: {}\nthe page:\n{}",
            answer.body,
            self.texts("body")[0]
        );
    }

    /// Returns the texts of all that a CSS selector finds, as they are seen.
    #[track_caller]
    pub(crate) fn texts(&self, selector: &str) -> Vec<String> {
        let script = "return [...document.querySelectorAll(arguments[0])].map((e) => e.innerText)";
        let script = json!({ "script": script, "args": [selector] });
        let found = self.tell("/execute/sync", &script);
        serde_json::from_value(found).unwrap()
    }

    fn path(&self, path: &str) -> String {
        format!("{}{path}", self.session)
    }

    #[track_caller]
    fn tell(&self, path: &str, body: &Value) -> Value {
        self.call("POST", &self.path(path), body)
    }

    #[track_caller]
    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.send(method, path, body);
        assert_eq!(
            answer.status, 200,
            "{method} {path} {body}: {}\n{}",
            answer.body, self.driver.stdout
        );
        let mut told: Value = serde_json::from_str(&answer.body).unwrap();
        told["value"].take()
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        let host = format!("127.0.0.1:{}", self.port);
        let kind = "application/json; charset=utf-8";
        let headers = [("Host", host.as_str()), ("Content-Type", kind)];
        let body = body.to_string();
        ask(self.port, &format!("{method} {path}"), &headers, &body)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Some of its processes are nobody's children, and more may come while these go.
        loop {
            let mut left = descendants(self.driver.pid());
            left.extend(processes_naming(&self.profile));
            left.retain(|pid| is_running(*pid));
            if left.is_empty() {
                return;
            }
            for pid in left {
                kill(pid);
                is_gone(pid, PATIENCE);
            }
        }
    }
}
