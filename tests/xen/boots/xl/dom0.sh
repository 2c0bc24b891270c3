# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# shellcheck source=../../lib/dom0.sh
. /lab/dom0.sh
NIC=0000:00:05.0
OTHER=0000:00:06.0
NVME=0000:00:07.0
AUTOPROBE=/sys/bus/xen-backend/drivers_autoprobe
content=$(sed -n 's/^nvme0 //p' /lab/disks)

setpci -s "$NVME" COMMAND=0:4
snapshot /tmp/before

# halted NAME: its domain is there and has shut down
halted() { xl list "$1" | awk 'END { exit index($5, "s") == 0 }'; }
# milliseconds COMMAND...: how long it took; its output goes to a file
milliseconds() {
	local begun
	begun=$(sed 's/^\([0-9]*\)\.\([0-9]*\) .*/\1\20/' /proc/uptime)
	"$@" >/tmp/timed.out 2>&1
	echo $(($(sed 's/^\([0-9]*\)\.\([0-9]*\) .*/\1\20/' /proc/uptime) - begun))
}
backend_nodes() { xenstore-exists "/local/domain/0/backend/pci/$1"; }
xl_list_has() { xl pci-list "$1" | grep -q "$2"; }
works='nic_up e1000e && ping_gateway 2'
disk='modprobe nvme; within 30 test -b /dev/nvme0n1; echo 3 >/proc/sys/vm/drop_caches; md5sum /dev/nvme0n1'

scenario kernel-destroy-waits
modprobe xen-pciback
for device in $NIC $OTHER $NVME; do check "xl makes $device assignable" xl pci-assignable-add "$device"; done
guest_create k pv 192 "pci = [ '$NIC' ]" 'on_poweroff = "preserve"'
guest_create r pv 192 "pci = [ '$OTHER' ]"
guest_wait_ready k
guest_wait_ready r
check "the guest works" guest_do k "$works" 60
id=$(guest_id k)
guest_do k 'sleep 0.3; poweroff -f' 3 >/dev/null
check "it shuts down" within 20 halted k
kernel_ms=$(milliseconds xl destroy k)
note "xl destroy of a guest that has shut down, kernel's backend: $kernel_ms ms"
check "xl waited for the kernel's backend" [ "$kernel_ms" -ge 9000 ]
check "its directory was left behind" backend_nodes "$id"
xenstore-rm "/local/domain/0/backend/pci/$id"
xenstore-rm /libxl/pci/0000-00-05-0/domid 2>/dev/null

scenario kernel-stays-dead
check "the guest works" guest_do r "$works" 60
id=$(guest_id r)
check "its frontend closes and is unloaded" \
	guest_do r 'echo pci-0 >/sys/bus/xen/drivers/pcifront/unbind; rmmod xen-pcifront && [ -z "$(lspci -n)" ]' 30
sleep 1
guest_do r 'modprobe xen-pcifront' >/dev/null
check_fails "the device does not come back" guest_do r 'within 5 pci_of 8086:10d3' 30
note "backend state: $(xenstore-read "/local/domain/0/backend/pci/$id/0/state")"
check "the backend rests at 6" [ "$(xenstore-read "/local/domain/0/backend/pci/$id/0/state")" = 6 ]
xenstore-rm "/local/domain/0/backend/pci/$id"             # else xl waits twenty seconds more
xl destroy r >/dev/null 2>&1
guest_gone r
xenstore-rm /libxl/pci/0000-00-06-0/domid 2>/dev/null

scenario H4-refused-while-the-kernel-serves
daemon_config '{ "backend": { "kinds": [ "pcibackd", "pci" ] } }'
check "the kernel would take the node" [ "$(cat $AUTOPROBE)" = 1 ]
/usr/sbin/pcibackd --config /etc/pcibackd.json >/tmp/refused 2>&1 8>&- &
refused=$!
within 10 not kill -0 "$refused" >/dev/null || kill -KILL "$refused"
wait "$refused"
check "the daemon refuses to start" [ $? -eq 1 ]
check "the reason is the kernel's backend" prints 'xen-pciback' cat /tmp/refused
check "and the cure is told" prints 'drivers_autoprobe' cat /tmp/refused
for device in $NIC $OTHER $NVME; do xl pci-assignable-remove "$device" >/dev/null 2>&1; done
rmmod xen-pciback
echo 0 >$AUTOPROBE
modprobe xen-pciback
for device in $NIC $OTHER $NVME; do check "xl makes $device assignable" xl pci-assignable-add "$device"; done

scenario xl-create
check "now the daemon starts" daemon_start || exit 1
guest_create a pv 192 "pci = [ '$NIC', '$NVME' ]" 'on_poweroff = "preserve"'
guest_create b pv 192 "pci = [ '$OTHER@7,permissive=1' ]"
guest_wait_ready a
guest_wait_ready b
check "the kernel's backend has nothing of it" [ ! -e "/sys/bus/xen-backend/devices/pci-$(guest_id a)-0/driver" ]
check "the guest sees both devices" within 20 guest_do a 'lspci -n; [ "$(lspci -n | wc -l)" -eq 2 ]'
check "the network works" guest_do a "$works" 60
check "by MSI-X" guest_do a '[ "$(vectors msi-x eth)" -ge 2 ]'
check "the disk reads right" prints "^$content" guest_do a "$disk" 60
check "xl lists both" xl_list_has a "$NIC"
check "and the other" xl_list_has a "$NVME"
check "the daemon knows them" device_is assigned "$NIC"
check "and whose they are" prints '"name": *"a"' ctl --json show "$NVME"

