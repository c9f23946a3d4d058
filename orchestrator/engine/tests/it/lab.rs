//! An engine of a test's own: a folder, an image with busybox, control groups; all gone with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use engine::{
    ContainerConfig, ContainerSettings, ContainerState, Containers, CreateRequest, EventLog, EventReceiver, ExecConfig,
    HostConfig, NodeFacts, WaitCondition,
};
use futures_util::stream;
use image::{Digest, UnpackLimits};
use links::cgroup::ControlGroup;
use rand::SeedableRng;
use rand::rngs::StdRng;
use runtime::{LogQuery, Output, Runtime, State};
use tar::{Builder, EntryType, Header};
use tempfile::TempDir;

/// How long anything may take before a test says that it hangs.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);
/// The name of the image.
pub(crate) const IMAGE: &str = "busybox:test";
/// Where Debian's `busybox-static` puts its program.
const BUSYBOX: &str = "/usr/bin/busybox";
/// What of it the tests call by name.
const TOOLS: &str = "sh cat echo sleep true false id ls hostname env pwd touch printf stat grep kill ps mount trap mkdir ip nc nslookup";

/// An engine of a test's own.
pub(crate) struct Lab {
    folder: TempDir,
    state: TempDir,
    cgroups: PathBuf,
    pub(crate) events: Arc<EventLog>,
    opened: Option<Containers>,
    /// Seeds what the next one draws.
    openings: u64,
}

