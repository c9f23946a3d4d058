//! `GET /events`: what happened, and then what happens.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use engine::{Event, EventReceiver};
use futures_util::stream;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::api::{Api, Stopping};
use crate::error::ApiError;
use crate::filters::Filters;
use crate::moment;
use crate::query::Query;
use crate::respond::{JSON, line};
use crate::views::event::EventDocument;

/// The filters of events. Those that name a kind of object match its id or name by prefix.
const FILTERS: &[&str] = &[
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
];
/// The kinds of objects among [`FILTERS`].
const OBJECTS: &[&str] =
    &["config", "container", "daemon", "image", "network", "node", "plugin", "secret", "service", "volume"];

/// The actions that say more behind a colon.
const DETAILED: &[&str] = &["exec_create", "exec_start", "health_status"];

/// `GET /events`: the kept events from `since` on, and what comes until `until`, a client that has enough, or the
/// engine's end.
pub(super) async fn stream(
    State(api): State<Api>,
    Extension(Stopping(stopping)): Extension<Stopping>,
    query: Query,
) -> Result<Response, ApiError> {
    let now = Timestamp::now();
    let since = moment::parse(query.text("since"), now)?;
    let until = moment::parse(query.text("until"), now)?;
    if let (Some(since), Some(until)) = (since, until)
        && until < since
    {
        return Err(ApiError::invalid(format!(
            "`since` time ({}) cannot be after `until` time ({})",
            query.text("since"),
            query.text("until"),
        )));
    }
    let filters = Filters::read(&query, FILTERS)?;
    let (past, coming) = api.engine.events().subscribe();
    let past = past.into_iter().filter(|event| since.is_some_and(|since| event.time >= since)).collect();
    let reader = Reader {
        past,
        coming: until.is_none_or(|until| until > now).then_some(coming),
        until,
        deadline: until.map(|until| Instant::now() + Duration::try_from(until - now).unwrap_or_default()),
        filters,
        stopping,
    };
    let lines = stream::unfold(reader, |mut reader| async {
        let line = reader.next().await?;
        Some((Ok::<_, Infallible>(Bytes::from(line)), reader))
    });
    Ok(([(CONTENT_TYPE, JSON)], Body::from_stream(lines)).into_response())
}

/// What one client still has to read.
#[derive(Debug)]
struct Reader {
    past: VecDeque<Arc<Event>>,
    /// Absent where only the past was asked for.
    coming: Option<EventReceiver>,
    until: Option<Timestamp>,
    deadline: Option<Instant>,
    filters: Filters,
    stopping: CancellationToken,
}

impl Reader {
    /// The next event that the client asked for, as a line.
    async fn next(&mut self) -> Option<Vec<u8>> {
        loop {
            let event = match self.past.pop_front() {
                Some(event) => event,
                None => self.wait().await?,
            };
            if self.until.is_none_or(|until| event.time <= until) && is_shown(&self.filters, &event) {
                return line(&EventDocument::from(event.as_ref()))
                    .inspect_err(|error| error!(%error, "failed to write an event"))
                    .ok();
            }
        }
    }

    async fn wait(&mut self) -> Option<Arc<Event>> {
        let coming = self.coming.as_mut()?;
        let deadline = self.deadline;
        let expired = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(expired);
        loop {
            let received = tokio::select! {
                () = self.stopping.cancelled() => return None,
                () = &mut expired => return None,
                received = coming.next() => received?,
            };
            match received {
                Ok(event) => return Some(event),
                Err(engine::EventsMissed(missed)) => warn!(missed, "a reader of events is too slow"),
            }
        }
    }
}

/// Whether an action is asked for: whole, or, of those that say more behind a colon, what is before it.
fn is_action(filters: &Filters, action: &str) -> bool {
    let kind = action.split_once(": ").map_or(action, |(kind, _)| kind);
    filters.admits("event", action) || DETAILED.contains(&kind) && filters.admits("event", kind)
}

/// Whether an image is asked for: by its events, and by those of its containers.
fn is_of_image(filters: &Filters, event: &Event) -> bool {
    let image = event.actor.attributes.get("image").map_or("", String::as_str);
    let repository = image.rsplit_once(':').map_or(image, |(name, tag)| if tag.contains('/') { image } else { name });
    !image.is_empty() && filters.values("image").any(|wanted| wanted == image || wanted == repository)
}

fn is_shown(filters: &Filters, event: &Event) -> bool {
    let name = event.actor.attributes.get("name").map_or("", String::as_str);
    let is_object = |key: &&str| {
        filters.admits_prefix(key, &event.actor.id)
            || filters.admits_prefix(key, name)
            || *key == "image" && is_of_image(filters, event)
    };
    filters.admits("type", event.kind.as_str())
        && filters.admits("scope", event.scope.as_str())
        && is_action(filters, &event.action)
        && filters.admits_labels("label", &event.actor.attributes)
        && OBJECTS.iter().all(is_object)
}
