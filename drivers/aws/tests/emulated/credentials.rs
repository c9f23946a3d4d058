//! Region, endpoint and credentials by the provider's own chain: each case in a process with an environment of its own.
//!
//! A test runs itself once more in such a process, where it is the driver that looks for what it needs.

use std::path::Path;
use std::process::Command;

use driver::Options;

use crate::cloud::Cloud;

/// Where the process with an environment of its own writes what the driver said.
const ANSWER: &str = "SWARMUP_TEST_ANSWER";
const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")];

/// In the process with an environment of its own: asks the driver, and says so.
async fn is_asked() -> bool {
    let Ok(answer) = std::env::var(ANSWER) else { return false };
    let driver = aws::open(&Options::default(), &Path::new(&answer).with_extension("folder")).unwrap();
    let found = match driver.find(None).await {
        Ok(found) => format!("{} resources", found.len()),
        Err(error) => format!("{error}; {}", error.hint().unwrap_or_default()),
    };
    std::fs::write(answer, found).unwrap();
    true
}

/// What the driver says in a process with this environment and nothing else.
fn ask(environment: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let answer = folder.path().join("answer");
    let this_test = std::thread::current().name().unwrap().to_owned();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &this_test])
        .env_clear()
        .env("HOME", folder.path())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env(ANSWER, &answer)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    std::fs::read_to_string(answer).unwrap()
}

#[tokio::test]
async fn the_endpoint_and_the_region_may_come_from_the_providers_own_variables() {
    if is_asked().await {
        return;
    }
    let cloud = Cloud::start();
    let endpoint = cloud.endpoint();

    for variable in ["AWS_ENDPOINT_URL_EC2", "AWS_ENDPOINT_URL"] {
        let answer = ask(&[KEYS[0], KEYS[1], ("AWS_REGION", "eu-west-1"), (variable, &endpoint)]);

        assert_eq!(answer, "0 resources", "{variable}");
        assert!(!cloud.actions().await.is_empty(), "{variable}");
    }
}

#[tokio::test]
async fn a_profile_may_name_them_too() {
    if is_asked().await {
        return;
    }
    let cloud = Cloud::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    let profile = "[profile lab]\nregion = eu-north-1\naws_access_key_id = test\naws_secret_access_key = test\n";
    std::fs::write(&file, format!("{profile}endpoint_url = {}\n", cloud.endpoint())).unwrap();

    let answer = ask(&[("AWS_CONFIG_FILE", file.to_str().unwrap()), ("AWS_PROFILE", "lab")]);

    assert_eq!(answer, "0 resources");
}

#[tokio::test]
async fn without_a_region_the_user_is_told_how_to_name_one() {
    if is_asked().await {
        return;
    }

    let answer = ask(&KEYS);

    assert_eq!(answer, "no region is named; name one with --region or AWS_REGION, or with `aws configure set region`");
}

#[tokio::test]
async fn without_credentials_the_user_is_told_how_to_log_in() {
    if is_asked().await {
        return;
    }

    let answer = ask(&[("AWS_REGION", "eu-west-1"), ("AWS_ENDPOINT_URL", "http://127.0.0.1:9")]);

    assert!(answer.starts_with("there are no credentials for aws") && answer.contains("aws sso login"), "{answer}");
}
