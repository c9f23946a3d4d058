//! A real Debian guest under QEMU: systemd, cgroup v2 and a kernel of its own.
//!
//! The guest and the link to it live in a network namespace of their own with no way out; `swarmup` and `docker`
//! run inside that namespace by [`Guest::operator`]. The image is built by `scripts/vm-image` and shared read-only;
//! each guest writes to an overlay that goes with it.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use tempfile::TempDir;

/// How long a guest may take until it answers SSH: under emulation 39 s, on a busy machine 80 s, three times that.
const BOOT_LIMIT: Duration = Duration::from_mins(4);
/// How long one command in the guest may take, in seconds: the longest takes 20, on an overloaded machine 120.
const COMMAND_LIMIT: &str = "300";
/// How often SSH is tried while the guest boots.
const TRY_EVERY: Duration = Duration::from_millis(500);

/// A running guest; dropping it ends the machine and removes its namespace.
#[derive(Debug)]
pub struct Guest {
    namespace: String,
    folder: TempDir,
    machine: Child,
}

impl Guest {
    /// The guest's address on the link.
    pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 2);
    /// The operator's address on the link.
    pub const OPERATOR: Ipv4Addr = Ipv4Addr::new(10, 88, 0, 1);

    /// Boots a guest from the image in `image` (`scripts/vm-image` leaves `vmlinuz` and `debian.qcow2` there) and
    /// returns once root can log in. `kernel_options` is added to the kernel's command line.
    ///
    /// # Errors
    /// Where the image, QEMU or root is missing, or the guest does not answer in [`BOOT_LIMIT`]; the end of its
    /// console is in the error.
    pub fn boot(name: &str, image: &Path, kernel_options: &str) -> anyhow::Result<Self> {
        let image = image.canonicalize().with_context(|| format!("no image in {}", image.display()))?;
        let folder = tempfile::Builder::new().prefix("swarmup-guest-").tempdir()?;
        let namespace = format!("swarmup-{name}-{}", std::process::id());
        let at = |file: &str| folder.path().join(file);

        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(at("key")))?;
        let base = image.join("debian.qcow2");
        run(Command::new("qemu-img")
            .args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"])
            .arg(base)
            .arg(at("disk")))?;
        run(Command::new("ip").args(["netns", "add", &namespace]))?;
        let machine =
            Self::link(&namespace).and_then(|()| Self::start(&namespace, folder.path(), &image, kernel_options));
        let machine = machine.inspect_err(|_| remove_namespace(&namespace))?;

        let guest = Self { namespace, folder, machine };
        guest.wait_for_login()?;
        Ok(guest)
    }

    /// A command of the operator: runs on this machine, inside the namespace that reaches the guest.
    pub fn operator(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.namespace)).arg(program);
        command
    }

    /// The private key that root's login takes.
    pub fn key_file(&self) -> PathBuf {
        self.folder.path().join("key")
    }

    /// Runs a shell line in the guest and returns what it printed.
    ///
    /// # Errors
    /// Where the guest cannot be reached or the line fails.
    pub fn run(&self, line: &str) -> anyhow::Result<String> {
        let output = self.ssh(line).output()?;
        let (text, complaint) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        ensure!(output.status.success(), "`{line}` failed in the guest: {text}{complaint}");
        Ok(text.into_owned())
    }

    /// Reboots the guest and returns once the new boot lets root in.
    ///
    /// # Errors
    /// Where the guest does not come back in [`BOOT_LIMIT`].
    pub fn reboot(&self) -> anyhow::Result<()> {
        let before = self.run("cat /proc/sys/kernel/random/boot_id")?;
        // The connection may break before the command answers; the new boot id is what counts.
        let _ = self.ssh("systemctl reboot").output()?;
        let deadline = Instant::now() + BOOT_LIMIT;
        while Instant::now() < deadline {
            match self.run("cat /proc/sys/kernel/random/boot_id") {
                Ok(now) if now != before => return Ok(()),
                Ok(_) | Err(_) => pause(),
            }
        }
        bail!("the guest did not come back after a reboot; its console ends with:\n{}", self.console_end())
    }

    fn link(namespace: &str) -> anyhow::Result<()> {
        let inside = |arguments: &[&str]| run(Command::new("ip").args(["-n", namespace]).args(arguments));
        let address = format!("{}/24", Self::OPERATOR);
        inside(&["link", "set", "lo", "up"])?;
        inside(&["tuntap", "add", "guest0", "mode", "tap"])?;
        inside(&["addr", "add", &address, "dev", "guest0"])?;
        inside(&["link", "set", "guest0", "up"])
    }

    fn start(namespace: &str, folder: &Path, image: &Path, kernel_options: &str) -> anyhow::Result<Child> {
        let key = fs::read(folder.join("key.pub"))?;
        let key = base64::engine::general_purpose::STANDARD.encode(key);
        let kernel_line = format!(
            "root=/dev/nvme0n1 rw console=ttyS0 net.ifnames=0 quiet {kernel_options} ip={}::{}:255.255.255.0::eth0:off",
            Self::ADDRESS,
            Self::OPERATOR
        );
        let mut machine = Command::new("nsenter");
        machine
            .arg(format!("--net=/run/netns/{namespace}"))
            .args(["qemu-system-x86_64", "-M", "q35", "-accel", "tcg,thread=multi", "-m", "768", "-smp", "1"])
            .args(["-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none"])
            .arg("-kernel")
            .arg(image.join("vmlinuz"))
            .args(["-append", &kernel_line])
            .arg("-drive")
            .arg(format!("file={},if=none,id=disk,format=qcow2", folder.join("disk").display()))
            .args(["-device", "nvme,drive=disk,serial=root"])
            .args(["-netdev", "tap,id=net,ifname=guest0,script=no,downscript=no"])
            .args(["-device", "virtio-net-pci,netdev=net,mac=52:54:00:88:00:02"])
            .args(["-smbios", &format!("type=11,value=io.systemd.credential.binary:ssh.authorized_keys.root={key}")])
            .args(["-serial", &format!("file:{}", folder.join("console").display())])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("qemu"))?);
        machine.spawn().context("failed to start QEMU")
    }

    fn ssh(&self, line: &str) -> Command {
        let mut command = self.operator("timeout");
        command
            .args(["--signal", "KILL", COMMAND_LIMIT, "ssh"])
            .args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"])
            .args(["-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=5", "-o", "BatchMode=yes", "-i"])
            .arg(self.key_file())
            .arg(format!("root@{}", Self::ADDRESS))
            .arg(line);
        command
    }

    fn wait_for_login(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + BOOT_LIMIT;
        while Instant::now() < deadline {
            if self.run("true").is_ok() {
                return Ok(());
            }
            pause();
        }
        bail!("the guest did not answer SSH; its console ends with:\n{}", self.console_end())
    }

    fn console_end(&self) -> String {
        let read = |file| fs::read(self.folder.path().join(file)).unwrap_or_default();
        let text = [read("qemu"), read("console")].concat();
        String::from_utf8_lossy(&text[text.len().saturating_sub(2_000)..]).into_owned()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // Both fail only where the machine has ended by itself, and then there is nothing left to end.
        let _ = self.machine.kill();
        let _ = self.machine.wait();
        remove_namespace(&self.namespace);
    }
}

#[expect(clippy::disallowed_methods, reason = "a guest's boot has no event that this side could wait for")]
fn pause() {
    std::thread::sleep(TRY_EVERY);
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let output = command.output().with_context(|| format!("failed to run {command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn remove_namespace(namespace: &str) {
    if let Err(error) = run(Command::new("ip").args(["netns", "del", namespace])) {
        tracing::warn!(namespace, %error, "failed to remove the guest's namespace");
    }
}
