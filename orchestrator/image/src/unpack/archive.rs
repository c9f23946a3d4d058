//! Reads tar archives as a stream, with everything bounded that is held in memory.
//!
//! The `tar` crate reads the headers' fields; walking the archive is ours, because its walk holds a name of any length.

use std::io::{self, Read};
use std::ops::Range;

use tar::Header;

use super::extension::Extension;

/// Headers and contents come in blocks of this many bytes.
const BLOCK: u64 = 512;
/// The longest extended header: names and attributes of one entry. Go's reader has the same bound.
const EXTENSION_LIMIT: u64 = 1 << 20;
/// The latest moment that file systems keep, 2446-05-10.
pub(super) const LATEST: i64 = 15_032_385_535;

/// Where numbers stand in a header.
const MODE: Range<usize> = 100..108;
const UID: Range<usize> = 108..116;
const GID: Range<usize> = 116..124;
const SIZE: Range<usize> = 124..136;
const MAJOR: Range<usize> = 329..337;
const MINOR: Range<usize> = 337..345;

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Its bytes cannot be had.
    #[error("the archive cannot be read to its end")]
    Read(#[source] io::Error),
    /// It is no archive, or is damaged.
    #[error("the archive is damaged: {0}")]
    Damaged(&'static str),
    /// It has what no layer needs.
    #[error("the archive has an entry of a kind that is not supported: {0}")]
    Unsupported(String),
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    Symlink,
    Hardlink,
    CharDevice,
    BlockDevice,
    Fifo,
}

/// One entry, without its contents. Nothing in it has been judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: Vec<u8>,
    pub(crate) kind: Kind,
    /// What a link leads to.
    pub(crate) link: Vec<u8>,
    /// Bytes of contents; 0 for what has none.
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds and nanoseconds since 1970.
    pub(crate) mtime: (i64, u32),
    /// Major and minor number.
    pub(crate) device: (u32, u32),
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// An archive that is read entry by entry.
#[derive(Debug)]
pub(crate) struct Archive<R> {
    reader: R,
    /// What is left of the entry's contents.
    remaining: u64,
    /// What fills its last block.
    padding: u64,
}

impl<R: Read> Archive<R> {
    /// Begins at the archive's first byte.
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, remaining: 0, padding: 0 }
    }

    /// What is read from.
    pub(crate) fn inner(&self) -> &R {
        &self.reader
    }

    /// What was read from.
    pub(crate) fn into_inner(self) -> R {
        self.reader
    }

    /// The contents of the entry that came last, as far as they are not read yet. They end early only where the archive
    /// does, which is an error.
    pub(crate) fn contents(&mut self) -> Contents<'_, R> {
        Contents(self)
    }

    /// The next entry; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, ArchiveError> {
        let mut extension = Extension::default();
        loop {
            self.skip(self.remaining + self.padding)?;
            (self.remaining, self.padding) = (0, 0);
            let Some(block) = self.block()? else { return Ok(None) };
            let header = Header::from_byte_slice(&block);
            check_sum(header)?;
            let size = number(header, SIZE, header.entry_size())?;
            match header.entry_type().as_byte() {
                b'L' => extension.path = Some(trimmed(self.extension(size)?)),
                b'K' => extension.link = Some(trimmed(self.extension(size)?)),
                b'x' => extension.read(&self.extension(size)?)?,
                // What it says holds for the whole archive: the commit that git made it from, say.
                b'g' => drop(self.extension(size)?),
                _ => return self.entry(header, size, extension).map(Some),
            }
        }
    }

    fn entry(&mut self, header: &Header, size: u64, extension: Extension) -> Result<Entry, ArchiveError> {
        let path = extension.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let kind = match header.entry_type().as_byte() {
            b'0' | b'7' | 0 if path.ends_with(b"/") => Kind::Folder,
            b'0' | b'7' | 0 => Kind::File,
            b'1' => Kind::Hardlink,
            b'2' => Kind::Symlink,
            b'3' => Kind::CharDevice,
            b'4' => Kind::BlockDevice,
            b'5' => Kind::Folder,
            b'6' => Kind::Fifo,
            b'S' => return Err(ArchiveError::Unsupported("sparse file".to_owned())),
            other => return Err(ArchiveError::Unsupported(format!("type {other}"))),
        };
        let owner = |value: u64| u32::try_from(value).map_err(|_| ArchiveError::Damaged("an owner is too large"));
        let uid = extension.uid.map_or_else(|| number(header, UID, header.uid()), Ok)?;
        let gid = extension.gid.map_or_else(|| number(header, GID, header.gid()), Ok)?;
        let device = |place, value: io::Result<Option<u32>>| match kind {
            Kind::CharDevice | Kind::BlockDevice => {
                let value = number(header, place, value.map(|value| value.unwrap_or(0).into()))?;
                u32::try_from(value).map_err(|_| ArchiveError::Damaged("a device is too large"))
            }
            Kind::File | Kind::Folder | Kind::Symlink | Kind::Hardlink | Kind::Fifo => Ok(0),
        };
        let device = (device(MAJOR, header.device_major())?, device(MINOR, header.device_minor())?);
        let size = if kind == Kind::File { extension.size.unwrap_or(size) } else { 0 };
        let mtime = match extension.mtime {
            Some(mtime) => mtime,
            None => (i64::try_from(header.mtime().unwrap_or(0)).unwrap_or(0).clamp(0, LATEST), 0),
        };
        self.expect(size)?;
        Ok(Entry {
            path,
            kind,
            link: extension.link.unwrap_or_else(|| header.link_name_bytes().unwrap_or_default().into_owned()),
            size,
            mode: u32::try_from(number(header, MODE, header.mode().map(u64::from))? & 0o7777).unwrap_or(0),
            uid: owner(uid)?,
            gid: owner(gid)?,
            mtime,
            device,
            xattrs: extension.xattrs,
        })
    }

    /// Contents of `size` bytes follow.
    fn expect(&mut self, size: u64) -> Result<(), ArchiveError> {
        // So that no sum of sizes overflows.
        if size > 1 << 62 {
            return Err(ArchiveError::Damaged("a size is too large"));
        }
        self.remaining = size;
        self.padding = size.next_multiple_of(BLOCK) - size;
        Ok(())
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, ArchiveError> {
        if size > EXTENSION_LIMIT {
            return Err(ArchiveError::Damaged("an extended header is too long"));
        }
        self.expect(size)?;
        let mut bytes = Vec::new();
        self.contents().read_to_end(&mut bytes).map_err(ArchiveError::Read)?;
        Ok(bytes)
    }

    /// The next header; `None` at the end of the archive, or where there is nothing more.
    fn block(&mut self) -> Result<Option<[u8; 512]>, ArchiveError> {
        let mut block = [0; 512];
        let mut filled = 0;
        while filled < block.len() {
            match self.reader.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(ArchiveError::Read(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ArchiveError::Read(error)),
            }
        }
        Ok(block.iter().any(|byte| *byte != 0).then_some(block))
    }

    fn skip(&mut self, bytes: u64) -> Result<(), ArchiveError> {
        let skipped = io::copy(&mut self.reader.by_ref().take(bytes), &mut io::sink()).map_err(ArchiveError::Read)?;
        if skipped < bytes {
            return Err(ArchiveError::Read(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(())
    }
}

/// The contents of one entry.
#[derive(Debug)]
pub(crate) struct Contents<'a, R>(&'a mut Archive<R>);

impl<R: Read> Read for Contents<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.0.remaining).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.0.reader.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.0.remaining -= count as u64;
        Ok(count)
    }
}

