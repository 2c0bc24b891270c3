# SPDX-License-Identifier: MIT
# shellcheck shell=dash
# shellcheck source=../../lib/dom0.sh
. /lab/dom0.sh
THEIRS=0000:01:00.0             # the kernel's backend has it, for guest k
OURS=0000:02:00.0               # the daemon, for p
OTHER=0000:03:00.0              # the daemon, for o
FAULTY=0000:04:00.0             # the same; it can be told to have errors
ROUNDS=2 LATER=1 COUNT=60 SCANS=3 WINDOW=400
if [ -e /lab/rounds ]; then
	ROUNDS=$(cat /lab/rounds) COUNT=500 SCANS=12 WINDOW=1200
	LATER=$ROUNDS
fi
SAMPLES=/tmp/samples

modprobe pci-stub
snapshot /tmp/before
modprobe xen-pciback

# --- what is measured, and how -----------------------------------------------------------------------------------------

AWAKE='k p f o'
# only GUEST...: the others stand still
only() {
	for guest in $AWAKE; do
		case " $* " in *" $guest "*) ;; *) xl pause "$guest" ;; esac
	done
	for guest in "$@"; do
		case " $AWAKE " in *" $guest "*) ;; *) xl unpause "$guest" ;; esac
	done
	AWAKE=$*
}

# percentiles VARIANT <LINES: what confbench says of each kind of access becomes two samples
percentiles() {
	awk -v variant="$1" 'NF == 3 { print variant, $1 "_p50_us", $2; print variant, $1 "_p99_us", $3 }' >>"$SAMPLES"
}
# latency VARIANT GUEST [KIND...]: all kinds unless told
latency() {
	local variant=$1 guest=$2 command="latency \$config $COUNT $SCANS"
	shift 2
	[ $# -eq 0 ] || command=
	for kind in "$@"; do
		case $kind in scan*) count=$SCANS ;; *) count=$COUNT ;; esac
		command="${command:+$command && confbench }only \$config $count $kind"
	done
	check "$variant: each access is answered, and right" \
		guest_do "$guest" "config=\$(config_of 8086:10d3); confbench $command" 300
	percentiles "$variant" <"$LAB_RUN/check.out"
}

# dom0_cpu VARIANT GUEST KIND: what the host spends in the middle of a flood of accesses, less what it spends anyway
dom0_cpu() {
	local seconds
	seconds=$(awk -v ms="$WINDOW" 'BEGIN { print ms / 1000 + 1.2 }')
	guest_do "$2" "confbench flood \$(config_of 8086:10d3) $3 $seconds" 60 >/tmp/flood 2>&1 &
	flooding=$!
	sleep 0.8
	cputime 0 "$WINDOW" >/tmp/busy
	wait "$flooding"
	check "$1: a flood of reads ($3) is answered right" [ $? -eq 0 ]
	cat /tmp/idle /tmp/busy /tmp/flood | awk -v variant="$1" -v kind="$3" '
		{ rate[NR] = $1 / $2 }
		END {
			print variant, "dom0_cpu_" kind "_ms", (rate[2] - rate[1]) / rate[3] / 1000
			print variant, "flood_" kind "_per_s", rate[3] * 1e9
		}' >>"$SAMPLES"
}
# host_costs VARIANT GUEST: in the short form one kind a round
host_costs() {
	case $LATER-$((round % 2)) in
		1-1) dom0_cpu "$1" "$2" ids ;;
		1-0) dom0_cpu "$1" "$2" status ;;
		*) dom0_cpu "$1" "$2" ids; dom0_cpu "$1" "$2" status ;;
	esac
}

unload='echo pci-0 >/sys/bus/xen/drivers/pcifront/unbind; rmmod xen-pcifront'
backend_of_k() { xenstore-"$1" "/local/domain/0/backend/pci/$(guest_id k)/0/state" ${2:+"$2"}; }
# The kernel's backend stays at Closed for ever, and pcifront does not come back to such a one: it is shown what it was.
kernel_again() {
	guest_do k "$unload" && within 10 prints '^6$' backend_of_k read && backend_of_k write 3
}
daemon_again() { guest_do p "$unload" && within 10 prints 'p .*InitWait' ctl guests; }
# enumerate VARIANT GUEST: the frontend is not loaded yet, or goes first
enumerate() {
	[ ! -e "/tmp/loaded-$2" ] || check "$1: the frontend goes" "$3"
	touch "/tmp/loaded-$2"
	check "$1: it comes, and the card's driver with it" guest_do "$2" 'confbench enumerate e1000e' 60
	sed -n "s/^enumeration /$1 enumeration_ms /p" "$LAB_RUN/check.out" >>"$SAMPLES"
}

