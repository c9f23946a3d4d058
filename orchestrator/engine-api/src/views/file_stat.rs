//! What lies at a path of a container, as Docker's header says it.

use image::FileStat;
use serde::Serialize;

use super::time;

/// Docker's `ContainerPathStat`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FileStatDocument {
    name: String,
    size: i64,
    mode: u32,
    mtime: String,
    #[serde(rename = "linkTarget")]
    link_target: String,
}

impl From<FileStat> for FileStatDocument {
    fn from(stat: FileStat) -> Self {
        Self {
            name: stat.name,
            size: stat.size,
            mode: go_mode(stat.mode),
            mtime: time(stat.modified),
            link_target: stat.link_target,
        }
    }
}

/// The kernel's mode in Go's bits (`io/fs.FileMode`).
fn go_mode(mode: u32) -> u32 {
    const DIRECTORY: u32 = 1 << 31;
    const SYMLINK: u32 = 1 << 27;
    const DEVICE: u32 = 1 << 26;
    const PIPE: u32 = 1 << 25;
    const SOCKET: u32 = 1 << 24;
    const SET_USER: u32 = 1 << 23;
    const SET_GROUP: u32 = 1 << 22;
    const CHARACTERS: u32 = 1 << 21;
    const STICKY: u32 = 1 << 20;
    let kind = match mode & 0o170_000 {
        0o040_000 => DIRECTORY,
        0o120_000 => SYMLINK,
        0o060_000 => DEVICE,
        0o020_000 => DEVICE | CHARACTERS,
        0o010_000 => PIPE,
        0o140_000 => SOCKET,
        _ => 0,
    };
    let special = [(0o4000, SET_USER), (0o2000, SET_GROUP), (0o1000, STICKY)];
    let special = special.into_iter().filter(|(bit, _)| mode & bit != 0).fold(0, |bits, (_, bit)| bits | bit);
    mode & 0o777 | kind | special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_written_in_gos_bits() {
        let check = |mode: u32, expected: u32| assert_eq!(go_mode(mode), expected, "{mode:o}");
        check(0o100_644, 0o644);
        check(0o040_755, 0x8000_01ed);
        check(0o041_777, 0x8010_01ff);
        check(0o120_777, 0x0800_01ff);
        check(0o104_755, 0x0080_01ed);
        check(0o020_666, 0x0420_01b6);
        check(0o060_660, 0x0400_01b0);
        check(0o010_600, 0x0200_0180);
        check(0o140_600, 0x0100_0180);
    }
}
