//! A Rust file as words, with comments, literals and test modules left out: enough to see which
//! paths it names, without a parser.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// One file of the source.
pub(super) struct Source {
    /// Its path from the top of the repository, with `/`.
    pub path: String,
    /// All of it.
    pub text: String,
    words: Vec<String>,
}

impl Source {
    pub(super) fn read(root: &Path, path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap();
        let path = path.strip_prefix(root).unwrap().to_str().unwrap();
        Self::of(path, text)
    }

    fn of(path: &str, text: String) -> Self {
        let words = without_test_modules(&words(&text));
        Self {
            path: path.replace('\\', "/"),
            text,
            words,
        }
    }

    /// Whether this is a test module in a file of its own.
    pub(super) fn is_tests(&self) -> bool {
        self.path.ends_with("/tests.rs")
            || self.path.ends_with("_tests.rs")
            || self.path.contains("/tests/")
    }

    /// Returns the top module this file is part of; `None` for the program and for `lib.rs`.
    pub(super) fn library_module(&self) -> Option<&str> {
        let inner = self.path.strip_prefix("src/")?;
        let top = inner.split('/').next()?;
        let name = top.strip_suffix(".rs").unwrap_or(top);
        (name != "bin" && name != "lib").then_some(name)
    }

    /// Returns the top modules that this file's paths begin with.
    pub(super) fn modules_used(&self) -> BTreeSet<String> {
        let mut used = BTreeSet::new();
        for index in 0..self.words.len() {
            if let Some(after) = self.root_path_at(index) {
                collect_heads(&self.words[after..], &mut used);
            }
        }
        used
    }

    /// When a path from the crate's root begins at `index`, returns where its first name is.
    fn root_path_at(&self, index: usize) -> Option<usize> {
        let is_path = |at: usize, name: &str| {
            self.words.get(at).is_some_and(|word| word == name)
                && self.words.get(at + 1).is_some_and(|word| word == ":")
                && self.words.get(at + 2).is_some_and(|word| word == ":")
        };
        let is_start = index < 2 || self.words[index - 1] != ":";
        if is_start && is_path(index, "crate") {
            return Some(index + 3);
        }
        let climbs = (0..self.words.len())
            .take_while(|n| is_path(index + 3 * n, "super"))
            .count();
        (is_start && climbs == self.depth()).then_some(index + 3 * climbs)
    }

    /// How many `super` lead from this file's module to the root; 0 for the root itself, where
    /// paths are not looked at.
    fn depth(&self) -> usize {
        let inner = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        let depth = inner.trim_end_matches("/mod").split('/').count();
        if self.library_module().is_some() {
            depth
        } else {
            usize::MAX
        }
    }

    /// Whether a path or an import begins with that crate.
    pub(super) fn names_crate(&self, name: &str) -> bool {
        let word = |at: usize| self.words.get(at).map_or("", String::as_str);
        (0..self.words.len()).any(|at| {
            let before = at.checked_sub(1).map_or("", word);
            let is_path = word(at + 1) == ":" && word(at + 2) == ":";
            let is_import = before == "use" || before == "crate";
            word(at) == name && before != ":" && before != "." && (is_path || is_import)
        })
    }

    pub(super) fn has_word(&self, word: &str) -> bool {
        self.has_words(&[word])
    }

    pub(super) fn has_words(&self, wanted: &[&str]) -> bool {
        self.words
            .windows(wanted.len())
            .any(|words| words.iter().zip(wanted).all(|(a, b)| a == b))
    }

    /// Returns how many lines come before the test module that ends the file.
    pub(super) fn lines_without_tests(&self) -> usize {
        let is_test_module = |line: &&str| *line == "#[cfg(test)]";
        self.text
            .lines()
            .take_while(|line| !is_test_module(line))
            .count()
    }
}

/// Adds the first name of a path, or of each path of a group `{a::b, c}`.
fn collect_heads(words: &[String], used: &mut BTreeSet<String>) {
    if words.first().is_none_or(|word| word != "{") {
        used.extend(words.first().cloned());
        return;
    }
    let mut depth = 0;
    let mut is_head = true;
    for word in words {
        match word.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," if depth == 1 => {
                is_head = true;
                continue;
            }
            name if is_head && depth == 1 => {
                used.insert(name.to_owned());
                is_head = false;
            }
            _ => {}
        }
        if depth == 0 {
            return;
        }
    }
}

