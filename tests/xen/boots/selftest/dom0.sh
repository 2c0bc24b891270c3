# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# shellcheck source=../../lib/dom0.sh
. /lab/dom0.sh
NIC=0000:00:05.0

scenario guests-obey
modprobe xen-pciback
check "xl takes the device" xl pci-assignable-add "$NIC"
snapshot /tmp/empty
guest_create a echo 192 && guest_create b other 192
check "guest a comes up" guest_wait_ready a
check "guest b comes up" guest_wait_ready b
check "guest a runs its own role" prints '^echo$' guest_do a 'cat /tmp/role'
check "guest b runs its own role" prints '^other$' guest_do b 'cat /tmp/role'
guest_do a 'echo out; echo err >&2; exit 7' >/tmp/do.out
check "a command's exit status comes back" [ $? -eq 7 ]
check "a command's both outputs come back" prints '^err$' cat /tmp/do.out
long_output() { [ "$(guest_do a 'seq 1 1500' | md5sum)" = "$(seq 1 1500 | md5sum)" ]; }
check "more output than a node holds come back whole" long_output
guest_do a 'sleep 100' 2 >/dev/null
check "a command that hangs is ended" [ $? -eq 124 ]
check "and the guest takes the next one" prints '^again$' guest_do a 'echo again'
labdo 99 2 true
check "a guest that is not there says so" [ $? -eq 125 ]
check "the console's log has the role" grep -q 'I am the other role' /var/log/xen/console/guest-b.log

scenario monitor
check "the machine's monitor answers" prints 'running' qemu 'info status'
check "with many lines" prints '8086:10d3' qemu 'info pci'

scenario kernel-backend-ping
snapshot /tmp/assignable
check "xl gives it to guest a" xl pci-attach a "$NIC"
check "the guest's driver comes up" guest_do a 'nic_up e1000e' 45
check "pings come back" guest_do a 'ping_gateway 3' 30
check "by MSI-X" guest_do a '[ "$(vectors msi-x)" -ge 1 ]'
guest_do a 'grep xen-pirq /proc/interrupts'
check "the guest's rights are seen" prints 'memory \{ fe' hv_rights a
snapshot /tmp/attached
check_fails "an attached device is not nothing" compare /tmp/assignable /tmp/attached
check "which is seen as MSI vectors" prints '^\+MSI vectors for a: [1-9]' not compare /tmp/assignable /tmp/attached
check "as the device's owner" prints '^\+device 0000:00:05.0 owner a msis [1-9]' not compare /tmp/assignable /tmp/attached
check "as a grant" prints '^\+grants of a mapped by Domain-0 pin' not compare /tmp/assignable /tmp/attached
check "as a channel" prints '^\+event channels of Domain-0 to a: 3' not compare /tmp/assignable /tmp/attached
check "as nodes" prints '^\+store /local/domain/a/device/pci/0/state = "4"' not compare /tmp/assignable /tmp/attached
check "as a bus-mastering device" prints '^\+pci 0000:00:05.0 .* command=0[0-9a-f]0[4567]' not compare /tmp/assignable /tmp/attached
check "xl takes it back" xl pci-detach a "$NIC"

scenario frontend
check "guest b's devices are given out" xl pci-attach b "$NIC"
cat >/tmp/fe <<'X'
publish
wait-be 4 10
op 0 0 0 0 0 4 0
expect 0
expect-value 0x10d38086
op 0 0 0 0 1 4 0
expect -2
op 0 0 7 0 0 4 0
expect -1
op 99 0 0 0 0 4 0
expect -4
fuzz 1 200
X
# Guests have no file transfer; a script goes in as the command itself.
check "a scripted frontend speaks to the kernel's backend" prints 'op err=0 value=0x10d38086' \
	guest_do b "printf '%s\n' '$(cat /tmp/fe)' | labfe" 60
check "and its benchmark tool runs in dom0" cfgprobe bench "/sys/bus/pci/devices/$NIC/config" 20

