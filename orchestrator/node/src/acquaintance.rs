//! Whom a node knows besides the managers: all members, and the keys of their gossip, over its restarts.
//!
//! A node that starts gossips before it has found a manager. So one that has moved in the meantime is heard, and the
//! members are let in to the ports that strangers are kept from.

use model::{GossipKey, ManagerPeer, SwarmError};
use serde::{Deserialize, Serialize};

use crate::disk::Disk;
use crate::genesis::GenesisFile;
use crate::record::blocking;

/// What is known, as it is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AcquaintanceFile {
    /// The keys of the gossip, the newest first.
    gossip_keys: Vec<GossipKey>,
    /// All members, this node included.
    members: Vec<ManagerPeer>,
}

/// What is known.
#[derive(Debug)]
pub(crate) struct Acquaintance(AcquaintanceFile);

impl Acquaintance {
    /// What is on disk: what the managers said last, or the first roster.
    pub(crate) async fn read(disk: &Disk, genesis: Option<&GenesisFile>) -> Result<Self, SwarmError> {
        let disk = disk.clone();
        let kept = blocking(move || disk.acquaintance()).await?;
        let first = || {
            genesis.map(|genesis| AcquaintanceFile {
                gossip_keys: vec![genesis.gossip_key.clone()],
                members: genesis.members(),
            })
        };
        Ok(Self(kept.or_else(first).unwrap_or_default()))
    }

    /// The members; empty while they are not known.
    pub(crate) fn members(&self) -> &[ManagerPeer] {
        &self.0.members
    }

    /// The keys of their gossip.
    pub(crate) fn gossip_keys(&self) -> &[GossipKey] {
        &self.0.gossip_keys
    }

    /// Keeps what the managers say, where that is news.
    pub(crate) async fn keep(
        &mut self,
        disk: &Disk,
        gossip_keys: Vec<GossipKey>,
        members: Vec<ManagerPeer>,
    ) -> Result<(), SwarmError> {
        let news = AcquaintanceFile { gossip_keys, members };
        if news == self.0 {
            return Ok(());
        }
        let (disk, kept) = (disk.clone(), news.clone());
        blocking(move || disk.keep_acquaintance(&kept)).await?;
        self.0 = news;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::SwarmIdentity;

    #[tokio::test]
    async fn the_first_roster_holds_until_the_managers_say_more_which_outlives_the_process() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::new(directory.path().to_owned());
        let bootstrap = SwarmIdentity::generate(&["192.0.2.1".parse().unwrap()], 1).bootstraps.remove(0);
        let genesis = GenesisFile {
            cluster_id: bootstrap.cluster_id,
            gossip_key: bootstrap.gossip_key,
            roster: bootstrap.roster,
            seed: None,
            availability: model::Availability::Active,
        };

        let mut first = Acquaintance::read(&disk, Some(&genesis)).await.unwrap();
        assert_eq!(first.members(), genesis.members());
        let mut more = genesis.members();
        more[0].addr = "192.0.2.2:2377".parse().unwrap();
        first.keep(&disk, vec![genesis.gossip_key.clone()], more.clone()).await.unwrap();

        let again = Acquaintance::read(&disk, Some(&genesis)).await.unwrap();
        assert_eq!(again.members(), more);
        assert_eq!(again.gossip_keys(), [genesis.gossip_key]);
    }
}
