//! How a container is to be in its networks: planned when it is made or joins one, kept in its record.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use model::NodeNetwork;
use network::HardwareAddress;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{ContainerError, ContainerRecord};
use crate::config::{ContainerConfig, HostConfig};
use crate::local_network::{LocalNetworkError, Network, Networks};
use crate::settings::{InvalidSettings, NetworkMode};

/// How many aliases and links a container may have in a network: each is looked at when a name is.
const NAMES_LIMIT: usize = 256;

/// How much of a container's id is a name of it.
const SHORT_ID: usize = 12;
/// Why a container without addresses of its own has no links.
const NO_LINKS: &str = "this engine does not link containers that have no network of their own";
/// Why a container has no other addresses.
const NO_OTHER_ADDRESSES: &str = "this engine gives no addresses of IPv6 and of a link alone";

/// How a container is to be in a network that has addresses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Attachment {
    /// The network's id.
    pub network: String,
    /// The network's name.
    pub name: String,
    /// Names by which others in the network find it, beside its own.
    pub aliases: Vec<String>,
    /// Names by which it finds others there: `container:name`.
    pub links: Vec<String>,
    /// The address that it asks for.
    pub address: Option<Ipv4Addr>,
    /// The hardware address that it asks for.
    pub hardware_address: Option<HardwareAddress>,
    /// Options of the network's driver. Kept and shown.
    pub driver_options: BTreeMap<String, String>,
    /// Of its networks, the one with the most is its way out.
    pub gateway_priority: i64,
}

/// Docker's `EndpointSettings`: what a client asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EndpointSettings {
    #[serde(rename = "IPAMConfig")]
    addresses: Option<AddressSettings>,
    links: Option<Vec<String>>,
    aliases: Option<Vec<String>>,
    mac_address: Option<String>,
    driver_opts: Option<BTreeMap<String, String>>,
    gw_priority: Option<i64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct AddressSettings {
    #[serde(rename = "IPv4Address")]
    ipv4: Option<String>,
    #[serde(rename = "IPv6Address")]
    ipv6: Option<String>,
    #[serde(rename = "LinkLocalIPs")]
    link_local: Option<Vec<String>>,
}

/// Docker's `NetworkingConfig`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NetworkingSettings {
    endpoints_config: Option<BTreeMap<String, Option<EndpointSettings>>>,
}

impl Attachment {
    /// What is asked for of a network that has addresses; refused where nobody can have it there.
    pub(super) fn new(network: &Network, asked: &EndpointSettings) -> Result<Self, ContainerError> {
        let refuse = |words: &str| Err(InvalidSettings::new(words).into());
        let text = |text: Option<&String>| text.filter(|text| !text.is_empty()).cloned();
        let addresses = asked.addresses.clone().unwrap_or_default();
        let wanted = text(addresses.ipv4.as_ref());
        let (aliases, links) = (asked.aliases.clone().unwrap_or_default(), asked.links.clone().unwrap_or_default());
        let has_more = addresses.ipv6.is_some_and(|text| !text.is_empty())
            || addresses.link_local.is_some_and(|list| !list.is_empty());
        let is_chosen = match network {
            Network::Node(_) => {
                if wanted.is_some() || has_more {
                    return refuse("user specified IP address is supported on user defined networks only");
                }
                if !aliases.is_empty() {
                    return refuse("network-scoped alias is supported only for containers in user defined networks");
                }
                false
            }
            Network::Local(network) => network.addresses.is_chosen,
        };
        if has_more {
            return Err(not_offered(NO_OTHER_ADDRESSES));
        }
        if wanted.is_some() && !is_chosen {
            let words = "user specified IP address is supported only when connecting to networks with user configured \
                         subnets";
            return refuse(words);
        }
        if aliases.len() > NAMES_LIMIT || links.len() > NAMES_LIMIT {
            return refuse("too many names in one network");
        }
        let invalid = |text: &String| InvalidSettings(format!("invalid IPv4 address: {text}"));
        let address = wanted.as_ref().map(|text| text.parse().map_err(|_| invalid(text))).transpose()?;
        let hardware_address = text(asked.mac_address.as_ref()).map(|text| hardware_address(&text)).transpose()?;
        Ok(Self {
            network: network.id().to_owned(),
            name: network.name().to_owned(),
            aliases: aliases.into_iter().filter(|alias| !alias.is_empty()).collect(),
            links,
            address,
            hardware_address,
            driver_options: asked.driver_opts.clone().unwrap_or_default(),
            gateway_priority: asked.gw_priority.unwrap_or_default(),
        })
    }

    /// The names by which others in the network find the container, each once: its own, aliases, the beginning of its id,
    /// its host's.
    pub fn dns_names(&self, record: &ContainerRecord) -> Vec<String> {
        let short_id = record.id.get(..SHORT_ID).unwrap_or(&record.id);
        let aliases = self.aliases.iter().map(String::as_str);
        // With the node's own name it is not the only one.
        let hostname = Some(record.config.hostname.as_str()).filter(|_| record.host_config.uts_mode != "host");
        let mut names: Vec<String> = Vec::new();
        for name in [record.name.as_str()].into_iter().chain(aliases).chain([short_id]).chain(hostname) {
            if !name.is_empty() && !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        names
    }
}

fn hardware_address(text: &str) -> Result<HardwareAddress, InvalidSettings> {
    text.parse().map_err(|error: network::InvalidHardwareAddress| InvalidSettings(error.to_string()))
}

impl ContainerRecord {
    /// How it is to be in networks that have addresses, the one of its mode first. What was kept before there were others
    /// says it by its mode alone.
    pub fn attachments(&self) -> Cow<'_, [Attachment]> {
        if let Some(attachments) = &self.attachments {
            return Cow::Borrowed(attachments);
        }
        if NetworkMode::of(&self.config, &self.host_config) != Ok(NetworkMode::BRIDGE) {
            return Cow::Borrowed(&[]);
        }
        let places = self.networking_config.clone().and_then(|places| serde_json::from_value(places).ok());
        let settings: NetworkingSettings = places.unwrap_or_default();
        let asked = settings.endpoints_config.unwrap_or_default().into_values().flatten().next().unwrap_or_default();
        let mut attachment = Attachment::new(&Network::Node(NodeNetwork::Bridge), &asked).unwrap_or_default();
        if attachment.hardware_address.is_none() {
            attachment.hardware_address = self.config.mac_address.parse().ok();
        }
        Cow::Owned(vec![attachment])
    }
}