# polling US|default: of the daemon
polling() {
	case $1 in default) daemon_config '{}' ;; *) daemon_config "{ \"backend\": { \"busy_poll_us\": $1 } }" ;; esac
	check "busy_poll_us: $1" ctl reload
}

# --- one of each -------------------------------------------------------------------------------------------------------

scenario side-by-side
check "xl makes a card assignable" xl pci-assignable-add "$THEIRS"
guest_create k pv 192 "pci = [ '$THEIRS' ]"
guest_create p pv 192
for guest in f o; do guest_create $guest bare 192; done
check "the daemon starts" daemon_start || exit 1
for guest in k p f o; do guest_wait_ready $guest || fail "guest $guest comes up"; done
cat "/sys/bus/pci/devices/$OURS/config" >/tmp/image
check "the daemon gives a card" ctl attach p "$OURS" --claim
check "and another" ctl attach o "$OTHER" --claim --wait 30
echoback "$(guest_id f)" /tmp/image "/sys/bus/pci/devices/$FAULTY/config" >/tmp/echo.out 2>&1 &
echoback=$!
check "the floor is laid" within 20 grep connected /tmp/echo.out
check "its guest sees the card" guest_do f 'within 20 pci_of 8086:10d3 && pci_of 8086:10d3'
check "so does the other" guest_do o 'within 20 pci_of 8086:10d3 && pci_of 8086:10d3'
kill -STOP "$echoback"

round=0
while [ "$round" -lt "$ROUNDS" ]; do
	round=$((round + 1))
	only k
	enumerate kernel k kernel_again
	sleep 0.5
	cputime 0 "$WINDOW" >/tmp/idle
	latency kernel k
	host_costs kernel k

	only p
	enumerate pcibackd p daemon_again
	sleep 0.5
	latency pcibackd p
	host_costs pcibackd p

	only f
	kill -CONT "$echoback"
	latency floor f
	host_costs floor f
	kill -USR1 "$echoback"
	latency floor_cycle f status write_hardware scan_256
	kill -USR1 "$echoback"
	kill -STOP "$echoback"
done
only p
polling 0
latency pcibackd_unpolled p ids status write_hardware scan_256
polling default

scenario idle-costs-nothing
only k p f o
switches() {
	for pid in $(daemon_pid) $(daemon_children); do cat "/proc/$pid/task/"*/status; done |
		awk '/^voluntary_ctxt_switches/ { n += $2 } END { print n + 0 }'
}
kernels_events() { awk '/pciback/ { for (i = 2; $i ~ /^[0-9]+$/; i++) n += $i } END { print n + 0 }' /proc/interrupts; }
# 5 s without a wake-up: the first may have one about what was just done, on a host that is slow; what comes again is in all of them.
still() {
	local before=$1 events_before=$2
	sleep 5
	woken=$(($(switches) - before)) events=$(($(kernels_events) - events_before))
	note "in 5 s with nothing to do: the daemon, its threads and its helper were woken $woken times, the kernel's backend $events"
	[ "$woken" -eq 0 ]
}
sleep 1
check "the kernel counts how often the daemon was woken" [ "$(switches)" -gt 0 ]
check "and how often its own backend was" [ "$(kernels_events)" -gt 0 ]
for window in 1 2 3; do still "$(switches)" "$(kernels_events)" && break; done
check "nobody wakes the daemon when there is nothing to do" [ "$woken" -eq 0 ]
awk -v a="$woken" -v b="$events" 'BEGIN { print "pcibackd idle_wakeups_per_s", a / 5; print "kernel idle_wakeups_per_s", b / 5 }' >>"$SAMPLES"

