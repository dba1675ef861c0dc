//! Every input that the fuzz targets have found worth keeping, checked once more.
//!
//! This is a test of hoist itself, not of the package beside it: it needs no fuzzer and builds nothing
//! twice. A folder of `corpus/` belongs to the check of that name.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

mod checks;

/// Checks every file of one corpus, and tells all that fail.
#[track_caller]
fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let entries = fs::read_dir(&folder).expect("each target has a corpus");
    let files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("it is listed").path())
        .collect();
    assert!(files.len() > 10, "{} files are no corpus", files.len());
    let fails = |file: &&PathBuf| {
        let bytes = fs::read(file).expect("it can be read");
        catch_unwind(AssertUnwindSafe(|| check(&bytes))).is_err()
    };
    let failed: Vec<&PathBuf> = files.iter().filter(fails).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn pattern() {
    replay("pattern", checks::pattern::check);
}

#[test]
fn text_inventory() {
    replay("text_inventory", checks::text_inventory::check);
}

#[test]
fn csv_inventory() {
    replay("csv_inventory", checks::csv_inventory::check);
}

#[test]
fn known_hosts() {
    replay("known_hosts", checks::known_hosts::check);
}

#[test]
fn quote() {
    replay("quote", checks::quote::check);
}

#[test]
fn stream() {
    replay("stream", checks::stream::check);
}

#[test]
fn marker() {
    replay("marker", checks::marker::check);
}
