//! A runtime of a test's own: a root file system, a folder for state, control groups, all gone with it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use links::cgroup::ControlGroup;
use runtime::{Attachment, Bundle, Container, Exit, LogQuery, LogSettings, Output, Runtime, State, Stream, Streams};
use tempfile::TempDir;

/// How long anything may take before a test says that it hangs.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Where Debian's `busybox-static` puts its program.
const BUSYBOX: &str = "/usr/bin/busybox";

/// A runtime of a test's own.
pub(crate) struct Lab {
    folder: TempDir,
    cgroups: PathBuf,
    pub(crate) runtime: Runtime,
}

impl Lab {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = tempfile::Builder::new().prefix("runtime-test-").tempdir_in("/run").unwrap();
        let cgroups = PathBuf::from(format!("/runtime-test-{}-{number}", std::process::id()));
        make_root(&folder.path().join("rootfs"));
        let runtime = Self::runtime_of(folder.path(), &cgroups);
        Self { folder, cgroups, runtime }
    }

    fn runtime_of(folder: &Path, cgroups: &Path) -> Runtime {
        Runtime::with_executable(folder.join("state"), cgroups, Path::new(env!("CARGO_BIN_EXE_runtime-shim"))).unwrap()
    }

    /// A runtime as another agent would make it.
    pub(crate) fn next_agent(&self) -> Runtime {
        Self::runtime_of(self.folder.path(), &self.cgroups)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn state_folder(&self, id: &str) -> PathBuf {
        self.path("state").join(id)
    }

    pub(crate) fn cgroups(&self) -> &PathBuf {
        &self.cgroups
    }

    /// A bundle that runs words, and logs.
    pub(crate) fn bundle(&self, id: &str, argv: &[&str]) -> Bundle {
        let mut bundle = Bundle::new(id, self.path("rootfs"), self.runtime.cgroup_of(id), argv);
        bundle.log = Some(LogSettings::new(self.path(&format!("log-{id}"))));
        bundle
    }

    /// A bundle that runs a shell's script.
    pub(crate) fn script(&self, id: &str, script: &str) -> Bundle {
        self.bundle(id, &["sh", "-c", script])
    }

    /// Runs a container to its end and removes it: how it ended, and what it wrote.
    pub(crate) async fn run(&self, bundle: &Bundle) -> (Exit, String) {
        let container = self.runtime.create(bundle).await.unwrap();
        let attachment = container.attach(Streams { stdin: false, ..Streams::ALL }).await.unwrap();
        container.start().await.unwrap();
        let (exit, text) = finish(attachment).await;
        container.delete(false).await.unwrap();
        (exit, text)
    }

    /// What a script of a container with every default wrote; it must succeed.
    pub(crate) async fn output(&self, bundle: &Bundle) -> String {
        let (exit, text) = self.run(bundle).await;
        assert_eq!(exit.code, 0, "{text}");
        text
    }

    /// What our program needs inside where a test's build is not static, as `swarmd` is.
    pub(crate) fn add_libraries(&self) {
        let output = std::process::Command::new("ldd").arg(env!("CARGO_BIN_EXE_runtime-shim")).output().unwrap();
        let list = String::from_utf8(output.stdout).unwrap();
        for library in list.split_ascii_whitespace().filter(|word| word.starts_with('/')) {
            let place = self.path("rootfs").join(library.trim_start_matches('/'));
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            fs::copy(library, place).unwrap();
        }
    }

    /// The groups and folders that are left.
    pub(crate) fn left(&self) -> (Vec<String>, usize) {
        let groups = ControlGroup::new(self.cgroups.strip_prefix("/").unwrap()).unwrap().children();
        (groups, fs::read_dir(self.path("state")).unwrap().count())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for entry in fs::read_dir(self.path("state")).into_iter().flatten().flatten() {
            let state = fs::read(entry.path().join("state.json")).ok();
            if let Some(state) = state.and_then(|bytes| serde_json::from_slice::<State>(&bytes).ok())
                && let Ok(Some(shim)) = (links::Process { pid: state.shim.pid, started: state.shim.started }).open()
            {
                let _ = shim.kill();
                let _ = shim.wait(LIMIT);
            }
        }
        let group = ControlGroup::new(self.cgroups.strip_prefix("/").unwrap()).unwrap();
        let _ = group.kill();
        let _ = group.remove();
    }
}

/// Everything that comes until the program has ended.
pub(crate) async fn finish(mut attachment: Attachment) -> (Exit, String) {
    let mut bytes = Vec::new();
    loop {
        match tokio::time::timeout(LIMIT, attachment.next()).await.unwrap().unwrap() {
            Some(Output::Bytes(_, piece)) => bytes.extend(piece),
            Some(Output::Exited(exit)) => return (exit, String::from_utf8_lossy(&bytes).into_owned()),
            None => panic!("the shim is gone"),
        }
    }
}

/// Output until it contains a word.
pub(crate) async fn read_until(attachment: &mut Attachment, word: &str) -> String {
    let mut text = String::new();
    while !text.contains(word) {
        match tokio::time::timeout(LIMIT, attachment.next()).await {
            Ok(Ok(Some(Output::Bytes(_, piece)))) => text.push_str(&String::from_utf8_lossy(&piece)),
            other => panic!("{other:?} after {text:?}, before {word:?}"),
        }
    }
    text
}

/// The log of a container that has ended, as text.
pub(crate) async fn log_of(container: &Container) -> String {
    let mut reader = container.logs(LogQuery::default()).unwrap();
    let mut text = String::new();
    while let Some(entry) = reader.next().await {
        text.push_str(&entry.unwrap().text);
    }
    text
}

/// Waits for the end of a container.
pub(crate) async fn wait(container: &Container) -> Exit {
    tokio::time::timeout(LIMIT, container.wait()).await.unwrap().unwrap()
}

/// Follows a container's log until a line is there.
pub(crate) async fn wait_for_line(container: &Container, line: &str) {
    let query = LogQuery { follow: true, stream: Some(Stream::Stdout), ..LogQuery::default() };
    let mut reader = container.logs(query).unwrap();
    loop {
        match tokio::time::timeout(LIMIT, reader.next()).await.unwrap() {
            Some(Ok(entry)) if entry.text.trim_end() == line => return,
            Some(Ok(_)) => {}
            other => panic!("{other:?} before {line:?}"),
        }
    }
}

fn make_root(root: &Path) {
    for folder in ["bin", "dev", "etc", "proc", "sys", "tmp", "root", "home"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::copy(BUSYBOX, root.join("bin/busybox")).expect("Debian's package `busybox-static` is installed");
    let tools = "sh cat echo sleep true false id ls mount umount mkdir mknod head tail dd seq grep hostname stty tty \
                 kill ps wc env pwd touch test printf yes unshare chmod stat nc ip sysctl trap readlink adjtimex date \
                 dmesg rm ln md5sum";
    for tool in tools.split_ascii_whitespace() {
        symlink("busybox", root.join("bin").join(tool)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nweb:x:33:44::/home:/bin/sh\n").unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\nweb:x:44:\nlogs:x:50:web\n").unwrap();
}
