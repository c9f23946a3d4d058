//! An event, as `GET /events` streams it.

use std::collections::BTreeMap;

use engine::Event;
use serde::Serialize;

/// Docker's event message.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EventDocument<'a> {
    #[serde(rename = "Type")]
    kind: &'static str,
    action: &'a str,
    actor: ActorView<'a>,
    #[serde(rename = "scope")]
    scope: &'static str,
    #[serde(rename = "time")]
    time: i64,
    #[serde(rename = "timeNano")]
    time_nano: i64,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ActorView<'a> {
    #[serde(rename = "ID")]
    id: &'a str,
    attributes: &'a BTreeMap<String, String>,
}

impl<'a> From<&'a Event> for EventDocument<'a> {
    fn from(event: &'a Event) -> Self {
        Self {
            kind: event.kind.as_str(),
            action: &event.action,
            actor: ActorView { id: &event.actor.id, attributes: &event.actor.attributes },
            scope: event.scope.as_str(),
            time: event.time.as_second(),
            // Nanoseconds fit 64 bits until the year 2262.
            time_nano: i64::try_from(event.time.as_nanosecond()).unwrap_or(i64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use engine::{Actor, EventKind, EventScope};
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn an_event_is_shown_as_docker_shows_it() {
        let event = Event {
            kind: EventKind::Node,
            action: "update".to_owned(),
            actor: Actor {
                id: "24ifsmvkjbyhk9cjxhvyzqw7p".to_owned(),
                attributes: BTreeMap::from([("name".to_owned(), "node-1".to_owned())]),
            },
            scope: EventScope::Swarm,
            time: Timestamp::new(1_700_000_000, 5).unwrap(),
        };

        assert_eq!(
            serde_json::to_string(&EventDocument::from(&event)).unwrap(),
            concat!(
                r#"{"Type":"node","Action":"update","#,
                r#""Actor":{"ID":"24ifsmvkjbyhk9cjxhvyzqw7p","Attributes":{"name":"node-1"}},"#,
                r#""scope":"swarm","time":1700000000,"timeNano":1700000000000000005}"#,
            )
        );
    }
}
