//! Signature Version 4: proves who asks, and that nobody changed what is asked.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use std::fmt::Write as _;
use std::time::SystemTime;

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

use super::credentials::Keys;

/// The body's type; it is signed, so it has to be sent exactly so.
pub(super) const CONTENT_TYPE: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// What EC2 is called in a signature.
const SERVICE: &str = "ec2";

/// A POST request that is to be signed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unsigned<'a> {
    /// Where the API is.
    pub(super) region: &'a str,
    /// As the `host` header has it, with the port where the address names one.
    pub(super) host: &'a str,
    /// From the first `/` on, without a query.
    pub(super) path: &'a str,
    /// Exactly what is sent.
    pub(super) body: &'a [u8],
    /// The time there.
    pub(super) at: SystemTime,
}

/// Returns the headers that sign the request; [`CONTENT_TYPE`] and `host` have to go along.
pub(super) fn headers(keys: &Keys, request: &Unsigned<'_>) -> Vec<(&'static str, String)> {
    let date = amz_date(request.at);
    let session = keys.session.as_ref();
    let mut signed = vec![
        ("content-type", CONTENT_TYPE),
        ("host", request.host),
        ("x-amz-date", date.as_str()),
    ];
    signed.extend(session.map(|token| ("x-amz-security-token", token.expose().trim())));
    let names: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");

    let day = date.get(..8).unwrap_or_default();
    let scope = format!("{day}/{}/{SERVICE}/aws4_request", request.region);
    let canonical = hex(&Sha256::digest(canonical(request, &signed, &names)));
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{canonical}");
    let secret = zeroize::Zeroizing::new(format!("AWS4{}", keys.secret.expose()));
    let key = [day, request.region, SERVICE, "aws4_request"]
        .iter()
        .fold(secret.as_bytes().to_vec(), |key, part| mac(&key, part));
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={}",
        keys.id,
        hex(&mac(&key, &to_sign))
    );
    let mut headers = vec![("x-amz-date", date), ("authorization", authorization)];
    headers.extend(session.map(|token| ("x-amz-security-token", token.expose().trim().to_owned())));
    headers
}

fn canonical(request: &Unsigned<'_>, signed: &[(&str, &str)], names: &str) -> String {
    let mut canonical = format!("POST\n{}\n\n", request.path);
    for (name, value) in signed {
        let _ = writeln!(canonical, "{name}:{value}");
    }
    let _ = write!(
        canonical,
        "\n{names}\n{}",
        hex(&Sha256::digest(request.body))
    );
    canonical
}

/// Returns `20260102T030405Z`.
fn amz_date(at: SystemTime) -> String {
    let at = jiff::Timestamp::try_from(at).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%Y%m%dT%H%M%SZ").to_string()
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::secret::Secret;

    fn signed(session: Option<&str>, region: &str, host: &str, body: &str) -> Vec<String> {
        let keys = Keys {
            id: "AKIDEXAMPLE".to_owned(),
            secret: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned()),
            session: session.map(|token| Secret::new(token.to_owned())),
            expires_at: None,
        };
        let request = Unsigned {
            region,
            host,
            path: "/",
            body: body.as_bytes(),
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_045),
        };
        let headers = headers(&keys, &request).into_iter();
        headers
            .map(|(name, value)| format!("{name}: {value}"))
            .collect()
    }

    // The expected values were made with botocore 1.44.5.

    #[test]
    fn a_request_is_signed_as_botocore_signs_it() {
        let body = "Action=DescribeInstances&Version=2016-11-15";
        let headers = signed(None, "eu-west-1", "ec2.eu-west-1.amazonaws.com", body);
        insta::assert_snapshot!(headers.join("\n"), @"
        x-amz-date: 20260102T030405Z
        authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/eu-west-1/ec2/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=2f71f05b22dfb88ba0d2c7344e704e915fa17da7d783bf28d70bc0628eca497e
        ");
    }

    #[test]
    fn a_session_token_is_signed_too() {
        let body = "Action=DescribeInstances&Filter.1.Name=tag%3Ahoist&Filter.1.Value.1=web%20x\
                    &Version=2016-11-15";
        let session = Some("FwoGZXIvYXdzEXAMPLETOKEN==");
        let headers = signed(session, "eu-west-1", "ec2.eu-west-1.amazonaws.com", body);
        insta::assert_snapshot!(headers.join("\n"), @"
        x-amz-date: 20260102T030405Z
        authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/eu-west-1/ec2/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature=89509aefa90b9e9a3694ee2db93ef5024fd06d4d7da2c9ca19f07071e39bee5a
        x-amz-security-token: FwoGZXIvYXdzEXAMPLETOKEN==
        ");
    }

    #[test]
    fn a_port_is_part_of_the_host() {
        let body = "Action=TerminateInstances&InstanceId.1=i-0123456789abcdef0&Version=2016-11-15";
        let headers = signed(None, "us-east-1", "127.0.0.1:5555", body);
        insta::assert_snapshot!(headers.join("\n"), @"
        x-amz-date: 20260102T030405Z
        authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260102/us-east-1/ec2/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature=867f0c536ff23d7306bc5b185229f101fabaf75827f1e1796f00fcdd42947db9
        ");
    }
}