scenario another-guest-floods
# beside VARIANT COMMAND: p's accesses while o does that
beside() {
	guest_do o "$2" 120 >/tmp/other.out 2>&1 &
	other=$!
	sleep 0.6
	latency "$1" p status
	guest_do p true >/dev/null
	wait "$other"
}
only p o
round=0
while [ "$round" -lt "$LATER" ]; do
	round=$((round + 1))
	latency alone p status
	beside beside_a_flood "confbench flood \$(config_of 8086:10d3) status 2.5"
	check "the flooding guest is answered right" prints '^[0-9]+ [0-9]+$' cat /tmp/other.out
	beside beside_a_loop 'timeout 2.5 sh -c "while :; do :; done"'
done

scenario one-processor
pin() { for guest in Domain-0 k p; do xl vcpu-pin "$guest" all "$1" || return 1; done; }
check "dom0 and both guests share a processor" pin 0
round=0
while [ "$round" -lt "$LATER" ]; do
	round=$((round + 1))
	only k
	latency kernel_1cpu k ids status scan_256
	only p
	latency pcibackd_1cpu p ids status scan_256
	polling 0
	latency pcibackd_1cpu_unpolled p ids status scan_256
	polling default
done
check "they share it no more" pin all

scenario report
{
	echo "# xen $(xl info | sed -n 's/^xen_version *: //p')"
	echo "# kernel $(uname -r)"
} >>"$SAMPLES"
check "all was measured" awk -v form=missing -f /lab/boot/report.awk "$SAMPLES"
awk -v form=table -f /lab/boot/report.awk "$SAMPLES" >/tmp/table
while read -r line; do note "$line"; done </tmp/table
awk -v form=json -f /lab/boot/report.awk "$SAMPLES" >/tmp/json
check "the report is one line" [ "$(wc -l </tmp/json)" -eq 1 ]
cp "$SAMPLES" /var/log/bench.log

# --- what the daemon may not remember ------------------------------------------------------------------------------------

scenario live-bits-come-from-hardware
only o
CARD=$OTHER IDS=8086:10d3
# regs REGISTER...: what the guest reads of the card, in setpci's words
regs() { guest_do o "setpci -d $IDS $*"; }
bits() { echo $((0x$(regs "$1") & $2)); }
on_host() { setpci -s "$CARD" "$@"; }
host_bits() { echo $((0x$(on_host "$1") & $2)); }

check "the card is awake" [ "$(bits CAP_PM+4.w 3)" -eq 0 ]
on_host CAP_PM+4.w=3:3
check "the host puts it to sleep: the guest sees it" [ "$(bits CAP_PM+4.w 3)" -eq 3 ]
on_host CAP_PM+4.w=0:3
check "and wakes it again" [ "$(bits CAP_PM+4.w 3)" -eq 0 ]

line=$(on_host CACHE_LINE_SIZE)
on_host CACHE_LINE_SIZE=20
check "the host sets the cache line: the guest reads it" [ "$(regs CACHE_LINE_SIZE)" = 20 ]
on_host "CACHE_LINE_SIZE=$line"

# Interrupt Status is the pending bit of INTx. Cause and mask are in the card's memory: nothing passes through us.
card='at() { printf "0x%x" $(($(head -n 1 /sys/bus/pci/devices/*/resource | cut -d" " -f1) + $1)); }'
check "no interrupt is pending" [ "$(bits STATUS 8)" -eq 0 ]
check "the card raises one" guest_do o "$card; devmem \$(at 0xd0) 32 4 && devmem \$(at 0xc8) 32 4"
check "hardware has it" [ "$(host_bits STATUS 8)" -ne 0 ]
check "the guest sees that it is pending" [ "$(bits STATUS 8)" -ne 0 ]
check "it is acknowledged" guest_do o "$card; devmem \$(at 0xd8) 32 0xffffffff && devmem \$(at 0xc0) 32"
check "and is pending no more" [ "$(bits STATUS 8)" -eq 0 ]

# What nothing in this machine can change is asked of hardware all the same: each of these reads is one cycle.
cap() { printf '0x%x' $((0x$(lspci -s "$OTHER" -v | sed -n "s/.*Capabilities: \[\([0-9a-f]*\)\( v[0-9]\)*\] $1.*/\1/p") + $2)); }
# in all, and once more of each guest
hw_cycles() { echo $(($(ctl --json stats | json_sum hw_cycles) / 2)); }
# cycles_of "OFFSET SIZE"...: how many of these reads of the guest's reached hardware
cycles_of() {
	local before reads
	before=$(hw_cycles)
	reads=$(printf 'cfgprobe read /sys/bus/pci/devices/*/config %s && ' "$@")
	guest_do o "$reads true" >/dev/null || echo "not read"
	echo $(($(hw_cycles) - before))
}
exp=$(cap Express 0)
set -- '6 2' "$((exp + 0x12)) 2" "$((exp + 0xa)) 2" "$(cap 'Power Management' 4) 2" "$(cap MSI: 2) 2" "$(cap MSI-X 2) 2" \
	"$(cap 'Advanced Error' 0x1c) 4" '0x40 4'
