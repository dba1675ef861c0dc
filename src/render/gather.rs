//! Hosts with the same status and the same output, together: the largest group first.
//!
//! A host's output is compared with the others' when it ends; a hash finds the candidates and the
//! bytes decide, so no host can pass for another. Each output is kept once. Lines are indented, so
//! that none of them can look like a header; those of stderr begin with `stderr: `.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read, Write};

use super::outputs::{Output, Outputs, fill, piece_for};
use super::sink::Sink;
use super::words::{counted, message, status};
use super::{Options, Run};
use crate::event::{Event, EventKind, HostIndex, Listener};
use crate::host::HostName;
use crate::hostset::HostSet;
use crate::outcome::{Outcome, Status};
use crate::remote::Pipe;
use crate::spool::{Spool, Store};

/// Begins each line of stdout.
const INDENT: &str = "  ";
/// Begins each line of stderr.
const STDERR: &str = "  stderr: ";

/// The listener that gathers hosts.
pub(super) struct Gather<W: Write> {
    has_color: bool,
    run: Run,
    outputs: Outputs,
    groups: Vec<Group>,
    /// Groups by hash of what their hosts have in common.
    by_hash: HashMap<u64, Vec<usize>>,
    hash_key: RandomState,
    out: Sink<W>,
}

struct Group {
    hosts: Vec<HostIndex>,
    status: String,
    class: Status,
    is_cut: [bool; 2],
    /// What hoist says of the first host.
    message: Option<String>,
    /// Whether it says the same of all.
    is_message_common: bool,
    output: Output,
}

impl<W: Write> Gather<W> {
    pub(super) fn new(options: &Options, store: &Store, out: W) -> Self {
        Self {
            has_color: options.has_color,
            run: Run::default(),
            outputs: Outputs::new(store),
            groups: Vec::new(),
            by_hash: HashMap::new(),
            hash_key: RandomState::new(),
            out: Sink::new(out, options.is_terminal),
        }
    }

    fn finished(&mut self, host: HostIndex, outcome: &Outcome) -> io::Result<()> {
        let output = self.outputs.take(host);
        let group = Group::new(host, outcome, output);
        match self.find_like(&group) {
            Ok(Some(index)) => {
                self.groups[index].join(&group);
                Ok(())
            }
            // A host that can't be compared is shown by itself.
            other => {
                self.groups.push(group);
                other.map(drop)
            }
        }
    }

    /// Returns the group that is like a new one; without any, notes that the new one is the next.
    fn find_like(&mut self, group: &Group) -> io::Result<Option<usize>> {
        let like = self.by_hash.entry(group.hash(&self.hash_key)?).or_default();
        for &index in like.iter() {
            if self.groups[index].is_like(group)? {
                return Ok(Some(index));
            }
        }
        like.push(self.groups.len());
        Ok(None)
    }

    fn write(&mut self) -> io::Result<()> {
        let mut groups = std::mem::take(&mut self.groups);
        for group in &mut groups {
            group.hosts.sort_unstable();
        }
        groups.sort_by_key(|group| (std::cmp::Reverse(group.hosts.len()), group.hosts[0]));
        for (index, group) in groups.iter().enumerate() {
            if index > 0 {
                self.out.text("\n")?;
            }
            self.write_group(group)?;
        }
        self.out.flush()
    }

    fn write_group(&mut self, group: &Group) -> io::Result<()> {
        let names = group
            .hosts
            .iter()
            .filter_map(|host| self.run.hosts.get(*host));
        let names: HostSet = names.cloned().collect();
        let count = match group.hosts.len() {
            1 => String::new(),
            count => format!(" ({})", counted(count, "host")),
        };
        let status = super::words::colored(&group.status, group.class, self.has_color);
        self.out
            .text(&format!("{}{count}: {status}\n", names.fold()))?;
        self.write_message(group)?;
        for (pipe, prefix) in Pipe::BOTH.into_iter().zip([INDENT, STDERR]) {
            write_indented(&mut self.out, prefix, group.output.of(pipe))?;
        }
        for (pipe, _) in Pipe::BOTH.iter().zip(group.is_cut).filter(|(_, cut)| *cut) {
            let note = format!("{INDENT}({} was cut at the limit)\n", pipe.as_str());
            self.out.text(&note)?;
        }
        Ok(())
    }

    fn write_message(&mut self, group: &Group) -> io::Result<()> {
        let Some(message) = &group.message else {
            return Ok(());
        };
        let text = if group.is_message_common {
            format!("{INDENT}{message}\n")
        } else {
            let first = self
                .run
                .hosts
                .get(group.hosts[0])
                .map_or("", HostName::as_str);
            format!("{INDENT}{first}: {message}\n{INDENT}… the others likewise\n")
        };
        self.out.text(&text)
    }
}

impl Group {
    fn new(host: HostIndex, outcome: &Outcome, output: Output) -> Self {
        Self {
            hosts: vec![host],
            status: status(outcome),
            class: outcome.status(),
            is_cut: [outcome.stdout.is_truncated, outcome.stderr.is_truncated],
            message: message(outcome),
            is_message_common: true,
            output,
        }
    }

