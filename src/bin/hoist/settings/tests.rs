use std::fs;
use std::time::Duration;

use hoist::host::TransportName;
use insta::assert_snapshot;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::args::{self, Bound, Run, Verb};

/// A home folder with a configuration file, and an environment that points to it.
struct Desk {
    home: TempDir,
    variables: Vec<(String, String)>,
}

impl Desk {
    fn new() -> Self {
        let home = TempDir::new().unwrap();
        let variables = vec![("HOME".to_owned(), home.path().to_str().unwrap().to_owned())];
        Self { home, variables }
    }

    fn config(self, text: impl AsRef<[u8]>) -> Self {
        let folder = self.home.path().join(".config/hoist");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("config.toml"), text).unwrap();
        self
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    fn read(&self, typed: &[&str]) -> Result<(Cli, Origins), Failure> {
        let environment = Environment::from_variables(self.variables.clone());
        let words = std::iter::once("hoist").chain(typed.iter().copied());
        let typed: Vec<OsString> = words.map(OsString::from).collect();
        read(&environment, &typed, &args::command())
    }

    fn run(&self, flags: &[&str]) -> (Run, Origins) {
        let typed = [&["run"], flags, &["true"]].concat();
        match self
            .read(&typed)
            .map(|(cli, origins)| (cli.subcommand, origins))
        {
            Ok((Verb::Run(run), origins)) => (*run, origins),
            other => panic!("{other:?}"),
        }
    }

    /// Returns the error's line with the home folder named `~`.
    fn error(&self, typed: &[&str]) -> String {
        let failure = self.read(typed).map(|_| ()).unwrap_err();
        assert_eq!(failure.code, crate::exit_code::USAGE);
        let home = self.home.path().to_str().unwrap();
        failure.line().replace(home, "~")
    }
}

fn fan_out(run: &Run) -> usize {
    run.pacing.fan_out.get()
}

#[test]
fn arguments_win_over_variables_over_the_file_over_what_is_built_in() {
    let desk = Desk::new();
    let (run, origins) = desk.run(&[]);
    assert_eq!(
        (fan_out(&run), origins.of("fan_out")),
        (128, Origin::BuiltIn)
    );

    let desk = desk.config("[defaults]\nfan-out = 1\n");
    let (run, origins) = desk.run(&[]);
    assert_eq!((fan_out(&run), origins.of("fan_out")), (1, Origin::File));

    let desk = desk.set("HOIST_FAN_OUT", "2");
    let (run, origins) = desk.run(&[]);
    assert_eq!(
        (fan_out(&run), origins.of("fan_out")),
        (2, Origin::Environment)
    );

    let (run, origins) = desk.run(&["-f", "3"]);
    assert_eq!(
        (fan_out(&run), origins.of("fan_out")),
        (3, Origin::Argument)
    );
}

#[test]
fn a_repeatable_flag_replaces_what_lower_layers_say() {
    let desk = Desk::new()
        .config("[defaults]\nhosts = [\"a\", \"b\"]\nexclude = 'x'\n")
        .set("HOIST_EXCLUDE", "y\nz\n");
    let (run, _) = desk.run(&[]);
    assert_eq!(run.selecting.hosts, ["a", "b"]);
    assert_eq!(run.selecting.exclude, ["y", "z"]);
    let (run, _) = desk.run(&["-w", "c", "-w", "d", "-x", "e"]);
    assert_eq!(run.selecting.hosts, ["c", "d"]);
    assert_eq!(run.selecting.exclude, ["e"]);
}

#[test]
fn of_several_values_typed_the_last_counts_unless_the_flag_is_repeatable() {
    let (run, _) = Desk::new().run(&["-f", "1", "-q", "-f", "2", "-q", "-w", "a", "-w", "b"]);
    assert_eq!(fan_out(&run), 2);
    assert_eq!(run.selecting.hosts, ["a", "b"]);
}

#[test]
fn a_switch_can_be_turned_on_below_and_off_again_above() {
    let desk = Desk::new().config("[defaults]\nquiet = true\nshuffle = false\n");
    let (run, _) = desk.run(&[]);
    assert!(run.showing.quiet && !run.selecting.shuffle);
    assert!(desk.run(&["--shuffle"]).0.selecting.shuffle);
    let desk = desk.set("HOIST_QUIET", "no").set("HOIST_SHUFFLE", "1");
    let (run, _) = desk.run(&[]);
    assert!(!run.showing.quiet && run.selecting.shuffle);
    assert!(desk.run(&["--quiet"]).0.showing.quiet);
}

#[test]
fn an_empty_variable_counts_as_not_set() {
    let desk = Desk::new().set("HOIST_FAN_OUT", "").set("HOIST_CONFIG", "");
    assert_eq!(desk.run(&[]).1.of("fan_out"), Origin::BuiltIn);
}

