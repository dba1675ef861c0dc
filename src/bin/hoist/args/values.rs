//! Readers of single values: durations, sizes, `NAME=VALUE`.
//!
//! Text comes in, a checked value goes out, or a message that shows the text and says what is
//! expected. The names of other modules' things are taken from them, so that none is forgotten.

use std::ffi::{OsStr, OsString};
use std::num::{NonZeroU32, NonZeroUsize};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser};
use hoist::host::{HostKeyPolicy, TransportName, UserName, escaped};
use hoist::provider::ProviderName;
use hoist::quote;
use hoist::render::Format;
use serde_json::Value;

/// Reads a whole number.
pub(super) fn number(text: &str) -> Result<u64, String> {
    digits(text).ok_or_else(|| format!("`{}` is not a whole number", escaped(text)))
}

/// Reads a small whole number.
pub(super) fn few(text: &str) -> Result<u32, String> {
    let number = number(text)?;
    number
        .try_into()
        .map_err(|_| format!("{number} is too many; at most {} are possible", u32::MAX))
}

/// Reads a whole number from 1.
pub(super) fn some(text: &str) -> Result<NonZeroUsize, String> {
    let number = number(text).ok().and_then(|number| number.try_into().ok());
    number
        .and_then(NonZeroUsize::new)
        .ok_or_else(|| format!("`{}` is not a whole number from 1", escaped(text)))
}

/// Reads how many a second, or `adaptive`.
pub(super) fn rate(text: &str) -> Result<Bound<NonZeroU32>, String> {
    if text == "adaptive" {
        return Ok(Bound(None));
    }
    let rate = few(text)?;
    NonZeroU32::new(rate)
        .map(|rate| Bound(Some(rate)))
        .ok_or_else(|| "no connection at all; give at least 1, or `adaptive`".to_owned())
}

/// A limit that can be lifted with a word: `none`, `adaptive`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound<T>(pub Option<T>);

/// `NAME=VALUE` for a command's environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    pub name: String,
    pub value: OsString,
}

/// A setting of a provider's own.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Setting {
    pub key: String,
    pub value: Value,
}

/// Reads `KEY=VALUE`; what is JSON (`true`, `3`, `["a","b"]`) is taken as such, anything else as text.
pub(super) fn setting(text: &str) -> Result<Setting, String> {
    let (key, value) = text
        .split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .ok_or_else(|| format!("`{}` has no `=`; write KEY=VALUE", escaped(text)))?;
    let json = serde_json::from_str(value).ok();
    Ok(Setting {
        key: key.to_owned(),
        value: json.unwrap_or_else(|| Value::from(value)),
    })
}

/// Reads the name of a provider.
pub(super) fn provider() -> impl TypedValueParser<Value = ProviderName> {
    let names = ProviderName::ALL.map(ProviderName::as_str);
    PossibleValuesParser::new(names).try_map(|name| {
        name.parse::<ProviderName>()
            .map_err(|error| error.to_string())
    })
}

/// A command line, split into its words; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words(pub Vec<String>);

/// Splits a command line as a shell would.
pub(super) fn words(text: &str) -> Result<Words, String> {
    let words = quote::split(text).map_err(|error| error.to_string())?;
    Ok(Words(words))
}

/// Splits a command line that no shell acts on: what only a shell would understand is refused.
pub(super) fn plain_words(text: &str) -> Result<Words, String> {
    match quote::unquoted_syntax(text) {
        Some(syntax) => Err(format!(
            "`{}`: {syntax}; have a shell act on it: sh -c '...'",
            escaped(text)
        )),
        None => words(text),
    }
}

/// Reads the name of an account, or `none`.
pub(super) fn user_or_none(text: &str) -> Result<Bound<UserName>, String> {
    bound(text, |text| {
        UserName::parse(text).map_err(|error| error.to_string())
    })
}

const DURATION_UNITS: [(&str, Duration); 5] = [
    ("ms", Duration::from_millis(1)),
    ("s", Duration::from_secs(1)),
    ("m", Duration::from_mins(1)),
    ("h", Duration::from_hours(1)),
    ("d", Duration::from_hours(24)),
];

/// Reads `90`, `90s`, `5m`, `1h30m`, `500ms`; a bare number is in seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    sum_of_parts(text).ok_or_else(|| {
        format!(
            "`{}` is not a duration; write it like 90, 90s, 5m, 1h30m or 500ms",
            escaped(text)
        )
    })
}

fn sum_of_parts(text: &str) -> Option<Duration> {
    if let Some(seconds) = digits(text) {
        return Some(Duration::from_secs(seconds));
    }
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let (count, after) = leading_number(rest)?;
        let end = after.find(|c: char| c.is_ascii_digit());
        let (unit, after) = after.split_at(end.unwrap_or(after.len()));
        let (_, unit) = DURATION_UNITS.iter().find(|(name, _)| *name == unit)?;
        sum = sum.checked_add(unit.checked_mul(u32::try_from(count).ok()?)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(sum)
}

/// Reads a duration that may not be zero.
pub(super) fn some_time(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("no time at all; give at least 1ms".to_owned()),
        time => Ok(time),
    }
}

