//! How one host is reached, and who said so: the facts behind `hoist explain` and
//! `hoist hosts --resolve`.

use std::fmt::Display;
use std::path::Path;

use hoist::host::{Endpoint, Host, Route, escaped};
use hoist::inventory::Inventory;
use hoist::ssh_config::{Keyword, Place, Resolved};
use hoist::transport::ssh::identity::{Identity, IdentityError, Loaded};
use hoist::transport::ssh::known_hosts::{self, KnownHosts};
use serde_json::{Map, Value};

use super::Reaching;
use super::endpoints::is_in_vain;
use crate::settings::Origin;

/// One fact about a host.
pub(in crate::command) struct Fact {
    /// What it is about: `address`, `key`.
    pub what: &'static str,
    pub value: String,
    /// Who said so: `~/.ssh/config:3`, `--user`, `built in`.
    pub from: String,
    /// There may be several of its kind.
    is_one_of_many: bool,
}

/// What nobody set.
const BUILT_IN: &str = "built in";

/// Collects facts in the order they are shown.
struct Facts<'a> {
    reaching: &'a Reaching<'a>,
    resolved: Option<&'a Resolved>,
    found: Vec<Fact>,
}

/// Returns what holds for a host. Reads its keys' and known hosts' files; contacts nobody.
pub(super) fn facts(
    reaching: &Reaching<'_>,
    host: &Host,
    endpoint: &Endpoint,
    resolved: Option<&Resolved>,
    inventory: Option<&Inventory>,
) -> Vec<Fact> {
    let mut facts = Facts {
        reaching,
        resolved,
        found: Vec::new(),
    };
    let origin = inventory.and_then(|inventory| inventory.origin(host.name.as_str()));
    facts.one(
        "host",
        &endpoint.name,
        origin.as_deref().unwrap_or("the pattern"),
    );
    let transport = match host.transport {
        Some(named) if named == endpoint.transport => "the inventory".to_owned(),
        _ => facts.flag("transport", "transport"),
    };
    facts.one("transport", endpoint.transport.as_str(), &transport);
    if endpoint.transport.is_remote() {
        facts.place(endpoint);
        facts.route(endpoint);
        facts.login(endpoint);
        facts.host_key(endpoint);
        facts.rest(endpoint);
    }
    facts.found
}

