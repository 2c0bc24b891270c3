# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# shellcheck source=../../lib/dom0.sh
. /lab/dom0.sh
E1000=0000:00:04.0
NIC=0000:00:05.0
RTL8139=0000:00:06.0
NVME=0000:00:07.0
HDA=0000:00:08.0
AHCI=0000:00:09.0
XHCI=0000:00:0a.0
VIRTIO=0000:00:0b.0
FUNCTION0=0000:00:0c.0
FUNCTION1=0000:00:0c.1
EIGHT="$NIC $E1000 $RTL8139 $NVME $HDA $AHCI $XHCI $VIRTIO"
# The full form is `lab run hotplug --put FILE:/lab/rounds`, with the number of rounds in FILE.
ROUNDS=10
[ ! -e /lab/rounds ] || ROUNDS=$(cat /lab/rounds)
content_of() { sed -n "s/^$1 //p" /lab/disks; }
# address_in GUEST DEVICE: where the guest sees it
address_in() {
	ctl --json show "$2" | awk '/"owner":/ { owner = 1 } owner && /"address":/ { gsub(/[",]/, ""); print $2; exit }'
}

modprobe pci-stub
for device in $EIGHT; do setpci -s "$device" COMMAND=0:4; done          # the firmware has looked for something to boot
snapshot /tmp/before
guest_create a pv 320
guest_wait_ready a
daemon_config '{
	"guests": [ { "name": "slotted", "topology": "slot" }, { "name": "through", "topology": "passthrough" } ],
	"assignments": [ { "guest": "given", "devices": [ "'$NIC'", "'$RTL8139'" ] } ] }'

scenario eight-cards
check "the daemon starts" daemon_start || exit 1
for device in $EIGHT; do check "attach $device" ctl attach a "$device" --claim --wait 30; done
check "the guest sees eight" guest_do a 'lspci -n; [ "$(lspci -n | wc -l)" -eq 8 ]'
drivers='for m in e1000 e1000e 8139cp nvme snd-hda-codec-generic snd-hda-intel ahci sd_mod xhci-pci virtio_pci virtio_net
	do modprobe $m; done'
guest_do a "$drivers" 60 >/dev/null
bound='for d in /sys/bus/pci/devices/*; do [ -e $d/driver ] || { echo "$d has no driver"; exit 1; }; done'
check "each has its driver" within 20 guest_do a "$bound"
check "the first disk reads right" prints "^$(content_of nvme0)" \
	guest_do a 'within 30 test -b /dev/nvme0n1; md5sum /dev/nvme0n1' 60
check "the second disk reads right" prints "^$(content_of sata0)" \
	guest_do a 'within 30 test -b /dev/sda; md5sum /dev/sda' 60
check "a codec answers" guest_do a 'within 20 test -e /sys/class/sound/hwC0D0' 40
check "the root hubs are there" guest_do a 'within 20 test -e /sys/bus/usb/devices/usb2' 40
for module in e1000e e1000 8139cp; do
	check "pings come back through $module" guest_do a "nic_up $module && ping_gateway 2" 60
