//! Logs that are bounded, and never hold a container up.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use runtime::{LogQuery, LogSettings, Stream};

use crate::lab::{LIMIT, Lab, log_of, wait};

fn size_of(folder: &Path) -> u64 {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

#[tokio::test]
async fn a_flood_stays_within_its_bounds_and_ends_in_its_last_line() {
    let lab = Lab::new();
    let mut bundle = lab.script("a", "yes 'a line of the flood' | head -n 400000; echo last");
    let folder = lab.path("flood");
    bundle.log = Some(LogSettings { folder: folder.clone(), max_size: 1 << 20, max_files: 3 });
    let container = lab.runtime.create(&bundle).await.unwrap();
    container.start().await.unwrap();

    let exit = wait(&container).await;
    let size = size_of(&folder);
    let log = log_of(&container).await;
    container.delete(false).await.unwrap();

    assert_eq!(exit.code, 0);
    assert!(size <= 3 << 20 && size > 2 << 20, "{size}");
    assert_eq!(log.lines().last(), Some("last"));
    assert!(log.lines().all(|line| line == "a line of the flood" || line == "last" || line.contains("dropped")));
}

/// A small file system in memory, gone with it.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn new(folder: std::path::PathBuf, size: &str) -> Self {
        fs::create_dir(&folder).unwrap();
        let options = std::ffi::CString::new(format!("size={size}")).unwrap();
        rustix::mount::mount("tmpfs", &folder, "tmpfs", rustix::mount::MountFlags::empty(), options.as_c_str())
            .unwrap();
        Self(folder)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH).unwrap();
    }
}

#[tokio::test]
async fn a_full_disk_holds_no_container_up_and_the_log_tells_of_it() {
    let lab = Lab::new();
    let disk = SmallDisk::new(lab.path("disk"), "4m");
    let ballast = disk.0.join("ballast");
    fs::write(&ballast, vec![0; (4 << 20) - (32 << 10)]).unwrap();
    let mut bundle =
        lab.script("a", "seq 1 20000; touch /tmp/flooded; while ! test -e /tmp/go; do sleep 0.02; done; echo later");
    bundle.log = Some(LogSettings { folder: disk.0.join("log"), max_size: 8 << 20, max_files: 2 });
    let container = lab.runtime.create(&bundle).await.unwrap();
    container.start().await.unwrap();

    let flooded = lab.path("rootfs/tmp/flooded");
    tokio::time::timeout(LIMIT, async {
        while !flooded.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the container was held up");
    fs::remove_file(&ballast).unwrap();
    fs::write(lab.path("rootfs/tmp/go"), "").unwrap();
    let exit = wait(&container).await;
    let log = log_of(&container).await;
    container.delete(false).await.unwrap();
    drop(disk);

    assert_eq!(exit.code, 0);
    let told = log.lines().filter(|line| line.contains("lines were dropped"));
    let count: usize = told.map(|line| line.split(' ').next().unwrap().parse::<usize>().unwrap()).sum();
    assert!(count > 0, "the disk was not full");
    assert_eq!(log.lines().filter(|line| line.parse::<u32>().is_ok()).count() + count, 20_000);
    assert_eq!(log.lines().last(), Some("later"));
}

#[tokio::test]
async fn a_log_can_be_followed_from_its_tail_to_its_end() {
    let lab = Lab::new();
    let mut bundle = lab.script("a", "seq 1 10; echo half; read -r go; seq 11 5000; echo oops >&2");
    bundle.stdin_open = true;
    bundle.log = Some(LogSettings { folder: lab.path("log"), max_size: 20_000, max_files: 50 });
    let container = lab.runtime.create(&bundle).await.unwrap();
    container.start().await.unwrap();
    crate::lab::wait_for_line(&container, "half").await;

    let query = LogQuery { tail: Some(3), follow: true, ..LogQuery::default() };
    let mut reader = container.logs(query).unwrap();
    let mut texts = Vec::new();
    for _ in 0..3 {
        texts.push(reader.next().await.unwrap().unwrap().text.trim_end().to_owned());
    }
    container.attach(runtime::Streams::ALL).await.unwrap().input().send(b"go\n").await.unwrap();
    let mut last = None;
    while let Some(entry) = tokio::time::timeout(LIMIT, reader.next()).await.unwrap() {
        let entry = entry.unwrap();
        texts.push(entry.text.trim_end().to_owned());
        last = Some(entry);
    }
    container.delete(false).await.unwrap();

    let mut expected: Vec<String> = ["9", "10", "half"].map(str::to_owned).into();
    expected.extend((11..=5000).map(|number| number.to_string()));
    let is_error = |text: &&String| text.as_str() == "oops";
    assert_eq!(texts.iter().filter(|text| !is_error(text)).collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
    assert_eq!(texts.iter().filter(is_error).count(), 1);
    assert!(last.is_some());
}

#[tokio::test]
async fn a_container_without_a_log_writes_freely_and_keeps_nothing() {
    let lab = Lab::new();
    let mut bundle = lab.script("a", "seq 1 100000");
    bundle.log = None;
    let container = lab.runtime.create(&bundle).await.unwrap();
    container.start().await.unwrap();

    let begun = Instant::now();
    let exit = wait(&container).await;
    let log = log_of(&container).await;
    container.delete(false).await.unwrap();

    assert_eq!((exit.code, log.as_str()), (0, ""));
    assert!(begun.elapsed() < LIMIT);
}

#[tokio::test]
async fn streams_are_told_apart() {
    let lab = Lab::new();
    let container = lab.runtime.create(&lab.script("a", "echo out; echo err >&2")).await.unwrap();
    container.start().await.unwrap();
    wait(&container).await;

    let query = LogQuery { stream: Some(Stream::Stderr), ..LogQuery::default() };
    let mut reader = container.logs(query).unwrap();
    let only = reader.next().await.unwrap().unwrap();
    let end = reader.next().await;
    container.delete(false).await.unwrap();

    assert_eq!((only.stream, only.text.as_str()), (Stream::Stderr, "err\n"));
    assert!(end.is_none());
}
