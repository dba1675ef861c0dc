use std::io::Write as _;
use std::process::{Command, Stdio};

use super::*;

const LIMIT: usize = 64 * 1024;

/// A MIME message as `cloud-init devel make-mime` makes it.
const MESSAGE: &str = "Content-Type: multipart/mixed; boundary=\"===1==\"\nMIME-Version: 1.0\n\n\
    --===1==\nContent-Type: text/x-shellscript; charset=\"us-ascii\"\nMIME-Version: 1.0\n\n\
    #!/bin/sh\necho hi\n\n--===1==--\n";

/// Reads a message from stdin as cloud-init does, part by part; prints type, length and content.
const READER: &str = "\
import sys, email, base64
message = email.message_from_string(sys.stdin.buffer.read().decode('utf-8'))
for part in message.walk():
    if part.get_content_maintype() == 'multipart': continue
    content = part.get_payload(decode=True)
    print(part.get_content_type(), base64.b64encode(content).decode())
";

fn combined(own: &[u8]) -> (HostKey, Vec<u8>) {
    let key = HostKey::generate().unwrap();
    let data = combine(&key, Some(own), LIMIT).unwrap();
    (key, data)
}

fn refused(own: &[u8]) -> String {
    let key = HostKey::generate().unwrap();
    combine(&key, Some(own), LIMIT).unwrap_err().to_string()
}

