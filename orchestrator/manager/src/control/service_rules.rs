//! What may be changed of services: the rules across them, in Docker's words. Pure.

use model::{ErrorKind, PortConfig, Service, ServiceId, ServiceMode, ServiceSpec, SwarmError};

use crate::words::{invalid, not_found, precondition, refusal};

/// A service that is not there, or not any more.
pub(super) fn no_such_service(id: &ServiceId) -> SwarmError {
    not_found(&format!("service {id} not found"))
}

/// A service that has had one spec only.
pub(super) fn no_previous_spec(id: &ServiceId) -> SwarmError {
    precondition(&format!("service {id} does not have a previous spec"))
}

/// Checks a change of what is wanted of a service: neither its name nor the kind of its mode changes.
pub(super) fn check_service_update(current: &ServiceSpec, wanted: &ServiceSpec) -> Result<(), SwarmError> {
    let not_offered = |what: &str| Err(refusal(ErrorKind::Unimplemented, what));
    if kinds(&current.mode) != kinds(&wanted.mode) {
        return not_offered("service mode change is not allowed");
    }
    if current.name != wanted.name {
        return not_offered("renaming services is not supported");
    }
    Ok(())
}

/// Which of the four modes are named.
fn kinds(mode: &ServiceMode) -> [bool; 4] {
    [mode.replicated.is_some(), mode.global.is_some(), mode.replicated_job.is_some(), mode.global_job.is_some()]
}

/// Checks the ports that a service publishes against those of the others. A port of the mesh is one service's alone.
/// Ports of the tasks' own nodes may be the same: which node has one free is the scheduler's business.
pub(super) fn check_ports<'s>(
    id: &ServiceId,
    spec: &ServiceSpec,
    others: impl Iterator<Item = &'s Service>,
) -> Result<(), SwarmError> {
    if spec.ports().is_empty() {
        return Ok(());
    }
    for other in others.filter(|other| other.id != *id) {
        for taken in other.spec.ports() {
            if spec.ports().iter().any(|wanted| collide(wanted, taken)) {
                let how = if taken.is_host_mode() { "a host-published port" } else { "an ingress port" };
                return Err(invalid(&format!(
                    "port '{}' is already in use by service '{}' ({}) as {how}",
                    taken.published_port, other.spec.name, other.id
                )));
            }
        }
    }
    Ok(())
}

fn collide(wanted: &PortConfig, taken: &PortConfig) -> bool {
    wanted.published_port != 0
        && (wanted.published_port, wanted.protocol()) == (taken.published_port, taken.protocol())
        && !(wanted.is_host_mode() && taken.is_host_mode())
}

#[cfg(test)]
mod tests {
    use model::{EndpointSpec, GlobalMode, Meta, ReplicatedMode, ServiceState};
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn id(number: u64) -> ServiceId {
        ServiceId::generate(&mut StdRng::seed_from_u64(number))
    }

    fn message(outcome: Result<(), SwarmError>) -> String {
        outcome.map_or_else(|error| error.message, |()| "allowed".to_owned())
    }

    #[test]
    fn neither_name_nor_mode_changes() {
        let replicated = ServiceMode { replicated: Some(ReplicatedMode::default()), ..ServiceMode::default() };
        let web = ServiceSpec { name: "web".to_owned(), mode: replicated, ..ServiceSpec::default() };
        let check = |change: fn(&mut ServiceSpec), expected: &str| {
            let mut wanted = web.clone();
            change(&mut wanted);
            assert_eq!(message(check_service_update(&web, &wanted)), expected);
        };

        check(|_| {}, "allowed");
        check(|spec| spec.mode.replicated = Some(ReplicatedMode { replicas: Some(9) }), "allowed");
        check(
            |spec| spec.mode = ServiceMode { global: Some(GlobalMode {}), ..ServiceMode::default() },
            "rpc error: code = Unimplemented desc = service mode change is not allowed",
        );
        check(
            |spec| "api".clone_into(&mut spec.name),
            "rpc error: code = Unimplemented desc = renaming services is not supported",
        );
    }

    #[test]
    fn a_port_of_the_mesh_is_one_services_alone() {
        let spec = |mode: &str, protocol: &str, published_port: u32| {
            let (protocol, publish_mode) = (protocol.to_owned(), mode.to_owned());
            let port = PortConfig { protocol, target_port: 80, published_port, publish_mode, ..PortConfig::default() };
            let endpoint = EndpointSpec { ports: vec![port], ..EndpointSpec::default() };
            ServiceSpec { name: "web".to_owned(), endpoint_spec: Some(endpoint), ..ServiceSpec::default() }
        };
        let check = |wanted: ServiceSpec, taken: ServiceSpec, how: Option<&str>| {
            let other = Service { id: id(1), meta: Meta::default(), spec: taken, state: ServiceState::default() };
            let expected = how.map_or_else(
                || "allowed".to_owned(),
                |how| {
                    let prefix = "rpc error: code = InvalidArgument desc =";
                    format!("{prefix} port '8080' is already in use by service 'web' ({}) as {how}", id(1))
                },
            );
            assert_eq!(message(check_ports(&id(2), &wanted, [&other].into_iter())), expected);
            assert_eq!(message(check_ports(&id(1), &wanted, [&other].into_iter())), "allowed", "it is its own");
        };

        check(spec("host", "", 8080), spec("host", "tcp", 8080), None);
        check(spec("host", "", 8080), spec("ingress", "tcp", 8080), Some("an ingress port"));
        check(spec("ingress", "", 8080), spec("host", "", 8080), Some("a host-published port"));
        check(spec("", "tcp", 8080), spec("", "", 8080), Some("an ingress port"));
        check(spec("", "udp", 8080), spec("", "", 8080), None);
        check(spec("", "", 0), spec("", "", 0), None);
        check(ServiceSpec::default(), spec("", "", 8080), None);
    }
}
