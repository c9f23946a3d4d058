//! The log broker during one term of the leader: who reads, who listens, and what goes between them.
//!
//! Nothing here waits with the table in hand. What a reader has not taken holds up its own subscription only: the
//! nodes' calls for it wait for room, those for others do not. Orders are made of what is untold, so that no queue of
//! them can overflow.
//!
//! Reads services, tasks, nodes. Writes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream;
use model::{LogBatch, LogMessage, LogOrder, LogRequest, LogSubscriptionId, LogTarget, NodeId, SwarmError};
use rand::RngExt;
use rand::rngs::StdRng;
use store::{Event, Snapshot, Store, WatchError, WorkEvent};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::subscription::{Given, Subscription, Untaken};
use super::{LogMessages, LogOrderMessages};
use crate::words::{denied, not_found, removed, unavailable};

/// Readers at a time. Each costs 4 MiB at most, and each node that it reads one call at a time.
const READERS: usize = 100;
/// How often it is looked whether nodes keep silent; the limits are seconds.
const TICK: Duration = Duration::from_millis(250);

/// One term of the log broker.
#[derive(Debug)]
pub(crate) struct LogTerm {
    store: Store,
    table: Mutex<Table>,
    cancel: CancellationToken,
}

#[derive(Debug)]
struct Table {
    /// Draws ids of subscriptions.
    rng: StdRng,
    /// Listenings so far: each has a number.
    listenings: u64,
    readers: BTreeMap<LogSubscriptionId, Open>,
    listeners: BTreeMap<NodeId, Listener>,
}

/// A subscription, and who waits for it.
#[derive(Debug)]
struct Open {
    subscription: Subscription,
    /// Something came, or something is over; there is one reader.
    news: Arc<Notify>,
    /// Something was given out.
    room: Arc<Notify>,
}

/// A node that listens.
#[derive(Debug)]
struct Listener {
    listening: u64,
    /// It is to be told something; there is one listener.
    work: Arc<Notify>,
    /// The node listens anew, or is gone.
    over: CancellationToken,
}

impl LogTerm {
    /// A term in which nobody reads yet; it ends with the token.
    pub(crate) fn new(store: Store, rng: StdRng, cancel: CancellationToken) -> Self {
        let table = Table { rng, listenings: 0, readers: BTreeMap::new(), listeners: BTreeMap::new() };
        Self { store, table: Mutex::new(table), cancel }
    }

