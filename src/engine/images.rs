//! Images on a manager: what it lacks of them, and how they are sent.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Body, Method};
use serde::{Deserialize, Serialize};

use super::EngineError;
use super::api::{Client, refusal};

/// How long sending images and their unpacking may take: a slow line, and many of them.
const SENDING: Duration = Duration::from_hours(6);
/// The longest answer to images that were sent.
const ANSWER_LIMIT: usize = 4 << 20;
/// What Docker's engine begins its lines with about images with a name, and without one.
const LOADED: [&str; 2] = ["Loaded image: ", "Loaded image ID: "];

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Question<'a> {
    blobs: &'a BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    lacking: BTreeSet<String>,
}

/// A line of an answer that tells how far the work is.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line {
    stream: String,
    error: String,
}

impl Client {
    /// Those of these blobs that a manager lacks; all of them where it is of a version that does not tell.
    pub(super) async fn lacking(
        &self,
        manager: SocketAddr,
        blobs: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, EngineError> {
        let path = "/images/lacking";
        match self.send(manager, Method::POST, path, Some(&Question { blobs })).await {
            Err(error) if error.is_not_found() => Ok(blobs.clone()),
            Err(error) => Err(error),
            Ok(bytes) => serde_json::from_slice::<Answer>(&bytes)
                .map(|answer| answer.lacking)
                .map_err(|source| EngineError::Answer { request: format!("POST {path}"), source: source.into() }),
        }
    }

    /// Sends an archive of images; returns what they are called now.
    pub(super) async fn load(
        &self,
        manager: SocketAddr,
        archive: BoxStream<'static, io::Result<Bytes>>,
    ) -> Result<Vec<String>, EngineError> {
        let lost = |source: reqwest::Error| EngineError::Connection { address: manager, source: source.into() };
        let request = self.post(manager, "/images/load?quiet=1").timeout(SENDING);
        let request = request.header(CONTENT_TYPE, "application/x-tar").body(Body::wrap_stream(archive));
        let mut answer = request.send().await.map_err(lost)?;
        let status = answer.status();
        let mut text = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(lost)? {
            text.extend_from_slice(&piece);
            if text.len() > ANSWER_LIMIT {
                let source = format!("it is longer than {ANSWER_LIMIT} bytes").into();
                return Err(EngineError::Answer { request: "POST /images/load".to_owned(), source });
            }
        }
        if !status.is_success() {
            return Err(EngineError::Refused { status: status.as_u16(), message: refusal(&text) });
        }
        loaded(&text)
    }
}

/// The names in an answer, or the refusal at its end.
fn loaded(text: &[u8]) -> Result<Vec<String>, EngineError> {
    let mut names = Vec::new();
    for line in serde_json::Deserializer::from_slice(text).into_iter::<Line>() {
        let line = line
            .map_err(|source| EngineError::Answer { request: "POST /images/load".to_owned(), source: source.into() })?;
        if !line.error.is_empty() {
            return Err(EngineError::Refused { status: 500, message: line.error });
        }
        names.extend(LOADED.iter().find_map(|words| Some(line.stream.strip_prefix(words)?.trim().to_owned())));
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_names_the_images_or_says_why_there_are_none() {
        let answer = concat!(
            r#"{"status":"Unpacking","id":"archive"}"#,
            "\r\n",
            r#"{"stream":"Loaded image: a:1\n"}"#,
            "\n",
            r#"{"stream":"Loaded image ID: sha256:12\n"}"#
        );
        let refused = r#"{"stream":"x"}{"errorDetail":{"message":"no space left"},"error":"no space left"}"#;

        assert_eq!(loaded(answer.as_bytes()).unwrap(), ["a:1", "sha256:12"]);
        assert_eq!(loaded(refused.as_bytes()).unwrap_err().to_string(), "no space left");
        assert!(matches!(loaded(b"{nonsense").unwrap_err(), EngineError::Answer { .. }));
    }
}
