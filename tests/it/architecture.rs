//! The shape of the source: who may use whom, which crate stays behind which door, where `unsafe`
//! may be, how long a file may get. CONTRIBUTING.md shows the same table to people.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

mod source;

use source::Source;

/// Each module of the library, and the modules it may use. Arrows point down the flow, never back.
const MAY_USE: &[(&str, &[&str])] = &[
    ("host", &[]),
    ("secret", &[]),
    ("remote", &["host", "secret"]),
    ("quote", &["host", "remote"]),
    ("hostset", &["host"]),
    ("outcome", &["remote"]),
    ("event", &["host", "outcome", "remote"]),
    ("inventory", &["host", "hostset"]),
    ("selection", &["host", "hostset", "inventory"]),
    ("ssh_config", &["host"]),
    ("template", &["host", "inventory", "quote"]),
    ("plan", &["event", "host", "remote", "tree"]),
    ("provider", &["host", "inventory", "secret"]),
    (
        "transport",
        &["host", "outcome", "quote", "remote", "secret", "ssh_config"],
    ),
    ("tree", &["host", "remote"]),
    (
        "transfer",
        &[
            "host",
            "outcome",
            "plan",
            "quote",
            "remote",
            "transport",
            "tree",
        ],
    ),
    ("spool", &["remote"]),
    (
        "engine",
        &[
            "event",
            "host",
            "outcome",
            "plan",
            "remote",
            "transfer",
            "transport",
        ],
    ),
    (
        "render",
        &["event", "host", "hostset", "outcome", "remote", "spool"],
    ),
    ("shell", ALL),
    ("fleet", ALL),
];

/// The embedding face may use everything.
const ALL: &[&str] = &[
    "engine",
    "event",
    "fleet",
    "host",
    "hostset",
    "inventory",
    "outcome",
    "plan",
    "provider",
    "quote",
    "remote",
    "render",
    "secret",
    "selection",
    "shell",
    "spool",
    "ssh_config",
    "template",
    "transfer",
    "transport",
    "tree",
];

/// Crates that only these files and folders may name.
const FENCES: &[(&str, &[&str])] = &[
    ("ssh2", &["src/transport/ssh"]),
    ("libssh2_sys", &["src/transport/ssh"]),
    ("libc", &["src/transport/ssh"]),
    (
        "openssl",
        &[
            "src/provider",
            "src/transport/ssh",
            "src/ssh_config/resolved",
        ],
    ),
    ("ssh_key", &["src/provider", "src/transport/ssh"]),
    (
        "ureq",
        // The metadata of an instance is no API.
        &["src/provider/http", "src/provider/aws/credentials/endpoint"],
    ),
    ("roxmltree", &["src/provider/aws"]),
    ("hmac", &["src/provider/aws"]),
    ("poly1305", &["src/transport/ssh"]),
    ("ed25519_dalek", &["src/transport/ssh"]),
    ("globset", &["src/hostset", "src/selection"]),
    ("csv", &["src/inventory", "src/render", "src/bin/hoist"]),
    ("comfy_table", &["src/render/table"]),
    ("minijinja", &["src/template"]),
    (
        "sha2",
        &[
            "src/provider",
            "src/tree",
            "src/transfer/keep",
            "src/transfer/get/tests",
        ],
    ),
    ("rayon", &["src/engine"]),
    ("crossbeam_channel", &["src/engine"]),
    ("async_executor", &["src/engine", "src/transport/ssh/jump"]),
    ("clap", &["src/bin/hoist"]),
    ("clap_complete", &["src/bin/hoist"]),
    ("clap_mangen", &["src/bin/hoist"]),
    ("indicatif", &["src/bin/hoist"]),
    ("toml", &["src/bin/hoist"]),
    ("rpassword", &["src/bin/hoist"]),
    ("signal_hook", &["src/bin/hoist"]),
    ("similar", &["src/bin/hoist"]),
    ("tokio", &[]),
];

/// The files that may say `unsafe`.
const UNSAFE: [&str; 3] = [
    "src/transport/ssh/ffi.rs",
    "src/transport/ssh/chachapoly.rs",
    "src/transport/child/spawn.rs",
];

/// Most lines of a file, its tests left out.
const LONGEST: usize = 600;

/// Returns every file of the library and the program, without files that are nothing but tests.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    let mut folders = vec![root.join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sources.push(Source::read(root, &path));
            }
        }
    }
    assert!(sources.len() > 10, "the source is where it is expected");
    sources.retain(|source: &Source| !source.is_tests());
    sources
}

/// Fails with one line for each offence.
#[track_caller]
fn none(offences: impl IntoIterator<Item = String>) {
    let list = offences
        .into_iter()
        .fold(String::new(), |mut list, offence| {
            writeln!(list, "  {offence}").unwrap();
            list
        });
    assert!(list.is_empty(), "\n{list}");
}