    /// Follows the state and judges silent nodes, until the term ends.
    pub(crate) async fn run(&self) -> Result<(), SwarmError> {
        let (_, mut events) = self.store.view_and_watch();
        self.changed(None);
        let mut marks = BTreeSet::new();
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.cancel.cancelled() => return Ok(()),
                _ = ticks.tick() => self.judge(),
                event = events.recv() => match event {
                    Ok(Event::Work(work)) => self.mark(&work, &mut marks),
                    Ok(Event::NodeRemoved(node)) => self.forget(&node.id),
                    Ok(Event::Committed { .. }) if marks.is_empty() => {}
                    Ok(Event::Committed { .. }) => self.changed(Some(&std::mem::take(&mut marks))),
                    Ok(Event::NodeChanged(_) | Event::ClusterChanged) => {}
                    Err(WatchError::Lagged(missed)) => {
                        warn!(missed, "fell behind the store; starting from a new snapshot");
                        events = self.store.view_and_watch().1;
                        self.changed(None);
                    }
                    Err(WatchError::Closed) => return Err(unavailable("the store has stopped")),
                },
            }
        }
    }

    /// Tells a node what to read from now on, in the place of what told it before.
    pub(super) fn listen(self: &Arc<Self>, node: &NodeId) -> Result<LogOrderMessages, SwarmError> {
        if self.store.view().node(node).is_none() {
            return Err(removed(node));
        }
        let mut table = self.table();
        table.listenings += 1;
        let (listening, work, over) = (table.listenings, Arc::new(Notify::new()), CancellationToken::new());
        table.ends_listening(node, None);
        let listener = Listener { listening, work: Arc::clone(&work), over: over.clone() };
        table.listeners.insert(node.clone(), listener);
        drop(table);
        let listening = Listening {
            term: Arc::clone(self),
            node: node.clone(),
            number: listening,
            work,
            over,
            open: BTreeSet::new(),
        };
        Ok(Box::pin(stream::unfold(listening, |mut listening| async move {
            let order = listening.next().await?;
            Some((Ok(order), listening))
        })))
    }

    /// Takes what a node has read; returns once it is taken.
    pub(super) async fn publish(&self, node: &NodeId, mut batch: LogBatch) -> Result<(), SwarmError> {
        let over = || not_found("nobody reads this any more");
        let mut waiting: Option<WaitingCall<'_>> = None;
        loop {
            let room = {
                let table = self.table();
                Arc::clone(&table.readers.get(&batch.subscription).ok_or_else(over)?.room)
            };
            let mut room = std::pin::pin!(room.notified());
            // From here on, so that no room is missed between looking and waiting.
            room.as_mut().enable();
            {
                let mut table = self.table();
                let open = table.readers.get_mut(&batch.subscription).ok_or_else(over)?;
                match open.subscription.take(node, &mut batch, Instant::now()) {
                    Ok(()) => {
                        open.news.notify_one();
                        return Ok(());
                    }
                    Err(Untaken::Stale) => return Err(over()),
                    Err(Untaken::Foreign) => return Err(denied("it speaks of tasks that the node was not asked for")),
                    Err(Untaken::Full) if waiting.is_none() => {
                        open.subscription.waits(node, true, Instant::now());
                    }
                    Err(Untaken::Full) => {}
                }
            }
            waiting.get_or_insert_with(|| WaitingCall { term: self, node, subscription: batch.subscription });
            tokio::select! {
                () = self.cancel.cancelled() => return Err(unavailable("the leader's term has ended")),
                () = room => {}
            }
        }
    }

    /// Begins to read.
    pub(super) fn read(self: &Arc<Self>, request: LogRequest) -> Result<LogMessages, SwarmError> {
        let mut table = self.table();
        // With the table in hand: what happens from now on is told to the subscription.
        let view = self.store.view();
        match &request.target {
            LogTarget::Service(id) if view.service(id).is_none() => {
                return Err(not_found(&format!("service {id} not found")));
            }
            LogTarget::Task(id) if view.task(id).is_none() => return Err(not_found(&format!("task {id} not found"))),
            LogTarget::Service(_) | LogTarget::Task(_) => {}
        }
        if table.readers.len() >= READERS {
            return Err(unavailable(&format!("{READERS} readers of logs are served already")));
        }
        let id = LogSubscriptionId(table.rng.random());
        let (news, room) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let subscription = Subscription::new(id, request, &view, Instant::now());
        table.readers.insert(id, Open { subscription, news: Arc::clone(&news), room: Arc::clone(&room) });
        table.wake_nodes_of(id);
        drop(table);
        // Nodes that are down need not be waited for.
        self.judge();
        let reader = Reader { term: Arc::clone(self), id, news, room };
        Ok(Box::pin(stream::unfold(Some(reader), |reader| async move {
            let reader = reader?;
            match reader.next().await? {
                Ok(LogMessage::Lines(lines)) => Some((Ok(LogMessage::Lines(lines)), Some(reader))),
                last => Some((last, None)),
            }
        })))
    }

    fn mark(&self, work: &WorkEvent, marks: &mut BTreeSet<LogSubscriptionId>) {
        let table = self.table();
        let is_concerned = |open: &Open| match work {
            WorkEvent::TaskChanged { task, service, .. } => open.subscription.concerns(task, service),
            WorkEvent::TaskRemoved(task) => open.subscription.concerns(&task.id, &task.state.service_id),
            WorkEvent::ServiceChanged(service) => open.subscription.concerns_service(service),
            WorkEvent::ServiceRemoved(service) => open.subscription.concerns_service(&service.id),
        };
        marks.extend(table.readers.iter().filter(|(_, open)| is_concerned(open)).map(|(id, _)| *id));
    }

    /// Shows subscriptions the state; all of them where none are named.
    fn changed(&self, marked: Option<&BTreeSet<LogSubscriptionId>>) {
        let mut table = self.table();
        let view = self.store.view();
        let ids: Vec<_> =
            table.readers.keys().filter(|id| marked.is_none_or(|marked| marked.contains(id))).copied().collect();
        for id in ids {
            if let Some(open) = table.readers.get_mut(&id) {
                open.subscription.changed(&view, Instant::now());
                open.news.notify_one();
            }
            table.wake_nodes_of(id);
        }
    }

    fn judge(&self) {
        let mut table = self.table();
        if table.readers.is_empty() {
            return;
        }
        let view: Snapshot = self.store.view();
        for open in table.readers.values_mut() {
            open.subscription.judge(&view, Instant::now());
            open.news.notify_one();
        }
    }

    /// A node was removed: it is told nothing more.
    fn forget(&self, node: &NodeId) {
        self.table().ends_listening(node, None);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn readers(&self) -> usize {
        self.table().readers.len()
    }
}

