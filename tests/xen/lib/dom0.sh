# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# Functions for a boot's dom0.sh, which starts with ". /lab/dom0.sh". README.md lists them with an example.
set -u
SCENARIO=none
LAB_RUN=/run/lab
CHANNEL=/dev/ttyS1
HV_LOG=/var/log/xen/hypervisor.txt        # what `xl dmesg -c` has given so far, debug keys left out
DAEMON_LOG=/var/log/pcibackd.log
DAEMON_SOCKET=/run/pcibackd/control.sock
mkdir -p "$LAB_RUN" /etc/xen

# --- telling ---------------------------------------------------------------------------------------------------------

# The console may be garbled by other writers, so each result goes over the lab channel too; that one counts.
_result() {
	echo "LAB $1 $SCENARIO: $2"
	echo "R $1 $SCENARIO: $2" >"$CHANNEL"
}
note() { echo "LAB # $*"; }
_uptime() { cut -d' ' -f1 /proc/uptime; }

scenario() {
	SCENARIO=$1
	echo "LAB scenario $1 at $(_uptime) s"
	[ ! -e "$DAEMON_LOG" ] || echo "--- lab: scenario $1" >>"$DAEMON_LOG"
}
pass() { _result ok "$1"; }
fail() { _result "not ok" "$1"; }

# _details TEXT: why the last check failed, for the console and, over the lab channel, for `lab result`
_details() {
	echo "$1" | cut -c1-400 >"$LAB_RUN/details"
	tail -n 40 "$LAB_RUN/check.out" | cut -c1-400 | sed 's/^/  | /' >>"$LAB_RUN/details"
	sed 's/^/LAB #   /' "$LAB_RUN/details"
	sed 's/^/D /' "$LAB_RUN/details" >"$CHANNEL"
}

# check TEXT COMMAND...: the command must succeed; what it printed is shown if it does not
check() {
	local text=$1 status
	shift
	"$@" >"$LAB_RUN/check.out" 2>&1
	status=$?
	if [ "$status" -eq 0 ]; then
		pass "$text"
		return 0
	fi
	fail "$text"
	_details "$* -> $status"
	return 1
}

# inconclusive REASON: ends the boot, which then says nothing about the product and is repeated once
inconclusive() {
	note "INCONCLUSIVE: $1"
	echo "I $1" >"$CHANNEL"
	exit 4
}

# check_fails TEXT COMMAND...: the command must fail, but not by a timeout or by a signal
check_fails() {
	local text=$1 status
	shift
	"$@" >"$LAB_RUN/check.out" 2>&1
	status=$?
	if [ "$status" -ge 1 ] && [ "$status" -lt 124 ]; then
		pass "$text"
		return 0
	fi
	fail "$text"
	_details "$* -> $status, and should have failed"
	return 1
}

# prints PATTERN COMMAND...: the command succeeds and a line of its output matches
prints() {
	local pattern=$1
	shift
	"$@" >"$LAB_RUN/prints.out" 2>&1 || { cat "$LAB_RUN/prints.out"; return 1; }
	cat "$LAB_RUN/prints.out"
	grep -qE -- "$pattern" "$LAB_RUN/prints.out"
}

# within SECONDS COMMAND...: until the command succeeds
within() {
	local end status
	end=$(($(cut -d. -f1 /proc/uptime) + $1))
	shift
	while :; do
		"$@" >"$LAB_RUN/within.out" 2>&1
		status=$?
		[ "$status" -ne 0 ] || break
		[ "$(cut -d. -f1 /proc/uptime)" -lt "$end" ] || break
		sleep 0.2
	done
	cat "$LAB_RUN/within.out"
	return "$status"
}

not() { ! "$@"; }

# --- guests ----------------------------------------------------------------------------------------------------------

