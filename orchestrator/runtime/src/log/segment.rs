//! The numbered files of a log, on the side that writes them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::LogSettings;

/// The end of a file's name.
const SUFFIX: &str = ".log";

/// The files that exist, lowest number first.
pub(super) fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers: Vec<u64> = fs::read_dir(folder)?
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(SUFFIX)?.parse().ok())
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The path of a file by its number.
pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number}{SUFFIX}"))
}

/// The file that is written, and its place among the others.
#[derive(Debug)]
pub(super) struct Writer {
    settings: LogSettings,
    number: u64,
    file: File,
    length: u64,
}

impl Writer {
    /// Goes on with the highest file, or begins the first.
    pub(super) fn open(settings: LogSettings) -> io::Result<Self> {
        fs::create_dir_all(&settings.folder)?;
        let number = numbers(&settings.folder)?.last().copied().unwrap_or(1);
        let file = append(&path(&settings.folder, number))?;
        let length = file.metadata()?.len();
        Ok(Self { settings, number, file, length })
    }

    /// Appends records that fit into one file together; all of them or none.
    pub(super) fn append(&mut self, records: &[u8]) -> io::Result<()> {
        let count = u64::try_from(records.len()).unwrap_or(u64::MAX);
        if self.length > 0 && self.length.saturating_add(count) > self.settings.max_size {
            self.begin_next()?;
        }
        if let Err(error) = self.file.write_all(records) {
            // A reader must not take half a record for a whole one.
            self.file.set_len(self.length)?;
            return Err(error);
        }
        self.length += count;
        Ok(())
    }

    fn begin_next(&mut self) -> io::Result<()> {
        let keeps = u64::from(self.settings.max_files.max(1));
        let next = self.number + 1;
        // First, because the disk may be full.
        for old in numbers(&self.settings.folder)?.into_iter().filter(|&old| old + keeps <= next) {
            fs::remove_file(path(&self.settings.folder, old))?;
        }
        self.file = append(&path(&self.settings.folder, next))?;
        self.number = next;
        self.length = self.file.metadata()?.len();
        Ok(())
    }

    /// How much fits into a file.
    pub(super) fn room(&self) -> u64 {
        self.settings.max_size.saturating_sub(self.length)
    }
}

fn append(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_bounded_in_size_and_number() {
        let folder = tempfile::tempdir().unwrap();
        let settings = LogSettings { folder: folder.path().to_owned(), max_size: 10, max_files: 2 };
        let mut writer = Writer::open(settings.clone()).unwrap();

        for record in [b"aaaa\n", b"bbbb\n", b"cccc\n", b"dddd\n", b"eeee\n"] {
            writer.append(record).unwrap();
        }
        drop(writer);
        Writer::open(settings).unwrap().append(b"ffff\n").unwrap();

        assert_eq!(numbers(folder.path()).unwrap(), [2, 3]);
        assert_eq!(fs::read_to_string(path(folder.path(), 2)).unwrap(), "cccc\ndddd\n");
        assert_eq!(fs::read_to_string(path(folder.path(), 3)).unwrap(), "eeee\nffff\n");
    }
}
