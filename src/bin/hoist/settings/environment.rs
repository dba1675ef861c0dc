//! The environment, read once.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::{Layer, Reader, SettingsError, is_repeatable, is_switch};

/// What hoist wants to know of the environment it was started in. A variable that is empty counts
/// as not set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    /// `HOIST_…` without the prefix.
    own: BTreeMap<OsString, OsString>,
    /// `HOIST_CONFIG`.
    pub config: Option<PathBuf>,
    pub home: Option<PathBuf>,
    config_home: Option<PathBuf>,
    state_home: Option<PathBuf>,
    /// `USER`, else `LOGNAME`.
    pub user: Option<String>,
    /// `SHELL`.
    pub shell: Option<PathBuf>,
    /// All variables that are text, for what the configuration of `ssh` makes of them.
    pub variables: BTreeMap<String, String>,
    /// Where files that outgrow memory go: `TMPDIR`.
    pub temporary: Option<PathBuf>,
    /// hoist itself.
    pub program: Option<PathBuf>,
    /// `NO_COLOR`, whatever its value.
    pub refuses_color: bool,
    /// `CLICOLOR_FORCE`, unless it is 0.
    pub forces_color: bool,
    /// `TERM` is `dumb`.
    pub is_dumb: bool,
}

impl Environment {
    /// Returns where files that outgrow memory go.
    pub(crate) fn spool_folder(&self) -> &Path {
        // Not /tmp: there, large outputs often are memory again.
        self.temporary.as_deref().unwrap_or(Path::new("/var/tmp"))
    }

    /// Returns the folder in which hoist remembers what it made; below the home folder where the
    /// XDG specification's variable doesn't say otherwise.
    pub(crate) fn state_folder(&self) -> Option<PathBuf> {
        let home = self.home.as_ref().map(|home| home.join(".local/state"));
        let folder = self.state_home.clone().or(home)?;
        Some(folder.join("hoist"))
    }

    /// Reads hoist's own environment.
    pub(crate) fn read() -> Self {
        #[allow(clippy::disallowed_methods, reason = "the one place")]
        let mut environment = Self::from_variables(std::env::vars_os());
        // Knows the account's folder even where `HOME` is not set.
        environment.home = environment.home.or_else(std::env::home_dir);
        environment.program = std::env::current_exe().ok();
        environment
    }

    /// Takes what it knows from `variables`.
    pub(crate) fn from_variables<K, V>(variables: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        let set: BTreeMap<OsString, OsString> = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let text = |name: &str| set.get(OsStr::new(name)).cloned();
        let path = |name: &str| text(name).map(PathBuf::from);
        let user = text("USER").or_else(|| text("LOGNAME"));
        Self {
            config: path("HOIST_CONFIG"),
            home: path("HOME"),
            // The XDG specification: a relative path is to be ignored.
            config_home: path("XDG_CONFIG_HOME").filter(|path| path.is_absolute()),
            state_home: path("XDG_STATE_HOME").filter(|path| path.is_absolute()),
            user: user.and_then(|user| user.into_string().ok()),
            shell: path("SHELL"),
            temporary: path("TMPDIR"),
            program: None,
            refuses_color: text("NO_COLOR").is_some(),
            forces_color: text("CLICOLOR_FORCE").is_some_and(|value| value != "0"),
            is_dumb: text("TERM").is_some_and(|value| value == "dumb"),
            variables: set.iter().filter_map(text_pair).collect(),
            own: own(set),
        }
    }

    /// Returns where settings are read from when no other file was named.
    pub(super) fn default_config(&self) -> Option<PathBuf> {
        let home = self.home.as_ref().map(|home| home.join(".config"));
        let folder = self.config_home.clone().or(home)?;
        Some(folder.join("hoist/config.toml"))
    }
}

fn text_pair((name, value): (&OsString, &OsString)) -> Option<(String, String)> {
    Some((name.to_str()?.to_owned(), value.to_str()?.to_owned()))
}

fn own(set: BTreeMap<OsString, OsString>) -> BTreeMap<OsString, OsString> {
    let named = set.into_iter().filter_map(|(name, value)| {
        let rest = name.as_bytes().strip_prefix(b"HOIST_")?;
        Some((OsStr::from_bytes(rest).to_owned(), value))
    });
    named.collect()
}

/// Returns the name of the variable that sets the flag `--long`, without the prefix.
fn variable_name(long: &str) -> String {
    long.to_uppercase().replace('-', "_")
}

/// Reads the variables of all flags. Several values of a repeatable flag are lines.
pub(super) fn layer(
    environment: &Environment,
    reader: &Reader<'_>,
) -> Result<Layer, SettingsError> {
    let mut layer = Layer::new();
    for arg in &reader.flags {
        let name = variable_name(arg.get_long().unwrap_or_default());
        let Some(value) = environment.own.get(OsStr::new(&name)) else {
            continue;
        };
        let error = |reason| SettingsError::Variable {
            name: format!("HOIST_{name}"),
            reason,
        };
        let values = if is_switch(arg) {
            vec![truth(value).map_err(error)?]
        } else if is_repeatable(arg) {
            lines(value)
        } else {
            vec![value.clone()]
        };
        reader.check(arg, &values).map_err(error)?;
        layer.push((arg.get_id().to_string(), values));
    }
    Ok(layer)
}

fn lines(value: &OsStr) -> Vec<OsString> {
    let lines = value.as_bytes().split(|byte| *byte == b'\n');
    let filled = lines.filter(|line| !line.is_empty());
    filled
        .map(|line| OsString::from_vec(line.to_vec()))
        .collect()
}

fn truth(value: &OsStr) -> Result<OsString, String> {
    match value.to_str().unwrap_or_default() {
        "1" | "true" | "yes" | "on" => Ok("true".into()),
        "0" | "false" | "no" | "off" => Ok("false".into()),
        _ => Err(format!(
            "`{}` is neither true nor false",
            value.to_string_lossy()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_file_is_below_the_config_home_never_the_working_directory() {
        let place = |variables: &[(&str, &str)]| {
            Environment::from_variables(variables.iter().copied()).default_config()
        };
        assert_eq!(
            place(&[("XDG_CONFIG_HOME", "/x"), ("HOME", "/h")]),
            Some("/x/hoist/config.toml".into())
        );
        for relative in ["x", "."] {
            assert_eq!(
                place(&[("XDG_CONFIG_HOME", relative), ("HOME", "/h")]),
                Some("/h/.config/hoist/config.toml".into())
            );
        }
        assert_eq!(place(&[("XDG_CONFIG_HOME", ".")]), None);
    }

    #[test]
    fn colour_variables_are_read_as_their_authors_say() {
        let read = |name, value| Environment::from_variables([(name, value)]);
        assert!(read("NO_COLOR", "0").refuses_color);
        assert!(!read("NO_COLOR", "").refuses_color);
        assert!(read("CLICOLOR_FORCE", "1").forces_color);
        assert!(!read("CLICOLOR_FORCE", "0").forces_color);
    }
}
