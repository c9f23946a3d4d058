//! Extended headers of tar archives: what does not fit into an entry's own header.

use super::ArchiveError;
use super::archive::LATEST;

/// What extended headers say of the next entry.
#[derive(Debug, Default)]
pub(super) struct Extension {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<(i64, u32)>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Extension {
    /// Reads `length key=value\n` again and again.
    pub(super) fn read(&mut self, mut bytes: &[u8]) -> Result<(), ArchiveError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_records_are_refused() {
        for records in ["9999999 path=a\n", "3 a", "6 path\n", "0 a=b\n", "99 a=b\n", "12 mtime=now\n"] {
            assert!(Extension::default().read(records.as_bytes()).is_err(), "{records}");
        }
    }

    #[test]
    fn moments_have_fractions_and_are_never_before_1970() {
        assert_eq!(moment(b"12.5"), Some((12, 500_000_000)));
        assert_eq!(moment(b"12.0000000019"), Some((12, 1)));
        assert_eq!((moment(b"-3"), moment(b"-0.5")), (Some((0, 0)), Some((0, 0))));
        assert_eq!(moment(b"99999999999999"), Some((LATEST, 0)));
    }
}
