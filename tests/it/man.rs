//! Manual pages: what is checked in is what the argument types say, and clean.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn hoist(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hoist"))
        .args(arguments)
        .output()
        .expect("the program that was just built starts")
}

/// Returns the pages that are checked in, with the arguments that print them.
fn pages() -> Vec<(PathBuf, Vec<String>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("man");
    let mut pages = Vec::new();
    for entry in fs::read_dir(folder).expect("man/ is there") {
        let path = entry.expect("man/ can be read").path();
        let name = path.file_stem().and_then(|name| name.to_str());
        let name = name.expect("a page has a name").to_owned();
        let mut arguments = vec!["man".to_owned()];
        arguments.extend(name.strip_prefix("hoist-").map(str::to_owned));
        pages.push((path, arguments));
    }
    pages
}

#[test]
fn every_subcommand_has_its_page_checked_in_as_it_is_generated() {
    let pages = pages();
    for (path, arguments) in &pages {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let printed = hoist(&arguments);
        assert!(printed.status.success(), "{path:?}");
        assert!(
            printed.stdout == fs::read(path).unwrap(),
            "{} is not what the arguments say; make it anew with `cargo run -- {} > {0}`",
            path.display(),
            arguments.join(" "),
        );
    }
    let help = String::from_utf8(hoist(&["--help"]).stdout).unwrap();
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let subcommands = listed.take_while(|line| !line.is_empty()).count();
    assert_eq!(pages.len(), subcommands + 1);
}

#[test]
fn the_pages_are_clean_under_mandoc() {
    for (path, _) in pages() {
        let lint = Command::new("mandoc")
            .args(["-T", "lint", "-W", "style"])
            .arg(&path)
            .output()
            .expect("mandoc is installed: apt-get install mandoc");
        let found = String::from_utf8_lossy(&lint.stdout);
        assert!(lint.status.success() && found.is_empty(), "{found}");
    }
}

#[test]
fn a_page_that_does_not_exist_is_a_usage_error() {
    let answer = hoist(&["man", "rnu"]);
    assert_eq!(answer.status.code(), Some(2));
    assert_eq!(
        String::from_utf8(answer.stderr).unwrap(),
        "hoist: `rnu` is not a subcommand; there are pages for run, script, put, get, hosts, explain, ping, render, up, down, cloud, completions, man\n"
    );
}
