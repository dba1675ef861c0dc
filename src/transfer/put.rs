//! What is to be on a host, compared with what is there, and brought there where it differs.

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use async_lock::Semaphore;

use super::owner::Owner;
use super::{Change, Changes, Found, Report, Site, Trouble, Way, What, elsewhere, reach, shown};
use crate::host::escaped;
use crate::outcome::Kind;
use crate::plan::{Load, Put};
use crate::remote::{Command, Content, Exec};
use crate::transport::files::{FileKind, Wanted};
use crate::tree::{Hash, Node, NodeKind, Tree};

/// Permissions of folders that nobody described.
const FOLDER_MODE: u32 = 0o755;

/// Brings files to the plan's host number `host`; tells what was done, also where not all of it was.
pub async fn put(put: &Put, host: usize, site: &mut dyn Site) -> (Report, Result<(), Trouble>) {
    let mut report = Report::default();
    let Some(load) = put.load(host) else {
        let message = "nothing was prepared for this host; please report this";
        return (report, Err(Trouble::new(Kind::Internal, message)));
    };
    let result = work(put, load, site, &mut report).await;
    (report, result)
}

async fn work(
    put: &Put,
    load: &Load,
    site: &mut dyn Site,
    report: &mut Report,
) -> Result<(), Trouble> {
    let needs_scripts =
        put.owner.is_some() || put.backs_up || put.check.is_some() || put.then.is_some();
    let mut way = reach::way(around(put), needs_scripts, site, report).await?;
    let way = &mut *way;
    let owner = match &put.owner {
        Some(owner) => Some(Owner::find(site, around(put), owner).await?),
        None => None,
    };
    let place = Place::find(load, way, site).await?;
    if put.deletes {
        not_the_root(&place, way, site).await?;
    }
    let mut list = place.folders.clone();
    let goals = goals(put, load, &place);
    list.extend(differences(put, goals, owner, way, site).await?);
    if put.deletes {
        list.extend(extras(put, load, &place, way, site).await?);
    }
    report.has_changed = Some(!list.is_empty());
    if list.is_empty() {
        report.lines.push("unchanged".to_owned());
        return Ok(());
    }
    let lines = list.iter().map(|change| described(change, put.is_dry));
    let lines: Vec<String> = lines.collect();
    if put.is_dry {
        report.lines.extend(lines);
        return Ok(());
    }
    let gauge = site.gauge(list.iter().map(bytes_of).sum());
    let changes = Changes {
        list,
        owner: put.owner.as_deref(),
        backs_up: put.backs_up,
        check: put.check.as_deref(),
        then: put.then.as_deref(),
    };
    let applied = way.apply(site, &changes, gauge).await;
    match &applied {
        Ok(()) => report.lines.extend(lines),
        // All is as it was.
        Err(trouble) if trouble.kind == Kind::Check => report.has_changed = Some(false),
        Err(_) => report.has_changed = None,
    }
    applied
}

/// Returns what surrounds the commands of a transfer.
fn around(put: &Put) -> Exec {
    Exec {
        elevation: put.elevation.clone(),
        ..Exec::new(Command::Argv(Vec::new()))
    }
}

/// Where files go.
struct Place {
    /// The folder, or the one file's path.
    path: PathBuf,
    /// Whether it is a folder that things are put into.
    is_folder: bool,
    /// The folders that have to be made for that, outermost first.
    folders: Vec<Change>,
}

