"""IAM Identity Center and the console sign-in of the lab."""
