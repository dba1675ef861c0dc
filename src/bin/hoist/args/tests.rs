use clap::builder::PossibleValue;
use clap::{Arg, Command};
use insta::assert_snapshot;

use super::*;

/// Returns what `hoist NAME --help` prints where no terminal says how wide it is.
fn help(name: &str) -> String {
    let mut command = command().term_width(100);
    command.build();
    let page = command.find_subcommand_mut(name);
    let page = page.expect("the subcommand exists");
    page.render_long_help().to_string()
}

fn with_subcommands(command: &Command) -> Vec<&Command> {
    let mut all = vec![command];
    all.extend(command.get_subcommands());
    all
}

#[test]
fn clap_finds_no_fault_with_the_description() {
    command().debug_assert();
}

#[test]
fn help_is_what_it_was() {
    assert_snapshot!("help_hoist", command().term_width(100).render_long_help());
    assert_snapshot!("help_run", help("run"));
    assert_snapshot!("help_script", help("script"));
    assert_snapshot!("help_hosts", help("hosts"));
}

#[test]
fn help_fits_its_width_and_gives_each_flag_a_line() {
    for name in ["run", "script", "hosts", "completions", "man"] {
        let help = help(name);
        let examples = help.find("Examples:").unwrap();
        for line in help[..examples].lines() {
            assert!(line.chars().count() <= 100, "{line}");
            // The formats are the one list that is too long for a line.
            let is_format = line.contains("table") || line.contains("plain");
            let is_wrapped = line.starts_with(&" ".repeat(20));
            assert!(!is_wrapped || is_format, "{line}");
        }
    }
}

#[test]
fn values_that_help_does_not_list_are_named_in_its_text() {
    let command = command();
    let args = with_subcommands(&command)
        .into_iter()
        .flat_map(Command::get_arguments);
    let hidden = args.filter(|arg| arg.is_hide_possible_values_set());
    let mut checked = 0;
    for arg in hidden {
        let help = arg.get_help().unwrap().to_string();
        for value in arg
            .get_possible_values()
            .iter()
            .map(PossibleValue::get_name)
        {
            assert!(help.contains(value), "{value} in {help}");
            checked += 1;
        }
    }
    assert!(checked >= 10, "{checked}");
}

#[test]
fn every_flag_stands_under_a_heading() {
    let command = command();
    for name in ["run", "script"] {
        let run = command.find_subcommand(name).unwrap();
        let flags = run.get_arguments().filter(|arg| !arg.is_positional());
        let bare: Vec<&Arg> = flags
            .filter(|arg| arg.get_help_heading().is_none())
            .collect();
        assert!(bare.is_empty(), "{bare:?}");
    }
}

#[test]
fn script_knows_all_flags_of_run_but_those_about_words() {
    let command = command();
    let flags = |name: &str| -> Vec<&str> {
        let arguments = command.find_subcommand(name).unwrap().get_arguments();
        let mut all: Vec<&str> = arguments.filter_map(Arg::get_long).collect();
        all.sort_unstable();
        all
    };
    let (mut expected, mut own) = (flags("run"), flags("script"));
    expected.retain(|flag| !["shell", "no-split"].contains(flag));
    own.retain(|flag| *flag != "interpreter");
    assert_eq!(own, expected);
}

#[test]
fn hosts_knows_all_flags_that_select() {
    let command = command();
    let hosts = command.find_subcommand("hosts").unwrap();
    let selecting = hosts.get_arguments();
    let selecting = selecting.filter(|arg| arg.get_help_heading() == Some("Selecting hosts"));
    let ids: Vec<&str> = selecting.map(|arg| arg.get_id().as_str()).collect();
    assert_eq!(ids, SELECTING);
}