/// Reads a duration that may not be zero, or `none`.
pub(super) fn time_limit(text: &str) -> Result<Bound<Duration>, String> {
    bound(text, some_time)
}

/// Reads a size, or `none`.
pub(super) fn size_limit(text: &str) -> Result<Bound<u64>, String> {
    bound(text, size)
}

fn bound<T>(text: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Result<Bound<T>, String> {
    if text == "none" {
        return Ok(Bound(None));
    }
    read(text)
        .map(|value| Bound(Some(value)))
        .map_err(|message| format!("{message}; or `none`"))
}

/// Reads a number of bytes as GNU tools do: `k`, `M`, `G`, `T` and `KiB` … count in 1024s, `kB` …
/// in 1000s.
fn size(text: &str) -> Result<u64, String> {
    let bytes = leading_number(text).and_then(|(count, unit)| count.checked_mul(scale(unit)?));
    bytes.ok_or_else(|| {
        format!(
            "`{}` is not a size; write it like 4096, 64k, 10M or 1G (1024 each; kB, MB, GB: 1000)",
            escaped(text)
        )
    })
}

fn scale(unit: &str) -> Option<u64> {
    let (power, rest) = match unit.as_bytes() {
        [] | [b'B'] => return Some(1),
        [b'k' | b'K', rest @ ..] => (1, rest),
        [b'M', rest @ ..] => (2, rest),
        [b'G', rest @ ..] => (3, rest),
        [b'T', rest @ ..] => (4, rest),
        _ => return None,
    };
    match rest {
        b"" | b"iB" => Some(1024_u64.pow(power)),
        b"B" => Some(1000_u64.pow(power)),
        _ => None,
    }
}

fn leading_number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit());
    let (number, rest) = text.split_at(end.unwrap_or(text.len()));
    Some((digits(number)?, rest))
}

