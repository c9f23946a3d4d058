//! `POST /containers/create`: makes a container.

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use image::Platform;

use crate::api::Api;
use crate::error::ApiError;
use crate::image_name::{is_for, platform};
use crate::query::Query;
use crate::respond::json;
use crate::spec::read_container;
use crate::views::container::CreatedDocument;

/// Makes a container of an image that is there. An image that is not is refused so that clients pull it.
pub(super) async fn create(State(api): State<Api>, query: Query, request: Request) -> Result<Response, ApiError> {
    let platform = platform(&query)?;
    let request = read_container(request).await?;
    if let Some(platform) = &platform {
        check_platform(&api, &request.config.image, platform)?;
    }
    let name = Some(query.text("name")).filter(|name| !name.is_empty());
    let created = Box::pin(api.engine.containers().create(name, request)).await?;
    Ok(json(StatusCode::CREATED, &CreatedDocument { id: created.id, warnings: created.warnings }))
}

/// Docker's 404 for an image of another platform than the one that is asked for.
fn check_platform(api: &Api, name: &str, wanted: &Platform) -> Result<(), ApiError> {
    let image = api.engine.images().store().find(name)?;
    if is_for(&image, Some(wanted)) {
        return Ok(());
    }
    let found = image.config.platform();
    Err(ApiError::new(
        StatusCode::NOT_FOUND,
        format!(
            "image with reference {name} was found but its platform ({found}) does not match the specified platform \
             ({wanted})"
        ),
    ))
}
