//! One host's record as hoist prints it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// The fields of a host's record.
#[derive(Debug, Clone)]
pub(crate) struct Record(Value);

impl Record {
    /// Reads an array of records, or one a line; lines that are events but no result are left out.
    pub(crate) fn all(bytes: &[u8]) -> Result<Vec<Self>, serde_json::Error> {
        if bytes.trim_ascii_start().starts_with(b"[") {
            let array: Vec<Value> = serde_json::from_slice(bytes)?;
            return Ok(array.into_iter().map(Self).collect());
        }
        serde_json::Deserializer::from_slice(bytes)
            .into_iter::<Value>()
            .map(|value| value.map(Self))
            .collect()
    }

    /// Returns the field, `null` where it is missing.
    pub(crate) fn get(&self, field: &str) -> &Value {
        &self.0[field]
    }

    /// Whether there is such a field at all.
    pub(crate) fn has(&self, field: &str) -> bool {
        self.0.get(field).is_some()
    }

    /// Returns a text, `""` where the field is missing or `null`.
    pub(crate) fn text(&self, field: &str) -> String {
        self.get(field).as_str().unwrap_or_default().to_owned()
    }

    /// Returns a number; fails the test where there is none.
    #[track_caller]
    pub(crate) fn number(&self, field: &str) -> i64 {
        let value = self.get(field).as_i64();
        value.unwrap_or_else(|| panic!("`{field}` is no number in {:#}", self.0))
    }

    /// Whether the field is `true`.
    pub(crate) fn is(&self, field: &str) -> bool {
        self.get(field).as_bool() == Some(true)
    }

    /// Returns what a pipe carried, whichever way the record holds it.
    pub(crate) fn bytes(&self, pipe: &str) -> Vec<u8> {
        match self.get(&format!("{pipe}_b64")).as_str() {
            Some(encoded) => STANDARD.decode(encoded).expect("valid base64"),
            None => self.text(pipe).into_bytes(),
        }
    }
}
