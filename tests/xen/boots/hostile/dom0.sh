# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# shellcheck source=../../lib/dom0.sh
. /lab/dom0.sh
GOOD=0000:00:05.0
BAD=0000:00:06.0
THIRD=0000:00:07.0
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
# frontend_of GUEST LINE...: the same with the script's lines as arguments
frontend_of() {
	local guest=$1
	shift
	guest_do "$guest" "printf '%s\n' $(printf "'%s' " "$@") | labfe" 300
}
frontend() { frontend_of hostile "$@"; }
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

scenario malformed-3343
check "a fresh start" fresh
frontend publish 'wait-be 4 20' malformed 'op 0 0 0 0 0 4 0' 'expect 0' 'expect-value 0x10d38086' >/tmp/malformed.out
check "it still answers what is well-formed" [ $? -eq 0 ]
check "it accepts none of 3343" prints '^malformed 3343 accepted 0 ' cat /tmp/malformed.out
check "all are answered" not grep -q timeout /tmp/malformed.out
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

scenario floods
# p99 of a write that reaches hardware, in microseconds, beside the slowest access of all
measure() {
	guest_do victim 'cfgprobe bench "$(config_of 8086:10d3)" 200' 60 >/tmp/bench || return 1
	p99=$(sed -n 's/.*cache-line-write .*p99_us=\([0-9]*\).*/\1/p' /tmp/bench)
	slowest=$(grep -v whole /tmp/bench | sed -n 's/.*max_us=\([0-9]*\).*/\1/p' | sort -n | tail -n1)
}
check "the victim alone" measure
alone=$p99
for kind in events ops bad states nodes; do
	check "a fresh start" fresh
	frontend publish 'wait-be 4 20' "burst $kind 4000" >"/tmp/burst-$kind.out" 2>&1 &
	burst=$!
	sleep 1
	p99='' slowest=''
	check "the victim works while there is a flood of $kind" measure
	note "flood of $kind: p99 of the victim's accesses $p99 us, alone $alone us, ratio \
$((${p99:-0} * 100 / alone)) %; slowest ${slowest:-none} us"
	check "no access takes as long as a frontend waits" [ "${slowest:-9999999}" -lt 1500000 ]
	wait "$burst"
	note "$(grep burst "/tmp/burst-$kind.out")"
done
check "the daemon lives" daemon_alive

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

scenario the-kernels-backend
# The same against Linux's xen-pciback, for comparison; its word is noted, not judged.
modprobe xen-pciback
check "xl gives a card to the kernel's backend" xl pci-assignable-add "$THIRD"
guest_create compared hostile 192 "pci = [ '$THIRD' ]"
check "its guest comes up" guest_wait_ready compared
frontend_of compared publish 'wait-be 4 20' malformed >/tmp/kernel.out
note "the kernel's backend: $(grep '^malformed 3343' /tmp/kernel.out)"
check "it was asked all of them" grep -q '^malformed 3343' /tmp/kernel.out
compared=$(guest_id compared)
guest_destroy compared
xenstore-rm "/local/domain/0/backend/pci/$compared"     # the kernel's backend leaves it there
xenstore-rm /libxl/pci/0000-00-07-0/domid 2>/dev/null
xl pci-assignable-remove "$THIRD" >/dev/null 2>&1
rmmod xen-pciback

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
