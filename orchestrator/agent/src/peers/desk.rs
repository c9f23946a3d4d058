//! Gives other nodes the images of their tasks: only those, whole blobs, at a bounded pace.
//!
//! Whether a node may have an image is for the leader to say, as this node knows only its own tasks. What it said counts
//! for a minute, so that not every blob costs a question.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use image::{Digest, ImageStore, Offer};
use model::{
    BlobRequest, ErrorKind, FindImage, ImageGrantRequest, ImageOffer, NodeId, SwarmError, TaskId, with_causes,
};
use rpc::{BlobPiece, BlobStream, Connector, ImageGuideClient, ImagesService, PeerIdentity};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Status;
use tracing::debug;

use super::pace::Pace;
use crate::AgentView;

/// How long a blob may wait for its turn; then another node is the better choice.
pub(super) const QUEUED: Duration = Duration::from_secs(20);
/// Blobs that are sent at a time, to all other nodes together.
const BLOBS: usize = 6;
/// Questions to the leader at a time.
const QUESTIONS: usize = 16;
/// How long the leader may take.
const GUIDED: Duration = Duration::from_secs(3);
/// How long a grant counts.
const GRANTED: Duration = Duration::from_mins(1);
/// Grants that are kept: one for each task that is being prepared in the swarm.
const GRANTS: usize = 1024;
/// What is read and sent at once.
const PIECE: usize = 128 << 10;
/// Pieces that wait for the network.
const WAITING: usize = 2;
/// How long the other node may take none of them.
const SILENCE: Duration = Duration::from_secs(15);

/// Gives out the images of this node.
#[derive(Debug)]
pub(crate) struct ImageDesk {
    store: ImageStore,
    connector: Connector,
    view: watch::Receiver<AgentView>,
    grants: Mutex<BTreeMap<(NodeId, TaskId), Grant>>,
    questions: Semaphore,
    blobs: Arc<Semaphore>,
    pace: Arc<Pace>,
}

/// What a node may have for a task, for a while.
#[derive(Debug, Clone)]
struct Grant {
    offer: Arc<Offer>,
    until: Instant,
}

impl ImageDesk {
    /// Gives out what is in the store; the manager of the view is asked who may have it.
    pub(crate) fn new(store: ImageStore, connector: Connector, view: watch::Receiver<AgentView>) -> Self {
        Self {
            store,
            connector,
            view,
            grants: Mutex::default(),
            questions: Semaphore::new(QUESTIONS),
            blobs: Arc::new(Semaphore::new(BLOBS)),
            pace: Arc::new(Pace::new()),
        }
    }

    /// What a node may have for a task of its own, and this one has.
    async fn granted(&self, caller: &PeerIdentity, task: TaskId) -> Result<Arc<Offer>, Status> {
        let key = (caller.node_id.clone(), task);
        let known = self.grants.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(grant) = known.filter(|grant| grant.until > Instant::now()) {
            return Ok(grant.offer);
        }
        let image = self.ask(&key).await?;
        let offer = self.store.offer(&image).map_err(|error| refusal(ErrorKind::NotFound, with_causes(&error)))?;
        let grant = Grant { offer: Arc::new(offer), until: Instant::now() + GRANTED };
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        if grants.len() >= GRANTS {
            grants.retain(|_, grant| grant.until > Instant::now());
        }
        // Where there are too many all the same, the next blob costs another question.
        if grants.len() < GRANTS {
            grants.insert(key, grant.clone());
        }
        Ok(grant.offer)
    }