impl Facts<'_> {
    fn one(&mut self, what: &'static str, value: &(impl Display + ?Sized), from: &str) {
        self.found.push(Fact {
            what,
            value: escaped(&value.to_string()),
            from: from.to_owned(),
            is_one_of_many: false,
        });
    }

    fn one_of_many(&mut self, what: &'static str, value: &(impl Display + ?Sized), from: &str) {
        self.one(what, value, from);
        if let Some(last) = self.found.last_mut() {
            last.is_one_of_many = true;
        }
    }

    /// Returns where the configuration of `ssh`, or what counts more, sets this.
    fn set_at(&self, keyword: Keyword) -> Option<String> {
        self.resolved?.place(keyword).map(Place::to_string)
    }

    fn set_or_built_in(&self, keyword: Keyword) -> String {
        self.set_at(keyword).unwrap_or_else(|| BUILT_IN.to_owned())
    }

    /// Returns how a flag of hoist was set.
    fn flag(&self, id: &str, long: &str) -> String {
        match self.reaching.origins.of(id) {
            Origin::BuiltIn => BUILT_IN.to_owned(),
            Origin::File => "the settings file".to_owned(),
            Origin::Environment => format!("HOIST_{}", long.to_uppercase().replace('-', "_")),
            Origin::Argument => format!("--{long}"),
        }
    }

    fn place(&mut self, endpoint: &Endpoint) {
        let address = self.set_at(Keyword::HostName);
        self.one(
            "address",
            &endpoint.address,
            address.as_deref().unwrap_or("the name"),
        );
        let port = self.set_or_built_in(Keyword::Port);
        self.one("port", &endpoint.port, &port);
        let user = self.set_at(Keyword::User);
        let name = endpoint
            .user
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default();
        self.one("user", &name, user.as_deref().unwrap_or("this account"));
    }

    fn route(&mut self, endpoint: &Endpoint) {
        let chain: Vec<_> = endpoint.jumps().collect();
        let from = self.set_or_built_in(Keyword::ProxyJump);
        for jump in chain.into_iter().rev() {
            let user = jump
                .user
                .as_ref()
                .map(|user| format!("{user}@"))
                .unwrap_or_default();
            let (name, address, port) = (&jump.name, &jump.address, jump.port);
            self.one_of_many("jump", &format!("{user}{name} ({address}:{port})"), &from);
        }
        if let Route::Command(line) = &endpoint.ssh.route {
            let from = self.set_or_built_in(Keyword::ProxyCommand);
            self.one("proxy-command", line, &from);
        }
        if let Some(path) = &endpoint.ssh.control_path {
            let from = self.set_or_built_in(Keyword::ControlPath);
            self.one("control-path", &path.display(), &from);
        }
    }

    fn login(&mut self, endpoint: &Endpoint) {
        let settings = &endpoint.ssh;
        let named = self.resolved.map(Resolved::identity_files);
        let named = named.and_then(Result::ok).unwrap_or_default();
        for file in &settings.identities {
            let from = match named.iter().find(|(path, _)| path == file) {
                Some((_, Some(place))) => place.to_string(),
                Some((_, None)) => BUILT_IN.to_owned(),
                None if self.reaching.connecting.identity.contains(file) => {
                    self.flag("identity", "identity")
                }
                None => "the inventory".to_owned(),
            };
            self.one_of_many(
                "key",
                &format!("{} ({})", file.display(), state(file)),
                &from,
            );
        }
        for file in &settings.certificates {
            let from = self.set_at(Keyword::CertificateFile);
            let settings = self
                .resolved
                .map(|resolved| resolved.settings(Keyword::CertificateFile));
            let first =
                settings.and_then(|settings| settings.first().map(|one| one.place.to_string()));
            let from = from.or(first).unwrap_or_default();
            self.one_of_many("certificate", &file.display(), &from);
        }
        if let Some(agent) = &settings.agent {
            let from = self.set_at(Keyword::IdentityAgent);
            let only = if settings.is_identities_only {
                " (only for the keys above)"
            } else {
                ""
            };
            let shown = format!("{}{only}", agent.display());
            self.one("agent", &shown, from.as_deref().unwrap_or("SSH_AUTH_SOCK"));
        }
        let methods: Vec<&str> = settings
            .methods
            .iter()
            .map(|method| method.as_str())
            .collect();
        let from = self.set_or_built_in(Keyword::PreferredAuthentications);
        self.one("login", &methods.join(", "), &from);
    }

    fn host_key(&mut self, endpoint: &Endpoint) {
        let settings = &endpoint.ssh;
        if let Some(file) = &settings.revoked_host_keys {
            let from = self.set_or_built_in(Keyword::RevokedHostKeys);
            self.one("revoked-keys", &file.display(), &from);
        }
        if let Some(key) = &endpoint.host_key {
            self.one_of_many("known-key", key, "the inventory");
            return;
        }
        let from = match self.flag("host_keys", "host-keys") {
            built_in if built_in == BUILT_IN => {
                self.set_or_built_in(Keyword::StrictHostKeyChecking)
            }
            flag => flag,
        };
        self.one("host-keys", settings.policy.as_str(), &from);
        if let Some(alias) = &settings.host_key_alias {
            let from = self.set_or_built_in(Keyword::HostKeyAlias);
            self.one("host-key-alias", alias, &from);
        }
        let (known, _) = KnownHosts::load(&settings.known_hosts, &settings.global_known_hosts);
        let (name, port) = settings.looked_up_as(&endpoint.address, endpoint.port);
        for key in known.keys_of(name, port) {
            let shown = format!("{} {}", key.algorithm, key.fingerprint);
            self.one_of_many("known-key", &shown, &key.place);
        }
        for key in known.authorities(name, port) {
            let shown = format!("{} {}", key.algorithm, key.fingerprint);
            self.one_of_many("authority", &shown, &key.place);
        }
    }

    fn rest(&mut self, endpoint: &Endpoint) {
        let settings = &endpoint.ssh;
        let lists = [
            (
                "host-key-algorithms",
                Keyword::HostKeyAlgorithms,
                &settings.algorithms.host_key,
            ),
            ("kex", Keyword::KexAlgorithms, &settings.algorithms.kex),
            ("ciphers", Keyword::Ciphers, &settings.algorithms.ciphers),
            ("macs", Keyword::Macs, &settings.algorithms.macs),
        ];
        for (what, keyword, list) in lists {
            if let Some(list) = list {
                let from = self.set_or_built_in(keyword);
                self.one(what, list, &from);
            }
        }
        if let Some(address) = &settings.bind_address {
            let from = self.set_or_built_in(Keyword::BindAddress);
            self.one("bind-address", address, &from);
        }
        if let Some(limit) = settings.connect_timeout {
            let from = self.set_or_built_in(Keyword::ConnectTimeout);
            self.one("connect-timeout", &format!("{limit:?}"), &from);
        }
        let from = self.set_or_built_in(Keyword::ServerAliveInterval);
        let alive = match settings.keepalive {
            none if none.is_zero() => "never".to_owned(),
            interval => format!("{interval:?}, {} times", settings.keepalive_count),
        };
        self.one("keepalive", &alive, &from);
        for (name, value) in &settings.environment {
            let is_set = self
                .resolved
                .and_then(|resolved| resolved.set_variables().ok());
            let is_set = is_set.is_some_and(|set| set.iter().any(|(other, _)| other == name));
            let keyword = if is_set {
                Keyword::SetEnv
            } else {
                Keyword::SendEnv
            };
            let resolved = self.resolved.map(|resolved| resolved.settings(keyword));
            let from = resolved
                .and_then(|settings| settings.first().map(|setting| setting.place.to_string()));
            self.one_of_many(
                "variable",
                &format!("{name}={value}"),
                &from.unwrap_or_default(),
            );
        }
        let dropped: Vec<_> = self
            .resolved
            .into_iter()
            .flat_map(Resolved::dropped)
            .filter(|dropped| is_in_vain(endpoint.transport, &dropped.keyword))
            .collect();
        for line in dropped {
            self.one_of_many("without-effect", &line.keyword, &line.place.to_string());
        }
    }
}