impl Place {
    async fn find(load: &Load, way: &mut dyn Way, site: &mut dyn Site) -> Result<Self, Trouble> {
        let dest = from_home(&load.dest);
        let ends_open = load.dest.as_os_str().as_bytes().ends_with(b"/");
        let must_be_folder =
            ends_open || load.trees.len() > 1 || load.trees.iter().any(|tree| tree.is_folder());
        let steps: Vec<PathBuf> = steps(&dest);
        let found = way.survey(site, &steps).await?;
        let there = found.last().cloned().flatten();
        let (path, there) = match there {
            // What is meant is behind the link; one that leads nowhere is replaced.
            Some(link) if link.kind == FileKind::Link => match way.real_path(site, &dest).await {
                Ok(real) => {
                    let there = way.survey(site, std::slice::from_ref(&real)).await?;
                    match there.into_iter().next().flatten() {
                        Some(there) => (real, Some(there)),
                        None => (dest, Some(link)),
                    }
                }
                Err(trouble) if trouble.kind == Kind::Transfer => (dest, Some(link)),
                Err(trouble) => return Err(trouble),
            },
            there => (dest, there),
        };
        let is_there = matches!(&there, Some(there) if there.kind == FileKind::Folder);
        if let (true, false, Some(there)) = (must_be_folder, is_there, &there) {
            return Err(in_the_way(&path, there));
        }
        let is_folder = must_be_folder || is_there;
        let missing = steps
            .iter()
            .zip(&found)
            .filter(|(_, found)| found.is_none());
        let missing: Vec<PathBuf> = missing.map(|(step, _)| step.clone()).collect();
        let folders = if !is_folder {
            no_folder(&path, &missing)?;
            Vec::new()
        } else if there.is_none() {
            missing.into_iter().map(made).collect()
        } else {
            Vec::new()
        };
        Ok(Self {
            path,
            is_folder,
            folders,
        })
    }

    /// Returns where a tree goes.
    fn base(&self, tree: &Tree) -> PathBuf {
        match &tree.name {
            Some(name) if self.is_folder => self.path.join(name),
            _ => self.path.clone(),
        }
    }
}

/// A file's folder has to be there: a slip of the pen must not make one.
fn no_folder(path: &Path, missing: &[PathBuf]) -> Result<(), Trouble> {
    let Some(folder) = missing.iter().find(|missing| **missing != path) else {
        return Ok(());
    };
    let parent = path.parent().unwrap_or(folder);
    let message = format!(
        "there is no folder {} on the host; end the destination with a `/` to have it made: `{}/`",
        shown(folder),
        escaped(&parent.to_string_lossy())
    );
    Err(Trouble::new(Kind::Transfer, message))
}

fn made(path: PathBuf) -> Change {
    Change {
        path,
        old: None,
        what: What::MakeFolder(Wanted {
            mode: Some(FOLDER_MODE),
            modified: None,
        }),
    }
}

/// Takes `~` and `~/x` for the login's home, where relative paths begin.
fn from_home(dest: &Path) -> PathBuf {
    let rest = dest.strip_prefix("~").unwrap_or(dest);
    // Without what says nothing: `a//b/.` is `a/b`.
    let plain: PathBuf = rest.components().collect();
    if plain.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        plain
    }
}

/// Returns the path of each folder on the way, and the path itself.
fn steps(path: &Path) -> Vec<PathBuf> {
    let mut steps = Vec::new();
    let mut step = PathBuf::new();
    for component in path.components() {
        step.push(component);
        if matches!(component, Component::Normal(_)) || path.components().count() == 1 {
            steps.push(step.clone());
        }
    }
    if steps.is_empty() {
        steps.push(path.to_owned());
    }
    steps
}

/// What is to be at a path.
struct Goal {
    path: PathBuf,
    node: Arc<Node>,
    /// Its permissions, unless it is a folder that is there.
    mode: u32,
}

fn goals(put: &Put, load: &Load, place: &Place) -> Vec<Goal> {
    let mut goals = Vec::new();
    for tree in &load.trees {
        let base = place.base(tree);
        for node in &tree.nodes {
            let is_top = node.path.as_os_str().is_empty();
            // What contents go into is there, or is made already.
            if is_top && tree.name.is_none() {
                continue;
            }
            goals.push(Goal {
                path: if is_top {
                    base.clone()
                } else {
                    base.join(&node.path)
                },
                node: Arc::clone(node),
                mode: mode(put, node),
            });
        }
    }
    goals
}

