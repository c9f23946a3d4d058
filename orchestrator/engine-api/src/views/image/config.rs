//! An image's settings, with the fields that clients of each age find.

use image::RunConfig;
use serde_json::{Map, Value, json};

use crate::version::ApiVersion;

/// Until when settings of containers, all without effect here, were shown with an image.
const CONTAINER_FIELDS_UNTIL: ApiVersion = ApiVersion::new(1, 50);
/// What is always there, empty or not.
const ALWAYS: [&str; 8] = ["Cmd", "Entrypoint", "Env", "Labels", "OnBuild", "User", "Volumes", "WorkingDir"];

/// Docker's `Config` of an image.
pub(super) fn config(config: &RunConfig, version: ApiVersion) -> Value {
    let Ok(Value::Object(fields)) = serde_json::to_value(config) else { unreachable!("settings have texts as keys") };
    let mut document = Map::new();
    if version < CONTAINER_FIELDS_UNTIL {
        for field in ["AttachStderr", "AttachStdin", "AttachStdout", "OpenStdin", "StdinOnce", "Tty"] {
            document.insert(field.to_owned(), json!(false));
        }
        for field in ["Domainname", "Hostname", "Image"] {
            document.insert(field.to_owned(), json!(""));
        }
    }
    for field in ALWAYS {
        let empty = if matches!(field, "User" | "WorkingDir") { json!("") } else { Value::Null };
        document.insert(field.to_owned(), empty);
    }
    let is_said = |value: &Value| match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(members) => !members.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    };
    document.extend(fields.into_iter().filter(|(_, value)| is_said(value)));
    Value::Object(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_have_the_fields_of_the_clients_age() {
        let settings = RunConfig { env: vec!["A=1".to_owned()], ..RunConfig::default() };

        let new = config(&settings, ApiVersion::new(1, 51));
        let old = config(&settings, ApiVersion::new(1, 41));

        assert_eq!(
            new,
            json!({"Cmd": null, "Entrypoint": null, "Env": ["A=1"], "Labels": null, "OnBuild": null, "User": "",
                "Volumes": null, "WorkingDir": ""})
        );
        assert_eq!((&old["Tty"], &old["Hostname"], &old["Env"]), (&json!(false), &json!(""), &json!(["A=1"])));
    }
}
