//! How many names a text may stand for, from above.

/// Most names that a check expands.
pub(super) const MOST_NAMES: u64 = 2_000;

/// Returns at least as many names as the entries of `text` stand for together. Only brackets are
/// looked at: steps, repeated names and errors make it less.
pub(super) fn names(text: &str) -> u64 {
    let mut total = 0_u64;
    let mut entry = 1_u64;
    let mut rest = text;
    while let Some((before, inside)) = rest.split_once('[') {
        if before.contains(is_between) {
            total = total.saturating_add(entry);
            entry = 1;
        }
        let (bracket, after) = inside.split_once(']').unwrap_or((inside, ""));
        entry = entry.saturating_mul(values(bracket));
        rest = after;
    }
    let others = text.matches(is_between).count() as u64;
    total.saturating_add(entry).saturating_add(others)
}

fn is_between(c: char) -> bool {
    c.is_ascii_whitespace() || ",!&^()".contains(c)
}

/// Returns how many values there are in a bracket.
fn values(bracket: &str) -> u64 {
    let items = bracket.split(',').map(|item| {
        let range = item.split_once('/').map_or(item, |(range, _)| range);
        match range.split_once(['-', ':']) {
            Some((first, last)) => range_length(first, last),
            None => 1,
        }
    });
    items.fold(0, u64::saturating_add).max(1)
}

fn range_length(first: &str, last: &str) -> u64 {
    let last = last.split(':').next().unwrap_or(last);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(first) || !is_number(last) {
        // Letters, or nothing that could be a range.
        return 26;
    }
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) => last.saturating_sub(first).saturating_add(1),
        _ => u64::MAX,
    }
}