impl Table {
    /// A node listens no more; where one is named, only if this is its present listening.
    fn ends_listening(&mut self, node: &NodeId, listening: Option<u64>) {
        let is_present = |listener: &Listener| listening.is_none_or(|listening| listener.listening == listening);
        if !self.listeners.get(node).is_some_and(is_present) {
            return;
        }
        if let Some(listener) = self.listeners.remove(node) {
            listener.over.cancel();
        }
        for open in self.readers.values_mut() {
            open.subscription.lost(node, Instant::now());
            // Its calls, if there are any left, are stale.
            open.room.notify_waiters();
            open.news.notify_one();
        }
    }

    fn wake_nodes_of(&self, id: LogSubscriptionId) {
        let Some(open) = self.readers.get(&id) else { return };
        for node in open.subscription.nodes() {
            if let Some(listener) = self.listeners.get(node) {
                listener.work.notify_one();
            }
        }
    }
}

/// A call of a node that waits for room; dropped where it waits no more.
struct WaitingCall<'t> {
    term: &'t LogTerm,
    node: &'t NodeId,
    subscription: LogSubscriptionId,
}

impl Drop for WaitingCall<'_> {
    fn drop(&mut self) {
        if let Some(open) = self.term.table().readers.get_mut(&self.subscription) {
            open.subscription.waits(self.node, false, Instant::now());
        }
    }
}

/// One listening of a node; dropping it ends it.
struct Listening {
    term: Arc<LogTerm>,
    node: NodeId,
    number: u64,
    work: Arc<Notify>,
    over: CancellationToken,
    /// The subscriptions that the node was told of.
    open: BTreeSet<LogSubscriptionId>,
}

impl Listening {
    /// The next order, once there is one; `None` when the node is to listen no more.
    async fn next(&mut self) -> Option<LogOrder> {
        loop {
            if self.over.is_cancelled() || self.term.cancel.is_cancelled() {
                return None;
            }
            if let Some(order) = self.order() {
                return Some(order);
            }
            tokio::select! {
                () = self.term.cancel.cancelled() => return None,
                () = self.over.cancelled() => return None,
                () = self.work.notified() => {}
            }
        }
    }

    fn order(&mut self) -> Option<LogOrder> {
        let mut table = self.term.table();
        if let Some(closed) = self.open.iter().find(|id| !table.readers.contains_key(id)).copied() {
            self.open.remove(&closed);
            return Some(LogOrder::Close { subscription: closed });
        }
        let (node, listening, now) = (&self.node, self.number, Instant::now());
        let (id, order) = table
            .readers
            .iter_mut()
            .find_map(|(id, open)| Some((*id, open.subscription.tell(node, listening, now)?)))?;
        self.open.insert(id);
        Some(order)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.term.table().ends_listening(&self.node, Some(self.number));
    }
}

/// One reader; dropping it ends its subscription.
struct Reader {
    term: Arc<LogTerm>,
    id: LogSubscriptionId,
    news: Arc<Notify>,
    room: Arc<Notify>,
}

impl Reader {
    /// What it is given next; `None` at the end of output that is whole.
    async fn next(&self) -> Option<Result<LogMessage, SwarmError>> {
        loop {
            let given = self.term.table().readers.get_mut(&self.id)?.subscription.give(Instant::now());
            let due = match given {
                Given::Lines(lines) => {
                    self.room.notify_waiters();
                    return Some(Ok(LogMessage::Lines(lines)));
                }
                Given::Over(missed) => return missed.map(|words| Ok(LogMessage::Incomplete(words))),
                Given::Nothing(due) => due,
            };
            let elapsed = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                // Last words of the former leader are none of this swarm's.
                () = self.term.cancel.cancelled() => {
                    return Some(Err(unavailable("the leader of the swarm has changed while the logs were read")));
                }
                () = self.news.notified() => {}
                () = elapsed => {}
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut table = self.term.table();
        table.wake_nodes_of(self.id);
        if table.readers.remove(&self.id).is_some() {
            debug!(subscription = self.id.0, "a reader of logs is gone");
        }
        drop(table);
        self.room.notify_waiters();
    }
}
