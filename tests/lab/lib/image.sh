# shellcheck shell=bash disable=SC2153
# What is on the hosts' disks before they start. Sourced after common.sh and host.sh.
# $DISK/image is the layer that all hosts share; $DISK/HOST/upper is a host's own. $FILES is what a user of the lab
# needs (also seen as /lab in every host).

# User, services, sshd and broker: the layer all hosts share.
make_image() {
  local standin=$1 image=$DISK/image host service unit
  mkdir -p "$image"/etc/{dm,init.d} "$image"/usr/local/bin "$image/home/dmuser" "$image"/var/log/dm \
    "$image"/var/lib/dm/activemq/{conf,data,tmp}

  ! getent passwd "$DMUSER_ID" >/dev/null || die "user id $DMUSER_ID is taken on this machine: the lab needs it for dmuser"
  # A name of the machine's own that is dmuser gives way.
  { grep -v '^dmuser:' /etc/passwd && echo "dmuser:x:$DMUSER_ID:$DMUSER_ID::/home/dmuser:/bin/bash"; } >"$image/etc/passwd"
  { grep -v '^dmuser:' /etc/group && echo "dmuser:x:$DMUSER_ID:"; } >"$image/etc/group"
  # No password, yet not locked: sshd refuses locked accounts even with a key.
  printf 'root:*:19000:0:99999:7:::\ndmuser:*:19000:0:99999:7:::\nsshd:!:19000::::::\n' >"$image/etc/shadow"
  chmod 640 "$image/etc/shadow"
  {
    echo "127.0.0.1 localhost"
    for host in "${HOSTS[@]}"; do echo "${ADDRESS[$host]} $host"; done
  } >"$image/etc/hosts"

  install -m 755 "$LAB_HERE"/host/{init,start-host,boot-services,make-repository} "$image/etc/dm/"
  install -m 644 "$LAB_HERE"/host/{sshd_config,schema.sql} "$image/etc/dm/"
  # What systemd knows where it is the first process: little, so that it does not do to the machine what it does when
  # the machine itself starts.
  install -d "$image/etc/dm/units"
  install -m 644 "$LAB_HERE"/host/lab.{target,service} "$image/etc/dm/units/"
  for unit in {sysinit,basic,multi-user,network-online,shutdown,exit}.target systemd-journald.s{ervice,ocket} \
    systemd-journald-dev-log.socket; do
    ln -s "/lib/systemd/system/$unit" "$image/etc/dm/units/$unit"
  done
  install -m 755 "$LAB_HERE/host/dm" "$image/etc/init.d/dm"
  for service in "${SERVICES[@]}"; do ln -sf dm "$image/etc/init.d/dm-$service"; done
  install -m 644 "$LAB_HERE"/host/{activemq.xml,log4j.properties} "$image/var/lib/dm/activemq/conf/"
  (
    umask 077
    echo "dmadmin: lab-jolokia,admin" >"$image/var/lib/dm/activemq/conf/jolokia-users.properties"
    echo "lab-rest" >"$image/etc/dm/rest.password"
  )
  install -m 755 "$standin" "$image/usr/local/bin/dm-standin"
  chown -R "$DMUSER_ID:$DMUSER_ID" "$image/home/dmuser" "$image/var/lib/dm" "$image/var/log/dm" "$image/etc/dm/rest.password"
}

