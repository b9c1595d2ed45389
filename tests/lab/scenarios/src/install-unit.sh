# Installs the unit that ships on a host, as docs/operations.md says, with secrets as systemd's credentials.
# Arguments: the repository, the program. What is installed comes from /lab/watchkeeper and the lab's own files.
set -eu
repository=$1 program=$2
secrets=/etc/watchkeeper.secrets
drop_ins=/etc/systemd/system/watchkeeper.service.d

install -m 755 "$program" /usr/local/bin/watchkeeper
cd "$repository/packaging/systemd"
install -m 644 watchkeeper.service /etc/systemd/system/
install -D -m 644 -t /etc/sysusers.d sysusers.d/watchkeeper.conf
install -D -m 644 -t /etc/tmpfiles.d tmpfiles.d/watchkeeper.conf
systemd-sysusers watchkeeper.conf
systemd-tmpfiles --create watchkeeper.conf

cd /lab/watchkeeper
install -m 640 -g watchkeeper watchkeeper.toml /lab/known_hosts /lab/ca.crt /etc/watchkeeper/
install -m 640 -g watchkeeper -t /etc/watchkeeper/policies policies/*.wasm
install -m 640 -g watchkeeper -t /etc/watchkeeper/plugins plugins/*.wasm

install -d -m 700 "$secrets"
install -m 600 /lab/*.password replicator.password /lab/id_ed25519 "$secrets"
install -D -m 644 -t "$drop_ins" drop-in.conf
echo '[Service]' >"$drop_ins/credentials.conf"
for name in rest repository jolokia replicator; do
  echo "LoadCredential=$name:$secrets/$name.password" >>"$drop_ins/credentials.conf"
done
echo "LoadCredential=id_ed25519:$secrets/id_ed25519" >>"$drop_ins/credentials.conf"
systemctl daemon-reload
