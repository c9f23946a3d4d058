//! `/containers/{id}/archive`: what lies at a path of a container, as `docker cp` copies it out and in.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::{ContainerFilesError, CopyInRequest, FileStream};
use futures_util::stream;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, StatusCode};
use image::{CopyError, FileStat};
use model::with_causes;

use super::super::images::archive::received;
use crate::api::Api;
use crate::error::ApiError;
use crate::path::Named;
use crate::query::Query;
use crate::respond::done;
use crate::views::file_stat::FileStatDocument;

const PATH_STAT: HeaderName = HeaderName::from_static("x-docker-container-path-stat");

/// `HEAD`: what lies there.
pub(in crate::routes) async fn stat(
    State(api): State<Api>,
    Named(name): Named,
    query: Query,
) -> Result<Response, ApiError> {
    let path = path(&query)?;
    let stat = api.engine.containers().stat_file(&name, path).await;
    let stat = stat.map_err(|error| refusal(&error, &name, path))?;
    let mut response = done();
    response.headers_mut().insert(PATH_STAT, path_stat(stat));
    Ok(response)
}

/// `GET`: as an archive.
pub(in crate::routes) async fn read(
    State(api): State<Api>,
    Named(name): Named,
    query: Query,
) -> Result<Response, ApiError> {
    let path = path(&query)?;
    let copied = api.engine.containers().copy_out(&name, path).await;
    let (stat, files) = copied.map_err(|error| refusal(&error, &name, path))?;
    let mut response = streamed(files, "application/x-tar");
    response.headers_mut().insert(PATH_STAT, path_stat(stat));
    Ok(response)
}

/// `PUT`: an archive is unpacked into the folder that lies there.
pub(in crate::routes) async fn write(
    State(api): State<Api>,
    Named(name): Named,
    query: Query,
    request: Request,
) -> Result<Response, ApiError> {
    let path = path(&query)?;
    let (keeps_kinds, is_users) = (query.boolean("noOverwriteDirNonDir"), query.boolean("copyUIDGID"));
    let body = received(request.into_body(), None);
    let copied = api.engine.containers().copy_in(&name, path, CopyInRequest { keeps_kinds, is_users }, body).await;
    copied.map_err(|error| refusal(&error, &name, path))?;
    Ok(done())
}

/// An archive at the pace of the client, who sees where it is not whole.
pub(super) fn streamed(files: FileStream, content_type: &'static str) -> Response {
    let pieces = stream::unfold(Some(files), |files| async {
        let mut files = files?;
        match files.next().await {
            Ok(None) => None,
            Ok(Some(piece)) => Some((Ok(piece), Some(files))),
            Err(error) => {
                tracing::info!(error = &error as &dyn std::error::Error, "an archive of a container ends early");
                Some((Err(error), None))
            }
        }
    });
    (StatusCode::OK, [(CONTENT_TYPE, content_type)], Body::from_stream(pieces)).into_response()
}

fn path(query: &Query) -> Result<&str, ApiError> {
    let path = Some(query.text("path")).filter(|path| !path.is_empty() && !path.contains('\0'));
    path.ok_or_else(|| ApiError::invalid("bad parameter: path"))
}

fn path_stat(stat: FileStat) -> HeaderValue {
    let text = serde_json::to_vec(&FileStatDocument::from(stat)).expect("it is a plain value");
    HeaderValue::try_from(STANDARD.encode(text)).expect("base64 is plain text")
}

/// Docker's status and, where clients look for them, its words.
pub(super) fn refusal(error: &ContainerFilesError, name: &str, path: &str) -> ApiError {
    let copy = match error {
        ContainerFilesError::Copy(copy) => copy,
        ContainerFilesError::Container(_) | ContainerFilesError::Owner(_) | ContainerFilesError::CutShort => {
            return ApiError::new(status(error), with_causes(error));
        }
    };
    let status = match copy {
        CopyError::NotFound(_) => {
            let words = format!("Could not find the file {path} in container {name}");
            return ApiError::new(StatusCode::NOT_FOUND, words);
        }
        CopyError::ReadOnly(_) => StatusCode::FORBIDDEN,
        CopyError::NotAFolder | CopyError::WouldReplace { .. } | CopyError::BadEntry { .. } | CopyError::Archive(_) => {
            StatusCode::BAD_REQUEST
        }
        CopyError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotADirectory => StatusCode::BAD_REQUEST,
        CopyError::NoSpace | CopyError::Io { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    };
    ApiError::new(status, with_causes(copy))
}

fn status(error: &ContainerFilesError) -> StatusCode {
    match error {
        ContainerFilesError::Container(engine::ContainerError::NoSuchContainer(_)) => StatusCode::NOT_FOUND,
        ContainerFilesError::Container(engine::ContainerError::Ambiguous(_)) | ContainerFilesError::Owner(_) => {
            StatusCode::BAD_REQUEST
        }
        ContainerFilesError::Container(engine::ContainerError::Conflict(_)) | ContainerFilesError::CutShort => {
            StatusCode::CONFLICT
        }
        ContainerFilesError::Container(_) | ContainerFilesError::Copy(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
