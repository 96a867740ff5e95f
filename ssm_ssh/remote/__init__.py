"""The script that runs on the instance: POSIX sh for dash, bash and busybox."""
