//! The process that stands between one container and the rest of the world: `swarmd shim <folder>`.
//!
//! ```text
//!            agent ── socket ──> shim ── pipes or terminal ──> first program
//!                                 │  └─ fork ─> one more of itself for each `exec`
//!                                 └─ a thread that writes the log
//! ```
//! It has one thread while it makes the container, because the library for containers forks. It is the container's
//! parent, leads a session of its own, and outlives the agent; it ends when the container has, and takes the container
//! along when it is killed.

mod complaints;
mod connection;
mod container;
mod create;
mod exec;
mod session;
mod stdio;
mod system;

use std::path::Path;
use std::process::ExitCode;

use crate::error::Doing as _;
use crate::last_steps::LastWord;
use crate::protocol::{Reply, message};
use crate::state::{self, Phase, ProcessId, State};

pub(crate) use self::complaints::COMPLAINTS;
pub(crate) use self::create::SHIM;

/// The body of a shim: makes the container that the folder describes, says so on the socket that its standard input is,
/// serves it until it has ended, and cleans up. To be called before this process has a second thread.
pub fn shim_main(folder: &Path) -> ExitCode {
    let begun = begin(folder);
    system::end_making();
    match begun {
        Ok(Begun::Not(word)) => {
            say(&Reply::NotStarted { failure: word.failure, reason: word.reason });
            ExitCode::FAILURE
        }
        Ok(Begun::Container(container)) => {
            say(&Reply::Created);
            system::let_go_of_starter();
            container.serve()
        }
        Err(error) => {
            say(&Reply::Failed(reasons(&error)));
            ExitCode::FAILURE
        }
    }
}

/// What came of the beginning.
enum Begun {
    Container(Box<container::Container>),
    /// It was to start at once, and its program could not.
    Not(LastWord),
}

fn begin(folder: &Path) -> Result<Begun, crate::RuntimeError> {
    let signals = system::prepare_process()?;
    complaints::keep(folder).doing(|| format!("keep complaints in `{}`", folder.display()))?;
    let shim = ProcessId::of(std::process::id())?;
    state::write(&folder.join(SHIM), &shim)?;
    let mut created = create::create(folder)?;
    let mut state = State {
        version: state::VERSION,
        phase: Phase::Created,
        shim,
        init: created.init,
        created_at: jiff::Timestamp::now(),
        started_at: None,
        exit: None,
    };
    if created.bundle.starts_at_once {
        if let Some(word) = create::wait_for_begin(&mut created)? {
            return Ok(Begun::Not(word));
        }
        state.phase = Phase::Running;
        state.started_at = Some(jiff::Timestamp::now());
    }
    let container = container::Container::new(folder, signals, created, state)?;
    container.save()?;
    Ok(Begun::Container(Box::new(container)))
}

/// Tells whoever started this process: standard input is a socket to it.
fn say(reply: &Reply) {
    // It may have gone; whoever follows it reads the state.
    let _ = rustix::io::write(rustix::stdio::stdin(), &message(reply));
}

/// A failure with its causes, in one line.
fn reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
