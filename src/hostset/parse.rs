//! Text into patterns, with the column in every error.
//!
//! Everything that can be wrong with a pattern without looking at an inventory is found here,
//! also that it stands for too many names: they are counted, not made. Work is proportional to
//! the text.

use std::str::FromStr;
use std::sync::Arc;

use super::error::{Fault, PatternError, Reason};
use super::pattern::{Chain, Kind, Leaf, Operand, Operator, Pattern, Term};
use super::template::Template;
use super::{Login, LoginSet, MAX_DEPTH, MAX_NAMES};
use crate::host::{HostName, NameError, Port, UserName};

const OPERAND: &str = "a host name, `@group` or `(`";
const OPERATOR: &str = "`,` `!` `&` `^` or the end";
const INNER_OPERATOR: &str = "`,` `!` `&` `^` or `)`";

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it is malformed or stands for more than [`MAX_NAMES`] names. Names count as written:
    /// `,` and `^` add up, `!` and `&` leave what stands to their left.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let mut parser = Parser { text, at: 0 };
        let chain = parser.whole();
        Ok(Self {
            chain: chain.map_err(|fault| fault.in_text(text))?,
            text: text.into(),
        })
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::parse(text)
    }
}

/// Reads the one-entry form that inventories use, `[user@]name-with-ranges[:port]`: no
/// operators, no globs, no groups, no blanks.
///
/// # Errors
/// As [`Pattern::parse`], and when there is anything else of a pattern in it.
pub fn parse_host_entry(text: &str) -> Result<LoginSet, PatternError> {
    let mut set = LoginSet::new();
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    let parsed = if !text.is_empty() && text.bytes().all(is_plain) {
        add_plain(text, &mut set)
    } else {
        add_entry(text, &mut set)
    };
    parsed.map_err(|fault| fault.in_text(text))?;
    Ok(set)
}

fn add_plain(text: &str, set: &mut LoginSet) -> Result<(), Fault> {
    let name = HostName::parse(text).map_err(|error| Fault::new(0, error))?;
    set.add(name, None);
    Ok(())
}

fn add_entry(text: &str, set: &mut LoginSet) -> Result<(), Fault> {
    let mut parser = Parser { text, at: 0 };
    let width = parser.operand_width()?;
    if let Some(found) = text[width..].chars().next() {
        return Err(Fault::new(width, Reason::NotInEntry { found }));
    }
    let leaf = parser.leaf()?;
    match leaf.kind {
        Kind::Hosts => leaf.add_names(set),
        Kind::Groups | Kind::GroupGlob => {
            let at = leaf.place.start;
            Err(Fault::new(at, Reason::NotInEntry { found: '@' }))
        }
        Kind::HostGlob => {
            let at = text.find(['*', '?']).unwrap_or(0);
            let found = text[at..].chars().next().unwrap_or('*');
            Err(Fault::new(at, Reason::NotInEntry { found }))
        }
    }
}