/// Cuts a text into names and single signs; comments and literals are gone.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skip = literal_or_comment(rest);
        if skip > 0 {
            rest = &rest[skip..];
            continue;
        }
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let end = if is_name(first) {
            rest.find(|c| !is_name(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        if !first.is_whitespace() {
            words.push(rest[..end].to_owned());
        }
        rest = &rest[end..];
    }
    words
}

/// Returns the length of the comment or literal that `text` begins with, 0 for neither.
fn literal_or_comment(text: &str) -> usize {
    let until = |end: &str, from: usize| {
        text[from..]
            .find(end)
            .map_or(text.len(), |at| from + at + end.len())
    };
    if text.starts_with("//") {
        return until("\n", 0);
    }
    if text.starts_with("/*") {
        return until("*/", 2);
    }
    let unprefixed = text.trim_start_matches(['b', 'c']);
    let prefix = text.len() - unprefixed.len();
    if let Some(raw) = unprefixed.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            return until(
                &format!("\"{}", "#".repeat(hashes)),
                prefix + 1 + hashes + 1,
            );
        }
    }
    if prefix < 2 && unprefixed.starts_with('"') {
        return prefix + quoted(unprefixed, '"');
    }
    if prefix == 0 && text.starts_with('\'') {
        // A lifetime has no closing quote right after its first character.
        let mut inner = text[1..].chars();
        let (first, second) = (inner.next(), inner.next());
        if first == Some('\\') || second == Some('\'') {
            return quoted(text, '\'');
        }
    }
    0
}

/// Returns the length of a literal in quotes, with its quotes.
fn quoted(text: &str, quote: char) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Leaves out every `#[cfg(test)] mod … { … }`: tests may use what they like.
fn without_test_modules(words: &[String]) -> Vec<String> {
    const START: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::with_capacity(words.len());
    let mut at = 0;
    while at < words.len() {
        let starts = words[at..]
            .iter()
            .zip(START)
            .filter(|(word, start)| word == start)
            .count();
        if starts == START.len()
            && words
                .get(at + START.len())
                .is_some_and(|word| word == "mod")
        {
            at = end_of_block(words, at + START.len());
        } else {
            kept.push(words[at].clone());
            at += 1;
        }
    }
    kept
}

/// Returns the place after the block, or the `;`, that follows `from`.
fn end_of_block(words: &[String], from: usize) -> usize {
    let mut depth = 0;
    for (at, word) in words.iter().enumerate().skip(from) {
        match word.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            ";" if depth == 0 => return at + 1,
            _ => continue,
        }
        if depth == 0 {
            return at + 1;
        }
    }
    words.len()
}

#[test]
fn paths_are_seen_wherever_they_are() {
    let text = r##"
        //! use crate::comment;
        use crate::host::{HostName, Port};
        use crate::{event::Event, outcome::{Kind, Status}, plan};
        fn f<'a>(x: &'a str) { let y = '\''; crate::quote::split("crate::string"); }
        const RAW: &str = r#" " crate::raw "#;
        /* crate::block */ use super::super::spool;
        use super::sibling;
        #[cfg(test)]
        mod tests { use crate::engine; fn g() { let s = "}"; } }
    "##;
    let source = Source::of("src/render/table.rs", text.to_owned());
    let used: Vec<String> = source.modules_used().into_iter().collect();
    assert_eq!(used, ["event", "host", "outcome", "plan", "quote", "spool"]);
    assert_eq!(source.library_module(), Some("render"));
    let module = Source::of("src/render/mod.rs", "use super::engine::run;".to_owned());
    assert!(module.modules_used().contains("engine"));
}

#[test]
fn crates_are_seen_as_paths_and_imports() {
    let text = "use csv; fn f() { let toml = 1; x.rayon::<u8>(); ::libc::exit; crate::globset::x }";
    let source = Source::of("src/host.rs", text.to_owned());
    assert!(source.names_crate("csv"));
    for name in ["toml", "rayon", "globset"] {
        assert!(!source.names_crate(name), "{name}");
    }
    assert!(source.has_word("let") && !source.has_word("unsafe"));
}
