//! A container's settings as a client sends them. What is wrong by itself is refused here, in Docker's words; what this
//! node cannot do is refused by the engine.

use axum::extract::Request;
use engine::{ContainerResources, ContainerUpdate, CreateRequest, RestartPolicy};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::container_keys::{CONTAINER, EXEC};
use super::ports::normalize_ports;
use crate::body::{from_value, read_value};
use crate::error::ApiError;

/// Makes what stands for nothing.
type Empty = fn() -> Value;

/// Maps whose keys say something also where nothing stands behind them, and what is read there instead. To Go, unlike
/// any other null, these are there.
const KEYS_COUNT: [(&str, Empty); 4] = [
    ("/ExposedPorts", || json!({})),
    ("/Volumes", || json!({})),
    ("/HostConfig/PortBindings", || json!([])),
    ("/NetworkingConfig/EndpointsConfig", || json!({})),
];

/// Reads the body of `POST /containers/create`; keys may be in any case.
pub(crate) async fn read_container(request: Request) -> Result<CreateRequest, ApiError> {
    let mut value = read_value(request).await?;
    if value.is_null() {
        return Err(ApiError::invalid("config cannot be empty in order to create a container"));
    }
    value = CONTAINER.in_any_case(value);
    for (place, empty) in KEYS_COUNT {
        if let Some(Value::Object(members)) = value.pointer_mut(place) {
            members.values_mut().filter(|member| member.is_null()).for_each(|member| *member = empty());
        }
    }
    let mut request: CreateRequest = from_value(value)?;
    if request.config.image.is_empty() {
        return Err(ApiError::invalid("no image is named: a container is made of one"));
    }
    normalize_ports(&mut request)?;
    Ok(request)
}

/// Body of `POST /containers/{id}/update`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct UpdateBody {
    #[serde(flatten)]
    resources: ContainerResources,
    restart_policy: Option<RestartPolicy>,
}

/// Reads the body of `POST /containers/{id}/update`; keys may be in any case.
pub(crate) async fn read_update(request: Request) -> Result<ContainerUpdate, ApiError> {
    let value = CONTAINER.in_any_case(read_value(request).await?);
    let UpdateBody { resources, restart_policy } = from_value(value)?;
    Ok(ContainerUpdate { resources, restart_policy })
}

/// Reads a body that makes or starts a program in a container; keys may be in any case.
pub(crate) async fn read_exec<T: DeserializeOwned>(request: Request) -> Result<T, ApiError> {
    from_value(EXEC.in_any_case(read_value(request).await?))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    async fn read(body: Value) -> Result<CreateRequest, String> {
        let request = Request::new(Body::from(body.to_string()));
        read_container(request).await.map_err(|error| error.message)
    }

    #[tokio::test]
    async fn keys_without_anything_behind_them_are_kept_where_they_say_something() {
        let request = read(json!({
            "image": "a", "Volumes": {"/data": null}, "ExposedPorts": {"80/tcp": null, "53": {}},
            "HostConfig": {"PortBindings": {"80/TCP": null}, "Memory": null},
            "NetworkingConfig": {"EndpointsConfig": {"default": null}},
        }))
        .await
        .unwrap();

        assert_eq!(request.config.volumes.keys().collect::<Vec<_>>(), ["/data"]);
        assert_eq!(request.config.exposed_ports.keys().collect::<Vec<_>>(), ["53/tcp", "80/tcp"]);
        assert_eq!(request.host_config.port_bindings["80/tcp"], Some(Vec::new()));
        assert_eq!(request.networking_config, Some(json!({"EndpointsConfig": {"default": {}}})));
    }

    #[tokio::test]
    async fn a_request_for_nothing_is_refused() {
        let empty = read_container(Request::new(Body::empty())).await.unwrap_err();

        assert_eq!(empty.message, "config cannot be empty in order to create a container");
        assert_eq!(read(json!({})).await.unwrap_err(), "no image is named: a container is made of one");
    }

    #[tokio::test]
    async fn an_update_holds_limits_and_a_policy() {
        let body = json!({"memory": 8_388_608, "CpuShares": null, "RestartPolicy": {"Name": "always"}});

        let update = read_update(Request::new(Body::from(body.to_string()))).await.unwrap();

        assert_eq!((update.resources.memory, update.resources.cpu_shares), (8_388_608, 0));
        assert_eq!(update.restart_policy.unwrap().name, "always");
    }

    #[tokio::test]
    async fn a_program_to_add_is_read_in_any_case() {
        let body = json!({"cmd": ["id"], "TTY": true, "detachKeys": "ctrl-p", "Env": null});

        let config: engine::ExecConfig = read_exec(Request::new(Body::from(body.to_string()))).await.unwrap();

        assert_eq!((config.cmd.join(" ").as_str(), config.tty, config.detach_keys.as_str()), ("id", true, "ctrl-p"));
    }
}
