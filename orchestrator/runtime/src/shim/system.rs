//! What a shim asks of the kernel: to be told of its children, to adopt orphans, to fork, to signal.

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::process::{Pid, Signal, WaitOptions, set_child_subreaper, set_parent_process_death_signal, wait};
use rustix::stdio::stderr as complaints_file;

use crate::RuntimeError;
use crate::error::Doing;

/// Makes this process what a shim is: leader of a session, parent of its descendants' orphans, member of no group and
/// holder of no descriptor that its container would inherit. To be called first of all. Returns what becomes readable
/// when a child has ended.
pub(super) fn prepare_process() -> Result<OwnedFd, RuntimeError> {
    close_inherited().doing(|| "close descriptors")?;
    match rustix::process::setsid() {
        // It leads one already.
        Ok(_) | Err(rustix::io::Errno::PERM) => {}
        Err(error) => return Err(error).doing(|| "lead a session"),
    }
    set_child_subreaper(Some(rustix::process::getpid())).doing(|| "become the parent of orphans")?;
    rustix::thread::set_thread_groups(&[]).doing(|| "leave supplementary groups")?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    child_signals().doing(|| "hold signals back")
}

/// A shim outlives whoever started it, so it keeps nothing of it open but the three usual descriptors.
fn close_inherited() -> io::Result<()> {
    #[expect(unsafe_code, reason = "no safe wrapper closes what others opened")]
    // SAFETY: nothing in this process has opened a descriptor yet.
    let outcome = unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
    match outcome {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Holds back the signals that a shim is not to die of, and the one that tells of children, and returns what becomes
/// readable by the latter.
fn child_signals() -> io::Result<OwnedFd> {
    #[expect(unsafe_code, reason = "no safe wrapper holds signals back")]
    // SAFETY: the sets are initialised by `sigemptyset`; the descriptor is new and nobody else's.
    unsafe {
        let mut held = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut held);
        let mut child = held;
        libc::sigaddset(&raw mut child, libc::SIGCHLD);
        for signal in [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT] {
            libc::sigaddset(&raw mut held, signal);
        }
        if libc::sigprocmask(libc::SIG_BLOCK, &raw const held, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        match libc::signalfd(-1, &raw const child, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
            -1 => Err(io::Error::last_os_error()),
            descriptor => Ok(OwnedFd::from_raw_fd(descriptor)),
        }
    }
}

/// A child that has ended, and how: its status, or 128 and a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) pid: u32,
    pub(super) code: i32,
    pub(super) signal: Option<i32>,
}

/// Collects every child that has ended.
pub(super) fn collect(signals: &OwnedFd) -> Vec<Ended> {
    let mut news = [0; 1024];
    // One notice may stand for several children, so what it says is not looked at.
    while rustix::io::read(signals, &mut news).is_ok_and(|count| count > 0) {}
    let mut ended = Vec::new();
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        let signal = status.terminating_signal();
        let code = status.exit_status().or(signal.map(|signal| 128 + signal)).unwrap_or(255);
        ended.push(Ended { pid: pid.as_raw_pid().unsigned_abs(), code, signal });
    }
    ended
}

/// Which side of a fork this is.
#[derive(Debug)]
pub(super) enum Side {
    Parent(u32),
    Child,
}

/// Copies this process. The copy has one thread, and ends when its parent does.
pub(super) fn fork() -> io::Result<Side> {
    let parent = rustix::process::getpid();
    #[expect(unsafe_code, reason = "no safe wrapper forks")]
    // SAFETY: the C library's `fork` leaves its allocator usable in the child; the only other thread, which writes the
    // log, holds no lock that the child takes.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // The parent may have ended before it was asked for.
            if rustix::process::getppid() != Some(parent) {
                end_now(1);
            }
            Ok(Side::Child)
        }
        pid => Ok(Side::Parent(pid.unsigned_abs())),
    }
}

/// Ends this process without running what was meant for its parent's end.
pub(super) fn end_now(code: i32) -> ! {
    #[expect(unsafe_code, reason = "no safe wrapper ends a process at once")]
    // SAFETY: it takes a number and does not return.
    unsafe {
        libc::_exit(code)
    }
}

/// Sends any signal, 1 to 64. A process that has ended is fine.
pub(super) fn send_signal(process: impl AsFd, signal: i32) -> io::Result<()> {
    let none = std::ptr::null::<libc::siginfo_t>();
    #[expect(unsafe_code, reason = "no safe wrapper sends any signal")]
    // SAFETY: the descriptor is open during the call, and no details of the signal are handed over.
    let outcome = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process.as_fd().as_raw_fd(), signal, none, 0) };
    match outcome {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()).or_else(|error| match error.raw_os_error() {
            Some(libc::ESRCH) => Ok(()),
            _ => Err(error),
        }),
    }
}

/// Holds on to a process by its number, while it is a child of ours that has not been collected.
pub(super) fn hold(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?)
}

/// Says to the agent after the one that started us that nothing is being made here any more: until then that one's lock
/// is on the file that standard error is.
pub(super) fn end_making() {
    // It is not there where an agent before this version started us.
    let _ = flock(complaints_file(), FlockOperation::Unlock);
}

/// The agent that started us need not be there any more.
pub(super) fn let_go_of_starter() {
    if let Ok(null) = open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()) {
        // It stays open otherwise, which harms nobody but an agent that reads to the end.
        let _ = rustix::stdio::dup2_stdin(&null);
    }
}
