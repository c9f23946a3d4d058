//! The last steps of a process that becomes a container's program: privileges, filter, `execve`.
//!
//! They run inside of the container, as the program's user, after everything else has been prepared. Without "no new
//! privileges" a filter needs a privilege to be installed, so it comes before the capabilities are given up; else after.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use libcontainer::oci_spec::runtime::Spec;
use libcontainer::workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError};
use rustix::fs::{Mode, OFlags};
use rustix::termios::tcsetwinsize;
use rustix::thread::CapabilitySet;
use serde::{Deserialize, Serialize};

use crate::bundle::TtySize;
use crate::error::StartFailure;
use crate::seccomp::Program;
use crate::{capability, init};

/// Where the library waits for the word to start, below its own folder.
const START: &str = "c/notify.sock";

/// Why the program did not begin, as its last breath.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LastWord {
    /// Which exit status a shell would answer.
    pub(crate) failure: StartFailure,
    /// The reason, as Docker words it.
    pub(crate) reason: String,
}

/// What is left to do when everything else is prepared.
#[expect(clippy::struct_excessive_bools, reason = "each is a step that is taken or not")]
#[derive(Debug, Clone)]
pub(crate) struct LastSteps {
    /// The program and its arguments.
    pub(crate) argv: Vec<String>,
    /// Its environment, in order.
    pub(crate) env: Vec<String>,
    /// What it may hold at most.
    pub(crate) capabilities: CapabilitySet,
    /// Whether it runs as root.
    pub(crate) is_root: bool,
    /// Its filter of system calls.
    pub(crate) filter: Option<Program>,
    /// Whether it has given up new privileges.
    pub(crate) no_new_privileges: bool,
    /// Whether the loopback link is to be set up: the network namespace is new.
    pub(crate) sets_loopback_up: bool,
    /// Whether our first process comes before the program.
    pub(crate) init: bool,
    /// The size of its terminal, if it has one.
    pub(crate) tty_size: Option<TtySize>,
    /// The folder that holds the library's own folder of the container, where the program is not to wait for the word
    /// to start.
    pub(crate) starts_by: Option<RawFd>,
    /// Where a failure is written; closed by a success.
    pub(crate) word: RawFd,
}

impl LastSteps {
    fn run(&self) -> Result<(), LastWord> {
        let step = |what: &str, outcome: io::Result<()>| {
            outcome.map_err(|error| LastWord { failure: StartFailure::Other, reason: format!("{what}: {error}") })
        };
        step("close descriptors", close_all_but(self.word))?;
        if let Some(size) = self.tty_size {
            // Here, because nobody else knows when a program that `exec` adds has its terminal and has not begun.
            let outcome = tcsetwinsize(rustix::stdio::stdin(), size.window());
            step("set the size of the terminal", outcome.map_err(Into::into))?;
        }
        step("reset signals", reset_signals())?;
        step("reduce capabilities", capability::reduce(self.capabilities).map_err(Into::into))?;
        let give_up = || {
            let outcome = capability::finish(self.capabilities, self.is_root);
            step("give up capabilities", outcome.map_err(Into::into))
        };
        let comes_first = !self.no_new_privileges;
        if !comes_first {
            give_up()?;
        }
        if let Some(filter) = &self.filter {
            step("install the filter of system calls", filter.install())?;
        }
        if comes_first {
            give_up()?;
        }
        // Nobody is left to keep its output or its exit status once the shim is gone.
        let outcome = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
        step("tie the process to its shim", outcome.map_err(Into::into))?;
        Err(self.execute())
    }

    /// Becomes the program; returns only why not.
    fn execute(&self) -> LastWord {
        let name = self.argv.first().map_or("", String::as_str);
        let Some((argv, env)) = c_strings(&self.argv).zip(c_strings(&self.env)) else {
            let reason = format!("exec: \"{name}\": invalid argument");
            return LastWord { failure: StartFailure::Other, reason };
        };
        if self.init {
            let reason = execve(init::EXECUTABLE, &init::arguments(&argv), &env);
            return LastWord { failure: StartFailure::Other, reason: format!("exec: \"init\": {reason}") };
        }
        let path = self.env.iter().rev().find_map(|variable| variable.strip_prefix("PATH="));
        let (failure, reason) = execute_by_path(&argv, &env, path.unwrap_or_default());
        LastWord { failure, reason: format!("exec: \"{name}\": {reason}") }
    }
}

impl Executor for LastSteps {
    /// Never returns: it becomes the program, or says why not and ends, without the library, whose descriptors are closed.
    fn exec(&self, _spec: &Spec) -> Result<(), ExecutorError> {
        let Err(word) = self.run() else { return Ok(()) };
        let bytes = serde_json::to_vec(&word).unwrap_or_default();
        #[expect(
            unsafe_code,
            reason = "the descriptor came across a fork as a number, and the process is to end at once"
        )]
        // SAFETY: the descriptor is open, and nobody in this process uses it after this.
        unsafe {
            // Whoever waits for a word sees the end of the pipe, too.
            let _ = File::from_raw_fd(self.word).write_all(&bytes);
            libc::_exit(i32::from(u8::MAX))
        }
    }

    fn validate(&self, _spec: &Spec) -> Result<(), ExecutorValidationError> {
        if self.sets_loopback_up {
            set_loopback_up().map_err(|error| {
                ExecutorValidationError::ArgValidationError(format!("failed to set the loopback link up: {error}"))
            })?;
        }
        if let Some(folder) = self.starts_by {
            say_start(folder).map_err(|error| {
                ExecutorValidationError::ArgValidationError(format!("failed to start by itself: {error}"))
            })?;
        }
        Ok(())
    }

    /// The program gets its own environment at `execve`; this one is not touched.
    fn setup_envs(&self, _envs: HashMap<String, String>) -> Result<(), ExecutorSetEnvsError> {
        Ok(())
    }
}

