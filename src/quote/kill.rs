//! The command line that ends a command from a second channel.

use super::wire::Request;
use super::wrapper::elevated;
use super::{Marker, Started};
use crate::remote::{Elevation, Signal};

/// Signals a whole group, in either of the forms that shells take.
const GROUP: &str = "kill -__S__ -- -__P__ 2>/dev/null || kill -__S__ -__P__";

/// Signals a process and everything descended from it, and never a group: the command shares
/// that with the login process. `$hoist_l` is `child:parent` of every process; `$hoist_a` grows
/// until no more children are found. The process goes first, lest a script continue with its
/// next command.
const TREE: &str = r#"hoist_l=
for hoist_f in /proc/[0-9]*/stat; do
{ read -r hoist_t <"$hoist_f"; } 2>/dev/null || continue
hoist_c=${hoist_t%% *}
set -- ${hoist_t##*") "}
hoist_l="$hoist_l $hoist_c:$2"
done
if [ -z "$hoist_l" ]; then
hoist_l=$(ps -A -o pid= -o ppid= 2>/dev/null | while read -r hoist_c hoist_t; do
echo "$hoist_c:$hoist_t"
done)
fi
hoist_a=" __P__ "
hoist_n=
while [ "$hoist_n" != "$hoist_a" ]; do
hoist_n=$hoist_a
for hoist_t in $hoist_l; do
case " $$$hoist_a" in
*" ${hoist_t%:*} "*) ;;
*" ${hoist_t#*:} "*) hoist_a="$hoist_a${hoist_t%:*} "
esac
done
done
kill -__S__ __P__
hoist_r=$?
set -- $hoist_a
shift
if [ $# -gt 0 ]; then kill -__S__ "$@" 2>/dev/null; fi
exit $hoist_r"#;

/// Returns what is sent, for an account with any login shell, that signals a command and all it
/// started: its process group if it leads one, or else the process and its descendants.
///
/// It exits with 0 when the signal was delivered. An id that would mean more than one command (0,
/// 1, or negative as the host reads it) is never signalled. A command that has other rights is
/// signalled with those: `marker` then tells when a password is asked for.
#[allow(clippy::missing_panics_doc, reason = "it never does")]
pub fn kill_request(
    started: &Started,
    signal: Signal,
    elevation: Option<&Elevation>,
    marker: &Marker,
) -> Request {
    let script = match started.pid {
        0 | 1 | 0x8000_0000.. => "exit 1",
        _ if started.is_group_leader => GROUP,
        _ => TREE,
    };
    let script = script
        .replace("__S__", signal.as_str())
        .replace("__P__", &started.pid.to_string());
    let request = elevated(script.as_bytes(), elevation, marker);
    request.expect("it is far shorter than what can be sent")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::io::{BufRead, BufReader, Read};
    use std::os::unix::ffi::OsStringExt;
    use std::os::unix::fs::symlink;
    use std::os::unix::process::{CommandExt, ExitStatusExt};
    use std::path::Path;
    use std::process::{Child, ChildStdout, Command, Stdio};
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;
    use crate::quote::shells::{Home, INNER, cross};
    use crate::quote::{Marker, MarkerFilter, request};
    use crate::remote::{Command as Remote, Exec};

    /// Starts children and a grandchild, which says so, and waits: from then on nobody forks. All
    /// of them hold stdout open.
    const FAMILY: &str = "sleep 60 & /bin/dash -c 'sleep 60 & echo ready; wait' & \
                          wait; echo went on";

    /// A command being executed as an SSH server would.
    struct Running {
        child: Child,
        stdout: BufReader<ChildStdout>,
        started: Started,
    }

    /// Starts `script` through `shell -c LINE`, and waits until it said that it is ready.
    fn start(mut shell: Command, script: &str) -> Running {
        let words = ["/bin/dash", "-c", script].map(OsString::from);
        let marker = Marker::random();
        let line = request(&Exec::new(Remote::Argv(words.into())), &marker)
            .unwrap()
            .line;
        let mut child = shell
            .arg(OsString::from_vec(line))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        stdout.read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n");
        // The marker came before.
        let mut bytes = vec![0; 4096];
        let read = child.stderr.as_mut().unwrap().read(&mut bytes).unwrap();
        let mut filter = MarkerFilter::new(&marker);
        filter.push(&bytes[..read], &mut Vec::new());
        let started = *filter.started().unwrap();
        Running {
            child,
            stdout,
            started,
        }
    }

    /// Returns what is written until nobody holds the pipe any more.
    fn rest(mut stdout: BufReader<ChildStdout>) -> String {
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut rest = String::new();
            stdout.read_to_string(&mut rest).unwrap();
            sender.send(rest).unwrap();
        });
        let rest = receiver.recv_timeout(Duration::from_secs(30));
        rest.expect("everything that was started has ended")
    }

    fn with_c(mut shell: Command) -> Command {
        shell.arg("-c");
        shell
    }

    fn kill(mut shell: Command, line: Vec<u8>) {
        let output = shell.arg(OsString::from_vec(line)).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
    }

    #[test]
    fn a_group_ends_with_all_its_descendants() {
        let home = Home::new();
        for (login, inner) in cross() {
            for (signal, number) in [(Signal::Term, 15), (Signal::Kill, 9)] {
                let shell = || with_c(home.login(login, inner));
                let mut running = start(shell(), FAMILY);
                assert!(running.started.is_group_leader);
                kill(
                    shell(),
                    kill_request(&running.started, signal, None, &Marker::random()).line,
                );
                assert_eq!(rest(running.stdout), "", "{login}, {inner}");
                let status = running.child.wait().unwrap();
                assert_eq!(status.signal(), Some(number), "{login}, {inner}");
            }
        }
    }

    /// Returns a keeper in a group of its own: it runs the command in that same group, as an SSH
    /// server does that gives none, and says when it has survived.
    fn keeper(home: &Home, inner: &str) -> Command {
        let tools = home.path().join(format!("tools-{inner}"));
        std::fs::create_dir(&tools).unwrap();
        for tool in ["printf", "sleep"] {
            symlink(Path::new("/usr/bin").join(tool), tools.join(tool)).unwrap();
        }
        symlink(home.path().join(inner).join("sh"), tools.join("sh")).unwrap();
        let mut keeper = home.shell("dash");
        keeper
            .args(["-c", "/bin/dash -c \"$1\"; echo survived", "keeper"])
            .env("PATH", tools)
            .process_group(0);
        keeper
    }

    #[test]
    fn without_a_group_the_descendants_end_and_nobody_else() {
        let home = Home::new();
        for inner in INNER {
            let mut running = start(keeper(&home, inner), FAMILY);
            assert!(!running.started.is_group_leader);
            let line = kill_request(&running.started, Signal::Term, None, &Marker::random()).line;
            kill(with_c(home.login("sh", inner)), line);
            assert_eq!(rest(running.stdout), "survived\n", "{inner}");
            assert!(running.child.wait().unwrap().success(), "{inner}");
        }
    }

    #[test]
    fn without_proc_the_descendants_are_asked_of_ps() {
        let home = Home::new();
        for inner in INNER {
            let mut running = start(keeper(&home, inner), FAMILY);
            let script = TREE
                .replace("__S__", "KILL")
                .replace("__P__", &running.started.pid.to_string())
                .replace("/proc/", "/none/");
            kill(
                with_c(home.login("sh", inner)),
                crate::quote::wire::line(script.as_bytes()),
            );
            assert_eq!(rest(running.stdout), "survived\n", "{inner}");
            assert!(running.child.wait().unwrap().success(), "{inner}");
        }
    }

    #[test]
    fn a_command_that_is_gone_is_not_delivered_to() {
        let home = Home::new();
        for is_group_leader in [true, false] {
            let mut gone = Command::new("/bin/true").spawn().unwrap();
            let pid = gone.id();
            gone.wait().unwrap();
            let started = Started {
                pid,
                is_group_leader,
            };
            for (login, inner) in cross() {
                let line = OsString::from_vec(
                    kill_request(&started, Signal::Term, None, &Marker::random()).line,
                );
                let output = with_c(home.login(login, inner)).arg(line).output().unwrap();
                assert!(!output.status.success(), "{login}, {inner}");
            }
        }
    }

    #[test]
    fn an_id_that_means_more_than_one_command_is_never_signalled() {
        let home = Home::new();
        for pid in [0, 1, 0x8000_0000, u32::MAX] {
            for is_group_leader in [true, false] {
                let started = Started {
                    pid,
                    is_group_leader,
                };
                let line = kill_request(&started, Signal::Kill, None, &Marker::random()).line;
                assert_eq!(line, crate::quote::wire::line(b"exit 1"));
                let mut shell = with_c(home.shell("dash"));
                let output = shell.arg(OsString::from_vec(line)).output().unwrap();
                assert_eq!(output.status.code(), Some(1));
            }
        }
    }
}
