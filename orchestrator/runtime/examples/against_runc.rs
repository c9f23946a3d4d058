//! How long a container takes, beside `runc` with the same root: `cargo run --release -p runtime --example against_runc`.
//!
//! Needs root, Debian's `busybox-static` and `runc`. Prints medians of create, start, exit and delete together, and of
//! the time until the program has begun, with the default filter and a log; the two take turns.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use runtime::{Bundle, ExecRequest, LogSettings, Program, Runtime, Streams};

/// How many of each are measured.
const ROUNDS: usize = 60;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    if let Some(code) = runtime::reenter() {
        return code;
    }
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(measure()));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn measure() -> Result<(), Failure> {
    let folder = tempfile::Builder::new().prefix("against-runc-").tempdir_in("/run")?;
    let rootfs = folder.path().join("rootfs");
    for name in ["bin", "dev", "etc", "proc", "sys"] {
        fs::create_dir_all(rootfs.join(name))?;
    }
    fs::copy("/usr/bin/busybox", rootfs.join("bin/busybox"))?;
    symlink("busybox", rootfs.join("bin/true"))?;
    runc_bundle(folder.path())?;
    let cgroups = format!("/against-runc-{}", std::process::id());
    let runtime = Runtime::new(folder.path().join("state"), &cgroups)?;

    let (mut begun, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    let (mut begun_at_once, mut ours_at_once, mut ended) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let (until_begun, until_ended, whole) = run_ours(&runtime, folder.path(), &rootfs, round, false).await?;
        ended.push(until_ended);
        begun.push(until_begun);
        ours.push(whole);
        let (until_begun, _, whole) = run_ours(&runtime, folder.path(), &rootfs, round, true).await?;
        begun_at_once.push(until_begun);
        ours_at_once.push(whole);
        theirs.push(run_theirs(folder.path(), round)?);
    }
    let (mut execs, memory) = run_execs(&runtime, &rootfs).await?;
    let start = busy()?;
    for round in 0..ROUNDS {
        run_ours(&runtime, folder.path(), &rootfs, round, false).await?;
    }
    // The last shims are collected beside us.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let middle = busy()?;
    for round in 0..ROUNDS {
        run_theirs(folder.path(), round)?;
    }
    let rounds = u64::try_from(ROUNDS)?;
    let (ours_busy, theirs_busy) = ((middle - start) / rounds, (busy()? - middle) / rounds);
    links::cgroup::ControlGroup::new(cgroups.trim_start_matches('/'))?.remove()?;

    for (name, times) in [
        ("begun", &mut begun),
        ("ended", &mut ended),
        ("whole", &mut ours),
        ("begun, at once", &mut begun_at_once),
        ("whole, at once", &mut ours_at_once),
        ("runc run", &mut theirs),
        ("exec", &mut execs),
    ] {
        times.sort_unstable();
        let at = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1000.0;
        say(&format!("{name:<14} median {:6.1} ms   min {:6.1}   p95 {:6.1}", at(50), at(0), at(95)));
    }
    say(&format!("a shim's share of memory: {memory}"));
    say(&format!("processor time of one: {ours_busy} ms, of runc: {theirs_busy} ms"));
    Ok(())
}

/// Programs added to one container, from the call to their end; and the lines of memory of its shim.
async fn run_execs(runtime: &Runtime, rootfs: &Path) -> Result<(Vec<Duration>, String), Failure> {
    let bundle = Bundle::new("execs", rootfs, runtime.cgroup_of("execs"), &["busybox", "sleep", "600"]);
    let container = runtime.create(&bundle).await?;
    container.start().await?;
    let mut times = Vec::new();
    for round in 0..ROUNDS {
        let program = Program { argv: vec!["/bin/true".to_owned()], ..Program::default() };
        let name = format!("e{round}");
        let clock = Instant::now();
        let session = container.exec(ExecRequest { name, program, privileged: false, streams: Streams::NONE }).await?;
        session.wait().await?;
        times.push(clock.elapsed());
    }
    let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", container.state()?.shim.pid))?;
    let is_told = |line: &&str| ["Rss:", "Pss:", "Private_Dirty:"].iter().any(|name| line.starts_with(name));
    let memory: Vec<String> = rollup
        .lines()
        .filter(is_told)
        .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    container.delete(true).await?;
    Ok((times, memory.join(", ")))
}

async fn run_ours(
    runtime: &Runtime,
    folder: &Path,
    rootfs: &Path,
    round: usize,
    at_once: bool,
) -> Result<(Duration, Duration, Duration), Failure> {
    let id = format!("c{round}");
    let mut bundle = Bundle::new(&id, rootfs, runtime.cgroup_of(&id), &["true"]);
    bundle.log = Some(LogSettings::new(folder.join(format!("log-{id}"))));
    bundle.starts_at_once = at_once;
    let clock = Instant::now();
    let container = runtime.create(&bundle).await?;
    if !at_once {
        container.start().await?;
    }
    let begun = clock.elapsed();
    container.wait().await?;
    let ended = clock.elapsed();
    container.delete(false).await?;
    Ok((begun, ended, clock.elapsed()))
}

fn run_theirs(folder: &Path, round: usize) -> Result<Duration, Failure> {
    let clock = Instant::now();
    let status = Command::new("runc")
        .args(["--root", "runc", "run", "--bundle", "."])
        .arg(format!("r{round}"))
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?;
    if !status.success() {
        return Err(format!("runc ended with {status}").into());
    }
    Ok(clock.elapsed())
}

/// Milliseconds that this process and those that it collected have spent on a processor.
fn busy() -> Result<u64, Failure> {
    let line = fs::read_to_string("/proc/self/stat")?;
    let fields = line.rsplit_once(')').map_or("", |(_, fields)| fields).split_ascii_whitespace();
    // utime, stime, cutime, cstime, in hundredths of a second.
    let ticks: u64 = fields.skip(11).take(4).map(str::parse::<u64>).sum::<Result<_, _>>()?;
    Ok(ticks * 10)
}

/// `runc spec`, without a terminal and without the limit that needs more than a container's host may have.
fn runc_bundle(folder: &Path) -> Result<(), Failure> {
    Command::new("runc").arg("spec").current_dir(folder).status()?;
    let path = folder.join("config.json");
    let mut spec: serde_json::Value = serde_json::from_slice(&fs::read(&path)?)?;
    spec["process"]["terminal"] = false.into();
    spec["process"]["args"] = vec!["true"].into();
    spec["process"]["rlimits"] = serde_json::Value::Array(Vec::new());
    spec["root"]["readonly"] = false.into();
    fs::write(path, serde_json::to_vec(&spec)?)?;
    Ok(())
}

fn say(line: &str) {
    // Nobody may be listening.
    let _ = fs::OpenOptions::new().append(true).open("/dev/stdout").and_then(|mut output| writeln!(output, "{line}"));
}
