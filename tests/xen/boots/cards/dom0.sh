# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# shellcheck source=../../lib/dom0.sh
. /lab/dom0.sh
E1000=0000:00:04.0
E1000E=0000:00:05.0
RTL8139=0000:00:06.0
NVME=0000:00:07.0
HDA=0000:00:08.0

modprobe pci-stub
guest_create a pv 256
guest_create b pv 256
guest_wait_ready a
guest_wait_ready b
# The firmware has looked for a disk to boot from and left its bus mastering on, with no driver behind it. Nobody would
# want that back.
setpci -s "$NVME" COMMAND=0:4
snapshot /tmp/before

scenario e1000e-msix-ping
check "the daemon starts" daemon_start
check "it claims the device" ctl claim "$E1000E"
check "and says so" device_is claimed "$E1000E"
check "the stub driver holds it" [ "$(pci_driver "$E1000E")" = pci-stub ]
check "it attaches the device" ctl attach a "$E1000E" --wait 30
check "and says so" device_is assigned "$E1000E"
check "the guest's driver comes up" guest_do a 'nic_up e1000e' 60
check "pings come back" guest_do a 'ping_gateway 5' 30
check "by MSI-X" guest_do a '[ "$(vectors msi-x eth)" -ge 2 ]'

scenario e1000-intx-ping
check "the daemon claims and attaches in one go" ctl attach b "$E1000" --claim --wait 30
check "the guest's driver comes up" guest_do b 'nic_up e1000' 60
check "pings come back" guest_do b 'ping_gateway 5' 30
check "by INTx" guest_do b '[ "$(vectors intx eth)" -eq 1 ] && [ "$(interrupts "pcifront +eth")" -gt 0 ]'

scenario two-guests
guest_do b 'ping_gateway 15' 60 >/tmp/b.out 2>&1 &
pinging=$!
check "pings of guest a come back" guest_do a 'ping_gateway 15' 60
wait "$pinging"
check "and of guest b at the same time" [ $? -eq 0 ]
check "the daemon lists both" prints "0000:00:05.0" ctl list
check "and both guests" prints 'b' ctl guests

scenario detach-reattach
for round in 1 2; do
	check "round $round: the device leaves guest a" ctl detach a "$E1000E"
	check "round $round: the guest no longer has it" guest_do a '! pci_of 8086:10d3'
	check "round $round: the guest has no right left" \
		prints 'memory \{ \}' hv_rights a
	check "round $round: it comes back" ctl attach a "$E1000E" --wait 30
	check "round $round: the guest's driver comes up" guest_do a 'nic_up e1000e' 60
	check "round $round: pings come back" guest_do a 'ping_gateway 3' 30
done
check "guest b has noticed nothing" guest_do b 'ping_gateway 3' 30

scenario rtl8139-ping
check "attach" ctl attach a "$RTL8139" --claim --wait 30
check "the guest's driver comes up" guest_do a 'nic_up 8139cp' 60
check "pings come back" guest_do a 'ping_gateway 5' 30
check "guest a has two devices" guest_do a '[ "$(lspci -n | wc -l)" -eq 2 ]'

scenario nvme-msix-read
content=$(sed -n 's/^nvme0 //p' /lab/disks)
check "attach" ctl attach a "$NVME" --claim --wait 30
check "the guest's driver comes up" guest_do a 'modprobe nvme; within 30 test -b /dev/nvme0n1' 60
check "the disk reads right" prints "^$content" guest_do a 'md5sum /dev/nvme0n1' 60
check "by MSI-X with more than one vector" guest_do a '[ "$(vectors msi-x nvme)" -gt 1 ]'
write_and_read='dd if=/dev/zero of=/dev/nvme0n1 bs=4k count=16 conv=fsync 2>/dev/null; echo 3 >/proc/sys/vm/drop_caches
	head -c 65536 /dev/nvme0n1 | cmp -n 65536 - /dev/zero'
check "and writes right" guest_do a "$write_and_read" 60

scenario hda-msi
check "attach" ctl attach b "$HDA" --claim --wait 30
check "the guest's driver binds" \
	guest_do b 'modprobe snd-hda-codec-generic; modprobe snd-hda-intel; within 30 test -e /sys/class/sound/card0' 60
check "by MSI" guest_do b '[ "$(vectors msi snd_hda)" -eq 1 ]'
check "which work: a codec answered" guest_do b 'within 20 test -e /sys/class/sound/hwC0D0' 40

scenario leaks
for device in "$E1000E" "$RTL8139" "$NVME"; do check "detach $device" ctl detach a "$device"; done
for device in "$E1000" "$HDA"; do check "detach $device" ctl detach b "$device"; done
for device in "$E1000" "$E1000E" "$RTL8139" "$NVME" "$HDA"; do check "release $device" ctl release "$device"; done
check "the daemon stops" daemon_stop
check "nothing is left while the guests live" nothing_left /tmp/before
check "guest a shuts down" guest_shutdown a
check "guest b shuts down" guest_shutdown b
exit 0
