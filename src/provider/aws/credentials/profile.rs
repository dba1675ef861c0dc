//! The shared files of AWS's tools: `~/.aws/credentials` and `~/.aws/config`.
//!
//! <https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html>

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::provider::{Access, ProviderError};
use crate::secret::Secret;

/// A profile: what both files say of it, the credentials file first.
#[derive(Debug)]
pub(super) struct Profile {
    name: String,
    is_there: bool,
    settings: BTreeMap<String, Secret>,
    files: String,
}

impl Profile {
    /// Reads what the files say of the profile; a file that is not there says nothing.
    ///
    /// # Errors
    /// When a file can't be read.
    pub(super) fn read(access: &Access, name: &str) -> Result<Self, ProviderError> {
        let credentials = place(access, "AWS_SHARED_CREDENTIALS_FILE", "credentials");
        let config = place(access, "AWS_CONFIG_FILE", "config");
        let files: Vec<String> = [&credentials, &config]
            .into_iter()
            .flatten()
            .map(|path| path.display().to_string())
            .collect();
        let mut profile = Self {
            name: name.to_owned(),
            is_there: false,
            settings: BTreeMap::new(),
            files: crate::host::escaped(&files.join(" or ")),
        };
        profile.add(credentials.as_deref(), |section| section == name)?;
        profile.add(config.as_deref(), |section| {
            match section.strip_prefix("profile") {
                Some(rest) if rest.starts_with([' ', '\t']) => rest.trim() == name,
                _ => name == "default" && section == "default",
            }
        })?;
        Ok(profile)
    }

    /// Returns what it is called.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether a file has a section for it.
    pub(super) fn is_there(&self) -> bool {
        self.is_there
    }

    /// Returns a setting unless it is empty.
    pub(super) fn get(&self, setting: &str) -> Option<&str> {
        let value = self.settings.get(setting).map(Secret::expose);
        value.filter(|value| !value.is_empty())
    }

    /// Returns where it was looked for, escaped.
    pub(super) fn files(&self) -> &str {
        &self.files
    }

    fn add(
        &mut self,
        path: Option<&Path>,
        is_ours: impl Fn(&str) -> bool,
    ) -> Result<(), ProviderError> {
        let Some(path) = path else { return Ok(()) };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => Secret::new(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                let path = crate::host::escaped(&path.display().to_string());
                return Err(ProviderError::Local {
                    message: format!("cannot read {path}: {error}"),
                });
            }
        };
        let mut is_inside = false;
        for line in text.expose().lines() {
            // Indented lines belong to the setting above them.
            if line.starts_with([' ', '\t', '#', ';']) {
                continue;
            }
            if let Some(section) = line.strip_prefix('[') {
                let section = section.split(']').next().unwrap_or_default();
                is_inside = is_ours(section.trim());
                self.is_there |= is_inside;
            } else if let Some((name, value)) = line.split_once('=').filter(|_| is_inside) {
                let name = name.trim().to_ascii_lowercase();
                let value = Secret::new(without_comment(value).to_owned());
                self.settings.entry(name).or_insert(value);
            }
        }
        Ok(())
    }
}

/// Returns the value: a comment after it begins with a space.
fn without_comment(value: &str) -> &str {
    let comment = [" #", " ;", "\t#", "\t;"];
    let ends = comment.iter().filter_map(|mark| value.find(mark));
    let end = ends.min().unwrap_or(value.len());
    value.get(..end).unwrap_or(value).trim()
}

/// Returns where a file is: where the variable says, or in `~/.aws`.
fn place(access: &Access, name: &str, file: &str) -> Option<PathBuf> {
    let home = access.home.as_deref();
    match access.variable(&[name]) {
        Some(path) => match (path.strip_prefix("~/"), home) {
            (Some(rest), Some(home)) => Some(home.join(rest)),
            _ => Some(PathBuf::from(path)),
        },
        None => home.map(|home| home.join(".aws").join(file)),
    }
}
