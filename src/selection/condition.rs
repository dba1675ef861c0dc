//! Conditions on the columns of the inventory: `COLUMN=GLOB`.
//!
//! The columns that every inventory may have and the variables of this one are known; any other
//! is an error. What a pattern says of user and port counts before what the inventory says. A
//! host without a value in the column doesn't match, whatever the glob.

use super::{Found, SelectionError, World};
use crate::host::{Address, TransportName, UserName};
use crate::hostset::{Glob, suggest};

/// One `COLUMN=GLOB`.
pub(super) struct Condition {
    column: Column,
    glob: Glob,
}

/// What a condition is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Column {
    Name,
    Address,
    User,
    Port,
    Groups,
    Identity,
    Jump,
    Transport,
    Provider,
    Id,
    HostKey,
    Variable(String),
}

/// The columns every inventory has.
const COLUMNS: [(&str, Column); 11] = [
    ("name", Column::Name),
    ("address", Column::Address),
    ("user", Column::User),
    ("port", Column::Port),
    ("groups", Column::Groups),
    ("identity", Column::Identity),
    ("jump", Column::Jump),
    ("transport", Column::Transport),
    ("provider", Column::Provider),
    ("id", Column::Id),
    ("host_key", Column::HostKey),
];

impl Condition {
    pub(super) fn parse(text: &str, world: &World<'_>) -> Result<Self, SelectionError> {
        let own = || text.to_owned();
        let Some((column, glob)) = text.split_once('=').filter(|(c, _)| !c.is_empty()) else {
            return Err(SelectionError::Condition { text: own() });
        };
        let Some(column) = Column::find(column, world) else {
            let known = COLUMNS.iter().map(|(name, _)| *name);
            let suggestion = suggest(column, known.chain(world.variables()));
            return Err(SelectionError::UnknownColumn {
                text: own(),
                column: column.to_owned(),
                suggestion: suggestion.map(str::to_owned),
            });
        };
        let glob = Glob::new(glob).map_err(|error| SelectionError::Glob { text: own(), error })?;
        Ok(Self { column, glob })
    }

    /// Whether `found` meets it. Nothing matches where the host has no value.
    pub(super) fn holds(&self, found: &Found<'_>, world: &World<'_>) -> bool {
        let (host, login) = (&*found.host, &found.login);
        let is_match = |value: &str| self.glob.is_match(value);
        let name = Some(host.name.as_str());
        let user = login.user.as_ref().or(host.user.as_ref());
        let port = login.port.or(host.port);
        let value = match &self.column {
            Column::Groups => return world.groups_of(&host.name).into_iter().any(is_match),
            Column::Port => return port.is_some_and(|port| is_match(&port.to_string())),
            Column::Name => name,
            // A host without an address is dialled by its name.
            Column::Address => host.address.as_ref().map(Address::as_str).or(name),
            Column::User => user.map(UserName::as_str),
            Column::Identity => host.identity.as_deref(),
            Column::Jump => host.jump.as_deref(),
            Column::Transport => host.transport.map(TransportName::as_str),
            Column::Provider => host.provider.as_deref(),
            Column::Id => host.id.as_deref(),
            Column::HostKey => host.host_key.as_deref(),
            Column::Variable(name) => host.variables.get(name),
        };
        value.is_some_and(is_match)
    }
}

impl Column {
    fn find(name: &str, world: &World<'_>) -> Option<Self> {
        let known = COLUMNS.iter().find(|(known, _)| *known == name);
        known.map(|(_, column)| column.clone()).or_else(|| {
            let is_variable = world.variables().contains(&name);
            is_variable.then(|| Self::Variable(name.to_owned()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{hosts, resolved, strings, wheres};

    #[test]
    fn conditions_are_on_any_column() {
        for (condition, names) in [
            ("name=web?", "web3 web1 web2"),
            ("address=10.*", "web3 web1 web2 10.0.0.9"),
            ("address=db1", "db1"),
            ("user=*", "web1 db1"),
            ("port=2*", "web1"),
            ("groups=edge", "web1"),
            ("groups=*b", "web3 web1 web2 db1"),
            ("identity=*/db", "db1"),
            ("jump=bastion", "db1"),
            ("transport=local", "10.0.0.9"),
            ("provider=vultr", "web3 web1"),
            ("id=v[12]", "web1"),
            ("rack={a,b}1", "web3 web1 db1"),
            ("env=gr??e", "10.0.0.9"),
        ] {
            assert_eq!(resolved(&wheres(&[condition])), names, "{condition}");
        }
        assert_eq!(resolved(&wheres(&["rack=a*", "env=prod"])), "web1 db1");
        let mut root = hosts(&["root@web1,web[2-3]:2200"]);
        root.wheres = strings(&["user=root"]);
        assert_eq!(resolved(&root), "web1");
        root.wheres = strings(&["port=2200"]);
        assert_eq!(resolved(&root), "web2 web3");
    }

    #[test]
    fn bad_conditions_are_shown() {
        insta::assert_snapshot!(resolved(&wheres(&["rack"])), @"condition `rack` is not of the form `COLUMN=GLOB`");
        insta::assert_snapshot!(resolved(&wheres(&["=a1"])), @"condition `=a1` is not of the form `COLUMN=GLOB`");
        insta::assert_snapshot!(resolved(&wheres(&["rakc=a1"])), @"condition `rakc=a1`: there is no column or variable `rakc`; did you mean `rack`?");
        insta::assert_snapshot!(resolved(&wheres(&["adress=*"])), @"condition `adress=*`: there is no column or variable `adress`; did you mean `address`?");
        insta::assert_snapshot!(resolved(&wheres(&["\u{1b}=*"])), @r"condition `\u{1b}=*`: there is no column or variable `\u{1b}`");
        insta::assert_snapshot!(resolved(&wheres(&["rack=[a"])), @"condition `rack=[a`: unclosed character class; missing ']'");
        insta::assert_snapshot!(resolved(&wheres(&["rack=c*"])), @"no host is selected: none of 5 meets the conditions");
    }
}
