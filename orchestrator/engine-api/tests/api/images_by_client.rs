//! Images by the stock `docker` CLI, Debian's, and the Python SDK, with a real registry.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use crate::clients::{DockerCli, docker_clis, finish, sdk_python};
use crate::debian_registry::{DebianRegistry, PASSWORD, USER};
use crate::memory::MemoryNode;
use crate::served::Served;
use crate::test_image::{TestImage, archive};

#[tokio::test]
async fn images_are_loaded_listed_named_saved_and_removed() {
    for (_, program) in docker_clis().await {
        let served = Served::start(MemoryNode::inactive()).await;
        let docker = DockerCli::new(&program, &served.socket());
        let path = |name: &str| served.folder.path().join(name).display().to_string();
        let image = TestImage::new("app", 1, &[("one", b"1"), ("two", b"22")]);
        std::fs::write(path("app.tar"), image.archive(&["team/app:1"])).unwrap();
        let short = &image.id()[7..19];
        let list = ["images", "--format", "{{.Repository}}:{{.Tag}} {{.ID}} {{.Size}}"];

        let loaded = docker.expect(&["load", "--input", &path("app.tar")]).await;
        assert_eq!(loaded, "Loaded image: team/app:1\n");
        assert_eq!(docker.expect(&list).await, format!("team/app:1 {short} 3B\n"));
        assert_eq!(docker.expect(&["tag", "team/app:1", "other:2"]).await, "");
        assert_eq!(docker.expect(&["images", "--quiet", "--filter", "reference=oth*"]).await, format!("{short}\n"));
        let history = docker.expect(&["history", "--format", "{{.ID}} {{.CreatedBy}} {{.Size}}", "other:2"]).await;
        assert_eq!(history, format!("{short} COPY app 2B\n<missing> COPY app 1B\n"));
        let inspected: Value = serde_json::from_str(&docker.expect(&["inspect", "team/app:1"]).await).unwrap();
        assert_eq!((&inspected[0]["Id"], &inspected[0]["Config"]["Cmd"][0]), (&image.id().into(), &"/bin/true".into()));

        docker.expect(&["save", "--output", &path("saved.tar"), "team/app:1"]).await;
        let refused = docker.expect_refusal(&["rmi", short]).await;
        assert!(refused.contains("image is referenced in multiple repositories"), "{refused}");
        assert_eq!(docker.expect(&["rmi", "other:2"]).await, "Untagged: other:2\n");
        let removed = docker.expect(&["rmi", "team/app:1"]).await;
        assert!(removed.starts_with(&format!("Untagged: team/app:1\nDeleted: {}\n", image.id())), "{removed}");
        let missing = docker.expect_error(&["image", "inspect", "team/app:1"]).await;
        assert!(missing.contains("No such image: team/app:1"), "{missing}");
        docker.expect(&["load", "--input", &path("saved.tar")]).await;
        assert_eq!(docker.expect(&list).await, format!("team/app:1 {short} 3B\n"));

        std::fs::write(path("files.tar"), archive([("app", &b"x"[..])])).unwrap();
        let change = ["import", "--change", "CMD [\"/app\"]", "--message", "by hand", &path("files.tar")];
        let id = docker.expect(&change).await;
        assert!(id.trim().starts_with("sha256:"), "{id}");
        let pruned = docker.expect(&["image", "prune", "--force"]).await;
        assert!(pruned.contains(&format!("deleted: {id}")) && pruned.contains("Total reclaimed space: "), "{pruned}");
        docker.expect(&["image", "prune", "--force", "--all"]).await;
        assert_eq!(docker.expect(&list).await, "");
        let search = docker.expect_refusal(&["search", "app"]).await;
        assert!(search.starts_with("this engine searches no registries"), "{search}");
    }
}

