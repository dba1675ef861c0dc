//! Rows put into and taken out of text inventories, under the headings of their groups.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use super::error::EditError;
use super::line::{Keys, Line, new_line, unwritable};
use super::row::{Field, Owner, Parting, Row, Wanted};
use super::splice::{Splice, is_ended, line_end};
use crate::inventory::Inventory;
use crate::inventory::document::{Document, lines};
use crate::inventory::error::{Place, shown};
use crate::inventory::heading::{Dialect, heading, included};
use crate::inventory::words::{Word, words};

/// Whether the keys of the text are Ansible's.
pub(super) fn is_ansible(text: &[u8]) -> bool {
    Dialect::of(text).is_ansible
}

/// A line of the file.
enum Kind<'a> {
    /// Blank, or a comment.
    Empty,
    /// `[group]` with the group, or `[group:children]` and `[group:vars]` without.
    Heading(Option<&'a str>),
    /// What belongs to the section.
    Content(&'a str),
}

fn kind<'a>(line: &'a [u8], place: &Place) -> Kind<'a> {
    let Ok(text) = std::str::from_utf8(line) else {
        return Kind::Empty;
    };
    match line.trim_ascii_start() {
        [] | [b';' | b'#', ..] => Kind::Empty,
        [b'[', ..] => match heading(text, place) {
            Ok(Some(heading)) => {
                let is_plain = !heading.text.contains(':');
                Kind::Heading(is_plain.then_some(heading.text))
            }
            _ => Kind::Content(text),
        },
        _ => Kind::Content(text),
    }
}

/// Yields each line's content and where it is, its end included.
fn whole_lines(text: &[u8]) -> impl Iterator<Item = (Range<usize>, &[u8])> {
    let mut all = lines(text).peekable();
    std::iter::from_fn(move || {
        let (start, line) = all.next()?;
        let end = all.peek().map_or(text.len(), |(start, _)| *start);
        Some((start..end, line))
    })
}

/// A line of the file that is one of a wanted row.
struct Match {
    /// Without its end.
    range: Range<usize>,
    index: usize,
}

/// What is known of a file before it is edited.
struct Survey<'a> {
    document: &'a Document,
    keys: Keys,
    /// Where the last host of each group's first section ends, or its heading; "" is what comes
    /// before all headings.
    ends: HashMap<String, usize>,
    matches: Vec<Match>,
    /// Whether the file is a list as pssh or pdsh have it, which a heading would make another.
    is_list: bool,
}

impl<'a> Survey<'a> {
    fn of(document: &'a Document, wanted: &Wanted<'_>) -> Result<Self, EditError> {
        let text = document.bytes();
        let dialect = Dialect::of(text);
        let mut survey = Self {
            document,
            keys: Keys {
                is_ansible: dialect.is_ansible,
            },
            ends: HashMap::new(),
            matches: Vec::new(),
            is_list: false,
        };
        let place = document.place(0);
        let mut section = Some(""); // hosts in which group
        for (range, line) in whole_lines(text) {
            match kind(line, &place) {
                Kind::Empty => {
                    survey.is_list |= !dialect.has_headings && included(line).is_some();
                }
                Kind::Heading(group) => {
                    section = group;
                    if let Some(group) = group {
                        survey.ends.entry(group.to_owned()).or_insert(range.end);
                    }
                }
                Kind::Content(line) => {
                    let Some(group) = section else { continue };
                    survey.note_end(group, &range);
                    survey.is_list |= !dialect.has_headings && is_pair_of_words(line);
                    survey.find(range.start, line, wanted)?;
                }
            }
        }
        Ok(survey)
    }

    /// Notes that the section of `group` goes on, unless that was an earlier one.
    fn note_end(&mut self, group: &str, line: &Range<usize>) {
        match self.ends.get_mut(group) {
            Some(end) if *end == line.start || is_gap(&self.document.bytes()[*end..line.start]) => {
                *end = line.end;
            }
            Some(_) => {}
            None => {
                self.ends.insert(group.to_owned(), line.end);
            }
        }
    }

    fn find(&mut self, start: usize, line: &str, wanted: &Wanted<'_>) -> Result<(), EditError> {
        let Some(read) = Line::read(line, self.keys) else {
            return Ok(());
        };
        let provider = read.value(Field::Provider);
        match wanted.owner(read.name(), &provider, &read.value(Field::Id)) {
            Owner::Ours(index) => self.matches.push(Match {
                range: start..start + line.len(),
                index,
            }),
            Owner::Foreign => {
                let indent = line.len() - line.trim_ascii_start().len();
                return Err(EditError::Conflict {
                    place: self.document.place(start + indent),
                    host: shown(read.name()),
                    why: format!("which is a server of `{}`", shown(&provider)),
                });
            }
            Owner::Other | Owner::Hand(_) => {}
        }
        Ok(())
    }

