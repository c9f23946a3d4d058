//! Which containers a list is asked for: Docker's filters, with what they name looked up first.

use std::collections::BTreeSet;

use engine::{ContainerRecord, ContainerState, ContainerView, TASK_LABEL};
use image::{Digest, Image};
use jiff::Timestamp;
use regex_lite::{Regex, RegexBuilder};

use super::ports::PortRange;
use crate::api::Api;
use crate::error::ApiError;
use crate::filters::Filters;
use crate::views::container::networks_of;

/// How large the program of a pattern may become, in bytes: some thousands of characters.
const PATTERN_LIMIT: usize = 1 << 20;
/// All words for what containers do.
const STATUSES: [&str; 7] = ["created", "dead", "exited", "paused", "removing", "restarting", "running"];
/// All words for how they are.
const HEALTHS: [&str; 4] = ["healthy", "none", "starting", "unhealthy"];
/// The one isolation that Linux has.
const ISOLATION: &str = "default";

/// Which containers are wanted.
pub(super) struct Wanted<'a> {
    filters: &'a Filters,
    /// Also those that do not run.
    is_all: bool,
    /// Made before this moment, and after that one.
    before: Option<Timestamp>,
    since: Option<Timestamp>,
    names: Vec<Pattern>,
    ids: Vec<Pattern>,
    /// How they ended; any way where there is none.
    exited: Vec<i32>,
    is_task: Option<bool>,
    /// Images that they are made of; `None` for any.
    images: Option<BTreeSet<Digest>>,
    published: Vec<PortRange>,
    exposed: Vec<PortRange>,
}

impl<'a> Wanted<'a> {
    pub(super) fn new(api: &Api, filters: &'a Filters, is_all: bool) -> Result<Self, ApiError> {
        check(filters, "status", &STATUSES)?;
        check(filters, "health", &HEALTHS)?;
        let created = |name: &str| Ok::<_, ApiError>(api.engine.containers().find(name)?.record.created);
        let before = filters.values("before").map(created).collect::<Result<Vec<_>, _>>()?.into_iter().min();
        let since = filters.values("since").map(created).collect::<Result<Vec<_>, _>>()?.into_iter().max();
        let exited = filters
            .values("exited")
            .map(|text| text.parse().map_err(|_| ApiError::invalid(format!("invalid filter 'exited={text}'"))));
        Ok(Self {
            filters,
            is_all: is_all || !filters.is_open("status"),
            before,
            since,
            names: patterns(filters, "name")?,
            ids: patterns(filters, "id")?,
            exited: exited.collect::<Result<_, _>>()?,
            is_task: filters.boolean("is-task")?,
            images: (!filters.is_open("ancestor")).then(|| descendants(api, filters.values("ancestor"))),
            published: filters.values("publish").map(PortRange::parse).collect::<Result<_, _>>()?,
            exposed: filters.values("expose").map(PortRange::parse).collect::<Result<_, _>>()?,
        })
    }

    /// Whether a container is to be shown.
    pub(super) fn is_shown(&self, view: &ContainerView) -> bool {
        let (record, state) = (&view.record, &view.state);
        self.is_of_this_time(record)
            && self.is_in_this_state(state)
            && self.is_called_so(record)
            && self.filters.admits_labels("label", &record.config.labels)
            && self.is_task.is_none_or(|is_task| record.config.labels.contains_key(TASK_LABEL) == is_task)
            && self.images.as_ref().is_none_or(|images| images.contains(&record.image))
            && self.filters.admits("isolation", ISOLATION)
            && self.has_this_volume(record)
            && self.is_in_this_network(record)
            && has_one(&self.published, record.host_config.port_bindings.keys())
            && has_one(&self.exposed, record.config.exposed_ports.keys())
    }

    fn is_of_this_time(&self, record: &ContainerRecord) -> bool {
        self.before.is_none_or(|before| record.created < before)
            && self.since.is_none_or(|since| record.created > since)
    }

    fn is_in_this_state(&self, state: &ContainerState) -> bool {
        let health = state.health.as_ref().map_or("none", |health| health.status.as_str());
        let has_ended_so =
            !state.status.is_running() && state.started_at.is_some() && self.exited.contains(&state.exit_code);
        (self.is_all || state.status.is_running())
            && self.filters.admits("status", state.status.as_str())
            && self.filters.admits("health", health)
            && (self.exited.is_empty() || has_ended_so)
    }

    fn is_called_so(&self, record: &ContainerRecord) -> bool {
        let name = |pattern: &Pattern| pattern.fits(&record.name) || pattern.fits(&format!("/{}", record.name));
        let id = |pattern: &Pattern| pattern.fits(&record.id);
        (self.names.is_empty() || self.names.iter().any(name)) && (self.ids.is_empty() || self.ids.iter().any(id))
    }

    /// A volume is named by itself, or by its place in the container.
    fn has_this_volume(&self, record: &ContainerRecord) -> bool {
        self.filters.is_open("volume")
            || record.mounts.iter().any(|mount| {
                self.filters.admits("volume", &mount.destination)
                    || mount.name.as_ref().is_some_and(|name| self.filters.admits("volume", name))
                    || self.filters.admits("volume", &mount.source.to_string_lossy())
            })
    }

    fn is_in_this_network(&self, record: &ContainerRecord) -> bool {
        let is_it =
            |(id, name): &(String, String)| self.filters.admits("network", name) || self.filters.admits("network", id);
        self.filters.is_open("network") || networks_of(record).iter().any(is_it)
    }
}

/// Refuses what is none of Docker's words.
fn check(filters: &Filters, key: &str, words: &[&str]) -> Result<(), ApiError> {
    match filters.values(key).find(|value| !words.contains(value)) {
        Some(wrong) => Err(ApiError::invalid(format!("invalid filter '{key}={wrong}'"))),
        None => Ok(()),
    }
}

fn has_one<'p>(wanted: &[PortRange], mut ports: impl Iterator<Item = &'p String>) -> bool {
    wanted.is_empty() || ports.any(|port| wanted.iter().any(|range| range.has(port)))
}

/// These images and all that were made from them on this node. A name that means nothing has none.
fn descendants<'n>(api: &Api, names: impl Iterator<Item = &'n str>) -> BTreeSet<Digest> {
    let store = api.engine.images().store();
    let mut found: BTreeSet<Digest> = names.filter_map(|name| store.find(name).ok()).map(|image| image.id).collect();
    let images = store.list();
    loop {
        let is_child = |image: &&Image| image.parent.is_some_and(|parent| found.contains(&parent));
        let children: Vec<_> = images.iter().filter(is_child).map(|image| image.id).collect();
        let count = found.len();
        found.extend(children);
        if found.len() == count {
            return found;
        }
    }
}

/// What a name or an id is asked to look like: exactly so, or as a regular expression says.
struct Pattern {
    text: String,
    expression: Regex,
}

impl Pattern {
    fn fits(&self, text: &str) -> bool {
        self.text == text || self.expression.is_match(text)
    }
}

fn patterns(filters: &Filters, key: &str) -> Result<Vec<Pattern>, ApiError> {
    let pattern = |text: &str| {
        let expression = RegexBuilder::new(text).size_limit(PATTERN_LIMIT).build();
        let invalid = |error| ApiError::invalid(format!("invalid filter '{key}={text}': {error}"));
        Ok::<_, ApiError>(Pattern { text: text.to_owned(), expression: expression.map_err(invalid)? })
    };
    filters.values(key).map(pattern).collect()
}
