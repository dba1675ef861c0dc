//! One layer over the other: built in, configuration file, variables, arguments.

use crate::support::fleet::Fleet;

fn fleet() -> Fleet {
    Fleet::new().hosts("web1")
}

/// Whether the run was of JSON lines, by the first character printed.
const RUN: &str = "run -- echo x";

#[test]
fn each_layer_goes_over_the_one_below() {
    let fleet = fleet();
    fleet.hoist(RUN).code(0).stdout("web1: x\n");
    fleet
        .tree()
        .write("config/hoist/config.toml", "[defaults]\noutput = \"raw\"\n");
    fleet.hoist(RUN).code(0).stdout("x\n");
    fleet
        .command(RUN)
        .env("HOIST_OUTPUT", "none")
        .run()
        .code(0)
        .no_stdout();
    let ended = fleet
        .command("run -o jsonl -- echo x")
        .env("HOIST_OUTPUT", "none")
        .run();
    ended.code(0).became("web1", "ok", "");
}

#[test]
fn another_file_can_be_named() {
    let fleet = fleet();
    fleet.tree().write(
        "config/hoist/config.toml",
        "[defaults]\noutput = \"none\"\n",
    );
    fleet
        .tree()
        .write("work/mine.toml", "[defaults]\noutput = \"raw\"\n");
    fleet
        .hoist("run --config mine.toml -- echo x")
        .code(0)
        .stdout("x\n");
    fleet
        .hoist("run --config missing.toml -- echo x")
        .code(2)
        .complains(&["missing.toml"]);
}

#[test]
fn unknown_keys_and_bad_values_are_errors_with_their_place() {
    let fleet = fleet();
    for (text, parts) in [
        (
            "[defaults]\nfan-out = 4\nfanout = 5\n",
            &["config.toml:3:1", "fanout", "fan-out"][..],
        ),
        (
            "[defaults]\n\n  timeout = \"soon\"\n",
            &["config.toml:3:", "soon"],
        ),
        (
            "[default]\noutput = \"raw\"\n",
            &["config.toml:1:", "default"],
        ),
        ("[defaults]\noutput = \"raw\n", &["config.toml:2:"]),
        (
            "[defaults]\nquiet = \"yes\"\n",
            &["config.toml:2:", "quiet"],
        ),
    ] {
        fleet.tree().write("config/hoist/config.toml", text);
        fleet.hoist("run -- touch ran").code(2).complains(parts);
    }
    assert!(!fleet.tree().join("work/ran").exists());
}

#[test]
fn a_bad_variable_is_named() {
    let ended = fleet().command(RUN).env("HOIST_FAN_OUT", "many").run();
    ended.code(2).complains(&["HOIST_FAN_OUT", "many"]);
}

#[test]
fn nothing_is_read_from_the_working_directory() {
    let fleet = fleet();
    for name in [
        "config.toml",
        "hoist.toml",
        ".hoist.toml",
        "hoist/config.toml",
    ] {
        fleet.tree().write(
            &format!("work/{name}"),
            "[defaults]\noutput = \"none\"\nbroken\n",
        );
    }
    fleet.hoist(RUN).code(0).stdout("web1: x\n");
    // A relative folder is to be ignored, says the XDG specification.
    fleet
        .command(RUN)
        .env("XDG_CONFIG_HOME", ".")
        .run()
        .code(0)
        .stdout("web1: x\n");
}

#[test]
fn the_inventory_can_come_from_every_layer() {
    let fleet = fleet();
    fleet.tree().write("work/other.csv", "name\nother\n");
    let path = fleet.tree().join("work/other.csv");
    let config = format!("[defaults]\ninventory = [{path:?}]\n");
    fleet.tree().write("config/hoist/config.toml", config);
    fleet
        .command("hosts")
        .env("HOIST_INVENTORY", "")
        .run()
        .code(0)
        .stdout("other\n");
    fleet.hoist("hosts").code(0).stdout("web1\n");
    fleet.hoist("hosts -i other.csv").code(0).stdout("other\n");
}
