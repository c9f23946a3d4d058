//! Making machines.
//!
//! ```text
//!   list ──> for each machine at once: exists? ──> wait ──┬──> has its addresses: appeared
//!                                      missing ──> put ──┘└──> failed: delete, put again (another type or zone)
//! ```
//! Beside all that the managers' identity, where they have one, is lent its right: no machine waits for it.
//!
//! Machines are made by name, so that a PUT whose answer was lost is the same PUT when it is sent again. A type that
//! cannot be had now is followed by the next type, and then by the next zone; Azure says so at once, or after it has
//! accepted the machine, which is then deleted before another takes its name.

use std::collections::BTreeSet;

use driver::cloud::no_capacity;
use driver::{DriverError, Instance, MachineRequest, Network, Progress, TAG_ID, Wait, wait_until};
use futures_util::future::join_all;
use serde_json::Value;
use tokio::time::Instant;

use crate::answers::{InstanceView, MachineAnswer};
use crate::choice::{Candidate, Choice};
use crate::client::{Call, Client};
use crate::documents;
use crate::identity;
use crate::names::{COMPUTE, MachineId};
use crate::network::Place;
use crate::provider::Azure;
use crate::refusal::{Refusal, is_capacity_code};
use crate::removal;
use crate::survey::{self, Addresses, Survey};

/// How often in a row a machine may be missing from a list before it counts as gone.
const MISSING: u32 = 3;

/// What making one machine comes to.
struct Work<'a> {
    client: &'a Client,
    place: &'a Place,
    request: &'a MachineRequest,
    progress: &'a dyn Progress,
    id: MachineId,
    choice: Choice,
    candidates: Vec<Candidate>,
    /// Which of the candidates is being tried.
    at: usize,
    /// It failed for a reason of its own once already.
    was_remade: bool,
    missing: u32,
    /// It as it was announced.
    announced: Option<Instance>,
}

/// What a look at a machine shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// It is not there, or on its way out.
    Missing,
    /// It has no addresses yet.
    Waiting,
    Failed,
    There(Addresses),
}

impl Azure {
    pub(crate) async fn make_machines(
        &self,
        network: &Network,
        requests: &[MachineRequest],
        progress: &dyn Progress,
    ) -> Result<Vec<Instance>, DriverError> {
        let place = Place::read(network)?;
        let client = self.client().await?;
        let mut works = Vec::new();
        for request in requests {
            let choice = Choice { region: place.region.clone(), ..self.choice(&request.options)? };
            let candidates = choice.candidates(request.number);
            let work = Work {
                client,
                place: &place,
                request,
                progress,
                id: MachineId::new(&place.group, &request.name),
                choice,
                candidates,
                at: 0,
                was_remade: false,
                missing: 0,
                announced: None,
            };
            // What cannot be asked for is known before anything is made.
            work.document(&work.candidates[0])?;
            works.push(work);
        }
        let making = async {
            let existing = survey::machines(client, &place.group).await?;
            let begun = works.iter_mut().map(|work| {
                let found = existing.get(&work.request.name.to_lowercase());
                work.begin(found)
            });
            all(join_all(begun).await)?;
            wait_for_all(client, &place, &mut works).await
        };
        let (made, entitled) = tokio::join!(making, entitle(client, &place, requests));
        let made = made?;
        entitled?;
        Ok(made)
    }
}

/// Lends the identity of the managers its right, where there is one and a manager is asked for.
async fn entitle(client: &Client, place: &Place, requests: &[MachineRequest]) -> Result<(), DriverError> {
    match requests.iter().find_map(|request| place.lent_to(request)) {
        Some(identity) => identity::entitle(client, &place.group, identity).await,
        None => Ok(()),
    }
}

