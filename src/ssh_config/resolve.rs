//! The walk through the blocks for one host.

use std::process::{Command, Stdio};
use std::sync::{Arc, PoisonError};

use super::keyword::Keyword;
use super::pattern::{Pattern, Patterns};
use super::read::{BlockLine, Condition, Criterion, Dropped, Test};
use super::resolved::{Resolved, Values};
use super::setting::{Setting, Value};
use super::{Given, SshConfig, SshConfigError};
use crate::host::HostName;

impl SshConfig {
    /// Returns what holds for the host that the user calls `name`.
    ///
    /// What `Match` compares and `%` stands for takes the given values into account. May start the
    /// programs that `Match exec` names, and waits for them.
    ///
    /// # Errors
    /// When a value makes no sense for this host, or a program can't be started.
    pub fn resolve(&self, name: &HostName, given: &Given) -> Result<Resolved, SshConfigError> {
        let mut walk = Walk {
            config: self,
            found: Resolved::new(name.clone(), Arc::clone(&self.facts)),
            is_final: false,
            wants_final: false,
        };
        given
            .first
            .iter()
            .for_each(|setting| walk.found.values.apply(setting));
        if !given.is_without_options {
            walk.take(&self.options);
        }
        given
            .then
            .iter()
            .for_each(|setting| walk.found.values.apply(setting));
        let candidates = self.candidates(name.as_str());
        walk.pass(&candidates)?;
        walk.found.settle_address()?;
        if walk.wants_final {
            walk.is_final = true;
            walk.pass(&candidates)?;
        }
        Ok(walk.found)
    }
}

struct Walk<'a> {
    config: &'a SshConfig,
    found: Resolved,
    is_final: bool,
    wants_final: bool,
}

impl Walk<'_> {
    fn pass(&mut self, candidates: &[usize]) -> Result<(), SshConfigError> {
        let config = self.config;
        let mut holds = vec![false; config.blocks.len()];
        for index in candidates {
            let block = &config.blocks[*index];
            let is_open = block.parent.is_none_or(|parent| holds[parent]);
            if !is_open || !self.holds(&block.condition)? {
                continue;
            }
            holds[*index] = true;
            self.take(&block.lines);
        }
        Ok(())
    }

    fn take(&mut self, lines: &[BlockLine]) {
        for line in lines {
            match line {
                BlockLine::Setting(setting) => self.found.values.apply(setting),
                BlockLine::Dropped(dropped) if self.is_ignored(dropped) => {}
                BlockLine::Dropped(dropped) => self.found.note_dropped(dropped),
            }
        }
    }

    /// Whether `IgnoreUnknown` names a keyword that nobody knows.
    fn is_ignored(&self, dropped: &Dropped) -> bool {
        let ignored = self.found.values.get(Keyword::IgnoreUnknown);
        let (true, Some(ignored)) = (dropped.is_unknown, ignored) else {
            return false;
        };
        let keyword = dropped.keyword.to_ascii_lowercase();
        Patterns::of_list(&ignored.text().to_ascii_lowercase()).matches(&keyword)
    }

    fn holds(&mut self, condition: &Condition) -> Result<bool, SshConfigError> {
        match condition {
            Condition::Always => Ok(true),
            Condition::Host(patterns) => Ok(patterns.matches(self.found.name.as_str())),
            Condition::Match(criteria) => {
                let mut result = true;
                for criterion in criteria {
                    self.wants_final |=
                        matches!(criterion.test, Test::Final) && !criterion.is_negated;
                    // Once something failed, nothing is executed any more.
                    result = result && self.passes(criterion)?;
                }
                Ok(result)
            }
        }
    }

    fn passes(&mut self, criterion: &Criterion) -> Result<bool, SshConfigError> {
        if let Test::Unsupported(dropped) = &criterion.test {
            self.found.note_dropped(dropped);
            return Ok(false);
        }
        let found = &self.found;
        let name = || found.name.as_str().to_ascii_lowercase();
        let is_true = match &criterion.test {
            Test::All => true,
            Test::Final | Test::Canonical => self.is_final,
            Test::Host(names) => names.matches(&found.address_so_far()?.to_ascii_lowercase()),
            Test::OriginalHost(names) => names.matches(&name()),
            Test::User(names) => names.matches(found.user_so_far()),
            Test::LocalUser(names) => names.matches(&found.facts.user),
            Test::Tagged(pattern) => match found.values.get(Keyword::Tag).map(|tag| tag.text()) {
                None | Some("") => pattern.is_empty(),
                Some(tag) => Patterns::of_list(pattern).matches(tag),
            },
            Test::SessionType(names) => names.matches("exec"),
            Test::LocalNetwork(networks) => networks.hold(&found.facts.addresses),
            Test::Exec(command) => self.exec(command, criterion)?,
            Test::Unsupported(_) => false,
        };
        Ok(is_true != criterion.is_negated)
    }

    /// Runs a command and returns whether it ended well; each command line once.
    fn exec(&self, command: &str, criterion: &Criterion) -> Result<bool, SshConfigError> {
        let failed = |reason: String| SshConfigError::Value {
            host: self.found.name.to_string(),
            place: criterion.place.clone(),
            keyword: "Match exec",
            reason,
        };
        let line = self.found.shell_line(command).map_err(failed)?;
        let executed = || {
            let executed = self.config.executed.lock();
            executed.unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(known) = executed().get(&line) {
            return Ok(*known);
        }
        let shell = &self.found.facts.shell;
        let status = Command::new(shell)
            .arg("-c")
            .arg(&line)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status();
        let status =
            status.map_err(|error| failed(format!("cannot run {}: {error}", shell.display())))?;
        if status.code().is_none() {
            return Err(failed(format!(
                "`{}` was killed",
                crate::host::escaped(&line)
            )));
        }
        executed().insert(line, status.success());
        Ok(status.success())
    }
}

