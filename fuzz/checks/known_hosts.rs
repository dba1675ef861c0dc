//! `known_hosts` files: the same verdicts as a slow reader of the file gives, and what is appended is
//! read back.
//!
//! Hosts and keys to ask for are taken from the file itself, and strangers are asked for besides.

use std::collections::BTreeSet;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hoist::host::{Port, is_printable};
use hoist::transport::ssh::known_hosts::{
    KnownHosts, Verdict, algorithm, fingerprint, host_form, public_key,
};
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use tempfile::NamedTempFile;

/// Most hosts and keys that are taken from one file.
const MOST: usize = 8;

/// What is asked for in every file.
const STRANGERS: [&str; 3] = ["web1", "a.example.org", "::1"];

/// A whole key that few files hold.
const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

/// A line as the slow reader reads it.
struct Line<'a> {
    file: &'a Path,
    number: usize,
    marker: &'a [u8],
    names: &'a [u8],
    blob: Vec<u8>,
}

/// Checks all that is promised of `data` as a `known_hosts` file, and as a public key.
pub(crate) fn check(data: &[u8]) {
    if let Some(blob) = public_key(data) {
        assert!(fingerprint(&blob).starts_with("SHA256:"));
    }
    let file = NamedTempFile::new().expect("a temporary file");
    std::fs::write(&file, data).expect("the file can be written");
    let (index, warnings) = KnownHosts::load(&[file.path().to_owned()], &[]);
    assert!(warnings.len() <= 11);
    assert!(
        warnings
            .iter()
            .all(|warning| warning.chars().all(is_printable))
    );
    let lines = lines(file.path(), data);
    for (host, port) in hosts(&lines) {
        check_host(&index, &lines, &host, port);
    }
    check_append(file.path(), &lines);
}

fn stranger() -> Vec<u8> {
    STANDARD.decode(KEY).expect("base64")
}

/// Reads the file as sshd(8) describes it, leaving malformed lines out.
fn lines<'a>(file: &'a Path, data: &'a [u8]) -> Vec<Line<'a>> {
    let numbered = data.split(|byte| *byte == b'\n').enumerate();
    numbered
        .filter_map(|(index, line)| line_of(file, index + 1, line))
        .collect()
}

fn line_of<'a>(file: &'a Path, number: usize, line: &'a [u8]) -> Option<Line<'a>> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r');
    let mut fields = line.split(is_blank).filter(|field| !field.is_empty());
    let first = fields.next().filter(|field| !field.starts_with(b"#"))?;
    let (marker, names) = match first {
        [b'@', ..] => (first, fields.next()?),
        names => (&b""[..], names),
    };
    let is_known = [&b""[..], b"@revoked", b"@cert-authority"].contains(&marker);
    let is_readable = match names.strip_prefix(b"|") {
        Some(hashed) => hash_of(hashed).is_some(),
        None => names
            .split(|byte| *byte == b',')
            .all(|name| name.len() <= 1022),
    };
    let (kind, key) = (fields.next()?, fields.next()?);
    let blob = STANDARD.decode(key).ok()?;
    (is_known && is_readable && is_whole(kind, &blob)).then_some(Line {
        file,
        number,
        marker,
        names,
        blob,
    })
}

/// Returns salt and hash of `1|salt|hash`.
fn hash_of(hashed: &[u8]) -> Option<[Vec<u8>; 2]> {
    let parts: Vec<&[u8]> = hashed.splitn(3, |byte| *byte == b'|').collect();
    let [b"1", salt, hash] = parts[..] else {
        return None;
    };
    let parts = [STANDARD.decode(salt).ok()?, STANDARD.decode(hash).ok()?];
    parts.iter().all(|part| part.len() == 20).then_some(parts)
}

