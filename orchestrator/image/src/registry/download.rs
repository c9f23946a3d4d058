//! Downloads layers into the store: resumed where the connection broke, shared by all who want the same.

use std::sync::Arc;
use std::time::Instant;

use reqwest::StatusCode;
use reqwest::header::{CONTENT_RANGE, RANGE};

use super::RegistryError;
use super::retry::Patience;
use super::session::Session;
use crate::store::{BlobWriter, blocking};
use crate::{Descriptor, ImageError, ImageStore, Progress, ProgressLine};

/// What is collected before it is written and hashed.
const PIECE: usize = 256 << 10;
/// What must arrive in each second, over the time that nothing at all is borne: less is a stall.
const SLOWEST: u64 = 1 << 10;
/// What counts as coming forward: a server that breaks off after less uses patience up.
const FORWARD: u64 = 1 << 20;
/// How many bytes lie between two lines about a layer.
const REPORT_EVERY: u64 = 512 << 10;

/// A layer on its way.
#[derive(Debug)]
pub(super) struct Download<'a> {
    pub(super) session: &'a Session,
    pub(super) store: &'a ImageStore,
    pub(super) layer: &'a Descriptor,
    pub(super) progress: &'a dyn Progress,
}

impl Download<'_> {
    /// Brings the layer among the blobs, which the caller has pinned. `false`: it was there already.
    pub(super) async fn run(&self) -> Result<bool, ImageError> {
        let shared = &self.store.shared;
        let digest = self.layer.digest;
        let _turn = shared.turns.take(digest).await;
        let (folders, limit) = (shared.folders.clone(), self.layer.size);
        if limit > shared.limits.bytes {
            return Err(ImageError::TooLarge { what: format!("layer {digest}"), limit: shared.limits.bytes });
        }
        let begun = blocking(move || {
            if folders.blob(digest).exists() { Ok(None) } else { BlobWriter::begin(&folders, limit).map(Some) }
        });
        let Some(mut writer) = begun.await? else { return Ok(false) };
        let mut patience = Patience::new(self.session.settings.attempts);
        let mut was_resumed = false;
        loop {
            let before = writer.size();
            let (returned, outcome) = self.fetch(writer).await;
            writer = returned;
            match outcome {
                Ok(()) if writer.size() == self.layer.size => {}
                outcome => {
                    let error = match outcome {
                        Err(ImageError::Registry(error)) => error,
                        Err(error) => return Err(error),
                        Ok(()) => RegistryError::Truncated {
                            registry: self.session.registry(),
                            digest,
                            received: writer.size(),
                            size: self.layer.size,
                        },
                    };
                    if writer.size() >= before + FORWARD {
                        patience.restore();
                    }
                    patience.bear(error).await?;
                    was_resumed = true;
                    continue;
                }
            }
            self.report("Verifying Checksum", None);
            let keeper = Arc::clone(shared);
            let finish = blocking(move || {
                let outcome = writer.finish(Some(digest));
                keeper.sweep_stray(digest, []);
                outcome
            });
            match finish.await {
                // What two servers gave may not be of one piece: once more from the beginning, from one.
                Err(ImageError::WrongContent { .. }) if was_resumed => {
                    was_resumed = false;
                    let folders = shared.folders.clone();
                    writer = blocking(move || BlobWriter::begin(&folders, limit)).await?;
                }
                Err(ImageError::WrongContent { expected, found }) => {
                    let (registry, found) = (self.session.registry(), found.to_string());
                    return Err(RegistryError::Lies { registry, expected, found }.into());
                }
                outcome => return outcome.map(|_| true),
            }
        }
    }

    /// One try, from where the last one ended.
    async fn fetch(&self, mut writer: BlobWriter) -> (BlobWriter, Result<(), ImageError>) {
        let begun = writer.size();
        let url = match self.session.url(&format!("blobs/{}", self.layer.digest)) {
            Ok(url) => url,
            Err(error) => return (writer, Err(error.into())),
        };
        let answer = self.session.send(&url, |http, url| {
            let request = http.get(url);
            if begun > 0 { request.header(RANGE, format!("bytes={begun}-")) } else { request }
        });
        let mut answer = match answer.await {
            Ok(answer) => answer,
            Err(error) => return (writer, Err(error.into())),
        };
        let range = answer.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let goes_on = answer.status() == StatusCode::PARTIAL_CONTENT && range.starts_with(&format!("bytes {begun}-"));
        if begun > 0
            && !goes_on
            && let Err(error) = writer.restart()
        {
            return (writer, Err(error));
        }
        let mut buffer = Vec::with_capacity(PIECE);
        let mut reported = writer.size();
        let mut window = (Instant::now(), 0);
        loop {
            let piece = match self.session.piece(&mut answer).await {
                Ok(piece) => piece,
                Err(error) => {
                    let (writer, written) = write(writer, buffer).await;
                    return (writer, written.and(Err(error.into())));
                }
            };
            let is_end = piece.is_none();
            buffer.extend_from_slice(&piece.unwrap_or_default());
            if buffer.len() >= PIECE || is_end {
                let (returned, written) = write(writer, std::mem::take(&mut buffer)).await;
                writer = returned;
                if let Err(error) = written {
                    return (writer, Err(self.too_much(error)));
                }
                if is_end {
                    return (writer, Ok(()));
                }
            }
            let received = writer.size() + buffer.len() as u64;
            if received >= reported + REPORT_EVERY {
                reported = received;
                self.report("Downloading", Some(received));
            }
            let stall = self.session.settings.stall;
            if window.0.elapsed() >= stall {
                if (received - window.1) < SLOWEST * stall.as_secs().max(1) {
                    let (writer, written) = write(writer, buffer).await;
                    return (writer, written.and(Err(self.session.stalled().into())));
                }
                window = (Instant::now(), received);
            }
        }
    }

    /// More than was said is a lie.
    fn too_much(&self, error: ImageError) -> ImageError {
        if !matches!(error, ImageError::TooLarge { .. }) {
            return error;
        }
        let found = format!("more than the {} bytes that it says", self.layer.size);
        RegistryError::Lies { registry: self.session.registry(), expected: self.layer.digest, found }.into()
    }

    fn report(&self, status: &str, received: Option<u64>) {
        let line = ProgressLine::about(self.layer.digest.short(), status);
        self.progress.report(match received {
            Some(received) => line.at(received, self.layer.size),
            None => line,
        });
    }
}

/// Hashes and writes where it blocks nobody.
async fn write(mut writer: BlobWriter, bytes: Vec<u8>) -> (BlobWriter, Result<(), ImageError>) {
    if bytes.is_empty() {
        return (writer, Ok(()));
    }
    blocking(move || {
        let outcome = writer.write(&bytes);
        (writer, outcome)
    })
    .await
}
