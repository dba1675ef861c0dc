//! Executable inventories: a program that is run with `--list` and prints JSON.
//!
//! No shell is involved and the program gets no standard input. What it may print and how long it
//! may take are bounded; when it is cut off it is killed. It shares the terminal's foreground, so
//! that it may ask there and an interrupt reaches it too.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_process::{Child, Command};
use futures_lite::future::{block_on, or, try_zip};
use futures_lite::{AsyncRead, AsyncReadExt};

use super::error::{InventoryError, shown};

/// What a program may take and print.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) timeout: Duration,
    /// Most bytes on its standard output.
    pub(super) output: usize,
}

/// Most bytes kept of its standard error.
const KEPT_ERRORS: usize = 64 * 1024;

/// What a program printed before it ended with status 0.
pub(super) struct Printed {
    pub(super) output: Vec<u8>,
    /// How the first line on its standard error begins, escaped for display.
    pub(super) complaint: Option<String>,
}

/// Runs the program at `path` with `--list`, blocking until it ended; `name` is for errors.
///
/// # Errors
/// When it can't be started, fails, or goes beyond `bounds`.
pub(super) fn list(
    path: &Path,
    name: &Arc<str>,
    bounds: Bounds,
) -> Result<Printed, InventoryError> {
    let failed = |problem| InventoryError::Program {
        name: Arc::clone(name),
        problem,
    };
    let child = Command::new(found_here(path))
        .arg("--list")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(format!("can't be run ({error})")))?;
    let timeout = async {
        async_io::Timer::after(bounds.timeout).await;
        Err(format!("not done after {} s", bounds.timeout.as_secs_f32()))
    };
    let (status, output, errors) =
        block_on(or(finish(child, bounds.output), timeout)).map_err(failed)?;
    let complaint = first_line(&errors);
    if status.success() {
        return Ok(Printed { output, complaint });
    }
    let ended = match status.code() {
        Some(code) => format!("ended with exit status {code}"),
        None => format!("ended by {status}"),
    };
    let said = complaint.map_or_else(String::new, |line| format!(", saying `{line}`"));
    Err(failed(ended + &said))
}

/// A name without a folder would be looked up in `PATH`.
fn found_here(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new(".").join(path),
        _ => path.to_owned(),
    }
}

/// Reads both pipes to their ends while the program runs, then waits for it.
///
/// Dropping this kills the program.
async fn finish(mut child: Child, limit: usize) -> Result<(ExitStatus, Vec<u8>, Vec<u8>), String> {
    let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
        return Err("has no pipes".to_owned());
    };
    let output = async {
        let output = read(stdout, limit + 1).await?;
        if output.len() > limit {
            return Err(format!("printed more than {limit} bytes"));
        }
        Ok(output)
    };
    let errors = async {
        let mut stderr = stderr;
        let errors = read(&mut stderr, KEPT_ERRORS).await?;
        let rest = futures_lite::io::copy(stderr, futures_lite::io::sink()).await;
        rest.map(|_| errors).map_err(|error| unreadable(&error))
    };
    let (output, errors) = try_zip(output, errors).await?;
    let status = child.status().await.map_err(|error| unreadable(&error))?;
    Ok((status, output, errors))
}

async fn read(pipe: impl AsyncRead + Unpin, limit: usize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    let read = pipe.take(limit).read_to_end(&mut bytes).await;
    read.map(|_| bytes).map_err(|error| unreadable(&error))
}

fn unreadable(error: &io::Error) -> String {
    format!("can't be read ({error})")
}

fn first_line(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().find(|line| !line.trim().is_empty())?;
    Some(shown(line.trim()))
}
