//! Sizes and architectures, and the instance types that stand for them.

use aws_sdk_ec2::types::ArchitectureValues;
use driver::cloud::{Arch, Size};

/// An architecture as EC2 names it.
pub(crate) fn ec2_name(arch: Arch) -> ArchitectureValues {
    match arch {
        Arch::X86 => ArchitectureValues::X8664,
        Arch::Arm => ArchitectureValues::Arm64,
    }
}

/// An architecture as Ubuntu names it in the names of its images.
pub(crate) fn ubuntu_name(arch: Arch) -> &'static str {
    match arch {
        Arch::X86 => "amd64",
        Arch::Arm => "arm64",
    }
}

/// The architecture of an instance type, which its family tells: a `g` after the generation stands for Graviton.
pub(crate) fn arch_of(name: &str) -> Arch {
    let family = name.split('.').next().unwrap_or(name);
    let after_generation = family.trim_start_matches(|letter: char| letter.is_ascii_alphabetic());
    let attributes = after_generation.trim_start_matches(|letter: char| letter.is_ascii_digit());
    if family == "a1" || attributes.contains('g') { Arch::Arm } else { Arch::X86 }
}

/// The types that stand for a size, in order of preference: the later ones are taken where capacity is missing.
pub(crate) fn types(size: Size, arch: Arch) -> &'static [&'static str] {
    match (arch, size) {
        (Arch::X86, Size::Small) => &["t3.small", "t3a.small", "t3.medium", "t2.medium"],
        (Arch::X86, Size::Medium) => &["t3.medium", "t3a.medium", "t2.medium", "c6i.large"],
        (Arch::X86, Size::Large) => &["t3.large", "t3a.large", "m6i.large", "m5.large"],
        (Arch::Arm, Size::Small) => &["t4g.small", "t4g.medium", "c6g.large"],
        (Arch::Arm, Size::Medium) => &["t4g.medium", "c7g.large", "c6g.large"],
        (Arch::Arm, Size::Large) => &["t4g.large", "m7g.large", "m6g.large"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price;

    #[test]
    fn a_family_tells_its_architecture() {
        for (name, arch) in [
            ("t3.small", Arch::X86),
            ("t4g.small", Arch::Arm),
            ("m7gd.large", Arch::Arm),
            ("g5.xlarge", Arch::X86),
            ("g5g.xlarge", Arch::Arm),
            ("a1.large", Arch::Arm),
            ("im4gn.large", Arch::Arm),
        ] {
            assert_eq!(arch_of(name), arch, "{name}");
        }
    }

    #[test]
    fn every_size_has_types_of_its_architecture_with_a_price() {
        for arch in Arch::ALL {
            for size in [Size::Small, Size::Medium, Size::Large] {
                let types = types(size, arch);

                assert!(types.len() > 2 && types.iter().all(|name| arch_of(name) == arch));
                assert!(types.iter().all(|name| price::machine(name, "eu-west-1", 20, true).is_some()), "{types:?}");
            }
        }
    }
}
