//! Which hosts a run is about: patterns, exclusions, conditions, a sample.
//!
//! A [`Selection`] is what was asked for; [`Selection::resolve`] holds it against an inventory, or
//! against nothing, and gives the hosts in order. Whatever doesn't fit is an error here, before
//! anyone is contacted: an unknown name, group or column, an empty selection, an unexpected size.

mod condition;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::host::{Host, HostName, escaped};
use crate::hostset::{
    DidYouMean, GlobError, Login, LoginSet, Names, NoNames, Pattern, PatternError,
};
use crate::inventory::Inventory;
use condition::Condition;

/// What was asked for.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Patterns, united in order (`-w`); all hosts of the inventory when there is none.
    pub hosts: Vec<String>,
    /// Patterns whose hosts are taken away last (`-x`).
    pub exclude: Vec<String>,
    /// Conditions `COLUMN=GLOB` that all must hold (`--where`).
    pub wheres: Vec<String>,
    /// Keep that many, at random, in order (`--pick`); all when there are fewer.
    pub pick: Option<usize>,
    /// Put them in random order (`--shuffle`).
    pub shuffle: bool,
    /// Makes the sample and the random order the same every time (`--seed`).
    pub seed: Option<u64>,
    /// How many hosts there must be in the end (`--expect`).
    pub expect: Option<Expect>,
    /// Accept names that the inventory doesn't hold (`--ad-hoc`).
    pub ad_hoc: bool,
}

/// One host that was selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// The host as the inventory knows it, or nothing but its name.
    pub host: Host,
    /// What the pattern says of user and port; it wins over everything.
    pub login: Login,
}

/// How many hosts a selection must have: `3`, or `2..5` with both ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expect {
    /// Fewest.
    pub min: usize,
    /// Most, at least `min`.
    pub max: usize,
}

/// A text that is no [`Expect`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{}` is not a number of hosts; expected `3` or `2..5`", escaped(.text))]
pub struct ExpectError {
    /// The text.
    pub text: String,
}

impl FromStr for Expect {
    type Err = ExpectError;

    fn from_str(text: &str) -> Result<Self, ExpectError> {
        let (min, max) = text.split_once("..").unwrap_or((text, text));
        let number = |digits: &str| {
            let is_number = digits.bytes().all(|b| b.is_ascii_digit());
            is_number.then(|| digits.parse().ok()).flatten()
        };
        match (number(min), number(max)) {
            (Some(min), Some(max)) if min <= max => Ok(Self { min, max }),
            _ => Err(ExpectError {
                text: text.to_owned(),
            }),
        }
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max {
            self.min.fmt(f)
        } else {
            write!(f, "{} to {}", self.min, self.max)
        }
    }
}

/// Why a selection can't be worked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SelectionError {
    /// A pattern is malformed or names what the inventory doesn't have.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// Neither a pattern nor an inventory.
    #[error("no hosts are given; name an inventory with `-i` or hosts with `-w`")]
    NoHosts,
    /// A condition without `=`.
    #[error("condition `{}` is not of the form `COLUMN=GLOB`", escaped(.text))]
    Condition {
        /// The condition.
        text: String,
    },
    /// A condition on a column that no host has.
    #[error(
        "condition `{}`: there is no column or variable `{}`{}",
        escaped(.text),
        escaped(.column),
        DidYouMean(.suggestion.as_deref())
    )]
    UnknownColumn {
        /// The condition.
        text: String,
        /// The column asked for.
        column: String,
        /// The nearest column there is.
        suggestion: Option<String>,
    },
    /// A condition whose glob is malformed.
    #[error("condition `{}`: {error}", escaped(.text))]
    Glob {
        /// The condition.
        text: String,
        /// What is wrong with the glob.
        error: GlobError,
    },
    /// Nothing is left.
    #[error("no host is selected: {0}")]
    Empty(Emptied),
    /// Another number of hosts than expected.
    #[error("the size of the selection is {found}, expected {expect}")]
    Unexpected {
        /// How many there are.
        found: usize,
        /// How many there should be.
        expect: Expect,
    },
}

