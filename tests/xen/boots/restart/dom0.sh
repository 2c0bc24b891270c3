# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# shellcheck source=../../lib/dom0.sh
. /lab/dom0.sh
NIC=0000:00:05.0
SCANNED=0000:00:06.0
SPARE=0000:00:07.0
JOURNAL=/run/pcibackd/journal
KILLS=12
[ ! -e /lab/kills ] || KILLS=$(cat /lab/kills)

modprobe pci-stub
# Two guests that never rest would leave dom0 a third of this slow machine, and a start of the daemon takes dom0's time.
xl sched-credit2 -d Domain-0 -w 8192
snapshot /tmp/before
guest_create net pv 192
guest_create scan pv 192
guest_wait_ready net
guest_wait_ready scan

vectors_of() { hv_rights "$1" | sed -n 's/.*msis: //p'; }
works() { guest_do net 'ping_gateway 2' 30; }
killed_and_back() { daemon_kill; daemon_start; }
# The kernels' own complaints about a device, a timeout or the backend.
complaints='dmesg | grep -iE "not responding|timed out|NETDEV WATCHDOG|hung|Unable to|Transmit Queue|Reset adapter|pcifront.*(fail|error)"'
quiet() { ! guest_do "$1" "$complaints"; }
# served_in FIRST: how long the starts since this line of the log took until all guests were served, in ms, slowest last
served_in() { tail -n +"$1" "$DAEMON_LOG" | sed -nE 's/.* served again in ([0-9]+) ms.*/\1/p' | sort -n; }

scenario sigterm-keeps-guests
check "the daemon starts" daemon_start || exit 1
check "a guest gets a card" ctl attach net "$NIC" --claim --wait 30
check "and uses it by MSI-X" guest_do net 'nic_up e1000e && ping_gateway 2 && [ "$(vectors msi-x eth)" -ge 2 ]' 60
vectors=$(vectors_of net)
check "the other gets one" ctl attach scan "$SCANNED" --claim --wait 30
check "and sees it" guest_do scan 'within 20 pci_of 8086:10d3'
check "the daemon stops" daemon_stop
check "pings need no daemon" works
check "the daemon starts again" daemon_start
check "it knows the first card" device_is assigned "$NIC"
check "and the second" device_is assigned "$SCANNED"
check "config reads work" prints 0x10d38086 guest_do net 'cfgprobe read "$(config_of 8086:10d3)" 0 4'
check "the driver goes and comes back" guest_do net 'rmmod e1000e && nic_up e1000e && ping_gateway 2' 60

scenario H9-killed-at-any-moment
# One guest scans without a pause, the other pings and loads its driver again and again. 
guest_do scan 'dmesg -c' >/dev/null
guest_do net 'dmesg -c' >/dev/null
check "a scan begins" guest_do scan '
	{ cfgprobe scan $(config_of 8086:10d3) /tmp/stop 0xfc; echo status=$?; } >/tmp/scan 2>&1 </dev/null &'
check "so does the traffic" guest_do net '
	work() { n=0; while [ ! -e /tmp/stop ]; do
		ping_gateway 2 || { echo "round $n: ping"; return 1; }
		rmmod e1000e && nic_up e1000e || { echo "round $n: driver"; return 1; }
		n=$((n + 1)); done; echo "$n rounds"; }
	{ work; echo status=$?; } >/tmp/work 2>&1 </dev/null &'
begin=$(wc -l <"$DAEMON_LOG")
random_sleep() { sleep "$(awk -v max="$1" -v r="$(od -An -N2 -tu2 /dev/urandom)" 'BEGIN { printf "%.2f", r / 65536 * max }')"; }
starts_that_served() { [ "$(served_in "$begin" | wc -l)" -gt "$1" ]; }
kill=0
while [ "$kill" -lt "$KILLS" ]; do
	kill=$((kill + 1))
	daemon_alive || { fail "kill $kill: it was gone already"; tail -n 5 "$DAEMON_LOG"; }
	served=$(served_in "$begin" | wc -l)
	daemon_kill
	daemon_launch
	sleep 1 # looking for the line takes the processors that the start needs
	within 20 starts_that_served "$served" || fail "start $kill: no guest was served again"
	random_sleep 1.2
done
check "after $KILLS kills it answers" within 20 ctl list
sleep 1
check "the scan ends" guest_do scan 'touch /tmp/stop; within 20 grep -q status= /tmp/scan' 30
check "the traffic ends" guest_do net 'touch /tmp/stop; within 40 grep -q status= /tmp/work' 60
guest_do scan 'cat /tmp/scan' >/tmp/scan
guest_do net 'cat /tmp/work' >/tmp/work
note "$(cat /tmp/scan)"
note "$(grep rounds /tmp/work); starts: $(served_in "$begin" | wc -l), served after (ms): $(served_in "$begin" | tr '\n' ' ')"
check "no access failed" prints 'status=0' cat /tmp/scan
check "no ping and no driver failed" prints 'status=0' cat /tmp/work
check "the scanning guest's kernel says nothing" quiet scan
check "nor does the other's" quiet net
check "every start served its guests" [ "$(served_in "$begin" | wc -l)" -eq "$KILLS" ]

