//! Writes the files of a container as an archive: what it changed, as a layer; or all that it sees.

use std::collections::HashMap;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::{FileType, OFlags, Stat};
use rustix::io::Errno;
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;

use super::ContainerRoot;
use super::walk::{Base, Found};
use crate::ImageError;
use crate::body::BodyWriter;
use crate::store::blocking;
use crate::unpack::is_allowed_xattr;

/// The longest list of attributes, and the longest attribute, of a file: Linux's own bounds.
const XATTR_LIMIT: usize = 64 << 10;
/// What stands before the name of what a layer hides.
const WHITEOUT: &str = ".wh.";
/// In a folder that hides those below.
const OPAQUE: &str = ".wh..wh..opq";

impl ContainerRoot {
    /// Writes all files of the container, which is mounted, as an archive (`docker export`). Whoever receives sets the
    /// pace. Other file systems that are mounted below are left out.
    pub async fn export(&self, sender: mpsc::Sender<Bytes>) -> Result<(), ImageError> {
        let merged = self.merged();
        blocking(move || {
            let mut writer = BodyWriter::new(sender);
            pack(&merged, false, &mut writer)?;
            writer.flush().map_err(ImageError::io("archive", &merged))
        })
        .await
    }
}

/// Writes an archive of a folder; returns how many entries it has. `is_layer`: what overlayfs hides is written as layers
/// say it. Blocks.
pub(super) fn pack(folder: &Path, is_layer: bool, writer: impl Write) -> Result<u64, ImageError> {
    let failed = ImageError::io("archive", folder);
    let work = || -> io::Result<u64> {
        let base = Base::open(folder)?;
        let mut packer = Packer { builder: Builder::new(writer), links: HashMap::new(), is_layer, entries: 0 };
        base.walk(|base, found| packer.add(base, &found))?;
        packer.builder.finish()?;
        Ok(packer.entries)
    };
    work().map_err(failed)
}

struct Packer<W: Write> {
    builder: Builder<W>,
    /// Files with several names, by device and number: the name that was written first.
    links: HashMap<(u64, u64), PathBuf>,
    is_layer: bool,
    entries: u64,
}

impl<W: Write> Packer<W> {
    /// Writes one file. What vanishes meanwhile is left out.
    fn add(&mut self, base: &Base, found: &Found) -> io::Result<bool> {
        let name = found.path.file_name().unwrap_or_default();
        // Such a name means something else to whoever reads it.
        if self.is_layer && name.as_encoded_bytes().starts_with(WHITEOUT.as_bytes()) {
            return Ok(false);
        }
        if self.is_layer && found.is_whiteout() {
            let mut hidden = std::ffi::OsString::from(WHITEOUT);
            hidden.push(name);
            self.empty_file(&found.path.with_file_name(hidden))?;
            return Ok(false);
        }
        match self.add_file(base, found) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            outcome => outcome.map(|()| true),
        }
    }

    fn add_file(&mut self, base: &Base, found: &Found) -> io::Result<()> {
        let (path, stat, kind) = (&found.path, &found.stat, found.kind());
        let mut header = header(stat);
        let is_linked = kind != FileType::Directory && stat.st_nlink > 1;
        if is_linked && let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)) {
            header.set_entry_type(EntryType::Link);
            self.entries += 1;
            return self.builder.append_link(&mut header, path, first);
        }
        match kind {
            FileType::RegularFile => {
                let file = File::from(base.resolve(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK)?);
                self.xattrs(file.as_fd())?;
                header.set_entry_type(EntryType::Regular);
                header.set_size(size(stat));
                // What shrinks meanwhile is filled up: the archive says how long it is before.
                let contents = file.take(size(stat)).chain(io::repeat(0)).take(size(stat));
                self.builder.append_data(&mut header, path, contents)?;
            }
            FileType::Directory => {
                let folder = base.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
                self.xattrs(folder.as_fd())?;
                header.set_entry_type(EntryType::Directory);
                self.builder.append_data(&mut header, path.join(""), io::empty())?;
                if self.is_layer && base.is_opaque(path)? {
                    self.empty_file(&path.join(OPAQUE))?;
                }
            }
            FileType::Symlink => {
                let target = readlink(base, path)?;
                header.set_entry_type(EntryType::Symlink);
                self.builder.append_link(&mut header, path, OsStr::from_bytes(target.as_bytes()))?;
            }
            FileType::CharacterDevice => self.add_device(path, EntryType::Char, stat)?,
            FileType::BlockDevice => self.add_device(path, EntryType::Block, stat)?,
            FileType::Fifo => self.add_device(path, EntryType::Fifo, stat)?,
            // A socket is nothing without who listens.
            FileType::Socket | FileType::Unknown => return Ok(()),
        }
        if is_linked {
            self.links.insert((stat.st_dev, stat.st_ino), path.clone());
        }
        self.entries += 1;
        Ok(())
    }
    fn add_device(&mut self, path: &Path, kind: EntryType, stat: &Stat) -> io::Result<()> {
        let mut header = header(stat);
        header.set_entry_type(kind);
        header.set_device_major(rustix::fs::major(stat.st_rdev))?;
        header.set_device_minor(rustix::fs::minor(stat.st_rdev))?;
        self.builder.append_data(&mut header, path, io::empty())
    }

    /// What only says something by its name.
    fn empty_file(&mut self, path: &Path) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(0);
        header.set_mode(0o600);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        self.entries += 1;
        self.builder.append_data(&mut header, path, io::empty())
    }

    /// Capabilities, access lists and what programs note: what a layer may bring.
    fn xattrs(&mut self, file: BorrowedFd<'_>) -> io::Result<()> {
        let mut names = vec![0u8; XATTR_LIMIT];
        let count = match rustix::fs::flistxattr(file, &mut names) {
            Ok(count) => count,
            Err(Errno::NOTSUP) => 0,
            Err(error) => return Err(error.into()),
        };
        let mut records = Vec::new();
        for name in names[..count].split(|byte| *byte == 0).filter(|name| is_allowed_xattr(name)) {
            let mut value = vec![0u8; XATTR_LIMIT];
            match rustix::fs::fgetxattr(file, name, &mut value) {
                Ok(length) => value.truncate(length),
                Err(Errno::NODATA) => continue,
                Err(error) => return Err(error.into()),
            }
            // Whatever is no text cannot be written down here.
            if let Ok(name) = std::str::from_utf8(name) {
                records.push((format!("SCHILY.xattr.{name}"), value));
            }
        }
        if records.is_empty() {
            return Ok(());
        }
        self.builder.append_pax_extensions(records.iter().map(|(name, value)| (name.as_str(), value.as_slice())))
    }
}

fn header(stat: &Stat) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(stat.st_mode & 0o7777);
    header.set_uid(stat.st_uid.into());
    header.set_gid(stat.st_gid.into());
    header.set_mtime(stat.st_mtime.try_into().unwrap_or(0));
    header.set_size(0);
    header
}

fn size(stat: &Stat) -> u64 {
    stat.st_size.try_into().unwrap_or(0)
}

fn readlink(base: &Base, path: &Path) -> io::Result<CString> {
    let link = base.resolve(path, OFlags::PATH | OFlags::NOFOLLOW)?;
    Ok(rustix::fs::readlinkat(&link, "", Vec::new())?)
}
