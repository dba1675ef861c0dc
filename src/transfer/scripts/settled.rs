//! How changes ended, as the script tells it when all is over.

use super::lines::{Answer, number};

/// How changes ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Settled<'a> {
    pub(super) end: End,
    pub(super) undone: Undone,
    /// What tools, or the check and the command after it, wrote.
    pub(super) said: &'a [u8],
}

/// What there was to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// All is done.
    Ok,
    /// There could be no staging folder.
    Staging,
    /// `tar` ended with this.
    Tar(u32),
    /// There are many files and no `tar`.
    NoTar,
    /// The one file could not be written.
    Write,
    /// Not all of it arrived.
    Short,
    /// The owner could not be set.
    Owner,
    /// What tar did not set could not be set either.
    Mode,
    /// The change of this number could not be made.
    Failed(u32),
    /// TERM came.
    Stopped,
    /// The check ended with this.
    Check(u32),
    /// The command after it ended with this, and with that when all was back.
    Then(u32, u32),
}

/// Whether what was done is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undone {
    /// There was nothing, or it was not to be.
    Not,
    /// All is as it was.
    All,
    /// All but this number, and perhaps others.
    Without(u32),
}

/// Reads how changes ended.
pub(super) fn read(stdout: &[u8]) -> Option<Settled<'_>> {
    let mut answer = Answer(stdout);
    let words: Vec<&str> = answer.line()?.split(' ').collect();
    let (&[word, first, second], undone) = words.split_first_chunk::<3>()?;
    let undone = match *undone {
        ["-", "-"] => Undone::Not,
        ["back", "-"] => Undone::All,
        ["lost", change] => Undone::Without(number(change)?),
        _ => return None,
    };
    let numbers = (number(first), number(second));
    let end = match (word, numbers) {
        ("ok", (None, None)) => End::Ok,
        ("staging", (None, None)) => End::Staging,
        ("tar", (Some(status), None)) => End::Tar(status),
        ("no-tar", (None, None)) => End::NoTar,
        ("write", (None, None)) => End::Write,
        ("short", (None, None)) => End::Short,
        ("owner", (None, None)) => End::Owner,
        ("mode", (None, None)) => End::Mode,
        ("failed", (Some(change), None)) => End::Failed(change),
        ("stopped", (None, None)) => End::Stopped,
        ("check", (Some(status), None)) => End::Check(status),
        ("then", (Some(status), Some(again))) => End::Then(status, again),
        _ => return None,
    };
    Some(Settled {
        end,
        undone,
        said: answer.0,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_line_comes_first_and_output_after_it() {
        let settled = Settled {
            end: End::Then(1, 0),
            undone: Undone::Without(1_000_003),
            said: b"a\nb",
        };
        assert_eq!(read(b"then 1 0 lost 1000003\na\nb"), Some(settled));
        for bad in [
            &b""[..],
            b"ok",
            b"ok - - -\n",
            b"ok - - - - -\n",
            b"ok 1 - - -\n",
        ] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_read_or_refused(text in "((ok|then|check|lost|back|-|[0-9]{1,12})[ \n]){0,8}") {
            let is_read = read(text.as_bytes()).is_some();
            let words = text.lines().next().unwrap_or_default().split(' ').count();
            prop_assert!(!is_read || words == 5);
        }
    }
}
