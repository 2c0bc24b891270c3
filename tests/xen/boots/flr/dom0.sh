# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# shellcheck source=../../lib/dom0.sh
. /lab/dom0.sh
NIC=0000:00:05.0
NVME=0000:00:07.0
USB=0000:00:08.0
PF=0000:00:09.0
VF=0000:00:09.1
LOCAL=/etc/pcibackd/quirks.d

modprobe pci-stub
setpci -s "$NVME" COMMAND=0:4           # the firmware has looked for a disk to boot from
setpci -s "$PF" COMMAND=0:4
mkdir -p "$LOCAL"
snapshot /tmp/before
guest_start a pv 256
guest_start other pv 192
guest_start scripted scripted 192
content=$(sed -n 's/^nvme0 //p' /lab/disks)

# frontend LINE...: labfe plays this script
frontend() { guest_do scripted "printf '%s\n' $(printf "'%s' " "$@") | labfe" 60; }
# fresh DEVICE: a new frontend directory for the next script
fresh() {
	ctl detach scripted "$1" --force >/dev/null 2>&1
	ctl attach scripted "$1"
}
counter() { ctl --json stats | json_sum "$1"; }
exp_of() { setpci -s "$1" CAP_EXP+8.w; }

scenario guest-flr
check "the daemon starts" daemon_start
check "the other guest gets a network card" ctl attach other "$NIC" --claim --wait 30
check "and works" guest_do other 'nic_up e1000e && ping_gateway 2' 60
check "the guest gets a disk" ctl attach a "$NVME" --claim --wait 30
check "it reads right" prints "^$content" guest_do a 'modprobe nvme; within 30 test -b /dev/nvme0n1; md5sum /dev/nvme0n1' 60
check "the guest may reset it by FLR" prints flr guest_do a 'cat /sys/bus/pci/devices/$(pci_of 1b36:0010)/reset_method'
resets=$(counter guest_resets)
guest_do other 'ping_gateway 10' 60 >/tmp/other 2>&1 &
pinging=$!
check "and does, with its driver bound" guest_do a 'echo 1 >/sys/bus/pci/devices/$(pci_of 1b36:0010)/reset' 60
check "that was one managed reset" [ "$(counter guest_resets)" -gt "$resets" ]
wait "$pinging"
check "the other guest noticed nothing" [ $? -eq 0 ]
check "the disk reads right again" prints "^$content" \
	guest_do a 'echo 3 >/proc/sys/vm/drop_caches; md5sum /dev/nvme0n1' 60
check "by MSI-X" guest_do a '[ "$(vectors msi-x nvme)" -gt 1 ]'
check "the daemon says what it did" prints 'guest_resets": *[1-9]' ctl --json show "$NVME"
check "the guest lets go" ctl detach a "$NVME"

scenario H8-interrupts-after-flr
# A frontend that keeps its vectors over the reset: they must be as they were before the guest sees it done.
check "a scripted frontend gets the disk" ctl attach scripted "$NVME"
cap=$((0x$(lspci -s "$NVME" -v | sed -n 's/.*Capabilities: \[\([0-9a-f]*\)\] Express.*/\1/p')))
msix=$((0x$(lspci -s "$NVME" -v | sed -n 's/.*Capabilities: \[\([0-9a-f]*\)\] MSI-X.*/\1/p')))
check "it asks for an FLR with two vectors on" frontend publish 'wait-be 4 20' \
	'op 1 0 0 0 4 2 6' 'expect 0' 'op 4 0 0 0 0 0 2 0 1' 'expect 0' \
	"op 1 0 0 0 $((cap + 8)) 2 0x8000" 'expect 0' 'op 0 0 0 0 0 4 0' 'expect-value 0xffffffff' \
	'sleep 3' 'op 0 0 0 0 0 4 0' 'expect 0' 'expect-value 0x00101b36' 'op 0 0 0 0 0x10 4 0' 'expect 0' \
	"op 0 0 0 0 $((msix + 2)) 2 0" 'expect 0' 'op 0 0 0 0 4 2 0' 'expect 0' 'sleep 1'
cat "$LAB_RUN/check.out" >/tmp/flr.out
check "all ones meanwhile, then itself again" not grep -q FAILED /tmp/flr.out
control=$((0x$(setpci -s "$NVME" "$(printf '%x' $((msix + 2)))".w)))
check "MSI-X is enabled and not masked as a whole" [ $((control & 0xc000)) -eq $((0x8000)) ]
check "memory decode is on" command_bit "$NVME" 2
check "bus mastering is off, as after any FLR" not command_bit "$NVME" 4
check "error reporting never reached hardware" [ $((0x$(exp_of "$NVME") & 0xf)) -eq 0 ]

