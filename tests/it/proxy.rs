//! A proxy that learns from the inventory whom to send requests to: nginx, then HAProxy, in front of
//! servers that tell their names. The templates are those of `examples/proxy`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use crate::support::captured::Keep;
use crate::support::ended::Ended;
use crate::support::fleet::Fleet;
use crate::support::process::Running;
use crate::support::sshd::{self, Sshd};
use crate::support::{PATH, PATIENCE, installed};

/// Where proxies listen: no port that the system gives away by itself.
const PORT: u16 = 8080;

/// A server on one address that answers every request with its name.
const APP: &str = r"
import http.server, sys
name, address = sys.argv[1:]
class Name(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(name.encode())
    def log_message(self, *words):
        pass
server = http.server.ThreadingHTTPServer((address, 0), Name)
print('port', server.server_port, 'is open', flush=True)
server.serve_forever()
";

/// An application server.
struct App {
    name: String,
    address: String,
    port: u16,
    _process: Running,
}

/// A proxy, its application servers, and hoist's fleet of all of them, behind one sshd.
struct Site {
    // The sshd last: commands may still be on their way out.
    fleet: Fleet,
    apps: Vec<App>,
    /// First part of everybody's address, which no other test has now.
    net: String,
    sshd: Sshd,
}

impl Site {
    /// Starts three application servers; the inventory holds them and the proxy.
    fn new() -> Self {
        static SITES: AtomicU32 = AtomicU32::new(0);
        let (site, pid) = (SITES.fetch_add(1, Ordering::Relaxed), std::process::id());
        let sshd = Sshd::start();
        let fleet = Fleet::new()
            .with_identity(&sshd.client_key)
            .log(&sshd.log());
        let mut site = Self {
            fleet,
            apps: Vec::new(),
            net: format!(
                "127.{}.{}",
                64 + (site * 16 + pid / 256 % 16) % 128,
                pid % 256
            ),
            sshd,
        };
        for name in ["app1", "app2", "app3"] {
            site.start(name);
        }
        site.list(3);
        for name in ["upstream.conf", "haproxy.cfg"] {
            let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/proxy");
            let text = fs::read_to_string(example.join(name)).unwrap();
            site.write(&format!("work/{name}"), &text);
        }
        site
    }

    /// Starts one more application server.
    fn start(&mut self, name: &str) {
        let address = format!("{}.{}", self.net, 21 + self.apps.len());
        let python = installed("python3", "python3");
        let mut command = Command::new(python);
        command.args(["-c", APP, name, &address]);
        let process = Running::start(&mut command, Keep::All, false);
        process.shows("is open");
        let told = process.stdout.to_string();
        let port = told.split(' ').nth(1).unwrap().parse().unwrap();
        self.apps.push(App {
            name: name.to_owned(),
            address,
            port,
            _process: process,
        });
    }

    /// Writes the inventory with the first `count` application servers.
    fn list(&self, count: usize) {
        let (user, ssh) = (sshd::user(), self.sshd.port());
        let proxy = self.proxy();
        let mut rows = format!(
            "name,address,port,user,groups,listen,http\nproxy1,{proxy},{ssh},{user},proxy,{proxy}:{PORT},\n"
        );
        let mut known = format!("[{proxy}]:{ssh} {}\n", self.sshd.host_keys[0].public());
        for App {
            name,
            address,
            port,
            ..
        } in &self.apps[..count]
        {
            writeln!(rows, "{name},{address},{ssh},{user},app,,{port}").unwrap();
            writeln!(
                known,
                "[{address}]:{ssh} {}",
                self.sshd.host_keys[0].public()
            )
            .unwrap();
        }
        self.write("work/fleet.csv", &rows);
        self.fleet.write_known_hosts(&known);
    }

    fn proxy(&self) -> String {
        format!("{}.10", self.net)
    }

    fn write(&self, path: &str, text: &str) {
        self.fleet.tree().write(path, text);
    }

    fn path(&self, path: &str) -> String {
        self.fleet.tree().join(path).display().to_string()
    }

    /// Puts a template on the proxy.
    fn put(&self, template: &str, dest: &str, check: &str, then: &str) -> Ended {
        let words = [
            "put",
            "-w",
            "@proxy",
            "-o",
            "jsonl",
            "--template",
            template,
            dest,
        ];
        let words = words.into_iter().chain(["--check", check]);
        let then = Some(["--then", then]).filter(|_| !then.is_empty());
        self.fleet
            .argv(words.chain(then.into_iter().flatten()))
            .run()
    }

    /// Asks the proxy once; tells which application answered, if one did.
    fn ask(&self) -> Option<String> {
        let mut stream = TcpStream::connect((self.proxy().as_str(), PORT)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
            .write_all(b"GET / HTTP/1.0\r\nHost: app\r\n\r\n")
            .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let is_ok = head.split(' ').nth(1) == Some("200");
        is_ok.then(|| body.to_owned())
    }

    /// Waits until these, and nobody else, answer in turn: a proxy takes up its configuration a moment
    /// after it was told to.
    #[track_caller]
    fn is_served_by(&self, names: &[&str]) {
        const ROUNDS: usize = 10;
        let wanted: BTreeMap<String, usize> = names
            .iter()
            .map(|name| ((*name).to_owned(), ROUNDS))
            .collect();
        let start = Instant::now();
        loop {
            let mut answers = BTreeMap::new();
            for _ in 0..ROUNDS * names.len() {
                let name = self.ask().unwrap_or_else(|| "nobody".to_owned());
                *answers.entry(name).or_default() += 1;
            }
            if answers == wanted {
                return;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{answers:?} answered, not {wanted:?}"
            );
        }
    }

    /// Returns how often something was done that leaves lines in a file.
    fn count(&self, file: &str) -> usize {
        let text = fs::read_to_string(self.fleet.tree().join(file)).unwrap_or_default();
        text.lines().count()
    }

    fn logins(&self) -> usize {
        self.sshd
            .log()
            .to_string()
            .matches("Accepted publickey")
            .count()
    }
}

/// Starts a proxy in the foreground.
fn foreground(program: &str, package: &str, args: &[&str], ready: &str) -> Running {
    let mut command = Command::new(installed(program, package));
    command.env_clear().env("PATH", PATH).args(args);
    let running = Running::start(&mut command, Keep::All, false);
    running.warns(ready);
    running
}

/// Returns a command that leaves a line in a file first.
fn counted(file: &str, command: &str) -> String {
    format!("sh -c 'echo done >> {file}; exec {command}'")
}

/// How a proxy is configured, checked and reloaded.
struct Proxy<'a> {
    template: &'a str,
    dest: &'a str,
    check: &'a str,
    then: &'a str,
    /// What it says of `sever` in the place of `server`.
    words: &'a str,
}

/// What a proxy has to do, whatever it is: a host more is served, nothing is done where nothing changes,
/// and a mistake changes nothing.
fn story(site: &mut Site, proxy: &Proxy<'_>) {
    let Proxy { template, dest, .. } = *proxy;
    let (checks, reloads) = (site.path("checks"), site.path("reloads"));
    let (check, then) = (counted(&checks, proxy.check), counted(&reloads, proxy.then));
    let put = |site: &Site, template: &str| site.put(template, dest, &check, &then);
    let done = |site: &Site| (site.count("checks"), site.count("reloads"));

    site.start("app4");
    site.is_served_by(&["app1", "app2", "app3"]);
    site.list(4);
    let ended = put(site, template);
    let told = ended.code(0).record("proxy1").text("stdout");
    assert!(told.starts_with(&format!("changed {dest}\n")), "{ended}");
    assert_eq!(done(site), (1, 1), "{ended}");
    site.is_served_by(&["app1", "app2", "app3", "app4"]);

    let ended = put(site, template);
    let told = ended.code(0).record("proxy1").text("stdout");
    assert_eq!(told, "unchanged\n", "{ended}");
    assert_eq!(done(site), (1, 1), "{ended}");

    let good = fs::read_to_string(dest).unwrap();
    let text = fs::read_to_string(site.path(&format!("work/{template}"))).unwrap();
    site.write("work/bad", &text.replace("server {{", "sever {{"));
    let ended = put(site, "bad");
    ended.code(1).became("proxy1", "failed", "check");
    let record = ended.record("proxy1");
    let told = record.text("message") + &record.text("stdout") + &record.text("stderr");
    assert!(told.contains(proxy.words), "{ended}");
    assert_eq!(done(site), (2, 1), "{ended}");
    assert_eq!(fs::read_to_string(dest).unwrap(), good, "{ended}");
    site.is_served_by(&["app1", "app2", "app3", "app4"]);

    site.write("work/bad", &text.replace("h.http", "h.htpt"));
    let logins = site.logins();
    let ended = put(site, "bad");
    ended
        .code(2)
        .no_stdout()
        .complains(&["bad:", "`h.htpt` is not defined (for proxy1)"]);
    assert_eq!(site.logins(), logins, "{ended}");
    assert_eq!(done(site), (2, 1), "{ended}");
}

#[test]
fn nginx_sends_requests_to_whoever_is_in_the_inventory() {
    let mut site = Site::new();
    let folder = site.path("nginx");
    site.fleet.tree().folder("nginx/conf.d");
    let main = site.path("nginx/nginx.conf");
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("    {what}_temp_path {folder}/{what};\n"))
        .concat();
    let text = format!(
        "pid {folder}/pid;\nerror_log stderr notice;\nworker_processes 1;\ndaemon off;\n\
         events {{}}\nhttp {{\n    access_log off;\n{paths}    include {folder}/conf.d/*.conf;\n}}\n"
    );
    site.write("nginx/nginx.conf", &text);
    let _nginx = foreground("nginx", "nginx", &["-c", &main], "start worker process");
    let dest = site.path("nginx/conf.d/app.conf");
    let check = format!("nginx -t -q -c {main}");
    let then = format!("nginx -s reload -c {main}");
    let ended = site.put("upstream.conf", &dest, &check, &then);
    let told = ended.code(0).record("proxy1").text("stdout");
    assert!(told.starts_with(&format!("new {dest}\n")), "{ended}");
    let proxy = Proxy {
        template: "upstream.conf",
        dest: &dest,
        check: &check,
        then: &then,
        words: "unknown directive \"sever\"",
    };
    story(&mut site, &proxy);
}

