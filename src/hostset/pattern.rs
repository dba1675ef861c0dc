//! Patterns as they were understood, and what they stand for.
//!
//! A [`Chain`] is evaluated strictly left to right; parentheses make a chain of their own. What
//! can be refused without an inventory was refused when the text was parsed (`parse`), so that
//! expanding fails only over what the inventory has or hasn't.

use std::ops::Range;
use std::sync::Arc;

use super::error::{Fault, PatternError, Reason};
use super::glob::Glob;
use super::login::IntoNames;
use super::template::{Expansion, Template};
use super::{Login, LoginSet, MAX_GLOBS, Names, NoNames, suggest};
use crate::host::HostName;

/// The text that denotes a host set: `web[01-20],@db!web07`.
///
/// Operators work strictly left to right: `,` union, `!` difference, `&` intersection, `^`
/// symmetric difference; parentheses group. An operand is a name with ranges, `@group` or a glob
/// with `*` and `?`, with `user@` before and `:port` after it where wanted. A group's name takes
/// ranges and globs as well. Blanks may stand around operators and parentheses, nowhere else.
///
/// Two or more colons are an IPv6 address, with or without ranges. In brackets, as in
/// `[2001:db8::1]:22`, it takes a port, and so does any other name with colons, but no ranges.
#[derive(Debug, Clone)]
pub struct Pattern {
    pub(super) text: Box<str>,
    pub(super) chain: Chain,
}

/// Terms worked from left to right, at least one; the first is united with nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct Chain(pub(super) Vec<Term>);

/// An operator and what stands to its right.
#[derive(Debug, Clone)]
pub(super) struct Term {
    pub(super) operator: Operator,
    pub(super) operand: Operand,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Union,
    Difference,
    Intersection,
    SymmetricDifference,
}

#[derive(Debug, Clone)]
pub(super) enum Operand {
    Nested(Chain),
    Leaf(Leaf),
}

/// Names, groups or globs and the login given to all of them.
#[derive(Debug, Clone)]
pub(super) struct Leaf {
    pub(super) kind: Kind,
    /// Where it is in the pattern, in bytes, without the login.
    pub(super) place: Range<usize>,
    pub(super) template: Template,
    pub(super) login: Option<Arc<Login>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Hosts,
    HostGlob,
    Groups,
    GroupGlob,
}

impl Pattern {
    /// Returns the text it was parsed from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns what the pattern stands for, in the order written; hosts of a group or a glob come
    /// in the order of `names`.
    ///
    /// # Errors
    /// When a group is unknown or a glob matches nothing.
    pub fn expand(&self, names: &dyn Names) -> Result<LoginSet, PatternError> {
        let text = &self.text;
        let set = Evaluation { names, text }.chain(&self.chain);
        set.map_err(|fault| fault.in_text(text))
    }

    /// Yields the names the pattern stands for without an inventory, in the order written.
    ///
    /// Memory doesn't grow with the names when the pattern is a single operand in which none can
    /// appear twice; else the whole set is made first.
    ///
    /// # Errors
    /// When the pattern needs an inventory.
    pub fn names(&self) -> Result<ExpandedNames<'_>, PatternError> {
        Ok(ExpandedNames(match self.lone_template() {
            Some(template) => Source::Template(template.expand()),
            None => Source::Set(self.expand(&NoNames)?.into_names()),
        }))
    }

    /// Returns how many names the pattern stands for without an inventory, by arithmetic alone
    /// where [`Pattern::names`] needs no memory.
    ///
    /// # Errors
    /// When the pattern needs an inventory.
    pub fn count(&self) -> Result<u64, PatternError> {
        match self.lone_template() {
            Some(template) => Ok(template.count()),
            None => Ok(self.expand(&NoNames)?.len() as u64),
        }
    }

    /// Returns the template when the pattern is nothing but names that are certainly distinct.
    fn lone_template(&self) -> Option<&Template> {
        let mut chain = &self.chain;
        while let [term] = &chain.0[..] {
            match &term.operand {
                Operand::Nested(inner) => chain = inner,
                Operand::Leaf(leaf) => {
                    let is_certain = leaf.kind == Kind::Hosts && leaf.template.is_distinct();
                    return is_certain.then_some(&leaf.template);
                }
            }
        }
        None
    }

    /// Checks that every name written in the pattern `is_known`, also those that an operator
    /// takes away again: a mistyped exclusion must not pass unseen.
    ///
    /// # Errors
    /// For the first operand with an unknown name, with a suggestion from `names`.
    pub fn check_known(
        &self,
        names: &dyn Names,
        is_known: impl Fn(&str) -> bool,
    ) -> Result<(), PatternError> {
        self.chain.leaves(&mut |leaf| {
            let unknown = leaf.unknown(&is_known);
            unknown.map_or(Ok(()), |(name, others)| {
                let suggestion = suggest_host(&name, names);
                let reason = Reason::UnknownHost {
                    name,
                    others,
                    suggestion,
                };
                Err(leaf.fault(reason).in_text(&self.text))
            })
        })
    }
}