/// Returns the parts as Python's parser, which cloud-init uses, finds them.
fn parts(message: &[u8]) -> Vec<(String, Vec<u8>)> {
    use base64::Engine as _;
    let mut python = Command::new("python3")
        .args(["-c", READER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 is installed");
    let mut stdin = python.stdin.take().unwrap();
    stdin.write_all(message).unwrap();
    drop(stdin);
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    let part = |line: &str| {
        let (kind, content) = line.split_once(' ').unwrap();
        let content = base64::engine::general_purpose::STANDARD.decode(content);
        (kind.to_owned(), content.unwrap())
    };
    text.lines().map(part).collect()
}

#[test]
fn a_key_is_one_that_openssh_reads() {
    let key = HostKey::generate().unwrap();
    let read = PrivateKey::from_openssh(key.private().expose()).unwrap();
    assert_eq!(
        read.public_key().to_openssh().unwrap().trim_end(),
        key.public()
    );
    assert!(key.public().starts_with("ssh-ed25519 AAAA"));
    assert_ne!(key.public(), HostKey::generate().unwrap().public());
    assert!(
        key.private()
            .expose()
            .ends_with("-----END OPENSSH PRIVATE KEY-----\n")
    );
}

#[test]
fn alone_it_is_a_cloud_config() {
    let key = HostKey::generate().unwrap();
    for own in [None, Some(&b" \n"[..])] {
        let data = String::from_utf8(combine(&key, own, LIMIT).unwrap()).unwrap();
        let lines: Vec<&str> = data.lines().collect();
        let head = "#cloud-config|ssh_deletekeys: true|ssh_keys:|  ed25519_private: |";
        assert_eq!(lines[..4].join("|"), head);
        assert_eq!(lines[4], "    -----BEGIN OPENSSH PRIVATE KEY-----");
        let last = format!("  ed25519_public: {}", key.public());
        assert_eq!(*lines.last().unwrap(), last);
    }
}

#[test]
fn every_kind_of_part_keeps_its_bytes_and_hoists_comes_last() {
    let long = format!("#!/bin/sh\n# {}\n", "x".repeat(2000));
    let cases: [(&[u8], &str); 12] = [
        (b"#!/bin/sh\necho hi\n", "text/x-shellscript"),
        (b"#!/bin/sh\necho no end of line", "text/x-shellscript"),
        (b"#!/bin/sh\r\necho crlf\r\n", "text/x-shellscript"),
        (
            "#!/bin/sh\necho gr\u{fc}n\n".as_bytes(),
            "text/x-shellscript",
        ),
        (b"#!/bin/sh\necho \xff\x00\n", "text/x-shellscript"),
        (long.as_bytes(), "text/x-shellscript"),
        (b"#Cloud-Config\npackages: [jq]\n", "text/cloud-config"),
        (b"#include\nhttps://example.org/x\n", "text/x-include-url"),
        (
            b"#include-once\nhttps://example.org/x\n",
            "text/x-include-once-url",
        ),
        (b"#cloud-boothook\n#!/bin/sh\n", "text/cloud-boothook"),
        (b"## template: jinja\n#cloud-config\n", "text/jinja2"),
        (b"#cloud-config-archive\n- x\n", "text/cloud-config-archive"),
    ];
    for (own, kind) in cases {
        let (key, data) = combined(own);
        let shown = String::from_utf8(data.clone()).expect("vendors take UTF-8");
        let parts = parts(&data);
        assert_eq!(parts.len(), 2, "{shown}");
        assert_eq!(parts[0], (kind.to_owned(), own.to_vec()), "{shown}");
        let config = key.cloud_config().expose().as_bytes().to_vec();
        assert_eq!(parts[1], ("text/cloud-config".to_owned(), config));
        assert!(shown[..4096.min(shown.len())].contains("MIME-Version:"));
    }
}

#[test]
fn a_message_keeps_its_parts() {
    let (key, data) = combined(MESSAGE.as_bytes());
    let parts = parts(&data);
    assert_eq!(parts.len(), 2);
    assert_eq!(parts[0].0, "text/x-shellscript");
    assert_eq!(parts[0].1, b"#!/bin/sh\necho hi\n");
    assert_eq!(parts[1].1, key.cloud_config().expose().as_bytes());
}

#[test]
fn what_hoist_cannot_add_to_is_refused() {
    insta::assert_snapshot!(refused(b"\x1f\x8b\x08\x00"), @"cannot use the user-data: it is compressed; hoist adds a part, so give it as it was before");
    insta::assert_snapshot!(refused(b"packages: [jq]\n"), @"cannot use the user-data: it begins with nothing that cloud-init knows, which is `#!`, `#cloud-config`, `#include`, `#cloud-boothook`, `## template: jinja` and headers with `MIME-Version: 1.0` in UTF-8");
    insta::assert_snapshot!(refused(b"#cloud-config\nssh_keys:\n  rsa_private: x\n"), @"cannot use the user-data: it sets `ssh_keys`, which hoist sets itself, so that it knows the server when it first logs in; leave it out");
    refused(b"#cloud-config\n\"ssh_keys\" : {}\n");
    refused(b"Subject: hi\n\nMIME-Version: 1.0\n");
}

#[test]
fn the_limit_counts_what_is_sent() {
    let key = HostKey::generate().unwrap();
    let own = format!("#!/bin/sh\n{}", "#\n".repeat(1000));
    let whole = combine(&key, Some(own.as_bytes()), LIMIT).unwrap().len();
    assert!(combine(&key, Some(own.as_bytes()), whole).is_ok());
    let error = combine(&key, Some(own.as_bytes()), whole - 7).unwrap_err();
    let message = error.to_string();
    let expected = format!(
        "{whole} bytes with hoist's own part, 7 more than the {}",
        whole - 7
    );
    assert!(message.contains(&expected), "{message}");
}

#[test]
fn the_key_is_read_back_from_either_form() {
    let key = HostKey::generate().unwrap();
    // A script that makes a server's user-data itself holds the same words.
    let own = format!(
        "#!/bin/sh\ncat <<END\n{}END\n",
        combined(b"#!").0.cloud_config().expose()
    );
    for own in [
        None,
        Some("#!/bin/sh\r\n"),
        Some(MESSAGE),
        Some(own.as_str()),
    ] {
        let data = combine(&key, own.map(str::as_bytes), LIMIT).unwrap();
        let read = host_key_of(&data).unwrap();
        assert_eq!(read.public(), key.public());
        assert_eq!(read.private().expose(), key.private().expose());
    }
    for odd in [
        &b""[..],
        b"#!/bin/sh\n",
        b"\xff",
        b"\nssh_keys:\n  ed25519_private: |\n    x\n",
    ] {
        assert!(host_key_of(odd).is_none());
    }
}

#[test]
fn the_private_half_is_nowhere_to_be_seen() {
    let key = HostKey::generate().unwrap();
    let canary = key.private().expose().lines().nth(3).unwrap().to_owned();
    let data = combine(&key, None, LIMIT).unwrap();
    let shown = format!("{key:?} {key:#?} {:?}", host_key_of(&data));
    assert!(!shown.contains(&canary) && !shown.contains("PRIVATE KEY"));
    let error = combine(&key, Some(b"#!/bin/sh\n"), 10).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(&canary));
}
