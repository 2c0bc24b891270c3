# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# shellcheck source=../../lib/dom0.sh
. /lab/dom0.sh
E1000=0000:00:04.0
NIC=0000:00:05.0
OTHER=0000:00:06.0
NVME=0000:00:07.0
ON_LINE=0000:00:08.0
RTL8139=0000:00:09.0
IN_PAGE=0000:00:0a.0
LOCAL=/etc/pcibackd/quirks.d

modprobe pci-stub
mkdir -p "$LOCAL"
setpci -s "$NVME" COMMAND=0:4           # the firmware has looked for a disk to boot from
# Firmware gives each BAR a page of its own; the kernel, which places these two anew, does not.
for device in $RTL8139 $IN_PAGE; do echo 1 >"/sys/bus/pci/devices/$device/remove"; done
echo 1 >/sys/bus/pci/rescan
host_bind "$NIC" e1000e
host_bind "$E1000" e1000
snapshot /tmp/before
guest_create holder scripted 192
guest_create b pv 192
guest_create stock pv 192
for guest in holder b stock; do guest_wait_ready "$guest"; done

frontend() { guest_do holder "printf '%s\n' $(printf "'%s' " "$@") | labfe" 60; }
# tally GUEST KIND: how many reads of the guest's program went so
tally() { guest_do "$1" 'cat /tmp/tally' | sed -n "s/.*$2=\([0-9]*\).*/\1/p"; }
lost() { guest_do "$1" 'cat /tmp/tally' | sed 's/[a-z]*=//g' | awk '{ print $2 + $3 + $4 + $5 }'; }
# sees GUEST: within a second its program has read the device, and nothing else
sees() {
	local before other
	before=$(tally "$1" same) other=$(lost "$1")
	sleep 1
	guest_do "$1" 'cat /tmp/tally'
	[ "$(tally "$1" same)" -gt "$before" ] && [ "$(lost "$1")" -eq "$other" ]
}
# blind GUEST: the reverse
blind() {
	local before other
	before=$(tally "$1" same) other=$(lost "$1")
	sleep 1
	guest_do "$1" 'cat /tmp/tally'
	[ "$(tally "$1" same)" -eq "$before" ] && [ "$(lost "$1")" -gt "$other" ]
}
no_rights() { prints "memory { }" hv_rights "$1" && prints 'gsis: msis: 0' hv_rights "$1"; }
bar_of() { sed -n '1s/ .*//p' "/sys/bus/pci/devices/$1/resource"; }

scenario H7-mapping-ends-with-decode
check "the daemon starts" daemon_start || exit 1
# A frontend that never answers, and a program with a mapping of its own.
check "the holder gets the card" ctl attach holder "$NIC" --claim
check "it turns memory decode on" frontend publish 'wait-be 4 20' 'op 1 0 0 0 4 2 2' 'expect 0' 'op 0 0 0 0 0 4 0' 'expect-value 0x10d38086'
address=$(printf '0x%x' $(($(bar_of "$NIC") + 0x5400)))
check "a program maps the registers" guest_do holder "hold /dev/mem $address /tmp/tally >/tmp/hold.out 2>&1 &
	within 5 test -s /tmp/tally; cat /tmp/hold.out; grep holding /tmp/hold.out"
check "it sees the device" sees holder
begun=$(_uptime)
check "the card is taken away by force" ctl detach holder "$NIC" --force
note "forced detach from $begun to $(_uptime) s"
check "the program no longer sees the device" blind holder
note "$(guest_do holder 'cat /tmp/tally')"
check "memory decode is off" not command_bit "$NIC" 2
check "bus mastering is off" not command_bit "$NIC" 4
check "the guest has no right left" no_rights holder

scenario H7-tainted-until-the-guest-is-gone
check "the card is claimed" device_is claimed "$NIC"
check "and tainted" prints '"tainted": *true' ctl --json show "$NIC"
ctl attach b "$NIC" >/tmp/refused 2>&1
check "another guest does not get it" [ $? -eq 1 ]
check "in one line" [ "$(wc -l </tmp/refused)" -eq 1 ]
note "$(cat /tmp/refused)"
check "that names the guest" prints "domain $(guest_id holder)" cat /tmp/refused
check "why says so, too" prints "domain $(guest_id holder)" ctl why "$NIC"
note "$(ctl why "$NIC" 2>&1 | tr '\n' '|')"
check "dom0's driver does not get it" [ "$(pci_driver "$NIC")" != e1000e ]
check "decode is still off" not command_bit "$NIC" 2