    fn line(&self, found: &Match) -> Option<Line<'a>> {
        let text = std::str::from_utf8(&self.document.bytes()[found.range.clone()]).ok()?;
        Line::read(text, self.keys)
    }

    /// Refuses a name that is there already and is no server's of ours.
    fn check_names(&self, wanted: &Wanted<'_>, before: &Inventory) -> Result<(), EditError> {
        let mut is_named = vec![false; wanted.rows.len()];
        for found in &self.matches {
            let is_same = |line: Line<'_>| line.name() == wanted.rows[found.index].name;
            is_named[found.index] |= self.line(found).is_some_and(is_same);
        }
        let unnamed = wanted.rows.iter().zip(is_named).filter(|(_, is)| !is);
        for (row, _) in unnamed {
            if let Some(entry) = before.hosts.get(&*row.name) {
                let origin = entry.origin;
                return Err(EditError::Conflict {
                    place: self.place(before, origin.source as usize, origin.line as usize),
                    host: shown(&row.name),
                    why: super::csv::BY_HAND.to_owned(),
                });
            }
        }
        Ok(())
    }

    /// Returns where the first word of a line is.
    fn place(&self, before: &Inventory, source: usize, line: usize) -> Place {
        let source = before.sources.get(source);
        let source = source.map_or_else(|| Arc::clone(&self.document.name), Arc::clone);
        let mut all = lines(self.document.bytes());
        let text = all.nth(line.saturating_sub(1));
        let indent = text.filter(|_| source == self.document.name);
        let indent = indent.map_or(0, |(_, line)| line.len() - line.trim_ascii_start().len());
        Place {
            source,
            line,
            column: indent + 1,
        }
    }
}

/// Whether `text` holds no heading and no host.
fn is_gap(text: &[u8]) -> bool {
    lines(text).all(|(_, line)| matches!(line.trim_ascii_start(), [] | [b';' | b'#', ..]))
}

/// Whether the line is a host and a user, as pssh has them.
fn is_pair_of_words(line: &str) -> bool {
    words(line).is_ok_and(|words| {
        let bare = words.iter().take_while(|word| !word.is_pair());
        let bare: Vec<&Word<'_>> = bare.collect();
        bare.len() == 2 && !bare.iter().any(|word| word.raw.contains(','))
    })
}

/// Puts `wanted` into `document`.
///
/// # Errors
/// When a host of such a name is somebody else's, or a value can't be written.
pub(super) fn put(
    document: &Document,
    wanted: &Wanted<'_>,
    before: &Inventory,
) -> Result<Vec<u8>, EditError> {
    let survey = Survey::of(document, wanted)?;
    survey.check_names(wanted, before)?;
    let mut changes = Changes {
        survey: &survey,
        replaced: Vec::new(),
        inserted: BTreeMap::new(),
        new: Vec::new(),
    };
    changes.update(wanted, before)?;
    let mut is_found = vec![false; wanted.rows.len()];
    for found in &survey.matches {
        is_found[found.index] = true;
    }
    let new = wanted.rows.iter().zip(is_found).filter(|(_, is)| !is);
    for (row, _) in new {
        let mut seen = HashSet::new();
        let groups: Vec<_> = row.listed_groups().filter(|g| seen.insert(*g)).collect();
        changes.add(row, &groups, true)?;
    }
    Ok(changes.apply())
}

/// What is to become of the lines of a file.
struct Changes<'a> {
    survey: &'a Survey<'a>,
    replaced: Vec<(Range<usize>, String)>,
    /// New lines, by where they go.
    inserted: BTreeMap<usize, Vec<String>>,
    /// New groups in order, each with its lines.
    new: Vec<(String, Vec<String>)>,
}

