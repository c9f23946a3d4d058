//! What the fake's Google offers: regions, zones, machine types, images.

/// An architecture of machines and images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Architecture {
    X86,
    Arm,
}

/// The regions with their zones' letters, and the prefix of their subnetwork in the default network.
const REGIONS: [(&str, &str, &str); 3] = [
    ("europe-west1", "bcd", "10.132.0.0/20"),
    ("us-central1", "abcf", "10.128.0.0/20"),
    ("us-east1", "bcd", "10.142.0.0/20"),
];

/// The machine types; those for Arm are in `us-central1` only.
const TYPES: [(&str, Architecture, u32); 8] = [
    ("e2-small", Architecture::X86, 2),
    ("e2-medium", Architecture::X86, 2),
    ("e2-standard-2", Architecture::X86, 2),
    ("n2-standard-2", Architecture::X86, 2),
    ("n2d-standard-2", Architecture::X86, 2),
    ("t2a-standard-2", Architecture::Arm, 2),
    ("c4a-highcpu-2", Architecture::Arm, 2),
    ("c4a-standard-2", Architecture::Arm, 2),
];

/// The images, by their path below `compute/v1/`.
const IMAGES: [(&str, Architecture); 3] = [
    ("projects/ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-amd64", Architecture::X86),
    ("projects/ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-arm64", Architecture::Arm),
    ("projects/debian-cloud/global/images/family/debian-13", Architecture::X86),
];

/// The types of disks.
const DISK_TYPES: [&str; 4] = ["pd-standard", "pd-balanced", "pd-ssd", "hyperdisk-balanced"];

/// The names of the regions.
pub(crate) fn regions() -> impl Iterator<Item = &'static str> {
    REGIONS.iter().map(|(name, _, _)| *name)
}

/// The zones of a region; none where there is no such region.
pub(crate) fn zones(region: &str) -> Vec<String> {
    let letters = REGIONS.iter().find(|(name, _, _)| *name == region).map_or("", |(_, letters, _)| letters);
    letters.chars().map(|letter| format!("{region}-{letter}")).collect()
}

/// The region of a zone, where both exist.
pub(crate) fn region_of(zone: &str) -> Option<&'static str> {
    regions().find(|region| zones(region).iter().any(|known| known == zone))
}

/// The prefix of a region's subnetwork in the default network.
pub(crate) fn default_prefix(region: &str) -> Option<&'static str> {
    REGIONS.iter().find(|(name, _, _)| *name == region).map(|(_, _, prefix)| *prefix)
}

/// A machine type in a zone: its architecture and its cores.
pub(crate) fn machine_type(name: &str, zone: &str) -> Option<(Architecture, u32)> {
    let (_, architecture, cores) = TYPES.iter().find(|(known, _, _)| *known == name)?;
    let is_here = *architecture == Architecture::X86 || region_of(zone) == Some("us-central1");
    is_here.then_some((*architecture, *cores))
}

/// An image's architecture.
pub(crate) fn image(path: &str) -> Option<Architecture> {
    IMAGES.iter().find(|(known, _)| *known == path).map(|(_, architecture)| *architecture)
}

/// Whether instances of a machine type may have a disk type.
pub(crate) fn fits(disk_type: &str, machine_type: &str) -> bool {
    let needs_hyperdisk = machine_type.starts_with("c4a-");
    DISK_TYPES.contains(&disk_type) && disk_type.starts_with("hyperdisk-") == needs_hyperdisk
}
