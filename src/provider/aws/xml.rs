//! What EC2 answers: XML, read by local names, without trusting it.

use roxmltree::{Document, Node, ParsingOptions};

/// Deepest nesting that is read; EC2's own answers have about ten levels.
const MAX_DEPTH: usize = 32;

/// Most nodes that are read.
const MAX_NODES: u32 = 8_000_000;

/// An element, its text and what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Element {
    name: String,
    text: String,
    children: Vec<Self>,
}

impl Element {
    /// Reads a whole document and returns its root.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        let options = ParsingOptions {
            allow_dtd: false,
            nodes_limit: MAX_NODES,
            ..ParsingOptions::default()
        };
        let document = Document::parse_with_options(text, options)
            .map_err(|error| crate::host::escaped(&format!("it is no XML: {error}")))?;
        Self::of(document.root_element(), MAX_DEPTH)
            .ok_or_else(|| "its elements are nested too deeply".to_owned())
    }

    fn of(node: Node<'_, '_>, depth: usize) -> Option<Self> {
        let depth = depth.checked_sub(1)?;
        let children = node.children().filter(Node::is_element);
        Some(Self {
            name: node.tag_name().name().to_owned(),
            text: node.text().unwrap_or_default().trim().to_owned(),
            children: children
                .map(|child| Self::of(child, depth))
                .collect::<Option<_>>()?,
        })
    }

    /// Whether its name ends as those of all answers do: `DescribeRegionsResponse`.
    pub(super) fn is_response(&self) -> bool {
        self.name.ends_with("Response")
    }

    /// Returns the first element at `path`: names from here down, with `/` between them.
    pub(super) fn at(&self, path: &str) -> Option<&Self> {
        let mut names = path.split('/');
        names.try_fold(self, |element, name| {
            element.children.iter().find(|child| child.name == name)
        })
    }

    /// Returns the text at `path`, or an empty one.
    pub(super) fn text(&self, path: &str) -> &str {
        self.at(path).map_or("", |element| &element.text)
    }

    /// Returns the text at `path` unless it is empty.
    pub(super) fn some_text(&self, path: &str) -> Option<String> {
        let text = self.text(path);
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Returns the number at `path`.
    pub(super) fn number(&self, path: &str) -> Option<u64> {
        self.text(path).parse().ok()
    }

    /// Yields the elements of the list at `path`.
    pub(super) fn items(&self, path: &str) -> impl Iterator<Item = &Self> {
        let list = self.at(path).map_or(&[][..], |list| &list.children);
        list.iter().filter(|item| item.name == "item")
    }

    /// Yields the texts of the list at `path`.
    pub(super) fn words(&self, path: &str) -> impl Iterator<Item = &str> {
        self.items(path).map(|item| item.text.as_str())
    }

    /// Returns the text of the first element called `name`, wherever it is.
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        if self.name == name {
            return Some(&self.text);
        }
        self.children.iter().find_map(|child| child.first(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_by_local_names() {
        let text = r#"<?xml version="1.0"?>
            <r xmlns="http://ec2.amazonaws.com/doc/2016-11-15/" xmlns:x="urn:x">
             <x:set><item><id> a </id></item><other/><item><id>b</id></item></x:set>
             <words><item>1</item><item>2</item></words><n>7</n>
            </r>"#;
        let root = Element::parse(text.as_bytes()).unwrap();
        let ids: Vec<_> = root.items("set").map(|item| item.text("id")).collect();
        assert_eq!(ids, ["a", "b"]);
        assert_eq!(root.words("words").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(root.number("n"), Some(7));
        assert_eq!(root.first("id"), Some("a"));
        assert_eq!(root.at("set/none"), None);
        assert_eq!(root.text(""), "");
        assert_eq!(root.some_text("other"), None);
    }

    #[test]
    fn hostile_documents_are_refused() {
        let deep = "<a>".repeat(200_000) + &"</a>".repeat(200_000);
        let entities = r#"<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><a>&c;</a>"#;
        for text in [
            &deep,
            entities,
            "",
            "<a>",
            "<a></b>",
            "<html><br></html>",
            "{}",
        ] {
            assert!(Element::parse(text.as_bytes()).is_err());
        }
        assert!(Element::parse(b"<a>\xff</a>").is_err());
        insta::assert_snapshot!(Element::parse(deep.as_bytes()).unwrap_err(), @"its elements are nested too deeply");
    }

    #[test]
    fn nothing_makes_the_reader_panic() {
        use proptest::prelude::*;
        proptest!(|(text in "(<[a-c/]>|</[a-c]>|[<>&;!\\[\\]a-c\"= ]|<!\\[CDATA\\[|\\]\\]>){0,40}")| {
            let _ = Element::parse(text.as_bytes());
        });
    }
}