#[test]
fn modules_use_only_what_the_table_allows() {
    let offences = sources().into_iter().flat_map(|source| {
        let Some(module) = source.library_module().map(str::to_owned) else {
            return Vec::new();
        };
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == module) else {
            return vec![format!(
                "{}: module `{module}` is not in the table",
                source.path
            )];
        };
        let used = source.modules_used();
        let wrong = used
            .iter()
            .filter(|name| **name != module && !allowed.contains(&name.as_str()));
        wrong
            .map(|name| format!("{}: {module} may not use {name}", source.path))
            .collect()
    });
    none(offences);
}

#[test]
fn the_table_holds_no_module_twice_and_no_way_back() {
    let names: BTreeSet<&str> = MAY_USE.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), MAY_USE.len());
    let flow = || MAY_USE.iter().filter(|(_, allowed)| *allowed != ALL);
    let reaches = |from: &str, to: &str| {
        let mut seen = BTreeSet::new();
        let mut next = vec![from.to_owned()];
        while let Some(name) = next.pop() {
            let allowed = flow()
                .find(|(own, _)| *own == name)
                .map_or(&[][..], |(_, all)| *all);
            next.extend(
                allowed
                    .iter()
                    .map(|&name| name.to_owned())
                    .filter(|n| seen.insert(n.clone())),
            );
        }
        seen.contains(to)
    };
    none(
        flow()
            .filter(|(name, _)| reaches(name, name))
            .map(|(name, _)| format!("{name} reaches itself")),
    );
}

#[test]
fn crates_stay_behind_their_fences() {
    let offences = sources().into_iter().flat_map(|source| {
        let crossed = FENCES.iter().filter(|(name, doors)| {
            let is_inside = doors.iter().any(|door| {
                source
                    .path
                    .strip_prefix(door)
                    .is_some_and(|rest| rest.starts_with(['/', '.']))
            });
            !is_inside && source.names_crate(name)
        });
        let path = source.path.clone();
        crossed
            .map(|(name, _)| format!("{path}: {name} is fenced in elsewhere"))
            .collect::<Vec<_>>()
    });
    none(offences);
}

#[test]
fn unsafe_is_in_three_files() {
    let others = sources()
        .into_iter()
        .filter(|source| !UNSAFE.contains(&&*source.path));
    let offenders = others.filter(|source| source.has_word("unsafe"));
    none(offenders.map(|source| format!("{}: unsafe belongs to {UNSAFE:?}", source.path)));
}

#[test]
fn the_library_prints_nothing_reads_no_environment_and_ends_nothing() {
    const FORBIDDEN: &[&[&str]] = &[
        &["print", "!"],
        &["println", "!"],
        &["eprint", "!"],
        &["eprintln", "!"],
        &["dbg", "!"],
        &["env", ":", ":"],
        &["process", ":", ":", "exit"],
        &["process", ":", ":", "abort"],
        &["io", ":", ":", "stdout"],
        &["io", ":", ":", "stderr"],
        &["io", ":", ":", "stdin"],
    ];
    let library = sources()
        .into_iter()
        .filter(|source| source.library_module().is_some());
    let offences = library.flat_map(|source| {
        let found = FORBIDDEN.iter().filter(|words| source.has_words(words));
        let path = source.path.clone();
        found
            .map(|words| format!("{path}: {}", words.concat()))
            .collect::<Vec<_>>()
    });
    none(offences);
}

#[test]
fn the_program_uses_the_public_api_alone() {
    let program = sources()
        .into_iter()
        .filter(|source| source.path.starts_with("src/bin/"));
    let offenders = program.filter(|source| source.text.contains("#[path"));
    none(offenders.map(|source| format!("{}: no file of the library by its path", source.path)));
}

#[test]
fn files_are_short_and_begin_with_what_they_are_for() {
    let offences = sources().into_iter().filter_map(|source| {
        let lines = source.lines_without_tests();
        let is_told = source.text.starts_with("//! ");
        match (lines > LONGEST, is_told) {
            (true, _) => Some(format!("{}: {lines} lines; split it", source.path)),
            (_, false) => Some(format!("{}: begins with no `//! ` head", source.path)),
            _ => None,
        }
    });
    none(offences);
}

#[test]
fn no_file_is_called_what_says_nothing() {
    let vague = [
        "util", "utils", "common", "helper", "helpers", "manager", "misc",
    ];
    let offenders = sources().into_iter().filter(|source| {
        let path = PathBuf::from(&source.path);
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default();
        vague.contains(&stem)
    });
    none(offenders.map(|source| format!("{}: name it after what it holds", source.path)));
}

#[test]
fn no_test_file_is_forgotten() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let main = fs::read_to_string(folder.join("main.rs")).unwrap();
    let names = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let files = names.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let stems = files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned());
    let forgotten =
        stems.filter(|stem| stem != "main" && !main.contains(&format!("\nmod {stem};\n")));
    none(forgotten.map(|stem| format!("tests/it/{stem}.rs is not in main.rs")));
}
