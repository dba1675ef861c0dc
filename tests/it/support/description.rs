//! The description of a hosting API, asked for what Prism lets pass: names that it doesn't know. An
//! option that is misspelled is no error to most schemas, and no server gets it.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::stub::Asked;

/// Members of a schema that hold further ones, all of which may say something of the same value.
const PARTS: [&str; 3] = ["allOf", "oneOf", "anyOf"];

/// A description of an API, in the language of `OpenAPI`.
pub(crate) struct Description(Value);

impl Description {
    /// Reads `tests/contract/specs/NAME.json`.
    pub(crate) fn of(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/contract/specs");
        let text = fs::read(folder.join(format!("{name}.json"))).unwrap();
        Self(serde_json::from_slice(&text).unwrap())
    }

    /// Returns what a request names, in its query and its body, that is not described.
    pub(crate) fn unknown(&self, asked: &Asked) -> Vec<String> {
        let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
        let Some(item) = self.item(path) else {
            // Prism refuses it.
            return Vec::new();
        };
        let call = &item[asked.method.to_lowercase()];
        let parameters = [item, call].map(|place| place["parameters"].as_array());
        let parameters: Vec<&Value> = (parameters.into_iter().flatten().flatten())
            .map(|parameter| self.resolved(parameter))
            .collect();
        let is_described = |name: &str| {
            let mut queries = parameters.iter().filter(|known| known["in"] == "query");
            queries.any(|known| known["name"] == name)
        };
        let names = query.split('&').filter_map(|pair| pair.split('=').next());
        let names = names.filter(|name| !name.is_empty() && !is_described(name));
        let mut unknown: Vec<String> = names
            .map(|name| format!("query/{name}: not described"))
            .collect();
        let body = serde_json::from_slice(&asked.body).unwrap_or_default();
        let schema = &self.resolved(&call["requestBody"])["content"]["application/json"]["schema"];
        self.look(&body, &[schema], "body", &mut unknown);
        unknown
    }

    /// Returns what is described of a path.
    fn item(&self, path: &str) -> Option<&Value> {
        let is_it = |template: &str| {
            let (own, asked) = (template.split('/'), path.split('/'));
            own.clone().count() == asked.clone().count()
                && own
                    .zip(asked)
                    .all(|(own, asked)| own == asked || own.starts_with('{'))
        };
        let mut paths = self.0["paths"].as_object().unwrap().iter();
        paths
            .find(|(template, _)| is_it(template))
            .map(|(_, item)| item)
    }

    fn resolved<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(place) => self.0.pointer(place.trim_start_matches('#')).unwrap(),
            None => value,
        }
    }

    /// Looks for fields that no schema of `schemas` has, in a value and all below it.
    fn look(&self, value: &Value, schemas: &[&Value], place: &str, unknown: &mut Vec<String>) {
        let schemas = self.parts(schemas);
        match value {
            Value::Array(items) => {
                let of_items: Vec<&Value> = schemas.iter().map(|schema| &schema["items"]).collect();
                for item in items {
                    self.look(item, &of_items, place, unknown);
                }
            }
            // Without any property, any name will do: labels are such an object.
            Value::Object(fields)
                if schemas
                    .iter()
                    .any(|schema| schema["properties"].is_object()) =>
            {
                for (name, value) in fields {
                    let own = schemas
                        .iter()
                        .filter_map(|schema| schema["properties"].get(name));
                    let own: Vec<&Value> = own.collect();
                    let place = format!("{place}/{name}");
                    if own.is_empty() {
                        unknown.push(format!("{place}: not described"));
                    }
                    self.look(value, &own, &place, unknown);
                }
            }
            _ => {}
        }
    }

    /// Returns the schemas that some are made of, and they themselves.
    fn parts<'a>(&'a self, schemas: &[&'a Value]) -> Vec<&'a Value> {
        let mut all = Vec::new();
        let mut next: Vec<&Value> = schemas.to_vec();
        while let Some(schema) = next.pop() {
            let schema = self.resolved(schema);
            let parts = PARTS.iter().filter_map(|part| schema[part].as_array());
            next.extend(parts.flatten());
            all.push(schema);
        }
        all
    }
}
