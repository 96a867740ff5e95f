"""PURE: the script that runs a command on the instance, and the parameter of the session that carries it.

AWS resolves `{{...}}` in parameters, the agent splits them into words or hands them to a shell, and it damages output
that is not UTF-8. So everything from the user travels in base64, quoted for a shell inside, and the output comes back
as the frames of `frames`. The script needs a POSIX sh, dd, base64 (or openssl), and on a terminal stty.
"""

from __future__ import annotations

import enum
from binascii import b2a_base64

from ssm_ssh.errors import UsageError
from ssm_ssh.startup import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

# Characters by which base64 has to be shorter.
_CHEAP = 100
LONGEST_PARAMETER = 65535
"""Characters of a parameter's value: SessionManagerParameterValue in the model of StartSession."""


class Way(enum.Enum):
    """How the script meets the agent."""

    APART = "apart"
    """AWS-StartNonInteractiveCommand: no input, stdout and stderr each in its own stream."""
    FRAMED = "framed"
    """AWS-StartInteractiveCommand: a raw terminal carries everything."""
    TERMINAL = "terminal"
    """AWS-StartInteractiveCommand: the terminal is the command's own; only its status is framed."""


class Request(NamedTuple):
    """What the user wants to run. `variables` are `NAME=VALUE`; `user` and `directory` are "" for the session's."""

    argv: Sequence[str]
    user: str = ""
    directory: str = ""
    variables: Sequence[str] = ()
    stdin: bool = False
    terminal: bool = False


def parameter(request: Request, way: Way, token: str) -> str:
    """Return the value of the session parameter `command`. Raises UsageError for a command that is too long.

    `token`: letters and digits that the command cannot guess, for the frames of Way.TERMINAL.
    """
    text = b2a_base64(script(request, way, token).encode("utf-8", "surrogateescape"), newline=False).decode()
    value = f"sh -c '{_BOOT}' sh {text}"
    if len(value) > LONGEST_PARAMETER:
        given = sum(len(word.encode("utf-8", "surrogateescape")) for word in (*request.argv, *request.variables))
        raise UsageError(
            f"the command is too long: its arguments have {given} bytes, and Session Manager takes about 45,000",
            "Send the data as input with -i",
        )
    return value


def script(request: Request, way: Way, token: str) -> str:
    """Return the script, for a POSIX shell."""
    parts = [_COMMON, _arguments(request.argv), _environment(request)]
    if way is Way.APART:
        body = _APART.replace(
            "@JOB@", quote(_FUNCTIONS + _JOB.replace("@A@", "").replace("@PIPELINE@", _pipeline("r")))
        )
    elif way is Way.FRAMED:
        body = _FRAMED.replace("@PIPELINE@", _pipeline("i" if request.stdin else "r"))
    else:
        body = _TERMINAL.replace("@TOKEN@", token)
    return "".join((*parts, body))


def _arguments(argv: Sequence[str]) -> str:
    """Return what sets the shell's arguments. Words that quoting would make much longer travel in base64 once more."""
    lines, words = [], []
    for number, word in enumerate(argv):
        quoted, size = quote(word), len(word)
        if len(quoted) > size + size // 2 + _CHEAP:
            text = b2a_base64(word.encode("utf-8", "surrogateescape"), newline=False).decode()
            # The shell drops newlines from the end of what it substitutes, so a dot stands there.
            lines.append(f"ssm_ssh_{number}=$(echo {text} | D; echo .)\n")
            quoted = f'"${{ssm_ssh_{number}%.}}"'
        words.append(quoted)
    return "".join((*lines, "set -- ", " ".join(words), "\n"))


def quote(word: str) -> str:
    """Return `word` as one word of a shell. Raises UsageError for a NUL, which no argument can hold."""
    if "\0" in word:
        raise UsageError("an argument holds a NUL byte, which no program can be given", "Send it as input with -i")
    return "'" + word.replace("'", "'\\''") + "'"


