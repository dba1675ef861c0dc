//! The way to a provider: credentials, addresses, where hoist remembers what it made.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

use hoist::host::escaped;
use hoist::provider::fleet::{Fleet, Told};
use hoist::provider::ledger::Ledger;
use hoist::provider::{
    Access, Clock, FleetName, Pace, Provider, ProviderError, ProviderName, RefusalKind, Stop,
    open as open_provider,
};
use hoist::secret::Secret;

use crate::args::{Credentials, Words};
use crate::command::reaching;
use crate::exit_code;
use crate::report::Failure;
use crate::settings::Environment;

/// A provider with an account, and how to wait for it.
pub(super) struct Opened {
    pub provider: Arc<dyn Provider>,
    /// Another access to the same account, for destroying after a stop.
    pub cleanup: (Arc<dyn Provider>, Stop),
    pub pace: Pace,
    pub stop: Stop,
    pub clock: Clock,
}

/// Opens the account at a provider. Contacts nobody, but for what the token's command does.
///
/// # Errors
/// When credentials are missing or can't be read.
pub(super) fn open(
    name: ProviderName,
    token: &Credentials,
    region: Option<&str>,
    environment: &Environment,
) -> Result<Opened, Failure> {
    let variables = environment.variables.clone();
    let opened = open_with(name, token, region, environment, variables)?;
    opened.map_err(|error| failure(&error))
}

/// Opens the account at a provider that nobody asked for by its name: only what is on this machine
/// is looked at for credentials. Returns `None` where there are none.
///
/// # Errors
/// When there are, and they can't be used.
pub(super) fn open_if_configured(
    name: ProviderName,
    token: &Credentials,
    region: Option<&str>,
    environment: &Environment,
) -> Result<Option<Opened>, Failure> {
    let mut variables = environment.variables.clone();
    // https://docs.aws.amazon.com/sdkref/latest/guide/feature-imds-credentials.html
    variables.insert("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned());
    match open_with(name, token, region, environment, variables)? {
        Err(ProviderError::NoCredentials { .. }) => Ok(None),
        opened => opened.map(Some).map_err(|error| failure(&error)),
    }
}

/// The inner error is the provider's.
fn open_with(
    name: ProviderName,
    token: &Credentials,
    region: Option<&str>,
    environment: &Environment,
    variables: BTreeMap<String, String>,
) -> Result<Result<Opened, ProviderError>, Failure> {
    let pace = name.pace(&variables);
    let mut access = Access {
        variables,
        home: environment.home.clone(),
        state: state(environment)?,
        token: read_token(token)?,
        profile: token.profile.clone(),
        region: region.map(str::to_owned),
        pace: pace.clone(),
        stop: Stop::new(),
        clock: Clock::default(),
    };
    let stop = access.stop.clone();
    let open = |access: &Access| open_provider(name, access).map(Arc::from);
    let provider = open(&access);
    access.stop = Stop::new();
    let both = provider.and_then(|provider| Ok((provider, open(&access)?)));
    Ok(both.map(|(provider, cleanup)| Opened {
        provider,
        cleanup: (cleanup, access.stop),
        pace,
        stop,
        clock: access.clock,
    }))
}

impl Opened {
    /// Returns the fleet at this provider, whose record is `ledger`.
    pub(super) fn fleet<'a>(
        &self,
        name: FleetName,
        ledger: Ledger,
        region: Option<&str>,
        told: Told<'a>,
    ) -> Fleet<'a> {
        let around = (self.pace.clone(), self.stop.clone());
        let (cleanup, stop) = self.cleanup.clone();
        Fleet::new(Arc::clone(&self.provider), name, ledger, around, told)
            .with_cleanup(cleanup, stop)
            .in_region(region.map(str::to_owned).or_else(|| self.provider.region()))
    }
}

/// Returns the folder in which hoist remembers what it made.
///
/// # Errors
/// When there is no home folder.
pub(super) fn state(environment: &Environment) -> Result<PathBuf, Failure> {
    environment.state_folder().ok_or_else(|| {
        Failure::usage("there is no folder to record servers in").hint("set HOME or XDG_STATE_HOME")
    })
}

fn read_token(token: &Credentials) -> Result<Option<Secret>, Failure> {
    match (&token.token_file, &token.token_command) {
        (Some(file), _) => reaching::secret_in(file, "token").map(Some),
        (None, Some(command)) => printed(command).map(Some),
        (None, None) => Ok(None),
    }
}

/// Returns the first line that a command prints, or all of it where that is JSON.
fn printed(Words(words): &Words) -> Result<Secret, Failure> {
    let failed = |what: String| {
        let program = words.first().map(|word| escaped(word)).unwrap_or_default();
        Failure::usage(format!("--token-command: `{program}` {what}"))
    };
    let [program, arguments @ ..] = &words[..] else {
        return Err(Failure::usage("--token-command is empty"));
    };
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::inherit())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| failed(format!("can't be executed: {error}")))?;
    if !output.status.success() {
        return Err(failed(format!("failed ({})", output.status)));
    }
    let text = String::from_utf8(output.stdout).unwrap_or_default();
    let text = text.trim();
    let line = if text.starts_with('{') {
        Some(text)
    } else {
        text.lines().next().map(str::trim)
    };
    match line {
        Some(line) if !line.is_empty() => Ok(Secret::new(line.to_owned())),
        _ => Err(failed("printed no token".to_owned())),
    }
}

/// Returns the failure that an error at a provider is: 2 where something has to be written
/// otherwise, 3 where the provider could not be asked or has nothing to give, 4 where this machine
/// failed.
pub(super) fn failure(error: &ProviderError) -> Failure {
    let code = match error {
        ProviderError::Local { .. } => exit_code::OWN_FAILURE,
        ProviderError::Unreachable { .. }
        | ProviderError::Lost { .. }
        | ProviderError::Unreadable { .. } => exit_code::NOT_REACHED,
        ProviderError::Stopped => exit_code::INTERRUPTED,
        ProviderError::Refused { refusal, .. } => match refusal.kind {
            RefusalKind::Credentials
            | RefusalKind::Permission
            | RefusalKind::Input
            | RefusalKind::NotFound => exit_code::USAGE,
            _ => exit_code::NOT_REACHED,
        },
        _ => exit_code::USAGE,
    };
    Failure {
        code,
        ..Failure::usage(error)
    }
}
