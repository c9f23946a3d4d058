//! What every resource of a cluster carries, and its form as tags.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ClusterId, Resource};

/// The tag that holds the cluster's mark itself: by it everything is found.
pub const TAG_ID: &str = "swarmup-id";
/// The cluster's name.
pub const TAG_CLUSTER: &str = "swarmup-cluster";
/// Who owns it.
pub const TAG_OWNER: &str = "swarmup-owner";
/// When it was begun, in Unix seconds.
pub const TAG_CREATED: &str = "swarmup-created";
/// When its time is up, in Unix seconds.
pub const TAG_EXPIRES: &str = "swarmup-expires";

/// What every resource of a cluster carries, as tags or labels, from the call that creates it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The cluster.
    pub cluster: ClusterId,
    /// Its name.
    pub name: String,
    /// Who owns it: `user@workstation`.
    pub owner: String,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When its time is up; absent where it stays until somebody destroys it.
    pub expires: Option<Timestamp>,
}

impl Mark {
    /// The mark as tags.
    pub fn tags(&self) -> Vec<(&'static str, String)> {
        let mut tags = vec![
            (TAG_ID, self.cluster.0.clone()),
            (TAG_CLUSTER, self.name.clone()),
            (TAG_OWNER, self.owner.clone()),
            (TAG_CREATED, self.created_at.as_second().to_string()),
        ];
        tags.extend(self.expires.map(|expires| (TAG_EXPIRES, expires.as_second().to_string())));
        tags
    }
}

impl Resource {
    /// A resource as its tags tell whose it is; `None` where it carries no mark, and so is none of ours.
    pub fn of_tags<'a>(
        kind: impl Into<String>,
        name: impl Into<String>,
        tag: impl Fn(&str) -> Option<&'a str>,
    ) -> Option<Self> {
        let cluster = tag(TAG_ID).filter(|id| !id.is_empty())?;
        let moment = |name| tag(name).and_then(|text| Timestamp::from_second(text.parse().ok()?).ok());
        Some(Self {
            cluster_name: tag(TAG_CLUSTER).map(ToOwned::to_owned),
            owner: tag(TAG_OWNER).map(ToOwned::to_owned),
            created_at: moment(TAG_CREATED),
            expires: moment(TAG_EXPIRES),
            ..Self::new(ClusterId(cluster.to_owned()), kind, name)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_known_by_the_tags_of_its_mark_and_by_nothing_else() {
        let mark = Mark {
            cluster: ClusterId("x".to_owned()),
            name: "lab".to_owned(),
            owner: "me@here".to_owned(),
            created_at: Timestamp::from_second(1_700_000_000).unwrap(),
            expires: Some(Timestamp::from_second(1_700_003_600).unwrap()),
        };
        let tags = mark.tags();
        let tag = |name: &str| tags.iter().find(|(key, _)| *key == name).map(|(_, value)| value.as_str());

        let found = Resource::of_tags("disk", "vol-1", tag).unwrap();

        assert_eq!((&found.cluster, found.cluster_name.as_deref()), (&mark.cluster, Some("lab")));
        assert_eq!((found.created_at, found.expires), (Some(mark.created_at), mark.expires));
        assert_eq!(Resource::of_tags("disk", "vol-2", |name| tag(name).filter(|_| name != TAG_ID)), None);
    }
}
