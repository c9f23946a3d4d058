//! Finds processes of this machine by what they are.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use rustix::process::Pid;

/// The processes whose command line begins with these words; the first is a program's name without its folder.
pub fn running(words: &[&str]) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let is_it = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut found = line.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let program = found.next().unwrap_or_default();
        program.rsplit('/').next() == words.first().copied()
            && words.iter().skip(1).all(|word| found.next().is_some_and(|found| found == *word))
    };
    pids.filter(is_it).filter_map(Pid::from_raw).collect()
}

/// Whether a process was started with this variable.
pub fn has_variable(pid: Pid, name: &str, value: impl AsRef<OsStr>) -> bool {
    let wanted = [name.as_bytes(), b"=", value.as_ref().as_bytes()].concat();
    let environment = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable == wanted)
}