# guest_create NAME ROLE MEMORY [CONFIG LINE...]: a PV guest that may be given devices later; MEMORY in MiB
GUEST_VCPUS=1
guest_create() {
	local name=$1 role=$2 memory=$3 line
	shift 3
	{
		echo "name = \"$name\""
		echo 'type = "pv"'
		echo 'kernel = "/boot/vmlinux"'
		echo 'ramdisk = "/boot/guest.img"'
		echo "memory = $memory"
		echo "vcpus = $GUEST_VCPUS"
		echo 'passthrough = "enabled"'
		echo 'e820_host = 1'
		echo "extra = \"console=hvc0 loglevel=4 norandmaps mitigations=off panic=1 role=$role\""
		for line in "$@"; do echo "$line"; done
	} >"/etc/xen/$name.cfg"
	xl -f create -q "/etc/xen/$name.cfg" || return 1
	xl domid "$name" >"$LAB_RUN/$name.domid"
}
guest_id() { cat "$LAB_RUN/$1.domid"; }

# guest_wait_ready NAME [SECONDS]: until the guest takes commands and its own programs have been seen to work.
#
# The emulator now and then brings up a guest in which every newly started program dies. That says nothing about the
# product, as long as the product has not touched the guest: such a guest is created once more, and if that one is no
# better, the boot ends here as inconclusive.
guest_wait_ready() {
	_guest_sound "$1" "${2:-60}" && return 0
	# shellcheck disable=SC2310
	_guest_untouched "$1" || return 1
	note "!!! EMULATOR FAULT: guest $1 came up and its own programs fail; creating it once more"
	tail -n 10 "/var/log/xen/console/guest-$1.log" 2>/dev/null | sed 's/^/LAB #   | /'
	xl destroy "$1"
	guest_gone "$1"
	if xl -f create -q "/etc/xen/$1.cfg" && xl domid "$1" >"$LAB_RUN/$1.domid" && _guest_sound "$1" "${2:-60}"; then
		return 0
	fi
	_guest_untouched "$1" || return 1
	inconclusive "guest $1 came up twice and its own programs fail"
}
# Three times, since a fault may hit one program in some: a static and two dynamic ones, two of them with the store.
_guest_sound() {
	within "$2" xenstore-read "/local/domain/$(guest_id "$1")/data/ready" >/dev/null || return 1
	guest_do "$1" 'for i in 1 2 3; do xenstore-read domid && labfe </dev/null && lspci >/dev/null || exit 1; done' 20
}
_guest_untouched() { ! xenstore-exists "/local/domain/$(guest_id "$1")/device/pci"; }

# guest_start NAME ROLE MEMORY [CONFIG LINE...]: create and wait; a guest that does not come up is a failed check
guest_start() {
	if guest_create "$@" && guest_wait_ready "$1"; then
		return 0
	fi
	fail "guest $1 comes up"
	return 1
}

# guest_do NAME COMMAND [SECONDS]: its output and exit status; 124 no answer, 125 no such guest
guest_do() { labdo "$(guest_id "$1")" "${3:-30}" "$2"; }

# Xen still lists a domain whose pages somebody holds; only then is it really gone.
_listed() { xl list | awk -v id="$1" 'NR > 1 && $2 == id { found = 1 } END { exit !found }'; }
guest_gone() { within "${2:-15}" not _listed "$(guest_id "$1")"; }
guest_destroy() { xl destroy "$1" && guest_gone "$1"; }
guest_shutdown() {
	guest_do "$1" 'sleep 0.3; poweroff -f' 3 >/dev/null
	guest_gone "$1" "${2:-20}"
}
# guest_reboot NAME: by xl, which makes another domain of it
guest_reboot() {
	xl reboot "$1" || return 1
	guest_gone "$1" 30 || return 1
	within 30 xl domid "$1" || return 1
	xl domid "$1" >"$LAB_RUN/$1.domid"
	guest_wait_ready "$1"
}
# The guest's kernel panics without warning anybody.
guest_panic() { guest_do "$1" '(sleep 0.3; echo c >/proc/sysrq-trigger) &' 3 >/dev/null; }

# --- the daemon ------------------------------------------------------------------------------------------------------