impl Changes<'_> {
    /// Brings the lines that are there up to date.
    fn update(&mut self, wanted: &Wanted<'_>, before: &Inventory) -> Result<(), EditError> {
        let survey = self.survey;
        let mut present = vec![0; wanted.rows.len()];
        for found in &survey.matches {
            present[found.index] |= survey.line(found).map_or(0, |line| line.present());
        }
        let mut is_first = vec![true; wanted.rows.len()];
        for found in &survey.matches {
            let (row, index) = (&wanted.rows[found.index], found.index);
            let Some(line) = survey.line(found) else {
                continue;
            };
            let is_first = std::mem::replace(&mut is_first[index], false);
            let known = before.get(line.name()).map_or(&[][..], |host| &host.groups);
            let mut seen: HashSet<&str> = known.iter().map(|group| &**group).collect();
            let groups = row.listed_groups().filter(|g| is_first && seen.insert(g));
            let groups: Vec<_> = groups.collect();
            let on_line = if self.survey.is_list {
                &groups[..]
            } else {
                &[]
            };
            let absent = if is_first { !present[index] } else { 0 };
            let text = line
                .updated(row, absent, on_line)
                .map_err(|flaw| unwritable(&survey.document.name, row, flaw))?;
            self.replaced.push((found.range.clone(), text));
            if !survey.is_list && !groups.is_empty() {
                self.add(row, &groups, false)?;
            }
        }
        Ok(())
    }

    /// Adds lines for `row`, one for each of `groups`; the first says all if `is_whole`.
    fn add(&mut self, row: &Row, groups: &[&str], is_whole: bool) -> Result<(), EditError> {
        let survey = self.survey;
        let name = &survey.document.name;
        if survey.is_list && survey.keys.is_ansible && !groups.is_empty() {
            return Err(EditError::Unfit {
                name: Arc::clone(name),
                why: "its other lines would mean something else (a [group] heading)".to_owned(),
            });
        }
        let new = |is_whole, groups: &[&str]| {
            let line = new_line(row, survey.keys, is_whole, groups);
            line.map_err(|flaw| unwritable(name, row, flaw))
        };
        if survey.is_list || groups.is_empty() {
            let line = new(is_whole, groups)?;
            let place = self.top();
            self.inserted.entry(place).or_default().push(line);
            return Ok(());
        }
        for (number, group) in groups.iter().enumerate() {
            let line = new(is_whole && number == 0, &[])?;
            if let Some(place) = survey.ends.get(*group) {
                self.inserted.entry(*place).or_default().push(line);
                continue;
            }
            match self.new.iter_mut().find(|(known, _)| known == group) {
                Some((_, lines)) => lines.push(line),
                None => self.new.push(((*group).to_owned(), vec![line])),
            }
        }
        Ok(())
    }

    /// Returns where hosts of no group go.
    fn top(&self) -> usize {
        let ends = &self.survey.ends;
        match ends.get("") {
            Some(end) => *end,
            None if ends.is_empty() => self.survey.document.bytes().len(),
            None => 0,
        }
    }

    fn apply(mut self) -> Vec<u8> {
        let text = self.survey.document.bytes();
        let mut last = self.inserted.remove(&text.len()).unwrap_or_default();
        for (group, lines) in self.new {
            let is_blank = match last.last() {
                Some(line) => line.is_empty(),
                None => whole_lines(text)
                    .filter(|(range, _)| !range.is_empty())
                    .last()
                    .is_none_or(|(_, line)| line.trim_ascii().is_empty()),
            };
            if !is_blank {
                last.push(String::new());
            }
            last.push(format!("[{group}]"));
            last.extend(lines);
        }
        let end = line_end(text);
        let mut pieces: Vec<(Range<usize>, Vec<u8>)> = Vec::new();
        for (range, line) in self.replaced {
            pieces.push((range, line.into_bytes()));
        }
        for (place, lines) in self.inserted {
            let lines = lines.iter().flat_map(|line| [line.as_bytes(), end]);
            pieces.push((place..place, lines.collect::<Vec<_>>().concat()));
        }
        // What ends without a line end goes on to do so.
        let is_open = !is_ended(text);
        let last = last.iter().flat_map(|line| {
            if is_open {
                [end, line.as_bytes()]
            } else {
                [line.as_bytes(), end]
            }
        });
        pieces.push((text.len()..text.len(), last.collect::<Vec<_>>().concat()));
        // An insertion before a line comes before that line's change.
        pieces.sort_by_key(|(range, _)| (range.start, range.end));
        let mut splice = Splice::new(text);
        for (range, bytes) in pieces {
            splice.replace(range, &bytes);
        }
        splice.finish()
    }
}

/// Takes the lines of `parting` out of `document`; returns the text and the names of the hosts.
pub(super) fn remove(document: &Document, parting: &Parting<'_>) -> (Vec<u8>, HashSet<String>) {
    let text = document.bytes();
    let keys = Keys {
        is_ansible: is_ansible(text),
    };
    let place = document.place(0);
    let mut splice = Splice::new(text);
    let mut names = HashSet::new();
    let mut has_hosts = true;
    for (range, line) in whole_lines(text) {
        match kind(line, &place) {
            Kind::Heading(group) => has_hosts = group.is_some(),
            Kind::Content(line) if has_hosts => {
                let Some(read) = Line::read(line, keys) else {
                    continue;
                };
                let (provider, id) = (read.value(Field::Provider), read.value(Field::Id));
                if parting.is_gone(read.name(), &provider, &id) {
                    names.insert(read.name().to_owned());
                    splice.remove_lines(range);
                }
            }
            Kind::Empty | Kind::Content(_) => {}
        }
    }
    (splice.finish(), names)
}
