//! The machine types that sizes stand for, and what they cost.
//!
//! The prices are list prices as we know them, taken down on the day that [`AS_OF`] names: Linux, pay as you go, East
//! US, in US dollars. They are a snapshot for estimates, not an offer: other regions cost up to half as much again.

use driver::Price;
use driver::cloud::{Arch, Size};

/// The day on which the table was made.
pub(crate) const AS_OF: &str = "2025-06-01";
/// The currency of the table.
const CURRENCY: &str = "USD";
/// A Standard public address, by the hour.
const ADDRESS: f64 = 0.005;
/// Hours of a month, as Azure reckons prices by the month.
const MONTH: f64 = 730.0;

/// The architecture of a machine type: ARM's have a `p` among the letters behind the number of cores.
pub(crate) fn arch_of(machine_type: &str) -> Arch {
    let name = machine_type.strip_prefix("Standard_").unwrap_or(machine_type);
    let features = name.split('_').next().unwrap_or_default();
    let features = features.trim_start_matches(|letter: char| letter.is_ascii_uppercase());
    let features = features.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '-');
    if features.contains('p') { Arch::Arm } else { Arch::X86 }
}

/// A machine type: its name, the quota of its family, its price by the hour.
struct Known(&'static str, &'static str, f64);

/// The types that sizes stand for.
const KNOWN: [Known; 13] = [
    Known("Standard_B2als_v2", "standardBasv2Family", 0.0376),
    Known("Standard_B2ls_v2", "standardBsv2Family", 0.0416),
    Known("Standard_B2s", "standardBSFamily", 0.0416),
    Known("Standard_B2as_v2", "standardBasv2Family", 0.0752),
    Known("Standard_B2s_v2", "standardBsv2Family", 0.0832),
    Known("Standard_B2ms", "standardBSFamily", 0.0832),
    Known("Standard_D2as_v5", "standardDASv5Family", 0.086),
    Known("Standard_D2s_v5", "standardDSv5Family", 0.096),
    Known("Standard_D2as_v4", "standardDASv4Family", 0.096),
    Known("Standard_B2pls_v2", "standardBpsv2Family", 0.0336),
    Known("Standard_D2pls_v5", "standardDPLSv5Family", 0.068),
    Known("Standard_B2ps_v2", "standardBpsv2Family", 0.0672),
    Known("Standard_D2ps_v5", "standardDPSv5Family", 0.077),
];

/// Tiers of Standard SSDs: up to how many GiB, and the price by the month.
const DISKS: [(u32, f64); 8] =
    [(32, 2.4), (64, 4.8), (128, 9.6), (256, 19.2), (512, 38.4), (1024, 76.8), (2048, 153.6), (4096, 307.2)];

/// The types of a size, the one that is tried first at the front.
pub(crate) fn types(size: Size, arch: Arch) -> &'static [&'static str] {
    match (size, arch) {
        (Size::Small, Arch::X86) => &["Standard_B2als_v2", "Standard_B2s", "Standard_B2ls_v2"],
        (Size::Medium, Arch::X86) => &["Standard_B2as_v2", "Standard_B2ms", "Standard_B2s_v2"],
        (Size::Large, Arch::X86) => &["Standard_D2as_v5", "Standard_D2s_v5", "Standard_D2as_v4"],
        (Size::Small, Arch::Arm) => &["Standard_B2pls_v2", "Standard_D2pls_v5"],
        (Size::Medium, Arch::Arm) => &["Standard_B2ps_v2", "Standard_D2ps_v5"],
        (Size::Large, Arch::Arm) => &["Standard_D2ps_v5", "Standard_B2ps_v2"],
    }
}

/// The quota that a type's family has, where the table knows.
pub(crate) fn family(machine_type: &str) -> Option<&'static str> {
    KNOWN.iter().find(|known| known.0.eq_ignore_ascii_case(machine_type)).map(|known| known.1)
}

/// What one machine costs with its disk and its address; `None` where the table does not know its type. Spot machines
/// cost less, but by the market of the hour: they are reckoned in full.
pub(crate) fn price(machine_type: &str, disk_gb: u32, has_address: bool) -> Option<Price> {
    let machine = KNOWN.iter().find(|known| known.0.eq_ignore_ascii_case(machine_type))?.2;
    let (_, disk) = DISKS.iter().find(|(size, _)| disk_gb <= *size)?;
    let address = if has_address { ADDRESS } else { 0.0 };
    Some(price_of(machine + disk / MONTH + address))
}

/// Several machines.
pub(crate) fn total(one: &Price, machines: u32) -> Price {
    price_of(one.per_hour * f64::from(machines))
}

fn price_of(per_hour: f64) -> Price {
    Price { per_hour, currency: CURRENCY.to_owned(), as_of: AS_OF.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_that_a_size_stands_for_has_a_price_a_family_and_the_right_architecture() {
        for size in [Size::Small, Size::Medium, Size::Large] {
            for arch in Arch::ALL {
                for name in types(size, arch) {
                    assert_eq!(arch_of(name), arch, "{name}");
                    assert!(price(name, 32, true).is_some() && family(name).is_some(), "{name}");
                }
            }
        }
    }

    #[test]
    fn an_architecture_is_told_by_the_letters_behind_the_cores() {
        assert_eq!(arch_of("Standard_E64-16ds_v5"), Arch::X86);
        assert_eq!(arch_of("Standard_E4pds_v5"), Arch::Arm);
        assert_eq!(arch_of("Standard_DS2_v2"), Arch::X86);
    }

    #[test]
    fn a_machine_costs_what_its_parts_cost() {
        let with = price("Standard_B2als_v2", 32, true).unwrap();
        let without = price("Standard_B2als_v2", 32, false).unwrap();

        assert!((with.per_hour - without.per_hour - ADDRESS).abs() < 1e-9);
        assert!((with.per_hour - 0.0459).abs() < 1e-3);
        assert!((total(&with, 5).per_hour - 5.0 * with.per_hour).abs() < 1e-9);
        assert_eq!(price("Standard_X1", 32, true), None);
    }
}
