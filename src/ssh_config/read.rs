//! From files to blocks: everything that can be decided without knowing a host is decided here,
//! once, however many hosts there are.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::expand;
use super::keyword::{self, Known};
use super::line::{Flaw, Line, Word};
use super::network::Networks;
use super::pattern::Patterns;
use super::setting::{Place, Setting};
use super::{Facts, SshConfigError};
use crate::host::escaped;

/// How deep files may include each other, as in OpenSSH.
const MAX_DEPTH: usize = 16;
/// More than any configuration a person or a script writes.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Lines that hold for the same hosts.
#[derive(Debug)]
pub(super) struct Block {
    /// The block this one is included from, or goes on: it holds only where that one does.
    pub(super) parent: Option<usize>,
    pub(super) condition: Condition,
    pub(super) lines: Vec<BlockLine>,
}

/// A line of a block.
#[derive(Debug)]
pub(super) enum BlockLine {
    Setting(Arc<Setting>),
    Dropped(Arc<Dropped>),
}

/// A line that hoist can't honour.
#[derive(Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The keyword, as written.
    pub keyword: String,
    /// Where it stands.
    pub place: Place,
    /// It is no keyword that hoist knows of.
    pub is_unknown: bool,
    /// It switches the thing off, which is honoured.
    pub(super) asks_nothing: bool,
}

/// For which hosts a block holds.
#[derive(Debug)]
pub(super) enum Condition {
    Always,
    Host(Patterns),
    Match(Vec<Criterion>),
}

/// One test of a `Match` line.
#[derive(Debug)]
pub(super) struct Criterion {
    pub(super) is_negated: bool,
    pub(super) test: Test,
    pub(super) place: Place,
}

#[derive(Debug)]
pub(super) enum Test {
    All,
    /// In the second pass.
    Final,
    /// `canonical`: the same, but doesn't ask for one.
    Canonical,
    Host(Patterns),
    OriginalHost(Patterns),
    User(Patterns),
    LocalUser(Patterns),
    /// The text, as an empty one matches only an empty tag.
    Tagged(String),
    SessionType(Patterns),
    LocalNetwork(Networks),
    Exec(String),
    /// `command`, `version`: never true here, which is said. There is not always a command, and
    /// no OpenSSH whose version could be meant.
    Unsupported(Arc<Dropped>),
}

/// Reads files into blocks.
pub(super) struct Reader<'a> {
    pub(super) facts: &'a Facts,
    pub(super) blocks: Vec<Block>,
}

/// What a file is read as.
#[derive(Clone, Copy)]
pub(super) struct Manner {
    /// The user's own, rather than the machine's.
    pub(super) is_user: bool,
    /// Others must not be able to write to it.
    pub(super) is_guarded: bool,
}

