//! The streams of a program that was added to a container, kept going whether or not somebody listens.
//!
//! ```text
//! shim ── output ──> reader ── bounded ──> ExecStream      its end is noted, and told, also when the stream is dropped
//! shim <── input ── writer <── bounded ──┘                 its input ends with the stream
//! ```

use std::convert::Infallible;
use std::sync::Arc;

use runtime::{AttachmentInput, AttachmentOutput, ExecSession, Output, TtySize};
use tokio::sync::{mpsc, oneshot};

use super::Shared;
use super::cell::Cell;
use super::exec::Exec;
use crate::event::EventKind;

/// How many pieces of output wait for a reader that is slow, and of input for a program that takes none; then the
/// other side waits.
const PIECES_WAITING: usize = 16;
/// What Docker says of a program whose end nobody saw.
const UNSEEN: i32 = 255;

/// What is sent to a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecInput {
    /// Input.
    Bytes(Vec<u8>),
    /// The end of the input.
    End,
}

/// The streams of a program that was added. Dropping them lets it run on, with an input that has ended.
#[derive(Debug)]
pub struct ExecStream {
    /// What it writes; closed once it has ended and all of that was read.
    pub output: mpsc::Receiver<Output>,
    /// What it reads.
    pub input: mpsc::Sender<ExecInput>,
}

/// Connects a program that has begun; `register` is told its process, and what takes sizes of its terminal, before
/// anything is heard of it.
pub(super) fn connect(
    shared: &Arc<Shared>,
    cell: &Arc<Cell>,
    exec: &Arc<Exec>,
    session: ExecSession,
    register: impl FnOnce(u32, mpsc::Sender<TtySize>),
) -> ExecStream {
    let (output_sender, output) = mpsc::channel(PIECES_WAITING);
    let (input, input_receiver) = mpsc::channel(PIECES_WAITING);
    let (sizes, sizes_receiver) = mpsc::channel(1);
    register(session.pid(), sizes);
    let (from, to) = session.into_attachment().split();
    let (alive, over) = oneshot::channel();
    let (reader_shared, cell, exec) = (Arc::clone(shared), Arc::clone(cell), Arc::clone(exec));
    shared.spawn_stream(async move {
        read(from, output_sender, reader_shared, cell, exec).await;
        drop(alive);
    });
    shared.spawn_stream(write(to, input_receiver, sizes_receiver, over));
    ExecStream { output, input }
}

async fn read(
    mut from: AttachmentOutput,
    output: mpsc::Sender<Output>,
    shared: Arc<Shared>,
    cell: Arc<Cell>,
    exec: Arc<Exec>,
) {
    let exit_code = loop {
        match from.next().await {
            Ok(Some(Output::Exited(exit))) => {
                let code = exit.code;
                note_end(&shared, &cell, &exec, code);
                let _ = output.send(Output::Exited(exit)).await;
                return;
            }
            // Where nobody listens it is thrown away, so that the program does not wait for ever.
            Ok(Some(piece)) => drop(output.send(piece).await),
            Ok(None) | Err(_) => break UNSEEN,
        }
    };
    note_end(&shared, &cell, &exec, exit_code);
}

fn note_end(shared: &Shared, cell: &Cell, exec: &Exec, exit_code: i32) {
    if exec.note_end(exit_code) {
        let mut attributes = cell.record().attributes();
        attributes.insert("execID".to_owned(), exec.id.clone());
        attributes.insert("exitCode".to_owned(), exit_code.to_string());
        shared.events.tell(EventKind::Container, "exec_die", &cell.id, attributes);
    }
}

/// Hands input on, and its end, and sizes also after that. The connection is held until the program has ended: without it
/// nobody would hear of that.
async fn write(
    mut to: AttachmentInput,
    mut input: mpsc::Receiver<ExecInput>,
    mut sizes: mpsc::Receiver<TtySize>,
    over: oneshot::Receiver<Infallible>,
) {
    let forward = async {
        let mut is_open = true;
        loop {
            let outcome = tokio::select! {
                piece = input.recv(), if is_open => match piece {
                    Some(ExecInput::Bytes(bytes)) => to.send(&bytes).await,
                    Some(ExecInput::End) => to.end().await,
                    None => {
                        is_open = false;
                        to.end().await
                    }
                },
                Some(size) = sizes.recv() => to.resize(size).await,
                else => break,
            };
            // A program that takes none has ended.
            if outcome.is_err() {
                break;
            }
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = forward => {}
        // Closed, which is an error, at the end.
        _ = over => {}
    }
}
