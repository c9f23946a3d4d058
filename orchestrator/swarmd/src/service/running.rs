//! Which program the agent on this host runs: the one that is installed, or one before it whose file is gone.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use model::Supervision;
use sha2::{Digest as _, Sha256};

use super::error::ServiceError;
use super::supervision;
use crate::layout;

/// How much of a program is read at a time.
const PIECE: usize = 64 * 1024;

/// The SHA-256 of the program that the agent runs, in lower-case hexadecimal digits; `None` while there is no agent.
pub(crate) fn sha256(supervision: Supervision) -> Result<Option<String>, ServiceError> {
    let Some(program) = program(supervision)? else { return Ok(None) };
    match digest(&program) {
        Ok(digest) => Ok(Some(digest)),
        // It has ended since.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ServiceError::file("read", &program, source)),
    }
}

/// Whether the agent runs the program that is installed; not so while there is no agent.
pub(crate) fn is_installed(supervision: Supervision) -> Result<bool, ServiceError> {
    let Some(program) = program(supervision)? else { return Ok(false) };
    same_content(&program, Path::new(layout::BINARY)).map_err(|source| ServiceError::file("read", &program, source))
}

/// Whether two files hold the same; one that is missing holds nothing that another does.
pub(crate) fn same_content(one: &Path, other: &Path) -> io::Result<bool> {
    let (Some(one), Some(other)) = (open(one)?, open(other)?) else { return Ok(false) };
    let (first, second) = (one.metadata()?, other.metadata()?);
    if (first.dev(), first.ino()) == (second.dev(), second.ino()) {
        return Ok(true);
    }
    Ok(first.len() == second.len() && hash(one)? == hash(other)?)
}

/// The agent's program, whatever lies by now where it was started from.
fn program(supervision: Supervision) -> Result<Option<PathBuf>, ServiceError> {
    Ok(supervision::agent(supervision)?.map(|pid| PathBuf::from(format!("/proc/{pid}/exe"))))
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

fn digest(path: &Path) -> io::Result<String> {
    use std::fmt::Write as _;

    Ok(hash(File::open(path)?)?.iter().fold(String::with_capacity(64), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a String takes all that is written to it");
        text
    }))
}

fn hash(mut file: File) -> io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hasher.finalize().into()),
            length => hasher.update(&piece[..length]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_are_compared_by_what_they_hold() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        for (name, content) in [("a", "same"), ("b", "same"), ("c", "else"), ("d", "longer")] {
            fs::write(place(name), content).unwrap();
        }
        std::os::unix::fs::symlink("a", place("link")).unwrap();
        let check = |one: &str, other: &str, expected: bool| {
            assert_eq!(same_content(&place(one), &place(other)).unwrap(), expected, "{one} {other}");
        };

        check("a", "a", true);
        check("a", "link", true);
        check("a", "b", true);
        check("a", "c", false);
        check("a", "d", false);
        check("a", "missing", false);
        check("missing", "missing", false);
    }

    #[test]
    fn a_digest_is_the_one_that_sha256sum_prints() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        fs::write(&path, "abc").unwrap();

        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest(&path).unwrap(), expected);
    }
}
