//! `hoist man`: a manual page on stdout, in roff.

use std::io::{self, Write};

use crate::generate;
use crate::report::Failure;

/// Prints the page of hoist, or of a subcommand.
pub(crate) fn run(page: Option<&str>) -> Result<(), Failure> {
    let text = generate::man_page(page).ok_or_else(|| {
        let known = generate::page_names().join(", ");
        Failure::usage(format!(
            "`{}` is not a subcommand",
            page.unwrap_or_default()
        ))
        .hint(format!("there are pages for {known}"))
    })?;
    let mut out = io::stdout();
    let written = out.write_all(&text).and_then(|()| out.flush());
    written.map_err(|error| Failure::writing(&error))
}
