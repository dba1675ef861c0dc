"""Prints, as JSON, what AWS's own client tells of every server of an EC2. The arguments are its
address, a key and a secret."""

import base64
import json
import os
import sys

import boto3

os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
url, key, secret = sys.argv[1:]
ec2 = boto3.client(
    "ec2",
    endpoint_url=url,
    region_name="eu-west-1",
    aws_access_key_id=key,
    aws_secret_access_key=secret,
)


def user_data(server):
    told = ec2.describe_instance_attribute(InstanceId=server, Attribute="userData")
    return base64.b64decode(told["UserData"].get("Value", "")).decode()


def open_to(group):
    [told] = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
    rules = told["IpPermissions"]
    return [
        f"{network['CidrIp']}:{rule['FromPort']}"
        for rule in rules
        for network in rule["IpRanges"]
    ]


def shown(server):
    state = server["State"]["Name"]
    known = {"id": server["InstanceId"], "state": state}
    if state == "terminated":
        return known
    [volume] = [one["Ebs"]["VolumeId"] for one in server["BlockDeviceMappings"]]
    [volume] = ec2.describe_volumes(VolumeIds=[volume])["Volumes"]
    return known | {
        "size": server["InstanceType"],
        "image": server["ImageId"],
        "key": server["KeyName"],
        "tags": {tag["Key"]: tag["Value"] for tag in server["Tags"]},
        "volume": volume["Size"],
        "open": sorted(sum([open_to(one["GroupId"]) for one in server["SecurityGroups"]], [])),
        "user_data": user_data(server["InstanceId"]),
    }


pages = ec2.get_paginator("describe_instances").paginate()
every = [server for page in pages for all in page["Reservations"] for server in all["Instances"]]
print(json.dumps([shown(server) for server in every]))
