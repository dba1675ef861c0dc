//! Where and as whom each host is reached, with every setting applied.
//!
//! Lowest to highest: what is built in, the configuration of `ssh`, hoist's own file, the inventory,
//! `HOIST_…` variables, arguments, and what a pattern says of user and port. The configuration of
//! `ssh` is asked with everything above it already known, as `ssh` itself does it.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hoist::host::{
    Address, Algorithms, Endpoint, Host, Port, Route, SshSettings, TransportName, UserName, escaped,
};
use hoist::hostset::Login;
use hoist::inventory::Inventory;
use hoist::selection::Selected;
use hoist::ssh_config::{Given, JumpHop, Keyword, Place, Resolved, Setting, SshConfig, Value, Way};

use super::{Reaching, openssh};
use crate::report::Failure;
use crate::settings::Origin;

/// Key files that hoist itself was told to use, by an argument or the inventory.
pub(in crate::command) type Required = HashSet<PathBuf>;

/// Log levels at which `ssh` would not mention it.
const SILENT_LEVELS: [&str; 3] = ["quiet", "fatal", "error"];

/// What holds for every host.
pub(super) struct Everywhere<'a> {
    reaching: &'a Reaching<'a>,
    config: &'a SshConfig,
    inventory: Option<&'a Inventory>,
    /// Settings that were made, to be shared.
    settings: HashSet<Arc<SshSettings>>,
    /// Jump hosts that were made, by the hops up to them and the transport through them.
    jumps: HashMap<(TransportName, Vec<JumpHop>), Arc<Endpoint>>,
    /// The jump hosts being made: none may lead through itself.
    pending: Vec<JumpHop>,
    pub(super) required: Required,
    /// What is asked for in vain, and where.
    in_vain: Vec<String>,
    /// Some of it would have an effect over another transport.
    is_mendable: bool,
}

impl<'a> Everywhere<'a> {
    pub(super) fn new(
        reaching: &'a Reaching<'a>,
        config: &'a SshConfig,
        inventory: Option<&'a Inventory>,
    ) -> Self {
        Self {
            reaching,
            config,
            inventory,
            settings: HashSet::new(),
            jumps: HashMap::new(),
            pending: Vec::new(),
            required: HashSet::new(),
            in_vain: Vec::new(),
            is_mendable: false,
        }
    }

    /// Returns the endpoints of all hosts, in order.
    ///
    /// # Errors
    /// When a host can't be reached the way its settings ask for.
    pub(super) fn resolve(&mut self, hosts: Vec<Selected>) -> Result<Vec<Endpoint>, Failure> {
        hosts.into_iter().map(|host| self.endpoint(host)).collect()
    }

    /// Returns a line about what is asked for in vain, if anything is.
    pub(super) fn in_vain(&self) -> Option<String> {
        let list = self.in_vain.join(", ");
        let hint = if self.is_mendable {
            "; --transport openssh knows more of them"
        } else {
            ""
        };
        (!list.is_empty()).then(|| format!("hoist: without effect here: {list}{hint}"))
    }

    fn endpoint(&mut self, selected: Selected) -> Result<Endpoint, Failure> {
        self.resolved(selected).map(|(endpoint, _)| endpoint)
    }

    /// Returns how a host is reached, and, for one over SSH, what the configuration says of it.
    pub(super) fn resolved(
        &mut self,
        selected: Selected,
    ) -> Result<(Endpoint, Option<Resolved>), Failure> {
        let connecting = self.reaching.connecting;
        let host = &selected.host;
        let transport = self.settle("transport", Some(connecting.transport), host.transport);
        let transport = transport.unwrap_or_default();
        if transport == TransportName::Local {
            let address = host.address.clone();
            let endpoint = Endpoint {
                address: address.unwrap_or_else(|| Address::from(&host.name)),
                name: selected.host.name,
                transport,
                port: Port::SSH,
                user: None,
                ssh: Arc::default(),
                host_key: None,
            };
            return Ok((endpoint, None));
        }
        let given = self.given(&selected)?;
        let (endpoint, resolved) = self.over_ssh(transport, selected.host, &given)?;
        Ok((endpoint, Some(resolved)))
    }

