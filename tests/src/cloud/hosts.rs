//! Hosts for the instances of a cloud that a test emulates: each one that the emulator says is running is a host at its
//! private address, booted by what its user-data says. One that is stopped is a host without power, and one that is gone
//! takes its host along.
//!
//! Of cloud-init it does what `templates/cloud-init` asks for: who may log in, which key the host shows, which files
//! there are and who may use them. The keys let in [`USER`], who may use sudo, and nobody else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::Hosts;

/// The user that an image's cloud-init would make.
pub const USER: &str = "ops";

/// An instance that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudInstance {
    /// Its id at the provider: never the same twice.
    pub id: String,
    /// Its private address, on the hosts' network.
    pub address: IpAddr,
    /// Its public address, where it has one at the moment: the operator reaches it there too.
    pub public_address: Option<IpAddr>,
    /// What it was given.
    pub user_data: String,
    /// Whether it runs; one that is stopped keeps its disk.
    pub is_running: bool,
}

/// The hosts of a cloud.
#[derive(Debug)]
pub struct CloudHosts {
    hosts: Hosts,
    /// The host number of each instance.
    booted: BTreeMap<String, u32>,
    /// The instances that run by the books and whose hosts have powered themselves off.
    ended: BTreeSet<String>,
    /// The public address by which each host is reached.
    public: BTreeMap<u32, IpAddr>,
}

/// The part of `#cloud-config` that is understood.
#[derive(Debug, Deserialize)]
struct CloudConfig {
    ssh_authorized_keys: Vec<String>,
    ssh_keys: SshKeys,
    #[serde(default)]
    write_files: Vec<WriteFile>,
}

#[derive(Debug, Deserialize)]
struct SshKeys {
    ed25519_private: String,
    ed25519_public: String,
}

#[derive(Debug, Deserialize)]
struct WriteFile {
    path: String,
    content: String,
    #[serde(default = "usual_permissions")]
    permissions: String,
}

/// What cloud-init gives a file that says nothing of it.
fn usual_permissions() -> String {
    "0644".to_owned()
}

impl CloudHosts {
    /// A network without hosts.
    ///
    /// # Errors
    /// As [`Hosts::start`].
    pub fn start() -> Result<Self> {
        Ok(Self { hosts: Hosts::start(0)?, booted: BTreeMap::new(), ended: BTreeSet::new(), public: BTreeMap::new() })
    }

    /// The network, and the hosts that are up.
    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// The numbers of the hosts, by the ids of their instances.
    pub fn booted(&self) -> &BTreeMap<String, u32> {
        &self.booted
    }

    /// Boots and ends hosts until there is one for each instance. A host that has powered itself off stays so until its
    /// instance is started again; on return, the instances of those that have since this was called last.
    ///
    /// # Errors
    /// A host does not boot, or an instance's user-data or address cannot be used.
    pub fn follow(&mut self, instances: &[CloudInstance]) -> Result<Vec<String>> {
        let mut newly = Vec::new();
        for (id, number) in &self.booted {
            if self.hosts.host_mut(*number).has_ended() {
                newly.push(id.clone());
            }
        }
        self.ended.extend(newly.iter().cloned());
        self.ended.retain(|id| instances.iter().any(|instance| instance.id == *id && instance.is_running));
        let is_there = |id: &str| instances.iter().any(|instance| instance.id == id);
        let gone: Vec<_> = self.booted.keys().filter(|id| !is_there(id)).cloned().collect();
        for id in gone {
            if let Some(number) = self.booted.remove(&id) {
                self.public.remove(&number);
                self.hosts.remove(number)?;
            }
        }
        let mut to_boot = Vec::new();
        for instance in instances {
            match self.booted.get(&instance.id) {
                Some(_) if self.ended.contains(&instance.id) => {}
                None if instance.is_running => to_boot.push(self.set_up(instance)?),
                Some(number) if instance.is_running != self.hosts.host(*number).is_on() => {
                    if instance.is_running {
                        to_boot.push(*number);
                    } else {
                        self.public.remove(number);
                        self.hosts.host_mut(*number).power_off();
                    }
                }
                None | Some(_) => {}
            }
        }
        self.hosts.boot(&to_boot)?;
        instances.iter().filter(|instance| instance.is_running).try_for_each(|instance| self.publish(instance))?;
        Ok(newly)
    }

    /// Has a host answer at its instance's public address as well.
    fn publish(&mut self, instance: &CloudInstance) -> Result<()> {
        let Some((number, address)) = self.booted.get(&instance.id).copied().zip(instance.public_address) else {
            return Ok(());
        };
        if self.public.get(&number) == Some(&address) {
            return Ok(());
        }
        let host = self.hosts.host(number);
        let through = host.address();
        host.shell(&format!("ip address add {address}/32 dev eth0"))?;
        let mut route = self.hosts.operator("ip");
        let done = route.args(["route", "replace", &format!("{address}/32"), "via", &through.to_string()]).status()?;
        anyhow::ensure!(done.success(), "the operator finds no way to {address}");
        self.public.insert(number, address);
        Ok(())
    }

    /// Gives an instance a host that has never booted; its number.
    fn set_up(&mut self, instance: &CloudInstance) -> Result<u32> {
        let number = number_of(instance.address)?;
        let config = read(&instance.user_data).with_context(|| format!("user-data of `{}`", instance.id))?;
        let seed = self.hosts.add(number)?;
        fs::write(seed.join("authorized_keys"), config.ssh_authorized_keys.join("\n") + "\n")?;
        fs::write(seed.join("ssh_host_ed25519_key"), &config.ssh_keys.ed25519_private)?;
        fs::write(seed.join("ssh_host_ed25519_key.pub"), config.ssh_keys.ed25519_public.clone() + "\n")?;
        for file in &config.write_files {
            let path = seed.join("files").join(file.path.trim_start_matches('/'));
            fs::create_dir_all(path.parent().context("a file has a folder")?)?;
            fs::write(&path, &file.content)?;
            let mode = u32::from_str_radix(&file.permissions, 8).context("permissions are octal")?;
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
        }
        self.booted.insert(instance.id.clone(), number);
        Ok(number)
    }
}

fn number_of(address: IpAddr) -> Result<u32> {
    match address {
        IpAddr::V4(address) if address.octets()[..3] == [10, 77, 1] => Ok(u32::from(address.octets()[3])),
        other @ (IpAddr::V4(_) | IpAddr::V6(_)) => bail!("{other} is not on the hosts' network"),
    }
}

fn read(user_data: &str) -> Result<CloudConfig> {
    anyhow::ensure!(user_data.starts_with("#cloud-config\n"), "it is no cloud-config");
    Ok(serde_saphyr::from_str(user_data)?)
}