/// Looks a program up as a shell would, and becomes it; returns only why not.
pub(crate) fn execute_by_path(argv: &[CString], env: &[CString], path: &str) -> (StartFailure, String) {
    let Some(name) = argv.first().filter(|name| !name.is_empty()) else {
        return (StartFailure::Other, "no command specified".to_owned());
    };
    let mut worst = io::Error::from_raw_os_error(libc::ENOENT);
    let has_folder = name.to_bytes().contains(&b'/');
    let folders: Vec<&str> = if has_folder { vec![""] } else { path.split(':').collect() };
    for folder in folders {
        let mut candidate = folder.as_bytes().to_vec();
        if !has_folder {
            candidate.push(b'/');
        }
        candidate.extend(name.to_bytes());
        let Ok(candidate) = CString::new(candidate) else { continue };
        let error = execve(&candidate, argv, env);
        // A later folder may hold one that works.
        if !matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) {
            worst = error;
            if worst.raw_os_error() != Some(libc::EACCES) {
                break;
            }
        }
    }
    match worst.raw_os_error() {
        Some(libc::ENOENT | libc::ENOTDIR) if has_folder => {
            (StartFailure::NotFound, format!("stat {}: no such file or directory", name.to_string_lossy()))
        }
        Some(libc::ENOENT | libc::ENOTDIR) => (StartFailure::NotFound, "executable file not found in $PATH".to_owned()),
        Some(libc::EACCES) => (StartFailure::NotExecutable, "permission denied".to_owned()),
        Some(libc::ENOEXEC) => (StartFailure::NotExecutable, "exec format error".to_owned()),
        _ => (StartFailure::Other, worst.to_string()),
    }
}

/// `execve(2)`; returns only why it failed.
fn execve(program: &CStr, argv: &[CString], env: &[CString]) -> io::Error {
    let pointers =
        |words: &[CString]| words.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect::<Vec<_>>();
    let (argv, env) = (pointers(argv), pointers(env));
    #[expect(unsafe_code, reason = "no safe wrapper executes a program with an environment in order")]
    // SAFETY: both lists end with a null pointer, and their strings outlive the call.
    unsafe {
        libc::execve(program.as_ptr(), argv.as_ptr(), env.as_ptr())
    };
    io::Error::last_os_error()
}

/// A program begins with every signal as the kernel would have it, whatever this process ignored or held back.
pub(crate) fn reset_signals() -> io::Result<()> {
    /// `struct sigaction` as the kernel has it, all zero: the default.
    const DEFAULT: [u64; 4] = [0; 4];
    #[expect(unsafe_code, reason = "no safe wrapper resets signals")]
    // SAFETY: the set is initialised by `sigemptyset`; the kernel only reads the action, which is as long as its own.
    // The C library would refuse the two signals that it keeps for itself, which somebody may have had us ignore.
    let outcome = unsafe {
        for signal in 1..=64 {
            let none = std::ptr::null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, signal, DEFAULT.as_ptr(), none, size_of::<u64>());
        }
        let mut none = std::mem::zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut())
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Leaves nothing of the host open: a path through `/proc/self/fd` must lead nowhere (CVE-2024-21626).
fn close_all_but(kept: RawFd) -> io::Result<()> {
    let kept = kept.unsigned_abs();
    for (first, last) in [(3, kept.saturating_sub(1)), (kept + 1, u32::MAX)] {
        if first > last {
            continue;
        }
        #[expect(unsafe_code, reason = "no safe wrapper closes what others opened")]
        // SAFETY: this process becomes a program, or ends, without using another descriptor again.
        let outcome = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        if outcome != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Gives this process the word to start that it is about to wait for, and lets go of the folder.
fn say_start(folder: RawFd) -> io::Result<()> {
    #[expect(unsafe_code, reason = "the descriptor came across a fork as a number")]
    // SAFETY: the descriptor is open, and this process, a copy of its owner, uses it nowhere else.
    let folder = unsafe { OwnedFd::from_raw_fd(folder) };
    let here = rustix::fs::open(".", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::process::fchdir(&folder)?;
    let mut stream = UnixStream::connect(START)?;
    stream.write_all(b"start container")?;
    Ok(rustix::process::fchdir(&here)?)
}

fn set_loopback_up() -> Result<(), links::KernelError> {
    let mut connection = links::route::Connection::open()?;
    match connection.link("lo")? {
        Some(link) => connection.set_up(link.index),
        None => Ok(()),
    }
}

fn c_strings(words: &[String]) -> Option<Vec<CString>> {
    words.iter().map(|word| CString::new(word.as_bytes()).ok()).collect()
}
