//! What a container may use, in the runtime's words.

use runtime::Limits;

use super::InvalidSettings;
use crate::config::ContainerResources;

/// The least memory that a container can be limited to: Docker's bound, 6 MiB.
const LEAST_MEMORY: i64 = 6 << 20;

/// Limits of a new container. Of an update likewise: what is zero stays as it is.
pub(crate) fn limits(resources: &ContainerResources, cpus: usize) -> Result<Limits, InvalidSettings> {
    check(resources, cpus)?;
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let positive = |number: i64| u64::try_from(number).ok().filter(|number| *number > 0);
    let set = |number: i64| Some(number).filter(|number| *number != 0);
    Ok(Limits {
        nano_cpus: positive(resources.nano_cpus),
        cpu_quota: set(resources.cpu_quota),
        cpu_period: positive(resources.cpu_period),
        cpu_shares: positive(resources.cpu_shares),
        cpuset_cpus: text(&resources.cpuset_cpus),
        cpuset_mems: text(&resources.cpuset_mems),
        memory: set(resources.memory),
        memory_and_swap: set(resources.memory_swap),
        memory_reservation: set(resources.memory_reservation),
        memory_swappiness: resources.memory_swappiness.and_then(|value| u64::try_from(value).ok()),
        pids: resources.pids_limit.filter(|limit| *limit != 0),
        blkio_weight: Some(resources.blkio_weight).filter(|weight| *weight != 0),
        oom_kill_disable: resources.oom_kill_disable.unwrap_or(false),
    })
}

fn check(resources: &ContainerResources, cpus: usize) -> Result<(), InvalidSettings> {
    let refuse = |condition: bool, words: &str| {
        if condition { Err(InvalidSettings::new(words)) } else { Ok(()) }
    };
    let ContainerResources { memory, memory_swap, memory_reservation, nano_cpus, .. } = *resources;
    refuse(memory != 0 && memory < LEAST_MEMORY, "Minimum memory limit allowed is 6MB")?;
    refuse(
        memory > 0 && memory_swap > 0 && memory_swap < memory,
        "Minimum memoryswap limit should be larger than memory limit, see usage",
    )?;
    refuse(
        memory == 0 && memory_swap > 0,
        "You should always set the Memory limit when using Memoryswap limit, see usage",
    )?;
    refuse(memory_reservation > 0 && memory_reservation < LEAST_MEMORY, "Minimum memory reservation allowed is 6MB")?;
    refuse(
        memory > 0 && memory_reservation > 0 && memory < memory_reservation,
        "Minimum memory limit can not be less than memory reservation limit, see usage",
    )?;
    if let Some(swappiness) = resources.memory_swappiness.filter(|value| !(-1..=100).contains(value)) {
        let words = "valid memory swappiness range is 0-100";
        return Err(InvalidSettings::new(format!("Invalid value: {swappiness}, {words}")));
    }
    refuse(
        nano_cpus > 0 && resources.cpu_period > 0,
        "Conflicting options: Nano CPUs and CPU Period cannot both be set.",
    )?;
    refuse(
        nano_cpus > 0 && resources.cpu_quota > 0,
        "Conflicting options: Nano CPUs and CPU Quota cannot both be set.",
    )?;
    let all = i64::try_from(cpus).unwrap_or(i64::MAX).saturating_mul(1_000_000_000);
    if nano_cpus < 0 || nano_cpus > all {
        let words = format!("as there are only {cpus} CPUs available");
        return Err(InvalidSettings::new(format!("range of CPUs is from 0.01 to {cpus}.00, {words}")));
    }
    refuse(
        resources.cpu_period != 0 && !(1_000..=1_000_000).contains(&resources.cpu_period),
        "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)",
    )?;
    refuse(
        resources.cpu_quota > 0 && resources.cpu_quota < 1_000,
        "CPU cfs quota can not be less than 1ms (i.e. 1000)",
    )?;
    refuse(
        resources.blkio_weight != 0 && !(10..=1000).contains(&resources.blkio_weight),
        "range of blkio weight is from 10 to 1000",
    )?;
    let processors = |text: &str| text.chars().all(|character| matches!(character, '0'..='9' | ',' | '-'));
    for set in [&resources.cpuset_cpus, &resources.cpuset_mems] {
        refuse(!processors(set), &format!("Invalid value {set} for cpuset"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(resources: &ContainerResources) -> String {
        limits(resources, 2).expect_err("it is to be refused").to_string()
    }

    #[test]
    fn zero_is_no_limit() {
        assert_eq!(limits(&ContainerResources::default(), 2), Ok(Limits::default()));
    }

    #[test]
    fn limits_are_handed_on_in_the_runtimes_units() {
        let resources = ContainerResources {
            memory: 64 << 20,
            memory_swap: -1,
            nano_cpus: 1_500_000_000,
            pids_limit: Some(20),
            memory_swappiness: Some(-1),
            cpuset_cpus: "0-1".to_owned(),
            ..ContainerResources::default()
        };

        let limits = limits(&resources, 2).expect("they can be kept");

        assert_eq!((limits.memory, limits.memory_and_swap), (Some(64 << 20), Some(-1)));
        assert_eq!((limits.nano_cpus, limits.pids), (Some(1_500_000_000), Some(20)));
        assert_eq!((limits.memory_swappiness, limits.cpuset_cpus.as_deref()), (None, Some("0-1")));
    }

    #[test]
    fn what_no_container_can_be_limited_to_is_refused() {
        let with = |change: fn(&mut ContainerResources)| {
            let mut resources = ContainerResources::default();
            change(&mut resources);
            refusal(&resources)
        };

        assert_eq!(with(|given| given.memory = 1000), "Minimum memory limit allowed is 6MB");
        assert_eq!(
            with(|given| given.nano_cpus = 3_000_000_000),
            "range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available"
        );
        assert_eq!(with(|given| given.cpuset_cpus = "x".to_owned()), "Invalid value x for cpuset");
        assert_eq!(
            with(|given| (given.memory, given.memory_swap) = (64 << 20, 32 << 20)),
            "Minimum memoryswap limit should be larger than memory limit, see usage"
        );
        assert_eq!(with(|given| given.blkio_weight = 1), "range of blkio weight is from 10 to 1000");
    }
}
