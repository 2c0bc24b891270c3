# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# Functions for a guest's role script and for commands that dom0 sends (guest_do sources this first).

# within SECONDS COMMAND...: until the command succeeds
within() {
	local left=$(($1 * 5))
	shift
	while ! "$@" >/dev/null 2>&1; do
		left=$((left - 1))
		[ "$left" -gt 0 ] || return 1
		sleep 0.2
	done
}

# pci_of VENDOR:DEVICE: the address here of the first such device
pci_of() { lspci -Dn -d "$1" | cut -d' ' -f1 | grep -m1 .; }

# nic_of MODULE: the network interface that this driver runs
nic_of() {
	local path
	for path in /sys/class/net/*/device/driver; do
		[ -e "$path" ] || continue
		if [ "$(basename "$(readlink "$path")")" = "$1" ]; then
			basename "${path%/device/driver}"
			return 0
		fi
	done
	return 1
}

# nic_up MODULE [ADDRESS]: load the driver, wait for its interface, give it an address
nic_up() {
	modprobe xen-pcifront
	modprobe "$1" || return 1
	within 20 nic_of "$1" || { echo "no interface of $1"; return 1; }
	local nic
	nic=$(nic_of "$1")
	ip addr flush dev "$nic"
	ip link set "$nic" up || return 1
	ip addr add "${2:-10.0.2.15/24}" dev "$nic"
	within 15 grep -q 1 "/sys/class/net/$nic/carrier" || { echo "no carrier on $nic"; return 1; }
	echo "$nic"
}

# ping_gateway [COUNT]: every one must come back
ping_gateway() {
	local count=${1:-3} text
	# The first answer after the link comes up may be late; it is not what the test is about.
	ping -c 1 -W 5 10.0.2.2 >/dev/null 2>&1
	text=$(ping -c "$count" -i 0.3 -W 3 10.0.2.2) || { echo "$text"; return 1; }
	echo "$text" | grep 'packets transmitted'
	echo "$text" | grep -q "$count packets transmitted, $count packets received"
}

# irq_count PATTERN: interrupts of all lines of /proc/interrupts that match, and how many lines they are
irq_count() { awk -v p="$1" '$0 ~ p { n++; for (i = 2; i <= NF && $i ~ /^[0-9]+$/; i++) s += $i } END { print s + 0, n + 0 }' /proc/interrupts; }
irq_lines() { irq_count "$1" | cut -d' ' -f2; }

# hears MODE DRIVER: does the driver get interrupts of this kind (msi-x, msi, intx)? xen-pirq names them differently.
vectors() { grep -c "xen-pirq.*pcifront-$1 " /proc/interrupts; }
