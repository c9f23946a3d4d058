//! The engine's version, as `GET /version` shows it.

use model::{API_VERSION, MIN_API_VERSION};
use serde::Serialize;

use engine::HostFacts;

/// Docker's `Version`. Commit, compiler and build time are of Docker's own build; here they are empty.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct VersionDocument {
    platform: PlatformView,
    components: [ComponentView; 1],
    version: &'static str,
    api_version: &'static str,
    #[serde(rename = "MinAPIVersion")]
    min_api_version: &'static str,
    git_commit: &'static str,
    go_version: &'static str,
    os: String,
    arch: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    kernel_version: String,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct PlatformView {
    name: &'static str,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ComponentView {
    name: &'static str,
    version: &'static str,
    details: DetailsView,
}

#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct DetailsView {
    api_version: &'static str,
    arch: String,
    build_time: &'static str,
    experimental: &'static str,
    git_commit: &'static str,
    go_version: &'static str,
    kernel_version: String,
    #[serde(rename = "MinAPIVersion")]
    min_api_version: &'static str,
    os: String,
}

impl VersionDocument {
    /// Shows the version of the engine on a machine.
    pub(crate) fn new(facts: &HostFacts) -> Self {
        let arch = go_architecture(&facts.platform.architecture).to_owned();
        let details = DetailsView {
            api_version: API_VERSION,
            arch: arch.clone(),
            build_time: "",
            experimental: "false",
            git_commit: "",
            go_version: "",
            kernel_version: facts.kernel_version.clone(),
            min_api_version: MIN_API_VERSION,
            os: facts.platform.os.clone(),
        };
        Self {
            platform: PlatformView { name: "swarmd" },
            components: [ComponentView { name: "Engine", version: engine::VERSION, details }],
            version: engine::VERSION,
            api_version: API_VERSION,
            min_api_version: MIN_API_VERSION,
            git_commit: "",
            go_version: "",
            os: facts.platform.os.clone(),
            arch,
            kernel_version: facts.kernel_version.clone(),
        }
    }
}

/// The kernel's name of an architecture in Go's words, which this call uses (and `GET /info` does not).
fn go_architecture(machine: &str) -> &str {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "armv7l" | "armv6l" => "arm",
        "i386" | "i686" => "386",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use model::Platform;

    use super::*;

    #[test]
    fn the_version_is_shown_at_the_top_and_as_a_component() {
        let facts = HostFacts {
            platform: Platform { architecture: "x86_64".to_owned(), os: "linux".to_owned() },
            kernel_version: "6.1.0".to_owned(),
            ..HostFacts::default()
        };
        let version = engine::VERSION;

        assert_eq!(
            serde_json::to_string(&VersionDocument::new(&facts)).unwrap(),
            format!(
                concat!(
                    r#"{{"Platform":{{"Name":"swarmd"}},"Components":[{{"Name":"Engine","Version":"{}","#,
                    r#""Details":{{"ApiVersion":"1.51","Arch":"amd64","BuildTime":"","Experimental":"false","#,
                    r#""GitCommit":"","GoVersion":"","KernelVersion":"6.1.0","MinAPIVersion":"1.24","Os":"linux"}}}}],"#,
                    r#""Version":"{}","ApiVersion":"1.51","MinAPIVersion":"1.24","GitCommit":"","GoVersion":"","#,
                    r#""Os":"linux","Arch":"amd64","KernelVersion":"6.1.0"}}"#,
                ),
                version, version
            )
        );
    }
}
