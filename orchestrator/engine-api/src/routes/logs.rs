//! What services and their tasks have written, from all nodes: `docker service logs`.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::header::CONTENT_TYPE;
use jiff::Timestamp;
use model::{LogLine, LogMessage, LogRequest, LogSelection, LogStream, LogTarget, TaskSpec};
use node::LogMessages;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::api::{Api, PeerOf, Stopping};
use crate::error::ApiError;
use crate::frames::{FrameStream, content_type, frame};
use crate::lookup::{find_service, find_task};
use crate::moment;
use crate::path::Named;
use crate::query::Query;
use crate::version::ApiVersion;

/// What Go leaves as it is in a query.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
/// Docker's words before what goes wrong while logs are read.
const GRABBING: &str = "Error grabbing logs: ";

/// `GET /services/{id}/logs`
pub(super) async fn of_service(
    State(api): State<Api>,
    Extension(peer): PeerOf,
    Extension(version): Extension<ApiVersion>,
    Extension(stopping): Extension<Stopping>,
    Named(id): Named,
    query: Query,
) -> Result<Response, ApiError> {
    let (selection, form) = read(&query)?;
    let (manager, caller) = api.manager(peer)?;
    let seen = manager.read().await?;
    let service = find_service(&seen, &id)?;
    let form = Form { is_framed: !has_terminal(&service.spec.task_template), ..form };
    let request = LogRequest { target: LogTarget::Service(service.id.clone()), selection, seen: BTreeMap::new() };
    Ok(answer(manager.logs(caller, request).await?, form, version, stopping))
}

/// `GET /tasks/{id}/logs`
pub(super) async fn of_task(
    State(api): State<Api>,
    Extension(peer): PeerOf,
    Extension(version): Extension<ApiVersion>,
    Extension(stopping): Extension<Stopping>,
    Named(id): Named,
    query: Query,
) -> Result<Response, ApiError> {
    let (selection, form) = read(&query)?;
    let (manager, caller) = api.manager(peer)?;
    let seen = manager.read().await?;
    let task = find_task(&seen, &id)?;
    let form = Form { is_framed: !has_terminal(&task.spec), ..form };
    let request = LogRequest { target: LogTarget::Task(task.id.clone()), selection, seen: BTreeMap::new() };
    Ok(answer(manager.logs(caller, request).await?, form, version, stopping))
}

/// How lines are shown.
#[derive(Debug, Clone, Copy)]
struct Form {
    /// Their moments stand before them.
    has_moments: bool,
    /// Whose they are stands before them.
    has_details: bool,
    /// Each stands in a frame, which says the stream.
    is_framed: bool,
}

fn read(query: &Query) -> Result<(LogSelection, Form), ApiError> {
    let (stdout, stderr) = (query.boolean("stdout"), query.boolean("stderr"));
    if !stdout && !stderr {
        return Err(ApiError::invalid("Bad parameters: you must choose at least one stream"));
    }
    let tail = match query.text("tail") {
        "" | "all" => None,
        text => {
            let number: i64 =
                text.parse().map_err(|_| ApiError::invalid("tail value must be a positive integer or \"all\""))?;
            Some(u64::try_from(number).map_err(|_| ApiError::invalid("negative tail values not supported"))?)
        }
    };
    let since = moment::parse(query.text("since"), Timestamp::now())?;
    let selection = LogSelection { follow: query.boolean("follow"), stdout, stderr, tail, since };
    let form =
        Form { has_moments: query.boolean("timestamps"), has_details: query.boolean("details"), is_framed: true };
    Ok((selection, form))
}

fn has_terminal(spec: &TaskSpec) -> bool {
    spec.container_spec.as_ref().is_some_and(|container| container.tty)
}

/// The head goes out at once; what goes wrong later is told in the stream, at its end.
fn answer(messages: LogMessages, form: Form, version: ApiVersion, Stopping(stopping): Stopping) -> Response {
    let content_type = content_type(form.is_framed, version);
    let pieces = stream::unfold((messages, stopping), move |(mut messages, stopping)| async move {
        let message = tokio::select! {
            () = stopping.cancelled() => return None,
            message = messages.next() => message?,
        };
        let piece = match message {
            Ok(LogMessage::Lines(lines)) => form.lines(&lines),
            Ok(LogMessage::Incomplete(words)) => form.failure(&format!("rpc error: code = Unknown desc = {words}")),
            Err(error) => form.failure(&error.message),
        };
        Some((Ok::<_, Infallible>(piece), (messages, stopping)))
    });
    ([(CONTENT_TYPE, content_type)], Body::from_stream(pieces)).into_response()
}

