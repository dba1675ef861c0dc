//! The account hoist runs as.

use hoist::host::UserName;

/// Returns the name of the account, as ssh would find it: by number among the local accounts,
/// else what the environment says (`fallback`), which is right for accounts of a directory.
pub(super) fn own_user(fallback: Option<&str>) -> Option<UserName> {
    let number = rustix::process::getuid().as_raw();
    let accounts = std::fs::read("/etc/passwd").unwrap_or_default();
    let accounts = String::from_utf8_lossy(&accounts);
    let name = name_of(number, &accounts).or(fallback)?;
    UserName::parse(name).ok()
}

/// Finds the name in lines of `name:password:number:…` (passwd(5)).
fn name_of(number: u32, accounts: &str) -> Option<&str> {
    accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _, found) = (fields.next()?, fields.next()?, fields.next()?);
        (found.parse() == Ok(number)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_number() {
        let accounts = "# x\nroot:x:0:0:root:/root:/bin/sh\nbroken\nme:x:1000:1000::/home/me:\n";
        assert_eq!(name_of(0, accounts), Some("root"));
        assert_eq!(name_of(1000, accounts), Some("me"));
        assert_eq!(name_of(1, accounts), None);
    }
}
