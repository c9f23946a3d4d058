//! Content by digest: written aside, verified while it is written, and put in place whole.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::folders::{Folders, Work};
use crate::digest::Hasher;
use crate::{Digest, ImageError};

/// What is copied at once.
const BUFFER: usize = 128 << 10;

/// A blob in the making. Dropped before [`Self::finish`], it leaves nothing.
#[derive(Debug)]
pub(crate) struct BlobWriter {
    file: File,
    work: Work,
    folders: Folders,
    hasher: Hasher,
    size: u64,
    limit: u64,
}

impl BlobWriter {
    /// Begins a blob of at most `limit` bytes.
    pub(crate) fn begin(folders: &Folders, limit: u64) -> Result<Self, ImageError> {
        let work = folders.work();
        let open = OpenOptions::new().create_new(true).write(true).mode(0o600).open(work.path());
        let file = open.map_err(ImageError::io("create", work.path()))?;
        Ok(Self { file, work, folders: folders.clone(), hasher: Hasher::default(), size: 0, limit })
    }

    /// The bytes so far.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Takes the next bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), ImageError> {
        self.size += bytes.len() as u64;
        if self.size > self.limit {
            return Err(ImageError::TooLarge { what: "the content".to_owned(), limit: self.limit });
        }
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(ImageError::io("write", self.work.path()))
    }

    /// Ends the blob as it is, without putting it in its place.
    pub(crate) fn seal(self) -> SealedBlob {
        let path = self.work.path().to_owned();
        SealedBlob { path, digest: self.hasher.finish(), size: self.size, work: Some(self.work) }
    }

    /// Forgets what was written.
    pub(crate) fn restart(&mut self) -> Result<(), ImageError> {
        let restarted = self.file.set_len(0).and_then(|()| io::Seek::rewind(&mut self.file));
        restarted.map_err(ImageError::io("write", self.work.path()))?;
        self.hasher = Hasher::default();
        self.size = 0;
        Ok(())
    }

    /// Puts the blob in its place, if it is the one that is expected. The caller has it pinned.
    pub(crate) fn finish(self, expected: Option<Digest>) -> Result<Digest, ImageError> {
        let found = self.hasher.finish();
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            return Err(ImageError::WrongContent { expected, found });
        }
        self.file.sync_all().map_err(ImageError::io("write out", self.work.path()))?;
        self.work.publish(&self.folders.blob(found))?;
        Ok(found)
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        BlobWriter::write(self, bytes).map_err(|error| {
            let is_full = matches!(error, ImageError::NoSpace(_));
            io::Error::new(if is_full { io::ErrorKind::StorageFull } else { io::ErrorKind::Other }, error)
        })?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A blob that is whole, and perhaps not in its place yet. Dropped before that, it leaves nothing.
#[derive(Debug)]
pub(crate) struct SealedBlob {
    path: PathBuf,
    /// Until it is in its place.
    work: Option<Work>,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

impl SealedBlob {
    /// Where it can be read.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts it in its place, unless it is there already. The caller has it pinned.
    pub(crate) fn publish(&mut self, folders: &Folders) -> Result<(), ImageError> {
        let Some(work) = self.work.take() else { return Ok(()) };
        let target = folders.blob(self.digest);
        if !target.exists() {
            let sync = File::open(work.path()).and_then(|file| file.sync_all());
            sync.map_err(ImageError::io("write out", work.path()))?;
            work.publish(&target)?;
        }
        self.path = target;
        Ok(())
    }
}

/// Writes what can be read, of at most `limit` bytes, and tells its digest.
pub(crate) fn seal_blob(folders: &Folders, mut source: impl Read, limit: u64) -> Result<SealedBlob, ImageError> {
    let mut writer = BlobWriter::begin(folders, limit)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => writer.write(&buffer[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ImageError::Archive(error.to_string())),
        }
    }
    Ok(writer.seal())
}

/// Puts a document of ours among the blobs. The caller has it pinned.
pub(crate) fn store_document(folders: &Folders, bytes: &[u8]) -> Result<Digest, ImageError> {
    let mut sealed = seal_blob(folders, bytes, bytes.len() as u64)?;
    let digest = sealed.digest;
    sealed.publish(folders).map(|()| digest)
}

/// Reads a document among the blobs, verifying it again: it is short, and everything hangs on it.
pub(crate) fn read_blob(folders: &Folders, digest: Digest, limit: u64) -> Result<Vec<u8>, ImageError> {
    let path = folders.blob(digest);
    let mut bytes = Vec::new();
    let read = File::open(&path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
    read.map_err(ImageError::io("read", &path))?;
    if bytes.len() as u64 > limit {
        return Err(ImageError::TooLarge { what: format!("`{}`", path.display()), limit });
    }
    let found = Digest::of(&bytes);
    if found == digest { Ok(bytes) } else { Err(ImageError::WrongContent { expected: digest, found }) }
}
