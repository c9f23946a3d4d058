//! What machines cost: a snapshot of Google's list prices.
//!
//! The figures are those of the public price list for Compute Engine in `us-central1`, in US dollars and without the
//! discounts of a contract or of sustained use, as they stood on the day below; other regions by their ratio to it.
//! They are good for a decision beforehand, not for a bill.

use driver::Price;

/// The day of the snapshot.
pub(crate) const AS_OF: &str = "2025-06-01";

/// Types and what an hour of one costs.
const TYPES: [(&str, f64); 8] = [
    ("c4a-highcpu-2", 0.0765),
    ("c4a-standard-2", 0.0898),
    ("e2-medium", 0.033_503),
    ("e2-small", 0.016_751),
    ("e2-standard-2", 0.067_006),
    ("n2-standard-2", 0.097_118),
    ("n2d-standard-2", 0.084_492),
    ("t2a-standard-2", 0.077),
];

/// Regions and what they cost compared with `us-central1`.
const REGIONS: [(&str, f64); 12] = [
    ("asia-east1", 1.16),
    ("asia-northeast1", 1.28),
    ("asia-southeast1", 1.23),
    ("europe-north1", 1.10),
    ("europe-west1", 1.10),
    ("europe-west2", 1.29),
    ("europe-west3", 1.29),
    ("europe-west4", 1.10),
    ("us-central1", 1.0),
    ("us-east1", 1.0),
    ("us-east4", 1.13),
    ("us-west1", 1.0),
];

/// A gigabyte of a balanced disk for an hour: 0.10 a month.
const DISK: f64 = 0.10 / 730.0;
/// An address outside, in use, for an hour.
const ADDRESS: f64 = 0.005;
/// The same of a spot machine.
const SPOT_ADDRESS: f64 = 0.0025;
/// What a spot machine costs at most, compared with another: Google promises to take off 60 percent at least.
const SPOT: f64 = 0.4;

/// What is to be paid for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bought<'a> {
    /// The machine type.
    pub(crate) machine_type: &'a str,
    /// The region.
    pub(crate) region: &'a str,
    /// The size of the disk.
    pub(crate) disk_gb: u32,
    /// Whether it is a spot machine.
    pub(crate) is_spot: bool,
    /// Whether it has an address outside.
    pub(crate) is_public: bool,
    /// Whether it runs: a stopped machine costs its disk only.
    pub(crate) runs: bool,
}

/// What it costs; `None` where the table does not know.
pub(crate) fn price(bought: &Bought<'_>, machines: u32) -> Option<Price> {
    let (_, hour) = TYPES.iter().find(|(name, _)| *name == bought.machine_type)?;
    let (_, ratio) = REGIONS.iter().find(|(name, _)| *name == bought.region)?;
    let hour = if bought.is_spot { hour * SPOT } else { *hour };
    let address = match (bought.is_public, bought.is_spot) {
        (false, _) => 0.0,
        (true, true) => SPOT_ADDRESS,
        (true, false) => ADDRESS,
    };
    let disk = f64::from(bought.disk_gb) * DISK * ratio;
    let one = if bought.runs { hour * ratio + address + disk } else { disk };
    Some(Price { per_hour: one * f64::from(machines), currency: "USD".to_owned(), as_of: AS_OF.to_owned() })
}

#[cfg(test)]
mod tests {
    use driver::cloud::{Arch, Size};

    use super::*;
    use crate::sizes::types;

    const BOUGHT: Bought<'_> = Bought {
        machine_type: "e2-small",
        region: "us-central1",
        disk_gb: 20,
        is_spot: false,
        is_public: true,
        runs: true,
    };

    #[test]
    fn every_type_that_a_size_stands_for_has_a_price() {
        for arch in Arch::ALL {
            for size in [Size::Small, Size::Medium, Size::Large] {
                for machine_type in types(size, arch) {
                    assert!(price(&Bought { machine_type, ..BOUGHT }, 1).is_some(), "{machine_type}");
                }
            }
        }
    }

    #[test]
    fn disks_and_addresses_are_in_it_and_a_stopped_machine_costs_its_disk() {
        let up = price(&BOUGHT, 5).unwrap().per_hour;
        let down = price(&Bought { runs: false, ..BOUGHT }, 5).unwrap().per_hour;

        assert!((up - 5.0 * (0.016_751 + 0.005 + 20.0 * DISK)).abs() < 1e-9);
        assert!((down - 5.0 * 20.0 * DISK).abs() < 1e-9);
    }

    #[test]
    fn what_the_table_does_not_know_has_no_price() {
        assert_eq!(price(&Bought { region: "mars-north1", ..BOUGHT }, 1), None);
    }
}
