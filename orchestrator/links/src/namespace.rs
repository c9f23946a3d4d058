//! Namespaces: start a process in some of its own, or run something inside those of another process.
//!
//! A thread that has changed its namespaces is never used again: it ends, and every other thread of the process
//! stays where it was.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::thread;

use rustix::thread::{ThreadNameSpaceType, UnshareFlags, move_into_thread_name_spaces, unshare_unsafe};

use crate::error::Doing;
use crate::{KernelError, Process};

/// Starts a command as the first process of new mount, PID, network, UTS and IPC namespaces, in a session of its own.
///
/// `groups` are `cgroup.procs` files, open for writing: the process is inside those groups before it runs anything.
/// The child belongs to the caller, who need not wait for it: [`Process::open`] works on what it left.
pub fn spawn_isolated(mut command: Command, groups: Vec<OwnedFd>) -> Result<Child, KernelError> {
    enter_groups(&mut command, groups);
    let flags =
        UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWNET | UnshareFlags::NEWUTS | UnshareFlags::NEWIPC;
    on_own_thread(|| {
        #[expect(unsafe_code, reason = "rustix marks unshare unsafe because of file descriptor tables")]
        // SAFETY: CLONE_FILES is not among the flags, so this thread keeps sharing the table of descriptors.
        unsafe { unshare_unsafe(flags) }.doing(|| "make new namespaces")?;
        command.spawn().doing(|| format!("start `{}` in new namespaces", command.get_program().display()))
    })
}

/// Runs a closure with the mount, PID, network, UTS and IPC namespaces of a process, on a thread of its own.
///
/// What the closure starts is inside all of them; the thread itself keeps its own PID namespace.
pub fn inside<T: Send>(process: &Process, run: impl FnOnce() -> T + Send) -> Result<T, KernelError> {
    enter(
        process,
        ThreadNameSpaceType::MOUNT
            | ThreadNameSpaceType::PROCESS_ID
            | ThreadNameSpaceType::NETWORK
            | ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME
            | ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION,
        run,
    )
}

/// Runs a closure in the network namespace of a process, on a thread of its own. Sockets opened there stay there.
pub fn inside_network<T: Send>(process: &Process, run: impl FnOnce() -> T + Send) -> Result<T, KernelError> {
    enter(process, ThreadNameSpaceType::NETWORK, run)
}

fn enter<T: Send>(
    process: &Process,
    namespaces: ThreadNameSpaceType,
    run: impl FnOnce() -> T + Send,
) -> Result<T, KernelError> {
    let action = || format!("enter the namespaces of process {}", process.pid);
    let handle = process.open()?.ok_or_else(|| KernelError::new(action(), io::ErrorKind::NotFound))?;
    on_own_thread(|| {
        if namespaces.contains(ThreadNameSpaceType::MOUNT) {
            #[expect(unsafe_code, reason = "rustix marks unshare unsafe because of file descriptor tables")]
            // SAFETY: only root and working directory are unshared, never the table of descriptors.
            unsafe { unshare_unsafe(UnshareFlags::FS) }.doing(action)?;
        }
        move_into_thread_name_spaces(handle.as_fd(), namespaces).doing(action)?;
        Ok(run())
    })
}

/// Has the child enter control groups and a session of its own between fork and exec.
fn enter_groups(command: &mut Command, groups: Vec<OwnedFd>) {
    let prepare = move || {
        for group in &groups {
            rustix::io::write(group, b"0")?;
        }
        rustix::process::setsid()?;
        Ok(())
    };
    #[expect(unsafe_code, reason = "only the child can put itself into its groups before it runs")]
    // SAFETY: the closure makes plain system calls on descriptors opened before the fork; it takes no lock and does
    // not allocate.
    unsafe {
        command.pre_exec(prepare);
    }
}

fn on_own_thread<T: Send>(run: impl FnOnce() -> Result<T, KernelError> + Send) -> Result<T, KernelError> {
    thread::scope(|scope| match scope.spawn(run).join() {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
