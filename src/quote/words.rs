//! A lone command line: split into words as a POSIX shell would, and searched for what a shell
//! would have acted on besides.

use std::fmt;

use thiserror::Error;

use crate::host::escaped;

/// Why a command line can't be split.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SplitError {
    /// There is no word in it.
    #[error("the command line is empty; name a program")]
    Empty,
    /// A quote has no partner.
    #[error(
        "the quote {quote} at column {column} is never closed; \
         close it, or put a \\ before it if it is meant literally"
    )]
    Unclosed {
        /// `'` or `"`.
        quote: char,
        /// Its place, in characters from 1.
        column: usize,
    },
    /// A backslash with nothing after it.
    #[error("the \\ at column {column} has nothing after it; write \\\\ for a backslash")]
    TrailingBackslash {
        /// Its place, in characters from 1.
        column: usize,
    },
}

/// Splits a command line into words by the quoting rules of a POSIX shell, and does nothing else
/// that a shell would do, but for dropping a `# comment`.
///
/// # Errors
/// When a quote is not closed or there is no word.
pub fn split(line: &str) -> Result<Vec<String>, SplitError> {
    if let Some(error) = Lexer::run(line).1 {
        return Err(error);
    }
    let words = shlex::split(line).filter(|words| !words.is_empty());
    words.ok_or(SplitError::Empty)
}

/// Something a shell would act on, and hoist doesn't.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnquotedSyntax {
    /// Its place, in characters from 1.
    pub column: usize,
    /// What it is, on one line and escaped for display: `|`, `$HOME`, `line break`.
    pub text: String,
}

impl fmt::Display for UnquotedSyntax {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { column, text } = self;
        match text.as_str() {
            "#" => write!(f, "the comment at column {column} is dropped"),
            "line break" => write!(f, "the line break at column {column} only separates words"),
            _ => write!(f, "`{text}` at column {column} is passed as it is"),
        }
    }
}

/// Finds the first thing in the raw line that a shell would act on: pipes, redirections, lists,
/// globs, expansions, comments, assignments. Quoted and escaped characters don't count, except
/// `$` and `` ` `` in double quotes, where shells expand them too.
pub fn unquoted_syntax(line: &str) -> Option<UnquotedSyntax> {
    let chars = Lexer::run(line).0;
    (0..chars.len()).find_map(|index| {
        Some(UnquotedSyntax {
            column: chars[index].column,
            // Within braces and brackets there may be quotes, and in those anything.
            text: escaped(&syntax_at(&chars, index)?),
        })
    })
}

/// How a character of the line is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Outside of quotes.
    Bare,
    /// Inside double quotes.
    Double,
    /// As itself, whatever it is: in single quotes or after a backslash.
    Literal,
    /// A quote, or the backslash that escapes.
    Quoting,
}

#[derive(Debug, Clone, Copy)]
struct Char {
    c: char,
    column: usize,
    place: Place,
}

impl Char {
    fn is(self, c: char) -> bool {
        self.place == Place::Bare && self.c == c
    }

    fn is_blank(self) -> bool {
        self.place == Place::Bare && matches!(self.c, ' ' | '\t' | '\n')
    }
}

/// Tells the quoting of every character, by the rules [`split`] follows.
struct Lexer<'a> {
    rest: std::iter::Peekable<std::iter::Zip<std::ops::RangeFrom<usize>, std::str::Chars<'a>>>,
    chars: Vec<Char>,
}

impl<'a> Lexer<'a> {
    fn run(line: &'a str) -> (Vec<Char>, Option<SplitError>) {
        let mut lexer = Self {
            rest: (1..).zip(line.chars()).peekable(),
            chars: Vec::new(),
        };
        let error = lexer.lex().err();
        (lexer.chars, error)
    }

