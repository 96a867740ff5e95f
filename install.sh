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
Usage: ./install.sh [--demo | --uninstall [--purge] | --help]

  (no option)   install ssm-ssh from this checkout, or upgrade what an earlier run installed
  --demo        install if necessary, then demonstrate ssh, scp and rsync in a simulated AWS on this machine:
                no account, no network, no root
  --uninstall   remove exactly what install.sh created, and revert the change of your ssh configuration first
                (ssm-ssh setup --remove; on a terminal it asks); with --purge also remove your settings, the key pair,
                known host keys, the log and the rest of what ssm-ssh has recorded
  --help        show this help

ssm-ssh is installed in ${XDG_DATA_HOME:-~/.local/share}/ssm-ssh (macOS: ~/Library/Application Support/ssm-ssh),
with a link in ~/.local/bin. It needs Python 3.10 or newer; the variable PYTHON selects one.
USAGE
}

newline='
'
say() { printf '%s\n' "$*"; }
fail() { # $1: what is wrong; $2: what to do about it
    printf 'install.sh: %s\n' "$1${2:+. $2}" >&2
    exit 1
}

# --- where -----------------------------------------------------------------------------------------------------

locate() {
    case ${HOME:-} in /*) ;; *) fail "HOME is not an absolute path" ;; esac
    [ -d "$HOME" ] || fail "HOME is $HOME, which is not a folder" "Set HOME to one that you can write to"
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
"*) fail "ssh could not start a program from $data, which holds a quote, \$, \`, \\, % or a line end" \
            "Set XDG_DATA_HOME to another folder" ;;
    esac
    checkout=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)
}

link_is_ours() { [ -L "$link" ] && [ "$(readlink "$link")" = "$program" ]; }
venv_is_ours() { # a link to one of our environments, or to one that has gone
    [ -L "$venv" ] || return 1
    target=$(readlink "$venv")
    case $target in
        */*) return 1 ;;
        venv-????????) is_ours "$root/$target" || [ ! -e "$root/$target" ] ;;
        *) is_ours "$root/$target" ;;
    esac
}
is_ours() { [ -d "$1" ] && [ ! -L "$1" ] && [ -f "$1/made-by-install.sh" ]; }

make_folder() { # $1, and what is missing above it, noted for --uninstall
    [ ! -d "$1" ] || return 0
    make_folder "$(dirname "$1")"
    reason=$(mkdir "$1" 2>&1) || [ -d "$1" ] || fail "cannot create the folder $1: ${reason##*: }" \
        "Make it writable, or set HOME or XDG_DATA_HOME to a writable folder"
    made="$1$newline$made"
}

# --- Python ----------------------------------------------------------------------------------------------------

find_python() { # sets $python, and $tool, which is to install into the environment: pip, uv or wheel (a pip of our own)
    unset PYTHONPATH PYTHONHOME
    python=''
    old=''
    old_version=''
    bare=''
    for candidate in ${PYTHON:+"$PYTHON"} python3.14 python3.13 python3.12 python3.11 python3.10 python3 python; do
        consider "$candidate"
        if [ -n "$python" ]; then
            tool=pip
            return
        fi
        if [ -n "${PYTHON:-}" ]; then break; fi
    done
    uv=$(command -v uv) || uv=$HOME/.local/bin/uv # where its own installer puts it
    [ -x "$uv" ] || uv=
    if [ -n "$bare" ]; then
        python=$bare
        if [ -n "$uv" ]; then
            tool=uv
        else
            tool=wheel
            "$python" -I -c 'import ssl, venv' 2>/dev/null </dev/null ||
                fail "$python is incomplete: it lacks the module ssl or venv" "$(how_to_get_python)"
        fi
        return
    fi
    [ -z "${PYTHON:-}" ] || fail "PYTHON=$PYTHON is ${old_version:-not a Python}; ssm-ssh needs Python 3.10 or newer" \
        "Set PYTHON to a newer one, or unset it"
    [ -z "$uv" ] || python_from_uv
    [ -n "$python" ] || fail "${old:-There is no Python on the PATH}; ssm-ssh needs Python 3.10 or newer" \
        "$(how_to_get_python)"
}

