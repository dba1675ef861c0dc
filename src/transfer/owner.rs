//! Who is to own files, by name, found out on the host as numbers.

use super::{Site, Trouble};
use crate::host::escaped;
use crate::outcome::Kind;
use crate::remote::{Command, Exec};

/// Prints the user's and the group's number. A group that is a number stands for itself.
const FIND: &str = r#"
if [ -n "$1" ]; then u=$(id -u -- "$1" 2>/dev/null || id -u "$1" 2>/dev/null) || case $1 in
*[!0-9]*) echo "no user"; exit 1;; *) u=$1; esac
else u=-; fi
if [ -n "$2" ]; then case $2 in
*[!0-9]*) g=$( (getent group "$2" || grep "^$2:" /etc/group) 2>/dev/null | { IFS=: read -r n p g m; echo "$g"; } )
[ -n "$g" ] || { echo "no group"; exit 1; };;
*) g=$2; esac
else g=-; fi
echo "$u $g"
"#;

/// User and group as numbers; what is not to be changed is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    user: Option<u32>,
    group: Option<u32>,
}

impl Owner {
    /// Asks the host who `user`, `user:group` or `:group` is.
    pub(super) async fn find(
        site: &mut dyn Site,
        around: Exec,
        owner: &str,
    ) -> Result<Self, Trouble> {
        let (user, group) = owner.split_once(':').unwrap_or((owner, ""));
        let words = ["sh", "-c", FIND, "sh", user, group].map(Into::into);
        let ran = site.run(Exec {
            command: Command::Argv(words.into()),
            ..around
        });
        let ran = ran.await?;
        let said = String::from_utf8_lossy(&ran.stdout).trim().to_owned();
        let unknown = || {
            let who = match said.as_str() {
                "no user" => format!("no user `{}`", escaped(user)),
                "no group" => format!("no group `{}`", escaped(group)),
                _ => format!("no way to find out who `{}` is", escaped(owner)),
            };
            Trouble::new(
                Kind::Transfer,
                format!("the host has {who}; nothing was changed"),
            )
        };
        let (user, group) = said.split_once(' ').ok_or_else(unknown)?;
        let number = |text: &str| match text {
            "-" => Ok(None),
            number => number.parse().map(Some).map_err(|_| unknown()),
        };
        Ok(Self {
            user: number(user)?,
            group: number(group)?,
        })
    }

    /// Whether something that belongs to these belongs to whom it should.
    pub(super) fn is(self, found: Option<(u32, u32)>) -> bool {
        found.is_some_and(|(user, group)| {
            self.user.is_none_or(|wanted| wanted == user)
                && self.group.is_none_or(|wanted| wanted == group)
        })
    }
}