    fn over_ssh(
        &mut self,
        transport: TransportName,
        host: Host,
        given: &Given,
    ) -> Result<(Endpoint, Resolved), Failure> {
        let resolved = self.config.resolve(&host.name, given);
        let resolved = resolved.map_err(Failure::usage)?;
        self.note_in_vain(transport, &resolved);
        let mut settings = self.settings(transport, &resolved, host.identity.as_deref())?;
        if transport == TransportName::OpenSsh {
            settings.control_path = resolved.control_path().map_err(Failure::usage)?;
            let told = openssh::Told {
                reaching: self.reaching,
                given,
                required: &self.required,
            };
            settings.openssh = Some(told.arguments(&settings));
        }
        let endpoint = Endpoint {
            transport,
            address: address(&resolved)?,
            port: resolved.port(),
            user: Some(user(&resolved)?),
            ssh: self.shared(settings),
            host_key: host.host_key,
            name: host.name,
        };
        Ok((endpoint, resolved))
    }

    fn route(&mut self, transport: TransportName, resolved: &Resolved) -> Result<Route, Failure> {
        match resolved.way().map_err(Failure::usage)? {
            Way::Direct => Ok(Route::Direct),
            Way::Command(line) => Ok(Route::Command(line)),
            Way::Jumps(hops) => self.jump(transport, &hops).map(Route::Jump),
        }
    }

    /// Returns the last of these hops, which is reached through those before it. As with `ssh`,
    /// neither `--user`, `--port` nor options are about a jump host; its row in the inventory is.
    fn jump(
        &mut self,
        transport: TransportName,
        hops: &[JumpHop],
    ) -> Result<Arc<Endpoint>, Failure> {
        let key = (transport, hops.to_vec());
        if let Some(known) = self.jumps.get(&key) {
            return Ok(Arc::clone(known));
        }
        let (last, before) = hops.split_last().expect("a way through jumps has some");
        if self.pending.contains(last) {
            let circle: Vec<_> = self
                .pending
                .iter()
                .chain([last])
                .map(ToString::to_string)
                .collect();
            let circle = circle.join(" → ");
            return Err(
                Failure::usage(format!("jump hosts lead in a circle: {circle}")).hint(format!(
                    "`Host {}` with `ProxyJump none` ends it",
                    last.name
                )),
            );
        }
        let row = self
            .inventory
            .and_then(|inventory| inventory.get(last.name.as_str()));
        let host = row
            .cloned()
            .unwrap_or_else(|| Host::named(last.name.clone()));
        let login = Login {
            user: last.user.clone(),
            port: last.port,
        };
        let mut given = Given {
            is_without_options: true,
            ..Given::default()
        };
        put_login(&mut given.first, &login, "the jump");
        if !before.is_empty() {
            let through = Value::Jumps(before.to_vec());
            put(
                &mut given.first,
                Keyword::ProxyJump,
                Some(through),
                "the jumps before it",
            );
        }
        put_host(&mut given.first, &host, &self.origin_of(&host))?;
        self.pending.push(last.clone());
        let (endpoint, _) = self.over_ssh(transport, host, &given)?;
        self.pending.pop();
        let endpoint = Arc::new(endpoint);
        self.jumps.insert(key, Arc::clone(&endpoint));
        Ok(endpoint)
    }

    /// Returns what counts more than the configuration of `ssh`.
    fn given(&self, selected: &Selected) -> Result<Given, Failure> {
        let connecting = self.reaching.connecting;
        let mut given = Given::default();
        put_login(&mut given.first, &selected.login, "the pattern");
        let flags = ["user", "port", "jump"];
        for id in flags {
            match self.origin(id) {
                Origin::Argument => self.put_flag(&mut given.first, id, &format!("--{id}"))?,
                Origin::Environment => {
                    let variable = format!("HOIST_{}", id.to_uppercase());
                    self.put_flag(&mut given.first, id, &variable)?;
                }
                Origin::File | Origin::BuiltIn => {}
            }
        }
        // Options of hoist's own file stand below the inventory.
        let below = if self.origin("option") >= Origin::Environment || connecting.option.is_empty()
        {
            &mut given.then
        } else {
            &mut given.first
        };
        put_host(below, &selected.host, &self.origin_of(&selected.host))?;
        for id in flags {
            self.put_flag(&mut given.then, id, "the settings file")?;
        }
        Ok(given)
    }

    fn put_flag(
        &self,
        list: &mut Vec<Arc<Setting>>,
        id: &str,
        source: &str,
    ) -> Result<(), Failure> {
        let connecting = self.reaching.connecting;
        match id {
            "user" => put(
                list,
                Keyword::User,
                connecting.user.as_ref().map(text),
                source,
            ),
            "port" => put(
                list,
                Keyword::Port,
                connecting.port.map(Value::Port),
                source,
            ),
            _ => {
                let jumps = connecting.jump.as_deref();
                let jumps = jumps.map(|jumps| hops(jumps, source)).transpose()?;
                put(list, Keyword::ProxyJump, jumps, source);
            }
        }
        Ok(())
    }