/// How a container of these settings is to be in networks: those that it names, the one of its mode first, and that one
/// alone where it names none.
pub(super) fn plan(
    config: &ContainerConfig,
    host: &HostConfig,
    places: Option<&Value>,
    networks: &Networks,
) -> Result<Vec<Attachment>, ContainerError> {
    let mode = NetworkMode::of(config, host)?;
    let invalid = |error: serde_json::Error| InvalidSettings(format!("invalid JSON: {error}"));
    let settings: NetworkingSettings =
        places.cloned().map(serde_json::from_value).transpose().map_err(invalid)?.unwrap_or_default();
    let mut asked = settings.endpoints_config.unwrap_or_default();
    let own = match &mode {
        NetworkMode::Node(NodeNetwork::Bridge) => Network::Node(NodeNetwork::Bridge),
        NetworkMode::Local(name) => find(networks, name)?,
        NetworkMode::Node(_) | NetworkMode::Container(_) => {
            refuse_beside(&mode, config, &asked)?;
            if host.links.iter().flatten().next().is_some() && !matches!(mode, NetworkMode::Container(_)) {
                return Err(not_offered(NO_LINKS));
            }
            return Ok(Vec::new());
        }
    };
    if let Some(bridge) = asked.remove("default") {
        asked.insert(NodeNetwork::Bridge.name().to_owned(), bridge);
    }
    let mut found: Vec<(Network, EndpointSettings)> = Vec::new();
    for (name, settings) in asked {
        let network = find(networks, &name)?;
        if matches!(network, Network::Node(NodeNetwork::Host | NodeNetwork::None)) {
            return Err(InvalidSettings(format!("conflicting options: the network {name} and another one")).into());
        }
        if found.iter().any(|(other, _)| other.id() == network.id()) {
            return Err(InvalidSettings(format!("the network {name} is named twice")).into());
        }
        found.push((network, settings.unwrap_or_default()));
    }
    let is_own = |network: &Network| network.id() == own.id();
    if !found.iter().any(|(network, _)| is_own(network)) && (found.is_empty() || matches!(mode, NetworkMode::Local(_)))
    {
        found.push((own.clone(), EndpointSettings::default()));
    }
    found.sort_by_key(|(network, _)| !is_own(network));
    let mut attachments =
        found.iter().map(|(network, asked)| Attachment::new(network, asked)).collect::<Result<Vec<_>, _>>()?;
    if let Some(first) = attachments.first_mut() {
        if first.hardware_address.is_none() && !config.mac_address.is_empty() {
            first.hardware_address = Some(hardware_address(&config.mac_address)?);
        }
        let links = host.links.iter().flatten().filter(|link| !first.links.contains(link)).cloned();
        let links: Vec<String> = links.collect();
        first.links.extend(links);
    }
    Ok(attachments)
}

/// A network that a new container names. One that is not there is not said to be missing: clients would take that for the
/// image.
fn find(networks: &Networks, name: &str) -> Result<Network, InvalidSettings> {
    networks.find(name).map_err(|error| InvalidSettings(error.to_string()))
}

fn not_offered(words: &str) -> ContainerError {
    LocalNetworkError::NotOffered(words.to_owned()).into()
}

/// Whoever has no addresses of its own is in no network beside.
fn refuse_beside(
    mode: &NetworkMode,
    config: &ContainerConfig,
    asked: &BTreeMap<String, Option<EndpointSettings>>,
) -> Result<(), ContainerError> {
    for (name, settings) in asked {
        let is_same =
            *name == mode.name() || NodeNetwork::find(name).is_some_and(|network| *mode == NetworkMode::Node(network));
        if !is_same {
            return Err(InvalidSettings::new(beside(mode)).into());
        }
        // What no network of the node has, these do not have either.
        let none = EndpointSettings::default();
        let place = Attachment::new(&Network::Node(NodeNetwork::None), settings.as_ref().unwrap_or(&none))?;
        if !place.links.is_empty() {
            return Err(not_offered(NO_LINKS));
        }
    }
    let macs = asked.values().flatten().filter_map(|settings| settings.mac_address.as_ref());
    let has_mac = macs.chain([&config.mac_address]).any(|mac| !mac.is_empty());
    if has_mac && matches!(mode, NetworkMode::Node(_)) {
        return Err(InvalidSettings::new("conflicting options: mac-address and the network mode").into());
    }
    Ok(())
}

/// Why a container of this mode is in no other network.
pub(super) fn beside(mode: &NetworkMode) -> &'static str {
    if *mode == NetworkMode::NONE {
        "container cannot be connected to multiple networks with one of the networks in private (none) mode"
    } else {
        "container sharing network namespace with another container or host cannot be connected to any other network"
    }
}
