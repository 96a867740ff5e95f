"""IAM's endpoints: one for all regions of a partition, which signs for a region of its own.

The table follows the endpoint rules that AWS publishes with botocore; a test compares both for every region.
"""

from __future__ import annotations

from ssm_ssh.startup import NamedTuple


class Global(NamedTuple):
    """The endpoint of a global service in one partition: the region to sign for, its host, and that with FIPS."""

    region: str
    host: str
    fips_host: str


IAM = {
    "aws": Global("us-east-1", "iam.amazonaws.com", "iam-fips.amazonaws.com"),
    "aws-cn": Global("cn-north-1", "iam.cn-north-1.amazonaws.com.cn", "iam-fips.amazonaws.com.cn"),
    "aws-us-gov": Global("us-gov-west-1", "iam.us-gov.amazonaws.com", "iam.us-gov.amazonaws.com"),
    "aws-eusc": Global("eusc-de-east-1", "iam.eusc-de-east-1.amazonaws.eu", "iam-fips.amazonaws.eu"),
    "aws-iso": Global("us-iso-east-1", "iam.us-iso-east-1.c2s.ic.gov", "iam-fips.us-iso-east-1.c2s.ic.gov"),
    "aws-iso-b": Global("us-isob-east-1", "iam.us-isob-east-1.sc2s.sgov.gov", "iam-fips.us-isob-east-1.sc2s.sgov.gov"),
    "aws-iso-e": Global("eu-isoe-west-1", "iam.eu-isoe-west-1.cloud.adc-e.uk", "iam-fips.cloud.adc-e.uk"),
    "aws-iso-f": Global("us-isof-south-1", "iam.us-isof-south-1.csp.hci.ic.gov", "iam-fips.csp.hci.ic.gov"),
}