    fn lex(&mut self) -> Result<(), SplitError> {
        while let Some((column, c)) = self.rest.next() {
            match c {
                '\'' => self.single(column)?,
                '"' => self.double(column)?,
                '\\' => self.escape(column)?,
                '#' if self.chars.last().is_none_or(|last| last.is_blank()) => {
                    self.push(column, c, Place::Bare);
                    while self.rest.next_if(|(_, c)| *c != '\n').is_some() {}
                }
                c => self.push(column, c, Place::Bare),
            }
        }
        Ok(())
    }

    fn push(&mut self, column: usize, c: char, place: Place) {
        self.chars.push(Char { c, column, place });
    }

    fn single(&mut self, column: usize) -> Result<(), SplitError> {
        self.push(column, '\'', Place::Quoting);
        while let Some((at, c)) = self.rest.next() {
            if c == '\'' {
                self.push(at, c, Place::Quoting);
                return Ok(());
            }
            self.push(at, c, Place::Literal);
        }
        Err(SplitError::Unclosed {
            quote: '\'',
            column,
        })
    }

    fn double(&mut self, column: usize) -> Result<(), SplitError> {
        self.push(column, '"', Place::Quoting);
        while let Some((at, c)) = self.rest.next() {
            match c {
                '"' => {
                    self.push(at, c, Place::Quoting);
                    return Ok(());
                }
                '\\' => {
                    self.push(at, c, Place::Quoting);
                    if let Some((at, c)) = self.rest.next() {
                        self.push(at, c, Place::Literal);
                    }
                }
                c => self.push(at, c, Place::Double),
            }
        }
        Err(SplitError::Unclosed { quote: '"', column })
    }

    fn escape(&mut self, column: usize) -> Result<(), SplitError> {
        self.push(column, '\\', Place::Quoting);
        let Some((at, c)) = self.rest.next() else {
            return Err(SplitError::TrailingBackslash { column });
        };
        self.push(at, c, Place::Literal);
        Ok(())
    }
}

/// Returns what a shell would act on at `index`.
fn syntax_at(chars: &[Char], index: usize) -> Option<String> {
    let here = chars[index];
    let rest = &chars[index..];
    match (here.place, here.c) {
        (Place::Bare | Place::Double, '$') => expansion(rest),
        (Place::Bare | Place::Double, '`') | (Place::Bare, '(' | ')' | '*' | '?') => {
            Some(here.c.to_string())
        }
        (Place::Bare, '|' | '&' | ';' | '<' | '>') => {
            Some(bare_text(rest, |c| "|&;<>".contains(c)))
        }
        (Place::Bare, '[') => bracket(rest),
        (Place::Bare, '{') => braces(rest),
        (Place::Bare, '\n') => line_break(chars, index),
        (Place::Bare, _) if starts_word(chars, index) => word_start(chars, index),
        _ => None,
    }
}

/// What a shell acts on only where a word starts.
fn word_start(chars: &[Char], index: usize) -> Option<String> {
    let rest = &chars[index..];
    let is_first = chars[..index].iter().all(|c| c.is_blank());
    let next = rest.get(1).copied().filter(|next| !next.is_blank());
    match rest[0].c {
        '#' => Some("#".to_owned()),
        '~' if next.is_none_or(|next| next.is('/') || next.c.is_ascii_alphanumeric()) => {
            Some("~".to_owned())
        }
        '!' if is_first && next.is_none() => Some("!".to_owned()),
        first if is_first && is_name_start(first) => {
            let name = bare_text(rest, is_name);
            let after = rest.get(name.chars().count());
            after.is_some_and(|c| c.is('=')).then(|| name + "=")
        }
        _ => None,
    }
}

fn starts_word(chars: &[Char], index: usize) -> bool {
    index == 0 || chars[index - 1].is_blank()
}

fn is_name_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// Returns the unquoted characters from the start of `rest` that are `wanted`.
fn bare_text(rest: &[Char], wanted: impl Fn(char) -> bool) -> String {
    rest.iter()
        .take_while(|c| c.place == Place::Bare && wanted(c.c))
        .map(|c| c.c)
        .collect()
}

