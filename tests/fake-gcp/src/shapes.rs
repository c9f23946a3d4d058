//! The bodies that the fake understands, as the discovery document has them.

use crate::shape::Shape::{self, Flag, Integer, List, Long, Map, Object, OneOf, Text};

/// `Duration`.
const DURATION: Shape = Object(&[("seconds", Long), ("nanos", Integer)]);

/// `Scheduling`.
pub(crate) const SCHEDULING: Shape = Object(&[
    ("automaticRestart", Flag),
    ("instanceTerminationAction", OneOf(&["DELETE", "STOP"])),
    ("maxRunDuration", DURATION),
    ("terminationTime", Text),
    ("onHostMaintenance", OneOf(&["MIGRATE", "TERMINATE"])),
    ("preemptible", Flag),
    ("provisioningModel", OneOf(&["FLEX_START", "RESERVATION_BOUND", "SPOT", "STANDARD"])),
]);

/// `AttachedDiskInitializeParams`.
const INITIALIZE: Shape = Object(&[
    ("description", Text),
    ("diskName", Text),
    ("diskSizeGb", Long),
    ("diskType", Text),
    ("labels", Map(&Text)),
    ("sourceImage", Text),
]);

/// `AttachedDisk`.
const DISK: Shape = Object(&[
    ("autoDelete", Flag),
    ("boot", Flag),
    ("deviceName", Text),
    ("diskSizeGb", Long),
    ("initializeParams", INITIALIZE),
    ("mode", OneOf(&["READ_ONLY", "READ_WRITE"])),
    ("source", Text),
    ("type", OneOf(&["PERSISTENT", "SCRATCH"])),
]);

/// `AccessConfig`.
const ACCESS: Shape = Object(&[
    ("name", Text),
    ("natIP", Text),
    ("networkTier", OneOf(&["PREMIUM", "STANDARD"])),
    ("type", OneOf(&["DIRECT_IPV6", "ONE_TO_ONE_NAT"])),
]);

/// `NetworkInterface`.
const INTERFACE: Shape = Object(&[
    ("accessConfigs", List(&ACCESS)),
    ("network", Text),
    ("networkIP", Text),
    ("nicType", OneOf(&["GVNIC", "VIRTIO_NET"])),
    ("stackType", OneOf(&["IPV4_IPV6", "IPV4_ONLY", "IPV6_ONLY"])),
    ("subnetwork", Text),
]);

/// `Metadata`.
const METADATA: Shape = Object(&[("fingerprint", Text), ("items", List(&Object(&[("key", Text), ("value", Text)])))]);

/// `InstanceProperties`.
const PROPERTIES: Shape = Object(&[
    ("canIpForward", Flag),
    ("description", Text),
    ("disks", List(&DISK)),
    ("labels", Map(&Text)),
    ("machineType", Text),
    ("metadata", METADATA),
    ("networkInterfaces", List(&INTERFACE)),
    ("scheduling", SCHEDULING),
    ("serviceAccounts", List(&Object(&[("email", Text), ("scopes", List(&Text))]))),
    (
        "shieldedInstanceConfig",
        Object(&[("enableIntegrityMonitoring", Flag), ("enableSecureBoot", Flag), ("enableVtpm", Flag)]),
    ),
    ("tags", Object(&[("fingerprint", Text), ("items", List(&Text))])),
]);

/// `BulkInsertInstanceResource`.
pub(crate) const BULK_INSERT: Shape = Object(&[
    ("count", Long),
    ("minCount", Long),
    ("namePattern", Text),
    ("perInstanceProperties", Map(&Object(&[("hostname", Text)]))),
    ("instanceProperties", PROPERTIES),
]);

/// A rule of a `Firewall`.
const ALLOWED: Shape = Object(&[("IPProtocol", Text), ("ports", List(&Text))]);

/// `Firewall`.
pub(crate) const FIREWALL: Shape = Object(&[
    ("allowed", List(&ALLOWED)),
    ("denied", List(&ALLOWED)),
    ("description", Text),
    ("destinationRanges", List(&Text)),
    ("direction", OneOf(&["EGRESS", "INGRESS"])),
    ("disabled", Flag),
    ("name", Text),
    ("network", Text),
    ("priority", Integer),
    ("sourceRanges", List(&Text)),
    ("sourceTags", List(&Text)),
    ("targetTags", List(&Text)),
]);

/// `Network`.
pub(crate) const NETWORK: Shape = Object(&[
    ("autoCreateSubnetworks", Flag),
    ("description", Text),
    ("mtu", Integer),
    ("name", Text),
    ("routingConfig", Object(&[("routingMode", OneOf(&["GLOBAL", "REGIONAL"]))])),
]);

/// `Subnetwork`.
pub(crate) const SUBNETWORK: Shape = Object(&[
    ("description", Text),
    ("ipCidrRange", Text),
    ("name", Text),
    ("network", Text),
    ("privateIpGoogleAccess", Flag),
    ("region", Text),
    ("stackType", OneOf(&["IPV4_IPV6", "IPV4_ONLY"])),
]);

/// `InstancesSetLabelsRequest`.
pub(crate) const SET_LABELS: Shape = Object(&[("labelFingerprint", Text), ("labels", Map(&Text))]);

/// `TestPermissionsRequest`.
pub(crate) const PERMISSIONS: Shape = Object(&[("permissions", List(&Text))]);

/// No fields at all: methods that take no body are sent an empty one by some clients.
pub(crate) const NOTHING: Shape = Object(&[]);
