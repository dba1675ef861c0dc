//! Text inventories: one host or range a line, under `[group]` headings if there are any.
//!
//! One format reads four kinds of file as they are: hoist's own, a pssh host file
//! (`host[:port] [user]`), a pdsh WCOLL file (comma-separated host lists, `#include FILE`) and an
//! Ansible INI inventory. `#` starts a comment anywhere, `;` at the start of a line.
//!
//! In a file that uses Ansible's own keys (`ansible_user=…`), `user=` or `port=` is a variable, as
//! there; in all others the names of hoist's CSV columns set what they say.

use indexmap::IndexSet;

use super::attribute::{Attribute, set_login};
use super::builder::{Builder, Key, Repeat};
use super::document::{Document, lines, not_utf8};
use super::entry::{entries, entry};
use super::error::{Flaw, InventoryError, Place, shown};
use super::groups::GroupId;
use super::heading::{Dialect, Heading, heading, included, place_in};
use super::include::Includes;
use super::words::{EXPECTED_PAIR, Word, literal, words};
use crate::host::{Host, HostName};
use crate::hostset::LoginSet;

/// What the lines under a heading are.
#[derive(Debug, Clone, Copy)]
enum Section {
    Hosts(GroupId),
    Children(GroupId),
    Vars(GroupId),
}

/// Reads every line of `document`, and the files it includes, into `builder`.
///
/// # Errors
/// At the first line that is none of the forms.
pub(super) fn read(document: &Document, builder: &mut Builder) -> Result<(), InventoryError> {
    Reader {
        builder,
        includes: Includes::starting_at(document),
    }
    .document(document)
}

struct Reader<'a> {
    builder: &'a mut Builder,
    includes: Includes,
}