/// Returns `$NAME`, `$(`, `$?` and the like; a `$` before anything else is only a `$`.
fn expansion(rest: &[Char]) -> Option<String> {
    let place = rest[0].place;
    let next = rest.get(1)?;
    if place == Place::Bare && next.place == Place::Quoting && next.c != '\\' {
        return Some(format!("${}", next.c));
    }
    if next.place != place {
        return None;
    }
    match next.c {
        c if is_name_start(c) => {
            let name = rest[1..].iter().take_while(|c| c.place == place);
            let name = name.map(|c| c.c).take_while(|c| is_name(*c));
            Some(std::iter::once('$').chain(name).collect())
        }
        c if c.is_ascii_digit() || "{(@*#?-$!".contains(c) => Some(format!("${c}")),
        _ => None,
    }
}

/// Returns `[…]` where it is closed within the word and so a glob.
fn bracket(rest: &[Char]) -> Option<String> {
    let word = word(rest);
    // A `]` right after the opening one belongs to the set.
    let end = word.iter().skip(2).position(|c| c.is(']'))? + 3;
    Some(word[..end].iter().map(|c| c.c).collect())
}

/// Returns `{a,b}` or `{1..3}`, which most shells expand.
fn braces(rest: &[Char]) -> Option<String> {
    let word = word(rest);
    let end = word.iter().position(|c| c.is('}'))?;
    let text: String = word[..=end].iter().map(|c| c.c).collect();
    let is_list = word[..end].iter().any(|c| c.is(','));
    let is_range = word[..end].windows(2).any(|w| w[0].is('.') && w[1].is('.'));
    (is_list || is_range).then_some(text)
}

fn word(rest: &[Char]) -> &[Char] {
    let end = rest.iter().position(|c| c.is_blank());
    &rest[..end.unwrap_or(rest.len())]
}

