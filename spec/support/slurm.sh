#!/bin/sh
# slurm.sh DIR start|kill|again|stop: a Slurm of one node in DIR, on this machine
# alone. `kill` takes the node away with all that runs on it, `again` brings it
# back. As root.
set -eu
dir=$1
host=$(hostname -s)
node() { slurmd -D -f "$dir/slurm.conf" >"$dir/slurmd.out" 2>&1 & echo $! >"$dir/slurmd.own"; }
case $2 in
start)
    mkdir -p "$dir/state" "$dir/spool"
    chmod 755 "$dir"
    head -c 1024 /dev/urandom >"$dir/key"
    chmod 400 "$dir/key"
    munged --force --key-file="$dir/key" --socket="$dir/munge" --pid-file="$dir/munged.pid" \
        --log-file="$dir/munged.log" --seed-file="$dir/seed"
    cat >"$dir/slurm.conf" <<END
ClusterName=spec
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$3
SlurmdPort=$4
SlurmUser=root
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket=$dir/munge,cred_expire=5
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmdTimeout=10
SlurmctldTimeout=10
ReturnToService=2
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1
SlurmdParameters=config_overrides
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
END
    export SLURM_CONF="$dir/slurm.conf"
    slurmctld -D -f "$dir/slurm.conf" >"$dir/slurmctld.out" 2>&1 &
    echo $! >"$dir/slurmctld.own"
    node
    for _ in $(seq 300); do
        test "$(sinfo -h -o %t 2>/dev/null)" != idle || exit 0
        sleep 0.1
    done
    cat "$dir"/*.out >&2
    exit 1
    ;;
kill)
    # slurmd and the steps it has started, with all below them
    below() { for child in $(pgrep -P "$1"); do below "$child"; done; echo "$1"; }
    for step in $(pgrep -f "^slurmstepd: .*" -x) $(cat "$dir/slurmd.own"); do
        # shellcheck disable=SC2046 # one pid a word
        grep -qsF "$dir" "/proc/$step/cmdline" "/proc/$step/environ" && kill -9 $(below "$step") 2>/dev/null || true
    done
    ;;
again) node ;;
stop)
    "$0" "$dir" kill || true
    for name in slurmctld.own munged.pid; do kill "$(cat "$dir/$name")" 2>/dev/null || true; done
    sleep 1 # they still write
    ;;
esac
