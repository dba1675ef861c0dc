//! The keywords of `ssh_config(5)`: which ones hoist acts on, what their values look like, and what
//! becomes of the others.

/// A keyword that hoist acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(
    missing_docs,
    reason = "each is described in ssh_config(5) under its own name"
)]
pub enum Keyword {
    AddressFamily,
    BindAddress,
    CertificateFile,
    CheckHostIp,
    Ciphers,
    ConnectTimeout,
    ConnectionAttempts,
    ControlPath,
    GlobalKnownHostsFile,
    HashKnownHosts,
    HostKeyAlgorithms,
    HostKeyAlias,
    HostName,
    IdentitiesOnly,
    IdentityAgent,
    IdentityFile,
    IgnoreUnknown,
    KbdInteractiveAuthentication,
    KexAlgorithms,
    LogLevel,
    Macs,
    PasswordAuthentication,
    Port,
    PreferredAuthentications,
    ProxyCommand,
    ProxyJump,
    PubkeyAuthentication,
    RemoteCommand,
    RevokedHostKeys,
    SendEnv,
    ServerAliveCountMax,
    ServerAliveInterval,
    SetEnv,
    StrictHostKeyChecking,
    Tag,
    User,
    UserKnownHostsFile,
}

/// What a value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// One argument.
    Argument,
    /// Files: one or more arguments; `none` stands alone.
    Files,
    /// Everything up to the end of the line.
    Rest,
    /// `yes` or `no`.
    Flag,
    /// One of these words, in any case; `true` and `false` count as `yes` and `no`.
    Choice(&'static [&'static str]),
    /// A whole number from 0.
    Number,
    /// `90`, `1h30m`, `none`.
    Time,
    /// 1 to 65535.
    Port,
    /// Names between commas, perhaps after `+`, `-` or `^`.
    Algorithms,
    /// `[user@]host[:port]` between commas, or `none`.
    Jumps,
    /// `NAME=VALUE …`.
    Assignments,
    /// Names of variables, with wildcards; `-` takes some away.
    VariableNames,
}

/// What a keyword at the start of a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Host,
    Match,
    Include,
    /// hoist acts on it.
    Setting(Keyword, Shape),
    /// It makes no difference to commands that run on many hosts.
    Indifferent,
    /// It would make a difference, and hoist can't honour it.
    Dropped,
}

const ADDRESS_FAMILIES: &[&str] = &["any", "inet", "inet6"];
const CHECKING: &[&str] = &["yes", "no", "ask", "off", "accept-new"];
const PUBKEY: &[&str] = &["yes", "no", "unbound", "host-bound"];
const LOG_LEVELS: &[&str] = &[
    "quiet", "fatal", "error", "info", "verbose", "debug", "debug1", "debug2", "debug3",
];