scenario leaks-are-seen
b=$(guest_id b)
ref=$(xenstore-read "/local/domain/$b/device/pci/0/pci-op-ref")
# leak TEXT EXPECTED-LINE DO UNDO: `compare` must see what DO leaves behind, and be content again after UNDO
leak() {
	snapshot /tmp/before
	check "$1: can be caused" sh -c "$3"
	snapshot /tmp/after
	check "$1: is seen" prints "$2" not compare /tmp/before /tmp/after
	sh -c "$4" >/dev/null
	check "$1: is not seen once undone" nothing_left /tmp/before
}
guest_do b "printf '%s\n' publish 'sleep 600' | labfe >/tmp/fe.log & sleep 1; cat /tmp/fe.log; cat /proc/interrupts" >/tmp/fe.out
cat /tmp/fe.out
published() { sed -n "s/.*$1=\([0-9]*\).*/\1/p" /tmp/fe.out | head -n1; }
ref=$(published ref)
port=$(published port)
# "hold" verbs keep what they took in the background until they are killed.
hold="{ xenpoke \$0 >/tmp/hold.log 2>&1 & echo \$! >/tmp/hold.pid; sleep 0.7; grep -q held /tmp/hold.log; }"
drop="kill \$(cat /tmp/hold.pid); sleep 0.3"
leak "a frame of memory" '^\+domain b may use memory .*feb00' \
	"xenpoke iomem $b 0xfeb00 1 1" "xenpoke iomem $b 0xfeb00 1 0"
leak "an I/O port" '^\+domain b may use ports .*c000' "xenpoke ioport $b 0xc000 1 1" "xenpoke ioport $b 0xc000 1 0"
leak "an interrupt" '^\+domain b may use interrupts gsis: .*8-8' "xenpoke irq $b 8 1" "xenpoke irq $b 8 0"
leak "a pirq" '^\+domain b may use interrupts .*msis: 1' \
	"xenpoke map-msi $b 0 0x28 0 0x$(setpci -s "$NIC" 1c.l) >/tmp/pirq" "xenpoke unmap $b \$(cat /tmp/pirq)"
leak "a grant mapping" '^\+grants of b mapped by Domain-0 pin' \
	"$(echo "$hold" | sed "s/\\\$0/hold-grant $b $ref/")" "$drop"
leak "an event channel" '^\+event channels of Domain-0 to b' \
	"$(echo "$hold" | sed "s/\\\$0/hold-evtchn $b $port/")" "$drop"
leak "a store node" '^\+store /libxl/pci/0000-00-04-0/domid = "b"' \
	"xenstore-write /libxl/pci/0000-00-04-0/domid $b" "xenstore-rm /libxl/pci/0000-00-04-0"
leak "a driver override" '^\+pci 0000:00:04.0 .* override=pci-stub' \
	'echo pci-stub >/sys/bus/pci/devices/0000:00:04.0/driver_override' \
	'echo >/sys/bus/pci/devices/0000:00:04.0/driver_override'
old=$(pci_command 0000:00:04.0)
leak "a bus master" '^\+pci 0000:00:04.0 .* command=0107' \
	'setpci -s 0000:00:04.0 COMMAND=0107' "setpci -s 0000:00:04.0 COMMAND=$old"

scenario dead-guests-leave-nothing
check "guest b shuts down" guest_shutdown b
guest_panic a
check "guest a panics" guest_gone a
check "the log tells why" grep -q 'sysrq triggered crash' /var/log/xen/console/guest-a.log
# Nobody has detached the device from guest b, and the kernel's backend does not tidy up after a guest: real litter.
check "what xl and the kernel left of guest b is seen" \
	prints '^\+store /local/domain/Domain-0/backend/pci/a-dead-domain/0/state' not nothing_left /tmp/empty 3
xenstore-rm "/local/domain/0/backend/pci/$b"
xenstore-rm /libxl/pci/0000-00-05-0
check "and nothing else was left" nothing_left /tmp/empty
exit 0
