//! The calls that Docker knows and this engine does not serve yet: they are told apart from typing errors.
//!
//! A call that comes to stand leaves this table.

use http::Method;

/// Methods and paths. `*` stands for one part of a path, `**` for one or more (names of plugins have slashes).
const CALLS: &[(&str, &str)] = &[
    ("POST", "/build"),
    ("POST", "/build/cancel"),
    ("GET", "/configs"),
    ("POST", "/configs/create"),
    ("GET", "/configs/*"),
    ("DELETE", "/configs/*"),
    ("POST", "/configs/*/update"),
    ("GET", "/containers/*/checkpoints"),
    ("POST", "/containers/*/checkpoints"),
    ("DELETE", "/containers/*/checkpoints/*"),
    ("POST", "/grpc"),
    ("GET", "/plugins"),
    ("POST", "/plugins/create"),
    ("GET", "/plugins/privileges"),
    ("POST", "/plugins/pull"),
    ("GET", "/plugins/**/json"),
    ("POST", "/plugins/**/disable"),
    ("POST", "/plugins/**/enable"),
    ("POST", "/plugins/**/push"),
    ("POST", "/plugins/**/set"),
    ("POST", "/plugins/**/upgrade"),
    ("DELETE", "/plugins/**"),
    ("GET", "/secrets"),
    ("POST", "/secrets/create"),
    ("GET", "/secrets/*"),
    ("DELETE", "/secrets/*"),
    ("POST", "/secrets/*/update"),
    ("POST", "/session"),
    ("PUT", "/volumes/*"),
];

/// The calls by which images are built, and what to do instead.
const BUILDS: &[&str] = &["/build", "/session", "/grpc"];
const NO_BUILDS: &str = "this engine builds no images: build elsewhere and bring the image here, by a registry, by \
                         `docker save IMAGE | docker load` or by `swarmup load IMAGE`";

/// Why a call that Docker knows is refused; `None` for what nobody knows.
pub(crate) fn refusal(method: &Method, path: &str) -> Option<String> {
    if !is_known(method, path) {
        return None;
    }
    if BUILDS.contains(&path) {
        return Some(NO_BUILDS.to_owned());
    }
    Some(format!("this engine does not serve {method} {path} yet"))
}

/// Whether Docker knows the call.
fn is_known(method: &Method, path: &str) -> bool {
    let parts: Vec<_> = path.split('/').skip(1).collect();
    CALLS.iter().any(|(known, pattern)| {
        let pattern: Vec<_> = pattern.split('/').skip(1).collect();
        method == known && matches(&pattern, &parts)
    })
}

fn matches(pattern: &[&str], parts: &[&str]) -> bool {
    match (pattern, parts) {
        ([], []) => true,
        ([_, ..], [] | ["", ..]) | ([], [_, ..]) => false,
        (["**", rest @ ..], [_, tail @ ..]) => matches(rest, tail) || matches(pattern, tail),
        (["*", rest @ ..], [_, tail @ ..]) => matches(rest, tail),
        ([literal, rest @ ..], [part, tail @ ..]) => literal == part && matches(rest, tail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_calls_are_known_and_others_are_not() {
        let check = |method: Method, path: &str, expected: bool| {
            assert_eq!(is_known(&method, path), expected, "{method} {path}");
        };
        check(Method::POST, "/build", true);
        check(Method::GET, "/containers/abc/checkpoints", true);
        check(Method::GET, "/plugins/registry:5000/a/b/json", true);
        check(Method::DELETE, "/plugins/a/b:latest", true);
        check(Method::POST, "/containers/json", false);
        check(Method::GET, "/containers", false);
        check(Method::GET, "/containers//json", false);
        check(Method::GET, "/plugins//json", false);
        check(Method::GET, "/", false);
        check(Method::GET, "", false);
        check(Method::GET, "/nodes/x/y", false);
    }
}
