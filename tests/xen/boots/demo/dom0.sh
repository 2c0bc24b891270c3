# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# shellcheck source=../../lib/dom0.sh
. /lab/dom0.sh
CARD=0000:00:05.0

# What a person is to see goes out with this mark; contrib/demo prints nothing else.
show() { sed 's/^/DEMO     /'; }
say() { echo "DEMO $*"; }
run() { # COMMAND...: show it and what it prints
	say "  # $*"
	"$@" 2>&1 | show
}

scenario demo
say "== Xen $(xl info | sed -n 's/^xen_version *: //p'), dom0 Linux $(uname -r)"
modprobe pci-stub
snapshot /tmp/before
guest_create netvm pv 256
guest_wait_ready netvm
check "the daemon starts" daemon_start
run pcibackctl version
say "== The card goes to the stub driver, into quarantine, and to the guest"
run pcibackctl claim "$CARD"
check "the device is claimed" device_is claimed "$CARD"
run pcibackctl attach netvm "$CARD" --wait 30
check "the device is assigned" device_is assigned "$CARD"
check "the guest's driver comes up" guest_do netvm 'nic_up e1000e' 60
say "== In the guest: an unmodified Linux with xen-pcifront and e1000e"
guest_do netvm 'lspci; grep pcifront /proc/interrupts; ping -c 3 -i 0.3 10.0.2.2' 60 >/tmp/guest.out
check "pings come back" grep -q '3 packets received' /tmp/guest.out
check "by MSI-X" grep -q pcifront-msi-x /tmp/guest.out
show </tmp/guest.out
say "== What the daemon says meanwhile"
run pcibackctl list
run pcibackctl show "$CARD"
run pcibackctl guests
say "== The card comes back to the host"
run pcibackctl detach netvm "$CARD"
run pcibackctl release "$CARD"
run pcibackctl list
check "the guest shuts down" guest_shutdown netvm
check "the daemon stops" daemon_stop
check "nothing is left behind" nothing_left /tmp/before
exit 0