fn mode(put: &Put, node: &Node) -> u32 {
    match (put.mode, &node.kind) {
        (None, _) => node.mode,
        (Some(mode), NodeKind::Folder) => mode | ((mode & 0o444) >> 2),
        (Some(mode), _) => mode,
    }
}

/// Returns what has to be changed for the goals to be reached.
async fn differences(
    put: &Put,
    goals: Vec<Goal>,
    owner: Option<Owner>,
    way: &mut dyn Way,
    site: &mut dyn Site,
) -> Result<Vec<Change>, Trouble> {
    let paths: Vec<PathBuf> = goals.iter().map(|goal| goal.path.clone()).collect();
    let found = way.survey(site, &paths).await?;
    for (goal, found) in goals.iter().zip(&found) {
        possible(goal, found.as_ref())?;
    }
    let same = if put.is_forced {
        HashSet::new()
    } else {
        same(&goals, &found, way, site).await?
    };
    let mut changes = Vec::new();
    for (index, (goal, old)) in goals.into_iter().zip(found).enumerate() {
        let is_same = same.contains(&index);
        if let Some(what) = what(put, &goal, old.as_ref(), is_same, owner) {
            let path = goal.path;
            changes.push(Change { path, old, what });
        }
    }
    Ok(changes)
}

/// Refuses what would take something away that isn't a file or a link.
fn possible(goal: &Goal, found: Option<&Found>) -> Result<(), Trouble> {
    let Some(found) = found else { return Ok(()) };
    let is_possible = match &goal.node.kind {
        NodeKind::Folder => found.kind == FileKind::Folder,
        _ => matches!(found.kind, FileKind::File | FileKind::Link),
    };
    if is_possible {
        Ok(())
    } else {
        Err(in_the_way(&goal.path, found))
    }
}

fn in_the_way(path: &Path, found: &Found) -> Trouble {
    let what = match found.kind {
        FileKind::File => "a file",
        FileKind::Folder => "a folder",
        FileKind::Link => "a link",
        FileKind::Other => "neither file nor folder",
    };
    let message = format!("{} is {what} on the host; nothing was changed", shown(path));
    Trouble::new(Kind::Transfer, message)
}

/// Returns which goals are files whose content is there already.
async fn same(
    goals: &[Goal],
    found: &[Option<Found>],
    way: &mut dyn Way,
    site: &mut dyn Site,
) -> Result<HashSet<usize>, Trouble> {
    let mut same = HashSet::new();
    let mut asked = Vec::new();
    for (index, (goal, found)) in goals.iter().zip(found).enumerate() {
        match (&goal.node.kind, found) {
            (NodeKind::File(body), Some(found))
                if found.kind == FileKind::File && found.size == body.length() =>
            {
                if found.size == 0 {
                    same.insert(index);
                } else {
                    asked.push(index);
                }
            }
            _ => {}
        }
    }
    if asked.is_empty() {
        return Ok(same);
    }
    let paths: Vec<PathBuf> = asked
        .iter()
        .map(|index| goals[*index].path.clone())
        .collect();
    let theirs = way.hashes(site, &paths).await?;
    for (index, theirs) in asked.into_iter().zip(theirs) {
        let Some(theirs) = theirs else { continue };
        let own = hash_here(Arc::clone(&goals[index].node));
        if elsewhere::patiently(site, own).await? == theirs {
            same.insert(index);
        }
    }
    Ok(same)
}

/// Returns the hash of a file here. Whoever comes first reads all of it; others wait meanwhile.
async fn hash_here(node: Arc<Node>) -> Result<Hash, Trouble> {
    /// More at once would only wait for the disk.
    static TURNS: Semaphore = Semaphore::new(2);
    let _turn = TURNS.acquire().await;
    let hash = blocking::unblock(move || match &node.kind {
        NodeKind::File(body) => body.hash(),
        _ => Err(String::new()),
    });
    let hash = hash.await;
    hash.map_err(|error| Trouble::new(Kind::Transfer, error))
}

