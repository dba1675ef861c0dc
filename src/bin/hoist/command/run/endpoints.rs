//! Where and as whom each host is reached, with every setting applied.
//!
//! Lowest to highest: what is built in, the configuration file, the inventory, `HOIST_…`
//! variables, arguments, and what a pattern says of user and port.

use std::path::{Path, PathBuf};

use hoist::host::{Address, Endpoint, Port, TransportName, UserName};
use hoist::selection::Selected;

use crate::args::Connecting;
use crate::report::Failure;
use crate::settings::{Origin, Origins};

/// What holds for every host.
pub(super) struct Everywhere<'a> {
    pub connecting: &'a Connecting,
    pub origins: &'a Origins,
    /// The account hoist runs as.
    pub own_user: Option<UserName>,
    /// Keys that are tried when none is named.
    pub default_identities: Vec<PathBuf>,
    pub home: Option<&'a Path>,
}

impl Everywhere<'_> {
    /// Returns the endpoints of all hosts, in order.
    ///
    /// # Errors
    /// When a host can't be reached the way its settings ask for.
    pub(super) fn resolve(&self, hosts: Vec<Selected>) -> Result<Vec<Endpoint>, Failure> {
        hosts.into_iter().map(|host| self.endpoint(host)).collect()
    }

    fn endpoint(&self, selected: Selected) -> Result<Endpoint, Failure> {
        let Selected { host, login } = selected;
        let connecting = self.connecting;
        let transport = self.settle("transport", Some(connecting.transport), host.transport);
        let transport = transport.unwrap_or_default();
        let address = host.address.unwrap_or_else(|| Address::from(&host.name));
        if transport == TransportName::Local {
            return Ok(Endpoint {
                name: host.name,
                transport,
                address,
                port: Port::SSH,
                user: None,
                identities: Vec::new(),
                host_key: None,
            });
        }
        if let Some(jump) = host.jump {
            return Err(Failure::usage(format!(
                "host {} is behind the jump host `{jump}`, and this version can't go through one",
                host.name
            ))
            .hint(format!("leave it out with `-x {}`", host.name)));
        }
        let user = self.settle("user", connecting.user.clone(), host.user);
        let port = self.settle("port", connecting.port, host.port);
        Ok(Endpoint {
            user: Some(self.user(login.user.or(user))?),
            port: login.port.or(port).unwrap_or(Port::SSH),
            identities: self.identities(host.identity.as_deref()),
            host_key: host.host_key,
            name: host.name,
            transport,
            address,
        })
    }

    /// Decides between what was set for all hosts and what the inventory says of one.
    fn settle<T>(&self, id: &str, set: Option<T>, of_host: Option<T>) -> Option<T> {
        if self.origins.of(id) >= Origin::Environment {
            set.or(of_host)
        } else {
            of_host.or(set)
        }
    }

    fn user(&self, user: Option<UserName>) -> Result<UserName, Failure> {
        user.or_else(|| self.own_user.clone()).ok_or_else(|| {
            Failure::usage("cannot tell which user hoist runs as").hint("name one with `-l USER`")
        })
    }

    fn identities(&self, of_host: Option<&str>) -> Vec<PathBuf> {
        let set = Some(self.connecting.identity.clone()).filter(|files| !files.is_empty());
        let of_host = of_host.map(|file| vec![self.below_home(file)]);
        let chosen = self.settle("identity", set, of_host);
        chosen.unwrap_or_else(|| self.default_identities.clone())
    }

    fn below_home(&self, file: &str) -> PathBuf {
        match (file.strip_prefix("~/"), self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => file.into(),
        }
    }
}