/// What left a selection without hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Emptied {
    /// There was nothing to select from.
    #[error("the inventory has no hosts")]
    Inventory,
    /// The patterns stand for nothing.
    #[error("the patterns stand for no host")]
    Patterns,
    /// The exclusions took all away.
    #[error("all {0} are excluded")]
    Exclude(usize),
    /// No host meets the conditions.
    #[error("none of {0} meets the conditions")]
    Wheres(usize),
    /// A sample of none was asked for.
    #[error("a sample of 0 was asked for")]
    Pick,
}

impl Selection {
    /// Returns the hosts asked for: in the order their names are written, those of groups, globs
    /// and of a selection without patterns in the inventory's order, unless shuffled.
    ///
    /// # Errors
    /// See [`SelectionError`].
    pub fn resolve(&self, inventory: Option<&Inventory>) -> Result<Vec<Selected>, SelectionError> {
        let names: &dyn Names = inventory.map_or(&NoNames, |inventory| inventory);
        let world = World { inventory, names };
        let conditions = self.conditions(&world)?;
        let chosen = self.chosen(&world)?;
        let before = chosen.len();
        let mut hosts = world.hosts(chosen);
        hosts.retain(|found| conditions.iter().all(|c| c.holds(found, &world)));
        non_empty(hosts.len(), Emptied::Wheres(before))?;
        self.sample(&mut hosts);
        non_empty(hosts.len(), Emptied::Pick)?;
        self.check_expected(hosts.len())?;
        Ok(hosts.into_iter().map(Found::into_selected).collect())
    }

    /// Reads the conditions.
    fn conditions(&self, world: &World<'_>) -> Result<Vec<Condition>, SelectionError> {
        let conditions = self.wheres.iter();
        conditions
            .map(|text| Condition::parse(text, world))
            .collect()
    }

    /// Works out patterns and exclusions.
    fn chosen(&self, world: &World<'_>) -> Result<LoginSet, SelectionError> {
        let mut chosen = self.included(world)?;
        let before = chosen.len();
        let excluded = self.united(&self.exclude, world)?;
        if !excluded.is_empty() {
            chosen.subtract(&excluded);
        }
        non_empty(chosen.len(), Emptied::Exclude(before))?;
        Ok(chosen)
    }

    fn included(&self, world: &World<'_>) -> Result<LoginSet, SelectionError> {
        if !self.hosts.is_empty() {
            let included = self.united(&self.hosts, world)?;
            non_empty(included.len(), Emptied::Patterns)?;
            return Ok(included);
        }
        if world.inventory.is_none() {
            return Err(SelectionError::NoHosts);
        }
        let all = world
            .names
            .all()
            .map(|name| (name.clone(), Login::default()));
        let all: LoginSet = all.collect();
        non_empty(all.len(), Emptied::Inventory)?;
        Ok(all)
    }

    fn united(&self, patterns: &[String], world: &World<'_>) -> Result<LoginSet, SelectionError> {
        let mut united = LoginSet::new();
        for text in patterns {
            let pattern = Pattern::parse(text)?;
            if !self.ad_hoc {
                world.check_known(&pattern)?;
            }
            united.unite(pattern.expand(world.names)?);
        }
        Ok(united)
    }

    /// Takes the sample and puts it in its order.
    fn sample<T>(&self, hosts: &mut Vec<T>) {
        let mut random = match self.seed {
            Some(seed) => fastrand::Rng::with_seed(seed),
            None => fastrand::Rng::new(),
        };
        if let Some(pick) = self.pick.filter(|pick| *pick < hosts.len()) {
            let mut is_picked: Vec<bool> = (0..hosts.len()).map(|index| index < pick).collect();
            random.shuffle(&mut is_picked);
            let mut is_picked = is_picked.into_iter();
            hosts.retain(|_| is_picked.next().unwrap_or(false));
        }
        if self.shuffle {
            random.shuffle(hosts);
        }
    }

    fn check_expected(&self, found: usize) -> Result<(), SelectionError> {
        match self.expect {
            Some(expect) if found < expect.min || found > expect.max => {
                Err(SelectionError::Unexpected { found, expect })
            }
            _ => Ok(()),
        }
    }
}

