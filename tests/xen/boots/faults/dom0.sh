# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# shellcheck source=../../lib/dom0.sh
. /lab/dom0.sh
NIC=0000:00:05.0
OTHER=0000:00:06.0
SPARE=0000:00:07.0

modprobe pci-stub
snapshot /tmp/before
guest_create a pv 192
guest_create b pv 192
guest_wait_ready a
guest_wait_ready b

works() { guest_do a 'ping_gateway 2' 30; }
reads() { prints 0x10d38086 guest_do a 'cfgprobe read "$(config_of 8086:10d3)" 0 4'; }
status_of() { sed -n "s/^$2:[[:space:]]*//p" "/proc/$1/status"; }
threads_of() { ls "/proc/$1/task"; }

scenario T20-least-privilege
check "the daemon starts" daemon_start || exit 1
for thread in $(threads_of "$(daemon_pid)"); do
	for set in CapInh CapPrm CapEff CapBnd CapAmb; do
		check "$set of thread $thread is empty" [ "$(status_of "$thread" $set)" = 0000000000000000 ]
	done
	check "it is not root" [ "$(status_of "$thread" Uid | cut -f1)" -ne 0 ]
	check "nor in root's group" [ "$(status_of "$thread" Gid | cut -f1)" -ne 0 ]
	check "it can gain nothing" [ "$(status_of "$thread" NoNewPrivs)" = 1 ]
	check "its system calls are filtered" [ "$(status_of "$thread" Seccomp)" = 2 ]
done
check "it has one helper" [ "$(daemon_children | wc -l)" -eq 1 ]
helper=$(daemon_children)
note "the helper's capabilities: $(status_of "$helper" CapEff)"
check "the helper has not all capabilities" [ "$(status_of "$helper" CapEff)" != "$(status_of 1 CapEff)" ]
check "its system calls are filtered, too" [ "$(status_of "$helper" Seccomp)" = 2 ]
check "a guest gets a card" ctl attach a "$NIC" --claim --wait 30
check "and uses it by MSI-X" guest_do a 'nic_up e1000e && ping_gateway 2 && [ "$(vectors msi-x eth)" -ge 2 ]' 60
check "nothing was refused" not grep -q 'audit.*SECCOMP\|seccomp' "$DAEMON_LOG"

scenario state-directory-full
check "the daemon stops" daemon_stop
mkdir -p /mnt/small
mount -t tmpfs -o size=16k small /mnt/small
daemon_config '{ "state_dir": "/mnt/small" }'
timeout 20 /usr/sbin/pcibackd --config /etc/pcibackd.json >/tmp/small 2>&1
check "on a file system without room it does not start" [ $? -eq 1 ]
check "and says why" prints '/mnt/small' cat /tmp/small
umount /mnt/small
daemon_config '{}'
check "the daemon starts again" daemon_start
mount -o remount,size=16m /run
dd if=/dev/zero of=/run/fill bs=64k 2>/dev/null
check "running guests do not need room" reads
check "another device can be taken or is refused with a reason" sh -c 'pcibackctl claim 0000:00:07.0 >/tmp/claim 2>&1 || grep -qiE "room|full|space" /tmp/claim'
note "$(cat /tmp/claim)"
check "killed" daemon_kill
check "and started again on the full file system" daemon_start
check "it serves its guest" reads
rm /run/fill
mount -o remount,size=50% /run
ctl release "$SPARE" >/dev/null 2>&1
check "pings come back" works

scenario out-of-descriptors
open_now=$(find "/proc/$(daemon_pid)/fd" -mindepth 1 | wc -l)
daemon_kill
(ulimit -n 16; timeout 20 /usr/sbin/pcibackd --config /etc/pcibackd.json) >/tmp/few 2>&1
check "without descriptors it does not start" [ $? -eq 1 ]
check "and says why" prints 'Too many open files' cat /tmp/few
note "$open_now descriptors are open; from here on two more are possible"
ulimit -n $((open_now + 2))
check "it starts" daemon_start
check "it serves its guest" reads
for device in "$OTHER" "$SPARE"; do
	ctl claim "$device" >/tmp/claim 2>&1 || check "what is refused has its reason" prints 'descriptors|open files' cat /tmp/claim
done
for _ in 1 2 3 4 5 6; do (ctl stats >/dev/null 2>&1 &); done
check "it lives" daemon_alive
check "it serves its guest still" reads
ulimit -n 1024
check "killed" daemon_kill
check "it starts with enough" daemon_start
for device in "$OTHER" "$SPARE"; do
	check "$device can be claimed" ctl claim "$device"
	check "and released" ctl release "$device"
done

scenario helper-stopped
helper=$(daemon_children)
kill -STOP "$helper"
check "a guest's accesses need no helper" reads
(ctl claim "$SPARE" >/tmp/claim 2>&1; echo $? >/tmp/claim.status) &
sleep 1
check "nor does a listing" ctl list
kill -CONT "$helper"
check "what waited for it is done" within 20 prints '^0$' cat /tmp/claim.status
check "release" ctl release "$SPARE"

scenario helper-killed
helper=$(daemon_children)
kill -KILL "$helper"
wait "$(daemon_pid)"
check "without its helper the daemon ends, and says so by its status" [ $? -eq 3 ]
check "pings need no daemon" works
check "it starts again" daemon_start
check "its guest is served" reads
check "another device can be claimed" ctl claim "$SPARE"
check "and released" ctl release "$SPARE"

scenario guest-paused
# A frontend gives an operation up after 2 s of its own clock, which a pause does not stop.
check "a scan begins" guest_do a '{ cfgprobe scan $(config_of 8086:10d3) /tmp/stop 0xfc; echo status=$?; } >/tmp/scan 2>&1 </dev/null &'
for pause in 0.1 0.3 0.5 0.7 0.9; do
	xl pause a
	sleep $pause
	xl unpause a
	sleep 0.3
done
check "the scan ends" guest_do a 'touch /tmp/stop; within 20 grep -q status= /tmp/scan' 30
note "$(guest_do a 'cat /tmp/scan')"
check "no access failed" prints 'failed=0 ' guest_do a 'cat /tmp/scan'
check "none is told to have" not guest_do a 'dmesg | grep "not responding"'
xl pause a
check "another guest gets a device while it stands still" ctl attach b "$OTHER" --claim --wait 30
check "and gives it back" ctl detach b "$OTHER"
xl unpause a
check "it is served again" reads
check "release" ctl release "$OTHER"

scenario xenstored-live-update
check "xenstored is replaced while it runs" xenstore-control live-update -t 20 "$(command -v xenstored)"
check "the guest is served" reads
check "another guest gets a device" ctl attach b "$OTHER" --claim --wait 30
check "and gives it back" ctl detach b "$OTHER"
check "release" ctl release "$OTHER"
check "the daemon did not notice, or came back" daemon_alive

scenario reload-without-privileges
daemon_config '{ "limits": { "ops_per_turn": 8 } }'
check "a reload reads the files again" ctl reload
check "and it is in force" sh -c 'pcibackctl --json stats | tr -d " \n" | grep -q "\"ops_per_turn\":{\"value\":8"'
check "the guest is served" reads

scenario leaks
check "the device comes back" ctl detach a "$NIC"
check "release" ctl release "$NIC"
check "guest b shuts down" guest_shutdown b
check "so does a" guest_shutdown a
check "the daemon stops" daemon_stop
check "nothing is left" nothing_left /tmp/before

exit 0
