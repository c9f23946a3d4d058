//! The containers of the node, whoever made them: those of tasks are among them.

pub(super) mod archive;
pub(super) mod attach;
pub(super) mod changes;
mod create;
pub(super) mod exec;
pub(super) mod export;
mod inspect;
mod lifecycle;
mod list;
mod logs;
mod prune;
mod remove;
pub(super) mod resize;
mod stats;
mod top;
mod update;
mod wait;

use axum::Router;
use axum::routing::{delete, get, post};
use engine::{ContainerRecord, ContainerView};
use jiff::Timestamp;

use crate::api::Api;
use crate::views::container::{Sizes, SummaryDocument, SummaryParts};

/// All calls about containers.
pub(super) fn router() -> Router<Api> {
    Router::new()
        .route("/containers/json", get(list::list))
        .route("/containers/create", post(create::create))
        .route("/containers/prune", post(prune::prune))
        .route("/containers/{id}", delete(remove::remove))
        .route("/containers/{id}/json", get(inspect::inspect))
        .route("/containers/{id}/start", post(lifecycle::start))
        .route("/containers/{id}/stop", post(lifecycle::stop))
        .route("/containers/{id}/restart", post(lifecycle::restart))
        .route("/containers/{id}/kill", post(lifecycle::kill))
        .route("/containers/{id}/pause", post(lifecycle::pause))
        .route("/containers/{id}/unpause", post(lifecycle::unpause))
        .route("/containers/{id}/rename", post(lifecycle::rename))
        .route("/containers/{id}/update", post(update::update))
        .route("/containers/{id}/wait", post(wait::wait))
        .route("/containers/{id}/logs", get(logs::logs))
        .route("/containers/{id}/stats", get(stats::stats))
        .route("/containers/{id}/top", get(top::top))
}

/// Reads all files that a container changed, to know their size.
async fn sizes(api: &Api, record: &ContainerRecord) -> Sizes {
    let changed = api.engine.containers().changed_bytes(&record.id).await;
    // An image that was removed by force is not known any more.
    let image = api.engine.images().store().find(&record.image.to_string());
    Sizes { changed, image: image.map_or(0, |image| image.bytes) }
}

/// Shows a container as a line of a list, with the sizes of its files where they are asked for.
pub(super) async fn summary(api: &Api, view: &ContainerView, has_sizes: bool) -> SummaryDocument {
    let sizes = if has_sizes { Some(sizes(api, &view.record).await) } else { None };
    let has_image_name = has_image_name(api, view);
    SummaryDocument::new(&SummaryParts { view, has_image_name, sizes, now: Timestamp::now() })
}

/// Whether the name that a container's image was given by still means that image.
fn has_image_name(api: &Api, view: &ContainerView) -> bool {
    let record = &view.record;
    api.engine.images().store().find(&record.config.image).is_ok_and(|image| image.id == record.image)
}
