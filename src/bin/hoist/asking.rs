//! hoist as the program by which `ssh` asks for passwords: under another name, for one question.

use std::io::{self, Write};
use std::process::ExitCode;

use hoist::transport::openssh;

/// Puts the question to the hoist that started the `ssh`, and prints its answer; `None` when hoist
/// was started by a person.
pub(crate) fn answer() -> Option<ExitCode> {
    let mut words = std::env::args_os();
    let program = words.next().filter(|name| openssh::is_asking(name))?;
    let question = words.next().unwrap_or_default();
    let answer = openssh::ask(&program, &question).ok().flatten();
    let told = answer.is_some_and(|answer| {
        let mut out = io::stdout().lock();
        writeln!(out, "{}", answer.expose()).is_ok()
    });
    Some(if told {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
