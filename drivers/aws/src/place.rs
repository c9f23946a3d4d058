//! Where machines stand: subnets, each in a zone; and their form in the network's handles. Pure.

use driver::{DriverError, Network, OptionValue, Options};

/// The handle of the network's firewall: the id of its group.
pub(crate) const GROUP: &str = "group";
/// The handle of the VPC.
pub(crate) const VPC: &str = "vpc";
/// The handle of the places that machines go round.
const PLACE: &str = "place";
/// The handle of the places that are used where those lack capacity.
const SPARE: &str = "spare";

/// A subnet in its zone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) zone: String,
    pub(crate) subnet: String,
}

/// Where the machines of a cluster stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ground {
    pub(crate) vpc: String,
    /// The prefix, where the VPC is our own.
    pub(crate) prefix: Option<String>,
    /// The places that machines go round, by their numbers.
    pub(crate) places: Vec<Place>,
    /// The places that are used where those lack capacity.
    pub(crate) spares: Vec<Place>,
}

impl Ground {
    /// As handles, by which the ground is known again.
    pub(crate) fn handles(&self, group: &str) -> Options {
        let many = |places: &[Place]| {
            OptionValue::Many(places.iter().map(|place| format!("{}@{}", place.subnet, place.zone)).collect())
        };
        let mut handles = vec![
            (GROUP.to_owned(), OptionValue::One(group.to_owned())),
            (VPC.to_owned(), OptionValue::One(self.vpc.clone())),
            (PLACE.to_owned(), many(&self.places)),
        ];
        if !self.spares.is_empty() {
            handles.push((SPARE.to_owned(), many(&self.spares)));
        }
        Options(handles.into_iter().collect())
    }
}

/// What a launch needs of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Site {
    pub(crate) group: String,
    pub(crate) places: Vec<Place>,
    pub(crate) spares: Vec<Place>,
}

impl Site {
    /// Reads the handles that [`Ground::handles`] wrote.
    pub(crate) fn read(network: &Network) -> Result<Self, DriverError> {
        let places = |name| network.handles.many(name).into_iter().map(place).collect::<Option<Vec<_>>>();
        let read = || {
            let group = network.handles.one(GROUP)?.to_owned();
            let site = Self { group, places: places(PLACE)?, spares: places(SPARE)? };
            (!site.places.is_empty()).then_some(site)
        };
        read().ok_or_else(|| {
            let action = format!("use the network of cluster `{}`", network.cluster);
            DriverError::provider(action, "its record does not name a group and subnets")
        })
    }

    /// Where a batch is tried, in this order: its own place, the others that machines go round, the spares.
    pub(crate) fn in_turn(&self, home: usize) -> impl Iterator<Item = &Place> {
        let (before, from_home) = self.places.split_at(home.min(self.places.len()));
        from_home.iter().chain(before).chain(&self.spares)
    }
}

fn place(text: &str) -> Option<Place> {
    let (subnet, zone) = text.split_once('@')?;
    Some(Place { zone: zone.to_owned(), subnet: subnet.to_owned() })
}

/// Chooses among the subnets that there are: those in the zones asked for, in that order; where none are asked for, all
/// of them where they were named one by one, else the first, with the others to spare.
pub(crate) fn choose(
    mut there: Vec<Place>,
    zones: &[String],
    are_named: bool,
) -> Result<(Vec<Place>, Vec<Place>), DriverError> {
    if !are_named {
        there.sort();
    }
    if zones.is_empty() {
        let spares = if are_named || there.is_empty() { Vec::new() } else { there.split_off(1) };
        return Ok((there, spares));
    }
    let mut places = Vec::new();
    for zone in zones {
        let before = places.len();
        places.extend(there.iter().filter(|place| place.zone == *zone).cloned());
        if places.len() == before {
            let known: Vec<_> = there.iter().map(|place| place.zone.as_str()).collect();
            return Err(DriverError::InvalidOption {
                option: driver::cloud::ZONE.to_owned(),
                reason: format!("there is no subnet in `{zone}`; there are some in {}", known.join(", ")),
            });
        }
        if !are_named {
            places.truncate(before + 1);
        }
    }
    Ok((places, Vec::new()))
}

#[cfg(test)]
mod tests {
    use driver::ClusterId;

    use super::*;

    fn places(text: &str) -> Vec<Place> {
        text.split_whitespace().map(|text| place(text).unwrap()).collect()
    }

    fn check(there: &str, zones: &[&str], are_named: bool, wanted: (&str, &str)) {
        let zones: Vec<_> = zones.iter().map(|zone| (*zone).to_owned()).collect();

        let chosen = choose(places(there), &zones, are_named).unwrap();

        assert_eq!(chosen, (places(wanted.0), places(wanted.1)), "{there} {zones:?}");
    }

    #[test]
    fn machines_stand_where_it_is_asked_for_else_in_one_zone() {
        check("s2@b s1@a s3@c", &[], false, ("s1@a", "s2@b s3@c"));
        check("s2@b s1@a s3@c", &["c", "a"], false, ("s3@c s1@a", ""));
        check("s2@b s1@a", &[], true, ("s2@b s1@a", ""));
        check("s2@b s1@a s4@a", &["a"], true, ("s1@a s4@a", ""));
        check("", &[], false, ("", ""));
    }

    #[test]
    fn a_zone_without_a_subnet_is_refused_with_those_that_have_one() {
        let refused = choose(places("s2@b s1@a"), &["z".to_owned()], false).unwrap_err();

        assert!(refused.to_string().ends_with("no subnet in `z`; there are some in a, b"), "{refused}");
    }

    #[test]
    fn handles_are_read_as_they_were_written() {
        let ground = Ground { vpc: "v".to_owned(), prefix: None, places: places("s1@a s2@b"), spares: places("s3@c") };
        let handles = ground.handles("sg-1");
        let network = Network { cluster: ClusterId("x".to_owned()), prefix: None, handles };

        let site = Site::read(&network).unwrap();

        assert_eq!((site.group.as_str(), &site.places, &site.spares), ("sg-1", &ground.places, &ground.spares));
        let turn: Vec<_> = site.in_turn(1).map(|place| place.zone.as_str()).collect();
        assert_eq!(turn, ["b", "a", "c"]);
    }

    #[test]
    fn a_record_without_subnets_is_refused() {
        let network = Network { cluster: ClusterId("x".to_owned()), prefix: None, handles: Options::default() };

        assert!(Site::read(&network).is_err());
    }
}