done
check "and through virtio" guest_do a 'for n in /sys/class/net/*; do
	case $(readlink $n/device/driver) in *virtio_net) nic=${n##*/};; esac; done
	for n in /sys/class/net/*/device; do ip addr flush dev "$(basename "${n%/device}")"; done
	ip link set $nic up; ip addr add 10.0.2.15/24 dev $nic; ping_gateway 2' 60
check "interrupts of all three kinds are in use" \
	guest_do a 'cat /proc/interrupts; [ "$(vectors msi-x)" -ge 5 ] && [ "$(vectors msi)" -ge 1 ] && [ "$(vectors intx)" -ge 1 ]'

scenario functions-stay-together
# The two can reach each other: a guest gets one only when nobody else has the other (H12).
check "the first function" ctl claim "$FUNCTION0"
ctl attach a "$FUNCTION0" >/tmp/refused 2>&1
check "goes to no guest while the host has the second" [ $? -eq 1 ]
check "for that reason" prints "$FUNCTION1" cat /tmp/refused
check "the second function" ctl claim "$FUNCTION1"
check "now the first goes to the guest" ctl attach a "$FUNCTION0" --wait 30
check "and the second" ctl attach a "$FUNCTION1" --wait 30
first=$(address_in a "$FUNCTION0")
second=$(address_in a "$FUNCTION1")
note "the guest sees them at $first and $second"
check "they are functions 0 and 1 of one device" [ "${first%.*}.1" = "$second" ]
check "and the guest says the same" guest_do a "lspci -Dn; [ -e /sys/bus/pci/devices/$first ] && [ -e /sys/bus/pci/devices/$second ]"
check "the second goes first" ctl detach a "$FUNCTION1"
check "the first stays" guest_do a "[ -e /sys/bus/pci/devices/$first ] && [ ! -e /sys/bus/pci/devices/$second ]"
check "and goes" ctl detach a "$FUNCTION0"

scenario second-card-comes-and-goes
check "the first card's network is up" guest_do a 'nic_up e1000e && ping_gateway 2' 60
guest_do a "ping -i 0.25 10.0.2.2 >/tmp/pings 2>&1 & echo \$! >/tmp/pinging" >/dev/null
check "the second card goes" ctl detach a "$RTL8139"
round=0
rounds_ok() {
	while [ "$round" -lt "$ROUNDS" ]; do
		round=$((round + 1))
		ctl attach a "$RTL8139" --wait 30 || { echo "attach in round $round"; return 1; }
		guest_do a 'pci_of 10ec:8139; within 10 nic_of 8139cp' 30 || { echo "in the guest in round $round"; return 1; }
		ctl detach a "$RTL8139" || { echo "detach in round $round"; return 1; }
		guest_do a '! pci_of 10ec:8139' || { echo "still in the guest in round $round"; return 1; }
	done
}
begun=$(_uptime)
check "it comes and goes $ROUNDS times" rounds_ok
note "$ROUNDS rounds from $begun to $(_uptime) s"
guest_do a 'kill -INT $(cat /tmp/pinging) && sleep 0.5; tail -n 3 /tmp/pings' >/tmp/pings
note "$(grep transmitted /tmp/pings)"
check "the first card pinged all the while and lost nothing" \
	awk '/transmitted/ { lost = $1 - $4; sent = $1 } END { exit !(sent > 40 && lost <= 1) }' /tmp/pings

scenario several-at-once
# at_once VERB DEVICE...: of guest a, all together; every one must succeed
at_once() {
	local verb=$1 device job jobs='' bad=0
	shift
	for device; do
		ctl "$verb" a "$device" &
		jobs="$jobs $!"
	done
	for job in $jobs; do wait "$job" || bad=1; done
	return "$bad"
}
check "four go at once" at_once detach "$E1000" "$HDA" "$VIRTIO" "$XHCI"
check "all four are claimed" within 10 device_is claimed "$E1000"
for device in $HDA $VIRTIO $XHCI; do check "$device is claimed" within 10 device_is claimed "$device"; done
check "five come at once" at_once attach "$E1000" "$HDA" "$VIRTIO" "$XHCI" "$RTL8139"
check "the guest has its eight again" within 20 guest_do a 'lspci -n; [ "$(lspci -n | wc -l)" -eq 8 ]'
check "with drivers" within 20 guest_do a "$bound"
check "the first card still works" guest_do a 'ping_gateway 2' 30

scenario reconnect-module
resets=$(ctl --json show "$NVME" | json_sum resets)
check "the guest's frontend closes and is unloaded" \
	guest_do a 'echo pci-0 >/sys/bus/xen/drivers/pcifront/unbind; rmmod xen-pcifront && [ -z "$(lspci -n)" ]' 30
sleep 1
check "and loads it again" guest_do a 'modprobe xen-pcifront; within 20 pci_of 8086:10d3' 30
check "all eight are back" guest_do a 'lspci -n; [ "$(lspci -n | wc -l)" -eq 8 ]'
check "they were reset in between" [ "$(ctl --json show "$NVME" | json_sum resets)" -gt "$resets" ]
check "each has its driver" within 20 guest_do a "$bound"
check "the network works" guest_do a 'nic_up e1000e && ping_gateway 2' 60
check "the disk reads right" prints "^$(content_of nvme0)" \
	guest_do a 'within 30 test -b /dev/nvme0n1; echo 3 >/proc/sys/vm/drop_caches; md5sum /dev/nvme0n1' 60
check "by MSI-X" guest_do a '[ "$(vectors msi-x nvme)" -gt 1 ]'
for device in $EIGHT; do check "detach $device" ctl detach a "$device"; done
check "guest a shuts down" guest_shutdown a

scenario reconnect-kexec
# A new kernel finds the old one's nodes, writes "initialising" over them and makes a new ring: without a word of closing.
guest_start scripted scripted 192
frontend() { guest_do scripted "printf '%s\n' $(printf "'%s' " "$@") | labfe" 60; }
check "a scripted frontend gets a card" ctl attach scripted "$NIC"
resets=$(ctl --json show "$NIC" | json_sum resets)
check "it uses it" frontend publish 'wait-be 4 20' 'op 0 0 0 0 4 2 0' 'expect 0' 'op 1 0 0 0 4 2 6' 'expect 0' \
	'op 1 0 0 0 0x0c 1 0x10' 'expect 0'
fresh=$(sed -n 's/.*value=\(0x[0-9a-f]*\).*/\1/p' "$LAB_RUN/check.out" | head -n1)
note "COMMAND of a fresh device: $fresh"
check "the guest masters the bus" command_bit "$NIC" 4
check "another kernel's frontend takes over" frontend 'state 1' 'wait-be 3 20' publish 'wait-be 4 20' \
	'op 0 0 0 0 0 4 0' 'expect 0' 'expect-value 0x10d38086' 'op 0 0 0 0 4 2 0' 'expect 0' "expect-value $fresh" \
	'op 0 0 0 0 0x0c 1 0' 'expect 0' 'expect-value 0x0'
check "it got a device that was reset" [ "$(ctl --json show "$NIC" | json_sum resets)" -gt "$resets" ]
check "which masters nothing" not command_bit "$NIC" 4
check "a frontend that closes finds 5, 6 and 2" frontend 'state 5' 'wait-be 5 20' 'state 6' 'wait-be 6 5' 'wait-be 2 20'
check "and may come back" frontend 'state 1' 'wait-be 3 20' publish 'wait-be 4 20' 'op 0 0 0 0 0 4 0' 'expect 0' 'expect-value 0x10d38086'
check "it is taken back" ctl detach scripted "$NIC" --force
check "the scripted guest goes" guest_destroy scripted

scenario topology-slot
guest_create slotted pv 192
guest_create through pv 192
guest_wait_ready slotted
guest_wait_ready through
check "the first function" ctl attach slotted "$FUNCTION0" --wait 30
check "the second function" ctl attach slotted "$FUNCTION1" --wait 30
check "each is function 0 of its own slot" \
	guest_do slotted 'lspci -Dn; [ "$(lspci -n | wc -l)" -eq 2 ] && ! lspci -Dn | grep -v "^0000:00:[01][0-9a-f].0"'
check "the daemon says so" prints '"topology": *"slot"' ctl --json guests
check "the second works" guest_do slotted 'nic_up e1000e && ping_gateway 2' 60
for device in $FUNCTION0 $FUNCTION1; do check "detach $device" ctl detach slotted "$device"; done

scenario topology-passthrough
check "the first function" ctl attach through "$FUNCTION0" --wait 30
check "the second function" ctl attach through "$FUNCTION1" --wait 30
check "and a disk" ctl attach through "$NVME" --wait 30
check "the guest sees the host's addresses" guest_do through "lspci -Dn; for d in $FUNCTION0 $FUNCTION1 $NVME; do
	[ -e /sys/bus/pci/devices/\$d ] || exit 1; done"
check "the network works" guest_do through 'nic_up e1000e && ping_gateway 2' 60
check "the disk reads right" prints "^$(content_of nvme0)" \
	guest_do through 'modprobe nvme; within 30 test -b /dev/nvme0n1; md5sum /dev/nvme0n1' 60
for device in $FUNCTION0 $FUNCTION1 $NVME; do check "detach $device" ctl detach through "$device"; done
for guest in slotted through; do check "guest $guest goes" guest_destroy "$guest"; done
for device in $EIGHT $FUNCTION0 $FUNCTION1; do check "release $device" ctl release "$device"; done

scenario assignments
# Nobody claims or attaches anything here: the configuration names the guest.
guest_start given pv 192
check "the guest gets both cards" within 30 guest_do given '[ "$(lspci -n | wc -l)" -eq 2 ]'
check "they work" guest_do given 'nic_up e1000e && ping_gateway 2' 60
check "the daemon says whose they are" device_is assigned "$NIC"
sed 's/"assignments": \[/&{ "guest": "another", "devices": [ "'$RTL8139'" ] },/' /etc/pcibackd.json >/tmp/two-owners.json
/usr/sbin/pcibackd --config /tmp/two-owners.json --check-config >/tmp/two-owners 2>&1
check "two owners of one device are refused" [ $? -eq 1 ]
note "$(cat /tmp/two-owners)"
for guest in given another; do check "and guest $guest is named" prints "$guest" cat /tmp/two-owners; done
old=$(guest_id given)
check "it reboots" guest_reboot given
check "as another domain" [ "$(guest_id given)" != "$old" ]
check "the guest gets both cards again" within 30 guest_do given '[ "$(lspci -n | wc -l)" -eq 2 ]'
check "they work" guest_do given 'nic_up e1000e && ping_gateway 2' 60
check "the guest goes" guest_destroy given
for device in $NIC $RTL8139; do
	check "$device is claimed" within 15 device_is claimed "$device"
	check "release $device" ctl release "$device"
done

scenario leaks
check "the daemon stops" daemon_stop
check "nothing is left" nothing_left /tmp/before
exit 0