#[test]
fn haproxy_sends_requests_to_whoever_is_in_the_inventory() {
    let mut site = Site::new();
    let dest = site.path("haproxy.cfg");
    let pid = site.path("haproxy.pid");
    let check = format!("haproxy -c -f {dest}");
    site.put("haproxy.cfg", &dest, &check, "").code(0);
    let args = ["-W", "-f", &dest, "-p", &pid];
    let haproxy = foreground("haproxy", "haproxy", &args, "Loading success");
    let then = format!("kill -USR2 {}", haproxy.pid());
    let proxy = Proxy {
        template: "haproxy.cfg",
        dest: &dest,
        check: &check,
        then: &then,
        words: "unknown keyword 'sever'",
    };
    story(&mut site, &proxy);
}

/// The example is an inventory, and its templates come to something for it.
#[test]
fn the_example_can_be_rendered_as_it_is() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/proxy");
    let fleet = Fleet::new();
    for template in ["upstream.conf", "haproxy.cfg"] {
        let words = ["render", "-w", "@proxy", "-i"].map(Into::into);
        let files = [example.join("fleet.csv"), example.join(template)];
        let words = words.into_iter().chain(files.map(Into::into));
        fleet
            .argv::<std::ffi::OsString>(words)
            .run()
            .code(0)
            .stdout_has("*:80")
            .stdout_has("192.0.2.23:8000");
    }
}
