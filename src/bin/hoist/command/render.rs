//! `hoist render`: what a template comes to for each host. Nobody is contacted, unless it is to be
//! compared with what hosts have.

use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use hoist::host::HostName;
use hoist::selection::Selected;
use hoist::template::{Scene, Template};
use serde_json::json;

use super::comparing::{Comparison, grouped};
use super::templating::Texts;
use super::{selecting, templating};
use crate::args::{Render, RenderFormat, is_about_contact};
use crate::exit_code;
use crate::report::Failure;
use crate::settings::{Environment, Origins};

/// Prints the text of every selected host, or how it differs from what the host has, and returns the exit
/// code.
pub(crate) fn run(
    render: &Render,
    origins: &Origins,
    environment: &Environment,
) -> Result<u8, Failure> {
    if render.diff.is_none() {
        refuse_contact(origins)?;
    }
    templating::check_stdin(&[
        ("the inventory", selecting::reads_stdin(&render.selecting)),
        ("the template", selecting::is_stdin(&render.file)),
        ("--results", templating::reads_stdin(&render.templating)),
    ])?;
    let chosen = selecting::select(&render.selecting, origins, environment)?;
    let text = templating::read_text(&render.file, "the template")?;
    let name = render.file.display().to_string();
    let template = Template::parse(&name, &text).map_err(Failure::usage)?;
    let scene = templating::scene(&render.templating, chosen.inventory.as_ref())?;
    // Nothing is printed unless all of it can be.
    let texts = texts(&template, &scene, &chosen.hosts)?;
    if let Some(path) = &render.diff {
        let comparison = Comparison {
            render,
            origins,
            environment,
        };
        return comparison.run(path, chosen, &texts);
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let printed = match render.output {
        RenderFormat::Group => groups(&texts, &mut out),
        RenderFormat::Json => array(&texts, &mut out),
        RenderFormat::Jsonl => lines(&texts, &mut out),
    };
    printed
        .and_then(|()| out.flush())
        .map(|()| exit_code::OK)
        .map_err(|error| Failure::writing(&error))
}

/// Refuses flags that mean something only where hosts are contacted.
fn refuse_contact(origins: &Origins) -> Result<(), Failure> {
    let mut typed = origins.typed().iter();
    match typed.find(|flag| is_about_contact(&flag.id)) {
        Some(flag) => {
            let name = flag.id.replace('_', "-");
            Err(Failure::usage(format!("--{name} needs --diff"))
                .hint("nobody is contacted without it"))
        }
        None => Ok(()),
    }
}

/// The hosts and their texts; equal ones are kept once.
type Rendered = [(HostName, Arc<str>)];

fn texts(
    template: &Template,
    scene: &Scene,
    hosts: &[Selected],
) -> Result<Vec<(HostName, Arc<str>)>, Failure> {
    let mut texts = Texts::new(template, scene);
    let hosts = hosts.iter().map(|selected| &selected.host);
    hosts
        .map(|host| Ok((host.name.clone(), texts.of(host)?)))
        .collect()
}

/// Prints equal texts once, under the hosts that have them; a text that all have stands alone.
fn groups(texts: &Rendered, out: &mut impl Write) -> io::Result<()> {
    let groups = grouped(texts.iter().map(|(name, text)| (name, &**text)));
    for (text, hosts) in &groups {
        if groups.len() > 1 {
            writeln!(out, "# {}", hosts.fold())?;
        }
        out.write_all(text.as_bytes())?;
        if groups.len() > 1 && !text.ends_with('\n') {
            writeln!(out)?;
        }
    }
    Ok(())
}

fn array(texts: &Rendered, out: &mut impl Write) -> io::Result<()> {
    write!(out, "[")?;
    for (index, (host, text)) in texts.iter().enumerate() {
        write!(out, "{}", if index > 0 { ",\n  " } else { "\n  " })?;
        serde_json::to_writer(&mut *out, &json!({"host": host.as_str(), "text": &**text}))?;
    }
    writeln!(out, "\n]")
}

fn lines(texts: &Rendered, out: &mut impl Write) -> io::Result<()> {
    for (host, text) in texts {
        serde_json::to_writer(&mut *out, &json!({"host": host.as_str(), "text": &**text}))?;
        writeln!(out)?;
    }
    Ok(())
}
