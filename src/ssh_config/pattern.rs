//! The patterns of `ssh_config(5)`, "PATTERNS": `*` is any text, `?` any one character.

/// A pattern, perhaps negated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    pub(super) is_negated: bool,
    text: Box<str>,
}

impl Pattern {
    /// Reads `text`; a leading `!` negates it.
    pub(super) fn new(text: &str) -> Self {
        let (is_negated, text) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        Self {
            is_negated,
            text: text.into(),
        }
    }

    /// Returns the one text that matches, if there is only one.
    pub(super) fn literal(&self) -> Option<&str> {
        (!self.text.contains(['*', '?'])).then_some(&self.text)
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        matches(text.as_bytes(), self.text.as_bytes())
    }
}

/// Several patterns: one must match, and none of those that are negated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Patterns(Vec<Pattern>);

impl Patterns {
    /// Reads words as a `Host` line has them.
    pub(super) fn of_words<'a>(words: impl Iterator<Item = &'a str>) -> Self {
        Self(words.map(Pattern::new).collect())
    }

    /// Reads a list between commas.
    pub(super) fn of_list(list: &str) -> Self {
        Self::of_words(list.split(','))
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        let mut is_matched = false;
        for pattern in &self.0 {
            if pattern.matches(text) {
                if pattern.is_negated {
                    return false;
                }
                is_matched = true;
            }
        }
        is_matched
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Pattern> {
        self.0.iter()
    }
}

/// Whether all of `text` is what `pattern` says, byte by byte. Takes time in proportion to the product of their
/// lengths at worst: of several `*` only the last needs to be tried at further places.
pub(crate) fn matches(text: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut want) = (0, 0);
    let mut star = None;
    while at < text.len() {
        match pattern.get(want) {
            Some(b'*') => {
                star = Some((want, at));
                want += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[at] => {
                at += 1;
                want += 1;
            }
            _ => {
                let Some((place, tried)) = star else {
                    return false;
                };
                star = Some((place, tried + 1));
                (at, want) = (tried + 1, place + 1);
            }
        }
    }
    pattern[want..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_and_question_marks_stand_for_what_the_manual_says() {
        let all = |pattern: &str, yes: &[&str], no: &[&str]| {
            for text in yes {
                assert!(Pattern::new(pattern).matches(text), "{pattern} {text}");
            }
            for text in no {
                assert!(!Pattern::new(pattern).matches(text), "{pattern} {text}");
            }
        };
        all("web*", &["web", "web1"], &["Web1", "aweb"]);
        all("*.co.uk", &["a.co.uk", ".co.uk"], &["co.uk", "a.co.ukx"]);
        all(
            "192.168.0.?",
            &["192.168.0.1"],
            &["192.168.0.10", "192.168.0."],
        );
        all("a*b*c", &["abc", "aXbYbZc", "abcbc"], &["ab", "acb"]);
        all("*", &["", "x"], &[]);
        all("", &[""], &["x"]);
    }

    #[test]
    fn one_negated_pattern_that_matches_is_enough() {
        let list = Patterns::of_list("!*.dialup.example.com,*.example.com");
        assert!(list.matches("a.example.com"));
        assert!(!list.matches("a.dialup.example.com"));
        assert!(!Patterns::of_list("!a").matches("b"));
    }

    proptest! {
        #[test]
        fn it_agrees_with_the_plain_definition(text in "[ab]{0,8}", pattern in "[ab*?]{0,8}") {
            fn plain(text: &[u8], pattern: &[u8]) -> bool {
                match pattern.split_first() {
                    None => text.is_empty(),
                    Some((b'*', rest)) => (0..=text.len()).any(|skip| plain(&text[skip..], rest)),
                    Some((byte, rest)) => text.split_first().is_some_and(|(first, more)| {
                        (*byte == b'?' || byte == first) && plain(more, rest)
                    }),
                }
            }
            let expected = plain(text.as_bytes(), pattern.as_bytes());
            prop_assert_eq!(matches(text.as_bytes(), pattern.as_bytes()), expected);
        }
    }
}
