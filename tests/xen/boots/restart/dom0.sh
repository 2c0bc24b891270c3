# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# shellcheck source=../../lib/dom0.sh
. /lab/dom0.sh
NIC=0000:00:05.0
OTHER=0000:00:06.0
# The kernel hands what it does not know to its first process, as its environment.
KILLS=${LAB_KILLS:-5}

modprobe pci-stub
host_bind "$NIC" e1000e
host_ping "$NIC" 1                  # also sets up the line's GSI, once and for all
snapshot /tmp/before
guest_create one pv 192
guest_create late late 192
guest_wait_ready one
guest_wait_ready late

killed_and_back() { daemon_kill; daemon_start; }
vectors_of() { hv_rights "$1" | sed -n 's/.*msis: //p'; }

scenario sigterm-keeps-guests
check "the daemon starts" daemon_start
check "guest one gets its device" ctl attach one "$NIC" --claim --wait 30
check "and uses it" guest_do one 'nic_up e1000e && ping_gateway 2' 60
check "the daemon stops" daemon_stop
check "pings need no daemon" guest_do one 'ping_gateway 3' 30
check "the daemon starts again" daemon_start
check "it knows the device" device_is assigned "$NIC"
check "config reads work" prints 0x10d38086 guest_do one 'cfgprobe read "$(config_of 8086:10d3)" 0 4'
check "pings come back" guest_do one 'ping_gateway 3' 30

scenario H9-kill-during-bus-scan
check "the late guest is given its device" ctl attach late "$OTHER" --claim
guest_do late 'modprobe xen-pcifront; within 20 pci_of 8086:10d3' 60 >/tmp/late.out 2>&1 &
scanning=$!
sleep 0.6
check "killed and started again" killed_and_back
wait "$scanning"
check "the guest finds its device" [ $? -eq 0 ]
check "and uses it" guest_do late 'nic_up e1000e && ping_gateway 3' 60

scenario H9-kill-under-reads
# Not one read may fail or be wrong. The loop ends when told to, so that it spans all the kills.
reads='c=$(config_of 8086:10d3); n=0; rm -f /tmp/stop
	while [ ! -e /tmp/stop ]; do [ "$(cfgprobe read "$c" 0 4)" = 0x10d38086 ] || exit 1; n=$((n + 1)); done; echo "$n reads"'
guest_do one "{ ($reads) >/tmp/reads 2>&1; echo \$? >/tmp/reads.status; } &" 5 >/dev/null
round=0
while [ "$round" -lt "$KILLS" ]; do
	round=$((round + 1))
	sleep 0.$((round * 37 % 10))
	check "kill $round: back" killed_and_back
done
sleep 1
guest_do one 'touch /tmp/stop; within 10 test -s /tmp/reads.status' 20
guest_do one 'cat /tmp/reads'
check "no read failed" guest_do one '[ "$(cat /tmp/reads.status)" = 0 ]'
check "pings come back" guest_do one 'ping_gateway 3' 30

scenario H10-kill-during-msi-enable
before=$(vectors_of one)
for pause in 0.2 0.5 0.9; do
	guest_do one 'rmmod e1000e; nic_up e1000e' 60 >/tmp/reload.out 2>&1 &
	loading=$!
	sleep "$pause"
	check "killed after $pause s and back" killed_and_back
	wait "$loading"
	check "the guest's driver comes up" [ $? -eq 0 ]
	check "by MSI-X, with pings" guest_do one '[ "$(vectors msi-x eth)" -ge 2 ] && ping_gateway 3' 30
done
check "no vector more than before: $before" [ "$(vectors_of one)" = "$before" ]

scenario claimed-devices-are-known-again
check "the late guest gives its device back" ctl detach late "$OTHER"
check "it is claimed" device_is claimed "$OTHER"
check "killed and started again" killed_and_back
check "it is still claimed" device_is claimed "$OTHER"
check "and can be given" ctl attach late "$OTHER" --wait 30
check "and used" guest_do late 'nic_up e1000e && ping_gateway 2' 60

scenario H2-guest-dies-without-daemon
daemon_kill
check "the guest dies" xl destroy one
check "the daemon starts" daemon_start
check "no domain is left behind" guest_gone one
check "the device is free again" within 15 device_is claimed "$NIC"
check "it masters no bus" not command_bit "$NIC" 4
check "release" ctl release "$NIC"
check "the host's driver is back" within 10 [ "$(pci_driver "$NIC")" = e1000e ]
check "and works" host_ping "$NIC" 3

scenario leaks
check "detach" ctl detach late "$OTHER"
check "release" ctl release "$OTHER"
check "the late guest shuts down" guest_shutdown late
check "the daemon stops" daemon_stop
check "nothing is left" nothing_left /tmp/before
exit 0
