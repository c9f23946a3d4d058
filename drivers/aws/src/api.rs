//! The one way to EC2: every call takes its place among the workstation's calls, and is tried again where that may help.

use std::error::Error;

use aws_sdk_ec2::Client;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use driver::{DriverError, Pace, Rate, retry};
use rand::SeedableRng as _;
use rand::rand_core::UnwrapErr;
use rand::rngs::{StdRng, SysRng};
use tokio::time::Instant;

use crate::{Patience, failure};

/// Lists are followed no further than this: some hundred thousand things.
const PAGES: usize = 100;

/// EC2 in one region.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) client: Client,
    pub(crate) region: String,
    pub(crate) patience: Patience,
    pace: Pace,
}

/// A call to be made: what it does, what it is charged, and which refusals may pass.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    action: String,
    charges: Vec<(Rate, u32)>,
    passing: &'a [&'a str],
    is_repeatable: bool,
}

impl<'a> Call<'a> {
    /// A call; `action` is a clause such as "create machines", for messages.
    pub(crate) fn new(rate: Rate, action: impl Into<String>) -> Self {
        Self { action: action.into(), charges: vec![(rate, 1)], passing: &[], is_repeatable: true }
    }

    /// The same call, charged by another bucket too.
    pub(crate) fn charged(mut self, rate: Rate, cost: usize) -> Self {
        self.charges.push((rate, u32::try_from(cost).unwrap_or(u32::MAX)));
        self
    }

    /// The same call, which comes a moment after what it needs was created, so that these refusals may pass.
    pub(crate) fn after_creation(self, passing: &'a [&'a str]) -> Self {
        Self { passing, ..self }
    }

    /// The same call, which is tried once: repeating it blindly might create something twice.
    pub(crate) fn unrepeatable(self) -> Self {
        Self { is_repeatable: false, ..self }
    }
}

impl Api {
    pub(crate) fn new(client: Client, region: String, pace: Pace, patience: Patience) -> Self {
        Self { client, region, patience, pace }
    }

    /// Makes a call until it succeeds, fails for good, or has failed too often; nobody need try it again then. One that
    /// is not repeatable is made once, and its failure says whether it may mend.
    pub(crate) async fn call<T, E, F>(
        &self,
        call: Call<'_>,
        send: impl Fn() -> F + Send + Sync,
    ) -> Result<T, DriverError>
    where
        T: Send,
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
        F: Future<Output = Result<T, SdkError<E>>> + Send,
    {
        let begun = Instant::now();
        let attempt = || async {
            for (rate, cost) in &call.charges {
                self.pace.take(*rate, *cost).await?;
            }
            let failure = match Box::pin(send()).await {
                Ok(answer) => return Ok(answer),
                Err(error) => failure::of(&call.action, &self.region, &error),
            };
            let may_pass = failure::is_one_of(&failure, call.passing) && begun.elapsed() < self.patience.consistency;
            Err(if may_pass { failure::into_passing(failure) } else { failure })
        };
        if call.is_repeatable { self.patiently(attempt).await } else { attempt().await }
    }

    /// Tries something that can be repeated until it succeeds, fails for good, or has failed too often.
    pub(crate) async fn patiently<T, F>(&self, attempt: impl FnMut() -> F) -> Result<T, DriverError>
    where
        F: Future<Output = Result<T, DriverError>>,
    {
        let mut rng = StdRng::from_rng(&mut UnwrapErr(SysRng));
        retry(&self.patience.backoff, &mut rng, attempt).await.map_err(DriverError::into_final)
    }
}

/// A list that comes in pages; `fetch` is given the token of the page to get, which the page before named.
pub(crate) async fn pages<T, F>(action: &str, fetch: impl Fn(Option<String>) -> F) -> Result<Vec<T>, DriverError>
where
    F: Future<Output = Result<(Vec<T>, Option<String>), DriverError>>,
{
    let mut all = Vec::new();
    let mut page = None;
    for _ in 0..PAGES {
        let (some, next) = fetch(page).await?;
        all.extend(some);
        page = next.filter(|token| !token.is_empty());
        if page.is_none() {
            return Ok(all);
        }
    }
    Err(DriverError::provider(action, format!("the list has more than {PAGES} pages")))
}
