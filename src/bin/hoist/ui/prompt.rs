//! Questions to the person at the terminal. Without a terminal nothing is ever asked.
//!
//! Questions go to `/dev/tty`, so that stdin, stdout and stderr can be files. Passwords are not
//! shown. The terminal's state is kept while one is typed: whoever ends the process meanwhile
//! calls [`restore`] first.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Mutex, PoisonError};
use std::thread;

use hoist::secret::Secret;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

const TERMINAL: &str = "/dev/tty";

/// The terminal as it was before a password was asked for.
static BEFORE: Mutex<Option<(File, Termios)>> = Mutex::new(None);

/// Whether somebody can be asked.
pub(crate) fn is_possible() -> bool {
    File::open(TERMINAL).is_ok()
}

/// Asks for a line.
///
/// # Errors
/// When there is no terminal, or it was closed.
pub(crate) fn line(question: &str) -> io::Result<String> {
    let mut terminal = File::options().read(true).write(true).open(TERMINAL)?;
    write!(terminal, "{question}")?;
    terminal.flush()?;
    let mut line = String::new();
    BufReader::new(terminal).read_line(&mut line)?;
    Ok(line)
}

/// Asks for a word that isn't shown.
///
/// # Errors
/// When there is no terminal, or it was closed or interrupted.
pub(crate) fn secret(question: &str) -> io::Result<Secret> {
    hide()?;
    let answer = rpassword::prompt_password(question);
    restore();
    answer.map(Secret::new)
}

/// Stops the terminal from showing what is typed, before anything asks for it: who types fast, or a
/// program that does, would be seen otherwise.
fn hide() -> io::Result<()> {
    let terminal = File::open(TERMINAL)?;
    let state = tcgetattr(&terminal)?;
    let mut hidden = state.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    let mut before = lock();
    tcsetattr(&terminal, OptionalActions::Now, &hidden)?;
    *before = Some((terminal, state));
    Ok(())
}

/// Makes the terminal show what is typed again, if a password is being asked for.
pub(crate) fn restore() {
    if let Some((terminal, state)) = lock().take() {
        // Where the terminal is gone there is nothing to mend.
        let _ = tcsetattr(&terminal, OptionalActions::Now, &state);
    }
}

fn lock() -> std::sync::MutexGuard<'static, Option<(File, Termios)>> {
    BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A question that can be answered "no" from another thread.
#[derive(Debug)]
pub(crate) struct Question {
    sender: Sender<bool>,
    answers: Receiver<bool>,
}

impl Question {
    /// Returns a question that nobody has been asked yet.
    pub(crate) fn new() -> Self {
        let (sender, answers) = mpsc::channel();
        Self { sender, answers }
    }

    /// Returns the end that can answer for the person.
    pub(crate) fn sender(&self) -> Sender<bool> {
        self.sender.clone()
    }

    /// Prints `text` and `[y/N]`, and returns whether the answer is yes.
    pub(crate) fn ask(self, text: &str) -> bool {
        let sender = self.sender;
        // Reading a terminal can't be cut short, so a thread of its own waits for the line; it
        // ends with the process when another answer came first.
        let text = text.to_owned();
        let reader = thread::Builder::new().spawn(move || {
            let _ = sender.send(read_yes(&text).unwrap_or(false));
        });
        reader.is_ok() && self.answers.recv().unwrap_or(false)
    }
}

fn read_yes(text: &str) -> io::Result<bool> {
    let mut terminal = File::options().read(true).write(true).open(TERMINAL)?;
    write!(terminal, "{text} [y/N] ")?;
    terminal.flush()?;
    let mut line = String::new();
    BufReader::new(terminal).read_line(&mut line)?;
    Ok(is_yes(&line))
}

fn is_yes(line: &str) -> bool {
    matches!(line.trim().to_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_a_yes() {
        for line in ["y\n", "Y\n", "yes\n", " YES \n"] {
            assert!(is_yes(line), "{line:?}");
        }
        for line in ["", "\n", "n\n", "ye\n", "yes please\n", "\u{4}"] {
            assert!(!is_yes(line), "{line:?}");
        }
    }
}
