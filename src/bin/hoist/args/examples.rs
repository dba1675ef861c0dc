//! The examples that help and the manual pages show.

use std::fmt::Write;

/// Command lines with what each does.
pub(crate) struct Examples(pub &'static [(&'static str, &'static str)]);

impl Examples {
    /// Returns them as they stand below a subcommand's help.
    pub(crate) fn for_help(&self) -> String {
        let mut text = "Examples:".to_owned();
        for (line, purpose) in self.0 {
            let _ = write!(text, "\n  {line}\n      {purpose}");
        }
        text
    }
}

pub(crate) const HOIST: Examples = Examples(&[
    (
        "hoist run -i fleet.csv -- uptime",
        "One command on every host of an inventory",
    ),
    (
        "hoist hosts -i fleet.csv -w @web",
        "Which hosts that group holds",
    ),
    ("hoist man run", "The manual page of a subcommand"),
]);

pub(crate) const UP: Examples = Examples(&[
    (
        "hoist up web --count 3 -i fleet.csv",
        "Three servers of the sandbox: processes of this machine; no account is needed",
    ),
    (
        "hoist up app --provider vultr --region ewr --size vc2-1c-1gb --image 'Debian 12' -i fleet.csv",
        "A server at Vultr; again, it makes what is missing and nothing more",
    ),
    (
        "hoist up app -i fleet.csv -- apt-get -y install nginx",
        "What `[fleet.app]` in the configuration file asks for, then a command on all of them",
    ),
    (
        "hoist up job --count 5 --rm --yes -o csv -- sh -c 'nproc; uptime'",
        "Make, execute, collect, destroy, whatever happens",
    ),
]);

pub(crate) const DOWN: Examples = Examples(&[
    (
        "hoist down app -i fleet.csv",
        "A whole fleet, after its name was typed; its rows go, too",
    ),
    ("hoist down app-2 -i fleet.csv --yes", "One server"),
]);

pub(crate) const CLOUD: Examples = Examples(&[
    ("hoist cloud check vultr", "Are the credentials accepted?"),
    (
        "hoist cloud sizes linode --region us-east",
        "What there is, with prices",
    ),
    ("hoist cloud list", "All servers of your fleets"),
]);

pub(crate) const CLOUD_LIST: Examples = Examples(&[
    ("hoist cloud list app", "The servers of a fleet"),
    (
        "hoist cloud list --all",
        "Everything of hoist that costs money, at every provider with credentials",
    ),
]);

pub(crate) const CLOUD_ADOPT: Examples = Examples(&[(
    "hoist cloud adopt app --provider ovh app-3",
    "A server that another machine's hoist made",
)]);

pub(crate) const RUN: Examples = Examples(&[
    (
        "hoist run -i fleet.csv -w @web -- systemctl is-active nginx",
        "Several words are a program and its arguments, exactly as typed",
    ),
    (
        "hoist run -w 'web[01-20],db1' -l root 'apt-get -y upgrade'",
        "A lone word is split like a shell would; no inventory is needed",
    ),
    (
        "hoist run -i fleet.csv --shell 'df -h / | tail -1'",
        "The account's shell gets the line, with its pipe",
    ),
    (
        "hoist run -i fleet.csv --template -- hostnamectl hostname '{{ host.name }}'",
        "Each host gets its own words",
    ),
    (
        "hoist run -i fleet.csv --sudo --ask-sudo-pass -- systemctl restart nginx",
        "As root; the password is asked for once, for all hosts",
    ),
    (
        "hoist run -i fleet.csv -o jsonl --timeout 30s -- cat /etc/os-release",
        "One JSON record a host, for other programs",
    ),
    (
        "hoist run -i fleet.csv --failed-to bad.txt -- ./upgrade; hoist run -i bad.txt -- ./upgrade",
        "Again, where it failed",
    ),
]);

pub(crate) const SCRIPT: Examples = Examples(&[
    (
        "hoist script -i fleet.csv -w @web check.sh --verbose 80",
        "What its first line names reads it; the words after it are its arguments",
    ),
    (
        "hoist script -i fleet.csv --sudo --timeout 5m upgrade.py",
        "As root, and not for long; nothing is left on the hosts",
    ),
    (
        "hoist script -i fleet.csv --interpreter 'python3 -u' facts.py",
        "Something else reads it",
    ),
    (
        "hoist script -i fleet.csv --template --var release=1.4 deploy.sh",
        "Each host gets its own text",
    ),
    ("generate | hoist script -w 'web[1-3]' -", "From a pipe"),
]);

pub(crate) const HOSTS: Examples = Examples(&[
    (
        "hoist hosts -i fleet.csv -w '@web!web03' --where dc=ams*",
        "The hosts of a group but one, in some data centres",
    ),
    (
        "hoist hosts -i fleet.csv -o csv",
        "The inventory as hoist understands it",
    ),
    (
        "hoist hosts --expand 'web[01-20/2]'",
        "The names a pattern stands for",
    ),
    ("hoist hosts --fold < names.txt", "A pattern for many names"),
]);

pub(crate) const RENDER: Examples = Examples(&[
    (
        "hoist render -i fleet.csv -w @proxy app.conf",
        "Each proxy's own configuration, with the whole inventory in view",
    ),
    (
        "hoist render -i fleet.csv -w web1 --var domain=example.org --vars ports.toml site.conf",
        "With variables beside those of the inventory",
    ),
    (
        "hoist render -i fleet.csv -w @proxy --diff /etc/nginx/conf.d/app.conf app.conf",
        "How what the proxies have differs from that",
    ),
    (
        "echo '{{ host.name }} {{ host.address }}' | hoist render -i fleet.csv -o jsonl -",
        "A line for each host, for other programs",
    ),
]);

pub(crate) const EXPLAIN: Examples = Examples(&[
    (
        "hoist explain -i fleet.csv db03",
        "Address, user, keys, jump hosts: and which file and line says so",
    ),
    (
        "hoist explain -o json 'web[01-03]'",
        "The same for other programs",
    ),
]);

pub(crate) const PING: Examples = Examples(&[
    (
        "hoist ping -i fleet.csv",
        "Which hosts can be logged in to, how fast, and with what",
    ),
    (
        "hoist ping --tcp -w 'web[01-20]' -p 443",
        "Which ports answer; nobody logs in",
    ),
]);

pub(crate) const COMPLETIONS: Examples = Examples(&[
    (
        "hoist completions bash > ~/.local/share/bash-completion/completions/hoist",
        "For bash",
    ),
    ("hoist completions zsh > \"${fpath[1]}/_hoist\"", "For zsh"),
    (
        "hoist completions fish > ~/.config/fish/completions/hoist.fish",
        "For fish",
    ),
]);

pub(crate) const MAN: Examples = Examples(&[
    (
        "hoist man run | man -l -",
        "Read the manual page of hoist run",
    ),
    (
        "hoist man > /usr/local/share/man/man1/hoist.1",
        "Install the page of hoist itself",
    ),
]);

pub(crate) const PUT: Examples = Examples(&[
    (
        "hoist put -i fleet.csv -w @web app.tar.gz /srv/",
        "A file into a folder of every host of a group",
    ),
    (
        "hoist put -i fleet.csv --delete site/ /var/www/site/",
        "What is in a folder, and nothing else there; a second run moves no data",
    ),
    (
        "hoist put -i fleet.csv -w @proxy --sudo --template app.conf /etc/nginx/conf.d/app.conf --check 'nginx -t' --then 'systemctl reload nginx'",
        "Each host's own configuration, put back where its check fails",
    ),
    (
        "hoist put -i fleet.csv 'keys/{host}.pem' /etc/ssl/host.pem --sudo --mode 600 --owner root:ssl",
        "Each host its own file",
    ),
    (
        "hoist put -i fleet.csv -n conf/ /etc/app/",
        "What would be changed",
    ),
]);

pub(crate) const GET: Examples = Examples(&[
    (
        "hoist get -i fleet.csv -w @web /etc/nginx conf/",
        "A folder of every host of a group, to conf/HOST/nginx",
    ),
    (
        "hoist get -i fleet.csv '/var/log/app/*.log' logs/",
        "What matches a glob; a second run fetches only what has changed",
    ),
    (
        "hoist get -i fleet.csv --sudo '/etc/ssl/{host}.pem' certs/",
        "Each host's own file, which only root may read",
    ),
]);
