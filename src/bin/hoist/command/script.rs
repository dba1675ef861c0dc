//! `hoist script`: a local script on every selected host.
//!
//! A file is read, whole and once, and what may not be meant by its first line is told; the rest is as
//! in `hoist run`. Nothing is contacted here.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use hoist::host::escaped;
use hoist::remote::{self, Command};
use hoist::selection::Selected;
use hoist::template::Template;

use super::run::{Commands, Job, Seen, Task};
use super::selecting;
use super::templating::Texts;
use crate::args::{Bound, Script};
use crate::report::{Failure, note};
use crate::settings::{Environment, Origins};
use crate::ui::Terminal;

/// The longest script, in MiB: every host gets all of it.
const MAX_MIB: usize = 64;

/// Does the run and returns the exit code.
pub(crate) fn run(
    script: &Script,
    origins: &Origins,
    environment: &Environment,
) -> Result<u8, Failure> {
    let commands = Commands {
        job: Job {
            selecting: &script.selecting,
            rights: &script.rights,
            pacing: &script.pacing,
            connecting: &script.connecting,
            showing: &script.showing,
            grace: script.limiting.grace,
            is_sure: script.executing.yes,
            is_part: false,
            origins,
            environment,
            terminal: Terminal::detect(),
        },
        executing: &script.executing,
        templating: &script.templating,
        limiting: &script.limiting,
    };
    let (file, arguments) = script
        .words
        .split_first()
        .ok_or_else(|| Failure::usage("no script is given"))?;
    let is_stdin = selecting::is_stdin(file.as_ref());
    commands.check(is_stdin.then_some("the script"))?;
    let content = read(file.as_ref()).map_err(|failure| {
        // Without `=` it is a file, and not what was meant.
        let has_sudo = matches!(script.rights.sudo, Some(Bound(Some(_))));
        let next = arguments.first().map(Path::new);
        if has_sudo && next.is_some_and(Path::is_file) {
            let user = escaped(&shown(file));
            failure.hint(format!("to execute as {user}, write --sudo={user}"))
        } else {
            failure
        }
    })?;
    let interpreter = script.interpreter.as_ref();
    let interpreter: Vec<OsString> = interpreter.map_or_else(Vec::new, |words| {
        words.0.iter().map(OsString::from).collect()
    });
    let hint = first_line_hint(&content).filter(|_| interpreter.is_empty());
    if let Some(hint) = hint.filter(|_| !script.showing.quiet) {
        note(&format!("hoist: {}: {hint}", shown(file)));
    }
    let name = match Path::new(file).file_name() {
        Some(name) if !is_stdin => name,
        _ => OsStr::new(""),
    };
    commands.work(&Brought {
        script: remote::Script::new(name, content.into(), interpreter, arguments.to_vec()),
        file,
        typed: &script.words,
    })
}

/// A script that was read.
struct Brought<'a> {
    script: remote::Script,
    /// As it was typed.
    file: &'a OsStr,
    /// The file and its arguments.
    typed: &'a [OsString],
}

impl Task for Brought<'_> {
    fn command(&self, _: bool) -> Result<Command, Failure> {
        Ok(Command::Script(self.script.clone()))
    }

    fn commands(&self, scene: Seen<'_>, hosts: &[Selected]) -> Result<Vec<Command>, Failure> {
        let name = shown(self.file);
        let content = self.script.content();
        let text = str::from_utf8(content).map_err(|error| {
            let before = &content[..error.valid_up_to()];
            let line = before.split(|byte| *byte == b'\n').count();
            Failure::usage(format!(
                "{name}:{line}: this is not UTF-8, so the script can't be a template"
            ))
        })?;
        let template = Template::parse(&name, text).map_err(Failure::usage)?;
        let scene = scene()?;
        let mut texts = Texts::new(&template, &scene);
        let own = hosts.iter().map(|selected| {
            let text = texts.of(&selected.host)?;
            check_length(text.len(), &name)?;
            Ok(Command::Script(self.script.with_content(text.into())))
        });
        own.collect()
    }

    fn typed(&self) -> Option<(&'static str, &[OsString])> {
        (!selecting::is_stdin(self.file.as_ref())).then_some(("script", self.typed))
    }
}

/// Returns a name for messages: a pipe has none.
fn shown(file: &OsStr) -> String {
    if selecting::is_stdin(file.as_ref()) {
        "stdin".to_owned()
    } else {
        file.to_string_lossy().into_owned()
    }
}

/// Reads a script, from stdin for `-`.
fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let name = shown(file.as_os_str());
    let most = (MAX_MIB * 1024 * 1024) as u64 + 1;
    let mut content = Vec::new();
    let read = if selecting::is_stdin(file) {
        io::stdin().lock().take(most).read_to_end(&mut content)
    } else {
        File::open(file).and_then(|file| file.take(most).read_to_end(&mut content))
    };
    read.map_err(|error| Failure::usage(format!("cannot read the script {name}: {error}")))?;
    check_length(content.len(), &name)?;
    Ok(content)
}

fn check_length(length: usize, name: &str) -> Result<(), Failure> {
    if length > MAX_MIB * 1024 * 1024 {
        let text = format!("the script {name} is longer than {MAX_MIB} MiB");
        return Err(Failure::usage(text).hint("send long data through --stdin"));
    }
    Ok(())
}

/// Returns what a first line may hold that is seldom meant.
fn first_line_hint(content: &[u8]) -> Option<String> {
    if content.starts_with(b"\xef\xbb\xbf#!") {
        return Some(
            "its first line begins with a byte-order mark, so `sh` will read it".to_owned(),
        );
    }
    let line = content.split(|byte| *byte == b'\n').next()?;
    let line = line.strip_prefix(b"#!")?.strip_suffix(b"\r")?;
    let line = escaped(&String::from_utf8_lossy(line));
    Some(format!(
        "its lines end with CR LF, and hosts take the CR for a part of `#!{line}\\r`; take the CRs \
         out, or name an --interpreter that bears them"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_lines_that_are_seldom_meant_are_told() {
        for content in ["#!/bin/sh\n\r\n", "echo\r\n", "", "#!", "\u{feff}echo"] {
            assert_eq!(first_line_hint(content.as_bytes()), None, "{content:?}");
        }
        insta::assert_snapshot!(first_line_hint(b"#!/bin/sh -e\r\nx").unwrap(), @r"its lines end with CR LF, and hosts take the CR for a part of `#!/bin/sh -e\r`; take the CRs out, or name an --interpreter that bears them");
        insta::assert_snapshot!(first_line_hint(b"\xef\xbb\xbf#!/bin/sh\n").unwrap(), @"its first line begins with a byte-order mark, so `sh` will read it");
    }

    #[test]
    fn a_script_is_read_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x");
        std::fs::write(&file, b"a\0b").unwrap();
        assert_eq!(read(&file).unwrap(), b"a\0b");
        let long = File::create(&file).unwrap();
        let most = (MAX_MIB * 1024 * 1024) as u64;
        long.set_len(most).unwrap();
        assert_eq!(read(&file).unwrap().len() as u64, most);
        long.set_len(most + 1).unwrap();
        let failure = read(&file).unwrap_err().line();
        assert!(failure.contains("longer than 64 MiB"), "{failure}");
        for missing in [folder.path(), &folder.path().join("none")] {
            assert_eq!(read(missing).unwrap_err().code, crate::exit_code::USAGE);
        }
    }
}
