//! Images from node to node: asks the others for the image of a task, and gives them what this node has (7946/tcp).
//!
//! ```text
//!  task ── sources ──> leader          whom to ask, in order
//!       ── find ─────> nodes, some at a time ──> offers: the first one decides what a name without a digest means
//!       ── blob ─────> those with the same offer, one after the other where one fails ──> store
//! ```
//!
//! `desk` is the other side: it asks the leader whether the node that calls may have the image, and sends at a bounded
//! pace. No node keeps a list of what others have: images come and go without anybody telling.

mod desk;
mod pace;
mod source;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use engine::Images;
use futures_util::future::join_all;
use image::{BlobSource, Descriptor, Digest, FetchError, ImageError, Reference};
use model::{FindImage, GOSSIP_PORT, ImageOffer, ImageSourcesRequest, NodeId, TaskId};
use rpc::{Connector, ImageGuideClient, ImagesClient};
use tokio::sync::{Semaphore, watch};
use tonic::{Code, Status};
use tracing::{debug, info, warn};

pub(crate) use desk::ImageDesk;
use source::PeerSource;

use crate::AgentView;

/// How long the leader may take to name the nodes.
const GUIDED: Duration = Duration::from_secs(5);
/// How long a node may take to say what it has: it asks the leader first.
const ANSWER: Duration = Duration::from_secs(5);
/// How many nodes are asked at a time: all managers of a common swarm, and some more.
const TOGETHER: usize = 16;
/// How many images are fetched at a time; more wait.
const IMAGES: usize = 2;

/// The other nodes, as those from whom images may be had. Clones are handles to the same.
#[derive(Debug, Clone)]
pub struct PeerImages(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    connector: Connector,
    view: watch::Receiver<AgentView>,
    fetching: Semaphore,
}

/// Why no other node gave an image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PeerFailure {
    /// Every node that could be asked was, and none has it.
    #[error("no other node has it")]
    Nowhere,
    /// Nobody could be asked, or who has it did not give it: another try may help.
    #[error("no other node gives it: {0}")]
    Later(String),
    /// The image or this node is the reason, whoever gives it.
    #[error("it cannot be taken from another node")]
    Own(#[source] ImageError),
}

/// What a node has under the name.
struct Found {
    node: NodeId,
    client: ImagesClient,
    document: Descriptor,
}

impl PeerImages {
    /// The members that the view names, reached over this connector.
    pub(crate) fn new(connector: Connector, view: watch::Receiver<AgentView>) -> Self {
        Self(Arc::new(Parts { connector, view, fetching: Semaphore::new(IMAGES) }))
    }

