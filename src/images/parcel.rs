//! What is sent of an archive: all but the layers that are there already.

use std::collections::BTreeSet;
use std::io::{self, SeekFrom};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use tar::{EntryType, Header};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use super::archive::{ArchiveError, ImageArchive};

/// A tar's block.
const BLOCK: u64 = 512;
/// Two empty blocks, which end an archive.
const END: [u8; 1024] = [0; 1024];
/// What is read at once.
const PIECE: u64 = 256 << 10;

/// What is sent of an archive.
#[derive(Debug)]
pub struct Parcel {
    file: File,
    parts: Vec<Part>,
    /// The bytes that are sent.
    pub bytes: u64,
    /// The bytes of layers that are left out.
    pub skipped_bytes: u64,
    /// The layers that are sent.
    pub layers: usize,
    /// The layers that are left out.
    pub skipped_layers: usize,
}

/// A part of what is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// These bytes: headers, lists, what fills blocks up.
    Bytes(Bytes),
    /// This part of the archive.
    File { offset: u64, size: u64 },
}

impl ImageArchive {
    /// The archive without those of its layers that are not lacking.
    ///
    /// # Errors
    /// The file cannot be opened once more.
    pub fn parcel(&self, lacking: &BTreeSet<String>) -> Result<Parcel, ArchiveError> {
        let file = File::from_std(self.file.try_clone().map_err(ArchiveError::Read)?);
        let layers = self.layers();
        let mut parcel = Parcel { file, parts: Vec::new(), bytes: 0, skipped_bytes: 0, layers: 0, skipped_layers: 0 };
        for (path, stored) in &self.files {
            let is_layer = layers.contains(&stored.digest);
            if is_layer && !lacking.contains(&stored.digest) {
                parcel.skipped_layers += 1;
                parcel.skipped_bytes += stored.size;
                continue;
            }
            parcel.layers += usize::from(is_layer);
            parcel.add(path, Part::File { offset: stored.offset, size: stored.size });
        }
        for (path, document) in &self.documents {
            parcel.add(path, Part::Bytes(document.clone()));
        }
        parcel.push(Part::Bytes(Bytes::from_static(&END)));
        Ok(parcel)
    }
}

impl Parcel {
    /// The archive as it is sent. Once only, as the file is read from where it is.
    pub fn into_stream(self) -> BoxStream<'static, io::Result<Bytes>> {
        let mut parts = self.parts;
        parts.reverse();
        Box::pin(stream::try_unfold((self.file, parts), |(mut file, mut parts)| async move {
            let bytes = match parts.pop() {
                None => return Ok(None),
                Some(Part::Bytes(bytes)) => bytes,
                Some(Part::File { offset, size }) => {
                    let count = size.min(PIECE);
                    let mut bytes = vec![0; usize::try_from(count).expect("a piece fits into memory")];
                    file.seek(SeekFrom::Start(offset)).await?;
                    file.read_exact(&mut bytes).await?;
                    if size > count {
                        parts.push(Part::File { offset: offset + count, size: size - count });
                    }
                    bytes.into()
                }
            };
            Ok::<_, io::Error>(Some((bytes, (file, parts))))
        }))
    }

    fn add(&mut self, path: &str, contents: Part) {
        let size = contents.size();
        let mut header = Header::new_ustar();
        header.set_path(path).expect("the paths of what is kept are short");
        header.set_entry_type(EntryType::Regular);
        header.set_size(size);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_cksum();
        self.push(Part::Bytes(Bytes::copy_from_slice(header.as_bytes())));
        self.push(contents);
        let rest = size.next_multiple_of(BLOCK) - size;
        self.push(Part::Bytes(vec![0; usize::try_from(rest).expect("less than a block")].into()));
    }

    fn push(&mut self, part: Part) {
        self.bytes += part.size();
        if part.size() > 0 {
            self.parts.push(part);
        }
    }
}

impl Part {
    fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { size, .. } => *size,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt as _;
    use serde_json::json;

    use super::super::testing::{archive, digest_of, in_file};
    use super::*;

    async fn written(parcel: Parcel) -> Vec<u8> {
        let announced = parcel.bytes;
        let pieces: Vec<Bytes> = parcel.into_stream().try_collect().await.unwrap();
        let bytes = pieces.concat();
        assert_eq!(bytes.len() as u64, announced);
        bytes
    }

    #[tokio::test]
    async fn what_is_sent_is_a_whole_archive_without_the_layers_that_are_there() {
        let large = vec![9; 700_000];
        let list = json!([{"Config": "c", "RepoTags": [], "Layers": ["1", "2"]}]).to_string();
        let files: [(&str, &[u8]); 4] =
            [("1", b"one"), ("2", &large), ("c", b"{}"), ("manifest.json", list.as_bytes())];
        let images = ImageArchive::read(in_file(&archive(&files))).unwrap();

        let parcel = images.parcel(&[digest_of(&large)].into()).unwrap();
        let counted = (parcel.layers, parcel.skipped_layers, parcel.skipped_bytes);
        let sent = written(parcel).await;

        assert_eq!(counted, (1, 1, 3));
        let again = ImageArchive::read(in_file(&sent)).unwrap();
        assert_eq!(again.layers(), [digest_of(&large)].into());
        assert_eq!(again.documents, images.documents);
        assert_eq!(again.files.len(), 2);
    }

    #[tokio::test]
    async fn an_archive_may_be_sent_more_than_once() {
        let list = json!([{"Config": "c", "RepoTags": [], "Layers": ["1"]}]).to_string();
        let files: [(&str, &[u8]); 3] = [("1", b"one"), ("c", b"{}"), ("manifest.json", list.as_bytes())];
        let images = ImageArchive::read(in_file(&archive(&files))).unwrap();

        let first = written(images.parcel(&images.layers()).unwrap()).await;
        let second = written(images.parcel(&images.layers()).unwrap()).await;

        assert_eq!(first, second);
    }
}