scenario killed-while-it-starts
# Two starts of this machine take longer than the 2 s after which a frontend gives an operation up: it may, and goes on.
for round in 1 2 3 4 5 6; do
	daemon_kill
	daemon_launch
	random_sleep 0.4
	daemon_alive || { fail "round $round: it was gone already"; tail -n 5 "$DAEMON_LOG"; }
done
check "it comes back" within 20 ctl list
check "a device answers" prints 0x10d38086 guest_do scan 'cfgprobe read "$(config_of 8086:10d3)" 0 4'
check "the other's driver goes and comes back" guest_do net 'rmmod e1000e && nic_up e1000e && ping_gateway 2' 60

scenario H10-no-pirq-is-lost
check "the guest has the vectors it had: $vectors" prints "^$vectors\$" vectors_of net
for pause in 0.1 0.3 0.5 0.7; do
	guest_do net 'rmmod e1000e; nic_up e1000e && ping_gateway 1' 60 >/tmp/reload.out 2>&1 &
	loading=$!
	sleep "$pause"
	check "killed $pause s after the driver went, and back" killed_and_back
	wait "$loading"
	check "the driver comes up" [ $? -eq 0 ]
done
check "still those vectors" prints "^$vectors\$" vectors_of net

scenario upgrade-and-back
check "the daemon is killed" daemon_kill
check "a newer one starts" daemon_start_as /usr/sbin/pcibackd-next
check "it serves" device_is assigned "$NIC"
check "the guest's driver goes and comes back" guest_do net 'rmmod e1000e && nic_up e1000e && ping_gateway 2' 60
check "it stops" daemon_stop
check "the older one starts" daemon_start
check "and serves" guest_do net 'rmmod e1000e && nic_up e1000e && ping_gateway 2' 60

scenario H20-states-moved-meanwhile
daemon_kill
check "the guest unloads its frontend" guest_do scan 'echo pci-0 >/sys/bus/xen/drivers/pcifront/unbind; rmmod xen-pcifront' 30
check "the daemon starts" daemon_start
# A frontend that is loaded while it still says Closed goes away for good.
check "and waits for it again" within 10 prints 'scan.* InitWait' ctl guests
check "the frontend comes back" guest_do scan 'modprobe xen-pcifront; within 20 pci_of 8086:10d3' 40
check "its device answers" prints 0x10d38086 guest_do scan 'cfgprobe read "$(config_of 8086:10d3)" 0 4'

scenario verbs-after-adoption
check "a third device is attached" ctl attach net "$SPARE" --claim --wait 30
check "killed and back" killed_and_back
check "the guest uses it" guest_do net 'nic_up 8139cp && ping_gateway 2' 60
check "and gives it back" ctl detach net "$SPARE"
check "killed and back" killed_and_back
check "it is claimed" device_is claimed "$SPARE"
check "release" ctl release "$SPARE"
check "the first card still works" guest_do net 'nic_up e1000e && ping_gateway 2' 60

scenario detach-all
check "the daemon stops" daemon_stop
check "every device is taken back, and it ends well" pcibackd --detach-all
note "$(tail -n 1 "$LAB_RUN/check.out")"
check "one guest sees its card go" within 10 guest_do net '! pci_of 8086:10d3'
check "so does the other" within 10 guest_do scan '! pci_of 8086:10d3'
check "no interrupt is left to it" prints '^(0|)$' vectors_of net
check "nor memory" prints 'memory \{ \}' hv_rights net
check "the daemon starts" daemon_start
check "the first is claimed" device_is claimed "$NIC"
check "so is the second" device_is claimed "$SCANNED"
check "it is given again" ctl attach net "$NIC" --wait 30
check "and works" guest_do net 'nic_up e1000e && ping_gateway 2' 60
check "so is the other" ctl attach scan "$SCANNED" --wait 30

scenario H2-guest-dies-without-daemon
daemon_kill
check "the guest dies" xl destroy scan
check "the daemon starts" daemon_start
check "no domain is left behind" guest_gone scan
check "the device is free again" within 15 device_is claimed "$SCANNED"
check "it masters no bus" not command_bit "$SCANNED" 4
check "another guest comes up" guest_start late pv 192
check "it gets the device" ctl attach late "$SCANNED" --wait 30
check "and uses it" guest_do late 'nic_up e1000e && ping_gateway 2' 60

scenario journal-lost
daemon_kill
head -c 4096 /dev/urandom >"$JOURNAL"
check "the daemon starts without its journal" daemon_start
check "it says so" grep -q 'journal' "$DAEMON_LOG"
check "a device of a living guest is taken back" within 30 prints 'journal-lost' ctl why "$NIC"
check "so is the other guest's" within 30 prints 'journal-lost' ctl why "$SCANNED"
check "and goes to nobody else while that guest lives" prints tainted ctl why "$NIC"
check "nobody has a right to it" prints 'memory \{ \}' hv_rights net
check "nor an interrupt of it" prints '^(0|)$' vectors_of net
check "the guest lives" guest_do net true
check "so does the other" guest_do late true

scenario leaks
check "its guest dies" guest_destroy net
check "the other dies" guest_destroy late
check "what was lost can be released" within 15 ctl release "$NIC"
check "both can" within 15 ctl release "$SCANNED"
# SERR, which the firmware had set, was known to the lost journal alone.
for device in "$NIC" "$SCANNED"; do setpci -s "$device" COMMAND=100:100; done
check "the daemon stops" daemon_stop
check "nothing is left" nothing_left /tmp/before
exit 0
