//! What version 1 wrote and said, word for word: an agent of a later version meets shims of it, whose program is gone.
//!
//! Nothing here is ever changed, only added to: a field that is new must have a default, and a request that is new must
//! not be needed for what version 1 could do.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Value, json};

use crate::bundle::{Bundle, Program, TtySize};
use crate::log::LogSettings;
use crate::protocol::{Attach, Exec, Kind, Reply, Request, Streams, frame};
use crate::state::{Exit, Phase, ProcessId, State};
use crate::{Limits, StartFailure};

/// The first version's state of a container that has ended.
const STATE: &str = r#"{"version":1,"phase":"exited","shim":{"pid":71,"started":9001},"init":{"pid":73,"started":9005},
    "created_at":"2026-11-01T12:00:00.5Z","started_at":"2026-11-01T12:00:01Z",
    "exit":{"code":137,"signal":9,"oom_killed":true,"finished_at":"2026-11-01T12:00:02Z","error":"its shim was lost"}}"#;
/// What it had to be told of a container at least.
const BUNDLE: &str = r#"{"id":"web","rootfs":"/roots/web","process":{"argv":["sleep","600"],"env":["PATH=/bin"]},
    "cgroup":"/swarmup/n/web"}"#;

fn moment(text: &str) -> jiff::Timestamp {
    text.parse().unwrap()
}

/// Whether a value holds all of another, and whatever else.
fn holds(value: &Value, part: &Value) -> bool {
    match (value, part) {
        (Value::Object(value), Value::Object(part)) => {
            part.iter().all(|(key, part)| value.get(key).is_some_and(|value| holds(value, part)))
        }
        (value, part) => value == part,
    }
}

#[track_caller]
fn says(message: &impl Serialize, words: &Value) {
    let message = serde_json::to_value(message).unwrap();
    assert!(holds(&message, words), "{message} is not {words} to a shim of version 1");
}

#[test]
fn a_state_is_read() {
    let state: State = serde_json::from_str(STATE).unwrap();

    let exit = Exit {
        code: 137,
        signal: Some(9),
        oom_killed: true,
        finished_at: moment("2026-11-01T12:00:02Z"),
        error: Some("its shim was lost".to_owned()),
    };
    let expected = State {
        version: 1,
        phase: Phase::Exited,
        shim: ProcessId { pid: 71, started: 9001 },
        init: ProcessId { pid: 73, started: 9005 },
        created_at: moment("2026-11-01T12:00:00.5Z"),
        started_at: Some(moment("2026-11-01T12:00:01Z")),
        exit: Some(exit),
    };
    assert_eq!(state, expected);
    for (word, phase) in [("created", Phase::Created), ("running", Phase::Running)] {
        let state: State = serde_json::from_str(&STATE.replace("exited", word)).unwrap();
        assert_eq!(state.phase, phase);
    }
}

#[test]
fn a_bundle_is_read_with_and_without_what_is_optional() {
    let least: Bundle = serde_json::from_str(BUNDLE).unwrap();
    let mut whole = serde_json::from_str::<Value>(BUNDLE).unwrap();
    whole["limits"] = json!({"memory": 1 << 20, "pids": 9, "nano_cpus": 500_000_000});
    whole["log"] = json!({"folder": "/logs", "max_size": 1000, "max_files": 2});
    whole["starts_at_once"] = json!(true);
    let whole: Bundle = serde_json::from_value(whole).unwrap();

    assert_eq!((least.id.as_str(), least.process.argv.join(" ").as_str()), ("web", "sleep 600"));
    let limits = Limits { memory: Some(1 << 20), pids: Some(9), nano_cpus: Some(500_000_000), ..Limits::default() };
    assert_eq!((&whole.limits, whole.starts_at_once), (&limits, true));
    assert_eq!(whole.log, Some(LogSettings { folder: PathBuf::from("/logs"), max_size: 1000, max_files: 2 }));
}