scenario xl-slot-and-permissive
check "the guest sees its card" within 20 guest_do b 'lspci -Dn; pci_of 8086:10d3'
check "in the slot that xl was told" guest_do b 'lspci -Dn; [ -e /sys/bus/pci/devices/0000:00:07.0 ]'
check "it is permissive" prints '"permissive": *true' ctl --json show "$OTHER"
check "the other guest's is not" prints '"permissive": *false' ctl --json show "$NIC"
check "it works" guest_do b "$works" 60

scenario xl-attach-detach
check "xl takes a device" xl pci-detach a "$NVME"
check "the guest no longer has it" within 10 guest_do a '! pci_of 1b36:0010'
check "nor does xl list it" not xl_list_has a "$NVME"
for round in 1 2; do
	check "round $round: xl gives it to the other guest" xl pci-attach b "$NVME"
	check "round $round: the disk reads right" prints "^$content" guest_do b "within 20 pci_of 1b36:0010; $disk" 60
	check "round $round: by MSI-X" guest_do b '[ "$(vectors msi-x nvme)" -gt 1 ]'
	check "round $round: xl takes it back" xl pci-detach b "$NVME"
	check "round $round: the guest no longer has it" within 10 guest_do b '! pci_of 1b36:0010'
done
check "with a slot and permissive" xl pci-attach b "$NVME@9,permissive=1"
check "it is there" guest_do b 'within 20 test -e /sys/bus/pci/devices/0000:00:09.0; lspci -Dn; [ -e /sys/bus/pci/devices/0000:00:09.0 ]' 30
check "permissive" prints '"permissive": *true' ctl --json show "$NVME"
check_fails "the owner keeps what another is to get" xl pci-attach a "$NVME"
check "xl takes it back" xl pci-detach b "$NVME"
check "the first card works on" guest_do b 'ping_gateway 2' 30
check "the last one, too" xl pci-detach b "$OTHER"
check "the guest has none" within 10 guest_do b '[ -z "$(lspci -n)" ]'
check "nothing of it is left" within 10 not backend_nodes "$(guest_id b)"
check "xl gives it back" xl pci-attach b "$OTHER"
check "it works" guest_do b "within 20 pci_of 8086:10d3; $works" 60

scenario xl-restart
# guest b has one card; guest a has one, and gets the disk while no daemon runs. That accesses wait for the next daemon is asked
# by the boot `restart`: here xl is at work too, and a frontend gives up after 2 s.
check "killed" daemon_kill
xl pci-attach a "$NVME" >/tmp/xl-attach 2>&1 &
attaching=$!
sleep 0.3
check "and started again" daemon_start
wait "$attaching"
check "what xl began meanwhile is done" [ $? -eq 0 ]
note "$(cat /tmp/xl-attach)"
check "the guest reads its disk right" prints "^$content" guest_do a "within 20 pci_of 1b36:0010; $disk" 60
check "killed" daemon_kill
xl pci-detach a "$NVME" >/tmp/xl-detach 2>&1 &
detaching=$!
sleep 0.3
check "and started again" daemon_start
wait "$detaching"
check "so is what xl takes back" [ $? -eq 0 ]
note "$(cat /tmp/xl-detach)"
check "the guest no longer has it" within 10 guest_do a '! pci_of 1b36:0010'
check "the other card works on" guest_do b 'ping_gateway 2' 30

scenario xl-reboot
old=$(guest_id b)
check "the guest reboots" guest_reboot b
check "nothing of the old one is left" within 10 not backend_nodes "$old"
check "it has its card again" within 20 guest_do b 'pci_of 8086:10d3'
check "which works" guest_do b "$works" 60

scenario xl-shutdown
id=$(guest_id b)
check "the guest shuts down" xl shutdown -w b
check "it is gone" guest_gone b 20
check "nothing of it is left" within 10 not backend_nodes "$id"

scenario xl-destroy
guest_start c pv 192 "pci = [ '$OTHER' ]"
check "it works" guest_do c "within 20 pci_of 8086:10d3; $works" 60
id=$(guest_id c)
ms=$(milliseconds xl destroy c)
note "xl destroy of a running guest: $ms ms"
cat /tmp/timed.out
check "it is gone" guest_gone c
check "nothing of it is left" within 10 not backend_nodes "$id"
check "its card masters no bus" not command_bit "$OTHER" 4

scenario xl-destroy-does-not-wait
id=$(guest_id a)
guest_do a 'sleep 0.3; poweroff -f' 3 >/dev/null
check "the guest shuts down" within 20 halted a
ms=$(milliseconds xl destroy a)
note "xl destroy of a guest that has shut down: $ms ms, with the kernel's backend $kernel_ms ms"
cat /tmp/timed.out
check "xl did not wait" [ "$ms" -lt 5000 ]
check "it is gone" guest_gone a
check "nothing of it is left" within 10 not backend_nodes "$id"
check "its devices master no bus" not command_bit "$NIC" 4

scenario own-kind-refused
# Two backends would share one frontend: a guest of xl's gets its devices from xl.
guest_start x pv 192 "pci = [ '$NIC' ]"
ctl attach x "$OTHER" --claim >/tmp/refused 2>&1
check "the daemon's own verb gives such a guest nothing" [ $? -eq 1 ]
check "and says what does" prints 'xl pci-attach' cat /tmp/refused
check "the other card is as it was" driver_is pciback "$OTHER"
note "$(cat /tmp/refused)"
check "it works" guest_do x "$works" 60
check "guest x goes" guest_destroy x

scenario leaks
check "the daemon stops" daemon_stop
for device in $NIC $OTHER $NVME; do xl pci-assignable-remove "$device"; done
rmmod xen-pciback
for device in $NIC $OTHER $NVME; do xenstore-rm "/libxl/pci/$(echo "$device" | tr ':.' '--')" 2>/dev/null; done
check "nothing is left" nothing_left /tmp/before
exit 0
