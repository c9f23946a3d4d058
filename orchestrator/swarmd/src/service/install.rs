//! `swarmd service install`: checks first, touches afterwards.
//!
//! The mark is the first thing written and the data directory the last thing removed, so nothing of ours is ever on a
//! host without saying whose it is.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use model::{BOOTSTRAP_FORMAT, Bootstrap, InstallRequest, Supervision};

use super::binary::{self, Placed};
use super::error::ServiceError;
use super::{boot, ports, running, supervision};
use crate::api;
use crate::installation::Installation;
use crate::layout;
use crate::run_dir;

/// A request with a hundred nodes in its roster is some 50 kB.
const LARGEST_REQUEST: u64 = 1 << 20;

/// Reads the request from standard input.
pub(crate) fn read_request() -> Result<InstallRequest, ServiceError> {
    let invalid = |reason: String| ServiceError::InvalidRequest { reason };
    let mut text = Vec::new();
    io::stdin().lock().take(LARGEST_REQUEST + 1).read_to_end(&mut text).map_err(|error| invalid(error.to_string()))?;
    if text.len() as u64 > LARGEST_REQUEST {
        return Err(invalid(format!("it is larger than {LARGEST_REQUEST} bytes")));
    }
    serde_json::from_slice(&text).map_err(|error| invalid(error.to_string()))
}

/// Installs the agent and starts it; it serves when this returns.
pub(crate) fn install(supervision: Supervision, request: &InstallRequest) -> Result<(), ServiceError> {
    let is_there = supervision::agent(supervision)?.is_some();
    check(supervision, request, is_there)?;
    let is_taken_over = request.bootstrap.as_ref().is_none_or(|bootstrap| is_there && api::is_node(&bootstrap.node_id));

    mark_host(request)?;
    let placed = binary::put_in_place()?;
    // Not whether the file has changed just now: an installation before this one may have come no further than that.
    let mut needs_restart = is_there && !running::is_installed(supervision)?;
    if !is_taken_over && let Some(bootstrap) = &request.bootstrap {
        write_bootstrap(bootstrap)?;
        needs_restart = true;
    }
    match supervision {
        Supervision::Systemd => needs_restart |= install_unit(request)?,
        Supervision::Supervisor => boot::ensure()?,
        Supervision::Init => {}
    }
    let started =
        if is_there && needs_restart { supervision::restart(supervision) } else { supervision::start(supervision) };
    match started {
        Err(failure) if placed == Placed::BeforeLiesBeside => Err(go_back(supervision, failure)),
        Err(failure) => Err(failure),
        Ok(()) => binary::clear(),
    }
}

/// Refuses what cannot or must not be installed; changes nothing.
fn check(supervision: Supervision, request: &InstallRequest, is_there: bool) -> Result<(), ServiceError> {
    match Installation::read(&layout::installation_file())? {
        Some(found) if found.mark != request.mark => {
            return Err(ServiceError::ForeignMark { cluster: found.cluster_name, mark: found.mark });
        }
        None if holds_state(Path::new(layout::DATA_DIR)) => return Err(ServiceError::UnmarkedState),
        Some(_) | None => {}
    }
    if supervision == Supervision::Systemd && request.unit.is_none() {
        let reason = "it has no unit, and this host runs systemd".to_owned();
        return Err(ServiceError::InvalidRequest { reason });
    }
    if let Some(bootstrap) = &request.bootstrap {
        check_bootstrap(request, bootstrap)?;
    }
    if is_there {
        return Ok(());
    }
    for (port, transport) in ports::NEEDED {
        if let Some(holder) = ports::holder_of(port, transport) {
            return Err(ServiceError::PortTaken { port, protocol: transport.name(), holder });
        }
    }
    Ok(())
}

/// Whether a data directory holds anything. An empty one may have been made by whoever made the machine.
fn holds_state(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some())
}

fn check_bootstrap(request: &InstallRequest, bootstrap: &Bootstrap) -> Result<(), ServiceError> {
    if bootstrap.format != BOOTSTRAP_FORMAT {
        let reason = format!("its bootstrap file has the format {}, not {BOOTSTRAP_FORMAT}", bootstrap.format);
        return Err(ServiceError::InvalidRequest { reason });
    }
    let expected = &bootstrap.host;
    // Only an address of the host's own can be bound.
    let is_own = UdpSocket::bind(SocketAddr::new(expected.advertise_addr.ip(), 0)).is_ok();
    if expected.hostname != request.hostname || !is_own {
        let expected = format!("`{}` at {}", expected.hostname, expected.advertise_addr.ip());
        return Err(ServiceError::ForeignBootstrap { expected });
    }
    Ok(())
}

fn mark_host(request: &InstallRequest) -> Result<(), ServiceError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(layout::DATA_DIR)
        .map_err(|source| ServiceError::file("make", layout::DATA_DIR, source))?;
    let installation = Installation {
        mark: request.mark.clone(),
        cluster_name: request.cluster_name.clone(),
        hostname: request.hostname.clone(),
        labels: request.labels.clone(),
        lease: request.lease,
    };
    Ok(installation.write(&layout::installation_file())?)
}

/// Has the one before serve again after another could not, whose failure is told.
fn go_back(supervision: Supervision, failure: ServiceError) -> ServiceError {
    match binary::put_back().and_then(|()| supervision::restart(supervision)) {
        Ok(()) => ServiceError::WentBack { source: Box::new(failure) },
        Err(error) => error,
    }
}

/// Writes the identity to where the agent reads it once: on tmpfs, for root alone.
fn write_bootstrap(bootstrap: &Bootstrap) -> Result<(), ServiceError> {
    run_dir::ensure()?;
    let path = layout::bootstrap_file();
    let failed = |source: io::Error| ServiceError::file("write", &path, source);
    let text = serde_json::to_vec(bootstrap).map_err(|error| failed(error.into()))?;
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).map_err(failed)?;
    file.write_all(&text).map_err(failed)
}

/// Writes the unit and lets systemd start it at boot; says whether it has changed.
fn install_unit(request: &InstallRequest) -> Result<bool, ServiceError> {
    let unit = request.unit.as_deref().unwrap_or_default();
    let is_same = fs::read_to_string(layout::UNIT).is_ok_and(|old| old == unit);
    if !is_same {
        fs::write(layout::UNIT, unit).map_err(|source| ServiceError::file("write", layout::UNIT, source))?;
        supervision::systemctl(&["daemon-reload"])?;
    }
    supervision::systemctl(&["enable", "--quiet", layout::UNIT_NAME])?;
    Ok(!is_same)
}
