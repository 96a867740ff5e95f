"""Programs that know an instance's accounts by name where nss_wrapper is not installed.

With nss_wrapper the C library itself takes the instance's passwd file for the machine's. Without it these programs
stand in front of the machine's own in PATH: `id`, `whoami`, `logname`, `groups` and `getent` read the instance's files,
and for root `su` and `runuser` do, too. USER, LOGNAME, HOME and `~` are right anyway, for the environment says them.

The limits: whatever asks the C library for a name (`ls -l`, `ps`, `~deploy`, ssh started on the instance) sees what the
machine knows, which is a bare number in root's lab and the caller's own name in an ordinary user's.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

# Names the passwd file whose first line is the user that a program runs as, as NSS_WRAPPER_PASSWD does.
VARIABLE = "SSM_SSH_LAB_PASSWD"
_SYSTEM = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"

_ID = """#!/bin/sh
# id, with the names of this instance's accounts: its machine does not know them.
passwd=${{{variable}:-{passwd}}}
group={group}
program={program}

entry() {{ # file, number of the field (1 or 3), value: the first line that has it
    while IFS= read -r line; do
        rest=${{line#*:*:}}
        case $2 in (1) field=${{line%%:*}};; (*) field=${{rest%%:*}};; esac
        if [ "$field" = "$3" ]; then printf '%s\\n' "$line"; return; fi
    done <"$1"
    return 1
}}
name_of() {{ # file, number
    line=$(entry "$1" 3 "$2") && printf '%s\\n' "${{line%%:*}}" || printf '%s\\n' "$2"
}}
in_brackets() {{ # file, number
    if line=$(entry "$1" 3 "$2"); then printf '%s(%s)' "$2" "${{line%%:*}}"; else printf '%s' "$2"; fi
}}

what='' names='' user='' real=''
for word do
    case $word in
    (--user) what=${{what}}u;; (--group) what=${{what}}g;; (--groups) what=${{what}}G;;
    (--name) names=1;; (--real) ;;
    (-*[!ugGnra]*|-) real=1;;
    (-*)
        case $word in (*n*) names=1;; esac
        case $word in (*u*) what=${{what}}u;; esac
        case $word in (*g*) what=${{what}}g;; esac
        case $word in (*G*) what=${{what}}G;; esac;;
    (*) [ -z "$user" ] || real=1; user=$word;;
    esac
done
case $what in (''|u|g|G) ;; (*) real=1;; esac
if [ -n "$user" ]; then
    line=$(entry "$passwd" 1 "$user") || line=$(entry "$passwd" 3 "$user") || real=1
    rest=${{line#*:*:}} uid=${{rest%%:*}} rest=${{rest#*:}} gid=${{rest%%:*}} groups=$gid
    name=${{line%%:*}}
fi
[ -z "$real" ] || exec "$program" "$@"
if [ -z "$user" ]; then
    uid=$({uid}) gid=$("$program" -g) groups=$("$program" -G)
    name=$(name_of "$passwd" "$uid")
fi
case $what$names in
(u) printf '%s\\n' "$uid";;
(u1) printf '%s\\n' "$name";;
(g) printf '%s\\n' "$gid";;
(g1) name_of "$group" "$gid";;
(G) printf '%s\\n' "$groups";;
(G1) list=; for number in $groups; do list="$list $(name_of "$group" "$number")"; done; printf '%s\\n' "${{list# }}";;
(1) exec "$program" "$@";;
(*)
    list=; for number in $groups; do list="$list,$(in_brackets "$group" "$number")"; done
    printf 'uid=%s(%s) gid=%s groups=%s\\n' "$uid" "$name" "$(in_brackets "$group" "$gid")" "${{list#,}}";;
esac
"""

_GETENT = """#!/bin/sh
# getent, with this instance's accounts instead of its machine's.
case ${{1:-}} in
(passwd) file=${{{variable}:-{passwd}}};;
(group) file={group};;
(*) exec {program} "$@";;
esac
shift
[ $# -gt 0 ] || exec cat "$file"
status=0
for key do
    hit=
    while IFS= read -r line; do
        rest=${{line#*:*:}}
        if [ "${{line%%:*}}" = "$key" ] || [ "${{rest%%:*}}" = "$key" ]; then hit=$line; break; fi
    done <"$file"
    if [ -n "$hit" ]; then printf '%s\\n' "$hit"; else status=2; fi
done
exit $status
"""

_SCP = """#!/bin/sh
# scp: OpenSSH's own, which has no name for this uid, only where it is the client.
for word do
    case $word in
    (-*[tf]*) exec {python} -I -S {rcp} "$@";;
    (-*) ;;
    (*) break;;
    esac
done
exec {program} "$@"
"""


class Account(NamedTuple):
    """What the programs need to know of an instance.

    `tools` is the folder they are put into. `passwd` is the passwd file of the user that has none named in the
    environment. `other_uid` holds the arguments of subprocess.Popen for the instance's users, None where they share
    the uid of the lab.
    """

    tools: Path
    passwd: Path
    group: Path
    other_uid: dict[str, Any] | None


def programs(account: Account) -> dict[str, str]:
    """Return the text of each program for the folder `account.tools`, by name."""
    words = {
        "variable": VARIABLE,
        "passwd": shlex.quote(str(account.passwd)),
        "group": shlex.quote(str(account.group)),
    }
    made = {
        "id": _ID.format(program=_real("id"), uid='"$program" -u', **words),
        "getent": _GETENT.format(program=_real("getent"), **words),
    }
    own = shlex.quote(str(account.tools / "id"))
    for name, option in (("whoami", "-un"), ("logname", "-un"), ("groups", "-Gn")):
        made[name] = f'#!/bin/sh\nexec {own} {option} "$@"\n'
    if account.other_uid is not None and (python := _readable_python(account.other_uid)):
        rcp = account.tools / "rcp.py"
        made[rcp.name] = Path(__file__).parent.parent.joinpath("sshd", "rcp.py").read_text()
        made["scp"] = _SCP.format(python=shlex.quote(python), rcp=shlex.quote(str(rcp)), program=_real("scp"))
    return made


def _real(name: str) -> str:
    return shlex.quote(shutil.which(name, path=_SYSTEM) or f"/usr/bin/{name}")


def _readable_python(other_uid: dict[str, Any]) -> str:
    """Return a Python that the instance's users can run: root's own may be in root's home. "" where there is none."""
    for python in (os.path.realpath(sys.executable), shutil.which("python3", path=_SYSTEM)):
        if python:
            try:
                command = [python, "-I", "-S", "-c", ""]
                subprocess.run(command, check=True, capture_output=True, timeout=20, cwd="/", **other_uid)
            except (OSError, subprocess.SubprocessError):
                continue
            return python
    return ""
