//! Programs that are added to containers, and the processes that are seen there.

use engine::{ContainerError, ExecConfig, ExecInput};
use runtime::Output;

use crate::lab::{LIMIT, Lab, next_event, script, server};

fn config(script: &str) -> ExecConfig {
    let cmd = ["sh", "-c", script].map(str::to_owned).to_vec();
    ExecConfig { cmd, attach_stdout: true, attach_stderr: true, ..ExecConfig::default() }
}

#[tokio::test]
async fn an_added_program_has_the_containers_variables_and_its_own_end() {
    let lab = Lab::new().await;
    let mut request = server();
    request.config.env = vec!["A=container".to_owned(), "B=container".to_owned()];
    let id = lab.run("one", request).await;
    let wanted = ExecConfig { env: vec!["B=own".to_owned()], ..config("echo $FROM $A $B; id -u; pwd; exit 4") };
    let wanted = ExecConfig { user: "web".to_owned(), working_dir: "/tmp".to_owned(), ..wanted };
    let (_, mut events) = lab.events.subscribe();

    let exec = lab.containers().exec_create("one", wanted).unwrap();
    let mut stream = lab.containers().exec_start(&exec, None).await.unwrap();
    let mut text = Vec::new();
    let code = loop {
        match tokio::time::timeout(LIMIT, stream.output.recv()).await.unwrap() {
            Some(Output::Bytes(_, bytes)) => text.extend(bytes),
            Some(Output::Exited(exit)) => break exit.code,
            None => panic!("the end is missing"),
        }
    };

    assert_eq!(String::from_utf8_lossy(&text), "image container own\n33\n/tmp\n");
    assert_eq!(code, 4);
    let died = next_event(&mut events, "exec_die").await;
    assert_eq!((died.actor.id.as_str(), died.actor.attributes["exitCode"].as_str()), (id.as_str(), "4"));
    let view = lab.containers().exec_inspect(&exec).unwrap();
    assert_eq!((view.is_running, view.exit_code), (false, Some(4)));
    assert!(view.pid > 0);
    assert!(matches!(lab.containers().exec_start(&exec, None).await, Err(ContainerError::Conflict(_))));
}

#[tokio::test]
async fn an_added_program_reads_what_is_sent_and_runs_on_when_nobody_listens() {
    let lab = Lab::new().await;
    lab.run("one", server()).await;
    let (_, mut events) = lab.events.subscribe();
    let reading = ExecConfig { attach_stdin: true, ..config("cat > /tmp/copy") };

    let exec = lab.containers().exec_create("one", reading).unwrap();
    let stream = lab.containers().exec_start(&exec, None).await.unwrap();
    stream.input.send(ExecInput::Bytes(b"words".to_vec())).await.unwrap();
    stream.input.send(ExecInput::End).await.unwrap();
    drop(stream);
    next_event(&mut events, "exec_die").await;
    let loud = lab.containers().exec_create("one", config("cat /tmp/copy; head -c 1000000 /dev/zero")).unwrap();
    let unheard = lab.containers().exec_start(&loud, None).await.unwrap();
    drop(unheard);
    next_event(&mut events, "exec_die").await;

    assert_eq!(lab.containers().exec_inspect(&exec).unwrap().exit_code, Some(0));
    assert!(lab.containers().exec_inspect(&loud).unwrap().exit_code.is_some());
}

#[tokio::test]
async fn nothing_is_added_to_what_does_not_run() {
    let lab = Lab::new().await;
    let id = lab.create("one", script("true")).await;

    let error = lab.containers().exec_create("one", config("true")).unwrap_err().to_string();
    let unknown = lab.containers().exec_inspect("nothing").unwrap_err().to_string();

    assert_eq!(error, format!("container {id} is not running"));
    assert_eq!(unknown, "No such exec instance: nothing");
}

#[tokio::test]
async fn the_processes_of_a_container_are_seen() {
    let lab = Lab::new().await;
    let id = lab.run("one", script("echo ready; exec sleep 61")).await;
    lab.wait_for_line(&id, "ready").await;
    // The program is replaced an instant after the line.
    let mut table = lab.containers().top("one", "").await.unwrap();
    while !table.processes[0][7].starts_with("sleep") {
        table = lab.containers().top("one", "-ef").await.unwrap();
    }

    assert_eq!(table.titles[7], "CMD");
    assert_eq!(table.processes.len(), 1);
    assert_eq!((table.processes[0][0].as_str(), table.processes[0][7].as_str()), ("root", "sleep 61"));
    let by_user = lab.containers().top("one", "aux").await.unwrap();
    assert_eq!((by_user.titles[0].as_str(), by_user.processes[0][10].as_str()), ("USER", "sleep 61"));
    assert!(lab.containers().top("one", "--forest").await.is_err());
}