/// Looks until every machine has its addresses; those that failed meanwhile are made again.
async fn wait_for_all(client: &Client, place: &Place, works: &mut [Work<'_>]) -> Result<Vec<Instance>, DriverError> {
    let limit = client.patience.addresses;
    let mut deadline = Instant::now() + limit;
    loop {
        let survey = survey::survey(client, &place.group).await?;
        let mut failed = Vec::new();
        for work in works.iter_mut() {
            if work.notice(&survey)? == Seen::Failed {
                failed.push(work);
            }
        }
        if !failed.is_empty() {
            all(join_all(failed.into_iter().map(Work::remake)).await)?;
            // Bounded all the same: each machine has so many candidates.
            deadline = Instant::now() + limit;
        }
        let there: Option<Vec<_>> = works.iter().map(|work| work.announced.clone()).collect();
        if let Some(instances) = there {
            return Ok(instances);
        }
        if Instant::now() >= deadline {
            let waiting: Vec<_> = works.iter().filter(|work| work.announced.is_none()).collect();
            let names = waiting.iter().map(|work| format!("`{}`", work.request.name)).collect::<Vec<_>>().join(", ");
            return Err(DriverError::TimedOut { action: format!("see the addresses of {names}"), after: limit });
        }
        tokio::time::sleep(client.patience.pause).await;
    }
}

/// All results, or the first failure once every one is known: nothing is cut short halfway.
fn all(results: Vec<Result<(), DriverError>>) -> Result<(), DriverError> {
    results.into_iter().collect()
}

impl Work<'_> {
    fn action(&self) -> String {
        format!("create machine `{}`", self.request.name)
    }

    /// What is sent to make the machine.
    fn document(&self, candidate: &Candidate) -> Result<Value, DriverError> {
        let lent = self.place.lent_to(self.request).map(|identity| identity.id.as_str());
        documents::machine(self.request, &self.choice, candidate, &self.place.attachment, lent)
    }

    /// Makes the machine, unless it exists.
    async fn begin(&mut self, existing: Option<&MachineAnswer>) -> Result<(), DriverError> {
        let Some(existing) = existing else { return self.make().await };
        if existing.tags.get(TAG_ID) != Some(&self.request.mark.cluster.0) {
            return Err(DriverError::provider(
                self.action(),
                format!("`{}` has a machine of that name which is not this cluster's", self.place.group.name),
            ));
        }
        self.at = self.candidate_of(existing);
        match existing.properties.provisioning_state.as_str() {
            "Failed" => self.remake().await,
            "Deleting" => {
                self.progress.machine(&self.request.name, "waiting for its predecessor to go");
                removal::clear_away(self.client, std::slice::from_ref(&self.id)).await?;
                self.at = 0;
                self.make().await
            }
            _ => Ok(()),
        }
    }

    /// Which candidate an existing machine is.
    fn candidate_of(&self, existing: &MachineAnswer) -> usize {
        let is_it = |candidate: &Candidate| {
            candidate.machine_type.eq_ignore_ascii_case(&existing.properties.hardware_profile.vm_size)
                && candidate.zone.as_ref() == existing.zones.first()
        };
        self.candidates.iter().position(is_it).unwrap_or_default()
    }

    /// Asks for the machine, from the present candidate on, until one is accepted.
    async fn make(&mut self) -> Result<(), DriverError> {
        let mut was_cleared = false;
        while let Some(candidate) = self.candidates.get(self.at) {
            self.progress.machine(&self.request.name, &format!("creating a {}", candidate.machine_type));
            let body = self.document(candidate)?;
            let call = Call::put(self.id.path(), COMPUTE, self.action(), body).in_new_group();
            let limit = self.client.patience.reservation;
            let wait = Wait { limit, interval: self.client.patience.pause };
            let client = self.client;
            let id = &self.id;
            let asked = wait_until(&wait, self.action(), || put(client, &call, id)).await?;
            match asked {
                Ok(()) => return Ok(()),
                Err(refusal) if refusal.is_lack_of_capacity() => {
                    tracing::info!(machine = %self.request.name, reason = %refusal, "no capacity; trying the next");
                    self.at += 1;
                }
                // A predecessor is gone, and left its interface behind.
                Err(refusal) if refusal.code == "NicInUse" && !was_cleared => {
                    was_cleared = true;
                    removal::clear_away(client, std::slice::from_ref(&self.id)).await?;
                }
                Err(refusal) => return Err(self.client.error(&call, refusal)),
            }
        }
        Err(self.no_capacity())
    }

    fn no_capacity(&self) -> DriverError {
        let tried = format!("{} in {}", self.choice.types.join(", "), self.choice.places());
        no_capacity("Azure", &format!("machine `{}`", self.request.name), &tried)
    }

    /// Deletes a machine whose making failed, and makes it again.
    async fn remake(&mut self) -> Result<(), DriverError> {
        let path = format!("{}/instanceView", self.id.path());
        let view: InstanceView = self.client.look(&Call::get(path, COMPUTE, self.action())).await?.unwrap_or_default();
        let code = view.failure().unwrap_or("no reason given").to_owned();
        self.progress.machine(&self.request.name, &format!("failed ({code}); making it again"));
        tracing::warn!(machine = %self.request.name, code, "a machine could not be made");
        self.announced = None;
        removal::clear_away(self.client, std::slice::from_ref(&self.id)).await?;
        if is_capacity_code(&code) {
            self.at += 1;
        } else if std::mem::replace(&mut self.was_remade, true) {
            return Err(DriverError::provider(self.action(), format!("it failed twice: {code}")));
        }
        self.make().await
    }

    /// Takes notice of what a look shows, and announces a machine that has its addresses.
    fn notice(&mut self, survey: &Survey) -> Result<Seen, DriverError> {
        let machine = survey.machine(&self.request.name);
        let seen = judge(machine, survey.addresses(&self.request.name), self.choice.is_private);
        self.missing = if seen == Seen::Missing { self.missing + 1 } else { 0 };
        if self.missing >= MISSING {
            return Err(DriverError::provider(self.action(), "it vanished while it was waited for"));
        }
        if let (Seen::There(addresses), Some(machine)) = (seen, machine) {
            let instance = survey::instance(&self.id, machine, addresses, self.request.host_key.clone());
            if self.announced.as_ref() != Some(&instance) {
                let address = addresses.public.unwrap_or(addresses.private);
                self.progress.appeared(&instance, Some(address));
                self.announced = Some(instance);
            }
        }
        Ok(seen)
    }
}

