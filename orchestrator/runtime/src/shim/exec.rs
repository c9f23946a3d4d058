//! A program that is added to a running container, in a copy of the shim of its own.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use jiff::Timestamp;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use rustix::pipe::{PipeFlags, pipe_with};

use super::connection::{Connection, Role};
use super::container::exit_code;
use super::create::{NAME, last_steps, with_streams};
use super::reasons;
use super::session::Session;
use super::stdio::Stdio;
use super::system::{collect, end_now};
use crate::beneath::Root;
use crate::bundle::Bundle;
use crate::error::{Doing, StartFailure};
use crate::last_steps::LastWord;
use crate::protocol::{Exec, Reply};
use crate::state::{self, EXECS, Exit, LIBRARY};
use crate::{RuntimeError, capability, spec, user};

/// A program that has begun.
struct Begun {
    pid: u32,
    stdio: Stdio,
}

/// Runs a program for a connection, tells both it and a file how it ended, and ends this process.
pub(super) fn run(folder: &Path, bundle: &Bundle, exec: &Exec, mut connection: Connection, signals: &OwnedFd) -> ! {
    let outcome = match begin(folder, bundle, exec) {
        Ok(begun) => {
            connection.role = Role::Attached(exec.streams);
            connection.reply(&Reply::Started(begun.pid));
            let mut session = Session::new(begun.stdio, None, true);
            if !exec.streams.stdin {
                session.stdio.end_input();
            }
            session.connections.push(connection);
            serve(folder, exec, begun.pid, &mut session, signals)
        }
        Err(word) => {
            let exit = Exit {
                code: exit_code(word.failure),
                signal: None,
                oom_killed: false,
                finished_at: Timestamp::now(),
                error: Some(word.reason.clone()),
            };
            let saved = state::write(&state::exec_file(folder, &exec.name), &exit);
            connection.answer(&Reply::NotStarted { failure: word.failure, reason: word.reason });
            let mut session = Session { connections: vec![connection], ..nothing() };
            session.flush().doing(|| "answer").and(saved)
        }
    };
    end_now(i32::from(outcome.is_err()))
}

fn serve(folder: &Path, exec: &Exec, pid: u32, session: &mut Session, signals: &OwnedFd) -> Result<(), RuntimeError> {
    let ended = loop {
        let turn = session.turn(&[signals.as_fd()]).doing(|| "wait for a program")?;
        if turn.ready[0]
            && let Some(ended) = collect(signals).into_iter().find(|ended| ended.pid == pid)
        {
            break ended;
        }
    };
    session.drain_outputs();
    let exit =
        Exit { code: ended.code, signal: ended.signal, oom_killed: false, finished_at: Timestamp::now(), error: None };
    let saved = state::write(&state::exec_file(folder, &exec.name), &exit);
    session.tell(&Reply::Exited(exit));
    session.flush().doing(|| "tell how a program ended").and(saved)
}

fn begin(folder: &Path, bundle: &Bundle, exec: &Exec) -> Result<Begun, LastWord> {
    let (word, their_word) = pipe_with(PipeFlags::CLOEXEC)
        .map_err(|error| LastWord { failure: StartFailure::Other, reason: error.to_string() })?;
    let outcome = build(folder, bundle, exec, their_word);
    let mut bytes = [0; 4096];
    // Every holder of the other end has ended or become a program by now.
    let count = rustix::io::read(&word, &mut bytes).unwrap_or(0);
    match (serde_json::from_slice(&bytes[..count]), outcome) {
        (Ok(word), _) => Err(word),
        (Err(_), Ok(begun)) => Ok(begun),
        (Err(_), Err(error)) => Err(LastWord { failure: StartFailure::Other, reason: reasons(&error) }),
    }
}

fn build(folder: &Path, bundle: &Bundle, exec: &Exec, their_word: OwnedFd) -> Result<Begun, RuntimeError> {
    let program = &exec.program;
    // Open for that line only: nothing of the host's tree may be open in a container.
    let identity = user::resolve(&Root::open(&bundle.rootfs)?, program.user.as_deref(), &program.groups)?;
    let is_privileged = exec.privileged || bundle.privileged;
    let capabilities = capability::resolve(&bundle.capabilities_add, &bundle.capabilities_drop, is_privileged)?;
    let mut steps = last_steps(bundle, program, capabilities, &their_word)?;
    steps.env = spec::environment(program, &identity);
    steps.is_root = identity.uid == 0;
    let process = folder.join(EXECS).join(format!("{}.process", exec.name));
    state::write(&process, &spec::process(program, &identity, bundle))?;
    let builder = ContainerBuilder::new(NAME.to_owned(), SyscallType::default()).with_executor(steps);
    let library = folder.join(LIBRARY);
    let outcome = with_streams(folder, program, true, builder, |builder| {
        let tenant = builder.with_root_path(&library)?.as_tenant().with_process(Some(&process));
        tenant.with_detach(true).build()
    });
    drop(their_word);
    std::fs::remove_file(&process).doing(|| format!("remove `{}`", process.display()))?;
    let (pid, stdio) = outcome?;
    Ok(Begun { pid: pid.as_raw().unsigned_abs(), stdio })
}

/// A session of no program.
fn nothing() -> Session {
    Session::new(Stdio::none(), None, false)
}