/// Returns what has to be done for a goal, if anything.
fn what(
    put: &Put,
    goal: &Goal,
    old: Option<&Found>,
    is_same: bool,
    owner: Option<Owner>,
) -> Option<What> {
    let node = &goal.node;
    let has_owner = |old: &Found| owner.is_none_or(|owner| owner.is(old.owner));
    let wanted = Wanted {
        mode: Some(goal.mode),
        modified: put.keeps_times.then_some(node.modified),
    };
    match (&node.kind, old) {
        (NodeKind::Folder, None) => Some(What::MakeFolder(Wanted {
            modified: None,
            ..wanted
        })),
        (NodeKind::Link(target), old) => {
            let is_there = old.is_some_and(|old| old.target.as_ref() == Some(target));
            (!is_there).then(|| What::MakeLink(target.clone()))
        }
        (NodeKind::File(_), Some(old)) if is_same => {
            let has_time = wanted
                .modified
                .is_none_or(|time| old.modified == Some(time));
            let has_mode = old.mode == goal.mode;
            if has_mode && has_time {
                return (!has_owner(old)).then_some(What::SetOwner);
            }
            Some(What::Set(wanted))
        }
        (NodeKind::File(_), _) => Some(What::Store(Arc::clone(node), wanted)),
        (NodeKind::Folder, Some(old)) => (!has_owner(old)).then_some(What::SetOwner),
    }
}

/// Refuses to remove what is extra in `/`, whatever the destination calls it.
async fn not_the_root(
    place: &Place,
    way: &mut dyn Way,
    site: &mut dyn Site,
) -> Result<(), Trouble> {
    if !place.folders.is_empty() || way.real_path(site, &place.path).await? != Path::new("/") {
        return Ok(());
    }
    let message = format!(
        "{} is `/` there, and --delete is not done in `/`; nothing was changed",
        shown(&place.path)
    );
    Err(Trouble::new(Kind::Transfer, message))
}

/// Returns the removal of what is in the folders there and not in those here, children first.
async fn extras(
    put: &Put,
    load: &Load,
    place: &Place,
    way: &mut dyn Way,
    site: &mut dyn Site,
) -> Result<Vec<Change>, Trouble> {
    let mut removals = Vec::new();
    // Folders that backups are in, or come into.
    let mut held = HashSet::new();
    if !place.folders.is_empty() {
        return Ok(removals);
    }
    let wanted: HashSet<PathBuf> = load
        .trees
        .iter()
        .flat_map(|tree| {
            let base = place.base(tree);
            tree.nodes.iter().map(move |node| base.join(&node.path))
        })
        .map(|path| path.components().collect())
        .collect();
    for tree in load.trees.iter().filter(|tree| tree.is_folder()) {
        let base = place.base(tree);
        let top = way.survey(site, std::slice::from_ref(&base)).await?;
        if !matches!(top.first(), Some(Some(top)) if top.kind == FileKind::Folder) {
            continue;
        }
        for (path, old) in way.below(site, &base).await? {
            let plain: PathBuf = path.components().collect();
            if wanted.contains(&plain) {
                continue;
            }
            let what = match old.kind {
                FileKind::Folder => What::RemoveFolder,
                _ => What::Remove,
            };
            if put.backs_up && old.kind != FileKind::Folder {
                held.extend(path.ancestors().skip(1).map(Path::to_owned));
                // What an earlier run kept would else be kept under one more name by each further one.
                if is_backup(&path) {
                    continue;
                }
            }
            let old = Some(old);
            removals.push(Change { path, old, what });
        }
    }
    removals.retain(|change| !held.contains(&change.path));
    // Files first, then folders from the innermost one out.
    let rank = |change: &Change| match change.what {
        What::RemoveFolder => (1, usize::MAX - change.path.components().count()),
        _ => (0, 0),
    };
    removals.sort_by(|one, other| (rank(one), &one.path).cmp(&(rank(other), &other.path)));
    Ok(removals)
}

