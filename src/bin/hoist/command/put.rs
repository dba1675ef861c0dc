//! `hoist put`: files and folders on every selected host.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use hoist::host::{Host, escaped};
use hoist::plan::{Load, Put as Wanted, Transfer};
use hoist::template::{Scene, Template};
use hoist::tree::{Body, Node, NodeKind, Tree};

use super::placeholders::is_same_for_all;
use super::run::{Job, Orders, rights};
use super::selecting::{self, Chosen};
use super::{placeholders, templating};
use crate::args::Put;
use crate::report::{Failure, note};
use crate::settings::{Environment, Origins};

/// Puts the files there and returns the exit code.
pub(crate) fn run(put: &Put, origins: &Origins, environment: &Environment) -> Result<u8, Failure> {
    work(put, false, origins, environment)
}

/// Does the same where more is to be done after it.
pub(super) fn run_as_part(
    put: &Put,
    origins: &Origins,
    environment: &Environment,
) -> Result<u8, Failure> {
    work(put, true, origins, environment)
}

fn work(
    put: &Put,
    is_part: bool,
    origins: &Origins,
    environment: &Environment,
) -> Result<u8, Failure> {
    let job = Job {
        selecting: &put.selecting,
        rights: &put.rights,
        pacing: &put.pacing,
        connecting: &put.connecting,
        showing: &put.showing,
        grace: put.moving.grace,
        is_sure: put.putting.yes || put.putting.dry_run,
        is_part,
        origins,
        environment,
        terminal: crate::ui::Terminal::detect(),
    };
    job.check(&[("--results", templating::reads_stdin(&put.templating))])?;
    let mut wanted = wanted(put);
    wanted.elevation = rights::elevation(&put.rights, origins)?;
    let chosen = selecting::select(&put.selecting, origins, environment)?;
    wanted.loads = loads(put, origins, &chosen)?;
    let orders = Orders {
        exec: None,
        commands: Vec::new(),
        transfer: Some(Transfer::Put(wanted)),
    };
    let prepared = job.plan(orders, chosen)?;
    job.work(prepared, Some(("put", &put.words())))
}

/// Returns what is asked for, but for the files.
fn wanted(put: &Put) -> Wanted {
    let (putting, applying) = (&put.putting, &put.applying);
    let words = |words: &crate::args::Words| words.0.iter().map(OsString::from).collect();
    Wanted {
        mode: putting.mode,
        owner: putting.owner.clone(),
        keeps_times: putting.preserve,
        is_forced: putting.force,
        deletes: putting.delete,
        is_dry: putting.dry_run,
        backs_up: applying.backup,
        check: applying.check.as_ref().map(words),
        then: applying.then.as_ref().map(words),
        timeout: put.moving.timeout.0,
        ..Wanted::default()
    }
}

/// Looks at the files, and renders those that are templates, for every host.
fn loads(put: &Put, origins: &Origins, chosen: &Chosen) -> Result<Vec<Load>, Failure> {
    let mut shelf = Shelf::default();
    let scene = if put.putting.template {
        let inventory = chosen.inventory.as_ref();
        Some(templating::scene(&put.templating, inventory)?)
    } else {
        templating::refuse(origins)?;
        None
    };
    let mut paths = put.sources.iter().chain([&put.dest]);
    let is_same = scene.is_none() && paths.all(|path| is_same_for_all(path.as_os_str()));
    let mut hosts = chosen.hosts.iter();
    if is_same {
        hosts = chosen.hosts[..chosen.hosts.len().min(1)].iter();
    }
    let loads = hosts.map(|selected| {
        let host = &selected.host;
        let trees = put.sources.iter().map(|source| {
            let path = placeholders::fill(source.as_os_str(), host)?;
            shelf.tree(Path::new(&path), scene.as_ref(), host)
        });
        let trees = trees.collect::<Result<Vec<_>, Failure>>()?;
        check_names(&trees)?;
        let dest = placeholders::fill(put.dest.as_os_str(), host)?;
        check_dest(Path::new(&dest), put.putting.delete)?;
        Ok(Load {
            trees,
            dest: dest.into(),
        })
    });
    let loads = loads.collect::<Result<Vec<_>, Failure>>()?;
    if put.putting.delete
        && !loads
            .iter()
            .flat_map(|load| &load.trees)
            .any(|tree| tree.is_folder())
    {
        return Err(Failure::usage("--delete needs a folder among the sources"));
    }
    Ok(loads)
}