fn non_empty(count: usize, otherwise: Emptied) -> Result<(), SelectionError> {
    match count {
        0 => Err(SelectionError::Empty(otherwise)),
        _ => Ok(()),
    }
}

/// What a selection is held against.
struct World<'a> {
    inventory: Option<&'a Inventory>,
    /// The inventory, or nothing.
    names: &'a dyn Names,
}

impl<'a> World<'a> {
    /// With an inventory, refuses names that it doesn't hold.
    fn check_known(&self, pattern: &Pattern) -> Result<(), SelectionError> {
        let Some(inventory) = self.inventory else {
            return Ok(());
        };
        let is_known = |name: &str| inventory.get(name).is_some();
        Ok(pattern.check_known(self.names, is_known)?)
    }

    /// Looks the hosts up.
    fn hosts(&self, chosen: LoginSet) -> Vec<Found<'a>> {
        let hosts = chosen.into_iter().map(|(name, login)| {
            let known = self.inventory.and_then(|all| all.get(name.as_str()));
            let host = match known {
                Some(host) => Cow::Borrowed(host),
                None => Cow::Owned(Host::named(name)),
            };
            Found { host, login }
        });
        hosts.collect()
    }

    fn groups_of(&self, name: &HostName) -> Vec<&str> {
        self.inventory
            .map(|all| all.groups_of(name.as_str()))
            .unwrap_or_default()
    }

    fn variables(&self) -> Vec<&str> {
        self.inventory.map(Inventory::columns).unwrap_or_default()
    }
}

/// A host that may still be sorted out.
struct Found<'a> {
    host: Cow<'a, Host>,
    login: Login,
}

