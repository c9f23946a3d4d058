//! Images: which call a path means, and those calls that are answered at once.
//!
//! Names of images have slashes, and axum has no such places in the middle of a path: here the path is read by hand.

pub(super) mod archive;
mod create;
mod lacking;
mod list;
mod push;

use axum::Extension;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{Method, StatusCode};
use image::{Image, Platform, PruneFilter};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;

use crate::api::{Api, Stopping};
use crate::error::ApiError;
use crate::filters::Filters;
use crate::image_name::{is_for, new_tag, platform};
use crate::query::Query;
use crate::respond::json;
use crate::version::ApiVersion;
use crate::views::image::{HistoryDocument, ImageDocument, PruneDocument, RemovedDocument};

/// The filters of a prune.
const PRUNE_FILTERS: &[&str] = &["dangling", "label", "label!", "until"];

/// What is asked for, and of which image.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Call {
    List,
    Search,
    SaveAll,
    Save(String),
    Inspect(String),
    History(String),
    Create,
    Load,
    Lacking,
    Prune,
    Tag(String),
    Push(String),
    Remove(String),
}

impl Call {
    /// Reads what stands behind `/images/`, decoded; `None` for what is no call. An image may have a call's name.
    fn read(method: &Method, path: &str) -> Option<Self> {
        let named = |call: &str| path.strip_suffix(call).filter(|name| !name.is_empty()).map(str::to_owned);
        match (method.as_str(), path) {
            ("GET", "json") => Some(Self::List),
            ("GET", "search") => Some(Self::Search),
            ("GET", "get") => Some(Self::SaveAll),
            ("GET", _) => named("/get")
                .map(Self::Save)
                .or_else(|| named("/json").map(Self::Inspect))
                .or_else(|| named("/history").map(Self::History)),
            ("POST", "create") => Some(Self::Create),
            ("POST", "load") => Some(Self::Load),
            ("POST", "lacking") => Some(Self::Lacking),
            ("POST", "prune") => Some(Self::Prune),
            ("POST", _) => named("/tag").map(Self::Tag).or_else(|| named("/push").map(Self::Push)),
            ("DELETE", _) => named("").map(Self::Remove),
            _ => None,
        }
    }
}

/// All calls about images.
pub(super) async fn call(
    State(api): State<Api>,
    Extension(version): Extension<ApiVersion>,
    Extension(Stopping(stopping)): Extension<Stopping>,
    query: Query,
    request: Request,
) -> Result<Response, ApiError> {
    let path = request.uri().path().strip_prefix("/images/").unwrap_or_default();
    let call = Call::read(request.method(), &decode(path)?).ok_or_else(ApiError::page_not_found)?;
    match call {
        Call::List => list::list(&api, version, &query),
        Call::Search => {
            Err(ApiError::not_offered("this engine searches no registries: name the image, as in `docker pull NAME`"))
        }
        Call::SaveAll => {
            let names: Vec<_> = query.all("names").map(str::to_owned).collect();
            archive::save(&api, &names, &query, stopping)
        }
        Call::Save(name) => archive::save(&api, &[name], &query, stopping),
        Call::Inspect(name) => {
            let image = find(&api, &name, platform(&query)?.as_ref())?;
            Ok(json(StatusCode::OK, &ImageDocument::new(image, version)))
        }
        Call::History(name) => {
            let image = find(&api, &name, platform(&query)?.as_ref())?;
            let history = api.engine.images().store().history(&image);
            Ok(json(StatusCode::OK, &history.into_iter().map(HistoryDocument::from).collect::<Vec<_>>()))
        }
        Call::Create => create::create(api, query, stopping, request).await,
        Call::Load => archive::load(api, &query, stopping, request).await,
        Call::Lacking => lacking::lacking(&api, request).await,
        Call::Prune => prune(&api, &query).await,
        Call::Tag(name) => {
            let target = new_tag(query.text("repo"), query.text("tag"))?;
            api.engine.images().tag(&name, &target).await?;
            Ok(created())
        }
        Call::Push(name) => push::push(api, &name, &query, stopping, request.headers()).await,
        Call::Remove(name) => {
            let removed = api.engine.images().remove(&name, query.boolean("force"), query.boolean("noprune")).await?;
            Ok(json(StatusCode::OK, &removed.into_iter().map(RemovedDocument::from).collect::<Vec<_>>()))
        }
    }
}

/// A path as it was meant.
pub(super) fn decode(path: &str) -> Result<String, ApiError> {
    let decoded = percent_decode_str(path).decode_utf8();
    decoded.map(Into::into).map_err(|_| ApiError::invalid("invalid reference format"))
}

/// The image of a name, if it is for the platform that was asked for.
fn find(api: &Api, name: &str, platform: Option<&Platform>) -> Result<Image, ApiError> {
    let image = api.engine.images().store().find(name)?;
    match platform {
        Some(wanted) if !is_for(&image, Some(wanted)) => Err(ApiError::new(
            StatusCode::NOT_FOUND,
            format!(
                "image with reference {name} was found but its platform ({}) does not match the specified platform \
                 ({wanted})",
                image.config.platform()
            ),
        )),
        Some(_) | None => Ok(image),
    }
}

/// `POST /images/prune`
async fn prune(api: &Api, query: &Query) -> Result<Response, ApiError> {
    let filters = Filters::read(query, PRUNE_FILTERS)?;
    let until = filters.until(Timestamp::now())?;
    let is_all = !filters.boolean("dangling")?.unwrap_or(true);
    let (labels, not_labels) = (filters.labels("label"), filters.labels("label!"));
    let filter = PruneFilter { is_all, until, labels, not_labels };
    let pruned = api.engine.images().prune(filter).await?;
    Ok(json(StatusCode::OK, &PruneDocument::from(pruned)))
}

fn created() -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::CREATED;
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_apart_whatever_images_are_called() {
        let check = |method: Method, path: &str, expected: Option<Call>| {
            assert_eq!(Call::read(&method, path), expected, "{method} {path}");
        };
        let name = || "host:5000/a/b:1".to_owned();
        check(Method::GET, "json", Some(Call::List));
        check(Method::GET, "host:5000/a/b:1/json", Some(Call::Inspect(name())));
        check(Method::GET, "host:5000/a/b:1/history", Some(Call::History(name())));
        check(Method::GET, "host:5000/a/b:1/get", Some(Call::Save(name())));
        check(Method::GET, "get", Some(Call::SaveAll));
        check(Method::GET, "json/json", Some(Call::Inspect("json".to_owned())));
        check(Method::POST, "create", Some(Call::Create));
        check(Method::POST, "create/push", Some(Call::Push("create".to_owned())));
        check(Method::POST, "host:5000/a/b:1/tag", Some(Call::Tag(name())));
        check(Method::DELETE, "json", Some(Call::Remove("json".to_owned())));
        check(Method::DELETE, "host:5000/a/b:1", Some(Call::Remove(name())));
        for (method, path) in [
            (Method::GET, "/json"),
            (Method::GET, "a"),
            (Method::POST, "json"),
            (Method::POST, "/tag"),
            (Method::PUT, "json"),
            (Method::DELETE, ""),
        ] {
            check(method, path, None);
        }
    }
}
