//! Writes an entry of an archive under any name: of any bytes, of any length, absolute where it is to be.

use std::io::{self, Read, Write};

use tar::{Builder, EntryType, Header};

/// What a header has room for.
const ROOM: usize = 100;
/// What an entry is called that holds the name of the next one.
const LONG_NAME: &[u8] = b"././@LongLink";

/// Writes an entry. `header` is a GNU header without names; `link` is empty for what is none.
pub(super) fn append(
    builder: &mut Builder<impl Write>,
    mut header: Header,
    name: &[u8],
    link: &[u8],
    contents: impl Read,
) -> io::Result<()> {
    for (kind, text) in [(EntryType::GNULongName, name), (EntryType::GNULongLink, link)] {
        if text.len() > ROOM {
            let mut long = Header::new_gnu();
            long.set_entry_type(kind);
            long.set_mode(0o644);
            long.set_uid(0);
            long.set_gid(0);
            long.set_mtime(0);
            long.set_size(text.len() as u64 + 1);
            put(&mut long, LONG_NAME, b"");
            builder.append(&long, text.chain(&[0][..]))?;
        }
    }
    put(&mut header, name, link);
    builder.append(&header, contents)
}

/// Writes the names into a header, as far as there is room, and makes it whole.
fn put(header: &mut Header, name: &[u8], link: &[u8]) {
    let gnu = header.as_gnu_mut().expect("headers are made in this form");
    for (place, text) in [(&mut gnu.name, name), (&mut gnu.linkname, link)] {
        let length = text.len().min(ROOM);
        place.fill(0);
        place[..length].copy_from_slice(&text[..length]);
    }
    header.set_cksum();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unpack::{Archive, Kind};

    #[test]
    fn names_of_any_length_and_place_are_read_as_they_were_written() {
        let names = [b"/".to_vec(), b"/a".to_vec(), vec![b'n'; 100], vec![b'n'; 101], b"\xff/\xfe".to_vec()];
        let mut builder = Builder::new(Vec::new());
        for name in &names {
            let mut header = Header::new_gnu();
            header.set_entry_type(EntryType::Symlink);
            header.set_size(0);
            header.set_mode(0o777);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            append(&mut builder, header, name, &[name, &b"/target"[..]].concat(), io::empty()).unwrap();
        }
        let bytes = builder.into_inner().unwrap();

        let mut archive = Archive::new(&bytes[..]);
        for name in names {
            let entry = archive.next().unwrap().unwrap();
            assert_eq!((entry.kind, &entry.path), (Kind::Symlink, &name));
            assert_eq!(entry.link, [&name[..], b"/target"].concat());
        }
        assert!(archive.next().unwrap().is_none());
    }
}
