# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# Functions for a guest's role script and for commands that dom0 sends (guest_do sources this first).

# within SECONDS COMMAND...: until the command succeeds
within() {
	local end=$(($(cut -d. -f1 /proc/uptime) + $1))
	shift
	while ! "$@" >/dev/null 2>&1; do
		[ "$(cut -d. -f1 /proc/uptime)" -lt "$end" ] || return 1
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

# nic_up MODULE [ADDRESS]: load the driver, wait for its interface, give it the address and take it from all others
nic_up() {
	local nic path
	modprobe xen-pcifront
	modprobe "$1" || return 1
	within 20 nic_of "$1" || { echo "no interface of $1"; return 1; }
	for path in /sys/class/net/*/device; do
		[ ! -e "$path" ] || ip addr flush dev "$(basename "${path%/device}")"
	done
	nic=$(nic_of "$1")
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

# vectors msi-x|msi|intx [DEVICE NAME]: lines of /proc/interrupts of this kind; Xen's guest kernel names the kind there
vectors() {
	local kind=-pcifront-$1
	[ "$1" != intx ] || kind=-pcifront
	grep -cE "xen-pirq +$kind +.*${2:-}" /proc/interrupts
}

# interrupts PATTERN: how many have come on the lines that match
interrupts() { awk -v p="$1" '$0 ~ p { for (i = 2; $i ~ /^[0-9]+$/; i++) n += $i } END { print n + 0 }' /proc/interrupts; }

# config_of VENDOR:DEVICE: the path of its config space
config_of() { echo "/sys/bus/pci/devices/$(pci_of "$1")/config"; }