scenario flr-storm
check "a fresh start" fresh "$NVME"
before=$(counter refused_resets)
set --
for _ in $(seq 30); do set -- "$@" "op 1 0 0 0 $((cap + 8)) 2 0x8000" 'expect 0,-3,-5'; done
guest_do other 'ping_gateway 5' 60 >/tmp/other 2>&1 &
pinging=$!
check "thirty resets in a row" frontend publish 'wait-be 4 20' 'patience 3000' "$@" 'sleep 3' 'op 0 0 0 0 0 4 0' 'expect 0'
wait "$pinging"
check "the other guest noticed nothing" [ $? -eq 0 ]
check "some were refused" [ "$(counter refused_resets)" -gt "$before" ]
check "the daemon lives" daemon_alive
check "it is taken back" ctl detach scripted "$NVME" --force

scenario H18-multi-msi
check "the frontend gets a controller with many vectors" ctl attach scripted "$USB" --claim
check "four vectors in one operation" frontend publish 'wait-be 4 20' 'op 1 0 0 0 4 2 2' 'expect 0' \
	'op 10 0 0 0 0 0 4' 'expect 0' 'sleep 1'
cat "$LAB_RUN/check.out"
hv_rights scripted >/tmp/rights
note "$(cat /tmp/rights)"
control=$((0x$(setpci -s "$USB" CAP_MSI+2.w)))
check "MSI is on with four vectors" [ $((control & 0x71)) -eq $((0x21)) ]
check "a fresh start" fresh "$USB"
check "too many, none and again" frontend publish 'wait-be 4 20' 'op 10 0 0 0 0 0 64' 'expect -5' \
	'op 10 0 0 0 0 0 0' 'expect -5' 'op 10 0 0 0 0 0 0xffffffff' 'expect -5' \
	'op 10 0 0 0 0 0 2' 'expect 0' 'op 4 0 0 0 0 0 1 0' 'expect -5' 'op 3 0 0 0 0 0 0' 'expect 0'
check "no vector is left" prints 'msis: 0' hv_rights scripted
check "it is taken back" ctl detach scripted "$USB" --force
check "the scripted guest goes, and with it what it may still hold" guest_destroy scripted

scenario nvme-quiesce
cat >"$LOCAL/90-lab.json" <<-END
	{ "schema": 1, "quirks": [ { "id": "lab-quiesce", "reason": "the lab tries it", "source": "https://example.org/lab",
	  "match": { "vendor": "0x1b36", "device": "0x0010" }, "plugin": { "name": "nvme-quiesce" } } ] }
END
check "the plugin is loaded" ctl reload
check "show names it" prints 'nvme-quiesce' ctl quirks explain "$NVME"
check "the guest gets the disk" ctl attach a "$NVME" --wait 30
check "it reads right" prints "^$content" guest_do a 'within 30 test -b /dev/nvme0n1; md5sum /dev/nvme0n1' 60
check "the guest is gone while the controller runs" guest_destroy a
check "the device is reset and back" within 20 device_is claimed "$NVME"
guest_start a2 pv 256
check "the next guest gets it" ctl attach a2 "$NVME" --wait 30
check "it reads right" prints "^$content" guest_do a2 'modprobe nvme; within 30 test -b /dev/nvme0n1; md5sum /dev/nvme0n1' 60
check "it is taken back" ctl detach a2 "$NVME"
rm "$LOCAL/90-lab.json"
check "the plugin goes" ctl reload

scenario virtual-function
check "dom0's driver takes the physical function" host_bind "$PF" nvme
check "it has two virtual functions" sh -c "echo 2 >/sys/bus/pci/devices/$PF/sriov_numvfs; test -e /sys/bus/pci/devices/$VF"
check "a virtual function's own ids read as all ones" prints '^ffffffff' setpci -s "$VF" 0.l
check_fails "it is refused, since its driver can take it away (H1)" ctl attach a2 "$VF" --claim --wait 30
check "unless forced" ctl claim "$VF" --force
check "the guest gets it" ctl attach a2 "$VF" --wait 30
check "with the ids of sysfs" guest_do a2 'pci_of 1b36:0010'
vf='cfgprobe read $(config_of 1b36:0010)'
check "no interrupt pin" prints '^0x00$' guest_do a2 "$vf 0x3d 1"
check "memory decode reads as on" guest_do a2 "[ \$((\$($vf 4 2) & 2)) -eq 2 ]"
check "its BAR shows" guest_do a2 "[ \$((\$($vf 0x10 4) & ~0xf)) -ne 0 ]"
check "the capability for more functions of its own does not show" guest_do a2 '! lspci -v | grep -q SR-IOV'
check "it is taken back" ctl detach a2 "$VF"
check "and given back" ctl release "$VF"
check "the functions go" sh -c "echo 0 >/sys/bus/pci/devices/$PF/sriov_numvfs"
check "dom0's driver lets go" sh -c "echo $PF >/sys/bus/pci/drivers/nvme/unbind"
rmmod nvme 2>/dev/null

scenario leaks
check "detach" ctl detach other "$NIC"
for device in "$NIC" "$NVME" "$USB"; do check "release $device" ctl release "$device"; done
check "the daemon stops" daemon_stop
for guest in a2 other; do check "guest $guest goes" guest_destroy "$guest"; done
check "nothing is left" nothing_left /tmp/before
exit 0
