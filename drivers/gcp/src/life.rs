//! What happens to machines after they were made: they stop, start, live longer, are looked at, and end.

use driver::{ClusterId, Console, DriverError, Instance, InstanceId, Wait, wait_until};
use futures_util::future::{join_all, try_join_all};
use google_cloud_compute_v1::model::scheduling::InstanceTerminationAction;
use google_cloud_compute_v1::model::{Firewall, InstancesSetLabelsRequest};
use jiff::Timestamp;

use crate::cloud::{CHANGES, Cloud, READS};
use crate::failure::{Meaning, meaning};
use crate::machines::{Machine, Phase, place};
use crate::marking::{described, labels_until};

/// How often labels are read again that somebody else has changed meanwhile.
const ROUNDS: usize = 5;

impl Cloud {
    pub(crate) async fn stop(&self, ids: &[InstanceId]) -> Result<(), DriverError> {
        self.machines_with(ids).await?;
        let stops = ids.iter().filter_map(place).map(|(zone, name)| async move {
            let action = format!("stop machine `{name}`");
            let stopped = self.call(CHANGES, &action, |clients| {
                let call = clients.instances.stop().set_project(&clients.project);
                call.set_zone(zone).set_instance(name).send()
            });
            self.finish(&action, stopped.await?).await
        });
        join_all(stops).await.into_iter().collect()
    }

    pub(crate) async fn start(&self, ids: &[InstanceId]) -> Result<Vec<Instance>, DriverError> {
        self.machines_with(ids).await?;
        let starts = ids.iter().filter_map(place).map(|(zone, name)| async move {
            let action = format!("start machine `{name}`");
            let started = self.call(CHANGES, &action, |clients| {
                let call = clients.instances.start().set_project(&clients.project);
                call.set_zone(zone).set_instance(name).send()
            });
            self.finish(&action, started.await?).await
        });
        join_all(starts).await.into_iter().collect::<Result<Vec<()>, _>>()?;
        let patience = self.environment.patience;
        let wait = Wait { limit: patience.limit, interval: patience.interval };
        let machines = wait_until(&wait, "see the addresses of all machines", || async {
            let machines = self.machines_with(ids).await?;
            Ok(machines.iter().all(Machine::is_addressed).then_some(machines))
        });
        Ok(machines.await?.iter().map(|machine| machine.instance(&self.settings, None)).collect())
    }

    pub(crate) async fn console(&self, id: &InstanceId) -> Result<Console, DriverError> {
        let no_such = || DriverError::NoSuchMachine { id: id.to_string() };
        let (zone, name) = place(id).ok_or_else(no_such)?;
        if !self.memory.has_seen(std::slice::from_ref(id)) {
            self.machines_with(std::slice::from_ref(id)).await?;
        }
        let action = format!("read the console of machine `{name}`");
        let shown = self.call(READS, &action, |clients| {
            let call = clients.instances.get_serial_port_output().set_project(&clients.project);
            call.set_zone(zone).set_instance(name).send()
        });
        match shown.await {
            Ok(shown) => Ok(Console { output: shown.contents.unwrap_or_default() }),
            Err(failure) if meaning(&failure) == Meaning::Absent => Err(no_such()),
            Err(failure) => Err(failure),
        }
    }

    pub(crate) async fn destroy(&self, ids: &[InstanceId]) -> Result<(), DriverError> {
        if self.memory.has_seen(ids) {
            self.destroy_marked(ids).await?;
        } else {
            // What is not there is gone, and what carries no mark is not ours.
            let standing = self.machines(None).await?;
            let marked: Vec<_> = standing.iter().map(Machine::id).filter(|id| ids.contains(id)).collect();
            self.destroy_marked(&marked).await?;
        }
        self.memory.note_gone(ids);
        Ok(())
    }

    pub(crate) async fn remove_network(&self, cluster: &ClusterId) -> Result<(), DriverError> {
        if let Some(parts) = self.memory.take_emptied(cluster) {
            return self.remove_parts(&parts).await;
        }
        let patience = self.environment.patience;
        let wait = Wait { limit: patience.limit, interval: patience.interval };
        let emptied = wait_until(&wait, format!("see the machines of cluster `{cluster}` vanish"), || async {
            let standing = self.machines(Some(cluster)).await?;
            match standing.iter().find(|machine| !machine.is_changing()) {
                Some(machine) => Err(DriverError::provider(
                    format!("remove the network of cluster `{cluster}`"),
                    format!("machine `{}` is in it", machine.name),
                )),
                None => Ok(standing.is_empty().then_some(())),
            }
        });
        let ((), parts) = tokio::try_join!(emptied, self.parts(Some(cluster)))?;
        self.remove_parts(&parts).await
    }

