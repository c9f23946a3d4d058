//! Reads tar archives as a stream, with everything bounded that is held in memory.
//!
//! The `tar` crate reads the headers' fields; walking the archive is ours, because its walk holds a name of any length.

use std::io::{self, Read};

use tar::Header;

/// Headers and contents come in blocks of this many bytes.
const BLOCK: u64 = 512;
/// The longest extended header: names and attributes of one entry. Go's reader has the same bound.
const EXTENSION_LIMIT: u64 = 1 << 20;
/// The latest moment that file systems keep, 2446-05-10.
const LATEST: i64 = 15_032_385_535;

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

/// What extended headers say of the next entry.
#[derive(Debug, Default)]
struct Extension {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<(i64, u32)>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
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
            let size = header.entry_size().map_err(|_| ArchiveError::Damaged("a size is no number"))?;
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
        let number = |value: io::Result<u64>| value.map_err(|_| ArchiveError::Damaged("an owner is no number"));
        let owner = |value: u64| u32::try_from(value).map_err(|_| ArchiveError::Damaged("an owner is too large"));
        let is_device = matches!(kind, Kind::CharDevice | Kind::BlockDevice);
        let device = |value: io::Result<Option<u32>>| match value {
            // Empty fields are not even numbers, and only devices fill them.
            _ if !is_device => Ok(0),
            Ok(value) => Ok(value.unwrap_or(0)),
            Err(_) => Err(ArchiveError::Damaged("a device is no number")),
        };
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
            mode: header.mode().map_err(|_| ArchiveError::Damaged("a mode is no number"))? & 0o7777,
            uid: owner(extension.uid.map_or_else(|| number(header.uid()), Ok)?)?,
            gid: owner(extension.gid.map_or_else(|| number(header.gid()), Ok)?)?,
            mtime,
            device: (device(header.device_major())?, device(header.device_minor())?),
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

impl Extension {
    /// Reads `length key=value\n` again and again.
    fn read(&mut self, mut bytes: &[u8]) -> Result<(), ArchiveError> {
        const DAMAGED: ArchiveError = ArchiveError::Damaged("an extended header is not as it should be");
        let number = |value: &[u8]| std::str::from_utf8(value).ok()?.parse::<u64>().ok();
        while !bytes.is_empty() {
            let space = bytes.iter().take(8).position(|byte| *byte == b' ').ok_or(DAMAGED)?;
            let length = number(&bytes[..space]).and_then(|length| usize::try_from(length).ok()).ok_or(DAMAGED)?;
            if length <= space + 1 || length > bytes.len() || bytes[length - 1] != b'\n' {
                return Err(DAMAGED);
            }
            let record = &bytes[space + 1..length - 1];
            bytes = &bytes[length..];
            let equals = record.iter().position(|byte| *byte == b'=').ok_or(DAMAGED)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => self.size = Some(number(value).ok_or(DAMAGED)?),
                b"uid" => self.uid = Some(number(value).ok_or(DAMAGED)?),
                b"gid" => self.gid = Some(number(value).ok_or(DAMAGED)?),
                b"mtime" => self.mtime = Some(moment(value).ok_or(DAMAGED)?),
                _ if key.starts_with(b"GNU.sparse.") => {
                    return Err(ArchiveError::Unsupported("sparse file".to_owned()));
                }
                _ => {
                    if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                        self.xattrs.push((name.to_vec(), value.to_vec()));
                    }
                }
            }
        }
        Ok(())
    }
}

/// Seconds with a fraction; what is before 1970 counts as 1970, as Docker has it.
fn moment(text: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(text).ok()?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = seconds.parse().ok()?;
    if seconds < 0 || text.starts_with('-') {
        return Some((0, 0));
    }
    let digits: String = fraction.chars().chain(std::iter::repeat('0')).take(9).collect();
    Some((seconds.min(LATEST), digits.parse().ok()?))
}

fn trimmed(mut bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    bytes.truncate(end);
    bytes
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
        for records in ["9999999 path=a\n", "3 a", "6 path\n", "0 a=b\n", "99 a=b\n"] {
            assert!(Extension::default().read(records.as_bytes()).is_err(), "{records}");
        }
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
