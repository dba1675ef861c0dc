//! Stand-in until the real one lands: folds `web1`, `web2`, `web3` to `web[1-3]`, no more.

use crate::host::HostName;

/// Distinct host names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostSet(Vec<HostName>);

impl FromIterator<HostName> for HostSet {
    fn from_iter<I: IntoIterator<Item = HostName>>(names: I) -> Self {
        Self(names.into_iter().collect())
    }
}

impl HostSet {
    /// Returns the names as short text.
    pub fn fold(&self) -> String {
        let mut terms: Vec<(&str, u64, u64)> = Vec::new();
        for name in &self.0 {
            let name = name.as_str();
            let prefix = name.trim_end_matches(|c: char| c.is_ascii_digit());
            let number = name[prefix.len()..].parse().unwrap_or(u64::MAX);
            match terms.last_mut() {
                Some((p, _, last)) if *p == prefix && last.checked_add(1) == Some(number) => {
                    *last = number;
                }
                _ => terms.push((prefix, number, number)),
            }
        }
        let texts = terms.into_iter().map(|(prefix, a, b)| match (a, b) {
            (u64::MAX, _) => prefix.to_owned(),
            (a, b) if a == b => format!("{prefix}{a}"),
            (a, b) => format!("{prefix}[{a}-{b}]"),
        });
        texts.collect::<Vec<_>>().join(",")
    }
}
