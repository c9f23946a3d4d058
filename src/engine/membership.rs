//! What an agent is in a swarm, by its answer to `GET /info`. Pure.

use model::NodeId;
use serde::Deserialize;

use super::EngineError;

/// What `GET /info` says of the swarm, as far as it matters here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Info {
    swarm: InfoSwarm,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InfoSwarm {
    #[serde(rename = "NodeID", default)]
    node_id: String,
    #[serde(default)]
    local_node_state: String,
    #[serde(default)]
    error: String,
}

/// What an agent is in a swarm.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Membership {
    /// A node.
    Of(NodeId),
    /// Somebody told it to join, and it is at it.
    Joining,
    /// Nothing.
    None,
}

/// How an agent stands in its swarm by its own account.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// A member in session.
    Active,
    /// A manager that waits for the unlock key, in Docker's words.
    Locked(String),
    /// Anything else, in Docker's word.
    Other(String),
}

/// How an agent stands, by its answer to `GET /info`.
pub(super) fn standing(answer: &[u8]) -> Result<Standing, EngineError> {
    let Info { swarm } = read(answer)?;
    Ok(match swarm.local_node_state.as_str() {
        "active" => Standing::Active,
        "locked" => Standing::Locked(swarm.error),
        _ => Standing::Other(swarm.local_node_state),
    })
}

fn wrong(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> EngineError {
    EngineError::Answer { request: "GET /info".to_owned(), source: source.into() }
}

fn read(answer: &[u8]) -> Result<Info, EngineError> {
    serde_json::from_slice(answer).map_err(wrong)
}

/// The node that an agent is, by its answer to `GET /info`. A locked manager does not tell before it is unlocked, and
/// says so in Docker's words, which name the way out.
pub(super) fn membership(answer: &[u8]) -> Result<Membership, EngineError> {
    let Info { swarm } = read(answer)?;
    if swarm.local_node_state == "locked" {
        return Err(EngineError::Refused { status: 503, message: swarm.error });
    }
    if swarm.local_node_state == "inactive" {
        return Ok(Membership::None);
    }
    if swarm.node_id.is_empty() {
        return Ok(if swarm.local_node_state == "pending" { Membership::Joining } else { Membership::None });
    }
    let id = swarm.node_id.parse::<NodeId>().map_err(wrong)?;
    Ok(Membership::Of(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_tells_how_it_stands() {
        let info = |state: &str| {
            standing(format!(r#"{{"Swarm":{{"LocalNodeState":"{state}","Error":"words"}}}}"#).as_bytes()).unwrap()
        };

        assert_eq!(info("active"), Standing::Active);
        assert_eq!(info("pending"), Standing::Other("pending".to_owned()));
        assert_eq!(info("locked"), Standing::Locked("words".to_owned()));
    }

    #[test]
    fn a_locked_manager_says_how_it_is_unlocked_instead_of_who_it_is() {
        let info = |state: &str, id: &str, error: &str| {
            membership(
                format!(r#"{{"Swarm":{{"NodeID":"{id}","LocalNodeState":"{state}","Error":"{error}"}}}}"#).as_bytes(),
            )
        };
        let id = "0123456789abcdefghijklmno";

        assert_eq!(info("active", id, "").unwrap(), Membership::Of(id.parse().unwrap()));
        assert_eq!(info("pending", id, "").unwrap(), Membership::Of(id.parse().unwrap()));
        assert_eq!(info("pending", "", "").unwrap(), Membership::Joining);
        assert_eq!(info("inactive", "", "").unwrap(), Membership::None);
        assert_eq!(info("error", "", "cannot join").unwrap(), Membership::None);
        let locked = info("locked", "", "Please use 'docker swarm unlock' to unlock it.").unwrap_err();
        assert_eq!(locked.to_string(), "Please use 'docker swarm unlock' to unlock it.");
    }
}
