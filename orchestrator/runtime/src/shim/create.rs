//! Makes a container: reads what it is to be, and has the library prepare everything up to its program.

use std::io::{IoSliceMut, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::container::{Container as Prepared, ContainerStatus};
use libcontainer::syscall::syscall::SyscallType;
use rustix::fs::{Mode, OFlags, open};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::thread::CapabilitySet;

use super::stdio::{Ends, Stdio};
use super::{complaints, reasons};
use crate::beneath::Root;
use crate::bundle::{Bundle, Mount, MountSource, Namespace, Program};
use crate::cgroup::{Group, restrict_devices};
use crate::error::Doing;
use crate::last_steps::{LastSteps, LastWord};
use crate::seccomp::Profile;
use crate::state::{self, BUNDLE, CONFIG, CONSOLE, LIBRARY, ProcessId};
use crate::{RuntimeError, capability, spec, user};

/// The file that names the shim from its first moment on.
pub(crate) const SHIM: &str = "shim.json";
/// The container's name in the library's own folder.
pub(super) const NAME: &str = "c";

/// How long a last word is, in bytes.
const WORD_LIMIT: u64 = 64 << 10;

/// A container whose program waits for the word to start, unless it starts at once.
#[derive(Debug)]
pub(super) struct Created {
    pub(super) bundle: Bundle,
    pub(super) container: Prepared,
    pub(super) init: ProcessId,
    pub(super) stdio: Stdio,
    /// Where the program's last word comes from.
    pub(super) word: OwnedFd,
}

/// Makes the container that a state folder describes.
pub(super) fn create(folder: &Path) -> Result<Created, RuntimeError> {
    let bundle: Bundle = state::read(&folder.join(BUNDLE))?;
    let root = Root::open(&bundle.rootfs)?;
    let identity = user::resolve(&root, bundle.process.user.as_deref(), &bundle.process.groups)?;
    if let Some(cwd) = &bundle.process.cwd {
        root.create_folder(cwd)?;
    }
    check_sources(&bundle.mounts)?;
    // Nothing of the host's tree may be open in a container.
    drop(root);
    let specification = spec::container(&bundle, &identity)?;
    state::write(&folder.join(CONFIG), &specification)?;
    let library = folder.join(LIBRARY);
    std::fs::create_dir_all(&library).doing(|| format!("make `{}`", library.display()))?;

    let capabilities = capability::resolve(&bundle.capabilities_add, &bundle.capabilities_drop, bundle.privileged)?;
    let (word, their_word) = pipe_with(PipeFlags::CLOEXEC).doing(|| "make a pipe")?;
    let mut steps = last_steps(&bundle, &bundle.process, capabilities, &their_word)?;
    steps.env = spec::environment(&bundle.process, &identity);
    steps.is_root = identity.uid == 0;
    steps.sets_loopback_up = bundle.namespaces.network == Namespace::Own;
    steps.init = bundle.init;
    let place = if bundle.starts_at_once {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Some(open(&library, flags, Mode::empty()).doing(|| format!("open `{}`", library.display()))?)
    } else {
        None
    };
    steps.starts_by = place.as_ref().map(AsRawFd::as_raw_fd);

    let own_score = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
    let builder = ContainerBuilder::new(NAME.to_owned(), SyscallType::default()).with_executor(steps);
    let (container, stdio) = with_streams(folder, &bundle.process, bundle.stdin_open, builder, |builder| {
        let builder = builder.with_root_path(&library)?.as_init(folder).with_systemd(false).with_detach(true);
        builder.build()
    })?;
    drop(their_word);
    if bundle.oom_score_adj.is_some() {
        // The library set it on this process. Where it cannot be taken back, the shim goes with its container.
        let _ = std::fs::write("/proc/self/oom_score_adj", own_score.trim());
    }
    if let Some(rules) = specification["linux"]["resources"]["devices"].as_array() {
        restrict_devices(&Group::new(&bundle.cgroup), rules)?;
    }
    let pid = container.pid().map_or(0, |pid| pid.as_raw().unsigned_abs());
    let init = ProcessId::of(pid)?;
    Ok(Created { bundle, container, init, stdio, word })
}

/// What is to be mounted must be there.
fn check_sources(mounts: &[Mount]) -> Result<(), RuntimeError> {
    for mount in mounts {
        if let MountSource::Bind { path, .. } = &mount.source
            && !path.try_exists().doing(|| format!("look for the source of a mount `{}`", path.display()))?
        {
            let place = path.display();
            let reason = format!("invalid mount config for type \"bind\": bind source path does not exist: {place}");
            return Err(RuntimeError::Invalid { reason });
        }
    }
    Ok(())
}

/// What is left to do for a program of a container when it has been prepared.
pub(super) fn last_steps(
    bundle: &Bundle,
    program: &Program,
    capabilities: CapabilitySet,
    word: &OwnedFd,
) -> Result<LastSteps, RuntimeError> {
    let profile = if bundle.privileged { &Profile::Unconfined } else { &bundle.seccomp };
    Ok(LastSteps {
        argv: program.argv.clone(),
        env: Vec::new(),
        capabilities,
        is_root: true,
        filter: profile.program(capabilities)?,
        no_new_privileges: bundle.no_new_privileges,
        sets_loopback_up: false,
        init: false,
        starts_by: None,
        tty_size: program.tty_size.filter(|_| program.tty),
        word: word.as_raw_fd(),
    })
}

/// Has the library prepare a program on new pipes, or on a new terminal, whose other side it returns.
pub(super) fn with_streams<T>(
    folder: &Path,
    program: &Program,
    stdin_open: bool,
    builder: ContainerBuilder,
    build: impl FnOnce(ContainerBuilder) -> Result<T, libcontainer::error::LibcontainerError>,
) -> Result<(T, Stdio), RuntimeError> {
    let complained = complaints::length(folder);
    let failed = |error: libcontainer::error::LibcontainerError| {
        let cause = complaints::first_since(folder, complained).map(|cause| format!(": {cause}"));
        RuntimeError::Invalid { reason: format!("{}{}", reasons(&error), cause.unwrap_or_default()) }
    };
    if !program.tty {
        let (stdio, Ends { stdin, stdout, stderr }) = Stdio::pipes(stdin_open).doing(|| "make pipes")?;
        let outcome = build(builder.with_stdin(stdin).with_stdout(stdout).with_stderr(stderr)).map_err(failed)?;
        return Ok((outcome, stdio));
    }
    let name = format!("{}.{CONSOLE}", std::process::id());
    let place = folder.join(&name);
    // Relative, because the path of a socket is short.
    std::env::set_current_dir(folder).doing(|| format!("enter `{}`", folder.display()))?;
    let listener = UnixListener::bind(&name).doing(|| format!("listen at `{}`", place.display()))?;
    let outcome = build(builder.with_console_socket(Some(&place))).map_err(failed);
    let removed = std::fs::remove_file(&place).doing(|| format!("remove `{}`", place.display()));
    let result = outcome?;
    removed?;
    let console = receive_console(&listener).doing(|| "receive the terminal")?;
    let stdio = Stdio::console(console).doing(|| "prepare the terminal")?;
    Ok((result, stdio))
}

/// Waits until the program of a container that starts at once has begun, or says why it has not.
pub(super) fn wait_for_begin(created: &mut Created) -> Result<Option<LastWord>, RuntimeError> {
    let mut word = Vec::new();
    std::fs::File::from(created.word.try_clone().doing(|| "copy a descriptor")?)
        .take(WORD_LIMIT)
        .read_to_end(&mut word)
        .doing(|| "hear from the program")?;
    if let Ok(word) = serde_json::from_slice(&word) {
        return Ok(Some(word));
    }
    // So that the library lets programs be added.
    let saved = created.container.set_status(ContainerStatus::Running).save();
    saved.map_err(|error| RuntimeError::Invalid { reason: reasons(&error) })?;
    Ok(None)
}

/// The terminal that the library has sent by now.
fn receive_console(listener: &UnixListener) -> std::io::Result<OwnedFd> {
    let (stream, _) = listener.accept()?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut name = [0; 64];
    recvmsg(&stream, &mut [IoSliceMut::new(&mut name)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    ancillary
        .drain()
        .find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            RecvAncillaryMessage::ScmCredentials(_) | _ => None,
        })
        .ok_or_else(|| std::io::Error::other("there was none"))
}