impl Reader<'_> {
    fn document(&mut self, document: &Document) -> Result<(), InventoryError> {
        let dialect = Dialect::of(document.bytes());
        let mut section = Section::Hosts(GroupId::UNGROUPED);
        for (number, (_, line)) in (1..).zip(lines(document.bytes())) {
            let start = Place {
                source: document.name.clone(),
                line: number,
                column: 1,
            };
            match line.trim_ascii_start() {
                [] | [b';', ..] => {}
                [b'#', ..] => {
                    if let (false, Some(file)) = (dialect.has_headings, included(line)) {
                        self.include(document, file, start)?;
                    }
                }
                _ => {
                    let text = utf8(line).map_err(|flaw| flaw.at(start.clone()))?;
                    match heading(text, &start)? {
                        Some(inner) => section = self.section(&inner)?,
                        None => self.line(text, &start, section, dialect)?,
                    }
                }
            }
        }
        Ok(())
    }

    fn include(
        &mut self,
        document: &Document,
        file: &str,
        start: Place,
    ) -> Result<(), InventoryError> {
        match self.includes.enter(document, file) {
            Err(flaw) => Err(flaw.at(start)),
            Ok(None) => {
                let file = shown(file);
                let source = &document.name;
                let warning = format!("{source}:{}: `{file}` is included already", start.line);
                self.builder.warn(warning);
                Ok(())
            }
            Ok(Some(path)) => {
                let included = super::source::read_text_file(&path)?;
                self.builder.begin(&included.name);
                self.document(&included)?;
                self.includes.leave();
                self.builder.begin(&document.name);
                Ok(())
            }
        }
    }

    /// Opens the section that a heading names.
    fn section(&mut self, heading: &Heading<'_>) -> Result<Section, InventoryError> {
        let place = &heading.place;
        let (name, kind) = match heading.text.split_once(':') {
            None => (heading.text, None),
            Some((name, kind)) => (name, Some(kind)),
        };
        let section = match kind {
            None => self.builder.groups.define(name).map(Section::Hosts),
            Some("children") => self.builder.groups.define(name).map(Section::Children),
            Some("vars") => self.builder.groups.mention(name, place).map(Section::Vars),
            Some(kind) => Err(Flaw::Unexpected {
                found: format!("`:{}`", shown(kind)),
                expected: "[group], [group:children] or [group:vars]".to_owned(),
                offset: name.chars().count(),
            }),
        };
        section.map_err(|flaw| flaw.at(place.clone()))
    }

    fn line(
        &mut self,
        text: &str,
        start: &Place,
        section: Section,
        dialect: Dialect,
    ) -> Result<(), InventoryError> {
        match section {
            Section::Hosts(group) => self.hosts(text, start, group, dialect),
            Section::Children(group) => self.child(text, start, group),
            Section::Vars(group) => self.variable(text, start, group, dialect),
        }
    }

    /// Reads the name of a group within `parent`.
    fn child(&mut self, text: &str, start: &Place, parent: GroupId) -> Result<(), InventoryError> {
        let words = words(text).map_err(|flaw| flaw.at(start.clone()))?;
        if let Some(second) = words.get(1) {
            let found = format!("`{}`", shown(second.raw));
            let flaw = Flaw::unexpected(found, "one group a line");
            return Err(flaw.at(second.place(start)));
        }
        let Some(word) = words.first() else {
            return Ok(());
        };
        let place = word.place(start);
        let groups = &mut self.builder.groups;
        groups
            .mention(word.raw, &place)
            .and_then(|child| groups.nest(parent, child, &place))
            .map_err(|flaw| flaw.at(place))
    }

    /// Reads `key = value` for the hosts of `group`.
    fn variable(
        &mut self,
        text: &str,
        start: &Place,
        group: GroupId,
        dialect: Dialect,
    ) -> Result<(), InventoryError> {
        let indent = text.len() - text.trim_ascii_start().len();
        let place = place_in(text, start, indent);
        let is_pair = |(key, _): &(&str, &str)| !key.trim().contains(char::is_whitespace);
        let Some((key, value)) = text.split_once('=').filter(is_pair) else {
            let found = format!("`{}`", shown(text.trim()));
            return Err(Flaw::unexpected(found, EXPECTED_PAIR).at(place));
        };
        let after = text.len() - value.trim_ascii_start().len();
        let mut more = placeholder();
        let meant = self.meant(key.trim(), literal(value), dialect);
        let (key, value) = meant.map_err(|flaw| flaw.at(place.clone()))?;
        let set = Builder::set(&mut more, &key, value);
        set.map_err(|flaw| flaw.at(place_in(text, start, after)))?;
        let given = self.builder.give(group, &more, start.line);
        given.map_err(|flaw| flaw.at(place))
    }

    /// Reads one or more hosts and what is said of them.
    fn hosts(
        &mut self,
        text: &str,
        start: &Place,
        group: GroupId,
        dialect: Dialect,
    ) -> Result<(), InventoryError> {
        let words = words(text).map_err(|flaw| flaw.at(start.clone()))?;
        let bare = words.iter().take_while(|word| !word.is_pair()).count();
        let (names, pairs) = words.split_at(bare);
        let Some(first) = names.first() else {
            return words
                .first()
                .map_or(Ok(()), |pair| Err(no_host(pair, start)));
        };
        let (mut row, groups) = self.pairs(pairs, start, group, dialect)?;
        if names.iter().any(|word| word.raw.contains(',')) {
            return names.iter().try_for_each(|word| {
                let entries = entries(word.raw).map_err(|flaw| flaw.at(word.place(start)));
                self.add(&entries?, &row, &groups, (&words, start))
            });
        }
        let rest = &names[1..];
        if let (false, [second]) = (dialect.has_headings, rest) {
            let set = Attribute::User.set(&mut row, second.raw);
            set.map_err(|flaw| flaw.at(second.place(start)))?;
        } else if let Some(stray) = rest.first() {
            return Err(stray.no_pair(start));
        }
        let entry = entry(first.raw).map_err(|flaw| flaw.at(first.place(start)))?;
        self.add(&[entry], &row, &groups, (&words, start))
    }

    /// Reads what is said of the hosts of a line: their attributes, variables and groups.
    fn pairs(
        &mut self,
        pairs: &[Word<'_>],
        start: &Place,
        group: GroupId,
        dialect: Dialect,
    ) -> Result<(Host, Vec<GroupId>), InventoryError> {
        let mut row = placeholder();
        let mut groups = IndexSet::from([group]);
        for pair in pairs {
            let (key, value) = pair.pair(start)?;
            let set = if key == "groups" && !dialect.is_ansible {
                let found = self.builder.groups_in(value);
                found.map(|found| groups.extend(found))
            } else {
                let meant = self.meant(key, value, dialect);
                let (key, value) = meant.map_err(|flaw| flaw.at(pair.place(start)))?;
                Builder::set(&mut row, &key, value)
            };
            set.map_err(|flaw| flaw.at(pair.value_place(start)))?;
        }
        Ok((row, groups.into_iter().collect()))
    }

    /// Adds every host of `entries` with what `row` says of it; `line` is for errors.
    fn add(
        &mut self,
        entries: &[LoginSet],
        row: &Host,
        groups: &[GroupId],
        line: (&[Word<'_>], &Place),
    ) -> Result<(), InventoryError> {
        let (words, start) = line;
        let repeat = match groups {
            // A listing under `[all]` says nothing new as a matter of course.
            [GroupId::ALL] => Repeat::Usual,
            _ => Repeat::Counted,
        };
        for (name, login) in entries.iter().flat_map(LoginSet::iter) {
            let mut host = Host {
                name: name.clone(),
                ..row.clone()
            };
            set_login(&mut host, login)
                .and_then(|()| self.builder.add(host, groups, start.line, repeat))
                .map_err(|flaw| {
                    let word = words.iter().find(|word| word.is_about(&flaw));
                    flaw.at(word.unwrap_or(&words[0]).place(start))
                })?;
        }
        Ok(())
    }

    /// Returns what a key means in the file's dialect, and its value in hoist's words.
    fn meant<'v>(
        &mut self,
        key: &str,
        value: &'v str,
        dialect: Dialect,
    ) -> Result<(Key, &'v str), Flaw> {
        let known = if dialect.is_ansible {
            Attribute::of_ansible(key, value)
        } else {
            Attribute::named(key).map(|attribute| (attribute, value))
        };
        match known {
            Some((attribute, value)) => Ok((Key::Attribute(attribute), value)),
            None => Ok((Key::Variable(self.builder.column(key)?), value)),
        }
    }
}

fn utf8(line: &[u8]) -> Result<&str, Flaw> {
    std::str::from_utf8(line).map_err(|error| {
        let (before, bad) = line.split_at(error.valid_up_to());
        let mut flaw = not_utf8(bad[0]);
        if let Flaw::Unexpected { offset, .. } = &mut flaw {
            *offset = String::from_utf8_lossy(before).chars().count();
        }
        flaw
    })
}

/// Returns a host to put values on before its name is known.
fn placeholder() -> Host {
    Host::named(HostName::parse("host").expect("letters are a name"))
}

fn no_host(pair: &Word<'_>, start: &Place) -> InventoryError {
    let found = format!("`{}`", shown(pair.raw));
    Flaw::unexpected(found, "a host before the first key=value").at(pair.place(start))
}