    /// Decides between what was set for all hosts and what the inventory says of one.
    fn settle<T>(&self, id: &str, set: Option<T>, of_host: Option<T>) -> Option<T> {
        if self.origin(id) >= Origin::Environment {
            set.or(of_host)
        } else {
            of_host.or(set)
        }
    }

    /// Returns where the inventory has a host.
    fn origin_of(&self, host: &Host) -> String {
        let origin = self
            .inventory
            .and_then(|inventory| inventory.origin(host.name.as_str()));
        origin.unwrap_or_else(|| "the inventory".to_owned())
    }

    fn origin(&self, id: &str) -> Origin {
        self.reaching.origins.of(id)
    }

    fn settings(
        &mut self,
        transport: TransportName,
        resolved: &Resolved,
        identity: Option<&str>,
    ) -> Result<SshSettings, Failure> {
        let connecting = self.reaching.connecting;
        let built_in = SshSettings::default();
        let owned = |keyword| resolved.text(keyword).map(str::to_owned);
        let known_hosts = if connecting.known_hosts.is_empty() {
            resolved.known_hosts().map_err(Failure::usage)?
        } else {
            connecting.known_hosts.clone()
        };
        let policy = match self.origin("host_keys") {
            Origin::BuiltIn => resolved.policy().unwrap_or(connecting.host_keys),
            _ => connecting.host_keys,
        };
        let is_timeout_ours = self.origin("connect_timeout") > Origin::BuiltIn;
        let timeout = resolved.time(Keyword::ConnectTimeout);
        let attempts = match self.origin("retries") {
            Origin::BuiltIn => resolved.number(Keyword::ConnectionAttempts),
            _ => None,
        };
        Ok(SshSettings {
            route: self.route(transport, resolved)?,
            identities: self.identities(resolved, identity)?,
            certificates: resolved
                .certificate_files()
                .map_err(Failure::usage)?
                .into_iter()
                .map(|(file, _)| file)
                .collect(),
            is_identities_only: resolved.flag(Keyword::IdentitiesOnly) == Some(true),
            agent: resolved.agent().map_err(Failure::usage)?,
            methods: resolved.methods(),
            known_hosts,
            global_known_hosts: resolved.global_known_hosts(),
            hashes_known_hosts: resolved.flag(Keyword::HashKnownHosts) == Some(true),
            host_key_alias: resolved.host_key_alias().map(String::into_boxed_str),
            revoked_host_keys: resolved.revoked_host_keys().map_err(Failure::usage)?,
            checks_address: resolved.flag(Keyword::CheckHostIp) == Some(true),
            policy,
            algorithms: Algorithms {
                host_key: owned(Keyword::HostKeyAlgorithms),
                kex: owned(Keyword::KexAlgorithms),
                ciphers: owned(Keyword::Ciphers),
                macs: owned(Keyword::Macs),
            },
            family: resolved.family(),
            bind_address: bind_address(resolved)?,
            connect_timeout: timeout.filter(|time| !is_timeout_ours && *time > Duration::ZERO),
            connection_attempts: attempts.unwrap_or(1).max(1),
            keepalive: resolved
                .time(Keyword::ServerAliveInterval)
                .unwrap_or(built_in.keepalive),
            keepalive_count: resolved
                .number(Keyword::ServerAliveCountMax)
                .unwrap_or(built_in.keepalive_count),
            environment: resolved.environment().map_err(Failure::usage)?,
            control_path: None,
            openssh: None,
        })
    }

    /// Returns the key files, those that hoist was told of first. Keys that nobody named are tried
    /// only where none is named.
    fn identities(
        &mut self,
        resolved: &Resolved,
        of_host: Option<&str>,
    ) -> Result<Vec<PathBuf>, Failure> {
        let set = Some(self.reaching.connecting.identity.clone());
        let set = set.filter(|files| !files.is_empty());
        let of_host = of_host.map(|file| vec![self.below_home(file)]);
        let mut files = self.settle("identity", set, of_host).unwrap_or_default();
        self.required.extend(files.iter().cloned());
        let is_told = !files.is_empty();
        for (file, place) in resolved.identity_files().map_err(Failure::usage)? {
            if (place.is_some() || !is_told) && !files.contains(&file) {
                files.push(file);
            }
        }
        Ok(files)
    }

