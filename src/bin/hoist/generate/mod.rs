//! Manual pages and completion scripts, made from the argument types.

use std::fmt::Write as _;
use std::io::{self, Write};

use clap::builder::PossibleValue;
use clap::{Arg, ArgAction, Command};
use clap_complete::aot;
use clap_mangen::Man;

use crate::args::{self, Shell, examples};
use examples::Examples;

/// The day this version's interface was settled; shown at the foot of the pages.
const DATE: &str = "2026-11-23";

mod prose;

use prose::{
    COMMAND_ENVIRONMENT, CREDENTIALS, EXIT_STATUS, FORMATS, Glossary, INVENTORIES, ON_THE_HOST,
    PATTERNS, RECORDS, SETTINGS,
};

/// Longest line of prose in the source of a page, in bytes.
const WIDTH: usize = 78;

/// Writes the completion script for `shell`.
///
/// # Errors
/// When `out` can't be written.
pub(crate) fn completions(shell: Shell, out: &mut dyn Write) -> io::Result<()> {
    let shell = match shell {
        Shell::Bash => aot::Shell::Bash,
        Shell::Zsh => aot::Shell::Zsh,
        Shell::Fish => aot::Shell::Fish,
    };
    let mut script = Vec::new();
    aot::generate(shell, &mut args::command(), "hoist", &mut script);
    out.write_all(&script)
}

/// Returns the names of the subcommands that have a page.
pub(crate) fn page_names() -> Vec<String> {
    let command = args::command();
    let names = command.get_subcommands().map(Command::get_name);
    names.map(str::to_owned).collect()
}

/// Returns the manual page of hoist, or of a subcommand; `None` when there is no such one.
pub(crate) fn man_page(subcommand: Option<&str>) -> Option<Vec<u8>> {
    let mut command = args::command().mut_subcommands(|subcommand| subcommand.mut_args(in_prose));
    // Gives subcommands their full names and the flags that all of them take.
    command.build();
    let (page, examples) = match subcommand {
        None => (command.clone(), &examples::HOIST),
        Some(name) => (command.find_subcommand(name)?.clone(), examples_of(name)),
    };
    let title = page.get_display_name().unwrap_or("hoist").to_owned();
    let man = Man::new(page.clone())
        .title(title.to_uppercase())
        .date(DATE)
        .source(format!("hoist {}", env!("CARGO_PKG_VERSION")))
        .manual("User Commands");
    let mut text = Vec::new();
    render(&man, &page, &mut text).expect("memory can be written");
    let mut text = String::from_utf8(text).expect("roff is ASCII and UTF-8 help");
    text.push_str(&example_section(examples));
    for glossary in glossaries(subcommand) {
        text.push_str(&section(glossary));
    }
    text.push_str(&see_also(subcommand));
    Some(tidy(&text).into_bytes())
}

fn render(man: &Man, page: &Command, text: &mut Vec<u8>) -> io::Result<()> {
    man.render_title(text)?;
    man.render_name_section(text)?;
    man.render_synopsis_section(text)?;
    man.render_description_section(text)?;
    man.render_options_section(text)?;
    if page.has_subcommands() {
        man.render_subcommands_section(text)?;
    }
    Ok(())
}

/// Names a flag's values in its text; the library would give each a line.
fn in_prose(arg: Arg) -> Arg {
    let values = arg.get_possible_values();
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    if is_switch || values.is_empty() || arg.is_hide_possible_values_set() {
        return arg;
    }
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let names: Vec<&str> = values.iter().map(PossibleValue::get_name).collect();
    arg.help(format!("{help}: {}", names.join(", ")))
        .hide_possible_values(true)
}

fn examples_of(subcommand: &str) -> &'static Examples {
    match subcommand {
        "run" => &examples::RUN,
        "script" => &examples::SCRIPT,
        "put" => &examples::PUT,
        "get" => &examples::GET,
        "hosts" => &examples::HOSTS,
        "explain" => &examples::EXPLAIN,
        "ping" => &examples::PING,
        "render" => &examples::RENDER,
        "up" => &examples::UP,
        "down" => &examples::DOWN,
        "cloud" => &examples::CLOUD,
        "completions" => &examples::COMPLETIONS,
        _ => &examples::MAN,
    }
}

fn glossaries(subcommand: Option<&str>) -> &'static [&'static Glossary] {
    match subcommand {
        None => &[&SETTINGS, &EXIT_STATUS],
        Some("put" | "get") => &[&PATTERNS, &INVENTORIES, &FORMATS, &EXIT_STATUS],
        Some("script") => &[
            &ON_THE_HOST,
            &PATTERNS,
            &INVENTORIES,
            &FORMATS,
            &COMMAND_ENVIRONMENT,
            &EXIT_STATUS,
        ],
        Some("run") => &[
            &PATTERNS,
            &INVENTORIES,
            &FORMATS,
            &COMMAND_ENVIRONMENT,
            &EXIT_STATUS,
        ],
        Some("up" | "down") => &[&CREDENTIALS, &RECORDS, &EXIT_STATUS],
        Some("cloud") => &[&CREDENTIALS, &RECORDS],
        Some("hosts") => &[&PATTERNS, &INVENTORIES],
        Some(_) => &[],
    }
}

fn example_section(examples: &Examples) -> String {
    let mut text = ".SH EXAMPLES\n".to_owned();
    for (line, purpose) in examples.0 {
        let _ = writeln!(text, ".TP\n{}\n{}", bold(line), lines_of(purpose));
    }
    text
}

fn section(glossary: &Glossary) -> String {
    let mut text = format!(
        ".SH \"{}\"\n{}\n",
        glossary.heading,
        lines_of(glossary.intro)
    );
    for (word, meaning) in glossary.entries {
        let _ = writeln!(text, ".TP\n{}\n{}", bold(word), lines_of(meaning));
    }
    text
}

fn see_also(subcommand: Option<&str>) -> String {
    let all = page_names();
    let mut names = vec!["hoist".to_owned()];
    names.extend(all.iter().map(|name| format!("hoist-{name}")));
    let own = subcommand.map_or("hoist".to_owned(), |name| format!("hoist-{name}"));
    names.retain(|name| *name != own);
    names.push("ssh".to_owned());
    let listed: Vec<String> = names
        .iter()
        .map(|name| format!("\\fB{}\\fR(1)", escape(name)))
        .collect();
    format!(".SH \"SEE ALSO\"\n{}\n", listed.join(",\n"))
}

fn bold(text: &str) -> String {
    format!("\\fB{}\\fR", escape(text))
}

/// Returns lines that roff takes for text, whatever they start with.
fn lines_of(text: &str) -> String {
    wrapped(&escape(text)).join("\n")
}

/// Breaks escaped text into lines that none of roff's requests can start.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ if word.starts_with('.') => lines.push(format!("\\&{word}")),
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('\'', "\\(aq")
}

/// Removes what mandoc complains about in the library's pages: blanks, breaks after breaks, long
/// lines.
fn tidy(page: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in page.lines().map(str::trim_end) {
        let last = lines.last().map(String::as_str);
        let is_repeated_break = line == ".br" && last == Some(".br");
        // The line after `.TP` is one tag.
        let is_prose = !line.starts_with('.') && last != Some(".TP");
        if is_prose {
            lines.extend(wrapped(line));
        } else if !is_repeated_break {
            lines.push(line.to_owned());
        }
    }
    lines.join("\n") + "\n"
}