fn trimmed(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
}

/// A number of a header. One that is left out is 0, as Go's reader has it.
fn number(header: &Header, place: Range<usize>, value: io::Result<u64>) -> Result<u64, ArchiveError> {
    let is_blank = header.as_bytes()[place].iter().all(|byte| matches!(byte, 0 | b' '));
    if is_blank { Ok(0) } else { value.map_err(|_| ArchiveError::Damaged("a header has something else for a number")) }
}

/// The header's own sum of its bytes, in which the sum's own field counts as spaces.
fn check_sum(header: &Header) -> Result<(), ArchiveError> {
    let bytes = header.as_bytes();
    let sum: u32 =
        bytes.iter().enumerate().map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) }).sum();
    match header.cksum() {
        Ok(said) if said == sum => Ok(()),
        _ => Err(ArchiveError::Damaged("a header's sum is wrong")),
    }
}

#[cfg(test)]
mod tests {
    use tar::EntryType;

    use super::*;

    fn next(bytes: &[u8]) -> Result<Option<Entry>, ArchiveError> {
        Archive::new(bytes).next()
    }

    fn header(kind: EntryType, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        header
    }

    #[test]
    fn extended_headers_say_more_than_fits_into_a_header() {
        let path = "long/".repeat(60) + "name";
        let mut builder = tar::Builder::new(Vec::new());
        let records =
            [("path", path.as_bytes()), ("mtime", b"12.5"), ("uid", b"70000"), ("SCHILY.xattr.user.a", b"b\n=c")];
        builder.append_pax_extensions(records).unwrap();
        builder.append(&header(EntryType::Regular, 3), &b"abc"[..]).unwrap();
        let bytes = builder.into_inner().unwrap();

        let mut archive = Archive::new(&bytes[..]);
        let entry = archive.next().unwrap().unwrap();
        let mut contents = String::new();
        archive.contents().read_to_string(&mut contents).unwrap();

        assert_eq!(entry.path, path.as_bytes());
        assert_eq!((entry.mtime, entry.uid), ((12, 500_000_000), 70_000));
        assert_eq!(entry.xattrs, [(b"user.a".to_vec(), b"b\n=c".to_vec())]);
        assert_eq!(contents, "abc");
        assert_eq!(archive.next().unwrap(), None);
    }

