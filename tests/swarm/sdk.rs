//! Services whose tasks are real containers, by the Docker SDK for Python.

use std::process::{Command, Stdio};

use tests::Hosts;
use tests::run::{PATIENCE, Run, limited};

use crate::bare::SOCKET;
use crate::services::swarm_of_one;

#[test]
fn the_python_sdk_runs_services_of_every_mode() {
    let hosts = Hosts::start(1).unwrap();
    let host = swarm_of_one(&hosts);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/swarm/services_sdk.py");

    let mut command: Command = limited(PATIENCE, tests::programs::python());
    command.arg(script).arg(host.path(SOCKET).unwrap()).arg("app:1").stdin(Stdio::null());
    let run = Run::of(&mut command);

    assert_eq!(run.answer(), "done");
}