#[test]
fn values_are_read_as_arguments_are() {
    let desk = Desk::new().config(
        "[defaults]\ntimeout = 90\nconnect-timeout = '1m30s'\nmax-output = '1k'\n\
         transport = 'local'\nport = 2222\nenv = ['A=b c', 'D=']\n",
    );
    let (run, _) = desk.run(&[]);
    assert_eq!(run.limiting.timeout, Bound(Some(Duration::from_secs(90))));
    assert_eq!(run.pacing.connect_timeout, Duration::from_secs(90));
    assert_eq!(run.limiting.max_output, Bound(Some(1024)));
    assert_eq!(run.connecting.transport, TransportName::Local);
    assert_eq!(run.connecting.port.unwrap().get(), 2222);
    assert_eq!(run.executing.env[0].value, "b c");
    assert_eq!(run.executing.env[1].value, "");
}

#[test]
fn paths_in_the_file_start_at_its_own_folder_or_at_home() {
    let desk = Desk::new().config(
        "[defaults]\ninventory = ['fleet.csv', '~/b.csv', '/c.csv', '-']\nidentity = 'keys/id'\n",
    );
    let (run, _) = desk.run(&[]);
    let home = desk.home.path();
    assert_eq!(
        run.selecting.inventory,
        [
            home.join(".config/hoist/fleet.csv"),
            home.join("b.csv"),
            "/c.csv".into(),
            "-".into()
        ]
    );
    assert_eq!(
        run.connecting.identity,
        [home.join(".config/hoist/keys/id")]
    );
    // Variables and arguments are taken as they are: the shell has been over them.
    let desk = desk.set("HOIST_INVENTORY", "x.csv");
    assert_eq!(
        desk.run(&[]).0.selecting.inventory,
        [PathBuf::from("x.csv")]
    );
}

#[test]
fn another_file_can_be_named_and_must_then_exist() {
    let desk = Desk::new().config("[defaults]\nfan-out = 1\n");
    let other = desk.home.path().join("other.toml");
    fs::write(&other, "[defaults]\nfan-out = 7\n").unwrap();
    let other = other.to_str().unwrap();
    assert_eq!(fan_out(&desk.run(&["--config", other]).0), 7);
    let desk = desk.set("HOIST_CONFIG", other);
    assert_eq!(fan_out(&desk.run(&[]).0), 7);
    assert_snapshot!(
        desk.error(&["run", "--config", "/does/not/exist", "true"]),
        @"hoist: cannot read settings from /does/not/exist: No such file or directory (os error 2)"
    );
}

#[test]
fn subcommands_share_the_flags_they_have_in_common() {
    let desk = Desk::new()
        .config("[defaults]\ninventory = '/a'\noutput = 'jsonl'\nfan-out = 3\n")
        .set("HOIST_OUTPUT", "csv")
        .set("HOIST_WHERE", "a=b");
    let (cli, _) = desk.read(&["hosts"]).unwrap();
    let Verb::Hosts(hosts) = cli.subcommand else {
        panic!("{cli:?}");
    };
    assert_eq!(hosts.selecting.inventory, [PathBuf::from("/a")]);
    assert_eq!(hosts.selecting.wheres, ["a=b"]);
    assert_eq!(hosts.listing.output, None);
}

#[test]
fn flags_exclude_each_other_only_where_both_are_typed() {
    let desk = Desk::new().config("[defaults]\ninventory = '/a'\nhosts = 'b'\nshell = true\n");
    assert!(desk.read(&["hosts", "--expand", "a"]).is_ok());
    assert!(desk.read(&["hosts", "--expand", "a", "-w", "b"]).is_err());
    let (run, origins) = desk.run(&["--no-split"]);
    assert!(run.wording.shell && run.wording.no_split);
    assert!(origins.of("no_split") > origins.of("shell"));
}

#[test]
fn what_takes_no_settings_works_with_a_broken_file() {
    let desk = Desk::new().config("]");
    assert!(desk.read(&["completions", "bash"]).is_ok());
    assert!(desk.read(&["run", "true"]).is_err());
}

#[test]
fn the_command_is_taken_word_for_word() {
    for (typed, command) in [
        (&["run", "uptime", "-p"][..], &["uptime", "-p"][..]),
        (&["run", "--", "-p", "--quiet"], &["-p", "--quiet"]),
        (
            &["run", "echo", "--", "-f", "--"],
            &["echo", "--", "-f", "--"],
        ),
        (&["run", "-f", "3", "--", "--", "x"], &["--", "x"]),
        (&["run", "", " "], &["", " "]),
        (&["run", "run", "hosts"], &["run", "hosts"]),
    ] {
        let (cli, _) = Desk::new().read(typed).unwrap();
        let Verb::Run(run) = cli.subcommand else {
            panic!("{cli:?}");
        };
        assert_eq!(run.command, command, "{typed:?}");
        assert!(!run.showing.quiet);
    }
}