impl Reader<'_> {
    /// Reads options given one by one, `KEYWORD=VALUE`, the first to count first.
    pub(super) fn read_options(
        options: &[String],
        source: &str,
    ) -> Result<Vec<BlockLine>, SshConfigError> {
        let mut lines = Vec::new();
        for option in options {
            let place = Place::of(source);
            let refused = |column, flaw| SshConfigError::Option {
                source_name: place.to_string(),
                option: escaped(option),
                column,
                flaw: Box::new(flaw),
            };
            let Some(line) = Line::parse(option) else {
                let flaw = Flaw::Condition("it is empty; expected KEYWORD=VALUE".to_owned());
                return Err(refused(1, flaw));
            };
            let word = escaped(line.keyword);
            match keyword::look_up(line.keyword) {
                Some(Known::Host | Known::Match | Known::Include) => {
                    let flaw = format!("{word} needs a file: --ssh-config FILE reads one");
                    return Err(refused(1, Flaw::Condition(flaw)));
                }
                None => {
                    let flaw = format!("`{word}` is not a keyword of ssh_config(5)");
                    return Err(refused(1, Flaw::Condition(flaw)));
                }
                Some(known) => {
                    let read = block_line(&line, Some(known), &place, true);
                    lines.extend(read.map_err(|(column, flaw)| refused(column, flaw))?);
                }
            }
        }
        Ok(lines)
    }

    /// Reads a file and what it includes; `false` where there is none.
    pub(super) fn read_file(
        &mut self,
        path: &Path,
        manner: Manner,
        parent: Option<usize>,
        depth: usize,
    ) -> Result<bool, SshConfigError> {
        let Some(bytes) = contents(path, manner.is_guarded)? else {
            return Ok(false);
        };
        let source: Arc<str> = escaped(&path.to_string_lossy()).into();
        let mut block = self.begin(parent, Condition::Always);
        for (number, bytes) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            let place = Place {
                source: Arc::clone(&source),
                line: number,
            };
            let refused = |(column, flaw)| SshConfigError::Line {
                place: place.clone(),
                column,
                flaw: Box::new(flaw),
            };
            let text = match std::str::from_utf8(bytes) {
                Ok(text) => text,
                Err(_) if bytes.trim_ascii_start().starts_with(b"#") => continue,
                Err(_) => return Err(refused((1, Flaw::Encoding))),
            };
            let Some(line) = Line::parse(text) else {
                continue;
            };
            match keyword::look_up(line.keyword) {
                Some(Known::Host) => {
                    let condition = host_condition(&line).map_err(refused)?;
                    block = self.begin(parent, condition);
                }
                Some(Known::Match) => {
                    let condition = match_condition(&line, &place).map_err(refused)?;
                    block = self.begin(parent, condition);
                }
                Some(Known::Include) => {
                    let words = words_of(&line).map_err(refused)?;
                    for word in words {
                        let column = word.column;
                        let included = self.include_paths(&word.text, manner);
                        let included = included.map_err(|flaw| refused((column, flaw)))?;
                        if included.is_empty() && word.text.contains('%') {
                            // Newer ones look for another file for each host; until OpenSSH 9.8 it
                            // is a name like any other.
                            let keyword = format!("Include {}", escaped(&word.text));
                            let line = BlockLine::Dropped(dropped(keyword, &place));
                            self.blocks[block].lines.push(line);
                        }
                        if depth >= MAX_DEPTH {
                            return Err(SshConfigError::TooDeep { place });
                        }
                        self.include(&included, manner, block, depth)?;
                    }
                    // What follows comes after what was included.
                    block = self.begin(Some(block), Condition::Always);
                }
                known => {
                    let read = block_line(&line, known, &place, manner.is_user);
                    self.blocks[block].lines.extend(read.map_err(refused)?);
                }
            }
        }
        Ok(true)
    }

    fn begin(&mut self, parent: Option<usize>, condition: Condition) -> usize {
        self.blocks.push(Block {
            parent,
            condition,
            lines: Vec::new(),
        });
        self.blocks.len() - 1
    }

    /// Returns the files that an `Include` names, in the order of their names.
    fn include_paths(&self, text: &str, manner: Manner) -> Result<Vec<PathBuf>, Flaw> {
        if text.starts_with('~') && !manner.is_user {
            let home = "a configuration for the whole machine can't include from a home folder";
            return Err(Flaw::Condition(home.to_owned()));
        }
        let expanded = expand::variables(text, self.facts).map_err(Flaw::Condition)?;
        let expanded = expand::home(&expanded, self.facts).map_err(Flaw::Condition)?;
        let folder = if manner.is_user {
            self.facts.home.join(".ssh")
        } else {
            PathBuf::from("/etc/ssh")
        };
        let pattern = folder.join(expanded);
        let options = glob::MatchOptions {
            case_sensitive: true,
            require_literal_separator: true,
            require_literal_leading_dot: true,
        };
        let wrong = |error: glob::PatternError| {
            Flaw::Condition(format!(
                "`{}` is not a pattern for files: {error}",
                escaped(text)
            ))
        };
        let found = glob::glob_with(&pattern.to_string_lossy(), options).map_err(wrong)?;
        Ok(found.filter_map(Result::ok).collect())
    }

    fn include(
        &mut self,
        files: &[PathBuf],
        manner: Manner,
        block: usize,
        depth: usize,
    ) -> Result<(), SshConfigError> {
        let manner = Manner {
            is_guarded: true,
            ..manner
        };
        for file in files {
            self.read_file(file, manner, Some(block), depth + 1)?;
        }
        Ok(())
    }
}

/// Reads what a line sets; `None` where that makes no difference.
fn block_line(
    line: &Line<'_>,
    known: Option<Known>,
    place: &Place,
    is_user: bool,
) -> Result<Option<BlockLine>, (usize, Flaw)> {
    Ok(match known {
        Some(Known::Setting(keyword, shape)) => {
            let value = line.value(shape);
            Some(BlockLine::Setting(Arc::new(Setting {
                keyword,
                value: value.map_err(|flaw| (line.rest_column, flaw))?,
                place: place.clone(),
                is_user,
            })))
        }
        Some(Known::Indifferent) => None,
        _ => {
            let words = line.words().unwrap_or_default();
            let mut words = words.iter();
            Some(BlockLine::Dropped(Arc::new(Dropped {
                keyword: escaped(line.keyword),
                place: place.clone(),
                is_unknown: known.is_none(),
                asks_nothing: known.is_some()
                    && words
                        .next()
                        .is_none_or(|word| keyword::asks_nothing(&word.text)),
            })))
        }
    })
}

