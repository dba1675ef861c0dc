//! What the manual pages explain besides the flags.

/// A section of prose: its heading, and what it explains, word by word.
pub(super) struct Glossary {
    pub heading: &'static str,
    pub intro: &'static str,
    pub entries: &'static [(&'static str, &'static str)],
}

pub(super) const SETTINGS: Glossary = Glossary {
    heading: "SETTINGS",
    intro: "Lowest to highest: built-in, configuration file, inventory, variables, arguments.",
    entries: &[
        (
            "~/.config/hoist/config.toml",
            "The configuration file, below $XDG_CONFIG_HOME where that is set. Every long flag is a \
             key of its table [defaults], as in fan-out = 64; a repeatable one takes an array. \
             Relative paths start at the file's folder. An unknown key is an error. Nothing is \
             ever read from the working directory by itself.",
        ),
        (
            "HOIST_FAN_OUT, HOIST_INVENTORY, HOIST_...",
            "Every long flag is a variable too. Several values of a repeatable flag are lines; a \
             flag without a value takes true or false.",
        ),
        ("HOIST_CONFIG", "Another configuration file."),
        (
            "NO_COLOR, CLICOLOR_FORCE",
            "Never, or always, use colour, unless --color says otherwise.",
        ),
    ],
};

pub(super) const CREDENTIALS: Glossary = Glossary {
    heading: "CREDENTIALS",
    intro: "From --token-file or --token-command, else from the environment. None of them is ever an \
            argument, written to a log or told in an error. They are sent over HTTPS alone, or to this \
            machine, and to no address that a redirect names.",
    entries: &[
        (
            "sandbox",
            "None: its servers are processes of this machine, which run as you.",
        ),
        ("vultr", "VULTR_API_KEY."),
        ("linode", "LINODE_TOKEN, else LINODE_CLI_TOKEN."),
        (
            "digitalocean",
            "DIGITALOCEAN_ACCESS_TOKEN, else DIGITALOCEAN_TOKEN.",
        ),
        ("hetzner", "HCLOUD_TOKEN."),
        (
            "ovh",
            "OVH_APPLICATION_KEY, OVH_APPLICATION_SECRET and OVH_CONSUMER_KEY, else the ovh.conf that \
             OVH's own tools read; OVH_ENDPOINT says which OVH.",
        ),
        (
            "aws",
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN), else the files of the \
             AWS tools, with AWS_PROFILE or --profile; the region comes from --region or AWS_REGION.",
        ),
    ],
};

pub(super) const RECORDS: Glossary = Glossary {
    heading: "RECORDS",
    intro: "What is about to be made is on disk before it is asked for, so that no server is paid for and \
            forgotten: after any failure, hoist up makes what is missing and finds again what was made.",
    entries: &[
        (
            "$XDG_STATE_HOME/hoist/fleets/FLEET.jsonl",
            "The record of a fleet, below ~/.local/state where XDG_STATE_HOME is not set. Only one hoist at \
             a time works on a fleet.",
        ),
        (
            "[fleet.NAME]",
            "A table of the configuration file: what hoist up NAME is asked for, with its long flags as \
             keys, set = { KEY = VALUE } for the provider's own settings, and follow = [{ hosts, template, \
             dest, check, then }] for files that hoist put brings up to date after each up and down.",
        ),
        (
            "-i PROVIDER:FLEET",
            "In every other subcommand: the servers of the fleet that run right now, as an inventory.",
        ),
    ],
};

pub(super) const COMMAND_ENVIRONMENT: Glossary = Glossary {
    heading: "ENVIRONMENT OF THE COMMAND",
    intro: "Every command finds these variables besides those of --env.",
    entries: &[
        ("HOIST_HOST", "The host's name, as the inventory has it."),
        ("HOIST_INDEX", "The host's place in the run, from 0."),
        ("HOIST_TOTAL", "How many hosts the run has."),
    ],
};

