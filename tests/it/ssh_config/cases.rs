//! Configurations, from plain to odd. `--- NAME` begins another file beside the first one.

/// A configuration, and how it is asked: `[-o KEYWORD=VALUE …] HOST`.
pub(super) struct Case {
    pub(super) about: &'static str,
    pub(super) config: &'static str,
    pub(super) calls: &'static [&'static str],
}

const fn case(about: &'static str, config: &'static str, calls: &'static [&'static str]) -> Case {
    Case {
        about,
        config,
        calls,
    }
}

pub(super) const CASES: &[Case] = &[
    case(
        "nothing",
        "",
        &["web1", "10.0.0.7", "2001:db8::1", "WEB1.Example.COM"],
    ),
    case(
        "comments and blanks",
        "# a\n\n   # b\n\t\nPort 1 # c\n",
        &["a"],
    ),
    case("a port for all", "Port 2222\n", &["a", "-o Port=1 a"]),
    case(
        "an equals sign",
        "Port=2222\nUser = me\nHostName\t=\tb\n",
        &["a"],
    ),
    case("two equals signs", "User ==me\n", &["a"]),
    case(
        "keywords in any case",
        "pOrT 2222\nUSER me\nhostname X.example\n",
        &["a"],
    ),
    case(
        "the first value wins",
        "User a\nUser b\nPort 1\nPort 2\n",
        &["x"],
    ),
    case(
        "blocks by name",
        "Host a\n Port 1\nHost b\n Port 2\nHost *\n Port 3\n User me\n",
        &["a", "b", "c"],
    ),
    case(
        "several names",
        "Host a b c.example\n Port 1\n",
        &["a", "b", "c.example", "d"],
    ),
    case(
        "wildcards",
        "Host web?? *.example !x\n Port 1\n",
        &["web01", "web1", "a.example", ".example"],
    ),
    case(
        "negation",
        "Host *.example !db.example\n Port 1\n",
        &["web.example", "db.example"],
    ),
    case("negation first", "Host !db* *\n Port 1\n", &["db1", "web"]),
    case("only negation", "Host !a\n Port 1\n", &["a", "b"]),
    case(
        "names are compared as typed",
        "Host web\n Port 1\n",
        &["web", "WEB", "Web"],
    ),
    case("quoted names", "Host \"a\" 'b'\n Port 1\n", &["a", "b"]),
    case(
        "general defaults last",
        "Host a\n User x\nHost *\n User y\n IdentityFile ~/.ssh/all\n",
        &["a", "b"],
    ),
    case(
        "host name",
        "Host a\n HostName a.example.com\n",
        &["a", "b"],
    ),
    case(
        "host name with the name in it",
        "HostName %h.example.com\n",
        &["a", "A"],
    ),
    case(
        "host name with a per cent sign",
        "HostName fe80::1%%eth0\n",
        &["a"],
    ),
    case("host name with an unknown token", "HostName %q\n", &["a"]),
    case("host name with a token of others", "HostName %p\n", &["a"]),
    case("host name ends in a per cent sign", "HostName a%\n", &["a"]),
    case("host name in upper case", "HostName A.Example\n", &["a"]),
    case("an address as host name", "HostName 10.0.0.7\n", &["a"]),
    case(
        "an option beats the file",
        "Host a\n User x\n Port 1\n",
        &["-o User=y -o Port=2 a", "-o user=y a"],
    ),
    case("of two options the first", "", &["-o Port=1 -o Port=2 a"]),
    case(
        "identity files add up",
        "Host a\n IdentityFile ~/.ssh/a\nHost *\n IdentityFile ~/.ssh/b\n IdentityFile /c\n",
        &["a", "b"],
    ),
    case(
        "an identity file twice",
        "IdentityFile /a\nIdentityFile /a\nIdentityFile /b\n",
        &["x"],
    ),
    case(
        "an identity file as option",
        "IdentityFile /b\n",
        &["-o IdentityFile=/a x", "-o IdentityFile=/b x"],
    ),
    case(
        "identity files with blanks",
        "IdentityFile \"/a b\"\nIdentityFile '/c d'\nIdentityFile /e\\ f\n",
        &["x"],
    ),
    case("no identity file", "IdentityFile none\n", &["x"]),
    case(
        "certificates add up",
        "CertificateFile /a-cert.pub\nCertificateFile ~/b-cert.pub\n",
        &["x"],
    ),
    case(
        "identities only",
        "Host a\n IdentitiesOnly yes\n IdentityAgent none\n",
        &["a", "b"],
    ),
    case("an agent's socket", "IdentityAgent ~/agent-%r-%h\n", &["x"]),
    case("an agent in a variable", "IdentityAgent $MY_SOCK\n", &["x"]),
    case(
        "an agent below a variable",
        "IdentityAgent /run/${WHERE}/agent\n",
        &["x"],
    ),
    case(
        "a variable that isn't set",
        "IdentityAgent /run/${NOWHERE}/agent\n",
        &["x"],
    ),
    case("the usual agent", "IdentityAgent SSH_AUTH_SOCK\n", &["x"]),
    case(
        "one jump",
        "ProxyJump bastion\n",
        &["a", "-o ProxyJump=none a", "-o ProxyJump=other a"],
    ),
    case("jumps", "ProxyJump me@a:2222,b,c.example:1\n", &["x"]),
    case("a jump by URI", "ProxyJump ssh://me@a:2222\n", &["x"]),
    case(
        "a jump to an address",
        "ProxyJump me@[2001:db8::1]:22\n",
        &["x"],
    ),
    case(
        "no jump for the bastion",
        "Host bastion\n ProxyJump none\nHost *\n ProxyJump bastion\n",
        &["bastion", "a"],
    ),
    case("a bad jump", "ProxyJump a:b:c:99999\n", &["x"]),
    case("a jump with a bad port", "ProxyJump a:0\n", &["x"]),
    case(
        "a proxy command",
        "ProxyCommand nc -x 'proxy host' %h %p # not a comment\n",
        &["a"],
    ),
    case(
        "a command, then a jump",
        "ProxyCommand nc %h %p\nProxyJump b\n",
        &["a"],
    ),
    case(
        "a jump, then a command",
        "ProxyJump b\nProxyCommand nc %h %p\n",
        &["a"],
    ),
    case(
        "no command, then a jump",
        "ProxyCommand none\nProxyJump b\n",
        &["a"],
    ),
    case(
        "no jump, then a command",
        "ProxyJump none\nProxyCommand nc %h %p\n",
        &["a"],
    ),
    case(
        "a command after an equals sign",
        "ProxyCommand=nc %h %p\n",
        &["a"],
    ),
    case(
        "files of host keys",
        "UserKnownHostsFile ~/.ssh/one /two\nGlobalKnownHostsFile /three\n",
        &["a"],
    ),
    case(
        "files of host keys by host",
        "UserKnownHostsFile ~/.ssh/known_hosts.d/%k\n",
        &["a", "-o HostKeyAlias=B a"],
    ),
    case(
        "the first line of files",
        "UserKnownHostsFile /a\nUserKnownHostsFile /b\n",
        &["a"],
    ),
    case(
        "no files of host keys",
        "UserKnownHostsFile none\nGlobalKnownHostsFile none\n",
        &["a"],
    ),
    case("none among files", "UserKnownHostsFile none /a\n", &["a"]),
    case(
        "revoked host keys",
        "Host a\n RevokedHostKeys ~/.ssh/revoked\nRevokedHostKeys \"/b c\"\n",
        &["a", "b", "-o RevokedHostKeys=none a"],
    ),
    case("no revoked host keys", "RevokedHostKeys none\n", &["a"]),
    case("two files of them", "RevokedHostKeys /a /b\n", &["a"]),
    case("an alias for the key", "HostKeyAlias Web.Example\n", &["a"]),
    case(
        "checking",
        "StrictHostKeyChecking accept-new\n",
        &[
            "a",
            "-o StrictHostKeyChecking=no a",
            "-o StrictHostKeyChecking=OFF a",
            "-o StrictHostKeyChecking=ask a",
            "-o StrictHostKeyChecking=true a",
            "-o StrictHostKeyChecking=maybe a",
        ],
    ),
    case(
        "ciphers replaced",
        "Ciphers aes128-ctr,aes256-ctr\n",
        &["a"],
    ),
    case(
        "ciphers added",
        "Ciphers +aes128-cbc\nMACs +hmac-sha1-96\n",
        &["a"],
    ),
    case(
        "ciphers removed",
        "Ciphers -aes*-gcm@openssh.com,chacha*\nMACs -umac*\n",
        &["a"],
    ),
    case(
        "ciphers first",
        "Ciphers ^aes256-gcm@openssh.com,aes128-ctr\n",
        &["a"],
    ),
    case(
        "key exchanges",
        "KexAlgorithms ^curve25519-sha256\n",
        &[
            "a",
            "-o KexAlgorithms=-diffie* a",
            "-o KexAlgorithms=+diffie-hellman-group1-sha1 a",
        ],
    ),
    case(
        "host key algorithms",
        "HostKeyAlgorithms +ssh-rsa\n",
        &[
            "a",
            "-o HostKeyAlgorithms=ssh-ed25519 a",
            "-o HostKeyAlgorithms=-ecdsa* a",
            "-o HostKeyAlgorithms=rsa-sha2-* a",
        ],
    ),
    case(
        "times",
        "ConnectTimeout 1m30s\nServerAliveInterval 2h\n",
        &[
            "a",
            "-o ConnectTimeout=none a",
            "-o ConnectTimeout=5x a",
            "-o ConnectTimeout=0 a",
        ],
    ),
    case(
        "numbers",
        "ConnectionAttempts 3\nServerAliveCountMax 7\n",
        &[
            "a",
            "-o ServerAliveCountMax=0 a",
            "-o ConnectionAttempts=x a",
        ],
    ),
    case(
        "ports that are none",
        "",
        &[
            "-o Port=0 a",
            "-o Port=65536 a",
            "-o Port=x a",
            "-o Port=-1 a",
            "-o Port=65535 a",
        ],
    ),
    case(
        "families",
        "AddressFamily INET6\nBindAddress 10.0.0.1\n",
        &["a", "-o AddressFamily=inet a", "-o AddressFamily=ipv4 a"],
    ),
    case(
        "ways to log in",
        "PreferredAuthentications publickey,password\nPasswordAuthentication no\nPubkeyAuthentication no\nKbdInteractiveAuthentication no\n",
        &["a", "-o PubkeyAuthentication=unbound a"],
    ),
    case(
        "old names",
        "ChallengeResponseAuthentication no\nIdentityFile2 /a\nPubkeyAcceptedKeyTypes +ssh-rsa\n",
        &["a"],
    ),
    case(
        "variables set",
        "SetEnv A=1 B=\"x y\" A=2\nSetEnv C=3\n",
        &["a"],
    ),
    case("variables without a value", "SetEnv A\n", &["a"]),
    case("variables sent", "SendEnv LANG LC_*\nSendEnv FOO\n", &["a"]),
    case(
        "variables taken back",
        "SendEnv LANG LC_* FOO\nSendEnv -LC_* -F*\n",
        &["a"],
    ),
    case(
        "checking addresses and hashing",
        "CheckHostIP yes\nHashKnownHosts yes\n",
        &["a", "-o CheckHostIP=no a"],
    ),
    case(
        "log levels",
        "LogLevel debug1\n",
        &["a", "-o LogLevel=QUIET a", "-o LogLevel=loud a"],
    ),
    case(
        "a remote command",
        "Host a\n RemoteCommand uptime -p\n",
        &["a", "b", "-o RemoteCommand=none a"],
    ),
    case("match all", "Match all\n Port 1\n", &["a"]),
    case(
        "match host",
        "Match host a,*.example,!c.example\n Port 1\n",
        &["a", "b.example", "c.example", "A"],
    ),
    case(
        "match host with an equals sign",
        "Match host=a\n Port 1\n",
        &["a", "b"],
    ),
    case(
        "match sees HostName",
        "Host a\n HostName b.example\nMatch host *.example\n Port 1\nMatch originalhost a\n User x\n",
        &["a", "b", "b.example"],
    ),
    case(
        "match sees no later HostName",
        "Match host b.example\n Port 1\nHost a\n HostName b.example\n",
        &["a"],
    ),
    case(
        "match user",
        "Match user me,you\n Port 1\nMatch user \"!me,*\"\n Port 2\n",
        &["-o User=me a", "-o User=x a", "a"],
    ),
    case(
        "match user set above",
        "User me\nMatch user me\n Port 1\n",
        &["a"],
    ),
    case(
        "match local user",
        "Match localuser root\n Port 1\nMatch !localuser root\n Port 2\n",
        &["a"],
    ),
    case(
        "match exec",
        "Match exec \"test %h = a\"\n Port 1\nMatch exec \"exit 3\"\n Port 2\nMatch !exec false\n User x\n",
        &["a", "b"],
    ),
    case(
        "match exec with tokens",
        "Match exec \"test %n-%r-%p-%u = a-me-1-$(id -un)\"\n HostName b\n",
        &["-o User=me -o Port=1 a"],
    ),
    case(
        "match several",
        "Match host a user me exec true\n Port 1\n",
        &["-o User=me a", "-o User=x a", "-o User=me b"],
    ),
    case(
        "match negated",
        "Match !host a !user me\n Port 1\n",
        &["a", "-o User=me b", "b"],
    ),
    case(
        "match final",
        "Match final\n Port 1\n User x\nHost *\n User y\n",
        &["a"],
    ),
    case("match final all", "Match final all\n Port 1\n", &["a"]),
    case("match not final", "Match !final\n Port 1\n", &["a"]),
    case(
        "final sees the name found",
        "Host a\n HostName b.example\nMatch final host b.example\n Port 1\n",
        &["a", "b.example"],
    ),
    case(
        "final adds identity files once",
        "IdentityFile /a\nMatch final\n IdentityFile /b\n",
        &["x"],
    ),
    case("match canonical", "Match canonical\n Port 1\n", &["a"]),
    case("match without anything", "Match\n Port 1\n", &["a"]),
    case("match what isn't", "Match colour red\n Port 1\n", &["a"]),
    case("match without a value", "Match host\n Port 1\n", &["a"]),
    case("match all and more", "Match host a all\n Port 1\n", &["a"]),
    case(
        "match all, then more",
        "Match all host a\n Port 1\n",
        &["a"],
    ),
    case(
        "include",
        "Include {dir}/more\nPort 2\n--- more\nPort 1\nUser x\n",
        &["a"],
    ),
    case(
        "include in a block",
        "Host a\n Include {dir}/more\n User y\nHost b\n Port 3\n--- more\nPort 1\n",
        &["a", "b", "c"],
    ),
    case(
        "blocks in what is included",
        "Include {dir}/more\nPort 9\n--- more\nHost a\n Port 1\n",
        &["a", "b"],
    ),
    case(
        "blocks within blocks",
        "Host a*\n Include {dir}/more\n User y\n--- more\nHost *b\n Port 1\nHost *\n User x\n",
        &["ab", "a", "b"],
    ),
    case(
        "includes by pattern, in order",
        "Include {dir}/d/*.conf\n--- d/20.conf\nPort 20\n--- d/10.conf\nPort 10\n--- d/05.txt\nPort 5\n--- d/.00.conf\nPort 1\n",
        &["a"],
    ),
    case(
        "include several",
        "Include {dir}/x {dir}/y\n--- x\nPort 1\n--- y\nUser me\nPort 2\n",
        &["a"],
    ),
    case(
        "include what isn't there",
        "Include {dir}/none {dir}/no*\nPort 1\n",
        &["a"],
    ),
    case(
        "include what depends on the host",
        "Include {dir}/nobody/%h\nHost a\n Include {dir}/%n-%p nothing%\nPort 1\n",
        &["a", "b"],
    ),
    case("include itself", "Include {dir}/config\n", &["a"]),
    case(
        "match in what is included",
        "Match host a\n Include {dir}/more\n Port 1\n--- more\nMatch user me\n Port 2\n",
        &["-o User=me a", "a", "-o User=me b"],
    ),
    case(
        "an unknown keyword that is ignored",
        "IgnoreUnknown Foo*,bar\nFooBar x y\nbar 1\nPort 1\n",
        &["a"],
    ),
    case(
        "keywords that change nothing",
        "ForwardX11 no\nControlMaster auto\nControlPath ~/.ssh/%C\nControlPersist 10m\nCompression no\nTCPKeepAlive yes\nVisualHostKey yes\nEscapeChar none\nAddKeysToAgent yes\nPort 1\n",
        &["a"],
    ),
    case(
        "old keywords",
        "Protocol 2\nUseRoaming no\nCipher 3des\nPort 1\n",
        &["a"],
    ),
    case("a quote left open", "User \"me\n", &["a"]),
    case("too many words", "Port 1 2\n", &["a"]),
    case("no value", "Port\n", &["a"]),
    case("an empty value", "User \"\"\n", &["a"]),
    case("a flag that is none", "IdentitiesOnly maybe\n", &["a"]),
    case(
        "carriage returns",
        "Port 1\r\nUser me\r\nHost a\r\n HostName b\r\n",
        &["a"],
    ),
    case("no last line ending", "Host a\n Port 1", &["a"]),
    case("a form feed at the end", "Port 1\x0c\n", &["a"]),
    case(
        "a real one",
        "Include {dir}/work\n\nHost bastion bastion-*\n  User ops\n  IdentityFile ~/.ssh/bastion\n  ProxyJump none\n\nHost *.prod\n  ProxyJump ops@bastion\n  User deploy\n  IdentitiesOnly yes\n  IdentityFile ~/.ssh/prod\n\nHost *.dev !secret.dev\n  HostName %h.example.net\n  Port 2222\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n\nMatch host *.example.net exec \"true\"\n  ServerAliveInterval 30\n\nHost *\n  ServerAliveInterval 60\n  AddKeysToAgent yes\n  SendEnv LANG LC_*\n--- work\nHost git\n  HostName git.example.com\n  User git\n  Port 7999\n",
        &[
            "bastion",
            "bastion-2",
            "db.prod",
            "a.dev",
            "secret.dev",
            "git",
            "-o User=x db.prod",
        ],
    ),
];
