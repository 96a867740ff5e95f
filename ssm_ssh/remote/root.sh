# Authorizes a key for a minute. Runs as root on the instance, and as the user where the user could tamper with files.
#
# `data` is base64 of words: ACTION (push, sweep) USER KEY-TYPE KEY-BLOB ID LIFETIME FLAGS, or: host-keys MARK. A USER that
# is not a plain word is `=` and the base64 of it. The sender of `data`
# may have no right but to run this script, so all of it is checked. `user_part` is user.sh.
# Each line of the output is `ssm-ssh WORD ...`: note, done, or error with a code and a sentence.
LC_ALL=C
umask 077
set -f

# The agent's folders stay first: NixOS, Guix and similar systems have next to nothing in the usual folders, and only root
# can have set its PATH. Empty and relative parts mean the current folder, so they are removed.
left=$PATH:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin PATH='' IFS=:
for part in $left; do
    case $part in (/*) PATH=${PATH:+$PATH:}$part;; esac
done
unset IFS
export LC_ALL PATH

die() {
    printf 'ssm-ssh error %s\n' "$1"
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

decode() {
    if has base64; then printf %s "$1" | base64 -d; else printf '%s\n' "$1" | openssl base64 -d -A; fi
}

is_number() { case $1 in (''|*[!0-9]*) return 1;; esac; [ "${#1}" -le "$2" ]; }

# --- the request ---------------------------------------------------------------------------------------------------

read_data() {
    decoded=$(decode "$data") || die 'data the request cannot be decoded: is base64 or openssl installed?'
    set -- $decoded
    case ${1:-} in (host-keys) tell_host_keys "$@"; exit 0;; esac
    [ $# -eq 7 ] || die 'data the request is not understood'
    action=$1 user=$2 type=$3 blob=$4 id=$5 lifetime=$6 flags=$7
    case $action in (push|sweep) ;; (*) die 'data the request is not understood';; esac
    case $user in
    (=*) user=$(decode "${user#=}") && is_directory_user || die 'data the user name is not one';;
    (-*|*[!A-Za-z0-9._@+\$-]*) die 'data the user name is not one';;
    esac
    [ "${#user}" -le 256 ] || die 'data the user name is not one'
    case $type in (*[!a-z0-9@.-]*) die 'data the key is not one';; esac
    case $type in (ssh-?*|ecdsa-?*|sk-?*) ;; (*) die 'data the key is not one';; esac
    bare=${blob%=} bare=${bare%=}
    case $bare in (''|*[!A-Za-z0-9+/]*) die 'data the key is not one';; esac
    case $id in (*[!0-9a-f]*) die 'data the id is not one';; esac
    [ "${#id}" -eq 16 ] || die 'data the id is not one'
    case $lifetime in (0*) die 'data the lifetime is not one';; esac
    is_number "$lifetime" 3 && [ "$lifetime" -le 600 ] || die 'data the lifetime is not one'
    case $flags in (-|expiry) ;; (*) die 'data the request is not understood';; esac
}

# Of directory services: DOMAIN\user, names with spaces and letters in UTF-8. Nothing that is a path, a list or a pattern.
is_directory_user() {
    case $user in (''|[!A-Za-z0-9_]*) [ -n "$(printf %.1s "$user" | tr -d '\000-\177')" ] || return 1;; esac
    case $user in (*'\'|*' '|*[[:cntrl:]]*) return 1;; esac
    [ -z "$(printf %s "$user" | tr -d 'A-Za-z0-9._@+~ \\\200-\377-')" ]
}

# Each file is printed between two lines that its author could not foresee; a last line says that the output is complete.
tell_host_keys() {
    [ $# -eq 2 ] || die 'data the request is not understood'
    case $2 in (*[!0-9a-f]*) die 'data the mark is not one';; esac
    [ "${#2}" -eq 32 ] || die 'data the mark is not one'
    set +f
    for file in /etc/ssh/ssh_host_*_key.pub; do
        [ -f "$file" ] || continue
        printf 'ssm-ssh-%s begin\n' "$2"
        cat "$file"
        printf '\nssm-ssh-%s end\n' "$2"
    done
    printf 'ssm-ssh-%s done\n' "$2"
}

accounts() { if has getent; then getent passwd; else cat /etc/passwd; fi; }

account() {
    if has getent; then
        getent passwd "$1" | head -n 1
    else
        while IFS= read -r found; do case $found in ("$1":*) printf '%s\n' "$found"; break;; esac; done </etc/passwd
    fi
}

# Names that may have been meant: accounts of people, with a shell.
likely_users() {
    accounts | while IFS=: read -r name _ number _ _ _ shell; do
        is_number "$number" 10 || continue
        [ "$number" -ge 1000 ] && [ "$number" -ne 65534 ] || continue
        case $shell in (*nologin|*false|*sync|'') continue;; esac
        case $name in (*[!A-Za-z0-9._@+-]*) continue;; esac
        printf ' %s' "$name"
    done | cut -c 1-150
}

read_user() {
    line=$(account "$user")
    # getent takes 0 and +0 for root's uid, sshd takes them for names.
    case $line in
    ("$user":*|'') ;;
    (*)
        case $user in ([0-9+]*) die "no-user there is no user $user; that account is named ${line%%:*}";; esac
        # Some directories give an account several names; sshd too goes on with the one in its entry.
        user=${line%%:*}
        ;;
    esac
    [ -n "$line" ] || die "no-user there is no user $user; users there:$(likely_users)"
    rest=${line#*:*:}
    uid=${rest%%:*} rest=${rest#*:}
    gid=${rest%%:*} rest=${rest#*:*:}
    home=${rest%%:*}
    is_number "$uid" 10 && is_number "$gid" 10 || die "no-user the account of $user is not understood"
    case $home in (/*) ;; (*) die "home $user has no home folder";; esac
    while [ "$home" != "${home%/}" ] && [ "$home" != / ]; do home=${home%/}; done
}

# --- the configuration of sshd -------------------------------------------------------------------------------------

configured() { printf '%s\n' "$config" | sed -n "s/^$1 //p" | head -n 1; }

read_sshd() {
    sshd=$(command -v sshd) || die 'no-sshd sshd is not installed'
    version=$( { "$sshd" -V </dev/null; ssh -V; } 2>&1 |
        sed -n 's/.*OpenSSH_\([0-9]\{1,2\}\)\.\([0-9]\{1,2\}\).*/\1 \2/p' | head -n 1)
    major=${version% *} minor=${version#* }
    # 907 is 9.7; 0 is an unknown server, which gets no option that an old server would not know.
    if [ -n "$version" ]; then number=$((major * 100 + minor)); else number=0; fi
    config=$(sshd_config 2>&1) || {
        # Where systemd listens for sshd, the first connection creates it.
        missing=$(printf '%s\n' "$config" | sed -n 's/^Missing privilege separation directory: //p' | head -n 1)
        case $missing in (/run/?*|/var/run/?*) mkdir -m 755 "$missing" 2>/dev/null;; esac
        config=$(sshd_config 2>&1) || config=
    }
}

# Checked only for a push: a key that sshd does not accept must still be removed.
check_use() {
    [ "$(configured pubkeyauthentication)" != no ] || die 'no-pubkey sshd does not take public keys (PubkeyAuthentication no)'
    case $type in
    (sk-*) [ "$number" -ge 802 ] || die "key-type its sshd does not know FIDO keys ($major.$minor; from 8.2 on)";;
    esac
}

sshd_config() { "$sshd" -T -C "user=$user,host=localhost,addr=127.0.0.1,laddr=127.0.0.1,lport=22" </dev/null; }

# Sets `path` to the path that a word of AuthorizedKeysFile names for the user.
expand() {
    left=$1 path='' personal=
    while :; do
        case $left in (*%*) ;; (*) break;; esac
        path=$path${left%%\%*} left=${left#*%}
        case $left in
        (h*) path=$path$home personal=1;;
        (u*) path=$path$user personal=1;;
        (U*) path=$path$uid personal=1;;
        (%*) path=$path%;;
        (*) return 1;;
        esac
        left=${left#?}
    done
    path=$path$left
    case $path in (/*) ;; (*) path=$home/$path personal=1;; esac
    case $path in ("$home"/*) personal=1;; esac
}

# True if only root can change the path to $1, whose last part may be missing.
only_roots() {
    way='' left=$1
    while [ -n "$left" ]; do
        left=${left#/} part=${left%%/*}
        case $left in (*/*) left=/${left#*/};; (*) left=;; esac
        case $part in ('') continue;; (.|..) return 1;; esac
        is_roots "${way:-/}" || return 1
        way=$way/$part
    done
    if [ -e "$way" ] || [ -L "$way" ]; then [ -f "$way" ] && is_roots "$way"; fi
}

is_roots() {
    listed=$(ls -ldn "$1" 2>/dev/null) || return 1
    case $listed in (l*|?????w*|????????w*) return 1;; esac
    set -- $listed
    [ "$3" = 0 ]
}

# Sets `file`, and `by` to the account that changes it: user or root. Prefers a file in the home folder.
choose_file() {
    words=$(configured authorizedkeysfile)
    [ -n "$words" ] || words='.ssh/authorized_keys'
    file='' by=user shared=
    for word in $words; do
        [ "$word" != none ] || continue
        expand "$word" || continue
        [ -n "$personal" ] || { shared=$path; continue; }
        case $path in
        ("$home"/*) file=$path by=user; break;;
        (*) [ -n "$file" ] || file=$path;;
        esac
    done
    [ -n "$file" ] || [ -z "$shared" ] || die "shared-file $shared would open every account (AuthorizedKeysFile without %u or %h)"
    [ -n "$file" ] || die 'no-file sshd reads no file of keys (AuthorizedKeysFile none)'
    case $file in (*[[:cntrl:]]*) die 'no-file the name of the file of keys holds control characters';; esac
    case $file in
    ("$home"/*) [ -d "$home" ] || die "home the home folder of $user, $home, does not exist yet";;
    (*) if only_roots "$file"; then by=root; fi;;
    esac
    if [ "$uid" -eq 0 ] && [ "$by" = user ]; then
        only_roots "$file" || roots_folder || die "root-file others than root can change what leads to $file"
        by=root
    fi
}

# Root's .ssh need not exist yet.
roots_folder() { [ ! -e "${file%/*}" ] && [ ! -L "${file%/*}" ] && only_roots "${file%/*}"; }

# --- the entry -----------------------------------------------------------------------------------------------------

# sshd reads a time without Z in its time zone, which is the system's unless its environment names another. From 8.2 on,
# its process title overwrites that environment, so the settings of its service are read.
local_time() {
    zone=
    pid=$(cat "$(configured pidfile)" 2>/dev/null)
    if is_number "$pid" 10; then zone=$(tr '\000' '\n' <"/proc/$pid/environ" 2>/dev/null | zone_in); fi
    [ -n "$zone" ] || zone=$({
        systemctl show --property Environment ssh.service sshd.service </dev/null
        cat /etc/default/ssh /etc/sysconfig/sshd
    } 2>/dev/null | tr ' ' '\n' | zone_in)
    if [ -n "$zone" ]; then TZ=$zone date -d "@$1" +%Y%m%d%H%M%S; else (unset TZ; date -d "@$1" +%Y%m%d%H%M%S); fi
}

zone_in() { sed -n "s/^\(Environment=\)\{0,1\}[\"']\{0,1\}TZ=[\"']\{0,1\}\([A-Za-z0-9/:_+.,-]\{1,\}\).*/\2/p" | head -n 1; }

make_entry() {
    now=$(date +%s)
    is_number "$now" 12 || die 'data date +%s does not work there'
    expires=$((now + lifetime))
    options='from="127.0.0.1,::1"'
    if [ "$number" -ge 702 ]; then
        options="$options,restrict,agent-forwarding,port-forwarding,pty,X11-forwarding"
    else
        options="$options,no-user-rc"
    fi
    stamp=
    if [ "$number" -ge 901 ]; then
        stamp=$(date -u -d "@$expires" +%Y%m%d%H%M%S 2>/dev/null)Z
    elif [ "$number" -ge 707 ]; then
        stamp=$(local_time "$expires" 2>/dev/null)
    fi
    if is_number "${stamp%Z}" 14 && [ "${#stamp}" -ge 14 ]; then
        options="$options,expiry-time=\"$stamp\""
    elif [ "$flags" = expiry ]; then
        die "no-expiry its sshd knows no expiry of keys (${major:-?}.${minor:-?}; from 7.7 on)"
    fi
    entry="$options $type $blob ssm-ssh-$expires-$id"
}

# --- becoming the user ---------------------------------------------------------------------------------------------

choose_switch() {
    groups=$(id -G "$user" 2>/dev/null | tr ' ' ,)
    case $groups in (''|*[!0-9,]*) groups=$gid;; esac
    if [ "$by" = root ]; then
        switch=none
    elif has setpriv && setpriv --reuid "$uid" --regid "$gid" --groups "$groups" true 2>/dev/null; then
        switch=setpriv
    elif has runuser && runuser -u "$user" -- true </dev/null >/dev/null 2>&1; then
        switch=runuser
    elif has su && su -s "$shell" "$user" -c true </dev/null >/dev/null 2>&1; then
        switch=su
    else
        die "no-switch none of setpriv, runuser and su can become $user there"
    fi
}

# Runs user.sh with an environment of its own, without descriptors of root, and for at most twenty seconds, because the
# user could stop it and keep the lock. A process that it left behind may hold its output open, which is not waited for
# longer either; tail keeps no more of endless output in memory than user.sh may use.
edit() {
    set -- env -i "PATH=$PATH" HOME=/ "SSM_SSH_ACTION=$1" "SSM_SSH_FILE=$file" "SSM_SSH_HOME=$home" \
        "SSM_SSH_ENTRY=$entry" "SSM_SSH_ID=$id" "SSM_SSH_NOW=$(date +%s)" "SSM_SSH_MODE=$mode"
    patience=
    if has timeout && timeout -s KILL 5 true 2>/dev/null; then
        set -- timeout -s KILL 20 "$@"
        patience='timeout -s KILL 25'
    fi
    case $switch in
    (none) set -- "$@" "$shell" -c "$user_part";;
    (setpriv) set -- "$@" setpriv --reuid "$uid" --regid "$gid" --groups "$groups" "$shell" -c "$user_part";;
    (runuser) set -- "$@" runuser -u "$user" -- "$shell" -c "$user_part";;
    (su) set -- "$@" su -s "$shell" "$user" -c "$user_part";;
    esac
    said=$("$@" 9>&- 2>&1 </dev/null | $patience tr -c '\040-\176\n' '?' |
        { ulimit -v 262144 2>/dev/null; tail -n 3; } | cut -c 1-300)
    case $said in (*'ssm-ssh done') return 0;; esac
    said=$(printf '%s\n' "$said" | tail -n 1)
    case $said in ('ssm-ssh error '*) said=${said#ssm-ssh error };; (*) said="file $file could not be changed: $said";; esac
    return 1
}

# --- one at a time -------------------------------------------------------------------------------------------------

pause() { sleep 0.2 2>/dev/null || sleep 1; }

# Identifies a running process by its pid and, where /proc exists, its start time, because pids are reused.
identity() {
    kill -0 "$1" 2>/dev/null && echo "$1" $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20)
}

held_by() { cat "$locks/$uid.held/pid" 2>/dev/null; }

# Only root can create files in this folder, so nothing in it is planted.
lock() {
    [ -d /run ] && locks=/run/ssm-ssh || locks=/var/run/ssm-ssh
    mkdir -m 700 "$locks" 2>/dev/null
    [ -d "$locks" ] && [ ! -L "$locks" ] && [ -O "$locks" ] || die "lock $locks is not a folder of root's"
    started=$(date +%s)
    if has flock; then
        exec 9>"$locks/$uid" || die "lock $locks cannot be written"
        until flock -n 9; do waited || return 1; done
    else
        until mkdir "$locks/$uid.held" 2>/dev/null; do
            holder=$(held_by)
            # Its holder has died, or did not write its pid in time. Another process may take the lock during this check.
            if [ -n "$holder" ] && [ "$(identity "${holder%% *}")" != "$holder" ] && [ "$(held_by)" = "$holder" ]; then
                rm -rf "$locks/$uid.held"
                continue
            fi
            waited || { [ -n "$holder" ] || rm -rf "$locks/$uid.held"; return 1; }
        done
        identity $$ >"$locks/$uid.held/pid"
        trap 'rm -rf "$locks/$uid.held"' EXIT
        trap 'exit 1' HUP INT TERM
    fi
}

waited() {
    pause
    [ $(($(date +%s) - started)) -lt 30 ]
}

unlock() {
    if has flock; then exec 9>&-; else rm -rf "$locks/$uid.held"; trap - EXIT; fi
}

# --- the main part --------------------------------------------------------------------------------------------------

# A separate process that outlives the command, its agent and the caller. It gets the results of the checks above: a minute
# later sshd may be in the middle of an upgrade, its settings may differ, or the directory of accounts may be unreachable.
remove_later() {
    set -- "$shell" -c "$root_part" ssm-ssh-remove
    if has setsid; then set -- setsid "$@"; elif has nohup; then set -- nohup "$@"; fi
    SSM_SSH_STAGE=remove shell=$shell root_part=$root_part user_part=$user_part lifetime=$lifetime id=$id \
        user=$user uid=$uid gid=$gid home=$home file=$file by=$by "$@" </dev/null >/dev/null 2>&1 9>&- &
}

take_out() {
    [ "$by" = user ] || only_roots "$file" || return 1
    choose_switch
    lock || return 1
    edit remove
    result=$?
    unlock
    return "$result"
}

entry='' mode=600
if [ "${SSM_SSH_STAGE:-}" = remove ]; then
    sleep "$((lifetime + 1))"
    # A quarter of an hour in all, for a home that returns or an upgrade; in a subshell, because an attempt may die.
    for seconds in 5 10 20 40 80 160 300 300; do
        (take_out) && exit 0
        sleep "$seconds"
    done
    (take_out)
    exit
fi
read_data
read_user
read_sshd
[ "$action" = sweep ] || check_use
choose_file
[ "$by" = user ] || [ "$uid" -eq 0 ] || mode=644
choose_switch
lock || die "lock another push for $user has held the lock for half a minute"
if [ "$action" = sweep ]; then
    edit sweep || die "$said"
    echo 'ssm-ssh done'
    exit 0
fi
make_entry
remove_later
edit push || die "$said"
unlock
if [ "$(configured strictmodes)" = yes ] && [ "$by" = user ]; then
    case $(ls -ldL "$home" 2>/dev/null) in
    (?????w*|????????w*) echo "ssm-ssh note the home folder $home can be written by others, so sshd (StrictModes) will refuse the key";;
    esac
fi
printf 'ssm-ssh done %s %s %s\n' "$id" "$expires" "${major:-?}.${minor:-?}"