#[test]
fn what_was_typed_can_be_typed_again() {
    let desk = Desk::new()
        .config("[defaults]\nuser = 'root'\n")
        .set("HOIST_PORT", "22");
    let flags = [
        "-qw",
        "a",
        "--fan-out=3",
        "-w",
        "b",
        "--shell",
        "--where",
        "x=y",
        "--sudo",
    ];
    let (_, origins) = desk.run(&flags);
    let typed = origins.typed().iter();
    let typed: Vec<_> = typed
        .map(|flag| (flag.id.as_str(), flag.words.join(" ".as_ref())))
        .collect();
    let expected = [
        ("hosts", "-w a -w b"),
        ("where", "--where x=y"),
        ("shell", "--shell"),
        ("sudo", "--sudo=root"),
        ("fan_out", "-f 3"),
        ("quiet", "-q"),
    ];
    assert_eq!(typed, expected.map(|(id, words)| (id, words.into())));
}

#[test]
fn errors_in_the_file_show_the_place_and_the_way_out() {
    let error = |text: &str| Desk::new().config(text).error(&["run", "true"]);
    assert_snapshot!(error("[defaults]\nfanout = 3\n"), @"hoist: cannot read settings: ~/.config/hoist/config.toml:2:1: key `fanout` is not known; did you mean `fan-out`?");
    assert_snapshot!(error("[defaults]\nfan_out = 3\n"), @"hoist: cannot read settings: ~/.config/hoist/config.toml:2:1: key `fan_out` is not known; did you mean `fan-out`?");
    assert_snapshot!(error("[defaults]\nzzzz = 3\n"), @"hoist: cannot read settings: ~/.config/hoist/config.toml:2:1: key `zzzz` is not known");
    assert_snapshot!(error("[defaults]\nconfig = 'x'\n"), @"hoist: cannot read settings: ~/.config/hoist/config.toml:2:1: key `config` is not known");
    assert_snapshot!(error("inventory = 'a'\n"), @"hoist: cannot read settings: ~/.config/hoist/config.toml:1:1: table or key `inventory` is not known; it belongs under `[defaults]`");
    assert_snapshot!(error("[default]\n"), @"hoist: cannot read settings: ~/.config/hoist/config.toml:1:2: table or key `default` is not known; expected `[defaults]` or `[fleet.NAME]`");
    assert_snapshot!(error("defaults = 3\n"), @"hoist: cannot read settings: ~/.config/hoist/config.toml:1:12: defaults is a number; expected a table, `[defaults]`");
    assert_snapshot!(error("[defaults]\nfan-out = true\n"), @"hoist: cannot read settings: ~/.config/hoist/config.toml:2:11: fan-out is true; expected a number or text in quotes");
    assert_snapshot!(error("[defaults]\nfan-out = 'many'\n"), @"hoist: cannot read settings: ~/.config/hoist/config.toml:2:11: fan-out: `many` is not a whole number from 1");
    assert_snapshot!(error("[defaults]\nfan-out = 0\n"), @"hoist: cannot read settings: ~/.config/hoist/config.toml:2:11: fan-out: `0` is not a whole number from 1");
    assert_snapshot!(error("[defaults]\nfan-out = [1]\n"), @"hoist: cannot read settings: ~/.config/hoist/config.toml:2:11: fan-out is an array; expected a number or text in quotes");
    assert_snapshot!(error("[defaults]\nquiet = 'yes'\n"), @"hoist: cannot read settings: ~/.config/hoist/config.toml:2:9: quiet is text; expected true or false");
    assert_snapshot!(error("[defaults]\ninventory = [3]\n"), @"hoist: cannot read settings: ~/.config/hoist/config.toml:2:14: inventory is a number; expected a path in quotes");
    assert_snapshot!(error("[defaults]\nhosts = ['a', ['b']]\n"), @"hoist: cannot read settings: ~/.config/hoist/config.toml:2:15: hosts is an array; expected text in quotes");
    assert_snapshot!(error("[defaults]\nretries = 1.5\n"), @"hoist: cannot read settings: ~/.config/hoist/config.toml:2:11: retries is a number with a fraction; expected a number or text in quotes");
    assert_snapshot!(error("[defaults]\n\n  output = \"tabel\"\n"), @"hoist: cannot read settings: ~/.config/hoist/config.toml:3:12: output: `tabel` is not one of table, stream, group, json, jsonl, csv, tsv, raw, none; did you mean `table`?");
    assert_snapshot!(error("[defaults]\nhöst = 1\n"), @"hoist: cannot read settings: ~/.config/hoist/config.toml:2:2: invalid unquoted key, expected letters, numbers, `-`, `_`");
    assert_snapshot!(error("[defaults]\nfan-out = \n"), @"hoist: cannot read settings: ~/.config/hoist/config.toml:2:11: string values must be quoted, expected literal string");
    assert_snapshot!(error("[defaults]\nfan-out = 1\nfan-out = 2\n"), @"hoist: cannot read settings: ~/.config/hoist/config.toml:3:1: duplicate key");
}