/// A place in a pattern.
struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    /// Reads the whole text.
    fn whole(&mut self) -> Result<Chain, Fault> {
        let chain = self.chain(0)?.0;
        match self.peek() {
            None => Ok(chain),
            Some(_) => Err(self.expected(OPERATOR)),
        }
    }

    /// Reads operands and operators up to the end or a `)`; returns with it how many names they
    /// may stand for.
    fn chain(&mut self, depth: usize) -> Result<(Chain, u64), Fault> {
        let mut chain = Chain::default();
        let mut most = 0;
        let mut operator = Operator::Union;
        loop {
            self.skip_blanks();
            let start = self.at;
            let (operand, count) = self.operand(depth)?;
            if matches!(operator, Operator::Union | Operator::SymmetricDifference) {
                most += count;
            }
            if most > MAX_NAMES {
                return Err(Fault::new(start, Reason::TooMany { count: most }));
            }
            chain.0.push(Term { operator, operand });
            self.skip_blanks();
            operator = match self.peek() {
                Some(',') => Operator::Union,
                Some('!') => Operator::Difference,
                Some('&') => Operator::Intersection,
                Some('^') => Operator::SymmetricDifference,
                None | Some(')') => return Ok((chain, most)),
                Some(_) if depth == 0 => return Err(self.expected(OPERATOR)),
                Some(_) => return Err(self.expected(INNER_OPERATOR)),
            };
            self.at += 1;
        }
    }

    /// Reads one operand; returns with it how many names are written in it.
    fn operand(&mut self, depth: usize) -> Result<(Operand, u64), Fault> {
        match self.peek() {
            None | Some(',' | '!' | '&' | '^' | ')') => Err(self.expected(OPERAND)),
            Some('(') => {
                let (chain, count) = self.parentheses(depth + 1)?;
                Ok((Operand::Nested(chain), count))
            }
            Some(_) => {
                let leaf = self.leaf()?;
                let is_written = leaf.kind == Kind::Hosts;
                let count = if is_written { leaf.template.count() } else { 0 };
                Ok((Operand::Leaf(leaf), count))
            }
        }
    }

    fn parentheses(&mut self, depth: usize) -> Result<(Chain, u64), Fault> {
        let opening = self.at;
        if depth > MAX_DEPTH {
            return Err(Fault::new(opening, Reason::TooDeep));
        }
        self.at += 1;
        let inner = self.chain(depth)?;
        if self.peek().is_none() {
            return Err(Fault::new(opening, Reason::NotClosed { opening: '(' }));
        }
        self.at += 1;
        Ok(inner)
    }

    /// Reads one operand that is no chain: `[user@]` names, a group or a glob, `[:port]`.
    fn leaf(&mut self) -> Result<Leaf, Fault> {
        let start = self.at;
        self.at += self.operand_width()?;
        let end = self.at;
        let (user, body) = self.user(start, end)?;
        let is_group = self.text[body..end].starts_with('@');
        let name = body + usize::from(is_group);
        let (template, port) = self.body(name, end, is_group)?;
        let kind = match (is_group, template.is_glob()) {
            (false, false) => Kind::Hosts,
            (false, true) => Kind::HostGlob,
            (true, false) => Kind::Groups,
            (true, true) => Kind::GroupGlob,
        };
        if kind != Kind::Groups {
            template.check_names()?;
        }
        let login = Login { user, port };
        Ok(Leaf {
            kind,
            place: body..end,
            template,
            login: (login != Login::default()).then(|| Arc::new(login)),
        })
    }

    /// Returns how many bytes from here belong to one operand: up to an operator, a parenthesis
    /// or a blank outside brackets.
    fn operand_width(&self) -> Result<usize, Fault> {
        let mut opening = None;
        for (width, byte) in self.text[self.at..].bytes().enumerate() {
            let at = self.at + width;
            match (byte, opening) {
                (b'[', None) => opening = Some(at),
                (b'[', Some(_)) => return Err(Fault::new(at, Reason::Nested)),
                (b']', None) => return Err(Fault::new(at, Reason::NotOpened)),
                (b']', Some(_)) => opening = None,
                (b',' | b'!' | b'&' | b'^' | b'(' | b')', None) => return Ok(width),
                (_, None) if byte.is_ascii_whitespace() => return Ok(width),
                _ => {}
            }
        }
        match opening {
            None => Ok(self.text.len() - self.at),
            Some(at) => Err(Fault::new(at, Reason::NotClosed { opening: '[' })),
        }
    }

    /// Reads `user@` if it is there; returns with it where the rest starts.
    ///
    /// The last `@` divides, as a user of a directory may hold one; two together are the end of
    /// the user and the sign of a group.
    fn user(&self, start: usize, end: usize) -> Result<(Option<UserName>, usize), Fault> {
        let operand = &self.text[start..end];
        let Some(sign) = operand.rfind('@').filter(|_| !operand.starts_with('@')) else {
            return Ok((None, start));
        };
        let user = &operand[..sign];
        let (user, body) = match user.strip_suffix('@') {
            Some(user) => (user, sign),
            None => (user, sign + 1),
        };
        match UserName::parse(user) {
            Ok(user) => Ok((Some(user), start + body)),
            Err(error) => {
                let bad = match error {
                    NameError::Character { column, .. } => user.char_indices().nth(column - 1),
                    _ => None,
                };
                let index = bad.map_or(0, |(index, _)| index);
                Err(Fault::new(start + index, error))
            }
        }
    }

    /// Reads the part from `start` to `end` that names hosts or groups, and `:port`.
    fn body(
        &self,
        start: usize,
        end: usize,
        is_group: bool,
    ) -> Result<(Template, Option<Port>), Fault> {
        let body = &self.text[start..end];
        if let Some(inside) = bracketed(body) {
            let template = Template::literal(start + 1, inside);
            let rest = start + inside.len() + 2;
            return Ok((template, self.port(rest, end)?));
        }
        let name_end = match colons(body) {
            (Some(colon), 1) => start + colon,
            _ => end,
        };
        if name_end == start {
            let what = if is_group {
                "a group name"
            } else {
                "a host name"
            };
            return Err(Fault::expected(what, self.text, start));
        }
        let template = Template::parse(self.text, start, name_end)?;
        if !is_group && name_end == end && !is_bare(body) {
            let text = body.to_owned();
            return Err(Fault::new(start, Reason::Colons { text }));
        }
        Ok((template, self.port(name_end, end)?))
    }

    /// Reads `:port` from `start` to `end`, or nothing.
    fn port(&self, start: usize, end: usize) -> Result<Option<Port>, Fault> {
        if start == end {
            return Ok(None);
        }
        let Some(port) = self.text[start..end].strip_prefix(':') else {
            return Err(Fault::expected("`:` and a port", self.text, start));
        };
        if port.is_empty() {
            return Err(Fault::expected("a port", self.text, end));
        }
        match port.parse() {
            Ok(port) => Ok(Some(port)),
            Err(error) => Err(Fault::new(start + 1, error)),
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn skip_blanks(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_ascii_start().len();
    }

    fn expected(&self, what: &'static str) -> Fault {
        Fault::expected(what, self.text, self.at)
    }
}

/// Returns what is in the brackets when `body` starts with a bracketed address, not a range.
fn bracketed(body: &str) -> Option<&str> {
    let (inside, _) = body.strip_prefix('[')?.split_once(']')?;
    inside.contains(':').then_some(inside)
}

/// Yields the characters outside brackets and where they are.
fn outside_brackets(body: &str) -> impl Iterator<Item = (usize, char)> {
    let mut is_inside = false;
    body.char_indices().filter(move |(_, c)| {
        is_inside = *c == '[' || is_inside && *c != ']';
        !is_inside && *c != ']'
    })
}

/// Returns where the only colon outside brackets is, and how many there are.
fn colons(body: &str) -> (Option<usize>, usize) {
    let mut colons = outside_brackets(body).filter(|(_, c)| *c == ':');
    let first = colons.next().map(|(index, _)| index);
    (first, usize::from(first.is_some()) + colons.count())
}

/// Whether there is nothing before a `%` that an IPv6 address, or a glob or range of them, can't
/// hold.
fn is_ipv6_like(body: &str) -> bool {
    outside_brackets(body)
        .take_while(|(_, c)| *c != '%')
        .all(|(_, c)| c.is_ascii_hexdigit() || matches!(c, ':' | '.' | '*' | '?'))
}

/// Whether `name` can stand in a pattern as it is, without brackets around it.
pub(super) fn is_bare(name: &str) -> bool {
    match colons(name).1 {
        0 => true,
        1 => false,
        _ => is_ipv6_like(name),
    }
}
