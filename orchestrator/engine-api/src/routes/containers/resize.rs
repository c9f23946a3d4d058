//! `POST /containers/{id}/resize` and `POST /exec/{id}/resize`: the size of a terminal.

use axum::extract::State;
use axum::response::Response;
use runtime::TtySize;

use crate::api::Api;
use crate::error::ApiError;
use crate::path::Named;
use crate::query::Query;
use crate::respond::done;

/// The terminal of a container.
pub(in crate::routes) async fn container(
    State(api): State<Api>,
    Named(name): Named,
    query: Query,
) -> Result<Response, ApiError> {
    api.engine.containers().resize(&name, size(&query)?).await?;
    Ok(done())
}

/// The terminal of a program that was added to one.
pub(in crate::routes) async fn exec(
    State(api): State<Api>,
    Named(id): Named,
    query: Query,
) -> Result<Response, ApiError> {
    api.engine.containers().exec_resize(&id, size(&query)?).await?;
    Ok(done())
}

fn size(query: &Query) -> Result<TtySize, ApiError> {
    Ok(TtySize { rows: number(query, "h", "height")?, columns: number(query, "w", "width")? })
}

fn number(query: &Query, parameter: &str, what: &str) -> Result<u16, ApiError> {
    let text = query.text(parameter);
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let reason = match (is_number, text.parse()) {
        (true, Ok(number)) => return Ok(number),
        (true, Err(_)) => "value out of range",
        (false, _) => "invalid syntax",
    };
    Err(ApiError::invalid(format!("invalid resize {what} {text:?}: {reason}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_numbers_of_a_terminal() {
        let check = |text: &str, expected: Result<(u16, u16), &str>| {
            let found = size(&Query::parse(text)).map(|size| (size.rows, size.columns)).map_err(|error| error.message);
            assert_eq!(found, expected.map_err(str::to_owned), "{text}");
        };
        check("h=40&w=120", Ok((40, 120)));
        check("w=120", Err("invalid resize height \"\": invalid syntax"));
        check("h=1&w=-2", Err("invalid resize width \"-2\": invalid syntax"));
        check("h=1&w=65536", Err("invalid resize width \"65536\": value out of range"));
    }
}