check "status, link, device, power, both kinds of MSI, an error's log, what nobody knows" [ "$(cycles_of "$@")" -eq $# ]
check "what is constant costs no cycle" [ "$(cycles_of '0 4' '8 4' '0x2c 4' "$((exp + 4)) 4")" -eq 0 ]

CONSTANTS='0.l 8.l e.b 2c.l 34.b 3d.b'
host_constants() { for at in $CONSTANTS; do on_host "$at"; done; }
host_constants >/tmp/constants
constants_right() {
	regs "$CONSTANTS" >/tmp/seen || { cat /tmp/seen; return 1; }
	compare /tmp/constants /tmp/seen
}
check "constants are hardware's" constants_right
check "the guest puts the card to sleep" guest_do o 'setpci -d 8086:10d3 CAP_PM+4.w=3:3'
check "and it does" [ "$(host_bits CAP_PM+4.w 3)" -eq 3 ]
check "they are what they were" constants_right
check "it wakes it" guest_do o 'setpci -d 8086:10d3 CAP_PM+4.w=0:3'
check "they are what they were" constants_right
echo 1 >"/sys/bus/pci/devices/$OTHER/reset"
check "after a reset that somebody else did, too" constants_right
check "the card leaves the guest" ctl detach o "$OTHER"
check "and comes back, reset" ctl attach o "$OTHER" --wait 30
check "it is there" guest_do o 'within 20 pci_of 8086:10d3 && pci_of 8086:10d3'
check "they are what they were" constants_right
check "and STATUS comes from hardware still" [ "$(cycles_of '6 2')" -eq 1 ]

# e1000e's own log of errors overlaps another capability of its in QEMU: another card has the errors.
CARD=$FAULTY IDS=1af4:1041
check "a card that can have errors is attached" ctl attach o "$FAULTY" --claim --wait 30
check "the guest has it" guest_do o 'within 20 pci_of 1af4:1041 && pci_of 1af4:1041'
check "no error is logged" [ "$(bits ECAP_AER+1c.l 0xffffffff)" -eq 0 ]
check "an error is injected" not prints 'error:' qemu 'pcie_aer_inject_error nic4 MALF_TLP 0x01020304 5 6 7'
check "hardware has it" [ "$(host_bits ECAP_AER+18.l 0x1f)" -eq 18 ]
check "the guest sees which error came first" [ "$(bits ECAP_AER+18.l 0x1f)" -eq 18 ]
check "and its header" [ "$(bits ECAP_AER+1c.l 0xffffffff)" -ne 0 ]
on_host ECAP_AER+4.l=ffffffff
check "and what is left when the host has cleared it" \
	[ "$(bits ECAP_AER+18.l 0xffffffff)" -eq "$(host_bits ECAP_AER+18.l 0xffffffff)" ]

scenario leaks
only k p f o
kill -CONT "$echoback"
kill -TERM "$echoback"
wait "$echoback"
check "the floor is taken up" [ $? -eq 0 ]
for guest in p f o; do check "guest $guest goes" guest_destroy $guest; done
for card in "$OURS" "$OTHER" "$FAULTY"; do
	check "$card comes back" within 15 device_is claimed "$card"
	check "and is released" ctl release "$card"
done
check "the daemon stops" daemon_stop
id=$(guest_id k)
check "guest k goes" guest_destroy k
xenstore-rm "/local/domain/0/backend/pci/$id" 2>/dev/null     # the kernel's backend may leave it there
xenstore-rm /libxl/pci/0000-01-00-0/domid 2>/dev/null
check "xl gives its card back" within 10 xl pci-assignable-remove "$THEIRS"
rmmod xen-pciback
check "nothing is left" nothing_left /tmp/before
exit 0
