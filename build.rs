//! The gate for libssh2: refuses to build hoist on a libssh2 that can be attacked from the network.
//!
//! libssh2 1.11.1 and older, and so libssh2-sys before 0.3.4, can be made to corrupt memory by
//! whoever answers the connection, before anything is authenticated, and no advisories database
//! lists it. The one that is built must be the copy within libssh2-sys, and its header must say
//! 1.11.2 or newer. `HOIST_LIBSSH2_MINIMUM` hands the same number to the check at start.

#![expect(
    clippy::disallowed_methods,
    reason = "cargo talks to build scripts through the environment"
)]

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

/// The first version without the known holes; libssh2-sys 0.3.4 calls its snapshot `1.11.2_DEV`.
const MINIMUM: [u32; 3] = [1, 11, 2];

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=LIBSSH2_SYS_USE_PKG_CONFIG");
    match check() {
        Ok(()) => {
            let [major, minor, patch] = MINIMUM;
            println!("cargo::rustc-env=HOIST_LIBSSH2_MINIMUM={major}.{minor}.{patch}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            println!("cargo::error={message}");
            ExitCode::FAILURE
        }
    }
}

fn check() -> Result<(), String> {
    if env::var_os("LIBSSH2_SYS_USE_PKG_CONFIG").is_some() {
        return Err(
            "LIBSSH2_SYS_USE_PKG_CONFIG is set: hoist is not built on the system's libssh2, \
             as versions before 1.11.2 can be attacked before authentication; unset it and build again"
                .to_owned(),
        );
    }
    // libssh2-sys tells its root only when it compiled the copy it carries.
    let header = folder_told_by_libssh2_sys("DEP_SSH2_ROOT")
        .and_then(|_| folder_told_by_libssh2_sys("DEP_SSH2_INCLUDE"))
        .map(|folder| folder.join("libssh2.h"))
        .ok_or("libssh2-sys did not compile the libssh2 it carries; hoist accepts no other")?;
    println!("cargo::rerun-if-changed={}", header.display());
    let text = fs::read_to_string(&header)
        .map_err(|error| format!("cannot read {}: {error}", header.display()))?;
    let version =
        version(&text).ok_or_else(|| format!("{} does not tell its version", header.display()))?;
    if version < MINIMUM {
        let [major, minor, patch] = version;
        return Err(format!(
            "libssh2 {major}.{minor}.{patch} can be attacked before authentication; \
             hoist needs 1.11.2, which libssh2-sys 0.3.4 and newer carry: `cargo update -p libssh2-sys`"
        ));
    }
    Ok(())
}

fn folder_told_by_libssh2_sys(variable: &str) -> Option<PathBuf> {
    env::var_os(variable)
        .filter(|value| *value != OsString::new())
        .map(PathBuf::from)
}

fn version(header: &str) -> Option<[u32; 3]> {
    let number = |name: &str| {
        header.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some("#define") && words.next() == Some(name))
                .then(|| words.next()?.parse().ok())
                .flatten()
        })
    };
    Some([
        number("LIBSSH2_VERSION_MAJOR")?,
        number("LIBSSH2_VERSION_MINOR")?,
        number("LIBSSH2_VERSION_PATCH")?,
    ])
}
