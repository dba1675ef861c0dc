//! JSON that knows where it stands: a value is a piece of the document until it is looked into.
//!
//! Every value keeps its exact text, so an error can point at it and a nested value can become a
//! variable as it was written.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::document::Document;
use super::error::{Flaw, InventoryError, Place, shown};

/// One value in a document.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    document: &'a Document,
    /// Exactly its text in the document.
    pub(super) raw: &'a str,
}

/// What a value is, one level deep.
pub(super) enum Json<'a> {
    Null,
    /// A number, `true` or `false`.
    Scalar,
    Text(String),
    Array(Vec<Node<'a>>),
    Object(Vec<Field<'a>>),
}

/// A key with its value.
pub(super) struct Field<'a> {
    pub(super) name: String,
    /// The key itself.
    pub(super) key: Node<'a>,
    pub(super) value: Node<'a>,
}

/// Returns the values that `document` holds one after another; usually there is one.
///
/// # Errors
/// When the text is not JSON.
pub(super) fn values(document: &Document) -> Result<Vec<Node<'_>>, InventoryError> {
    let text = document.text()?;
    serde_json::Deserializer::from_str(text)
        .into_iter::<&RawValue>()
        .map(|value| match value {
            Ok(value) => Ok(Node {
                document,
                raw: value.get(),
            }),
            Err(error) => Err(not_json(document, text, 0, &error)),
        })
        .collect()
}

/// Says where in the document the piece of it that starts at `start` stops being JSON.
fn not_json(
    document: &Document,
    piece: &str,
    start: usize,
    error: &serde_json::Error,
) -> InventoryError {
    let lines = piece.split_inclusive('\n').take(error.line().max(1) - 1);
    let line: usize = lines.map(str::len).sum();
    let offset = (line + error.column().saturating_sub(1)).min(piece.len());
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or(&message);
    let found = format!("broken JSON ({})", shown(message));
    Flaw::unexpected(found, "valid JSON").at(document.place(start + offset))
}

impl<'a> Node<'a> {
    /// Looks into the value.
    ///
    /// # Errors
    /// When a text holds half a character.
    pub(super) fn open(self) -> Result<Json<'a>, InventoryError> {
        let opened = match self.raw.as_bytes().first() {
            Some(b'{') => serde_json::from_str::<Fields<'a>>(self.raw)
                .and_then(|fields| self.fields(fields))
                .map(Json::Object),
            Some(b'[') => serde_json::from_str::<Vec<&'a RawValue>>(self.raw)
                .map(|values| Json::Array(values.into_iter().map(|v| self.inner(v)).collect())),
            Some(b'"') => serde_json::from_str(self.raw).map(Json::Text),
            Some(b'n') => Ok(Json::Null),
            _ => Ok(Json::Scalar),
        };
        opened.map_err(|error| not_json(self.document, self.raw, self.offset(), &error))
    }

    fn inner(self, value: &'a RawValue) -> Self {
        Self {
            raw: value.get(),
            ..self
        }
    }

    fn fields(self, fields: Fields<'a>) -> serde_json::Result<Vec<Field<'a>>> {
        let field = |(key, value): (&'a RawValue, &'a RawValue)| {
            Ok(Field {
                name: serde_json::from_str(key.get())?,
                key: self.inner(key),
                value: self.inner(value),
            })
        };
        fields.0.into_iter().map(field).collect()
    }

    /// Returns the value's byte offset in the document.
    fn offset(self) -> usize {
        // Both are parts of one text: the distance of their starts is the offset.
        let base = self.document.bytes().as_ptr().addr();
        self.raw.as_ptr().addr() - base
    }

    /// Returns where the value starts.
    pub(super) fn place(self) -> Place {
        self.document.place(self.offset())
    }

    /// Returns the line on which the value starts.
    pub(super) fn line(self) -> usize {
        self.document.line(self.offset())
    }

    /// Puts a flaw of the value in its place, within the quotes of a text.
    pub(super) fn at(self, flaw: Flaw) -> InventoryError {
        let quote = usize::from(self.raw.starts_with('"'));
        flaw.at(self.document.place(self.offset() + quote))
    }

    /// Returns the error that something else than this value belongs here.
    pub(super) fn instead_of(self, expected: &str) -> InventoryError {
        let found = match self.raw.as_bytes().first() {
            Some(b'{') => "an object".to_owned(),
            Some(b'[') => "an array".to_owned(),
            _ => format!("`{}`", shown(self.raw)),
        };
        Flaw::unexpected(found, expected).at(self.place())
    }

    /// Returns the fields of an object.
    pub(super) fn object(self, expected: &str) -> Result<Vec<Field<'a>>, InventoryError> {
        match self.open()? {
            Json::Object(fields) => Ok(fields),
            _ => Err(self.instead_of(expected)),
        }
    }

    /// Returns the text.
    pub(super) fn text(self, expected: &str) -> Result<String, InventoryError> {
        match self.open()? {
            Json::Text(text) => Ok(text),
            _ => Err(self.instead_of(expected)),
        }
    }

    /// Returns the value as that of a variable: a text without its quotes, anything else as it is
    /// written; `None` for null.
    pub(super) fn value(self) -> Result<Option<String>, InventoryError> {
        Ok(match self.open()? {
            Json::Null => None,
            Json::Text(text) => Some(text),
            _ => Some(self.raw.to_owned()),
        })
    }
}

/// The raw fields of an object, in order.
struct Fields<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;

        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(map.size_hint().unwrap_or(0));
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(FieldsVisitor)
    }
}
