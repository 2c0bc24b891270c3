# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# shellcheck source=../../lib/dom0.sh
. /lab/dom0.sh
GOOD=0000:00:05.0
BAD=0000:00:06.0
FE=/local/domain/none

modprobe pci-stub
snapshot /tmp/before
guest_create victim pv 192
GUEST_VCPUS=2                   # one of them rewrites an op while the other waits for it
guest_create hostile hostile 192
guest_wait_ready victim
guest_wait_ready hostile
FE=/local/domain/$(guest_id hostile)/device/pci/0

# fresh: a new frontend directory, whatever the last attack left
fresh() {
	ctl detach hostile "$BAD" --force >/dev/null 2>&1
	ctl attach hostile "$BAD"
}
# attack FILE [SECONDS]: have the hostile guest play this script; its status is the number of failed expectations
attack() { guest_do hostile "printf '%s\n' '$(grep -v '^#' "/lab/boot/$1")' | labfe" "${2:-60}"; }
# frontend LINE...: the same with the script's lines as arguments
frontend() { guest_do hostile "printf '%s\n' $(printf "'%s' " "$@") | labfe" 40; }
victim_works() { guest_do victim 'ping_gateway 2' 40; }
# Ten times what an access costs under emulation, and still below the two seconds after which a frontend gives up.
victim_is_served() {
	guest_do victim 'cfgprobe bench "$(config_of 8086:10d3)" 60' 60 >/tmp/served || return 1
	cat /tmp/served
	[ "$(grep -v whole /tmp/served | sed -n 's/.*max_us=\([0-9]*\).*/\1/p' | sort -n | tail -n1)" -lt 1500000 ]
}
still_there() {
	check "the daemon lives" daemon_alive
	check "the victim pings" victim_works
}
bad_counts() { ctl --json stats | json_sum '[a-z_]*(err|invalid|bad|malformed|not_found|denied|unknown|spurious)[a-z_]*'; }

scenario bad-publish
check "the daemon starts" daemon_start
check "the victim gets its device" ctl attach victim "$GOOD" --claim --wait 30
check "and works" guest_do victim 'nic_up e1000e && ping_gateway 2' 60
check "the hostile guest gets one" ctl attach hostile "$BAD" --claim
counted=$(bad_counts)
# Reference 0 is missing on purpose: it is the page of the guest's own console, granted to dom0, and so a good one.
for words in magic=6 magic= port=0 port=4000000000 port=x ref=9999 ref=4294967295 ref=x; do
	frontend "publish $words" 'sleep 0.7' be >/tmp/publish.out
	check_fails "$words does not connect" prints 'backend state=4' cat /tmp/publish.out
	check "after $words the device can be given again" fresh
done
frontend 'write-node magic 7' 'state 3' 'sleep 0.7' be >/tmp/publish.out
check_fails "no port and no reference do not connect" prints 'backend state=4' cat /tmp/publish.out
check "a good one connects after all" fresh
check "and is served" frontend publish 'wait-be 4 20' 'op 0 0 0 0 0 4 0' 'expect 0'
still_there

scenario malformed-ops
check "a fresh start" fresh
check "each gets its own error" attack ops 120
still_there

scenario malformed-msi
check "a fresh start" fresh
check "each gets its own error" attack msi
still_there
check "no vector is left behind" prints 'msis: 0' hv_rights hostile

scenario double-fetch
check "a fresh start" fresh
check "ops that change while they are read do no harm" attack scribble 60
still_there

scenario event-flood
check "a fresh start" fresh
attack flood 60 >/tmp/flood.out 2>&1 &
flooding=$!
check "the victim is served meanwhile" victim_is_served
wait "$flooding"
check "the flooding guest is still answered" [ $? -eq 0 ]
still_there
ticks() { awk '{ print $14 + $15 }' "/proc/$(daemon_pid)/stat"; }
before=$(ticks)
sleep 2
check "and the daemon sleeps again" [ $(($(ticks) - before)) -lt 20 ]

scenario state-storm
check "a fresh start" fresh
attack storm 60 >/tmp/storm.out 2>&1 &
storming=$!
check "the victim is served meanwhile" victim_is_served
wait "$storming"
check "the storm is over" [ $? -eq 0 ]
check "the device can be given again" fresh
check "and works" frontend publish 'wait-be 4 20' 'op 0 0 0 0 0 4 0' 'expect 0' 'expect-value 0x10d38086'
still_there

scenario guest-owned-nodes
# The frontend's directory is the guest's: it may delete it, and may point it elsewhere.
check "a fresh start" fresh
check "connected" frontend publish 'wait-be 4 20'
guest_do hostile 'xenstore-write device/pci/0/backend /local/domain/0/backend/pcibackd/1/0' >/dev/null
guest_do hostile 'xenstore-rm device/pci/0/state' >/dev/null
guest_do hostile 'xenstore-rm device/pci/0' >/dev/null
sleep 1
check "the guest's directory is gone" not xenstore-read "$FE/state"
still_there
check "the device can be given again" fresh
guest_do hostile 'xenstore-write device/pci/0/state 99999999999999999999; xenstore-write device/pci/0/state "4 or so"' >/dev/null
big='xenstore-write device/pci/0/pci-op-ref $(head -c 1500 /dev/zero | tr "\\0" 9); xenstore-write device/pci/0/state 3'
guest_do hostile "$big" >/dev/null
sleep 1
still_there
check "the device can be given again" fresh

scenario counters
check "errors were counted" [ "$(bad_counts)" -gt "$counted" ]
check "the log was not flooded" [ "$(wc -l <"$DAEMON_LOG")" -lt 2000 ]

scenario leaks
ctl detach hostile "$BAD" --force >/dev/null 2>&1
check "the victim gives its device back" ctl detach victim "$GOOD"
check "the hostile guest dies" guest_destroy hostile
check "the victim shuts down" guest_shutdown victim
check "release the hostile guest's device" within 15 ctl release "$BAD"
check "release the victim's" ctl release "$GOOD"
check "the daemon stops" daemon_stop
check "nothing is left" nothing_left /tmp/before
exit 0
