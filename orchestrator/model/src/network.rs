//! The networks that every node has by itself, and that no swarm can make or remove.

/// A network of the node itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeNetwork {
    /// A bridge of the node, behind the node's addresses.
    Bridge,
    /// The node's own.
    Host,
    /// None but the loopback.
    None,
}

impl NodeNetwork {
    /// All of them, in the order of their names.
    pub const ALL: [Self; 3] = [Self::Bridge, Self::Host, Self::None];

    /// Docker's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Host => "host",
            Self::None => "none",
        }
    }

    /// Docker's word for who makes it.
    pub fn driver(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Host => "host",
            Self::None => "null",
        }
    }

    /// Its id: the same on every node, since clients name networks to a swarm by the id that one node told them. Drawn
    /// once, and of no meaning.
    pub fn id(self) -> &'static str {
        match self {
            Self::Bridge => "5be2c07a94d1f63880e3b7a5c1d92f4e6a07b8c35d9e12f4876b0c3a9ed5f218",
            Self::Host => "8c36e9b1e5d0c4f7a2938e57d1b64f0a9e7c5d2b3f186a04c9d7e2b5180f3a6c",
            Self::None => "3f7d10a8b42c96e5d8017fb39a6c2e4d5b90f1c873ae64d2095bc8f7e1d3a052",
        }
    }

    /// The one of this name or id, or with an id that begins so.
    pub fn find(text: &str) -> Option<Self> {
        let named = Self::ALL.into_iter().find(|network| network.name() == text);
        named.or_else(|| Self::ALL.into_iter().find(|network| !text.is_empty() && network.id().starts_with(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_the_node_are_found_by_name_id_and_its_beginning() {
        for network in NodeNetwork::ALL {
            assert_eq!(network.id().len(), 64);
            for text in [network.name(), network.id(), &network.id()[..12]] {
                assert_eq!(NodeNetwork::find(text), Some(network), "{text}");
            }
        }
        for text in ["", "docker0", "web"] {
            assert_eq!(NodeNetwork::find(text), None, "{text}");
        }
    }
}