scenario H7-reassign-while-alive
daemon_config '{ "devices": [ { "bdf": "'$NIC'", "reassign_while_alive": true } ] }'
check "the operator says so" ctl reload
check "another guest gets it now" ctl attach b "$NIC" --wait 30
check "and works" guest_do b 'nic_up e1000e && ping_gateway 2' 60
check "which is why it needs saying: the holder sees it again" sees holder
check "it comes back" ctl detach b "$NIC"
daemon_config '{}'
check "he takes it back" ctl reload
check_fails "another guest does not get it" ctl attach b "$NIC"
check "unless forced" ctl attach b "$NIC" --force --wait 30
check "it comes back" ctl detach b "$NIC"
check "the holder dies" guest_destroy holder
untainted() { prints '"tainted": *false' ctl --json show "$NIC"; }
check "the taint ends with it" within 15 untainted
check "the other guest gets it" ctl attach b "$NIC" --wait 30
check "and works" guest_do b 'nic_up e1000e && ping_gateway 2' 60

scenario H7-detach-force-of-a-stock-guest
# The stock frontend answers and its kernel removes the device; the mapping outlives that.
check "the stock guest gets a card" ctl attach stock "$OTHER" --claim --wait 30
check "a program maps its registers" guest_do stock 'dev=/sys/bus/pci/devices/$(pci_of 8086:10d3); echo 1 >$dev/enable
	hold $dev/resource0 0x5400 /tmp/tally >/tmp/hold.out 2>&1 &
	within 5 test -s /tmp/tally; cat /tmp/hold.out; grep holding /tmp/hold.out' 30
check "it sees the device" sees stock
check "the card is taken away by force" ctl detach stock "$OTHER" --force
check "the program no longer sees the device" blind stock
note "$(guest_do stock 'cat /tmp/tally')"
check "the guest has no right left" no_rights stock

scenario H12-shared-interrupt-line
check "claim" ctl claim "$E1000"
check "why names who is on the line" prints "$ON_LINE" ctl why "$E1000"
note "$(ctl why "$E1000" 2>&1 | tr '\n' '|')"
check "the log does, too" grep -q "$E1000.*$ON_LINE\|$ON_LINE.*$E1000" "$DAEMON_LOG"
check "a guest gets it all the same" ctl attach b "$E1000" --wait 30
check "and works" guest_do b 'nic_up e1000 && ping_gateway 2' 60
check "it comes back" ctl detach b "$E1000"
check "release" ctl release "$E1000"

scenario H12-shared-page
page_of() { sed -n '2s/^\(0x[0-9a-f]*\)[0-9a-f]\{3\} .*/\1/p' "/sys/bus/pci/devices/$1/resource"; }
check "the machine is as wanted: one page has both cards' registers" [ "$(page_of "$RTL8139")" = "$(page_of "$IN_PAGE")" ]
check "claim" ctl claim "$RTL8139"
check "why names whose registers are in the page" prints "$IN_PAGE" ctl why "$RTL8139"
note "$(ctl why "$RTL8139" 2>&1 | tr '\n' '|')"
ctl attach b "$RTL8139" >/tmp/refused 2>&1
check "a guest does not get it" [ $? -eq 1 ]
check "for that reason" prints "$IN_PAGE" cat /tmp/refused
note "$(cat /tmp/refused)"
check "unless the other one is claimed as well" ctl claim "$IN_PAGE"
check "which it is" ctl attach b "$RTL8139" --wait 30
check "it works" guest_do b 'nic_up 8139cp && ping_gateway 2' 60
ctl attach stock "$IN_PAGE" >/tmp/refused 2>&1
check "the other one goes to no other guest" [ $? -eq 1 ]
check "for that reason" prints "$RTL8139" cat /tmp/refused
note "$(cat /tmp/refused)"
check "it comes back" ctl detach b "$RTL8139"
for device in $RTL8139 $IN_PAGE; do check "release $device" ctl release "$device"; done

scenario H7-release-force
check "the card may be given to the same guest" ctl attach stock "$OTHER" --wait 30
xl pause stock
ctl release "$OTHER" >/tmp/refused 2>&1
check "a device that a guest has is not released" [ $? -eq 1 ]
note "$(cat /tmp/refused)"
check "it is still the guest's" device_is assigned "$OTHER"
check "unless forced" ctl release "$OTHER" --force
check "the guest has no right left" no_rights stock
check "the host's driver has it" within 10 driver_is e1000e "$OTHER"
xl unpause stock
check "the guest dies" guest_destroy stock

