//! One line of a text inventory that is a server's: what it says, and the same line saying more.

use std::ops::Range;
use std::sync::Arc;

use super::error::EditError;
use super::row::{Field, Row};
use super::splice::Splice;
use crate::host::HostName;
use crate::hostset::Login;
use crate::inventory::entry::entry;
use crate::inventory::error::{Flaw, shown};
use crate::inventory::words::{Word, unquoted, words};

/// How the keys of a file are named.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keys {
    pub(super) is_ansible: bool,
}

impl Keys {
    /// Returns what `field` is called, the present name first.
    fn of(self, field: Field) -> &'static [&'static str] {
        match (self.is_ansible, field) {
            (_, Field::Name) => &[],
            (true, Field::Address) => &["ansible_host", "ansible_ssh_host"],
            (true, Field::User) => &["ansible_user", "ansible_ssh_user"],
            (true, Field::Identity) => &["ansible_ssh_private_key_file"],
            (true, Field::Port) => &["ansible_port", "ansible_ssh_port"],
            (false, Field::Address) => &["address"],
            (false, Field::User) => &["user"],
            (false, Field::Identity) => &["identity"],
            (false, Field::Port) => &["port"],
            (_, Field::Provider) => &["provider"],
            (_, Field::Id) => &["id"],
            (_, Field::HostKey) => &["host_key"],
        }
    }

    fn field(self, key: &str) -> Option<Field> {
        let mut all = Field::ALL.into_iter();
        all.find(|field| self.of(*field).contains(&key))
    }
}

/// A line that names one host and says its provider.
pub(super) struct Line<'a> {
    text: &'a str,
    words: Vec<Word<'a>>,
    keys: Keys,
    name: HostName,
    login: Login,
}

impl<'a> Line<'a> {
    /// Reads `text`; `None` if it is no such line.
    pub(super) fn read(text: &'a str, keys: Keys) -> Option<Self> {
        memchr::memmem::find(text.as_bytes(), b"provider")?;
        let words = words(text).ok()?;
        let (first, pairs) = words.split_first()?;
        if first.is_pair() || !pairs.iter().all(Word::is_pair) || first.raw.contains(',') {
            return None;
        }
        let set = entry(first.raw).ok().filter(|set| set.len() == 1)?;
        let (name, login) = set.into_iter().next()?;
        let line = Self {
            text,
            words,
            keys,
            name,
            login,
        };
        (!line.value(Field::Provider).is_empty()).then_some(line)
    }

    /// Returns the host's name.
    pub(super) fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Returns what the line says of `field`, or nothing.
    pub(super) fn value(&self, field: Field) -> String {
        let beside = match field {
            Field::Name => Some(self.name.to_string()),
            Field::User => self.login.user.as_ref().map(ToString::to_string),
            Field::Port => self.login.port.map(|port| port.to_string()),
            _ => None,
        };
        let pairs = || {
            self.pairs()
                .find(|pair| self.keys.field(pair.key) == Some(field))
        };
        beside
            .or_else(|| pairs().map(|pair| pair.value.to_owned()))
            .unwrap_or_default()
    }

    /// Returns which fields the line says, as bits.
    pub(super) fn present(&self) -> u8 {
        let fields = Field::ALL.into_iter().enumerate();
        let said = fields.filter(|(_, field)| !self.value(*field).is_empty());
        said.fold(0, |bits, (bit, _)| bits | 1 << bit)
    }