impl Lab {
    /// An engine with an image of busybox.
    pub(crate) async fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = tempfile::Builder::new().prefix("engine-test-").tempdir_in("/var/tmp").unwrap();
        // Sockets lie there, whose paths must be short.
        let state = tempfile::Builder::new().prefix("engine-test-").tempdir_in("/run").unwrap();
        // By a name that was drawn: tests in process namespaces of their own have the same numbers.
        let cgroups = Path::new("/").join(folder.path().file_name().unwrap());
        let events = Arc::new(EventLog::new());
        let containers = open(folder.path(), state.path(), &cgroups, &events, u64::from(number)).await;
        let archive = archive_of_image();
        let pieces: Vec<_> = archive.chunks(1 << 16).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        containers.images().load(stream::iter(pieces)).await.unwrap();
        Self { folder, state, cgroups, events, opened: Some(containers), openings: 1000 }
    }

    /// Closes the engine, as the end of an agent does, and opens it again. Containers run on meanwhile.
    pub(crate) async fn reopen(&mut self) {
        self.close().await;
        self.open_again().await;
    }

    /// Closes the engine; to be followed by [`Lab::open_again`].
    pub(crate) async fn close(&mut self) {
        if let Some(containers) = self.opened.take() {
            containers.close().await;
        }
    }

    pub(crate) async fn open_again(&mut self) {
        self.openings += 1;
        self.events = Arc::new(EventLog::new());
        self.opened =
            Some(open(self.folder.path(), self.state.path(), &self.cgroups, &self.events, self.openings).await);
    }

    /// The containers, while the engine is open.
    pub(crate) fn containers(&self) -> &Containers {
        self.opened.as_ref().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the runtime keeps the state of a container.
    pub(crate) fn state_folder(&self, id: &str) -> PathBuf {
        self.state.path().join(id)
    }

    /// Takes all that the runtime knows and runs, as a power failure does. The engine is closed.
    pub(crate) fn forget_runtime(&self) {
        self.end_shims();
        let group = ControlGroup::new(self.cgroups.strip_prefix("/").unwrap()).unwrap();
        group.kill().unwrap();
        group.remove().unwrap();
        for entry in fs::read_dir(self.state.path()).unwrap() {
            fs::remove_dir_all(entry.unwrap().path()).unwrap();
        }
    }

    /// Ends all shims by force.
    pub(crate) fn end_shims(&self) {
        for entry in fs::read_dir(self.state.path()).into_iter().flatten().flatten() {
            self.end_shim(&entry.file_name().to_string_lossy());
        }
    }

    /// Ends the shim of one container by force, and its program with it.
    pub(crate) fn end_shim(&self, id: &str) {
        let state = fs::read(self.state_folder(id).join("state.json")).ok();
        if let Some(state) = state.and_then(|bytes| serde_json::from_slice::<State>(&bytes).ok())
            && let Ok(Some(shim)) = (links::Process { pid: state.shim.pid, started: state.shim.started }).open()
        {
            let _ = shim.kill();
            let _ = shim.wait(LIMIT);
        }
    }

    /// Makes a container with this name.
    pub(crate) async fn create(&self, name: &str, request: CreateRequest) -> String {
        self.containers().create(Some(name), request).await.unwrap().id
    }

    /// Makes and starts a container with this name.
    pub(crate) async fn run(&self, name: &str, request: CreateRequest) -> String {
        let id = self.create(name, request).await;
        assert!(self.containers().start(&id).await.unwrap());
        id
    }

    /// Runs a container to its end: how it ended, and what it wrote.
    pub(crate) async fn finish(&self, request: CreateRequest) -> (i32, String) {
        let id = self.containers().create(None, request).await.unwrap().id;
        self.containers().start(&id).await.unwrap();
        let code = self.wait(&id).await;
        let text = self.log(&id).await;
        self.containers().remove(&id, false, true).await.unwrap();
        (code, text)
    }

    /// Runs a script in a container that runs: how it ended, and what it wrote.
    pub(crate) async fn exec(&self, name: &str, script: &str) -> (i32, String) {
        let cmd = ["sh", "-c", script].map(str::to_owned).to_vec();
        let config = ExecConfig { cmd, attach_stdout: true, attach_stderr: true, ..ExecConfig::default() };
        let exec = self.containers().exec_create(name, config).unwrap();
        let mut stream = self.containers().exec_start(&exec, None).await.unwrap();
        let mut text = Vec::new();
        loop {
            match tokio::time::timeout(LIMIT, stream.output.recv()).await.expect("it ends") {
                Some(Output::Bytes(_, bytes)) => text.extend(bytes),
                Some(Output::Exited(exit)) => return (exit.code, String::from_utf8(text).unwrap()),
                None => panic!("the end is missing"),
            }
        }
    }

    pub(crate) async fn wait(&self, name: &str) -> i32 {
        let mut wait = self.containers().wait(name, WaitCondition::NotRunning).unwrap();
        tokio::time::timeout(LIMIT, wait.outcome()).await.expect("it ends").exit_code
    }

    pub(crate) async fn log(&self, name: &str) -> String {
        let mut text = String::new();
        let mut reader = self.containers().logs(name, LogQuery::default()).unwrap().unwrap();
        while let Some(entry) = reader.next().await {
            text.push_str(&entry.unwrap().text);
        }
        text
    }

    /// Follows the log of a container until a line is there.
    pub(crate) async fn wait_for_line(&self, name: &str, line: &str) {
        let query = LogQuery { follow: true, ..LogQuery::default() };
        let mut reader = self.containers().logs(name, query).unwrap().unwrap();
        loop {
            match tokio::time::timeout(LIMIT, reader.next()).await.unwrap() {
                Some(Ok(entry)) if entry.text.trim_end() == line => return,
                Some(Ok(_)) => {}
                other => panic!("{other:?} before {line:?}"),
            }
        }
    }

    /// Waits until a container is in a state like this.
    pub(crate) async fn wait_until(&self, name: &str, is_met: impl Fn(&ContainerState) -> bool) -> ContainerState {
        let mut states = self.containers().watch(name).unwrap();
        let state = tokio::time::timeout(LIMIT, states.wait_for(is_met)).await.map(|state| state.unwrap().clone());
        state.unwrap_or_else(|_| panic!("it came to {:?} only", self.containers().find(name).unwrap().state))
    }

    /// What has happened to one kind of object so far: actions alone.
    pub(crate) fn actions(&self, id: &str) -> Vec<String> {
        let (past, _) = self.events.subscribe();
        past.iter().filter(|event| event.actor.id == id).map(|event| event.action.clone()).collect()
    }

    /// What is left on the machine of all containers: state folders, groups, mounts.
    pub(crate) fn left(&self) -> (usize, Vec<String>, usize) {
        let states = fs::read_dir(self.state.path()).unwrap().count();
        let groups = ControlGroup::new(self.cgroups.strip_prefix("/").unwrap()).unwrap().children();
        (states, groups, self.mounts().len())
    }

    /// The mounts below the engine's folder.
    pub(crate) fn mounts(&self) -> Vec<PathBuf> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let places = mounts.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
        places.filter(|place| place.starts_with(self.folder.path())).collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.end_shims();
        let group = ControlGroup::new(self.cgroups.strip_prefix("/").unwrap()).unwrap();
        let _ = group.kill();
        let _ = group.remove();
        for place in self.mounts() {
            let _ = rustix::mount::unmount(&place, rustix::mount::UnmountFlags::DETACH);
        }
    }
}

