#!/bin/sh
# /etc/letsencrypt/renewal-hooks/deploy/shop: certbot runs it, as root, after each renewal.
#
# The server must not read certbot's folders, so it gets a copy: key and certificate in one file, which
# takes the place of the old one in one step. oxicorn looks at it each second: nothing is restarted.
set -eu
target=${TARGET:-/etc/shop/tls.pem}
group=${GROUP:-shop}

# Certificates of other sites are none of ours.
case " ${RENEWED_DOMAINS:-shop.example} " in *" ${DOMAIN:-shop.example} "*) ;; *) exit 0 ;; esac

umask 077
cat "$RENEWED_LINEAGE/privkey.pem" "$RENEWED_LINEAGE/fullchain.pem" >"$target.new"
chgrp "$group" "$target.new"
chmod 640 "$target.new"
mv -f "$target.new" "$target"
