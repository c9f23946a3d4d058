//! `GET /images/json`: which images there are.

use axum::response::Response;
use http::StatusCode;
use image::{Image, Reference};
use jiff::Timestamp;

use crate::api::Api;
use crate::error::ApiError;
use crate::filters::Filters;
use crate::glob::Glob;
use crate::moment;
use crate::query::Query;
use crate::respond::json;
use crate::version::ApiVersion;
use crate::views::image::{Sharing, SummaryDocument};

/// The filters of a list of images.
const FILTERS: &[&str] = &["before", "dangling", "label", "reference", "since", "until"];
/// Until when a pattern of names had a parameter of its own.
const FILTER_UNTIL: ApiVersion = ApiVersion::new(1, 41);

/// Which images are wanted.
struct Wanted {
    /// Also those without a name that others were made from.
    is_all: bool,
    is_dangling: Option<bool>,
    /// Made before this moment, and after that one.
    before: Option<Timestamp>,
    after: Option<Timestamp>,
    /// Names; all where there are none.
    names: Vec<Glob>,
    filters: Filters,
}

/// The newest first.
pub(super) fn list(api: &Api, version: ApiVersion, query: &Query) -> Result<Response, ApiError> {
    let mut filters = Filters::read(query, FILTERS)?;
    let name = query.text("filter");
    if version < FILTER_UNTIL && !name.is_empty() {
        filters.add("reference", name);
    }
    let wanted = Wanted::read(api, query, filters)?;
    let images = api.engine.images().store().list();
    let sharing = query.boolean("shared-size").then(|| Sharing::new(&images));
    let is_parent = |image: &Image| images.iter().any(|other| other.parent == Some(image.id));
    let mut shown: Vec<_> = images.iter().filter_map(|image| wanted.shown(image.clone(), is_parent(image))).collect();
    shown.sort_by_key(|image| std::cmp::Reverse(image.config.created));
    let documents: Vec<_> =
        shown.into_iter().map(|image| SummaryDocument::new(image, sharing.as_ref(), version)).collect();
    Ok(json(StatusCode::OK, &documents))
}

impl Wanted {
    fn read(api: &Api, query: &Query, filters: Filters) -> Result<Self, ApiError> {
        let created = |name: &str| api.engine.images().store().find(name).map(|image| made(&image));
        let now = Timestamp::now();
        let until = filters.values("until").map(|text| Ok(moment::parse(text, now)?.unwrap_or(now)));
        let before = filters.values("before").map(|name| created(name).map_err(ApiError::from));
        let before = before.chain(until).collect::<Result<Vec<_>, ApiError>>()?.into_iter().min();
        let after = filters.values("since").map(created).collect::<Result<Vec<_>, _>>()?.into_iter().max();
        let names = filters.values("reference").map(Glob::parse).collect::<Result<Vec<_>, _>>();
        let names = names.map_err(|error| ApiError::invalid(error.to_string()))?;
        let is_dangling = filters.boolean("dangling")?;
        Ok(Self { is_all: query.boolean("all"), is_dangling, before, after, names, filters })
    }

    /// The image with the names that are wanted; `None` for what is not shown.
    fn shown(&self, mut image: Image, is_parent: bool) -> Option<Image> {
        let made = made(&image);
        if self.before.is_some_and(|before| made >= before)
            || self.after.is_some_and(|after| made <= after)
            || !self.filters.admits_labels("label", &image.config.config.labels)
        {
            return None;
        }
        image.repo_tags.retain(|name| self.is_named(name));
        image.repo_digests.retain(|name| self.is_named(name));
        let is_shown = if image.repo_tags.is_empty() && image.repo_digests.is_empty() {
            (self.is_all || !is_parent) && self.is_dangling != Some(false) && self.names.is_empty()
        } else {
            self.is_dangling != Some(true) || image.repo_tags.is_empty()
        };
        is_shown.then_some(image)
    }

    /// Whether a name fits: as it is shown, or without tag and digest.
    fn is_named(&self, name: &str) -> bool {
        let repository = name.parse().map(|name: Reference| name.familiar_name()).unwrap_or_default();
        self.names.is_empty() || self.names.iter().any(|glob| glob.fits(name) || glob.fits(&repository))
    }
}

/// When an image was made; those that do not say so are the oldest.
fn made(image: &Image) -> Timestamp {
    image.config.created.unwrap_or(Timestamp::UNIX_EPOCH)
}
