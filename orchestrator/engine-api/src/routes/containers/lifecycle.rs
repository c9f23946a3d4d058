//! What makes a container run and end, and what it is called.

use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use engine::{Grace, StopRequest};
use http::StatusCode;

use crate::api::Api;
use crate::error::ApiError;
use crate::path::Named;
use crate::query::Query;

/// `POST /containers/{id}/start`
pub(super) async fn start(State(api): State<Api>, Named(id): Named) -> Result<Response, ApiError> {
    Ok(done_or_not_modified(api.engine.containers().start(&id).await?))
}

/// `POST /containers/{id}/stop`
pub(super) async fn stop(State(api): State<Api>, Named(id): Named, query: Query) -> Result<Response, ApiError> {
    Ok(done_or_not_modified(api.engine.containers().stop(&id, &stop_request(&query)?).await?))
}

/// `POST /containers/{id}/restart`
pub(super) async fn restart(State(api): State<Api>, Named(id): Named, query: Query) -> Result<Response, ApiError> {
    api.engine.containers().restart(&id, &stop_request(&query)?).await?;
    Ok(no_content())
}

/// `POST /containers/{id}/kill`
pub(super) async fn kill(State(api): State<Api>, Named(id): Named, query: Query) -> Result<Response, ApiError> {
    api.engine.containers().kill(&id, signal(&query).as_deref()).await?;
    Ok(no_content())
}

/// `POST /containers/{id}/pause`
pub(super) async fn pause(State(api): State<Api>, Named(id): Named) -> Result<Response, ApiError> {
    api.engine.containers().pause(&id).await?;
    Ok(no_content())
}

/// `POST /containers/{id}/unpause`
pub(super) async fn unpause(State(api): State<Api>, Named(id): Named) -> Result<Response, ApiError> {
    api.engine.containers().unpause(&id).await?;
    Ok(no_content())
}

/// `POST /containers/{id}/rename`
pub(super) async fn rename(State(api): State<Api>, Named(id): Named, query: Query) -> Result<Response, ApiError> {
    let name = query.text("name");
    if name.is_empty() {
        return Err(ApiError::invalid("Neither old nor new names may be empty"));
    }
    api.engine.containers().rename(&id, name).await?;
    Ok(no_content())
}

/// How a container is asked to end: `signal`, and `t` in seconds, of which fewer than none are for ever.
fn stop_request(query: &Query) -> Result<StopRequest, ApiError> {
    let grace = match query.text("t") {
        "" => Grace::Settings,
        text => {
            let invalid = |_| ApiError::invalid(format!("invalid value for t: {text:?} is no number of seconds"));
            let seconds: i64 = text.parse().map_err(invalid)?;
            u64::try_from(seconds).map_or(Grace::Forever, |seconds| Grace::Within(Duration::from_secs(seconds)))
        }
    };
    Ok(StopRequest { signal: signal(query), grace })
}

fn signal(query: &Query) -> Option<String> {
    Some(query.text("signal").to_owned()).filter(|signal| !signal.is_empty())
}

fn done_or_not_modified(is_changed: bool) -> Response {
    if is_changed { no_content() } else { empty(StatusCode::NOT_MODIFIED) }
}

pub(super) fn no_content() -> Response {
    empty(StatusCode::NO_CONTENT)
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grace_is_so_many_seconds_for_ever_or_the_containers_own() {
        let check = |text: &str, expected: Result<Grace, u16>| {
            let found = stop_request(&Query::parse(text)).map(|request| request.grace);
            assert_eq!(found.map_err(|error| error.status.as_u16()), expected, "{text}");
        };
        check("", Ok(Grace::Settings));
        check("t=", Ok(Grace::Settings));
        check("t=0", Ok(Grace::Within(Duration::ZERO)));
        check("t=7", Ok(Grace::Within(Duration::from_secs(7))));
        check("t=-1", Ok(Grace::Forever));
        check("t=1.5", Err(400));
        check("t=soon", Err(400));
        check("t=99999999999999999999", Err(400));
    }
}
