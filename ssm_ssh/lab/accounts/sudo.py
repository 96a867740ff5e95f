"""sudo for the sessions of an instance's agent, which may become any of its users, as the agent's ssm-user may.

It changes the environment, and what the user is called: in a lab all users of an instance share a uid. Root's lab has
no root for sessions, for nothing that a session starts may become the machine's own root.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping

_SCRIPT = """#!/bin/sh
# sudo, with the users of this instance: its machine does not know them.
fail() {{ printf 'sudo: %s\\n' "$1" >&2; exit 1; }}
user=root login=
while [ $# -gt 0 ]; do
    case $1 in
    (--) shift; break;;
    (-u|--user) [ $# -gt 1 ] || fail "option requires an argument -- 'u'"; user=$2; shift 2;;
    (--user=*) user=${{1#--user=}}; shift;;
    (-u?*) user=${{1#-u}}; shift;;
    (-[nHEksi]?*) rest=${{1#-?}} first=${{1%"${{1#-?}}"}}; shift; set -- "$first" "-$rest" "$@";;
    (-i|--login) login=-l; shift;;
    (-s|--shell|-n|-H|-E|-k|--non-interactive|--set-home|--preserve-env) shift;;
    (-*) fail "unrecognized option '$1'";;
    (*) break;;
    esac
done
case $user in
{cases}
(*) fail "unknown user $user";;
esac
command="$*"
uid=$(id -u) gid=$(id -g)
assignments=
while [ $# -gt 0 ]; do
    case $1 in
    ([A-Za-z_]*=*) export "$1"; assignments="$assignments ${{1%%=*}}"; shift;;
    (*) break;;
    esac
done
PATH={path}
export PATH
for name in $(env | sed -n 's/^\\([A-Za-z_][A-Za-z0-9_]*\\)=.*/\\1/p'); do
    case " $assignments PATH TERM LANG {kept} " in (*" $name "*) ;; (*) unset "$name";; esac
done
HOME=$home USER=$user LOGNAME=$user SHELL=$own MAIL=/var/mail/$user
SUDO_USER={caller} SUDO_UID=$uid SUDO_GID=$gid SUDO_COMMAND=${{command:-$own}}
export HOME USER LOGNAME SHELL MAIL SUDO_USER SUDO_UID SUDO_GID SUDO_COMMAND {kept}
[ -z "$login" ] || cd "$home" || exit 1
if [ $# = 0 ]; then exec "$own" $login; fi
if [ -n "$login" ]; then exec "$own" -l -c 'exec "$@"' "$own" "$@"; fi
command -v -- "$1" >/dev/null || fail "$1: command not found"
exec "$@"
"""


def script(users: Mapping[str, tuple[str, str, Mapping[str, str]]], *, path: str, caller: str, root: bool) -> str:
    """Return the text of the program. `users` has home, shell and the variables that name the uid, for each user.

    `caller` is the user who calls it; without `root` none can become root.
    """
    cases = []
    kept: dict[str, None] = {}
    for user, (home, shell, names) in users.items():
        if user == "root" and not root:
            cases.append('(root) fail "the sessions of a lab that root has started cannot become root";;')
            continue
        kept |= dict.fromkeys(names)
        sets = "; ".join(f"{name}={shlex.quote(value)}" for name, value in names.items())
        words = f"home={shlex.quote(home)} own={shlex.quote(shell)}"
        cases.append(f"({user}) {words}; {sets};;" if sets else f"({user}) {words};;")
    return _SCRIPT.format(
        cases="\n".join(cases), path=shlex.quote(path), caller=shlex.quote(caller), kept=" ".join(kept)
    )