daemon_config() { mkdir -p /etc; echo "$1" >/etc/pcibackd.json; }
daemon_pid() { cat "$LAB_RUN/daemon.pid"; }
daemon_alive() { kill -0 "$(daemon_pid)" 2>/dev/null; }

# daemon_launch [ARGUMENT...]: starts DAEMON and does not wait for it
DAEMON=/usr/sbin/pcibackd
daemon_launch() {
	[ -e /etc/pcibackd.json ] || daemon_config '{}'
	"$DAEMON" --config /etc/pcibackd.json "$@" >>"$DAEMON_LOG" 2>&1 8>&- &
	echo $! >"$LAB_RUN/daemon.pid"
}
# daemon_start [ARGUMENT...]: until the control socket answers
daemon_start() {
	daemon_launch "$@"
	within 20 _daemon_answers >/dev/null && return 0
	echo "pcibackd does not answer; the end of its log:"
	tail -n 20 "$DAEMON_LOG"
	return 1
}
# daemon_start_as PROGRAM [ARGUMENT...]: another build of it, this once
daemon_start_as() {
	local DAEMON=$1
	shift
	daemon_start "$@"
}
_daemon_answers() { [ -S "$DAEMON_SOCKET" ] && pcibackctl list; }

# daemon_stop: by SIGTERM, and it must end by itself and with 0
daemon_stop() {
	local pid status
	pid=$(daemon_pid)
	kill -TERM "$pid" || return 1
	within 10 not kill -0 "$pid" >/dev/null || { kill -KILL "$pid"; echo "pcibackd ignored SIGTERM for 10 s"; return 1; }
	wait "$pid"
	status=$?
	[ "$status" -eq 0 ] || { echo "pcibackd ended with $status"; return 1; }
}
daemon_kill() {
	kill -KILL "$(daemon_pid)" || return 1
	wait "$(daemon_pid)" 2>/dev/null || return 0
}