#[test]
fn a_bundle_is_read_as_it_was_written() {
    let written = r#"{"id":"web","rootfs":"/roots/web",
        "process":{"argv":["sleep","9"],"env":["PATH=/bin"],"cwd":"/srv","user":"web","groups":["logs"],"tty":true,
            "tty_size":{"columns":80,"rows":24}},
        "starts_at_once":true,"stdin_open":true,"stdin_once":true,"hostname":"solo","domainname":"example",
        "mounts":[
            {"destination":"/data","source":{"bind":{"path":"/v","propagation":"rslave","recursive":false}},"read_only":true},
            {"destination":"/tmp","source":{"tmpfs":{"size":4096,"mode":1023,"options":["exec"]}},"read_only":false}],
        "read_only_root":true,"shm_size":1024,"masked_paths":[],"read_only_paths":["/proc/sys"],"privileged":true,
        "capabilities_add":["ALL"],"capabilities_drop":["CHOWN"],"no_new_privileges":true,"seccomp":"default",
        "devices":[{"on_host":"/dev/fuse","inside":"/dev/fuse","access":"rw"}],"device_rules":["c 10:200 rwm"],
        "sysctls":{"net.core.somaxconn":"9"},"ulimits":[{"name":"nofile","soft":9,"hard":-1}],"oom_score_adj":-5,
        "namespaces":{"pid":"own","network":{"path":"/run/netns/x"},"ipc":"host","uts":"own","cgroup":"host"},
        "cgroup":"swarmup/n/web",
        "limits":{"nano_cpus":1,"cpu_quota":2,"cpu_period":3,"cpu_shares":4,"cpuset_cpus":"0","cpuset_mems":"0",
            "memory":5,"memory_and_swap":6,"memory_reservation":7,"memory_swappiness":8,"pids":9,"blkio_weight":10,
            "oom_kill_disable":true},
        "init":true,"log":{"folder":"/logs","max_size":1000,"max_files":2}}"#;

    let bundle: Bundle = serde_json::from_str(written).unwrap();

    // What is read says all of it again, so no field has another name, type or meaning by now.
    says(&bundle, &serde_json::from_str(written).unwrap());
}

#[test]
fn requests_are_said_in_its_words() {
    says(&Request::Start, &json!("start"));
    says(&Request::Signal(15), &json!({"signal": 15}));
    says(&Request::Wait, &json!("wait"));
    says(&Request::Resize(TtySize { columns: 80, rows: 24 }), &json!({"resize": {"columns": 80, "rows": 24}}));
    let streams = json!({"stdin": true, "stdout": true, "stderr": true});
    let attach = Attach { streams: Streams::ALL, behind_log: true };
    says(&Request::Attach(attach), &json!({"attach": streams}));
    let program = Program { argv: vec!["id".to_owned()], ..Program::default() };
    let exec = Exec { name: "e1".to_owned(), program, privileged: false, streams: Streams::ALL };
    let words = json!({"exec": {"name": "e1", "program": {"argv": ["id"], "env": []}, "streams": streams}});
    says(&Request::Exec(Box::new(exec)), &words);
}

#[test]
fn its_way_to_ask_for_streams_is_understood() {
    let words = r#"{"attach":{"stdin":true,"stdout":true,"stderr":true}}"#;

    let request: Request = serde_json::from_str(words).unwrap();

    assert_eq!(request, Request::Attach(Attach { streams: Streams::ALL, behind_log: false }));
}

#[test]
fn its_answers_are_understood() {
    let understood = |words: &str| serde_json::from_str::<Reply>(words).unwrap();

    assert_eq!(understood(r#""created""#), Reply::Created);
    assert_eq!(understood(r#""done""#), Reply::Done);
    assert_eq!(understood(r#"{"started":73}"#), Reply::Started(73));
    assert_eq!(understood(r#"{"failed":"is not running"}"#), Reply::Failed("is not running".to_owned()));
    let not_started = r#"{"not_started":{"failure":"not_found","reason":"no such file"}}"#;
    let expected = Reply::NotStarted { failure: StartFailure::NotFound, reason: "no such file".to_owned() };
    assert_eq!(understood(not_started), expected);
    let exited = understood(r#"{"exited":{"code":0,"finished_at":"2026-11-01T12:00:02Z"}}"#);
    let finished_at = moment("2026-11-01T12:00:02Z");
    assert_eq!(exited, Reply::Exited(Exit { code: 0, signal: None, oom_killed: false, finished_at, error: None }));
}

#[test]
fn frames_are_as_they_were() {
    let kinds = [Kind::Message, Kind::Stdout, Kind::Stderr, Kind::Stdin, Kind::StdinEnd];

    for (number, kind) in (0..).zip(kinds) {
        assert_eq!(frame(kind, b"ab"), [number, 0, 0, 0, 2, b'a', b'b']);
    }
}
