//! `--sudo` and `--become-with`: whose rights commands have.

use hoist::plan::Plan;
use hoist::remote::Elevation;
use hoist::secret::Secret;

use crate::args::{Bound, Rights};
use crate::command::reaching::{self, PasswordSource};
use crate::report::Failure;
use crate::settings::{Origin, Origins};

/// Returns what gives commands the rights they are to have, without its password.
///
/// # Errors
/// When a password is to be given, and it is not `sudo`.
pub(in crate::command) fn elevation(
    rights: &Rights,
    origins: &Origins,
) -> Result<Option<Elevation>, Failure> {
    // Of two flags that exclude each other, the one set nearer to the person counts.
    let is_sudo_nearer = origins.of("sudo") >= origins.of("become_with");
    let sudo = || match &rights.sudo {
        Some(Bound(Some(user))) => Some(Elevation::Sudo {
            user: user.clone(),
            password: None,
        }),
        _ => None,
    };
    let elevation = match &rights.become_with {
        Some(words) if rights.sudo.is_none() || !is_sudo_nearer => {
            Some(Elevation::With(words.0.clone()))
        }
        _ => sudo(),
    };
    let is_sudo = matches!(elevation, Some(Elevation::Sudo { .. }));
    if rights.ask_sudo_pass && !is_sudo {
        return Err(Failure::usage("--ask-sudo-pass needs --sudo"));
    }
    let is_file_typed = origins.of("sudo_password_file") == Origin::Argument;
    if is_file_typed && !is_sudo {
        return Err(Failure::usage("--sudo-password-file needs --sudo"));
    }
    Ok(elevation)
}

/// Gives `sudo` its password, asking for it where that must be. Where hosts are logged in to with a
/// password, an empty answer means that one.
///
/// # Errors
/// When it can't be read or is empty, or nobody can be asked.
pub(in crate::command) fn give_password(
    plan: &mut Plan,
    rights: &Rights,
    origins: &Origins,
    login: Option<&Secret>,
) -> Result<(), Failure> {
    let users = reaching::login_name(plan.hosts.iter());
    let Some(Elevation::Sudo { password, .. }) = plan.elevation_mut() else {
        return Ok(());
    };
    let is_asked_nearer = origins.of("ask_sudo_pass") >= origins.of("sudo_password_file");
    let file = rights.sudo_password_file.as_deref();
    let source = PasswordSource::nearest(file, rights.ask_sudo_pass, is_asked_nearer);
    let same = if login.is_some() {
        " (empty: that of the login)"
    } else {
        ""
    };
    let question = || match users.as_str() {
        "" => format!("Your password for sudo{same}: "),
        users => format!("Password of {users} for sudo{same}: "),
    };
    let flags = ["--ask-sudo-pass", "--sudo-password-file"];
    let given = reaching::read_password(source, flags, question)?;
    let is_empty = given
        .as_ref()
        .is_some_and(|given| given.expose().is_empty());
    *password = match login {
        Some(login) if is_empty => Some(login.clone()),
        // It would be tried on every host.
        None if is_empty => {
            return Err(Failure::usage("the password for sudo is empty")
                .hint("leave out --ask-sudo-pass where sudo asks for none"));
        }
        _ => given,
    };
    Ok(())
}