    fn below_home(&self, file: &str) -> PathBuf {
        let home = self.reaching.environment.home.as_deref();
        match (file.strip_prefix("~/"), home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => file.into(),
        }
    }

    /// Returns equal settings that were made before, if there are any.
    fn shared(&mut self, settings: SshSettings) -> Arc<SshSettings> {
        if let Some(known) = self.settings.get(&settings) {
            return Arc::clone(known);
        }
        let settings = Arc::new(settings);
        self.settings.insert(Arc::clone(&settings));
        settings
    }

    fn note_in_vain(&mut self, transport: TransportName, resolved: &Resolved) {
        let level = resolved.text(Keyword::LogLevel).unwrap_or_default();
        if SILENT_LEVELS.contains(&level) {
            return;
        }
        let mut lines: Vec<String> = resolved
            .dropped()
            .filter(|dropped| is_in_vain(transport, &dropped.keyword))
            .map(|dropped| format!("{} ({})", dropped.keyword, dropped.place))
            .collect();
        let remote = resolved.settings(Keyword::RemoteCommand);
        let remote = remote.iter().filter(|_| {
            let text = resolved.text(Keyword::RemoteCommand).unwrap_or_default();
            !text.eq_ignore_ascii_case("none")
        });
        lines.extend(remote.map(|setting| format!("RemoteCommand ({})", setting.place)));
        let mut dropped = resolved.dropped();
        self.is_mendable |= transport == TransportName::Ssh
            && dropped.any(|dropped| !is_in_vain(TransportName::OpenSsh, &dropped.keyword));
        for line in lines {
            if !self.in_vain.contains(&line) {
                self.in_vain.push(line);
            }
        }
    }
}

/// Whether a keyword that hoist doesn't know how to honour has no effect over this transport. The
/// system's `ssh` honours what it is not kept from.
pub(super) fn is_in_vain(transport: TransportName, keyword: &str) -> bool {
    let is_kept_from = |keyword: &str| {
        let mut all = openssh::KEPT_FROM.iter();
        all.any(|own| own.eq_ignore_ascii_case(keyword))
    };
    transport != TransportName::OpenSsh || is_kept_from(keyword)
}

fn put(list: &mut Vec<Arc<Setting>>, keyword: Keyword, value: Option<Value>, source: &str) {
    list.extend(value.map(|value| Setting::new(keyword, value, Place::of(source))));
}

fn put_login(list: &mut Vec<Arc<Setting>>, login: &Login, source: &str) {
    put(list, Keyword::User, login.user.as_ref().map(text), source);
    put(list, Keyword::Port, login.port.map(Value::Port), source);
}

/// Puts what the inventory says of a host.
fn put_host(list: &mut Vec<Arc<Setting>>, host: &Host, source: &str) -> Result<(), Failure> {
    // An address with a zone holds a `%` that is no token.
    let address = host.address.as_ref();
    let address = address.map(|address| text(address.as_str().replace('%', "%%")));
    put(list, Keyword::HostName, address, source);
    put(list, Keyword::User, host.user.as_ref().map(text), source);
    put(list, Keyword::Port, host.port.map(Value::Port), source);
    let jumps = host
        .jump
        .as_deref()
        .map(|jumps| hops(jumps, source))
        .transpose();
    let jumps = jumps?;
    put(list, Keyword::ProxyJump, jumps, source);
    Ok(())
}

fn text(text: impl AsRef<str>) -> Value {
    Value::Text(text.as_ref().into())
}

/// Reads `[user@]host[:port]` between commas, or `none`.
fn hops(list: &str, source: &str) -> Result<Value, Failure> {
    if list.eq_ignore_ascii_case("none") {
        return Ok(Value::Jumps(Vec::new()));
    }
    let hops = list.split(',').map(|hop| {
        JumpHop::parse(hop).ok_or_else(|| {
            let hop = escaped(hop);
            Failure::usage(format!(
                "`{hop}` of {source} names no jump host; expected [user@]host[:port]"
            ))
        })
    });
    hops.collect::<Result<_, _>>().map(Value::Jumps)
}

fn address(resolved: &Resolved) -> Result<Address, Failure> {
    let address = resolved.address();
    address
        .parse()
        .map_err(|error| match resolved.place(Keyword::HostName) {
            Some(place) => Failure::usage(format!(
                "cannot use the SSH configuration: {place}: {error}"
            )),
            None => Failure::usage(error),
        })
}