def _environment(request: Request) -> str:
    """Return what puts user, directory and variables around the command, and checks them before it is run."""
    lines = []
    if request.variables or request.user:
        # A shell between: `env` would take a command with a `=` for a variable, and sudo has its own exit statuses. Its
        # path is looked up before a variable changes PATH.
        lines.append('set -- "$(command -v sh)" -c \'exec "$@"\' sh "$@"')
    if request.variables:
        lines.append(f'set -- env {" ".join(map(quote, request.variables))} "$@"')
    if request.directory:
        lines.append(f"w={quote(request.directory)}")
        lines.append('set -- sh -c \'cd -- "$0" || exit 126; exec "$@"\' "$w" "$@"')
    if request.user:
        lines.append(f"u={quote(request.user)}")
        lines.append(_USER)
    if request.directory or request.user:
        lines.append(_CHECK)
    return "".join(f"{line}\n" for line in lines)


# $1 is the script, and `:` names its origin in a list of processes. macOS knew -D before -d.
_BOOT = (
    ': ssm-ssh exec;eval "$(echo $1|base64 -d 2>/dev/null||echo $1|base64 -D 2>/dev/null'
    '||echo $1|openssl base64 -d -A 2>/dev/null||echo echo @ssm-ssh-needs-base64)"'
)

# The shells in the pipeline outlive the signals that are meant for the command; programs that they start do not
# inherit a trap. What encodes and decodes ignores them.
_FUNCTIONS = r"""N='
'
if [ -d /System/Library ]; then E() { base64 -b 76; }
elif command -v base64 >/dev/null; then E() { base64; }
else E() { openssl base64; }; fi
if echo aGk= | base64 -d >/dev/null 2>&1; then D() { base64 -d; }
elif echo aGk= | base64 -D >/dev/null 2>&1; then D() { base64 -D; }
else D() { openssl base64 -d; }; fi
K() { trap : INT QUIT TERM HUP; }
enc() {
trap '' INT QUIT TERM HUP
n=0 t=$1 a=$2
IFS=$N
while x=$(dd bs=49152 count=1 2>/dev/null | E) && [ -n "$x" ]; do
set -- $x
n=$((n+$#))
if [ -n "$a" ]; then for l do printf "$t%s\n" "$l"; done; else printf "$t%s\n" "$@"; fi
done
printf '%s.%s\n' "$t" "$n"
}
dec() {
trap '' INT QUIT TERM
LC_ALL=C r= o=1 z=
IFS=$N
while [ -z "$z" ]; do
x=$(dd bs=65536 count=1 2>/dev/null; echo .)
x=${x%.}
[ -n "$x" ] || break
r=$r$x
case $r in *"$N"*) ;; *) continue ;; esac
b=${r%"$N"*}
r=${r##*"$N"}
case $N$b in *"$N.") z=1 b=${b%.} ;; esac
[ -n "$o" ] && [ -n "$b" ] || continue
case $b in
*=*"$N"*) for l in $b; do printf '%s\n' "$l" | D || o=; done ;;
*) printf '%s\n' "$b" | D || o= ;;
esac
[ -n "$o" ] || echo - >&3
done
}
"""

_COMMON = (
    _FUNCTIONS
    + r"""die() {
IFS=$N
set -- $(printf %s "$1" | E)
IFS=
printf '!%s\n' "$*"
exit 255
}
"""
)

# sudo without a password is what the agent gives ssm-user. A root session needs none.
_USER = r"""if [ "$(id -un)" = "$u" ]; then p=
elif ! id -u "$u" >/dev/null 2>&1; then die "there is no user $u"
elif [ "$(id -u)" != 0 ]; then p=1
command -v sudo >/dev/null || die "there is no sudo to become $u with"
 set -- sudo -n -H -u "$u" -- "$@"
elif command -v runuser >/dev/null; then p=2; eval "h=~$u"
set -- runuser -u "$u" -- env HOME="$h" USER="$u" LOGNAME="$u" "$@"
else p=3; set -- su -s /bin/sh "$u" -c 'exec "$0" "$@"' "$@"; fi"""

