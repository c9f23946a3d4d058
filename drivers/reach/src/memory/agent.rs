//! How a host in memory answers `swarmd`: the same JSON, the same refusals, the same exit codes.

use bytes::Bytes;
use model::{ErrorKind, InstallRequest, ServiceRefusal, ServiceReport, Supervision};
use serde::Serialize;

use super::{State, output};
use crate::{AGENT_PATH, Output};

/// The version that the agent in memory says it has.
const VERSION: &str = env!("CARGO_PKG_VERSION");

impl State {
    /// The answer of the agent's binary; `None` where the command is another program's.
    pub(super) fn agent(&mut self, arguments: &[String], stdin: &Bytes) -> Option<Output> {
        let (program, rest) = arguments.split_first()?;
        if program != AGENT_PATH {
            return None;
        }
        if self.files.get(AGENT_PATH).is_none_or(|file| file.mode & 0o100 == 0) {
            return Some(output(127, "", &format!("sh: 1: {AGENT_PATH}: not found")));
        }
        let words: Vec<&str> = rest.iter().map(String::as_str).collect();
        Some(match words.as_slice() {
            ["version", ..] => {
                output(0, &format!("{{\"version\":\"{VERSION}\",\"arch\":\"{}\"}}\n", std::env::consts::ARCH), "")
            }
            ["service", "install"] => self.install(stdin),
            ["service", "status"] => self.report(),
            ["service", "start" | "restart"] => self.set_running(true),
            ["service", "stop"] => self.set_running(false),
            ["service", "remove", "--mark", mark] => self.remove(mark),
            _ => output(2, "", "error: unrecognized subcommand"),
        })
    }

    fn install(&mut self, stdin: &Bytes) -> Output {
        let request: InstallRequest = match serde_json::from_slice(stdin) {
            Ok(request) => request,
            Err(error) => {
                return refuse(ErrorKind::InvalidArgument, format!("the request cannot be read: {error}"), None);
            }
        };
        if let Some(refusal) = self.refuse_other_mark(&request.mark) {
            return refusal;
        }
        self.installed = Some(request);
        self.set_running(true)
    }

    fn set_running(&mut self, is_running: bool) -> Output {
        if self.installed.is_none() {
            return refuse(ErrorKind::FailedPrecondition, "no agent is installed on this host".to_owned(), None);
        }
        self.is_running = is_running;
        self.report()
    }

    fn remove(&mut self, mark: &str) -> Output {
        if let Some(refusal) = self.refuse_other_mark(mark) {
            return refusal;
        }
        self.installed = None;
        self.is_running = false;
        self.report()
    }

    fn refuse_other_mark(&self, mark: &str) -> Option<Output> {
        let installed = self.installed.as_ref().filter(|installed| installed.mark != mark)?;
        Some(refuse(
            ErrorKind::FailedPrecondition,
            format!("this host belongs to the cluster `{}`", installed.cluster_name),
            Some("destroy that cluster first, or leave this host out".to_owned()),
        ))
    }

    fn report(&self) -> Output {
        answer(
            0,
            &ServiceReport {
                supervision: Supervision::Supervisor,
                is_running: self.is_running,
                starts_at_boot: self.installed.as_ref().map(|_| "cron".to_owned()),
                mark: self.installed.as_ref().map(|installed| installed.mark.clone()),
                version: VERSION.to_owned(),
                running_sha256: None,
            },
        )
    }
}

fn refuse(kind: ErrorKind, error: String, hint: Option<String>) -> Output {
    answer(1, &ServiceRefusal { kind, error, hint })
}

fn answer(status: i32, value: &impl Serialize) -> Output {
    let text = serde_json::to_string(value).expect("reports have string keys and no value that JSON lacks");
    output(status, &format!("{text}\n"), "")
}