    /// Brings the image of a task of this node from another one.
    ///
    /// Where the reference has a digest, that is what comes. Where it has none, it means what it means on the first of
    /// the nodes that the leader names and that has it; that another one has something else is told in the log.
    pub(crate) async fn fetch(
        &self,
        images: &Images,
        task: &TaskId,
        reference: &Reference,
    ) -> Result<Digest, PeerFailure> {
        let _turn = self.0.fetching.acquire().await.expect("the semaphore is never closed");
        let found = self.find(task, reference).await?;
        let Some(document) = found.first().map(|first| first.document.clone()) else {
            return Err(PeerFailure::Nowhere);
        };
        let (same, other): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|found| found.document.digest == document.digest);
        for found in other {
            let (node, has, taken) = (found.node, found.document.digest, document.digest);
            warn!(%node, image = %reference.familiar(), %has, %taken, "nodes have different images under one name");
        }
        let mut sources: Vec<Arc<dyn BlobSource>> = Vec::new();
        for Found { node, client, .. } in same {
            sources.push(Arc::new(PeerSource { client, node, task: task.clone() }));
        }
        // Who needs the same image at the same time begins with different nodes.
        let turn = task.as_str().bytes().map(usize::from).sum::<usize>() % sources.len();
        sources.rotate_left(turn);
        match images.fetch(&sources, &document, name_of(reference)).await {
            Ok(fetched) => {
                let (image, received) = (fetched.id, fetched.received);
                info!(%task, %image, received, spoiled = fetched.spoiled, "took the image from another node");
                Ok(fetched.id)
            }
            Err(FetchError::Image(error)) => Err(PeerFailure::Own(error)),
            Err(error @ FetchError::NotGiven { .. }) => Err(PeerFailure::Later(error.to_string())),
        }
    }

    /// Who has the image, in the order in which the leader named them.
    async fn find(&self, task: &TaskId, reference: &Reference) -> Result<Vec<Found>, PeerFailure> {
        let nodes = self.guided(task).await?;
        let members = self.0.view.borrow().message.clone();
        let members = members.as_ref().map(|message| message.members.as_slice()).unwrap_or_default();
        let addressed: Vec<_> = nodes
            .into_iter()
            .filter_map(|node| {
                let member = members.iter().find(|member| member.node_id == node)?;
                Some((node, SocketAddr::new(member.addr.ip(), GOSSIP_PORT)))
            })
            .collect();
        let mut silent = 0;
        for some in addressed.chunks(TOGETHER) {
            let answers = some.iter().map(|(node, addr)| self.ask(node, *addr, task, reference));
            let mut found = Vec::new();
            for answer in join_all(answers).await {
                match answer {
                    Ok(answer) => found.extend(answer),
                    Err(()) => silent += 1,
                }
            }
            if !found.is_empty() {
                return Ok(found);
            }
        }
        debug!(%task, asked = addressed.len(), silent, "no other node has the image");
        if silent > 0 && silent == addressed.len() {
            return Err(PeerFailure::Later("none of them answers".to_owned()));
        }
        Ok(Vec::new())
    }

    /// Whom the leader names. A manager of a version that names nobody knows nobody.
    async fn guided(&self, task: &TaskId) -> Result<Vec<NodeId>, PeerFailure> {
        let Some(manager) = self.0.view.borrow().manager.clone() else {
            return Err(PeerFailure::Later("there is no session with a manager".to_owned()));
        };
        let client = ImageGuideClient::new(self.0.connector.channel(manager.addr, manager.node));
        let request = ImageSourcesRequest { task_id: task.clone() };
        match tokio::time::timeout(GUIDED, client.sources(request)).await {
            Ok(Ok(sources)) => Ok(sources.nodes),
            Ok(Err(status)) if status.code() == Code::Unimplemented => Ok(Vec::new()),
            Ok(Err(status)) => Err(PeerFailure::Later(rpc::from_status(&status).message)),
            Err(_elapsed) => Err(PeerFailure::Later("the leader took too long".to_owned())),
        }
    }

    /// Asks one node; `Ok(None)` where it has not got the image, an error where it does not answer.
    async fn ask(
        &self,
        node: &NodeId,
        addr: SocketAddr,
        task: &TaskId,
        reference: &Reference,
    ) -> Result<Option<Found>, ()> {
        let client = ImagesClient::new(self.0.connector.member(addr, node.clone()));
        let asked = client.find(FindImage { task_id: task.clone() });
        let answer = tokio::time::timeout(ANSWER, asked).await;
        match answer.unwrap_or_else(|_| Err(Status::deadline_exceeded("it took too long"))) {
            Ok(offer) => {
                let document = document(&offer, reference);
                if document.is_none() {
                    warn!(%node, image = %reference.familiar(), "a node offers another image than it was asked for");
                }
                let node = node.clone();
                Ok(document.map(|document| Found { node, client, document }))
            }
            // It runs a version that gives nothing, or has not got it.
            Err(status) if matches!(status.code(), Code::NotFound | Code::Unimplemented) => Ok(None),
            Err(status) => {
                debug!(%node, error = status.message(), "a node does not say whether it has the image");
                Err(())
            }
        }
    }
}

/// What an image is known by that was fetched by a reference: its digest, or else its tag; an id is known anyway.
fn name_of(reference: &Reference) -> Option<Reference> {
    let is_id = reference.familiar().parse::<Digest>().is_ok();
    let name = reference.digest().map_or_else(|| reference.clone(), |digest| reference.at(digest));
    (!is_id).then_some(name)
}

/// The document of an offer, if it is the one that was asked for.
fn document(offer: &ImageOffer, reference: &Reference) -> Option<Descriptor> {
    let digest: Digest = offer.digest.parse().ok()?;
    let is_meant = reference.digest().is_none_or(|wanted| wanted == digest);
    is_meant.then(|| Descriptor::new(&offer.media_type, digest, offer.size))
}
