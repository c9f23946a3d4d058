//! What a machine runs to end its cluster: it deletes the cluster's machines by the service account of the managers.
//!
//! Compute Engine deletes machines itself when their time is up. One that powers itself off before that is a stopped
//! instance, whose disk is charged: this is for those. Managers alone have the account, and each deletes the machines of
//! all, so that workers need none. Firewall rules, which cost nothing, stay until `swarmup destroy` or `swarmup gc`. The
//! metadata server lends the token, so that there is no secret in it; a machine without the account changes nothing.

use driver::program::python;
use driver::{Mark, TAG_ID};

use crate::marking::label;

/// The program; its arguments are the endpoint, and the label that the cluster's machines carry.
const PROGRAM: &str = include_str!("farewell.py");
/// Compute Engine, where no other is named.
const ENDPOINT: &str = "https://compute.googleapis.com";
/// What a machine's token is good for: nothing but Compute Engine, whatever else the account may.
pub(crate) const SCOPE: &str = "https://www.googleapis.com/auth/compute";

/// The commands, for `sh`.
pub(crate) fn script(endpoint: Option<&str>, mark: &Mark) -> String {
    python(PROGRAM, &[endpoint.unwrap_or(ENDPOINT), TAG_ID, &label(&mark.cluster.0)])
}
