//! `GET /containers/{id}/logs`: what a container has written, and goes on to write.

use std::convert::Infallible;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use engine::ContainerRecord;
use futures_util::stream;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use model::with_causes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use runtime::{LogEntry, LogQuery, LogReader, Stream};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::api::{Api, Stopping};
use crate::error::ApiError;
use crate::frames::{FrameStream, content_type, frame};
use crate::moment;
use crate::path::Named;
use crate::query::Query;
use crate::version::ApiVersion;

/// What Go's `QueryEscape` leaves as it is, beside letters and digits.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b' ');

/// Reads the log of a container.
pub(super) async fn logs(
    State(api): State<Api>,
    Extension(version): Extension<ApiVersion>,
    Extension(Stopping(stopping)): Extension<Stopping>,
    Named(id): Named,
    query: Query,
) -> Result<Response, ApiError> {
    let shape = Shape::read(&query)?;
    let log_query = log_query(&query)?;
    let containers = api.engine.containers();
    let record = containers.find(&id)?.record;
    if record.host_config.log_config.kind == "none" {
        let words = "configured logging driver does not support reading";
        return Err(ApiError::new(StatusCode::NOT_IMPLEMENTED, words));
    }
    let reader = containers.logs(&record.id, log_query)?;
    let has_heads = !record.config.tty;
    let kind = content_type(has_heads, version);
    let details = shape.has_details.then(|| details(&record));
    let lines = Lines { reader, has_heads, has_timestamps: shape.has_timestamps, details, stopping };
    let pieces = stream::unfold(lines, |mut lines| async {
        let piece = lines.next().await?;
        Some((Ok::<_, Infallible>(piece), lines))
    });
    Ok(([(CONTENT_TYPE, kind)], Body::from_stream(pieces)).into_response())
}

/// How lines are shown.
struct Shape {
    has_timestamps: bool,
    has_details: bool,
}

impl Shape {
    fn read(query: &Query) -> Result<Self, ApiError> {
        if !query.boolean("stdout") && !query.boolean("stderr") {
            return Err(ApiError::invalid("Bad parameters: you must choose at least one stream"));
        }
        Ok(Self { has_timestamps: query.boolean("timestamps"), has_details: query.boolean("details") })
    }
}

/// Which lines are wanted. A number of lines that is none means all of them, as in Docker.
fn log_query(query: &Query) -> Result<LogQuery, ApiError> {
    let now = Timestamp::now();
    let moment = |name: &str| match query.text(name) {
        "0" => Ok(None),
        text => moment::parse(text, now),
    };
    Ok(LogQuery {
        tail: query.text("tail").parse().ok(),
        since: moment("since")?,
        until: moment("until")?,
        stream: match (query.boolean("stdout"), query.boolean("stderr")) {
            (true, false) => Some(Stream::Stdout),
            (false, true) => Some(Stream::Stderr),
            (true, true) | (false, false) => None,
        },
        follow: query.boolean("follow"),
    })
}

/// What one client still has to read.
struct Lines {
    reader: Option<LogReader>,
    has_heads: bool,
    has_timestamps: bool,
    /// What every line begins with, after its time.
    details: Option<String>,
    stopping: CancellationToken,
}

impl Lines {
    async fn next(&mut self) -> Option<Bytes> {
        let reader = self.reader.as_mut()?;
        let entry = tokio::select! {
            entry = reader.next() => entry?,
            () = self.stopping.cancelled() => return None,
        };
        match entry {
            Ok(entry) => Some(self.piece(&entry)),
            Err(error) => {
                warn!(error = &error as &dyn std::error::Error, "a log ends early");
                self.reader = None;
                let message = format!("Error grabbing logs: {}\n", with_causes(&error));
                Some(self.headed(FrameStream::SystemError, message.as_bytes()))
            }
        }
    }

    fn piece(&self, entry: &LogEntry) -> Bytes {
        let time = if self.has_timestamps { format!("{:.9} ", entry.time) } else { String::new() };
        let details = self.details.as_ref().map(|details| format!("{details} ")).unwrap_or_default();
        let line = format!("{time}{details}{}", entry.text);
        let stream = match entry.stream {
            Stream::Stdout => FrameStream::Stdout,
            Stream::Stderr => FrameStream::Stderr,
        };
        self.headed(stream, line.as_bytes())
    }

    fn headed(&self, stream: FrameStream, text: &[u8]) -> Bytes {
        if self.has_heads { frame(stream, text) } else { Bytes::copy_from_slice(text) }
    }
}

/// The labels and variables that the log's options name, as Docker writes them before a line: `key=value,key=value`.
fn details(record: &ContainerRecord) -> String {
    let names = |option: &str| {
        let list = record.host_config.log_config.config.get(option).map_or("", String::as_str);
        list.split(',').filter(|name| !name.is_empty())
    };
    let labels = names("labels").filter_map(|name| Some((name, record.config.labels.get(name)?.as_str())));
    let variable =
        |name: &str| record.config.env.iter().find_map(|variable| variable.strip_prefix(name)?.strip_prefix('='));
    let variables = names("env").filter_map(|name| Some((name, variable(name)?)));
    let mut pairs: Vec<_> = labels.chain(variables).collect();
    pairs.sort_unstable();
    pairs.dedup_by_key(|(name, _)| *name);
    let escape = |text: &str| utf8_percent_encode(text, QUERY).to_string().replace(' ', "+");
    pairs.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_lines_are_wanted_is_read_as_docker_reads_it() {
        let read = |text: &str| log_query(&Query::parse(text)).map_err(|error| error.status.as_u16());

        let all = read("stdout=1&stderr=1&tail=all&since=0&until=0").unwrap();
        assert_eq!(all, LogQuery::default());
        let some = read("stderr=true&tail=5&since=1700000000.5&follow=1").unwrap();
        assert_eq!((some.tail, some.stream, some.follow), (Some(5), Some(Stream::Stderr), true));
        assert_eq!(some.since, "2023-11-14T22:13:20.5Z".parse().ok());
        assert_eq!(read("stdout=1&tail=-3").unwrap().tail, None);
        assert_eq!(read("stdout=1&since=soon").unwrap_err(), 400);
    }

    #[test]
    fn a_stream_must_be_chosen() {
        let error = Shape::read(&Query::parse("stdout=0")).err().unwrap();

        assert_eq!(error.message, "Bad parameters: you must choose at least one stream");
    }

    #[test]
    fn a_line_begins_with_its_time_and_its_details() {
        let lines = Lines {
            reader: None,
            has_heads: false,
            has_timestamps: true,
            details: Some("a=b+c".to_owned()),
            stopping: CancellationToken::new(),
        };
        let time = "2026-01-02T03:04:05.5Z".parse().unwrap();
        let entry = LogEntry { time, stream: Stream::Stderr, text: "hello\n".to_owned() };

        assert_eq!(lines.piece(&entry), "2026-01-02T03:04:05.500000000Z a=b+c hello\n");
        let framed = Lines { has_heads: true, has_timestamps: false, details: None, ..lines }.piece(&entry);
        assert_eq!(&framed[..], b"\x02\0\0\0\0\0\0\x06hello\n");
    }
}