/// Whether the strings of the key are there, and nothing else.
fn is_whole(kind: &[u8], blob: &[u8]) -> bool {
    let mut parts = Vec::new();
    let mut rest = blob;
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        let Some((part, after)) = after.split_at_checked(length) else {
            break;
        };
        parts.push(part);
        rest = after;
    }
    let Some((named, parts)) = parts.split_first() else {
        return false;
    };
    let is_named = *named == kind || *named == b"ssh-rsa" && kind.starts_with(b"rsa-sha2-");
    let count = match *named {
        b"ssh-ed25519" => 1,
        b"ecdsa-sha2-nistp256" | b"ecdsa-sha2-nistp384" | b"ecdsa-sha2-nistp521" | b"ssh-rsa" => 2,
        b"ssh-dss" => 4,
        _ => return is_named && blob.len() > named.len() + 4,
    };
    let is_full = parts.len() == count && parts.iter().all(|part| !part.is_empty());
    is_named && is_full && rest.is_empty()
}

/// Returns hosts that the file speaks of, and strangers.
fn hosts(lines: &[Line<'_>]) -> BTreeSet<(String, Port)> {
    let strangers = STRANGERS.iter().map(|name| ((*name).to_owned(), Port::SSH));
    let mut hosts: BTreeSet<_> = strangers.collect();
    let names = lines
        .iter()
        .flat_map(|line| line.names.split(|byte| *byte == b','));
    for name in names.take(MOST) {
        let name = String::from_utf8_lossy(name)
            .replace('*', "x")
            .replace('?', "yz");
        let name = name.trim_start_matches('!');
        let bracketed = name
            .strip_prefix('[')
            .and_then(|rest| rest.rsplit_once("]:"));
        if let Some((host, port)) = bracketed
            && let Ok(port) = port.parse()
        {
            hosts.insert((host.to_owned(), port));
        }
        hosts.insert((name.to_owned(), Port::SSH));
        hosts.insert((name.to_owned(), Port::new(2222).expect("not 0")));
    }
    hosts
}

fn check_host(index: &KnownHosts, lines: &[Line<'_>], host: &str, port: Port) {
    let mut blobs: Vec<Vec<u8>> = lines
        .iter()
        .map(|line| line.blob.clone())
        .take(MOST)
        .collect();
    blobs.push(stranger());
    let (form, plain) = (host_form(host, port), host_form(host, Port::SSH));
    for blob in &blobs {
        let found = index.check(host, port, blob);
        let expected = verdict(lines, [&form, &plain], blob);
        assert_eq!(
            found,
            expected,
            "{form} with a key of type {}",
            algorithm(blob)
        );
    }
    let is_revoked = |blob: &[u8]| {
        let mut lines = lines.iter();
        lines.any(|line| {
            let forms = [&form, &plain];
            line.blob == blob && forms.iter().any(|form| line.is_about(b"@revoked", form))
        })
    };
    let trusted = lines
        .iter()
        .filter(|line| line.is_about(b"@cert-authority", &form) && !is_revoked(&line.blob));
    let found = index.authorities(host, port).into_iter();
    assert!(found.map(|key| key.place).eq(trusted.map(Line::place)));
    let algorithms = index.algorithms(host, port);
    assert!(algorithms.iter().all(|name| name.chars().all(is_printable)));
    let is_known = |line: &&Line<'_>| {
        let is_good = matches!(index.check(host, port, &line.blob), Verdict::Known { .. });
        is_good && line.is_about(b"", &form)
    };
    let mut known = lines.iter().filter(is_known);
    assert!(known.all(|line| algorithms.contains(&algorithm(&line.blob))));
}

impl Line<'_> {
    fn place(&self) -> String {
        format!("{}:{}", self.file.display(), self.number)
    }

    fn is_about(&self, marker: &[u8], form: &str) -> bool {
        self.marker == marker && self.names_host(form.as_bytes())
    }

    fn names_host(&self, form: &[u8]) -> bool {
        if let Some([salt, hash]) = self.names.strip_prefix(b"|").and_then(hash_of) {
            return hmac(&salt, form) == hash;
        }
        let names = self.names.to_ascii_lowercase();
        let mut names = names.split(|byte| *byte == b',').peekable();
        let is_negated = |name: &[u8]| {
            name.strip_prefix(b"!")
                .is_some_and(|name| is_match(name, form))
        };
        let is_excluded = names.clone().any(is_negated);
        !is_excluded && names.any(|name| !name.starts_with(b"!") && is_match(name, form))
    }
}