consider() { # Python $1: sets $python if it has all it takes, else $bare (it cannot install pip) or $old, the first of each
    case $1 in
        python3)
            # Apple's stub opens a window that offers its tools.
            if [ "$(command -v python3)" = /usr/bin/python3 ] && [ "$(uname -s)" = Darwin ] &&
                ! xcode-select -p >/dev/null 2>&1; then return; fi
            ;;
    esac
    # A name may be a wrapper (pyenv, asdf) that knows no such version: so run it.
    answer=$("$1" -E -s -c 'import sys; print("%d.%d.%d" % sys.version_info[:3]); print(sys.executable)' \
        2>/dev/null </dev/null) || return 0
    version=${answer%%"$newline"*}
    path=${answer#*"$newline"}
    case $version in
        3.[0-9].* | [0-2].*)
            [ -n "$old" ] || old_version="Python $version"
            old=${old:-"$path is Python $version"}
            return
            ;;
        [0-9]*.[0-9]*) ;;
        *) return ;;
    esac
    if "$path" -I -c 'import ensurepip, ssl, venv; ensurepip.version()' >/dev/null 2>&1 </dev/null; then
        python=$path
    else
        bare=${bare:-$path}
    fi
}

python_from_uv() { # one that uv knows, or fetches
    say "${old:-There is no Python on the PATH}: asking uv for a newer one ..."
    # Not the environment of whatever project the current folder belongs to.
    answer=$(
        unset VIRTUAL_ENV
        cd /
        "$uv" run --no-project --no-cache --python '>=3.10' python -I -c \
            'import sys; print(getattr(sys, "_base_executable", sys.executable))' 2>&1 </dev/null
    ) || fail "${old:-There is no Python on the PATH}; ssm-ssh needs Python 3.10 or newer, and uv has none: \
$(printf '%s\n' "$answer" | sed -n 's/^ *cause: //; s/^error: //; $p')" "$(how_to_get_python)"
    consider "${answer##*"$newline"}"
    tool=pip
    if [ -z "$python" ] && [ -n "$bare" ]; then
        python=$bare
        tool=uv
    fi
}

how_to_get_python() { # prints this system's own way
    with=sudo
    [ "$(id -u 2>/dev/null)" != 0 ] || with=
    if [ "$(uname -s)" = Darwin ]; then
        say "Run: brew install python"
        return
    fi
    release=$(cat /etc/os-release 2>/dev/null || cat /usr/lib/os-release 2>/dev/null) || release=
    ids=" $(os_release ID) $(os_release ID_LIKE) "
    number=$(os_release VERSION_ID)
    case $ids in
        *' amzn '*) if [ "$number" = 2 ]; then command=; else command="dnf install python3.11"; fi ;;
        *' rhel '* | *' centos '*) case $number in
            7*) command= ;;
            8* | 9*) command="dnf install python3.11" ;;
            *) command="dnf install python3" ;;
        esac ;;
        *' fedora '*) command="dnf install python3" ;;
        *' debian '*) case $ids$number in
            *' ubuntu '*2[2-9]* | *' ubuntu '*[3-9]?.*) command="apt-get install python3 python3-venv" ;;
            *' ubuntu '* | *' debian '*1[01] | *' debian '*' '[0-9]) command= ;;
            *) command="apt-get install python3 python3-venv" ;;
        esac ;;
        *suse*) case $number in
            12* | 15*) command="zypper install python311" ;;
            *) command="zypper install python3" ;;
        esac ;;
        *' alpine '*) command="apk add python3" ;;
        *' arch '*) command="pacman -S python" ;;
        *)
            say "Install Python 3.10 or newer, or uv, and run install.sh again (PYTHON=/path/to/python3 selects one)"
            return
            ;;
    esac
    if [ -n "$command" ]; then
        say "Run: ${with:+$with }$command"
    else
        say "This system's packages include none: install uv (https://docs.astral.sh/uv) and run install.sh again"
    fi
}

