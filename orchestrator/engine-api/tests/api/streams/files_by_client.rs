//! Files, images of containers, volumes and what takes room, by the stock `docker` CLI and Debian's.

use std::process::Stdio;

use tokio::io::AsyncWriteExt as _;

use super::lab::{Lab, script, sleeper};
use crate::clients::{DockerCli, docker_clis};

async fn each() -> Vec<(Lab, DockerCli)> {
    let mut clients = Vec::new();
    for (_, program) in docker_clis().await {
        let lab = Lab::start().await;
        let docker = DockerCli::new(&program, &lab.socket());
        clients.push((lab, docker));
    }
    clients
}

/// Runs a command that must succeed, whatever it says of its progress.
async fn succeed(docker: &DockerCli, arguments: &[&str]) -> String {
    let outcome = docker.run(arguments).await;
    assert!(outcome.success, "docker {arguments:?}: {outcome:#?}");
    outcome.stdout
}

#[tokio::test]
async fn files_are_copied_both_ways() {
    for (lab, docker) in each().await {
        lab.run("one", sleeper()).await;
        lab.create("two", sleeper()).await;
        let path = |name: &str| lab.folder.path().join(name).display().to_string();
        std::fs::create_dir_all(path("tree/in")).unwrap();
        std::fs::write(path("tree/in/file"), "text\n").unwrap();
        std::os::unix::fs::symlink("in/file", path("tree/link")).unwrap();

        for container in ["one", "two"] {
            // A folder to a name that is free, and into a folder that is there.
            succeed(&docker, &["cp", &path("tree"), &format!("{container}:/copy")]).await;
            succeed(&docker, &["cp", &path("tree"), &format!("{container}:/tmp")]).await;
            succeed(&docker, &["cp", &path("tree/in/file"), &format!("{container}:/etc/renamed")]).await;
            succeed(&docker, &["cp", &format!("{container}:/copy"), &path(container)]).await;
            succeed(&docker, &["cp", &format!("{container}:/tmp/tree/in/."), &path(&format!("{container}/only"))])
                .await;
            succeed(&docker, &["cp", &format!("{container}:/etc/renamed"), &path(&format!("{container}/back"))]).await;
            succeed(
                &docker,
                &["cp", "--follow-link", &format!("{container}:/copy/link"), &path(&format!("{container}/followed"))],
            )
            .await;
            succeed(&docker, &["cp", &format!("{container}:/"), &path(&format!("{container}/whole"))]).await;

            for file in ["in/file", "only/file", "back", "followed", "whole/copy/in/file", "whole/etc/renamed"] {
                let found = std::fs::read_to_string(path(&format!("{container}/{file}")));
                assert_eq!(found.ok().as_deref(), Some("text\n"), "{container}: {file}");
            }
            let link = std::fs::read_link(path(&format!("{container}/link"))).unwrap();
            assert_eq!(link.to_str(), Some("in/file"));
        }

        let archive = docker.command(&["cp", "one:/copy/in/file", "-"]).output().await.unwrap();
        assert!(archive.status.success(), "{archive:?}");
        let mut child = docker.command(&["cp", "-", "two:/var"]).stdin(Stdio::piped()).spawn().unwrap();
        // It may have ended without reading any of it.
        let _ = child.stdin.take().unwrap().write_all(&archive.stdout).await;
        let outcome = child.wait_with_output().await.unwrap();
        assert!(!outcome.status.success(), "there is no /var: {outcome:?}");
        let mut child = docker.command(&["cp", "-", "two:/tmp"]).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&archive.stdout).await.unwrap();
        assert!(child.wait_with_output().await.unwrap().status.success());
        succeed(&docker, &["cp", "two:/tmp/file", &path("streamed")]).await;
        assert_eq!(std::fs::read_to_string(path("streamed")).unwrap(), "text\n");
        // Debian's has words of its own for it.
        let refused = docker.expect_error(&["cp", "one:/nothing", &path("x")]).await;
        assert!(refused.contains("/nothing"), "{refused}");
    }
}

#[tokio::test]
async fn a_link_of_a_container_leads_nowhere_but_into_it() {
    for (lab, docker) in each().await {
        let outside = lab.folder.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        let text = format!("busybox ln -s {0} /tmp/link; mkdir -p {0}; sleep 1000", outside.display());
        lab.run("one", script(&text)).await;
        let path = |name: &str| lab.folder.path().join(name).display().to_string();
        std::fs::write(path("file"), "text").unwrap();
        let there = format!("one:{}", outside.display());
        while !docker.run(&["cp", &there, &path("seen")]).await.success {}

        succeed(&docker, &["cp", &path("file"), "one:/tmp/link/"]).await;
        succeed(&docker, &["cp", &format!("{there}/file"), &path("back")]).await;

        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
        assert_eq!(std::fs::read_to_string(path("back")).unwrap(), "text");
    }
}

#[tokio::test]
async fn what_a_container_changed_is_shown_exported_and_made_an_image() {
    for (lab, docker) in each().await {
        lab.run("one", script("echo new > /etc/new")).await;
        lab.wait("one").await;
        let path = |name: &str| lab.folder.path().join(name).display().to_string();

        assert_eq!(docker.expect(&["diff", "one"]).await, "C /etc\nA /etc/new\n");
        docker.expect(&["export", "--output", &path("root.tar"), "one"]).await;
        let imported = docker.expect(&["import", &path("root.tar"), "team/root:1"]).await;
        let id =
            docker.expect(&["commit", "--message", "why", "--change", "CMD [\"true\"]", "one", "team/app:1"]).await;

        assert!(imported.starts_with("sha256:"), "{imported}");
        let format = "{{.Id}} {{.Comment}} {{json .Config.Cmd}}";
        let shown = docker.expect(&["image", "inspect", "--format", format, "team/app:1"]).await;
        assert_eq!(shown, format!("{} why [\"true\"]\n", id.trim()));
    }
}

#[tokio::test]
async fn volumes_are_made_shown_and_removed_and_room_is_told() {
    for (_lab, docker) in each().await {
        assert_eq!(docker.expect(&["volume", "create", "--label", "a=b", "data"]).await, "data\n");
        assert_eq!(docker.expect(&["volume", "create", "data"]).await, "data\n");
        assert_eq!(docker.expect(&["volume", "ls", "--format", "{{.Driver}} {{.Name}}"]).await, "local data\n");
        let format = "{{.Name}} {{.Scope}} {{json .Labels}}";
        let shown = docker.expect(&["volume", "inspect", "--format", format, "data"]).await;
        assert_eq!(shown, "data local {\"a\":\"b\"}\n");
        let room = docker.expect(&["system", "df", "--format", "{{.Type}} {{.TotalCount}} {{.Active}}"]).await;
        assert_eq!(room, "Images 1 0\nContainers 0 0\nLocal Volumes 1 0\nBuild Cache 0 0\n");
        let verbose = docker.expect(&["system", "df", "--verbose"]).await;
        assert!(verbose.contains("busybox"), "{verbose}");
        assert_eq!(docker.expect(&["volume", "rm", "data"]).await, "data\n");
        docker.expect(&["volume", "prune", "--force"]).await;
    }
}
