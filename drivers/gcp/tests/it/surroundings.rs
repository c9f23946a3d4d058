//! What the driver takes from the environment of its process: tested with a process of its own.

use std::path::Path;
use std::process::Stdio;

use driver::{Options, Preflight};
use fake_gcp::{FakeGcp, Settings};
use tokio::process::Command;

use crate::bench::Bench;

/// The variable that makes this program the other process.
const CHILD: &str = "GCP_TEST_CHILD";

/// Runs one test of this program in another process, with nothing but these variables.
async fn run(test: &str, variables: &[(&str, &str)], folder: &Path) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env_clear().env(CHILD, folder).envs(variables.iter().copied());
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.unwrap();
    let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    assert!(output.status.success(), "{said}");
    std::fs::read_to_string(folder.join("answer")).unwrap()
}

/// What the other process does: opens the driver as swarmup does, and notes what preflight says.
async fn is_child() -> bool {
    let Some(folder) = std::env::var_os(CHILD) else { return false };
    let folder = Path::new(&folder);
    let driver = gcp::open(&Options::default(), &folder.join("kept")).unwrap();
    let request = driver::conformance::cluster_request("mark", "lab");
    let answer = match driver.preflight(&request).await {
        Ok(Preflight { checked, .. }) => checked.join("\n"),
        Err(error) => format!("{error}\nhint: {}", error.hint().unwrap_or_default()),
    };
    std::fs::write(folder.join("answer"), answer).unwrap();
    true
}

#[tokio::test]
async fn the_variables_of_google_s_own_tools_are_all_it_needs() {
    if is_child().await {
        return;
    }
    let fake = FakeGcp::start(Settings::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let credentials = fake.write_credentials(folder.path()).unwrap();
    let endpoint = format!("{}compute/v1/", fake.endpoint());
    let variables = [
        ("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", endpoint.as_str()),
        ("GOOGLE_APPLICATION_CREDENTIALS", credentials.to_str().unwrap()),
        ("GOOGLE_CLOUD_PROJECT", "fake-project"),
    ];

    let test = "surroundings::the_variables_of_google_s_own_tools_are_all_it_needs";
    let answer = run(test, &variables, folder.path()).await;

    assert!(answer.contains("project `fake-project` can be read"), "{answer}");
    assert!(fake.requests().iter().any(|request| request["kind"] == "regions.get"));
}

#[tokio::test]
async fn credentials_that_are_missing_are_named_with_the_way_to_log_in() {
    if is_child().await {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.json");
    let variables = [
        ("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", "http://127.0.0.1:9/"),
        ("GOOGLE_APPLICATION_CREDENTIALS", missing.to_str().unwrap()),
    ];

    let test = "surroundings::credentials_that_are_missing_are_named_with_the_way_to_log_in";
    let answer = run(test, &variables, folder.path()).await;

    assert!(answer.contains("gcloud auth application-default login"), "{answer}");
}

#[tokio::test]
async fn the_project_may_come_from_the_credentials_and_its_absence_is_named() {
    if is_child().await {
        return;
    }
    let fake = FakeGcp::start(Settings::default()).await.unwrap();
    let test = "surroundings::the_project_may_come_from_the_credentials_and_its_absence_is_named";
    for (project, wanted) in [(Some("fake-project"), "`fake-project` can be read"), (None, "--project")] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("credentials.json");
        let mut credentials = fake.credentials();
        if let Some(project) = project {
            credentials["quota_project_id"] = project.into();
        }
        std::fs::write(&file, credentials.to_string()).unwrap();
        let endpoint = fake.endpoint();
        let variables = [
            ("CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE", endpoint.as_str()),
            ("GOOGLE_APPLICATION_CREDENTIALS", file.to_str().unwrap()),
        ];

        let answer = run(test, &variables, folder.path()).await;

        assert!(answer.contains(wanted), "{answer}");
    }
}

#[tokio::test]
async fn preflight_says_what_it_saw_and_what_it_could_not() {
    let metadata = [("enable-oslogin".to_owned(), "TRUE".to_owned())].into();
    let bench = Bench::with(Settings { metadata, ..Settings::default() }, &[]).await;

    let seen = bench.open().preflight(&bench.request("lab")).await.unwrap();

    let checked = seen.checked.join("\n");
    assert!(checked.contains("OS Login") && checked.contains("quota `CPUS`"), "{checked}");
    assert!(!seen.unchecked.is_empty());
    assert_eq!(bench.fake.holdings(), Vec::<String>::new());
    bench.judge().await;
}

#[tokio::test]
async fn what_stands_of_a_cluster_counts_once_against_a_quota() {
    let bench = Bench::with(Settings { quotas: [("CPUS".to_owned(), 12)].into(), ..Settings::default() }, &[]).await;
    let request = bench.request("lab");
    bench.create(&*bench.open(), &request).await.unwrap();

    bench.open().preflight(&request).await.unwrap();

    assert!(bench.open().preflight(&bench.request("other")).await.is_err());
}

#[tokio::test]
async fn a_region_or_zone_that_does_not_exist_is_refused_by_preflight() {
    for (option, value) in [("region", "mars-north1"), ("zone", "us-central1-z")] {
        let bench = Bench::with(Settings::default(), &[(option, &[value])]).await;

        let refused = bench.open().preflight(&bench.request("lab")).await.unwrap_err();

        assert!(refused.to_string().contains(value), "{refused}");
    }
}
