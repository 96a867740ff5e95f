"""`ssm-ssh login`: SSO and sign-in, and the cache files that the AWS CLI shares."""
