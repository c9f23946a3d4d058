//! The only reader of `templates/`. They are built in; a variable that nobody gives a value is an error.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use minijinja::value::Value;
use minijinja::{Environment, UndefinedBehavior, context};
use reach::SshKeyPair;

/// Where the agent lies on a host.
pub const AGENT_BINARY: &str = "/usr/local/bin/swarmd";
/// Where the script lies by which a machine ends itself.
const END_SCRIPT: &str = "/usr/local/sbin/swarmup-end";
/// Where the timer lies that ends a machine.
pub const EXPIRY_TIMER: &str = "/etc/systemd/system/swarmup-expiry.timer";

/// The systemd unit of the agent.
const UNIT: &str = include_str!("../templates/systemd/swarmd.service");
/// What ends a machine when its time is up, and when that is.
const EXPIRY_SERVICE_TEMPLATE: &str = include_str!("../templates/systemd/swarmup-expiry.service");
const EXPIRY_TIMER_TEMPLATE: &str = include_str!("../templates/systemd/swarmup-expiry.timer");
/// By which a machine ends itself.
const END_SCRIPT_TEMPLATE: &str = include_str!("../templates/cloud-init/end.sh");
/// What cloud-init does on a machine's first boot.
const CLOUD_INIT: &str = include_str!("../templates/cloud-init/machine.yaml");

/// The systemd unit of the agent on one host. Cluster and host name are DNS labels, so nothing needs quoting.
pub fn systemd_unit(cluster: &str, hostname: &str) -> String {
    render(UNIT, &context! { cluster, hostname, binary => AGENT_BINARY })
}

/// The calendar timer that ends a machine at a moment. It survives a reboot, and strikes at once where its moment has
/// passed meanwhile.
pub fn expiry_timer(cluster: &str, expires: Timestamp) -> String {
    let moment = expires.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    render(EXPIRY_TIMER_TEMPLATE, &context! { cluster, moment })
}

/// How a machine ends itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct End<'a> {
    /// What it runs before it powers off, where powering off does not destroy it.
    pub farewell: Option<&'a str>,
    /// When, where the machine itself has to see to that.
    pub at: Option<Timestamp>,
}

/// The user-data of a cluster's machines: who may log in, the key by which the machine is known until its first
/// session, how it ends itself where there is more to that than powering off, and the timer that has it do so.
pub fn cloud_init(cluster: &str, authorized_key: &str, host_key: &SshKeyPair, end: End<'_>) -> String {
    let has_script = end.farewell.is_some() || end.at.is_some();
    let script = render(END_SCRIPT_TEMPLATE, &context! { cluster, farewell => end.farewell });
    render(
        CLOUD_INIT,
        &context! {
            authorized_key => authorized_key.trim_end(),
            host_key_private => host_key.private.expose(),
            host_key_public => host_key.public.trim_end(),
            end_script_path => END_SCRIPT,
            end_script => has_script.then_some(script),
            expiry_service => render(EXPIRY_SERVICE_TEMPLATE, &context! { cluster, script => END_SCRIPT }),
            expiry_timer => end.at.map(|expires| expiry_timer(cluster, expires)),
        },
    )
}

fn render(template: &str, values: &Value) -> String {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let mut text = environment
        .render_str(template, values)
        .expect("the template names no other values: checked by the tests below");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;
    use crate::config::parse_yaml;

    #[test]
    fn the_unit_lets_tasks_outlive_the_agent() {
        let unit = systemd_unit("lab", "node-1");

        for line in ["KillMode=process", "Delegate=yes", "Type=notify", "TasksMax=infinity", "Restart=always"] {
            assert!(unit.lines().any(|present| present == line), "{line} is missing in\n{unit}");
        }
        assert!(unit.contains("ExecStart=/usr/local/bin/swarmd run\n"));
        assert!(!unit.contains("{{"));
    }

    #[test]
    fn user_data_hands_over_the_keys_as_they_are() {
        let host_key = SshKeyPair::generate("lab");

        let text = cloud_init("lab", "ssh-ed25519 AAAA somebody's \"key\"\n", &host_key, End::default());

        assert!(text.starts_with("#cloud-config\n"));
        let read: Json = parse_yaml(&text).unwrap();
        assert_eq!(read["ssh_authorized_keys"][0], "ssh-ed25519 AAAA somebody's \"key\"");
        assert_eq!(read["ssh_keys"]["ed25519_private"], host_key.private.expose());
        assert_eq!(read["ssh_keys"]["ed25519_public"], host_key.public.trim_end());
        assert_eq!(read.get("write_files"), None);
    }

    #[test]
    fn a_machine_that_ends_itself_is_given_a_timer_that_outlives_a_reboot() {
        let host_key = SshKeyPair::generate("lab");
        let expires = "2026-11-26T21:30:05Z".parse().unwrap();

        let end = End { farewell: None, at: Some(expires) };
        let read: Json = parse_yaml(&cloud_init("lab", "ssh-ed25519 AAAA", &host_key, end)).unwrap();

        assert_eq!(
            (&read["write_files"][0]["path"], &read["write_files"][0]["permissions"]),
            (&END_SCRIPT.into(), &"0700".into())
        );
        assert!(read["write_files"][0]["content"].as_str().unwrap().ends_with("\nexec systemctl poweroff\n"));
        assert!(
            read["write_files"][1]["content"].as_str().unwrap().contains("\nExecStart=/usr/local/sbin/swarmup-end\n")
        );
        assert_eq!(read["write_files"][2]["path"], EXPIRY_TIMER);
        let timer = read["write_files"][2]["content"].as_str().unwrap();
        assert!(timer.contains("\nOnCalendar=2026-11-26 21:30:05 UTC\nPersistent=true\n"), "{timer}");
        assert_eq!(read["runcmd"][1][3], "swarmup-expiry.timer");
    }

    #[test]
    fn a_machine_that_powering_off_does_not_destroy_says_farewell_first() {
        let host_key = SshKeyPair::generate("lab");
        let end = End { farewell: Some("curl --request DELETE 'http://example'"), at: None };

        let read: Json = parse_yaml(&cloud_init("lab", "ssh-ed25519 AAAA", &host_key, end)).unwrap();

        let script = read["write_files"][0]["content"].as_str().unwrap();
        assert!(script.starts_with("#!/bin/sh\n"), "{script}");
        assert!(script.ends_with("\ncurl --request DELETE 'http://example'\nexec systemctl poweroff\n"), "{script}");
        assert_eq!((read["write_files"].as_array().map(Vec::len), read.get("runcmd")), (Some(1), None));
    }

    #[test]
    fn user_data_is_small_enough_for_every_provider() {
        let key = SshKeyPair::generate("lab");

        let farewell = "f".repeat(2048);
        let end = End { farewell: Some(&farewell), at: Some(Timestamp::UNIX_EPOCH) };
        let text = cloud_init(&"a".repeat(40), &key.public, &key, end);

        // AWS takes least: 16 KiB before encoding.
        assert!(text.len() < 16 * 1024, "{} bytes", text.len());
    }
}