/// Returns the keys that ssh would try by itself, of those that exist. Where none does, the first
/// one: a host without any key of its own must not be shown those of others.
pub(super) fn default_identities(home: Option<&Path>) -> Vec<PathBuf> {
    let Some(folder) = home.map(|home| home.join(".ssh")) else {
        return Vec::new();
    };
    let files = ["id_ed25519", "id_ecdsa", "id_rsa"].map(|name| folder.join(name));
    let existing: Vec<_> = files.iter().filter(|file| file.is_file()).collect();
    match &existing[..] {
        [] => files[..1].to_vec(),
        some => some.iter().copied().cloned().collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hoist::host::{Host, HostName};
    use hoist::hostset::Login;
    use hoist::transport::ssh::HostKeyPolicy;

    use super::*;

    fn connecting() -> Connecting {
        Connecting {
            user: None,
            port: None,
            identity: Vec::new(),
            ask_pass: false,
            host_keys: HostKeyPolicy::Strict,
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

    fn resolve(
        connecting: &Connecting,
        origins: &[(&'static str, Origin)],
        host: Selected,
    ) -> Result<Endpoint, Failure> {
        let origins: Origins = origins.iter().copied().collect();
        let everywhere = Everywhere {
            connecting,
            origins: &origins,
            own_user: Some(user("me")),
            default_identities: vec!["/home/me/.ssh/id_ed25519".into()],
            home: Some(Path::new("/home/me")),
        };
        everywhere.resolve(vec![host]).map(|mut all| all.remove(0))
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
        assert_eq!(endpoint.identities, [Path::new("/home/me/.ssh/id_ed25519")]);
    }

    #[test]
    fn the_inventory_stands_between_the_file_and_the_variables() {
        let mut connecting = connecting();
        connecting.user = Some(user("set"));
        connecting.port = Some(port(1));
        connecting.identity = vec!["/set".into()];
        connecting.transport = TransportName::Ssh;
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
            let found = (
                endpoint.user.unwrap(),
                endpoint.port.get(),
                &endpoint.identities[0],
            );
            let found = (found.0.as_str(), found.1, found.2.to_str().unwrap());
            assert_eq!(found, expected, "{origin:?}");
            assert_eq!(endpoint.host_key, selected.host.host_key);
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
        assert_eq!((endpoint.user, endpoint.identities), (None, Vec::new()));

        // An argument turns the host's own transport round.
        let origins = [("transport", Origin::Argument)];
        selected.host.jump = None;
        let endpoint = resolve(&connecting(), &origins, selected).unwrap();
        assert_eq!(endpoint.transport, TransportName::Ssh);
    }

    #[test]
    fn a_host_behind_a_jump_host_is_not_dialled_directly() {
        let mut selected = named("db1");
        selected.host.jump = Some("bastion".into());
        selected.host.groups = vec![Arc::from("db")];
        let failure = resolve(&connecting(), &[], selected).unwrap_err();
        assert_eq!(failure.code, crate::exit_code::USAGE);
        insta::assert_snapshot!(failure.line(), @"hoist: host db1 is behind the jump host `bastion`, and this version can't go through one; leave it out with `-x db1`");
    }

    #[test]
    fn keys_that_exist_are_tried_in_the_order_of_ssh() {
        let home = tempfile::tempdir().unwrap();
        let names = || {
            let files = default_identities(Some(home.path())).into_iter();
            files
                .map(|file| file.file_name().unwrap().to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(), ["id_ed25519"]);
        std::fs::create_dir(home.path().join(".ssh")).unwrap();
        for name in ["id_rsa", "id_ecdsa", "id_other"] {
            std::fs::write(home.path().join(".ssh").join(name), "").unwrap();
        }
        assert_eq!(names(), ["id_ecdsa", "id_rsa"]);
    }

    #[test]
    fn without_any_user_there_is_no_login() {
        let (connecting, origins) = (connecting(), Origins::default());
        let everywhere = Everywhere {
            connecting: &connecting,
            origins: &origins,
            own_user: None,
            default_identities: Vec::new(),
            home: None,
        };
        assert!(everywhere.resolve(vec![named("a")]).is_err());
    }
}