impl Form {
    fn lines(self, lines: &[LogLine]) -> Bytes {
        let mut bytes = Vec::new();
        for line in lines {
            let text = self.line(line);
            let stream = match line.entry.stream {
                LogStream::Stdout => FrameStream::Stdout,
                LogStream::Stderr => FrameStream::Stderr,
            };
            self.put(&mut bytes, stream, text.as_bytes());
        }
        bytes.into()
    }

    fn line(self, line: &LogLine) -> String {
        let mut text = String::with_capacity(line.entry.text.len() + 192);
        if self.has_moments {
            // Writing to memory cannot fail.
            let _ = write!(text, "{:.9} ", line.entry.time);
        }
        if self.has_details {
            text.push_str(&details(line));
            text.push(' ');
        }
        text.push_str(&line.entry.text);
        text
    }

    fn failure(self, words: &str) -> Bytes {
        let mut bytes = Vec::new();
        self.put(&mut bytes, FrameStream::SystemError, format!("{GRABBING}{words}\n").as_bytes());
        bytes.into()
    }

    fn put(self, bytes: &mut Vec<u8>, stream: FrameStream, text: &[u8]) {
        if self.is_framed {
            bytes.extend_from_slice(&frame(stream, text));
        } else {
            bytes.extend_from_slice(text);
        }
    }
}

/// Whose a line is, as clients read it: names and values in the order of the names.
fn details(line: &LogLine) -> String {
    let pairs = [("node", line.node.as_str()), ("service", line.service.as_str()), ("task", line.task.as_str())];
    let pairs = pairs.map(|(object, id)| format!("com.docker.swarm.{object}.id={}", utf8_percent_encode(id, QUERY)));
    pairs.join(",")
}

#[cfg(test)]
mod tests {
    use model::LogEntry;

    use super::*;

    fn line() -> LogLine {
        LogLine {
            node: "aaaaaaaaaaaaaaaaaaaaaaaa1".parse().unwrap(),
            service: "bbbbbbbbbbbbbbbbbbbbbbbb1".parse().unwrap(),
            task: "cccccccccccccccccccccccc1".parse().unwrap(),
            entry: LogEntry {
                time: "2026-01-02T03:04:05.6Z".parse().unwrap(),
                stream: LogStream::Stderr,
                text: "hello\n".to_owned(),
            },
        }
    }

    #[test]
    fn a_line_has_what_was_asked_for_before_it_in_dockers_order() {
        let check = |has_moments: bool, has_details: bool, expected: &str| {
            assert_eq!(Form { has_moments, has_details, is_framed: true }.line(&line()), expected);
        };
        let whose = "com.docker.swarm.node.id=aaaaaaaaaaaaaaaaaaaaaaaa1,\
                     com.docker.swarm.service.id=bbbbbbbbbbbbbbbbbbbbbbbb1,\
                     com.docker.swarm.task.id=cccccccccccccccccccccccc1";

        check(false, false, "hello\n");
        check(true, false, "2026-01-02T03:04:05.600000000Z hello\n");
        check(false, true, &format!("{whose} hello\n"));
        check(true, true, &format!("2026-01-02T03:04:05.600000000Z {whose} hello\n"));
    }

    #[test]
    fn a_terminals_output_has_no_frames_and_neither_has_what_went_wrong() {
        let form = |is_framed| Form { has_moments: false, has_details: false, is_framed };

        assert_eq!(&form(true).lines(&[line()])[..], b"\x02\0\0\0\0\0\0\x06hello\n");
        assert_eq!(&form(false).lines(&[line(), line()])[..], b"hello\nhello\n");
        assert_eq!(&form(true).failure("oh")[..8], b"\x03\0\0\0\0\0\0\x18");
        assert_eq!(&form(false).failure("oh")[..], b"Error grabbing logs: oh\n");
    }

    #[test]
    fn what_cannot_be_read_is_refused_in_dockers_words() {
        let refused = |text: &str| read(&Query::parse(text)).map(|_| ()).unwrap_err().message;

        assert_eq!(refused("follow=1"), "Bad parameters: you must choose at least one stream");
        assert_eq!(refused("stdout=1&tail=x"), "tail value must be a positive integer or \"all\"");
        assert_eq!(refused("stdout=1&tail=-1"), "negative tail values not supported");
        assert!(refused("stdout=1&since=then").starts_with("failed to parse value as time or duration"));
        let (selection, _) = read(&Query::parse("stderr=1&follow=true&tail=5&since=1.5")).unwrap();
        let since = Some(Timestamp::new(1, 500_000_000).unwrap());
        let expected = LogSelection { follow: true, stdout: false, stderr: true, tail: Some(5), since };
        assert_eq!(selection, expected);
    }
}
