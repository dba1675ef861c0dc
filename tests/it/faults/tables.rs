//! What each fault of `tests/faults` leads to, by theme.

/// What a host with a fault must become.
pub(super) struct Case {
    pub(super) fault: &'static str,
    /// `""` is for `ok`.
    pub(super) kind: &'static str,
    pub(super) code: Option<i64>,
    /// Part of the message.
    pub(super) words: &'static str,
    /// All of stdout, or so many bytes of anything.
    pub(super) stdout: Out,
}

pub(super) enum Out {
    Text(&'static str),
    Bytes(usize),
    /// How much comes within the limit depends on the machine.
    AtMost(usize),
    Any,
}

/// A host that never came to run anything.
const fn unreached(fault: &'static str, kind: &'static str, words: &'static str) -> Case {
    Case {
        fault,
        kind,
        code: None,
        words,
        stdout: Out::Text(""),
    }
}

const fn ok(fault: &'static str, stdout: Out) -> Case {
    Case {
        fault,
        kind: "",
        code: Some(0),
        words: "",
        stdout,
    }
}

const fn lost(fault: &'static str, words: &'static str, stdout: Out) -> Case {
    Case {
        fault,
        kind: "lost",
        code: None,
        words,
        stdout,
    }
}

const fn timeout(fault: &'static str, stdout: Out) -> Case {
    Case {
        fault,
        kind: "timeout",
        code: None,
        words: "ran longer than 2s; its end was not confirmed; it may still run",
        stdout,
    }
}

const fn ended(
    fault: &'static str,
    kind: &'static str,
    code: Option<i64>,
    words: &'static str,
) -> Case {
    Case {
        fault,
        kind,
        code,
        words,
        stdout: Out::Any,
    }
}

/// No session comes about.
pub(super) const HANDSHAKES: [Case; 22] = [
    unreached("fin", "handshake", "no SSH handshake with the host: "),
    unreached("rst", "handshake", "no SSH handshake with the host: "),
    unreached(
        "no-banner",
        "connect-timeout",
        "waiting for the SSH handshake",
    ),
    unreached(
        "garbage-banner",
        "handshake",
        "no SSH server: it said `\\u{0}\\u{1}",
    ),
    unreached(
        "web-server",
        "handshake",
        "no SSH server: it said `HTTP/1.1 400 Bad Request`",
    ),
    unreached(
        "too-busy",
        "handshake",
        "no more connections now: `Exceeded MaxStartups`",
    ),
    unreached(
        "ssh-1",
        "handshake",
        "speaks only SSH 1 (`SSH-1.5-Faulty_1.0`)",
    ),
    unreached(
        "endless-lines",
        "handshake",
        "beginning with `a line before the version,",
    ),
    unreached(
        "endless-line",
        "handshake",
        "8192 bytes came without a version line",
    ),
    unreached("tarpit", "connect-timeout", "waiting for the SSH handshake"),
    unreached(
        "silent-after-version",
        "connect-timeout",
        "waiting for the SSH handshake",
    ),
    unreached(
        "silent-after-kexinit",
        "connect-timeout",
        "waiting for the SSH handshake",
    ),
    unreached(
        "only-sha-1",
        "handshake",
        "no host key in common: the host offers ssh-rsa, ssh-dss; hoist offers ssh-ed25519, ",
    ),
    unreached(
        "no-common-kex",
        "handshake",
        "no key exchange in common: the host offers sntrup761x25519-sha512@openssh.com; hoist offers ",
    ),
    unreached(
        "no-common-cipher",
        "handshake",
        "no cipher in common: the host offers 3des-cbc, arc\\u{1b}[2Jfour; hoist offers ",
    ),
    unreached(
        "four-gibibyte-packet",
        "handshake",
        "what the host sent is no SSH handshake",
    ),
    unreached(
        "random-bytes",
        "handshake",
        "what the host sent is no SSH handshake",
    ),
    unreached(
        "disconnect-with-escapes",
        "handshake",
        "ended the SSH handshake: `\\u{1b}]0;owned\\u{7}\\u{1b}[2J too many connections`",
    ),
    unreached(
        "fin-after-version",
        "handshake",
        "no SSH handshake with the host: the host closed the connection",
    ),
    unreached(
        "fin-after-kexinit",
        "handshake",
        "no SSH handshake with the host: the host closed the connection",
    ),
    unreached(
        "empty-packet",
        "handshake",
        "what the host sent is no SSH handshake",
    ),
    unreached(
        "wrong-signature",
        "handshake",
        "no SSH key exchange with the host",
    ),
];

/// Nobody is let in.
pub(super) const LOGINS: [Case; 6] = [
    unreached("auth-never-answered", "connect-timeout", "while logging in"),
    unreached("no-methods", "auth", "refused: key "),
    unreached("fin-at-login", "auth", "the host closed the connection"),
    unreached("disconnect-at-login", "auth", "\\u{1b}[2Jnot you"),
    unreached(
        "oversized-banner",
        "auth",
        "what the host sent can't be read",
    ),
    ok("megabyte-of-banner", Out::Text("begun\n")),
];

/// Hosts that ask in words, where there is one password.
pub(super) const QUESTIONS: [Case; 9] = [
    unreached(
        "asks-for-two-things",
        "auth",
        "the host asks for `Password:` and `Verification code:`; hoist can answer one",
    ),
    unreached(
        "asks-for-more-after-the-password",
        "auth",
        "after the password the host asks for `Verification code:`; hoist can answer one hidden \
         question with the password, and no more; the host says `Look at your token`",
    ),
    unreached(
        "asks-for-the-password-again",
        "auth",
        "the host did not take the password: it asks for `Password:` again",
    ),
    unreached(
        "asks-for-what-is-shown",
        "auth",
        "the host asks for `Your name:` (shown while it is typed); hoist",
    ),
    unreached(
        "asks-with-escapes",
        "auth",
        "and 47 more; hoist can answer one hidden question with the password, and no more; the \
         host says `\\u{1b}[2Jweb1: ok \\u{1b}]0;you\\u{7}`",
    ),
    unreached(
        "asks-for-nothing-for-ever",
        "auth",
        "the host asks without end",
    ),
    unreached(
        "unreadable-methods",
        "auth",
        "the host takes \u{fffd}\u{fffd}, password",
    ),
    ok("asks-for-a-password-and-for-nothing", Out::Text("begun\n")),
    ok("asks-without-words", Out::Text("begun\n")),
];

/// Hosts that end what they have begun by sending too much of it.
pub(super) const FLOODS: [Case; 4] = [
    unreached(
        "ignore-flood",
        "handshake",
        "floods the connection with what nobody asked for",
    ),
    unreached(
        "endless-banners",
        "auth",
        "floods the connection with what nobody asked for",
    ),
    lost(
        "floods-with-ignore",
        "floods the connection with what nobody asked for",
        Out::Text("begun\n"),
    ),
    lost(
        "floods-with-what-nobody-asked-for",
        "floods the connection with what nobody asked for",
        Out::Text("begun\n"),
    ),
];

/// Commands that end by themselves.
pub(super) const ENDINGS: [Case; 22] = [
    unreached("channel-refused", "channel", "the host refused a channel"),
    unreached(
        "exec-refused",
        "channel",
        "the host refused to run the command",
    ),
    unreached("close-for-an-answer", "channel", "closed the channel"),
    unreached(
        "fin-for-an-answer",
        "lost",
        "the host closed the connection",
    ),
    unreached("disconnect-for-an-answer", "lost", "\\u{1b}[2Jnot today"),
    ended("exit-255", "exit", Some(255), "exit status 255"),
    ended("exit-256", "exit", Some(256), "exit status 256"),
    ended(
        "exit-4294967295",
        "exit",
        Some(4_294_967_295),
        "exit status 4294967295",
    ),
    ended("signalled", "signal", None, "killed by signal SEGV"),
    ended(
        "odd-signal",
        "signal",
        None,
        "killed by signal 31mBOOM@example",
    ),
    lost("no-status", "without an exit status", Out::Text("begun\n")),
    lost(
        "fin-in-output",
        "the host closed the connection",
        Out::Text("begun\n"),
    ),
    lost(
        "rst-in-output",
        "broke while the command ran",
        Out::Text("begun\n"),
    ),
    lost(
        "much-then-fin",
        "the host closed the connection",
        Out::Bytes(131_072),
    ),
    lost(
        "disconnect-in-output",
        "without an exit status",
        Out::Text("begun\n"),
    ),
    lost(
        "farewell-in-output",
        "\\u{1b}[2Jgoing down",
        Out::Text("begun\n"),
    ),
    lost("noise-in-output", "broke while the command ran", Out::Any),
    lost(
        "forged-packet-in-output",
        "broke while the command ran",
        Out::Any,
    ),
    lost("unreadable-status", "broke while the command ran", Out::Any),
    lost(
        "status-then-fin",
        "after the command had ended (exit 0) and before all of its output had come",
        Out::Text("begun\n"),
    ),
    ok("eof-and-status-but-no-close", Out::Text("begun\n")),
    ok("status-but-no-eof", Out::Text("begun\n")),
];

/// Commands that somebody has to end.
pub(super) const ENDLESS: [Case; 9] = [
    unreached(
        "exec-never-answered",
        "timeout",
        "the host did not start the command in 2s",
    ),
    unreached(
        "channel-never-opened",
        "timeout",
        "the host did not start the command in 2s",
    ),
    timeout("frozen-in-output", Out::Text("begun\n")),
    timeout("eof-but-no-status", Out::Text("begun\n")),
    timeout("never-ends", Out::Text("begun\n")),
    timeout("drips", Out::Any),
    timeout("floods", Out::AtMost(1 << 20)),
    timeout("new-keys-with-half-a-packet", Out::Text("begun\n")),
    timeout("floods-beyond-the-window", Out::Any),
];

/// Bytes of all kinds, from commands that end by themselves.
pub(super) const OUTPUTS: [Case; 13] = [
    ok("status-then-endless-output", Out::Any),
    ok("stderr-before-stdout", Out::Bytes(1 << 20)),
    ok("no-final-newline", Out::Text("one\ntwo")),
    ok("every-byte", Out::Bytes(265)),
    ok(
        "imitates-others",
        Out::Text("good1: all is lost\nweb\r\rgood2: rm -rf\n"),
    ),
    ok("rekeys-in-the-middle", Out::Bytes(1 << 20)),
    ok("tiny-packets", Out::Bytes(1000)),
    ok("empty-packets", Out::Text("begun\n")),
    ok("data-for-another-channel", Out::Text("begun\n")),
    ok("status-before-output", Out::Text("begun\n")),
    ok("takes-a-byte-at-a-time", Out::Text("")),
    ok("closes-stdin", Out::Text("begun\n")),
    ok("odd-requests", Out::Text("begun\n")),
];