    /// Asks the leader which image a task of a node needs.
    async fn ask(&self, (node_id, task_id): &(NodeId, TaskId)) -> Result<String, Status> {
        let Ok(_turn) = self.questions.try_acquire() else { return Err(later("too many ask at the moment")) };
        let manager = self.view.borrow().manager.clone();
        let Some(manager) = manager else { return Err(later("this node has no session with a manager")) };
        let client = ImageGuideClient::new(self.connector.channel(manager.addr, manager.node));
        let request = ImageGrantRequest { node_id: node_id.clone(), task_id: task_id.clone() };
        match tokio::time::timeout(GUIDED, client.grant(request)).await {
            Ok(Ok(grant)) => Ok(grant.image),
            Ok(Err(status)) if rpc::is_answer(&status) && rpc::leader_of(&status).is_none() => {
                debug!(peer = %node_id, task = %task_id, "a node asks for an image of no task of its own");
                let error = rpc::from_status(&status);
                let is_no_task = error.kind == ErrorKind::NotFound;
                Err(if is_no_task { refusal(ErrorKind::PermissionDenied, error.message) } else { status })
            }
            Ok(Err(status)) => Err(later(status.message())),
            Err(_elapsed) => Err(later("the leader took too long")),
        }
    }
}

#[async_trait]
impl ImagesService for ImageDesk {
    async fn find(&self, caller: PeerIdentity, request: FindImage) -> Result<ImageOffer, Status> {
        let offer = self.granted(&caller, request.task_id).await?;
        let document = &offer.document;
        let (media_type, digest) = (document.media_type.clone(), document.digest.to_string());
        Ok(ImageOffer { media_type, digest, size: document.size })
    }

    async fn blob(&self, caller: PeerIdentity, request: BlobRequest) -> Result<BlobStream, Status> {
        let offer = self.granted(&caller, request.task_id).await?;
        let digest: Option<Digest> = request.digest.parse().ok();
        let Some(digest) = digest.filter(|digest| offer.blobs.contains(digest)) else {
            return Err(refusal(ErrorKind::PermissionDenied, format!("{} is not of the task's image", request.digest)));
        };
        let turn = tokio::time::timeout(QUEUED, Arc::clone(&self.blobs).acquire_owned()).await;
        let Ok(turn) = turn else { return Err(later("this node sends as much as it can")) };
        let turn = turn.expect("the semaphore is never closed");
        let opened = self.store.blob(digest).await;
        let opened = opened.map_err(|error| refusal(ErrorKind::Internal, with_causes(&error)))?;
        let Some((file, _)) = opened else {
            return Err(refusal(ErrorKind::NotFound, format!("{digest} is not here any more")));
        };
        let (sender, receiver) = mpsc::channel(WAITING);
        let mut sending = JoinSet::new();
        sending.spawn(send(file, Arc::clone(&self.pace), sender, turn));
        Ok(Box::pin(stream::unfold((receiver, sending), |(mut receiver, sending)| async move {
            receiver.recv().await.map(|piece| (piece, (receiver, sending)))
        })))
    }
}

/// Sends a file to its end, or until the other node has taken nothing for too long. The turn is given back then.
async fn send(
    file: File,
    pace: Arc<Pace>,
    sender: mpsc::Sender<Result<BlobPiece, Status>>,
    _turn: OwnedSemaphorePermit,
) {
    let mut file = Some(file);
    while let Some(open) = file.take() {
        let piece = match tokio::task::spawn_blocking(move || read(open)).await {
            Ok(Ok((bytes, open))) if !bytes.is_empty() => {
                file = Some(open);
                pace.take(bytes.len()).await;
                Ok(BlobPiece { bytes })
            }
            Ok(Ok(_)) => return,
            Ok(Err(error)) => Err(refusal(ErrorKind::Internal, format!("failed to read the blob: {error}"))),
            Err(error) => Err(refusal(ErrorKind::Internal, error.to_string())),
        };
        if sender.send_timeout(piece, SILENCE).await.is_err() {
            return;
        }
    }
}

/// The next piece of a file; an empty one at its end. Blocks.
fn read(file: File) -> io::Result<(Bytes, File)> {
    let mut bytes = Vec::with_capacity(PIECE);
    let mut limited = file.take(PIECE as u64);
    limited.read_to_end(&mut bytes)?;
    Ok((bytes.into(), limited.into_inner()))
}

fn later(why: &str) -> Status {
    refusal(ErrorKind::Unavailable, why.to_owned())
}

fn refusal(kind: ErrorKind, message: String) -> Status {
    rpc::to_status(SwarmError::new(kind, message))
}