/// Keywords in lower case, in the order of the alphabet.
const SETTINGS: &[(&str, Keyword, Shape)] = &[
    (
        "addressfamily",
        Keyword::AddressFamily,
        Shape::Choice(ADDRESS_FAMILIES),
    ),
    ("bindaddress", Keyword::BindAddress, Shape::Argument),
    ("certificatefile", Keyword::CertificateFile, Shape::Argument),
    (
        "challengeresponseauthentication",
        Keyword::KbdInteractiveAuthentication,
        Shape::Flag,
    ),
    ("checkhostip", Keyword::CheckHostIp, Shape::Flag),
    ("ciphers", Keyword::Ciphers, Shape::Algorithms),
    (
        "connectionattempts",
        Keyword::ConnectionAttempts,
        Shape::Number,
    ),
    ("connecttimeout", Keyword::ConnectTimeout, Shape::Time),
    ("controlpath", Keyword::ControlPath, Shape::Argument),
    (
        "dsaauthentication",
        Keyword::PubkeyAuthentication,
        Shape::Choice(PUBKEY),
    ),
    (
        "globalknownhostsfile",
        Keyword::GlobalKnownHostsFile,
        Shape::Files,
    ),
    ("hashknownhosts", Keyword::HashKnownHosts, Shape::Flag),
    (
        "hostkeyalgorithms",
        Keyword::HostKeyAlgorithms,
        Shape::Algorithms,
    ),
    ("hostkeyalias", Keyword::HostKeyAlias, Shape::Argument),
    ("hostname", Keyword::HostName, Shape::Argument),
    ("identitiesonly", Keyword::IdentitiesOnly, Shape::Flag),
    ("identityagent", Keyword::IdentityAgent, Shape::Argument),
    ("identityfile", Keyword::IdentityFile, Shape::Argument),
    ("identityfile2", Keyword::IdentityFile, Shape::Argument),
    ("ignoreunknown", Keyword::IgnoreUnknown, Shape::Argument),
    (
        "kbdinteractiveauthentication",
        Keyword::KbdInteractiveAuthentication,
        Shape::Flag,
    ),
    ("kexalgorithms", Keyword::KexAlgorithms, Shape::Algorithms),
    ("loglevel", Keyword::LogLevel, Shape::Choice(LOG_LEVELS)),
    ("macs", Keyword::Macs, Shape::Algorithms),
    (
        "passwordauthentication",
        Keyword::PasswordAuthentication,
        Shape::Flag,
    ),
    ("port", Keyword::Port, Shape::Port),
    (
        "preferredauthentications",
        Keyword::PreferredAuthentications,
        Shape::Argument,
    ),
    ("proxycommand", Keyword::ProxyCommand, Shape::Rest),
    ("proxyjump", Keyword::ProxyJump, Shape::Jumps),
    (
        "pubkeyauthentication",
        Keyword::PubkeyAuthentication,
        Shape::Choice(PUBKEY),
    ),
    ("remotecommand", Keyword::RemoteCommand, Shape::Rest),
    ("revokedhostkeys", Keyword::RevokedHostKeys, Shape::Argument),
    ("sendenv", Keyword::SendEnv, Shape::VariableNames),
    (
        "serveralivecountmax",
        Keyword::ServerAliveCountMax,
        Shape::Number,
    ),
    (
        "serveraliveinterval",
        Keyword::ServerAliveInterval,
        Shape::Time,
    ),
    ("setenv", Keyword::SetEnv, Shape::Assignments),
    (
        "skeyauthentication",
        Keyword::KbdInteractiveAuthentication,
        Shape::Flag,
    ),
    (
        "stricthostkeychecking",
        Keyword::StrictHostKeyChecking,
        Shape::Choice(CHECKING),
    ),
    ("tag", Keyword::Tag, Shape::Argument),
    (
        "tisauthentication",
        Keyword::KbdInteractiveAuthentication,
        Shape::Flag,
    ),
    ("user", Keyword::User, Shape::Argument),
    (
        "userknownhostsfile",
        Keyword::UserKnownHostsFile,
        Shape::Files,
    ),
];

/// Keywords that change nothing for hoist: they are about terminals, forwarding's details, the
/// user's own `ControlMaster`, how `ssh` logs and asks, or what only servers of the past spoke.
const INDIFFERENT: &[&str] = &[
    "addkeystoagent",
    "afstokenpassing",
    "batchmode",
    "canonicaldomains",
    "canonicalizefallbacklocal",
    "canonicalizemaxdots",
    "canonicalizepermittedcnames",
    "casignaturealgorithms",
    "channeltimeout",
    "cipher",
    "clearallforwardings",
    "compressionlevel",
    "controlmaster",
    "controlpersist",
    "enableescapecommandline",
    "enablesshkeysign",
    "escapechar",
    "exitonforwardfailure",
    "fallbacktorsh",
    "fingerprinthash",
    "forkafterauthentication",
    "forwardx11timeout",
    "forwardx11trusted",
    "gatewayports",
    "globalknownhostsfile2",
    "gssapiauthentication",
    "gssapidelegatecredentials",
    "gssapikeyexchange",
    "hostbasedacceptedalgorithms",
    "hostbasedkeytypes",
    "ipqos",
    "kbdinteractivedevices",
    "keepalive",
    "kerberosauthentication",
    "kerberostgtpassing",
    "logverbose",
    "numberofpasswordprompts",
    "obscurekeystroketiming",
    "permitlocalcommand",
    "permitremoteopen",
    "protocol",
    "rekeylimit",
    "requesttty",
    "rhostsauthentication",
    "rhostsrsaauthentication",
    "rsaauthentication",
    "securitykeyprovider",
    "stdinnull",
    "streamlocalbindmask",
    "streamlocalbindunlink",
    "syslogfacility",
    "tcpkeepalive",
    "tunneldevice",
    "updatehostkeys",
    "useprivilegedport",
    "userknownhostsfile2",
    "useroaming",
    "usersh",
    "versionaddendum",
    "visualhostkey",
    "warnweakcrypto",
    "xauthlocation",
];