os_release() { printf '%s\n' "$release" | sed -n "s/^$1=[\"']\{0,1\}\([^\"']*\)[\"']\{0,1\}\$/\1/p"; }

helper() { "$python" -IB "$checkout/installer" "$@"; }

refuse_borrowed_home() { # sudo with the caller's HOME would leave files that the caller cannot change
    "$python" -I -c 'import os, sys; sys.exit(os.geteuid() == 0 != os.stat(sys.argv[1]).st_uid)' "$HOME" ||
        fail "you are root, and $HOME belongs to another user" "Run it as that user, without sudo"
}

# --- install ---------------------------------------------------------------------------------------------------

install() {
    [ -f "$checkout/requirements/runtime.txt" ] && [ -f "$checkout/installer/__main__.py" ] ||
        fail "$checkout is not a checkout of ssm-ssh"
    new=''
    made=''
    before=''
    first_folders=''
    unfinished=''
    trap cleanup EXIT
    trap 'stopped 129' HUP
    trap 'stopped 130' INT
    trap 'stopped 141' PIPE
    trap 'stopped 143' TERM
    find_python
    refuse_borrowed_home
    # Asked first, so that a refusal costs no download.
    if [ -e "$link" ] || [ -L "$link" ]; then
        link_is_ours || fail "$link exists, but install.sh did not create it" \
            "Move it away, or uninstall its program, and run install.sh again"
    fi
    if [ -e "$venv" ] || [ -L "$venv" ]; then
        venv_is_ours || fail "$venv exists, but install.sh did not create it" \
            "Move it away, and run install.sh again"
    fi

    mark=$(helper fingerprint) || exit
    unfinished=yes
    lock
    if [ -f "$venv/made-by-install.sh" ]; then before=$(version_of "$program") || before=; fi
    if [ -n "$before" ] && [ "$(cat "$venv/made-by-install.sh")" = "$mark" ]; then
        if ! link_is_ours; then
            reason=$(ln -s "$program" "$link" 2>&1) || fail "cannot create $link: ${reason##*: }"
            say "Linked $link to it."
        fi
        say "ssm-ssh $before is up to date ($root)."
    else
        build
        helper activate "$new" "$venv" "$link" "$program" "$mark" || exit
        kept=$new
        new=
        after=$(version_of "$program")
        if [ -z "$before" ]; then
            say "Installed ssm-ssh $after in $root, with $("$python" -V)."
        elif [ "$before" = "$after" ]; then
            say "Reinstalled ssm-ssh $after in $root: its files, dependencies or Python had changed."
        else
            say "Upgraded ssm-ssh from $before to $after in $root."
        fi
        prune "$kept" "${previous:-}"
    fi
    unfinished=
    exec 9>&-
    trap - EXIT HUP INT PIPE TERM
}

lock() { # one installation at a time: the lock belongs to descriptor 9, and goes with this process however it ends
    while :; do
        make_folders
        [ -e "$root/folders" ] || first_folders=yes
        # Here and below a redirection that fails would end the shell in its own words.
        reason=$( (printf '%s' "$made" >>"$root/folders") 2>&1) ||
            fail "cannot write $root/folders: ${reason##*: }" "Make room, or make that folder writable"
        exec 9>>"$root/folders"
        status=0
        helper lock 9 "$root/folders" || status=$?
        case $status in
            0) break ;;
            75) exec 9>&- ;; # another installation failed, and removed what it had made
            *) exit "$status" ;;
        esac
    done
    make_folders
}

make_folders() {
    make_folder "$data"
    if [ ! -d "$root" ]; then
        make_folder "$root"
        chmod 700 "$root"
    fi
    make_folder "$bin"
    for folder in "$root" "$bin"; do
        [ -w "$folder" ] || fail "cannot write to $folder" "Make it writable, and run install.sh again"
    done
}

stopped() { # by signal $1 - 128
    trap '' HUP INT PIPE TERM
    # Ctrl-C leaves a half line on the terminal.
    if [ -n "$unfinished" ]; then
        printf '\ninstall.sh: stopped; nothing was changed\n' >&2 || :
    else
        printf '\ninstall.sh: stopped\n' >&2 || :
    fi
    exit "$1"
}

