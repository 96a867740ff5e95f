"""One module for each AWS service or task that ssm-ssh uses."""
