//! What a value says in a few characters: `%h`, `${HOME}`, `~`.

use std::borrow::Cow;

use super::Facts;

/// Replaces `${NAME}` by variables of the environment.
pub(super) fn variables(text: &str, facts: &Facts) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        expanded.push_str(before);
        let (name, after) = after
            .split_once('}')
            .ok_or_else(|| "`${` is never closed".to_owned())?;
        let value = facts.variables.get(name);
        let value = value.ok_or_else(|| {
            let name = crate::host::escaped(name);
            format!("the variable {name} is not set")
        })?;
        expanded.push_str(value);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// Replaces `%` and the character after it by what `token` has for that, and, where `facts` are
/// given, `${NAME}` by variables. What is put in is not looked at again.
pub(super) fn tokens<'a>(
    text: &str,
    facts: Option<&Facts>,
    token: impl Fn(char) -> Option<Cow<'a, str>>,
) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['%', '$']) {
        expanded.push_str(&rest[..at]);
        rest = &rest[at..];
        if let (Some(facts), true) = (facts, rest.starts_with("${")) {
            let end = rest.find('}').map_or(rest.len(), |end| end + 1);
            expanded.push_str(&variables(&rest[..end], facts)?);
            rest = &rest[end..];
            continue;
        }
        if let Some(after) = rest.strip_prefix('$') {
            expanded.push('$');
            rest = after;
            continue;
        }
        let mut chars = rest[1..].chars();
        let key = chars
            .next()
            .ok_or_else(|| "it ends in `%`; `%%` is a per cent sign".to_owned())?;
        if key == '%' {
            expanded.push('%');
        } else {
            let value = token(key);
            expanded.push_str(
                &value.ok_or_else(|| {
                    format!("`%{}` stands for nothing here", key.escape_default())
                })?,
            );
        }
        rest = chars.as_str();
    }
    expanded.push_str(rest);
    Ok(expanded)
}

/// Replaces a leading `~` by the home folder.
pub(super) fn home(text: &str, facts: &Facts) -> Result<String, String> {
    match text.strip_prefix('~') {
        None => Ok(text.to_owned()),
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            Ok(format!("{}{rest}", facts.home.display()))
        }
        Some(rest) => {
            let (user, below) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let home = facts.home_of(user);
            let user = crate::host::escaped(user);
            let home = home.ok_or_else(|| format!("there is no account `{user}` here"))?;
            Ok(format!("{home}{below}"))
        }
    }
}
