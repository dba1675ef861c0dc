//! One file per subcommand.

use crate::args::{Cli, Verb};
use crate::exit_code;
use crate::report::Failure;
use crate::settings::{Environment, Origins};

mod columns;
mod comparing;
mod completions;
mod explain;
mod fleets;
mod get;
mod hosts;
mod man;
mod ping;
mod placeholders;
mod put;
mod reaching;
mod render;
mod run;
mod script;
mod selecting;
mod templating;
mod unified;

/// Does what was asked and returns the exit code.
pub(crate) fn execute(
    cli: Cli,
    origins: &Origins,
    environment: &Environment,
) -> Result<u8, Failure> {
    match cli.subcommand {
        Verb::Completions { shell } => completions::run(shell)?,
        Verb::Man { page } => man::run(page.as_deref())?,
        Verb::Hosts(hosts) => hosts::run(&hosts, origins, environment)?,
        Verb::Explain(explain) => explain::run(&explain, origins, environment)?,
        Verb::Render(render) => return render::run(&render, origins, environment),
        Verb::Up(up) => return fleets::up::run(&up, origins, environment),
        Verb::Down(down) => return fleets::down::run(&down, origins, environment),
        Verb::Cloud(cloud) => return fleets::cloud::run(&cloud, origins, environment),
        Verb::Ping(ping) => return ping::run(&ping, origins, environment),
        Verb::Put(put) => return put::run(&put, origins, environment),
        Verb::Get(get) => return get::run(&get, origins, environment),
        Verb::Run(run) => return run::run(&run, origins, environment),
        Verb::Script(script) => return script::run(&script, origins, environment),
    }
    Ok(exit_code::OK)
}