/// Keywords whose effect somebody would miss.
const DROPPED: &[&str] = &[
    "bindinterface",
    "canonicalizehostname",
    "compression",
    "dynamicforward",
    "forwardagent",
    "forwardx11",
    "hostbasedauthentication",
    "knownhostscommand",
    "localcommand",
    "localforward",
    "nohostauthenticationforlocalhost",
    "pkcs11provider",
    "proxyusefdpass",
    "pubkeyacceptedalgorithms",
    "pubkeyacceptedkeytypes",
    "refuseconnection",
    "remoteforward",
    "requiredrsasize",
    "sessiontype",
    "smartcarddevice",
    "tunnel",
    "verifyhostkeydns",
];

/// Values that ask a dropped keyword for nothing.
const NOTHING: &[&str] = &["no", "false", "none", "default"];

impl Keyword {
    /// Returns the name as the manual writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::AddressFamily => "AddressFamily",
            Self::BindAddress => "BindAddress",
            Self::CertificateFile => "CertificateFile",
            Self::CheckHostIp => "CheckHostIP",
            Self::Ciphers => "Ciphers",
            Self::ConnectTimeout => "ConnectTimeout",
            Self::ConnectionAttempts => "ConnectionAttempts",
            Self::ControlPath => "ControlPath",
            Self::GlobalKnownHostsFile => "GlobalKnownHostsFile",
            Self::HashKnownHosts => "HashKnownHosts",
            Self::HostKeyAlgorithms => "HostKeyAlgorithms",
            Self::HostKeyAlias => "HostKeyAlias",
            Self::HostName => "HostName",
            Self::IdentitiesOnly => "IdentitiesOnly",
            Self::IdentityAgent => "IdentityAgent",
            Self::IdentityFile => "IdentityFile",
            Self::IgnoreUnknown => "IgnoreUnknown",
            Self::KbdInteractiveAuthentication => "KbdInteractiveAuthentication",
            Self::KexAlgorithms => "KexAlgorithms",
            Self::LogLevel => "LogLevel",
            Self::Macs => "MACs",
            Self::PasswordAuthentication => "PasswordAuthentication",
            Self::Port => "Port",
            Self::PreferredAuthentications => "PreferredAuthentications",
            Self::ProxyCommand => "ProxyCommand",
            Self::ProxyJump => "ProxyJump",
            Self::PubkeyAuthentication => "PubkeyAuthentication",
            Self::RemoteCommand => "RemoteCommand",
            Self::RevokedHostKeys => "RevokedHostKeys",
            Self::SendEnv => "SendEnv",
            Self::ServerAliveCountMax => "ServerAliveCountMax",
            Self::ServerAliveInterval => "ServerAliveInterval",
            Self::SetEnv => "SetEnv",
            Self::StrictHostKeyChecking => "StrictHostKeyChecking",
            Self::Tag => "Tag",
            Self::User => "User",
            Self::UserKnownHostsFile => "UserKnownHostsFile",
        }
    }

    /// How many keywords there are.
    pub(super) const COUNT: usize = Self::UserKnownHostsFile as usize + 1;
}

/// Says what `name` is; `None` where no version of OpenSSH that hoist knows of has such a keyword.
pub(super) fn look_up(name: &str) -> Option<Known> {
    let name = name.to_ascii_lowercase();
    let name = name.as_str();
    if let Ok(index) = SETTINGS.binary_search_by_key(&name, |(name, ..)| name) {
        let (_, keyword, shape) = SETTINGS[index];
        return Some(Known::Setting(keyword, shape));
    }
    match name {
        "host" => Some(Known::Host),
        "match" => Some(Known::Match),
        "include" => Some(Known::Include),
        _ if INDIFFERENT.binary_search(&name).is_ok() => Some(Known::Indifferent),
        _ if DROPPED.binary_search(&name).is_ok() => Some(Known::Dropped),
        _ => None,
    }
}

/// Whether a dropped keyword is asked for nothing.
pub(super) fn asks_nothing(value: &str) -> bool {
    NOTHING.iter().any(|word| value.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_in_order_and_whole() {
        assert!(SETTINGS.is_sorted_by_key(|(name, ..)| *name));
        assert!(INDIFFERENT.is_sorted());
        assert!(DROPPED.is_sorted());
        for (name, keyword, shape) in SETTINGS {
            assert_eq!(look_up(name), Some(Known::Setting(*keyword, *shape)));
            assert!((*keyword as usize) < Keyword::COUNT);
            assert!(
                matches!(look_up(keyword.name()), Some(Known::Setting(found, _)) if found == *keyword)
            );
        }
        assert_eq!(look_up("ForwardAgent"), Some(Known::Dropped));
        assert_eq!(look_up("nosuchthing"), None);
    }
}
