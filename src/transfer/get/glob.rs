//! Globs over the names of a host's files: `*`, `?`, `[a-z]`, `[!a-z]`, as a shell reads them.
//!
//! One part of a path comes in, and then names as the host lists them; whether they match goes out.
//! Names are bytes: a character is one where the name is UTF-8, a byte is one elsewhere. `\` takes
//! the meaning from `*`, `?`, `[`, `]` and `\`, and is itself before anything else, as it is
//! part of names such as `a\x2db.service`. Matching takes no more steps than both lengths
//! multiplied.

/// Stands for bytes that are no UTF-8: above all characters.
const NO_CHARACTER: u32 = 0x11_0000;

/// One part of a path, with something in it that stands for many names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob(Vec<Token>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// `*`.
    Many,
    /// `?`.
    One,
    /// A character.
    Exactly(u32),
    /// `[…]`.
    Within {
        is_not: bool,
        ranges: Vec<(u32, u32)>,
    },
}

impl Glob {
    /// Reads one part of a path; `Err` with the name itself where it stands for that alone.
    pub(super) fn read(part: &[u8]) -> Result<Self, Vec<u8>> {
        let units = units(part);
        let mut tokens = Vec::new();
        let mut at = 0;
        while at < units.len() {
            let (token, length) = token(&units[at..]);
            tokens.push(token);
            at += length;
        }
        let names = tokens.iter().map(|token| match token {
            Token::Exactly(unit) => Some(*unit),
            _ => None,
        });
        match names.collect::<Option<Vec<u32>>>() {
            Some(name) => Err(bytes(&name)),
            None => Ok(Self(tokens)),
        }
    }

    /// Whether the whole name matches. A name that begins with a dot is matched by a dot alone.
    pub(super) fn matches(&self, name: &[u8]) -> bool {
        let starts_with_dot = self.0.first() == Some(&Token::Exactly(u32::from(b'.')));
        if name.starts_with(b".") && !starts_with_dot {
            return false;
        }
        let name = units(name);
        let (mut token, mut unit) = (0, 0);
        // Where the last `*` is, and how much of the name it stands for so far.
        let mut last: Option<(usize, usize)> = None;
        while unit < name.len() {
            match self.0.get(token) {
                Some(Token::Many) => {
                    last = Some((token, unit));
                    token += 1;
                }
                Some(one) if one.takes(name[unit]) => (token, unit) = (token + 1, unit + 1),
                _ => match &mut last {
                    Some((many, end)) => {
                        *end += 1;
                        (token, unit) = (*many + 1, *end);
                    }
                    None => return false,
                },
            }
        }
        self.0[token..].iter().all(|rest| *rest == Token::Many)
    }
}

impl Token {
    fn takes(&self, unit: u32) -> bool {
        match self {
            Self::Many => false,
            Self::One => true,
            Self::Exactly(own) => *own == unit,
            Self::Within { is_not, ranges } => {
                let mut ranges = ranges.iter();
                ranges.any(|(from, to)| (*from..=*to).contains(&unit)) != *is_not
            }
        }
    }
}

/// Returns the first token, and how many characters it took.
fn token(units: &[u32]) -> (Token, usize) {
    let is = |at: usize, byte: u8| units.get(at) == Some(&u32::from(byte));
    if is(0, b'*') {
        (Token::Many, 1)
    } else if is(0, b'?') {
        (Token::One, 1)
    } else if is(0, b'\\') && b"*?[]\\".iter().any(|byte| is(1, *byte)) {
        (Token::Exactly(units[1]), 2)
    } else if is(0, b'[') {
        // A bracket that isn't closed is itself.
        within(units).unwrap_or((Token::Exactly(units[0]), 1))
    } else {
        (Token::Exactly(units[0]), 1)
    }
}

/// Reads `[…]`. A `]` that comes first is part of it.
fn within(units: &[u32]) -> Option<(Token, usize)> {
    let byte = |unit: u32| u8::try_from(unit).unwrap_or(0);
    let mut at = 1;
    let is_not = units
        .get(at)
        .is_some_and(|unit| b"!^".contains(&byte(*unit)));
    at += usize::from(is_not);
    let mut ranges = Vec::new();
    loop {
        let mut from = *units.get(at)?;
        if byte(from) == b']' && !ranges.is_empty() {
            return Some((Token::Within { is_not, ranges }, at + 1));
        }
        if byte(from) == b'\\' {
            at += 1;
            from = *units.get(at)?;
        }
        let to = *units.get(at + 2).unwrap_or(&from);
        if units.get(at + 1).is_some_and(|unit| byte(*unit) == b'-') && byte(to) != b']' {
            ranges.push((from, to));
            at += 3;
        } else {
            ranges.push((from, from));
            at += 1;
        }
    }
}

