//! The one question about host keys that nobody has vouched for.

use std::fmt::Write;

use hoist::transport::UnknownKey;

use super::signals::Watch;
use crate::ui::Notes;
use crate::ui::prompt::Question;

/// Shows the keys and asks whether to accept all of them.
pub(in crate::command) fn ask(keys: &[UnknownKey], watch: &Watch, notes: &Notes) -> bool {
    let question = Question::new();
    watch.open(question.sender());
    let is_accepted = notes.suspend(|| question.ask(&text(keys)));
    watch.close();
    is_accepted
}

fn text(keys: &[UnknownKey]) -> String {
    let width = keys.iter().map(|key| key.host.chars().count()).max();
    let width = width.unwrap_or(0);
    let mut text = match keys.len() {
        1 => "The key of this host is not known:\n".to_owned(),
        count => format!("The keys of these {count} hosts are not known:\n"),
    };
    for key in keys {
        let (host, algorithm) = (&key.host, &key.algorithm);
        let _ = writeln!(text, "  {host:width$}  {algorithm}  {}", key.fingerprint);
    }
    text.push_str(match keys.len() {
        1 => "Accept it and remember it?",
        _ => "Accept all of them and remember them?",
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(host: &str) -> UnknownKey {
        UnknownKey {
            host: host.to_owned(),
            algorithm: "ssh-ed25519".to_owned(),
            fingerprint: "SHA256:abc".to_owned(),
            blob: Vec::new(),
            file: None,
            is_hashed: false,
        }
    }

    #[test]
    fn every_key_is_shown_before_the_question() {
        insta::assert_snapshot!(text(&[key("web1"), key("[web2]:2222")]), @r"
        The keys of these 2 hosts are not known:
          web1         ssh-ed25519  SHA256:abc
          [web2]:2222  ssh-ed25519  SHA256:abc
        Accept all of them and remember them?
        ");
        insta::assert_snapshot!(text(&[key("web1")]), @r"
        The key of this host is not known:
          web1  ssh-ed25519  SHA256:abc
        Accept it and remember it?
        ");
    }
}
