//! What is about to be done, for whoever has to agree to it.

use std::collections::BTreeSet;
use std::io::{self, Write};

use hoist::provider::{Offer, ProviderName, Server};

use super::Raise;
use crate::command::fleets::server;
use crate::command::fleets::told::Teller;
use crate::report::{Failure, note};
use crate::ui::Terminal;
use crate::ui::prompt::{self, Question};
use hoist::host::escaped;

/// What there is, and what is missing.
pub(super) struct Planned<'a> {
    raise: &'a Raise<'a>,
    provider: ProviderName,
    offer: &'a Offer,
    there: &'a [Server],
}

impl<'a> Planned<'a> {
    pub(super) fn new(
        raise: &'a Raise<'a>,
        provider: ProviderName,
        offer: &'a Offer,
        there: &'a [Server],
    ) -> Self {
        Self {
            raise,
            provider,
            offer,
            there,
        }
    }

    /// Returns the names of the servers that are there.
    pub(super) fn names(&self) -> String {
        let names = self.there.iter().map(|server| escaped(&server.name));
        names.collect::<Vec<_>>().join(", ")
    }

    fn missing(&self) -> usize {
        let count = self.raise.up.raising.count.get();
        let names: BTreeSet<&str> = self.there.iter().map(|server| &*server.name).collect();
        count.saturating_sub(names.len())
    }

    fn lines(&self) -> Vec<String> {
        let (fleet, offer) = (&self.raise.fleet, self.offer);
        let count = self.raise.up.raising.count.get();
        let title = self.provider.title();
        let there = self.there.len();
        let missing = self.missing();
        let mut lines = vec![match (there, missing) {
            (_, 0) if there > count => format!(
                "{fleet}: {there} servers are there, {} more than asked for; `hoist down` \
                 takes servers away",
                there - count
            ),
            (1, 0) => format!("{fleet}: its server is there"),
            (_, 0) => format!("{fleet}: all {there} servers are there"),
            (0, 1) => format!("{fleet}: one server is to be made at {title}"),
            (0, _) => format!("{fleet}: {missing} servers are to be made at {title}"),
            (_, 1) => format!("{fleet}: 1 of {count} servers is to be made at {title}"),
            _ => format!("{fleet}: {missing} of {count} servers are to be made at {title}"),
        }];
        if missing > 0 {
            let place = [&offer.region, &offer.size, &offer.image].map(|id| escaped(id));
            lines.push(format!("each: {}", place.join(", ")));
            lines.push(match &offer.price {
                Some(price) if missing > 1 && price.hourly > 0.0 => format!(
                    "price: {} each; {} together",
                    server::price(price, 1),
                    server::price(price, missing)
                ),
                Some(price) => format!("price: {}", server::price(price, 1)),
                None => "price: unknown, the provider doesn't tell".to_owned(),
            });
            if let Some(left) = self.offer.quota_left {
                lines.push(format!("quota: {left} more such servers may be made"));
            }
            lines.extend(offer.notes.iter().map(|note| escaped(note)));
        }
        lines
    }

    /// Prints it on stdout.
    pub(super) fn print(&self) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        for line in self.lines() {
            writeln!(out, "{line}").map_err(|error| Failure::writing(&error))?;
        }
        Ok(())
    }

    /// Tells it, and asks whether it is meant where something is to be made.
    pub(super) fn confirm(&self, teller: &Teller) -> Result<(), Failure> {
        for line in self.lines() {
            teller.line(&line);
        }
        let missing = self.missing();
        if missing == 0 {
            return Ok(());
        }
        if let Some(left) = self
            .offer
            .quota_left
            .filter(|left| usize::try_from(*left).is_ok_and(|left| left < missing))
        {
            return Err(Failure {
                code: crate::exit_code::NOT_REACHED,
                ..Failure::usage(format!(
                    "{missing} servers are missing and the account may have {left} more"
                ))
            }
            .hint("have the quota raised, or ask for fewer with --count"));
        }
        if self.raise.origins.is_agreed(self.raise.fleet.as_str()) {
            return Ok(());
        }
        if !Terminal::detect().is_stderr || !prompt::is_possible() {
            return Err(Failure::usage("nothing was made, as nobody can be asked")
                .hint("`--yes` agrees beforehand"));
        }
        if teller.is_quiet {
            for line in self.lines() {
                note(&format!("hoist: {line}"));
            }
        }
        if Question::new().ask(if missing == 1 {
            "Make it?"
        } else {
            "Make them?"
        }) {
            Ok(())
        } else {
            Err(Failure::usage("nothing was made"))
        }
    }
}