fn digits(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

/// Reads the name of a folder on the hosts.
pub(super) fn folder(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() {
        return Err("the folder's name is empty".to_owned());
    }
    Ok(text.into())
}

/// Reads permissions as `chmod` takes them in octal: `644`, `0755`.
pub(super) fn mode(text: &str) -> Result<u32, String> {
    let is_octal =
        (3..=5).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    let mode = u32::from_str_radix(text, 8)
        .ok()
        .filter(|mode| *mode <= 0o7777);
    mode.filter(|_| is_octal).ok_or_else(|| {
        let text = escaped(text);
        format!("`{text}` is no set of permissions; write them in octal, like 644 or 0755")
    })
}

/// Reads `USER`, `USER:GROUP` or `:GROUP`.
pub(super) fn owner(text: &str) -> Result<String, String> {
    let is_name = |name: &str| {
        let is_plain = |c: char| c.is_alphanumeric() || "._-$@\\+".contains(c);
        !name.is_empty() && !name.starts_with('-') && name.chars().all(is_plain)
    };
    let is_owner = match text.split_once(':') {
        None => is_name(text),
        Some((user, group)) => (user.is_empty() || is_name(user)) && is_name(group),
    };
    if is_owner {
        return Ok(text.to_owned());
    }
    let text = escaped(text);
    Err(format!(
        "`{text}` is no owner; write USER, USER:GROUP or :GROUP"
    ))
}

/// Reads `NAME=VALUE`; the value is any bytes.
pub(super) fn variable_parser() -> impl TypedValueParser<Value = Variable> {
    OsStringValueParser::new().try_map(|text| variable(&text))
}

fn variable(text: &OsStr) -> Result<Variable, String> {
    let bytes = text.as_bytes();
    let shown = || escaped(&text.to_string_lossy());
    let Some(end) = bytes.iter().position(|b| *b == b'=') else {
        return Err(format!("`{}` has no `=`; write NAME=VALUE", shown()));
    };
    let (name, value) = (&bytes[..end], &bytes[end + 1..]);
    if !is_variable_name(name) {
        return Err(format!(
            "`{}` does not start with a variable's name: letters, digits and `_`, no digit first",
            shown()
        ));
    }
    Ok(Variable {
        name: String::from_utf8_lossy(name).into_owned(),
        value: OsString::from_vec(value.to_vec()),
    })
}

/// Whether a shell would take it (POSIX XBD §3.216).
fn is_variable_name(name: &[u8]) -> bool {
    let is_word = name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_');
    is_word && name.first().is_some_and(|b| !b.is_ascii_digit())
}

/// Reads the name of an output format.
pub(super) fn format() -> impl TypedValueParser<Value = Format> {
    PossibleValuesParser::new(Format::ALL.iter().map(|format| format.as_str()))
        .map(|name| name.parse().expect("only known names get here"))
}

/// Reads the name of a transport.
pub(super) fn transport() -> impl TypedValueParser<Value = TransportName> {
    PossibleValuesParser::new(TransportName::ALL.map(TransportName::as_str))
        .map(|name| name.parse().expect("only known names get here"))
}

/// Reads what to do about unknown host keys.
pub(super) fn host_keys() -> impl TypedValueParser<Value = HostKeyPolicy> {
    let policies = [
        HostKeyPolicy::Ask,
        HostKeyPolicy::Strict,
        HostKeyPolicy::AcceptNew,
        HostKeyPolicy::Off,
    ];
    PossibleValuesParser::new(policies.map(HostKeyPolicy::as_str)).map(move |name| {
        let mut policies = policies.into_iter();
        let named = policies.find(|policy| policy.as_str() == name);
        named.expect("only these names are possible")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_in_every_unit() {
        for (text, millis) in [
            ("90", 90_000),
            ("90s", 90_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("2d", 172_800_000),
            ("1m500ms", 60_500),
            ("0", 0),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "s",
            "5x",
            "-1",
            "1.5s",
            "5 m",
            "5m ",
            "1h30",
            "99999999999999999999",
            "+3",
            "18446744073709551615d",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(some_time("0ms").is_err());
    }

    #[test]
    fn sizes_count_in_1024s_unless_they_end_in_a_lone_b() {
        for (text, bytes) in [
            ("4096", 4096),
            ("64k", 65_536),
            ("64K", 65_536),
            ("64KiB", 65_536),
            ("64kB", 64_000),
            ("10M", 10_485_760),
            ("1G", 1_073_741_824),
            ("1GB", 1_000_000_000),
            ("2T", 2_199_023_255_552),
            ("7B", 7),
            ("0", 0),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "k", "1m", "1.5G", "-1", "1Kib", "99999999999T", "1 k"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_command_that_only_a_shell_understands_is_refused() {
        let words = plain_words("nginx -t -c '/etc/a b'").unwrap();
        assert_eq!(words.0, ["nginx", "-t", "-c", "/etc/a b"]);
        assert!(plain_words("sh -c 'a; b'").is_ok());
        for text in ["a; b", "a && b", "a | b", "a $B", ""] {
            assert!(plain_words(text).is_err(), "{text}");
        }
    }

    #[test]
    fn permissions_are_octal() {
        assert_eq!(mode("644"), Ok(0o644));
        assert_eq!(mode("0755"), Ok(0o755));
        assert_eq!(mode("4755"), Ok(0o4755));
        for text in ["", "8", "64", "u+x", "0o644", "77777", "-644", "+644"] {
            assert!(mode(text).is_err(), "{text}");
        }
    }

    #[test]
    fn owners_are_users_and_groups() {
        for text in ["root", "root:adm", ":adm", "0:0", "www-data"] {
            assert_eq!(owner(text).as_deref(), Ok(text));
        }
        for text in ["", ":", "root:", "-x", "a b", "a:b:c", "a\nb"] {
            assert!(owner(text).is_err(), "{text}");
        }
    }

    #[test]
    fn limits_can_be_lifted() {
        assert_eq!(time_limit("none"), Ok(Bound(None)));
        assert_eq!(size_limit("none"), Ok(Bound(None)));
        assert_eq!(time_limit("1s"), Ok(Bound(Some(Duration::from_secs(1)))));
        assert!(time_limit("0").is_err());
    }

    #[test]
    fn variables_have_a_name_and_any_value() {
        let read = variable(OsStr::from_bytes(b"A_1=b=\xff")).unwrap();
        assert_eq!(read.name, "A_1");
        assert_eq!(read.value.as_bytes(), b"b=\xff");
        assert_eq!(variable(OsStr::new("A=")).unwrap().value, "");
        for text in ["", "A", "=b", "1A=b", "A B=c", "A-B=c", "Ä=b"] {
            assert!(variable(OsStr::new(text)).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_a_reader_panic(text in ".*", digits in "[0-9]{0,25}[a-zA-Z]{0,3}") {
            for text in [text, digits] {
                let _ = (duration(&text), size(&text), variable(OsStr::new(&text)));
            }
        }

        #[test]
        fn seconds_and_bytes_come_back(count in any::<u32>()) {
            let seconds = Duration::from_secs(count.into());
            prop_assert_eq!(duration(&count.to_string()), Ok(seconds));
            prop_assert_eq!(duration(&format!("{count}s")), Ok(seconds));
            prop_assert_eq!(size(&format!("{count}k")), Ok(u64::from(count) * 1024));
        }
    }
}
