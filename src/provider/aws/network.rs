//! Where servers are reached: subnets, and the groups that let somebody in to port 22.

use super::api::{Api, Form};
use super::settings::{Network, Settings, fleet_tags, input};
use super::xml::Element;
use crate::host::escaped;
use crate::provider::{FleetName, ProviderError, error};

/// The group that hoist makes.
const GROUP: &str = "hoist-ssh";

/// A group that is there.
#[derive(Debug)]
struct Group {
    id: String,
    name: String,
    /// Networks that reach port 22.
    networks: Vec<String>,
}

/// Returns the ids of the groups that are named, and what there is to say about hoist's own. Reads
/// only.
///
/// # Errors
/// When one is not there, or EC2 can't be asked.
pub(super) fn look(
    api: &Api,
    settings: &Settings,
) -> Result<(Vec<String>, Vec<String>), ProviderError> {
    let vpc = vpc(api, settings)?;
    let groups = named(api, settings, vpc.as_deref())?;
    let Some(network) = &settings.open_ssh_from else {
        return Ok((groups, Vec::new()));
    };
    let own = own(api, vpc.as_deref())?;
    let networks = own.map(|group| group.networks).unwrap_or_default();
    let mut notes = Vec::new();
    if !networks.iter().any(|other| network.is_same(other)) {
        notes.push(format!(
            "the security group {GROUP} will let in {network} to port 22"
        ));
    }
    let others: Vec<String> = networks
        .iter()
        .filter(|other| !network.is_same(other))
        .map(|other| escaped(other))
        .collect();
    if !others.is_empty() {
        notes.push(format!(
            "the security group {GROUP} lets in {} as well",
            others.join(", ")
        ));
    }
    Ok((groups, notes))
}