    #[test]
    fn a_name_without_end_is_refused_before_it_is_held() {
        let header = header(EntryType::GNULongName, 1 << 40);
        let endless = io::Read::chain(&header.as_bytes()[..], io::repeat(b'a'));

        assert!(matches!(Archive::new(endless).next(), Err(ArchiveError::Damaged(_))));
    }

    #[test]
    fn damaged_archives_are_refused() {
        let mut wrong_sum = *header(EntryType::Regular, 0).as_bytes();
        wrong_sum[0] = 1;
        let mut huge = header(EntryType::Regular, 0);
        huge.set_size(u64::MAX);
        huge.set_cksum();

        assert!(matches!(next(&wrong_sum), Err(ArchiveError::Damaged(_))));
        assert!(matches!(next(huge.as_bytes()), Err(ArchiveError::Damaged(_))));
        assert!(matches!(next(&[7; 100]), Err(ArchiveError::Read(_))));
        assert!(matches!(next(header(EntryType::GNUSparse, 0).as_bytes()), Err(ArchiveError::Unsupported(_))));
    }

    #[test]
    fn numbers_that_are_left_out_are_zero() {
        let mut blank = Header::new_ustar();
        blank.set_path("a").unwrap();
        blank.set_entry_type(EntryType::Char);
        blank.set_cksum();

        let entry = next(blank.as_bytes()).unwrap().unwrap();

        assert_eq!((entry.uid, entry.gid, entry.mode, entry.size, entry.device), (0, 0, 0, 0, (0, 0)));
    }

    #[test]
    fn contents_that_end_early_are_an_error() {
        let mut bytes = header(EntryType::Regular, 600).as_bytes().to_vec();
        bytes.extend([0; 300]);
        let mut archive = Archive::new(&bytes[..]);
        archive.next().unwrap();

        assert!(archive.contents().read_to_end(&mut Vec::new()).is_err());
    }
}
