//! What a host asks in words (keyboard-interactive, RFC 4256), and the one answer there is to it.
//!
//! There is one password for all hosts, and nobody who could read a question. The password answers
//! a request for one hidden thing, once; a request that asks for nothing gets nothing. Whatever
//! else a host asks for (two things, a code after the password, something shown while it is typed)
//! is quoted and not answered, not even with nothing: on every host of a fleet at once, that counts
//! as a failed login and may lock the account. The connection ends instead.

use super::ffi::{Answer, Question};
use super::link::Link;
use crate::host::{cut, escaped};
use crate::secret::Secret;

/// Requests that are answered.
const MAX_REQUESTS: usize = 16;
/// Questions that are quoted.
const MAX_QUOTED: usize = 3;
/// Most characters of each that are shown.
const MAX_SHOWN: usize = 120;

/// Answers one login's questions.
pub(super) struct Answers<'a> {
    link: &'a Link,
    password: &'a Secret,
    requests: usize,
    /// The question that was answered with the password.
    answered: Option<String>,
    complaint: Option<String>,
}

impl<'a> Answers<'a> {
    pub(super) fn new(link: &'a Link, password: &'a Secret) -> Self {
        Self {
            link,
            password,
            requests: 0,
            answered: None,
            complaint: None,
        }
    }

    /// Returns the question that was answered with the password.
    pub(super) fn answered(&self) -> Option<&str> {
        self.answered.as_deref()
    }

    /// Returns what the host asked for in vain, after which the connection is over.
    pub(super) fn into_complaint(self) -> Option<String> {
        self.complaint
    }

    /// Says why a request can't be answered, if that is so.
    fn refusal(&self, instruction: &[u8], questions: &[Question<'_>]) -> Option<String> {
        if self.requests > MAX_REQUESTS {
            return Some("the host asks without end".to_owned());
        }
        let asked = match (questions, &self.answered) {
            ([], _) => return None,
            ([one], None) if !one.is_shown => return None,
            ([one], Some(answered)) if !one.is_shown && quoted(one) == *answered => {
                format!("the host did not take the password: it asks for {answered} again")
            }
            _ => {
                let after = match self.answered {
                    Some(_) => "after the password ",
                    None => "",
                };
                format!(
                    "{after}the host asks for {}; hoist can answer one hidden question with the \
                     password, and no more",
                    listed(questions)
                )
            }
        };
        // sshd puts what goes before a question into its text.
        let before = questions.first().map(|question| parted(question.text).0);
        let said = on_one_line(&[instruction, before.unwrap_or_default()].join(&b' '));
        if said.is_empty() {
            return Some(asked);
        }
        Some(format!("{asked}; the host says `{said}`"))
    }
}

impl Answer for Answers<'_> {
    fn answer(&mut self, instruction: &[u8], questions: &[Question<'_>]) -> Vec<Secret> {
        self.requests += 1;
        if self.complaint.is_none() {
            self.complaint = self.refusal(instruction, questions);
        }
        if self.complaint.is_some() {
            // libssh2 sends an answer in any case: there must be no way for it.
            self.link.shut();
            return Vec::new();
        }
        let Some(question) = questions.first() else {
            return Vec::new();
        };
        self.answered = Some(quoted(question));
        vec![self.password.clone()]
    }
}

/// Returns the questions as part of a sentence.
fn listed(questions: &[Question<'_>]) -> String {
    let each = questions.iter().take(MAX_QUOTED).map(|question| {
        let seen = if question.is_shown {
            " (shown while it is typed)"
        } else {
            ""
        };
        quoted(question) + seen
    });
    let mut each: Vec<String> = each.collect();
    let more = questions.len().saturating_sub(MAX_QUOTED);
    if more > 0 {
        each.push(format!("{more} more"));
    }
    let last = each.pop().unwrap_or_default();
    if each.is_empty() {
        return last;
    }
    format!("{} and {last}", each.join(", "))
}

fn quoted(question: &Question<'_>) -> String {
    format!("`{}`", on_one_line(parted(question.text).1))
}

/// Splits a text at its last line, which is the question.
fn parted(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.trim_ascii_end();
    let end = memchr::memrchr(b'\n', text).unwrap_or(0);
    text.split_at(end)
}

/// Makes a host's text fit to be shown: all of its lines as one, cut and escaped.
fn on_one_line(text: &[u8]) -> String {
    // One character may be four bytes, and escaping makes it longer still.
    let text = String::from_utf8_lossy(&text[..text.len().min(8 * MAX_SHOWN)]);
    let words: Vec<&str> = text.split_whitespace().collect();
    cut(escaped(&words.join(" ")), MAX_SHOWN)
}