impl Values {
    /// Takes a value, unless an earlier one counts.
    fn apply(&mut self, setting: &Arc<Setting>) {
        // `none` leaves a time as unset as it was.
        if setting.value == Value::Time(None) {
            return;
        }
        match setting.keyword {
            Keyword::IdentityFile => add(&mut self.identity_files, setting),
            Keyword::CertificateFile => add(&mut self.certificate_files, setting),
            Keyword::SendEnv => self.send(setting),
            // Whichever of the two comes first shuts the other out, but for `ProxyJump none`.
            Keyword::ProxyCommand => {
                if self.get(Keyword::ProxyCommand).is_none() && !self.has_jumps() {
                    self.set(setting);
                }
            }
            Keyword::ProxyJump => {
                let is_taken = self.get(Keyword::ProxyCommand).is_some() && !is_none(setting);
                if self.get(Keyword::ProxyJump).is_none() && !is_taken {
                    self.set(setting);
                }
            }
            keyword => {
                if self.get(keyword).is_none() {
                    self.set(setting);
                }
            }
        }
    }

    fn has_jumps(&self) -> bool {
        self.get(Keyword::ProxyJump)
            .is_some_and(|jumps| !is_none(jumps))
    }

    /// Adds patterns for names of variables, or takes some away.
    fn send(&mut self, setting: &Arc<Setting>) {
        let Value::Words(words) = &setting.value else {
            return;
        };
        for word in words {
            match word.strip_prefix('-') {
                Some(removed) => {
                    let removed = Pattern::new(removed);
                    self.sent_variables
                        .retain(|(sent, _)| !removed.matches(sent));
                }
                None if self.sent_variables.iter().any(|(sent, _)| sent == word) => {}
                None => self
                    .sent_variables
                    .push((word.clone(), Arc::clone(setting))),
            }
        }
    }
}

fn is_none(jumps: &Setting) -> bool {
    matches!(&jumps.value, Value::Jumps(hops) if hops.is_empty())
}

/// Adds a file, unless the user, or the machine, already named it.
fn add(files: &mut Vec<Arc<Setting>>, setting: &Arc<Setting>) {
    let is_same =
        |other: &Arc<Setting>| (other.text(), other.is_user) == (setting.text(), setting.is_user);
    if !files.iter().any(is_same) {
        files.push(Arc::clone(setting));
    }
}
