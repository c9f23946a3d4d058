//! A program that was added to a container, as Docker shows it.

use engine::ExecView;
use serde::Serialize;

/// Docker's `ExecInspect`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "the keys are Docker's")]
pub(crate) struct ExecDocument {
    #[serde(rename = "ID")]
    id: String,
    running: bool,
    exit_code: Option<i32>,
    process_config: ProcessView,
    open_stdin: bool,
    open_stderr: bool,
    open_stdout: bool,
    can_remove: bool,
    #[serde(rename = "ContainerID")]
    container_id: String,
    detach_keys: String,
    pid: u32,
}

/// Docker's `ExecProcessConfig`.
#[derive(Debug, Clone, Serialize)]
struct ProcessView {
    tty: bool,
    entrypoint: String,
    arguments: Vec<String>,
    privileged: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    user: String,
}

impl From<ExecView> for ExecDocument {
    fn from(view: ExecView) -> Self {
        let ExecView { id, container_id, config, is_running, pid, exit_code } = view;
        let mut words = config.cmd.into_iter();
        Self {
            id,
            running: is_running,
            exit_code,
            process_config: ProcessView {
                tty: config.tty,
                entrypoint: words.next().unwrap_or_default(),
                arguments: words.collect(),
                privileged: config.privileged,
                user: config.user,
            },
            open_stdin: config.attach_stdin,
            open_stderr: config.attach_stderr,
            open_stdout: config.attach_stdout,
            can_remove: false,
            container_id,
            // Docker shows the bytes of the keys; clients have them from whoever made it.
            detach_keys: String::new(),
            pid,
        }
    }
}
