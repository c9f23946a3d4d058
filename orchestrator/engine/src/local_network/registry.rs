//! Which networks a node has: made, found, removed, and who is in them when the engine opens.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use links::Prefix;
use model::{NodeNetwork, with_causes};
use network::{Bridge, BridgeSettings, Endpoint, Host};

use super::plan::NetworkRequest;
use super::{Directory, LocalNetwork, LocalNetworkError, Network};
use crate::document::{self, Durability, FileFailure, blocking};
use crate::event::{EventKind, EventLog};

/// How documents of networks end.
const EXTENSION: &str = "json";
/// How those end that a crash has left half written.
const UNFINISHED: &str = "new";

/// The networks of a node. Clones are handles to the same ones.
#[derive(Debug, Clone)]
pub struct Networks {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    host: Arc<Host>,
    /// The bridge that the node has by itself.
    node: Arc<Bridge>,
    events: Arc<EventLog>,
    directory: Directory,
    /// Those that operators made, by id. Held for moments.
    known: Mutex<BTreeMap<String, Known>>,
    /// Held while one is made or removed, so that no range is given twice.
    changing: Mutex<()>,
}

/// A network that an operator made.
#[derive(Debug, Clone)]
struct Known {
    network: LocalNetwork,
    bridge: Arc<Bridge>,
}