/// Returns the host most like `name`, or the group of that very name.
fn suggest_host(name: &str, names: &dyn Names) -> Option<String> {
    if names.group_names().contains(&name) {
        return Some(format!("@{name}"));
    }
    suggest(name, names.all().map(HostName::as_str)).map(str::to_owned)
}

impl Chain {
    /// Shows every leaf to `visit`, from left to right, until it fails.
    fn leaves<E>(&self, visit: &mut dyn FnMut(&Leaf) -> Result<(), E>) -> Result<(), E> {
        self.0.iter().try_for_each(|term| match &term.operand {
            Operand::Nested(chain) => chain.leaves(visit),
            Operand::Leaf(leaf) => visit(leaf),
        })
    }
}

impl Leaf {
    /// Returns the first name written that is not known, and how many more there are.
    fn unknown(&self, is_known: impl Fn(&str) -> bool) -> Option<(String, u64)> {
        if self.kind != Kind::Hosts {
            return None;
        }
        let mut names = self.template.expand();
        let mut unknown: Option<(String, u64)> = None;
        while let Some(name) = names.next_name() {
            match &mut unknown {
                _ if is_known(name) => {}
                Some((_, others)) => *others += 1,
                None => unknown = Some((name.to_owned(), 0)),
            }
        }
        unknown
    }
}

/// A pattern being worked out against an inventory.
struct Evaluation<'a> {
    names: &'a dyn Names,
    text: &'a str,
}

