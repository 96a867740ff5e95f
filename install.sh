#!/bin/sh
# Installs ssm-ssh for the one who runs it: no root, nothing outside the home folder. See usage() below.
#
# What it makes:
#   DATA/ssm-ssh/venv-XXXXXXXX/   a virtual environment, complete before anything points to it
#   DATA/ssm-ssh/venv             a link to the current one, replaced in one step, so that a failed or interrupted
#                                 installation leaves the old one in place; the previous one stays until the next
#                                 upgrade, because connections that are open still load modules from it
#   DATA/ssm-ssh/folders          which folders had to be made, for --uninstall
#   ~/.local/bin/ssm-ssh          a link to DATA/ssm-ssh/venv/bin/ssm-ssh
set -eu

usage() {
    cat <<'USAGE'
Usage: ./install.sh [--demo | --uninstall | --help]

  (no option)   install ssm-ssh from this checkout, or upgrade what an earlier run installed
  --demo        install if need be, then show ssh, scp and rsync through an AWS of one's own on this machine:
                no account, no network, no root
  --uninstall   remove exactly what this program made
  --help        this text

It goes into ${XDG_DATA_HOME:-~/.local/share}/ssm-ssh (macOS: ~/Library/Application Support/ssm-ssh), with a link
in ~/.local/bin. It wants Python 3.10 or newer, or the one that the variable PYTHON names.
USAGE
}

say() { printf '%s\n' "$*"; }
fail() {
    printf 'install.sh: %s\n' "$1" >&2
    shift
    [ "$#" -eq 0 ] || printf '            %s\n' "$@" >&2
    exit 1
}

# --- where -----------------------------------------------------------------------------------------------------

