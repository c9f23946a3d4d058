//! The events of a node: a bounded log of the past, and a bounded broadcast of what comes.
//!
//! Publishing never waits for a reader. A reader that is too slow is told how many it missed.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// How many past events are kept for `--since`: as many as in Docker.
pub const KEPT_EVENTS: usize = 256;
/// How far a reader may lag before it misses events: as far as in Docker.
const READER_LAG: usize = 1024;

/// What an event is about, in Docker's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// A config of the swarm.
    Config,
    /// A container of this node.
    Container,
    /// The engine itself.
    Daemon,
    /// An image on this node.
    Image,
    /// A network.
    Network,
    /// A member of the swarm.
    Node,
    /// A secret of the swarm.
    Secret,
    /// A service of the swarm.
    Service,
    /// A volume on this node.
    Volume,
}

impl EventKind {
    /// Docker's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Container => "container",
            Self::Daemon => "daemon",
            Self::Image => "image",
            Self::Network => "network",
            Self::Node => "node",
            Self::Secret => "secret",
            Self::Service => "service",
            Self::Volume => "volume",
        }
    }
}

/// How far an event reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventScope {
    /// It concerns this node.
    Local,
    /// It concerns the swarm.
    Swarm,
}

impl EventScope {
    /// Docker's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Swarm => "swarm",
        }
    }
}

/// The object an event is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actor {
    /// Its id.
    pub id: String,
    /// What else is known of it: `name`, `role.old`, `role.new`, and so on.
    pub attributes: BTreeMap<String, String>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What it is about.
    pub kind: EventKind,
    /// What happened: `create`, `update`, `remove`, …
    pub action: String,
    /// The object.
    pub actor: Actor,
    /// How far it reaches.
    pub scope: EventScope,
    /// When.
    pub time: Timestamp,
}

/// The events of a node. Cheap to share by reference; publishing never blocks on a reader.
pub struct EventLog {
    past: Mutex<VecDeque<Arc<Event>>>,
    coming: broadcast::Sender<Arc<Event>>,
}

impl EventLog {
    /// An empty log.
    pub fn new() -> Self {
        let (coming, _) = broadcast::channel(READER_LAG);
        Self { past: Mutex::new(VecDeque::with_capacity(KEPT_EVENTS)), coming }
    }

    /// Adds an event, and hands it to every reader. The oldest one is forgotten where the log is full.
    pub fn publish(&self, event: Event) {
        let event = Arc::new(event);
        let mut past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        if past.len() == KEPT_EVENTS {
            past.pop_front();
        }
        past.push_back(Arc::clone(&event));
        // Sent under the lock, so that a new reader sees each event exactly once. No reader is no error.
        let _ = self.coming.send(event);
    }

    /// Publishes what has just happened on this node to one of its objects.
    pub(crate) fn tell(&self, kind: EventKind, action: &str, id: &str, attributes: BTreeMap<String, String>) {
        let actor = Actor { id: id.to_owned(), attributes };
        let (action, scope, time) = (action.to_owned(), EventScope::Local, Timestamp::now());
        self.publish(Event { kind, action, actor, scope, time });
    }

    /// The events of the past that are kept, oldest first, and those that come after them: none missing, none twice.
    pub fn subscribe(&self) -> (Vec<Arc<Event>>, EventReceiver) {
        let past = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        (past.iter().cloned().collect(), EventReceiver(self.coming.subscribe()))
    }

    /// How many readers wait for what comes.
    pub fn readers(&self) -> usize {
        self.coming.receiver_count()
    }
}

impl Default for EventLog {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for EventLog {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("EventLog").field("readers", &self.coming.receiver_count()).finish_non_exhaustive()
    }
}

/// How many events a reader missed because it was too slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} events were missed")]
pub struct EventsMissed(pub u64);

/// Reads the events as they come.
#[derive(Debug)]
pub struct EventReceiver(broadcast::Receiver<Arc<Event>>);

impl EventReceiver {
    /// The next event; `None` when the engine is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<Result<Arc<Event>, EventsMissed>> {
        match self.0.recv().await {
            Ok(event) => Some(Ok(event)),
            Err(RecvError::Lagged(missed)) => Some(Err(EventsMissed(missed))),
            Err(RecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(number: usize) -> Event {
        Event {
            kind: EventKind::Node,
            action: "update".to_owned(),
            actor: Actor { id: number.to_string(), attributes: BTreeMap::new() },
            scope: EventScope::Swarm,
            time: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn the_log_forgets_the_oldest_event_when_it_is_full() {
        let log = EventLog::new();
        for number in 0..=KEPT_EVENTS {
            log.publish(numbered(number));
        }

        let (past, _) = log.subscribe();

        assert_eq!(past.len(), KEPT_EVENTS);
        assert_eq!(past[0].actor.id, "1");
        assert_eq!(past[KEPT_EVENTS - 1].actor.id, KEPT_EVENTS.to_string());
    }

    #[tokio::test]
    async fn a_reader_sees_the_past_and_then_what_comes_each_once() {
        let log = EventLog::new();
        log.publish(numbered(1));

        let (past, mut coming) = log.subscribe();
        log.publish(numbered(2));
        drop(log);

        assert_eq!(past.len(), 1);
        assert_eq!(coming.next().await.unwrap().unwrap().actor.id, "2");
        assert_eq!(coming.next().await, None);
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_what_it_missed_and_goes_on() {
        let log = EventLog::new();
        let (_, mut coming) = log.subscribe();
        for number in 0..READER_LAG + 5 {
            log.publish(numbered(number));
        }

        assert_eq!(coming.next().await, Some(Err(EventsMissed(5))));
        assert_eq!(coming.next().await.unwrap().unwrap().actor.id, "5");
    }
}