    /// Moves the end of a cluster.
    ///
    /// Compute Engine changes the scheduling of stopped machines only (`instances.setScheduling` in its document), so
    /// the end of a machine that runs cannot be moved: what is too short is refused before anything is changed. A later
    /// limit than the new end is left; the labels tell the new one.
    pub(crate) async fn extend(&self, cluster: &ClusterId, expires: Timestamp) -> Result<(), DriverError> {
        let (machines, parts) = tokio::try_join!(self.machines(Some(cluster)), self.parts(Some(cluster)))?;
        let ends_sooner = |machine: &&Machine| {
            machine.phase != Phase::Stopped && machine.ends.is_some_and(|end| end.as_second() + 1 < expires.as_second())
        };
        if let Some(machine) = machines.iter().find(ends_sooner) {
            let end = machine.ends.map(|end| end.to_string()).unwrap_or_default();
            return Err(DriverError::Unmet {
                what: format!(
                    "machine `{}` runs, and Compute Engine will delete it at {end} all the same",
                    machine.name
                ),
                hint: "only the end of a stopped machine can be moved: stop the cluster, extend it, and start it again"
                    .to_owned(),
            });
        }
        let stopped = machines.iter().filter(|machine| machine.phase == Phase::Stopped);
        try_join_all(stopped.map(|machine| self.move_end(machine, expires))).await?;
        let (labeled, described) = tokio::join!(
            join_all(machines.iter().map(|machine| self.move_label(machine, expires))),
            join_all(parts.firewalls.iter().map(|firewall| self.move_description(firewall, expires))),
        );
        labeled.into_iter().chain(described).collect::<Result<Vec<()>, _>>()?;
        match machines.iter().find(|machine| machine.phase != Phase::Stopped && machine.ends.is_none()) {
            None => Ok(()),
            Some(machine) => Err(DriverError::Unmet {
                what: format!(
                    "the cluster is marked to end, but Compute Engine does not end machine `{}` by itself: it was \
                     started without a limit",
                    machine.name
                ),
                hint: "`swarmup gc` destroys it then; or stop the cluster, extend it, and start it again".to_owned(),
            }),
        }
    }

    /// Moves the end of a stopped machine.
    async fn move_end(&self, machine: &Machine, expires: Timestamp) -> Result<(), DriverError> {
        let action = format!("move the end of machine `{}`", machine.name);
        let mut scheduling = machine.scheduling.clone();
        scheduling.max_run_duration = None;
        let scheduling = scheduling
            .set_termination_time(expires.to_string())
            .set_automatic_restart(false)
            .set_instance_termination_action(InstanceTerminationAction::Delete);
        let moved = self.call(CHANGES, &action, |clients| {
            let call = clients.instances.set_scheduling().set_project(&clients.project);
            call.set_zone(&machine.zone).set_instance(&machine.name).set_body(scheduling.clone()).send()
        });
        self.finish(&action, moved.await?).await
    }

    async fn move_label(&self, machine: &Machine, expires: Timestamp) -> Result<(), DriverError> {
        let action = format!("label machine `{}`", machine.name);
        let mut current = machine.clone();
        for _ in 0..ROUNDS {
            let body = InstancesSetLabelsRequest::new()
                .set_label_fingerprint(current.fingerprint.clone())
                .set_labels(labels_until(&current.labels, expires));
            let labeled = self.call(CHANGES, &action, |clients| {
                let call = clients.instances.set_labels().set_project(&clients.project);
                call.set_zone(&current.zone).set_instance(&current.name).set_body(body.clone()).send()
            });
            match labeled.await {
                Ok(operation) => return self.finish(&action, operation).await,
                Err(failure) if meaning(&failure) == Meaning::Absent => return Ok(()),
                Err(failure) if meaning(&failure) == Meaning::Changed => {
                    let id = current.id();
                    current = self.machines_with(std::slice::from_ref(&id)).await?.swap_remove(0);
                }
                Err(failure) => return Err(failure),
            }
        }
        Err(DriverError::provider(action, "somebody else changes its labels all the time"))
    }

    async fn move_description(&self, firewall: &Firewall, expires: Timestamp) -> Result<(), DriverError> {
        let name = firewall.name.clone().unwrap_or_default();
        let action = format!("describe firewall rule `{name}`");
        let mut tags = described(firewall.description.as_deref());
        tags.insert(driver::TAG_EXPIRES.to_owned(), expires.as_second().to_string());
        let tags = tags.into_iter().map(|(name, value)| (name, serde_json::Value::String(value)));
        let description = serde_json::Value::Object(tags.collect()).to_string();
        let body = Firewall::new().set_name(&name).set_description(description);
        let moved = self.call(CHANGES, &action, |clients| {
            let call = clients.firewalls.patch().set_project(&clients.project);
            call.set_firewall(&name).set_body(body.clone()).send()
        });
        self.finish(&action, moved.await?).await
    }
}