/// Returns what can't be honoured and would make a difference.
fn dropped(keyword: String, place: &Place) -> Arc<Dropped> {
    Arc::new(Dropped {
        keyword,
        place: place.clone(),
        is_unknown: false,
        asks_nothing: false,
    })
}

/// Reads a whole file; `None` where there is none.
fn contents(path: &Path, is_guarded: bool) -> Result<Option<Vec<u8>>, SshConfigError> {
    let failed = |source| SshConfigError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let metadata = file.metadata().map_err(failed)?;
    let owner = metadata.uid();
    let is_ours = owner == 0 || owner == rustix::process::getuid().as_raw();
    if is_guarded && (!is_ours || metadata.mode() & 0o022 != 0) {
        return Err(SshConfigError::Permissions {
            path: path.to_owned(),
        });
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(Some(bytes))
}

fn words_of(line: &Line<'_>) -> Result<Vec<Word>, (usize, Flaw)> {
    let words = line.words().map_err(|flaw| (line.rest_column, flaw))?;
    match words.iter().find(|word| word.text.is_empty()) {
        Some(word) => Err((word.column, line.no_value())),
        None if words.is_empty() => Err((line.column, line.no_value())),
        None => Ok(words),
    }
}

fn host_condition(line: &Line<'_>) -> Result<Condition, (usize, Flaw)> {
    let words = words_of(line)?;
    let words = words.iter().map(|word| word.text.as_str());
    Ok(Condition::Host(Patterns::of_words(words)))
}

fn match_condition(line: &Line<'_>, place: &Place) -> Result<Condition, (usize, Flaw)> {
    let words = words_of(line)?;
    let mut words = words.into_iter();
    let mut criteria = Vec::new();
    while let Some(Word { text, column }) = words.next() {
        let (is_negated, attribute) = match text.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, text.as_str()),
        };
        let (attribute, mut argument) = match attribute.split_once('=') {
            Some((attribute, argument)) => (attribute, Some(argument.to_owned())),
            None => (attribute, None),
        };
        let attribute = attribute.to_ascii_lowercase();
        let wrong = |what: String| Err((column, Flaw::Condition(what)));
        if !matches!(attribute.as_str(), "all" | "final" | "canonical") {
            argument = argument.or_else(|| words.next().map(|word| word.text));
            let may_be_empty = matches!(attribute.as_str(), "tagged" | "command");
            if argument
                .as_deref()
                .is_none_or(|text| text.is_empty() && !may_be_empty)
            {
                return wrong(format!(
                    "the condition `{}` has no value",
                    escaped(&attribute)
                ));
            }
        }
        let argument = argument.unwrap_or_default();
        let test = match test(&attribute, argument, place) {
            Ok(test) => test,
            Err(what) => return wrong(what),
        };
        let is_all = matches!(test, Test::All);
        criteria.push(Criterion {
            is_negated,
            test,
            place: place.clone(),
        });
        if is_all && (criteria.len() > 2 || words.len() > 0) {
            return wrong("`all` can't be combined with other conditions".to_owned());
        }
    }
    Ok(Condition::Match(criteria))
}

/// Reads one condition of a `Match` line; what is wrong with it otherwise.
fn test(attribute: &str, argument: String, place: &Place) -> Result<Test, String> {
    let list = || Patterns::of_list(&argument);
    // Host names are compared in lower case.
    let names = || Patterns::of_list(&argument.to_ascii_lowercase());
    Ok(match attribute {
        "all" => Test::All,
        "final" => Test::Final,
        "canonical" => Test::Canonical,
        "host" => Test::Host(names()),
        "originalhost" => Test::OriginalHost(names()),
        "user" => Test::User(list()),
        "localuser" => Test::LocalUser(list()),
        "tagged" => Test::Tagged(argument),
        "sessiontype" => Test::SessionType(list()),
        "exec" => Test::Exec(argument),
        "localnetwork" => match Networks::parse(&argument) {
            Ok(networks) => Test::LocalNetwork(networks),
            Err(part) => {
                let part = escaped(part);
                return Err(format!(
                    "`{part}` is no network; expected addresses such as 10.0.0.0/8"
                ));
            }
        },
        "command" | "version" => Test::Unsupported(dropped(format!("Match {attribute}"), place)),
        other => return Err(format!("`{}` is not a condition of Match", escaped(other))),
    })
}