cleanup() { # what an installation that did not come to its end has made
    trap '' HUP INT PIPE TERM
    if [ -n "$new" ]; then rm -rf "$new" "$new.link"; fi
    [ -n "$unfinished" ] && [ -n "$made$first_folders" ] || return 0
    if [ -n "$first_folders" ]; then rm -f "$root/folders"; fi
    printf '%s' "$made" | while IFS= read -r folder; do rmdir "$folder" 2>/dev/null || :; done
}

version_of() { "$1" --version 2>/dev/null </dev/null | sed 's/.* //'; }

build() { # a complete virtual environment in $new
    previous=
    if venv_is_ours; then previous=$root/$(readlink "$venv"); fi
    reason=$(mktemp -d "$root/venv-XXXXXXXX" 2>&1) || fail "cannot write to $root: ${reason##*: }"
    new=$reason
    reason=$( (: >"$new/made-by-install.sh" && mkdir "$new/tmp") 2>&1) || fail "cannot write to $new: ${reason##*: }"
    # What pip unpacks goes where it is removed with the rest, whatever happens, and where there is room for it.
    TMPDIR=$new/tmp
    export TMPDIR
    say "Creating a virtual environment with $python ..."
    case $tool in
        uv) attempt "creating the environment" "$uv" venv --no-cache --no-config --no-project --allow-existing --python "$python" "$new" ;;
        pip) attempt "creating the environment" "$python" -I -m venv "$new" ;;
        wheel)
            attempt "creating the environment" "$python" -I -m venv --without-pip "$new"
            say "Downloading pip, which this Python lacks ..."
            wheel=$(helper fetch-pip "$new/tmp") || exit
            ;;
    esac
    say "Installing the dependencies, pinned with hashes ..."
    add "installing the dependencies" --require-hashes --requirement "$checkout/requirements/runtime.txt"
    # The build tool is pinned too, and stays out of the environment: it is only there while the package is built.
    say "Building ssm-ssh ..."
    add "installing the build tool" --require-hashes --requirement "$checkout/requirements/build.txt" \
        --target "$new/tmp/build" --no-compile
    PYTHONPATH=$new/tmp/build
    export PYTHONPATH
    add "building ssm-ssh" --compile --no-deps --no-build-isolation "$checkout"
    unset PYTHONPATH TMPDIR
    rm -rf "$new/tmp"
    # Before Python 3.12, venv brings setuptools, which this file would have each start of the program import.
    rm -f "$new"/lib/python3.*/site-packages/distutils-precedence.pth
    helper write-program "$new/bin" || exit
    if [ -z "$(version_of "$new/bin/ssm-ssh")" ]; then
        reason=$("$new/bin/ssm-ssh" --version 2>&1 </dev/null) || :
        fail "the installed program does not run: ${reason##*"$newline"}"
    fi
}

attempt() { # to do $1 by the rest
    helper run "$root" "$@" || exit
}

add() ( # pip install, to do $1: settings that would install something else or elsewhere are overruled, indexes and proxies not
    what=$1
    shift
    trap 'exit 129' HUP # not to be reported as ended by a signal
    trap 'exit 130' INT
    trap 'exit 143' TERM
    unset PIP_TARGET PIP_PREFIX PIP_ROOT PIP_CONSTRAINT PIP_REQUIREMENT PIP_QUIET PIP_VERBOSE PIP_LOG
    unset UV_CONSTRAINT UV_OVERRIDE UV_BUILD_CONSTRAINT UV_SYSTEM_PYTHON UV_PYTHON UV_TARGET UV_PREFIX VIRTUAL_ENV
    export PIP_USER=0
    # No cache: it would stay behind in the home folder.
    case $tool in
        uv)
            case $* in *--no-compile* | *--compile*) ;; *) set -- --compile "$@" ;; esac
            cd "$new" # away from a project that has settings for uv
            set -- "$uv" pip install --no-cache --python "$new/bin/python" "$@"
            ;;
        *)
            set -- --disable-pip-version-check --no-input --no-cache-dir install --progress-bar off "$@"
            if [ "$tool" = pip ]; then set -- -m pip "$@"; else set -- "$wheel/pip" "$@"; fi
            set -- "$new/bin/python" -I "$@"
            ;;
    esac
    attempt "$what" "$@"
)

