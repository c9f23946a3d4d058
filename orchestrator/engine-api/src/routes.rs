//! The calls that stand. Each file holds what belongs to one kind of object.

mod auth;
mod commit;
mod containers;
mod df;
mod distribution;
mod events;
mod images;
mod lease;
mod logs;
mod networks;
mod nodes;
mod prune;
mod services;
mod swarm;
mod system;
mod tasks;
mod volumes;

use axum::Router;
use axum::routing::{any, get, head, post};

use crate::api::Api;

/// Paths that answer HEAD. Docker routes it like any other method: what has a GET has no HEAD by that alone.
const WITH_HEAD: &[&str] = &["/_ping"];

/// Whether a path answers HEAD, which axum would otherwise take to the route of GET.
pub(crate) fn has_head(path: &str) -> bool {
    let is_archive = || path.starts_with("/containers/") && path.ends_with("/archive");
    WITH_HEAD.contains(&path) || is_archive()
}

/// All calls, without a version before them.
pub(crate) fn all() -> Router<Api> {
    Router::new()
        .route("/_ping", head(system::ping_head).get(system::ping))
        .route("/version", get(system::version))
        .route("/info", get(system::info))
        .route("/events", get(events::stream))
        // Names have slashes, so what comes behind them is told apart by hand.
        .route("/images/{*call}", any(images::call))
        .route("/auth", post(auth::check))
        .route("/build/prune", post(prune::build_cache))
        .route("/commit", post(commit::commit))
        .route(
            "/containers/{id}/archive",
            head(containers::archive::stat).get(containers::archive::read).put(containers::archive::write),
        )
        .route("/containers/{id}/attach", post(containers::attach::attach))
        .route("/containers/{id}/attach/ws", get(containers::attach::attach_web_socket))
        .route("/containers/{id}/changes", get(containers::changes::list))
        .route("/containers/{id}/exec", post(containers::exec::create))
        .route("/containers/{id}/export", get(containers::export::export))
        .route("/containers/{id}/resize", post(containers::resize::container))
        .route("/exec/{id}/json", get(containers::exec::inspect))
        .route("/exec/{id}/start", post(containers::exec::start))
        .route("/exec/{id}/resize", post(containers::resize::exec))
        .route("/distribution/{*call}", get(distribution::inspect))
        .route("/networks", get(networks::list))
        .route("/networks/create", post(networks::create))
        .route("/networks/prune", post(networks::prune))
        .route("/networks/{id}", get(networks::inspect).delete(networks::remove))
        .route("/networks/{id}/connect", post(networks::connect))
        .route("/networks/{id}/disconnect", post(networks::disconnect))
        .route("/swarm", get(swarm::inspect))
        .route("/swarm/init", post(swarm::init))
        .route("/swarm/join", post(swarm::join))
        .route("/swarm/leave", post(swarm::leave))
        .route("/swarm/update", post(swarm::update))
        .route("/swarm/unlockkey", get(swarm::unlock_key))
        .route("/swarm/unlock", post(swarm::unlock))
        .route("/swarm/lease", get(lease::inspect).post(lease::renew))
        .route("/nodes", get(nodes::list))
        .route("/nodes/{id}", get(nodes::inspect).delete(nodes::remove))
        .route("/nodes/{id}/update", post(nodes::update))
        .route("/services", get(services::list))
        .route("/services/create", post(services::create))
        .route("/services/{id}", get(services::inspect).delete(services::remove))
        .route("/services/{id}/update", post(services::update))
        .route("/services/{id}/logs", get(logs::of_service))
        .route("/tasks", get(tasks::list))
        .route("/tasks/{id}", get(tasks::inspect))
        .route("/tasks/{id}/logs", get(logs::of_task))
        .merge(containers::router())
        .route("/system/df", get(df::usage))
        .route("/volumes", get(volumes::list))
        .route("/volumes/create", post(volumes::create))
        .route("/volumes/prune", post(volumes::prune))
        .route("/volumes/{name}", get(volumes::inspect).delete(volumes::remove))
}
