//! A folder with the output and the status of each host.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::failed;
use crate::event::{Event, EventKind, HostIndex, Listener};
use crate::outcome::Outcome;
use crate::remote::Pipe;
use crate::render::Run;
use crate::render::words::{message, status};

/// Writes `<host>.out`, `<host>.err` and `<host>.status` for every host, in that order.
///
/// All three are there for every host, so that none is left over from an earlier run. The first
/// line of the status is `ok`, `exit N`, `signal NAME`, or the kind: `timeout`, `refused` …; a
/// second line, if there is one, is the message.
///
/// A host whose files can't be written is told once, and loses the ones from earlier runs too.
#[derive(Debug)]
pub struct OutDir {
    dir: PathBuf,
    run: Run,
    /// Files that have their temporary name.
    begun: HashSet<(HostIndex, Pipe)>,
    /// Hosts whose files could not be written.
    broken: HashSet<HostIndex>,
    /// The file written last: output comes in bursts.
    open: Option<((HostIndex, Pipe), File)>,
}

impl OutDir {
    /// Makes the folder if it is not there.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn create(dir: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&dir).map_err(|error| failed(&dir, "make", &error))?;
        Ok(Self {
            dir,
            run: Run::default(),
            begun: HashSet::new(),
            broken: HashSet::new(),
            open: None,
        })
    }

    fn append(&mut self, host: HostIndex, pipe: Pipe, bytes: &[u8]) -> io::Result<()> {
        let written = self.file(host, pipe).and_then(|file| file.write_all(bytes));
        written.map_err(|error| failed(&self.place(host, extension(pipe)), "write", &error))
    }

    /// Returns the temporary file of a pipe, open at its end.
    fn file(&mut self, host: HostIndex, pipe: Pipe) -> io::Result<&mut File> {
        let key = (host, pipe);
        if self.open.as_ref().is_none_or(|(open, _)| *open != key) {
            let path = self.temporary(host, extension(pipe));
            let file = if self.begun.insert(key) {
                create(&path)?
            } else {
                OpenOptions::new().append(true).open(&path)?
            };
            self.open = Some((key, file));
        }
        let (_, file) = self.open.as_mut().expect("set above if it was not there");
        Ok(file)
    }

    fn finish(&mut self, host: HostIndex, outcome: &Outcome) -> io::Result<()> {
        for pipe in Pipe::BOTH {
            // A pipe that carried nothing has its file too.
            self.append(host, pipe, b"")?;
            self.begun.remove(&(host, pipe));
            self.put(host, extension(pipe))?;
        }
        self.open = None;
        let lines = [Some(status(outcome)), message(outcome)];
        let text: String = lines
            .into_iter()
            .flatten()
            .map(|line| line + "\n")
            .collect();
        create(&self.temporary(host, "status"))
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| failed(&self.place(host, "status"), "write", &error))?;
        self.put(host, "status")
    }

    /// Gives a temporary file its name.
    fn put(&self, host: HostIndex, extension: &str) -> io::Result<()> {
        let place = self.place(host, extension);
        fs::rename(self.temporary(host, extension), &place)
            .map_err(|error| failed(&place, "write", &error))
    }

    /// Leaves nothing half-written of a host, and nothing old.
    fn give_up(&mut self, host: HostIndex) {
        self.open = None;
        self.broken.insert(host);
        for extension in ["out", "err", "status"] {
            // What is not there, or can't be removed, is no worse than before.
            let _ = fs::remove_file(self.temporary(host, extension));
            let _ = fs::remove_file(self.place(host, extension));
        }
        for pipe in Pipe::BOTH {
            self.begun.remove(&(host, pipe));
        }
    }

    fn place(&self, host: HostIndex, extension: &str) -> PathBuf {
        self.dir
            .join(format!("{}.{extension}", self.run.name(host)))
    }

    /// Returns the temporary name: hidden, and of this run alone. It fits the 255 bytes of a file
    /// name even for the longest host name.
    fn temporary(&self, host: HostIndex, extension: &str) -> PathBuf {
        let random = self.run.id.rsplit('-').next().unwrap_or_default();
        let name = self.run.name(host);
        self.dir.join(format!(".{name}.{extension}.{random}"))
    }
}