impl Found<'_> {
    fn into_selected(self) -> Selected {
        Selected {
            host: self.host.into_owned(),
            login: self.login,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Source;

    const FLEET: &str = "\
name,address,user,port,groups,transport,provider,id,jump,identity,rack,env
web3,10.0.0.3,,,web,,vultr,v3,,,b1,prod
web1,10.0.0.1,deploy,2222,web edge,,vultr,v1,,,a1,prod
web2,10.0.0.2,,,web,ssh,,,,,a2,test
db1,,postgres,,db,,,,bastion,~/.ssh/db,a1,prod
10.0.0.9,,,,,local,,,,,,größe
";

    pub(super) fn fleet() -> Inventory {
        let name = "fleet.csv".to_owned();
        let bytes = FLEET.as_bytes().to_vec();
        Inventory::load(&[Source::Bytes { name, bytes }]).unwrap()
    }

    pub(super) fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    pub(super) fn hosts(patterns: &[&str]) -> Selection {
        Selection {
            hosts: strings(patterns),
            ..Selection::default()
        }
    }

    pub(super) fn wheres(conditions: &[&str]) -> Selection {
        Selection {
            wheres: strings(conditions),
            ..Selection::default()
        }
    }

    /// Resolves against the fleet: names joined by blanks, or the error.
    pub(super) fn resolved(selection: &Selection) -> String {
        shown(selection.resolve(Some(&fleet())))
    }

    fn shown(selected: Result<Vec<Selected>, SelectionError>) -> String {
        match selected {
            Ok(selected) => {
                let names: Vec<&str> = selected.iter().map(|s| s.host.name.as_str()).collect();
                names.join(" ")
            }
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn patterns_are_united_in_the_order_written() {
        assert_eq!(resolved(&hosts(&[])), "web3 web1 web2 db1 10.0.0.9");
        assert_eq!(resolved(&hosts(&["db1", "web[1-3]"])), "db1 web1 web2 web3");
        assert_eq!(
            resolved(&hosts(&["web*,db1", "@web"])),
            "web3 web1 web2 db1"
        );
        assert_eq!(resolved(&hosts(&["@edge^@web"])), "web3 web2");
    }

    #[test]
    fn what_the_inventory_knows_of_a_host_comes_along() {
        let selected = hosts(&["root@web1:22,db1"])
            .resolve(Some(&fleet()))
            .unwrap();
        assert_eq!(selected[0].host.address, Some("10.0.0.1".parse().unwrap()));
        assert_eq!(selected[0].host.user, Some("deploy".parse().unwrap()));
        assert_eq!(selected[0].login.user, Some("root".parse().unwrap()));
        assert_eq!(selected[0].login.port.unwrap().get(), 22);
        assert_eq!(selected[1].host.variables.get("rack"), Some("a1"));
        assert_eq!(selected[1].login, Login::default());
    }

    #[test]
    fn without_an_inventory_names_are_taken_as_they_are() {
        let bare = hosts(&["web[1-3]", "root@web2:22,x"])
            .resolve(None)
            .unwrap();
        assert_eq!(bare[1].host, Host::named("web2".parse().unwrap()));
        assert_eq!(bare[1].login.user, Some("root".parse().unwrap()));
        assert_eq!(shown(Ok(bare)), "web1 web2 web3 x");
        insta::assert_snapshot!(shown(hosts(&[]).resolve(None)), @"no hosts are given; name an inventory with `-i` or hosts with `-w`");
        insta::assert_snapshot!(shown(hosts(&["@web"]).resolve(None)), @"pattern `@web`, column 1: `@web` needs an inventory");
        insta::assert_snapshot!(shown(wheres(&["name=*"]).resolve(None)), @"no hosts are given; name an inventory with `-i` or hosts with `-w`");
        let mut selection = hosts(&["web[1-3]"]);
        selection.exclude = strings(&["web2", "other"]);
        assert_eq!(shown(selection.resolve(None)), "web1 web3");
        selection.wheres = strings(&["name=*1"]);
        assert_eq!(shown(selection.resolve(None)), "web1");
        selection.wheres = strings(&["rack=*"]);
        insta::assert_snapshot!(shown(selection.resolve(None)), @"condition `rack=*`: there is no column or variable `rack`");
    }

    #[test]
    fn unknown_hosts_are_errors_unless_ad_hoc() {
        insta::assert_snapshot!(resolved(&hosts(&["web1,wbe2"])), @"pattern `web1,wbe2`, column 6: host `wbe2` is not in the inventory (`--ad-hoc` allows that); did you mean `web2`?");
        insta::assert_snapshot!(resolved(&hosts(&["web[1-20]"])), @"pattern `web[1-20]`, column 1: host `web4` and 16 more are not in the inventory (`--ad-hoc` allows that); did you mean `web3`?");
        insta::assert_snapshot!(resolved(&hosts(&["web"])), @"pattern `web`, column 1: host `web` is not in the inventory (`--ad-hoc` allows that); did you mean `@web`?");
        insta::assert_snapshot!(resolved(&hosts(&["@wbe"])), @"pattern `@wbe`, column 1: group `wbe` is not defined; did you mean `web`?");
        insta::assert_snapshot!(resolved(&hosts(&["@web!wbe2"])), @"pattern `@web!wbe2`, column 6: host `wbe2` is not in the inventory (`--ad-hoc` allows that); did you mean `web2`?");
        insta::assert_snapshot!(resolved(&hosts(&["web1[2"])), @"pattern `web1[2`, column 5: `[` is not closed");
        let mut selection = hosts(&["@web"]);
        selection.exclude = strings(&["wbe2"]);
        insta::assert_snapshot!(resolved(&selection), @"pattern `wbe2`, column 1: host `wbe2` is not in the inventory (`--ad-hoc` allows that); did you mean `web2`?");
        selection.ad_hoc = true;
        assert_eq!(resolved(&selection), "web3 web1 web2");
        selection.hosts = strings(&["new1,web1"]);
        assert_eq!(resolved(&selection), "new1 web1");
        let found = selection.resolve(Some(&fleet())).unwrap();
        assert_eq!(found[0].host, Host::named("new1".parse().unwrap()));
        selection.wheres = strings(&["rack=*"]);
        assert_eq!(resolved(&selection), "web1");
    }

    #[test]
    fn exclusions_are_taken_away_last() {
        let mut selection = hosts(&["web*", "db1"]);
        selection.exclude = strings(&["web1", "@db", "root@web3"]);
        assert_eq!(resolved(&selection), "web2");
        selection.exclude.push("*".to_owned());
        insta::assert_snapshot!(resolved(&selection), @"no host is selected: all 4 are excluded");
        selection.exclude = strings(&["nope*"]);
        insta::assert_snapshot!(resolved(&selection), @"pattern `nope*`, column 1: `nope*` matches nothing in the inventory");
    }

    #[test]
    fn a_sample_keeps_the_order_and_a_seed_repeats_it() {
        let mut selection = hosts(&["n[1-100]"]);
        selection.pick = Some(10);
        selection.seed = Some(7);
        let number = |s: &Selected| s.host.name.as_str()[1..].parse::<u32>().unwrap();
        let numbers = |selection: &Selection| -> Vec<u32> {
            selection
                .resolve(None)
                .unwrap()
                .iter()
                .map(number)
                .collect()
        };
        let picked = numbers(&selection);
        assert_eq!(picked.len(), 10);
        assert!(picked.is_sorted());
        assert_eq!(numbers(&selection), picked);
        selection.seed = Some(8);
        assert_ne!(numbers(&selection), picked);
        selection.shuffle = true;
        let shuffled = numbers(&selection);
        assert!(!shuffled.is_sorted());
        assert_eq!(numbers(&selection), shuffled);
        selection.pick = Some(1000);
        assert_eq!(numbers(&selection).len(), 100);
        selection.pick = None;
        let mut all = numbers(&selection);
        all.sort_unstable();
        assert_eq!(all, (1..=100).collect::<Vec<u32>>());
    }

    #[test]
    fn every_host_can_be_picked() {
        let mut selection = hosts(&["n[1-4]"]);
        selection.pick = Some(1);
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            selection.seed = Some(seed);
            seen.insert(shown(selection.resolve(None)));
        }
        assert_eq!(seen.len(), 4);
    }

    #[test]
    fn an_unexpected_size_is_an_error() {
        let mut selection = hosts(&["n[1-4]"]);
        for expected in ["4", "1..4", "4..9"] {
            selection.expect = Some(expected.parse().unwrap());
            assert_eq!(selection.resolve(None).unwrap().len(), 4, "{expected}");
        }
        selection.expect = Some("5".parse().unwrap());
        insta::assert_snapshot!(shown(selection.resolve(None)), @"the size of the selection is 4, expected 5");
        selection.expect = Some("1..3".parse().unwrap());
        insta::assert_snapshot!(shown(selection.resolve(None)), @"the size of the selection is 4, expected 1 to 3");
        selection.pick = Some(3);
        assert_eq!(selection.resolve(None).unwrap().len(), 3);
        selection.pick = Some(0);
        insta::assert_snapshot!(shown(selection.resolve(None)), @"no host is selected: a sample of 0 was asked for");
    }

    #[test]
    fn an_expectation_is_a_number_or_a_range() {
        assert_eq!("3".parse(), Ok(Expect { min: 3, max: 3 }));
        assert_eq!("2..5".parse(), Ok(Expect { min: 2, max: 5 }));
        for text in [
            "",
            "x",
            "-1",
            "+1",
            "5..2",
            "2..",
            "..5",
            "1..2..3",
            "2...5",
            "99999999999999999999",
        ] {
            assert!(text.parse::<Expect>().is_err(), "{text}");
        }
        insta::assert_snapshot!("5..2\u{7}".parse::<Expect>().unwrap_err(), @r"`5..2\u{7}` is not a number of hosts; expected `3` or `2..5`");
    }

    #[test]
    fn an_empty_inventory_selects_nobody() {
        let empty = Inventory::load(&[]).unwrap();
        insta::assert_snapshot!(shown(hosts(&[]).resolve(Some(&empty))), @"no host is selected: the inventory has no hosts");
        insta::assert_snapshot!(shown(hosts(&["*"]).resolve(Some(&empty))), @"pattern `*`, column 1: `*` matches nothing in the inventory");
    }
}
