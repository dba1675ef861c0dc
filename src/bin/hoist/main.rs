//! The `hoist` program: reads what is asked, does it, and ends with a number.

use std::process::ExitCode;

mod args;
mod asking;
mod command;
mod exit_code;
mod generate;
mod report;
mod settings;
mod ui;

fn main() -> ExitCode {
    if let Some(code) = asking::answer() {
        return code;
    }
    report::guarded(|| {
        let environment = settings::Environment::read();
        let typed: Vec<_> = std::env::args_os().collect();
        let (cli, origins) = settings::read(&environment, &typed, &args::with_versions())?;
        command::execute(cli, &origins, &environment)
    })
}