prune() { # remove the environments of earlier runs, except the ones named
    for folder in "$root"/venv-*; do
        if is_ours "$folder" && [ "$folder" != "$1" ] && [ "$folder" != "$2" ]; then rm -rf "$folder" "$folder.link"; fi
    done
}

next_step() {
    case :${PATH:-}: in
        *:"$bin":*)
            first=$(command -v ssm-ssh || :)
            if [ "$first" = "$link" ]; then
                say "Next: ssm-ssh setup (configures ssh to reach instances by their ids)"
            else
                say "Next: put $bin before ${first%/*} on your PATH, which has another ssm-ssh; then run: ssm-ssh setup"
            fi
            ;;
        *)
            path_hint
            say "Then configure ssh to reach instances by their ids:"
            say "    ssm-ssh setup"
            ;;
    esac
}

path_hint() { # each command is alone on its line, to be copied
    say "Next: $bin is not on your PATH. Add this line to your shell's startup file, and run it now:"
    say "    export PATH=\"\$HOME/.local/bin:\$PATH\""
}

demo() {
    say ""
    "$program" lab --demo || {
        say "" 2>/dev/null || exit 1 # ends here, silently, if the reader has left, as in ./install.sh --demo | head
        fail "the demonstration failed, see above"
    }
    case :${PATH:-}: in *:"$bin":*) ;; *) path_hint ;; esac
}

# --- uninstall -------------------------------------------------------------------------------------------------

revert_ssh() { # while there still is a program that can: ssh would start one that is gone
    find_ssh_home
    # Where HOME is not the home that ssh reads, its configuration may be about another installation.
    if [ "$ssh_home" != "$HOME" ] && ! names_this_program; then return 0; fi
    if [ ! -x "$program" ]; then # removed by an earlier --uninstall
        if ssh_uses_us; then note_ssh_configuration; fi
        return 0
    fi
    if ! change=$(setup_remove --dry-run 2>&1); then
        # Where the program cannot tell, the files do.
        if ssh_uses_us; then fail "your ssh configuration uses ssm-ssh, and could not be reverted, so nothing was removed: \
${change#ssm-ssh: }" "To repair ssm-ssh: ./install.sh"; fi
        return 0
    fi
    case $change in '' | 'Nothing to remove'*) return 0 ;; esac
    if [ -t 0 ]; then
        printf '%s' "Your ssh configuration uses ssm-ssh. Revert that, too (ssm-ssh setup --remove)? [Y/n] "
        read -r answer || answer=
        case $answer in
            [nN]*)
                note_ssh_configuration
                return 0
                ;;
        esac
    fi
    setup_remove || fail "your ssh configuration could not be reverted, so nothing was removed" \
        "Correct that, and run this again"
}

setup_remove() { HOME=$ssh_home "$program" setup --remove "$@" </dev/null; }

# ssh reads the configuration in the home of the password database, whatever HOME says; in a lab, that in the lab's home.
find_ssh_home() {
    ssh_home=$HOME
    case ${SSM_SSH_LAB:+$HOME/} in "${SSM_SSH_LAB:-}"/*) return ;; esac
    number=$(id -u)
    for candidate in "$venv/bin/python" python3 python; do
        answer=$("$candidate" -I -c 'import os, pwd; print(pwd.getpwuid(os.getuid()).pw_dir)' 2>/dev/null </dev/null) ||
            continue
        case $answer in /*) ssh_home=$answer ;; esac
        return
    done
    answer=$(sed -n "s/^[^:]*:[^:]*:$number:[^:]*:[^:]*:\(\/[^:]*\):.*/\1/p" /etc/passwd 2>/dev/null)
    answer=${answer%%"$newline"*}
    ssh_home=${answer:-$HOME}
}

