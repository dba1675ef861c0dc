//! What EC2 is asked for one server: `RunInstances`.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html>

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::api::{Api, Form, unreadable};
use super::image::Image;
use super::network::is_coded;
use super::settings::{Settings, input};
use crate::provider::{FleetName, ProviderError};

/// Most bytes of user-data, before its base64.
pub(super) const USER_DATA_LIMIT: usize = 16 * 1024;

/// What all servers of a spec have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Launch<'a> {
    pub(super) settings: &'a Settings,
    pub(super) fleet: &'a FleetName,
    pub(super) size: &'a str,
    pub(super) image: &'a Image,
    pub(super) groups: &'a [String],
}

impl Launch<'_> {
    /// Returns what asks for one server.
    pub(super) fn form(&self, name: &str) -> Form {
        let form = Form::new("RunInstances")
            .with("ImageId", &self.image.id)
            .with("InstanceType", self.size)
            .with("MinCount", "1")
            .with("MaxCount", "1");
        let form = self.with_network(form);
        let form = self.with_volume(form);
        let settings = self.settings;
        let form = match settings.instance_profile.as_deref() {
            Some(arn) if arn.starts_with("arn:") => form.with("IamInstanceProfile.Arn", arn),
            other => form.with_some("IamInstanceProfile.Name", other),
        };
        // The volume has its own tags, so that what outlives a server can be told.
        let tags = settings.all_tags(self.fleet, name);
        form.with_some("Placement.AvailabilityZone", settings.zone.as_deref())
            .with("MetadataOptions.HttpTokens", "required")
            .with_tags(1, "instance", &tags)
            .with_tags(2, "volume", &tags)
    }

    /// An interface is described only where the subnet is not to decide about public addresses: it
    /// takes the place of the shorter parameters, which can't be sent beside it.
    fn with_network(&self, form: Form) -> Form {
        let settings = self.settings;
        let subnet = settings.subnet.as_deref();
        let ipv6 = settings.ipv6.then_some("1");
        let Some(public_ip) = settings.public_ip else {
            return form
                .with_list("SecurityGroupId", self.groups)
                .with_some("SubnetId", subnet)
                .with_some("Ipv6AddressCount", ipv6);
        };
        let name = "NetworkInterface.1";
        form.with(format!("{name}.DeviceIndex"), "0")
            .with_some(&format!("{name}.SubnetId"), subnet)
            .with_list(&format!("{name}.SecurityGroupId"), self.groups)
            .with(
                format!("{name}.AssociatePublicIpAddress"),
                public_ip.to_string(),
            )
            .with_some(&format!("{name}.Ipv6AddressCount"), ipv6)
    }

    /// The volume always goes with its server, whatever the image says: nobody else would delete it.
    fn with_volume(&self, form: Form) -> Form {
        let Some(device) = &self.image.root_device else {
            return form;
        };
        let volume = &self.settings.volume;
        let text = |number: Option<u64>| number.map(|number| number.to_string());
        let name = "BlockDeviceMapping.1";
        form.with(format!("{name}.DeviceName"), device)
            .with_some(&format!("{name}.Ebs.VolumeSize"), text(volume.size))
            .with_some(&format!("{name}.Ebs.VolumeType"), volume.kind.as_deref())
            .with_some(&format!("{name}.Ebs.Iops"), text(volume.iops))
            .with_some(&format!("{name}.Ebs.Throughput"), text(volume.throughput))
            .with(format!("{name}.Ebs.DeleteOnTermination"), "true")
    }

    /// Checks that the volume can hold the image.
    ///
    /// # Errors
    /// When it can't, or there is none to set anything of.
    pub(super) fn check_volume(&self) -> Result<(), ProviderError> {
        let volume = &self.settings.volume;
        if self.image.root_device.is_none() && *volume != super::settings::Volume::default() {
            return Err(input(format!(
                "the image {} boots from no volume; leave out the settings that begin with \
                 `volume_`",
                crate::host::escaped(&self.image.id)
            )));
        }
        match (volume.size, self.image.root_size) {
            (Some(size), Some(least)) if size < least => Err(input(format!(
                "the setting `volume_size` is {size} (GiB), and the image needs {least}"
            ))),
            _ => Ok(()),
        }
    }

    /// Asks whether EC2 would make a server, without one being made.
    ///
    /// # Errors
    /// When it would not, or can't be asked.
    pub(super) fn rehearse(&self, api: &Api) -> Result<(), ProviderError> {
        let form = self.form(self.fleet.as_str()).with("DryRun", "true");
        match api.ask(&form) {
            Err(error) if is_coded(&error, "DryRunOperation") => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(unreadable(
                &form,
                "it made a server although `DryRun` was set: look for it, and destroy it",
            )),
        }
    }
}

/// Returns user-data as it is sent, unless there is none.
///
/// # Errors
/// When it is too long.
pub(super) fn user_data(bytes: &[u8]) -> Result<Option<String>, ProviderError> {
    if bytes.len() > USER_DATA_LIMIT {
        let length = bytes.len();
        return Err(input(format!(
            "AWS EC2 takes at most {USER_DATA_LIMIT} bytes of user-data, and these are {length}"
        )));
    }
    Ok((!bytes.is_empty()).then(|| STANDARD.encode(bytes)))
}
