//! What machines cost: a small table of list prices, for the types that sizes stand for.
//!
//! The figures are EC2's public on-demand prices for Linux, in dollars, as known on the day below, by the hour in
//! `us-east-1`. Other regions are priced by a factor, that of `t3.small` there. It is a snapshot: no call is made, spot
//! machines are priced as if on demand (which is the most they cost), and traffic is left out.

use driver::Price;

/// The day of the table.
const AS_OF: &str = "2025-06-01";
/// An hour of a public address.
const PUBLIC_ADDRESS: f64 = 0.005;
/// A month of a gigabyte of disk (gp3).
const DISK_MONTH: f64 = 0.08;
/// Hours of a month, as EC2 reckons.
const HOURS: f64 = 730.0;

const TYPES: &[(&str, f64)] = &[
    ("t2.small", 0.023),
    ("t2.medium", 0.0464),
    ("t2.large", 0.0928),
    ("t3.micro", 0.0104),
    ("t3.small", 0.0208),
    ("t3.medium", 0.0416),
    ("t3.large", 0.0832),
    ("t3.xlarge", 0.1664),
    ("t3a.small", 0.0188),
    ("t3a.medium", 0.0376),
    ("t3a.large", 0.0752),
    ("t4g.micro", 0.0084),
    ("t4g.small", 0.0168),
    ("t4g.medium", 0.0336),
    ("t4g.large", 0.0672),
    ("m5.large", 0.096),
    ("m6i.large", 0.096),
    ("m6g.large", 0.077),
    ("m7g.large", 0.0816),
    ("c6i.large", 0.085),
    ("c6g.large", 0.068),
    ("c7g.large", 0.0725),
];

const REGIONS: &[(&str, f64)] = &[
    ("us-east-1", 1.0),
    ("us-east-2", 1.0),
    ("us-west-1", 1.19),
    ("us-west-2", 1.0),
    ("ca-central-1", 1.12),
    ("sa-east-1", 1.62),
    ("eu-central-1", 1.15),
    ("eu-north-1", 1.04),
    ("eu-west-1", 1.10),
    ("eu-west-2", 1.13),
    ("eu-west-3", 1.13),
    ("ap-northeast-1", 1.31),
    ("ap-northeast-2", 1.25),
    ("ap-south-1", 1.08),
    ("ap-southeast-1", 1.27),
    ("ap-southeast-2", 1.27),
];

/// A machine that runs, with its disk and, where it has one, its public address. `None` where the table lacks the type
/// or the region.
pub(crate) fn machine(instance_type: &str, region: &str, disk_gb: u32, has_public_address: bool) -> Option<Price> {
    let (_, by_hour) = TYPES.iter().find(|(name, _)| *name == instance_type)?;
    let address = if has_public_address { PUBLIC_ADDRESS } else { 0.0 };
    let factor = factor(region)?;
    Some(price((by_hour + disk_hour(disk_gb)) * factor + address))
}

/// A disk alone.
pub(crate) fn disk(region: &str, disk_gb: u32) -> Option<Price> {
    Some(price(disk_hour(disk_gb) * factor(region)?))
}

/// Several of the same.
pub(crate) fn times(one: &Price, count: u32) -> Price {
    price(one.per_hour * f64::from(count))
}

fn disk_hour(disk_gb: u32) -> f64 {
    f64::from(disk_gb) * DISK_MONTH / HOURS
}

fn factor(region: &str) -> Option<f64> {
    REGIONS.iter().find(|(name, _)| *name == region).map(|(_, factor)| *factor)
}

fn price(per_hour: f64) -> Price {
    Price { per_hour, currency: "USD".to_owned(), as_of: AS_OF.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_costs_its_hour_its_disk_and_its_address() {
        let price = machine("t3.small", "us-east-1", 73, true).unwrap();

        assert!((price.per_hour - (0.0208 + 0.008 + 0.005)).abs() < 1e-9, "{price:?}");
        assert_eq!(price.currency, "USD");
    }

    #[test]
    fn what_the_table_lacks_has_no_price() {
        assert_eq!(machine("x9.huge", "us-east-1", 20, true), None);
        assert_eq!(machine("t3.small", "mars-north-1", 20, true), None);
    }
}