async fn open(root: &Path, state: &Path, cgroups: &Path, events: &Arc<EventLog>, seed: u64) -> Containers {
    let shim = Path::new(env!("CARGO_BIN_EXE_engine-shim"));
    let settings = ContainerSettings {
        root: root.to_owned(),
        runtime: Runtime::with_executable(state, cgroups, shim).unwrap(),
        unpack_limits: UnpackLimits::default(),
        node: NodeFacts { hostname: "node-1".to_owned(), cpus: 2, has_unified_cgroups: false },
        engine_id: "engine-of-the-test".to_owned(),
    };
    let mut rng = StdRng::seed_from_u64(seed);
    Containers::open(settings, Arc::clone(events), &mut rng).await.unwrap()
}

/// A container of the image that runs a script, without a network.
pub(crate) fn script(script: &str) -> CreateRequest {
    let cmd = ["sh", "-c", script].map(str::to_owned).to_vec();
    CreateRequest {
        config: ContainerConfig { cmd: Some(cmd), image: IMAGE.to_owned(), ..ContainerConfig::default() },
        host_config: HostConfig { network_mode: "none".to_owned(), ..HostConfig::default() },
        networking_config: None,
    }
}

/// One that runs until it is asked to end, and says so.
pub(crate) fn server() -> CreateRequest {
    script("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 1 & wait $!; done")
}

/// The next event of this action; what comes before is passed over.
pub(crate) async fn next_event(events: &mut EventReceiver, action: &str) -> Arc<engine::Event> {
    loop {
        let event = tokio::time::timeout(LIMIT, events.next()).await.expect("it happens").unwrap().unwrap();
        if event.action == action {
            return event;
        }
    }
}

/// The image, as `docker save` writes one.
fn archive_of_image() -> Vec<u8> {
    let layer = layer();
    let config = serde_json::json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": {
            "Cmd": ["sh"], "Env": ["PATH=/bin", "FROM=image"], "Labels": {"origin": "test"},
            "Volumes": {"/data": {}},
        },
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(&layer)]},
    })
    .to_string();
    let manifest = serde_json::json!([{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]);
    let manifest = manifest.to_string();
    let mut archive = Builder::new(Vec::new());
    for (name, bytes) in
        [("layer.tar", &layer[..]), ("config.json", config.as_bytes()), ("manifest.json", manifest.as_bytes())]
    {
        append(&mut archive, name, EntryType::Regular, 0o644, bytes, "");
    }
    archive.into_inner().unwrap()
}

fn layer() -> Vec<u8> {
    let busybox = fs::read(BUSYBOX).expect("Debian's package `busybox-static` is installed");
    let mut layer = Builder::new(Vec::new());
    for (folder, mode) in [
        ("bin", 0o755),
        ("etc", 0o755),
        ("proc", 0o755),
        ("dev", 0o755),
        ("sys", 0o755),
        ("tmp", 0o1777),
        ("data", 0o750),
    ] {
        append(&mut layer, folder, EntryType::Directory, mode, b"", "");
    }
    append(&mut layer, "bin/busybox", EntryType::Regular, 0o755, &busybox, "");
    for tool in TOOLS.split(' ') {
        append(&mut layer, &format!("bin/{tool}"), EntryType::Symlink, 0o777, b"", "busybox");
    }
    append(&mut layer, "etc/passwd", EntryType::Regular, 0o644, b"root:x:0:0::/:/bin/sh\nweb:x:33:44::/:/bin/sh\n", "");
    append(&mut layer, "etc/group", EntryType::Regular, 0o644, b"root:x:0:\nweb:x:44:\n", "");
    append(&mut layer, "data/seed", EntryType::Regular, 0o640, b"from the image\n", "");
    append(&mut layer, "data/link", EntryType::Symlink, 0o777, b"", "seed");
    append(&mut layer, "data/inner", EntryType::Directory, 0o700, b"", "");
    layer.into_inner().unwrap()
}

fn append(archive: &mut Builder<Vec<u8>>, path: &str, kind: EntryType, mode: u32, bytes: &[u8], link: &str) {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(bytes.len() as u64);
    // What the image puts into its volume belongs to somebody.
    header.set_uid(if path.starts_with("data") { 33 } else { 0 });
    header.set_gid(0);
    header.set_mtime(1_600_000_000);
    if !link.is_empty() {
        header.set_link_name(link).unwrap();
    }
    archive.append_data(&mut header, path, bytes).unwrap();
}
