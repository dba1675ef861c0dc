//! `hoist render`: what a template comes to for each host. Nobody is contacted.

use std::collections::{HashMap, HashSet};
use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use hoist::host::HostName;
use hoist::hostset::HostSet;
use hoist::selection::Selected;
use hoist::template::{Scene, Template};
use serde_json::json;

use super::{selecting, templating};
use crate::args::{Render, RenderFormat};
use crate::report::Failure;

/// Prints the text of every selected host.
pub(crate) fn run(render: &Render) -> Result<(), Failure> {
    templating::check_stdin(&[
        ("the inventory", selecting::reads_stdin(&render.selecting)),
        ("the template", selecting::is_stdin(&render.file)),
        ("--results", templating::reads_stdin(&render.templating)),
    ])?;
    let chosen = selecting::select(&render.selecting)?;
    let text = templating::read_text(&render.file, "the template")?;
    let name = render.file.display().to_string();
    let template = Template::parse(&name, &text).map_err(Failure::usage)?;
    let scene = templating::scene(&render.templating, chosen.inventory.as_ref())?;
    // Nothing is printed unless all of it can be.
    let texts = texts(&template, &scene, chosen.hosts)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let printed = match render.output {
        RenderFormat::Group => groups(&texts, &mut out),
        RenderFormat::Json => array(&texts, &mut out),
        RenderFormat::Jsonl => lines(&texts, &mut out),
    };
    printed
        .and_then(|()| out.flush())
        .map_err(|error| Failure::writing(&error))
}

/// The hosts and their texts; equal ones are kept once.
type Texts = [(HostName, Arc<str>)];

fn texts(
    template: &Template,
    scene: &Scene,
    hosts: Vec<Selected>,
) -> Result<Vec<(HostName, Arc<str>)>, Failure> {
    let is_same_for_all = template.is_same_for_all();
    let mut known: HashSet<Arc<str>> = HashSet::new();
    let mut texts = Vec::with_capacity(hosts.len());
    for Selected { host, .. } in hosts {
        let text = match known.iter().next() {
            Some(text) if is_same_for_all => Arc::clone(text),
            _ => {
                let text = template.render(scene, &host).map_err(Failure::usage)?;
                let text = known.get(&*text).cloned().unwrap_or_else(|| text.into());
                known.insert(Arc::clone(&text));
                text
            }
        };
        texts.push((host.name, text));
    }
    Ok(texts)
}

/// Prints equal texts once, under the hosts that have them; a text that all have stands alone.
fn groups(texts: &Texts, out: &mut impl Write) -> io::Result<()> {
    let mut order: Vec<&str> = Vec::new();
    let mut hosts: HashMap<&str, HostSet> = HashMap::new();
    for (name, text) in texts {
        let set = hosts.entry(text).or_insert_with(|| {
            order.push(text);
            HostSet::default()
        });
        set.insert(name.clone());
    }
    for text in &order {
        if order.len() > 1 {
            writeln!(out, "# {}", hosts[text].fold())?;
        }
        out.write_all(text.as_bytes())?;
        if order.len() > 1 && !text.ends_with('\n') {
            writeln!(out)?;
        }
    }
    Ok(())
}

fn array(texts: &Texts, out: &mut impl Write) -> io::Result<()> {
    write!(out, "[")?;
    for (index, (host, text)) in texts.iter().enumerate() {
        write!(out, "{}", if index > 0 { ",\n  " } else { "\n  " })?;
        serde_json::to_writer(&mut *out, &json!({"host": host.as_str(), "text": &**text}))?;
    }
    writeln!(out, "\n]")
}

fn lines(texts: &Texts, out: &mut impl Write) -> io::Result<()> {
    for (host, text) in texts {
        serde_json::to_writer(&mut *out, &json!({"host": host.as_str(), "text": &**text}))?;
        writeln!(out)?;
    }
    Ok(())
}