#[test]
fn a_file_that_is_not_utf_8_is_an_error_with_a_place() {
    let desk = Desk::new().config(b"[defaults]\nuser = '\xff'\n");
    assert_snapshot!(desk.error(&["run", "true"]), @"hoist: cannot read settings: ~/.config/hoist/config.toml:2:9: this byte is not UTF-8");
}

#[test]
fn errors_in_variables_name_the_variable() {
    let error = |name, value| Desk::new().set(name, value).error(&["run", "true"]);
    assert_snapshot!(error("HOIST_FAN_OUT", "many"), @"hoist: cannot use the variable HOIST_FAN_OUT: fan-out: `many` is not a whole number from 1");
    assert_snapshot!(error("HOIST_QUIET", "maybe"), @"hoist: cannot use the variable HOIST_QUIET: `maybe` is neither true nor false");
    assert_snapshot!(error("HOIST_TIMEOUT", "5x"), @"hoist: cannot use the variable HOIST_TIMEOUT: timeout: `5x` is not a duration; write it like 90, 90s, 5m, 1h30m or 500ms; or `none`");
    assert_snapshot!(error("HOIST_ENV", "A=b\nC"), @"hoist: cannot use the variable HOIST_ENV: env: `C` has no `=`; write NAME=VALUE");
    assert_snapshot!(error("HOIST_HOST_KEYS", "accept"), @"hoist: cannot use the variable HOIST_HOST_KEYS: host-keys: `accept` is not one of ask, strict, accept-new, off; did you mean `accept-new`?");
    assert_snapshot!(error("HOIST_USER", "a\u{1b}[2J"), @r#"hoist: cannot use the variable HOIST_USER: user: user name `a\u{1b}[2J` holds the character `\u{1b}` at character 2"#);
}

#[test]
fn other_variables_of_that_prefix_are_none_of_its_business() {
    let desk = Desk::new()
        .set("HOIST_HOST", "web1")
        .set("HOIST_INDEX", "0")
        .set("HOIST_TOTAL", "1")
        .set("HOIST_SOMETHING", "x");
    assert_eq!(fan_out(&desk.run(&[]).0), 128);
}

#[test]
fn every_long_flag_is_a_key_and_a_variable() {
    let command = args::command();
    let run = command.find_subcommand("run").unwrap();
    let mut checked = 0;
    for arg in run.get_arguments().filter(|arg| arg.get_long().is_some()) {
        let long = arg.get_long().unwrap();
        let value = sample(arg);
        let written = match value {
            "true" => "true".to_owned(),
            text => format!("'{text}'"),
        };
        let id = arg.get_id().as_str();
        let desk = Desk::new().config(format!("[defaults]\n{long} = {written}\n"));
        assert_eq!(desk.run(&[]).1.of(id), Origin::File, "{long}");
        let name = format!("HOIST_{}", long.to_uppercase().replace('-', "_"));
        assert!(!["HOIST_HOST", "HOIST_INDEX", "HOIST_TOTAL"].contains(&name.as_str()));
        let desk = Desk::new().set(&name, value);
        assert_eq!(desk.run(&[]).1.of(id), Origin::Environment, "{name}");
        checked += 1;
    }
    assert!(checked > 30, "{checked}");
}

/// Returns a value that the flag takes.
fn sample(arg: &Arg) -> &'static str {
    if is_switch(arg) {
        return "true";
    }
    match arg.get_id().as_str() {
        "output" => "json",
        "color" => "never",
        "exit" => "max",
        "host_keys" => "off",
        "transport" => "local",
        "env" | "where" | "var" => "a=b",
        "connect_timeout" => "3s",
        _ => "3",
    }
}

#[test]
fn numbers_above_what_fits_are_refused_not_wrapped() {
    for value in ["18446744073709551616", "-1", "4294967296"] {
        let typed = format!("--retries={value}");
        assert!(
            Desk::new().read(&["run", &typed, "true"]).is_err(),
            "{value}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_file_makes_the_reader_panic(text in "(\\[defaults\\]\n)?([a-z-]{1,9} ?= ?.{0,9}\n){0,3}") {
        let _ = Desk::new().config(text).read(&["run", "true"]);
    }
}
