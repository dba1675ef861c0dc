//! The account hoist runs as.

use std::path::PathBuf;

use hoist::host::UserName;

/// Returns the name of the account, as ssh would find it: by number among the local accounts,
/// else what the environment says (`fallback`), which is right for accounts of a directory.
pub(super) fn own_user(fallback: Option<&str>) -> Option<UserName> {
    let accounts = accounts();
    let name = field_of(own_number(), 0, &accounts).or(fallback)?;
    UserName::parse(name).ok()
}

/// Returns the account's folder as ssh knows it, whatever `HOME` says, where that can be known.
pub(super) fn own_home() -> Option<PathBuf> {
    field_of(own_number(), 5, &accounts()).map(PathBuf::from)
}

fn own_number() -> u32 {
    rustix::process::getuid().as_raw()
}

fn accounts() -> String {
    let accounts = std::fs::read("/etc/passwd").unwrap_or_default();
    String::from_utf8_lossy(&accounts).into_owned()
}

/// Finds a field in lines of `name:password:number:group:comment:home:shell` (passwd(5)).
fn field_of(number: u32, field: usize, accounts: &str) -> Option<&str> {
    accounts.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let is_own = fields.get(2)?.parse() == Ok(number);
        is_own.then(|| fields.get(field).copied())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_number() {
        let accounts = "# x\nroot:x:0:0:root:/root:/bin/sh\nbroken\nme:x:1000:1000::/home/me:\n";
        assert_eq!(field_of(0, 0, accounts), Some("root"));
        assert_eq!(field_of(1000, 0, accounts), Some("me"));
        assert_eq!(field_of(1000, 5, accounts), Some("/home/me"));
        assert_eq!(field_of(1, 0, accounts), None);
    }
}
