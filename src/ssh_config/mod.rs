//! What `ssh_config(5)` says about a host, as `ssh -G` would find it.
//!
//! Files and options come in and are read once, into blocks; then [`SshConfig::resolve`] walks the
//! blocks that can concern a host and returns a [`Resolved`], in which the first value of each
//! keyword wins and each value knows the line it comes from. Nobody is contacted. A program is
//! started only where a `Match exec` asks for it, once for each command line.
//!
//! What hoist can't honour is not lost: [`Resolved::dropped`] lists it.
//!
//! ```
//! use hoist::host::HostName;
//! use hoist::ssh_config::{Facts, Given, Sources, SshConfig};
//!
//! let facts = Facts { user: "me".into(), ..Facts::default() };
//! let sources = Sources { options: vec!["Port=2222".into()], ..Sources::default() };
//! let config = SshConfig::load(&sources, facts)?;
//! let web1 = config.resolve(&HostName::parse("web1").unwrap(), &Given::default())?;
//! assert_eq!(web1.port().get(), 2222);
//! assert_eq!(web1.user()?, "me");
//! # Ok::<(), hoist::ssh_config::SshConfigError>(())
//! ```

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};

use thiserror::Error;

mod algorithms;
mod expand;
mod keyword;
mod line;
mod network;
pub(crate) mod pattern;
mod read;
mod resolve;
mod resolved;
mod setting;

pub use algorithms::chosen;
pub use keyword::Keyword;
pub use line::Flaw;
pub use read::Dropped;
pub use resolved::{Named, Resolved, Way};
pub use setting::{JumpHop, Place, Setting, Value};

use pattern::Pattern;
use read::{Block, BlockLine, Condition, Manner, Reader};

/// What values may depend on besides the host. The library finds none of it out by itself.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The account's home folder: `~`, `%d`.
    pub home: PathBuf,
    /// The account's name: `%u`.
    pub user: String,
    /// The account's number: `%i`.
    pub uid: u32,
    /// This machine's name: `%l`.
    pub machine: String,
    /// This machine's addresses: `Match localnetwork`. Found out when they are first asked for.
    pub addresses: Arc<LazyLock<Vec<IpAddr>>>,
    /// The environment: `${NAME}`, `SendEnv`, `IdentityAgent $NAME`.
    pub variables: BTreeMap<String, String>,
    /// What runs the commands of `Match exec`.
    pub shell: PathBuf,
}

impl Default for Facts {
    fn default() -> Self {
        Self {
            home: "/".into(),
            user: String::new(),
            uid: 0,
            machine: String::new(),
            addresses: Arc::default(),
            variables: BTreeMap::new(),
            shell: "/bin/sh".into(),
        }
    }
}

impl Facts {
    /// Returns the home folder of a local account (passwd(5)).
    fn home_of(&self, user: &str) -> Option<String> {
        if user == self.user {
            return Some(self.home.display().to_string());
        }
        let accounts = std::fs::read("/etc/passwd").ok()?;
        let accounts = String::from_utf8_lossy(&accounts);
        accounts.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            (fields.first() == Some(&user)).then(|| fields.get(5).map(ToString::to_string))?
        })
    }
}

/// Where the configuration comes from, the first one to say something first.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `KEYWORD=VALUE`, as `ssh -o` takes them.
    pub options: Vec<String>,
    /// How the options are named in messages: `-O`.
    pub options_name: String,
    /// The user's file.
    pub user: Option<UserFile>,
    /// The machine's file, which need not be there.
    pub system: Option<PathBuf>,
}

/// The user's configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserFile {
    /// `~/.ssh/config`: it need not be there, and nobody else may be able to write to it.
    Usual(PathBuf),
    /// One that was named: it must be there.
    Named(PathBuf),
}

/// Values that count more than the files, the most important first.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// These count more than the options.
    pub first: Vec<Arc<Setting>>,
    /// These count less than the options.
    pub then: Vec<Arc<Setting>>,
    /// The options are not about this host.
    pub is_without_options: bool,
}