ssh_uses_us() {
    [ -e "$ssh_home/.ssh/ssm-ssh.config" ] || [ -n "$(sed -n '/^# >>> ssm-ssh >>> /p' "$ssh_home/.ssh/config" 2>/dev/null)" ]
}

names_this_program() {
    rules=$(cat "$ssh_home/.ssh/ssm-ssh.config" "$ssh_home/.ssh/config" 2>/dev/null) || :
    case $rules in *"\"$venv/"*) return 0 ;; *) return 1 ;; esac
}

note_ssh_configuration() {
    say "Note: your ssh configuration still uses ssm-ssh ($ssh_home/.ssh/ssm-ssh.config and the line that includes it)."
    say "    To revert that: ./install.sh, then ssm-ssh setup --remove, then ./install.sh --uninstall"
}

name_what_stays() { # the folders of ssm_ssh/storage/paths.py; with --purge they go
    case $data in */Library/Application\ Support) config=$data state=$data ;; *) config=$HOME/.config state=$HOME/.local/state ;; esac
    case ${XDG_CONFIG_HOME:-} in /*) config=${XDG_CONFIG_HOME%/} ;; esac
    case ${XDG_STATE_HOME:-} in /*) state=${XDG_STATE_HOME%/} ;; esac
    kept=
    keep "$root" "ssm-ssh's own files, such as your key pair"
    keep "$config/ssm-ssh" "your settings"
    keep "$state/ssm-ssh" "the log and what ssm-ssh has learned about instances"
    if [ -n "$kept" ]; then
        say "To remove what was kept: ./install.sh --uninstall --purge, or"
        say "    rm -r$kept"
    fi
}

keep() { # folder $1, if it is there: it holds $2
    [ -d "$1" ] || return 0
    if [ -n "$purge" ]; then
        rm -rf "$1"
        removed=yes
        say "Removed $1 with $2"
        return
    fi
    quoted=\'$(printf '%s\n' "$1" | sed "s/'/'\\\\''/g")\'
    case $kept in *" $quoted"*) return 0 ;; esac
    kept="$kept $quoted"
    say "Kept $1: it holds $2."
}

uninstall() { # $1: --purge or nothing
    purge=$1
    # As refuse_borrowed_home, without a Python.
    [ "$(id -u)" != 0 ] || [ -O "$HOME" ] ||
        fail "you are root, and $HOME belongs to another user" "Run it as that user, without sudo"
    revert_ssh
    removed=
    if link_is_ours; then
        rm "$link"
        removed=yes
        say "Removed $link"
    elif [ -e "$link" ] || [ -L "$link" ]; then
        say "Kept $link: install.sh did not create it."
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
    name_what_stays
    if [ -n "$removed" ]; then say "ssm-ssh is uninstalled."; else say "There is nothing to uninstall."; fi
}

# ---------------------------------------------------------------------------------------------------------------

wrong_usage() { # $1: what is wrong
    printf 'install.sh: %s\n\n' "$1" >&2
    usage >&2
    exit 2
}

similar_option() { # prints the option that $1 probably stands for, if any
    word=${1#-}
    word=${word#-}
    case $word in
        un* | remove) say --uninstall ;;
        d*[!demo]* | h*[!help]*) ;;
        d* | edmo) say --demo ;;
        h*) say --help ;;
    esac
}

case $* in '--uninstall --purge' | '--purge --uninstall') set -- --purge ;;
    --purge) wrong_usage "--purge goes with --uninstall" ;;
esac
[ "$#" -le 1 ] || wrong_usage "it takes one option at most, and got $#: $*"
case ${1:-} in
    '')
        locate
        install
        next_step
        ;;
    --demo)
        locate
        install
        demo
        ;;
    --uninstall)
        locate
        uninstall ''
        ;;
    --purge)
        locate
        uninstall --purge
        ;;
    -h | --help) usage ;;
    *)
        similar=$(similar_option "$1")
        wrong_usage "unknown option $1${similar:+. Did you mean $similar?}"
        ;;
esac