#[tokio::test]
async fn images_are_pushed_and_pulled() {
    for (_, program) in docker_clis().await {
        let (registry, served) = (DebianRegistry::start(false).await, Served::start(MemoryNode::inactive()).await);
        let docker = DockerCli::new(&program, &served.socket());
        let name = format!("{}/team/app:1", registry.address);
        let file = served.folder.path().join("app.tar").display().to_string();
        std::fs::write(&file, TestImage::new("app", 1, &[("one", b"1"), ("two", b"22")]).archive(&[&name])).unwrap();
        docker.expect(&["load", "--input", &file]).await;

        let pushed = docker.expect(&["push", &name]).await;
        docker.expect(&["rmi", &name]).await;
        let pulled = docker.expect(&["pull", &name]).await;
        let again = docker.expect(&["pull", "--quiet", &name]).await;
        let missing = docker.expect_refusal(&["pull", &format!("{}/none:1", registry.address)]).await;

        let (_, digest) = pushed.split_once("1: digest: ").unwrap_or_else(|| panic!("{pushed}"));
        let digest = digest.split_whitespace().next().unwrap();
        assert!(pushed.contains(": Pushed\n"), "{pushed}");
        assert!(pulled.starts_with("1: Pulling from team/app\n"), "{pulled}");
        assert!(pulled.contains(&format!("Digest: {digest}\nStatus: Downloaded newer image for {name}\n")), "{pulled}");
        assert!(again.ends_with(&format!("{name}\n")), "{again}");
        assert!(missing.contains("manifest unknown"), "{missing}");
        let info = docker.run(&["info"]).await.stdout;
        assert!(info.contains(" Images: 1\n") && info.contains("  127.0.0.0/8\n"), "{info}");
    }
}

#[tokio::test]
async fn who_logs_in_may_push_and_pull_and_nobody_else() {
    for (_, program) in docker_clis().await {
        let (registry, served) = (DebianRegistry::start(true).await, Served::start(MemoryNode::inactive()).await);
        let docker = DockerCli::new(&program, &served.socket());
        let name = format!("{}/app:1", registry.address);
        let file = served.folder.path().join("app.tar").display().to_string();
        std::fs::write(&file, TestImage::new("app", 1, &[("one", b"1"), ("two", b"22")]).archive(&[&name])).unwrap();
        docker.expect(&["load", "--input", &file]).await;
        let login = ["login", "--username", USER, "--password-stdin", &registry.address];

        let wrong = docker.answer(&login, "guess").await;
        let refused = docker.expect_error(&["push", &name]).await;
        let right = docker.answer(&login, PASSWORD).await;
        let pushed = docker.expect(&["push", &name]).await;
        docker.expect(&["rmi", &name]).await;
        let pulled = docker.expect(&["pull", "--quiet", &name]).await;

        assert!(!wrong.success && wrong.stderr.contains("login attempt to 127.0.0.1:"), "{wrong:?}");
        assert!(refused.contains(&format!("push access denied for {}/app", registry.address)), "{refused}");
        assert!(right.success && right.stdout.contains("Login Succeeded"), "{right:?}");
        assert!(pushed.contains("1: digest: sha256:"), "{pushed}");
        assert_eq!(pulled, format!("{name}\n"));
    }
}

#[tokio::test]
async fn the_python_sdk_handles_images() {
    let Some(python) = sdk_python().await else { return };
    let (open, closed) = (DebianRegistry::start(false).await, DebianRegistry::start(true).await);
    let served = Served::start(MemoryNode::inactive()).await;
    let file = served.folder.path().join("app.tar");
    std::fs::write(&file, TestImage::new("app", 1, &[("one", b"1"), ("two", b"22")]).archive(&["team/app:1"])).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/api/images_sdk.py");

    let mut command = Command::new(python);
    command.arg(script).arg(served.socket()).arg(file).args([&open.address, &closed.address]).args([USER, PASSWORD]);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let outcome = finish(command, Duration::from_mins(1)).await;

    assert!(outcome.success && outcome.stdout == "done\n", "{}{}", outcome.stdout, outcome.stderr);
}