/// Returns the ids of the groups that servers are to be in, after making hoist's own where it is
/// asked for.
///
/// # Errors
/// When one is not there, or EC2 refuses.
pub(super) fn prepare(
    api: &Api,
    settings: &Settings,
    fleet: &FleetName,
) -> Result<Vec<String>, ProviderError> {
    let vpc = vpc(api, settings)?;
    let mut groups = named(api, settings, vpc.as_deref())?;
    if let Some(network) = &settings.open_ssh_from {
        let group = opened(api, vpc.as_deref(), network, fleet)?;
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    Ok(groups)
}

/// Returns the network of the servers, where it makes a difference: names of groups are unique only
/// inside of one.
fn vpc(api: &Api, settings: &Settings) -> Result<Option<String>, ProviderError> {
    let has_names = settings.security_groups.iter().any(|group| !is_id(group));
    if !has_names && settings.open_ssh_from.is_none() {
        return Ok(None);
    }
    let Some(subnet) = &settings.subnet else {
        return default_vpc(api)?.map(Some).ok_or_else(|| {
            let region = api.region();
            input(format!(
                "{region} has no default network; name a subnet, with the setting `subnet`"
            ))
        });
    };
    let form = Form::new("DescribeSubnets").with("SubnetId.1", subnet);
    let subnets = api.all(&form, "subnetSet")?;
    Ok(subnets.iter().find_map(|subnet| subnet.some_text("vpcId")))
}

/// Returns the network that servers are in when no subnet is named.
///
/// # Errors
/// When EC2 can't be asked.
pub(super) fn default_vpc(api: &Api) -> Result<Option<String>, ProviderError> {
    Ok(default_vpc_item(api)?.and_then(|vpc| vpc.some_text("vpcId")))
}

/// Returns the same, as EC2 tells of it.
///
/// # Errors
/// When EC2 can't be asked.
pub(super) fn default_vpc_item(api: &Api) -> Result<Option<Element>, ProviderError> {
    let form = Form::new("DescribeVpcs").with_filter("is-default", &["true"]);
    Ok(api.all(&form, "vpcSet")?.into_iter().next())
}

fn is_id(group: &str) -> bool {
    group.starts_with("sg-")
}

/// Returns the ids of the groups that the settings name.
fn named(api: &Api, settings: &Settings, vpc: Option<&str>) -> Result<Vec<String>, ProviderError> {
    let names: Vec<&str> = settings
        .security_groups
        .iter()
        .map(String::as_str)
        .collect();
    if names.iter().all(|name| is_id(name)) {
        return Ok(settings.security_groups.clone());
    }
    let form = of_vpc(Form::new("DescribeSecurityGroups"), vpc);
    let there = groups(api, &form)?;
    let id = |name: &&str| {
        let found = there.iter().find(|group| group.name == *name);
        let known = there.iter().map(|group| group.name.as_str());
        match found {
            Some(group) => Ok(group.id.clone()),
            None if is_id(name) => Ok((*name).to_owned()),
            None => Err(error::unknown("security group", name, known)),
        }
    };
    names.iter().map(id).collect()
}

fn of_vpc(form: Form, vpc: Option<&str>) -> Form {
    match vpc {
        Some(vpc) => form.with_filter("vpc-id", &[vpc]),
        None => form,
    }
}

fn groups(api: &Api, form: &Form) -> Result<Vec<Group>, ProviderError> {
    let group = |item: &Element| {
        Some(Group {
            id: item.some_text("groupId")?,
            name: item.text("groupName").to_owned(),
            networks: networks(item),
        })
    };
    let found = api.all(form, "securityGroupInfo")?;
    Ok(found.iter().filter_map(group).collect())
}

/// Returns the networks that a group lets in to port 22 over TCP.
fn networks(group: &Element) -> Vec<String> {
    let rules = group.items("ipPermissions");
    let lets_in = |rule: &&Element| match rule.text("ipProtocol") {
        "-1" => true,
        "tcp" | "6" => {
            let (from, to) = (rule.number("fromPort"), rule.number("toPort"));
            from.is_some_and(|from| from <= 22) && to.is_some_and(|to| to >= 22)
        }
        _ => false,
    };
    let networks = rules.filter(lets_in).flat_map(|rule| {
        let ipv4 = rule.items("ipRanges").map(|range| range.text("cidrIp"));
        let ipv6 = rule.items("ipv6Ranges");
        ipv4.chain(ipv6.map(|range| range.text("cidrIpv6")))
    });
    networks.map(str::to_owned).collect()
}

fn own(api: &Api, vpc: Option<&str>) -> Result<Option<Group>, ProviderError> {
    let form = Form::new("DescribeSecurityGroups").with_filter("group-name", &[GROUP]);
    Ok(groups(api, &of_vpc(form, vpc))?.into_iter().next())
}

/// Returns the id of hoist's own group, which lets in `network`.
fn opened(
    api: &Api,
    vpc: Option<&str>,
    network: &Network,
    fleet: &FleetName,
) -> Result<String, ProviderError> {
    let there = own(api, vpc)?;
    let group = match there {
        Some(group) => group,
        None => made(api, vpc, fleet)?,
    };
    if group.networks.iter().any(|other| network.is_same(other)) {
        return Ok(group.id);
    }
    let ranges = if network.is_ipv6() {
        "IpPermissions.1.Ipv6Ranges.1.CidrIpv6"
    } else {
        "IpPermissions.1.IpRanges.1.CidrIp"
    };
    let form = Form::new("AuthorizeSecurityGroupIngress")
        .with("GroupId", &group.id)
        .with("IpPermissions.1.IpProtocol", "tcp")
        .with("IpPermissions.1.FromPort", "22")
        .with("IpPermissions.1.ToPort", "22")
        .with(ranges, network.to_string());
    match api.ask(&form) {
        Err(error) if !is_coded(&error, "InvalidPermission.Duplicate") => Err(error),
        _ => Ok(group.id),
    }
}

fn made(api: &Api, vpc: Option<&str>, fleet: &FleetName) -> Result<Group, ProviderError> {
    let form = Form::new("CreateSecurityGroup")
        .with("GroupName", GROUP)
        .with("GroupDescription", GROUP)
        .with_some("VpcId", vpc)
        .with_tags(1, "security-group", &fleet_tags(fleet));
    let made = match api.ask(&form) {
        Ok(answer) => answer.some_text("groupId"),
        // Another hoist was faster.
        Err(error) if is_coded(&error, "InvalidGroup.Duplicate") => {
            return own(api, vpc)?.ok_or(error);
        }
        Err(error) => return Err(error),
    };
    api.has_made();
    let id = made.ok_or_else(|| super::api::unreadable(&form, "it names no group"))?;
    Ok(Group {
        id,
        name: GROUP.to_owned(),
        networks: Vec::new(),
    })
}

/// Whether EC2 said no with this code.
pub(super) fn is_coded(error: &ProviderError, code: &str) -> bool {
    let refusal = error.refusal();
    refusal.is_some_and(|refusal| refusal.code.as_deref() == Some(code))
}
