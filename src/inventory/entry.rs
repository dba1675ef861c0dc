//! The first word of a text line: `[user@]host[:port]` with ranges, or a list of them.

use super::attribute::host_name;
use super::error::{Flaw, shown};
use crate::host::HostName;
use crate::hostset::{LoginSet, parse_host_entry};

/// Expands one entry; ranges may be written as hoist or as Ansible writes them.
///
/// # Errors
/// When the text is no entry; the offset is the offending character's.
pub(super) fn entry(text: &str) -> Result<LoginSet, Flaw> {
    let entry = parse_host_entry(&with_hyphens(text)).map_err(|error| Flaw::Entry {
        error: Box::new(error),
        offset: 0,
    })?;
    if text.contains(':') {
        entry.iter().try_for_each(|(name, _)| check_colons(name))?;
    }
    Ok(entry)
}

/// Refuses what a pattern would still take for a host: `2001:db8:7`, which is no IPv6 address. No
/// format of inventories knows such hosts.
fn check_colons(name: &HostName) -> Result<(), Flaw> {
    host_name(name.as_str()).map(drop).map_err(|_| {
        let found = format!("`{}`", shown(name.as_str()));
        Flaw::unexpected(found, "an IPv6 address, or a host name without `:`")
    })
}

/// Expands entries with commas between, as pdsh has them; empty ones say nothing.
pub(super) fn entries(text: &str) -> Result<Vec<LoginSet>, Flaw> {
    let mut depth = 0_usize;
    let is_between = |c: char| {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    };
    let mut offset = 0;
    let mut entries = Vec::new();
    for part in text.split(is_between) {
        if !part.is_empty() {
            entries.push(entry(part).map_err(|flaw| flaw.moved(offset))?);
        }
        offset += part.chars().count() + 1;
    }
    Ok(entries)
}

/// Rewrites Ansible's ranges `[01:20]`, `[1:20:2]`, `[a:f]` as `[01-20]`, `[1-20/2]`, `[a-f]`,
/// which have the same length, so that columns stay true. Everything else is kept.
fn with_hyphens(text: &str) -> String {
    let mut rest = text;
    let mut written = String::with_capacity(text.len());
    while let Some((before, inside)) = rest.split_once('[') {
        let Some((inside, after)) = inside.split_once(']') else {
            break;
        };
        written.push_str(before);
        written.push('[');
        let bounds: Vec<_> = inside.split(':').collect();
        match bounds[..] {
            [first, last] if is_range(first, last) => written.extend([first, "-", last]),
            [first, last, step] if is_range(first, last) && is_number(step) => {
                written.extend([first, "-", last, "/", step]);
            }
            _ => written.push_str(inside),
        }
        written.push(']');
        rest = after;
    }
    written.push_str(rest);
    written
}

fn is_range(first: &str, last: &str) -> bool {
    let is_letter = |text: &str| text.len() == 1 && text.as_bytes()[0].is_ascii_alphabetic();
    is_number(first) && is_number(last) || is_letter(first) && is_letter(last)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
