//! Uploads blobs that a registry does not have.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Body, Url};
use tokio_util::io::ReaderStream;

use super::RegistryError;
use super::retry::Patience;
use super::session::Session;
use crate::{Digest, ImageError, Progress, ProgressLine};

/// What is read from the disk at once.
const PIECE: usize = 256 << 10;
/// How long a registry may think about a blob that it has whole.
const VERDICT: Duration = Duration::from_mins(5);
/// How many bytes lie between two lines about a layer.
const REPORT_EVERY: u64 = 512 << 10;

/// A blob on its way.
#[derive(Debug)]
pub(super) struct Upload<'a> {
    pub(super) session: &'a Session,
    pub(super) path: PathBuf,
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) progress: &'a Arc<dyn Progress>,
    /// What the lines are about; `None` for what people do not see.
    pub(super) label: Option<String>,
}

impl Upload<'_> {
    /// Brings the blob to the registry. `false`: it was there already.
    pub(super) async fn run(&self) -> Result<bool, ImageError> {
        let mut patience = Patience::new(self.session.settings.attempts);
        loop {
            match self.attempt().await {
                Err(ImageError::Registry(error)) => patience.bear(error).await?,
                outcome => return outcome,
            }
        }
    }

    async fn attempt(&self) -> Result<bool, ImageError> {
        let url = self.session.url(&format!("blobs/{}", self.digest))?;
        match self.session.send(&url, reqwest::Client::head).await {
            Ok(_) => return Ok(false),
            Err(RegistryError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let url = self.session.url("blobs/uploads/")?;
        let answer = self.session.send(&url, |http, url| http.post(url).header(CONTENT_LENGTH, 0)).await?;
        let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let location = location.ok_or_else(|| self.session.nonsense("it says not where to upload"))?;
        let mut target = self.session.location(&url, location)?;
        target.query_pairs_mut().append_pair("digest", &self.digest.to_string());
        self.put(&target).await?;
        Ok(true)
    }

    async fn put(&self, target: &Url) -> Result<(), ImageError> {
        let sent = Arc::new(AtomicU64::new(0));
        let answer = self.session.send(target, |http, url| {
            let request = http.put(url).header(CONTENT_TYPE, "application/octet-stream");
            request.header(CONTENT_LENGTH, self.size).body(self.body(&sent))
        });
        let watch = async {
            let mut before = 0;
            loop {
                let is_whole = before >= self.size;
                tokio::time::sleep(if is_whole { VERDICT } else { self.session.settings.stall }).await;
                let now = sent.load(Ordering::Relaxed);
                if now == before {
                    return self.session.stalled();
                }
                before = now;
            }
        };
        tokio::select! {
            answer = answer => Ok(answer.map(drop)?),
            stalled = watch => Err(stalled.into()),
        }
    }

    /// The blob from its first byte, counted as it goes.
    fn body(&self, sent: &Arc<AtomicU64>) -> Body {
        let (sent, progress, label, total) =
            (Arc::clone(sent), Arc::clone(self.progress), self.label.clone(), self.size);
        sent.store(0, Ordering::Relaxed);
        let mut reported = 0;
        let file = stream::once(tokio::fs::File::open(self.path.clone()));
        let pieces = file.map_ok(|file| ReaderStream::with_capacity(file, PIECE)).try_flatten();
        let pieces = pieces.inspect(move |piece| {
            let count = piece.as_ref().map_or(0, |piece| piece.len() as u64);
            let now = sent.fetch_add(count, Ordering::Relaxed) + count;
            if let Some(label) = &label
                && now >= reported + REPORT_EVERY
            {
                reported = now;
                progress.report(ProgressLine::about(label.clone(), "Pushing").at(now, total));
            }
        });
        Body::wrap_stream(pieces)
    }
}
