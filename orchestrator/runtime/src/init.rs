//! The small first process of a container that asked for one: it hands signals on and collects orphans.
//!
//! It is this same program, executed again through the container's `/proc/self/exe`, which is a read-only view of it.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::BorrowedFd;
use std::process::ExitCode;

use rustix::process::{Pid, WaitOptions, wait};

use crate::error::StartFailure;
use crate::last_steps::{execute_by_path, reset_signals};

/// Where a process finds its own program.
pub(crate) const EXECUTABLE: &CStr = c"/proc/self/exe";
/// The name it runs under, as Docker's does.
pub(crate) const NAME: &str = "/sbin/docker-init";

/// Its command line for a program.
pub(crate) fn arguments(program: &[CString]) -> Vec<CString> {
    let own = [NAME, "--"].map(|word| CString::new(word).expect("it holds no zero"));
    own.into_iter().chain(program.iter().cloned()).collect()
}

/// Runs the program and returns with its status once it has ended: 128 and the signal where one ended it.
pub(crate) fn run(program: &[String]) -> ExitCode {
    match supervise(program) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            complain(&format!("init: {error}\n"));
            ExitCode::from(1)
        }
    }
}

/// Writes to the container's standard error, which it has nobody else to tell by.
fn complain(text: &str) {
    #[expect(unsafe_code, reason = "the descriptor is the container's, not this program's to name otherwise")]
    // SAFETY: the program was started with its standard error open, and nothing here closes it.
    let output = unsafe { BorrowedFd::borrow_raw(libc::STDERR_FILENO) };
    // There is nobody to complain to about a complaint.
    let _ = rustix::io::write(output, text.as_bytes());
}

fn supervise(program: &[String]) -> io::Result<u8> {
    let words: Vec<CString> = program.iter().map(|word| CString::new(word.as_bytes())).collect::<Result<_, _>>()?;
    let env: Vec<CString> = std::env::vars_os()
        .map(|(name, value)| {
            use std::os::unix::ffi::OsStrExt as _;
            CString::new([name.as_bytes(), b"=", value.as_bytes()].concat())
        })
        .collect::<Result<_, _>>()?;
    let path = std::env::var("PATH").unwrap_or_default();
    let signals = hold_signals()?;
    #[expect(unsafe_code, reason = "no safe wrapper forks")]
    // SAFETY: this process has one thread.
    let child = unsafe { libc::fork() };
    match child {
        -1 => Err(io::Error::last_os_error()),
        0 => become_program(&words, &env, &path),
        pid => watch(Pid::from_raw(pid).expect("a child has a number"), &signals),
    }
}

/// In the child: becomes the program, in the foreground of the terminal if there is one.
fn become_program(words: &[CString], env: &[CString], path: &str) -> io::Result<u8> {
    rustix::process::setpgid(None, None)?;
    // There may be no terminal. Until signals are reset below, SIGTTOU does not stop us.
    let _ = rustix::termios::tcsetpgrp(rustix::stdio::stdin(), rustix::process::getpgrp());
    reset_signals()?;
    let (failure, reason) = execute_by_path(words, env, path);
    let name = words.first().map(|name| name.to_string_lossy()).unwrap_or_default();
    complain(&format!("exec: \"{name}\": {reason}\n"));
    Ok(match failure {
        StartFailure::NotFound => 127,
        StartFailure::NotExecutable => 126,
        StartFailure::Other => 125,
    })
}

/// Hands signals on and collects children until the program has ended.
fn watch(program: Pid, signals: &libc::sigset_t) -> io::Result<u8> {
    loop {
        #[expect(unsafe_code, reason = "no safe wrapper waits for a signal")]
        // SAFETY: the set is initialised, and no details of the signal are asked for.
        let signal = unsafe { libc::sigwaitinfo(signals, std::ptr::null_mut()) };
        if signal == libc::SIGCHLD {
            if let Some(status) = collect(program)? {
                return Ok(status);
            }
        } else if signal > 0 {
            #[expect(unsafe_code, reason = "no safe wrapper sends any signal")]
            // SAFETY: sending a signal touches no memory.
            unsafe {
                libc::kill(program.as_raw_pid(), signal)
            };
        }
    }
}

/// Collects every child that has ended; the status of the program if it is among them.
fn collect(program: Pid) -> io::Result<Option<u8>> {
    let mut found = None;
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == program => {
                let code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
                found = Some(u8::try_from(code.unwrap_or(1)).unwrap_or(u8::MAX));
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(rustix::io::Errno::CHILD) => return Ok(found),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Holds back every signal, so that each is waited for; those that report a fault stay as they are.
fn hold_signals() -> io::Result<libc::sigset_t> {
    #[expect(unsafe_code, reason = "no safe wrapper holds signals back")]
    // SAFETY: the set is initialised by `sigfillset`.
    unsafe {
        let mut set = std::mem::zeroed::<libc::sigset_t>();
        libc::sigfillset(&raw mut set);
        for fault in [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGSYS, libc::SIGTRAP] {
            libc::sigdelset(&raw mut set, fault);
        }
        match libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()) {
            0 => Ok(set),
            _ => Err(io::Error::last_os_error()),
        }
    }
}