pub(super) const ON_THE_HOST: Glossary = Glossary {
    heading: "ON THE HOST",
    intro: "The script is a file of mode 0700 in a folder of its own, hoist-<random>, made with the rights \
            it runs with.",
    entries: &[
        (
            "Where",
            "In the first place that takes it: TMPDIR (as by --env), /tmp, /var/tmp, the home, the working \
             directory. One mounted noexec is good enough for all but binary programs.",
        ),
        (
            "What reads it",
            "What its first line names (#!/bin/sh), else sh; --interpreter overrides both. A binary \
             program is executed itself. A host that lacks it says so before the script is brought.",
        ),
        (
            "How it goes again",
            "With its folder, when its process has ended: by itself, by a signal, by --timeout or \
             Ctrl-C, with or without a link to hoist.",
        ),
    ],
};

pub(super) const EXIT_STATUS: Glossary = Glossary {
    heading: "EXIT STATUS",
    intro: "Where several apply: a signal, then 4, 5, 3, 1.",
    entries: &[
        (
            "0",
            "Every selected host is ok and every output was written.",
        ),
        ("1", "All hosts were reached; some command failed."),
        (
            "2",
            "Usage, inventory or configuration error: nobody was contacted.",
        ),
        (
            "3",
            "Some host was not reached, was lost, or ran out of time.",
        ),
        (
            "4",
            "hoist could not do or record its own work, as on a full disk.",
        ),
        ("5", "Stopped early: some hosts were skipped."),
        (
            "129, 130, 143",
            "Ended by SIGHUP, SIGINT, SIGTERM, after a full report.",
        ),
        (
            "with --exit max",
            "The largest exit status of any host, at most 125; 126 when a host was not reached.",
        ),
    ],
};

pub(super) const PATTERNS: Glossary = Glossary {
    heading: "PATTERNS",
    intro: "A pattern denotes hosts, in the order written. Operators apply from left to right.",
    entries: &[
        ("web1", "The host of that name."),
        (
            "web[01-20,31], [1-9/2], [a-f]",
            "Ranges, with leading zeros kept, steps, letters; any number of brackets in a name.",
        ),
        ("web*, db?", "The hosts of the inventory that match."),
        ("@web", "The hosts of a group."),
        (
            "a,b  a!b  a&b  a^b",
            "Union, difference, intersection, symmetric difference.",
        ),
        ("a,(b!c)", "Parentheses go first."),
        (
            "root@web1:2222, [2001:db8::1]:22",
            "User and port, which win over --user and --port.",
        ),
    ],
};

pub(super) const INVENTORIES: Glossary = Glossary {
    heading: "INVENTORIES",
    intro: "The format follows from the file's extension, else from its content. Several files are \
            merged in order. Every column or key that hoist doesn't know is a variable.",
    entries: &[
        (
            "Text",
            "A line a host: [user@]host[:port] [key=value ...], ranges allowed, # comments, \
             [group] headings. Host files of pssh, WCOLL files of pdsh and INI inventories of \
             Ansible load as they are.",
        ),
        (
            "CSV, TSV",
            "A header row, then a row a host. Known columns: name, address, user, port, groups, \
             identity, jump, transport, provider, id, host_key.",
        ),
        (
            "JSON",
            "hoist's own records, or what a dynamic inventory of Ansible prints.",
        ),
        (
            "An executable file",
            "is run with --list and prints one of these.",
        ),
    ],
};

pub(super) const FORMATS: Glossary = Glossary {
    heading: "OUTPUT FORMATS",
    intro: "Results go to stdout, everything else to stderr.",
    entries: &[
        (
            "table",
            "A row a host, in inventory order; the default on a terminal.",
        ),
        (
            "stream",
            "Lines as they come, after the host's name; the default in a pipe.",
        ),
        ("group", "Hosts with the same result under one heading."),
        (
            "json, jsonl, csv, tsv",
            "One record a host; jsonl as each host ends.",
        ),
        ("raw", "Bytes as they come, one host at a time."),
        ("none", "Nothing."),
    ],
};
