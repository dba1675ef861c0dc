//! What a person wrote, found among what a vendor offers.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Article, ProviderError, ProviderName, error};
use crate::host::escaped;

/// Most candidates that an error lists.
const MAX_LISTED: usize = 5;

/// Returns the article that `wanted` names: by its id, by its name, by its name whatever the case,
/// or as the only one whose name holds it.
///
/// # Errors
/// When there is none, with what was perhaps meant; when there are several, with the first of them.
pub(super) fn choose<'a>(
    provider: ProviderName,
    what: &'static str,
    wanted: &str,
    articles: &'a [Article],
) -> Result<&'a Article, ProviderError> {
    let lower = wanted.to_lowercase();
    if let Some(article) = articles.iter().find(|article| article.id == wanted) {
        return Ok(article);
    }
    let is_exact = |article: &&Article| article.name == wanted;
    let is_same = |article: &&Article| {
        article.id.to_lowercase() == lower || article.name.to_lowercase() == lower
    };
    let holds = |article: &&Article| article.name.to_lowercase().contains(&lower);
    // Names need not be unique.
    let mut found: Vec<&Article> = articles.iter().filter(is_exact).collect();
    if found.is_empty() {
        found = articles.iter().filter(is_same).collect();
    }
    if found.is_empty() && !lower.is_empty() {
        found = articles.iter().filter(holds).collect();
    }
    match found.as_slice() {
        [article] => Ok(article),
        [] => Err(unknown(provider, what, wanted, names(articles))),
        several => Err(ProviderError::Input {
            message: ambiguous(what, wanted, several),
        }),
    }
}

/// Returns the error of a name that is none of `known`, all of which `hoist cloud` lists.
pub(super) fn unknown<'a>(
    provider: ProviderName,
    what: &'static str,
    wanted: &str,
    known: impl Iterator<Item = &'a str>,
) -> ProviderError {
    let mut error = error::unknown(what, wanted, known);
    if let ProviderError::Unknown { see, .. } = &mut error {
        *see = Some(format!("hoist cloud {what}s {provider}"));
    }
    error
}

/// Yields everything by which one of `articles` can be named.
pub(super) fn names(articles: &[Article]) -> impl Iterator<Item = &str> {
    let ids = articles.iter().map(|article| article.id.as_str());
    let names = articles.iter().map(|article| article.name.as_str());
    ids.chain(names)
}

fn ambiguous(what: &str, wanted: &str, several: &[&Article]) -> String {
    let listed = several.iter().take(MAX_LISTED);
    let listed: Vec<String> = listed
        .map(|article| format!("`{}` ({})", escaped(&article.id), escaped(&article.name)))
        .collect();
    let rest = several.len().saturating_sub(MAX_LISTED);
    let rest = match rest {
        0 => String::new(),
        rest => format!(" and {rest} more"),
    };
    format!(
        "{what} `{}` could be {}{rest}; write the id",
        escaped(wanted),
        listed.join(", ")
    )
}

/// What a setting of a vendor may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Number,
    /// A text; a number will do.
    Text,
    /// Several texts; one alone will do, and commas part them.
    Texts,
    /// Whatever JSON the vendor takes.
    Json,
}

