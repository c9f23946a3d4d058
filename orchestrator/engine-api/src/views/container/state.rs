//! What a container does: as a document, and as the sentence of `docker ps`.

use engine::{ContainerState, ContainerStatus, HealthState, HealthStatus};
use jiff::Timestamp;
use serde::Serialize;

use super::{moment, time};

/// Docker's `State`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "they are Docker's")]
pub(super) struct StateView {
    status: &'static str,
    running: bool,
    paused: bool,
    restarting: bool,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
    dead: bool,
    pid: u32,
    exit_code: i32,
    error: String,
    started_at: String,
    finished_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<HealthView>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct HealthView {
    status: &'static str,
    failing_streak: u32,
    log: Vec<ProbeView>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ProbeView {
    start: String,
    end: String,
    exit_code: i32,
    output: String,
}

impl From<&ContainerState> for StateView {
    fn from(state: &ContainerState) -> Self {
        Self {
            status: state.status.as_str(),
            running: state.status.is_running(),
            paused: state.status == ContainerStatus::Paused,
            restarting: state.status == ContainerStatus::Restarting,
            oom_killed: state.oom_killed,
            dead: state.status == ContainerStatus::Dead,
            pid: state.pid,
            exit_code: state.exit_code,
            error: state.error.clone(),
            started_at: moment(state.started_at),
            finished_at: moment(state.finished_at),
            health: state.health.as_ref().map(HealthView::from),
        }
    }
}

impl From<&HealthState> for HealthView {
    fn from(health: &HealthState) -> Self {
        let probes = health.log.iter().map(|result| ProbeView {
            start: time(result.start),
            end: time(result.end),
            exit_code: result.exit_code,
            output: result.output.clone(),
        });
        Self { status: health.status.as_str(), failing_streak: health.failing_streak, log: probes.collect() }
    }
}

/// What `docker ps` says of a container at this moment.
pub(super) fn sentence(state: &ContainerState, now: Timestamp) -> String {
    let since = |moment: Option<Timestamp>| moment.map_or_else(|| "Less than a second".to_owned(), |at| span(at, now));
    match state.status {
        ContainerStatus::Created => "Created".to_owned(),
        ContainerStatus::Paused => format!("Up {} (Paused)", since(state.started_at)),
        ContainerStatus::Running => {
            let health = state.health.as_ref().map_or("", |health| match health.status {
                HealthStatus::Starting => " (health: starting)",
                HealthStatus::Healthy => " (healthy)",
                HealthStatus::Unhealthy => " (unhealthy)",
            });
            format!("Up {}{health}", since(state.started_at))
        }
        ContainerStatus::Restarting => format!("Restarting ({}) {} ago", state.exit_code, since(state.finished_at)),
        ContainerStatus::Exited => format!("Exited ({}) {} ago", state.exit_code, since(state.finished_at)),
        ContainerStatus::Removing => "Removal In Progress".to_owned(),
        ContainerStatus::Dead => "Dead".to_owned(),
    }
}

/// A span of time in Docker's words.
fn span(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).as_secs().max(0);
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match seconds {
        0 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        _ if seconds < 60 => format!("{seconds} seconds"),
        _ if minutes == 1 => "About a minute".to_owned(),
        _ if minutes < 60 => format!("{minutes} minutes"),
        _ if hours == 1 => "About an hour".to_owned(),
        _ if hours < 48 => format!("{hours} hours"),
        _ if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        _ if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        _ if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", seconds / 3600 / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn spans_are_in_dockers_words() {
        let check = |seconds: i64, expected: &str| assert_eq!(span(at(0), at(seconds)), expected, "{seconds}");
        check(-5, "Less than a second");
        check(0, "Less than a second");
        check(1, "1 second");
        check(59, "59 seconds");
        check(60, "About a minute");
        check(120, "2 minutes");
        check(3599, "59 minutes");
        check(3600, "About an hour");
        check(2 * 3600 - 1800, "2 hours");
        check(47 * 3600, "47 hours");
        check(48 * 3600, "2 days");
        check(13 * 86400, "13 days");
        check(14 * 86400, "2 weeks");
        check(60 * 86400, "2 months");
        check(2 * 365 * 86400, "2 years");
    }

    #[test]
    fn every_state_has_its_sentence() {
        let check = |status: ContainerStatus, health: Option<HealthStatus>, expected: &str| {
            let state = ContainerState {
                status,
                exit_code: 3,
                started_at: Some(at(100)),
                finished_at: Some(at(150)),
                health: health.map(|status| HealthState { status, ..HealthState::default() }),
                ..ContainerState::default()
            };
            assert_eq!(sentence(&state, at(160)), expected);
        };
        check(ContainerStatus::Created, None, "Created");
        check(ContainerStatus::Running, None, "Up About a minute");
        check(ContainerStatus::Running, Some(HealthStatus::Starting), "Up About a minute (health: starting)");
        check(ContainerStatus::Running, Some(HealthStatus::Healthy), "Up About a minute (healthy)");
        check(ContainerStatus::Running, Some(HealthStatus::Unhealthy), "Up About a minute (unhealthy)");
        check(ContainerStatus::Paused, None, "Up About a minute (Paused)");
        check(ContainerStatus::Restarting, None, "Restarting (3) 10 seconds ago");
        check(ContainerStatus::Exited, None, "Exited (3) 10 seconds ago");
        check(ContainerStatus::Removing, None, "Removal In Progress");
        check(ContainerStatus::Dead, None, "Dead");
    }

    #[test]
    fn what_has_not_happened_is_gos_zero() {
        let view = serde_json::to_value(StateView::from(&ContainerState::default())).unwrap();

        assert_eq!((&view["StartedAt"], &view["Status"]), (&"0001-01-01T00:00:00Z".into(), &"created".into()));
        assert!(view.get("Health").is_none());
    }
}
