"""Programs of the command line, each as a script for bash.

It runs in an empty folder with 200 kB of random bytes in `f`. `$user@$host` (`$to`) is an instance whose sshd is the
lab's, `same` compares `back` with `f`, and `status N COMMAND` wants that exit status.
"""

from __future__ import annotations

PRELUDE = """
set -eu -o pipefail
to=$user@$host
same() { cmp "${1:-back}" f; }
status() { local wanted=$1 got=0; shift; "$@" || got=$?; [ "$got" = "$wanted" ] || { echo "$* ended with $got"; exit 1; }; }
eventually() { local n=0; until "$@"; do n=$((n + 1)); [ "$n" -lt 300 ] || exit 1; sleep 0.1; done; }
key=$HOME/.local/share/ssm-ssh/id_ed25519
known=$HOME/.local/share/ssm-ssh/known_hosts
# sshd of an instance listens elsewhere than on its port 22, for many instances share this machine.
sshd_port() { ssh "$to" 'set -- $SSH_CONNECTION; echo $4'; }
"""

SNIPPETS = {
    "ssh": """
status 7 ssh "$to" 'cat > g; exit 7' < f
ssh "$to" cat g > back; same
""",
    "scp": """
scp -q f "$to:g"; scp -q "$to:g" back; same
scp -q -O f "$to:h"; scp -q -O "$to:h" back2; same back2
status 1 scp -q "$to:none" none 2>/dev/null
""",
    "sftp": """
printf 'put f g\\nget g back\\n' | sftp -q -b - "$to" > /dev/null; same
status 1 sftp -q -b <(echo get none) "$to" > /dev/null 2>&1
""",
    "ssh-copy-id": """
ssh-keygen -q -t ed25519 -N '' -C copied -f key
ssh-copy-id -f -i key.pub "$user@$host" > /dev/null 2>&1
ssh "$to" 'grep copied .ssh/authorized_keys; rm .ssh/authorized_keys' | cmp - key.pub
""",
    "jump": """
ssh -p 2222 "$other" true
port=$(ssh -p 2222 "$other" 'set -- $SSH_CONNECTION; echo $4')
status 7 ssh -J "$to" -p "$port" -o "HostKeyAlias=[${other#*@}]:2222" "${other%@*}@127.0.0.1" 'cat; exit 7' < f > back; same
""",
    "agent-forwarding": """
eval "$(ssh-agent -s)" > /dev/null; trap 'ssh-agent -k > /dev/null' EXIT
ssh-keygen -q -t ed25519 -N '' -f mine; ssh-add -q mine
# The lab's own configuration switches the agent off.
ssh -A -o IdentityAgent=SSH_AUTH_SOCK "$to" ssh-add -L | cmp - mine.pub
""",
    "forwarding": """
port=$(sshd_port)
ssh -N -L "$PWD/sock:127.0.0.1:$port" "$to" & trap 'kill $!' EXIT
eventually test -S sock
python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.connect("sock"); assert s.recv(7) == b"SSH-2.0"'
ssh -W "127.0.0.1:$port" "$to" < /dev/null | head -c 7 | grep -qx SSH-2.0
""",
    "multiplexing": """
mux="-o ControlPath=$SSM_SSH_LAB/mux -o ControlMaster=auto -o ControlPersist=60"
status 7 ssh $mux "$to" 'cat > g; exit 7' < f 2> /dev/null
ssh $mux "$to" cat g > back; same
ssh $mux -O exit "$to" 2> /dev/null
""",
    "rsync": """
rsync -a -I f "$to:g"; rsync -a "$to:g" back; same
status 23 rsync -a "$to:none" none 2> /dev/null
""",
    "sshfs": """
mkdir m; sshfs "$to:" m; trap 'umount m' EXIT
cp f m/g; cp m/g back; same
ssh "$to" cat g | cmp - f
""",
    "borg": """
export BORG_BASE_DIR=$PWD
borg init -e none "$to:borg"; borg create "$to:borg::a" f
borg extract --stdout "$to:borg::a" f > back; same
status 2 borg list "$to:none" 2> /dev/null
""",
    "restic": """
export RESTIC_PASSWORD=x
restic -q -r "sftp:$to:restic" init; restic -q -r "sftp:$to:restic" backup f
restic -q -r "sftp:$to:restic" restore latest --target out; cp "$(find out -name f)" back; same
""",
    "rclone": """
rclone copy f ":sftp,ssh='ssh $user@$host':folder"
rclone copy ":sftp,ssh='ssh $user@$host':folder/f" there; same there/f
""",
    "lftp": """
lftp -u $user,x sftp://$host -e 'set cmd:fail-exit yes; put f -o g; get g -o back; exit 5' || [ $? = 5 ]; same
""",
    "unison": """
export UNISON=$PWD/.unison; mkdir u; cp f u
unison -batch -auto -silent u "ssh://$to/u"
ssh "$to" cat u/f > back; same
""",
    "rsnapshot": """
scp -q f "$to:g"
printf '%s\\t%s\\t%s\\n' config_version 1.2 '' snapshot_root "$PWD/s/" '' cmd_rsync /usr/bin/rsync '' \\
    cmd_ssh "$(command -v ssh)" '' retain alpha 2 backup "$to:$(ssh "$to" pwd)/g" there/ | sed 's/\\t$//' > conf
rsnapshot -c "$PWD/conf" alpha
cp "$(find s -name g)" back; same
""",
    "rdiff-backup": """
mkdir u; cp f u
rdiff-backup u "$to::rdiff" 2> /dev/null; rdiff-backup -r now "$to::rdiff" there 2> /dev/null; same there/f
""",
    "git": """
export GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
ssh "$to" 'git init -q --bare sub.git; git init -q --bare top.git'
git init -q sub; cp f sub; git -C sub add f; git -C sub commit -qm f; git -C sub push -q "$to:sub.git" HEAD
git init -q top; git -C top submodule --quiet add "$to:sub.git" part; git -C top commit -qm part
git -C top push -q "ssh://$to/~/top.git" HEAD
git clone -q --recurse-submodules "$to:top.git" clone; same clone/part/f
status 128 git clone -q "$to:none.git" 2> /dev/null
""",
    "svn": """
ssh "$to" svnadmin create svn
svn -q import -m text f "svn+ssh://$to$(ssh "$to" pwd)/svn/f"
svn cat "svn+ssh://$to$(ssh "$to" pwd)/svn/f" > back; same
""",
    "hg": """
export HGUSER=a
hg init h; cp f h; hg -q -R h add h/f; hg -q -R h commit -m f
ssh "$to" hg init hg; hg -q -R h push "ssh://$to/hg"; hg -q clone "ssh://$to/hg" clone; same clone/f
""",
    "ansible": """
export ANSIBLE_HOST_KEY_CHECKING=1 ANSIBLE_SSH_CONTROL_PATH_DIR=$SSM_SSH_LAB/mux.d
run="ansible -i $host, -u $user all -e ansible_python_interpreter=auto_silent"
$run -m copy -a "src=$PWD/f dest=g" > log
ssh "$to" cat g > back; same
status 2 $run -m command -a 'sh -c "exit 3"' > log 2>&1; grep -q rc=3 log
""",
    "mitogen": """
cat > m.py <<'END'
import os, subprocess, sys
import mitogen.utils

@mitogen.utils.run_with_router
def main(router):
    there = router.ssh(hostname=os.environ["host"], username=os.environ["user"], python_path="/usr/bin/python3")
    data = open("f", "rb").read()
    open("back", "wb").write(there.call(subprocess.check_output, ["cat"], input=data))
    assert there.call(subprocess.call, "exit 7", shell=True) == 7
END
venv-python m.py; same
""",
    "pyinfra": """
cp ~/.ssh/config saved; trap 'cp saved ~/.ssh/config' EXIT
printf '\\nHost i-*\\n    User deploy\\n' >> ~/.ssh/config
head -c 20000 f > small
pyinfra -y "@ssh/$host" files.put small "$(ssh "$to" pwd)/g" > log 2>&1 || { cat log; exit 1; }
ssh "$to" cat g | cmp - small
status 1 pyinfra -y "@ssh/$host" exec -- exit 7 > log 2>&1
""",
    "pssh": """
parallel-ssh -I -i -H "$to" 'cat > g' < f > log || { cat log; exit 1; }
ssh "$to" cat g > back; same
status 5 parallel-ssh -H "$to" 'exit 7' > log
""",
    "pdsh": """
scp -q f "$to:g"
pdsh -N -R ssh -l "$user" -w "$host" 'base64 g' | base64 -d > back; same
status 7 pdsh -S -R ssh -l "$user" -w "$host" 'exit 7' 2> /dev/null
""",
    "parallel": """
parallel --will-cite -S "1/$to" --trc '{}.up' 'cp {} {}.up' ::: f 2> /dev/null; same f.up
status 1 parallel --will-cite -S "1/$to" 'exit {}' ::: 7 2> /dev/null
""",
    "clush": """
clush -l "$user" -w "$host" --copy f --dest g; ssh "$to" cat g > back; same
status 7 clush -S -l "$user" -w "$host" 'exit 7' > log 2>&1
""",
    "dsh": """
scp -q f "$to:g"
dsh -r ssh -m "$to" -- 'base64 -w 0 g' | base64 -d > back; same
""",
    "packer": """
ssh -N -L 2022:127.0.0.1:"$(sshd_port)" "$to" & trap 'kill $!' EXIT
eventually bash -c 'echo > /dev/tcp/127.0.0.1/2022' 2> /dev/null
cat > p.pkr.hcl <<END
source "null" "there" {
  communicator = "ssh"
  # ssh_host: 127.0.0.1, ssh_port: 2022
  ssh_host = "127.0.0.1"
  ssh_port = 2022
  ssh_username = "$user"
  ssh_private_key_file = "$key"
}
build {
  sources = ["source.null.there"]
  provisioner "file" {
    source = "f"
    destination = "g"
  }
  provisioner "shell" { inline = ["exit 7"] }
}
END
CHECKPOINT_DISABLE=1 packer build p.pkr.hcl > log && exit 1
grep -q 'exit status: 7' log || { cat log; exit 1; }
ssh "$to" cat g > back; same
""",
    "plumbum": """
cat > p.py <<'END'
import os
from plumbum import SshMachine
with SshMachine(os.environ["host"], user=os.environ["user"]) as there:
    there.upload("f", "g")
    there.download("g", "back")
    assert there["sh"].run(["-c", "exit 7"], retcode=None)[0] == 7
END
venv-python p.py; same
""",
    "net-openssh": """
perl -MNet::OpenSSH -e 'my $s = Net::OpenSSH->new($ARGV[0]); $s->scp_put("f", "g") or die; $s->scp_get("g", "back") or die;
    $s->system("exit 7"); exit($? >> 8)' "$to" || [ $? = 7 ]; same
""",
    "plink": """
ssh "$to" true
puttygen "$key" -o key.ppk
print=$(ssh-keygen -lf "$known" -F "$host" | grep ED25519 | grep -o 'SHA256:[^ ]*')
status 7 plink -batch -i key.ppk -hostkey "$print" -proxycmd "ssm-ssh proxy %host %port $user" "$to" 'cat; exit 7' < f > back 2> /dev/null
same
""",
    "dropbear": """
ssh "$to" true
dropbearconvert openssh dropbear "$key" key.db 2> /dev/null
status 7 dbclient -y -i key.db -J "ssm-ssh proxy $host 22 $user" "$to" 'cat; exit 7' < f > back 2> /dev/null; same
""",
    "autossh": """
export AUTOSSH_GATETIME=0 AUTOSSH_PATH=$(command -v ssh)
autossh -M 0 "$to" cat < f > back; same
""",
    "sshpass": """
status 7 sshpass -p x ssh "$to" 'cat; exit 7' < f > back; same
""",
    "tramp": """
emacs --batch --eval "(progn (require 'tramp) (setq tramp-verbose 1) (copy-file \\"f\\" \\"/ssh:$to:g\\" t)
    (copy-file \\"/ssh:$to:g\\" \\"back\\" t)
    (let ((default-directory \\"/ssh:$to:/\\")) (unless (= 7 (process-file \\"sh\\" nil nil nil \\"-c\\" \\"exit 7\\")) (kill-emacs 1))))" 2> log || { cat log; exit 1; }
same
""",
    "netrw": """
base64 f > text; scp -q text "$to:g"
vim -es -u NONE --cmd 'set nocp' -c 'runtime plugin/netrwPlugin.vim' -c "edit scp://$to/g" -c "write! $PWD/out" -c 'qa!' || :
cmp out text
""",
    "docker": """
there=$(mktemp -d /tmp/docker-XXXXXX); chmod 711 "$there"
dockerd --data-root "$there/data" --exec-root "$there/exec" -H "unix://$there/sock" --iptables=false --ip6tables=false \\
    --bridge=none --storage-driver=vfs -p "$there/pid" > log 2>&1 &
trap 'kill $!; wait; rm -rf "$there"' EXIT
eventually test -S "$there/sock"; chmod 666 "$there/sock"
ssh "$to" "docker context create lab --docker host=unix://$there/sock; docker context use lab" > /dev/null 2>&1
eventually docker -H "ssh://$to" info --format '{{.Driver}}' > driver 2> /dev/null
grep -qx vfs driver
tar -cf i.tar f; docker -H "ssh://$to" import i.tar lab > /dev/null
docker -H "ssh://$to" save lab | tar -x
find . -name layer.tar -o -path '*blobs/sha256/*' | while read -r layer; do tar -xOf "$layer" f > back 2> /dev/null && same && touch found; done || :
[ -e found ]; same f
""",
    "podman": """
there=$(mktemp -d /tmp/podman-XXXXXX); chmod 711 "$there"; remote=$there/sock
podman system service --time=0 "unix://$remote" > log 2>&1 & service=$!
trap 'kill $service $!; rm -rf "$there"' EXIT
eventually test -S "$remote"; chmod 666 "$remote"
ssh -N -L "$PWD/podman.sock:$remote" "$user@$host" &
eventually test -S podman.sock
podman --remote --url "unix://$PWD/podman.sock" info --format '{{.Host.OS}}' | grep -qx linux
""",
    "paramiko": """
ssh "$to" true
venv-python "$here/use_paramiko.py"; same
""",
    "fabric": """
ssh "$to" true
venv-python "$here/use_fabric.py"; same
""",
    "asyncssh": """
ssh "$to" true
venv-python "$here/use_asyncssh.py"; same
""",
    "parallel-ssh": """
ssh -N -L 2022:127.0.0.1:"$(sshd_port)" "$to" & trap 'kill $!' EXIT
eventually bash -c 'echo > /dev/tcp/127.0.0.1/2022' 2> /dev/null
venv-python "$here/use_parallel_ssh.py"; same
""",
    "libssh": """
ssh "$to" true
venv-python "$here/use_libssh.py" 2> log || { cat log; exit 1; }; same
""",
    "libssh2": """
ssh "$to" true
venv-python "$here/use_libssh2.py"; same
""",
    "net-ssh": """
ssh "$to" true
ruby "$here/use_net_ssh.rb"; same
""",
    "x-crypto-ssh": """
ssh "$to" true
mkdir go; cp "$here/use_x_crypto_ssh.go" go/main.go
GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE=$PWD/cache go build -o use go/main.go
./use; same
""",
    "ssh2": """
ssh "$to" true
node "$here/use_ssh2.js"; same
""",
    "open-remote-ssh": """
ssh "$to" true
ssm-ssh setup --inline > /dev/null
node "$here/use_open_remote_ssh.js"; same
""",
}