locate() {
    case ${HOME:-} in /*) ;; *) fail "HOME is not set to a folder" ;; esac
    HOME=${HOME%/}
    case ${XDG_DATA_HOME:-} in
        /*) data=${XDG_DATA_HOME%/} ;; # a relative one is to be ignored, says the XDG specification
        *) if [ "$(uname -s)" = Darwin ]; then data=$HOME/Library/Application\ Support; else data=$HOME/.local/share; fi ;;
    esac
    root=$data/ssm-ssh
    venv=$root/venv
    program=$venv/bin/ssm-ssh
    bin=$HOME/.local/bin
    link=$bin/ssm-ssh
    # ssh_config has no quoting that carries these safely through both ssh and the shell that it starts.
    case $HOME$data in
        *[\"\'\`\$\\%]* | *"
"*) fail "the path $data holds a quote, a dollar, a backtick, a backslash, a percent sign or a line end" \
            "ssh could not start a program from there; set XDG_DATA_HOME to another folder" ;;
    esac
    checkout=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
}

link_is_ours() { [ -L "$link" ] && [ "$(readlink "$link")" = "$program" ]; }
venv_is_ours() { [ -L "$venv" ] && case $(readlink "$venv") in venv-*/* | */*) false ;; venv-*) ;; *) false ;; esac }
is_ours() { [ -d "$1" ] && [ ! -L "$1" ] && [ -f "$1/made-by-install.sh" ]; }

make_folder() { # $1, and what is missing above it, noted for --uninstall
    [ -d "$1" ] && return
    make_folder "$(dirname "$1")"
    mkdir "$1"
    made="$1
$made"
}

# --- Python ----------------------------------------------------------------------------------------------------

find_python() {
    unset PYTHONPATH PYTHONHOME
    python=
    without_venv=
    for candidate in ${PYTHON:+"$PYTHON"} python3.13 python3.12 python3.11 python3.10 python3; do
        # A name may be a wrapper (pyenv, asdf) that knows no such version, or Apple's stub: so run it.
        found=$("$candidate" -I -c 'import sys; sys.version_info >= (3, 10) or sys.exit(1); print(sys.executable)' \
            2>/dev/null </dev/null) || found=
        if [ -n "$found" ]; then
            if "$found" -I -c 'import ensurepip, ssl, venv' 2>/dev/null </dev/null; then
                python=$found
                return
            fi
            without_venv=${without_venv:-$found}
        fi
        if [ -n "${PYTHON:-}" ]; then break; fi
    done
    [ -z "${PYTHON:-}" ] || [ -n "$without_venv" ] || fail "PYTHON=$PYTHON is not a Python 3.10 or newer"
    if [ -n "$without_venv" ]; then
        version=$("$without_venv" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        fail "$without_venv cannot make virtual environments (its modules venv and ensurepip are missing)" \
            "On Debian and Ubuntu: sudo apt-get install python$version-venv"
    fi
    fail "no Python 3.10 or newer was found" \
        "On Debian and Ubuntu: sudo apt-get install python3 python3-venv; on macOS: brew install python3" \
        "If it has an unusual place: PYTHON=/path/to/python3 ./install.sh"
}

refuse_borrowed_home() { # sudo with the caller's HOME would leave files that the caller cannot change
    "$python" -I -c 'import os, sys; sys.exit(os.geteuid() == 0 != os.stat(sys.argv[1]).st_uid)' "$HOME" ||
        fail "you are root, and $HOME belongs to another user" "Run it as that user, without sudo"
}

fingerprint() { # of all that decides what an installation holds
    "$python" -I - "$checkout" <<'PY'
import hashlib, pathlib, sys

checkout = pathlib.Path(sys.argv[1])
digest = hashlib.sha256(f"{sys.version} {sys.executable}".encode())
package = (f for f in (checkout / "ssm_ssh").rglob("*") if f.is_file() and f.suffix != ".pyc")
names = ("pyproject.toml", "README.md", "LICENSE", "install.sh", "requirements/runtime.txt", "requirements/build.txt")
for file in sorted([*package, *(checkout / name for name in names)]):
    content = hashlib.sha256(file.read_bytes()).hexdigest()
    digest.update(f"{file.relative_to(checkout)} {content}\n".encode())
print(digest.hexdigest())
PY
}

# --- install ---------------------------------------------------------------------------------------------------

install() {
    find_python
    refuse_borrowed_home
    [ -f "$checkout/requirements/runtime.txt" ] || fail "$checkout is not a checkout of ssm-ssh"
    # Asked first, so that a refusal costs no download.
    if [ -e "$link" ] || [ -L "$link" ]; then
        link_is_ours || fail "$link exists and was not made by this program, so it stays as it is" \
            "Move it away, or remove what it belongs to, and run install.sh again"
    fi
    if [ -e "$venv" ] || [ -L "$venv" ]; then
        venv_is_ours || fail "$venv exists and was not made by this program, so it stays as it is"
    fi

    made=
    make_folder "$data"
    if [ ! -d "$root" ]; then
        make_folder "$root"
        chmod 700 "$root"
    fi
    make_folder "$bin"
    [ -z "$made" ] || printf '%s' "$made" >>"$root/folders"

    # One at a time: the lock belongs to descriptor 9, and goes with this process however it ends.
    exec 9>>"$root/folders"
    "$python" -I -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)'

    new=
    mark=$(fingerprint)
    before=
    if [ -f "$venv/made-by-install.sh" ]; then before=$(version_of "$program") || before=; fi
    if [ -n "$before" ] && [ "$(cat "$venv/made-by-install.sh")" = "$mark" ]; then
        say "ssm-ssh $before is up to date ($root)."
    else
        build
        "$python" -I - "$new" "$venv" <<'PY'
import os, sys

new, venv = sys.argv[1:]
os.symlink(os.path.basename(new), new + ".link")
os.replace(new + ".link", venv)  # one step: at no moment is there no program
PY
        kept=$new
        new=
        after=$(version_of "$program")
        if [ -z "$before" ]; then
            say "Installed ssm-ssh $after in $root, with $("$python" -V)."
        elif [ "$before" = "$after" ]; then
            say "Installed ssm-ssh $after anew in $root: its files, dependencies or Python had changed."
        else
            say "Upgraded ssm-ssh from $before to $after in $root."
        fi
        prune "$kept" "${previous:-}"
    fi
    link_is_ours || {
        ln -s "$program" "$link"
        say "Linked $link to it."
    }
    exec 9>&-
    report_path
}

version_of() { "$1" --version 2>/dev/null </dev/null | sed 's/.* //'; }

build() { # a complete virtual environment in $new
    previous=
    if venv_is_ours; then previous=$root/$(readlink "$venv"); fi
    trap '[ -z "$new" ] || rm -rf "$new" "$new.link"' EXIT
    trap 'exit 1' HUP INT TERM
    new=$(mktemp -d "$root/venv-XXXXXXXX")
    : >"$new/made-by-install.sh"
    say "Making a virtual environment with $python ..."
    "$python" -I -m venv "$new" || fail "that failed; nothing was changed"
    say "Installing the dependencies, pinned with hashes ..."
    pip --require-hashes --requirement "$checkout/requirements/runtime.txt" ||
        fail "the dependencies could not be installed; nothing was changed"
    # The build tool is pinned too, and stays out of the environment: it is only there while the package is built.
    pip --require-hashes --requirement "$checkout/requirements/build.txt" --target "$new/build" --no-compile ||
        fail "the build tool could not be installed; nothing was changed"
    say "Installing ssm-ssh ..."
    (
        export PYTHONPATH="$new/build"
        pip --compile --no-deps --no-build-isolation "$checkout"
    ) || fail "ssm-ssh could not be built; nothing was changed"
    rm -rf "$new/build"
    write_program
    [ -n "$(version_of "$new/bin/ssm-ssh")" ] || {
        "$new/bin/ssm-ssh" --version >&2 || :
        fail "the installed program does not run; nothing was changed"
    }
    printf '%s\n' "$mark" >"$new/made-by-install.sh"
}

pip() ( # pip install: settings that would install something else or elsewhere are overruled, indexes and proxies not
    unset PIP_TARGET PIP_PREFIX PIP_ROOT PIP_CONSTRAINT PIP_REQUIREMENT
    export PIP_USER=0
    # No cache: it would stay behind in the home folder.
    exec "$new/bin/python" -I -m pip --quiet --disable-pip-version-check --no-input --no-cache-dir install "$@" </dev/null
)

write_program() { # instead of pip's: isolated (-I), so that neither PYTHONPATH nor the current folder slips a module in
    "$new/bin/python" -I - "$new/bin" <<'PY'
import pathlib, sys

bin = pathlib.Path(sys.argv[1])
start = f"#!{bin}/python -I\n"
if " " in str(bin) or len(start) > 127:  # what Linux, before 5.1, and macOS can take in such a line
    start = f"#!/bin/sh\n'''exec' \"{bin}/python\" -I \"$0\" \"$@\"\n' '''\n"
program = bin / "ssm-ssh"
program.write_text(start + "import sys\nfrom ssm_ssh.cli.main import entry\nsys.exit(entry())\n")
program.chmod(0o755)
PY
}

prune() { # remove the environments of earlier runs, except the ones named
    for folder in "$root"/venv-*; do
        if is_ours "$folder" && [ "$folder" != "$1" ] && [ "$folder" != "$2" ]; then rm -rf "$folder" "$folder.link"; fi
    done
}

report_path() {
    case :${PATH:-}: in
        *:"$bin":*)
            first=$(command -v ssm-ssh || :)
            [ "$first" = "$link" ] || say "Mind: the name ssm-ssh finds ${first:-nothing} first on your PATH."
            ;;
        *)
            say "$bin is not on your PATH. Add this to your shell's start file:"
            say "    export PATH=\"\$HOME/.local/bin:\$PATH\""
            ;;
    esac
}

demo() {
    say ""
    "$program" lab --demo || fail "the demonstration did not go as it should, see above"
}

# --- uninstall -------------------------------------------------------------------------------------------------

offer_to_unset_ssh() { # while there still is a program that can
    [ -x "$program" ] || return 0
    change=$("$program" setup --remove --dry-run 2>/dev/null </dev/null) || return 0
    case $change in '' | 'Nothing to remove'*) return 0 ;; esac
    if [ -t 0 ]; then
        printf '%s' "ssh is set up to use ssm-ssh. Take that back, too (ssm-ssh setup --remove)? [Y/n] "
        read -r answer || answer=n
        case $answer in
            [nN]*) ;;
            *) if "$program" setup --remove; then return 0; fi ;;
        esac
    fi
    say "Mind: ssh's configuration still names ssm-ssh, in ~/.ssh/ssm-ssh.config and what includes it."
    say "    To take that back: ./install.sh, then ssm-ssh setup --remove, then ./install.sh --uninstall"
}

uninstall() {
    offer_to_unset_ssh
    removed=
    if link_is_ours; then
        rm "$link"
        removed=yes
        say "Removed $link"
    elif [ -e "$link" ] || [ -L "$link" ]; then
        say "Left $link as it is: it was not made by this program."
    fi
    if venv_is_ours; then
        rm "$venv"
        removed=yes
    fi
    for folder in "$root"/venv-*; do
        if is_ours "$folder"; then
            rm -rf "$folder" "$folder.link"
            removed=yes
            say "Removed $folder"
        fi
    done
    if [ -f "$root/folders" ]; then
        made=$(cat "$root/folders")
        rm "$root/folders"
        printf '%s\n' "$made" | sort -r | while IFS= read -r folder; do
            # Only what is empty now: the rest has become somebody's.
            if [ -n "$folder" ] && rmdir "$folder" 2>/dev/null; then say "Removed $folder"; fi
        done
    fi
    if [ -d "$root" ]; then say "Left $root: what it holds now, such as your key pair, was made by ssm-ssh itself."; fi
    if [ -n "$removed" ]; then say "ssm-ssh is uninstalled."; else say "There is nothing to uninstall."; fi
}

# ---------------------------------------------------------------------------------------------------------------

[ "$#" -le 1 ] || {
    usage >&2
    exit 2
}
case ${1:-} in
    '')
        locate
        install
        ;;
    --demo)
        locate
        install
        demo
        ;;
    --uninstall)
        locate
        uninstall
        ;;
    -h | --help) usage ;;
    *)
        usage >&2
        exit 2
        ;;
esac
