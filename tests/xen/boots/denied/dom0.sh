# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# shellcheck source=../../lib/dom0.sh
. /lab/dom0.sh
CARDS="0000:00:04.0 0000:00:05.0 0000:00:06.0 0000:00:07.0 0000:00:08.0 0000:00:09.0 0000:00:0a.0 0000:01:00.0"
PCIBACK=/sys/bus/pci/drivers/pciback
exercise() { guest_do "$1" "$(grep -v '^#' /lab/boot/exercise)" 150; }

modprobe pci-stub
setpci -s 0000:00:07.0 COMMAND=0:4      # the firmware has looked for disks to boot from
setpci -s 0000:00:09.0 COMMAND=0:4

scenario kernel-backend
modprobe xen-pciback
mount -t debugfs none /sys/kernel/debug 2>/dev/null
for card in $CARDS; do
	check "xl makes $card assignable" xl pci-assignable-add "$card"
	list="${list:+$list, }\"$card\""
done
check "the kernel can tell of each write" grep -q 'write request' /sys/kernel/debug/dynamic_debug/control
echo 'module xen_pciback format "write request" +p' >/sys/kernel/debug/dynamic_debug/control
guest_start old pv 256 "pci = [ $list ]"
check "every driver works" exercise old
cat "$PCIBACK/quirks" >/tmp/fields
dmesg -s 8388608 >/tmp/kernel.log
awk -f /lab/boot/dropped.awk /tmp/fields /tmp/kernel.log | sort >/tmp/kernel
check "its writes could be counted" [ "$(wc -l </tmp/kernel)" -eq 8 ]
check "it drops writes of these drivers" [ "$(awk '{ n += $3 } END { print n + 0 }' /tmp/kernel)" -gt 0 ]
echo 'module xen_pciback -p' >/sys/kernel/debug/dynamic_debug/control
check "the guest goes" guest_destroy old
for card in $CARDS; do check "xl gives $card back" within 10 xl pci-assignable-remove "$card"; done
rmmod xen-pciback
snapshot /tmp/before

scenario no-denied-writes
check "the daemon starts" daemon_start
guest_start new pv 256
for card in $CARDS; do check "attach $card" ctl attach new "$card" --claim --wait 40; done
check "every driver works" exercise new
for card in $CARDS; do
	ctl denied "$card" >/tmp/denied.txt 2>&1
	check "no write to $card was denied" sh -c "cat /tmp/denied.txt; pcibackctl --json denied $card | grep -q '\"denied\": *\\[\\]'"
done

scenario side-by-side
note "configuration writes of unmodified drivers that were dropped, in one boot:"
note "device        kernel's backend (writes, dropped, where)                    pcibackd"
ctl --json list >/tmp/list.json
while read -r card writes dropped where; do
	ours=$(pcibackctl --json denied "$card" | json_sum count)
	note "$card  $writes, $dropped:$where; pcibackd $ours"
	total=$((${total:-0} + dropped))
	total_ours=$((${total_ours:-0} + ours))
done </tmp/kernel
note "in all: kernel's backend $total, pcibackd $total_ours"
check "fewer than the kernel's backend" [ "$total_ours" -lt "$total" ]
check "none at all" [ "$total_ours" -eq 0 ]

scenario leaks
for card in $CARDS; do check "detach $card" ctl detach new "$card"; done
for card in $CARDS; do check "release $card" ctl release "$card"; done
check "the daemon stops" daemon_stop
check "the guest shuts down" guest_shutdown new
check "nothing is left" nothing_left /tmp/before
exit 0