impl Networks {
    /// The networks whose documents are in a folder, which is made where it is missing. Blocks.
    pub(crate) fn open(root: &Path, host: Host, events: Arc<EventLog>) -> Result<Self, FileFailure> {
        fs::create_dir_all(root).map_err(FileFailure::at("make", root))?;
        let host = Arc::new(host);
        let mut known = BTreeMap::new();
        for entry in fs::read_dir(root).map_err(FileFailure::at("list", root))?.flatten() {
            let path = entry.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some(EXTENSION) => {}
                Some(UNFINISHED) => {
                    fs::remove_file(&path).map_err(FileFailure::at("remove", &path))?;
                    continue;
                }
                Some(_) | None => continue,
            }
            let Some(network) = document::read::<LocalNetwork>(&path)? else { continue };
            let bridge = Arc::new(Bridge::new(Arc::clone(&host), network.bridge()));
            known.insert(network.id.clone(), Known { network, bridge });
        }
        let node = Arc::new(Bridge::new(Arc::clone(&host), BridgeSettings::of_node()));
        let (root, directory) = (root.to_owned(), Directory::default());
        let (known, changing) = (Mutex::new(known), Mutex::new(()));
        Ok(Self { shared: Arc::new(Shared { root, host, node, events, directory, known, changing }) })
    }

    /// Takes over the endpoints that containers had before this process: the ids of container and network, and the
    /// endpoint. Bridges of no network are taken away. What goes wrong is logged: `tend` tries again.
    pub(crate) fn adopt(&self, endpoints: Vec<(String, String, Endpoint)>) {
        let mut by_network: BTreeMap<String, Vec<(String, Endpoint)>> = BTreeMap::new();
        for (container, network, endpoint) in endpoints {
            by_network.entry(network).or_default().push((container, endpoint));
        }
        let known: Vec<Known> = self.shared.known().values().cloned().collect();
        let links: Vec<String> = known.iter().map(|known| known.network.link()).collect();
        note("bridges of no network are still there", network::remove_all_but(&self.shared.host, &links));
        let of_node = by_network.remove(NodeNetwork::Bridge.id()).unwrap_or_default();
        note("the node's bridge is not as it should be; trying again", self.shared.node.adopt(of_node));
        for Known { network, bridge } in known {
            let endpoints = by_network.remove(&network.id).unwrap_or_default();
            note("a network's bridge is not as it should be; trying again", bridge.adopt(endpoints));
        }
    }

    /// Puts back what others may have taken away. What goes wrong is logged.
    pub(crate) fn tend(&self) {
        let known: Vec<Arc<Bridge>> = self.shared.known().values().map(|known| Arc::clone(&known.bridge)).collect();
        for bridge in known.iter().chain([&self.shared.node]) {
            note("a bridge of the node is not as it should be; trying again", bridge.tend());
        }
    }

    /// All networks, by name.
    pub fn list(&self) -> Vec<Network> {
        let local = self.shared.known().values().map(|known| Network::Local(known.network.clone())).collect::<Vec<_>>();
        let mut all: Vec<Network> = NodeNetwork::ALL.map(Network::Node).into_iter().chain(local).collect();
        all.sort_by(|one, other| one.name().cmp(other.name()));
        all
    }

    /// The network of this id or name, or with an id that begins so, in this order.
    pub fn find(&self, text: &str) -> Result<Network, LocalNetworkError> {
        let no_such = || LocalNetworkError::NoSuchNetwork(text.to_owned());
        if text.is_empty() {
            return Err(no_such());
        }
        let all = self.list();
        let exact = all.iter().find(|network| network.id() == text);
        if let Some(found) = exact.or_else(|| all.iter().find(|network| network.name() == text)) {
            return Ok(found.clone());
        }
        let mut matching = all.iter().filter(|network| network.id().starts_with(text));
        match (matching.next(), matching.next()) {
            (Some(found), None) => Ok(found.clone()),
            (Some(_), Some(_)) => Err(LocalNetworkError::Ambiguous(text.to_owned())),
            (None, _) => Err(no_such()),
        }
    }

    /// Who is in which network by which names.
    pub(crate) fn directory(&self) -> &Directory {
        &self.shared.directory
    }

    /// The bridge that every node has by itself.
    pub(crate) fn node_bridge(&self) -> Arc<Bridge> {
        Arc::clone(&self.shared.node)
    }

    /// The bridge of a network, by its id. Neither the host's network nor none is one.
    pub(crate) fn bridge_of(&self, id: &str) -> Option<Arc<Bridge>> {
        if id == NodeNetwork::Bridge.id() {
            return Some(self.node_bridge());
        }
        self.shared.known().get(id).map(|known| Arc::clone(&known.bridge))
    }

    /// Makes a network with this id. On return it stands.
    pub(crate) async fn create(&self, id: String, request: NetworkRequest) -> Result<LocalNetwork, LocalNetworkError> {
        let shared = Arc::clone(&self.shared);
        blocking(move || shared.create(id, request)).await
    }

    /// Removes a network. Refused while a container is in it, and for those that every node has by itself.
    pub(crate) async fn remove(&self, text: &str) -> Result<(), LocalNetworkError> {
        match self.find(text)? {
            Network::Node(network) => {
                let words = format!("{} is a pre-defined network and cannot be removed", network.name());
                Err(LocalNetworkError::Refused(words))
            }
            Network::Local(network) => self.remove_local(&network.id).await,
        }
    }

    /// Removes a network that an operator made, by its id.
    pub(super) async fn remove_local(&self, id: &str) -> Result<(), LocalNetworkError> {
        let (shared, id) = (Arc::clone(&self.shared), id.to_owned());
        blocking(move || shared.remove(&id)).await
    }

    /// Tells of something that happened to a network.
    pub(crate) fn tell(&self, action: &str, network: &Network, container: Option<&str>) {
        self.shared.tell(action, network, container);
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn document(&self, id: &str) -> PathBuf {
        self.root.join(id).with_extension(EXTENSION)
    }

    fn create(&self, id: String, request: NetworkRequest) -> Result<LocalNetwork, LocalNetworkError> {
        request.check()?;
        let chosen = request.chosen_addresses()?;
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let known: Vec<LocalNetwork> = self.known().values().map(|known| known.network.clone()).collect();
        if known.iter().any(|known| known.name == request.name) {
            return Err(LocalNetworkError::Exists(request.name));
        }
        let others: Vec<Prefix> = known.iter().map(|known| known.addresses.subnet.prefix()).collect();
        let of_node = self.node.subnet()?.prefix();
        let addresses = if let Some(chosen) = chosen {
            let range = chosen.subnet.prefix();
            let is_shared = others.iter().any(|other| other.overlaps(&range));
            if is_shared || (self.node.stands() && of_node.overlaps(&range)) {
                return Err(LocalNetworkError::Overlaps);
            }
            chosen
        } else {
            // The node's bridge is to have the range that it would have without others.
            let in_use: Vec<Prefix> = others.into_iter().chain([of_node]).collect();
            request.found_addresses(network::free_range_beside(&in_use)?)
        };
        let network = LocalNetwork {
            id,
            name: request.name,
            created: Timestamp::now(),
            is_internal: request.is_internal,
            is_attachable: request.is_attachable,
            options: request.options,
            labels: request.labels,
            addresses,
        };
        let link = network.link();
        if known.iter().any(|known| known.link() == link) {
            return Err(LocalNetworkError::Invalid(format!("the link {link} is another network's")));
        }
        let bridge = Arc::new(Bridge::new(Arc::clone(&self.host), network.bridge()));
        let path = self.document(&network.id);
        document::write(&path, &network, Durability::Disk)?;
        if let Err(error) = bridge.stand() {
            let undone = bridge.remove().map(drop).map_err(LocalNetworkError::from);
            let forgotten = fs::remove_file(&path).map_err(FileFailure::at("remove", &path));
            note("remains of a network that was not made stay until the next start", undone);
            note("a network that could not be made is there", forgotten);
            return Err(error.into());
        }
        self.known().insert(network.id.clone(), Known { network: network.clone(), bridge });
        self.tell("create", &Network::Local(network.clone()), None);
        Ok(network)
    }

    fn remove(&self, id: &str) -> Result<(), LocalNetworkError> {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let no_such = || LocalNetworkError::NoSuchNetwork(id.to_owned());
        let Known { network, bridge } = self.known().get(id).cloned().ok_or_else(no_such)?;
        if !bridge.remove()? {
            let containers = bridge.endpoints().into_keys().collect::<Vec<_>>().join(", ");
            return Err(LocalNetworkError::InUse { name: network.name, id: network.id, containers });
        }
        let path = self.document(id);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            outcome => outcome.map_err(FileFailure::at("remove", &path))?,
        }
        self.known().remove(id);
        self.tell("destroy", &Network::Local(network), None);
        Ok(())
    }

    fn tell(&self, action: &str, network: &Network, container: Option<&str>) {
        let named = [("name", network.name()), ("type", network.driver())];
        let attributes = named.into_iter().chain(container.map(|container| ("container", container)));
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        self.events.tell(EventKind::Network, action, network.id(), attributes);
    }
}

/// Logs what went wrong.
fn note<E: std::error::Error + 'static>(words: &'static str, outcome: Result<(), E>) {
    if let Err(error) = outcome {
        tracing::warn!(error = with_causes(&error), "{words}");
    }
}
