//! Answers that tell how far the work is: a JSON line for each step, while it is done.
//!
//! ```text
//! work ── says ──> Lines (what waits; a newer line about the same step replaces it) ──> the client, at its own pace
//!   └── ends well, or with an error: refused with its status before the first line, else a last line that says so
//! ```
//!
//! The work goes on however slowly the client reads. A client that is gone takes its work along.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use image::{Progress, ProgressLine};
use serde::Serialize;
use serde_json::json;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::error::ApiError;
use crate::respond::JSON;

/// What a client has yet to read. Bounded by what there is to say: each step of each thing has one line at most.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    waiting: Mutex<VecDeque<Waiting>>,
    news: Notify,
}

#[derive(Debug)]
struct Waiting {
    /// The thing and the step, where a later line about both may replace this one.
    step: Option<(String, String)>,
    text: Vec<u8>,
}

impl Lines {
    /// Adds a line.
    pub(crate) fn say(&self, document: &impl Serialize) {
        self.add(None, document);
    }

    /// Adds a line about a step of a thing, or puts it where an earlier one about both still waits.
    fn update(&self, thing: &str, step: &str, document: &impl Serialize) {
        self.add(Some((thing.to_owned(), step.to_owned())), document);
    }

    fn add(&self, step: Option<(String, String)>, document: &impl Serialize) {
        let mut text = serde_json::to_vec(document).expect("lines have texts as keys");
        text.extend_from_slice(b"\r\n");
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        match waiting.iter_mut().find(|line| step.is_some() && line.step == step) {
            Some(line) => line.text = text,
            None => waiting.push_back(Waiting { step, text }),
        }
        drop(waiting);
        self.news.notify_one();
    }

    fn take(&self) -> Option<Vec<u8>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front().map(|line| line.text)
    }
}

impl Progress for Lines {
    fn report(&self, line: ProgressLine) {
        match &line.id {
            Some(id) => self.update(id, &line.status, &line),
            None => self.say(&line),
        }
    }
}

/// Does some work and answers with its lines. What fails before the first line is refused with its own status.
pub(crate) async fn tell<W>(
    stopping: CancellationToken,
    work: impl FnOnce(Arc<Lines>) -> W,
) -> Result<Response, ApiError>
where
    W: Future<Output = Result<(), ApiError>> + Send + 'static,
{
    let lines = Arc::new(Lines::default());
    let mut tasks = JoinSet::new();
    tasks.spawn(work(Arc::clone(&lines)));
    let mut telling = Telling { lines, tasks, stopping, failure: None };
    let first = telling.next().await.transpose()?;
    let lines = stream::unfold((first, telling), |(first, mut telling)| async {
        let line = match first {
            Some(line) => line,
            None => telling.next().await?.unwrap_or_else(|error| failure_line(&error)),
        };
        Some((Ok::<_, Infallible>(Bytes::from(line)), (None, telling)))
    });
    Ok((StatusCode::OK, [(CONTENT_TYPE, JSON)], Body::from_stream(lines)).into_response())
}

/// The work, and what it says.
#[derive(Debug)]
struct Telling {
    lines: Arc<Lines>,
    tasks: JoinSet<Result<(), ApiError>>,
    stopping: CancellationToken,
    failure: Option<ApiError>,
}

impl Telling {
    /// The next line, or why the work failed after the last one; `None` at the end.
    async fn next(&mut self) -> Option<Result<Vec<u8>, ApiError>> {
        loop {
            if let Some(line) = self.lines.take() {
                return Some(Ok(line));
            }
            if let Some(failure) = self.failure.take() {
                return Some(Err(failure));
            }
            if self.tasks.is_empty() {
                return None;
            }
            tokio::select! {
                () = self.lines.news.notified() => {}
                () = self.stopping.cancelled() => {
                    self.tasks.shutdown().await;
                    self.failure = Some(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "the engine stops"));
                }
                ended = async { match self.tasks.join_next().await { Some(ended) => ended, None => pending().await } } => {
                    self.failure = match ended {
                        Ok(outcome) => outcome.err(),
                        Err(error) => {
                            tracing::error!(%error, "the work behind an answer failed");
                            Some(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the work failed"))
                        }
                    };
                }
            }
        }
    }
}

/// Docker's last line of a stream that did not end well.
fn failure_line(error: &ApiError) -> Vec<u8> {
    let document = json!({"errorDetail": {"message": error.message}, "error": error.message});
    let mut text = document.to_string().into_bytes();
    text.extend_from_slice(b"\r\n");
    text
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    async fn told<W>(work: impl FnOnce(Arc<Lines>) -> W) -> Result<String, ApiError>
    where
        W: Future<Output = Result<(), ApiError>> + Send + 'static,
    {
        let answer = tell(CancellationToken::new(), work).await?;
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        Ok(String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn lines_that_nobody_has_read_give_way_to_newer_ones_about_the_same_step() {
        let text = told(|lines| async move {
            for done in 0..1000 {
                lines.update("layer", "Downloading", &json!({ "done": done }));
            }
            lines.update("layer", "Extracting", &json!({"step": 2}));
            lines.say(&json!({"status": "end"}));
            Ok(())
        });

        assert_eq!(text.await.unwrap(), "{\"done\":999}\r\n{\"step\":2}\r\n{\"status\":\"end\"}\r\n");
    }

    #[tokio::test]
    async fn a_failure_is_a_refusal_before_the_first_line_and_a_line_after_it() {
        let early = told(|_| async { Err(ApiError::invalid("no")) }).await;
        let late = told(|lines| async move {
            lines.say(&json!({"status": "begun"}));
            Err(ApiError::invalid("no"))
        });

        assert_eq!(early, Err(ApiError::invalid("no")));
        assert_eq!(
            late.await.unwrap(),
            "{\"status\":\"begun\"}\r\n{\"errorDetail\":{\"message\":\"no\"},\"error\":\"no\"}\r\n"
        );
    }

    #[tokio::test]
    async fn work_ends_with_its_client_and_with_the_engine() {
        let (alive, stopping) = (Arc::new(()), CancellationToken::new());
        let endless = |token: CancellationToken| {
            let guard = Arc::clone(&alive);
            tell(token, |lines| async move {
                lines.say(&json!({}));
                pending::<()>().await;
                drop(guard);
                Ok(())
            })
        };

        drop(endless(CancellationToken::new()).await.unwrap());
        while Arc::strong_count(&alive) > 1 {
            tokio::task::yield_now().await;
        }
        let answer = endless(stopping.clone()).await.unwrap();
        stopping.cancel();
        let body = answer.into_body().collect().await.unwrap().to_bytes();

        assert!(String::from_utf8_lossy(&body).contains("the engine stops"));
        assert_eq!(Arc::strong_count(&alive), 1);
    }
}
