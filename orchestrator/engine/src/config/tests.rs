//! Requests as the stock client writes them.

use super::*;

/// What `docker run -it --rm -v data:/d -m 64m alpine sh` of 28.5 sends, shortened where it says nothing.
const RUN: &str = r#"{"Hostname":"","Domainname":"","User":"","AttachStdin":true,"AttachStdout":true,"AttachStderr":true,
    "Tty":true,"OpenStdin":true,"StdinOnce":true,"Env":null,"Cmd":["sh"],"Image":"alpine","Volumes":{},"WorkingDir":"",
    "Entrypoint":null,"OnBuild":null,"Labels":{},
    "HostConfig":{"Binds":["data:/d"],"ContainerIDFile":"","LogConfig":{"Type":"","Config":{}},"NetworkMode":"default",
        "PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"}],"81/tcp":null},
        "RestartPolicy":{"Name":"no","MaximumRetryCount":0},"AutoRemove":true,"VolumeDriver":"","VolumesFrom":null,
        "ConsoleSize":[40,120],"CapAdd":null,"CapDrop":null,"CgroupnsMode":"","Dns":null,"DnsOptions":[],"DnsSearch":[],
        "ExtraHosts":null,"GroupAdd":null,"IpcMode":"","Cgroup":"","Links":null,"OomScoreAdj":0,"PidMode":"",
        "Privileged":false,"PublishAllPorts":false,"ReadonlyRootfs":false,"SecurityOpt":null,"UTSMode":"",
        "UsernsMode":"","ShmSize":0,"Isolation":"","CpuShares":0,"Memory":67108864,"NanoCpus":0,"CgroupParent":"",
        "BlkioWeight":0,"BlkioWeightDevice":[],"BlkioDeviceReadBps":[],"CpuPeriod":0,"CpuQuota":0,"Devices":[],
        "DeviceCgroupRules":null,"DeviceRequests":null,"MemoryReservation":0,"MemorySwap":0,"MemorySwappiness":-1,
        "OomKillDisable":false,"PidsLimit":0,"Ulimits":[],"MaskedPaths":null,"ReadonlyPaths":[]},
    "NetworkingConfig":{"EndpointsConfig":{"default":{"IPAMConfig":null}}}}"#;

#[test]
fn a_request_of_the_stock_client_is_read_in_full() {
    let request: CreateRequest = from_docker_json(RUN.as_bytes()).unwrap();

    assert!(request.config.tty && request.config.open_stdin);
    assert_eq!(request.config.cmd.as_deref(), Some(&["sh".to_owned()][..]));
    assert_eq!((request.config.entrypoint, request.config.env), (None, Vec::new()));
    assert_eq!(request.host_config.binds.unwrap(), ["data:/d"]);
    assert_eq!(request.host_config.resources.memory, 64 << 20);
    assert_eq!(request.host_config.resources.memory_swappiness, Some(-1));
    assert_eq!(request.host_config.console_size, [40, 120]);
    assert_eq!(request.host_config.masked_paths, None);
    assert_eq!(request.host_config.readonly_paths, Some(Vec::new()));
    assert!(request.networking_config.unwrap()["EndpointsConfig"]["default"].is_object());
}

#[test]
fn what_is_written_reads_back_the_same() {
    let request: CreateRequest = from_docker_json(RUN.as_bytes()).unwrap();

    let text = serde_json::to_vec(&request).unwrap();

    assert_eq!(from_docker_json::<CreateRequest>(&text).unwrap(), request);
}

#[test]
fn one_word_stands_for_a_list_of_one() {
    let config: ContainerConfig = from_docker_json(br#"{"Cmd":"ls","Entrypoint":[""],"Unknown":{"x":1}}"#).unwrap();

    assert_eq!(config.cmd.unwrap(), ["ls"]);
    assert_eq!(config.entrypoint.unwrap(), [""]);
}

#[test]
fn an_empty_object_is_a_request() {
    assert_eq!(from_docker_json::<CreateRequest>(b"{}").unwrap(), CreateRequest::default());
}

#[test]
fn a_field_of_the_wrong_kind_is_refused() {
    let error = from_docker_json::<CreateRequest>(br#"{"HostConfig":{"Memory":"much"}}"#).unwrap_err().to_string();

    assert!(error.contains("expected i64"), "{error}");
}