impl Evaluation<'_> {
    fn chain(&self, chain: &Chain) -> Result<LoginSet, Fault> {
        let mut set = LoginSet::new();
        // Neighbours that do the same are worked together: a thousand `!` cost one pass.
        for terms in chain.0.chunk_by(|a, b| a.operator == b.operator) {
            match terms[0].operator {
                Operator::Union => self.unite(terms, &mut set)?,
                Operator::Difference => {
                    let mut removed = LoginSet::new();
                    self.unite(terms, &mut removed)?;
                    set.subtract(&removed);
                }
                Operator::Intersection => {
                    for term in terms {
                        set.intersect(self.operand(&term.operand)?);
                    }
                }
                Operator::SymmetricDifference => {
                    for term in terms {
                        set.toggle(self.operand(&term.operand)?);
                    }
                }
            }
        }
        Ok(set)
    }

    fn unite(&self, terms: &[Term], set: &mut LoginSet) -> Result<(), Fault> {
        terms.iter().try_for_each(|term| match &term.operand {
            Operand::Nested(chain) => {
                set.unite(self.chain(chain)?);
                Ok(())
            }
            Operand::Leaf(leaf) => self.leaf(leaf, set),
        })
    }

    fn operand(&self, operand: &Operand) -> Result<LoginSet, Fault> {
        match operand {
            Operand::Nested(chain) => self.chain(chain),
            Operand::Leaf(leaf) => {
                let mut set = LoginSet::new();
                self.leaf(leaf, &mut set)?;
                Ok(set)
            }
        }
    }

    /// Adds the hosts of one leaf to `set`.
    fn leaf(&self, leaf: &Leaf, set: &mut LoginSet) -> Result<(), Fault> {
        match leaf.kind {
            Kind::Hosts => leaf.add_names(set),
            _ if !self.names.is_inventory() => {
                let operand = self.shown(leaf);
                Err(leaf.fault(Reason::NoInventory { operand }))
            }
            Kind::HostGlob => self.host_glob(leaf, set),
            Kind::Groups => self.groups(leaf, set),
            Kind::GroupGlob => self.group_glob(leaf, set),
        }
    }

    fn host_glob(&self, leaf: &Leaf, set: &mut LoginSet) -> Result<(), Fault> {
        let glob = self.glob(leaf)?;
        let mut is_matched = false;
        for name in self.names.all().filter(|name| glob.is_match(name.as_str())) {
            is_matched = true;
            set.add(name.clone(), leaf.login.as_ref());
        }
        self.check_matched(leaf, is_matched)
    }

    fn group_glob(&self, leaf: &Leaf, set: &mut LoginSet) -> Result<(), Fault> {
        let glob = self.glob(leaf)?;
        let mut groups = self.names.group_names();
        groups.retain(|name| glob.is_match(name));
        for name in &groups {
            self.group(leaf, name, set)?;
        }
        self.check_matched(leaf, !groups.is_empty())
    }

    fn groups(&self, leaf: &Leaf, set: &mut LoginSet) -> Result<(), Fault> {
        let mut groups = leaf.template.expand();
        while let Some(name) = groups.next_name() {
            self.group(leaf, name, set)?;
        }
        Ok(())
    }

    fn group(&self, leaf: &Leaf, name: &str, set: &mut LoginSet) -> Result<(), Fault> {
        let Some(hosts) = self.names.group(name) else {
            let suggestion = suggest(name, self.names.group_names().into_iter());
            return Err(leaf.fault(Reason::UnknownGroup {
                name: name.to_owned(),
                suggestion: suggestion.map(str::to_owned),
            }));
        };
        for host in hosts {
            set.add(host.clone(), leaf.login.as_ref());
        }
        Ok(())
    }

    fn glob(&self, leaf: &Leaf) -> Result<Glob, Fault> {
        let count = leaf.template.count();
        if count > MAX_GLOBS {
            return Err(leaf.fault(Reason::TooManyGlobs { count }));
        }
        let mut globs = Vec::new();
        let mut expansion = leaf.template.expand();
        while let Some(glob) = expansion.next_name() {
            globs.push(glob.to_owned());
        }
        Glob::any(&globs).map_err(|error| {
            let glob = self.shown(leaf);
            let problem = error.to_string();
            leaf.fault(Reason::Glob { glob, problem })
        })
    }

    fn check_matched(&self, leaf: &Leaf, is_matched: bool) -> Result<(), Fault> {
        let operand = self.shown(leaf);
        is_matched
            .then_some(())
            .ok_or_else(|| leaf.fault(Reason::NoMatch { operand }))
    }

    /// Returns the operand as it was written, without the login.
    fn shown(&self, leaf: &Leaf) -> String {
        self.text[leaf.place.clone()].to_owned()
    }
}

impl Leaf {
    fn fault(&self, reason: Reason) -> Fault {
        Fault::new(self.place.start, reason)
    }

    /// Adds the names that are written.
    pub(super) fn add_names(&self, set: &mut LoginSet) -> Result<(), Fault> {
        set.reserve(usize::try_from(self.template.count()).unwrap_or(0));
        let mut names = self.template.expand();
        while let Some(name) = names.next_name() {
            let name = HostName::parse(name).map_err(|error| self.fault(error.into()))?;
            set.add(name, self.login.as_ref());
        }
        Ok(())
    }
}

/// Yields the names of a [`Pattern`].
#[derive(Debug)]
pub struct ExpandedNames<'a>(Source<'a>);

#[derive(Debug)]
enum Source<'a> {
    Template(Expansion<'a>),
    Set(IntoNames),
}

impl Iterator for ExpandedNames<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        match &mut self.0 {
            Source::Template(names) => names.next_name().map(str::to_owned),
            Source::Set(names) => names.next().map(|name| name.as_str().to_owned()),
        }
    }
}