/// What a look at a machine shows.
fn judge(machine: Option<&MachineAnswer>, addresses: Option<Addresses>, is_private: bool) -> Seen {
    let Some(machine) = machine else { return Seen::Missing };
    match (machine.properties.provisioning_state.as_str(), addresses) {
        ("Failed", _) => Seen::Failed,
        ("Deleting", _) => Seen::Missing,
        (_, Some(addresses)) if is_private || addresses.public.is_some() => Seen::There(addresses),
        _ => Seen::Waiting,
    }
}

/// Asks for a machine once; nothing while what it needs is held by one that is gone.
async fn put(client: &Client, call: &Call, id: &MachineId) -> Result<Option<Result<(), Refusal>>, DriverError> {
    match client.ask(call).await? {
        Ok(_) => Ok(Some(Ok(()))),
        Err(refusal) if refusal.code == "NicReservedForAnotherVm" => Ok(None),
        // Somebody is making it: we, by a call whose answer was lost.
        Err(refusal) if refusal.code == "Conflict" => {
            let look = Call::get(id.path(), COMPUTE, format!("look at machine `{}`", id.name));
            let found: Option<MachineAnswer> = client.look(&look).await?;
            Ok(found.map(|_| Ok(())))
        }
        Err(refusal) => Ok(Some(Err(refusal))),
    }
}

/// The names of machines, in lower case.
pub(crate) fn names(ids: &[MachineId]) -> BTreeSet<String> {
    ids.iter().map(|id| id.name.to_lowercase()).collect()
}
