//! What the commands read.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use hoist::remote::Stdin;

use crate::command::selecting::is_stdin;
use crate::report::Failure;

/// What is kept in memory; more goes to an unlinked file in `folder`.
const MEMORY_BYTES: u64 = 1024 * 1024;

/// Opens `file` for all hosts. What can't be read by position, such as a pipe, is read to its end
/// first.
pub(super) fn open(file: Option<&Path>, folder: &Path) -> Result<Stdin, Failure> {
    let Some(file) = file else {
        return Ok(Stdin::Empty);
    };
    let (name, content) = if is_stdin(file) {
        ("stdin".to_owned(), keep(io::stdin().lock(), folder))
    } else {
        (file.display().to_string(), from_file(file, folder))
    };
    content.map_err(|error| Failure::usage(format!("cannot read {name} for --stdin: {error}")))
}

fn from_file(path: &Path, folder: &Path) -> io::Result<Stdin> {
    let file = File::open(path)?;
    let kind = file.metadata()?;
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if kind.is_file() {
        return Ok(Stdin::File(Arc::new(file)));
    }
    keep(file, folder)
}

fn keep(mut source: impl Read, folder: &Path) -> io::Result<Stdin> {
    let mut start = Vec::new();
    source.by_ref().take(MEMORY_BYTES).read_to_end(&mut start)?;
    if (start.len() as u64) < MEMORY_BYTES {
        return Ok(Stdin::Bytes(start.into()));
    }
    let mut file = tempfile::tempfile_in(folder)?;
    io::copy(&mut start.as_slice().chain(source), &mut file)?;
    Ok(Stdin::File(Arc::new(file)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;

    fn content(stdin: Stdin) -> Vec<u8> {
        match stdin {
            Stdin::File(file) => {
                let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
                file.read_exact_at(&mut bytes, 0).unwrap();
                bytes
            }
            Stdin::Bytes(bytes) => bytes.to_vec(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn small_and_large_input_is_kept_whole() {
        let folder = tempfile::tempdir().unwrap();
        for length in [0, 1, 1024 * 1024 - 1, 1024 * 1024, 3 * 1024 * 1024 + 7] {
            let input: Vec<u8> = (0..length).map(|i: usize| i.to_le_bytes()[0]).collect();
            let kept = keep(&input[..], folder.path()).unwrap();
            assert!(content(kept) == input, "{length}");
        }
        // What was kept on disk left nothing behind.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_is_read_where_it_is_and_a_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("input");
        std::fs::write(&file, "abc").unwrap();
        assert_eq!(content(open(Some(&file), folder.path()).unwrap()), b"abc");
        let failure = open(Some(folder.path()), folder.path()).unwrap_err();
        assert_eq!(failure.code, crate::exit_code::USAGE);
        assert!(open(Some(&folder.path().join("none")), folder.path()).is_err());
    }
}
