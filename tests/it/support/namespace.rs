//! A private copy of this machine for tests that need accounts, name servers, routes or a small
//! disk: own mounts, own network, own process ids, own `/etc`.
//!
//! The test's body runs in a second copy of the test program, started by `unshare`. When it ends,
//! the kernel ends everything it started and forgets its mounts. Making one needs root; without
//! that right the test fails and says so.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::captured::Keep;
use super::fleet::{TRANSPORT, transport};
use super::process::{Running, must};
use super::tree::{Tree, set_mode};

/// Set in the second copy of the test program, to the folder it may use.
const MARK: &str = "HOIST_TEST_NAMESPACE";

/// Longest the whole body may take.
const PATIENCE: Duration = Duration::from_mins(4);

/// First user id given to accounts.
const FIRST_UID: u32 = 20_001;

/// Runs the test's body, a `fn(&Namespace)`, in a namespace; tells whether this is the outside, for
/// checks on what must not have changed.
macro_rules! in_namespace {
    ($body:expr) => {{
        fn here() {}
        $crate::support::namespace::run(std::any::type_name_of_val(&here), $body)
    }};
}
pub(crate) use in_namespace;

/// The inside of the namespace.
pub(crate) struct Namespace {
    tree: Tree,
}

/// An account of the namespace.
pub(crate) struct Account {
    /// Login name.
    pub name: String,
    /// Home folder.
    pub home: PathBuf,
    /// User and group id.
    pub id: u32,
}

/// Runs `body` in a namespace; `here` is the path of a function within the test's own.
#[track_caller]
pub(crate) fn run(here: &str, body: fn(&Namespace)) -> bool {
    #[expect(
        clippy::disallowed_methods,
        reason = "how the second copy knows that it is one"
    )]
    if let Some(folder) = std::env::var_os(MARK) {
        body(&Namespace::enter(Tree::of(folder.into())));
        return false;
    }
    let name = here.strip_suffix("::here").unwrap_or(here);
    let name = name.split_once("::").map_or(name, |(_crate, test)| test);
    super::installed("unshare", "util-linux");
    // Removed from out here, where nothing is mounted in it.
    let tree = Tree::new();
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--net",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]);
    command.args(["--propagation", "private", "--"]);
    command.arg(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture"]);
    command.env("PATH", super::PATH).env(MARK, tree.path());
    command.env(TRANSPORT, transport());
    let mut running = Running::start(&mut command, Keep::All, false);
    running.feed(Vec::new());
    let ended = running.wait(PATIENCE);
    assert!(
        !ended.err().contains("unshare: "),
        "this test needs a mount and network namespace of its own, and making one is not allowed \
         here: run the tests as root (in a container: with --privileged, or at least \
         --cap-add SYS_ADMIN --cap-add NET_ADMIN)\n{ended}"
    );
    assert!(
        ended.out().contains(" 1 passed;"),
        "failed in its namespace\n{ended}"
    );
    true
}

impl Namespace {
    /// Makes the copy private: only what happens from here on is seen here alone.
    fn enter(tree: Tree) -> Self {
        super::installed("ip", "iproute2");
        super::installed("mount", "mount");
        let etc = tree.join("etc");
        must("cp", &[&"-a", &"/etc", &etc]);
        must("mount", &[&"--bind", &etc, &"/etc"]);
        for folder in ["/run", "/var/log"] {
            must(
                "mount",
                &[&"-t", &"tmpfs", &"-o", &"mode=755", &"hoist-test", &folder],
            );
        }
        must("ip", &[&"link", &"set", &"lo", &"up"]);
        let namespace = Self { tree };
        namespace.give_root_a_home();
        namespace
    }

    /// Returns the namespace's temporary folder.
    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Writes a file of `/etc`, which nobody else sees.
    pub(crate) fn write_etc(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = Path::new("/etc").join(name);
        if path.is_symlink() {
            fs::remove_file(&path).unwrap();
        }
        self.tree.write(&format!("etc/{name}"), content);
    }

    /// Makes an account with that login shell, let in by no password.
    pub(crate) fn account(&self, name: &str, shell: &Path) -> Account {
        self.account_with_hash(name, shell, "*")
    }

    /// Makes an account with a password.
    pub(crate) fn account_with_password(&self, name: &str, password: &str) -> Account {
        let script = "print crypt($ARGV[0], q($6$hoist-test$))";
        let hash = must("perl", &[&"-e", &script, &password]);
        self.account_with_hash(name, Path::new("/bin/sh"), &hash)
    }

    fn account_with_hash(&self, name: &str, shell: &Path, hash: &str) -> Account {
        let lines = fs::read_to_string("/etc/passwd").unwrap();
        let taken = lines
            .lines()
            .filter(|line| line.contains(":hoist-test:"))
            .count();
        let id = FIRST_UID + u32::try_from(taken).unwrap();
        let home = self.tree.folder(&format!("home/{name}"));
        let (home_text, shell) = (home.display(), shell.display());
        append(
            "/etc/passwd",
            &format!("{name}:x:{id}:{id}:hoist-test:{home_text}:{shell}"),
        );
        append("/etc/group", &format!("{name}:x:{id}:"));
        append("/etc/shadow", &format!("{name}:{hash}:19000:0:99999:7:::"));
        append("/etc/shells", &shell.to_string());
        chown(&home, Some(id), Some(id)).unwrap();
        Account {
            name: name.to_owned(),
            home,
            id,
        }
    }

    /// Lets a key in to an account, through `~/.ssh/authorized_keys`.
    #[expect(
        clippy::unused_self,
        reason = "only in a namespace may accounts be changed"
    )]
    pub(crate) fn authorize(&self, account: &str, public: &str) {
        let line = must("getent", &[&"passwd", &account]);
        let fields: Vec<&str> = line.trim().split(':').collect();
        let id = fields[2].parse().unwrap();
        let folder = Path::new(fields[5]).join(".ssh");
        let path = folder.join("authorized_keys");
        fs::create_dir_all(&folder).unwrap();
        append(path.to_str().unwrap(), public);
        for (path, mode) in [(&folder, 0o700), (&path, 0o600)] {
            chown(path, Some(id), Some(id)).unwrap();
            set_mode(path, mode);
        }
    }

    /// Mounts an empty disk of that size, as `mount` reads it.
    pub(crate) fn disk(&self, name: &str, size: &str) -> PathBuf {
        let path = self.tree.folder(name);
        let options = format!("size={size},mode=755");
        must(
            "mount",
            &[&"-t", &"tmpfs", &"-o", &options, &"hoist-test", &path],
        );
        path
    }

    /// Takes a program away, as if it were not installed.
    pub(crate) fn without(&self, program: &str) {
        let nothing = self.tree.write("nothing", "");
        must("mount", &[&"--bind", &nothing, &program]);
    }

    /// root's real home is not touched: here it has another one.
    fn give_root_a_home(&self) {
        let home = self.tree.folder("home/root");
        set_mode(&home, 0o700);
        let lines = fs::read_to_string("/etc/passwd").unwrap();
        let changed = lines.lines().map(|line| {
            let mut fields: Vec<&str> = line.split(':').collect();
            if fields[0] == "root" {
                fields[5] = home.to_str().unwrap();
                fields[6] = "/bin/sh";
            }
            fields.join(":") + "\n"
        });
        self.write_etc("passwd", changed.collect::<String>());
    }
}

fn append(path: &str, line: &str) {
    let file = OpenOptions::new().create(true).append(true).open(path);
    writeln!(file.unwrap(), "{line}").unwrap();
}
