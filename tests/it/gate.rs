//! The gate that keeps an old libssh2 out of the build: `build.rs`, compiled and run alone.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::PATIENCE;
use crate::support::captured::Keep;
use crate::support::ended::Ended;
use crate::support::process::Running;
use crate::support::tree::Tree;

fn compiled(tree: &Tree) -> PathBuf {
    let program = tree.join("gate");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("build.rs");
    let mut rustc = Command::new("rustc");
    rustc
        .arg("--edition=2024")
        .arg("-o")
        .arg(&program)
        .arg(source);
    Running::start(&mut rustc, Keep::All, false)
        .wait(PATIENCE)
        .code(0);
    program
}

fn gate(program: &Path, variables: &[(&str, &Path)]) -> Ended {
    let mut command = Command::new(program);
    command.env_clear().envs(variables.iter().copied());
    Running::start(&mut command, Keep::All, false).wait(PATIENCE)
}

fn header(tree: &Tree, name: &str, [major, minor, patch]: [u32; 3]) -> PathBuf {
    let text = format!(
        "/* libssh2 */\n#define LIBSSH2_VERSION \"{major}.{minor}.{patch}_DEV\"\n\
         #define LIBSSH2_VERSION_MAJOR {major}\n#define LIBSSH2_VERSION_MINOR {minor}\n\
         #define LIBSSH2_VERSION_PATCH     {patch}\n"
    );
    tree.write(&format!("{name}/libssh2.h"), text);
    tree.join(name)
}

#[test]
fn only_the_carried_libssh2_without_the_known_holes_is_let_through() {
    let tree = Tree::new();
    let program = compiled(&tree);
    let root = tree.path().to_owned();
    let (old, new) = (
        header(&tree, "old", [1, 11, 1]),
        header(&tree, "new", [1, 11, 2]),
    );
    let newer = header(&tree, "newer", [1, 12, 0]);
    for include in [&new, &newer] {
        let ended = gate(
            &program,
            &[("DEP_SSH2_ROOT", &root), ("DEP_SSH2_INCLUDE", include)],
        );
        ended
            .code(0)
            .stdout_has("cargo::rustc-env=HOIST_LIBSSH2_MINIMUM=1.11.2");
    }
    let refused = gate(
        &program,
        &[("DEP_SSH2_ROOT", &root), ("DEP_SSH2_INCLUDE", &old)],
    );
    refused
        .code(1)
        .stdout_has("1.11.1")
        .stdout_has("libssh2-sys 0.3.4");
    let system = gate(&program, &[("DEP_SSH2_INCLUDE", &new)]);
    system
        .code(1)
        .stdout_has("did not compile the libssh2 it carries");
    let asked = ("LIBSSH2_SYS_USE_PKG_CONFIG", Path::new("1"));
    let variables = [asked, ("DEP_SSH2_ROOT", &root), ("DEP_SSH2_INCLUDE", &new)];
    gate(&program, &variables)
        .code(1)
        .stdout_has("LIBSSH2_SYS_USE_PKG_CONFIG");
}