fn units(bytes: &[u8]) -> Vec<u32> {
    let mut units = Vec::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        units.extend(chunk.valid().chars().map(u32::from));
        let invalid = chunk.invalid().iter();
        units.extend(invalid.map(|byte| NO_CHARACTER + u32::from(*byte)));
    }
    units
}

fn bytes(units: &[u32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(units.len());
    for unit in units {
        match char::from_u32(*unit) {
            Some(c) => bytes.extend(c.encode_utf8(&mut [0; 4]).as_bytes()),
            None => bytes.extend(u8::try_from(unit.saturating_sub(NO_CHARACTER))),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(glob: &str, name: &[u8]) -> bool {
        match Glob::read(glob.as_bytes()) {
            Ok(glob) => glob.matches(name),
            Err(own) => own == name,
        }
    }

    #[test]
    fn globs_are_those_of_a_shell() {
        for (glob, name) in [
            ("*.log", "a.log"),
            ("*", "x"),
            (".*", ".hidden"),
            ("a?c", "aöc"),
            ("[a-c]x", "bx"),
            ("[!a-c]x", "dx"),
            ("[^a]", "b"),
            ("[]a]", "]"),
            ("[a-]", "-"),
            ("[ä-ü]", "ö"),
            ("*a*b*", "xxaxxbxx"),
            ("[a", "[a"),
            ("\\*", "*"),
            ("a\\x2db*", "a\\x2db.service"),
            ("[\\]]x", "]x"),
        ] {
            assert!(matches(glob, name.as_bytes()), "{glob} {name}");
        }
        for (glob, name) in [
            ("*", ".hidden"),
            ("?hidden", ".hidden"),
            ("[.]hidden", ".hidden"),
            ("*.log", "a.log.1"),
            ("[!a-c]x", "ax"),
            ("\\*", "x"),
            ("[]", "x"),
            ("a", "b"),
            ("", "x"),
        ] {
            assert!(!matches(glob, name.as_bytes()), "{glob} {name}");
        }
        assert!(matches("a?b", b"a\xffb"));
        assert!(matches("*\n*", b"\xff\n"));
    }

    #[test]
    fn what_stands_for_one_name_is_that_name() {
        assert_eq!(Glob::read(b"a\\[1\\]"), Err(b"a[1]".to_vec()));
        assert_eq!(Glob::read(b"odd\xff\n"), Err(b"odd\xff\n".to_vec()));
        assert_eq!(Glob::read(b"a\\x\\\\"), Err(b"a\\x\\".to_vec()));
    }

    /// The obvious way, which takes for ever.
    fn slow(tokens: &[Token], name: &[u32]) -> bool {
        match tokens.split_first() {
            None => name.is_empty(),
            Some((Token::Many, rest)) => (0..=name.len()).any(|at| slow(rest, &name[at..])),
            Some((token, rest)) => {
                let first = name.split_first();
                first.is_some_and(|(unit, left)| token.takes(*unit) && slow(rest, left))
            }
        }
    }

    proptest! {
        #[test]
        fn the_quick_way_agrees_with_the_obvious_one(
            glob in "[ab*?\\[\\]!-]{0,8}",
            name in "[ab\\]-]{0,8}",
        ) {
            if let Ok(glob) = Glob::read(glob.as_bytes()) {
                prop_assert_eq!(glob.matches(name.as_bytes()), slow(&glob.0, &units(name.as_bytes())));
            }
        }

        #[test]
        fn any_name_can_be_written_down(name in proptest::collection::vec(any::<u8>(), 0..20)) {
            let mut written = Vec::new();
            for byte in &name {
                if b"*?[]\\".contains(byte) {
                    written.push(b'\\');
                }
                written.push(*byte);
            }
            prop_assert_eq!(Glob::read(&written), Err(name));
        }
    }

    #[test]
    fn many_stars_take_no_time() {
        let glob = Glob::read("*a".repeat(60).as_bytes()).unwrap();
        assert!(!glob.matches(("a".repeat(4000) + "b").as_bytes()));
    }
}