/// A line break between two words ends a command in a shell.
fn line_break(chars: &[Char], index: usize) -> Option<String> {
    let has_word = |chars: &[Char]| chars.iter().any(|c| !c.is_blank());
    let is_between = has_word(&chars[..index]) && has_word(&chars[index..]);
    is_between.then(|| "line break".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(line: &str) -> Option<(usize, String)> {
        unquoted_syntax(line).map(|found| (found.column, found.text))
    }

    #[test]
    fn a_line_is_split_as_a_shell_would() {
        let words = split(r#" apt-get  -y install 'a b' "c \"d\" \$e" f\ g '' x"y"'z' "#).unwrap();
        let expected = [
            "apt-get",
            "-y",
            "install",
            "a b",
            "c \"d\" $e",
            "f g",
            "",
            "xyz",
        ];
        assert_eq!(words, expected);
        assert_eq!(split("uptime").unwrap(), ["uptime"]);
        assert_eq!(split("echo größe # why").unwrap(), ["echo", "größe"]);
    }

    #[test]
    fn what_is_unfinished_is_told_with_its_column() {
        let error = |line: &str| split(line).unwrap_err().to_string();
        insta::assert_snapshot!(error("echo 'größe' \"a"), @r#"the quote " at column 14 is never closed; close it, or put a \ before it if it is meant literally"#);
        insta::assert_snapshot!(error("don't"), @r"the quote ' at column 4 is never closed; close it, or put a \ before it if it is meant literally");
        insta::assert_snapshot!(error("größe \\"), @r"the \ at column 7 has nothing after it; write \\ for a backslash");
        insta::assert_snapshot!(error(" \t\n"), @"the command line is empty; name a program");
        insta::assert_snapshot!(error("# only a comment"), @"the command line is empty; name a program");
        insta::assert_snapshot!(error("\"a\\"), @r#"the quote " at column 1 is never closed; close it, or put a \ before it if it is meant literally"#);
    }

    #[test]
    fn syntax_of_shells_is_found_with_its_column() {
        for (line, column, text) in [
            ("ps aux | grep x", 8, "|"),
            ("größe && b", 7, "&&"),
            ("a || b", 3, "||"),
            ("a; b", 2, ";"),
            ("sleep 9 &", 9, "&"),
            ("a >/tmp/x", 3, ">"),
            ("a 2>&1", 4, ">&"),
            ("a <in", 3, "<"),
            ("ls *.c", 4, "*"),
            ("ls a?", 5, "?"),
            ("ls [ab]c", 4, "[ab]"),
            ("ls x[]a]", 5, "[]a]"),
            ("echo $HOME/x", 6, "$HOME"),
            ("echo \"in $HOME\"", 10, "$HOME"),
            ("echo ${x}", 6, "${"),
            ("echo \"$(date)\"", 7, "$("),
            ("echo $?", 6, "$?"),
            ("echo $1", 6, "$1"),
            ("echo $'a'", 6, "$'"),
            ("echo `date`", 6, "`"),
            ("echo \"`date`\"", 7, "`"),
            ("ls ~", 4, "~"),
            ("ls ~/x", 4, "~"),
            ("ls ~joe", 4, "~"),
            ("(a)", 1, "("),
            ("a )", 3, ")"),
            ("echo # x", 6, "#"),
            ("echo {a,b}", 6, "{a,b}"),
            ("echo x{1..3}", 7, "{1..3}"),
            ("A=1 b", 1, "A="),
            ("! a", 1, "!"),
            ("a\nb", 2, "line break"),
        ] {
            assert_eq!(found(line), Some((column, text.to_owned())), "{line}");
        }
    }

    #[test]
    fn what_is_found_is_fit_for_a_terminal() {
        let text = |line: &str| found(line).unwrap().1;
        assert_eq!(text("echo {a,'b\n\u{1b}[2J'}"), r"{a,'b\n\u{1b}[2J'}");
        assert_eq!(text("ls ['\n\r']"), r"['\n\r']");
    }

    #[test]
    fn quoted_escaped_and_harmless_characters_are_not() {
        for line in [
            "uptime",
            "echo 'a | b > $c *'",
            "echo \"a | b > c * ? ~ # (x) {a,b}\"",
            r"find . -name \*.c -exec rm {} \;",
            r#"echo "\$HOME \`x\`" \$x \~ \#"#,
            "[ -f /etc/passwd ]",
            "echo a# a~ ~= a$ $ \"$\" $, x=$",
            "awk '{print $1}'",
            "test ! -e x",
            "dd if=/dev/zero of=/x",
            " uptime \n",
            "echo {} {a} {a;",
            "",
            "echo $\\x",
        ] {
            let expected = (line == "echo {} {a} {a;").then(|| (15, ";".to_owned()));
            assert_eq!(found(line), expected, "{line}");
        }
    }

    #[test]
    fn it_is_told_in_words() {
        let told = |line: &str| unquoted_syntax(line).unwrap().to_string();
        insta::assert_snapshot!(told("a | b"), @"`|` at column 3 is passed as it is");
        insta::assert_snapshot!(told("a # b"), @"the comment at column 3 is dropped");
        insta::assert_snapshot!(told("a\nb"), @"the line break at column 2 only separates words");
    }

    proptest! {
        #[test]
        fn no_line_panics_and_every_failure_has_its_column(line in r#"([a $'"\\#\n~{}\[\]=!`|]|\PC){0,24}"#) {
            unquoted_syntax(&line);
            let is_finished = Lexer::run(&line).1.is_none();
            prop_assert_eq!(shlex::split(&line).is_some(), is_finished);
            prop_assert_eq!(split(&line).is_ok() || split(&line) == Err(SplitError::Empty), is_finished);
        }

        #[test]
        fn what_is_quoted_splits_back(words in prop::collection::vec("\\PC{0,8}", 1..5)) {
            let argv: Vec<std::ffi::OsString> = words.iter().map(Into::into).collect();
            let line = crate::quote::display(&argv);
            if !line.contains("$'") {
                prop_assert_eq!(split(&line).unwrap(), words);
                prop_assert_eq!(unquoted_syntax(&line), None);
            }
        }
    }
}