impl Listener for OutDir {
    fn tell(&mut self, event: &Event) -> io::Result<()> {
        let (host, written) = match &event.kind {
            EventKind::RunStarted { run, hosts } => {
                self.run = Run::new(run, hosts);
                return Ok(());
            }
            EventKind::Output { host, .. } | EventKind::Finished { host, .. }
                if self.broken.contains(host) =>
            {
                return Ok(());
            }
            EventKind::Output { host, pipe, bytes } => (*host, self.append(*host, *pipe, bytes)),
            EventKind::Finished { host, outcome } => (*host, self.finish(*host, outcome)),
            _ => return Ok(()),
        };
        if written.is_err() {
            self.give_up(host);
        }
        written
    }
}

fn extension(pipe: Pipe) -> &'static str {
    match pipe {
        Pipe::Stdout => "out",
        Pipe::Stderr => "err",
    }
}

/// Makes a new file; one that is there, left by a run that was killed, is removed, not followed.
fn create(path: &Path) -> io::Result<File> {
    let mut new = OpenOptions::new();
    new.append(true).create_new(true);
    match new.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            new.open(path)
        }
        opened => opened,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::files::tests::{HOSTS, names_in, some_run, tell};
    use crate::render::tests::{Told, events, exit};

    fn read(dir: &Path, name: &str) -> Vec<u8> {
        fs::read(dir.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    #[test]
    fn every_host_has_its_three_files_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("made/on/demand");
        let mut out_dir = OutDir::create(dir.clone()).unwrap();
        fs::write(dir.join("2001:db8::1.out"), "of an earlier run").unwrap();
        assert!(tell(&mut out_dir, &some_run()).is_empty());
        assert_eq!(read(&dir, "web1.out"), b"half of it");
        assert_eq!(read(&dir, "web1.err"), b"warning\n");
        assert_eq!(read(&dir, "web1.status"), b"ok\n");
        assert_eq!(read(&dir, "web2.out"), b"other\xff");
        assert_eq!(read(&dir, "web2.status"), b"exit 3\n");
        assert_eq!(read(&dir, "web3.status"), b"signal KILL\n");
        assert_eq!(read(&dir, "2001:db8::1.out"), b"");
        assert_eq!(
            read(&dir, "2001:db8::1.status"),
            b"refused\nnobody listens\n"
        );
        assert_eq!(names_in(&dir).len(), 3 * HOSTS.len());
    }

    #[test]
    fn nothing_has_its_name_before_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let mut out_dir = OutDir::create(dir.path().to_owned()).unwrap();
        tell(&mut out_dir, &some_run()[..4]);
        let names = names_in(dir.path());
        assert_eq!(names.len(), 3);
        assert!(names.iter().all(|name| name.starts_with('.')), "{names:?}");
    }

    #[test]
    fn a_host_that_cannot_be_written_is_told_once_and_the_others_are_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut out_dir = OutDir::create(dir.path().to_owned()).unwrap();
        fs::write(dir.path().join("web1.status"), "ok\n").unwrap();
        // A folder of that name is in the way, even for root.
        let events = events(&HOSTS, &some_run());
        out_dir.tell(&events[0]).unwrap();
        fs::create_dir(out_dir.temporary(0, "out")).unwrap();
        let results = events[1..].iter().map(|event| out_dir.tell(event));
        let errors: Vec<io::Error> = results.filter_map(Result::err).collect();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].to_string().contains("web1.out"), "{}", errors[0]);
        assert!(
            !dir.path().join("web1.status").exists(),
            "it was another run's"
        );
        assert_eq!(read(dir.path(), "web2.status"), b"exit 3\n");
    }

    #[test]
    fn a_link_in_the_place_of_a_temporary_file_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        let mut out_dir = OutDir::create(dir.path().join("out")).unwrap();
        let events = events(&HOSTS, &some_run());
        out_dir.tell(&events[0]).unwrap();
        std::os::unix::fs::symlink(&victim, out_dir.temporary(0, "out")).unwrap();
        for event in &events[1..] {
            out_dir.tell(event).unwrap();
        }
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        assert_eq!(read(&dir.path().join("out"), "web1.out"), b"half of it");
    }

    #[test]
    fn the_longest_name_fits() {
        let dir = tempfile::tempdir().unwrap();
        let mut out_dir = OutDir::create(dir.path().to_owned()).unwrap();
        let name = "h".repeat(crate::host::MAX_NAME_BYTES);
        let told = [Told::Output(0, b"x".to_vec()), Told::Finished(0, exit(0))];
        for event in events(&[&name], &told) {
            out_dir.tell(&event).unwrap();
        }
        assert_eq!(read(dir.path(), &format!("{name}.status")), b"ok\n");
    }
}