    fn join(&mut self, other: &Self) {
        self.hosts.extend(&other.hosts);
        self.is_message_common &= self.message == other.message;
    }

    fn hash(&self, key: &RandomState) -> io::Result<u64> {
        let mut hasher = key.build_hasher();
        hasher.write(self.status.as_bytes());
        for pipe in Pipe::BOTH {
            let spool = self.output.of(pipe);
            hasher.write_u64(spool.len());
            let mut piece = piece_for(spool);
            let mut reader = spool.reader();
            // Pieces are cut alike for equal bytes, wherever they lie.
            loop {
                let n = fill(&mut reader, &mut piece)?;
                hasher.write(&piece[..n]);
                if n < piece.len() {
                    break;
                }
            }
        }
        Ok(hasher.finish())
    }

    fn is_like(&self, other: &Self) -> io::Result<bool> {
        Ok(self.status == other.status
            && self.is_cut == other.is_cut
            && is_equal(&self.output.stdout, &other.output.stdout)?
            && is_equal(&self.output.stderr, &other.output.stderr)?)
    }
}

impl<W: Write> Listener for Gather<W> {
    fn tell(&mut self, event: &Event) -> io::Result<()> {
        match &event.kind {
            EventKind::RunStarted { run, hosts } => self.run = Run::new(run, hosts),
            EventKind::Output { host, pipe, bytes } => self.outputs.push(*host, *pipe, bytes)?,
            EventKind::Finished { host, outcome } => self.finished(*host, outcome)?,
            EventKind::RunFinished { .. } => self.write()?,
            _ => {}
        }
        Ok(())
    }
}

fn is_equal(a: &Spool, b: &Spool) -> io::Result<bool> {
    if a.len() != b.len() {
        return Ok(false);
    }
    let (mut piece_a, mut piece_b) = (piece_for(a), piece_for(b));
    let (mut a, mut b) = (a.reader(), b.reader());
    loop {
        let n = fill(&mut a, &mut piece_a)?;
        fill(&mut b, &mut piece_b)?;
        if piece_a[..n] != piece_b[..n] {
            return Ok(false);
        }
        if n < piece_a.len() {
            return Ok(true);
        }
    }
}

/// Writes an output with `prefix` before each line, and an end to the last one.
fn write_indented<W: Write>(sink: &mut Sink<W>, prefix: &str, spool: &Spool) -> io::Result<()> {
    let mut reader = spool.reader();
    let mut piece = piece_for(spool);
    let mut is_line_start = true;
    loop {
        let n = reader.read(&mut piece)?;
        if n == 0 {
            break;
        }
        for line in piece[..n].split_inclusive(|byte| *byte == b'\n') {
            if is_line_start {
                sink.text(prefix)?;
            }
            sink.bytes(line)?;
            is_line_start = line.ends_with(b"\n");
        }
    }
    sink.end_line()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::tests::{exit, outcome};

    fn group(outcome: &Outcome, stdout: &[u8], stderr: &[u8]) -> Group {
        let mut outputs = Outputs::new(&Store::with_memory(std::env::temp_dir(), 100));
        outputs.push(0, Pipe::Stdout, stdout).unwrap();
        outputs.push(0, Pipe::Stderr, stderr).unwrap();
        Group::new(0, outcome, outputs.take(0))
    }

    /// A hash is only where to look: these must differ even if theirs were the same.
    #[test]
    fn a_single_byte_sets_hosts_apart() {
        let long = vec![b'x'; 200_000];
        let mut other = long.clone();
        other[199_999] = b'y';
        let first = group(&outcome(), &long, b"e");
        assert!(first.is_like(&group(&outcome(), &long, b"e")).unwrap());
        assert!(!first.is_like(&group(&outcome(), &other, b"e")).unwrap());
        assert!(!first.is_like(&group(&outcome(), &long[1..], b"e")).unwrap());
        assert!(!first.is_like(&group(&outcome(), &long, b"f")).unwrap());
        assert!(!first.is_like(&group(&exit(3), &long, b"e")).unwrap());
        assert!(
            !group(&exit(4), b"", b"")
                .is_like(&group(&exit(3), b"", b""))
                .unwrap()
        );
    }

    #[test]
    fn equal_outputs_have_equal_hashes_however_they_are_kept() {
        let key = RandomState::new();
        let in_memory = Store::new(std::env::temp_dir());
        let mut outputs = Outputs::new(&in_memory);
        for _ in 0..50_000 {
            outputs.push(0, Pipe::Stdout, b"x").unwrap();
        }
        let pieces = Group::new(0, &outcome(), outputs.take(0));
        let whole = group(&outcome(), &vec![b'x'; 50_000], b"");
        assert_eq!(pieces.hash(&key).unwrap(), whole.hash(&key).unwrap());
    }
}
