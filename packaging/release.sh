# shellcheck shell=bash
# Sourced by dist.sh and tests: signs programs for boards. An agent upgrades only to what the release key signed whose
# public half was built into it (MUSTER_RELEASE_KEY). The private half belongs where releases are made, and nowhere else.
#
# Needs openssl 3.

# release_key FILE: prints the public half of the key in FILE, as MUSTER_RELEASE_KEY wants it, and makes the key first if
# there is none.
release_key() {
    if [ ! -e "$1" ]; then
        (umask 077 && openssl genpkey -algorithm ed25519 -out "$1.part") && mv -f "$1.part" "$1" || return 1
        printf 'made a release key: %s; keep it safe, agents of this build upgrade only to what it signs\n' "$1" >&2
    fi
    openssl pkey -in "$1" -pubout -outform DER | tail -c 32 | release_hex
}

# release_sign KEY VERSION TARGET FILE: writes FILE.sig, which says what FILE is.
release_sign() {
    printf 'muster release 1\nname: %s\nversion: %s\ntarget: %s\nsha256: %s\n' \
        "$(basename "$4")" "$2" "$3" "$(sha256sum "$4" | cut -d ' ' -f 1)" >"$4.sig.part" &&
        openssl pkeyutl -sign -rawin -inkey "$1" -in "$4.sig.part" -out "$4.sig.raw" &&
        printf 'signature: %s\n' "$(release_hex <"$4.sig.raw")" >>"$4.sig.part" &&
        mv -f "$4.sig.part" "$4.sig" && rm -f "$4.sig.raw"
}

# Bytes as hexadecimal digits.
release_hex() { od -An -v -tx1 | tr -d ' \n'; }
