"""Makes a user who may do everything at the EC2 of a moto server, prints its key and its secret, and
has moto check signatures from then on. The argument is the server's address."""

import json
import os
import sys
import urllib.request

import boto3

os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
url = sys.argv[1]
iam = boto3.client(
    "iam",
    endpoint_url=url,
    region_name="eu-west-1",
    aws_access_key_id="x",
    aws_secret_access_key="x",
)
iam.create_user(UserName="hoist")
key = iam.create_access_key(UserName="hoist")["AccessKey"]
statement = {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}
policy = {"Version": "2012-10-17", "Statement": [statement]}
iam.put_user_policy(UserName="hoist", PolicyName="ec2", PolicyDocument=json.dumps(policy))
# How many more requests pass unchecked.
urllib.request.urlopen(
    urllib.request.Request(
        f"{url}/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"}
    )
)
print(key["AccessKeyId"], key["SecretAccessKey"])