/// Refuses what can't be meant.
fn check_dest(dest: &Path, deletes: bool) -> Result<(), Failure> {
    if dest.as_os_str().is_empty() {
        return Err(Failure::usage("the destination is empty"));
    }
    let within_home = dest.strip_prefix("~").unwrap_or(dest);
    let mut names = within_home.components();
    if deletes && !names.any(|part| matches!(part, Component::Normal(_))) {
        let dest = escaped(&dest.to_string_lossy());
        return Err(
            Failure::usage(format!("--delete is not done in all of `{dest}`"))
                .hint("name the folder whose extra files are to go"),
        );
    }
    Ok(())
}

/// Refuses two things that would take each other's place.
fn check_names(trees: &[Arc<Tree>]) -> Result<(), Failure> {
    let mut seen: HashSet<&OsStr> = HashSet::new();
    for tree in trees {
        let names: Vec<&OsStr> = match &tree.name {
            Some(name) => vec![name],
            // What is in it comes to lie beside the others.
            None => tree.nodes.iter().filter_map(|node| first(node)).collect(),
        };
        for name in names {
            if !seen.insert(name) {
                let name = escaped(&name.to_string_lossy());
                return Err(Failure::usage(format!("two sources are called `{name}`"))
                    .hint("put them there one after the other, or give them names of their own"));
            }
        }
    }
    Ok(())
}

/// Returns the name of something that is right in the top folder.
fn first(node: &Node) -> Option<&OsStr> {
    let is_direct = node.path.components().count() == 1;
    is_direct.then_some(node.path.as_os_str())
}

/// Trees that were read, and templates with what came of them; each once.
#[derive(Default)]
struct Shelf {
    trees: HashMap<PathBuf, Arc<Tree>>,
    templates: HashMap<PathBuf, Template>,
    /// By the folder or file and what its files came to.
    rendered: HashMap<(PathBuf, Vec<Arc<str>>), Arc<Tree>>,
}

impl Shelf {
    fn tree(
        &mut self,
        path: &Path,
        scene: Option<&Scene>,
        host: &Host,
    ) -> Result<Arc<Tree>, Failure> {
        let tree = self.read(path)?;
        match scene {
            Some(scene) => self.render(path, &tree, scene, host),
            None => Ok(tree),
        }
    }

    fn read(&mut self, path: &Path) -> Result<Arc<Tree>, Failure> {
        if let Some(tree) = self.trees.get(path) {
            return Ok(Arc::clone(tree));
        }
        let tree =
            Tree::read(path).map_err(|error| Failure::usage(format!("cannot read {error}")))?;
        for left in &tree.left_out {
            let left = escaped(&left.to_string_lossy());
            note(&format!(
                "hoist: {left} is neither file, folder nor link; it is left out"
            ));
        }
        let tree = Arc::new(tree);
        self.trees.insert(path.to_owned(), Arc::clone(&tree));
        Ok(tree)
    }

    /// Returns the tree with each file as it is for `host`; the same tree where hosts get the same.
    fn render(
        &mut self,
        path: &Path,
        tree: &Tree,
        scene: &Scene,
        host: &Host,
    ) -> Result<Arc<Tree>, Failure> {
        let mut texts = Vec::new();
        for node in &tree.nodes {
            if let NodeKind::File(body) = &node.kind {
                let text = self.template(body)?.render(scene, host);
                texts.push(Arc::from(text.map_err(Failure::usage)?));
            }
        }
        let key = (path.to_owned(), texts);
        if let Some(known) = self.rendered.get(&key) {
            return Ok(Arc::clone(known));
        }
        let mut texts = key.1.iter();
        let nodes = tree.nodes.iter().map(|node| match &node.kind {
            NodeKind::File(_) => {
                let text: Arc<str> = texts.next().map(Arc::clone).unwrap_or_default();
                Arc::new(node.with_content(text.into()))
            }
            _ => Arc::clone(node),
        });
        let rendered = Arc::new(Tree {
            name: tree.name.clone(),
            nodes: nodes.collect(),
            left_out: Vec::new(),
        });
        self.rendered.insert(key, Arc::clone(&rendered));
        Ok(rendered)
    }

    fn template(&mut self, body: &Body) -> Result<&Template, Failure> {
        let path = body.path().unwrap_or(Path::new(""));
        if !self.templates.contains_key(path) {
            let text = templating::read_text(path, "the template")?;
            let name = path.display().to_string();
            let template = Template::parse(&name, &text).map_err(Failure::usage)?;
            self.templates.insert(path.to_owned(), template);
        }
        Ok(&self.templates[path])
    }
}
