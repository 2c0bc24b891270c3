# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# shellcheck source=../../lib/dom0.sh
. /lab/dom0.sh
E1000=0000:00:04.0
NIC=0000:00:05.0
OTHER=0000:00:06.0
HOTPLUG=0000:01:00.0

modprobe pci-stub
host_bind "$NIC" e1000e
host_ping "$NIC" 1                  # also sets up the line's GSI, once and for all
snapshot /tmp/before
guest_create one pv 192
guest_create two pv 192
guest_create three pv 192
guest_wait_ready one
guest_wait_ready two
guest_wait_ready three

# given GUEST DEVICE: attach, driver up, one ping
given() {
	ctl attach "$1" "$2" --claim --wait 30 && guest_do "$1" 'nic_up e1000e && ping_gateway 1' 60
}

scenario H5-helper-holds-no-xen-fds
check "the daemon starts" daemon_start
check "it has a helper" [ -n "$(daemon_children)" ]
for child in $(daemon_children); do
	check_fails "no child holds a descriptor of Xen's" prints /dev/xen/ ls -l "/proc/$child/fd"
done

scenario H16-no-msix-not-prepared
hv_mark
check "a device without MSI-X is claimed" ctl claim "$E1000"
check "the hypervisor has nothing to say" hv_quiet
check "the device is not without its driver" device_is claimed "$E1000"

scenario H1-refused-under-hotplug-port
# Which of the two refuses is the daemon's choice; that the guest gets the device is not.
taken() { ctl claim "$HOTPLUG" && ctl attach one "$HOTPLUG"; }
check_fails "a device that may be pulled is refused" taken
check "and the guest has no right to it" prints 'memory \{ \}' hv_rights one
ctl release "$HOTPLUG" >/dev/null 2>&1

scenario H2-dead-guest-then-next-guest
check "guest one uses the device" given one "$NIC"
check "by MSI-X" guest_do one '[ "$(vectors msi-x eth)" -ge 2 ]'
check "it dies without warning" guest_destroy one
check "the device is free again" within 15 device_is claimed "$NIC"
check "guest two uses it" given two "$NIC"
check "by MSI-X" guest_do two '[ "$(vectors msi-x eth)" -ge 2 ]'
check "and keeps it: 30 pings" guest_do two 'ping_gateway 30' 60

scenario H4-xl-pci-attach-by-mistake
modprobe xen-pciback
hv_rights three >/tmp/rights
for attempt in "$NIC" "$NIC" "$NIC,seize=1" "$NIC"; do
	check_fails "xl pci-attach $attempt fails" xl pci-attach three "$attempt"
	check "the owner still pings" guest_do two 'ping_gateway 3' 30
done
hv_rights three >/tmp/rights.after
check "the other guest has no right more" compare /tmp/rights /tmp/rights.after
owner_named() { [ "$(xenstore-read /libxl/pci/0000-00-05-0/domid)" = "$(guest_id two)" ]; }
check "the toolstack's node names the owner" within 5 owner_named
# xl with "seize" takes the device from the stub driver; the override lets no other have it.
check "no other driver has the device" not [ "$(pci_driver "$NIC")" = pciback ]
check "the owner gives it back" ctl detach two "$NIC"
check "it is claimed" device_is claimed "$NIC"
check "which means that the stub driver holds it" [ "$(pci_driver "$NIC")" = pci-stub ]
check "the owner gets it again" given two "$NIC"
rmmod xen-pciback
xenstore-rm /libxl/pci/0000-00-05-0/driver_path        # xl's note of where it seized from

scenario H6-reset-does-not-stop-others
# No driver in the guest: the emulator itself crashes when a busy e1000e is reset.
check "guest three gets the other device" ctl attach three "$OTHER" --claim --wait 30
guest_do three 'cfgprobe bench "$(config_of 8086:10d3)" 150' 90 >/tmp/three.out 2>&1 &
reading=$!
(for _ in 1 2 3 4 5 6 7 8 9 10; do echo 1 >"/sys/bus/pci/devices/$OTHER/reset"; done) 2>/dev/null &
resetting=$!
# The whole header is sixteen accesses and has no bound of its own.
slowest() { guest_do two 'cfgprobe bench "$(config_of 8086:10d3)" 100' 90 | grep -v whole | sed -n 's/.*max_us=//p' | sort -n | tail -n1; }
worst=$(slowest)
note "slowest access of the undisturbed guest: $worst us"
check "another device is read while one is reset" [ "${worst%.*}" -lt 1500000 ]
wait "$resetting"
wait "$reading"
check "and the one that was reset answers its guest" [ $? -eq 0 ]

scenario H7-forced-revocation
check "guest three uses its device" guest_do three 'nic_up e1000e && ping_gateway 1' 60
xl pause three
check_fails "a guest that does not answer keeps its device" ctl detach three "$OTHER"
check "unless it is forced" ctl detach three "$OTHER" --force
check "bus mastering is off" not command_bit "$OTHER" 4
check "memory decode is off" not command_bit "$OTHER" 2
check "no right is left" prints 'memory \{ \}' hv_rights three
check "nor an interrupt" prints 'gsis: msis: 0' hv_rights three
check_fails "nobody else gets a device taken from a living guest" ctl attach two "$OTHER"
xl unpause three
check "the guest dies" guest_destroy three
check "now the device may be given" within 15 device_is claimed "$OTHER"
check "and is released" ctl release "$OTHER"

scenario H17-intx-stays-disabled
check "the device leaves its guest" ctl detach two "$NIC"
check "its interrupt line is quiet" command_bit "$NIC" 0x400
check "it masters no bus" not command_bit "$NIC" 4

scenario H3-busmaster-off-after-destroy
check "the guest gets it again" given two "$NIC"
check "it masters the bus" command_bit "$NIC" 4
check "the guest dies" xl destroy two
check "bus mastering ends" within 5 not command_bit "$NIC" 4
check "no domain is left behind" guest_gone two

scenario crash
check "another guest comes up" guest_start four pv 192
check "it uses the device" given four "$NIC"
guest_panic four
check "it panics" guest_gone four
check "the log tells why" grep -q 'sysrq triggered crash' /var/log/xen/console/guest-four.log
check "the device is free again" within 15 device_is claimed "$NIC"
check "it masters no bus" not command_bit "$NIC" 4

scenario H3-release-gives-host-driver-back
check "release" ctl release "$NIC"
check "the host's driver is back" within 10 [ "$(pci_driver "$NIC")" = e1000e ]
check "and works" host_ping "$NIC" 3

scenario leaks
check "release the other one" ctl release "$E1000"
check "the daemon stops" daemon_stop
check "nothing is left" nothing_left /tmp/before
exit 0