fn user(resolved: &Resolved) -> Result<UserName, Failure> {
    let user = resolved.user().map_err(Failure::usage)?;
    if user.is_empty() {
        return Err(
            Failure::usage("cannot tell which user hoist runs as").hint("name one with `-l USER`")
        );
    }
    user.parse()
        .map_err(|error| match resolved.place(Keyword::User) {
            Some(place) => Failure::usage(format!(
                "cannot use the SSH configuration: {place}: {error}"
            )),
            None => Failure::usage(error),
        })
}

fn bind_address(resolved: &Resolved) -> Result<Option<IpAddr>, Failure> {
    let Some(text) = resolved.text(Keyword::BindAddress) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| {
        let place = resolved.place(Keyword::BindAddress).map(ToString::to_string);
        let place = place.unwrap_or_default();
        let text = escaped(text);
        Failure::usage(format!(
            "cannot use the SSH configuration: {place}: BindAddress is `{text}`; expected an IP address"
        ))
    })
}

#[cfg(test)]
mod tests {
    use hoist::host::{HostKeyPolicy, HostName};
    use hoist::ssh_config::{Facts, Sources};

    use super::*;
    use crate::args::Connecting;
    use crate::settings::{Environment, Origins};

    fn connecting() -> Connecting {
        Connecting {
            user: None,
            port: None,
            identity: Vec::new(),
            ask_pass: false,
            password_file: None,
            jump: None,
            ssh_config: None,
            option: Vec::new(),
            host_keys: HostKeyPolicy::Ask,
            known_hosts: Vec::new(),
            transport: TransportName::Ssh,
        }
    }

    fn named(name: &str) -> Selected {
        Selected {
            host: Host::named(HostName::parse(name).unwrap()),
            login: Login::default(),
        }
    }