fn hmac(salt: &[u8], text: &[u8]) -> Vec<u8> {
    let key = PKey::hmac(salt).expect("any bytes are a key");
    let mut signer = Signer::new(MessageDigest::sha1(), &key).expect("SHA-1 is there");
    signer.update(text).expect("it takes anything");
    signer.sign_to_vec().expect("it takes anything")
}

/// Whether `text` is described by `pattern`, by trying every place a star could end.
fn is_match(pattern: &[u8], text: &[u8]) -> bool {
    // Element n: whether the pattern so far describes the first n bytes.
    let mut reached = vec![false; text.len() + 1];
    reached[0] = true;
    for byte in pattern {
        if *byte == b'*' {
            for n in 0..text.len() {
                reached[n + 1] |= reached[n];
            }
        } else {
            for n in (0..text.len()).rev() {
                reached[n + 1] = reached[n] && (*byte == b'?' || *byte == text[n]);
            }
            reached[0] = false;
        }
    }
    reached[text.len()]
}

/// Judges as `KnownHosts::check` says it does.
fn verdict(lines: &[Line<'_>], forms: [&str; 2], blob: &[u8]) -> Verdict {
    let is_revoked = |line: &&Line<'_>| {
        line.blob == blob && forms.iter().any(|form| line.is_about(b"@revoked", form))
    };
    // Of several rules the first that is about either form.
    if let Some(line) = lines.iter().find(is_revoked) {
        return Verdict::Revoked {
            place: line.place(),
        };
    }
    let about = |form: &str| -> Vec<&Line<'_>> {
        lines
            .iter()
            .filter(|line| line.is_about(b"", form))
            .collect()
    };
    let [form, plain] = forms.map(about);
    let known = |lines: &[&Line<'_>]| {
        let line = lines.iter().find(|line| line.blob == blob)?;
        Some(Verdict::Known {
            place: line.place(),
        })
    };
    if let Some(known) = known(&form) {
        return known;
    }
    let offered = algorithm(blob);
    let same = form.iter().find(|line| algorithm(&line.blob) == offered);
    if let Some(line) = same.or(form.first()) {
        return Verdict::Changed {
            place: line.place(),
            algorithm: algorithm(&line.blob),
        };
    }
    known(&plain).unwrap_or(Verdict::Unknown)
}

/// Whatever the file holds, a line that is added is a line of its own, and no other one changes.
fn check_append(path: &Path, lines: &[Line<'_>]) {
    let before = std::fs::read(path).expect("the file can be read");
    let host = "appended.example.org";
    let form = host_form(host, Port::SSH);
    KnownHosts::append(path, &[(form.clone(), stranger())], false).expect("it can be written");
    let after = std::fs::read(path).expect("the file can be read");
    assert!(after.starts_with(&before));
    let (index, _) = KnownHosts::load(&[path.to_owned()], &[]);
    let is_revoked = lines
        .iter()
        .any(|line| line.blob == stranger() && line.is_about(b"@revoked", &form));
    let verdict = index.check(host, Port::SSH, &stranger());
    match verdict {
        Verdict::Known { .. } => assert!(!is_revoked),
        Verdict::Revoked { .. } => assert!(is_revoked),
        other => panic!("{other:?} of a key that was appended"),
    }
    for (host, port) in hosts(lines) {
        if host != host_form(host.as_str(), Port::SSH) || host == form {
            continue;
        }
        for line in lines.iter().take(MOST) {
            let (forms, blob) = ([&*host_form(&host, port), &*host], &line.blob);
            assert_eq!(
                index.check(&host, port, blob),
                self::verdict(lines, forms, blob)
            );
        }
    }
}
