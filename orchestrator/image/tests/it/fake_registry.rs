//! A registry in this process that serves one image, and errs or lies as it is told.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use image::{Digest, Reference};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::fixture::TestImage;

/// What was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    /// How many requests for this path there were before.
    pub(crate) before: usize,
}

/// The registry ends with this value.
#[derive(Debug)]
pub(crate) struct FakeRegistry {
    /// Host and port.
    pub(crate) address: String,
    log: Arc<Mutex<Vec<Asked>>>,
    _server: JoinSet<()>,
}

impl FakeRegistry {
    /// Serves an image. `fault` may give another answer than the honest one.
    pub(crate) async fn start(
        image: TestImage,
        fault: impl Fn(&Asked) -> Option<Response> + Send + Sync + 'static,
    ) -> Self {
        let log = Arc::new(Mutex::new(Vec::new()));
        let (image, fault, seen) = (Arc::new(image), Arc::new(fault), Arc::clone(&log));
        let answer = move |request: Request| {
            let asked = note(&seen, &request);
            let response = fault(&asked).unwrap_or_else(|| honest(&image, &asked));
            async move { Ok::<_, Infallible>(response) }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut server = JoinSet::new();
        server.spawn(async move {
            let service = tower_fallback(answer);
            axum::serve(listener, service).await.unwrap();
        });
        Self { address, log, _server: server }
    }

    /// The name of the image here.
    pub(crate) fn name(&self) -> Reference {
        format!("{}/app:1", self.address).parse().unwrap()
    }

    /// The requests whose path has this in it.
    pub(crate) fn asked(&self, part: &str) -> Vec<Asked> {
        self.log.lock().unwrap().iter().filter(|asked| asked.path.contains(part)).cloned().collect()
    }
}

fn tower_fallback<F, R>(answer: F) -> Router
where
    F: Fn(Request) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Result<Response, Infallible>> + Send + 'static,
{
    Router::new().fallback(move |request: Request| {
        let answer = answer(request);
        async move { answer.await.unwrap_or_else(|never| match never {}) }
    })
}

fn note(log: &Mutex<Vec<Asked>>, request: &Request) -> Asked {
    let path = request.uri().path().to_owned();
    let mut log = log.lock().unwrap();
    let before = log.iter().filter(|asked| asked.path == path).count();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let asked = Asked { path, query, headers: request.headers().clone(), before };
    log.push(asked.clone());
    asked
}

/// What a good registry answers.
pub(crate) fn honest(image: &TestImage, asked: &Asked) -> Response {
    let manifest = image.manifest();
    if asked.path == "/v2/" {
        return StatusCode::OK.into_response();
    }
    if asked.path.contains("/manifests/") {
        return ([(header::CONTENT_TYPE, "application/vnd.oci.image.manifest.v1+json")], manifest).into_response();
    }
    let blobs = image.layers.iter().chain([&image.config]);
    let blob = blobs.into_iter().find(|blob| asked.path.ends_with(&Digest::of(blob).to_string()));
    match blob {
        Some(blob) => ranged(blob, asked),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// A blob, or the part of it that was asked for.
fn ranged(blob: &[u8], asked: &Asked) -> Response {
    let range = asked
        .headers
        .get(header::RANGE)
        .and_then(|range| range.to_str().unwrap().strip_prefix("bytes=")?.strip_suffix('-')?.parse::<usize>().ok());
    match range {
        None => blob.to_vec().into_response(),
        Some(start) => {
            let range = format!("bytes {start}-{}/{}", blob.len() - 1, blob.len());
            (StatusCode::PARTIAL_CONTENT, [(header::CONTENT_RANGE, range)], blob[start..].to_vec()).into_response()
        }
    }
}

/// The first bytes of a blob, after which the connection breaks.
pub(crate) fn broken_off(bytes: &[u8]) -> Response {
    let pieces = [Ok(Bytes::copy_from_slice(bytes)), Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))];
    Body::from_stream(futures_util::stream::iter(pieces)).into_response()
}
