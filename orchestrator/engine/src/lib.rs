//! What a node is and does by itself, whether or not it is in a swarm: its facts, its events, how long it stays, and the
//! containers, images, volumes and networks on it.
//!
//! ```text
//! Engine ── facts, events, lease
//!    ├── Images
//!    └── Containers ── ImageStore, Volumes, Networks     each container: an actor over runtime::Container
//! task + node ── task_container ──> CreateRequest ──> Containers::ensure, start_once, wait, stop, remove
//! Docker's API ── from_docker_json ──┘                Containers::create, start, attach, exec_create, …
//! ```
//!
//! The Engine API and the agent's tasks both stand on it. What it cannot do it does not claim: settings that a node cannot
//! keep are refused in Docker's words. `orchestrator/design/containers.md` has the rules and the files on the disk.

#![forbid(unsafe_code)]

mod config;
mod container;
mod describe;
mod document;
mod ending;
mod event;
mod facts;
mod id;
mod identity;
mod images;
mod lease;
mod local_network;
mod prefixes;
mod removal;
mod settings;
mod signal;
mod task;
mod volume;

pub use config::{
    BlkioWeightDevice, ContainerConfig, ContainerResources, CreateRequest, DeviceMapping, DeviceRequest, HostConfig,
    LogConfig, PortBinding, RestartPolicy, ThrottleDevice, from_docker_json,
};
pub use container::{
    Attachment, CommitRequest, ContainerError, ContainerFilesError, ContainerFilter, ContainerPlaces, ContainerRecord,
    ContainerSettings, ContainerState, ContainerStatus, ContainerUpdate, ContainerView, Containers, ContainersError,
    ContainersPruned, CopyInRequest, Created, EndpointSettings, ExecConfig, ExecInput, ExecStream, ExecView,
    FileStream, Grace, HealthState, HealthStatus, NoSuchOwner, ProbeResult, ProcessTable, StopRequest, Wait,
    WaitCondition, WaitOutcome,
};
pub use describe::{Engine, EngineOpenError, EngineSettings, VERSION};
pub use document::FileFailure;
pub use ending::end_containers;
pub use event::{Actor, Event, EventKind, EventLog, EventReceiver, EventScope, EventsMissed, KEPT_EVENTS};
pub use facts::{CgroupSupport, HostFacts};
pub(crate) use id::hex_id;
pub use identity::EngineIdentityError;
pub use images::Images;
pub use lease::Lease;
pub use local_network::{
    LocalAddresses, LocalNetwork, LocalNetworkError, Network, NetworkFilter, NetworkRequest, Networks, RangeRequest,
};
pub use network::{BRIDGE, Endpoint, HardwareAddress, Protocol, PublishedPort, Subnet};
pub use removal::remove_containers;
pub use settings::{InvalidSettings, MountKind, MountPoint, NetworkMode, NodeFacts, TmpfsSettings, VolumeRequest};
pub use signal::InvalidSignal;
pub use task::{TASK_ID_LABEL, TASK_LABEL, TaskNode, task_container};
pub use volume::{
    ANONYMOUS_LABEL, InvalidVolumeName, Volume, VolumeError, VolumeFilter, VolumeName, Volumes, VolumesPruned,
};
