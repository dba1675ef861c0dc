//! Whole transfers by scripts, one after the other.

use super::*;
use crate::plan::{Load, Put};
use crate::transfer::put;

/// Puts what is in a folder where the host has `site`; backups are kept and the rest is removed.
fn lines(host: &mut Host, from: &Path) -> Vec<String> {
    let mut path = from.as_os_str().to_owned();
    path.push("/");
    let load = Load {
        trees: vec![Arc::new(Tree::read(Path::new(&path)).unwrap())],
        dest: host.join("site"),
    };
    let plan = Put {
        loads: vec![load],
        deletes: true,
        backs_up: true,
        ..Put::default()
    };
    let (report, result) = block_on(put(&plan, 0, host));
    assert_eq!(result, Ok(()));
    report.lines
}

#[test]
fn backups_are_not_removed_with_what_is_not_here() {
    let mut host = Host::usual();
    for folder in ["site", "site/gone", "site/empty"] {
        fs::create_dir(host.join(folder)).unwrap();
    }
    host.write("site/a", "old");
    host.write("site/gone/b", "b");
    let from = tempfile::tempdir().unwrap();
    fs::write(from.path().join("a"), "new").unwrap();
    let told = lines(&mut host, from.path());
    // A folder that a backup stays in is not told as removed.
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[2].ends_with("empty/"), "{told:?}");
    let names = (host.names("site"), host.names("site/gone"));
    assert_eq!((names.0.len(), names.1.len()), (3, 1), "{names:?}");
    assert_eq!(lines(&mut host, from.path()), ["unchanged"]);
    assert_eq!((host.names("site"), host.names("site/gone")), names);
}
