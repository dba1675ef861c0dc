//! Lists of algorithms: `+`, `-`, `^` and wildcards (`Ciphers` in `ssh_config(5)`).

use super::pattern::Pattern;

/// Returns the names that `wish` stands for, best first, of those that `supported` holds.
///
/// Without a mark the list replaces `defaults`; `+` adds to their end, `^` puts to their front, `-`
/// takes away. Names may have wildcards, except after `+` and `^`. Names that are not supported
/// are left out, so the answer may be empty.
pub fn chosen<'a>(wish: &str, defaults: &[&'a str], supported: &[&'a str]) -> Vec<&'a str> {
    let (mark, list) = match wish.chars().next() {
        Some(mark @ ('+' | '-' | '^')) => (Some(mark), &wish[1..]),
        _ => (None, wish),
    };
    let patterns: Vec<Pattern> = list.split(',').map(Pattern::new).collect();
    let is_meant = |name: &str| patterns.iter().any(|pattern| pattern.matches(name));
    let named = || {
        let each = patterns.iter();
        each.flat_map(|pattern| {
            supported
                .iter()
                .copied()
                .filter(|name| pattern.matches(name))
        })
    };
    let defaults = || defaults.iter().copied();
    let all: Vec<&str> = match mark {
        Some('-') => defaults().filter(|name| !is_meant(name)).collect(),
        Some('+') => defaults().chain(named()).collect(),
        Some(_) => named().chain(defaults()).collect(),
        None => named().collect(),
    };
    let mut once: Vec<&str> = Vec::with_capacity(all.len());
    for name in all {
        if supported.contains(&name) && !once.contains(&name) {
            once.push(name);
        }
    }
    once
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_say_what_becomes_of_the_defaults() {
        let (defaults, supported) = (["b", "c"], ["a", "b", "c", "aes-cbc"]);
        let chosen = |wish| chosen(wish, &defaults, &supported).join(",");
        assert_eq!(chosen("c,a"), "c,a");
        assert_eq!(chosen("+a,b"), "b,c,a");
        assert_eq!(chosen("^c,a"), "c,a,b");
        assert_eq!(chosen("-b*"), "c");
        assert_eq!(chosen("*-cbc,z"), "aes-cbc");
        assert_eq!(chosen("z"), "");
    }
}
