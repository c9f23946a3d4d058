//! Machine types: which one a size stands for, and what follows from a type.

use driver::cloud::{Arch, Size};

/// The image that machines start from where none is named.
pub(crate) fn image(arch: Arch) -> &'static str {
    match arch {
        Arch::X86 => "projects/ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-amd64",
        Arch::Arm => "projects/ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-arm64",
    }
}

/// The architecture of a machine type: Google gives the families on Arm an `a` at the end.
pub(crate) fn arch_of(machine_type: &str) -> Arch {
    let family = machine_type.split('-').next().unwrap_or_default();
    let is_arm = family.ends_with('a') && family.chars().any(|character| character.is_ascii_digit());
    if is_arm { Arch::Arm } else { Arch::X86 }
}

/// The types that a size stands for, the first of which has capacity is taken.
pub(crate) fn types(size: Size, arch: Arch) -> &'static [&'static str] {
    match (arch, size) {
        (Arch::X86, Size::Small) => &["e2-small", "e2-medium", "e2-standard-2"],
        (Arch::X86, Size::Medium) => &["e2-medium", "e2-standard-2", "n2d-standard-2"],
        (Arch::X86, Size::Large) => &["e2-standard-2", "n2d-standard-2", "n2-standard-2"],
        (Arch::Arm, Size::Small | Size::Medium) => &["c4a-highcpu-2", "t2a-standard-2", "c4a-standard-2"],
        (Arch::Arm, Size::Large) => &["t2a-standard-2", "c4a-standard-2"],
    }
}

/// The type of the boot disk: the newest families take no other than Hyperdisk.
pub(crate) fn disk_type(machine_type: &str) -> &'static str {
    let family = machine_type.split('-').next().unwrap_or_default();
    if matches!(family, "c4" | "c4a" | "c4d" | "n4" | "n4a" | "n4d") { "hyperdisk-balanced" } else { "pd-balanced" }
}

/// The quota that the cores of a type count against, beside the region's.
pub(crate) fn core_quota(machine_type: &str) -> &'static str {
    match machine_type.split('-').next().unwrap_or_default() {
        "n2" => "N2_CPUS",
        "n2d" => "N2D_CPUS",
        "t2a" => "T2A_CPUS",
        _ => "CPUS",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_on_arm_are_known_by_their_names() {
        for (machine_type, wanted) in [
            ("e2-small", Arch::X86),
            ("n2d-standard-2", Arch::X86),
            ("t2a-standard-2", Arch::Arm),
            ("c4a-highcpu-2", Arch::Arm),
        ] {
            assert_eq!(arch_of(machine_type), wanted, "{machine_type}");
        }
    }

    #[test]
    fn a_size_stands_for_types_of_one_architecture() {
        for arch in Arch::ALL {
            for size in [Size::Small, Size::Medium, Size::Large] {
                assert!(types(size, arch).iter().all(|name| arch_of(name) == arch));
            }
        }
    }
}