/// Checks the settings that a person gave against those that the vendor knows, and returns them as
/// the vendor's create call takes them.
///
/// # Errors
/// When one is not known, with what was perhaps meant, or holds something else.
pub(super) fn settings(
    options: &BTreeMap<String, Value>,
    known: &[(&'static str, Kind)],
) -> Result<Map<String, Value>, ProviderError> {
    let mut checked = Map::new();
    for (name, value) in options {
        let found = known.iter().find(|(known, _)| known == name);
        let Some((_, kind)) = found else {
            let names = known.iter().map(|(known, _)| *known);
            return Err(error::unknown("setting", name, names));
        };
        let value = fitted(*kind, value).ok_or_else(|| ProviderError::Input {
            message: format!(
                "the setting `{}` takes {}, not `{}`",
                escaped(name),
                kind.described(),
                escaped(&value.to_string())
            ),
        })?;
        checked.insert(name.clone(), value);
    }
    Ok(checked)
}

impl Kind {
    fn described(self) -> &'static str {
        match self {
            Self::Flag => "true or false",
            Self::Number => "a whole number",
            Self::Text => "a text",
            Self::Texts => "a list of texts",
            Self::Json => "JSON",
        }
    }
}

fn fitted(kind: Kind, value: &Value) -> Option<Value> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    match kind {
        Kind::Flag => value.is_boolean().then(|| value.clone()),
        Kind::Number => (value.is_i64() || value.is_u64()).then(|| value.clone()),
        Kind::Text => text(value).map(Value::String),
        Kind::Texts => match value {
            Value::Array(list) => list
                .iter()
                .map(|value| text(value).map(Value::String))
                .collect(),
            one => {
                let one = text(one)?;
                let parts = one
                    .split(',')
                    .map(str::trim)
                    .filter(|part| !part.is_empty());
                Some(parts.map(Value::from).collect())
            }
        },
        Kind::Json => Some(value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn articles() -> Vec<Article> {
        let all = [
            ("2136", "Debian 12 x64 (bookworm)"),
            ("477", "Debian 11 x64 (bullseye)"),
            ("1743", "Ubuntu 22.04 x64"),
        ];
        let article = |(id, name): (&str, &str)| Article {
            id: id.to_owned(),
            name: name.to_owned(),
            price: None,
        };
        all.into_iter().map(article).collect()
    }

    fn chosen(wanted: &str) -> Result<String, String> {
        let articles = articles();
        let chosen = choose(ProviderName::Vultr, "image", wanted, &articles);
        chosen
            .map(|article| article.id.clone())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_id_a_name_or_the_one_that_holds_it_is_chosen() {
        for (wanted, id) in [
            ("2136", "2136"),
            ("Debian 12 x64 (bookworm)", "2136"),
            ("ubuntu 22.04 X64", "1743"),
            ("debian 12", "2136"),
        ] {
            assert_eq!(chosen(wanted), Ok(id.to_owned()), "{wanted}");
        }
    }

    #[test]
    fn what_is_not_one_article_is_an_error_that_helps() {
        insta::assert_snapshot!(chosen("Debian").unwrap_err(), @"image `Debian` could be `2136` (Debian 12 x64 (bookworm)), `477` (Debian 11 x64 (bullseye)); write the id");
        insta::assert_snapshot!(chosen("2137").unwrap_err(), @"image `2137` is not known; did you mean `2136`?");
        insta::assert_snapshot!(chosen("plan 9").unwrap_err(), @"image `plan 9` is not known; `hoist cloud images vultr` lists them");
        insta::assert_snapshot!(chosen("").unwrap_err(), @"image `` is not known; `hoist cloud images vultr` lists them");
    }

    #[test]
    fn settings_are_checked_against_what_the_vendor_knows() {
        let known = [
            ("backups", Kind::Flag),
            ("boot_size", Kind::Number),
            ("vpc_id", Kind::Text),
            ("groups", Kind::Texts),
        ];
        let try_one = |name: &str, value: Value| {
            let options = BTreeMap::from([(name.to_owned(), value)]);
            settings(&options, &known)
                .map(|map| map[name].clone())
                .map_err(|error| error.to_string())
        };
        assert_eq!(try_one("backups", json!(true)), Ok(json!(true)));
        assert_eq!(try_one("vpc_id", json!(12)), Ok(json!("12")));
        assert_eq!(try_one("groups", json!("a, b")), Ok(json!(["a", "b"])));
        insta::assert_snapshot!(try_one("backup", json!(true)).unwrap_err(), @"setting `backup` is not known; did you mean `backups`?");
        insta::assert_snapshot!(try_one("boot_size", json!("big")).unwrap_err(), @r#"the setting `boot_size` takes a whole number, not `"big"`"#);
    }
}
