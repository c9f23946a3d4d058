//! A log file of bounded size: when it is full it becomes `.1`, the one before that `.2`, and the oldest goes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// A log file that never grows beyond its bound.
#[derive(Debug)]
pub(crate) struct RotatingFile {
    path: PathBuf,
    file: File,
    length: u64,
    limit: u64,
    /// How many full files are kept beside the current one.
    kept: u32,
}

impl RotatingFile {
    /// Opens a log file, going on where it ended.
    pub(crate) fn open(path: &Path, limit: u64, kept: u32) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = append(path)?;
        let length = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), file, length, limit, kept })
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        name.into()
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (1..self.kept).rev() {
            match fs::rename(self.numbered(number), self.numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, self.numbered(1))?;
        self.file = append(&self.path)?;
        self.length = 0;
        Ok(())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

impl Write for RotatingFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let added = line.len() as u64;
        // A file that cannot be rotated (a full disk) is still better written than lost.
        if self.length > 0 && self.length + added > self.limit && self.rotate().is_err() {
            self.length = 0;
        }
        self.file.write_all(line)?;
        self.length += added;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_is_put_aside_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("swarmd.log");
        let mut log = RotatingFile::open(&path, 8, 2).unwrap();

        for line in ["one---\n", "two---\n", "three-\n", "four--\n"] {
            log.write_all(line.as_bytes()).unwrap();
        }

        assert_eq!(fs::read_to_string(&path).unwrap(), "four--\n");
        assert_eq!(fs::read_to_string(folder.path().join("swarmd.log.1")).unwrap(), "three-\n");
        assert_eq!(fs::read_to_string(folder.path().join("swarmd.log.2")).unwrap(), "two---\n");
        assert!(!folder.path().join("swarmd.log.3").exists());
    }

    #[test]
    fn a_log_goes_on_where_the_last_process_ended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("swarmd.log");

        RotatingFile::open(&path, 100, 2).unwrap().write_all(b"before\n").unwrap();
        RotatingFile::open(&path, 100, 2).unwrap().write_all(b"after\n").unwrap();

        assert_eq!(fs::read_to_string(&path).unwrap(), "before\nafter\n");
    }

    #[test]
    fn a_line_longer_than_the_bound_is_written_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("swarmd.log");
        let mut log = RotatingFile::open(&path, 4, 2).unwrap();

        log.write_all(b"a long line\n").unwrap();

        assert_eq!(fs::read_to_string(&path).unwrap(), "a long line\n");
    }
}
