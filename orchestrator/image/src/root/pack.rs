//! Writes the files of a container as an archive: what it changed, as a layer; or all that it sees.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rustix::fs::{FileType, OFlags, Stat};
use rustix::io::Errno;
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;

use super::ContainerRoot;
use super::entry_name::append;
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
            pack_folder(&merged, false, &mut writer)?;
            writer.flush().map_err(ImageError::io("archive", &merged))
        })
        .await
    }
}

/// Writes an archive of what is in a folder, without what is mounted below it. `is_layer`: what overlayfs hides is written
/// as layers say it. Returns how many entries it has. Blocks.
pub(super) fn pack_folder(folder: &Path, is_layer: bool, writer: impl Write) -> Result<u64, ImageError> {
    let packing = Packing { top: None, is_layer };
    let work = || pack(&Base::open(folder)?, &packing, writer);
    work().map_err(ImageError::io("archive", folder))
}

/// How a folder is written as an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packing {
    /// What names begin with, the folder's own among them; `None`: they are relative, and the folder itself is left out.
    pub(super) top: Option<Vec<u8>>,
    /// Whether what overlayfs hides is written as layers say it.
    pub(super) is_layer: bool,
}

/// Writes an archive of a folder; returns how many entries it has. Blocks.
pub(super) fn pack(base: &Base, packing: &Packing, writer: impl Write) -> io::Result<u64> {
    let mut packer = Packer::new(packing, writer);
    if packing.top.is_some() {
        let stat = base.own_stat()?;
        packer.add_file(base, &Found { path: PathBuf::new(), stat })?;
    }
    base.walk(|base, found| packer.add(base, &found))?;
    packer.builder.finish()?;
    Ok(packer.entries)
}

/// Writes an archive of one file, which is no folder, under a name. Blocks.
pub(super) fn pack_one(file: &OwnedFd, stat: &Stat, name: &[u8], writer: impl Write) -> io::Result<()> {
    let packing = Packing { top: None, is_layer: false };
    let mut packer = Packer::new(&packing, writer);
    packer.add_no_folder(file, stat, name)?;
    packer.builder.finish()
}

struct Packer<'p, W: Write> {
    builder: Builder<W>,
    /// Files with several names, by device and number: the name that was written first.
    links: HashMap<(u64, u64), Vec<u8>>,
    packing: &'p Packing,
    entries: u64,
}

impl<'p, W: Write> Packer<'p, W> {
    fn new(packing: &'p Packing, writer: W) -> Self {
        Self { builder: Builder::new(writer), links: HashMap::new(), packing, entries: 0 }
    }

    /// Writes one file. What vanishes meanwhile is left out.
    fn add(&mut self, base: &Base, found: &Found) -> io::Result<bool> {
        let name = found.path.file_name().unwrap_or_default();
        // Such a name means something else to whoever reads it.
        if self.packing.is_layer && name.as_encoded_bytes().starts_with(WHITEOUT.as_bytes()) {
            return Ok(false);
        }
        if self.packing.is_layer && found.is_whiteout() {
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
        let (path, stat) = (&found.path, &found.stat);
        if found.kind() != FileType::Directory {
            let file = base.resolve(path, OFlags::PATH | OFlags::NOFOLLOW)?;
            return self.add_no_folder(&file, stat, &self.name(path));
        }
        let folder = base.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        self.xattrs(folder.as_fd())?;
        let mut name = self.name(path);
        name.push(b'/');
        self.put(EntryType::Directory, header(stat), &name, b"", io::empty())?;
        if self.packing.is_layer && base.is_opaque(path)? {
            self.empty_file(&path.join(OPAQUE))?;
        }
        Ok(())
    }

    /// Writes what is no folder, and opened as a path only.
    fn add_no_folder(&mut self, file: &OwnedFd, stat: &Stat, name: &[u8]) -> io::Result<()> {
        let mut header = header(stat);
        let is_linked = stat.st_nlink > 1;
        if is_linked && let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)).cloned() {
            return self.put(EntryType::Link, header, name, &first, io::empty());
        }
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                // Opened anew as what it is; it can be no other one meanwhile.
                let file = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
                self.xattrs(file.as_fd())?;
                header.set_size(size(stat));
                // What shrinks meanwhile is filled up: the archive says how long it is before.
                let contents = file.take(size(stat)).chain(io::repeat(0)).take(size(stat));
                self.put(EntryType::Regular, header, name, b"", contents)?;
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(file, "", Vec::new())?;
                self.put(EntryType::Symlink, header, name, target.as_bytes(), io::empty())?;
            }
            FileType::CharacterDevice => self.add_device(name, EntryType::Char, stat)?,
            FileType::BlockDevice => self.add_device(name, EntryType::Block, stat)?,
            FileType::Fifo => self.add_device(name, EntryType::Fifo, stat)?,
            // A socket is nothing without who listens; a folder took the place meanwhile.
            FileType::Socket | FileType::Directory | FileType::Unknown => return Ok(()),
        }
        if is_linked {
            self.links.insert((stat.st_dev, stat.st_ino), name.to_vec());
        }
        Ok(())
    }

    fn add_device(&mut self, name: &[u8], kind: EntryType, stat: &Stat) -> io::Result<()> {
        let mut header = header(stat);
        header.set_device_major(rustix::fs::major(stat.st_rdev))?;
        header.set_device_minor(rustix::fs::minor(stat.st_rdev))?;
        self.put(kind, header, name, b"", io::empty())
    }

    /// What only says something by its name.
    fn empty_file(&mut self, path: &Path) -> io::Result<()> {
        let mut header = Header::new_gnu();
        header.set_size(0);
        header.set_mode(0o600);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        self.put(EntryType::Regular, header, &self.name(path), b"", io::empty())
    }

    /// What a path below the folder is called in the archive.
    fn name(&self, path: &Path) -> Vec<u8> {
        let path = path.as_os_str().as_bytes();
        match &self.packing.top {
            Some(top) if path.is_empty() => top.clone(),
            Some(top) => [top, path].join(&b'/'),
            None => path.to_vec(),
        }
    }

    fn put(
        &mut self,
        kind: EntryType,
        mut header: Header,
        name: &[u8],
        link: &[u8],
        contents: impl io::Read,
    ) -> io::Result<()> {
        header.set_entry_type(kind);
        self.entries += 1;
        append(&mut self.builder, header, name, link, contents)
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
