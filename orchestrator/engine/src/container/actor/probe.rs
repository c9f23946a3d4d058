//! Asks a container whether it is well.

use std::time::Duration;

use jiff::Timestamp;
use runtime::{Container, ExecRequest, Output, Program, Streams};
use tokio::time::Instant;

use super::{Actor, Next};
use crate::container::health::OUTPUT_KEPT;
use crate::container::{ContainerStatus, HealthState, ProbeResult};
use crate::settings::{self, Health};

/// The runtime's name for the program that is asked; there is one at a time. No id of others has a letter beyond `f`.
const NAME: &str = "health";
/// What stands for an answer that did not come.
const NO_ANSWER: i32 = -1;

impl Actor {
    /// Asks, unless the container stands still.
    pub(super) fn ask_health(&mut self) -> Next {
        let config = &self.cell.record().config;
        let is_running = self.state.status == ContainerStatus::Running;
        if let (Some(container), Some(live)) = (&self.container, &mut self.live)
            && let Some(health) = &live.health
        {
            live.next_question = Some(Instant::now() + health.interval);
            if is_running {
                let program = Program {
                    argv: health.argv.clone(),
                    env: settings::environment(config),
                    cwd: Some(config.working_dir.clone().into()).filter(|_| !config.working_dir.is_empty()),
                    user: Some(config.user.clone()).filter(|user| !user.is_empty()),
                    ..Program::default()
                };
                live.probe = Some(Box::pin(probe(container.clone(), program, health.timeout)));
            }
        }
        Next::Go
    }

    /// Notes an answer, and tells of a change.
    pub(super) fn note_answer(&mut self, result: ProbeResult) -> Next {
        let since_start = self.running_for();
        let Some(live) = &mut self.live else { return Next::Go };
        live.probe = None;
        let Some(health) = live.health.clone() else { return Next::Go };
        let before = self.state.health.clone().unwrap_or_default();
        let was = before.status;
        let after: HealthState = before.after(result, &health, since_start);
        live.next_question = Some(Instant::now() + after.pause(&health, since_start));
        let is = after.status;
        self.update(|state| state.health = Some(after));
        if is != was {
            self.tell(&format!("health_status: {}", is.as_str()), []);
        }
        Next::Go
    }
}

impl Health {
    /// How long the program of an answer that is too late is waited for once it was ended.
    const LAST_WORDS: Duration = Duration::from_secs(1);
}

async fn probe(container: Container, program: Program, timeout: Duration) -> ProbeResult {
    let start = Timestamp::now();
    let streams = Streams { stdin: false, ..Streams::ALL };
    let request = ExecRequest { name: NAME.to_owned(), program, privileged: false, streams };
    let mut session = match container.exec(request).await {
        Ok(session) => session,
        Err(error) => {
            return ProbeResult { start, end: Timestamp::now(), exit_code: NO_ANSWER, output: error.to_string() };
        }
    };
    let process = links::Process::of(session.pid()).ok();
    let mut output = Vec::new();
    let exit_code = if let Ok(code) = tokio::time::timeout(timeout, read(&mut session, &mut output)).await {
        code
    } else {
        if let Some(Ok(Some(process))) = process.map(|process| process.open()) {
            let _ = process.kill();
        }
        let _ = tokio::time::timeout(Health::LAST_WORDS, read(&mut session, &mut output)).await;
        output = format!("Health check exceeded timeout ({}ms)", timeout.as_millis()).into_bytes();
        NO_ANSWER
    };
    let output = String::from_utf8_lossy(&output).into_owned();
    ProbeResult { start, end: Timestamp::now(), exit_code, output }
}

/// Reads what the program says, as far as it is kept; how it ended.
async fn read(session: &mut runtime::ExecSession, output: &mut Vec<u8>) -> i32 {
    loop {
        match session.attachment().next().await {
            Ok(Some(Output::Bytes(_, bytes))) => {
                let left = OUTPUT_KEPT.saturating_sub(output.len());
                output.extend(bytes.into_iter().take(left));
            }
            Ok(Some(Output::Exited(exit))) => return exit.code,
            Ok(None) | Err(_) => return NO_ANSWER,
        }
    }
}
