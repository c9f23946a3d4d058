//! Images as archives: `docker load` and `docker save`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use image::{ImageError, Progress, ProgressLine};
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::find;
use crate::api::Api;
use crate::error::ApiError;
use crate::image_name::platform;
use crate::progress::{Lines, tell};
use crate::query::Query;

/// How long a client may send nothing in the middle of an archive.
const STALL: Duration = Duration::from_mins(5);
/// How many pieces of an archive wait for a client that reads slowly: 8 of 64 KiB.
const WAITING: usize = 8;
/// How many bytes of an archive lie between two lines about it.
const REPORT_EVERY: u64 = 4 << 20;

/// `POST /images/load`: the body is as long as the store takes.
pub(super) async fn load(
    api: Api,
    query: &Query,
    stopping: CancellationToken,
    request: Request,
) -> Result<Response, ApiError> {
    let wanted = platform(query)?;
    if let Some(wanted) = wanted.filter(|wanted| *wanted != image::Platform::host()) {
        let message = format!("this engine loads images for its own machine only, and not for {wanted}");
        return Err(ApiError::not_offered(message));
    }
    let is_quiet = query.boolean("quiet");
    tell(stopping, move |lines| async move {
        let body = received(request.into_body(), (!is_quiet).then(|| (Arc::clone(&lines), "Loading")));
        for image in api.engine.images().load(body).await? {
            if image.names.is_empty() {
                lines.say(&json!({"stream": format!("Loaded image ID: {}\n", image.id)}));
            }
            for name in image.names {
                lines.say(&json!({"stream": format!("Loaded image: {name}\n")}));
            }
        }
        Ok(())
    })
    .await
}

/// The bytes of a body as they come, told of where somebody wants to know. Silence is an error.
pub(in crate::routes) fn received(
    body: Body,
    told: Option<(Arc<Lines>, &'static str)>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let receiving = Receiving { body: body.into_data_stream(), told, received: 0, reported: 0 };
    stream::unfold(receiving, |mut receiving| async { receiving.next().await.map(|piece| (piece, receiving)) })
}

struct Receiving {
    body: BodyDataStream,
    told: Option<(Arc<Lines>, &'static str)>,
    received: u64,
    reported: u64,
}

impl Receiving {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        let piece = match tokio::time::timeout(STALL, self.body.next()).await {
            Err(_) => return Some(Err(io::ErrorKind::TimedOut.into())),
            Ok(None) => {
                self.report("Unpacking");
                return None;
            }
            Ok(Some(piece)) => piece.map_err(io::Error::other),
        };
        self.received += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        if let Some((_, status)) = self.told
            && self.received >= self.reported + REPORT_EVERY
        {
            self.reported = self.received;
            self.report(status);
        }
        Some(piece)
    }

    /// Says so, if anything was said before: small archives are done at once.
    fn report(&self, status: &str) {
        if let Some((lines, _)) = &self.told
            && self.reported > 0
        {
            lines.report(ProgressLine::about("archive", status).at(self.received, 0));
        }
    }
}

/// `GET /images/get`, `GET /images/{name}/get`: the archive comes while it is read from the disk.
pub(super) fn save(
    api: &Api,
    names: &[String],
    query: &Query,
    stopping: CancellationToken,
) -> Result<Response, ApiError> {
    if names.is_empty() {
        return Err(ApiError::invalid("no images to save: names is empty"));
    }
    if let Some(wanted) = platform(query)? {
        for name in names {
            find(api, name, Some(&wanted))?;
        }
    }
    let export = api.engine.images().export(names)?;
    let (sender, receiver) = mpsc::channel(WAITING);
    let mut tasks = JoinSet::new();
    tasks.spawn(export.write(sender));
    let pieces = stream::unfold(Some(Sending { receiver, tasks, stopping }), |sending| async {
        let mut sending = sending?;
        match sending.next().await {
            Ok(None) => None,
            Ok(Some(piece)) => Some((Ok(piece), Some(sending))),
            // The client must see that the archive is not whole.
            Err(error) => Some((Err(error), None)),
        }
    });
    Ok((StatusCode::OK, [(CONTENT_TYPE, "application/x-tar")], Body::from_stream(pieces)).into_response())
}

struct Sending {
    receiver: mpsc::Receiver<Bytes>,
    tasks: JoinSet<Result<(), ImageError>>,
    stopping: CancellationToken,
}

impl Sending {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let piece = tokio::select! {
            piece = self.receiver.recv() => piece,
            () = self.stopping.cancelled() => return Err(io::ErrorKind::ConnectionAborted.into()),
        };
        if piece.is_some() {
            return Ok(piece);
        }
        match self.tasks.join_next().await {
            None | Some(Ok(Ok(()))) => Ok(None),
            Some(Ok(Err(error))) => {
                warn!(error = &error as &dyn std::error::Error, "an archive of images ends early");
                Err(io::Error::other(error))
            }
            Some(Err(error)) => Err(io::Error::other(error)),
        }
    }
}
