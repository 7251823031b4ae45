#!/bin/sh
# A store that keyform cannot read back: it keeps what it is given on its standard input, in a file for each key.
#
#   keep-secret.sh write|remove STORE KEY
#
# $KEPT_SECRETS is the folder of all stores. $KEPT_SECRETS_FAIL says `before` or `after`: this store fails, without having
# done what it was asked for, or having done it. $KEPT_SECRETS.log tells of every call that has ended, with all that the
# system shows of it to others: arguments and environment.
set -eu
umask 077
if [ "${KEPT_SECRETS_FAIL:-}" != before ]; then
    mkdir -p "$KEPT_SECRETS/$2"
    case $1 in
    write)
        cat >"$KEPT_SECRETS/$2/.new"
        mv "$KEPT_SECRETS/$2/.new" "$KEPT_SECRETS/$2/$3"
        ;;
    remove) rm -f "$KEPT_SECRETS/$2/$3" ;;
    esac
fi
echo "call $* $(env | tr '\n' ' ')" >>"$KEPT_SECRETS.log"
[ -z "${KEPT_SECRETS_FAIL:-}" ]