# Keys and certificates, and the files for whoever watches the lab.
make_keys() {
  local files=$FILES image=$DISK/image host upper
  ssh-keygen -q -t ed25519 -N '' -C dmuser -f "$files/id_ed25519"
  install -m 644 "$files/id_ed25519.pub" "$image/etc/dm/authorized_keys"
  : >"$files/known_hosts"
  for host in "${HOSTS[@]}"; do
    upper=$DISK/$host/upper
    mkdir -p "$upper/etc/dm/forbidden"
    ssh-keygen -q -t ed25519 -N '' -C "$host" -f "$upper/etc/dm/ssh_host_ed25519_key"
    echo "$host,${ADDRESS[$host]} $(cut -d' ' -f1,2 "$upper/etc/dm/ssh_host_ed25519_key.pub")" >>"$files/known_hosts"
    {
      echo "HOST=$host"
      case $host in
      dm1 | dm2) echo "INSTALLED='${SERVICES[*]}'" ;;
      dm3) echo "INSTALLED=agent" ;;
      *) echo "INSTALLED=" ;;
      esac
      echo "ADDRESS_DM1=${ADDRESS[dm1]}"
      echo "ADDRESS_DM2=${ADDRESS[dm2]}"
    } >"$upper/etc/dm/host.conf"
    : >"$upper/etc/dm/boot"
  done

  local work
  work=$(mktemp -d "$STATE/keys.XXXXXX")
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 -subj "/CN=Watchkeeper lab CA" \
    -addext keyUsage=critical,keyCertSign -keyout "$work/ca.key" -out "$files/ca.crt" 2>/dev/null
  for host in dm1 dm2; do
    upper=$DISK/$host/upper/etc/dm
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$host" \
      -keyout "$upper/rest.key" -out "$work/$host.csr" 2>/dev/null
    printf 'subjectAltName=DNS:%s,IP:%s,IP:127.0.0.1\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n' \
      "$host" "${ADDRESS[$host]}" >"$work/$host.ext"
    openssl x509 -req -in "$work/$host.csr" -CA "$files/ca.crt" -CAkey "$work/ca.key" -set_serial "0x$(openssl rand -hex 8)" \
      -days 365 -extfile "$work/$host.ext" -out "$upper/rest.crt" 2>/dev/null
    chown "$DMUSER_ID:$DMUSER_ID" "$upper"/rest.{key,crt}
    chmod 600 "$upper/rest.key"
  done
  rm -r "$work"
  printf '%s\n' lab-rest >"$files/rest.password"
  printf '%s\n' lab-watchkeeper >"$files/repository.password"
  printf '%s\n' lab-jolokia >"$files/jolokia.password"
  chmod 600 "$files"/*.password
}

# The repository that DM1 and DM2 start from. Made once per version of its recipe, then kept in $LAB_CACHE.
make_repositories() {
  local recipe template host builder
  recipe=$(cat "$LAB_HERE/host/schema.sql" "$LAB_HERE/host/make-repository" /usr/lib/postgresql/15/bin/postgres | sha256sum)
  template=$LAB_CACHE/repository-${recipe:0:16}
  if [ ! -d "$template" ]; then
    say "making the repository's template (once)"
    builder=builder
    mkdir -p "$DISK/$builder/upper/etc/dm"
    printf 'HOST=builder\nINSTALLED=\n' >"$DISK/$builder/upper/etc/dm/host.conf"
    : >"$DISK/$builder/upper/etc/dm/boot"
    ip netns add "$(netns_of "$builder")"
    ssh-keygen -q -t ed25519 -N '' -f "$DISK/$builder/upper/etc/dm/ssh_host_ed25519_key"
    start_host "$builder"
    enter "$builder" setpriv --reuid dmuser --regid dmuser --init-groups /etc/dm/make-repository
    kill_host "$builder"
    ip netns del "$(netns_of "$builder")"
    mkdir -p "$LAB_CACHE"
    # Another lab may be doing the same: the rename is what makes it visible.
    cp -a "$DISK/$builder/upper/var/lib/dm/repository" "$template.$$"
    mv -T "$template.$$" "$template" 2>/dev/null || rm -r "$template.$$"
    rmdir "$(cgroup_of "$builder")"
    rm -r "${DISK:?}/$builder" "$STATE/host/$builder"
  fi
  for host in dm1 dm2; do
    install -d -o "$DMUSER_ID" -g "$DMUSER_ID" "$DISK/$host/upper/var/lib/dm"
    cp -a "$template" "$DISK/$host/upper/var/lib/dm/repository"
  done
}

# What a configuration of the watchkeeper, or a script, needs to know.
write_environment() {
  local host
  {
    echo "# Lab '$LAB'. Paths are this machine's; every host sees the same folder as /lab."
    echo "LAB_NAME=$LAB"
    echo "LAB_DIR=$FILES"
    for host in "${HOSTS[@]}"; do echo "LAB_${host^^}=${ADDRESS[$host]}"; done
    echo "LAB_SSH_USER=dmuser"
    echo "LAB_SSH_PORT=22"
    echo "LAB_SSH_KEY=$FILES/id_ed25519"
    echo "LAB_KNOWN_HOSTS=$FILES/known_hosts"
    echo "LAB_CA=$FILES/ca.crt"
    echo "LAB_REST_PORT=1443"
    echo "LAB_REST_USER=dmapi"
    echo "LAB_REST_PASSWORD_FILE=$FILES/rest.password"
    echo "LAB_REPOSITORY_PORT=5432"
    echo "LAB_REPOSITORY_DATABASE=datamover"
    echo "LAB_REPOSITORY_USER=watchkeeper"
    echo "LAB_REPOSITORY_PASSWORD_FILE=$FILES/repository.password"
    echo "LAB_PUBLICATION=dm_pub"
    echo "LAB_SUBSCRIPTION=dm_sub"
    echo "LAB_OPENWIRE_PORT=61616"
    echo "LAB_STOMP_PORT=61613"
    echo "LAB_JOLOKIA_PORT=8161"
    echo "LAB_JOLOKIA_USER=dmadmin"
    echo "LAB_JOLOKIA_PASSWORD_FILE=$FILES/jolokia.password"
  } >"$FILES/lab.env"
}