scenario H6-reset-that-lasts-5s
cat >"$LOCAL/90-lab.json" <<-END
	{ "schema": 1, "quirks": [ { "id": "lab-slow", "reason": "the lab wants a slow reset", "source": "https://example.org/lab",
	  "match": { "vendor": "0x1b36", "device": "0x0010" }, "device": { "delay_after_reset_ms": 5000 } } ] }
END
check "the quirk is read" ctl reload
check "claim" ctl claim "$NVME"
check "the other guest's network is up" guest_do b 'nic_up e1000e && ping_gateway 1' 60
denied=$(ctl --json show "$NIC" | json_sum denied_writes)
operations() { ctl --json guests | json_sum ops; }
ops_before=$(operations)
guest_operated() { [ "$(operations)" -gt "$ops_before" ]; }
ctl reset "$NVME" >/tmp/reset.out 2>&1 &
resetting=$!
sleep 0.5
check "the disk is being reset" device_is resetting "$NVME"
guest_do b 'cfgprobe bench "$(config_of 8086:10d3)" 100' 90 >/tmp/bench.out 2>&1 &
benching=$!
within 3 guest_operated
first=$(operations)
sleep 1
check "the other guest's accesses go on" [ "$(operations)" -gt "$first" ]
check "during the reset" device_is resetting "$NVME"
wait "$benching"
check "all of them" [ $? -eq 0 ]
check "and its pings" guest_do b 'ping_gateway 1' 30
worst=$(grep -v whole /tmp/bench.out | sed -n 's/.*max_us=//p' | sort -n | tail -n1)
note "slowest access of the undisturbed guest: $worst us"
check "none waited for it" [ "${worst%.*}" -lt 1500000 ]
check "nothing was denied" [ "$(ctl --json show "$NIC" | json_sum denied_writes)" -eq "$denied" ]
check "other verbs are answered meanwhile" ctl guests
wait "$resetting"
check "the reset is done" [ $? -eq 0 ]
cat /tmp/reset.out
check "the disk is claimed" device_is claimed "$NVME"
check "it took its five seconds" [ "$(ctl --json show "$NVME" | json_sum reset_ms)" -ge 5000 ]
rm "$LOCAL/90-lab.json"
check "the quirk goes" ctl reload
check "release" ctl release "$NVME"
check "the card comes back" ctl detach b "$NIC"

scenario lockout
nic=$(host_nic "$E1000")
ip link set "$nic" up
ip addr add 10.0.2.15/24 dev "$nic"
ip route add default via 10.0.2.2 dev "$nic"
ctl claim "$E1000" >/tmp/refused 2>&1
check "the card of the default route is refused" [ $? -eq 1 ]
check "with the reason" prints 'default route' cat /tmp/refused
note "$(cat /tmp/refused)"
check "the host's driver still has it" [ "$(pci_driver "$E1000")" = e1000 ]
check "the route still leads over it" prints "dev $nic" ip route
check "forced, it is claimed" ctl claim "$E1000" --force
check "it is" device_is claimed "$E1000"
check "and released" ctl release "$E1000"
check "the host's driver is back" within 10 driver_is e1000 "$E1000"

scenario wrong-identity
check "release" ctl release "$NIC"
daemon_config '{ "devices": [ { "name": "wrong", "bdf": "'$NIC'", "vendor": "0x8086", "device": "0x1521" } ] }'
check "the configuration names another device there" ctl reload
ctl claim "$NIC" >/tmp/refused 2>&1
check "it is refused" [ $? -eq 1 ]
check "in one line" [ "$(wc -l </tmp/refused)" -eq 1 ]
check "with the ids that were expected" prints 1521 cat /tmp/refused
check "and those that it has" prints 10d3 cat /tmp/refused
note "$(cat /tmp/refused)"
check "the host's driver still has it" [ "$(pci_driver "$NIC")" = e1000e ]
daemon_config '{ "devices": [ { "name": "right", "bdf": "'$NIC'", "vendor": "0x8086", "device": "0x10d3" } ] }'
check "the right ids" ctl reload
check "are accepted" ctl claim right
check "release" ctl release right

scenario leaks
check "the other guest goes" guest_destroy b
check "the daemon stops" daemon_stop
ip link set "$(host_nic "$E1000")" down 2>/dev/null
check "nothing is left" nothing_left /tmp/before
exit 0