ctl() { pcibackctl "$@"; }
# The daemon's other processes: whatever descends from it.
daemon_children() {
	local stat pid parent rest
	for stat in /proc/[0-9]*/stat; do
		{ read -r rest <"$stat"; } 2>/dev/null || continue
		pid=${rest%% *}
		rest=${rest##*) }
		parent=${rest#* }
		[ "${parent%% *}" != "$(daemon_pid)" ] || echo "$pid"
	done
}

# device_is STATE DEVICE: the daemon's own word for a device (claimed, assigned, ...)
device_is() {
	pcibackctl --json show "$2" >"$LAB_RUN/device" 2>&1 || { cat "$LAB_RUN/device"; return 1; }
	grep -E '"(state|cause)":' "$LAB_RUN/device"
	grep -qE "\"state\": *\"($1)\"" "$LAB_RUN/device"
}

# json_sum KEY: the sum of every "KEY": number in the JSON on stdin; KEY may be a pattern
json_sum() { grep -oE "\"$1\": *-?[0-9]+" | sed 's/.*: *//' | awk '{ s += $1 } END { print s + 0 }'; }

# --- devices ---------------------------------------------------------------------------------------------------------

pci_driver() { basename "$(readlink "/sys/bus/pci/devices/$1/driver" || echo none)"; }
# driver_is DRIVER BDF: asked each time, for `within`
driver_is() { pci_driver "$2"; [ "$(pci_driver "$2")" = "$1" ]; }
pci_command() { setpci -s "$1" COMMAND; }
# command_bit BDF MASK: true if any of these bits is set
command_bit() { [ $((0x$(pci_command "$1") & $2)) -ne 0 ]; }
pci_gsi() { cat "/sys/bus/pci/devices/$1/irq"; }
host_nic() {
	local path
	for path in "/sys/bus/pci/devices/$1/net/"*; do
		[ ! -e "$path" ] || echo "${path##*/}"
	done
}
# host_bind BDF MODULE: load dom0's own driver for a device that nobody has
host_bind() {
	modprobe "$2"
	[ "$(pci_driver "$1")" != none ] || echo "$1" >/sys/bus/pci/drivers_probe
	[ "$(pci_driver "$1")" != none ]
}
# host_ping BDF [COUNT]: through dom0's own driver; every one must come back
host_ping() {
	local nic count=${2:-3} status
	nic=$(host_nic "$1")
	[ -n "$nic" ] || { echo "no interface on $1"; return 1; }
	ip link set "$nic" up
	ip addr add 10.0.2.15/24 dev "$nic" 2>/dev/null
	within 15 grep -q 1 "/sys/class/net/$nic/carrier" || return 1
	ping -I "$nic" -c 1 -W 5 10.0.2.2 >/dev/null 2>&1
	prints "$count packets received" ping -I "$nic" -c "$count" -i 0.3 -W 3 10.0.2.2
	status=$?
	ip addr flush dev "$nic"
	ip link set "$nic" down
	return "$status"
}

# qemu COMMAND: of the machine's own monitor, e.g. qemu 'pcie_aer_inject_error nic1 COMP_TIME'
qemu() {
	local line
	echo "M $*" >"$CHANNEL"
	# shellcheck disable=SC3045  # busybox can
	while read -r -t 15 line <&8; do
		[ "$line" != . ] || return 0
		echo "$line"
	done
	echo "the monitor does not answer"
	return 1
}

# --- the hypervisor --------------------------------------------------------------------------------------------------

_hv_drain() { xl dmesg -c >>"$HV_LOG"; }
hv_mark() { _hv_drain; wc -l <"$HV_LOG" >"$LAB_RUN/hv.mark"; }
# hv_since: what the hypervisor has said since hv_mark
hv_since() { _hv_drain; tail -n +$(($(cat "$LAB_RUN/hv.mark") + 1)) "$HV_LOG"; }
hv_quiet() { hv_since >"$LAB_RUN/hv.new"; cat "$LAB_RUN/hv.new"; [ ! -s "$LAB_RUN/hv.new" ]; }

# _hv_keys KEYS: the output of these debug keys alone
_hv_keys() { _hv_drain; xl debug-keys "$1"; xl dmesg -c; }

# hv_rights NAME: what a guest may touch, one line a kind
hv_rights() {
	local names
	names=$(xenstore-ls -f /local/domain | _names)
	_hv_keys q | awk -v names="$names" -f /lab/normalise.awk | grep "^domain $1 may use "
}

# --- leaks -----------------------------------------------------------------------------------------------------------

# "0=Domain-0 3=netvm ...", from the whole store on stdin
_names() { sed -n 's|^/local/domain/\([0-9]*\)/name = "\([^"]*\)".*|\1=\2|p' | tr '\n' ' '; }

_xenbus_facts() {
	local path
	for path in /sys/bus/xen-backend/devices/*; do
		[ ! -e "$path" ] || echo "xenbus device ${path##*/}"
	done | sed 's/-[0-9]*-/-ID-/'
}

# snapshot FILE: everything that must be the same again when all is given back
snapshot() {
	local names
	xenstore-ls -fp / >"$LAB_RUN/store"
	names=$(_names <"$LAB_RUN/store")
	{
		_hv_keys qiegQ | awk -v names="$names" -f /lab/normalise.awk
		awk -v names="$names" -f /lab/store.awk "$LAB_RUN/store"
		pcifacts
		_xenbus_facts
	} | sort >"$1"
	[ -s "$1" ]
}

# compare BEFORE AFTER: fails and shows what came (+) and what went (-)
compare() {
	cmp -s "$1" "$2" && return 0
	diff -U 0 "$1" "$2" | grep '^[+-][^+-]'
	return 1
}

_left() {
	snapshot "$LAB_RUN/after"
	compare "$1" "$LAB_RUN/after"
}
# nothing_left BEFORE [SECONDS]: the host is as it was; what ends by itself within the time is no leak
nothing_left() { within "${2:-8}" _left "$1"; }
