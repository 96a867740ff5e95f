# Adds a line to an authorized_keys file or removes it; removes expired lines of ssm-ssh too.
#
# Runs as the owner of the file, so that a planted link leads only to files that the owner can change anyway. It runs as
# root only for a file on whose path only root can change anything, which root.sh has checked.
# The environment is the argument: SSM_SSH_ACTION (push, sweep, or remove: sweep a file that must exist),
# SSM_SSH_FILE, SSM_SSH_HOME, SSM_SSH_ENTRY, SSM_SSH_ID, SSM_SSH_NOW, SSM_SSH_MODE (of a new file). The last line
# of the output is the result.
LC_ALL=C
export LC_ALL
umask 077
set -f
# The user can make the file grow at any moment, and sed keeps a whole line in memory: some 150 MB for the longest line
# that passes. The limit is set here, and not only in root.sh, because su and runuser may undo it (pam_limits).
ulimit -v 262144 2>/dev/null

file=$SSM_SSH_FILE
temporary=

die() {
    [ -z "$temporary" ] || rm -f "$temporary"
    printf 'ssm-ssh error %s\n' "$1"
    exit 1
}

# A complete line of ssm-ssh: only such lines are ever removed. \1 is its mark: its expiry and its id.
ours='from="127\.0\.0\.1,::1"[^ ]* [a-z0-9@.-]* [A-Za-z0-9+/=]* ssm-ssh-\([0-9]\{10,12\}-[0-9a-f]\{16\}\)'

# Changes when another process writes the file.
stamp() { stat -c '%d %i %s %y %z' "$file" 2>/dev/null || ls -lidn "$file" 2>/dev/null; }

relabel() {
    if command -v restorecon >/dev/null 2>&1; then restorecon "$1" >/dev/null 2>&1; fi
    return 0
}

# Writable by group or others: sshd (StrictModes) then ignores the file.
loose() { case $(ls -ldL "$1") in (?????w*|????????w*) return 0;; esac; return 1; }

# Tens of thousands of keys are some megabytes.
is_small() { set -- $(ls -ldnL "$file"); [ "$5" -le 16777216 ]; }

# Sets `marks` to the marks of the lines to remove.
find_marks() {
    marks=
    [ -f "$file" ] || return 0
    [ -r "$file" ] || die "file $file cannot be read by its user"
    is_small || die "file $file is larger than 16 MiB"
    found=$(sed -n "s|^$ours\$|\\1|p" "$file") || die "file $file cannot be read to its end"
    for mark in $found; do
        expires=${mark%-*}
        # One hour in the future: no entry lasts so long, so the clock was wrong when it was made.
        if [ "$expires" -le "$SSM_SSH_NOW" ] || [ "$expires" -gt $((SSM_SSH_NOW + 3600)) ] ||
            [ "${mark#*-}" = "$SSM_SSH_ID" ]; then
            marks="$marks $mark"
        fi
    done
}

without_marks() {
    set --
    for mark in $marks; do
        set -- "$@" -e "\\|^from=[^ ]* [^ ]* [^ ]* ssm-ssh-$mark\$|d"
    done
    sed "$@" "$file"
}

new_file() {
    if command -v mktemp >/dev/null 2>&1; then
        temporary=$(mktemp "$folder/.ssm-ssh-XXXXXX") || temporary=
    else
        temporary=$folder/.ssm-ssh-$$
        (set -C && : >"$temporary") 2>/dev/null || temporary=
    fi
    [ -n "$temporary" ] || die "file no new file can be made in $folder"
}

# Never creates the home folder: this may be root.
cd / || exit 1
# The file existed at the push, so a home that is not mounted now may still hold the key.
[ "$SSM_SSH_ACTION" != remove ] || [ -f "$file" ] || die "file $file is not there"
folder=${file%/*}
if [ ! -d "$folder" ]; then
    [ "$SSM_SSH_ACTION" = push ] || { echo 'ssm-ssh done'; exit 0; }
    mkdir -p "$folder" 2>/dev/null || die "file the folder $folder cannot be made by its user"
    relabel "$folder"
fi
case $folder in
("$SSM_SSH_HOME"/*) if [ "$SSM_SSH_ACTION" = push ] && loose "$folder"; then chmod go-w "$folder" 2>/dev/null; fi;;
esac
# Dotfiles are often links: the target is changed, and the link stays.
if [ -L "$file" ]; then
    file=$(readlink -f "$file") || die "file $SSM_SSH_FILE is a link to nowhere"
    folder=${file%/*}
fi
if [ -e "$file" ] && [ ! -f "$file" ]; then die "file $file is not a plain file"; fi
if [ -e "$file" ] && [ ! -O "$file" ]; then die "file $file belongs to somebody else, so it is left alone"; fi

attempt=0
while :; do
    before=$(stamp)
    find_marks
    # GNU sed treats the end of its memory as the end of the file, so only an unchanged file has been read completely.
    [ "$SSM_SSH_ACTION" = push ] || [ -n "$marks" ] || [ "$(stamp)" != "$before" ] || break
    new_file
    readonly=
    if [ -f "$file" ]; then
        cp -p "$file" "$temporary" || die "file $file cannot be copied"
        [ -w "$temporary" ] || { readonly=yes; chmod u+w "$temporary"; }
        if [ -n "$marks" ]; then without_marks >"$temporary" || die "file $file cannot be copied"; fi
        if loose "$temporary"; then chmod go-w "$temporary"; fi
    else
        chmod "$SSM_SSH_MODE" "$temporary"
    fi
    if [ "$SSM_SSH_ACTION" = push ]; then
        last=$(tail -c 1 "$temporary" | tr '\000' x)
        if [ -n "$last" ]; then echo >>"$temporary" || die "file nothing can be written in $folder: is the disk full?"; fi
        printf '%s\n' "$SSM_SSH_ENTRY" >>"$temporary" || die "file nothing can be written in $folder: is the disk full?"
    fi
    [ -z "$readonly" ] || chmod u-w "$temporary"
    if [ "$(stamp)" = "$before" ]; then
        mv -f "$temporary" "$file" || die "file $file cannot be replaced"
        relabel "$file"
        break
    fi
    rm -f "$temporary"
    attempt=$((attempt + 1))
    [ "$attempt" -lt 8 ] || die "file $file changes all the time"
done
echo 'ssm-ssh done'