_CHECK = (
    r"""c() {
set -- sh -c 'cd -- "$1"' sh "${w:-/}"
case ${p-} in
1) set -- sudo -n -u "$u" -- "$@" ;;
2) set -- runuser -u "$u" -- "$@" ;;
3) set -- su -s /bin/sh "$u" -c 'exec "$0" "$@"' "$@" ;;
esac
"$@"
}
m=$(c 2>&1 </dev/null) || die "${m:-the user or the directory cannot be used}" """
    + "\n"
)


def _pipeline(kind: str) -> str:
    """Return what runs the command with its output encoded to 3 and 4, and prints its status. `kind`: i reads input."""
    run = '(exec "$@") 2>&7 3>&- 4>&- 5>&- 7>&-'
    command = f"{run} </dev/null; echo $? >&5"
    if kind == "i":
        command = f'dec | {{ K; {run}; s=$?; echo $s >&5; echo "#$s" >&3; }}'
    return (
        "{ K; { K; { K; " + command + "; } 7>&1 >&6 6>&- 2>/dev/null | enc 2 $a >&4 6>&-; } 6>&1 | enc 1 $a >&3; } 5>&1"
    )


_JOB = r"""K
a=@A@
s=$(@PIPELINE@)
echo "#$s" >&3
"""

# The agent signals this shell alone: 03 is an INT, 1c a TERM for the command and what it started. A shell without job
# control has its background ignore INT, which only env can undo; where it cannot, TERM follows. The last loop keeps the
# session until the client has everything, which it confirms by 03.
_APART = r"""exec 3>&1 4>&2 </dev/null >/dev/null 2>&1
j=@JOB@
p= d= b= g=
k() {
if [ -n "$d" ]; then b=1
elif [ -z "$p" ]; then g=$1
else
kill -s "$1" -- "$q$p"
[ -z "$f" ] || kill -s TERM -- "$q$p"
fi
}
trap 'k INT' INT
trap 'k TERM' QUIT
f= q=-
echo @ssm-ssh1 >&3
if [ -n "${BASH_VERSION-}" ] && set -m; then sh -c "$j" sh "$@" &
elif command -v setsid >/dev/null && env --default-signal=INT true; then
setsid env --default-signal=INT,QUIT sh -c "$j" sh "$@" &
elif command -v setsid >/dev/null; then f=1; setsid sh -c "$j" sh "$@" &
else f=1 q=; sh -c "$j" sh "$@" & fi
p=$!
[ -z "$g" ] || k "$g"
wait "$p"
while kill -0 "$p"; do wait "$p"; done
sleep 1 3>&- 4>&- &
d=1 i=0
echo = >&3
echo = >&4
while [ -z "$b" ] && [ $i -lt 300 ]; do
wait $!
i=$((i+1))
[ -n "$b" ] || sleep 1 3>&- 4>&- &
done
exit 0
"""

# Nothing runs before the client has confirmed that it is there. Afterwards the terminal stays until it has everything.
# `read` takes more than a line from a raw terminal in some shells, so the confirmation is read by dd.
_FRAMED = r"""K
stty raw -echo isig noflsh min 3 2>/dev/null || die 'there is no stty'
echo @ssm-ssh1
g=$(dd bs=3 count=1 2>/dev/null)
[ "$g" = go ] || exit 255
a=1
stty min 1
{ K; s=$(@PIPELINE@); echo "#$s" >&3; echo = >&3; } 3>&1 4>&1 | (trap '' INT QUIT TERM HUP; exec cat)
while IFS= read -r g && [ "$g" != bye ]; do :; done
exit 0
"""

_TERMINAL = r"""K
o=$(stty -g) && stty raw -echo isig min 3 || die 'there is no stty'
echo @ssm-ssh1
g=$(dd bs=3 count=1 2>/dev/null)
[ "$g" = go ] || exit 255
stty "$o" echo
(exec "$@")
s=$?
stty raw -echo isig
printf '\033_ssm-ssh;@TOKEN@;%s\033\\' "$s"
while IFS= read -r g && [ "$g" != bye ]; do :; done
exit 0
"""
