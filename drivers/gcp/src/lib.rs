//! Machines of Google Cloud: Compute Engine, by Google's own client for its REST interface.
//!
//! ```text
//!   ensure_network   networks.get ∥ firewalls.list ──> firewalls.insert ×3            (not waited for when new)
//!   create           list ──> bulkInsert per group and zone ∥ ──> operations ──> list until addressed
//!   destroy          instances.delete ×N ∥ ──> operations;  remove_network: firewalls.delete ×3 ∥
//!   find             instances.aggregatedList ∥ firewalls.list ∥ networks.list
//! ```
//! Credentials are Application Default Credentials. Machines are named `<cluster>-node-N-<key>`, where the key is a hash
//! of the cluster's id, so that clusters of one name do not collide; `marking` says how things carry the mark. Machines
//! whose cluster has an end are deleted by Compute Engine itself (`maxRunDuration`). With `--service-account` the managers
//! have an account by which they can delete the cluster's machines before that; whoever runs code on a manager can then do
//! with Compute Engine whatever that account may in its project.

#![forbid(unsafe_code)]

mod batch;
mod cloud;
mod create;
mod environment;
mod estimate;
mod failure;
mod farewell;
mod find;
mod life;
mod machines;
mod marking;
mod memory;
mod network;
mod operations;
mod preflight;
mod price;
mod provider;
mod rules;
mod settings;
mod sizes;

use std::path::Path;
use std::sync::Arc;

use driver::cloud as option;
use driver::{Driver, DriverError, OptionSpec, Options};

pub use environment::{Environment, Patience};

/// The provider's name.
pub const NAME: &str = "gcp";
/// What it is, in one line.
pub const ABOUT: &str = "virtual machines of Google Cloud (Compute Engine)";
/// The options that it takes.
pub const OPTIONS: &[OptionSpec] = &[
    OptionSpec {
        name: settings::PROJECT,
        env: Some("GOOGLE_CLOUD_PROJECT"),
        value_name: "ID",
        default: None,
        is_repeated: false,
        help: "The project; without it the one that the credentials name",
    },
    OptionSpec {
        name: option::REGION,
        env: None,
        value_name: "NAME",
        default: None,
        is_repeated: false,
        help: "The region of the machines; without it the zone's, CLOUDSDK_COMPUTE_REGION or us-central1",
    },
    OptionSpec {
        name: option::ZONE,
        env: None,
        value_name: "NAME",
        default: None,
        is_repeated: true,
        help: "A zone of the region; machines take those given in turn, and another where one has no capacity",
    },
    option::SIZE_OPTION,
    OptionSpec {
        name: option::TYPE,
        env: None,
        value_name: "TYPE",
        default: None,
        is_repeated: true,
        help: "A machine type instead of a size (`n2d-standard-4`); the next one where it has no capacity",
    },
    OptionSpec {
        name: option::IMAGE,
        env: None,
        value_name: "PROJECT/FAMILY",
        default: None,
        is_repeated: false,
        help: "The image that machines start from; without it Ubuntu 24.04. It must run cloud-init",
    },
    OptionSpec {
        name: option::USER,
        env: None,
        value_name: "NAME",
        default: None,
        is_repeated: false,
        help: "The user that logs in to the machines; without it `ubuntu`",
    },
    OptionSpec {
        name: option::ARCH,
        env: None,
        value_name: "x86_64|aarch64",
        default: None,
        is_repeated: false,
        help: "The architecture of the machines; without it that of the machine type, or x86_64",
    },
    OptionSpec {
        name: option::DISK,
        env: None,
        value_name: "GB",
        default: None,
        is_repeated: false,
        help: "The size of each machine's disk; without it 20",
    },
    OptionSpec {
        name: option::NETWORK,
        env: None,
        value_name: "NAME[/SUBNETWORK]",
        default: None,
        is_repeated: false,
        help: "A network of the project; without it `default`, or one made for the cluster where there is none",
    },
    OptionSpec {
        name: option::SPOT,
        env: None,
        value_name: "true|false",
        default: None,
        is_repeated: false,
        help: "Spot machines: cheaper, and deleted when Google needs them",
    },
    OptionSpec {
        name: option::PRIVATE,
        env: None,
        value_name: "true|false",
        default: None,
        is_repeated: false,
        help: "Reach machines by their private addresses; they get no public ones",
    },
    OptionSpec {
        name: settings::SERVICE_ACCOUNT,
        env: Some("SWARMUP_SERVICE_ACCOUNT"),
        value_name: "EMAIL|default",
        default: None,
        is_repeated: false,
        help: "Managers have this service account, and delete the machines by it that would be stopped ones otherwise",
    },
];

/// Opens the driver with these options and the variables of this process; nothing is asked before it is used. The
/// folder holds what all processes of the workstation share: the pace of their calls.
///
/// # Errors
/// [`DriverError::InvalidOption`] where an option cannot be understood.
pub fn open(options: &Options, folder: &Path) -> Result<Arc<dyn Driver>, DriverError> {
    open_in(options, folder, Environment::read())
}

/// Opens the driver in an environment of the caller's.
///
/// # Errors
/// [`DriverError::InvalidOption`] where an option cannot be understood.
pub fn open_in(options: &Options, folder: &Path, environment: Environment) -> Result<Arc<dyn Driver>, DriverError> {
    let settings = settings::Settings::read(options, &environment)?;
    Ok(Arc::new(cloud::Cloud::new(settings, environment, folder)))
}