    fn pairs(&self) -> impl Iterator<Item = Pair<'_>> {
        self.words
            .iter()
            .enumerate()
            .skip(1)
            .filter_map(|(index, word)| {
                let (key, value) = word.text.split_once('=')?;
                let value = unquoted(value);
                Some(Pair { index, key, value })
            })
    }

    /// Returns where a word is in the line.
    fn range(&self, index: usize) -> Range<usize> {
        let word = &self.words[index];
        let before = self.text.char_indices().nth(word.column - 1);
        let start = before.map_or(self.text.len(), |(at, _)| at);
        start..start + word.raw.len()
    }

    /// Returns the line saying what `row` does: of what is `absent` everywhere (as bits) all, of the
    /// rest what differs; and being in `groups` besides those that it names.
    pub(super) fn updated(&self, row: &Row, absent: u8, groups: &[&str]) -> Result<String, Flaw> {
        let mut splice = Splice::new(self.text.as_bytes());
        if let Some(word) = self.first_word(row) {
            splice.replace(self.range(0), word.as_bytes());
        }
        let mut more_groups = groups;
        for pair in self.pairs() {
            if pair.key == "groups" && !more_groups.is_empty() {
                let value = [pair.value, &more_groups.join(";")].join(";");
                let word = written("groups", value.trim_matches(';'))?;
                splice.replace(self.range(pair.index), word.as_bytes());
                more_groups = &[];
            } else if let Some((range, word)) = self.changed(&pair, row)? {
                splice.replace(range, word.as_bytes());
            }
        }
        let end = self.range(self.words.len() - 1).end;
        let mut more = String::new();
        for (bit, field) in Field::ALL.into_iter().enumerate() {
            if absent & (1 << bit) != 0
                && let (Some(value), [key, ..]) = (row.value(field), self.keys.of(field))
            {
                more.push(' ');
                more.push_str(&written(key, &value)?);
            }
        }
        if !more_groups.is_empty() {
            more.push(' ');
            more.push_str(&written("groups", &more_groups.join(";"))?);
        }
        if !more.is_empty() {
            splice.replace(end..end, more.as_bytes());
        }
        Ok(String::from_utf8_lossy(&splice.finish()).into_owned())
    }

    /// Returns what a pair has to be in the place of what it is, if it has to be another.
    fn changed(&self, pair: &Pair<'_>, row: &Row) -> Result<Option<(Range<usize>, String)>, Flaw> {
        let Some(field) = self.keys.field(pair.key) else {
            return Ok(None);
        };
        let range = self.range(pair.index);
        match row.value(field) {
            Some(value) if value != pair.value => Ok(Some((range, written(pair.key, &value)?))),
            // The key was that of the server before.
            None if field == Field::HostKey && self.value(Field::Id) != row.id => {
                let before = self.range(pair.index - 1).end;
                Ok(Some((before..range.end, String::new())))
            }
            _ => Ok(None),
        }
    }

    /// Returns `[user@]name[:port]` if it has to be another.
    fn first_word(&self, row: &Row) -> Option<String> {
        let user = self.login.user.as_ref().map(ToString::to_string);
        let port = self.login.port.map(|port| port.to_string());
        let wanted =
            |now: &Option<String>, wanted| now.as_ref().and(wanted).or_else(|| now.clone());
        let (new_user, new_port) = (
            wanted(&user, row.value(Field::User)),
            wanted(&port, row.value(Field::Port)),
        );
        if (&new_user, &new_port) == (&user, &port) && row.name == self.name() {
            return None;
        }
        let user = new_user.map_or_else(String::new, |user| user + "@");
        let name = match &new_port {
            Some(_) if row.name.contains(':') => format!("[{}]", row.name),
            _ => row.name.clone(),
        };
        let port = new_port.map_or_else(String::new, |port| format!(":{port}"));
        Some([user, name, port].concat())
    }
}

/// `key=value` on a line.
struct Pair<'a> {
    /// Among the words of the line.
    index: usize,
    key: &'a str,
    value: &'a str,
}

/// Returns the line of a server that has none yet: with all that `row` says, or with no more than
/// what tells whose it is; in `groups`, if they are named on the line.
pub(super) fn new_line(
    row: &Row,
    keys: Keys,
    is_whole: bool,
    groups: &[&str],
) -> Result<String, Flaw> {
    let mut line = row.name.clone();
    for field in Field::ALL {
        let is_needed = is_whole || matches!(field, Field::Provider | Field::Id);
        if let (true, Some(value), [key, ..]) = (is_needed, row.value(field), keys.of(field)) {
            line.push(' ');
            line.push_str(&written(key, &value)?);
        }
    }
    if !groups.is_empty() {
        line.push(' ');
        line.push_str(&written("groups", &groups.join(";"))?);
    }
    let read = Line::read(&line, keys);
    let is_same = |read: Line<'_>| read.name() == row.name && read.login == Login::default();
    if read.is_some_and(is_same) {
        return Ok(line);
    }
    let found = format!("`{}`", shown(&row.name));
    Err(Flaw::unexpected(found, "a name that can begin a line"))
}

/// Writes `key=value` as one word, in quotes where it has to be.
fn written(key: &str, value: &str) -> Result<String, Flaw> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/@%+=,;-~".contains(&byte);
    let word = if !value.is_empty() && value.bytes().all(is_plain) {
        format!("{key}={value}")
    } else {
        let inner = value.replace('\\', r"\\").replace('"', "\\\"");
        format!("{key}=\"{inner}\"")
    };
    let is_same = match words(&word).as_deref() {
        Ok([read]) => {
            read.text.split_once('=').map(|(k, v)| (k, unquoted(v))) == Some((key, value))
        }
        _ => false,
    };
    if is_same {
        return Ok(word);
    }
    let found = format!("{key} `{}`", shown(value));
    Err(Flaw::unexpected(found, "a value without quotes around it"))
}

/// Returns the error that a row can't be written.
pub(super) fn unwritable(name: &Arc<str>, row: &Row, flaw: Flaw) -> EditError {
    EditError::Value {
        name: Arc::clone(name),
        server: shown(&row.name),
        field: "row",
        flaw: Box::new(flaw),
    }
}