    fn resolve_as(
        account: &str,
        connecting: &Connecting,
        origins: &[(&'static str, Origin)],
        host: Selected,
    ) -> Result<Endpoint, Failure> {
        let origins: Origins = origins.iter().copied().collect();
        let environment = Environment::from_variables([("HOME", "/home/me")]);
        let reaching = Reaching {
            connecting,
            origins: &origins,
            environment: &environment,
            is_quiet: true,
        };
        let facts = Facts {
            home: "/home/me".into(),
            user: account.to_owned(),
            ..Facts::default()
        };
        let sources = Sources {
            options: connecting.option.clone(),
            ..Sources::default()
        };
        let config = SshConfig::load(&sources, facts).unwrap();
        let mut everywhere = Everywhere::new(&reaching, &config, None);
        everywhere.resolve(vec![host]).map(|mut all| all.remove(0))
    }

    fn resolve(
        connecting: &Connecting,
        origins: &[(&'static str, Origin)],
        host: Selected,
    ) -> Result<Endpoint, Failure> {
        resolve_as("me", connecting, origins, host)
    }

    fn user(name: &str) -> UserName {
        UserName::parse(name).unwrap()
    }

    fn port(number: u16) -> Port {
        Port::new(number).unwrap()
    }

    #[test]
    fn a_bare_name_is_dialled_as_it_is_by_whoever_runs_hoist() {
        let endpoint = resolve(&connecting(), &[], named("web1")).unwrap();
        assert_eq!(endpoint.address.as_str(), "web1");
        assert_eq!(endpoint.user, Some(user("me")));
        assert_eq!(endpoint.port, Port::SSH);
        let first = &endpoint.ssh.identities[0];
        assert_eq!(first, std::path::Path::new("/home/me/.ssh/id_rsa"));
        assert_eq!(endpoint.ssh.policy, HostKeyPolicy::Ask);
    }

    #[test]
    fn the_inventory_stands_between_the_file_and_the_variables() {
        let mut connecting = connecting();
        connecting.user = Some(user("set"));
        connecting.port = Some(port(1));
        connecting.identity = vec!["/set".into()];
        let mut selected = named("web1");
        selected.host.user = Some(user("own"));
        selected.host.port = Some(port(2));
        selected.host.identity = Some("~/own".into());
        selected.host.host_key = Some("ssh-ed25519 AAAA".into());
        for (origin, expected) in [
            (Origin::BuiltIn, ("own", 2, "/home/me/own")),
            (Origin::File, ("own", 2, "/home/me/own")),
            (Origin::Environment, ("set", 1, "/set")),
            (Origin::Argument, ("set", 1, "/set")),
        ] {
            let origins = ["user", "port", "identity"].map(|id| (id, origin));
            let endpoint = resolve(&connecting, &origins, selected.clone()).unwrap();
            let user = endpoint.user.unwrap();
            let files = &endpoint.ssh.identities;
            let found = (
                user.as_str(),
                endpoint.port.get(),
                files[0].to_str().unwrap(),
            );
            assert_eq!(found, expected, "{origin:?}");
            assert_eq!(files.len(), 1, "nothing is tried that nobody named");
            assert_eq!(endpoint.host_key, selected.host.host_key);
        }
    }

    #[test]
    fn options_stand_between_the_inventory_and_arguments() {
        let mut connecting = connecting();
        connecting.option = vec!["User=optional".to_owned(), "Port=3".to_owned()];
        let mut selected = named("web1");
        selected.host.user = Some(user("own"));
        for (origin, expected) in [(Origin::File, "own"), (Origin::Argument, "optional")] {
            let endpoint = resolve(&connecting, &[("option", origin)], selected.clone()).unwrap();
            assert_eq!(endpoint.user, Some(user(expected)));
            assert_eq!(endpoint.port, port(3));
        }
    }

    #[test]
    fn what_the_file_sets_holds_where_the_inventory_is_silent() {
        let mut connecting = connecting();
        connecting.user = Some(user("set"));
        let endpoint = resolve(&connecting, &[("user", Origin::File)], named("a")).unwrap();
        assert_eq!(endpoint.user, Some(user("set")));
    }

    #[test]
    fn a_pattern_wins_over_everything() {
        let mut connecting = connecting();
        connecting.user = Some(user("set"));
        connecting.port = Some(port(1));
        let mut selected = named("web1");
        selected.login = Login {
            user: Some(user("root")),
            port: Some(port(2222)),
        };
        let origins = ["user", "port"].map(|id| (id, Origin::Argument));
        let endpoint = resolve(&connecting, &origins, selected).unwrap();
        assert_eq!(
            (endpoint.user, endpoint.port),
            (Some(user("root")), port(2222))
        );
    }

    #[test]
    fn this_machine_needs_no_login() {
        let mut selected = named("here");
        selected.host.transport = Some(TransportName::Local);
        selected.host.jump = Some("bastion".into());
        selected.host.user = Some(user("root"));
        let endpoint = resolve(&connecting(), &[], selected.clone()).unwrap();
        assert_eq!((endpoint.user, &endpoint.ssh.route), (None, &Route::Direct));

        // An argument turns the host's own transport round.
        let origins = [("transport", Origin::Argument)];
        let endpoint = resolve(&connecting(), &origins, selected).unwrap();
        assert_eq!(endpoint.transport, TransportName::Ssh);
        assert!(
            matches!(&endpoint.ssh.route, Route::Jump(jump) if jump.name.as_str() == "bastion")
        );
    }

    #[test]
    fn an_address_with_a_zone_is_no_token() {
        let mut selected = named("web1");
        selected.host.address = Some("fe80::1%eth0".parse().unwrap());
        let endpoint = resolve(&connecting(), &[], selected).unwrap();
        assert_eq!(endpoint.address.as_str(), "fe80::1%eth0");
    }

    #[test]
    fn a_jump_host_that_cannot_be_read_is_told() {
        let mut selected = named("db1");
        selected.host.jump = Some("a b".into());
        let failure = resolve(&connecting(), &[], selected).unwrap_err();
        assert_eq!(failure.code, crate::exit_code::USAGE);
        insta::assert_snapshot!(failure.line(), @"hoist: `a b` of the inventory names no jump host; expected [user@]host[:port]");
    }

    #[test]
    fn hosts_with_equal_settings_share_them() {
        let (connecting, origins) = (connecting(), Origins::default());
        let environment = Environment::default();
        let reaching = Reaching {
            connecting: &connecting,
            origins: &origins,
            environment: &environment,
            is_quiet: true,
        };
        let facts = Facts {
            user: "me".to_owned(),
            ..Facts::default()
        };
        let config = SshConfig::load(&Sources::default(), facts).unwrap();
        let mut everywhere = Everywhere::new(&reaching, &config, None);
        let hosts = everywhere.resolve(vec![named("a"), named("b")]).unwrap();
        assert!(Arc::ptr_eq(&hosts[0].ssh, &hosts[1].ssh));
    }

    #[test]
    fn without_any_user_there_is_no_login() {
        assert!(resolve_as("", &connecting(), &[], named("a")).is_err());
    }
}
