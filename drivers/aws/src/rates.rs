//! How many calls EC2 takes: its published buckets, one an action, account and region.
//!
//! Source: "Request throttling for the Amazon EC2 API" in the EC2 developer guide: 100 tokens and 20 a second for actions
//! that read, 50 and 5 for actions that change something, and figures of their own for the actions below. `RunInstances`
//! and `TerminateInstances` are charged by the machine as well.

use driver::Rate;

pub(crate) const DESCRIBE_IMAGES: Rate = reading("ec2 DescribeImages");
pub(crate) const DESCRIBE_INSTANCES: Rate = reading("ec2 DescribeInstances");
pub(crate) const DESCRIBE_INTERNET_GATEWAYS: Rate = reading("ec2 DescribeInternetGateways");
pub(crate) const DESCRIBE_NETWORK_INTERFACES: Rate = reading("ec2 DescribeNetworkInterfaces");
pub(crate) const DESCRIBE_ROUTE_TABLES: Rate = reading("ec2 DescribeRouteTables");
pub(crate) const DESCRIBE_REGIONS: Rate = reading("ec2 DescribeRegions");
pub(crate) const DESCRIBE_SECURITY_GROUPS: Rate = reading("ec2 DescribeSecurityGroups");
pub(crate) const DESCRIBE_SPOT_REQUESTS: Rate = reading("ec2 DescribeSpotInstanceRequests");
pub(crate) const DESCRIBE_SUBNETS: Rate = reading("ec2 DescribeSubnets");
pub(crate) const DESCRIBE_TAGS: Rate = reading("ec2 DescribeTags");
pub(crate) const DESCRIBE_VOLUMES: Rate = reading("ec2 DescribeVolumes");
pub(crate) const DESCRIBE_VPCS: Rate = reading("ec2 DescribeVpcs");
pub(crate) const CONSOLE_OUTPUT: Rate = reading("ec2 GetConsoleOutput");

pub(crate) const ATTACH_INTERNET_GATEWAY: Rate = changing("ec2 AttachInternetGateway");
pub(crate) const AUTHORIZE_INGRESS: Rate = changing("ec2 AuthorizeSecurityGroupIngress");
pub(crate) const CANCEL_SPOT_REQUESTS: Rate = changing("ec2 CancelSpotInstanceRequests");
pub(crate) const CREATE_INTERNET_GATEWAY: Rate = changing("ec2 CreateInternetGateway");
pub(crate) const CREATE_ROUTE: Rate = changing("ec2 CreateRoute");
pub(crate) const CREATE_SECURITY_GROUP: Rate = changing("ec2 CreateSecurityGroup");
pub(crate) const CREATE_SUBNET: Rate = changing("ec2 CreateSubnet");
pub(crate) const CREATE_VPC: Rate = changing("ec2 CreateVpc");
pub(crate) const DELETE_INTERNET_GATEWAY: Rate = changing("ec2 DeleteInternetGateway");
pub(crate) const DELETE_NETWORK_INTERFACE: Rate = changing("ec2 DeleteNetworkInterface");
pub(crate) const DELETE_SECURITY_GROUP: Rate = changing("ec2 DeleteSecurityGroup");
pub(crate) const DELETE_SUBNET: Rate = changing("ec2 DeleteSubnet");
pub(crate) const DELETE_VOLUME: Rate = changing("ec2 DeleteVolume");
pub(crate) const DELETE_VPC: Rate = changing("ec2 DeleteVpc");
pub(crate) const DETACH_INTERNET_GATEWAY: Rate = changing("ec2 DetachInternetGateway");
pub(crate) const REVOKE_INGRESS: Rate = changing("ec2 RevokeSecurityGroupIngress");
pub(crate) const STOP_INSTANCES: Rate = changing("ec2 StopInstances");

pub(crate) const CREATE_TAGS: Rate = Rate { bucket: "ec2 CreateTags", burst: 100.0, per_second: 10.0 };
pub(crate) const RUN_INSTANCES: Rate = Rate { bucket: "ec2 RunInstances", burst: 5.0, per_second: 2.0 };
pub(crate) const START_INSTANCES: Rate = Rate { bucket: "ec2 StartInstances", burst: 5.0, per_second: 2.0 };
pub(crate) const TERMINATE_INSTANCES: Rate = Rate { bucket: "ec2 TerminateInstances", burst: 100.0, per_second: 5.0 };

/// By the machine that is launched.
pub(crate) const MACHINES_RUN: Rate = Rate { bucket: "ec2 machines run", burst: 1000.0, per_second: 2.0 };
/// By the machine that is terminated.
pub(crate) const MACHINES_TERMINATED: Rate =
    Rate { bucket: "ec2 machines terminated", burst: 1000.0, per_second: 20.0 };

const fn reading(bucket: &'static str) -> Rate {
    Rate { bucket, burst: 100.0, per_second: 20.0 }
}

const fn changing(bucket: &'static str) -> Rate {
    Rate { bucket, burst: 50.0, per_second: 5.0 }
}