/// Says in a few words what a key file is.
fn state(file: &Path) -> String {
    match Identity::load(file) {
        Ok(Loaded::Ready(identity)) => known_hosts::algorithm(&identity.public),
        Ok(Loaded::Encrypted(_)) => "encrypted".to_owned(),
        Err(IdentityError::Hardware { public, .. }) => {
            format!(
                "{}: only an agent can use it",
                known_hosts::algorithm(&public)
            )
        }
        Err(_) if !file.exists() => "not there".to_owned(),
        Err(_) => "not a private key that can be used".to_owned(),
    }
}

/// Returns the facts as one object: `what` is the key, several of a kind are an array; `from` says
/// the same way who said so.
pub(in crate::command) fn object(facts: &[Fact]) -> Map<String, Value> {
    let (mut values, mut sources) = (Map::new(), Map::new());
    for fact in facts {
        for (map, text) in [(&mut values, &fact.value), (&mut sources, &fact.from)] {
            let text = match (fact.what, text.parse::<u16>()) {
                ("port", Ok(number)) => Value::from(number),
                _ => Value::from(text.as_str()),
            };
            if !fact.is_one_of_many {
                map.insert(fact.what.to_owned(), text);
                continue;
            }
            let all = map
                .entry(fact.what)
                .or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(all) = all {
                all.push(text);
            }
        }
    }
    values.insert("from".to_owned(), Value::Object(sources));
    values
}
