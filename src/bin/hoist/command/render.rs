//! `hoist render`: what a template comes to for each host. Nobody is contacted.

use std::collections::HashMap;
use std::io::{self, BufWriter, Write};

use hoist::host::HostName;
use hoist::hostset::HostSet;
use hoist::template::Template;
use serde_json::json;

use super::{selecting, templating};
use crate::args::{Render, RenderFormat};
use crate::report::Failure;

/// Prints the text of every selected host.
pub(crate) fn run(render: &Render) -> Result<(), Failure> {
    let chosen = selecting::select(&render.selecting)?;
    let text = templating::read_text(&render.file, "the template")?;
    let name = render.file.display().to_string();
    let template = Template::parse(&name, &text).map_err(Failure::usage)?;
    let scene = templating::scene(&render.templating, chosen.inventory.as_ref())?;
    let texts = chosen.hosts.into_iter().map(|selected| {
        let text = template.render(&scene, &selected.host);
        text.map(|text| (selected.host.name, text))
            .map_err(Failure::usage)
    });
    // Nothing is printed unless all of it can be.
    let texts = texts.collect::<Result<Vec<_>, Failure>>()?;
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

type Texts = [(HostName, String)];

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
    let objects = texts
        .iter()
        .map(|(host, text)| json!({"host": host.as_str(), "text": text}));
    serde_json::to_writer_pretty(&mut *out, &objects.collect::<Vec<_>>())?;
    writeln!(out)
}

fn lines(texts: &Texts, out: &mut impl Write) -> io::Result<()> {
    for (host, text) in texts {
        serde_json::to_writer(&mut *out, &json!({"host": host.as_str(), "text": text}))?;
        writeln!(out)?;
    }
    Ok(())
}