/// Why a configuration can't be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SshConfigError {
    /// A file is there and can't be read.
    #[error("cannot read the SSH configuration {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file that was named isn't there.
    #[error("cannot read the SSH configuration {}: there is no such file", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Somebody else could change what is run here.
    #[error(
        "cannot use the SSH configuration {}: others can write to it; `chmod go-w` it, and make it \
         yours or root's",
        path.display()
    )]
    Permissions {
        /// The file.
        path: PathBuf,
    },
    /// A line makes no sense.
    #[error("cannot use the SSH configuration: {place}:{column}: {flaw}")]
    Line {
        /// File and line.
        place: Place,
        /// Column, in characters from 1.
        column: usize,
        /// What is wrong.
        flaw: Box<Flaw>,
    },
    /// An option makes no sense.
    #[error("cannot use {source_name} `{option}`: {flaw}")]
    Option {
        /// How options are named.
        source_name: String,
        /// The option, escaped for display.
        option: String,
        /// Column, in characters from 1.
        column: usize,
        /// What is wrong.
        flaw: Box<Flaw>,
    },
    /// Files include each other without end.
    #[error("cannot use the SSH configuration: {place}: files include each other too deeply")]
    TooDeep {
        /// The last `Include`.
        place: Place,
    },
    /// A value can't be made out for this host.
    #[error("cannot use the SSH configuration for {host}: {place}: {keyword}: {reason}")]
    Value {
        /// The host.
        host: String,
        /// Where the value stands.
        place: Place,
        /// What it is for.
        keyword: &'static str,
        /// What is wrong, on one line.
        reason: String,
    },
}

/// A configuration, read.
#[derive(Debug)]
pub struct SshConfig {
    facts: Arc<Facts>,
    /// What the options say.
    options: Vec<BlockLine>,
    blocks: Vec<Block>,
    /// Blocks for nothing but hosts with these very names, and which blocks they are.
    by_name: HashMap<Box<str>, Vec<usize>>,
    /// The others, in order.
    to_ask: Vec<usize>,
    /// How commands of `Match exec` ended.
    executed: Mutex<HashMap<String, bool>>,
}

impl SshConfig {
    /// Reads the files and options.
    ///
    /// # Errors
    /// When a file can't be read or used, or a line or option makes no sense.
    pub fn load(sources: &Sources, facts: Facts) -> Result<Self, SshConfigError> {
        let facts = Arc::new(facts);
        let mut reader = Reader {
            facts: &facts,
            blocks: Vec::new(),
        };
        let options = Reader::read_options(&sources.options, &sources.options_name)?;
        let manner = |is_user, is_guarded| Manner {
            is_user,
            is_guarded,
        };
        match &sources.user {
            None => {}
            Some(UserFile::Usual(path)) => {
                reader.read_file(path, manner(true, true), None, 0)?;
            }
            Some(UserFile::Named(path)) => {
                let is_there = reader.read_file(path, manner(true, false), None, 0)?;
                let missing = || SshConfigError::Missing { path: path.clone() };
                is_there.then_some(()).ok_or_else(missing)?;
            }
        }
        if let Some(path) = &sources.system {
            reader.read_file(path, manner(false, false), None, 0)?;
        }
        let blocks = reader.blocks;
        Ok(Self::indexed(options, blocks, facts))
    }

    fn indexed(options: Vec<BlockLine>, blocks: Vec<Block>, facts: Arc<Facts>) -> Self {
        let mut by_name: HashMap<Box<str>, Vec<usize>> = HashMap::new();
        let mut to_ask = Vec::new();
        let mut has_children = vec![false; blocks.len()];
        for block in &blocks {
            if let Some(parent) = block.parent {
                has_children[parent] = true;
            }
        }
        for (index, block) in blocks.iter().enumerate() {
            match literal_names(block) {
                Some(names) if !has_children[index] => {
                    for name in names {
                        let blocks = by_name.entry(name.into()).or_default();
                        if blocks.last() != Some(&index) {
                            blocks.push(index);
                        }
                    }
                }
                _ => to_ask.push(index),
            }
        }
        Self {
            facts,
            options,
            blocks,
            by_name,
            to_ask,
            executed: Mutex::default(),
        }
    }

    /// Returns the blocks that can concern a host, in order.
    fn candidates(&self, name: &str) -> Vec<usize> {
        let named = self.by_name.get(name).map_or(&[][..], Vec::as_slice);
        let mut all = [named, &self.to_ask].concat();
        all.sort_unstable();
        all
    }
}

/// Returns the names a block is for, if it has no other condition.
fn literal_names(block: &Block) -> Option<Vec<&str>> {
    match &block.condition {
        Condition::Host(patterns) if patterns.iter().all(|pattern| !pattern.is_negated) => {
            patterns.iter().map(Pattern::literal).collect()
        }
        _ => None,
    }
}