/// Whether something is called as backups are: `NAME.20260102T030405Z~`.
fn is_backup(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    let Some((name, time)) = name.split_last_chunk::<18>() else {
        return false;
    };
    let is_so = |(index, byte): (usize, &u8)| match index {
        0 => *byte == b'.',
        9 => *byte == b'T',
        16 => *byte == b'Z',
        17 => *byte == b'~',
        _ => byte.is_ascii_digit(),
    };
    !name.is_empty() && time.iter().enumerate().all(is_so)
}

fn bytes_of(change: &Change) -> u64 {
    match &change.what {
        What::Store(node, _) => match &node.kind {
            NodeKind::File(body) => body.length(),
            _ => 0,
        },
        _ => 0,
    }
}

/// Says what was done, or would be.
fn described(change: &Change, is_dry: bool) -> String {
    let what = match (&change.what, &change.old) {
        (What::Store(..) | What::MakeFolder(_), None) => "new",
        (What::Store(..) | What::MakeFolder(_), Some(_)) => "changed",
        (What::MakeLink(_), None) => "new link",
        (What::MakeLink(_), Some(_)) => "changed link",
        (What::Set(_), _) => "changed mode or time of",
        (What::SetOwner, _) => "changed owner of",
        (What::Remove | What::RemoveFolder, _) => "removed",
    };
    let end = match change.what {
        What::MakeFolder(_) | What::RemoveFolder => "/",
        _ => "",
    };
    let path = escaped(&change.path.to_string_lossy());
    let would_be = if is_dry { "would be " } else { "" };
    format!("{would_be}{what} {path}{end}")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn a_path_is_walked_from_its_beginning() {
        let steps_of = |path: &str| {
            let steps = steps(&from_home(Path::new(path)));
            let steps = steps.iter().map(|step| step.display().to_string());
            steps.collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            steps_of("/etc/nginx/x.conf"),
            "/etc /etc/nginx /etc/nginx/x.conf"
        );
        assert_eq!(steps_of("a//b/./c/"), "a a/b a/b/c");
        assert_eq!(steps_of("~/a"), "a");
        assert_eq!(steps_of("~"), ".");
        assert_eq!(steps_of("."), ".");
        assert_eq!(steps_of("/"), "/");
        assert_eq!(steps_of("../x"), "../x");
    }

    #[test]
    fn folders_can_be_entered_by_whoever_may_read_them() {
        let put = Put {
            mode: Some(0o640),
            ..Put::default()
        };
        let node = |kind| Node {
            path: PathBuf::new(),
            mode: 0o700,
            modified: 0,
            kind,
        };
        assert_eq!(mode(&put, &node(NodeKind::Folder)), 0o750);
        assert_eq!(mode(&put, &node(NodeKind::Link("x".into()))), 0o640);
        assert_eq!(mode(&Put::default(), &node(NodeKind::Folder)), 0o700);
    }

    #[test]
    fn backups_are_known_by_their_names() {
        for name in ["a.20260102T030405Z~", "d/a.x.20260102T030405Z~"] {
            assert!(is_backup(Path::new(name)), "{name}");
        }
        for name in [
            ".20260102T030405Z~",
            "a.20260102T030405Z",
            "a.2026010xT030405Z~",
            "a-20260102T030405Z~",
            "a~",
            "",
        ] {
            assert!(!is_backup(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn names_are_shown_harmless() {
        assert_eq!(
            shown(Path::new(OsStr::from_bytes(b"a\n\x1b[2J\xff"))),
            "`a\\n\\u{1b}[2J\u{fffd}`"
        );
    }
}
