//! What layers are packed with: gzip, zstd or nothing, told by their first bytes.

use std::fmt;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

/// What is read from the packed layer at once.
const BUFFER: usize = 128 << 10;
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// Frames of zstd that carry no content have 16 magic numbers, which differ in the lowest four bits.
const ZSTD_SKIP_MAGIC: &[u8] = &[0x2a, 0x4d, 0x18];

/// The packed bytes, begun again from their first.
type Source<R> = BufReader<Chain<Cursor<Vec<u8>>, Counted<R>>>;

/// Reads the unpacked bytes of something packed.
pub(crate) struct Decompressed<R: Read> {
    packing: Packing<R>,
}

enum Packing<R: Read> {
    None(Source<R>),
    Gzip(Box<MultiGzDecoder<Source<R>>>),
    Zstd(Box<Frames<Source<R>>>),
}

impl<R: Read> Decompressed<R> {
    /// Looks at the first bytes and chooses.
    pub(crate) fn new(mut packed: R) -> io::Result<Self> {
        let mut head = Vec::with_capacity(4);
        packed.by_ref().take(4).read_to_end(&mut head)?;
        let is_gzip = head.starts_with(GZIP_MAGIC);
        let is_skipped = head.len() == 4 && head[0] & 0xf0 == 0x50 && head[1..] == *ZSTD_SKIP_MAGIC;
        let is_zstd = head == ZSTD_MAGIC || is_skipped;
        let source = BufReader::with_capacity(BUFFER, Cursor::new(head).chain(Counted { inner: packed, bytes: 4 }));
        let packing = if is_gzip {
            Packing::Gzip(Box::new(MultiGzDecoder::new(source)))
        } else if is_zstd {
            Packing::Zstd(Box::new(Frames::new(source)))
        } else {
            Packing::None(source)
        };
        Ok(Self { packing })
    }

    /// The packed bytes that were taken so far, give or take a buffer.
    pub(crate) fn packed_bytes(&self) -> u64 {
        let source = match &self.packing {
            Packing::None(source) => source,
            Packing::Gzip(decoder) => decoder.get_ref(),
            Packing::Zstd(frames) => &frames.source,
        };
        source.get_ref().get_ref().1.bytes
    }
}

impl<R: Read> fmt::Debug for Decompressed<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self.packing {
            Packing::None(_) => "Decompressed::None",
            Packing::Gzip(_) => "Decompressed::Gzip",
            Packing::Zstd(_) => "Decompressed::Zstd",
        })
    }
}

impl<R: Read> Read for Decompressed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.packing {
            Packing::None(source) => source.read(buffer),
            Packing::Gzip(decoder) => decoder.read(buffer),
            Packing::Zstd(frames) => frames.read(buffer),
        }
    }
}

/// Counts what is read.
struct Counted<R> {
    inner: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.bytes += count as u64;
        Ok(count)
    }
}

/// Frames of zstd one after the other: parallel compressors and those that make seekable layers write several.
struct Frames<S: BufRead> {
    source: S,
    decoder: FrameDecoder,
    is_in_frame: bool,
}

impl<S: BufRead> Frames<S> {
    fn new(source: S) -> Self {
        Self { source, decoder: FrameDecoder::new(), is_in_frame: false }
    }

    /// Begins the next frame that has content; `false` at the end of the source.
    fn begin(&mut self) -> io::Result<bool> {
        loop {
            if self.source.fill_buf()?.is_empty() {
                return Ok(false);
            }
            match self.decoder.reset(&mut self.source) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    let skipped = io::copy(&mut self.source.by_ref().take(length.into()), &mut io::sink())?;
                    if skipped < u64::from(length) {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error.to_string())),
            }
        }
    }
}

impl<S: BufRead> Read for Frames<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if !self.is_in_frame {
                if !self.begin()? {
                    return Ok(0);
                }
                self.is_in_frame = true;
            }
            while self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                // One block at a time: a block is at most 128 KiB, whatever it was packed to.
                self.decoder
                    .decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1))
                    .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
            }
            let count = self.decoder.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            self.is_in_frame = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use super::*;

    fn unpacked(packed: &[u8]) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        Decompressed::new(packed)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn gzipped(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_packing_and_none_is_told_by_its_first_bytes() {
        let text: Vec<u8> = (0..400_000u32).flat_map(|number| (number / 7).to_le_bytes()).collect();

        assert_eq!(unpacked(&text).unwrap(), text);
        assert_eq!(unpacked(&gzipped(&text)).unwrap(), text);
        assert_eq!(unpacked(&compress_to_vec(&text[..], CompressionLevel::Fastest)).unwrap(), text);
        assert_eq!(unpacked(b"").unwrap(), b"");
    }

    #[test]
    fn parts_that_follow_each_other_are_one_content() {
        let gzip = [gzipped(b"one "), gzipped(b"two")].concat();
        let skipped = [0x5e, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        let frame = |text: &'static [u8]| compress_to_vec(text, CompressionLevel::Fastest);
        let zstd = [skipped.to_vec(), frame(b"one "), skipped.to_vec(), frame(b"two"), skipped.to_vec()].concat();

        assert_eq!(unpacked(&gzip).unwrap(), b"one two");
        assert_eq!(unpacked(&zstd).unwrap(), b"one two");
    }

    #[test]
    fn what_is_cut_short_is_an_error() {
        let text = vec![7; 300_000];
        let (gzip, zstd) = (gzipped(&text), compress_to_vec(&text[..], CompressionLevel::Fastest));

        assert!(unpacked(&gzip[..gzip.len() / 2]).is_err());
        assert!(unpacked(&zstd[..zstd.len() / 2]).is_err());
    }
}
