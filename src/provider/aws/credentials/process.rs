//! Keys that a program prints: `credential_process`.
//!
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-process-credentials.html>

use std::io;
use std::process::Stdio;
use std::time::Duration;

use async_process::Command;
use futures_lite::AsyncReadExt as _;
use futures_lite::future::{block_on, or, try_zip};
use zeroize::Zeroizing;

use super::{Keys, bad, printed};
use crate::host::{cut, escaped};
use crate::provider::ProviderError;

/// Most bytes that it may print.
const MAX_OUTPUT: u64 = 64 * 1024;

/// Longest complaint that is shown, in characters.
const MAX_SHOWN: usize = 200;

/// Runs the program without a shell and reads the keys that it prints.
///
/// # Errors
/// When it can't be run, fails, takes longer than `timeout`, or prints something else.
pub(super) fn keys(command: &str, profile: &str, timeout: Duration) -> Result<Keys, ProviderError> {
    let failed = |why: String| bad(format!("credential_process of profile `{profile}` {why}"));
    let words = shlex::split(command).unwrap_or_default();
    let Some((program, arguments)) = words.split_first() else {
        return Err(failed("is no command".to_owned()));
    };
    let late = async {
        async_io::Timer::after(timeout).await;
        let seconds = timeout.as_secs_f32();
        Err(io::Error::other(format!(
            "it was not done after {seconds} s"
        )))
    };
    let ended = block_on(or(run(program, arguments), late));
    let (is_success, output, complaint) =
        ended.map_err(|error| failed(format!("can't be run: {error}")))?;
    if !is_success {
        let complaint = String::from_utf8_lossy(&complaint);
        let line = complaint.lines().find(|line| !line.trim().is_empty());
        let line = line.map_or_else(String::new, |line| {
            format!(", saying `{}`", cut(escaped(line.trim()), MAX_SHOWN))
        });
        return Err(failed(format!("failed{line}")));
    }
    printed(&output).map_err(|why| failed(format!("printed keys that can't be used: {why}")))
}

/// Returns whether it succeeded, what it printed, and how it complained.
///
/// Dropping this kills it.
async fn run(
    program: &str,
    arguments: &[String],
) -> io::Result<(bool, Zeroizing<Vec<u8>>, Vec<u8>)> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (Some(stdout), Some(mut stderr)) = (stdout, stderr) else {
        return Err(io::Error::other("it has no pipes"));
    };
    let output = async {
        let mut output = Zeroizing::new(Vec::new());
        stdout.take(MAX_OUTPUT).read_to_end(&mut output).await?;
        Ok(output)
    };
    let complaint = async {
        let mut complaint = Vec::new();
        let mut first = (&mut stderr).take(MAX_OUTPUT);
        first.read_to_end(&mut complaint).await?;
        futures_lite::io::copy(&mut stderr, futures_lite::io::sink()).await?;
        Ok::<_, io::Error>(complaint)
    };
    let (output, complaint) = try_zip(output, complaint).await?;
    let status = child.status().await?;
    Ok((status.success(), output, complaint))
}
